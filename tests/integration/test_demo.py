# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a newcomer sees: ``make demo`` provisions the example guests, and its second run changes nothing."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the demo as the Makefile does."""
    environ = os.environ | {
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = [sys.executable, str(ROOT / "tools" / "demo.py"), *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=900, check=False)


def test_example_guests_are_provisioned_once() -> None:
    done = demo()
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = (line for line in done.stdout.splitlines() if line.startswith("pve  "))
    assert "changed=0" not in first
    assert "changed=0" in second
    names = [guest["name"] for guest in yaml.safe_load((ROOT / "examples/guests.yml").read_text())["provision_guests"]]
    assert [row[0] for row in rows(done.stdout, f"pve: {len(names)} changed")] == names
    assert [row[0] for row in rows(done.stdout, f"pve: {len(names)} unchanged")] == names
    assert all(f"pve: {name}: start: " in done.stdout for name in names)


def rows(output: str, heading: str) -> list[list[str]]:
    """The rows of the table under a heading, without what stands for further addresses of a guest."""
    lines = output[output.index(heading) :].splitlines()[2:]
    table = itertools.takewhile(lambda line: not line.startswith(("ok:", "changed:")), lines)
    return [line.split() for line in table if not line.startswith(" ")]


def test_demo_fails_when_a_guest_cannot_be_made(tmp_path: Path) -> None:
    declared = tmp_path / "guests.yml"
    guest = {"name": "web1", "type": "lxc", "ostemplate": "no-such-template", "rootfs": {"storage": "local-lvm"}}
    declared.write_text(yaml.safe_dump({"provision_guests": [guest]}))
    done = demo("--guests", str(declared))
    assert done.returncode == 1
    assert "no-such-template" in done.stdout
    assert "ansible-playbook ended with" in done.stderr
