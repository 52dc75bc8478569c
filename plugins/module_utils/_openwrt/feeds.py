# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: package feeds, as opkg (up to 24.10) and apk (from 25.12) know them.

What is read here decides only what is worth fetching for a router. What is installed, and whether it may be, the
router's own package manager decides, by its own keys.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

OFFICIAL: t.Final = "https://downloads.openwrt.org"
_SOURCE = re.compile(r'\s*(src(?:/gz)?)\s+"?([^"\s]+)"?\s+"?([^"\s]+)"?\s*')
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
# What a private configuration says for itself.
_OURS = re.compile(r"\s*(#|src\b|src/gz\b|lists_dir\b|option\s+check_signature\b|$)")
_CHECKED: t.Final = "option check_signature"
_RELATION = re.compile(r"([^\s()]+)\s*(?:\(([^)]*)\))?")
_FILE = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._+~:@-]*/)*[A-Za-z0-9_][A-Za-z0-9._+~:@-]*\.ipk")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"[0-9]{1,12}")
_CHANGE = re.compile(
    r"\(\s*\d+/\d+\) (?:Installing|Upgrading|Downgrading|Replacing|Reinstalling) "
    r"([^\s()@]+)(?:@\S+)? \((?:\S+ -> )?(\S+)\)"
)
_APK_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+~:-]*")
_UNKNOWN = re.compile(r"^Unknown package '(.+)'\.$|^  (\S+) \(no such package\):$", re.MULTILINE)


@dataclass(frozen=True)
class Feed:
    """One feed of a router: what it is called, the directory that holds its packages, and the file that lists them."""

    name: str
    url: str
    index: str


@dataclass(frozen=True)
class Relation:
    """What a package needs: one of some names. ``bound``: not every version will do."""

    names: tuple[str, ...]
    bound: bool = False


@dataclass(frozen=True)
class Entry:
    """One package of an opkg index. ``size`` in bytes."""

    name: str
    version: str
    filename: str
    size: int
    sha256: str
    needs: tuple[Relation, ...] = ()
    provides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Present:
    """What a router has installed: each package's version, and the names that packages stand in for."""

    versions: t.Mapping[str, str] = field(default_factory=dict)
    provided: frozenset[str] = frozenset()

    def __contains__(self, name: object) -> bool:
        return name in self.versions or name in self.provided


# -- feed lists --------------------------------------------------------------------------------------------------------
def opkg_feeds(conf: str) -> list[Feed]:
    """The feeds of opkg's configuration files; of two with one name the first counts, as for opkg."""
    found: dict[str, Feed] = {}
    for line in conf.splitlines():
        match = _SOURCE.fullmatch(line)
        if match and _NAME.fullmatch(match[2]):
            index = "Packages.gz" if match[1] == "src/gz" else "Packages"
            found.setdefault(match[2], Feed(match[2], match[3].rstrip("/"), index))
    return list(found.values())


def opkg_conf(conf: str, feeds: t.Iterable[tuple[Feed, str]], lists: str) -> str:
    """opkg's own configuration with these feeds at these directories, its lists elsewhere, and signatures checked."""
    kept = [line for line in conf.splitlines() if not _OURS.match(line)]
    sources = [f"{'src/gz' if feed.index.endswith('.gz') else 'src'} {feed.name} file://{at}" for feed, at in feeds]
    return "\n".join([*dict.fromkeys(kept), _CHECKED, f"lists_dir ext {lists}", *sources]) + "\n"


def apk_feeds(text: str) -> list[Feed]:
    """The feeds of apk's repository files, those that name their index by its URL, as OpenWrt's do."""
    found: dict[str, Feed] = {}
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["ndx"]:
            words = words[1:]
        if len(words) == 1 and not words[0].startswith("#") and words[0].endswith(".adb"):
            url, _slash, index = words[0].rpartition("/")
            if "://" in url:
                place = url.partition("://")[2].rpartition("@")[2]  # without a login
                name = "/".join(place.split("/")[-2:])
                found.setdefault(words[0], Feed(name, url, index))
    return list(found.values())


def askable(url: str) -> bool:
    """Whether a machine that is not the router may ask for what lies below this URL: plain HTTP, with no query."""
    return url.startswith(("http://", "https://")) and not re.search(r"[?#\s\\]", url)


