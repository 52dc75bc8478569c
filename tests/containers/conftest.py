# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node whose containers are real, and modules that run on it. One node and one template for all of a file's tests."""

from __future__ import annotations

import json
import os
import subprocess
import time
import typing as t
from pathlib import Path

import pytest

from embedded_node import EmbeddedNode
from embedded_node.lxc_runtime import programs, template

MODULES = "ansible_collections.pve.provision.plugins.modules"
#: Generous, for busy machines: nothing here rests on how fast something is.
TIMEOUT = 120.0


class Answer(t.NamedTuple):
    """What a program did."""

    rc: int
    out: str
    err: str


class Node:
    """A node with real containers, as its administrator has it."""

    def __init__(self, embedded: EmbeddedNode, template: str) -> None:
        self.embedded = embedded
        self.template = template
        self.env = {**os.environ, **embedded.env}

    def run(self, *argv: str, stdin: str = "") -> Answer:
        """Run a program on the node."""
        done = subprocess.run(
            argv, env=self.env, input=stdin, capture_output=True, text=True, check=False, timeout=600
        )  # fmt: skip
        return Answer(done.returncode, done.stdout, done.stderr)

    def good(self, *argv: str, stdin: str = "") -> str:
        """One that is to succeed."""
        answer = self.run(*argv, stdin=stdin)
        assert answer.rc == 0, (argv, answer)
        return answer.out

    def inside(self, vmid: int, script: str) -> str:
        """What a shell in a container answers."""
        return self.good("pct", "exec", str(vmid), "--", "sh", "-c", script)

    def until(self, *argv: str, says: str) -> str:
        """Ask until the answer has the words."""
        deadline = time.monotonic() + TIMEOUT
        while says not in (answer := self.run(*argv)).out:
            assert time.monotonic() < deadline, (argv, says, answer)
            time.sleep(0.2)
        return answer.out

    def module(self, name: str, python: str, **options: t.Any) -> dict[str, t.Any]:
        """Run a module as Ansible does: on the node by the Python that is in the node's network, else outside."""
        answer = self.run(python, "-m", f"{MODULES}.{name}", stdin=json.dumps({"ANSIBLE_MODULE_ARGS": options}))
        assert answer.rc == 0, answer
        return t.cast("dict[str, t.Any]", json.loads(answer.out))

    def create(self, vmid: int, **options: str) -> None:
        """A container that runs."""
        told = {
            "hostname": f"ct{vmid}", "memory": "256", "rootfs": "local-lvm:1", "unprivileged": "1",
            "features": "nesting=1", "net0": "name=eth0,bridge=vmbr0,ip=dhcp", **options,
        }  # fmt: skip
        words = [word for key, value in told.items() for word in (f"--{key}", value)]
        self.good("pct", "create", str(vmid), self.template, *words)
        self.good("pct", "start", str(vmid))


@pytest.fixture(scope="session")
def debian() -> Path:
    """Made once and kept, see :mod:`embedded_node.lxc_runtime.template`."""
    why = programs.reason_against() or template.reason_against()
    if why:
        pytest.skip(why)
    return template.make()


@pytest.fixture(scope="module")
def node(debian: Path) -> t.Iterator[Node]:
    with EmbeddedNode(runtime="lxc", mirrors=template.mirrors()) as embedded:
        yield Node(embedded, template.install(embedded.root))
