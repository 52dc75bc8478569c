# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the ways into a running router, each a shell that reads its script from stdin."""

from __future__ import annotations

import subprocess
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._openwrt.commit_confirm import SHELL
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed

if t.TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Containers, Node


class Shell(t.Protocol):
    """Runs a script by the guest's ``sh``, fed on stdin."""

    def __call__(self, script: str, *, timeout: int) -> Completed: ...


def by_exec(containers: Containers, vmid: int) -> Shell:
    """A shell in a container, on the node."""

    def shell(script: str, *, timeout: int) -> Completed:
        return containers.exec(vmid, SHELL, stdin=script, timeout=timeout)

    return shell


def by_agent(node: Node, vmid: int) -> Shell:
    """A shell in the router by its guest agent. What goes wrong on the way has exit code 255, as with SSH."""

    def shell(script: str, *, timeout: int) -> Completed:
        try:
            return node.agent.run(vmid, SHELL, stdin=script, timeout=timeout)
        except ProvisionError as error:
            return Completed(255, "", str(error))

    return shell


def ssh(address: str, key: str, known_hosts: Path) -> Shell:
    """A shell in the router by SSH. What goes wrong with SSH itself has exit code 255, as with the program."""

    def shell(script: str, *, timeout: int) -> Completed:
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "5",
            "IdentitiesOnly": "yes",
            "LogLevel": "ERROR",
            "StrictHostKeyChecking": "accept-new",
            "UserKnownHostsFile": str(known_hosts),
        }
        argv = ["ssh", "-i", key, *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
        try:
            known_hosts.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            done = subprocess.run(
                [*argv, f"root@{address}", " ".join(SHELL)],
                input=script.encode(),
                capture_output=True,
                timeout=timeout,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return Completed(255, "", str(error))
        return Completed(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    return shell