def mirrored(url: str, mirrors: t.Sequence[str]) -> list[str]:
    """Where to ask for what a URL names: the mirrors stand in for OpenWrt's own server, and for no other."""
    scheme, _slashes, place = url.partition("://")
    official = OFFICIAL.partition("://")[2]
    if not mirrors or scheme not in ("http", "https") or (place != official and not place.startswith(f"{official}/")):
        return [url]
    return [f"{mirror.rstrip('/')}{place.removeprefix(official)}" for mirror in mirrors]


# -- opkg's index ------------------------------------------------------------------------------------------------------
def _paragraphs(text: str) -> t.Iterator[dict[str, str]]:
    """The fields of each paragraph; a line that begins with a space goes on with the one before, and is left out."""
    for block in re.split(r"\n[ \t]*(?:\n[ \t]*)+", text.strip("\n")):
        fields: dict[str, str] = {}
        for line in block.splitlines():
            name, colon, value = line.partition(":")
            if colon and not line.startswith((" ", "\t")):
                fields.setdefault(name, value.strip())
        if fields.get("Package"):
            yield fields


def _relations(text: str) -> tuple[Relation, ...]:
    """What a field like ``Depends`` holds: ``a, b (>= 1), c | d``."""
    found = []
    for part in text.split(","):
        choices = [match for choice in part.split("|") if (match := _RELATION.match(choice.strip()))]
        if choices:
            bound = any(match[2] and match[2].strip() for match in choices)
            found.append(Relation(tuple(match[1] for match in choices), bound))
    return tuple(found)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for relation in _relations(text) for name in relation.names)


def parse_index(text: str) -> list[Entry]:
    """The packages of an opkg index that can be asked for by name, and checked when they have come."""
    entries = []
    for fields in _paragraphs(text):
        filename, digest, size = (fields.get(key, "") for key in ("Filename", "SHA256sum", "Size"))
        if _FILE.fullmatch(filename) and _SHA256.fullmatch(digest) and _NUMBER.fullmatch(size):
            needs = ", ".join(fields.get(key, "") for key in ("Pre-Depends", "Depends", "Recommends"))
            entry = Entry(
                name=fields["Package"],
                version=fields.get("Version", ""),
                filename=filename,
                size=int(size),
                sha256=digest,
                needs=_relations(needs),
                provides=_names(fields.get("Provides", "")),
            )
            entries.append(entry)
    return entries


def parse_status(text: str) -> Present:
    """What opkg's status file says is installed."""
    versions, provided = {}, set[str]()
    for fields in _paragraphs(text):
        if fields.get("Status", "").split()[-1:] == ["installed"]:
            versions[fields["Package"]] = fields.get("Version", "")
            provided.update(_names(fields.get("Provides", "")))
    return Present(versions, frozenset(provided))


T = t.TypeVar("T")


def closure(
    wanted: t.Iterable[str], offered: t.Iterable[tuple[T, Entry]], present: Present
) -> tuple[list[tuple[T, Entry]], list[str]]:
    """All that opkg may want when it is asked to install something, and which of the wanted names nothing has.

    opkg chooses for itself and is strict about versions, so this is generous: all packages that offer a name, and
    those of another version than the one that is there when a version is asked for.
    """
    by_name: dict[str, list[tuple[T, Entry]]] = {}
    for place, entry in offered:
        for name in dict.fromkeys((entry.name, *entry.provides)):
            by_name.setdefault(name, []).append((place, entry))
    chosen: dict[tuple[T, str, str], tuple[T, Entry]] = {}
    todo = list(dict.fromkeys(wanted))
    unknown = [name for name in todo if name not in by_name and name not in present]
    seen = set(todo)
    while todo:
        for place, entry in by_name.get(todo.pop(), ()):
            key = (place, entry.name, entry.filename)
            if key in chosen or present.versions.get(entry.name) == entry.version:
                continue
            chosen[key] = (place, entry)
            for relation in entry.needs:
                if not relation.bound and any(name in present for name in relation.names):
                    continue
                fresh = [name for name in relation.names if name not in seen]
                seen.update(fresh)
                todo += fresh
    return list(chosen.values()), unknown


# -- what they say -----------------------------------------------------------------------------------------------------
def simulated(said: str) -> list[tuple[str, str]]:
    """The packages, name and version, that ``apk add --simulate`` says it would fetch."""
    return [
        (name, version)
        for name, version in _CHANGE.findall(said)
        if _APK_WORD.fullmatch(name) and _APK_WORD.fullmatch(version)
    ]


def unknown_packages(said: str) -> list[str]:
    """The packages that opkg or apk says it has never heard of."""
    return list(dict.fromkeys(first or second for first, second in _UNKNOWN.findall(said)))
