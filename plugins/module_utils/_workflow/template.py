# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: one declared image made present on storages: resolve, fetch, verify, place, prune.

On the node the storages are directories: one download, verified copies, and a record beside each file. Over the API a
storage is known by names and sizes alone, so there PVE fetches the file itself, with its checksum, or gets it uploaded.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import tempfile
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Finding,
    ImageError,
    InvalidInput,
    ProvisionError,
    Timeout,
    VerificationError,
)
from ansible_collections.pve.provision.plugins.module_utils._images import cache, checksums, download, verify
from ansible_collections.pve.provision.plugins.module_utils._images import releases as sources
from ansible_collections.pve.provision.plugins.module_utils._images.http import Timeouts
from ansible_collections.pve.provision.plugins.module_utils._images.inspect import inspect_archive, inspect_disk
from ansible_collections.pve.provision.plugins.module_utils._images.releases import direct, openwrt
from ansible_collections.pve.provision.plugins.module_utils._images.releases import versions as order
from ansible_collections.pve.provision.plugins.module_utils._images.releases.base import (
    Artefact,
    Kind,
    Release,
    Signature,
    Source,
)
from ansible_collections.pve.provision.plugins.module_utils._images.releases.indexes import Indexes
from ansible_collections.pve.provision.plugins.module_utils._images.signatures import Seal, Trusted
from ansible_collections.pve.provision.plugins.module_utils._images.unpack import unpack
from ansible_collections.pve.provision.plugins.module_utils._workflow.storage import WORDS, usable

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node, Storage

#: Storages whose files are files: everything else keeps blocks, and no templates.
FILE_STORAGES: t.Final = frozenset({"dir", "nfs", "cifs", "cephfs", "btrfs", "glusterfs"})
#: What each content type of PVE holds, the better kind first.
KINDS: t.Final[dict[str, tuple[Kind, ...]]] = {"vztmpl": ("rootfs",), "iso": ("iso", "disk"), "import": ("disk",)}
#: Words for "whatever is newest" that no version begins with.
_ANY: t.Final = frozenset({"", "latest", "stable", "lts"})
_COMPRESSED = re.compile(r"\.(gz|xz|zst|bz2)$")
_SIGNATURE_BYTES: t.Final = 1 << 20

Step = dict[str, t.Any]


@dataclass(frozen=True)
class UserKey:
    """A key that may sign besides those that are known: a usign key, an armored GPG key block, or a PEM key."""

    public: str
    fingerprint: str = ""


@dataclass(frozen=True)
class WantedImage:
    """One declared image. ``storages`` empty: every active storage for this content. ``verify`` empty: the source's."""

    source: str
    content: str
    version: str = ""
    arch: str = "amd64"
    variant: str = ""
    url: str = ""
    path: str = ""
    filename: str = ""
    checksum: str = ""
    checksum_url: str = ""
    storages: tuple[str, ...] = ()
    state: t.Literal["present", "latest", "absent"] = "present"
    keep: int | None = None
    verify: str = ""
    keys: tuple[UserKey, ...] = ()
    mirrors: tuple[str, ...] = ()
    force: bool = False
    reverify: bool = False
    offline_ok: bool = False
    snapshot_max_age: int = 0
    index_max_age: int = 3600
    timeout: int = 7200

    @property
    def family(self) -> str:
        """What the versions of this image have in common, in the records of cached files."""
        what = {"url": self.url, "file": self.path}.get(self.source, "")
        if self.source in ("pveam", "turnkeylinux"):
            what = self.version.split("_")[0]
        return "/".join((self.source, self.content, what or self.variant or "default", self.arch))

    def covers(self, version: str) -> bool:
        """Whether a cached version is one that was asked for."""
        return self.version in _ANY or order.matches(self.version, version)


@dataclass(frozen=True)
class Offer:
    """What the source has: a release, the one file of it that is wanted, and the name that file gets on a storage."""

    release: Release
    artefact: Artefact
    name: str

    @property
    def origin(self) -> str:
        return ":".join(self.artefact.digest) if self.artefact.digest else ""


