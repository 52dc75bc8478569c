# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the errors its layers raise.

A layer raises one of these where the fault is seen; a module turns it into ``fail_json`` once, at the top.
Every error says what happened and what the reader can do about it.
"""

from __future__ import annotations

import dataclasses
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
        stop = "." if self.message and self.remedy and self.message[-1] not in ".!?:" else ""
        return f"{self.message}{stop} {self.remedy}".strip()


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with what was asked for, found before anything was written.

    ``unverified``: nobody could be asked, so the guest may be as declared all the same.
    """

    option: str
    value: object
    problem: str
    remedy: str = ""
    unverified: bool = False

    def of(self, whose: str) -> Finding:
        """The same, told as one of a guest's, or of whatever else has such an option."""
        return dataclasses.replace(self, option=f"{whose}: {self.option}".rstrip(": "))

    def __str__(self) -> str:
        told = self.problem if self.value is None else f"{self.value!r} {self.problem}"
        return f"{self.option}: {told.rstrip('.')}. {self.remedy}" if self.remedy else f"{self.option}: {told}"


class Degradation(str):
    """A warning that something else had to do than what was asked for. It goes where warnings go, and results tell its
    parts besides."""

    what: str
    because: str
    instead: str

    def __new__(cls, what: str, because: str, instead: str, *, words: str = "") -> Degradation:
        """``words``: the warning, where that is not the three in a row."""
        told = super().__new__(cls, words or f"{what}: {because.rstrip('. ')}; {instead} is used instead")
        told.what, told.because, told.instead = what, because, instead
        return told

    def __getnewargs_ex__(self) -> tuple[tuple[str, ...], dict[str, str]]:
        """How a copy is made."""
        return (self.what, self.because, self.instead), {"words": str(self)}

    def view(self) -> dict[str, str]:
        return {"what": self.what, "because": self.because, "instead": self.instead}


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
    """Somebody wants the run to end. ``begun``: whether it had started to change the guest."""

    kind = "interrupted"
    begun = False


class Unreachable(ProvisionError):
    """The node or the API did not answer at all."""

    kind = "unreachable"


class Unsupported(ProvisionError):
    """This cannot be done from where we stand (over the API, with this token, on this storage)."""

    kind = "unsupported"


class ChecksFailed(ProvisionError):
    """A guest runs, and does not do what it is there for."""

    kind = "checks_failed"


class SetupFailed(ProvisionError):
    """What is to be in a guest could not be brought about, or not be seen."""

    kind = "setup_failed"


class ImageError(ProvisionError):
    """An image could not be fetched, or is not what it should be."""

    kind = "image"


class VerificationError(ImageError):
    """An image, list or signature is not what its source says it is; the bytes were not used."""

    kind = "verification"
