# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``opkg`` (up to 24.10) and ``apk`` (from 25.12) of a scripted OpenWrt guest.

From its feeds on the network a guest has a few well-known packages while it is online; without a way out both fail as
the real ones do. Feeds on its own disk (``file:`` of opkg, a path of apk) are read as they lie there, and nothing in
them is believed that the guest's own keys and the digests of the index do not vouch for. Installing writes the package
database and the package's files, and enables its init script where it brings one.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import typing as t
import urllib.parse
import zlib
from dataclasses import dataclass, field

from ..guest.runtime import Completed, Guest, done
from ..mirror import feeds
from ..mirror.feeds import CORE, FEEDS, PACKAGES, SITE
from .boot import enabled, release
from .network import Network

OPKG_STATUS, OPKG_LISTS = "/usr/lib/opkg/status", "/var/opkg-lists"
APK_INSTALLED, APK_WORLD = "/lib/apk/db/installed", "/etc/apk/world"
CHECK = "check_signature"


def _arch(guest: Guest) -> str:
    return release(guest).get("ARCH", "x86_64")


@dataclass(frozen=True)
class Offer:
    """A package that some feed has. ``place`` is the feed's directory, ``file`` the package's name there."""

    name: str
    version: str
    place: str
    file: str
    needs: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    size: int = 0
    digest: str = ""
    record: str = ""

    def fits(self, name: str) -> bool:
        """Whether it is what is asked for, or stands in for it."""
        return name == self.name or name in self.provides


def _known(feed: str, place: str, arch: str) -> list[Offer]:
    """What a feed on the network has."""
    return [
        Offer(name, package.version, place, feeds.ipk_name(name, arch), package.needs, package.provides)
        for name, package in PACKAGES.items()
        if package.feed == feed
    ]


def _split(text: str) -> tuple[str, ...]:
    """The names in a list of packages."""
    return tuple(re.split(r"[\s(<>=~]", part.strip(), maxsplit=1)[0] for part in text.split(",") if part.strip())


