# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``pveum`` lines of the guide grant what each module needs, and nothing that it does not need."""

from __future__ import annotations

import re
import shlex
import typing as t

import pytest
from guide_blocks import RST, blocks

from ansible_collections.pve.provision.plugins.module_utils._guests.vm.golden_name import Origin
from ansible_collections.pve.provision.plugins.modules import node_info
from embedded_node import EmbeddedNode, commands
from embedded_node.mirror import Mirror

from ..plugins.modules.conftest import Answer, Params, call
from ..plugins.modules.routers import INTERFACES, KEY

PAGE = RST / "guide_api_or_ssh.rst"
TEXT = PAGE.read_text(encoding="utf-8")
NET = {"bridge": "vmbr0", "tag": 20}
#: The embedded node shows its bridges to everybody, Proxmox VE to who has this (pve-manager, API2/Network.pm).
UNSEEN = {"SDN.Audit"}
Runs = t.Callable[[Mirror], list[tuple[str, Params]]]


def lxc(_mirror: Mirror) -> list[tuple[str, Params]]:
    """A container from its creation to its end."""
    declared: Params = {
        "hostname": "web1",
        "ostemplate": "alpine-3.22-default",
        "cores": 2,
        "memory": 512,
        "rootfs": {"storage": "local-lvm", "size": "1G"},
        "mount_points": [{"storage": "local-lvm", "size": "1G", "mp": "/srv"}],
        "networks": [{**NET, "ip": "192.168.20.10/24", "gateway": "192.168.20.1"}],
        "features": {"nesting": True},
        "onboot": True,
        "startup": {"order": 1},
        "ssh_public_keys": [KEY],
        "state": "started",
    }
    later = {**declared, "memory": 1024, "rootfs": {"size": "2G"}, "state": "stopped", "force": True}
    return [("lxc_create", declared), ("lxc_create", later), ("lxc_create", gone("hostname", "web1"))]


def vm(mirror: Mirror) -> list[tuple[str, Params]]:
    """A VM from a cloud image, with packages."""
    declared: Params = {
        "name": "app1",
        "profile": "cloud",
        "image": {"name": "debian-13", "mirrors": [mirror.base("debian")], "verify": "checksum"},
        "disks": [{"storage": "local-lvm", "size": "4G"}],
        "networks": [NET],
        "cloud_init": {"user": "admin", "ssh_keys": [KEY], "ip": [{"ip": "192.168.20.14/24"}]},
        "onboot": True,
        "state": "started",
    }
    later = {**declared, "memory": 1024, "disks": [{"size": "5G"}], "state": "stopped", "force": True}
    return [
        ("vm_create", {**declared, "packages": ["nginx"]}),
        ("vm_create", later),
        ("vm_create", gone("name", "app1")),
    ]


def router(mirror: Mirror) -> list[tuple[str, Params]]:
    """An OpenWrt in a VM."""
    declared: Params = {
        "name": "gw",
        "interfaces": INTERFACES,
        "management": {"from": ["lan"], "ssh_keys": [KEY]},
        "mirrors": [mirror.base("openwrt")],
        "keys": [mirror.signer.usign_public],
    }
    later = {**declared, "memory": 512, "state": "stopped", "force": True}
    return [("openwrt_vm", declared), ("openwrt_vm", later), ("openwrt_vm", gone("name", "gw"))]


def images(mirror: Mirror) -> list[tuple[str, Params]]:
    """An image of Alpine's that comes and goes, and OpenWrt's template."""
    alpine = {"source": "alpine", "version": "3.22", "content": "vztmpl", "verify": "checksum", "storages": ["local"]}
    alpine |= {"mirrors": [mirror.base("alpine")]}
    openwrt = {"mirrors": [mirror.base("openwrt")], "keys": [mirror.signer.usign_public], "storages": ["local"]}
    return [
        ("template_cache", alpine),
        ("template_cache", {**alpine, "state": "absent"}),
        ("openwrt_template", openwrt),
    ]


def look(_mirror: Mirror) -> list[tuple[str, Params]]:
    """A guest that is there already, seen and verified."""
    there = {"name": "there1", "type": "lxc", "state": "stopped", "networks": [NET]}
    every = [*node_info.PARTS, *node_info.ASKED]
    return [("node_info", {"gather": every, "declare": True}), ("guest_verify", {"guests": [there]})]


def unused(_mirror: Mirror) -> list[tuple[str, Params]]:
    """A golden template that has clones, and one that has none."""
    return [("cleanup", {"remove": ["golden"], "min_age": 0})]


