# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: commands in VMs by their guest agents, over the API."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError, Timeout
from ansible_collections.pve.provision.plugins.module_utils._io.clock import poll
from ansible_collections.pve.provision.plugins.module_utils._pve.api.bytes_as_text import sent, told
from ansible_collections.pve.provision.plugins.module_utils._pve.api.requests import Requests
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed
from ansible_collections.pve.provision.plugins.module_utils._pve.values import completed_of

# PVE takes no more characters on standard input than that at once; what is longer goes in such parts.
MOST: t.Final = 64 * 1024
PART: t.Final = 48 * 1024
_TAKE: t.Final = ("sh", "-c", 'cat >> "$1"', "sh")
# The file, which may hold what is secret, is open and gone when the command begins.
_FEED: t.Final = ("sh", "-c", '{ rm -f "$1"; shift; "$@"; } < "$1"', "sh")
_DROP: t.Final = ("rm", "-f")


class ApiAgent:
    """Guest agents, asked by PVE."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def run(self, vmid: int, argv: t.Sequence[str], *, stdin: str = "", timeout: int = 60) -> Completed:
        given = sent(stdin)
        if len(given) <= MOST:
            return self._run(vmid, argv, given, timeout)
        deadline = self._requests.clock.now() + timeout

        def run(argv: t.Sequence[str], part: str = "") -> Completed:
            return self._run(vmid, argv, part, deadline - self._requests.clock.now())

        made = run(["mktemp"])
        if made.rc:
            return made
        path = made.stdout.strip()

        def drop() -> None:
            with contextlib.suppress(ProvisionError):
                run([*_DROP, path])

        with contextlib.ExitStack() as unless_begun:
            unless_begun.callback(drop)
            for at in range(0, len(given), PART):
                done = run([*_TAKE, path], given[at : at + PART])
                if done.rc:
                    return done
            done = run([*_FEED, path, *argv])
            unless_begun.pop_all()
            return done

    def _run(self, vmid: int, argv: t.Sequence[str], given: str, timeout: float) -> Completed:
        values = {"command": list(argv), "input-data": given or None}
        pid = self._requests.ask("POST", self._requests.path("qemu", vmid, "agent", "exec"), values)["pid"]
        status = self._requests.path("qemu", vmid, "agent", "exec-status")
        done = poll(
            lambda: completed_of(self._requests.ask("GET", status, {"pid": pid})),
            lambda done: done is not None,
            timeout=timeout,
            clock=self._requests.clock,
            pauses=(0.1, 1.0),
        )
        if done is None:
            raise Timeout(f"{argv[0]} in VM {vmid} was not done after {timeout:.0f} s.")
        return Completed(done.rc, told(done.stdout), told(done.stderr))
