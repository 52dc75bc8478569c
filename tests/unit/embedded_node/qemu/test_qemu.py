# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs on the embedded node, as ``qm`` and the API show them."""

from __future__ import annotations

import re
import typing as t

import pytest

from embedded_node.api import access, credentials
from embedded_node.api.http import respond
from embedded_node.mirror import images
from embedded_node.qemu import boot as qemu_boot
from embedded_node.state import disk_image, faults

from .support import bootable

if t.TYPE_CHECKING:
    from pathlib import Path

    from ..conftest import Machine
    from .support import Qm

LOGIN = "root@pam"


# -- create ------------------------------------------------------------------------------------------------------------


def test_create_writes_what_was_asked_and_what_pve_adds(qm: Qm) -> None:
    out = qm.ok("create", "100", "--name", "vm", "--net0", "virtio,bridge=vmbr0", "--scsi0", "disks:1,ssd=1,discard=on")
    assert out == (
        "Formatting '/var/lib/disks/images/100/vm-100-disk-0.raw', fmt=raw size=1073741824 preallocation=off\n"
        "scsi0: successfully created disk 'disks:100/vm-100-disk-0.raw,discard=on,size=1G,ssd=1'\n"
    )
    conf = qm.conf()
    assert {key: conf[key] for key in ("name", "scsi0", "boot")} == {
        "name": "vm", "scsi0": "disks:100/vm-100-disk-0.raw,discard=on,size=1G,ssd=1", "boot": "order=scsi0;net0",
    }  # fmt: skip
    assert re.fullmatch(r"virtio=BC:24:11(:[0-9A-F]{2}){3},bridge=vmbr0", conf["net0"])
    assert re.fullmatch(r"uuid=[0-9a-f-]{36}", conf["smbios1"])
    assert re.fullmatch(r"creation-qemu=[\d.]+,ctime=\d+", conf["meta"])
    assert set(conf) == {"name", "scsi0", "net0", "boot", "smbios1", "meta", "vmgenid"}
    assert qm.disk("vm-100-disk-0.raw").stat().st_size == 1 << 30


def test_a_new_card_gets_a_mac_of_its_own_every_time_and_a_given_one_is_kept(qm: Qm) -> None:
    qm.ok("create", "100", "--net0", "virtio", "--net1", "e1000=aa:bb:cc:00:00:01,tag=5,bridge=vmbr0")
    first = qm.conf()["net0"]
    qm.ok("set", "100", "--net0", "virtio")
    assert qm.conf()["net0"] != first
    assert qm.conf()["net1"] == "e1000=aa:bb:cc:00:00:01,bridge=vmbr0,tag=5"


@pytest.mark.parametrize(("options", "said"), [
    (("--scsi0", "nope:1"), "storage 'nope' does not exist"),
    (("--scsi0", "disks:1G"), "unable to parse directory volume name '1G'"),
    (("--scsi0", "local:1"), "storage 'local' does not support vm images"),
    (("--scsi0", "disks:1,foo=1"), "scsi0.foo: property is not defined in schema"),
    (("--scsi0", "disks:1,import-from=/x"), "'import-from' requires special syntax"),
    (("--scsi0", "disks:0,import-from=/no/such.img"), "unable to create VM 100 - can't find file '/no/such.img'"),
    (("--ide2", "local:iso/no.iso,media=cdrom"), "unable to create VM 100 - volume 'local:iso/no.iso' does not exist"),
    (("--cpu", "nosuch"), "Built-in cputype 'nosuch' is not defined"),
    (("--cpu", "host,flags=+nosuch"), "VM-specific CPU flags must be a subset of"),
    (("--hostpci0", "zz:00"), "hostpci0.host: value does not match the regex pattern"),
    (("--net0", "foo"), "net0.model: value 'foo' does not have a value in the enumeration"),
    (("--memory", "5"), "memory.current: value must have a minimum value of 16"),
    (("--pool", "nope"), "pool 'nope' does not exist"),
    (("--sshkeys", "/no/keys"), "can't open '/no/keys' - No such file or directory"),
])  # fmt: skip
def test_a_refused_create_leaves_nothing(qm: Qm, options: tuple[str, ...], said: str) -> None:
    assert said in qm.fails("create", "100", "--scsi9", "disks:1", *options)
    assert not qm.state.has_guest("qemu", 100)
    assert not list((qm.root / "var/lib/disks/images").rglob("*.raw"))


