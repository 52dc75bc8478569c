# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing a running container: what is live, what waits, and what happens to its interfaces."""

from __future__ import annotations

import hashlib
import typing as t

import pytest

Machine = t.Any  # see conftest.py
NET = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01"


@pytest.fixture
def running(machine: Machine) -> Machine:
    """A container that runs."""
    machine.create(101, f"--net0 {NET},ip=10.0.0.2/24 --mp0 disks:1,mp=/data")
    machine.ok("pct start 101")
    return machine


def waiting(machine: Machine) -> dict[str, str]:
    return t.cast("dict[str, str]", machine.state.guest("lxc", 101).pending)


def test_the_delete_of_what_only_waits_changes_nothing_and_revert_takes_it_back(running: Machine) -> None:
    running.ok("pct set 101 --tty 4 --nameserver 192.0.2.1")
    running.ok("pct set 101 --delete tty")
    assert waiting(running) == {"nameserver": "192.0.2.1", "tty": "4"}
    running.ok("pct set 101 --revert tty")
    assert waiting(running) == {"nameserver": "192.0.2.1"}
    running.ok("pct set 101 --revert tty,memory")
    assert waiting(running) == {"nameserver": "192.0.2.1"}


def test_a_delete_that_waits_goes_with_the_value_it_had(running: Machine) -> None:
    running.ok("pct set 101 --delete mp0")
    assert waiting(running) == {"delete": "mp0"}
    running.ok("pct stop 101")
    assert (waiting(running), running.config(101).get("mp0")) == ({}, None)
    assert running.config(101)["unused0"] == "disks:101/vm-101-disk-1.raw"


def test_a_volume_that_a_snapshot_still_uses_is_noted_as_unused(machine: Machine) -> None:
    machine.ok("pct create 101 local:vztmpl/tiny_1_amd64.tar.gz --ostype unmanaged --rootfs snap:1 --mp0 snap:1,mp=/d")
    machine.ok("pct snapshot 101 before")
    machine.ok("pct set 101 --delete mp0")
    assert machine.config(101)["unused0"] == "snap:101/vm-101-disk-1.raw"


def test_an_interface_that_is_renamed_to_a_missing_bridge_is_gone(running: Machine) -> None:
    before = running.config(101)["net0"]
    code, _out, err = running(f"pct set 101 --net0 {NET.replace('vmbr0', 'vmbr9')},ip=10.0.0.2/24")
    assert (code, running.config(101)["net0"]) == (255, before), "the old bridge is plugged in again"
    code, _out, err = running(f"pct set 101 --net0 {NET.replace('vmbr0', 'vmbr9').replace('eth0', 'lan0')}")
    assert code == 255 and "net0: unable to hotplug net0: bridge 'vmbr9' does not exist" in err
    assert "net0" not in running.config(101)
    assert waiting(running)["net0"].startswith("name=lan0,bridge=vmbr9")


def test_addresses_are_changed_from_outside_whatever_the_guest_made_of_them(running: Machine) -> None:
    code, out, err = running(f"pct set 101 --net0 {NET},ip=10.0.0.3/24")
    setting = "net.ipv4.conf.eth0.promote_secondaries"
    assert (code, out) == (0, f"{setting} = 1\n{setting} = 0\n")
    assert err == (
        "Error: ipv4: Address not found.\n"
        "command 'lxc-attach -n 101 -s NETWORK -- /sbin/ip -4 addr del 10.0.0.2/24 dev eth0' failed: exit code 2\n"
    ), "nobody configures an unmanaged container"
    assert running(f"pct set 101 --net0 {NET},ip=10.0.0.4/24")[2] == "", "the last address was set from here"
    assert running.config(101)["net0"] == f"{NET},ip=10.0.0.4/24,type=veth"
    code, out, err = running(f"pct set 101 --net0 {NET},ip=dhcp,gw6=fd00::1")
    assert "Nexthop has invalid gateway" in err and code == 0


def test_an_interface_is_taken_out_at_once(running: Machine) -> None:
    assert running.ok("pct set 101 --delete net0") == "delete ips from net0\n"
    assert "net0" not in running.config(101)


def test_a_volume_without_its_place_is_reported_option_by_option(machine: Machine) -> None:
    machine.create(101)
    assert machine("pct move-volume 101 mp3 snap")[2] == (
        "format error\nvolume: property is missing and it is not optional\n"
        "mp: property is missing and it is not optional\n"
    )


def test_a_clone_goes_to_nodes_that_there_are(machine: Machine) -> None:
    machine.create(101)
    assert machine("pct clone 101 102 --target pve9")[2] == "no such cluster node 'pve9'\n"
    assert not machine.state.has_guest("lxc", 102)


def test_a_config_with_foreign_line_ends_keeps_its_digest(machine: Machine) -> None:
    machine.create(101)
    path = machine.root / "etc/pve/nodes/pve1/lxc/101.conf"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + b"# caf\xe9\r\n")
    digest = hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
    machine.ok(f"pct set 101 --memory 600 --digest {digest}")
    assert machine.config(101)["memory"] == "600"
