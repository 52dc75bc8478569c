# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the ways into a running guest, each a shell that reads its script from stdin."""

from __future__ import annotations

import subprocess
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._pve.error_messages import refuses_commands
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed

if t.TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Containers, Node

SHELL: t.Final = ("sh", "-s")
# What is not come to, or goes wrong on the way into a guest, has this exit code, which no program can have.
NO_ANSWER: t.Final = -1

SSH_AGENT: t.Final = "agent"
"""What stands for a key where those of the SSH agent are taken, such as the one that AWX starts for a job."""


class Shell(t.Protocol):
    """Runs a script by the guest's ``sh``, fed on stdin."""

    def __call__(self, script: str, *, timeout: int) -> Completed: ...


def by_exec(containers: Containers, vmid: int) -> Shell:
    """A shell in a container, on the node."""

    def shell(script: str, *, timeout: int) -> Completed:
        return containers.exec(vmid, SHELL, stdin=script, timeout=timeout)

    return shell


def by_agent(node: Node, vmid: int) -> Shell:
    """A shell in the guest by its guest agent. What goes wrong on the way has the exit code ``NO_ANSWER``."""

    def shell(script: str, *, timeout: int) -> Completed:
        try:
            return node.agent.run(vmid, SHELL, stdin=script, timeout=timeout)
        except ProvisionError as error:
            return Completed(NO_ANSWER, "", str(error))

    return shell


def either(first: Shell, second: t.Callable[[], Shell]) -> Shell:
    """A shell by a guest agent, and by another way where that runs no commands."""

    def shell(script: str, *, timeout: int) -> Completed:
        done = first(script, timeout=timeout)
        if done.rc != NO_ANSWER or not refuses_commands(done.stderr):
            return done
        try:
            return second()(script, timeout=timeout)
        except ProvisionError as error:
            return Completed(NO_ANSWER, "", f"{done.stderr} {error}")

    return shell


def ssh(address: str, key: str, known_hosts: Path) -> Shell:
    """A shell in the guest by SSH. Where SSH itself cannot be had, the exit code is ``NO_ANSWER``.

    ``key``: the path of a private key, or ``SSH_AGENT``.
    """

    def shell(script: str, *, timeout: int) -> Completed:
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "5",
            "IdentitiesOnly": "no" if key == SSH_AGENT else "yes",
            "LogLevel": "ERROR",
            "StrictHostKeyChecking": "accept-new",
            "UserKnownHostsFile": str(known_hosts),
        }
        identity = [] if key == SSH_AGENT else ["-i", key]
        argv = ["ssh", *identity, *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
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
            return Completed(NO_ANSWER, "", str(error))
        return Completed(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    return shell
