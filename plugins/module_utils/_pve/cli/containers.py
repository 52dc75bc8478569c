# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: reach into containers from the node."""

from __future__ import annotations

import hashlib
import re
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import Conflict
from ansible_collections.pve.provision.plugins.module_utils._pve import error_messages
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.commands import Commands, failure_of, outcome_of
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.guests import CliGuests
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.root import Root
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.storages import CliStorages
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed, Outcome

# e2fsck found nothing, or mended what it found.
_CHECKED = frozenset({0, 1, 2})
# Grows a mounted file system, which resize2fs has to see mounted; nobody else sees this mount.
_GROW = 'mount --make-rprivate / && mount "$1" /tmp && resize2fs "$1"'


class CliContainers:
    """The inside of containers."""

    def __init__(self, root: Root, commands: Commands, guests: CliGuests, storages: CliStorages) -> None:
        self._root = root
        self._commands = commands
        self._guests = guests
        self._storages = storages

    def exec(self, vmid: int, argv: t.Sequence[str], *, stdin: str = "", timeout: int = 60) -> Completed:
        """Run a command in a running container; its exit code is handed back, pct's own failures are raised. What the
        environment of this run says is nobody's business there."""
        self._must_run(vmid)
        line = ["pct", "exec", str(vmid), "--keep-env", "0", "--", *argv]
        done = self._commands.start(line, stdin=stdin, timeout=timeout)
        if done.rc and re.search(r"^Configuration file '.*' does not exist$|^container '\d+' not running", done.stderr):
            raise failure_of(f"pct exec {vmid}", done.rc, done.stdout, done.stderr)
        return done

    def _must_run(self, vmid: int) -> None:
        if self._guests.status("lxc", vmid) != "running":
            raise Conflict(f"CT {vmid} is not running.", remedy="Start it first.", reason="not_running")

    def push(self, vmid: int, source: str, target: str, *, mode: str = "0644") -> None:
        argv = ["pct", "push", str(vmid), source, target, "--perms", mode]
        done = self._transfer(argv, vmid)
        if error_messages.words_of(done.stderr) and not self._has_arrived(vmid, Path(source), target):
            raise failure_of(" ".join(argv[:5]), done.rc, done.stdout, done.stderr)

    def _has_arrived(self, vmid: int, source: Path, target: str) -> bool:
        """Whether a file in a running container holds what a file of the node does."""
        if not source.is_file():
            return False
        inside = self.exec(vmid, ["sha256sum", target]).stdout.split()
        return inside[:1] == [hashlib.sha256(source.read_bytes()).hexdigest()]

    def pull(self, vmid: int, source: str, target: str) -> None:
        argv = ["pct", "pull", str(vmid), source, target]
        partial = Path(f"{target}.part")
        partial.unlink(missing_ok=True)
        done = self._transfer([*argv[:-1], str(partial)], vmid)
        if not partial.exists():
            raise failure_of(" ".join(argv), done.rc, done.stdout, done.stderr)
        partial.replace(target)

    def _transfer(self, argv: t.Sequence[str], vmid: int) -> Completed:
        """Push or pull. Both fail with exit code 0, and what they say may have to do with something else."""
        self._must_run(vmid)
        return self._commands.run(argv)

    def mount(self, vmid: int) -> str:
        self._commands.write(["pct", "mount", str(vmid)])
        return str(self._root.path / "var/lib/lxc" / str(vmid) / "rootfs")

    def unmount(self, vmid: int) -> None:
        self._commands.write(["pct", "unmount", str(vmid)])

    def grow_filesystem(self, vmid: int, disk: str, *, timeout: int) -> Outcome:
        """As PVE does it: of a running container in a mount namespace of our own, where resize2fs can see it mounted;
        of a stopped one after a check. That may wait for as long as a killed one's mount counts (MMP)."""
        volid = self._guests.known("lxc", vmid).live.get(disk, "").partition(",")[0]
        path = self._storages.volume_path(volid)
        if self._guests.status("lxc", vmid) == "stopped":
            checked = self._commands.start(["e2fsck", "-f", "-y", path], timeout=timeout)
            if checked.rc not in _CHECKED:
                raise failure_of(f"e2fsck {path}", checked.rc, checked.stdout, checked.stderr)
            return outcome_of(self._commands.run(["resize2fs", path], timeout=timeout))
        if not path.startswith("/dev/"):
            found = self._commands.run(
                ["losetup", "--noheadings", "--output", "NAME", "--associated", path], timeout=timeout
            )
            path = found.stdout.split()[0] if found.stdout.split() else path
            self._commands.run(["losetup", "--set-capacity", path], timeout=timeout)
        return outcome_of(self._commands.run(["unshare", "-m", "--", "sh", "-c", _GROW, "sh", path], timeout=timeout))