@pytest.mark.parametrize("step", ["lock", "alloc", "config"])
def test_a_create_that_fails_midway_leaves_nothing(qm: Qm, step: str) -> None:
    faults.add(qm.state, "fail_create", after=step)
    assert f"fault injected after {step}" in qm.fails("create", "100", "--scsi0", "disks:1")
    assert not qm.state.has_guest("qemu", 100)
    assert not list((qm.root / "var/lib/disks/images").rglob("*.raw"))
    qm.ok("create", "100", "--scsi0", "disks:1")


def test_a_taken_id_is_named_with_its_kind(qm: Qm, machine: Machine) -> None:
    machine.create(101)
    qm.ok("create", "100")
    assert "VM 100 already exists on node 'pve1'" in qm.fails("create", "100")
    assert "unable to create VM 101 - CT 101 already exists on node 'pve1'" in qm.fails("create", "101")


def test_import_copies_the_bytes_and_writes_the_size(qm: Qm, tmp_path: Path) -> None:
    source = bootable(tmp_path / "disk.img")
    qm.ok("create", "100", "--scsi0", f"disks:0,import-from={source}")
    assert qm.conf()["scsi0"] == "disks:100/vm-100-disk-0.raw,size=1M"
    assert qm.disk("vm-100-disk-0.raw").read_bytes() == source.read_bytes()


def test_import_converts(qm: Qm, tmp_path: Path) -> None:
    source = bootable(tmp_path / "disk.raw", 3 << 20)
    qm.ok("create", "100", "--scsi0", f"disks:0,import-from={source},format=qcow2")
    qcow2 = qm.disk("vm-100-disk-0.qcow2")
    assert (disk_image.is_qcow2(qcow2), disk_image.sniffed_size(qcow2)) == (True, 3 << 20)
    qm.ok("create", "101", "--scsi0", f"disks:0,import-from={qcow2}")
    assert qm.disk("vm-101-disk-0.raw", 101).read_bytes() == source.read_bytes()


def test_a_file_that_is_not_what_its_name_says_is_refused_by_the_copy(qm: Qm, tmp_path: Path) -> None:
    junk = tmp_path / "junk.qcow2"
    junk.write_text("junk")
    said = qm.fails("create", "100", "--scsi0", f"disks:0,import-from={junk}")
    assert "qemu-img convert -p -n -f qcow2 -O raw" in said and "failed: exit code 1" in said
    assert not qm.disk("vm-100-disk-0.raw").exists()


def test_a_full_storage_takes_no_copy_and_keeps_nothing_of_it(qm: Qm, tmp_path: Path) -> None:
    source = bootable(tmp_path / "disk.raw")
    qm.ok("create", "100")
    faults.add(qm.state, "storage_full", storage="disks")
    assert "failed: exit code 1" in qm.fails("create", "101", "--scsi0", f"disks:0,import-from={source}")
    assert "failed: exit code 1" in qm.fails("importdisk", "100", str(source), "disks")
    assert not list((qm.root / "var/lib/disks/images").rglob("*.raw"))


def test_efi_tpm_and_cloudinit_drives_have_their_own_sizes(qm: Qm) -> None:
    qm.ok("create", "100", "--efidisk0", "disks:1,efitype=4m", "--tpmstate0", "disks:1,version=v2.0",
          "--ide2", "disks:cloudinit", "--bios", "ovmf", "--machine", "q35")  # fmt: skip
    assert [qm.conf()[name] for name in ("efidisk0", "ide2", "tpmstate0")] == [
        "disks:100/vm-100-disk-0.raw,efitype=4m,size=528K", "disks:100/vm-100-cloudinit.qcow2,media=cdrom",
        "disks:100/vm-100-disk-1.raw,size=4M,version=v2.0",
    ]  # fmt: skip
    assert "cloud-init drive is already attached at 'ide2'" in qm.fails("set", "100", "--ide0", "disks:cloudinit")


