# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the documents of OCI images: indexes, manifests, and the config of what runs. Pure.

Those of Docker mean the same under other media types. Proxmox VE knows those of OCI alone, so the manifest that it gets
is written with these; what the manifest names is named by the same digests.
"""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._images.releases.base import UNREADABLE

MANIFEST: t.Final = "application/vnd.oci.image.manifest.v1+json"
INDEX: t.Final = "application/vnd.oci.image.index.v1+json"
CONFIG: t.Final = "application/vnd.oci.image.config.v1+json"
_LAYER: t.Final = "application/vnd.oci.image.layer.v1.tar"
_DOCKER: t.Final = "application/vnd.docker.distribution.manifest"
INDEXES: t.Final = (INDEX, f"{_DOCKER}.list.v2+json")
MANIFESTS: t.Final = (MANIFEST, f"{_DOCKER}.v2+json")
ACCEPT: t.Final = ", ".join((*INDEXES, *MANIFESTS))
"""What a registry is told that we can read; without it some answer with documents of ten years ago."""
# What Proxmox VE unpacks, by what a manifest may call it.
_LAYERS: t.Final = {
    _LAYER: _LAYER,
    f"{_LAYER}+gzip": f"{_LAYER}+gzip",
    f"{_LAYER}+zstd": f"{_LAYER}+zstd",
    "application/vnd.docker.image.rootfs.diff.tar": _LAYER,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": f"{_LAYER}+gzip",
}
_CONFIGS: t.Final = (CONFIG, "application/vnd.docker.container.image.v1+json")
_DIGEST: t.Final = re.compile(r"sha256:[0-9a-f]{64}")
_LARGEST: t.Final = 8**11  # bytes, as the header of a tar archive can tell
# The largest document that a registry has to take (distribution-spec, manifests), and config that we read.
DOCUMENT_BYTES: t.Final = 4 << 20


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class Blob:
    """Something that a document names: its digest (``sha256:...``), its bytes, and its media type of OCI's."""

    digest: str
    size: int
    media_type: str

    @property
    def hexadecimal(self) -> str:
        return self.digest.partition(":")[2]


@dataclass(frozen=True)
class Manifest:
    """One image for one platform."""

    config: Blob
    layers: tuple[Blob, ...]

    def render(self) -> bytes:
        """The manifest by OCI's media types."""
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _descriptor(self.config),
            "layers": [_descriptor(layer) for layer in self.layers],
        }
        return json.dumps(document, separators=(",", ":")).encode()


@dataclass(frozen=True)
class ImageConfig:
    """What an image says of how it is run, as far as Proxmox VE makes options of that."""

    command: tuple[str, ...] = ()
    env: tuple[str, ...] = field(default=(), repr=False)


def _descriptor(blob: Blob) -> dict[str, t.Any]:
    return {"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size}


def _document(content: bytes, what: str) -> dict[str, t.Any]:
    try:
        document = json.loads(content)
        if not isinstance(document, dict):
            raise ValueError("no object")
    except UNREADABLE as error:
        raise ImageError(f"{what} is not a JSON document.", remedy="Check that it is a registry.") from error
    return document


def _type_of(document: t.Mapping[str, t.Any]) -> str:
    """Its media type; OCI's documents may leave it out."""
    told = str(document.get("mediaType") or "")
    return told or (INDEX if "manifests" in document else MANIFEST)


def is_index(content: bytes, what: str) -> bool:
    """Whether a document lists images for several platforms."""
    kind = _type_of(_document(content, what))
    if kind in (*INDEXES, *MANIFESTS):
        return kind in INDEXES
    raise ImageError(f"{what} is a {kind}, and no image that a container can be made from.")


def choose(content: bytes, architecture: str, what: str) -> Blob:
    """The manifest of an index for Linux on an architecture, as images call it."""
    found: dict[str, Blob] = {}
    for entry in _document(content, what).get("manifests") or ():
        platform = entry.get("platform") or {}
        if entry.get("mediaType", MANIFEST) in MANIFESTS and platform.get("os") == "linux":
            found.setdefault(str(platform.get("architecture")), _blob(entry, MANIFESTS, MANIFEST, what))
    if architecture not in found:
        there = ", ".join(sorted(found)) or "no platform of Linux"
        raise ImageError(f"{what} is not made for {architecture}.", remedy=f"It is made for: {there}.")
    return found[architecture]


def read_manifest(content: bytes, what: str) -> Manifest:
    """Read the manifest of one image. Raises ImageError for one that Proxmox VE cannot unpack."""
    document = _document(content, what)
    try:
        layers = tuple(_blob(entry, _LAYERS, "", what) for entry in document["layers"])
        manifest = Manifest(_blob(document["config"], _CONFIGS, CONFIG, what), layers)
    except UNREADABLE as error:
        raise ImageError(f"{what} is not a manifest of an image: {type(error).__name__}: {error}.") from error
    if not layers:
        raise ImageError(f"{what} has no layers, so there is nothing in it.")
    return manifest


def _blob(entry: t.Mapping[str, t.Any], known: t.Collection[str], media_type: str, what: str) -> Blob:
    """What an entry names; ``media_type`` is what it is called for Proxmox VE, where that is always the same."""
    told, digest, size = str(entry.get("mediaType", media_type)), str(entry["digest"]), int(entry["size"])
    if told not in known:
        raise ImageError(f"{what} has a part of type {told}, which Proxmox VE cannot unpack.")
    if not _DIGEST.fullmatch(digest):
        raise ImageError(f"{what} names a part by {digest}, which is not a SHA-256 digest.")
    if not 0 <= size < _LARGEST:
        raise ImageError(f"{what} has a part of {size} bytes, which fits into no archive.")
    return Blob(digest, size, media_type or _LAYERS[told])


def read_config(content: bytes, what: str) -> ImageConfig:
    """What runs in a container of an image: its entrypoint with its arguments, and the environment of that."""
    config = _document(content, what).get("config") or {}
    try:
        command = [*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())]
        return ImageConfig(tuple(map(str, command)), tuple(map(str, config.get("Env") or ())))
    except UNREADABLE as error:
        raise ImageError(f"The config of {what} cannot be read: {error}.") from error
