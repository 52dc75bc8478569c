# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disks of VMs are made from images that the run finds, verifies and brings by itself."""

from __future__ import annotations

import fnmatch
import functools
import os
import re
import shutil
import signal
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._engine.creation import Create
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import MakeTemplate, Set
from ansible_collections.pve.provision.plugins.module_utils._images.releases.indexes import Indexes
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.root import Root
from ansible_collections.pve.provision.plugins.module_utils._store import guest_image
from embedded_node import commands
from embedded_node.mirror import Mirror, images
from embedded_node.state.root import State

from .conftest import Answer, Bench, Params, grant, pvesh, spawn, steps

DEBIAN = "debian-13-genericcloud-amd64-20250814-2204.qcow2"
SENT = f"*/{DEBIAN}"


@pytest.fixture(scope="module")
def running() -> t.Iterator[Mirror]:
    with Mirror(sites=("debian", "ubuntu", "opnsense")) as mirror:
        yield mirror


@pytest.fixture
def mirror(running: Mirror) -> t.Iterator[Mirror]:
    """The sources of images, that can be reached."""
    running.forget()
    yield running
    running.clear_faults()


def debian(mirror: Mirror, **more: t.Any) -> Params:
    return {"name": "debian-13", "mirrors": [mirror.base("debian")], **more}


def config(bench: Bench, vmid: int | None) -> dict[str, str]:
    text = (bench.node.root / f"etc/pve/qemu-server/{vmid}.conf").read_text(encoding="utf-8")
    return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)


def fetched(mirror: Mirror, pattern: str = SENT) -> int:
    """How often the bytes of an image were sent."""
    return sum(answered.sent > 0 for answered in mirror.requests if fnmatch.fnmatchcase(answered.path, pattern))


def imports(bench: Bench) -> list[str]:
    return sorted(path.name for path in (bench.node.root / "var/lib/vz/import").glob("[!.]*"))


class Killed(BaseException):
    """Nobody catches it: the run is over at once."""


def vm(image: t.Any, name: str = "web", **disk: t.Any) -> Params:
    """A VM whose disk is made from an image."""
    return {"name": name, "disks": [{"storage": "local-lvm", "image": image, **disk}]}


