# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An OPNsense is made from its nano image with its configuration in it, the same on the node and over the API."""

from __future__ import annotations

import io
import typing as t
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from ansible_collections.pve.provision.plugins.module_utils._engine.verify import probes
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.opnsense import part
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.opnsense.nano import CONFIG
from ansible_collections.pve.provision.plugins.module_utils._io.ufs import find_ufs
from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import Check
from ansible_collections.pve.provision.plugins.module_utils._model.checks.network import Reply
from embedded_node.mirror import Mirror
from embedded_node.qemu import boot
from embedded_node.state.root import State

from .conftest import Bench, steps

Params = dict[str, t.Any]

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample admin@example.org"
HASH = "$6$saltsaltsaltsalt$" + "planted" * 12 + "ha"
WAN: Params = {"bridge": "vmbr0", "tag": 10}
LAN: Params = {"bridge": "vmbr1", "tag": 20, "address": "192.168.20.1/24", "dhcp_server": {}}


@pytest.fixture(scope="module")
def running() -> t.Iterator[Mirror]:
    with Mirror(sites=("opnsense",)) as mirror:
        yield mirror


def unreachable(_check: Check, address: str) -> Reply:
    """No address of the VM can be reached from here."""
    return Reply("no_way", f"tcp {address}", "no route to host")


