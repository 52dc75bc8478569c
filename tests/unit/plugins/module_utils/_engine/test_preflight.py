# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands against a plan on a node, each by its option's name, and what an unchanged guest costs: nothing."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual
from ansible_collections.pve.provision.plugins.module_utils._engine.plan import make_plan
from ansible_collections.pve.provision.plugins.module_utils._engine.preflight import Report, preflight
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.read import wanted_container
from ansible_collections.pve.provision.plugins.module_utils._model.declare import null_paths
from ansible_collections.pve.provision.plugins.module_utils._pve.types import (
    Bridge,
    GuestConfig,
    GuestRef,
    Membership,
    Storage,
    Volume,
)

Params = dict[str, t.Any]

GIB = 1024**3
OPTIONS = {
    "hostname": "web1",
    "memory": "1024",
    "mp0": "thin:vm-101-disk-1,mp=/srv,size=4G",
    "rootfs": "thin:vm-101-disk-0,size=4G",
    "unprivileged": "1",
}
NEIGHBOURS = {
    109: {"net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:09,ip=10.0.0.9/24", "net1": "strange"},
    110: {"net0": "virtio=BC:24:11:00:00:10,bridge=vmbr0,trunks=2-4094"},
    111: {"net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:11,ip=10.0.0.11/24"},
}
NET1 = "name=eth1,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,ip=10.0.1.5/24,type=veth"


class FakeNode:
    """A node that answers from memory and notes what it was asked."""

    name = "pve1"

    def __init__(self, root_login: bool = True, version: str = "9.2.11") -> None:
        self.root_login = root_login
        self.pve = version
        self.asked: list[str] = []

    def storages(self) -> list[Storage]:
        self.asked.append("storages")
        return [
            Storage("thin", "lvmthin", frozenset({"rootdir"}), total=100 * GIB, available=10 * GIB),
            Storage("lvm", "lvm", frozenset({"rootdir"}), total=100 * GIB, available=10 * GIB),
            Storage("full", "lvmthin", frozenset({"rootdir"}), total=100 * GIB, available=0),
            Storage("off", "dir", frozenset({"rootdir"}), active=False),
            Storage("iso", "dir", frozenset({"iso"})),
            Storage("local", "dir", frozenset({"snippets"})),
        ]

    def volumes(self, storage: str, content: str | None = None) -> list[Volume]:
        self.asked.append("volumes")
        kept = [
            Volume("local:snippets/a.sh", "snippets", 9),
            Volume("thin:vm-101-disk-2", "rootdir", GIB, vmid=101),
            Volume("thin:vm-109-disk-0", "rootdir", GIB, vmid=109),
        ]
        return [volume for volume in kept if volume.volid.startswith(f"{storage}:")]

    def bridges(self) -> list[Bridge]:
        self.asked.append("bridges")
        return [
            Bridge("vmbr0", mtu=1500),
            Bridge("vmbr1", mtu=1500, vlan_aware=True),
            Bridge("sdn1", "vnet", mtu=1450),
            Bridge("sdn2", "vnet", mtu=1450, vlan_aware=None),
        ]

    def access(self) -> None:
        return None

    def version(self) -> str:
        self.asked.append("version")
        return self.pve

    def guests(self, kind: str | None = None) -> list[GuestRef]:
        self.asked.append("guests")
        return [
            GuestRef(109, "lxc", "pve1", "db1", "running"),
            GuestRef(110, "qemu", "pve1", "db2", "stopped"),
            GuestRef(111, "lxc", "pve1", "golden", "stopped", template=True),
        ]

    def configs(self, guests: Iterable[GuestRef]) -> list[tuple[GuestRef, GuestConfig]]:
        return [(guest, GuestConfig(NEIGHBOURS[guest.vmid], NEIGHBOURS[guest.vmid])) for guest in guests]

    files = SimpleNamespace(has=lambda path: path == "/srv")

    def ha_managed(self) -> frozenset[int]:
        return frozenset({109})

    def membership(self) -> Membership:
        return Membership("", ("pve1",))

    def replicated(self) -> frozenset[int]:
        return frozenset({109})

    def pools(self) -> dict[str, frozenset[int]]:
        return {"home": frozenset()}


def there(**options: str) -> Actual:
    return Actual(101, GuestConfig({**OPTIONS, **options}, {**OPTIONS, **options}), "running")


