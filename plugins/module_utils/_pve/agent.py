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
from ansible_collections.pve.provision.plugins.module_utils._pve.values import completed_of

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
            match ask("guest-exec", **arguments, **given):
                case {"pid": int(pid)}:
                    pass
                case _:
                    raise _not_its_protocol("guest-exec")
        done = poll(
            lambda: self._status(pid),
            lambda status: status.get("exited"),
            timeout=timeout,
            clock=self._clock,
            pauses=_PAUSES,
        )
        try:
            return completed_of({**done, **{name: _decoded(done.get(name) or "") for name in ("out-data", "err-data")}})
        except (TypeError, ValueError) as error:
            raise _not_its_protocol("guest-exec-status") from error

    def _status(self, pid: int) -> dict[str, t.Any]:
        """Whether a command has ended, and how. While the agent does not answer that, the command is still running."""
        try:
            with self._connected(_ANSWER) as ask:
                status = ask("guest-exec-status", pid=pid)
        except PveError as error:
            if _SILENT in error.message or _FROZEN in error.message:
                return {}
            raise
        if not isinstance(status, dict):
            raise _not_its_protocol("guest-exec-status")
        return status

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
    raise _not_its_protocol(command)


def _not_its_protocol(command: str) -> PveError:
    return PveError(
        f"The guest agent answered {command} with something else than JSON of its protocol.",
        remedy="Update qemu-guest-agent in the guest, and start it again.",
    )


def _decoded(text: str) -> str:
    """What a command has written. Raises TypeError or ValueError for what is no base64."""
    return base64.b64decode(text, validate=True).decode(errors="replace")
