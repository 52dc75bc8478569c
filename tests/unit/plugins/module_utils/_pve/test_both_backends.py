# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every verb of the node interface, over both backends, against the embedded node: one behaviour."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Conflict,
    NotFound,
    ProvisionError,
    PveError,
    Unreachable,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.multipart import Multipart
from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
from ansible_collections.pve.provision.plugins.module_utils._pve.open_node import open_node
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Outcome
from embedded_node import EmbeddedNode
from embedded_node.state.root import DEFAULTS

TEMPLATE = "local:vztmpl/tiny_1_amd64.tar.gz"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample me@example.org"
OPTIONS = {
    "ostemplate": TEMPLATE,
    "hostname": "web1",
    "memory": "128",
    "rootfs": "local:1",
    "net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,ip=10.0.0.5/24",
    "description": "first line\nsecond: 100% ü",
    "ostype": "unmanaged",
    "unprivileged": "1",
}


def make_template(path: Path) -> None:
    """A root file system of three files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, data in {"./bin/sh": b"#!", "./etc/hostname": b"tiny\n", "./sbin/init": b"#!"}.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))


@pytest.fixture(scope="module")
def embedded() -> t.Iterator[EmbeddedNode]:
    with EmbeddedNode() as embedded:
        make_template(embedded.root / "var/lib/vz/template/cache" / TEMPLATE.rpartition("/")[2])
        for command in (
            ["pvesm", "set", "local", "--content", "images,rootdir,iso,vztmpl,snippets"],
            ["pvesh", "create", "/pools", "--poolid", "web"],
        ):
            subprocess.run(command, env={**os.environ, **embedded.env}, check=True)
        yield embedded


def connection(embedded: EmbeddedNode, way: str) -> dict[str, t.Any]:
    """The connection options of one way to the node."""
    login = {"token": ("api_token_id", "api_token_secret"), "password": ("api_password",)}
    if way == "cli":
        return {"timeout": 60}
    common = {key: embedded.api[key] for key in ("api_host", "api_port", "api_user", "ca_path")}
    return {**common, **{key: embedded.api[key] for key in login[way]}, "timeout": 60}


@pytest.fixture(params=["cli", "token", "password"])
def node(request: pytest.FixtureRequest, embedded: EmbeddedNode, monkeypatch: pytest.MonkeyPatch) -> Node:
    for name, value in embedded.env.items():
        monkeypatch.setenv(name, value)
    return open_node(connection(embedded, request.param))


@pytest.fixture
def vmid(node: Node) -> t.Iterator[int]:
    """A container, gone afterwards."""
    number = node.next_vmid()
    node.create("lxc", number, OPTIONS, timeout=60)
    yield number
    if node.config("lxc", number) is not None:
        node.stop("lxc", number, timeout=60)
        node.destroy("lxc", number, purge=True, timeout=60)


class TestTheLifeOfAContainer:
    def test_create_read_destroy(self, node: Node) -> None:
        number = node.next_vmid()
        assert node.config("lxc", number) is None
        assert node.locate(number) is None
        node.create("lxc", number, OPTIONS, timeout=60)
        config = node.config("lxc", number)
        assert config is not None
        assert config.options["hostname"] == "web1"
        assert config.options["memory"] == "128"
        assert config.options["description"] == OPTIONS["description"]
        assert "size=1G" in config.options["rootfs"]
        assert config.live == config.options
        assert len(config.digest) == 40
        found = node.locate(number)
        assert found is not None
        assert (found.node, found.kind, found.name, found.status) == (node.name, "lxc", "web1", "stopped")
        assert found in node.guests()
        assert found in node.guests("lxc")
        assert found not in node.guests("qemu")
        assert node.next_vmid() != number
        node.destroy("lxc", number, purge=True, timeout=60)
        assert node.config("lxc", number) is None

    def test_its_volumes(self, node: Node, vmid: int) -> None:
        (disk,) = [volume for volume in node.volumes("local") if volume.vmid == vmid]
        assert (disk.content, disk.size) == ("rootdir", 1 << 30)
        assert disk.ctime is not None

    def test_power(self, node: Node, vmid: int) -> None:
        assert node.status("lxc", vmid) == "stopped"
        node.stop("lxc", vmid, timeout=60)
        node.shutdown("lxc", vmid, timeout=10, force=True)
        node.start("lxc", vmid, timeout=60)
        assert node.status("lxc", vmid) == "running"
        node.start("lxc", vmid, timeout=60)
        assert "lo" in [interface["name"] for interface in node.interfaces("lxc", vmid)]
        node.shutdown("lxc", vmid, timeout=10, force=True)
        assert node.status("lxc", vmid) == "stopped"
        node.start("lxc", vmid, timeout=60)
        node.stop("lxc", vmid, timeout=60)
        assert node.status("lxc", vmid) == "stopped"

    def test_set_and_delete(self, node: Node, vmid: int) -> None:
        before = node.config("lxc", vmid)
        assert before is not None
        node.set_config("lxc", vmid, {"cores": "2", "tags": "b;a"}, ["net0"], before.digest)
        after = node.config("lxc", vmid)
        assert after is not None
        assert (after.options["cores"], after.options["tags"]) == ("2", "a;b")
        assert "net0" not in after.options
        assert after.digest != before.digest
        with pytest.raises(Conflict) as caught:
            node.set_config("lxc", vmid, {"cores": "3"}, (), before.digest)
        assert caught.value.details["reason"] == "digest"

    def test_any_text_survives(self, node: Node, vmid: int) -> None:
        for text in ("-x", "--digest abc", "a\nb\n\nc", "ünï 100% #x", "'\"$HOME`id`\\", ""):
            node.set_config("lxc", vmid, {"description": text})
            config = node.config("lxc", vmid)
            assert config is not None
            assert config.options.get("description", "") == text

    def test_what_waits_for_a_restart(self, node: Node, vmid: int) -> None:
        node.start("lxc", vmid, timeout=60)
        node.set_config("lxc", vmid, {"features": "nesting=1"})
        config = node.config("lxc", vmid)
        assert config is not None
        assert config.pending == {"features": "nesting=1"}
        assert config.options["features"] == "nesting=1"
        assert "features" not in config.live

    def test_resize(self, node: Node, vmid: int) -> None:
        node.resize("lxc", vmid, "rootfs", "2G", timeout=60)
        config = node.config("lxc", vmid)
        assert config is not None
        assert "size=2G" in config.options["rootfs"]
        node.resize("lxc", vmid, "rootfs", "2048M", timeout=60)
        with pytest.raises(PveError, match="shrink"):
            node.resize("lxc", vmid, "rootfs", "1G", timeout=60)

    def test_clone(self, node: Node, vmid: int) -> None:
        number = node.next_vmid()
        node.clone("lxc", vmid, number, {"hostname": "copy", "full": "1"}, timeout=60)
        config = node.config("lxc", number)
        node.destroy("lxc", number, purge=True, timeout=60)
        assert config is not None
        assert config.options["hostname"] == "copy"

    def test_a_password_is_taken_as_it_is_and_shows_nowhere(self, node: Node, embedded: EmbeddedNode) -> None:
        number, password = node.next_vmid(), "-rf $HOME `id`'\"\\ x"
        embedded.forget()
        node.create("lxc", number, {**OPTIONS, "password": password, "ssh-public-keys": KEY}, timeout=60)
        node.destroy("lxc", number, purge=True, timeout=60)
        assert not [argv for argv in embedded.commands() if any(password in word for word in argv)]


class TestRefusals:
    """What goes wrong goes wrong alike."""

    @pytest.mark.parametrize(
        ("options", "error", "words"),
        [
            ({"hostname": "a_b"}, PveError, "hostname"),
            ({"memory": "lots"}, PveError, "memory"),
            ({"rootfs": "nope:1"}, NotFound, "storage 'nope' does not exist"),
            ({"ostemplate": "local:vztmpl/none_1_amd64.tar.gz"}, NotFound, "does not exist"),
        ],
    )
    def test_a_bad_create_leaves_nothing(
        self, node: Node, options: dict[str, str], error: type[ProvisionError], words: str
    ) -> None:
        number = node.next_vmid()
        with pytest.raises(error, match=words):
            node.create("lxc", number, {**OPTIONS, **options}, timeout=60)
        assert node.config("lxc", number) is None
        assert not [volume for volume in node.volumes("local") if volume.vmid == number]

    def test_a_vmid_in_use(self, node: Node, vmid: int) -> None:
        with pytest.raises(Conflict) as caught:
            node.create("lxc", vmid, OPTIONS, timeout=60)
        assert caught.value.details["reason"] == "vmid_taken"

    def test_a_guest_that_is_not_there(self, node: Node) -> None:
        for verb in (
            lambda: node.status("lxc", 999),
            lambda: node.start("lxc", 999, timeout=60),
            lambda: node.stop("lxc", 999, timeout=60),
            lambda: node.set_config("lxc", 999, {"memory": "128"}),
            lambda: node.resize("lxc", 999, "rootfs", "2G", timeout=60),
        ):
            with pytest.raises(NotFound):
                verb()
        assert node.destroy("lxc", 999, purge=False, timeout=60) == Outcome()  # as it is to be

    def test_a_protected_one(self, node: Node, vmid: int) -> None:
        node.set_config("lxc", vmid, {"protection": "1"})
        with pytest.raises(Conflict, match="protection"):
            node.destroy("lxc", vmid, purge=False, timeout=60)
        node.set_config("lxc", vmid, {"protection": "0"})

    def test_a_running_one(self, node: Node, vmid: int) -> None:
        node.start("lxc", vmid, timeout=60)
        with pytest.raises(PveError, match="running"):
            node.destroy("lxc", vmid, purge=False, timeout=60)


class TestAVirtualMachine:
    OPTIONS: t.ClassVar[dict[str, str]] = {
        "name": "vm1",
        "memory": "256",
        "scsi0": "local:1",
        "net0": "virtio,bridge=vmbr0",
    }

    def test_its_life(self, node: Node) -> None:
        number = node.next_vmid()
        node.create("qemu", number, self.OPTIONS, timeout=60)
        try:
            config = node.config("qemu", number)
            assert config is not None
            assert config.options["name"] == "vm1"
            node.set_config("qemu", number, {"memory": "512"}, ["net0"], config.digest)
            node.resize("qemu", number, "scsi0", "2G", timeout=60)
            config = node.config("qemu", number)
            assert config is not None
            assert config.options["memory"] == "512"
            assert "size=2G" in config.options["scsi0"]
            assert "net0" not in config.options
            node.start("qemu", number, timeout=60)
            assert node.status("qemu", number) == "running"
            node.stop("qemu", number, timeout=60)
            assert (number, "vm1", "stopped") in [(vm.vmid, vm.name, vm.status) for vm in node.guests("qemu")]
        finally:
            node.stop("qemu", number, timeout=60)
            node.destroy("qemu", number, purge=True, timeout=60)
        assert node.config("qemu", number) is None


class TestStorage:
    def test_storages_tell_their_capacity(self, node: Node) -> None:
        local = next(storage for storage in node.storages() if storage.name == "local")
        assert local.active
        assert "vztmpl" in local.content
        assert local.total
        assert local.available

    def test_upload_list_and_free(self, node: Node, tmp_path: Path) -> None:
        make_template(tmp_path / "t")
        volid = "local:vztmpl/uploaded_1_amd64.tar.gz"
        node.upload("local", "vztmpl", str(tmp_path / "t"), "uploaded_1_amd64.tar.gz", timeout=60)
        (volume,) = [volume for volume in node.volumes("local", "vztmpl") if volume.volid == volid]
        assert (volume.size, volume.format) == ((tmp_path / "t").stat().st_size, "tgz")
        node.free(volid)
        assert volid not in [volume.volid for volume in node.volumes("local")]

    def test_a_large_file_is_read_block_by_block(
        self, node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        blocks: list[int] = []
        read = Multipart.read

        def watch(self: Multipart, size: int = -1) -> bytes:
            block = read(self, size)
            blocks.append(len(block))
            return block

        monkeypatch.setattr(Multipart, "read", watch)
        with (tmp_path / "large").open("wb") as file:
            file.truncate(12 << 20)
        node.upload("local", "iso", str(tmp_path / "large"), "large.iso", timeout=60)
        assert [volume.size for volume in node.volumes("local", "iso")] == [12 << 20]
        assert not blocks or (sum(blocks) > 12 << 20 and max(blocks) <= 1 << 20)
        node.free("local:iso/large.iso")

    def test_a_storage_that_is_not_there(self, node: Node) -> None:
        with pytest.raises(NotFound, match="nope"):
            node.volumes("nope")


HASH = "$6$saltstring$" + "a" * 86
CLOUD_INIT = {
    "name": "ci1",
    "ide2": "local:cloudinit",
    "ciuser": "alice",
    "cipassword": HASH,
    "sshkeys": f"{KEY}\n",
    "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0",
    "ipconfig0": "ip=10.0.0.5/24,gw=10.0.0.1",
}


class TestCloudInit:
    @pytest.fixture
    def number(self, node: Node) -> t.Iterator[int]:
        number = node.next_vmid()
        node.create("qemu", number, CLOUD_INIT, timeout=60)
        yield number
        node.stop("qemu", number, timeout=60)
        node.destroy("qemu", number, purge=True, timeout=60)

    def test_what_pve_makes_of_the_options(self, node: Node, number: int) -> None:
        user = node.cloud_init.dump(number, "user")
        assert f"user: alice\npassword: {HASH}\nssh_authorized_keys:\n  - {KEY}\n" in user
        assert "        address: '10.0.0.5'\n" in node.cloud_init.dump(number, "network")
        assert node.cloud_init.dump(number, "meta").startswith("instance-id: ")

    def test_the_drive_of_a_running_vm(self, node: Node, number: int) -> None:
        node.start("qemu", number, timeout=60)
        node.set_config("qemu", number, {"ciuser": "bob"})
        node.cloud_init.regenerate(number)
        assert node.config("qemu", number).options["ciuser"] == "bob"

    def test_snippets_are_for_root_alone(self, node: Node) -> None:
        """The API has no way to upload one."""
        if node.snippets is None:
            return
        volid = "local:snippets/ours.yaml"
        assert node.snippets.missing(volid)
        assert node.snippets.write(volid, "#cloud-config\n")
        assert [volume.volid for volume in node.volumes("local", "snippets")] == [volid]
        assert node.files.volume_path(volid).stat().st_mode & 0o777 == 0o600
        node.snippets.remove(volid)
        assert node.snippets.missing(volid)
        node.snippets.remove(volid)


class TestTheNode:
    def test_bridges(self, node: Node) -> None:
        bridges = {bridge.name: bridge.kind for bridge in node.bridges()}
        assert bridges["vmbr0"] == "bridge"

    def test_neighbours(self, node: Node, vmid: int) -> None:
        """A guest with an address in the node's own network has shown himself to the node, which alone knows."""
        net = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:0A,ip="
        node.set_config("lxc", vmid, {"ostype": "debian", "net0": f"{net}10.10.10.77/24"})
        assert node.neighbours() == {}
        node.start("lxc", vmid, timeout=60)
        assert node.neighbours() == ({"BC:24:11:00:00:0A": ["10.10.10.77"]} if node.files is not None else {})

    def test_version(self, node: Node) -> None:
        assert node.version() == DEFAULTS["release"]

    def test_pools(self, node: Node, vmid: int) -> None:
        for pool, members in node.pools().items():
            assert vmid not in members
            node.join_pool(vmid, pool)
            assert vmid in node.pools()[pool]

    def test_nobody_is_creating(self, node: Node, vmid: int) -> None:
        assert not node.busy("lxc", vmid)


