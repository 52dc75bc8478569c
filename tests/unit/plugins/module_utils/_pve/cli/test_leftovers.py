# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._pve.cli.leftovers import CliLeftovers
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.root import Root
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed, Volume, Window

NOW = 1_800_000_000
WINDOW = Window(NOW, NOW + 660)


class Place:
    """A node with one storage; plays what the commands do, and notes them."""

    def __init__(self, root: Path, kind: str = "lvmthin") -> None:
        self.root = root
        self.kind = kind
        self.content: list[Volume] = []
        self.born: dict[str, str] = {}
        self.ran: list[list[str]] = []

    def volumes(self, storage: str) -> list[Volume]:
        return self.content

    def volume_path(self, volid: str) -> str:
        return str(self.root / "images" / volid.rpartition("/")[2])

    def type_of(self, storage: str) -> str:
        return self.kind

    def run(self, argv: t.Sequence[str]) -> Completed:
        self.ran.append(list(argv))
        return Completed(0, self.born.get(Path(argv[-1]).name, "0"), "")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def ran(root: Path, kind: str, vmid: int | str = 105, *, at: int = NOW, ended: int | None = None) -> None:
    """A task of PVE that was at work on a guest."""
    stamp = f"{at:08X}"
    path = f"var/log/pve/tasks/{stamp[-1]}"
    name = f"UPID:pve1:0000ABCD:00ABCDEF:{stamp}:{kind}:{vmid}:root@pam:"
    write(root, f"{path}/{name}", "TASK OK\n")
    moment = at + 1 if ended is None else ended
    os.utime(root / path / name, (moment, moment))


def leftovers(place: Place) -> CliLeftovers:
    played: t.Any = place
    return CliLeftovers(Root("pve1", place.root), played, played)


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def disk(name: str = "vm-105-disk-0", *, vmid: int = 105, content: str = "rootdir", ctime: int | None = NOW) -> Volume:
    return Volume(f"data:{name}", content, 1, "raw", vmid, ctime)