# -- set ---------------------------------------------------------------------------------------------------------------


def test_set_says_what_it_changes_by_name_and_hides_the_password(qm: Qm) -> None:
    qm.ok("create", "100")
    assert qm.ok("set", "100", "--memory", "600", "--cores", "1", "--cipassword", "geheim") == (
        "update VM 100: -cipassword <hidden> -cores 1 -memory 600\n"
    )
    assert qm.conf()["cipassword"].startswith("$5$")


@pytest.mark.parametrize(("words", "said"), [
    ((), "no options specified"),
    (("--delete", "foo"), "delete: unknown option 'foo'"),
    (("--delete", "onboot", "--onboot", "1"), "you can't use '-onboot' and -delete onboot' at the same time"),
    (("--memory", "700", "--digest", "0" * 40), "checksum mismatch"),
    (("--boot", "order=scsi5"), "invalid bootorder: device 'scsi5' does not exist'"),
    (("--balloon", "9999"), "balloon value too large"),
    (("--hookscript", "local:snippets/no.sh"), "script 'local:snippets/no.sh' does not exist"),
])  # fmt: skip
def test_a_refused_set_changes_nothing(qm: Qm, words: tuple[str, ...], said: str) -> None:
    qm.ok("create", "100")
    before = dict(qm.conf())
    assert said in qm.fails("set", "100", *words)
    assert qm.conf() == before


def test_tags_are_sorted_by_set_and_raw_from_create(qm: Qm) -> None:
    qm.ok("create", "100", "--tags", "b;A")
    assert qm.conf()["tags"] == "b;A"
    qm.ok("set", "100", "--tags", "Zeta,alpha;Beta")
    assert qm.conf()["tags"] == "alpha;beta;zeta"


def test_a_disk_that_leaves_its_slot_becomes_unused_and_comes_back(qm: Qm) -> None:
    qm.ok("create", "100", "--scsi0", "disks:1")
    qm.ok("set", "100", "--scsi0", "disks:2")
    assert qm.conf()["unused0"] == "disks:100/vm-100-disk-0.raw"
    qm.ok("set", "100", "--scsi1", "disks:100/vm-100-disk-0.raw")
    assert "unused0" not in qm.conf() and qm.conf()["scsi1"].endswith("size=1G")
    qm.ok("set", "100", "--delete", "scsi1")
    qm.ok("set", "100", "--delete", "unused0")
    assert not qm.disk("vm-100-disk-0.raw").exists()


def test_changes_of_a_running_vm_wait_unless_they_can_be_plugged(qm: Qm) -> None:
    qm.ok("create", "100", "--memory", "256", "--scsi0", "disks:1", "--net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0")
    qm.ok("start", "100")
    qm.ok("set", "100", "--memory", "300", "--name", "new")
    qm.ok("set", "100", "--net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0,link_down=1")
    qm.ok("set", "100", "--scsi7", "disks:1")
    assert (qm.conf()["memory"], qm.conf()["name"]) == ("256", "new")
    assert qm.conf()["net0"].endswith("link_down=1") and "scsi7" in qm.conf()
    assert qm.pending() == {"memory": "300"}
    assert "cur memory: 256\nnew memory: 300\n" in qm.ok("pending", "100")
    qm.ok("stop", "100")
    assert (qm.conf()["memory"], qm.pending()) == ("300", {})


def test_a_card_cannot_be_pulled_out_of_a_vm_in_which_nothing_runs(qm: Qm) -> None:
    qm.ok("create", "100", "--net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0")
    qm.ok("start", "100")
    assert "hotplug problem - error on hot-unplugging device 'net0'" in qm.fails("set", "100", "--delete", "net0")
    assert qm.pending()["delete"] == "net0" and "net0" in qm.conf()


def test_revert_forgets_what_waits(qm: Qm) -> None:
    qm.ok("create", "100", "--memory", "256")
    qm.ok("start", "100")
    qm.ok("set", "100", "--memory", "300")
    qm.ok("set", "100", "--revert", "memory")
    assert qm.pending() == {}


# -- disks -------------------------------------------------------------------------------------------------------------


