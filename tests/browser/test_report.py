# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a real run in a real browser, at the widths of a phone, a tablet and a desk, by day and by night.

``make browser`` brings playwright-core and axe-core from npm; Chromium has to be there (Debian: package chromium).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.conftest import Site, node, site

__all__ = ["node", "site"]

pytestmark = pytest.mark.thorough
HERE = Path(__file__).resolve().parent
MODULES = HERE.parents[1] / ".cache/browser"
SHOTS = MODULES / "screenshots"
SPARE = {
    "name": "spare", "type": "lxc", "ostemplate": "alpine-3.22-default", "rootfs": {"storage": "local-lvm", "size": 1},
}  # fmt: skip
NETWORK = {"bridge": "vmbr0", "tag": 20, "ip": "192.168.20.10/24"}
GUESTS = [{**SPARE, "name": "web1", "networks": [NETWORK], "state": "started"}, SPARE]


@pytest.fixture
def chromium() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not found or not shutil.which("node") or not (MODULES / "node_modules/playwright-core").is_dir():
        pytest.skip("needs Chromium, node, and what `make browser` fetches")
    return found


def test_the_page_of_a_run_reads_well_everywhere(site: Site, chromium: str) -> None:
    page = site.work / "run.html"
    site.good(GUESTS, provision_report=str(page))
    SHOTS.mkdir(parents=True, exist_ok=True)
    command = ["node", str(HERE / "report.mjs"), str(page), str(SHOTS)]
    told = subprocess.run(
        command, cwd=MODULES, env={**os.environ, "CHROMIUM": chromium}, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert (found["violations"], found["wide"], found["asked"]) == ([], [], [])
    assert all(word in found["texts"] for word in ("web1", "VLAN 20", "192.168.20.10", "local-lvm", "create web1"))
    assert len(list(SHOTS.glob("*.png"))) == 6