def check(actual: Actual, declared: Params, node: FakeNode | None = None) -> Report:
    params: Params = {"state": "present", "vmid": 101, "hostname": "web1", **declared}
    wanted = wanted_container(params, null_paths(declared))
    return preflight(Facts(t.cast("t.Any", node or FakeNode())), wanted, actual, make_plan(wanted, actual))


NEW = Actual(101)
AGAINST: list[tuple[Actual, Params, str, str]] = [
    (NEW, {"networks": [{"bridge": "vmbr9"}]}, "networks[0].bridge", "does not exist on node pve1"),
    (NEW, {"networks": [{"bridge": "vmbr0", "mtu": 9000}]}, "networks[0].mtu", "is above the 1500 of vmbr0"),
    (NEW, {"networks": [{"bridge": "vmbr0", "ip": "10.0.0.9/16"}]}, "networks[0].ip", "the address of guest 109"),
    (NEW, {"networks": [{"hwaddr": "bc:24:11:00:00:09"}]}, "networks[0].hwaddr", "is the MAC address of guest 109"),
    (NEW, {"rootfs": {"storage": "tank"}}, "rootfs.storage", "does not exist"),
    (NEW, {"rootfs": {"storage": "iso"}}, "rootfs.storage", "takes no containers"),
    (NEW, {"rootfs": {"storage": "off"}}, "rootfs.storage", "is not active"),
    (NEW, {"rootfs": {"storage": "lvm", "size": 11}}, "rootfs.storage", "10.0 GiB free, 11.0 GiB are needed"),
    (NEW, {"rootfs": {"storage": "full", "size": 1}}, "rootfs.storage", "0.0 GiB free"),
    (NEW, {"mount_points": [{"mp": "/a"}]}, "mount_points[0]", "does not say what to mount"),
    (NEW, {"mount_points": [{"storage": "thin", "size": 1}]}, "mount_points[0].mp", "is missing"),
    (NEW, {"mount_points": [{"bind": "/none", "mp": "/a"}]}, "mount_points[0].bind", "does not exist on node pve1"),
    (NEW, {"devices": [{"path": "/dev/none"}]}, "devices[0].path", "does not exist on node pve1"),
    (NEW, {"pool": "work"}, "pool", "does not exist"),
    (NEW, {"mount_points": [{"storage": "thin", "mp": "/a"}]}, "mount_points[0].size", "is missing"),
    (NEW, {"mount_points": [{"volume": "thin:vm-9-disk-9", "mp": "/a"}]}, "mount_points[0].volume", "does not exist"),
    (there(), {"mount_points": [{"volume": "thin:4", "mp": "/a"}]}, "mount_points[0].volume", "does not exist on thin"),
    (there(), {"mount_points": [{"id": 0, "volume": "thin:x"}]}, "mount_points[0].volume", "does not exist on thin"),
    (NEW, {"rootfs": {"volume": "thin:vm-109-disk-0"}}, "rootfs.volume", "is not what a new container is made from"),
    (there(), {"rootfs": {"volume": "thin:vm-9-disk-0"}}, "rootfs.volume", "is not the one it has: thin:vm-101-disk-0"),
    (NEW, {"hookscript": "local:snippets/b.sh"}, "hookscript", "does not exist on node pve1"),
    (NEW, {"hookscript": "none:snippets/a.sh"}, "hookscript", "does not exist on node pve1"),
    (NEW, {"hookscript": "/root/a.sh"}, "hookscript", "is not the volid of a snippet"),
    (NEW, {"networks": [{"bridge": "vmbr0", "trunks": ["2-9"]}]}, "networks[0].trunks", "needs a VLAN-aware bridge"),
    (NEW, {"networks": [{"bridge": "sdn1", "trunks": [2]}]}, "networks[0].trunks", "needs a VLAN-aware bridge"),
    (NEW, {"networks": [{"bridge": "sdn1", "tag": 5}]}, "networks[0].tag", "is not possible on VNet sdn1"),
    (there(net1=NET1.replace("vmbr0", "gone")), {"networks": [{"id": 1, "tag": 5}]}, "networks[0].bridge", "not exist"),
    (
        there(net1=NET1),
        {"networks": [{"bridge": "vmbr1", "name": "eth1"}, {"name": "b", "ip": "10.0.1.5/24"}]},
        "networks[1].ip",
        "is also used by",
    ),
    (there(net1=NET1), {"networks": [{"id": 2, "hwaddr": "bc:24:11:00:00:01"}]}, "networks[0].hwaddr", "used by net1"),
    (
        there(net1=NET1),
        {"networks": [{"id": 1, "gateway": "10.0.0.1"}]},
        "networks[0].gateway",
        "is not in the network",
    ),
    (there(net1=NET1), {"networks": [{"id": 1, "ip": "10.0.0.9/24"}]}, "networks[0].ip", "address of guest 109 (db1)"),
    (there(), {"mount_points": [{"id": 3, "bind": "/srv", "mp": "/srv"}]}, "mount_points[0].mp", "is also used by mp0"),
    (there(), {"mount_points": [{"volume": "thin:vm-101-disk-1", "mp": "/b"}]}, "mount_points[0].volume", "by mp0"),
    (there(), {"features": {"mount": ["nfs"]}}, "features.mount", "does not work in an unprivileged container"),
    (there(), {"rootfs": {"quota": True}}, "rootfs.quota", "does not work in an unprivileged container"),
    (there(unprivileged="0"), {"features": {"keyctl": True}}, "features.keyctl", "is for unprivileged containers only"),
    (NEW, {"tags": ["b!"], "pool": "work"}, "tags[0]", "is not a tag"),
    (Actual(101, taken=GuestRef(101, "qemu", "pve1", "vm", "running")), {}, "vmid", "is taken by a VM on node pve1"),
    (Actual(101, taken=GuestRef(101, "lxc", "pve2", "ct", "running")), {}, "vmid", "a container on node pve2"),
    (there(lock="backup"), {"memory": 2048}, "vmid", "is locked (backup)"),
    (there(lock="backup"), {"state": "absent"}, "vmid", "is locked (backup)"),
    (there(protection="1"), {"state": "absent"}, "state", "is protected"),
    (there(protection="1"), {"state": "absent", "hostname": "other"}, "hostname", "is not the name of container 101"),
    (there(protection="1"), {"unprivileged": False, "recreate": True}, "recreate", "is protected"),
    (there(protection="1"), {"mount_points": [{"mp": "/srv", "ro": True}]}, "mount_points[0]", "so are its volumes"),
    (there(protection="1"), {"mount_points": None, "protection": False}, "mp0", "so are its volumes"),
    (
        there(protection="1", mp1="thin:vm-101-disk-2,mp=/b"),
        {"mount_points": [{"mp": "/b", "ro": True}]},
        "mount_points[0]",
        "so are its volumes",
    ),
    (there(template="1"), {"state": "restarted"}, "state", "is a template"),
    (there(), {"rootfs": {"size": 2}}, "rootfs.size", "is smaller than"),
]