class TestWhatOnlyTheNodeCanDo:
    def test_in_a_running_container(self, node: Node, vmid: int, tmp_path: Path) -> None:
        if node.containers is None:
            return
        with pytest.raises(Conflict, match="not running"):
            node.containers.exec(vmid, ["true"])
        node.start("lxc", vmid, timeout=60)
        (tmp_path / "a").write_bytes(b"\x00data")
        node.containers.push(vmid, str(tmp_path / "a"), "/etc/a", mode="0600")
        node.containers.pull(vmid, "/etc/a", str(tmp_path / "b"))
        assert (tmp_path / "b").read_bytes() == b"\x00data"
        assert node.containers.exec(vmid, ["test", "-e", "/etc/a"]).rc == 0
        assert node.containers.exec(vmid, ["test", "-e", "/etc/none"]).rc == 1
        with pytest.raises(PveError):
            node.containers.push(vmid, str(tmp_path / "none"), "/etc/a")

    def test_in_a_stopped_one(self, node: Node, vmid: int) -> None:
        if node.containers is None:
            return
        folder = Path(node.containers.mount(vmid))
        try:
            assert (folder / "bin/sh").exists()
            with pytest.raises(Conflict) as caught:
                node.destroy("lxc", vmid, purge=False, timeout=60)
            assert caught.value.details["lock"] == "mounted"
        finally:
            node.containers.unmount(vmid)
        node.set_config("lxc", vmid, {"lock": "backup"})
        node.leftovers.unlock("lxc", vmid)
        assert str(node.files.volume_path(TEMPLATE)).endswith("/template/cache/tiny_1_amd64.tar.gz")


