# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the errors its layers raise.

A layer raises one of these where the fault is seen; a module turns it into ``fail_json`` once, at the top.
Every error says what happened and what the reader can do about it.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass


class ProvisionError(Exception):
    """Something went wrong in a way we understand.

    ``remedy`` is one sentence that tells the user what to do. ``details`` are facts for machines: they become
    return values of the failed module beside ``msg``, so they must hold no secret.
    """

    kind: t.ClassVar[str] = "error"

    def __init__(self, message: str, *, remedy: str = "", **details: t.Any) -> None:
        super().__init__(message)
        self.message = message.strip()
        self.remedy = remedy.strip()
        self.details = details

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with what was asked for, found before anything was written."""

    option: str
    value: object
    problem: str
    remedy: str = ""

    def __str__(self) -> str:
        told = self.problem if self.value is None else f"{self.value!r} {self.problem}"
        return f"{self.option}: {told}{'. ' + self.remedy if self.remedy else ''}"


class InvalidInput(ProvisionError):
    """The declaration cannot be carried out; nothing has been written. ``about``: the guest that it declares."""

    kind = "invalid_input"

    def __init__(self, findings: t.Sequence[Finding], *, about: str = "") -> None:
        self.findings = tuple(findings)
        text = "; ".join(str(finding) for finding in self.findings)
        super().__init__(
            f"{about}: {text}" if about else text,
            findings=[
                {"option": f.option, "value": f.value, "problem": f.problem, "remedy": f.remedy} for f in self.findings
            ],
        )


class PveError(ProvisionError):
    """PVE refused or failed. ``message`` quotes PVE's own words whole."""

    kind = "pve"


class NotFound(PveError):
    """PVE does not know this guest, storage or volume."""

    kind = "not_found"


class Conflict(PveError):
    """Somebody else changed or holds the object: digest mismatch, config lock, vmid taken meanwhile."""

    kind = "conflict"


class TaskFailed(PveError):
    """A PVE task ended with something else than OK; ``details`` hold its UPID and the log's tail."""

    kind = "task_failed"


class Timeout(ProvisionError):
    """We gave up waiting; what we waited for may still happen."""

    kind = "timeout"


class Interrupted(ProvisionError):
    """Somebody wants the run to end. ``begun``: whether it had begun to change the guest."""

    kind = "interrupted"
    begun = False


class Unreachable(ProvisionError):
    """The node or the API did not answer at all."""

    kind = "unreachable"


class Unsupported(ProvisionError):
    """This cannot be done from where we stand (over the API, with this token, on this storage)."""

    kind = "unsupported"


class ImageError(ProvisionError):
    """An image could not be had, or is not what it should be."""

    kind = "image"


class VerificationError(ImageError):
    """An image, list or signature is not what its source says it is; the bytes were not used."""

    kind = "verification"
