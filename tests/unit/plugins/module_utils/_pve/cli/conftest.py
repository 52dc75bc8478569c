# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from fake_clock import FakeClock
from scripted_commands import CONTAINER, Script, write

from ansible_collections.pve.provision.plugins.module_utils._pve.cli.node import CliNode


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("lxc", "qemu-server"):
        (tmp_path / "etc/pve/nodes/pve1" / folder).mkdir(parents=True)
    (tmp_path / "etc/pve/local").symlink_to("nodes/pve1")
    write(tmp_path, "etc/pve/nodes/pve1/lxc/101.conf", CONTAINER)
    return tmp_path


@pytest.fixture
def script() -> t.Iterator[Script]:
    script = Script()
    yield script
    assert not script.expected, f"missing: {script.expected}"


@pytest.fixture
def node(root: Path, script: Script) -> CliNode:
    return CliNode("pve1", root=root, runner=script, timeout=30, clock=FakeClock())
