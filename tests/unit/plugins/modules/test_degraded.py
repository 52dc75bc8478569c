# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who tells a guest's addresses where the guest itself does not, and that this is told. What has to do instead of an
image or a storage is tested where these are."""

from __future__ import annotations

import pytest
from fake_clock import ImpatientClock

from ansible_collections.pve.provision.plugins.module_utils._pve.cli.network import CliNetwork

from .conftest import Bench, Params

MAC = "BC:24:11:00:00:01"
VM: Params = {
    "vmid": 201,
    "name": "app1",
    "state": "started",
    "disks": [{"storage": "local-lvm", "size": "1G"}],
    "networks": [{"bridge": "vmbr0", "hwaddr": MAC}],
    "timeouts": {"ip": 60, "agent": 5},
}


@pytest.fixture
def met(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node has met the VM, where anybody can know of it."""
    monkeypatch.setattr(CliNetwork, "neighbours", lambda _self: {MAC: ["192.0.2.9"]})


@pytest.mark.usefixtures("met")
def test_an_agent_that_does_not_answer_is_stood_in_for_by_the_neighbour_table(
    bench: Bench, clock: ImpatientClock
) -> None:
    made = bench.good("vm_create", **VM, agent={"enabled": True})
    warnings = [str(warning) for warning in made.values.get("warnings", [])]
    if bench.backend == "api":
        assert made.degraded == []  # over the API nobody tells of neighbours
        assert any("no address" in warning for warning in warnings)
        return
    assert [(each["address"], each["source"]) for each in made.addresses] == [("192.0.2.9", "neighbour")]
    assert made.degraded == [
        {
            "what": "addresses",
            "because": "the guest agent does not tell them",
            "instead": "the node's neighbour table",
        }
    ]
    assert any("the guest agent does not tell them" in warning for warning in warnings)
    again = bench.good("vm_create", **VM, agent={"enabled": True})
    assert (again.changed, again.degraded) == (False, made.degraded)


@pytest.mark.usefixtures("met")
def test_where_there_is_no_agent_nobody_is_stood_in_for(bench: Bench, clock: ImpatientClock) -> None:
    assert bench.good("vm_create", **VM).degraded == []
