# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: speak to the guest agent of a VM by its socket, as PVE itself does, without its start-up.

The protocol is a line of JSON each way. Whoever connects may find the rest of somebody else's talk, so each connection
begins with a mark and a number that the agent sends back. QEMU lets in one caller at a time, and PVE is one, too, so
that none is kept for longer than one answer takes.
"""

from __future__ import annotations

import base64
import contextlib
import json
import random
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError, Timeout
from ansible_collections.pve.provision.plugins.module_utils._io.clock import Clock, poll
from ansible_collections.pve.provision.plugins.module_utils._io.unix_socket import connected
from ansible_collections.pve.provision.plugins.module_utils._pve.error_messages import error_of
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed

_MARK = b"\xff"
# For how many seconds an agent that runs may take to answer that it does.
_ANSWERS_WITHIN = 3.0
# And to an answer that costs it nothing.
_ANSWER = 30.0
_PAUSES = (0.02, 0.5)
_SILENT: t.Final = "QEMU guest agent is not running"
# What an agent says to all but a few commands while a backup has its file systems frozen.
_FROZEN: t.Final = "in frozen state"


class Agent:
    """One VM's agent."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def interfaces(self, *, timeout: float = 10) -> t.Any:
        """The guest's interfaces, as PVE tells them."""
        with self._connected(timeout) as ask:
            return ask("guest-network-get-interfaces")

    def run(self, argv: t.Sequence[str], *, stdin: str, timeout: float) -> Completed | None:
        """Run a command in the guest; None when it goes on after ``timeout`` (s)."""
        arguments = {"path": argv[0], "arg": list(argv[1:]), "capture-output": True}
        given = {"input-data": base64.b64encode(stdin.encode()).decode()} if stdin else {}
        with self._connected(_ANSWER) as ask:
            pid = ask("guest-exec", **arguments, **given)["pid"]
        done = poll(
            lambda: self._status(pid),
            lambda status: status.get("exited"),
            timeout=timeout,
            clock=self._clock,
            pauses=_PAUSES,
        )
        if not done.get("exited"):
            return None
        out, err = (base64.b64decode(done.get(name, "")).decode(errors="replace") for name in ("out-data", "err-data"))
        return Completed(int(done.get("exitcode", 128 + int(done.get("signal") or 0))), out, err)

    def _status(self, pid: int) -> dict[str, t.Any]:
        """How a command stands. While the agent has no ear for that, the command goes on."""
        try:
            with self._connected(_ANSWER) as ask:
                return t.cast("dict[str, t.Any]", ask("guest-exec-status", pid=pid))
        except PveError as error:
            if _SILENT in error.message or _FROZEN in error.message:
                return {}
            raise

    @contextlib.contextmanager
    def _connected(self, timeout: float) -> t.Iterator[t.Callable[..., t.Any]]:
        with contextlib.ExitStack() as stack:
            try:
                yield self._connect(stack, timeout)
            except TimeoutError as error:
                raise Timeout(f"The guest agent behind {self._path} gave no answer in time.") from error
            except OSError as error:
                raise PveError(f"The guest agent behind {self._path}: {error}") from error

    def _connect(self, stack: contextlib.ExitStack, timeout: float) -> t.Callable[..., t.Any]:
        link, answers = connected(stack, self._path, _ANSWERS_WITHIN)

        def send(command: str, arguments: t.Mapping[str, t.Any]) -> None:
            link.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")

        def ask(command: str, **arguments: t.Any) -> t.Any:
            send(command, arguments)
            return _answer(answers.readline(), command)

        number = random.randrange(1 << 31)
        link.sendall(_MARK)
        send("guest-sync-delimited", {"id": number})
        try:
            self._await_mark(answers, number)
        except TimeoutError as error:
            raise PveError(_SILENT, remedy="Start it in the guest.") from error
        link.settimeout(timeout)
        return ask

    @staticmethod
    def _await_mark(answers: t.BinaryIO, number: int) -> None:
        """Read over what was meant for somebody else."""
        for line in answers:
            with contextlib.suppress(ValueError):
                if json.loads(line.rpartition(_MARK)[2]) == {"return": number}:
                    return
        raise PveError("The guest agent hung up.")


def _answer(line: bytes, command: str) -> t.Any:
    """What an answer holds. It is the guest's, which may say anything."""
    if not line:
        raise PveError(f"The guest agent hung up at {command}.")
    with contextlib.suppress(ValueError):
        match json.loads(line):
            case {"error": {"desc": words}} | {"error": words}:
                raise error_of("Agent error", str(words))
            case {"return": told}:
                return told
    raise PveError(f"The guest agent answered {command} with something else than JSON of its protocol.")
