# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A runner that plays commands of a node, and the node that it is asked by."""

from __future__ import annotations

import stat
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._pve.types import (
    Completed,
)

CONTAINER = "arch: amd64\nhostname: web1\nmemory: 512\nrootfs: local:101/vm-101-disk-0.raw,size=3G\n"
LOCKED = "trying to acquire lock...\ncan't lock file '/run/lock/lxc/pve-config-101.lock' - got timeout\n"


class Script:
    """A runner that expects commands in order and plays what they do; no command may be missing or extra."""

    def __init__(self):
        self.expected = []
        self.stdin = []
        self.files = []

    def expect(
        self,
        command: str | list[str],
        rc: int = 0,
        out: str = "",
        err: str = "",
        effect: t.Callable[[], object] = lambda: None,
    ) -> Script:
        self.expected.append((command.split(" ") if isinstance(command, str) else command, rc, out, err, effect))
        return self

    def __call__(self, argv: t.Sequence[str], *, stdin: str = "", timeout: float = 60) -> Completed:
        assert self.expected, f"unexpected command: {argv}"
        assert timeout > 0
        command, rc, out, err, effect = self.expected.pop(0)
        shown = []
        for word in argv:
            if Path(word).is_file() and "pve-provision-" in word:
                mode = stat.S_IMODE(Path(word).stat().st_mode)
                self.files.append((mode, Path(word).read_text(), Path(word)))
                word = "FILE"
            shown.append(word)
        assert shown == command
        self.stdin.append(stdin)
        effect()
        return Completed(rc, out, err)


def write(root: Path, path: str, text: str):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def run_container(root: Path, vmid: int = 101):
    write(root, "proc/net/unix", f"0000: 00000002 0 00010000 0001 01 1 @/var/lib/lxc/{vmid}/command\n")