@pytest.mark.parametrize(("actual", "declared", "option", "problem"), AGAINST)
def test_what_stands_against_a_plan_is_named(actual: Actual, declared: Params, option: str, problem: str) -> None:
    found = [(finding.option, finding.problem) for finding in check(actual, declared).findings]
    assert any(name == option and problem in words for name, words in found), found


@pytest.mark.parametrize(
    ("actual", "declared"),
    [
        (NEW, {"networks": [{"bridge": "vmbr0", "ip": "10.0.0.9/24", "tag": 5}], "pool": "home"}),
        (NEW, {"rootfs": {"storage": "lvm", "size": 10}, "mount_points": [{"bind": "/srv", "mp": "/a"}]}),
        (there(protection="1"), {"memory": 2048, "rootfs": {"size": 6}}),
        (there(lock="backup"), {"memory": 1024}),
        (there(), {"state": "absent"}),
        (NEW, {"networks": [{"bridge": "vmbr0", "ip": "10.0.0.11/24", "hwaddr": "bc:24:11:00:00:11"}]}),
        (NEW, {"networks": [{"bridge": "vmbr1", "trunks": ["2-4094"]}, {"bridge": "sdn2", "tag": 5}]}),
        (NEW, {"networks": [{"bridge": "vmbr0", "tag": 5}], "hookscript": "local:snippets/a.sh"}),
        (there(), {"mount_points": [{"volume": "thin:vm-101-disk-2", "mp": "/a/"}]}),
        (there(mp1="thin:vm-101-disk-3,mp=/srv,size=1G"), {"memory": 2048}),
        (there(features="mount=nfs"), {"features": {"nesting": True}}),
    ],
)
def test_nothing_stands_against_what_works(actual: Actual, declared: Params) -> None:
    report = check(actual, declared)
    assert (report.findings, report.warnings) == ([], [])


def test_a_thin_storage_may_be_promised_more_than_it_holds_with_a_warning() -> None:
    report = check(NEW, {"rootfs": {"storage": "thin", "size": 11}})
    assert report.findings == []
    assert "it is thin" in report.warnings[0]


