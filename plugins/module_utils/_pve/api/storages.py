# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: storages and what lies on them, over the API."""

from __future__ import annotations

import functools
from pathlib import Path
from urllib.parse import quote

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._model.appliances import Appliance, containers
from ansible_collections.pve.provision.plugins.module_utils._pve import config_text
from ansible_collections.pve.provision.plugins.module_utils._pve.api.requests import Requests
from ansible_collections.pve.provision.plugins.module_utils._pve.multipart import Multipart
from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig, Outcome, Storage, Volume
from ansible_collections.pve.provision.plugins.module_utils._pve.values import (
    content_types,
    flag,
    volumes_of,
    whole_number,
)


class ApiStorages:
    """The storages of the node."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def all(self) -> list[Storage]:
        return [
            Storage(
                name=entry["storage"],
                type=entry.get("type", ""),
                content=content_types(entry.get("content")),
                active=flag(entry.get("active")),
                enabled=flag(entry.get("enabled", 1)),
                shared=flag(entry.get("shared")),
                total=whole_number(entry.get("total")),
                used=whole_number(entry.get("used")),
                available=whole_number(entry.get("avail")),
            )
            for entry in self._requests.ask("GET", f"/nodes/{self._requests.node}/storage") or []
        ]

    def volumes(self, storage: str, content: str | None = None) -> list[Volume]:
        return volumes_of(
            self._requests.ask("GET", f"/nodes/{self._requests.node}/storage/{storage}/content", {"content": content})
        )

    def backup_config(self, volid: str) -> GuestConfig:
        text = self._requests.ask("GET", f"/nodes/{self._requests.node}/vzdump/extractconfig", {"volume": volid})
        return config_text.parse_guest_config(str(text).encode())

    def appliances(self) -> list[Appliance]:
        return containers(self._requests.ask("GET", f"/nodes/{self._requests.node}/aplinfo") or [])

    def free(self, volid: str) -> None:
        self._requests.act(f"free {volid}", "DELETE", self._path(volid))

    def unprotect(self, volid: str) -> None:
        """Let a backup be removed."""
        self._requests.ask("PUT", self._path(volid), {"protected": 0})

    def _path(self, volid: str) -> str:
        return f"/nodes/{self._requests.node}/storage/{volid.partition(':')[0]}/content/{quote(volid, safe=':')}"

    def download_url(
        self, storage: str, content: str, filename: str, url: str, *, checksum: tuple[str, str] | None, timeout: int
    ) -> Outcome:
        algorithm, digest = checksum or (None, None)
        values = {
            "content": content,
            "filename": filename,
            "url": url,
            "checksum": digest,
            "checksum-algorithm": algorithm,
        }
        path = f"/nodes/{self._requests.node}/storage/{storage}/download-url"
        return self._requests.act(f"download {filename} to {storage}", "POST", path, values, timeout=timeout)

    def upload(self, storage: str, content: str, path: str, filename: str, *, timeout: int) -> Outcome:
        target = f"/nodes/{self._requests.node}/storage/{storage}/upload"
        try:
            with Multipart({"content": content}, "filename", Path(path), filename) as body:
                ask = functools.partial(self._requests.upload, target, body)
                return self._requests.act_by(f"upload {filename} to {storage}", ask, timeout)
        except OSError as error:
            raise PveError(f"upload {filename} to {storage}: {error}") from error


class ApiDownloads:
    """What the node fetches by itself."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def appliance(self, storage: str, template: str, *, timeout: int) -> Outcome:
        values = {"storage": storage, "template": template}
        path = f"/nodes/{self._requests.node}/aplinfo"
        return self._requests.act(f"download {template} to {storage}", "POST", path, values, timeout=timeout)

    def size(self, url: str) -> int | None:
        """None also where this login may not send PVE there."""
        try:
            told = self._requests.ask("GET", f"/nodes/{self._requests.node}/query-url-metadata", {"url": url}) or {}
        except PveError:
            return None
        return whole_number(told.get("size"))