def test_without_a_quorum_no_image_is_fetched(bench: Bench, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.node.fault("no_quorum")  # over the API; on the node files in /etc/pve lose their bits for writing
    (bench.node.root / "etc/pve/corosync.conf").write_text("totem {\n  cluster_name: home\n}\n")
    monkeypatch.setattr(Root, "is_writable", lambda _root, path: str(path) != "etc/pve/local")
    for check in (True, False):
        refused = bench.bad("vm_create", check=check, **vm(debian(mirror), "web1"))
        assert "has no quorum. Nothing was changed." in refused.msg
        assert refused.reason == "quorum"
    assert [command for command in bench.writes() if command != ["pvesm", "status"]] == []
    assert fetched(mirror) == 0


def test_an_image_is_predicted_fetched_and_imported(bench: Bench, mirror: Mirror) -> None:
    declared = vm(debian(mirror), size="1G")
    told = bench.good("vm_create", check=True, **declared)
    assert (fetched(mirror), imports(bench)) == (0, [])
    made = bench.good("vm_create", **declared)
    assert told.plan == made.plan
    assert steps(made) == ["fetch_image", "create", "resize"]
    assert made.plan[0]["volid"] == f"local:import/{DEBIAN}"
    assert imports(bench) == [DEBIAN]
    assert "size=1G" in config(bench, made.vmid)["scsi0"]
    mirror.forget()
    bench.node.forget()
    assert not bench.good("vm_create", **declared).changed
    assert (mirror.requests, bench.writes()) == ([], [])


def test_the_image_of_a_vm_is_that_of_its_first_disk(bench: Bench, mirror: Mirror) -> None:
    made = bench.good("vm_create", name="web", image=debian(mirror))
    assert steps(made) == ["fetch_image", "create"]
    assert made.plan[1]["options"]["scsi0"].startswith(f"local-lvm:0,import-from=local:import/{DEBIAN}")
    assert not bench.good("vm_create", name="web", image=debian(mirror)).changed


def test_a_second_vm_uses_what_is_there(bench: Bench, mirror: Mirror) -> None:
    bench.good("vm_create", **vm(debian(mirror), "web1"))
    assert steps(bench.good("vm_create", **vm(debian(mirror), "web2"))) == ["create"]
    assert fetched(mirror) == 1


def test_an_image_that_is_newer_is_fetched_and_a_vm_keeps_what_it_was_made_from(bench: Bench, mirror: Mirror) -> None:
    bench.good("vm_create", **vm({**debian(mirror), "name": "debian-12-20250210-2019"}))
    newest = {**debian(mirror), "name": "debian-12"}
    assert not bench.good("vm_create", **vm(newest)).changed
    assert steps(bench.good("vm_create", **vm(newest, "web2"))) == ["fetch_image", "create"]
    assert len(imports(bench)) == 2


def test_a_disk_that_an_existing_vm_gets_is_made_from_its_image(bench: Bench, mirror: Mirror) -> None:
    declared: Params = {"name": "web", "disks": [{"storage": "local-lvm", "size": "1G"}]}
    made = bench.good("vm_create", **declared)
    declared["disks"].append({"size": "1G", "image": debian(mirror)})
    told = bench.good("vm_create", check=True, **declared)
    changed = bench.good("vm_create", **declared)
    assert told.plan == changed.plan
    assert steps(changed) == ["fetch_image", "set", "resize"]
    assert config(bench, made.vmid)["scsi1"].startswith("local-lvm:vm-")
    assert not bench.good("vm_create", **declared).changed


def test_a_file_that_is_there_is_imported(bench: Bench, mirror: Mirror) -> None:
    path = bench.node.root / "var/lib/vz/import/debian-a.raw"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(1 << 20))
    made = bench.good("vm_create", **vm({"file": "local:import/debian-a.raw"}))
    assert (steps(made), "size=1M" in config(bench, made.vmid)["scsi0"]) == (["create"], True)
    refused = bench.bad("vm_create", **vm({"file": "local:import/debian-c.raw"}, "no"))
    assert "disks[0].image: 'local:import/debian-c.raw' is not on any storage" in refused.msg


def test_a_path_is_one_of_the_machine_that_the_run_is_on(bench: Bench, mirror: Mirror, tmp_path: Path) -> None:
    """On the node it is imported from there; over the API it is uploaded first."""
    path = tmp_path / "debian-own.raw"
    if bench.backend == "cli":
        path = bench.node.root / "root/debian-own.raw"
        path.parent.mkdir(exist_ok=True)
    path.write_bytes(images.raw_disk(b"own"))
    named = "/root/debian-own.raw" if bench.backend == "cli" else str(path)
    made = bench.good("vm_create", **vm({"file": named, "verify": "none"}))
    assert steps(made) == {"cli": ["create"], "api": ["fetch_image", "create"]}[bench.backend]
    path.unlink()


def test_a_damaged_download_is_refused_and_leaves_nothing(bench: Bench, mirror: Mirror) -> None:
    mirror.fault("flip", SENT, after=100)
    assert "fetch_image failed" in bench.bad("vm_create", **vm(debian(mirror))).msg
    assert (imports(bench), list((bench.node.root / "etc/pve/qemu-server").glob("*.conf"))) == ([], [])
    mirror.clear_faults()
    assert bench.good("vm_create", **vm(debian(mirror))).changed


def test_an_import_that_fails_leaves_no_disk(bench: Bench, mirror: Mirror) -> None:
    junk = bench.node.root / "var/lib/vz/import/debian-junk.qcow2"
    junk.parent.mkdir(exist_ok=True)
    junk.write_bytes(b"no image at all")
    assert "create failed" in bench.bad("vm_create", **vm({"file": "local:import/debian-junk.qcow2"})).msg
    assert bench.volumes("local-lvm", 100) == []
    assert not (bench.node.root / "etc/pve/qemu-server/100.conf").exists()


