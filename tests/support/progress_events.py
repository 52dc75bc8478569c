# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files by which modules that run tell their events to the action plugin."""

from __future__ import annotations

import time
from pathlib import Path


def all_gone() -> bool:
    """Whether each such file that is there now goes again: other tests may be at work beside this one."""
    left, deadline = set(Path("/tmp").glob(".pve-provision-*")), time.monotonic() + 300
    while any(path.exists() for path in left) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not any(path.exists() for path in left)
