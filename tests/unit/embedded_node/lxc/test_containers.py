# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pct on plain files: what a container's life leaves in them."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from embedded_node import commands
from embedded_node.state import faults

Machine = t.Any  # see conftest.py
TEMPLATE = "local:vztmpl/tiny_1_amd64.tar.gz"


def test_create_takes_the_defaults_of_pve(machine: Machine) -> None:
    machine.create(101, "--net0 name=eth0,bridge=vmbr0,ip=dhcp")
    config = machine.config(101)
    mac = config.pop("net0")
    assert mac.startswith("name=eth0,bridge=vmbr0,hwaddr=BC:24:11:") and mac.endswith(",ip=dhcp,type=veth")
    assert config == {
        "arch": "amd64", "hostname": "CT101", "memory": "512", "ostype": "unmanaged", "swap": "512",
        "unprivileged": "1", "rootfs": "disks:101/vm-101-disk-0.raw,size=1G",
    }  # fmt: skip
    assert (machine.root / "var/lib/disks/images/101/vm-101-disk-0.raw").stat().st_size == 2**30
    assert list(json.loads(machine.state.read("etc/pve/.vmlist"))["ids"]) == ["101"]


def test_a_failed_create_leaves_nothing(machine: Machine) -> None:
    code, out, err = machine("pct create 101 local:vztmpl/nope_1_amd64.tar.gz --ostype unmanaged --rootfs disks:1")
    assert (code, err) == (255, "unable to create CT 101 - volume 'local:vztmpl/nope_1_amd64.tar.gz' does not exist\n")
    assert "Creating filesystem" in out, "the disk is made before the template is looked at"
    assert not machine.state.has_guest("lxc", 101)
    assert machine.ok("pvesm list disks").count("\n") == 1


@pytest.mark.parametrize("step", ["lock", "alloc", "mkfs", "extracting", "extract", "config"])
def test_an_interrupted_create_cleans_up(machine: Machine, step: str) -> None:
    faults.add(machine.state, "fail_create" if step == "lock" else "interrupt", at=step, after=step)
    code, _out, _err = machine(f"pct create 101 {TEMPLATE} --ostype unmanaged --rootfs disks:1")
    assert code == 255
    assert machine.state.has_guest("lxc", 101) == (step == "lock")
    assert machine.ok("pvesm list disks").count("\n") == 1


