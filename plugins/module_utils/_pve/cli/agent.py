# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: commands in VMs by their guest agents, from the node itself."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Timeout
from ansible_collections.pve.provision.plugins.module_utils._pve.agent import Agent
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.commands import Commands
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.root import Root
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed
from ansible_collections.pve.provision.plugins.module_utils._pve.values import completed_of


class CliAgent:
    """Guest agents by their sockets, or by ``qm`` where there is none to be seen."""

    def __init__(self, root: Root, commands: Commands) -> None:
        self._root = root
        self._commands = commands

    def connect(self, vmid: int) -> Agent | None:
        """The agent's socket, which QEMU makes where the VM has one."""
        path = self._root.path / "run/qemu-server" / f"{vmid}.qga"
        return Agent(path, self._commands.clock) if path.is_socket() else None

    def run(self, vmid: int, argv: t.Sequence[str], *, stdin: str = "", timeout: int = 60) -> Completed:
        agent = self.connect(vmid)
        if agent is not None:
            done = agent.run(argv, stdin=stdin, timeout=timeout)
        else:
            done = self._by_qm(vmid, argv, stdin=stdin, timeout=timeout)
        if done is None:
            raise Timeout(f"{argv[0]} in VM {vmid} was not done after {timeout} s.")
        return done

    def _by_qm(self, vmid: int, argv: t.Sequence[str], *, stdin: str, timeout: int) -> Completed | None:
        line = ["qm", "guest", "exec", str(vmid), "--timeout", str(timeout), "--pass-stdin", "1", "--", *argv]
        return completed_of(self._commands.parsed(line, stdin=stdin, timeout=timeout + 30) or {})