def test_a_disk_smaller_than_its_image_is_refused_and_leaves_nothing(bench: Bench, mirror: Mirror) -> None:
    image = bench.node.root / "var/lib/vz/import/big-debian.raw"
    image.parent.mkdir(parents=True, exist_ok=True)
    with image.open("wb") as handle:
        handle.truncate(16 * 1024**2)  # more than a storage rounds up
    failed = bench.bad("vm_create", **vm({"file": "local:import/big-debian.raw"}, size="1M"))
    assert "resize failed" in failed.msg
    assert (bench.volumes("local-lvm", 100), list((bench.node.root / "etc/pve/qemu-server").glob("*.conf"))) == ([], [])


def test_a_name_that_nobody_knows_is_found_before_anything_is_done(bench: Bench, mirror: Mirror) -> None:
    refused = bench.bad("vm_create", check=True, **vm("debain-13", storage="nowhere"))
    assert {finding["option"] for finding in refused.findings} == {"disks[0].image", "disks[0].storage"}


def test_a_format_that_the_storage_does_not_keep_is_found(bench: Bench, mirror: Mirror) -> None:
    refused = bench.bad(
        "vm_create", check=True, name="web", disks=[{"storage": "local-lvm", "size": 1, "format": "qcow2"}]
    )
    assert "is not kept by storage local-lvm of type lvmthin" in refused.msg


def test_the_vms_of_one_list_share_a_fetch(bench: Bench, mirror: Mirror) -> None:
    guests = [{"type": "vm", "golden": False, **vm(debian(mirror), f"web{number}")} for number in range(3)]
    told = bench.good("guests", check=True, guests=guests, defaults={})
    assert sum("fetch" in line for line in told.plan) <= 1
    made = bench.good("guests", guests=guests, defaults={})
    assert [entry["changed"] for entry in made.guests] == [True] * 3
    assert fetched(mirror) == 1
    assert not bench.good("guests", guests=guests, defaults={}).changed


def test_what_a_run_has_fetched_that_was_killed_then_is_used_by_the_next(bench: Bench, mirror: Mirror) -> None:
    def kill(self: Create, run: t.Any) -> t.NoReturn:
        raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Create, "run", kill)
        bench.run("vm_create", **vm(debian(mirror)))
    assert steps(bench.good("vm_create", **vm(debian(mirror)))) == ["create"]
    assert fetched(mirror) == 1


def test_a_storage_without_room_for_the_image_is_found_before(bench: Bench, mirror: Mirror) -> None:
    bench.node.fault("storage_full", storage="local")
    refused = bench.bad("vm_create", check=True, **vm(debian(mirror)))
    (finding,) = refused.findings
    assert (finding["option"], "GiB free" in finding["problem"]) == ("disks[0].image", True)
    assert fetched(mirror) == 0


@pytest.mark.parametrize("golden", [False, True])
def test_a_token_is_told_what_it_lacks_and_imports_from_a_volume(
    bench: Bench, mirror: Mirror, token: Params, golden: bool
) -> None:
    """A path of the node is for root alone."""
    declared = {**vm(debian(mirror), size="1G"), "golden": golden}
    pvesh(bench, "set", "/access/acl", "--path", "/", "--users", "ansible@pve", "--roles", "PVEAuditor")
    (finding,) = bench.bad("vm_create", check=True, **declared, **token).findings
    wanted = ["Datastore.AllocateTemplate on /storage/local", "Datastore.AllocateSpace on /storage/local-lvm"]
    assert [words for words in [*wanted, "VM.Allocate on /vms"] if words not in finding["problem"]] == []
    grant(bench, finding["remedy"])
    made = bench.good("vm_create", **declared, **token)
    assert ("make_golden" in steps(made)) is golden


