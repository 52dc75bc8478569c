# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a source has of a declared image, and what its file has to be."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import re
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import InvalidInput, VerificationError
from ansible_collections.pve.provision.plugins.module_utils._images import cache, checksums, verify
from ansible_collections.pve.provision.plugins.module_utils._images import releases as sources
from ansible_collections.pve.provision.plugins.module_utils._images.http import shown
from ansible_collections.pve.provision.plugins.module_utils._images.releases import direct, openwrt
from ansible_collections.pve.provision.plugins.module_utils._images.releases.base import (
    UNREADABLE,
    Artefact,
    Binding,
    Kind,
    Release,
    Signature,
    Source,
    unreadable,
)
from ansible_collections.pve.provision.plugins.module_utils._images.releases.indexes import Indexes
from ansible_collections.pve.provision.plugins.module_utils._images.releases.listed import parse_list
from ansible_collections.pve.provision.plugins.module_utils._images.signatures import Seal, Trusted
from ansible_collections.pve.provision.plugins.module_utils._store.wanted import WantedImage, signers

#: What each content type of PVE holds, the better kind first.
KINDS: t.Final[dict[str, tuple[Kind, ...]]] = {"vztmpl": ("rootfs",), "iso": ("iso", "disk"), "import": ("disk",)}
_COMPRESSED = re.compile(r"\.(gz|xz|zst|bz2)$")
_SIGNATURE_BYTES: t.Final = 1 << 20
_STREAM_BYTES: t.Final = 32 << 20


@dataclass(frozen=True)
class Offer:
    """What the source has: a release, the one file of it that is wanted, and the name that file gets on a storage."""

    release: Release
    artefact: Artefact
    name: str

    @property
    def origin(self) -> str:
        return ":".join(self.artefact.digest) if self.artefact.digest else ""

    def is_of(self, record: cache.Record) -> bool:
        """Whether a file was made of this."""
        return record.version == self.release.version and self.origin in ("", record.origin)


def file_name(source: str, version: str, artefact: Artefact, content: str) -> str:
    """The name of an image on a storage: the source's own, with source and version in it, as PVE accepts it."""
    name = artefact.name
    if artefact.assembled:
        return name
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


