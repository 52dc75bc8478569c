# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what the kernel and the agents know of running guests."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._model.network import NET
from ansible_collections.pve.provision.plugins.module_utils._pve import kernel
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.agent import CliAgent
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.commands import Commands
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.lines_read import LinesRead, as_lxc
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.root import Root
from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig, Kind
from ansible_collections.pve.provision.plugins.module_utils._pve.values import interfaces_of


class CliRunning:
    """What running guests are, beyond their configs."""

    def __init__(self, root: Root, commands: Commands, agent: CliAgent) -> None:
        self._root = root
        self._commands = commands
        self._agent = agent
        self._lines = LinesRead(root)

    def interfaces(self, kind: Kind, vmid: int) -> list[dict[str, t.Any]]:
        """A container's are told by the kernel, a VM's by its agent, which costs next to nothing; else PVE is asked."""
        process = kernel.first_process(self._root.path, vmid) if kind == "lxc" else None
        if process is not None:
            argv = ["nsenter", "-t", str(process), "-n", "ip", "-j", "addr", "show"]
            return kernel.addresses_of(self._commands.parsed(argv) or [])
        if kind == "qemu" and (agent := self._agent.connect(vmid)):
            return interfaces_of(agent.interfaces())
        tail = "interfaces" if kind == "lxc" else "agent/network-get-interfaces"
        answer = self._commands.json(["pvesh", "get", f"/nodes/{self._root.node}/{kind}/{vmid}/{tail}"])
        return interfaces_of(answer)

    def local_addresses(self, vmid: int) -> frozenset[str] | None:
        process = kernel.first_process(self._root.path, vmid)
        return frozenset() if process is None else kernel.local_addresses(self._root.path, process)

    def outdated(self, kind: Kind, vmid: int, config: GuestConfig) -> dict[str, str]:
        if kind != "lxc":
            return {}
        found = {}
        for key, text in config.live.items():
            mtu = NET.parse(text).get("mtu") if key.startswith("net") and key[3:].isdigit() else None
            if mtu and kernel.device_mtu(self._root.path, vmid, key[3:]) not in (None, mtu):
                found[key] = text
        read = self._lines.of(vmid) if "lxc" in config.live else None
        if read is not None and not as_lxc(config.live["lxc"]) <= read:
            found["lxc"] = config.live["lxc"]
        # One that PVE does not manage gives itself its name.
        name = config.live.get("hostname") if config.live.get("ostype") != "unmanaged" else None
        if name and self._written_since_start(vmid):
            process = kernel.first_process(self._root.path, vmid)
            if process is not None and kernel.host_name(self._root.path, process) not in (None, name):
                found["hostname"] = name
        return found

    def _written_since_start(self, vmid: int) -> bool:
        """Whether a container's config was written after its start, when its control group was made: else a name that
        differs is its own doing. The cluster file system keeps whole seconds."""
        started = kernel.time_of(f"{self._root.path}/sys/fs/cgroup/lxc/{vmid}")
        written = kernel.time_of(f"{self._root.path}/{self._root.config_path('lxc', vmid)}")
        return started is not None and written is not None and written >= int(started)
