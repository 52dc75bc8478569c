# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket of a guest's agent on a node that runs: it answers as QEMU's does, as long as the VM runs."""

from __future__ import annotations

import os
import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._io.clock import SYSTEM
from ansible_collections.pve.provision.plugins.module_utils._pve.agent import Agent
from embedded_node import EmbeddedNode
from embedded_node.mirror import images
from embedded_node.mirror.site_files import os_release

MAC = "BC:24:11:00:00:01"


def run(node: EmbeddedNode, *argv: str) -> None:
    done = subprocess.run(argv, env={**os.environ, **node.env}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def started(running_node: EmbeddedNode, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Path]:
    """The socket of a VM that runs Fedora, which brings an agent."""
    image = tmp_path_factory.mktemp("image") / "fedora.qcow2"
    image.write_bytes(images.qcow2(2 << 20, b"", images.system_disk(os_release("fedora", "43"))))
    run(running_node, "qm", "create", "700", "--agent", "1", "--name", "web", "--net0", f"virtio={MAC},bridge=vmbr0",
        "--scsi0", f"local-lvm:0,import-from={image}", "--ide2", "local-lvm:cloudinit",
        "--ipconfig0", "ip=10.0.0.5/24")  # fmt: skip
    run(running_node, "qm", "start", "700")
    yield running_node.root / "run/qemu-server/700.qga"
    run(running_node, "qm", "stop", "700")
    assert not (running_node.root / "run/qemu-server/700.qga").exists()


def test_it_reports_the_interfaces(started: Path) -> None:
    told = Agent(started, SYSTEM).interfaces()
    assert [(link["name"], link["ip-addresses"][0]["ip-address"]) for link in told] == [
        ("lo", "127.0.0.1"), ("eth0", "10.0.0.5")]  # fmt: skip


def test_it_runs_commands(started: Path) -> None:
    agent = Agent(started, SYSTEM)
    done = agent.run(["sh", "-c", "hostname"], stdin="", timeout=60)
    assert done is not None and (done.rc, done.stdout) == (0, "web\n")
    done = agent.run(["sh", "-c", "read line; echo got $line; exit 3"], stdin="words\n", timeout=60)
    assert done is not None and (done.rc, done.stdout) == (3, "got words\n")
    with pytest.raises(PveError, match="Failed to execute child process"):
        agent.run(["/no/such"], stdin="", timeout=60)


def test_a_guest_that_stands_still_does_not_answer(started: Path, node: EmbeddedNode) -> None:
    run(node, "qm", "suspend", "700")
    with pytest.raises(PveError, match="not running"):
        Agent(started, SYSTEM).interfaces()
    run(node, "qm", "resume", "700")
    assert Agent(started, SYSTEM).interfaces()


def test_a_vm_without_an_agent_has_no_socket(node: EmbeddedNode) -> None:
    run(node, "qm", "create", "701", "--scsi0", "local-lvm:1")
    run(node, "qm", "start", "701")
    assert not (node.root / "run/qemu-server/701.qga").exists()
    run(node, "qm", "stop", "701")
