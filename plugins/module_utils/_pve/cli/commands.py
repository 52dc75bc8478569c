# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: start commands on the node. Secrets stay off their lines, failures become errors."""

from __future__ import annotations

import contextlib
import json
import tempfile
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Finding,
    InvalidInput,
    PveError,
    Unsupported,
)
from ansible_collections.pve.provision.plugins.module_utils._io.clock import Clock, retry
from ansible_collections.pve.provision.plugins.module_utils._pve import error_messages
from ansible_collections.pve.provision.plugins.module_utils._pve.processes import Runner
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed, Kind, Outcome

COMMAND: t.Final[dict[Kind, str]] = {"lxc": "pct", "qemu": "qm"}

# Options whose value PVE reads twice from standard input when they come last and without one.
_SECRETS = ("password", "cipassword")
# Options whose value is the name of a file with the text.
_FILES = ("ssh-public-keys", "sshkeys")


class Commands:
    """Commands on the node. ``timeout`` (s) bounds those that are given none of their own."""

    def __init__(self, runner: Runner, timeout: int, clock: Clock) -> None:
        self.start = runner
        self.timeout = timeout
        self.clock = clock

    def run(
        self,
        argv: t.Sequence[str],
        *,
        timeout: float | None = None,
        stdin: str = "",
        secrets: t.Sequence[str] = (),
        logs: bool = True,
    ) -> Completed:
        """Run a command; its failure becomes an error with PVE's words. Asks again while PVE's lock is held. ``logs``:
        its standard output is a log, which the error may quote."""

        def attempt(left: float) -> Completed:
            done = self.start(argv, stdin=stdin, timeout=left)
            stdout, stderr = (error_messages.scrub(text, secrets) for text in (done.stdout, done.stderr))
            if done.rc:
                raise failure_of(" ".join(argv[:3]), done.rc, stdout if logs else "", stderr)
            return Completed(0, stdout, stderr)

        return retry(attempt, error_messages.is_held_lock, timeout=timeout or self.timeout, clock=self.clock)

    def write(
        self, argv: t.Sequence[str], options: t.Mapping[str, str] | None = None, *, timeout: float | None = None
    ) -> Outcome:
        """Run a command with options. Secrets go through standard input, keys through a file only root can read."""
        options = options or {}
        secrets = [name for name in _SECRETS if name in options]
        if len(secrets) > 1:
            raise ValueError("PVE reads one password at a time")
        stdin = ""
        with contextlib.ExitStack() as stack:
            line = list(argv)
            for name, value in options.items():
                if name in _FILES:
                    line += [f"--{name}", stack.enter_context(_private_file(value))]
                elif name not in secrets:
                    _refuse_nul(name, value)
                    # An option takes any value as the next word, but a reader of the command line (and of our log)
                    # is helped when a value that looks like an option is tied to its own.
                    line += [f"--{name}={value}"] if value.startswith("-") else [f"--{name}", value]
            for name in secrets:
                _refuse_newline(name, options[name])
                line.append(f"--{name}")
                stdin = f"{options[name]}\n" * 2
            values = [options[name] for name in secrets]
            done = self.run(line, stdin=stdin, timeout=timeout, secrets=values)
        return outcome_of(done)

    def read(self, argv: t.Sequence[str], *, timeout: float | None = None, stdin: str = "") -> str:
        """What a command answers on standard output, which may hold what is secret: no error quotes it."""
        return self.run(argv, timeout=timeout, stdin=stdin, logs=False).stdout

    def json(self, argv: t.Sequence[str]) -> t.Any:
        return self.parsed([*argv, "--output-format", "json"])

    def ip(self, what: str) -> list[dict[str, t.Any]]:
        """What the kernel knows of the node's network."""
        return t.cast("list[dict[str, t.Any]]", self.parsed(["ip", "-j", what, "show"]) or [])

    def parsed(self, argv: t.Sequence[str], *, stdin: str = "", timeout: float | None = None) -> t.Any:
        """What a command says in JSON; None where it says nothing."""
        text = self.read(argv, stdin=stdin, timeout=timeout)
        try:
            return json.loads(text or "null")
        except ValueError as error:
            said = error_messages.outside_json(text) or f"{len(text)} characters"
            raise PveError(f"{' '.join(argv[:3])} answered with something else than JSON: {said}") from error


def failure_of(step: str, rc: int, stdout: str, stderr: str) -> PveError:
    """The error of a failed command."""
    log = error_messages.tail_of(error_messages.lines(stdout))
    words = error_messages.words_of(stderr) or f"ended with exit code {rc}"
    return error_messages.error_of(step, words, log_tail=log, rc=rc, log=log)


def outcome_of(done: Completed) -> Outcome:
    """What PVE said in a command that worked."""
    return Outcome(
        log=tuple(error_messages.lines(done.stdout)), warnings=error_messages.warnings_of(done.stdout, done.stderr)
    )


@contextlib.contextmanager
def _private_file(text: str) -> t.Iterator[str]:
    """A file that only its owner can read, gone afterwards."""
    with tempfile.NamedTemporaryFile("w", prefix="pve-provision-", encoding="utf-8") as file:
        file.write(text.rstrip("\n") + "\n")
        file.flush()
        yield file.name


def _refuse_newline(name: str, value: str) -> None:
    if "\n" in value:
        raise InvalidInput([Finding(name, error_messages.HIDDEN, "holds a line break, and PVE reads one line")])


def _refuse_nul(name: str, value: str) -> None:
    if "\0" in value:
        raise Unsupported(
            f"{name}: the commands of the node cannot take more than one entry, since PVE separates them by NUL.",
            remedy="Set api_host to use the API for this guest.",
        )
