# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m embedded_node.openwrt.job ROOT VMID``: a background job of an OpenWrt container's shell.

What to run is read from stdin.
"""

from __future__ import annotations

import json
import sys
import typing as t

from ..guest.shell import Shell
from ..lxc import container
from ..state.root import State
from .commands import Host


def main(argv: t.Sequence[str]) -> int:
    """Run the job to its end."""
    state = State(argv[1])
    memory = json.loads(sys.stdin.read())
    guest = container.guest(state, int(argv[2]))
    shell = Shell(Host(guest, memory["started"]), memory["name"])
    shell.remember(memory)
    return shell.run(memory["script"])[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv))
