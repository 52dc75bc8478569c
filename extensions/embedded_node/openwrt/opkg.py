# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``opkg``, the package manager of OpenWrt up to 24.10."""

from __future__ import annotations

import gzip
import hashlib
import typing as t
import urllib.parse
import zlib
from dataclasses import dataclass, field

from ..guest.runtime import Completed, Guest, done
from ..mirror import feeds
from ..mirror.feeds import PACKAGES
from .boot import release
from .network import Network
from .packages import Offer, arch_of, records_of, split_list, unpack, value_of, version_of

OPKG_STATUS, OPKG_LISTS = "/usr/lib/opkg/status", "/var/opkg-lists"
CHECK = "check_signature"


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
            where = (known.get("RELEASE", ""), known.get("TARGET", ""), arch_of(self.guest))
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
        arch = arch_of(self.guest)
        if name == "Packages.gz":
            return gzip.compress(feeds.index(feeds.feed_at(place), arch).encode(), mtime=0)
        found = [one for one in PACKAGES if feeds.ipk_name(one, arch) == urllib.parse.unquote(name)]
        return feeds.ipk(found[0], arch) if found else b""

    def verified(self, name: str) -> bool:
        """Whether a list is as it was signed; what came over the network counts as signed."""
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
            for one, record in records_of(text).items():
                facts = {key: value_of(record, key) for key in ("Filename", "Size", "SHA256sum", "Depends", "Provides")}
                offer = Offer(
                    one,
                    version_of(record),
                    f"{name} {place}",
                    facts["Filename"],
                    split_list(facts["Depends"]),
                    split_list(facts["Provides"]),
                    int(facts["Size"] or 0),
                    facts["SHA256sum"],
                    record,
                )
                found.append(offer)
        return found


def _plain(data: bytes) -> bytes:
    """A list without its gzip; one that cannot be unpacked stays as it is."""
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
    """Check a fresh list against its signature; how many downloads failed. A wrong signature is no failure to opkg."""
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
    installed = records_of(run.guest.files.read(OPKG_STATUS))
    offers, rc, fresh = run.offers(), 0, list[str]()
    for name in names:
        if name in installed:
            run.out += f"Package {name} ({version_of(installed[name])}) installed in root is up to date.\n"
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
    provided = {one for record in installed.values() for one in split_list(value_of(record, "Provides"))}
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
        arch = arch_of(run.guest)
        provides = f"Provides: {', '.join(offer.provides)}\n" if offer.provides else ""
        record = f"Package: {offer.name}\nVersion: {offer.version}\n{provides}"
        record += f"Status: install user installed\nArchitecture: {arch}\n\n"
        run.guest.files.write(OPKG_STATUS, run.guest.files.read(OPKG_STATUS) + record)
        unpack(run.guest, offer.name, feeds.contents(body))
        installed[offer.name] = record
        fresh.append(offer.name)
    return True


def _opkg_remove(run: _Opkg, names: list[str]) -> Completed:
    installed = records_of(run.guest.files.read(OPKG_STATUS))
    text = ""
    for name in names:
        if installed.pop(name, None) is None:
            text += "No packages removed.\n"
        else:
            text += f"Removing package {name} from root...\n"
    run.guest.files.write(OPKG_STATUS, "".join(f"{record}\n\n" for record in installed.values()))
    return done(text)


def _opkg_status(run: _Opkg, names: list[str]) -> Completed:
    installed = records_of(run.guest.files.read(OPKG_STATUS))
    return done("".join(f"{record}\n\n" for name, record in installed.items() if not names or name in names))


def _opkg_list_installed(run: _Opkg, names: list[str]) -> Completed:
    installed = records_of(run.guest.files.read(OPKG_STATUS))
    chosen = sorted(name for name in installed if not names or name in names)
    return done("".join(f"{name} - {version_of(installed[name])}\n" for name in chosen))


def _opkg_list(run: _Opkg, names: list[str]) -> Completed:
    offers = {offer.name: offer.version for offer in reversed(run.offers())}
    return done("".join(f"{name} - {v}\n" for name, v in sorted(offers.items()) if not names or name in names))


def _opkg_print_architecture(run: _Opkg, _names: list[str]) -> Completed:
    return done(f"arch all 1\narch noarch 1\narch {arch_of(run.guest)} 10\n")


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
