# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The home of ``examples/homelab.yml``, from an empty node to verified, once more, and away again.

It runs in a network namespace whose loopback interface has the guests' network: what their services answer is really
asked for at their addresses, and nothing of it is seen outside.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT

NETWORK = "192.168.50.0/24"
SCENE = Path(__file__).with_name("homelab_scene.py")
ENTER = ["unshare", "--user", "--map-root-user", "--net"]


def can_enter() -> bool:
    """Whether this machine lets its users make namespaces, and has what gives them an address."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    return subprocess.run([*ENTER, "ip", "link", "set", "lo", "up"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_enter(), reason="no network namespaces here")
def test_a_home_is_made_verified_left_alone_and_taken_away(tmp_path: Path) -> None:
    setup = f"ip link set lo up && ip route add local {NETWORK} dev lo && exec {sys.executable} {SCENE} {tmp_path}"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([*ENTER, "sh", "-c", setup], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["made"] == {"rc": 0, "changed": 1}
    names = ("dns1", "web1", "metrics1", "music1", "print1", "docker1", "k1", "k2", "k3")
    assert {name: told["outcomes"].get(name) for name in names} == {name: ["passed"] for name in names}
    assert told["again"] == {"rc": 0, "changed": 0}
    assert sorted(told["commands"]) == sorted({*told["commands"]}), (
        "one look into each container; VMs are asked by their agents"
    )
    assert len(told["commands"]) == 6
    assert told["groups"]["app_nginx"] == ["web1"]
    assert sorted(told["groups"]["provisioned"]) == sorted(["gw", *names])
    assert told["ways"] == ["pve", "192.168.50.31", "community.proxmox.proxmox_pct_remote"]
    assert told["broken"] == {"rc": 2, "failed": ["web1"]}
    assert told["destroyed"]["rc"] == 0
    assert told["left"] == {}
