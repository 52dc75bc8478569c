# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: an OCI image as one file, an image layout in a tar archive, as Proxmox VE unpacks it.

The same image always makes the same bytes, so that their number is known before the first of them is fetched.
"""

from __future__ import annotations

import io
import json
import tarfile
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._images.oci.manifest import (
    DOCUMENT_BYTES,
    MANIFEST,
    Blob,
    Manifest,
    digest_of,
    read_manifest,
)

_BLOCK: t.Final = tarfile.BLOCKSIZE
_FOLDERS: t.Final = ("blobs/", "blobs/sha256/")
_COPY: t.Final = 4 << 20


def documents(manifest: Manifest) -> dict[str, bytes]:
    """What an archive holds besides the config and the layers of its image."""
    content = manifest.render()
    digest = digest_of(content)
    entry = {"mediaType": MANIFEST, "digest": digest, "size": len(content)}
    index = {"schemaVersion": 2, "manifests": [entry]}
    return {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps(index, separators=(",", ":")).encode(),
        _path(Blob(digest, len(content), MANIFEST)): content,
    }


def parts_of(manifest: Manifest) -> tuple[Blob, ...]:
    """The blobs of an image, each once: some have the same layer twice."""
    return tuple({blob.digest: blob for blob in (manifest.config, *manifest.layers)}.values())


def archive_size(manifest: Manifest) -> int:
    """How many bytes the archive of an image has."""
    sizes = [len(content) for content in documents(manifest).values()]
    sizes += [blob.size for blob in parts_of(manifest)]
    members = _BLOCK * len(_FOLDERS) + sum(_BLOCK + -(-size // _BLOCK) * _BLOCK for size in sizes)
    return -(-(members + 2 * _BLOCK) // tarfile.RECORDSIZE) * tarfile.RECORDSIZE


def write_archive(target: t.BinaryIO, manifest: Manifest, blobs: t.Mapping[str, Path]) -> None:
    """Write an image; ``blobs`` are the files of its parts by their digests."""
    with tarfile.TarFile(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT, copybufsize=_COPY) as tar:
        for folder in _FOLDERS:
            tar.addfile(_member(folder, 0, tarfile.DIRTYPE, 0o755))
        for name, content in documents(manifest).items():
            tar.addfile(_member(name, len(content)), io.BytesIO(content))
        for blob in parts_of(manifest):
            with blobs[blob.digest].open("rb") as file:
                tar.addfile(_member(_path(blob), blob.size), file)


def read_archive(path: Path) -> tuple[bytes, bytes]:
    """The manifest and the config of the image in an archive. LookupError says why there is none that can be read."""
    try:
        with tarfile.open(path, "r:") as tar:
            index = json.loads(_content(tar, "index.json"))
            manifest = _content(tar, _path(Blob(str(index["manifests"][0]["digest"]), 0, MANIFEST)))
            return manifest, _content(tar, _path(read_manifest(manifest, path.name).config))
    except (OSError, tarfile.TarError, ValueError, TypeError) as error:
        raise LookupError(str(error)) from error


def _content(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    return file.read(DOCUMENT_BYTES) if file else b""


def _path(blob: Blob) -> str:
    return f"blobs/sha256/{blob.hexadecimal}"


def _member(name: str, size: int, kind: bytes = tarfile.REGTYPE, mode: int = 0o644) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name.rstrip("/"))
    member.size, member.type, member.mode = size, kind, mode
    return member
