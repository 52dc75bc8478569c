# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's declaration: everything that is wrong with it by itself, all at once."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._model.declare import null_paths
from ansible_collections.pve.provision.plugins.module_utils._model.lxc import (
    check_container,
    decide_privilege,
    declare_lxc,
)


def problems_of(**params: t.Any) -> dict[str, str]:
    declaration, findings = declare_lxc(params, null_paths(params))
    if "unprivileged" not in declaration.values:
        declaration.values["unprivileged"] = decide_privilege(declaration).unprivileged
    findings += check_container(declaration.values, declaration.paths)
    return {problem.option: problem.problem for problem in reversed(findings)}


@pytest.mark.parametrize(
    ("params", "option", "problem"),
    [
        ({"vmid": 99}, "vmid", "is out of range"),
        ({"hostname": "a_b"}, "hostname", "is not a valid DNS name"),
        ({"hostname": "-a"}, "hostname", "is not a valid DNS name"),
        ({"rootfs": None}, "rootfs", "cannot be deleted"),
        ({"ostype": None}, "ostype", "cannot be deleted"),
        ({"memory": 8}, "memory", "is out of range"),
        ({"memory": "lots"}, "memory", "is not a number of MiB"),
        ({"cores": 0}, "cores", "is out of range"),
        ({"networks": [{"bridge": "vmbr0", "ip": "10.0.0.5"}]}, "networks[0].ip", "has no prefix"),
        ({"networks": [{"bridge": "vmbr0", "ip": "10.0.0.500/24"}]}, "networks[0].ip", "is neither dhcp"),
        ({"networks": [{"bridge": "vmbr0", "ip6": "10.0.0.5/24"}]}, "networks[0].ip6", "is neither auto"),
        ({"networks": [{"bridge": "vmbr0", "tag": 4095}]}, "networks[0].tag", "is out of range"),
        ({"networks": [{"bridge": "vmbr0", "mtu": 70000}]}, "networks[0].mtu", "is out of range"),
        ({"networks": [{"bridge": "vmbr0", "hwaddr": "01:24:11:00:00:01"}]}, "networks[0].hwaddr", "is a multicast"),
        ({"networks": [{"bridge": "vmbr0", "hwaddr": "xx"}]}, "networks[0].hwaddr", "is not a MAC"),
        (
            {"networks": [{"bridge": "vmbr0", "ip": "10.0.0.5/24", "gateway": "10.0.1.1"}]},
            "networks[0].gateway",
            "is not in the network of 10.0.0.5/24",
        ),
        (
            {"networks": [{"bridge": "vmbr0", "ip": "10.0.0.5/24", "gateway": "10.0.0.5"}]},
            "networks[0].gateway",
            "is the guest's own address",
        ),
        # What PVE's own formats refuse (pve-common, JSONSchema.pm), or what would become another line of its config.
        ({"description": "a\0b"}, "description", "holds a NUL character"),
        ({"description": "x" * 8193}, "description", "has 8193 characters"),
        ({"entrypoint": "/init\nmemory: 16"}, "entrypoint", "holds a line break"),
        ({"hookscript": "local:snippets/a\n"}, "hookscript", "holds a line break"),
        ({"networks": [{"bridge": "vmbr0", "ip6": "fe80::5%eth0/64"}]}, "networks[0].ip6", "is neither auto"),
        (
            {"networks": [{"bridge": "vmbr0", "ip6": "fd00::5/64", "gateway6": "fe80::1%eth0"}]},
            "networks[0].gateway6",
            "is not an IPv6 address",
        ),
        ({"networks": [{"bridge": "vmbr0", "hwaddr": "00:00:00:00:00:00"}]}, "networks[0].hwaddr", "is not an address"),
        ({"networks": [{"bridge": "vmbr0", "name": "eth:0"}]}, "networks[0].name", "is not an interface name"),
        ({"networks": [{"bridge": "vmbr0", "name": "ethü"}]}, "networks[0].name", "is not an interface name"),
        ({"networks": [{"bridge": "vmbr0", "name": "lo"}]}, "networks[0].name", "is not an interface name"),
        ({"mount_points": [{"bind": "/srv/a=b", "mp": "/a"}]}, "mount_points[0].volume", "holds an equals sign"),
        ({"mount_points": [{"volume": "nas:a,ro=1", "mp": "/a"}]}, "mount_points[0].volume", "holds a comma"),
        ({"devices": [{"path": "/dev/a,mode=0777"}]}, "devices[0].path", "holds a comma"),
        ({"networks": [{"id": 0}, {"id": 0}]}, "networks[1].id", "is used twice"),
        (
            {"networks": [{"name": "eth0"}, {"name": "eth0"}]},
            "networks[1].name",
            "is also used by networks[0]",
        ),
        (
            {"networks": [{"hwaddr": "BC:24:11:00:00:01"}, {"hwaddr": "bc:24:11:00:00:01"}]},
            "networks[1].hwaddr",
            "is also used by networks[0]",
        ),
        ({"rootfs": {"size": "1X"}}, "rootfs.size", "is not a size"),
        ({"tags": ["good", "bad!tag"]}, "tags[1]", "is not a tag"),
        ({"features": {"mount": ["nfs"]}, "unprivileged": True}, "features.mount", "does not work in an unprivileged"),
        ({"features": {"keyctl": True}, "unprivileged": False}, "features.keyctl", "is for unprivileged containers"),
        ({"features": {"keyctl": True, "mount": ["nfs"]}}, "features.keyctl", "is for unprivileged containers"),
        ({"rootfs": {"quota": True}, "unprivileged": True}, "rootfs.quota", "does not work in an unprivileged"),
        (
            {"mount_points": [{"mp": "/a", "bind": "/a", "quota": True}], "unprivileged": True},
            "mount_points[0].quota",
            "does not work in an unprivileged",
        ),
        (
            {"mount_points": [{"mp": "/a", "bind": "/a"}, {"mp": "/a/", "bind": "/b"}]},
            "mount_points[1].mp",
            "is also used by mount_points[0]",
        ),
        (
            {"mount_points": [{"mp": "/a", "volume": "x:1/d"}, {"mp": "/b", "volume": "x:1/d"}]},
            "mount_points[1].volume",
            "is also used by mount_points[0]",
        ),
        (
            {"networks": [{"ip": "10.0.0.5/24"}, {"ip": "10.0.0.5/16"}]},
            "networks[1].ip",
            "is also used by networks[0]",
        ),
        ({"mount_points": [{"mp": "/a/../b", "bind": "/a"}]}, "mount_points[0].mp", "has a part '.' or '..'"),
        ({"mount_points": [{"mp": "/a", "bind": "/srv/./b"}]}, "mount_points[0].volume", "has a part '.' or '..'"),
        (
            {"mount_points": [{"mp": "/a", "bind": "srv"}]},
            "mount_points[0].bind",
            "is not an absolute path of the node",
        ),
        ({"mount_points": [{"mp": "/", "bind": "/a"}]}, "mount_points[0].mp", "is not an absolute path"),
        ({"raw": ["lxc.cap.drop:", "memory: 5"]}, "raw[1]", "is not a line for LXC"),
        ({"raw": ["lxc.cap.drop: a\nmemory: 5"]}, "raw[0]", "holds a line break"),
        ({"raw": ["lxc.cap.drop: a\r"]}, "raw[0]", "holds a line break"),
        ({"raw": ["lxc.uts.name = other"]}, "raw[0]", "is what Proxmox VE itself writes; use the option hostname"),
        ({"raw": ["lxc.net.0.type: veth"]}, "raw[0]", "is what Proxmox VE itself writes; use the option networks"),
        ({"raw": ["lxc.environment: A=1"]}, "raw[0]", "is what Proxmox VE itself writes; use the option env"),
        ({"raw": ["lxc.cgroup.cpu.shares: 1"]}, "raw[0]", "has the key lxc.cgroup.cpu.shares, which Proxmox VE"),
        ({"raw": ["#lxc.cap.drop: a"]}, "raw[0]", "is not a line for LXC"),
        ({"raw": ["[snap]"]}, "raw[0]", "is not a line for LXC"),
        (
            {"mount_points": [{"mp": "/a", "bind": "/a", "idmap": ["u:1:1:1", "u:1:1"]}]},
            "mount_points[0].idmap[1]",
            "is neither passthrough nor like u:1000:1000:1",
        ),
        (
            {"mount_points": [{"mp": "/a", "bind": "/a", "idmap": ["u:1:1:0"]}]},
            "mount_points[0].idmap[0]",
            "is neither passthrough nor like",
        ),
        (
            {"mount_points": [{"mp": "/a", "bind": "/a", "idmap": ["u:1:1:1", "passthrough"]}]},
            "mount_points[0].idmap",
            "has passthrough and more",
        ),
        (
            {"mount_points": [{"mp": "/a", "bind": "/a", "idmap": ["passthrough"]}], "unprivileged": False},
            "mount_points[0].idmap",
            "is for unprivileged containers only",
        ),
        ({"rootfs": {"mountoptions": ["noatime", "fast"]}}, "rootfs.mountoptions[1]", "is none of discard"),
        ({"devices": [{"path": "/dev/kvm", "mode": 432}]}, "devices[0].mode", "is a number, and not the mode"),
        ({"devices": [{"path": "/dev/kvm", "mode": "888"}]}, "devices[0].mode", "is not an octal mode"),
        ({"devices": [{"mode": "0660"}]}, "devices[0].path", "is missing"),
        ({"networks": [{"trunks": ["2-4095"]}]}, "networks[0].trunks[0]", "is out of range"),
        ({"networks": [{"trunks": ["5", "9-3"]}]}, "networks[0].trunks[1]", "is neither a VLAN tag nor a range"),
        ({"networks": [{"hwaddr": 41135687696}]}, "networks[0].hwaddr", "is a number, and not the address"),
        ({"networks": [{"id": -1}]}, "networks[0].id", "is out of range"),
        ({"mount_points": [{"id": 256}]}, "mount_points[0].id", "is out of range"),
        ({"cpuunits": 50000}, "cpuunits", "is out of range"),
        ({"nameserver": ["1.1.1.1", "1.1.1"]}, "nameserver[1]", "is not an IP address"),
        ({"nameserver": ["10.0.0.1%eth0"]}, "nameserver[0]", "is not an IP address"),
        ({"nameserver": ["fd00::1%eth0"]}, "nameserver[0]", "is not an IP address"),
        ({"env": ["A=1", "secret"]}, "env[1]", "is not NAME=value"),
        ({"env": ["A=1\0B=2"]}, "env[0]", "is not NAME=value"),
        ({"env": ["A=1\rB=2"]}, "env[0]", "is not NAME=value"),
        ({"env": ["A=1\nlxc.hook.start: /x"]}, "env[0]", "is not NAME=value"),
        ({"mount_points": [{"mp": "srv", "storage": "x"}]}, "mount_points[0].mp", "is not an absolute path"),
        ({"devices": [{"path": "dev"}]}, "devices[0].path", "is not an absolute path"),
    ],
)
def test_bad_input_is_reported_by_option(params: dict[str, t.Any], option: str, problem: str) -> None:
    found = problems_of(**params)
    assert set(found) == {option}
    assert found[option].startswith(problem)


