# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from scripted_requests import Connect, Script

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Timeout,
)


def test_the_agent_is_asked_until_its_command_has_ended(connect: Connect, script: Script):
    path = "/nodes/pve1/qemu/200/agent"
    script.expect("POST", f"{path}/exec", {"pid": 44})
    script.expect("GET", f"{path}/exec-status?pid=44", {"exited": 0})
    script.expect("GET", f"{path}/exec-status?pid=44", {"exited": 1, "exitcode": 0, "out-data": "ok\n"})
    done = connect(node="pve1").agent.run(200, ["sh", "-s"], stdin="echo ok\n")
    assert (done.rc, done.stdout) == (0, "ok\n")
    assert script.bodies[0] == {"command": "-s", "input-data": "echo ok\n"}  # both words are there: the last shows


def test_a_command_of_the_agent_that_goes_on_is_told(connect: Connect, script: Script):
    script.expect("POST", "/nodes/pve1/qemu/200/agent/exec", {"pid": 44})
    script.expect("GET", "/nodes/pve1/qemu/200/agent/exec-status?pid=44", {"exited": 0})
    with pytest.raises(Timeout, match="sh in VM 200 was not done after -1 s"):
        connect(node="pve1").agent.run(200, ["sh", "-s"], timeout=-1)
