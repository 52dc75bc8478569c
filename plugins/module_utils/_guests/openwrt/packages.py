# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: install packages in a running OpenWrt, also in one that reaches no package server.

The router is asked first. When the network is in its way and there is a way to hand files in, the node fetches the
router's feeds and the packages, and the router's own opkg or apk installs from them: its keys judge the indexes as
ever, and the indexes the packages. opkg can tell what it would install only from packages that are there, so for it the
node reads the indexes and brings all that may be needed; apk tells from the indexes alone, and is asked.

Which servers the node then asks, the router says. So it asks none on the node itself or in a private network, but for
those that the user listed as mirrors.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import shlex
import tarfile
import tempfile
import typing as t
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError, ProvisionError, Timeout
from ansible_collections.pve.provision.plugins.module_utils._images import download
from ansible_collections.pve.provision.plugins.module_utils._images.http import (
    Access,
    Deadline,
    Retries,
    Timeouts,
    shown,
)
from ansible_collections.pve.provision.plugins.module_utils._images.outside import Outside
from ansible_collections.pve.provision.plugins.module_utils._images.texts import fetch_text
from ansible_collections.pve.provision.plugins.module_utils._images.transfer import Request
from ansible_collections.pve.provision.plugins.module_utils._io.clock import SYSTEM, Clock
from ansible_collections.pve.provision.plugins.module_utils._io.compression import gunzipped
from ansible_collections.pve.provision.plugins.module_utils._openwrt import feeds
from ansible_collections.pve.provision.plugins.module_utils._openwrt.feeds import Entry, Feed

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed

#: Where a router keeps what it is handed, for as long as that takes.
PLACE: t.Final = "/tmp/pve-provision-packages"
NOTE: t.Final = "packages were fetched by the node, because the router could not reach its package server"
_ARCHIVE: t.Final = f"{PLACE}/in.tar"
_MARK: t.Final = "@@pve-provision "
_ATTEMPTS: t.Final = 3
_AT_ONCE: t.Final = 6
_ADB: t.Final = b"ADB"  # what apk's files begin with
# Seconds: for a script in the router, and for all that the node fetches.
_PATIENCE: t.Final = 600
_TIMEOUTS: t.Final = Timeouts(connect=10.0, read=30.0, total=300.0)
_RETRIES: t.Final = Retries(attempts=2)
# Feeds of one router; OpenWrt's own are seven.
_FEEDS: t.Final = 64
# Bytes of one index, packed and not, of a signature, and of all packages together: it has to fit into a router, too.
_INDEX: t.Final = 32 << 20
_SIGNATURE: t.Final = 64 << 10
_TEXT: t.Final = 128 << 20
_LARGEST: t.Final = 128 << 20

_DISTRUST = re.compile(
    r"Signature check failed|Signature file is missing|the signature of|(?:UNTRUSTED|BAD) signature|^WARNING: opening "
)
_WORDS: t.Final = 300  # characters of a router's words that are quoted
# The router's own way, once it has a way out. What fails is told apart by whether the lists could be had.
_ASK = """\
rm -rf {place}
waited=0
while [ "$waited" -lt {uplink} ] && ! ip route | grep -q '^default'; do
sleep 1
waited=$((waited + 1))
done
behind=0
if [ -d /etc/apk ]; then
apk update || behind=1
apk add {names} && exit 0
else
opkg update || behind=1
opkg install {names} && exit 0
fi
echo
echo '{mark}behind'
echo "$behind"
{more}exit 1
"""
# What has to be known to help, and a place of its own for what comes.
_TELL = f"""\
[ "$behind" = 1 ] || exit 1
umask 077
mkdir {PLACE} || exit 1
show() {{
for file in "$@"; do cat "$file" 2> /dev/null; echo; done
}}
if [ -d /etc/apk ]; then
echo '{_MARK}apk'
show /etc/apk/repositories /etc/apk/repositories.d/*.list /lib/apk/repositories.d/*.list
else
echo '{_MARK}opkg'
show /etc/opkg.conf /etc/opkg/*.conf
echo '{_MARK}status'
show /usr/lib/opkg/status
fi
"""
_NOT_ARRIVED: t.Final = 77
# Runs something with what was handed in, whatever comes of it, and leaves nothing behind unless more is to come.
_WORK = """\
work() {{
cd {place} || return {not_arrived}
[ "$(sha256sum < {archive})" = '{digest}  -' ] || return {not_arrived}
tar -xf {archive} || return {not_arrived}
rm -f {archive}
{script}}}
work
rc=$?
cd /
{keep}rm -rf {place}
exit "$rc"
"""
_KEEP: t.Final = '[ "$rc" = 0 ] || '
# A rehearsal first, since opkg that fails half-way leaves the half installed.
_OPKG = f"""\
export OPKG_CONF_DIR={PLACE}/none
opkg -f {PLACE}/opkg.conf update || return 1
opkg -f {PLACE}/opkg.conf --noaction install {{names}} || return 1
opkg -f {PLACE}/opkg.conf install {{names}}
"""
_SIMULATE = f"apk add --repositories-file {PLACE}/repositories --simulate {{names}}\n"
# apk notes what it was asked for even when it could not install it.
_APK = f"""\
cp -p /etc/apk/world {PLACE}/world
apk add --repositories-file {PLACE}/repositories {{names}} && return 0
cp -p {PLACE}/world /etc/apk/world
return 1
"""