def test_an_iso_is_brought_into_a_drive(bench: Bench, mirror: Mirror) -> None:
    """What is in a drive counts as long as the VM lives, unlike what a disk was made from."""
    folder = f"{mirror.base('debian')}/images/cloud/bookworm"
    url = f"{folder}/20250316-2053/debian-12-nocloud-amd64-20250316-2053.qcow2"
    other = f"{folder}/20250210-2019/debian-12-nocloud-amd64-20250210-2019.qcow2"
    declared: Params = {"name": "web", "cdroms": [{"iso": {"url": url, "verify": "none"}}]}
    made = bench.good("vm_create", **declared)
    assert steps(made) == ["fetch_image", "create"]
    assert config(bench, made.vmid)["ide2"].startswith("local:iso/debian-12-nocloud-amd64-20250316-2053.img,")
    mirror.forget()
    assert not bench.good("vm_create", **declared).changed
    assert mirror.requests == []
    changed = bench.good("vm_create", **{**declared, "cdroms": [{"iso": {"url": other, "verify": "none"}}]})
    assert steps(changed) == ["fetch_image", "set"]
    volid = "local:iso/debian-12-nocloud-amd64-20250316-2053.img"
    assert steps(bench.good("vm_create", **{**declared, "cdroms": [{"iso": volid}]})) == ["set"]
    assert not bench.good("vm_create", **{**declared, "cdroms": [{"iso": volid}]}).changed


# -- golden templates ------------------------------------------------------------------------------------------------
@pytest.fixture
def storages(bench: Bench) -> None:
    """A directory, whose clones need their base, and a storage whose volumes cannot be cloned so."""
    config = bench.node.root / "etc/pve/storage.cfg"
    before = config.read_text(encoding="utf-8")
    more = f"dir: files\n\tpath {bench.node.root / 'srv/files'}\n\tcontent images\n\n"
    config.write_text(f"{before}\n{more}lvm: thick\n\tvgname thick\n\tcontent images\n", encoding="utf-8")


def test_a_template_of_no_image_is_refused(bench: Bench) -> None:
    blank: Params = {"name": "blank", "disks": [{"storage": "local-lvm", "size": "1G"}], "golden": True}
    assert "golden: True needs a first disk that is made from an image" in bench.bad("vm_create", **blank).msg


def fleet(mirror: Mirror, count: int, storage: str = "local-lvm", **more: t.Any) -> list[Params]:
    """VMs of one image, of which a template is made."""
    return [
        {"type": "vm", **vm(debian(mirror), f"web{number}", storage=storage, size="1G"), **more}
        for number in range(count)
    ]


def templates(bench: Bench) -> dict[int, dict[str, str]]:
    folder = bench.node.root / "etc/pve/qemu-server"
    configs = {int(path.stem): config(bench, int(path.stem)) for path in folder.glob("*.conf")}
    return {vmid: options for vmid, options in configs.items() if options.get("template") == "1"}


def ran(bench: Bench, *words: str) -> int:
    """How many such changes PVE was asked for."""
    if bench.backend == "cli":
        return sum(argv[: len(words)] == list(words) for argv in bench.writes())
    path = {("qm", "create"): r"POST .*/qemu$", ("qm", "clone"): r"POST .*/clone$"}[words]
    asked = (f"{request['method']} {request['path']}" for request in bench.node.requests())
    return sum(re.fullmatch(path, each) is not None for each in asked)


def test_many_vms_of_one_image_cost_one_download_and_one_import(bench: Bench, mirror: Mirror) -> None:
    guests = fleet(mirror, 5)
    told = bench.good("guests", check=True, guests=guests)
    assert (fetched(mirror), templates(bench)) == (0, {})
    bench.node.forget()
    made = bench.good("guests", guests=guests)
    assert made.plan == told.plan
    assert [entry["changed"] for entry in made.guests] == [True] * 5
    assert (fetched(mirror), ran(bench, "qm", "create"), ran(bench, "qm", "clone")) == (1, 1, 5), bench.writes()
    (template,) = templates(bench).values()
    assert "size=1G" in template["scsi0"]
    for entry in made.guests:
        options = config(bench, entry["vmid"])
        assert ("tags" in options, options["name"], "size=1G" in options["scsi0"]) == (False, entry["name"], True)
    bench.node.forget()
    mirror.forget()
    assert not bench.good("guests", guests=guests).changed
    assert (mirror.requests, bench.writes()) == ([], [])