def test_disks_only_grow_and_the_command_tells_on_stderr_alone(qm: Qm) -> None:
    qm.ok("create", "100", "--scsi0", "disks:1", "--ide2", "none,media=cdrom")
    assert qm.ok("resize", "100", "scsi0", "+512M") == "Image resized.\n"
    assert qm.conf()["scsi0"].endswith("size=1536M")
    assert qm.disk("vm-100-disk-0.raw").stat().st_size == 1536 << 20
    for disk, size, said in (
        ("scsi0", "1G", "shrinking disks is not supported"), ("scsi9", "+1G", "disk 'scsi9' does not exist"),
        ("ide2", "+1G", "you can't resize a cdrom"),
    ):  # fmt: skip
        assert qm.run("resize", "100", disk, size) == (0, "", said + "\n")


def test_a_moved_disk_leaves_the_old_one_unless_told_to_delete_it(qm: Qm, tmp_path: Path) -> None:
    source = bootable(tmp_path / "a.raw")
    qm.ok("create", "100", "--scsi0", f"disks:0,import-from={source}")
    qm.ok("disk", "move", "100", "scsi0", "snap")
    assert qm.conf()["scsi0"] == "snap:100/vm-100-disk-0.raw,size=1M"
    assert qm.conf()["unused0"] == "disks:100/vm-100-disk-0.raw"
    assert (qm.root / "mnt/snap/images/100/vm-100-disk-0/disk.raw").read_bytes() == source.read_bytes()
    qm.ok("disk", "move", "100", "scsi0", "disks", "--delete", "1")
    assert qm.conf()["scsi0"].startswith("disks:100/vm-100-disk-1.raw")


def test_destroy_takes_the_vms_own_volumes_and_respects_protection(qm: Qm) -> None:
    qm.ok("create", "100", "--scsi0", "disks:1", "--protection", "1")
    assert "protection mode enabled" in qm.fails("destroy", "100")
    qm.ok("set", "100", "--protection", "0")
    qm.ok("start", "100")
    assert qm.fails("destroy", "100") == "VM 100 is running - destroy failed\n"
    qm.ok("stop", "100")
    qm.ok("destroy", "100")
    assert not qm.disk("vm-100-disk-0.raw").exists() and not qm.state.has_guest("qemu", 100)


# -- copies and snapshots ----------------------------------------------------------------------------------------------


def test_a_full_clone_has_its_own_disk_and_identity(qm: Qm, tmp_path: Path) -> None:
    source = bootable(tmp_path / "a.raw")
    qm.ok("create", "100", "--name", "a", "--net0", "virtio", "--scsi0", f"disks:0,import-from={source}")
    qm.ok("clone", "100", "101")
    old, new = qm.conf(), qm.conf(101)
    assert new["name"] == "Copy-of-VM-a"
    assert all(old[key] != new[key] for key in ("net0", "smbios1", "vmgenid", "scsi0"))
    assert qm.disk("vm-101-disk-0.raw", 101).read_bytes() == source.read_bytes()


def test_a_template_is_cloned_by_link_and_cannot_go_while_clones_stand_on_it(qm: Qm) -> None:
    qm.ok("create", "100", "--scsi0", "disks:1,format=qcow2")
    assert "Linked clone feature is not supported" in qm.fails("clone", "100", "101", "--full", "0")
    qm.ok("template", "100")
    assert qm.conf()["scsi0"] == "disks:100/base-100-disk-0.qcow2,size=1G"
    assert qm.fails("start", "100") == "you can't start a vm if it's a template\n"
    qm.ok("clone", "100", "101")
    assert qm.conf(101)["scsi0"] == "disks:100/base-100-disk-0.qcow2/101/vm-101-disk-0.qcow2,size=1G"
    assert "still in use by linked cloned" in qm.fails("destroy", "100")


