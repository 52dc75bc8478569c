# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what VMs are told by cloud-init, over the API."""

from __future__ import annotations

from ansible_collections.pve.provision.plugins.module_utils._pve.api.bytes_as_text import told
from ansible_collections.pve.provision.plugins.module_utils._pve.api.requests import Requests
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Outcome


class ApiCloudInit:
    """What PVE makes of the options of VMs."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def dump(self, vmid: int, part: str) -> str:
        path = self._requests.path("qemu", vmid, "cloudinit", "dump")
        return told(str(self._requests.ask("GET", path, {"type": part}) or "")).rstrip("\n") + "\n"

    def regenerate(self, vmid: int) -> Outcome:
        path = self._requests.path("qemu", vmid, "cloudinit")
        return self._requests.act(f"cloudinit update {vmid}", "PUT", path)
