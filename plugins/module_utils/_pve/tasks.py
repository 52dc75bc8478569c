# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: PVE's tasks: read an UPID, wait for its end, say why it failed."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    ProvisionError,
    TaskFailed,
    Timeout,
    Unreachable,
)
from ansible_collections.pve.provision.plugins.module_utils._io.clock import Clock, poll
from ansible_collections.pve.provision.plugins.module_utils._pve import error_messages
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Outcome

#: Pauses (s) before a task is asked for. PVE's take a fifth of a second at least; asking sooner only keeps it busy.
PAUSES = (0.2, 2.0)
#: Seconds that a task of a type takes at least, as measured on a real node: who asks before that asks in vain.
_LEAST: t.Final = {"qmcreate": 0.5, "vzcreate": 0.5, "vzstart": 0.8, "vzstop": 1.1, "vzshutdown": 1.1}
# How long (s) the API may be silent while a task runs: a node's services restart in less.
_SILENCE = 60.0
_UNSEEN = "The task may still end well: look at it on the node, and run again when it has ended."


@dataclass(frozen=True)
class Upid:
    """The name of a task: ``UPID:NODE:PID:PSTART:STARTED:TYPE:ID:USER:``, numbers in hexadecimal."""

    text: str
    node: str
    pid: int
    pstart: int
    started: int
    type: str
    id: str
    user: str

    @classmethod
    def parse(cls, text: str) -> Upid:
        """ValueError when the text names no task."""
        head, *rest = text.strip().split(":")
        if head != "UPID" or len(rest) != 8 or rest[7]:
            raise ValueError(f"{text!r} is not the name of a task")
        node, pid, pstart, started, kind, identity, user = rest[:7]
        return cls(text.strip(), node, int(pid, 16), int(pstart, 16), int(started, 16), kind, identity, user)


class Tasks(t.Protocol):
    """Where a task's state is asked for."""

    def task_status(self, upid: Upid) -> t.Mapping[str, t.Any]: ...

    def task_log(self, upid: Upid) -> list[str]: ...


def shows_running(upid: str | None) -> bool:
    """Whether the end of a task shows that a guest runs. QEMU is asked by the task that starts it; a container's init
    may end at once, and of a guest under HA PVE only takes note."""
    return upid is not None and Upid.parse(upid).type == "qmstart"


def succeeded(exitstatus: str) -> bool:
    """Whether a task's ending is a success: ``OK``, or ``WARNINGS: n``."""
    return exitstatus == "OK" or exitstatus.startswith("WARNINGS")


def wait(tasks: Tasks, upid: Upid, *, step: str, timeout: float, clock: Clock) -> Outcome:
    """Wait until a task has ended, at most ``timeout`` (s).

    Its log is read only when it has something to say: after a failure or warnings. Raises what PVE's words mean
    (TaskFailed when they mean nothing special), Timeout, or what kept its state from being seen: at once where PVE
    refuses to tell, after a minute where nobody answers.
    """
    heard = clock.now()

    def ask() -> t.Mapping[str, t.Any]:
        nonlocal heard
        try:
            status = tasks.task_status(upid)
        except ProvisionError as error:
            if _may_pass(error) and clock.now() - heard <= _SILENCE:
                return {}
            error.message = f"{step}: {error.message}"
            error.remedy = f"{error.remedy} {_UNSEEN}".strip()
            error.details["upid"] = upid.text
            raise
        heard = clock.now()
        return status

    def ended(status: t.Mapping[str, t.Any]) -> bool:
        return bool(status.get("status") == "stopped")

    clock.sleep(min(_LEAST.get(upid.type, PAUSES[0]), timeout))
    status = poll(ask, ended, timeout=timeout, clock=clock, pauses=PAUSES)
    if not ended(status):
        raise Timeout(
            f"{step}: the task {upid.text} did not end within {timeout:.0f} s.",
            remedy=f"{_UNSEEN} Or raise timeout.",
            upid=upid.text,
        )
    return _ending(tasks, upid, step, str(status.get("exitstatus", "ended without output")))


def _may_pass(error: ProvisionError) -> bool:
    """Whether a state that could not be read may be told the next time: nobody answered, or PVE failed over it."""
    return isinstance(error, Unreachable | Timeout) or error.details.get("status", 0) >= 500


def _ending(tasks: Tasks, upid: Upid, step: str, exitstatus: str) -> Outcome:
    if exitstatus == "OK":
        return Outcome(upid=upid.text)
    log: tuple[str, ...] = ()
    with contextlib.suppress(ProvisionError):  # how the task ended is known without
        log = tuple(tasks.task_log(upid))
    if succeeded(exitstatus):
        return Outcome(log, error_messages.warnings_of("\n".join(log)) or (exitstatus,), upid.text)
    tail = error_messages.tail_of(log)
    raise error_messages.error_of(step, exitstatus, otherwise=TaskFailed, log_tail=tail, upid=upid.text, log=tail)