def test_a_clone_has_all_that_its_vm_is_declared_to_have(bench: Bench, mirror: Mirror) -> None:
    """Firmware, cloud-init, devices and a second disk come to what the template has, and its marks go."""
    declared: Params = {
        "name": "web",
        "golden": True,
        "state": "started",
        "bios": "ovmf",
        "scsihw": "virtio-scsi-single",
        "memory": 1024,
        "tags": ["web"],
        "networks": [{"bridge": "vmbr0"}],
        "disks": [{"storage": "local-lvm", "image": debian(mirror), "size": "2G", "iothread": True}, {"size": "1G"}],
        "cloud_init": {"user": "admin", "ip": [{"ip": "192.168.1.10/24"}]},
    }
    told = bench.good("vm_create", check=True, **declared)
    made = bench.good("vm_create", **declared)
    assert told.plan == made.plan
    has = config(bench, made.vmid)
    assert {"efidisk0", "net0", "scsi1", "ciuser", "ipconfig0"} <= has.keys()
    assert ("size=2G" in has["scsi0"], "iothread=1" in has["scsi0"], has["tags"]) == (True, True, "web")
    assert not bench.good("vm_create", **declared).changed
    plain = {**declared, "golden": False}
    assert not bench.good("vm_create", **plain).changed, "nothing of an existing VM is about how it was made"


COMMON: Params = {
    "memory": 1024,
    "agent": {"enabled": True},
    "networks": [{"bridge": "vmbr0"}],
    "cloud_init": {"user": "admin", "ip": [{"ip": "dhcp"}], "install_agent": False},
}


def changes(bench: Bench) -> list[str]:
    """What was asked of PVE about VMs: the command of qm, or the last word of the request."""
    if bench.backend == "cli":
        return [argv[1] for argv in bench.writes() if argv[0] == "qm" and argv[1] != "cloudinit"]
    asked = ((request["method"], request["path"]) for request in bench.node.requests())
    return [path.rpartition("/")[2] for method, path in asked if method != "GET" and "/qemu" in path]


def test_what_vms_have_in_common_their_template_has_so_that_a_clone_is_all_it_takes(
    bench: Bench, mirror: Mirror
) -> None:
    declared = {**vm(debian(mirror), size="2G"), **COMMON, "golden": True}
    bench.good("vm_create", **declared)
    bench.node.forget()
    second = bench.good("vm_create", **{**declared, "name": "web2", "description": "The second"})
    assert (steps(second), changes(bench)) == (["clone"], ["clone"])
    ((template, two),) = templates(bench).items()
    one = config(bench, second.vmid)
    state = State(bench.node.root)
    described = [state.guest("qemu", vmid).options.get("description") for vmid in (second.vmid, template)]
    assert (described, "tags" in two) == (["The second\n", None], False)
    assert {key: one[key] for key in ("memory", "agent", "ciuser", "ipconfig0")} == {
        key: two[key] for key in ("memory", "agent", "ciuser", "ipconfig0")
    }
    assert one["net0"] != two["net0"], "it has a MAC address of its own"
    assert not bench.good("vm_create", **{**declared, "name": "web2", "description": "The second"}).changed


@pytest.mark.parametrize("killed", [False, True])
def test_what_its_template_has_besides_is_not_the_clones(bench: Bench, mirror: Mirror, killed: bool) -> None:
    """Also where the run is killed between the two commands."""

    def kill(self: Set, run: t.Any) -> t.NoReturn:
        raise Killed

    bench.good("vm_create", **{**vm(debian(mirror), size="2G"), **COMMON, "golden": True})
    bare = {**vm(debian(mirror), "bare", size="2G"), "golden": True}
    if killed:
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            patch.setattr(Set, "run", kill)
            bench.run("vm_create", **bare)
    made = bench.good("vm_create", **bare)
    alone = bench.good("vm_create", **{**bare, "name": "alone", "golden": False})
    has, wanted = config(bench, made.vmid), config(bench, alone.vmid)
    own = {"name", "scsi0", "smbios1", "vmgenid", "meta", "boot"}
    assert {key: text for key, text in has.items() if key not in own} == {
        key: text for key, text in wanted.items() if key not in own
    }
    assert not bench.good("vm_create", **bare).changed