def gone(option: str, name: str) -> Params:
    return {option: name, "vmid": 101, "state": "absent"}


ROLES: dict[str, Runs] = {
    "ProvisionLook": look,
    "ProvisionLxc": lxc,
    "ProvisionVm": vm,
    "ProvisionOpenwrt": router,
    "ProvisionImages": images,
    "ProvisionCleanup": unused,
}
CONTAINER: Params = {
    "hostname": "more1",
    "ostemplate": "alpine-3.22-default",
    "rootfs": {"storage": "local-lvm", "size": "1G"},
}
THERE: Params = {"hostname": "there1", "memory": 256}
NEWEST: Params = {"state": "latest", "packages": ["nginx"], "ssh_private_key": "/root/.ssh/id_ed25519"}
VM: Params = {"name": "more1", "disks": [{"storage": "local-lvm", "size": "1G"}]}
#: What is declared, by its words in the guide; the module, its options, and what they take besides the module's role.
MORE: dict[str, tuple[str, Params, str]] = {
    "a container with ``unprivileged: false``": (
        "lxc_create", {**CONTAINER, "unprivileged": False}, "Sys.Modify on /",
    ),
    "``startup`` of a VM": ("vm_create", {**VM, "startup": {"order": 1}}, "Sys.Modify on /"),
    "``rollback: snapshot``": ("lxc_create", {**THERE, "rollback": "snapshot"}, "VM.Snapshot on /vms"),
    "``state: latest``": ("lxc_create", {**THERE, **NEWEST}, "VM.Snapshot on /vms"),
    "``state: latest`` on a storage without snapshots": (
        "lxc_create", {**NEWEST, "hostname": "there2"}, "VM.Backup on /vms/103",
    ),
    "``clone_from``": (
        "lxc_create", {"hostname": "more1", "clone_from": {"name": "there1"}}, "VM.Clone on /vms/100",
    ),
    "``pool``": ("lxc_create", {**THERE, "pool": "lab"}, "Pool.Allocate on /pool/lab"),
    "``hostpci``, ``usb``, ``virtiofs`` by a mapping": (
        "vm_create", {**VM, "usb": [{"mapping": "stick"}]}, "Mapping.Use on /mapping/usb/stick",
    ),
}  # fmt: skip


def lines() -> list[list[str]]:
    """The commands of the guide, as argv."""
    text = "".join(block.text for block in blocks(PAGE, "sh"))
    return [shlex.split(line) for line in re.sub(r" *\\\n *", " ", text).splitlines() if line]


def privileges(role: str) -> list[str]:
    (found,) = [argv[5].split() for argv in lines() if argv[1:4] == ["role", "add", role]]
    return found


def paths(role: str) -> list[str]:
    return [argv[3] for argv in lines() if argv[1:3] == ["acl", "modify"] and argv[-1] == role]


@pytest.fixture(scope="module")
def mirror() -> t.Iterator[Mirror]:
    with Mirror(sites=("alpine", "debian", "openwrt")) as running:
        yield running


class Tokens:
    """A node, and a user whose token has the rights that a test gives it."""

    def __init__(self, node: EmbeddedNode) -> None:
        self.node = node
        self.pvesh("create", "/access/users", "--userid", "ansible@pve")
        made = self.pvesh("create", "/access/users/ansible@pve/token/run", "--privsep", "0", "--output-format", "json")
        (secret,) = re.findall(r'"value":"([^"]+)"', made)
        self.login: Params = {key: node.api[key] for key in ("api_host", "api_port", "ca_path")}
        self.login |= {"api_user": "ansible@pve", "api_token_id": "run", "api_token_secret": secret, "node": node.name}

    def pvesh(self, *argv: str) -> str:
        rc, out, err = commands.run(["pvesh", *argv], self.node.root, b"")
        assert rc == 0, err
        return out

    def run(self, names: list[str], on: list[str], module: str, params: Params, *, check: bool = False) -> Answer:
        """Run a module with these privileges on these paths, and no other ones."""
        self.pvesh("create", "/access/roles", "--roleid", "Tested", "--privs", ",".join(names))
        for path in on:
            self.pvesh("set", "/access/acl", "--path", path, "--users", "ansible@pve", "--roles", "Tested")
        try:
            return call(module, {**params, **self.login}, check=check)
        finally:
            self.pvesh("delete", "/access/roles/Tested")


def qm(node: EmbeddedNode, *argv: str) -> None:
    rc, _out, err = commands.run(["qm", *argv], node.root, b"")
    assert rc == 0, err


