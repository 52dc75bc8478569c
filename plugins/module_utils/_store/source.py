# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a declared image, what its source has of it, and fetching that verified and unpacked."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import re
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Finding,
    InvalidInput,
    VerificationError,
)
from ansible_collections.pve.provision.plugins.module_utils._images import cache, checksums, download, verify
from ansible_collections.pve.provision.plugins.module_utils._images import releases as sources
from ansible_collections.pve.provision.plugins.module_utils._images.http import Timeouts, shown
from ansible_collections.pve.provision.plugins.module_utils._images.inspect import inspect_archive, inspect_disk
from ansible_collections.pve.provision.plugins.module_utils._images.releases import direct, openwrt
from ansible_collections.pve.provision.plugins.module_utils._images.releases import versions as order
from ansible_collections.pve.provision.plugins.module_utils._images.releases.base import (
    UNREADABLE,
    Artefact,
    Binding,
    Key,
    Kind,
    Release,
    Signature,
    Source,
    parse_list,
    unreadable,
)
from ansible_collections.pve.provision.plugins.module_utils._images.releases.indexes import Indexes
from ansible_collections.pve.provision.plugins.module_utils._images.signatures import Seal, Trusted, key_id
from ansible_collections.pve.provision.plugins.module_utils._images.unpack import unpack
from ansible_collections.pve.provision.plugins.module_utils._store.contents import (
    check_disk_inside,
    check_inside,
)

#: What each content type of PVE holds, the better kind first.
KINDS: t.Final[dict[str, tuple[Kind, ...]]] = {"vztmpl": ("rootfs",), "iso": ("iso", "disk"), "import": ("disk",)}
#: Words for "whatever is newest" that no version begins with.
_ANY: t.Final = frozenset({"", "latest", "stable", "lts"})
_COMPRESSED = re.compile(r"\.(gz|xz|zst|bz2)$")
_SIGNATURE_BYTES: t.Final = 1 << 20
_STREAM_BYTES: t.Final = 32 << 20


@dataclass(frozen=True)
class UserKey:
    """A key that may sign besides those that are known: a usign key, an armored GPG key block, or a PEM key."""

    public: str
    fingerprint: str = ""

    @property
    def id(self) -> str:
        """What a record calls it."""
        return key_id(self.public, self.fingerprint)


def signers(known: t.Iterable[Key], own: t.Iterable[UserKey]) -> frozenset[str]:
    """The keys that a run trusts, as records call them."""
    return frozenset({key.id for key in known} | {key.id for key in own}) - {""}


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
        what = {"url": shown(self.url), "file": self.path}.get(self.source, "")
        if self.source in ("pveam", "turnkeylinux"):
            what = self.version.partition("_")[0]
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