def test_vms_of_one_run_that_differ_are_each_as_declared(bench: Bench, mirror: Mirror) -> None:
    guests = [
        {"type": "vm", "golden": True, **vm(debian(mirror), "first", size="2G"), **COMMON},
        {"type": "vm", "golden": True, **vm(debian(mirror), "second", size="2G"), "cores": 2, "memory": 512},
    ]
    made = bench.good("guests", guests=guests)
    first, second = (config(bench, guest["vmid"]) for guest in made.guests)
    assert (first["memory"], first["ciuser"], "cores" in first) == ("1024", "admin", False)
    assert (second["cores"], second.get("memory", "512")) == ("2", "512")
    assert not {"ciuser", "ide2", "net0", "agent", "description"} & second.keys()
    assert len(templates(bench)) == 1
    assert not bench.good("guests", guests=guests).changed


def test_a_template_that_is_there_is_used_again(bench: Bench, mirror: Mirror) -> None:
    declared = vm(debian(mirror), size="1G")
    made = bench.good("vm_create", golden=True, **declared)
    assert steps(made)[:3] == ["fetch_image", "make_golden", "clone"]
    for path in (bench.node.root / "var/lib/vz/import").glob("*debian*"):
        path.unlink()
    again = bench.good("vm_create", golden=True, **{**declared, "name": "web2"})
    assert steps(again)[0] == "clone"
    assert len(templates(bench)) == 1


def test_a_newer_image_makes_a_newer_template_and_the_old_one_goes_with_its_last_clone(
    bench: Bench, mirror: Mirror, storages: None, tmp_path: Path
) -> None:
    def make(name: str) -> Answer:
        image = {**debian(mirror), "name": "debian-11"}
        return bench.good("vm_create", golden=True, **vm(image, name, storage="files"))

    first = make("web1")
    (old,) = templates(bench)
    mirror.release("debian", f"11-20990101-{bench.backend == 'api':d}")
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    for kept in (bench.node.root / "var/cache/pve-provision").glob("*.*"):
        kept.unlink()
    second = make("web2")
    assert len(templates(bench)) == 2
    assert "remove_golden" not in steps(second)
    bench.good("vm_create", state="absent", vmid=first.vmid)
    third = make("web3")
    assert "remove_golden" in steps(third)
    assert old not in templates(bench)


def test_a_template_that_a_user_has_made_of_a_copy_stays(
    bench: Bench, mirror: Mirror, storages: None, tmp_path: Path
) -> None:
    image = {**debian(mirror), "name": "debian-11"}
    bench.good("vm_create", golden=True, **vm(image, "web1", storage="files"))
    (ours,) = templates(bench)
    for argv in (["clone", str(ours), "777", "--full", "1", "--name", "my-own"], ["template", "777"]):
        assert commands.run(["qm", *argv], bench.node.root, b"")[0] == 0
    mirror.release("debian", f"11-20990102-{bench.backend == 'api':d}")
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    for kept in (bench.node.root / "var/cache/pve-provision").glob("*.*"):
        kept.unlink()
    assert "remove_golden" not in steps(bench.good("vm_create", golden=True, **vm(image, "web2", storage="files")))
    assert 777 in templates(bench)


def test_a_vm_that_has_the_name_of_a_template_is_left_alone(bench: Bench, mirror: Mirror) -> None:
    declared = {"golden": True, **vm(debian(mirror))}
    made = bench.good("vm_create", **declared)
    ((template, has),) = templates(bench).items()
    for vmid in (made.vmid, template):
        bench.good("vm_create", state="absent", vmid=vmid)
    bench.good("vm_create", vmid=777, name=has["name"])
    before = config(bench, 777)
    refused = bench.bad("vm_create", **declared)
    assert f"VM 777 has the name {has['name']} and is not a golden template" in refused.msg
    assert config(bench, 777) == before


def test_a_storage_that_cannot_clone_so_is_reported_only_where_it_was_asked_for(
    bench: Bench, mirror: Mirror, storages: None
) -> None:
    refused = bench.bad("vm_create", check=True, golden=True, **vm(debian(mirror), storage="thick"))
    assert "golden: True needs a storage that makes linked clones, and thick is of type lvm" in refused.msg
    told = bench.good("guests", check=True, guests=fleet(mirror, 3, "thick"))
    assert not any("golden" in line for line in told.plan)