def _unpack(guest: Guest, name: str, files: t.Mapping[str, bytes]) -> None:
    """Put a package's files in place, enable its init script, and start it."""
    for path, body in files.items():
        target = guest.files.resolve(f"/{path}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(body)
        target.chmod(0o755)
    start = PACKAGES[name].start if name in PACKAGES else None
    if start is None or f"etc/init.d/{name}" not in files:
        return
    link = guest.files.resolve(f"/etc/rc.d/S{start}{name}", follow=False)
    link.parent.mkdir(parents=True, exist_ok=True)
    if not enabled(guest, name):
        link.symlink_to(f"../init.d/{name}")
    guest.remember("services", {**guest.recall("services", {}), name: True})


# -- opkg --------------------------------------------------------------------------------------------------------------
def _records(text: str) -> dict[str, str]:
    """Package database text by package name."""
    blocks = [block for block in re.split(r"\n{2,}", text.strip()) if block]
    return {match[1]: block for block in blocks if (match := re.match(r"(?:Package: |P:)(\S+)", block))}


def _field(record: str, name: str) -> str:
    match = re.search(rf"^{name}: *(.*)$", record, re.MULTILINE)
    return match[1].strip() if match else ""


def _version(record: str) -> str:
    match = re.search(r"^(?:Version: |V:)(\S+)", record, re.MULTILINE)
    return match[1] if match else ""


@dataclass
class _Opkg:
    """One run of opkg: its configuration, and what it has to say."""

    guest: Guest
    conf: str = "/etc/opkg.conf"
    lists: str = OPKG_LISTS
    noaction: bool = False
    sources: list[tuple[str, str]] = field(default_factory=list)
    checked: bool = False
    out: str = ""
    early: str = ""
    errors: str = ""

    def configure(self) -> bool:
        """Read the configuration, the file that was named and then the others; False when the one is not there."""
        named = self.guest.files.resolve(self.conf)
        if not named.is_file() and self.conf != "/etc/opkg.conf":
            self.errors += f" * opkg_conf_load: Couldn't stat {self.conf}: No such file or directory.\n"
            return False
        folder = self.guest.files.resolve(self.guest.env.get("OPKG_CONF_DIR", "/etc/opkg"))
        for path in [named, *(sorted(folder.glob("*.conf")) if folder.is_dir() else [])]:
            for line in path.read_text(errors="replace").splitlines() if path.is_file() else []:
                self._line(line.split())
        if not self.sources and self.conf == "/etc/opkg.conf":
            known = release(self.guest)
            where = (known.get("RELEASE", ""), known.get("TARGET", ""), _arch(self.guest))
            for line in feeds.distfeeds(*where).splitlines():
                self._line(line.split())
        return True

    def _line(self, words: list[str]) -> None:
        if words[:1] == ["src/gz"] and len(words) == 3:
            if words[1] in dict(self.sources):
                self.errors += (
                    f" * opkg_conf_parse_file: Duplicate src declaration ({words[1]} {words[2]}). Skipping.\n"
                )
            else:
                self.sources.append((words[1], words[2]))
        elif words[:1] == ["lists_dir"] and len(words) == 3:
            self.lists = words[2]
        elif words[:2] == ["option", CHECK]:
            self.checked = True

    def answer(self, rc: int) -> Completed:
        """Everything that was said."""
        collected = f"Collected errors:\n{self.errors}" if self.errors else ""
        return done(self.out, rc, f"{self.early}{collected}")

    def download(self, url: str) -> bytes | None:
        """What lies at a URL: a file of the guest's, or what the network has while there is a way to it."""
        self.out += f"Downloading {url}\n"
        if url.startswith("file:"):
            path = self.guest.files.resolve(urllib.parse.unquote(url.removeprefix("file:")))
            if path.is_file():
                return path.read_bytes()
            self.errors += f" * copy_file: {url.removeprefix('file:')}: No such file or directory.\n"
            return None
        if Network(self.guest).online():
            return self._from_network(url)
        self.early += "Failed to send request: Operation not permitted\n"
        self.errors += (
            f" * opkg_download: Failed to download {url}, wget returned 4.\n"
            " * opkg_download: Check your network settings and connectivity.\n\n"
        )
        return None

    def _from_network(self, url: str) -> bytes | None:
        place, _slash, name = url.rpartition("/")
        arch = _arch(self.guest)
        if name == "Packages.gz":
            return gzip.compress(feeds.index(feeds.feed_at(place), arch).encode(), mtime=0)
        found = [one for one in PACKAGES if feeds.ipk_name(one, arch) == urllib.parse.unquote(name)]
        return feeds.ipk(found[0], arch) if found else b""

    def verified(self, name: str) -> bool:
        """Whether a list is as it was signed; what came over the network is taken for signed."""
        if dict(self.sources)[name].startswith(("http:", "https:")):
            return True
        files, keys = self.guest.files, self.guest.files.resolve("/etc/opkg/keys")
        known = [path.read_text(errors="replace") for path in keys.iterdir()] if keys.is_dir() else []
        signature = files.resolve(f"{self.lists}/{name}.sig").read_bytes()
        return feeds.verified(_plain(files.resolve(f"{self.lists}/{name}").read_bytes()), signature, known)

    def offers(self) -> list[Offer]:
        """What the lists have."""
        found = []
        for name, place in self.sources:
            path = self.guest.files.resolve(f"{self.lists}/{name}")
            text = _plain(path.read_bytes()).decode("utf-8", "replace") if path.is_file() else ""
            for one, record in _records(text).items():
                facts = {key: _field(record, key) for key in ("Filename", "Size", "SHA256sum", "Depends", "Provides")}
                offer = Offer(
                    one,
                    _version(record),
                    f"{name} {place}",
                    facts["Filename"],
                    _split(facts["Depends"]),
                    _split(facts["Provides"]),
                    int(facts["Size"] or 0),
                    facts["SHA256sum"],
                    record,
                )
                found.append(offer)
        return found


def _plain(data: bytes) -> bytes:
    """A list without its gzip; one that cannot be unpacked is what it is."""
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return data


def opkg(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    """The ``opkg`` command."""
    del stdin
    run, words, todo = _Opkg(guest), list[str](), list(argv[1:])
    while todo:
        word = todo.pop(0)
        if word in ("-f", "--conf", "--conf-file", "-l", "--lists-dir") and todo:
            value = todo.pop(0)
            run.conf, run.lists = (value, run.lists) if word in ("-f", "--conf", "--conf-file") else (run.conf, value)
        elif word in ("--noaction", "--test"):
            run.noaction = True
        elif not word.startswith("-"):
            words.append(word)
    action = _OPKG.get(words[0]) if words else None
    if action is None:
        return done(rc=1, err="opkg must have one sub-command argument\n")
    return action(run, words[1:]) if run.configure() else run.answer(255)


def _opkg_update(run: _Opkg, _names: list[str]) -> Completed:
    failures = 0
    for name, place in run.sources:
        url, target = f"{place}/Packages.gz", run.guest.files.resolve(f"{run.lists}/{name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        content = run.download(url)
        if content is None:
            failures += 1
            run.out += f"*** Failed to download the package list from {url}\n\n"
            continue
        target.write_bytes(content)
        run.out += f"Updated list of available packages in {run.lists}/{name}\n"
        if run.checked and place.startswith("file:"):
            failures += _opkg_check(run, name, place)
    return run.answer(failures)


def _opkg_check(run: _Opkg, name: str, place: str) -> int:
    """Hold a fresh list against its signature; how many downloads failed. A wrong signature is no failure to opkg."""
    beside = run.guest.files.resolve(f"{run.lists}/{name}.sig")
    signature = run.download(f"{place}/Packages.sig")
    if signature is None:
        run.out += "Signature file download failed.\n"
    else:
        beside.write_bytes(signature)
        if run.verified(name):
            run.out += "Signature check passed.\n"
            return 0
        run.out += "Signature check failed.\n"
    run.out += "Remove wrong Signature file.\n"
    for path in (beside, run.guest.files.resolve(f"{run.lists}/{name}")):
        path.unlink(missing_ok=True)
    return int(signature is None)


def _opkg_install(run: _Opkg, names: list[str]) -> Completed:
    installed = _records(run.guest.files.read(OPKG_STATUS))
    offers, rc, fresh = run.offers(), 0, list[str]()
    for name in names:
        if name in installed:
            run.out += f"Package {name} ({_version(installed[name])}) installed in root is up to date.\n"
        elif not any(offer.fits(name) for offer in offers):
            run.out += f"Unknown package '{name}'.\n"
            run.errors += f" * opkg_install_cmd: Cannot install package {name}.\n"
            rc = 255
        elif not _opkg_one(run, name, offers, installed, fresh):
            run.errors += f" * opkg_install_cmd: Cannot install package {name}.\n"
            rc = 255
    run.out += "".join(f"Configuring {name}.\n" for name in fresh)
    return run.answer(rc)


def _opkg_one(run: _Opkg, name: str, offers: list[Offer], installed: dict[str, str], fresh: list[str]) -> bool:
    """Fetch a package, then see to what it needs, then install it, as opkg does; whether all went well."""
    offer = next(offer for offer in sorted(offers, key=lambda one: one.name != name) if offer.fits(name))
    source, place = offer.place.split(" ", 1)
    run.out += f"Installing {offer.name} ({offer.version}) to root...\n"
    body = run.download(f"{place}/{urllib.parse.quote(offer.file)}")
    if body is None:
        run.errors += f" * opkg_install_pkg: Failed to download {offer.name}. Perhaps you need to run 'opkg update'?\n"
        return False
    if run.checked and not run.verified(source):
        run.errors += f" * opkg_install_pkg: Failed to verify the signature of {run.lists}/{source}.\n"
        return False
    if len(body) != offer.size or hashlib.sha256(body).hexdigest() != offer.digest:
        run.errors += (
            f" * opkg_install_pkg: Checksum or size mismatch for package {offer.name}. "
            "Either the opkg or the package index are corrupt. Try 'opkg update'.\n"
        )
        return False
    provided = {one for record in installed.values() for one in _split(_field(record, "Provides"))}
    missing = [need for need in offer.needs if need not in installed and need not in provided]
    unmet = [need for need in missing if not any(other.fits(need) for other in offers)]
    if unmet:
        rows = "".join(f" * \t{need}\n" for need in unmet)
        words = f" * satisfy_dependencies_for: Cannot satisfy the following dependencies for {offer.name}:\n"
        run.errors += words + rows
        return False
    if not all(_opkg_one(run, need, offers, installed, fresh) for need in missing if need not in installed):
        return False
    if not run.noaction:
        arch = _arch(run.guest)
        provides = f"Provides: {', '.join(offer.provides)}\n" if offer.provides else ""
        record = f"Package: {offer.name}\nVersion: {offer.version}\n{provides}"
        record += f"Status: install user installed\nArchitecture: {arch}\n\n"
        run.guest.files.write(OPKG_STATUS, run.guest.files.read(OPKG_STATUS) + record)
        _unpack(run.guest, offer.name, feeds.contents(body))
        installed[offer.name] = record
        fresh.append(offer.name)
    return True


def _opkg_remove(run: _Opkg, names: list[str]) -> Completed:
    installed = _records(run.guest.files.read(OPKG_STATUS))
    text = ""
    for name in names:
        if installed.pop(name, None) is None:
            text += "No packages removed.\n"
        else:
            text += f"Removing package {name} from root...\n"
    run.guest.files.write(OPKG_STATUS, "".join(f"{record}\n\n" for record in installed.values()))
    return done(text)


def _opkg_status(run: _Opkg, names: list[str]) -> Completed:
    installed = _records(run.guest.files.read(OPKG_STATUS))
    return done("".join(f"{record}\n\n" for name, record in installed.items() if not names or name in names))


def _opkg_list_installed(run: _Opkg, names: list[str]) -> Completed:
    installed = _records(run.guest.files.read(OPKG_STATUS))
    chosen = sorted(name for name in installed if not names or name in names)
    return done("".join(f"{name} - {_version(installed[name])}\n" for name in chosen))


def _opkg_list(run: _Opkg, names: list[str]) -> Completed:
    offers = {offer.name: offer.version for offer in reversed(run.offers())}
    return done("".join(f"{name} - {v}\n" for name, v in sorted(offers.items()) if not names or name in names))


def _opkg_print_architecture(run: _Opkg, _names: list[str]) -> Completed:
    return done(f"arch all 1\narch noarch 1\narch {_arch(run.guest)} 10\n")


_OPKG: dict[str, t.Callable[[_Opkg, list[str]], Completed]] = {
    "update": _opkg_update,
    "install": _opkg_install,
    "remove": _opkg_remove,
    "status": _opkg_status,
    "info": _opkg_status,
    "list": _opkg_list,
    "list-installed": _opkg_list_installed,
    "list_installed": _opkg_list_installed,
    "list-upgradable": lambda _run, _names: done(),
    "print-architecture": _opkg_print_architecture,
}


# -- apk ---------------------------------------------------------------------------------------------------------------
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
            return [offer for feed in (CORE, *FEEDS) for offer in _known(feed, "", _arch(self.guest))]
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
        """A package's bytes, or None with a word on why there are none that can be used."""
        arch = _arch(self.guest)
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
    base = f"{SITE}/{feeds.root(known.get('RELEASE', ''))}/packages/{_arch(run.guest)}"
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
    installed = _records(run.guest.files.read(APK_INSTALLED))
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
            record = f"P:{offer.name}\nV:{offer.version}\nA:{_arch(run.guest)}\n\n"
            run.guest.files.write(APK_INSTALLED, run.guest.files.read(APK_INSTALLED) + record)
            _unpack(run.guest, offer.name, feeds.contents(body))
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
    installed = _records(run.guest.files.read(APK_INSTALLED))
    gone = [name for name in names if installed.pop(name, None)]
    text = "".join(f"({number}/{len(gone)}) Purging {name}\n" for number, name in enumerate(gone, 1))
    run.guest.files.write(APK_INSTALLED, "".join(f"{record}\n\n" for record in installed.values()))
    world = [name for name in run.guest.files.read(APK_WORLD).split() if name not in names]
    run.guest.files.write(APK_WORLD, "".join(f"{name}\n" for name in world))
    return done(f"{text}OK: 12 MiB in {len(installed)} packages\n")


def _apk_info(run: _Apk, names: list[str]) -> Completed:
    installed = _records(run.guest.files.read(APK_INSTALLED))
    if run.flags & {"-e", "--installed"}:
        found = [name for name in names if name in installed]
        return done("".join(f"{name}\n" for name in found), int(len(found) != len(names)))
    return done("".join(f"{name}\n" for name in sorted(installed) if not names or name in names))


def _apk_list(run: _Apk, names: list[str]) -> Completed:
    installed = _records(run.guest.files.read(APK_INSTALLED))
    arch, rows = _arch(run.guest), []
    for name in sorted({*installed, *([] if run.flags & {"-I", "--installed"} else PACKAGES)}):
        if not names or name in names:
            version = _version(installed[name]) if name in installed else PACKAGES[name].version
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
