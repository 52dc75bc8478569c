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
from ansible_collections.pve.provision.plugins.module_utils._images import verify
from ansible_collections.pve.provision.plugins.module_utils._images.http import shown
from ansible_collections.pve.provision.plugins.module_utils._pve import privileges
from ansible_collections.pve.provision.plugins.module_utils._store.run import Run, Store
from ansible_collections.pve.provision.plugins.module_utils._store.source import Offer

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Volume


class OverApi(Run):
    """The storages are elsewhere: known by names and sizes."""

    def carry_out(self) -> None:
        offer = self._ask()
        if isinstance(offer, ProvisionError):
            raise offer
        self.result.version = offer.release.version
        with tempfile.TemporaryDirectory(prefix="pve-provision-") as folder:
            for place in self._places:
                volid = place.volid(self._wanted.content, offer.name)
                there = {v.volid: v for v in self._node.volumes(place.storage.name, self._wanted.content)}.get(volid)
                if there:
                    self.result.before.append(volid)
                if self._wanted.state == "absent":
                    self._remove(there, offer)
                    continue
                self.result.after.append(volid)
                if there and not self._wanted.force:
                    self._keep(place, there, offer)
                    continue
                self._tell(place, offer.name, self._send(place, volid, offer, Path(folder), there is not None))

    def _remove(self, there: Volume | None, offer: Offer) -> None:
        """Nothing tells who put a file there; one that cannot be the image is not removed."""
        if there is None:
            return
        if not self._wanted.force and not self._may_be(there, offer):
            self.result.after.append(there.volid)
            self.result.warnings.append(f"{there.volid} stays: it has another size than the image.")
            return
        self._step("remove", volid=there.volid)
        storage = there.volid.partition(":")[0]
        privileges.require(self._node, privileges.file_needs("remove", storage, self._node.name))
        self.result.freed += there.size
        if not self._check_mode:
            self._node.free(there.volid)

    def _keep(self, place: Store, there: Volume, offer: Offer) -> None:
        if not self._may_be(there, offer):
            raise VerificationError(
                f"{there.volid} has {there.size} bytes, the image has {offer.artefact.size}; it is neither used nor"
                " overwritten.",
                remedy="Move it away, or set force: true to replace it.",
            )
        if self._fetcher.policy is verify.Policy.REQUIRED:
            self.result.warnings.append(
                f"{there.volid} is known by its name and size alone, as no file can be read over the API: no signature"
                " was checked in this run."
            )
        self._tell(place, offer.name, "kept", size=there.size)

    def _may_be(self, there: Volume, offer: Offer) -> bool:
        """Whether a file can be the image by its size, where that is known."""
        plain = self._wanted.content == "vztmpl" or not offer.artefact.compression
        return not plain or offer.artefact.size in (None, there.size)

    def _send(self, place: Store, volid: str, offer: Offer, folder: Path, replace: bool) -> str:
        """Let PVE fetch the file where that fits, else fetch, verify and unpack it here and upload it.

        What is replaced is removed only when what takes its place is here, and verified. An address with a login or a
        query is not told to PVE, which would write it into its logs.
        """
        wanted, artefact = self._wanted, offer.artefact
        storage = place.storage.name
        expected = self._fetcher.expect(offer)
        direct_fits = (
            not replace
            and wanted.source != "file"
            and (wanted.content == "vztmpl" or not artefact.compression)
            and artefact.digest is not None
            and artefact.signature is None
            and artefact.url == shown(artefact.url)
        )
        how: t.Literal["download", "upload"] = "download" if direct_fits else "upload"
        self._step(how, url=shown(artefact.url), storage=storage, name=offer.name)
        privileges.require(self._node, privileges.file_needs(how, storage, self._node.name))
        if self._check_mode:
            return how
        if direct_fits:
            self._node.download_url(
                storage, wanted.content, offer.name, artefact.url, checksum=expected.digest, timeout=wanted.timeout
            )
            return how
        local = folder / offer.name
        if not local.exists():
            _record, self.result.transferred = self._fetcher.fetch(offer, local, overwrite=True)
        if replace:
            self._node.free(volid)
        self._node.upload(storage, wanted.content, str(local), offer.name, timeout=wanted.timeout)
        return how
