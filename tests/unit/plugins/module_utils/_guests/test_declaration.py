# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A list of declared guests, read without a node."""

from __future__ import annotations

import copy
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._guests.declaration import read_declaration
from ansible_collections.pve.provision.plugins.module_utils._guests.registry import with_defaults

Guest = dict[str, t.Any]


def lxc(**options: t.Any) -> Guest:
    return {"name": "web1", "type": "lxc", **options}


# -- defaults ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("guest", "defaults", "result"),
    [
        (lxc(), {"cores": 2}, lxc(cores=2)),
        (lxc(cores=1), {"cores": 2}, lxc(cores=1)),
        (lxc(cores=None), {"cores": 2}, lxc(cores=None)),
        (lxc(rootfs={"size": 8}), {"rootfs": {"storage": "a"}}, lxc(rootfs={"storage": "a", "size": 8})),
        (lxc(tags=["db"]), {"tags": ["home"]}, lxc(tags=["db"])),
        ({"name": "web1"}, {"type": "lxc"}, lxc()),
        ({"hostname": "web1", "type": "lxc"}, {}, lxc()),
        (lxc(hostname="web1"), {}, lxc()),
        (lxc(hostname="other"), {}, lxc(hostname="other")),
        ({"name": "gw", "type": "openwrt_lxc"}, {"features": {"nesting": True}}, {"name": "gw", "type": "openwrt_lxc"}),
        (lxc(), {"memroy": 1}, lxc(memroy=1)),
        (lxc(clone_from={"name": "a"}), {"ostemplate": "b"}, lxc(clone_from={"name": "a"})),
        (lxc(), {"interfaces": {}}, lxc()),
    ],
)
def test_defaults_hold_for_what_a_guest_does_not_say(guest: Guest, defaults: Guest, result: Guest) -> None:
    given = copy.deepcopy((guest, defaults))
    assert with_defaults([guest], defaults) == [result]
    assert (guest, defaults) == given


# -- findings ----------------------------------------------------------------------------------------------------------
MAC = "BC:24:11:00:00:01"
NET: Guest = {"bridge": "vmbr0", "ip": "10.0.0.5/24"}


@pytest.mark.parametrize(
    "guests",
    [
        [],
        [lxc()],
        [lxc(memory="1024", cores="2", onboot="yes", rootfs={"size": "8G"}, tags="a,b")],
        [lxc(networks=[NET]), lxc(name="web2", networks=[{**NET, "tag": 20}])],
        [lxc(networks=[NET]), lxc(name="web2", networks=[{**NET, "bridge": "vmbr1"}])],
        [lxc(networks=[{**NET, "ip": None}], cores=None)],
        [lxc(vmid=101), lxc(name="web2", vmid=102)],
    ],
)
def test_nothing_is_found_where_nothing_is_wrong(guests: list[Guest]) -> None:
    assert read_declaration(guests).findings == []


@pytest.mark.parametrize(
    ("guests", "found"),
    [
        ([{"type": "lxc"}], ["guests[0]: has no name"]),
        ([{"name": "web1"}], ["web1: type: is no type of guest"]),
        ([lxc(type="jail")], ["web1: type: 'jail' is no type of guest"]),
        ([lxc(hostname="web2")], ["web1: hostname: 'web2' is another name"]),
        ([lxc(memroy=1)], ["web1: memroy: 1 is not an option. Did you mean memory?"]),
        ([lxc(api_host="pve")], ["web1: api_host: 'pve' is not an option"]),
        ([lxc(networks=[{"brdige": "vmbr0"}])], ["web1: networks.brdige: "]),
        ([lxc(memroy=1, cores="many")], ["web1: memroy: 1 is not an option", "web1: cores: 'many'"]),
        ([lxc(memory="lots")], ["'lots'"]),
        ([lxc(state="up")], ["web1: state: 'up' value of state must be one of"]),
        ([lxc(networks="vmbr0")], ["web1: "]),
        ([lxc(ostemplate="a", clone_from={"vmid": 1})], ["mutually exclusive: ostemplate|clone_from"]),
        ([lxc(), lxc()], ["name: 'web1' is declared more than once: web1, web1"]),
        ([lxc(vmid=101), lxc(name="b", vmid="101")], ["vmid: '101' is declared more than once: web1, b"]),
        (
            [lxc(networks=[NET]), lxc(name="b", networks=[{**NET, "ip": "10.0.0.5/16"}])],
            ["address: '10.0.0.5 on vmbr0' is declared more than once: web1, b"],
        ),
        (
            [lxc(networks=[{"hwaddr": MAC}]), lxc(name="b", networks=[{"hwaddr": MAC.lower()}])],
            [f"hwaddr: '{MAC}' is declared more than once: web1, b"],
        ),
    ],
)
def test_each_fault_is_found_and_said_by_name(guests: list[Guest], found: list[str]) -> None:
    told = [str(finding) for finding in read_declaration(guests).findings]
    assert len(told) >= len(found)
    for words in found:
        assert any(words in line for line in told), told