class ImageFetcher:
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

    @functools.cached_property
    def policy(self) -> verify.Policy:
        """What has to be proven of the image, whether it is fetched or lies in the cache."""
        source = self._source()
        by_key = self._wanted.keys and source.keys is not None
        return verify.Policy(self._wanted.verify or ("required" if by_key else source.verify))

    def accepts(self, record: cache.Record) -> bool:
        """Whether a cached file was verified as far as this run asks for, and by a key of this run."""
        if self.policy is verify.Policy.REQUIRED:
            return record.signed_by in signers(self._source().keys or (), self._wanted.keys)
        return self.policy is verify.Policy.NONE or bool(record.origin or record.signed_by)

    def prove(self, entry: cache.Entry, offer: Offer) -> cache.Record | None:
        """Verify now a cached file that nobody has verified as far as this run asks for: what its record is to say.

        None where it cannot be told from the file that lies there, because that was unpacked."""
        if self._wanted.content != "vztmpl" and offer.artefact.compression:
            return None
        verified = verify.verify_file(entry.path, self.expect(offer))
        self._inspect(entry.path, entry.path, offer)
        record = t.cast("cache.Record", entry.record)
        return dataclasses.replace(record, origin=offer.origin or record.origin, signed_by=verified.signed_by)

    def offer(self) -> Offer:
        """What the source has of what is wanted. Raises ImageError or Timeout when it cannot be asked."""
        wanted = self._wanted
        release = self._release()
        openwrt.refuse_old(release, wanted.snapshot_max_age, self._now)
        kinds = KINDS[wanted.content]
        kind = next((kind for kind in kinds if any(a.kind == kind for a in release.artefacts)), kinds[0])
        artefact = release.pick(kind, wanted.variant)
        if artefact.digest is None and artefact.checksum_url:
            where = shown(artefact.checksum_url)
            entries = self._indexes([artefact.checksum_url], lambda body: checksums.parse(body.decode("utf-8"), where))
            artefact = dataclasses.replace(artefact, digest=checksums.find(entries, artefact.name, where))
        name = wanted.filename or file_name(wanted.source, release.version, artefact, wanted.content)
        return Offer(release, artefact, name)

    def _release(self) -> Release:
        """The release that is wanted. One that a kept index does not know may have come out since, and kept indexes may
        be from before and after: they are asked for anew before the answer is no."""
        wanted = self._wanted
        try:
            return self._source().resolve(wanted.version, wanted.arch)
        except (InvalidInput, VerificationError):
            if not self._indexes.max_age:
                raise
            self._indexes.max_age = 0
            return self._source().resolve(wanted.version, wanted.arch)

    def expect(self, offer: Offer) -> verify.Expected:
        """What the file has to be, by the chain signature, list, digest, and by the user's own checksum."""
        release, artefact, wanted = offer.release, offer.artefact, self._wanted
        pinned = direct.parse_checksum(wanted.checksum) if wanted.checksum else None
        if pinned and artefact.digest and pinned[0] == artefact.digest[0] and pinned != artefact.digest:
            raise VerificationError(
                f"{artefact.name}: the source says {':'.join(artefact.digest)}, declared is {':'.join(pinned)}.",
                remedy="Look which of them is right; the image may have been published anew under its old name.",
            )
        policy = self.policy
        required = policy is verify.Policy.REQUIRED
        declared = artefact.digest or pinned
        list_seal = self._seal(release.signature, release.checksum_text) if required and release.signature else None
        if release.checksum_kind == "aplinfo" and list_seal:
            signed = list_seal.check_bytes(release.checksum_text)
            expected = verify.expect(artefact.name, verify.Policy.CHECKSUM, declared=declared)
            return dataclasses.replace(expected, signed_by=signed.key)
        listing = None
        if release.checksum_text and release.checksum_kind != "aplinfo":
            listing = verify.Listing(release.checksum_text, shown(release.checksum_list or ""), list_seal)
        if release.facts and policy is not verify.Policy.NONE:
            _require_listed(release, *release.facts)
        if required and release.binding:
            self._bind(release, artefact, release.binding)
        own_seal = self._seal(artefact.signature, b"") if required and artefact.signature else None
        return verify.expect(artefact.name, policy, listing=listing, seal=own_seal, declared=declared)

    def _bind(self, release: Release, artefact: Artefact, binding: Binding) -> None:
        """Raise unless a signed document says that this file is one of this version."""
        signed = self._indexes.text(binding.url, _STREAM_BYTES).content
        content = self._seal(binding.signature, signed).check_bytes(signed).content or b""
        try:
            digest = binding.digests(content).get(artefact.name)
        except UNREADABLE as error:
            raise unreadable(binding.url, error) from error
        if digest is None or artefact.digest != ("sha256", digest):
            says = f"says {digest}" if digest else "does not know it"
            raise VerificationError(
                f"{artefact.name} of {release.source} {release.version}: {shown(binding.url)} {says}, the list beside"
                f" the file says {artefact.digest[1] if artefact.digest else 'nothing'}. It may be an older one.",
                remedy="Try again later, look whether the mirror is in order, or name another version.",
            )

    def _seal(self, signature: Signature, signed: bytes) -> Seal:
        clear = signature.kind == "gpg-clearsigned"
        content = b"" if clear else self._indexes.text(signature.url, _SIGNATURE_BYTES, cached=False).content
        return Seal(signature.kind, shown(signature.url), self._trusted(signature), content)

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
        before = download.identity(target)
        expected = self.expect(offer)
        wanted, artefact = self._wanted, offer.artefact
        unpacks = wanted.content != "vztmpl" and bool(artefact.compression)
        place = target.with_name(f".{target.name}.packed") if unpacks else target
        signed_by = [expected.signed_by]

        def check(path: Path) -> None:
            if expected.seal:
                signed_by[0] = expected.seal.check(path).key
            self._pin(path, expected)
            self._inspect(path, target, offer)
            cache.refuse_change(target, before)

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
            if not fetched.url:  # it lay there already, and was compared with its digest alone
                check(place)
        sha256, size = fetched.digests["sha256"], fetched.size
        if unpacks:
            try:
                plain = unpack(place, target, check=lambda: cache.refuse_change(target, before))
            finally:
                place.unlink(missing_ok=True)
            sha256, size = plain.sha256, plain.size
        record = cache.Record(
            family=wanted.family,
            version=offer.release.version,
            sha256=sha256,
            size=size,
            origin=offer.origin,
            url=shown(artefact.url) if wanted.source != "file" else "",
            signed_by=signed_by[0],
        )
        return record, fetched.transferred

    def _pin(self, path: Path, expected: verify.Expected) -> None:
        """Compare with the user's own checksum where its algorithm is another than the source's."""
        pinned = direct.parse_checksum(self._wanted.checksum) if self._wanted.checksum else None
        if pinned is None or pinned == expected.digest:
            return
        algorithm, digest = pinned
        found = checksums.hash_file(path, [algorithm])[algorithm]
        if found != digest:
            raise VerificationError(f"{path.name}: its {algorithm} is {found}, declared is {digest}.")

    def _inspect(self, path: Path, target: Path, offer: Offer) -> None:
        """Whether the bytes have the shape of what they are to be used as, and are the version they are called."""
        if self._wanted.content == "vztmpl":
            inspect_archive(path)
            check_inside(path, offer.artefact.name, offer.release, self._wanted.arch)
            return
        info = inspect_disk(path)
        end = target.name.rpartition(".")[2]
        if self._wanted.content == "import" and end in ("raw", "qcow2") and info.format != end:
            raise VerificationError(
                f"{path.name} is a {info.format} image, its name on the storage would say {end}.",
                remedy=f"Set filename to a name that ends with .{info.format}.",
            )
        required = self.policy is verify.Policy.REQUIRED
        check_disk_inside(path, offer.artefact.name, offer.release, required=required)

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


def _require_listed(release: Release, name: str, body: bytes) -> None:
    """Raise unless the list of a release holds the file that its version was read from."""
    if parse_list(release.checksum_text).get(name) != ("sha256", hashlib.sha256(body).hexdigest()):
        raise VerificationError(
            f"{release.source} {release.version}: {name} is not the one of {shown(release.checksum_list or '')}, so"
            " nobody vouches for which version this is.",
            remedy="The source may be publishing right now: try again, or name another mirror or a release.",
        )