PushFiles = t.Callable[[str, str], None]
"""Copies a file of this machine to a path in the router; raises ProvisionError when that fails."""


class RunScript(t.Protocol):
    """Runs a script in the router."""

    def __call__(self, script: str, *, timeout: int) -> Completed: ...


@dataclass(frozen=True)
class Installation:
    """How it went. ``trouble``: why not, empty when it went well; ``note``: what is to be known all the same."""

    trouble: str = ""
    note: str = ""


class _Refused(ProvisionError):
    """What the router was told by itself, or by what it was handed, will not be otherwise when it is asked again."""

    kind = "openwrt"


@dataclass(frozen=True)
class _Answer:
    """What the router said to an attempt, in its words and by its marks. ``behind``: it could not get its lists."""

    said: str
    errors: str
    behind: bool
    parts: t.Mapping[str, str]

    @classmethod
    def of(cls, done: Completed) -> _Answer:
        said, *rest = done.stdout.split(_MARK)
        parts = {name: text for name, _newline, text in (each.partition("\n") for each in rest)}
        return cls(said.strip(), done.stderr.strip(), parts.get("behind", "1").strip() != "0", parts)

    @property
    def last(self) -> str:
        """The end of its words, of the errors if there are any, each once."""
        lines = [line.strip(" *") for line in (self.errors or self.said).splitlines()]
        last = ""
        for line in reversed([line for line in dict.fromkeys(lines) if line and line != "Collected errors:"]):
            if last and len(last) + len(line) > _WORDS:
                break
            last = f"{line}; {last}" if last else line[-_WORDS:]
        return last or "no reason given"

    @property
    def words(self) -> str:
        return f"{self.said}\n{self.errors}"

    @property
    def unknown(self) -> list[str]:
        """The packages that it has never heard of."""
        return feeds.unknown_packages(self.words)

    @property
    def distrust(self) -> str:
        """Words about signatures; opkg goes on without a list that it does not trust, as if nothing were amiss."""
        found = [line.strip() for line in self.words.splitlines() if _DISTRUST.search(line)]
        return "; ".join(dict.fromkeys(found))

    @property
    def hopeless(self) -> str:
        """Why the same would fail again; empty when it may not."""
        if self.behind or not (self.unknown or "unable to select packages" in self.words):
            return ""
        reason = _nowhere(self.unknown) if self.unknown else self.last
        return f"{reason} ({self.distrust})" if self.distrust else reason


