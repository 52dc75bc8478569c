# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from scripted_commands import Script

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    PveError,
    Timeout,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.node import CliNode
from ansible_collections.pve.provision.plugins.module_utils._pve.types import (
    Completed,
)


class TestAgent:
    LINE = "qm guest exec 200 --timeout 20 --pass-stdin 1 -- sh -s"

    def test_a_script_goes_in_on_standard_input(self, node: CliNode, script: Script):
        said = {"exited": 1, "exitcode": 3, "out-data": "out\n", "err-data": "err\n"}
        script.expect(self.LINE, out=json.dumps(said))
        assert node.agent.run(200, ["sh", "-s"], stdin="exit 3\n", timeout=20) == Completed(3, "out\n", "err\n")
        assert script.stdin == ["exit 3\n"]

    def test_one_that_is_killed_has_a_shells_exit_code(self, node: CliNode, script: Script):
        script.expect(self.LINE, out='{"exited": 1, "signal": 15}')
        assert node.agent.run(200, ["sh", "-s"], timeout=20) == Completed(143, "", "")

    def test_one_that_goes_on_is_reported(self, node: CliNode, script: Script):
        script.expect(self.LINE, out='{"pid": 44}')
        with pytest.raises(Timeout, match="sh in VM 200 was not done after 20 s"):
            node.agent.run(200, ["sh", "-s"], timeout=20)

    def test_an_answer_that_is_no_json_is_quoted(self, node: CliNode, script: Script):
        script.expect(self.LINE, out="perl: warning\n")
        with pytest.raises(PveError, match="qm guest exec answered with something else than JSON: perl: warning"):
            node.agent.run(200, ["sh", "-s"], timeout=20)

    def test_an_agent_that_is_not_there_is_reported_in_pves_words(self, node: CliNode, script: Script):
        script.expect(self.LINE, rc=255, err="QEMU guest agent is not running\n")
        with pytest.raises(PveError, match="QEMU guest agent is not running"):
            node.agent.run(200, ["sh", "-s"], timeout=20)