def test_a_rollback_brings_config_and_bytes_back(qm: Qm) -> None:
    qm.ok("create", "100", "--memory", "256", "--scsi0", "disks:1,format=qcow2")
    disk = qm.disk("vm-100-disk-0.qcow2")
    before = disk.read_bytes()
    qm.ok("snapshot", "100", "one", "--description", "first")
    qm.ok("set", "100", "--memory", "512")
    disk.write_bytes(before + b"more")
    qm.ok("rollback", "100", "one")
    assert (qm.conf()["memory"], qm.conf()["parent"], disk.read_bytes()) == ("256", "one", before)
    assert "description: first" in qm.ok("config", "100", "--snapshot", "one")
    qm.ok("delsnapshot", "100", "one")
    assert "parent" not in qm.conf()


@pytest.mark.parametrize("release", ["9.1.8", "9.1.9"])
def test_the_state_of_a_tpm_that_is_a_chain_of_volumes_while_the_vm_runs(
    qm: Qm, monkeypatch: pytest.MonkeyPatch, release: str
) -> None:
    """Before PVE 9.1.9 no snapshot is taken of it or deleted; since then it is only the newest that stays."""
    storages = qm.root / "etc/pve/storage.cfg"
    text = storages.read_text(encoding="utf-8")
    chained = re.sub(r"(?m)^(dir: disks\n)", r"\1\tsnapshot-as-volume-chain 1\n", text)
    assert chained != text
    storages.write_text(chained, encoding="utf-8")
    monkeypatch.setattr(type(qm.state), "release", tuple(map(int, release.split("."))))
    qm.ok("create", "100", "--scsi0", "disks:1,format=qcow2", "--tpmstate0", "disks:1,format=qcow2,version=v2.0")
    qm.ok("snapshot", "100", "one")
    qm.ok("start", "100")
    refused = "a chain of volumes, while the VM is running"
    taken = qm.run("snapshot", "100", "two")
    if release == "9.1.8":
        assert refused in taken[2]
        assert refused in qm.fails("delsnapshot", "100", "one")
    else:
        assert taken[0] == 0
        assert refused in qm.fails("delsnapshot", "100", "two")
        qm.ok("delsnapshot", "100", "one")
    qm.ok("stop", "100")
    for name in qm.state.guest("qemu", 100).snapshots:
        qm.ok("delsnapshot", "100", name)


@pytest.mark.parametrize(("words", "said"), [
    (("snapshot", "100", "one"), "snapshot feature is not available"),
    (("snapshot", "100", "current"), "unable to use snapshot name 'current' (reserved name)"),
    (("rollback", "100", "none"), "snapshot 'none' does not exist"),
    (("delsnapshot", "100", "none"), "snapshot 'none' does not exist"),
])  # fmt: skip
def test_refused_snapshots(qm: Qm, words: tuple[str, ...], said: str) -> None:
    qm.ok("create", "100", "--scsi0", "disks:1")
    assert qm.fails(*words) == said + "\n"


# -- power and what runs inside ----------------------------------------------------------------------------------------


def test_power(qm: Qm) -> None:
    qm.ok("create", "100", "--memory", "64")
    assert qm.fails("reset", "100") == "VM 100 not running\n"
    qm.ok("start", "100")
    assert qm.fails("start", "100") == "VM 100 already running\n"
    assert (qm.root / "run/qemu-server/100.pid").exists()
    qm.ok("suspend", "100")
    assert qm.ok("status", "100") == "status: paused\n"
    assert qm.fails("shutdown", "100") == "VM is paused - cannot shutdown\n"
    qm.ok("resume", "100")
    assert qm.fails("shutdown", "100", "--timeout", "1") == "VM quit/powerdown failed - got timeout\n"
    qm.ok("stop", "100")
    assert qm.ok("status", "100") == "status: stopped\n"
    assert qm.ok("stop", "100") == ""


def test_an_unknown_bridge_is_found_at_the_start(qm: Qm) -> None:
    qm.ok("create", "100", "--net0", "virtio,bridge=vmbr99")
    assert qm.fails("start", "100") == "bridge 'vmbr99' does not exist\n"
    assert not (qm.root / "run/qemu-server/100.pid").exists()