def test_everything_wrong_is_reported_at_once() -> None:
    found = problems_of(vmid=5, hostname="a_b", memory=1, networks=[{"ip": "1.2.3.4"}, {"tag": 5000}])
    assert set(found) == {"vmid", "hostname", "memory", "networks[0].ip", "networks[1].tag"}


@pytest.mark.parametrize(
    "net", [{"gateway6": "fe80::1", "ip6": "fd00::5/64"}, {"ip": "10.0.0.5/32", "gateway": "10.9.9.9"}]
)
def test_gateways_that_work_although_they_are_outside(net: dict[str, str]) -> None:
    assert problems_of(networks=[{"bridge": "vmbr0", **net}]) == {}


@pytest.mark.parametrize(
    ("params", "unprivileged"),
    [
        ({}, True),
        ({"features": {"nesting": True}}, True),
        ({"features": {"mount": ["nfs"]}}, False),
        ({"rootfs": {"quota": True}}, False),
        ({"mount_points": [{"mp": "/a", "quota": True}]}, False),
        ({"mount_points": [{"mp": "/a", "quota": False}]}, True),
        ({"unprivileged": False}, False),
    ],
)
def test_a_container_is_unprivileged_unless_something_cannot_work_so(
    params: dict[str, t.Any], unprivileged: bool
) -> None:
    privilege = decide_privilege(declare_lxc(params)[0])
    assert privilege.unprivileged is unprivileged
    assert privilege.reason
