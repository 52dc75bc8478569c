# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``apk``, the package manager of OpenWrt from 25.12."""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import dataclass, field

from ..guest.runtime import Completed, Guest, done
from ..mirror import feeds
from ..mirror.feeds import CORE, FEEDS, PACKAGES, SITE
from .boot import release
from .network import Network
from .packages import Offer, arch_of, known_offers, records_of, unpack, version_of

APK_INSTALLED, APK_WORLD = "/lib/apk/db/installed", "/etc/apk/world"


@dataclass
class _Apk:
    """One run of apk."""

    guest: Guest
    flags: set[str] = field(default_factory=set)
    repositories: str = ""
    warnings: str = ""

    def offers(self) -> list[Offer]:
        """What the repositories have: those of a file that was named, or those on the network."""
        if self.repositories:
            lines = self.guest.files.read(self.repositories).split()
            return [offer for line in lines for offer in self._local(line)]
        if self.guest.files.exists("/tmp/.apk-index") or Network(self.guest).online():
            return [offer for feed in (CORE, *FEEDS) for offer in known_offers(feed, "", arch_of(self.guest))]
        return []

    def _local(self, path: str) -> list[Offer]:
        file, keys = self.guest.files.resolve(path.removeprefix("file://")), self.guest.files.resolve("/etc/apk/keys")
        known = [key.read_text(errors="replace") for key in keys.iterdir()] if keys.is_dir() else []
        place = path.rpartition("/")[0]
        try:
            text, signature = feeds.read_adb(file.read_bytes())
            if feeds.verified(text, signature, known):
                return [self._offer(one, place) for one in json.loads(text)]
            reason = "UNTRUSTED signature"
        except FileNotFoundError:
            reason = "No such file or directory"
        except ValueError:
            reason = "ADB header error"
        self.warnings += f"WARNING: opening {path}: {reason}\n"
        return []

    @staticmethod
    def _offer(entry: dict[str, t.Any], place: str) -> Offer:
        name, version = entry["name"], entry["version"]
        needs, provides = tuple(entry["depends"]), tuple(entry["provides"])
        return Offer(name, version, place, f"{name}-{version}.apk", needs, provides, 0, entry["hashes"])

    def body(self, offer: Offer) -> bytes | None:
        """A package's bytes, or None with the reason why there are none that can be used."""
        arch = arch_of(self.guest)
        if not offer.place:
            if Network(self.guest).online():
                return feeds.apk(offer.name, arch)
            self.warnings += f"ERROR: {offer.name}: network error\n"
            return None
        path = self.guest.files.resolve(f"{offer.place.removeprefix('file://')}/{offer.file}")
        stem = f"{offer.name}-{offer.version}"
        if not path.is_file():
            self.warnings += f"ERROR: {stem}: package mentioned in index not found (try 'apk update')\n"
            return None
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != offer.digest:
            self.warnings += f"ERROR: {stem}: ADB integrity error\n"
            return None
        return data