@dataclass(frozen=True)
class Packages:
    """What installs packages in one router. ``push_files`` is None where no file can be pushed; ``uplink`` (s) is how
    long a router that has just started may take to get a way out."""

    run_script: RunScript
    clock: Clock
    push_files: PushFiles | None = None
    mirrors: tuple[str, ...] = ()
    uplink: int = 0

    def install(self, names: t.Sequence[str]) -> Installation:
        """Install, with some patience for the network, and with the node's help where the router cannot reach out."""
        reasons: list[str] = []
        for attempt in range(_ATTEMPTS):
            if attempt:
                self.clock.sleep(2.0**attempt)
            more = "" if attempt or self.push_files is None else _TELL
            uplink = 0 if attempt else self.uplink
            script = _ASK.format(place=PLACE, mark=_MARK, names=_words(names), more=more, uplink=uplink)
            done = self.run_script(script, timeout=_PATIENCE)
            if done.rc == 0:
                return Installation()
            answer = _Answer.of(done)
            if answer.hopeless:
                return Installation(trouble=answer.hopeless)
            reasons = [answer.last, *reasons[1:]]
            if more and {"apk", "opkg"} & answer.parts.keys():
                try:
                    return Installation(note=self._help(names, answer.parts))
                except _Refused as error:
                    return Installation(trouble=error.message)
                except ProvisionError as error:
                    reasons.append(f"and the node could not help: {str(error).rstrip('.')}")
        return Installation(trouble="; ".join(reasons))

    # -- the node's help -----------------------------------------------------------------------------------------------
    def _help(self, names: t.Sequence[str], told: t.Mapping[str, str]) -> str:
        """Fetch what is needed, hand it in, and let the router install from that; a word on how it went."""
        with tempfile.TemporaryDirectory(prefix="pve-provision-") as folder:
            bundle = _PackageBundle(Path(folder), self.mirrors)
            if "apk" in told:
                self._help_apk(names, told["apk"], bundle)
            else:
                self._help_opkg(names, told, bundle)
        without = f" (without the feeds {', '.join(bundle.left_out)})" if bundle.left_out else ""
        return f"{NOTE}{without}"

    def _help_opkg(self, names: t.Sequence[str], told: t.Mapping[str, str], bundle: _PackageBundle) -> None:
        feeds_fetched = bundle.indexes(feeds.opkg_feeds(told["opkg"]), signature="Packages.sig")
        offered = [(source, entry) for source in feeds_fetched for entry in feeds.parse_index(bundle.text(source))]
        needed, unknown = feeds.closure(names, offered, feeds.parse_status(told.get("status", "")))
        if unknown:
            self.run_script(f"rm -rf {PLACE}\n", timeout=_PATIENCE)
            raise _Refused(_nowhere(unknown, bundle.reasons))
        bundle.packages(needed)
        places = [(source.feed, f"{PLACE}/{source.place}") for source in feeds_fetched]
        bundle.put("opkg.conf", feeds.opkg_conf(told["opkg"], places, f"{PLACE}/lists"))
        self._work(bundle, _OPKG, names)

    def _help_apk(self, names: t.Sequence[str], repositories: str, bundle: _PackageBundle) -> None:
        feeds_fetched = bundle.indexes(feeds.apk_feeds(repositories))
        places = [f"{PLACE}/{source.place}/{source.feed.index}\n" for source in feeds_fetched]
        bundle.put("repositories", "".join(places))
        said = self._work(bundle, _SIMULATE, names, keep=_KEEP)
        bundle.files(feeds_fetched, [f"{name}-{version}.apk" for name, version in feeds.simulated(said)])
        self._work(bundle, _APK, names)

    def _work(self, bundle: _PackageBundle, script: str, names: t.Sequence[str], *, keep: str = "") -> str:
        """Hand in what has come since the last time, and run a script with it; what it says."""
        archive, digest = bundle.pack()
        t.cast("PushFiles", self.push_files)(str(archive), _ARCHIVE)
        filled = _WORK.format(
            place=PLACE,
            archive=_ARCHIVE,
            digest=digest,
            script=script.format(names=_words(names)),
            keep=keep,
            not_arrived=_NOT_ARRIVED,
        )
        done = self.run_script(filled, timeout=_PATIENCE)
        if done.rc == _NOT_ARRIVED:
            raise ProvisionError(f"what the router was handed did not arrive whole. {done.stderr.strip()}".strip())
        if done.rc != 0:
            answer = _Answer.of(done)
            if answer.unknown and not answer.distrust:
                raise _Refused(_nowhere(answer.unknown, bundle.reasons))
            reason = answer.last if answer.distrust in answer.last else f"{answer.distrust}; {answer.last}"
            raise _Refused(f"the router refused what the node had fetched for it: {reason}")
        return done.stdout


def _nowhere(names: t.Iterable[str], without: str = "") -> str:
    """The words about packages that no feed has; ``without``: which feeds could not be looked at, and why."""
    return f"no feed of the router has {', '.join(names)}" + (f" (without {without})" if without else "")


def _words(names: t.Iterable[str]) -> str:
    return " ".join(map(shlex.quote, names))


# -- what the node fetches ---------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _FetchedFeed:
    """A feed whose index has come: where from, and where it lies in what the router is handed."""

    feed: Feed
    place: str
    base: str