def test_what_a_killed_run_has_left_of_a_template_is_gone_with_the_next(bench: Bench, mirror: Mirror) -> None:
    """A whole VM that is no template yet."""

    def kill(self: MakeTemplate, run: t.Any) -> t.NoReturn:
        raise Killed

    declared = {"golden": True, **vm(debian(mirror))}
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(MakeTemplate, "run", kill)
        bench.run("vm_create", **declared)
    assert templates(bench) == {}
    bench.good("vm_create", **declared)
    assert len(templates(bench)) == 1
    assert len(list((bench.node.root / "etc/pve/qemu-server").glob("*.conf"))) == 2


def test_what_a_killed_import_has_left_of_a_template_is_gone_with_the_next(bench: Bench, mirror: Mirror) -> None:
    if bench.backend == "api":
        pytest.skip("PVE's task goes on and ends without us")
    declared = {"golden": True, **vm(debian(mirror))}
    bench.node.fault("slow", at="alloc", seconds=3)
    process = spawn({**bench.connection, **declared}, "vm_create")
    deadline = time.monotonic() + 120
    while not list((bench.node.root / "etc/pve/qemu-server").glob("*.conf")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    bench.node.clear_faults()
    made = bench.good("vm_create", **declared)
    assert len(templates(bench)) == 1
    assert len(list((bench.node.root / "etc/pve/qemu-server").glob("*.conf"))) == 2
    assert len(bench.volumes("local-lvm", made.vmid)) == 1


# -- what has to do instead ------------------------------------------------------------------------------------------


def indexes(bench: Bench) -> list[Path]:
    """The indexes of sources that were kept."""
    home = bench.node.root / "var/cache" if bench.backend == "cli" else Path(os.environ["XDG_CACHE_HOME"])
    return [path for path in (home / "pve-provision").glob("*") if path.is_file()]


def test_while_its_index_is_down_what_it_said_before_has_to_do(
    bench: Bench, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest_image, "Indexes", functools.partial(Indexes, max_age=0))
    bench.good("vm_create", **vm(debian(mirror)))
    mirror.fault("status", "*", code=503)
    planned = bench.good("vm_create", check=True, **vm(debian(mirror), name="two"))
    made = bench.good("vm_create", **vm(debian(mirror), name="two"))
    assert steps(made) == ["create"]
    assert all("503" in told["because"] for told in made.degraded)
    assert {told["instead"] for told in made.degraded} == {"what it said 0.0 h ago"}
    assert any("what it said 0.0 h ago is used" in str(warning) for warning in made.warnings)
    assert planned.degraded == made.degraded


def test_without_any_index_an_image_that_was_verified_has_to_do(bench: Bench, mirror: Mirror) -> None:
    bench.good("vm_create", **vm(debian(mirror)))
    for path in indexes(bench):
        path.unlink()
    mirror.fault("status", "*", code=503)
    if bench.backend == "api":
        refused = bench.bad("vm_create", **vm(debian(mirror), name="two"))
        assert "503" in refused.msg  # from here nobody can read the image, so nothing shows that it is whole
        return
    made = bench.good("vm_create", **vm(debian(mirror), name="two"))
    (told,) = made.degraded
    assert (told["what"], told["instead"]) == ("the newest image of its source", f"{DEBIAN}, verified before")
    run = bench.good("guests", guests=[{**vm(debian(mirror), name="three"), "type": "vm"}])
    assert run.guests[0]["degraded"] == made.degraded
    assert run.degraded == [{"name": "three", **told}]


def test_a_server_is_asked_as_often_as_is_said(bench: Bench, mirror: Mirror) -> None:
    if bench.backend == "api":
        pytest.skip("over the API PVE fetches")
    mirror.fault("status", SENT, code=503)
    refused = bench.bad("vm_create", **vm(debian(mirror)), retries=0)
    assert "(1x)" in refused.msg
    refused = bench.bad("vm_create", **vm(debian(mirror)), retries=1)
    assert "(2x)" in refused.msg