def apk(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    """The ``apk`` command."""
    del stdin
    run, words, todo = _Apk(guest), list[str](), list(argv[1:])
    while todo:
        word = todo.pop(0)
        if word == "--repositories-file" and todo:
            run.repositories = todo.pop(0)
        elif word.startswith("-"):
            run.flags.add(word)
        else:
            words.append(word)
    if "--version" in run.flags:
        return done("apk-tools 3.0.0_rc6, compiled for x86_64.\n")
    command, names = (words[0], words[1:]) if words else ("", [])
    action = _APK.get(command)
    return action(run, names) if action else done(rc=1, err=f"ERROR: '{command}' is not an apk command.\n")


def _apk_update(run: _Apk, _names: list[str]) -> Completed:
    known = release(run.guest)
    base = f"{SITE}/{feeds.root(known.get('RELEASE', ''))}/packages/{arch_of(run.guest)}"
    if Network(run.guest).online():
        run.guest.files.write("/tmp/.apk-index", "")
        fetched = "".join(f" [{base}/{feed}/packages.adb]\n" for feed in FEEDS)
        return done(f"{fetched}OK: {len(PACKAGES)} distinct packages available\n")
    reason = "network error (check Internet connection and firewall)"
    errors = "".join(f"WARNING: updating {base}/{feed}/packages.adb: {reason}\n" for feed in FEEDS)
    return done(err=f"{errors}{len(FEEDS)} unavailable, 0 stale; 0 distinct packages available\n", rc=len(FEEDS))


def _apk_plan(names: t.Iterable[str], offers: list[Offer], have: t.Container[str]) -> tuple[list[Offer], list[str]]:
    """What to install, those that others need first, and what nobody has."""
    wanted: list[Offer] = []
    missing: list[str] = []
    for name in names:
        if name in have or any(offer.fits(name) for offer in wanted):
            continue
        offer = next((one for one in sorted(offers, key=lambda one: one.name != name) if one.fits(name)), None)
        if offer is None:
            missing.append(name)
            continue
        first, lacking = _apk_plan(offer.needs, offers, have)
        wanted += [one for one in first if one not in wanted]
        wanted.append(offer)
        missing += lacking
    return wanted, missing


def _apk_add(run: _Apk, names: list[str]) -> Completed:
    installed = records_of(run.guest.files.read(APK_INSTALLED))
    wanted, missing = _apk_plan(names, run.offers(), installed)
    if missing:
        errors = "".join(f"  {name} (no such package):\n    required by: world[{name}]\n" for name in missing)
        return done(rc=len(missing), err=f"{run.warnings}ERROR: unable to select packages:\n{errors}")
    text, failed = "", 0
    simulate = bool(run.flags & {"-s", "--simulate"})
    for number, offer in enumerate(wanted, 1):
        text += f"({number}/{len(wanted)}) Installing {offer.name} ({offer.version})\n"
        body = None if simulate else run.body(offer)
        if body is not None:
            record = f"P:{offer.name}\nV:{offer.version}\nA:{arch_of(run.guest)}\n\n"
            run.guest.files.write(APK_INSTALLED, run.guest.files.read(APK_INSTALLED) + record)
            unpack(run.guest, offer.name, feeds.contents(body))
        failed += body is None and not simulate
    if not simulate:  # what was asked for is noted, also when it did not come
        world = sorted({*run.guest.files.read(APK_WORLD).split(), *names})
        run.guest.files.write(APK_WORLD, "".join(f"{name}\n" for name in world))
    count = len(installed) + len(wanted) - failed
    if failed:
        said = f"{text}{failed} error{'s' if failed > 1 else ''}; {12 + len(wanted)} MiB in {count} packages\n"
        return done(said, failed, run.warnings)
    return done(f"{text}OK: {12 + len(wanted)} MiB in {count} packages\n", err=run.warnings)


def _apk_del(run: _Apk, names: list[str]) -> Completed:
    installed = records_of(run.guest.files.read(APK_INSTALLED))
    gone = [name for name in names if installed.pop(name, None)]
    text = "".join(f"({number}/{len(gone)}) Purging {name}\n" for number, name in enumerate(gone, 1))
    run.guest.files.write(APK_INSTALLED, "".join(f"{record}\n\n" for record in installed.values()))
    world = [name for name in run.guest.files.read(APK_WORLD).split() if name not in names]
    run.guest.files.write(APK_WORLD, "".join(f"{name}\n" for name in world))
    return done(f"{text}OK: 12 MiB in {len(installed)} packages\n")


def _apk_info(run: _Apk, names: list[str]) -> Completed:
    installed = records_of(run.guest.files.read(APK_INSTALLED))
    if run.flags & {"-e", "--installed"}:
        found = [name for name in names if name in installed]
        return done("".join(f"{name}\n" for name in found), int(len(found) != len(names)))
    return done("".join(f"{name}\n" for name in sorted(installed) if not names or name in names))


def _apk_list(run: _Apk, names: list[str]) -> Completed:
    installed = records_of(run.guest.files.read(APK_INSTALLED))
    arch, rows = arch_of(run.guest), []
    for name in sorted({*installed, *([] if run.flags & {"-I", "--installed"} else PACKAGES)}):
        if not names or name in names:
            version = version_of(installed[name]) if name in installed else PACKAGES[name].version
            mark = " [installed]" if name in installed else ""
            rows.append(f"{name}-{version} {arch} {{{name}}} (GPL-2.0){mark}\n")
    return done("".join(rows))


_APK: dict[str, t.Callable[[_Apk, list[str]], Completed]] = {
    "update": _apk_update,
    "add": _apk_add,
    "del": _apk_del,
    "info": _apk_info,
    "list": _apk_list,
}