def make_golden(node: EmbeddedNode, vmid: int) -> None:
    origin = Origin("own", "local:import/own.qcow2", f"{vmid:064}", node.name, "files", "scsi0")
    marks = ["--name", origin.name]
    qm(node, "create", str(vmid), "--scsi0", "files:1,format=qcow2", *marks)
    qm(node, "template", str(vmid))


@pytest.fixture(scope="module")
def tokens() -> t.Iterator[Tokens]:
    """With a guest that is there already, and golden templates."""
    with EmbeddedNode() as node:
        template = "local:vztmpl/alpine-3.22-default_20250617_amd64.tar.xz"
        argv = ["pct", "create", "100", template, "--hostname", "there1", "--rootfs", "local-lvm:1"]
        rc, _out, err = commands.run([*argv, "--net0", "name=eth0,bridge=vmbr0,tag=20"], node.root, b"")
        assert rc == 0, err
        commands.run(["pvesh", "create", "/pools", "--poolid", "lab"], node.root, b"")
        storages = node.root / "etc/pve/storage.cfg"  # of a type whose clones need their template
        files = f"\ndir: files\n\tpath {node.root / 'srv/files'}\n\tcontent images,rootdir\n"
        storages.write_text(storages.read_text(encoding="utf-8") + files, encoding="utf-8")
        there = ["pct", "create", "103", template, "--hostname", "there2", "--rootfs", "files:1"]
        rc, _out, err = commands.run(there, node.root, b"")
        assert rc == 0, err
        for vmid in (900, 901):
            make_golden(node, vmid)
        qm(node, "clone", "900", "902", "--name", "clone1")
        yield Tokens(node)


def seen(answer: Answer) -> t.Any:
    """What came of a run, but for names that are drawn."""
    told = answer.values
    found = [told.get("changed"), [step["step"] for step in told.get("plan") or ()]]
    lists = [len(told.get(name) or ()) for name in ("guests", "storages", "templates", "bridges", "nodes")]
    declared = (told.get("declaration") or {}).get("provision_guests")
    outcomes = [each.get("outcome") for each in told.get("guests") or ()]
    return [answer.failed, *found, *lists, declared, told.get("golden"), outcomes]


@pytest.mark.parametrize("words", MORE)
def test_what_an_option_takes_besides(words: str, tokens: Tokens) -> None:
    module, params, takes = MORE[words]
    role = {"lxc_create": "ProvisionLxc", "vm_create": "ProvisionVm"}[module]
    told = tokens.run(privileges(role), paths(role), module, params, check=True)
    assert takes in told.msg
    privilege, _on, path = takes.partition(" on ")
    row = TEXT[TEXT.index(f"* - {words}\n") :].split("\n  * - ")[0]
    assert f"``{privilege}``" in row
    assert f"``/{path.split('/')[1]}" in row


def test_each_role_is_made_once_and_granted() -> None:
    made = [argv[3] for argv in lines() if argv[1:3] == ["role", "add"]]
    assert sorted(made) == sorted(ROLES)
    for role in made:
        assert privileges(role) == sorted(set(privileges(role)), key=str), role
        assert paths(role)


@pytest.mark.parametrize("role", ROLES)
def test_a_module_needs_what_its_role_grants(
    role: str, tokens: Tokens, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """All of it: without any one privilege some run is refused or sees less, by check mode before anything is there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    names, on = privileges(role), paths(role)
    idle = set(names) - UNSEEN
    for module, params in ROLES[role](mirror):
        whole = tokens.run(names, on, module, params, check=True)
        assert not whole.failed, whole.msg
        for name in sorted(idle):
            less = tokens.run([each for each in names if each != name], on, module, params, check=True)
            idle -= {name} if seen(less) != seen(whole) else set()
        made = tokens.run(names, on, module, params)
        assert not made.failed, made.msg
    assert idle == set()


def test_a_pool_and_a_storage_do_in_place_of_all(tokens: Tokens, mirror: Mirror) -> None:
    assert all(f"``{word}``" in TEXT for word in ("/pool/lab", "/storage/local-lvm", "Pool.Audit"))
    on = ["/pool/lab", "/storage/local-lvm", "/storage/local", "/sdn/zones/localnetwork/vmbr0"]
    for module, params in lxc(mirror):
        pool = {} if params.get("state") == "absent" else {"pool": "lab"}
        made = tokens.run([*privileges("ProvisionLxc"), "Pool.Audit"], on, module, {**params, **pool})
        assert not made.failed, made.msg
