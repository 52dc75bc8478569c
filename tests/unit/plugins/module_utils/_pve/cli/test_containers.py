# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from scripted_commands import Script, run_container

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Conflict,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.node import CliNode
from ansible_collections.pve.provision.plugins.module_utils._pve.types import (
    Completed,
)


class TestInsideContainers:
    def test_exec_hands_back_what_the_command_did(self, node: CliNode, root: Path, script: Script):
        run_container(root)
        script.expect(
            ["pct", "exec", "101", "--keep-env", "0", "--", "sh", "-c", "exit 7"], rc=7, out="out\n", err="err\n"
        )
        assert node.containers.exec(101, ["sh", "-c", "exit 7"], stdin="in") == Completed(7, "out\n", "err\n")
        assert script.stdin == ["in"]

    def test_a_container_that_does_not_run(self, node: CliNode):
        for verb in (lambda: node.containers.exec(101, ["true"]), lambda: node.containers.push(101, "/a", "/b")):
            with pytest.raises(Conflict, match="not running"):
                verb()
