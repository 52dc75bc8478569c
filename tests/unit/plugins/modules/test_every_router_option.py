# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every option of a router is changed once and brought back: what it shares with other guests, and its own."""

from __future__ import annotations

import copy
import re
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.spec import OPENWRT_LXC, OPENWRT_VM
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import (
    DESCRIPTION_KEYS,
    DHCP_KEYS,
    INTERFACE_KEYS,
    MANAGEMENT_KEYS,
)

from .conftest import Bench, Params
from .routers import KEY
from .test_every_option import KINDS, Chain, Kind, furnished, groups
from .test_openwrt_vm import gateway as vm_gateway
from .test_openwrt_vm import mirror

__all__ = ["furnished", "mirror", "vm_gateway"]

SPECS = {"openwrt_lxc": ("lxc", OPENWRT_LXC), "openwrt_vm": ("vm", OPENWRT_VM)}
# What a router has of its own under the name, or decides by itself.
OWN: dict[str, dict[str, str]] = {
    "openwrt_lxc": {
        "ostype": "is refused: OpenWrt is unmanaged",
        "unprivileged": "is refused: OpenWrt is privileged",
        "timezone": "is the router's own",
    },
    "openwrt_vm": {
        "agent": "is whether the router has one",
        "bios": "chooses the image",
        "disks": "come beside its own, which is the first",
        "cdroms": "come beside its own disk",
    },
}


def kind_of(name: str) -> Kind:
    """What a type of router shares with the type that it is made of."""
    shared, spec = SPECS[name]
    kind = KINDS[shared]

    def is_shared(leaf: str) -> bool:
        return leaf.partition(".")[0] in spec.options and leaf.partition(".")[0] not in OWN[name]

    samples = {leaf: sample for leaf, sample in kind.samples.items() if is_shared(leaf)}
    return kind._replace(module=name, samples=samples)


CASES = [(name, group) for name in SPECS for group in groups(kind_of(name))]
# The others are tested of other VMs, too.
OFTEN = ("", "name", "protection")


@pytest.mark.parametrize("name", SPECS)
def test_what_is_left_out_is_there(name: str) -> None:
    assert OWN[name].keys() <= SPECS[name][1].options.keys()
    assert len(kind_of(name).samples) > 20


@pytest.mark.parametrize(
    ("name", "group"),
    [
        pytest.param(
            name,
            group,
            id=f"{name} {group or 'most'}",
            marks=[] if group in OFTEN or name == "openwrt_lxc" else [pytest.mark.thorough],
        )
        for name, group in CASES
    ],
)
def test_every_option_is_changed_and_brought_back(
    furnished: Bench, request: pytest.FixtureRequest, name: str, group: str
) -> None:
    declared: Params = request.getfixturevalue("vm_gateway" if name == "openwrt_vm" else "gateway")
    named = {key: value for key, value in declared.items() if key not in ("name", "hostname")}
    host = {} if group == "name" else {"hostname" if name == "openwrt_lxc" else "name": "box"}
    base: dict[str, t.Any] = {**named, **host, "state": "stopped", "run_checks": False}
    problems = Chain(furnished, kind_of(name)._replace(base=base), group).run(50)
    assert not problems, "\n".join(f"{leaf}: {problem}" for leaf, problem in problems.items())


# -- its own -----------------------------------------------------------------------------------------------------------
# Two values of what a router alone has, by their places.
HASHES = ["$6$saltsaltsaltsalt$" + letter * 86 for letter in "ab"]
ROUTER: dict[str, tuple[t.Any, t.Any]] = {
    "interfaces.wan.bridge": ("vmbr0", "vmbr1"),
    "interfaces.wan.tag": (10, 11),
    "interfaces.wan.mtu": (1400, 1300),
    "interfaces.wan.hwaddr": ("BC:24:11:0A:00:01", "BC:24:11:0A:00:02"),
    "interfaces.wan.metric": (10, 20),
    "interfaces.lan.dns": (["192.0.2.53"], ["192.0.2.54"]),
    "interfaces.lan.dhcp_server.start": (100, 50),
    "interfaces.lan.dhcp_server.limit": (150, 100),
    "interfaces.lan.dhcp_server.leasetime": ("12h", "6h"),
    "management.ssh_keys": ([KEY], [KEY, KEY.replace("Example ", "Exampls ")]),
    "management.password_hash": (HASHES[0], HASHES[1]),
    "uci.system.@system[0].log_size": (128, 256),
    "services.odhcpd": (True, False),
    "timezone": ("UTC", "CET-1CEST"),
    "zonename": ("UTC", "Europe/Berlin"),
}
LEFT: dict[str, str] = {
    "interfaces.proto": "is another way to an address",
    "interfaces.address": "is how it is reached",
    "interfaces.gateway": "goes with a static address",
    "interfaces.ip6": "is tested with what the first boot draws for it",
    "interfaces.username": "goes with pppoe",
    "interfaces.password": "goes with pppoe",
    "interfaces.queues": "is for VMs",
    "interfaces.forward_to": "is tested with segments",
    "interfaces.role": "is tested with segments",
    "management.from": "is how it is reached",
    "management.luci": "needs a web interface in the image",
    "management.allow_empty_password": "goes with no password at all",
    "packages": "are tested with feeds",
    "allow_shared_segment": "only lets something be",
}
DEVICES = ("interfaces.wan.bridge", "interfaces.wan.tag", "interfaces.wan.mtu", "interfaces.wan.hwaddr")
# What cannot change in place, which is a finding.
REFUSED: dict[str, dict[str, t.Any]] = {
    "openwrt_lxc": {"ostype": "debian", "unprivileged": True},
    "openwrt_vm": {"bios": "ovmf"},
}