class TestOrphans:
    @pytest.fixture(autouse=True)
    def _creation(self, place: Place) -> None:
        ran(place.root, "vzcreate", at=NOW + 1)

    @pytest.mark.parametrize(
        ("task", "vmid", "at", "ours"),
        [
            ("vzrestore", 105, NOW + 2, True),
            ("vzrestore", 106, NOW + 2, False),
            ("vzrestore", 105, NOW - 2, False),
            ("vzclone", 999, NOW + 2, True),
            ("vzclone", 999, NOW + 900, False),
        ],
        ids=["begun", "of another guest", "earlier", "of the guest that is cloned", "later"],
    )
    def test_without_a_task_that_makes_volumes_none_is_a_runs_own(
        self, place: Place, task: str, vmid: int, at: int, ours: bool
    ) -> None:
        place.content = [disk()]
        name = place.content[0].volid
        assert leftovers(place).orphans(105, ["data"], task, WINDOW) == ([], [name])
        ran(place.root, task, vmid, at=at)
        assert leftovers(place).orphans(105, ["data"], task, WINDOW) == (([name], []) if ours else ([], [name]))

    def test_what_was_made_in_the_time_of_a_creation_is_its_own(self, place: Place) -> None:
        place.content = [disk(), disk("vm-105-disk-1", ctime=NOW + 600)]
        found = leftovers(place).orphans(105, ["data"], "vzcreate", WINDOW)
        assert found == (["data:vm-105-disk-0", "data:vm-105-disk-1"], [])

    @pytest.mark.parametrize(
        "volume",
        [
            disk(ctime=NOW - 1),
            disk(ctime=NOW + 661),
            disk(ctime=None),
            disk("base-105-disk-0"),
            disk("vm-105-state-before"),
            disk("vm-105-mine"),
        ],
        ids=["older", "later", "of unknown age", "of a template", "of a snapshot", "of somebody's own naming"],
    )
    def test_what_may_be_somebody_elses_is_only_told(self, place: Place, volume: Volume) -> None:
        place.content = [volume]
        assert leftovers(place).orphans(105, ["data"], "vzcreate", WINDOW) == ([], [volume.volid])

    @pytest.mark.parametrize(
        "volume", [disk(content="backup"), disk(content="iso"), disk(vmid=106)], ids=["backup", "iso", "another vmid"]
    )
    def test_backups_and_strangers_are_not_even_told(self, place: Place, volume: Volume) -> None:
        place.content = [volume]
        assert leftovers(place).orphans(105, ["data"], "vzcreate", WINDOW) == ([], [])

    @pytest.mark.parametrize(
        "line",
        [
            "scsi0: data:vm-105-disk-0,size=8G",
            "unused0: data:vm-105-disk-0",
            "memory: 512\n\n[before]\nrootfs: data:vm-105-disk-0,size=8G",
            "memory: 512\n\n[PENDING]\nscsi1: data:vm-105-disk-0",
            "rootfs: same-place-by-another-name:vm-105-disk-0,size=8G",
            "scsi0: data:vm-105-disk-0/vm-110-disk-0.qcow2,size=8G",
            "lxc.mount.entry: /dev/data/vm-105-disk-0 srv none bind",
        ],
    )
    @pytest.mark.parametrize("config", ["pve1/lxc/110", "pve1/qemu-server/110", "pve2/lxc/110", "pve2/qemu-server/105"])
    def test_what_any_config_of_the_cluster_names_is_no_orphan(self, place: Place, line: str, config: str) -> None:
        write(place.root, f"etc/pve/nodes/{config}.conf", f"arch: amd64\n{line}\n")
        place.content = [disk()]
        assert leftovers(place).orphans(105, ["data"], "vzcreate", WINDOW) == ([], [])

    def test_a_longer_name_is_another_volume(self, place: Place) -> None:
        write(place.root, "etc/pve/nodes/pve1/lxc/110.conf", "rootfs: data:vm-105-disk-01\n")
        place.content = [disk()]
        assert leftovers(place).orphans(105, ["data"], "vzcreate", WINDOW)[0] == ["data:vm-105-disk-0"]

    @pytest.mark.parametrize(("told", "ours"), [(NOW + 1, True), (NOW - 9, False), (NOW + 700, False), (0, False)])
    def test_of_a_file_the_time_of_its_birth_counts_and_not_that_of_the_last_write(
        self, place: Place, told: int, ours: bool
    ) -> None:
        place.kind = "dir"
        write(place.root, "images/vm-105-disk-0.raw", "")
        place.born = {"vm-105-disk-0.raw": f"{told}\n"}
        volume = Volume("data:105/vm-105-disk-0.raw", "rootdir", 1, "raw", 105, NOW + 5)
        place.content = [volume]
        found = leftovers(place).orphans(105, ["data"], "vzcreate", WINDOW)
        assert found == (([volume.volid], []) if ours else ([], [volume.volid]))

    @pytest.mark.parametrize(("told", "ours"), [(NOW + 1, True), (NOW - 9, False), (NOW + 700, False)])
    @pytest.mark.parametrize("name", ["vm-105-disk-0", "base-900-disk-0/vm-105-disk-0"])
    def test_of_a_volume_of_zfs_the_creation_of_its_dataset_counts(
        self, place: Place, name: str, told: int, ours: bool
    ) -> None:
        place.kind, place.content, place.born = "zfspool", [disk(name)], {"vm-105-disk-0": f"{told}\n"}
        write(place.root, "etc/pve/storage.cfg", "zfspool: data\n\tpool rpool/data\n\tcontent images,rootdir\n")
        volid = f"data:{name}"
        found = leftovers(place).orphans(105, ["data"], "vzcreate", WINDOW)
        assert found == (([volid], []) if ours else ([], [volid]))
        assert place.ran[0][-1] == "rpool/data/vm-105-disk-0"

    def test_a_device_has_no_birth(self, place: Place) -> None:
        place.kind, place.content = "rbd", [disk()]
        assert leftovers(place).orphans(105, ["data"], "vzcreate", WINDOW) == ([], ["data:vm-105-disk-0"])
        assert place.ran == []