@dataclass
class _PackageBundle:
    """What is gathered for a router below ``folder``, and handed in bit by bit."""

    folder: Path
    mirrors: tuple[str, ...]
    left_out: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._deadline = Deadline.start("what the router needs", _TIMEOUTS, SYSTEM)
        self._access = Access(outside=Outside.but(self.mirrors))
        self._root = self.folder / "in"
        self._root.mkdir()
        self._packed: set[str] = set()

    @property
    def reasons(self) -> str:
        """Which feeds could not be had, and why the first of them could not."""
        reason = next(iter(self.left_out.values()), "")
        return f"{', '.join(self.left_out)}: {reason.rstrip('.')}" if reason else ""

    @property
    def _timeouts(self) -> Timeouts:
        return dataclasses.replace(_TIMEOUTS, total=max(self._deadline.left(), 0.1))

    def put(self, name: str, content: str | bytes) -> None:
        """Have a file of the node's own making among it."""
        target = self._root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)

    def text(self, source: _FetchedFeed) -> str:
        """The text of an index."""
        content = (self._root / source.place / source.feed.index).read_bytes()
        return _text(content)

    def indexes(self, found: t.Sequence[Feed], signature: str = "") -> list[_FetchedFeed]:
        """Fetch the indexes, each with its signature beside it; a feed that cannot be had is left out."""

        def get(numbered: tuple[int, Feed]) -> _FetchedFeed | str:
            number, feed = numbered
            try:
                return self._index(feed, f"feeds/{number}", signature)
            except (ImageError, Timeout) as error:
                return error.message

        if len(found) > _FEEDS:
            raise ImageError(f"the router names {len(found)} feeds, more than {_FEEDS} are not looked at")
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            outcomes = list(pool.map(get, enumerate(found)))
        self.left_out = {f.name: got for f, got in zip(found, outcomes, strict=True) if isinstance(got, str)}
        feeds_fetched = [got for got in outcomes if isinstance(got, _FetchedFeed)]
        if not feeds_fetched:
            raise ImageError(self.reasons or "the router names no feeds")
        return feeds_fetched

    def _index(self, feed: Feed, place: str, signature: str) -> _FetchedFeed:
        if not feeds.askable(feed.url):
            raise ImageError(f"{shown(feed.url)} is nothing that the node asks for.")
        urls = feeds.mirrored(f"{feed.url}/{feed.index}", self.mirrors)
        got = fetch_text(urls, _INDEX, access=self._access, timeouts=self._timeouts, retries=_RETRIES)
        base = got.url.rpartition("/")[0]
        if feed.index.endswith(".adb"):
            _require(got.content.startswith(_ADB), got.url)
        else:
            text = _text(got.content).strip()
            _require(not text or text.startswith("Package:"), got.url)  # a feed may be empty
        if signature:
            beside = f"{base}/{signature}"
            signed = fetch_text([beside], _SIGNATURE, access=self._access, timeouts=self._timeouts, retries=_RETRIES)
            _require(signed.content.startswith(b"untrusted comment:"), beside)
            self.put(f"{place}/{signature}", signed.content)
        self.put(f"{place}/{feed.index}", got.content)
        return _FetchedFeed(feed, place, base)

    def packages(self, needed: t.Sequence[tuple[_FetchedFeed, Entry]]) -> None:
        """Fetch packages that an index describes."""
        size = sum(entry.size for _feed, entry in needed)
        if size > _LARGEST:
            raise ImageError(f"{len(needed)} packages of {size >> 20} MiB in all are too much to hand in.")

        def get(one: tuple[_FetchedFeed, Entry]) -> None:
            source, entry = one
            name = urllib.parse.quote(entry.filename)
            urls = [f"{source.base}/{name}", *feeds.mirrored(f"{source.feed.url}/{name}", self.mirrors)]
            self._fetch(urls, self._root / source.place / entry.filename, ("sha256", entry.sha256), entry.size)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(get, needed))

    def files(self, feeds_fetched: t.Sequence[_FetchedFeed], names: t.Sequence[str]) -> None:
        """Fetch packages that are known by their names alone, each from the first feed that has it."""

        def get(name: str) -> int:
            urls = {f"{source.base}/{urllib.parse.quote(name)}": source for source in feeds_fetched}
            target = self.folder / name
            fetched = self._fetch(list(urls), target, None, None)
            target.rename(self._root / urls[fetched.url].place / name)
            return fetched.size

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            size = sum(pool.map(get, names))
        if size > _LARGEST:
            raise ImageError(f"{len(names)} packages of {size >> 20} MiB in all are too much to hand in.")

    def _fetch(
        self, urls: t.Sequence[str], target: Path, digest: tuple[str, str] | None, size: int | None
    ) -> download.Fetched:
        def check(path: Path) -> None:
            with path.open("rb") as file:
                _require(digest is not None or file.read(len(_ADB)) == _ADB, target.name)

        target.parent.mkdir(parents=True, exist_ok=True)
        request = Request(urls, target, digest=digest, size=size, check=check, access=self._access)
        return download.fetch(request, timeouts=self._timeouts, retries=_RETRIES)

    def pack(self) -> tuple[Path, str]:
        """An archive of what has come since the last one, and its SHA-256."""
        target = self.folder / "in.tar"
        with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as archive:
            for path in sorted(self._root.rglob("[!.]*")):
                name = str(path.relative_to(self._root))
                if name not in self._packed:
                    self._packed.add(name)
                    archive.add(path, name, recursive=False, filter=_plain)
        with target.open("rb") as file:
            return target, hashlib.file_digest(file, "sha256").hexdigest()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A file or directory of an archive, root's and nobody else's."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o700 if member.isdir() else 0o600
    return member


def _require(good: bool, url: str) -> None:
    """What is handed on to a router is no more than what its name says."""
    if not good:
        raise ImageError(f"{shown(url)} is not what its name says.")


def _text(content: bytes) -> str:
    """An index in plain text, be it gzipped or not."""
    try:
        return gunzipped(content, _TEXT).decode("utf-8", "replace")
    except ValueError as error:
        raise ImageError(f"the index cannot be read: {error}.") from error