def declaration_with(declared: Params, values: t.Mapping[str, t.Any]) -> Params:
    """A router with values at their places."""
    result = copy.deepcopy(declared)
    for place, value in values.items():
        *folders, last = place.split(".")
        target = result
        for folder in folders:
            target = target.setdefault(folder, {})
        target[last] = value
    return result


def values_of(places: t.Iterable[str], which: int) -> dict[str, t.Any]:
    return {place: ROUTER[place][which] for place in places}


def test_all_that_a_router_alone_has_is_in_the_table() -> None:
    listed = {re.sub(r"^(interfaces\.)\w+\.", r"\1", place) for place in ROUTER}
    listed = {place.split(".")[0] if place.startswith(("uci", "services")) else place for place in listed}
    known = {f"interfaces.{key}" for key in INTERFACE_KEYS if key != "dhcp_server"}
    known |= {f"interfaces.dhcp_server.{key}" for key in DHCP_KEYS} | {f"management.{key}" for key in MANAGEMENT_KEYS}
    known |= {key for key in DESCRIPTION_KEYS if key not in ("interfaces", "management", "hostname", "secret_names")}
    assert listed | LEFT.keys() == known


@pytest.mark.parametrize("devices", [True, False], ids=["devices", "inside"])
def test_what_a_router_alone_has_is_changed_and_brought_back(entered: Bench, gateway: Params, devices: bool) -> None:
    if entered.backend == "api":
        pytest.skip("over the API the same is asked by SSH")
    places = [place for place in ROUTER if (place in DEVICES) == devices]
    first = {**declaration_with(gateway, values_of(ROUTER, 0)), "restart": "when_needed"}
    second = declaration_with(first, values_of(places, 1))
    entered.good("openwrt_lxc", **first)
    unnoticed = [
        place
        for place in places
        if not entered.good("openwrt_lxc", check=True, **declaration_with(first, values_of([place], 1))).changed
    ]
    assert unnoticed == []
    for declared in (second, first):
        assert entered.good("openwrt_lxc", **declared).changed
        again = entered.good("openwrt_lxc", **declared)
        assert not again.changed, again.diff


def test_the_devices_of_a_router_in_a_vm_are_changed_and_brought_back(bench: Bench, vm_gateway: Params) -> None:
    table = {place: ROUTER[place] for place in DEVICES if not place.endswith("mtu")}
    table["interfaces.wan.queues"] = (2, 4)
    first = declaration_with(vm_gateway, {place: values[0] for place, values in table.items()})
    first = {**first, "state": "stopped", "run_checks": False}
    second = declaration_with(first, {place: values[1] for place, values in table.items()})
    bench.good("openwrt_vm", **first)
    for place, values in table.items():
        assert bench.good("openwrt_vm", check=True, **declaration_with(first, {place: values[1]})).changed, place
    for declared in (second, first):
        assert bench.good("openwrt_vm", **declared).changed
        assert not bench.good("openwrt_vm", **declared).changed


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_change_in_place_is_a_finding(bench: Bench, request: pytest.FixtureRequest, name: str) -> None:
    declared = request.getfixturevalue("vm_gateway" if name == "openwrt_vm" else "gateway")
    declared = {**declared, "state": "stopped", "run_checks": False}
    bench.good(name, **declared)
    for option, value in REFUSED[name].items():
        refused = bench.bad(name, check=True, **{**declared, option: value})
        assert [finding["option"] for finding in refused.findings] == [option]
