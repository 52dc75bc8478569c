# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A state root without servers, and a node with them."""

from __future__ import annotations

import io
import tarfile
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded_node import EmbeddedNode, bootstrap, commands
from embedded_node.state.root import State

STORAGES = """dir: local
\tpath /var/lib/vz
\tcontent vztmpl,iso,backup,snippets

dir: disks
\tpath /var/lib/disks
\tcontent images,rootdir

btrfs: snap
\tpath /mnt/snap
\tcontent images,rootdir

"""
TEMPLATE = "local:vztmpl/tiny_1_amd64.tar.gz"


class Machine:
    """A state root, driven in this process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = State(root)

    def __call__(self, line: str, stdin: bytes = b"") -> tuple[int, str, str]:
        return commands.run(line.split(), self.root, stdin)

    def ok(self, line: str) -> str:
        """A command that must work; answers its stdout."""
        code, out, err = self(line)
        assert (code, err) == (0, ""), (line, err)
        return out

    def config(self, vmid: int) -> dict[str, str]:
        """A container's live options."""
        return self.state.guest("lxc", vmid).options

    def create(self, vmid: int, more: str = "") -> str:
        """A small container."""
        return self.ok(f"pct create {vmid} {TEMPLATE} --ostype unmanaged --rootfs disks:1 {more}".strip())


def write_template(path: Path) -> None:
    """A tar of two files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, data in (("./bin/sh", b"#!"), ("./etc/hosts", b"127.0.0.1 localhost\n"), ("./root/.profile", b"")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A node's state with three storages and one bridge."""
    commands.load()
    folder = tmp_path / "etc/pve/nodes/pve1"
    (folder / "lxc").mkdir(parents=True)
    (tmp_path / "etc/pve/local").symlink_to("nodes/pve1")
    (tmp_path / "etc/pve/storage.cfg").write_text(STORAGES)
    write_template(tmp_path / "var/lib/vz/template/cache/tiny_1_amd64.tar.gz")
    made = Machine(tmp_path)
    bootstrap.add_bridge(made.state, "vmbr0")
    return made


@pytest.fixture(scope="module")
def running_node() -> Iterator[EmbeddedNode]:
    """A whole node, shared by a module's tests."""
    with EmbeddedNode(lock_timeout=0.3) as node:
        yield node


@pytest.fixture
def node(running_node: EmbeddedNode) -> t.Iterator[EmbeddedNode]:
    """The shared node with empty lists, and without faults afterwards."""
    running_node.forget()
    yield running_node
    running_node.clear_faults()
