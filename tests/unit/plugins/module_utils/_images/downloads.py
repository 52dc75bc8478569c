# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads with all that they need, for the tests of their parts."""

from __future__ import annotations

import hashlib
import random
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._images import download
from ansible_collections.pve.provision.plugins.module_utils._images.download import fetch
from ansible_collections.pve.provision.plugins.module_utils._images.http import Retries, Timeouts
from ansible_collections.pve.provision.plugins.module_utils._images.transfer import Request

CONTENT = random.Random(1).randbytes(3_000_000)
OTHER = random.Random(2).randbytes(3_000_000)
SHA256 = ("sha256", hashlib.sha256(CONTENT).hexdigest())
QUICK = Retries(attempts=3, first=0.01, longest=0.05)
PATIENT = Timeouts(connect=60, read=60, total=600)  # so that only what is meant to takes too long


def get(target: Path, *urls: str, digest: tuple[str, str] | None = SHA256, **more: t.Any) -> download.Fetched:
    options = {name: more.pop(name) for name in ("progress", "clock") if name in more}
    timeouts = more.pop("timeouts", PATIENT)
    return fetch(Request(urls, target, digest, **more), timeouts=timeouts, retries=QUICK, **options)


def only(target: Path) -> None:
    """Nothing lies in the directory but the target."""
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def nothing(target: Path) -> None:
    assert list(target.parent.iterdir()) == []
