# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: ask the QEMU of a running VM whether it stands still, by its own socket (QMP): a line of
JSON each way, after a greeting."""

from __future__ import annotations

import contextlib
import json
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._io.unix_socket import connected

# For how many seconds it may be busy with somebody else, who is served first.
_ANSWERS_WITHIN: t.Final = 2.0


def is_paused(path: Path) -> bool:
    """Whether the VM behind a monitor's socket stands still; no, where nobody answers."""
    if not path.is_socket():
        return False
    with contextlib.ExitStack() as stack, contextlib.suppress(OSError, ValueError):
        link, answers = connected(stack, path, _ANSWERS_WITHIN)
        answers.readline()  # the greeting
        told: dict[str, t.Any] = {}
        for command in ("qmp_capabilities", "query-status"):
            link.sendall(json.dumps({"execute": command}).encode() + b"\n")
            told = _answer(answers)
        return told.get("status") in ("paused", "suspended")
    return False


def _answer(answers: t.BinaryIO) -> dict[str, t.Any]:
    """What it answers; between it may tell of events."""
    for line in answers:
        told = json.loads(line)
        if "event" not in told:
            found = told.get("return")
            return found if isinstance(found, dict) else {}
    return {}
