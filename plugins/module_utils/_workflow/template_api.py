# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: an image on storages that are elsewhere, known by the names and sizes of their files."""

from __future__ import annotations

import tempfile
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    ProvisionError,
    VerificationError,
)
from ansible_collections.pve.provision.plugins.module_utils._workflow import permissions
from ansible_collections.pve.provision.plugins.module_utils._workflow.template_run import Run, Store
from ansible_collections.pve.provision.plugins.module_utils._workflow.template_source import Offer

if t.TYPE_CHECKING:
    pass


class OverApi(Run):
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
                        permissions.require(
                            self._node, permissions.file_needs("remove", place.storage.name, self._node.name)
                        )
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
        how: t.Literal["download", "upload"] = "download" if direct_fits else "upload"
        self._step(how, url=artefact.url, storage=storage, name=offer.name)
        permissions.require(self._node, permissions.file_needs(how, storage, self._node.name))
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