def test_a_disk_with_a_boot_sector_brings_up_a_guest_with_an_agent(qm: Qm, tmp_path: Path) -> None:
    source = bootable(tmp_path / "linux.raw")
    qm.ok("create", "100", "--name", "web", "--agent", "1", "--scsi0", f"disks:0,import-from={source}",
          "--net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0", "--ide2", "disks:cloudinit",
          "--ipconfig0", "ip=10.0.0.5/24,gw=10.0.0.1")  # fmt: skip
    assert qm.fails("agent", "100", "ping") == "VM 100 is not running\n"
    qm.ok("start", "100")
    assert qm.ok("agent", "100", "ping") == ""
    assert '"ip-address" : "10.0.0.5"' in qm.ok("agent", "100", "network-get-interfaces")
    assert '"out-data" : "hello\\n"' in qm.ok("guest", "exec", "100", "--", "echo", "hello")
    qm.ok("shutdown", "100")
    assert qm.ok("status", "100") == "status: stopped\n"


def test_a_blank_disk_has_no_agent(qm: Qm) -> None:
    qm.ok("create", "100", "--agent", "1", "--scsi0", "disks:1")
    qm.ok("start", "100")
    assert qm.fails("agent", "100", "ping") == "QEMU guest agent is not running\n"


def test_openwrt_boots_into_the_configuration_that_its_image_carries(qm: Qm, tmp_path: Path) -> None:
    network = (b"config interface 'lan'\n\toption device 'eth0'\n\toption proto 'static'\n"
               b"\toption ipaddr '192.168.77.1'\n\toption netmask '255.255.255.0'\n")  # fmt: skip
    seed = images.gz(images.tar({"etc/config/network": network}, prefix=""))
    boot = images.ext4({"sysupgrade.tgz": seed}, 8 << 20, "kernel")
    (tmp_path / "openwrt.img").write_bytes(images.mbr([(512, 0x83, boot)], 9 << 20))
    qm.ok("create", "100", "--agent", "1", "--net0", "virtio,bridge=vmbr0",
          "--scsi0", f"disks:0,import-from={tmp_path / 'openwrt.img'}")  # fmt: skip
    qm.ok("start", "100")
    guest = qemu_boot.guest(qm.state, 100)
    assert guest.run(["uci", "get", "network.lan.ipaddr"]).stdout == b"192.168.77.1\n"
    assert qm.fails("agent", "100", "ping") == "QEMU guest agent is not running\n"
    guest.files.write("/usr/bin/qemu-ga", "")
    assert '"ip-address" : "192.168.77.1"' in qm.ok("agent", "100", "network-get-interfaces")


def test_cloudinit_data_follow_the_options(qm: Qm) -> None:
    qm.ok("create", "100", "--name", "web.example.org", "--ciuser", "bob", "--net0", "virtio=BC:24:11:00:00:01",
          "--ipconfig0", "ip=10.0.0.5/24,gw=10.0.0.1", "--nameserver", "1.1.1.1", "--searchdomain", "x.y")  # fmt: skip
    user = qm.ok("cloudinit", "dump", "100", "user")
    assert "hostname: web\n" in user and "fqdn: web.example.org\n" in user and "user: bob\n" in user
    network = qm.ok("cloudinit", "dump", "100", "network")
    assert "mac_address: 'bc:24:11:00:00:01'" in network and "netmask: '255.255.255.0'" in network
    assert re.fullmatch(r"instance-id: [0-9a-f]{40}\n\n", qm.ok("cloudinit", "dump", "100", "meta"))


def test_a_command_that_takes_too_long_leaves_only_its_pid(qm: Qm, tmp_path: Path) -> None:
    source = bootable(tmp_path / "linux.raw")
    qm.ok("create", "100", "--agent", "1", "--scsi0", f"disks:0,import-from={source}")
    qm.ok("start", "100")
    qemu_boot.files(qm.state, 100).write("/etc/hostname", "inside\n")
    assert '"out-data" : "inside\\n"' in qm.ok("guest", "exec", "100", "--", "sh", "-c", "sleep 0; hostname")
    code, out, err = qm.run("guest", "exec", "100", "--timeout", "1", "--", "sleep", "1")
    assert (code, '"pid"' in out, "exited" in out, err) == (0, True, False, "timeout reached, returning pid\n")