def test_a_create_whose_files_vanish_cleans_up(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def vanish(*_args: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr("embedded_node.lxc.create.Job._extract", vanish)
    code, _out, err = machine(f"pct create 101 {TEMPLATE} --ostype unmanaged --rootfs disks:1")
    assert (code, err) == (255, "unable to create CT 101 - [Errno 2] No such file or directory\n")
    assert not machine.state.has_guest("lxc", 101)
    assert machine.ok("pvesm list disks").count("\n") == 1


@pytest.mark.parametrize("name", ["junk_1_amd64.tar.gz", "junk_1_amd64.tar.xz", "junk_1_amd64.tar.zst"])
def test_a_damaged_template_leaves_nothing(machine: Machine, name: str) -> None:
    (machine.root / "var/lib/vz/template/cache" / name).write_bytes(b"no archive at all")
    code, _out, err = machine(f"pct create 101 local:vztmpl/{name} --ostype unmanaged --rootfs disks:1")
    assert (
        code == 255
        and err.startswith("unable to create CT 101 - command 'lxc-usernsexec")
        and "failed: exit code 2" in err
    )
    assert not machine.state.has_guest("lxc", 101)


def test_options_change_and_wait_for_the_next_start(machine: Machine) -> None:
    machine.create(101)
    machine.ok("pct start 101")
    machine.ok("pct set 101 --memory 600 --features nesting=1 --mp0 disks:1,mp=/data")
    conf = machine.state.guest("lxc", 101)
    assert conf.options["memory"] == "600" and conf.options["mp0"] == "disks:101/vm-101-disk-1.raw,mp=/data,size=1G"
    assert conf.pending == {"features": "nesting=1"}
    machine.ok("pct set 101 --delete mp0")
    machine.ok("pct stop 101")
    assert machine.config(101)["features"] == "nesting=1"
    assert machine.config(101)["unused0"] == "disks:101/vm-101-disk-1.raw"
    machine.ok("pct set 101 --delete unused0")
    assert not (machine.root / "var/lib/disks/images/101/vm-101-disk-1.raw").exists()


def test_nothing_is_written_when_one_value_is_wrong(machine: Machine) -> None:
    machine.create(101)
    before = machine.state.guest("lxc", 101).digest
    assert machine("pct set 101 --memory 600 --unprivileged 0")[0] != 0
    assert machine("pct set 101 --memory 600 --mp0 nope:1,mp=/x")[0] != 0
    assert machine.state.guest("lxc", 101).digest == before


def test_a_net_without_an_address_gets_a_new_one(machine: Machine) -> None:
    machine.create(101, "--net0 name=eth0,bridge=vmbr0")
    first = machine.config(101)["net0"]
    machine.ok("pct set 101 --net0 name=eth0,bridge=vmbr0")
    assert machine.config(101)["net0"] != first


def test_mount_shows_the_files_and_locks(machine: Machine) -> None:
    machine.create(101)
    machine.ok("pct mount 101")
    shown = machine.root / "var/lib/lxc/101/rootfs"
    assert (shown / "etc/hosts").read_text() == "127.0.0.1 localhost\n"
    assert machine("pct set 101 --memory 600")[2] == "CT is locked (mounted)\n"
    (shown / "etc/hello").write_text("hi")
    machine.ok("pct unmount 101")
    assert not list(shown.iterdir())
    machine.ok("pct start 101")
    assert machine.ok("pct exec 101 -- cat /etc/hello") == "hi"


def test_push_and_pull_move_bytes(machine: Machine, tmp_path: Path) -> None:
    machine.create(101)
    machine.ok("pct start 101")
    data = bytes(range(256))
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(data)
    machine.ok(f"pct push 101 {source} /root/x --perms 640")
    machine.ok(f"pct pull 101 /root/x {back}")
    assert back.read_bytes() == data
    code, _out, err = machine(f"pct push 101 {source} /no/such/dir/x")
    assert (code, err) == (0, "failed to create file: /no/such/dir/x: No such file or directory\n")


def test_a_guest_link_does_not_lead_out(machine: Machine, tmp_path: Path) -> None:
    machine.create(101)
    machine.ok("pct start 101")
    (machine.root / "var/lib/lxc/101/rootfs/root/out").symlink_to("/etc/secret")
    source = tmp_path / "source"
    source.write_text("x")
    machine.ok(f"pct push 101 {source} /root/out")
    assert not Path("/etc/secret").exists()
    assert (machine.root / "var/lib/lxc/101/rootfs/etc/secret").read_text() == "x"


def test_snapshots_take_files_and_options_back(machine: Machine) -> None:
    machine.ok(f"pct create 101 {TEMPLATE} --ostype unmanaged --rootfs snap:0")
    machine.ok("pct snapshot 101 s1 --description first")
    machine.ok("pct set 101 --memory 600")
    machine.ok("pct mount 101")
    (machine.root / "var/lib/lxc/101/rootfs/etc/new").write_text("x")
    machine.ok("pct unmount 101")
    machine.ok("pct rollback 101 s1")
    assert machine.config(101)["memory"] == "512" and machine.config(101)["parent"] == "s1"
    machine.ok("pct mount 101")
    assert not (machine.root / "var/lib/lxc/101/rootfs/etc/new").exists()
    machine.ok("pct unmount 101")
    machine.ok("pct delsnapshot 101 s1")
    assert not machine.state.guest("lxc", 101).snapshots


def test_a_clone_has_its_own_disk_and_address(machine: Machine) -> None:
    machine.create(101, "--net0 name=eth0,bridge=vmbr0")
    machine.ok("pct clone 101 102 --hostname other")
    one, two = machine.config(101), machine.config(102)
    assert two["hostname"] == "other" and one["net0"] != two["net0"] and "lock" not in one
    machine.ok("pct start 102")
    assert machine.ok("pct exec 102 -- cat /etc/hosts") == "127.0.0.1 localhost\n"


def test_destroy_frees_everything(machine: Machine) -> None:
    machine.create(101, "--mp0 disks:1,mp=/data")
    assert machine("pct destroy 999")[0] == 2
    machine.ok("pct destroy 101")
    assert machine.ok("pvesm list disks").count("\n") == 1
    assert json.loads(machine.state.read("etc/pve/.vmlist"))["ids"] == {}
    assert not (machine.root / "var/lib/lxc/101").exists()


def test_protection_is_obeyed(machine: Machine) -> None:
    machine.create(101, "--protection 1")
    assert machine("pct destroy 101")[2] == "can't remove CT 101 - protection mode enabled\n"
    assert machine.state.has_guest("lxc", 101)


def test_a_full_storage_takes_nothing(machine: Machine) -> None:
    faults.add(machine.state, "storage_full", storage="disks")
    code, _out, err = machine(f"pct create 101 {TEMPLATE} --ostype unmanaged --rootfs disks:1")
    assert code == 255 and "No space left on device" in err
    line = next(line for line in machine.ok("pvesm status").splitlines() if line.startswith("disks"))
    assert line.split()[5] == "0"
    faults.clear(machine.state)
    machine.create(101)


def test_unknown_commands_of_a_guest_fail_loudly(machine: Machine) -> None:
    machine.create(101)
    machine.ok("pct start 101")
    code, out, err = machine("pct exec 101 -- frobnicate")
    assert (code, out) == (127, "") and 'Failed to exec "frobnicate"' in err


@pytest.mark.parametrize(
    ("words", "rc", "stdout", "stderr"),
    [
        (["echo", "a", "b"], 0, "a b\n", ""),
        (["sh", "-c", "echo out; echo err >&2; exit 7"], 7, "out\n", "err\n"),
        (["sh", "-c", "false && echo no || echo yes"], 0, "yes\n", ""),
        (["sh", "-c", "echo text > /root/f && cat /root/f"], 0, "text\n", ""),
        (["test", "-f", "/etc/hosts"], 0, "", ""),
        (["test", "-d", "/nope"], 1, "", ""),
        (["systemctl", "is-active", "ssh", "nginx"], 0, "active\ninactive\n", ""),
        (["hostname"], 0, "CT101\n", ""),
        (["cat"], 0, "typed", ""),
    ],
)
def test_what_a_guest_answers(machine: Machine, words: list[str], rc: int, stdout: str, stderr: str) -> None:
    machine.create(101)
    machine.ok("pct start 101")
    assert commands.run(["pct", "exec", "101", "--", *words], machine.root, b"typed") == (rc, stdout, stderr)


def test_dhcp_leases_last(machine: Machine) -> None:
    machine.state.write("etc/network/interfaces", "iface vmbr0 inet static\n\taddress 10.1.2.3/24\n")
    machine.create(101, "--net0 name=eth0,bridge=vmbr0,ip=dhcp")
    machine.ok("pct set 101 --ostype debian")
    machine.ok("pct start 101")
    first = machine.ok("pct exec 101 -- ip -4 -o addr")
    assert "inet 10.1.2." in first
    machine.ok("pct reboot 101")
    assert machine.ok("pct exec 101 -- ip -4 -o addr") == first


# -- backups -----------------------------------------------------------------------------------------------------------


def test_a_backup_brings_files_and_options_back(machine: Machine) -> None:
    machine.create(101, "--memory 300 --mp0 disks:1,mp=/data,backup=1 --net0 name=eth0,bridge=vmbr0")
    machine.ok("pct start 101")
    commands.run(["pct", "exec", "101", "--", "sh", "-c", "echo kept > /data/f"], machine.root)
    said = machine.ok("vzdump 101 --storage local --compress zstd --mode snapshot")
    archive = machine.ok("pvesm list local --content backup").splitlines()[1].split()[0]
    assert archive.partition("/")[2] in said
    machine.ok(f"pct restore 102 {archive} --storage disks --hostname again")
    config = machine.config(102)
    assert (config["memory"], config["hostname"]) == ("300", "again")
    assert config["net0"] == machine.config(101)["net0"], "only --unique makes new addresses"
    machine.ok("pct start 102")
    assert machine.ok("pct exec 102 -- cat /data/f") == "kept\n"
    assert machine.ok(f"pvesm extractconfig {archive}").splitlines()[0] == "arch: amd64"


# -- storages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "rootfs", "grown"),
    [
        ("lvmthin: more\n\tthinpool data\n\tvgname pve\n", "more:vm-101-disk-0", "more:vm-101-disk-0,size=2G"),
        ("lvm: more\n\tvgname vg0\n\tcontent rootdir\n", "more:vm-101-disk-0", "more:vm-101-disk-0,size=2G"),
        ("zfspool: more\n\tpool rpool/data\n", "more:subvol-101-disk-0", "more:subvol-101-disk-0,size=2G"),
        (
            "btrfs: more\n\tpath /mnt/x\n\tcontent rootdir\n",
            "more:101/vm-101-disk-0.raw",
            "more:101/vm-101-disk-0.raw,size=2G",
        ),
    ],
)
def test_every_storage_type_has_its_volume_names(machine: Machine, section: str, rootfs: str, grown: str) -> None:
    machine.state.write("etc/pve/storage.cfg", machine.state.read("etc/pve/storage.cfg") + section)
    machine.ok(f"pct create 101 {TEMPLATE} --ostype unmanaged --rootfs more:1")
    assert machine.config(101)["rootfs"] == f"{rootfs},size=1G"
    machine.ok("pct resize 101 rootfs 2G")
    assert machine.config(101)["rootfs"] == grown
    machine.ok("pct start 101")
    assert machine.ok("pct exec 101 -- cat /etc/hosts") == "127.0.0.1 localhost\n"
    machine.ok("pct stop 101")
    machine.ok("pct move-volume 101 rootfs disks --delete 1")
    assert machine.ok("pvesm list more").count("\n") == 1
    machine.ok("pct start 101")
    assert machine.ok("pct exec 101 -- cat /etc/hosts") == "127.0.0.1 localhost\n"


def test_a_linked_clone_stands_on_its_template(machine: Machine) -> None:
    machine.state.write("etc/pve/storage.cfg", machine.state.read("etc/pve/storage.cfg") + "zfspool: more\n\tpool p\n")
    machine.ok(f"pct create 101 {TEMPLATE} --ostype unmanaged --rootfs more:1")
    machine.ok("pct template 101")
    assert machine("pct start 101")[2] == "you can't start a CT if it's a template\n"
    machine.ok("pct clone 101 102")
    assert machine.config(102)["rootfs"] == "more:basevol-101-disk-0/subvol-102-disk-0,size=1G"
    assert machine("pct destroy 101")[2].startswith("base volume 'basevol-101-disk-0' is still in use")


def test_storages_come_and_go(machine: Machine) -> None:
    machine.ok("pvesm add dir extra --path /var/lib/extra --content images,vztmpl --prune-backups keep-last=3")
    section = machine.state.read("etc/pve/storage.cfg").split("dir: extra\n")[1]
    path = machine.root / "var/lib/extra"
    assert section == f"\tpath {path}\n\tcontent images,vztmpl\n\tprune-backups keep-last=3\n\n"
    assert (path / "template/cache").is_dir()
    machine.ok("pvesm set extra --disable 1 --delete prune-backups")
    assert machine("pvesm list extra")[2] == "storage 'extra' is disabled\n"
    machine.ok("pvesm remove extra")
    assert path.is_dir(), "files stay"
    assert machine("pvesm add dir extra --path /x --server 1.2.3.4")[2] == "unexpected property 'server'\n"
    assert machine("pvesm add nfs extra --server 1.2.3.4")[2] == "missing value for required option 'export'\n"