@dataclass(frozen=True)
class Store:
    """A storage, and on the node the directory of the wanted content."""

    storage: Storage
    directory: Path | None

    def volid(self, content: str, name: str) -> str:
        return f"{self.storage.name}:{content}/{name}"

    def room(self) -> dict[str, int | None]:
        if self.directory is None:
            return {"total": self.storage.total, "available": self.storage.available}
        return dataclasses.asdict(cache.capacity(self.directory))


@dataclass
class Result:
    """What a run did, or in check mode would have done."""

    changed: bool = False
    source: str = ""
    version: str | None = None
    available_version: str | None = None
    update_available: bool = False
    volids: list[str] = field(default_factory=list)
    images: list[dict[str, t.Any]] = field(default_factory=list)
    plan: list[Step] = field(default_factory=list)
    freed: int = 0
    transferred: int = 0
    capacity: dict[str, dict[str, t.Any]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


def file_name(source: str, version: str, artefact: Artefact, content: str) -> str:
    """The name of an image on a storage: the source's own, with source and version in it, as PVE accepts it."""
    name = artefact.name
    if content != "vztmpl":
        name = _COMPRESSED.sub("", name)
    stem, dot, end = name.partition(".tar.") if ".tar." in name else name.rpartition(".")
    if content == "vztmpl" and name.endswith(".tgz"):
        dot, end = ".tar.", "gz"
    if content == "import":
        end = artefact.format or {"img": "raw"}.get(end, end)
    elif content == "iso" and end != "iso":
        end = "img"
    known = source not in ("url", "file")
    missing = [part for part in version.split("-") if part not in stem] if known else []
    front = [source] if known and missing and not stem.startswith(source) else []
    return "-".join([*front, stem, *missing]) + dot + end


# -- the source --------------------------------------------------------------------------------------------------------
class Shop:
    """Asks a source, and fetches from it what a run needs."""

    def __init__(self, wanted: WantedImage, indexes: Indexes, progress: download.Progress | None, now: float) -> None:
        self._wanted = wanted
        self._indexes = indexes
        self._progress = progress
        self._now = now

    def _source(self) -> Source:
        wanted = self._wanted
        if wanted.source in ("url", "file"):
            return direct.Direct(wanted.url or wanted.path, wanted.checksum, wanted.checksum_url, wanted.source)
        return sources.open_source(wanted.source, self._indexes, wanted.mirrors)

    def offer(self) -> Offer:
        """What the source has of what is wanted. Raises ImageError or Timeout when it cannot be asked."""
        wanted = self._wanted
        release = self._source().resolve(wanted.version, wanted.arch)
        openwrt.refuse_old(release, wanted.snapshot_max_age, self._now)
        kinds = KINDS[wanted.content]
        kind = next((kind for kind in kinds if any(a.kind == kind for a in release.artefacts)), kinds[0])
        artefact = release.pick(kind, wanted.variant)
        if artefact.digest is None and artefact.checksum_url:
            where = artefact.checksum_url
            entries = self._indexes([where], lambda body: checksums.parse(body.decode("utf-8"), where))
            artefact = dataclasses.replace(artefact, digest=checksums.find(entries, artefact.name, where))
        name = wanted.filename or file_name(wanted.source, release.version, artefact, wanted.content)
        return Offer(release, artefact, name)

    def expect(self, offer: Offer) -> verify.Expected:
        """What the file has to be, by the chain signature, list, digest, and by the user's own checksum."""
        release, artefact, wanted = offer.release, offer.artefact, self._wanted
        pinned = direct.parse_checksum(wanted.checksum) if wanted.checksum else None
        if pinned and artefact.digest and pinned[0] == artefact.digest[0] and pinned != artefact.digest:
            raise VerificationError(
                f"{artefact.name}: the source says {':'.join(artefact.digest)}, declared is {':'.join(pinned)}.",
                remedy="Look which of them is right; the image may have been published anew under its old name.",
            )
        chosen = wanted.verify or (
            "required" if wanted.keys and (release.signature or artefact.signature) else release.verify_default
        )
        policy = verify.Policy(chosen)
        required = policy is verify.Policy.REQUIRED
        declared = artefact.digest or pinned
        list_seal = self._seal(release.signature, release.checksum_text) if required and release.signature else None
        if release.checksum_kind == "aplinfo" and list_seal:
            signed = list_seal.check_bytes(release.checksum_text)
            expected = verify.expect(artefact.name, verify.Policy.CHECKSUM, declared=declared)
            return dataclasses.replace(expected, signed_by=signed.key)
        listing = None
        if release.checksum_text and release.checksum_kind != "aplinfo":
            listing = verify.Listing(release.checksum_text, release.checksum_list or "", list_seal)
        own_seal = self._seal(artefact.signature, b"") if required and artefact.signature else None
        return verify.expect(artefact.name, policy, listing=listing, seal=own_seal, declared=declared)

    def _seal(self, signature: Signature, signed: bytes) -> Seal:
        clear = signature.kind == "gpg-clearsigned"
        content = b"" if clear else self._indexes.text(signature.url, _SIGNATURE_BYTES, cached=False).content
        return Seal(signature.kind, signature.url, self._trusted(signature), content)

    def _trusted(self, signature: Signature) -> Trusted:
        """The keys that may have signed: those pinned for the source, and the user's. A key block from the network is
        only material; what is trusted of it is said by the fingerprints."""
        own = self._wanted.keys
        public = [key.public for key in signature.keys] + [key.public for key in own]
        material = [text.encode() for text in public if text]
        for path in {key.path for key in signature.keys if key.path}:
            if Path(path).is_file():
                material.append(Path(path).read_bytes())
        urls = dict.fromkeys(key.url for key in signature.keys if key.url)
        if not own:
            material += [self._indexes.text(url, cached=False).content for url in urls]
        pins = [key.id for key in signature.keys] + [key.fingerprint for key in own if key.fingerprint]
        return Trusted(tuple(material), frozenset(pins) if signature.kind != "usign" else frozenset())

    def fetch(self, offer: Offer, target: Path, *, overwrite: bool) -> tuple[cache.Record, int]:
        """Bring the verified, unpacked and inspected file to ``target``: its record, and the bytes transferred."""
        expected = self.expect(offer)
        wanted, artefact = self._wanted, offer.artefact
        unpacks = wanted.content != "vztmpl" and bool(artefact.compression)
        place = target.with_name(f".{target.name}.packed") if unpacks else target
        signed_by = [expected.signed_by]

        def check(path: Path) -> None:
            if expected.seal:
                signed_by[0] = expected.seal.check(path).key
            self._pin(path)
            self._inspect(path, target)

        if wanted.source == "file":
            fetched = self._local(Path(wanted.path), place, expected, check)
        else:
            request = download.Request(
                urls=(artefact.url, *artefact.mirrors),
                target=place,
                digest=expected.digest,
                size=artefact.size,
                overwrite=overwrite or unpacks,
                check=check,
                access=self._indexes.access,
            )
            fetched = download.fetch(request, timeouts=Timeouts(total=wanted.timeout), progress=self._progress)
        sha256, size = fetched.digests["sha256"], fetched.size
        if unpacks:
            plain = unpack(place, target)
            place.unlink(missing_ok=True)
            sha256, size = plain.sha256, plain.size
        record = cache.Record(
            family=wanted.family,
            version=offer.release.version,
            sha256=sha256,
            size=size,
            origin=offer.origin,
            url=artefact.url if wanted.source != "file" else "",
            signed_by=signed_by[0],
        )
        return record, fetched.transferred

    def _pin(self, path: Path) -> None:
        """Compare with the user's own checksum, which may be of another algorithm than the source's."""
        if not self._wanted.checksum:
            return
        algorithm, digest = direct.parse_checksum(self._wanted.checksum)
        found = checksums.hash_file(path, [algorithm])[algorithm]
        if found != digest:
            raise VerificationError(f"{path.name}: its {algorithm} is {found}, declared is {digest}.")

    def _inspect(self, path: Path, target: Path) -> None:
        """Whether the bytes have the shape of what they are to be used as."""
        if self._wanted.content == "vztmpl":
            inspect_archive(path)
            return
        info = inspect_disk(path)
        end = target.name.rpartition(".")[2]
        if self._wanted.content == "import" and end in ("raw", "qcow2") and info.format != end:
            raise VerificationError(
                f"{path.name} is a {info.format} image, its name on the storage would say {end}.",
                remedy=f"Set filename to a name that ends with .{info.format}.",
            )

    @staticmethod
    def _local(
        source: Path, place: Path, expected: verify.Expected, check: t.Callable[[Path], None]
    ) -> download.Fetched:
        """A file of the user's: judged where it is, then placed."""
        if not source.is_file():
            raise InvalidInput([Finding("path", str(source), "is no file on this machine")])
        verified = verify.verify_file(source, expected)
        check(source)
        record = cache.Record("", "", verified.digests["sha256"], source.stat().st_size)
        cache.copy(source, record, place)
        return download.Fetched(place, record.size, verified.digests)


# -- the storages ------------------------------------------------------------------------------------------------------
def stores(node: Node, wanted: WantedImage) -> list[Store]:
    """The storages an image goes to. Raises InvalidInput with everything that stands against them."""
    all_storages = node.storages()
    by_name = {storage.name: storage for storage in all_storages}
    word = WORDS.get(wanted.content, "images to import")
    others = ", ".join(s.name for s in usable(all_storages, wanted.content) if s.type in FILE_STORAGES) or "none"
    remedy = f"Storages for {word} here: {others}"
    findings: list[Finding] = []
    for name in wanted.storages:
        storage = by_name.get(name)
        if storage is None:
            findings.append(Finding("storages", name, f"does not exist on node {node.name}", remedy))
        elif storage.type not in FILE_STORAGES:
            problem = f"is of type {storage.type}, which keeps blocks and no files, so it takes no {word}"
            findings.append(Finding("storages", name, problem, remedy))
        elif wanted.content not in storage.content:
            findings.append(Finding("storages", name, f"takes no {word} (content type {wanted.content})", remedy))
        elif not (storage.active and storage.enabled):
            findings.append(Finding("storages", name, "is not active", remedy))
    chosen = [by_name[name] for name in dict.fromkeys(wanted.storages) if name in by_name]
    if not wanted.storages:
        chosen = [s for s in usable(all_storages, wanted.content) if s.type in FILE_STORAGES]
        if not chosen:
            findings.append(Finding("content", wanted.content, f"is taken by no active storage of node {node.name}"))
    if findings:
        raise InvalidInput(findings)
    return [Store(storage, _directory(node, storage, wanted.content)) for storage in chosen]


def _directory(node: Node, storage: Storage, content: str) -> Path | None:
    if node.transport != "cli":
        return None
    end = {"vztmpl": "tar.gz", "iso": "iso", "import": "raw"}[content]
    return Path(node.volume_path(f"{storage.name}:{content}/any.{end}")).parent


def references(node: Node) -> str:
    """Every option of every guest of this node as one text, to look for the name of a volume in."""
    configs = (node.config(guest.kind, guest.vmid) for guest in node.guests())
    return "\n".join(
        value for config in configs if config for value in (*config.options.values(), *config.live.values())
    )


# -- a run -------------------------------------------------------------------------------------------------------------
def provide(
    node: Node,
    wanted: WantedImage,
    indexes: Indexes,
    *,
    check_mode: bool = False,
    progress: download.Progress | None = None,
    now: float,
) -> Result:
    """Make an image match its declaration. ``now``: seconds since the epoch, for the age of snapshots."""
    _check(node, wanted)
    places = stores(node, wanted)
    run = (_OnNode if node.transport == "cli" else _OverApi)(
        node, wanted, places, Shop(wanted, indexes, progress, now), check_mode
    )
    result = run.result
    result.source = wanted.source
    result.capacity = {place.storage.name: {"before": place.room()} for place in places}
    run.carry_out()
    for place in stores(node, wanted) if result.changed and not check_mode else places:
        result.capacity[place.storage.name]["after"] = place.room()
    result.warnings += [str(stale) for stale in indexes.stale]
    return result


def _check(node: Node, wanted: WantedImage) -> None:
    """What can be said against a declaration without looking at anything."""
    findings: list[Finding] = []
    if wanted.checksum:
        direct.parse_checksum(wanted.checksum)
    if wanted.filename and ("/" in wanted.filename or wanted.filename.startswith(".")):
        findings.append(Finding("filename", wanted.filename, "is no plain file name"))
    if wanted.keep is not None and node.transport != "cli":
        problem = "needs the records beside the files, which only the node itself can read"
        findings.append(Finding("keep", wanted.keep, problem, "Run the task on the node, without api_host"))
    for key in wanted.keys:
        if "PGP PUBLIC KEY" in key.public and not key.fingerprint:
            findings.append(
                Finding("keys", "a GPG key block", "says not which of its keys is trusted", "Add fingerprint")
            )
    if findings:
        raise InvalidInput(findings)


class _Run:
    """What both ways have in common: the offer, and what is reported."""

    def __init__(self, node: Node, wanted: WantedImage, places: list[Store], shop: Shop, check_mode: bool) -> None:
        self.result = Result()
        self._node = node
        self._wanted = wanted
        self._places = places
        self._shop = shop
        self._check_mode = check_mode

    def carry_out(self) -> None:
        raise NotImplementedError

    def _ask(self) -> Offer | ProvisionError:
        """The source's offer, or why there is none."""
        try:
            offer = self._shop.offer()
        except (ImageError, Timeout) as error:
            return error
        self.result.available_version = offer.release.version
        return offer

    def _step(self, step: str, **details: t.Any) -> None:
        self.result.plan.append({"step": step, **details})
        self.result.changed = True

    def _tell(self, place: Store, name: str, how: str, **more: t.Any) -> None:
        volid = place.volid(self._wanted.content, name)
        self.result.volids.append(volid)
        self.result.images.append({"storage": place.storage.name, "volid": volid, "how": how, **more})


class _OnNode(_Run):
    """The storages are directories of this machine."""

    def carry_out(self) -> None:
        wanted, result = self._wanted, self.result
        cached = [
            entry for place in self._places for entry in cache.recorded(t.cast("Path", place.directory), wanted.family)
        ]
        result.before = sorted(entry.path.name for entry in cached)
        if wanted.state == "absent":
            self._remove(cached)
        else:
            self._provide(cached)
        gone = {Path(step["path"]).name for step in result.plan if step["step"] == "remove"}
        names = {image["volid"].rpartition("/")[2] for image in result.images}
        result.after = sorted((set(result.before) - gone) | names)
        result.before = sorted(set(result.before))

    def _good(self, entries: t.Sequence[cache.Entry]) -> cache.Entry | None:
        """The newest cached file that is what was asked for and can be trusted."""
        pin = ":".join(direct.parse_checksum(self._wanted.checksum)) if self._wanted.checksum else ""
        fitting = [
            e for e in entries if e.record and self._wanted.covers(e.record.version) and pin in ("", e.record.origin)
        ]
        for entry in sorted(fitting, key=lambda e: order.key(t.cast("cache.Record", e.record).version), reverse=True):
            if cache.is_trustworthy(entry, reverify=self._wanted.reverify):
                return entry
        return None

    def _provide(self, cached: t.Sequence[cache.Entry]) -> None:
        result, wanted = self.result, self._wanted
        asked = self._ask()
        there = self._good(cached)
        if isinstance(asked, ProvisionError):
            if there is None or (wanted.state == "latest" and not wanted.offline_ok):
                raise asked
            result.warnings.append(
                f"The source could not be asked: {asked.message} {there.path.name}, verified before, is used."
            )
            self._spread(there.path.name, t.cast("cache.Record", there.record), there.path)
        else:
            newest = self._same(cached, asked)
            if wanted.state == "latest" or there is None:
                there = newest
            if there is not None:
                self._spread(there.path.name, t.cast("cache.Record", there.record), there.path)
            else:
                self._bring(asked)
            result.update_available = order.key(result.version or "") < order.key(asked.release.version)
        if wanted.keep is not None:
            self._prune(wanted.keep)

    def _same(self, cached: t.Sequence[cache.Entry], offer: Offer) -> cache.Entry | None:
        """The cached file that is what the source offers."""
        for entry in cached:
            record = t.cast("cache.Record", entry.record)
            same = record.version == offer.release.version and offer.origin in ("", record.origin)
            named = entry.path.name == offer.name or not self._wanted.filename
            if same and named and cache.is_trustworthy(entry, reverify=self._wanted.reverify):
                return entry
        return None

    def _bring(self, offer: Offer) -> None:
        """Download to the first storage, copy to the others."""
        first = t.cast("Path", self._places[0].directory) / offer.name
        self._step("download", url=offer.artefact.url, storage=self._places[0].storage.name, name=offer.name)
        replace = {
            place: self._may_replace(t.cast("Path", place.directory) / offer.name, offer) for place in self._places
        }
        if self._check_mode:
            self.result.version = offer.release.version
            for number, place in enumerate(self._places):
                if number:
                    self._step("copy", storage=place.storage.name, name=offer.name)
                self._tell(place, offer.name, "download" if number == 0 else "copy")
            return
        with cache.exclusive(first):
            entry = cache.lookup(first)
            same = entry.record and offer.origin and entry.record.origin == offer.origin
            if same and entry.record and cache.is_trustworthy(entry):
                record = entry.record  # a run beside us was faster
            else:
                record, transferred = self._shop.fetch(offer, first, overwrite=replace[self._places[0]])
                record = record.write(first)
                self.result.transferred = transferred
        self._spread(offer.name, record, first, replace)

    def _may_replace(self, target: Path, offer: Offer) -> bool:
        """Whether a file in the way may go: by force, or as our own, intact and not in use. Else it is an error."""
        entry = cache.lookup(target)
        if entry.state is cache.State.ABSENT or self._wanted.force:
            return True
        if entry.record is None:
            digest = offer.artefact.digest
            plain = self._wanted.content == "vztmpl" or not offer.artefact.compression
            if digest and plain and checksums.hash_file(target, [digest[0]])[digest[0]] == digest[1]:
                return False  # it is the very file; it will be adopted
        elif entry.record.family == self._wanted.family and cache.is_trustworthy(entry) and not self._in_use(target):
            return True
        wanted = cache.Record(self._wanted.family, offer.release.version, "", 0)
        raise cache.in_the_way(entry, wanted)

    def _spread(
        self, name: str, record: cache.Record, source: Path, replace: t.Mapping[Store, bool] | None = None
    ) -> None:
        """Bring a good file to every storage, and tell where it is."""
        self.result.version = record.version
        for place in self._places:
            target = t.cast("Path", place.directory) / name
            known = {"sha256": record.sha256, "signed_by": record.signed_by, "size": record.size, "path": str(target)}
            force = self._wanted.force or bool(replace and replace[place])
            entry = cache.lookup(target)
            reverify = self._wanted.reverify
            if target != source and not cache.is_trustworthy(entry, record.sha256, reverify=reverify):
                if entry.state is not cache.State.ABSENT and not force:
                    raise cache.in_the_way(entry, record)
                self._step("copy", storage=place.storage.name, name=name)
            how = "kept"
            if not self._check_mode and target != source:
                how = cache.place(source, record, [target], force=force, reverify=reverify)[0].how
            elif self.result.plan and target == source and self.result.plan[0]["step"] == "download":
                how = "download"
            self._tell(place, name, how, **known)

    # -- removing ------------------------------------------------------------------------------------------------------
    @functools.cached_property
    def _references(self) -> str:
        return references(self._node)

    def _in_use(self, path: Path) -> bool:
        for place in self._places:
            volid = place.volid(self._wanted.content, path.name)
            if place.directory == path.parent and re.search(
                rf"(?<![\w.-]){re.escape(volid)}(?![\w.-])", self._references
            ):
                return True
        return False

    def _prune(self, keep: int) -> None:
        """Of each storage the surplus of what ``version`` covers."""
        for place in self._places:
            entries = [
                entry
                for entry in cache.recorded(t.cast("Path", place.directory), self._wanted.family)
                if entry.record and self._wanted.covers(entry.record.version)
            ]
            new = self._check_mode and not any(
                entry.record and entry.record.version == self.result.version for entry in entries
            )
            self._removed(cache.prune(entries, keep - new, self._in_use, dry=self._check_mode))

    def _remove(self, cached: t.Sequence[cache.Entry]) -> None:
        fitting = [e for e in cached if e.record and self._wanted.covers(e.record.version)]
        if self._wanted.filename:
            fitting = [entry for entry in fitting if entry.path.name == self._wanted.filename]
        self._removed(cache.prune(fitting, 0, self._in_use, dry=self._check_mode))

    def _removed(self, pruned: cache.Pruned) -> None:
        for path in pruned.removed:
            self._step("remove", path=str(path))
        for path in pruned.in_use:
            self.result.warnings.append(f"{path} stays: a guest of this node still refers to it.")
        self.result.freed += pruned.freed


class _OverApi(_Run):
    """The storages are elsewhere: known by names and sizes."""

    def carry_out(self) -> None:
        offer = self._ask()
        if isinstance(offer, ProvisionError):
            raise offer
        wanted, result = self._wanted, self.result
        result.version = offer.release.version
        with tempfile.TemporaryDirectory(prefix="pve-provision-") as folder:
            for place in self._places:
                volid = place.volid(wanted.content, offer.name)
                there = {v.volid: v for v in self._node.volumes(place.storage.name, wanted.content)}.get(volid)
                if there:
                    result.before.append(volid)
                if wanted.state == "absent":
                    if there:
                        self._step("remove", volid=volid)
                        result.freed += there.size
                        if not self._check_mode:
                            self._node.free(volid)
                    continue
                result.after.append(volid)
                if there and not (wanted.force or wanted.reverify):
                    self._fits(volid, there.size, offer)
                    self._tell(place, offer.name, "kept", size=there.size)
                    continue
                self._tell(place, offer.name, self._send(place, volid, offer, Path(folder), there is not None))

    def _fits(self, volid: str, size: int, offer: Offer) -> None:
        plain = self._wanted.content == "vztmpl" or not offer.artefact.compression
        if plain and offer.artefact.size not in (None, size):
            raise VerificationError(
                f"{volid} has {size} bytes, the image has {offer.artefact.size}; it is neither used nor overwritten.",
                remedy="Move it away, or set force: true to replace it.",
            )

    def _send(self, place: Store, volid: str, offer: Offer, folder: Path, replace: bool) -> str:
        """Let PVE fetch the file where that fits, else fetch, verify and unpack it here and upload it."""
        wanted, artefact = self._wanted, offer.artefact
        storage = place.storage.name
        expected = self._shop.expect(offer) if not self._check_mode else None
        direct_fits = (
            wanted.source != "file"
            and (wanted.content == "vztmpl" or not artefact.compression)
            and artefact.digest is not None
            and artefact.signature is None
        )
        how = "download" if direct_fits else "upload"
        self._step(how, url=artefact.url, storage=storage, name=offer.name)
        if self._check_mode or expected is None:
            return how
        if replace:
            self._node.free(volid)
        if direct_fits:
            self._node.download_url(
                storage, wanted.content, offer.name, artefact.url, checksum=expected.digest, timeout=wanted.timeout
            )
            return how
        local = folder / offer.name
        if not local.exists():
            _record, self.result.transferred = self._shop.fetch(offer, local, overwrite=True)
        self._node.upload(storage, wanted.content, str(local), offer.name, timeout=wanted.timeout)
        return how


def cache_directory(transport: str) -> Path:
    """Where indexes are kept: on the node below its own /var/cache, elsewhere in the user's cache."""
    if transport == "cli":
        return Path(os.environ.get("PVE_ROOT") or "/") / "var/cache/pve-provision"
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "pve-provision"