@pytest.mark.parametrize(("command", "answer"), [
    ("fsfreeze-status", "thawed\n"), ("fsfreeze-freeze", "1\n"), ("get-users", "[]\n"), ("ping", ""),
    ("get-host-name", '{\n   "host-name" : "web"\n}\n'),
])  # fmt: skip
def test_what_an_agent_answers(qm: Qm, tmp_path: Path, command: str, answer: str) -> None:
    source = bootable(tmp_path / "linux.raw")
    qm.started("--agent", "1", "--name", "web", "--scsi0", f"disks:0,import-from={source}")
    assert qm.ok("guest", "cmd", "100", command) == answer


# -- the API -----------------------------------------------------------------------------------------------------------


def api(qm: Qm, method: str, path: str, **params: t.Any) -> tuple[int, t.Any]:

    ticket, csrf = credentials.issue_ticket(qm.state, LOGIN)
    answer = respond(qm.state, method, f"/api2/json/nodes/pve1/qemu{path}", params, {"CSRFPreventionToken": csrf},
                     {"PVEAuthCookie": ticket})  # fmt: skip
    return answer.status, (answer.body or {}).get("data") if answer.status == 200 else answer.reason


def test_the_api_and_the_command_see_one_vm(qm: Qm) -> None:
    status, upid = api(qm, "POST", "", vmid=100, name="apivm", memory=64, scsi0="disks:1")
    assert status == 200 and ":qmcreate:100:" in upid
    assert "name: apivm\n" in qm.ok("config", "100")
    assert api(qm, "GET", "/100/config")[1]["memory"] == "64"
    assert api(qm, "PUT", "/100/config", memory=80) == (200, None)
    assert ":qmconfig:100:" in api(qm, "POST", "/100/config", cores=2)[1]
    api(qm, "POST", "/100/status/start")
    row = api(qm, "GET", "/100/status/current")[1]
    assert (row["status"], row["maxmem"], row["maxdisk"]) == ("running", 80 << 20, 1 << 30)
    assert api(qm, "DELETE", "/100") == (500, "VM 100 is running - destroy failed")


def test_a_token_is_not_root(qm: Qm, tmp_path: Path) -> None:
    """What PVE keeps for root itself is refused to its tokens, before anything is made."""
    users = access.UserFile.load(qm.state)
    users.tokens["root@pam!t"] = ["0", "0", "", ""]
    users.save(qm.state)
    credentials.set_secret(qm.state, "token.cfg", "root@pam!t", "s")
    header = {"Authorization": "PVEAPIToken=root@pam!t=s"}
    source = bootable(tmp_path / "a.raw")

    def refused(**params: str) -> str:
        answer = respond(qm.state, "POST", "/api2/json/nodes/pve1/qemu", {"vmid": 100, **params}, header)
        assert answer.status == 500 and not qm.state.has_guest("qemu", 100)
        return answer.reason

    assert refused(args="-vnc :1") == "only root can set 'args' config"
    assert refused(hostpci0="00:1f.0") == "only root can set 'hostpci0' config for non-mapped devices"
    assert refused(usb0="host=1234:5678") == "only root can set 'usb0' config for real devices"
    assert refused(serial0="/dev/ttyS0") == "only root can set 'serial0' config for real devices"
    assert "Only root can pass arbitrary filesystem paths" in refused(scsi0=f"disks:0,import-from={source}")


def test_the_agent_over_the_api_runs_commands_and_keeps_files(qm: Qm, tmp_path: Path) -> None:
    source = bootable(tmp_path / "linux.raw")
    qm.ok("create", "100", "--agent", "1", "--scsi0", f"disks:0,import-from={source}")
    qm.ok("start", "100")
    assert api(qm, "POST", "/100/agent/file-write", file="/etc/note", content="text\n") == (200, None)
    assert api(qm, "GET", "/100/agent/file-read", file="/etc/note")[1] == {"content": "text\n", "bytes-read": 5}
    pid = api(qm, "POST", "/100/agent/exec", command=["cat", "/etc/note"])[1]["pid"]
    assert api(qm, "GET", "/100/agent/exec-status", pid=pid)[1] == {"exited": 1, "exitcode": 0, "out-data": "text\n"}
    assert api(qm, "GET", "/100/agent/exec-status", pid=7)[0] == 500
