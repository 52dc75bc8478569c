# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The molecule scenario, which users copy for their own playbooks, passes without a network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .conftest import ROOT


def test_the_scenario_passes(tmp_path: Path) -> None:
    environ = os.environ | {
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build"),
        "HOME": str(tmp_path),
        "NO_COLOR": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = [str(Path(sys.executable).parent / "molecule"), "test"]
    done = subprocess.run(
        command, cwd=ROOT / "extensions", env=environ, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "successful=6" in done.stdout + done.stderr
    assert not list(tmp_path.rglob("node.pid"))
