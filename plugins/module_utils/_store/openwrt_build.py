# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the build of an OpenWrt container template out of its verified root file system."""

from __future__ import annotations

import dataclasses
import json
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._images import cache
from ansible_collections.pve.provision.plugins.module_utils._images.checksums import hash_file
from ansible_collections.pve.provision.plugins.module_utils._images.http import shown
from ansible_collections.pve.provision.plugins.module_utils._images.inspect import inspect_archive
from ansible_collections.pve.provision.plugins.module_utils._model.secrets import slow_digest
from ansible_collections.pve.provision.plugins.module_utils._openwrt import rootfs
from ansible_collections.pve.provision.plugins.module_utils._openwrt.seed import Read, seed
from ansible_collections.pve.provision.plugins.module_utils._store.contents import check_inside
from ansible_collections.pve.provision.plugins.module_utils._store.source import Offer

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import Description


@dataclass(frozen=True)
class Defaults:
    """What is baked into a template. ``digest`` stands for the inputs and names the template, so that one of secrets is
    a slow one; ``files`` makes the files out of the root file system that they go into, and its version. ``secret``:
    nobody but root may read it."""

    digest: str
    files: t.Callable[[Read, str], rootfs.Files]
    secret: bool = False


def baked(files: rootfs.Files, *, secret: bool = False) -> Defaults | None:
    """Files that are the same whatever they go into; None when there are none."""
    digest = rootfs.defaults_digest(files)
    if digest and secret:
        digest = slow_digest(digest.encode())
    return Defaults(digest, lambda _read, _version: files, secret) if digest else None


def seeded(description: Description, files: rootfs.Files | None = None) -> Defaults:
    """What the first boot of a described router finds, and more files, which come before those."""
    text = json.dumps(dataclasses.asdict(description), sort_keys=True, default=str)
    digest = slow_digest(f"{text}\0{rootfs.defaults_digest(files or {})}".encode())
    return Defaults(digest, lambda read, version: {**seed(read, description, version), **(files or {})}, secret=True)


@dataclass(frozen=True)
class TemplateBuild:
    """The template of one architecture, with what is baked in. One of ``one_router`` alone is called so."""

    arch: str
    defaults: Defaults | None = None
    one_router: bool = False

    @property
    def family(self) -> str:
        """What the versions of this template have in common, in the records of cached files."""
        return f"openwrt/template/{self.defaults.digest if self.defaults else 'plain'}/{self.arch}"

    @property
    def closed(self) -> bool:
        """Whether what is baked in is for root's eyes alone."""
        return self.defaults is not None and self.defaults.secret

    def name(self, version: str) -> str:
        digest = self.defaults.digest if self.defaults else None
        return rootfs.template_name(version, self.arch, digest, one_router=self.one_router)

    def build(self, source: Path, offer: Offer, target: Path) -> cache.Record:
        """Write the template, and read it back as a stranger would."""
        check_inside(source, source.name, offer.release, self.arch)
        mode = 0o600 if self.closed else 0o644
        info = rootfs.build_template(source, target, self._files(source), mode=mode)
        inspect_archive(target)
        found = hash_file(target)["sha256"]
        if (found, target.stat().st_size) != (info.digest, info.size):
            cache.discard(target)
            raise ImageError(
                f"{target} was not written as it was built: its sha256 is {found}, built was {info.digest}.",
                remedy="Look at the disk it lies on.",
            )
        origin = cache.Record.read(source)
        return cache.Record(
            family=self.family,
            version=offer.release.version,
            sha256=info.digest,
            size=info.size,
            origin=offer.origin,
            url=shown(offer.artefact.url),
            signed_by=origin.signed_by if origin else "",
        )

    def _files(self, source: Path) -> rootfs.Files | None:
        if self.defaults is None:
            return None

        def read(path: str) -> bytes | None:
            return rootfs.read_files(source, [path]).get(path)

        return self.defaults.files(read, rootfs.read_release(source).version)
