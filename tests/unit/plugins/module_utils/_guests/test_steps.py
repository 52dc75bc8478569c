# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every step that there is: what it is called, when its turn comes, and what people are told of it."""

from __future__ import annotations

import inspect
import typing as t
from pathlib import Path

import pytest
from every_step import every_step

from ansible_collections.pve.provision.plugins.module_utils._engine import creation, steps
from ansible_collections.pve.provision.plugins.module_utils._engine.migration import Migrate
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Phase, Step
from ansible_collections.pve.provision.plugins.module_utils._guests import seeded_disk
from ansible_collections.pve.provision.plugins.module_utils._guests.latest import part as latest
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc import gpu, template
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.oci import replace
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt import lxc_steps
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt import steps as openwrt
from ansible_collections.pve.provision.plugins.module_utils._guests.setup import steps as setup
from ansible_collections.pve.provision.plugins.module_utils._guests.snapshot import backup
from ansible_collections.pve.provision.plugins.module_utils._guests.snapshot import steps as snapshot
from ansible_collections.pve.provision.plugins.module_utils._guests.vm import (
    cloud_init_steps,
    disk_life,
    disk_move,
    golden,
    own_iso,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles import installer, join
from ansible_collections.pve.provision.plugins.module_utils._model.appliances import Appliance
from ansible_collections.pve.provision.plugins.module_utils._model.oci import OciRecord, OciReference

TESTS = Path(__file__).resolve().parents[2]
DEBIAN = "debian-12_1_amd64.tar.zst"
NO_GUEST = t.cast("t.Any", None)

EXAMPLES: list[tuple[Step, Phase, dict[str, t.Any]]] = [
    (steps.CleanUp(101), Phase.CLEAN_UP, {"step": "clean_up", "vmid": 101}),
    (
        creation.Create({"ostemplate": "local:vztmpl/a.tar.gz"}, {"memory": "512"}),
        Phase.CREATE,
        {"step": "create", "ostemplate": "local:vztmpl/a.tar.gz", "options": {"memory": "512"}},
    ),
    (
        template.fetch_template(
            Appliance("debian-12", "1", "http://example.org/debian-12_1_amd64.tar.zst"), "local", 9
        ),
        Phase.IMAGE,
        {
            "step": "fetch_image",
            "volid": "local:vztmpl/debian-12_1_amd64.tar.zst",
            "url": "http://example.org/debian-12_1_amd64.tar.zst",
            "size": 9,
        },
    ),
    (creation.Restore("nas:backup/a.tar.zst"), Phase.CREATE, {"step": "restore", "backup": "nas:backup/a.tar.zst"}),
    (creation.Clone("golden"), Phase.CREATE, {"step": "clone", "source": "golden"}),
    (
        steps.Set({"memory": "512"}, ("net0",), ("features",)),
        Phase.CHANGE,
        {"step": "set", "options": {"memory": "512"}, "delete": ["net0"], "revert": ["features"]},
    ),
    (steps.Resize("rootfs", "6G"), Phase.CHANGE, {"step": "resize", "disk": "rootfs", "size": "6G"}),
    (steps.GrowFilesystem("mp0", "6G"), Phase.CHANGE, {"step": "grow_filesystem", "disk": "mp0", "size": "6G"}),
    (snapshot.Snapshot("provision_20260101_000000"), Phase.CHANGE, {"step": "snapshot"}),
    (backup.Backup("local"), Phase.CHANGE, {"step": "backup", "place": "local"}),
    (backup.DropBackup(), Phase.CLOSE, {"step": "drop_backup"}),
    (snapshot.PruneSnapshots(1), Phase.CLOSE, {"step": "prune_snapshots", "keep": 1}),
    (
        gpu.PassGraphics(("/dev/dri/renderD128",)),
        Phase.INSIDE,
        {"step": "pass_graphics", "devices": ["/dev/dri/renderD128"]},
    ),
    (steps.JoinPool("web"), Phase.CHANGE, {"step": "join_pool", "pool": "web"}),
    (steps.Start(), Phase.POWER, {"step": "start"}),
    (steps.Suspend(), Phase.POWER, {"step": "suspend"}),
    (steps.Resume(), Phase.POWER, {"step": "resume"}),
    (steps.Shutdown(60, force=False), Phase.POWER, {"step": "shutdown", "timeout": 60, "force": False}),
    (steps.MakeTemplate(), Phase.POWER, {"step": "make_template"}),
    (steps.Destroy(purge=True), Phase.REMOVE, {"step": "destroy", "purge": True}),
    (
        lxc_steps.BuildTemplate(NO_GUEST, "24.10.4", "local:vztmpl/openwrt.tar.gz"),
        Phase.IMAGE,
        {"step": "template", "version": "24.10.4", "volid": "local:vztmpl/openwrt.tar.gz"},
    ),
    (
        replace.ReplaceRoot(
            OciRecord(OciReference("quay.io", "a/b", "1"), "x"), OciRecord(OciReference("quay.io", "a/b", "2"), "y")
        ),
        Phase.CHANGE,
        {"step": "replace_root", "from": "quay.io/a/b:1", "to": "quay.io/a/b:2"},
    ),
    (
        setup.SetUp(NO_GUEST, ("packages: nginx: install",)),
        Phase.INSIDE,
        {"step": "set_up", "changes": ["packages: nginx: install"]},
    ),
    (setup.SetUpByAgent(NO_GUEST), Phase.INSIDE, {"step": "set_up"}),
    (
        latest.Upgrade(NO_GUEST, ("nginx: 1 -> 2",)),
        Phase.INSIDE,
        {"step": "upgrade_packages", "packages": ["nginx: 1 -> 2"]},
    ),
    (latest.UpgradeByAgent(NO_GUEST, ()), Phase.INSIDE, {"step": "upgrade_packages", "packages": []}),
    (replace.RemoveOldRoot(), Phase.CLOSE, {"step": "remove_old_root"}),
    (
        golden.MakeGolden("golden-debian-13-0a", "debian-13", "local-lvm", NO_GUEST),
        Phase.IMAGE,
        {"step": "make_golden", "name": "golden-debian-13-0a", "image": "debian-13", "storage": "local-lvm"},
    ),
    (
        disk_move.CleanUpMove(100, ("nas:100/vm-100-disk-0.qcow2",)),
        Phase.CLEAN_UP,
        {"step": "clean_up_move", "vmid": 100, "volumes": ["nas:100/vm-100-disk-0.qcow2"]},
    ),
    (
        disk_move.MoveDisk("scsi0", "local-lvm", "nas", "qcow2"),
        Phase.CHANGE,
        {"step": "move_disk", "disk": "scsi0", "source": "local-lvm", "target": "nas"},
    ),
    (
        disk_life.PurgeDisk("scsi1", "local-lvm:vm-100-disk-1"),
        Phase.REMOVE,
        {"step": "purge_disk", "disk": "scsi1", "volume": "local-lvm:vm-100-disk-1"},
    ),
    (
        golden.RemoveGolden("golden-debian-13-0a", 100, "local-lvm", NO_GUEST),
        Phase.IMAGE,
        {"step": "remove_golden", "name": "golden-debian-13-0a", "vmid": 100},
    ),
    (
        seeded_disk.FetchDisk(NO_GUEST, "openwrt.raw", "http://example.org/openwrt.img.gz", 9),
        Phase.IMAGE,
        {"step": "fetch_disk", "name": "openwrt.raw", "url": "http://example.org/openwrt.img.gz", "size": 9},
    ),
    (
        seeded_disk.PrepareDisk(NO_GUEST, "24.10", "ext4-combined"),
        Phase.IMAGE,
        {"step": "image", "version": "24.10", "variant": "ext4-combined"},
    ),
    (lxc_steps.Seed(NO_GUEST, ("lan", "wan")), Phase.INSIDE, {"step": "seed", "interfaces": ["lan", "wan"]}),
    (
        Migrate("pve1", "pve2", "online", ("local-lvm:vm-101-disk-0",)),
        Phase.CREATE,
        {
            "step": "migrate",
            "from": "pve1",
            "to": "pve2",
            "mode": "online",
            "local_volumes": ["local-lvm:vm-101-disk-0"],
        },
    ),
    (
        cloud_init_steps.PlaceSnippets(("local:snippets/a.yaml",), ("#cloud-config\npassword: secret\n",)),
        Phase.IMAGE,
        {"step": "place_snippets", "volids": ("local:snippets/a.yaml",)},
    ),
    (
        cloud_init_steps.AttachImage(NO_GUEST, "local", "ide2", ("user",)),
        Phase.CHANGE,
        {"step": "attach_cloud_init", "storage": "local", "drive": "ide2", "parts": ("user",)},
    ),
    (cloud_init_steps.RegenerateDrive(), Phase.CHANGE, {"step": "regenerate_cloud_init"}),
    (
        cloud_init_steps.RemoveData(("local:iso/a.iso",)),
        Phase.REMOVE,
        {"step": "remove_cloud_init", "volids": ("local:iso/a.iso",)},
    ),
    (
        cloud_init_steps.AwaitCloudInit(NO_GUEST, 120),
        Phase.INSIDE,
        {"step": "await_cloud_init", "timeout": 120},
    ),
    (openwrt.AwaitUp(NO_GUEST), Phase.POWER, {"step": "await_up"}),
    (
        openwrt.Configure(NO_GUEST, {"uci": ["network.lan.mtu='1400'"]}),
        Phase.INSIDE,
        {"step": "configure", "uci": ["network.lan.mtu='1400'"]},
    ),
    (openwrt.InstallPackages(NO_GUEST, ("nano",)), Phase.INSIDE, {"step": "packages", "install": ["nano"]}),
    (
        openwrt.UpgradeRouter(NO_GUEST, "23.05.5", "24.10.4", keep=True),
        Phase.INSIDE,
        {"step": "upgrade", "from": "23.05.5", "to": "24.10.4", "keep": True},
    ),
    (
        own_iso.PutIso("local:iso/pve-provision-ha-config-0123456789ab.iso", b"secret"),
        Phase.IMAGE,
        {"step": "put_iso", "volid": "local:iso/pve-provision-ha-config-0123456789ab.iso"},
    ),
    (own_iso.RemoveIso("local:iso/a.iso"), Phase.REMOVE, {"step": "remove_iso", "volid": "local:iso/a.iso"}),
    (
        join.JoinCluster("lab", "k1", "192.0.2.5"),
        Phase.INSIDE,
        {"step": "join_cluster", "cluster": "lab", "server": "k1"},
    ),
    (installer.PressKey("ret"), Phase.POWER, {"step": "press_key", "key": "ret"}),
]


@pytest.mark.parametrize(("step", "phase", "view"), EXAMPLES, ids=lambda value: getattr(value, "action", ""))
def test_a_step_says_what_it_does_and_belongs_to_a_phase(step: Step, phase: Phase, view: dict[str, t.Any]) -> None:
    assert (step.view(), step.phase) == (view, phase)


def concrete(step: type[Step]) -> t.Iterator[type[Step]]:
    """The steps that are defined below a class, but for those that stand only for others."""
    for below in step.__subclasses__():
        if not inspect.isabstract(below) and below.__module__.startswith("ansible_collections."):
            yield below
        yield from concrete(below)


def test_the_registry_knows_every_step_and_here_is_an_example_of_each() -> None:
    assert set(concrete(Step)) == set(every_step())
    assert {type(step) for step, _phase, _view in EXAMPLES} == set(every_step())
    # One that does the same by another way into the guest is called the same.
    others = [step for step in every_step() if step.__base__ not in every_step()]
    assert len({step.action for step in every_step()}) == len(others)


@pytest.mark.parametrize("step", every_step(), ids=lambda step: step.action)
def test_some_test_of_a_module_meets_each_step(step: type[Step]) -> None:
    """Most are met in the plan of a run against the embedded node."""
    sources = "".join(path.read_text() for path in sorted(TESTS.glob("modules/*.py")))
    assert f'"{step.action}"' in sources
