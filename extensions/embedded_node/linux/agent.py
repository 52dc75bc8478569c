# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a guest's agent from running commands: the filter that it was started with, and SELinux.

Distributions of Red Hat's kind ship a filter that lets through neither ``guest-exec`` nor ``guest-file-*``. SELinux
confines the agent's commands besides, so that it starts no program that has a domain of its own; what a shell starts in
turn is not confined here.
"""

from __future__ import annotations

import re
import typing as t

from ..guest.arguments import Words, command
from ..guest.runtime import Completed, done
from . import services
from .catalog import AGENT_CONFIG, SEMODULE

if t.TYPE_CHECKING:
    from ..guest.runtime import Command, Guest
    from ..state.rootfs import GuestFiles

SERVICE = "qemu-guest-agent"
MODULES = "/var/lib/selinux/targeted/active/modules/400"
PERMISSIVE = f"{MODULES}/permissive_virt_qemu_ga_t"
#: Programs that SELinux starts in a domain of their own.
OWN_DOMAIN = frozenset(("cloud-init", "hostname", "dnf", "rpm", "systemctl", "useradd", "usermod"))
_RULES = re.compile(r"^(?:FILTER_RPC_ARGS|BLOCK_RPCS|BLACKLIST_RPC)=(.*)$", re.MULTILINE)
_STARTED_WITH = "agent-filter"


def filter_in(files: GuestFiles) -> str:
    """The filter that an agent gets that is started now."""
    return " ".join(_RULES.findall(files.read(AGENT_CONFIG)))


def started(guest: Guest, rules: str | None = None) -> None:
    """The agent has started, with the filter that is written, or with one from before."""
    guest.remember(_STARTED_WITH, filter_in(guest.files) if rules is None else rules)


def booted(guest: Guest, rules: str) -> None:
    """The guest has booted: unless something has restarted the agent since, it has the filter from before."""
    if guest.recall(_STARTED_WITH, None) is None:
        started(guest, rules)


def is_blocked(guest: Guest, name: str) -> bool:
    """Whether the agent was started without a command."""
    rules = guest.recall(_STARTED_WITH, "")
    allowed = re.search(r"--allow-rpcs=([\w,-]*)", rules)
    blocked = re.search(r"--(?:block-rpcs|blacklist)=([\w,-]*)", rules)
    return bool(allowed and name not in allowed[1].split(",")) or bool(blocked and name in blocked[1].split(","))


def is_confined(guest: Guest, program: str) -> bool:
    """Whether SELinux keeps the agent from starting a program."""
    enforces = guest.files.exists(SEMODULE) and not guest.files.exists(PERMISSIVE)
    return enforces and program.rpartition("/")[2] in OWN_DOMAIN


def _semodule(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``semodule -i FILE``, ``semodule -l``."""
    for name in words.plain if "install" in words else ():
        if not guest.files.exists(name):
            return done(rc=1, err=f"semodule:  Failed on {name}!\n")
        module = name.rpartition("/")[2].rpartition(".")[0]
        guest.files.write(f"{MODULES}/{module}", guest.files.read(name))
    folder = guest.files.resolve(MODULES)
    listed = sorted(path.name for path in folder.iterdir()) if "list" in words and folder.is_dir() else []
    return done("".join(f"{name}\n" for name in listed))


services.HOOKS.setdefault(SERVICE, []).append(started)
COMMANDS: dict[str, tuple[str | None, Command]] = {"semodule": (SEMODULE, command("i=install l=list", _semodule))}