class ImageSource:
    """Asks a source for one declared image."""

    def __init__(self, wanted: WantedImage, indexes: Indexes, now: float, source: Source | None = None) -> None:
        self.wanted = wanted
        self._given = source
        self.indexes = indexes
        self._now = now
        self._offer: Offer | None = None
        self._judged: tuple[Offer, verify.Expected] | None = None

    def _source(self) -> Source:
        wanted = self.wanted
        if self._given is not None:
            return self._given
        if wanted.source in ("url", "file"):
            return direct.Direct(wanted.url or wanted.path, wanted.checksum, wanted.checksum_url, wanted.source)
        return sources.open_source(wanted.source, self.indexes, wanted.mirrors)

    @functools.cached_property
    def policy(self) -> verify.Policy:
        """What has to be proven of the image, whether it is fetched or lies in the cache."""
        source = self._source()
        by_key = self.wanted.keys and source.keys is not None
        return verify.Policy(self.wanted.verify or ("required" if by_key else source.verify))

    def fits(self, record: cache.Record) -> bool:
        """Whether a cached file is one that was asked for."""
        pin = ":".join(direct.parse_checksum(self.wanted.checksum)) if self.wanted.checksum else ""
        return self.wanted.covers(record.version) and pin in ("", record.origin) and not self.wanted.is_too_old(record)

    def accepts(self, record: cache.Record) -> bool:
        """Whether a cached file was verified as far as this run asks for, and by a key of this run."""
        if self.policy is verify.Policy.REQUIRED:
            return record.signed_by in signers(self._source().keys or (), self.wanted.keys)
        return self.policy is verify.Policy.NONE or bool(record.origin or record.signed_by)

    def offer(self) -> Offer:
        """What the source has of what is wanted, asked once, so that what was planned is what is fetched. Raises
        ImageError or Timeout when it cannot be asked."""
        if self._offer is None:
            self._offer = self._ask()
        return self._offer

    def _ask(self) -> Offer:
        wanted = self.wanted
        release = self._release()
        openwrt.refuse_old(release, wanted.snapshot_max_age, self._now)
        kinds = KINDS[wanted.content]
        kind = next((kind for kind in kinds if any(a.kind == kind for a in release.artefacts)), kinds[0])
        artefact = release.pick(kind, wanted.variant)
        if artefact.digest is None and artefact.checksum_url:
            where = shown(artefact.checksum_url)
            entries = self.indexes([artefact.checksum_url], lambda body: checksums.parse(body.decode("utf-8"), where))
            artefact = dataclasses.replace(artefact, digest=checksums.find(entries, artefact.name, where))
        name = wanted.filename or file_name(wanted.source, release.version, artefact, wanted.content)
        return Offer(release, artefact, name)

    def _release(self) -> Release:
        """The release that is wanted. One that a kept index does not know may have come out since, and kept indexes may
        be from before and after: they are asked for again before the answer is no."""
        wanted = self.wanted
        try:
            return self._source().resolve(wanted.version, wanted.arch)
        except (InvalidInput, VerificationError):
            if not self.indexes.max_age:
                raise
            self.indexes.max_age = 0
            return self._source().resolve(wanted.version, wanted.arch)

    def expect(self, offer: Offer) -> verify.Expected:
        """What the file has to be. Raises VerificationError where what is signed and listed does not hold."""
        if self._judged is None or self._judged[0] is not offer:
            self._judged = offer, self._judge(offer)
        return self._judged[1]

    def _judge(self, offer: Offer) -> verify.Expected:
        """By the chain signature, list, digest, and by the user's own checksum."""
        release, artefact, wanted = offer.release, offer.artefact, self.wanted
        pinned = direct.parse_checksum(wanted.checksum) if wanted.checksum else None
        if pinned and artefact.digest and pinned[0] == artefact.digest[0] and pinned != artefact.digest:
            raise VerificationError(
                f"{artefact.name}: the source says {':'.join(artefact.digest)}, declared is {':'.join(pinned)}.",
                remedy="Check which of them is right; the image may have been published again under its old name.",
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
        signed = self.indexes.text(binding.url, _STREAM_BYTES).content
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
                remedy="Try again later, check that the mirror is in order, or name another version.",
            )

    def _seal(self, signature: Signature, signed: bytes) -> Seal:
        clear = signature.kind == "gpg-clearsigned"
        content = b"" if clear else self.indexes.text(signature.url, _SIGNATURE_BYTES, cached=False).content
        return Seal(signature.kind, shown(signature.url), self._trusted(signature), content)

    def _trusted(self, signature: Signature) -> Trusted:
        """The keys that may have signed: those pinned for the source, and the user's. A key block from the network is
        only material; what is trusted of it is said by the fingerprints."""
        own = self.wanted.keys
        public = [key.public for key in signature.keys] + [key.public for key in own]
        material = [text.encode() for text in public if text]
        for path in {key.path for key in signature.keys if key.path}:
            if Path(path).is_file():
                material.append(Path(path).read_bytes())
        urls = dict.fromkeys(key.url for key in signature.keys if key.url)
        if not own:
            material += [self.indexes.text(url, cached=False).content for url in urls]
        pins = [key.id for key in signature.keys] + [key.fingerprint for key in own if key.fingerprint]
        return Trusted(tuple(material), frozenset(pins) if signature.kind != "usign" else frozenset())


def _require_listed(release: Release, name: str, body: bytes) -> None:
    """Raise unless the list of a release holds the file that its version was read from."""
    if parse_list(release.checksum_text).get(name) != ("sha256", hashlib.sha256(body).hexdigest()):
        raise VerificationError(
            f"{release.source} {release.version}: {name} is not the one of {shown(release.checksum_list or '')}, so"
            " nothing proves which version this is.",
            remedy="The source may be publishing right now: try again, or name another mirror or a release.",
        )