class TestBothReadTheSame:
    @pytest.mark.parametrize("storage", ["local", "local-lvm"])
    def test_of_a_node_in_use(self, embedded: EmbeddedNode, monkeypatch: pytest.MonkeyPatch, storage: str) -> None:
        for name, value in embedded.env.items():
            monkeypatch.setenv(name, value)
        cli, api = (open_node(connection(embedded, way)) for way in ("cli", "token"))
        number = cli.next_vmid()
        cli.create("lxc", number, {**OPTIONS, "rootfs": f"{storage}:1", "tags": "b;a"}, timeout=60)
        vm = cli.next_vmid()
        cli.create("qemu", vm, {"name": "vm1", "scsi0": f"{storage}:1", "description": "a\nb"}, timeout=60)
        cli.start("lxc", number, timeout=60)
        cli.set_config("lxc", number, {"features": "nesting=1"}, ["net0"])
        cli.join_pool(number, "web")
        try:
            assert cli.guests() == api.guests()
            assert cli.config("lxc", number) == api.config("lxc", number)
            assert cli.config("qemu", vm) == api.config("qemu", vm)
            assert cli.locate(vm) == api.locate(vm)
            assert cli.volumes(storage) == api.volumes(storage)
            assert cli.volumes("local", "vztmpl") == api.volumes("local", "vztmpl")
            assert cli.bridges() == api.bridges()
            assert cli.pools() == api.pools() == {"web": frozenset({number})}
            assert cli.next_vmid() == api.next_vmid()
            assert cli.next_vmid(skip={vm + 1}) == api.next_vmid(skip={vm + 1}) == vm + 2
            assert cli.interfaces("lxc", number) == api.interfaces("lxc", number)
            ours, theirs = ({item.name: item for item in node.storages()} for node in (cli, api))
            assert ours.keys() == theirs.keys()
            for name, item in ours.items():
                assert (item.type, item.content, item.active) == (
                    theirs[name].type,
                    theirs[name].content,
                    theirs[name].active,
                )
        finally:
            cli.stop("lxc", number, timeout=60)
            cli.destroy("lxc", number, purge=True, timeout=60)
            cli.destroy("qemu", vm, purge=True, timeout=60)


class TestWhatReadingCosts:
    def test_an_unchanged_guest(self, node: Node, vmid: int, embedded: EmbeddedNode) -> None:
        embedded.forget()
        node.config("lxc", vmid)
        node.status("lxc", vmid)
        if node.files is not None:
            assert embedded.commands() == []
        else:
            assert len(embedded.requests()) == 2

    def test_a_list_of_guests(self, node: Node, vmid: int, embedded: EmbeddedNode) -> None:
        embedded.forget()
        node.guests("lxc")
        assert len(embedded.commands()) == 0
        assert len(embedded.requests()) == (0 if node.files is not None else 1)


class TestTls:
    def test_a_certificate_of_a_stranger_is_refused(
        self, embedded: EmbeddedNode, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(Unreachable, match="certificate") as caught:
            open_node({**connection(embedded, "token"), "ca_path": None}).guests()
        assert "ca_path" in caught.value.remedy

    @pytest.mark.parametrize("way", ["token", "password"])
    def test_unless_that_is_wanted(self, embedded: EmbeddedNode, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")
        node = open_node({**connection(embedded, way), "ca_path": None, "validate_certs": False})
        assert node.guests("lxc") is not None