@pytest.fixture
def firewall(running: Mirror, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Params:
    running.forget()
    monkeypatch.setattr(part, "answers", lambda _address: False)
    monkeypatch.setitem(probes.PROBES, "tcp", unreachable)
    return {
        "name": "fw",
        "profile": "opnsense",
        "image": {"name": "opnsense", "mirrors": [running.base("opnsense")]},
        "disks": [{"storage": "local-lvm", "size": "64M"}],
        "interfaces": {"wan": WAN, "lan": LAN},
        "management": {"from": ["lan"], "ssh_keys": [KEY], "password_hash": HASH},
        "checks_timeout": 0,
    }


def inside(bench: Bench, vmid: int) -> ET.Element:
    """The configuration in the disk that the VM boots from."""
    state = State(bench.node.root)
    disk = boot.boot_disk(state, state.guest("qemu", vmid).options)
    assert disk is not None
    (system,) = find_ufs(io.BytesIO(disk.read_bytes()))
    return ET.fromstring(system.read(system.file(CONFIG)))


def test_a_new_one_boots_with_what_is_declared_and_is_then_left_alone(bench: Bench, firewall: Params) -> None:
    made = bench.good("vm_create", **firewall)
    assert steps(made) == ["fetch_disk", "image", "create"]
    assert [net["bridge"] for net in made.config["networks"]] == ["vmbr0", "vmbr1"]
    assert made.config["serials"][0]["device"] == "socket"
    found = inside(bench, made.vmid)
    assert found.findtext("system/hostname") == "fw"
    assert found.findtext("system/user/password") == HASH
    assert [child.tag for child in found.findall("interfaces/*")] == ["wan", "lan"]
    bench.node.forget()
    again = bench.good("vm_create", **firewall)
    assert again.plan == []
    assert bench.writes() == []


def test_check_mode_foretells_it_and_writes_nothing(bench: Bench, firewall: Params) -> None:
    foretold = bench.run("vm_create", check=True, **firewall)
    assert foretold.changed
    assert list((bench.node.root / "etc/pve/qemu-server").glob("*.conf")) == []
    made = bench.good("vm_create", **firewall)
    assert foretold.plan == made.plan
    assert foretold.diff == made.diff


def test_nobody_but_the_vm_is_told_the_password_and_no_copy_is_left(
    bench: Bench, firewall: Params, tmp_path: Path
) -> None:
    made = bench.good("vm_create", **firewall)
    assert HASH not in str(made.values)
    left = [path for top in (bench.node.root, tmp_path) for path in top.rglob("*pve-provision-fw*")]
    assert left == []
    assert not any(HASH in " ".join(command) for command in bench.node.commands())


def test_once_it_runs_its_addresses_are_reported_and_who_says_so(bench: Bench, firewall: Params) -> None:
    made = bench.good("vm_create", **firewall, state="started")
    lan = next(entry for entry in made.addresses if entry["interface"] == "lan")
    assert (lan["address"], lan["prefix"]) == ("192.168.20.1", 24)
    assert lan["source"] in ("neighbour", "declared")
    assert lan["hwaddr"] == made.config["networks"][1]["hwaddr"]
    checks = {check["name"]: check["outcome"] for check in made.checks}
    assert set(checks) == {"SSH", "web interface"}
    assert "passed" not in checks.values()  # nobody is there
    assert made.warnings


def test_whoever_answers_already_at_its_address_is_reported(
    bench: Bench, firewall: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "answers", lambda address: address == "192.168.20.1")
    made = bench.good("vm_create", **firewall)
    assert "192.168.20.1 was answered before this VM was made" in str(made.warnings)


def test_what_cannot_be_is_reported_before_anything_is_written(bench: Bench, firewall: Params) -> None:
    interfaces = {"wan": {"bridge": "vmbr0", "metric": 5}, "lan": {**LAN, "ip6": "ula"}}
    refused = bench.run("vm_create", **{**firewall, "interfaces": interfaces, "networks": [{"bridge": "vmbr0"}]})
    assert refused.failed
    assert {finding["option"] for finding in refused.findings} == {
        "networks",
        "interfaces.wan.metric",
        "interfaces.lan.ip6",
    }
    unknown = bench.run("vm_create", **{**firewall, "interfaces": {"lan": {**LAN, "bridge": "vmbr99"}}})
    assert [finding["option"] for finding in unknown.findings] == ["interfaces.lan.bridge"]
    assert list((bench.node.root / "etc/pve/qemu-server").glob("*.conf")) == []


def test_interfaces_are_for_a_firewall_alone(bench: Bench, firewall: Params) -> None:
    refused = bench.run("vm_create", **{**firewall, "profile": "custom", "image": None})
    assert {"interfaces", "management"} <= {finding["option"] for finding in refused.findings}


@pytest.mark.parametrize("here", [False, True])
def test_a_configuration_that_does_not_fit_is_refused_before_anything_is_done(
    bench: Bench, firewall: Params, tmp_path: Path, running: Mirror, here: bool
) -> None:
    """An image that is still to be fetched has the room that its releases have had; one that is here is looked at."""
    if here:
        made = bench.good("vm_create", **firewall)
        bench.good("vm_create", name="fw", vmid=made.vmid, state="absent")
        running.forget()
    large = {**firewall, "management": {"ssh_keys": [f"ssh-rsa {'A' * 720} user{number}" for number in range(3)]}}
    told, refused = bench.bad("vm_create", check=True, **large), bench.bad("vm_create", **large)
    assert told.msg == refused.msg
    assert "management.ssh_keys: makes a configuration that has" in refused.msg
    assert "and the image has room for" in refused.msg
    assert not any(each.method == "GET" and each.path.endswith(".bz2") for each in running.requests)
    assert list((bench.node.root / "etc/pve/qemu-server").glob("*.conf")) == []
    assert [path for top in (bench.node.root, tmp_path) for path in top.rglob("*pve-provision-fw*")] == []


def test_a_vm_that_is_there_is_never_seeded_again_and_that_is_reported(bench: Bench, firewall: Params) -> None:
    made = bench.good("vm_create", **firewall)
    before = ET.tostring(inside(bench, made.vmid))
    swapped = {"lan": {**LAN, "tag": 30, "address": "192.168.30.1/24"}, "wan": WAN}
    changed = bench.good("vm_create", **{**firewall, "interfaces": swapped})
    assert steps(changed) == ["set"]
    assert "was set when the VM was made" in str(changed.warnings)
    assert [(net["bridge"], net["tag"]) for net in changed.config["networks"]] == [("vmbr0", 10), ("vmbr1", 30)]
    assert ET.tostring(inside(bench, made.vmid)) == before


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ({"variant": "vga"}, "is a medium to install from"),
        ({"file": "local:import/nano.raw", "name": None, "mirrors": None}, "is a volume"),
    ],
)
def test_an_image_that_takes_no_configuration_is_reported(
    bench: Bench, firewall: Params, image: Params, words: str
) -> None:
    asked = {key: value for key, value in {**firewall["image"], **image}.items() if value is not None}
    refused = bench.run("vm_create", **{**firewall, "image": asked})
    assert any(finding["option"] == "disks[0].image" and words in finding["problem"] for finding in refused.findings)


def test_releases_of_another_form_are_refused(bench: Bench, firewall: Params, running: Mirror) -> None:
    running.release("opnsense", "24.7")
    refused = bench.run("vm_create", **{**firewall, "image": {**firewall["image"], "name": "opnsense-24.7"}})
    assert [(finding["option"], finding["value"]) for finding in refused.findings] == [("disks[0].image", "24.7")]


def test_without_an_image_there_is_nothing_to_put_a_configuration_into(bench: Bench, firewall: Params) -> None:
    refused = bench.run("vm_create", **{**firewall, "image": None})
    assert [(finding["option"], finding["value"]) for finding in refused.findings] == [("disks[0].image", None)]


def test_a_copy_keeps_what_it_was_copied_from_and_that_is_reported(bench: Bench, firewall: Params) -> None:
    made = bench.good("vm_create", **firewall)
    said = {name: value for name, value in firewall.items() if name not in ("image", "disks")}
    second = {**said, "name": "fw2", "clone_from": {"vmid": made.vmid}}
    copied = bench.good("vm_create", **second)
    assert "a copy keeps the configuration" in str(copied.warnings)
    assert inside(bench, copied.vmid).findtext("system/hostname") == "fw"