class TestTasks:
    def test_one_creation_in_time_and_nothing_else(self, place: Place) -> None:
        assert leftovers(place).only_made(105, "vzcreate", WINDOW)
        ran(place.root, "vzcreate")
        assert leftovers(place).only_made(105, "vzcreate", WINDOW)

    def test_what_had_ended_before_and_other_guests_do_not_count(self, place: Place) -> None:
        ran(place.root, "vzdestroy", at=NOW - 60)
        ran(place.root, "vzstart", 1055)
        ran(place.root, "vzcreate", 5)
        assert leftovers(place).tasks(105, NOW) == []

    @pytest.mark.parametrize(
        ("kind", "at"),
        [
            ("vzstart", NOW + 5),
            ("vzsnapshot", NOW + 5),
            ("vzdump", NOW + 5),
            ("vzrestore", NOW),
            ("vzcreate", NOW + 700),
        ],
    )
    def test_a_guest_to_which_anything_else_was_done_is_not_ours(self, place: Place, kind: str, at: int) -> None:
        ran(place.root, kind, at=at)
        assert not leftovers(place).only_made(105, "vzcreate", WINDOW)

    def test_nor_is_one_that_was_made_twice(self, place: Place) -> None:
        ran(place.root, "vzcreate", at=NOW)
        ran(place.root, "vzcreate", at=NOW + 9)
        assert not leftovers(place).only_made(105, "vzcreate", WINDOW)

    def test_when_a_config_was_written(self, place: Place) -> None:
        assert leftovers(place).written("lxc", 105) is None
        write(place.root, "etc/pve/nodes/pve1/lxc/105.conf", "lock: create\n")
        written = leftovers(place).written("lxc", 105)
        assert written in Window(time.time() - 60, time.time() + 60)
        assert written not in WINDOW


class TestOpen:
    def test_a_volume_is_open_in_the_process_of_its_vm(self, place: Place) -> None:
        write(place.root, "images/data:vm-105-disk-0", "")
        files = place.root / "proc/4711/fd"
        files.mkdir(parents=True)
        (files / "9").symlink_to(place.root / "images/data:vm-105-disk-0")
        assert not leftovers(place).is_open(105, "data:vm-105-disk-0")  # it does not run
        write(place.root, "run/qemu-server/105.pid", "4711\n")
        assert leftovers(place).is_open(105, "data:vm-105-disk-0")
        assert not leftovers(place).is_open(105, "data:vm-105-disk-1")


class TestMounts:
    def mounted(self, root: Path, *lines: str) -> None:
        write(root, "proc/mounts", "".join(f"{line}\n" for line in lines))

    def looped(self, root: Path, device: str, file: str) -> None:
        write(root, f"sys/block/{device}/loop/backing_file", f"{file}\n")

    def test_file_systems_are_unmounted_from_within_and_their_devices_detached(self, place: Place) -> None:
        rootfs = "/var/lib/lxc/105/rootfs"
        self.mounted(
            place.root,
            f"/dev/loop3 {rootfs} ext4 rw 0 0",
            f"/dev/mapper/data-x {rootfs}/srv ext4 rw 0 0",
            "/dev/loop4 /var/lib/lxc/1055/rootfs ext4 rw 0 0",
            "/dev/loop5 /var/lib/lxc/105/rootfs-of-mine ext4 rw 0 0",
        )
        self.looped(place.root, "loop3", "/var/lib/vz/images/105/vm-105-disk-0.raw (deleted)")
        self.looped(place.root, "loop4", "/var/lib/vz/images/1055/vm-1055-disk-0.raw")
        leftovers(place).release(105)
        inside = str(place.root / "var/lib/lxc/105/rootfs")
        assert place.ran == [["umount", f"{inside}/srv"], ["umount", inside], ["losetup", "--detach", "/dev/loop3"]]

    def test_a_device_that_was_not_mounted_yet_is_detached_too(self, place: Place) -> None:
        self.looped(place.root, "loop0", "/srv/iso/debian.iso")
        self.looped(place.root, "loop1", "/var/lib/vz/images/105/vm-105-disk-1.raw")
        leftovers(place).release(105)
        assert place.ran == [["losetup", "--detach", "/dev/loop1"]]

    def test_where_nothing_is_left_nothing_is_run(self, place: Place) -> None:
        leftovers(place).release(105)
        assert place.ran == []