@pytest.mark.parametrize(
    ("declared", "option"),
    [
        ({"features": {"fuse": True}}, "features.fuse"),
        ({"features": {"nesting": True}, "unprivileged": False}, "features.nesting"),
        ({"devices": [{"path": "/srv"}]}, "devices[0]"),
        ({"mount_points": [{"bind": "/srv", "mp": "/a"}]}, "mount_points[0].bind"),
        ({"hookscript": "local:snippets/a.sh"}, "hookscript"),
    ],
)
def test_what_pve_keeps_for_root_is_refused_to_a_token_alone(declared: Params, option: str) -> None:
    assert check(NEW, declared).findings == []
    (finding,) = check(NEW, declared, FakeNode(root_login=False)).findings
    assert (finding.option, "API token" in finding.problem, bool(finding.remedy)) == (option, True, True)


@pytest.mark.parametrize(
    ("declared", "warning"),
    [
        (
            {"networks": [{"bridge": "vmbr0", "hwaddr": "bc:24:11:00:00:10"}]},
            "networks[0].hwaddr: BC:24:11:00:00:10 is the MAC address of guest 110 (db2), which is stopped",
        ),
        (
            {"mount_points": [{"volume": "thin:vm-109-disk-0", "mp": "/a"}]},
            "mount_points[0].volume: thin:vm-109-disk-0 belongs to guest 109",
        ),
    ],
)
def test_what_works_for_now_is_warned_of(declared: Params, warning: str) -> None:
    report = check(NEW, declared)
    assert report.findings == []
    assert report.warnings[0].startswith(warning)


@pytest.mark.parametrize(
    ("zone", "remedy"),
    [("Europe/Berlin", None), ("UTC", None), ("host", None), ("Europe/Berln", "Did you mean Europe/Berlin?")],
)
def test_a_time_zone_is_one_that_pve_knows(
    zone: str, remedy: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = tmp_path / "zone.tab"
    table.write_text("# codes\tcoordinates\tTZ\nDE\t+5230+01322\tEurope/Berlin\tmost of Germany\n")
    monkeypatch.setattr("ansible_collections.pve.provision.plugins.module_utils._guests.lxc.checks.ZONE_TAB", table)
    assert [finding.remedy for finding in check(NEW, {"timezone": zone}).findings] == ([remedy] if remedy else [])


@pytest.mark.parametrize(
    ("version", "declared", "told"),
    [
        ("9.1.9", {"mount_points": [{"bind": "/srv", "mp": "/a", "idmap": ["passthrough"]}]}, "mount_points[0].idmap"),
        ("9.2.1", {"mount_points": [{"bind": "/srv", "mp": "/a", "idmap": ["passthrough"]}]}, None),
        ("9.0.11", {"env": ["A=secret"]}, "env"),
        ("9.1.0", {"env": ["A=secret"]}, None),
        ("8.4.14", {"networks": [{"bridge": "vmbr0", "host_managed": True}]}, "networks[0].host_managed"),
        ("8.4.14", {"networks": [{"bridge": "vmbr0", "host_managed": False}]}, None),
        ("10.0.1", {"entrypoint": "/bin/app"}, None),
        ("", {"entrypoint": "/bin/app"}, None),
    ],
)
def test_what_a_node_is_too_old_for_is_reported_with_the_version_that_has_it(
    version: str, declared: Params, told: str | None
) -> None:
    findings = check(NEW, {"unprivileged": True, **declared}, FakeNode(version=version)).findings
    assert [finding.option for finding in findings] == ([told] if told else [])
    assert all(f"node pve1 has {version}" in finding.problem for finding in findings)
    assert "secret" not in str(findings)


def test_only_what_is_newer_than_the_oldest_supported_version_costs_a_look_at_the_nodes() -> None:
    node = FakeNode()
    check(NEW, {"memory": 2048, "networks": [{"bridge": "vmbr0"}]}, node)
    assert "version" not in node.asked


def test_a_finding_without_a_value_names_none() -> None:
    (finding,) = check(NEW, {"mount_points": [{"mp": "/a"}]}).findings
    assert str(finding).startswith("mount_points[0]: does not say what to mount. State storage and size")


def test_a_guest_that_is_as_declared_costs_no_question() -> None:
    node = FakeNode()
    declared = {"memory": 1024, "rootfs": {"storage": "thin", "size": 4}, "mount_points": [{"mp": "/srv"}]}
    assert check(there(), declared, node).findings == []
    check(there(), {"memory": 2048}, node)
    check(there(), {"networks": None}, node)
    assert node.asked == []
