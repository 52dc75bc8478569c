# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cleanup removes: what is ours and unused, and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import re
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._guests.vm.golden_name import Origin
from ansible_collections.pve.provision.plugins.module_utils._images import cache, placing
from embedded_node import commands

if t.TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Bench

ORIGIN = Origin("debian-13", "local:import/debian-13.qcow2", "0" * 64, "pve1", "local-lvm", "scsi0")


@pytest.fixture
def images(bench: Bench) -> Path:
    """A folder with an image of ours, one of ours that was changed since, and one of somebody's."""
    folder = bench.node.root / "var/lib/vz/template/iso"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("ours.iso", "changed.iso", "theirs.iso"):
        path = folder / name
        path.write_bytes(name.encode())
        if name != "theirs.iso":
            digest = cache.hash_file(path)["sha256"]
            cache.Record("own", "1", digest, len(name)).write(path)
    (folder / "changed.iso").write_bytes(b"CHANGED.iso")
    return folder


@contextlib.contextmanager
def golden(bench: Bench, vmid: int, name: str, **more: str) -> t.Iterator[int]:
    """A VM that is turned into a template."""
    words = {"--name": name, "--scsi0": "local-lvm:1", **more}
    argv = ["qm", "create", str(vmid), *(word for pair in words.items() for word in pair)]
    assert commands.run(argv, bench.node.root)[0] == 0
    assert commands.run(["qm", "template", str(vmid)], bench.node.root)[0] == 0
    try:
        yield vmid
    finally:
        commands.run(["qm", "destroy", str(vmid)], bench.node.root)


def cleanup(bench: Bench, **options: t.Any) -> t.Any:
    """However young things are."""
    return bench.good("cleanup", **{"min_age": 0, **options})


def is_there(bench: Bench, vmid: int) -> bool:
    return bench.node.state.has_guest("qemu", vmid)


def test_recorded_images_go_once_no_guest_needs_them(bench: Bench, images: Path) -> None:
    told = cleanup(bench, check=True, remove=["files"])
    assert (images / "ours.iso").exists()
    removed = cleanup(bench, remove=["files"])
    left = {path.name for path in images.iterdir() if not path.name.startswith(".")}
    if bench.backend == "api":
        assert left == {"ours.iso", "changed.iso", "theirs.iso"}
        assert "Over the API" in str(removed.warnings)
        return
    assert "local:iso/ours.iso" in told.files and told.files == removed.files
    assert left == {"changed.iso", "theirs.iso"}, "what is not ours stays, and what somebody has changed"
    assert "changed.iso is kept" in str(removed.warnings)
    assert not cleanup(bench, remove=["files"]).changed


def test_an_image_in_a_drive_stays(bench: Bench, images: Path) -> None:
    if bench.backend == "api":
        pytest.skip("over the API no file is removed")
    with golden(bench, 190, "holder", **{"--ide2": "local:iso/ours.iso,media=cdrom"}):
        removed = cleanup(bench, remove=["files"])
    assert "local:iso/ours.iso" not in removed.files and (images / "ours.iso").exists()
    assert "ours.iso is kept, since a guest refers to it" in str(removed.warnings)


def test_golden_templates_go_when_nothing_is_linked_to_them(bench: Bench) -> None:
    with golden(bench, 190, ORIGIN.name), golden(bench, 191, f"my-{ORIGIN.name}"), golden(bench, 192, "own"):
        told = cleanup(bench, check=True, remove=["golden"])
        assert told.golden == [ORIGIN.name] and is_there(bench, 190)
        removed = cleanup(bench, remove=["golden"])
        assert removed.golden == [ORIGIN.name]
        assert [is_there(bench, vmid) for vmid in (190, 191, 192)] == [False, True, True]
        assert not cleanup(bench, remove=["golden"]).changed


def test_what_stands_against_one_template_is_reported_before_another_goes(bench: Bench) -> None:
    other = Origin("ubuntu-24.04", "local:import/ubuntu.qcow2", "1" * 64, "pve1", "local-lvm", "scsi0")
    with golden(bench, 190, ORIGIN.name), golden(bench, 191, other.name, **{"--protection": "1"}):
        for check in (True, False):
            assert "protection" in bench.bad("cleanup", check=check, remove=["golden"], min_age=0).msg
        assert is_there(bench, 190)
        commands.run(["qm", "set", "191", "--protection", "0"], bench.node.root)


def test_what_another_run_is_at_work_with_stays_until_that_ends(bench: Bench) -> None:
    if bench.backend == "api":
        pytest.skip("over the API no file is removed")
    folder = bench.node.root / "var/cache/pve-provision/images-of-a-test"
    target = folder / "pveam/some.tar.zst"
    with placing.exclusive(target, 60):
        busy = cleanup(bench, remove=["cache"])
        assert str(folder) not in busy.cache
        assert f"{folder} is kept, since another run fetches or builds something there." in str(busy.warnings)
        assert folder.is_dir()
    target.write_text("some")
    assert str(folder) in cleanup(bench, remove=["cache"]).cache
    assert not folder.exists()


def test_the_cache_of_downloads_goes(bench: Bench) -> None:
    folder = bench.node.root / "var/cache/pve-provision"
    folder.mkdir(parents=True)
    (folder / "x.json").write_text("{}")
    (folder / "known_hosts").mkdir()
    for vmid in (190, 191):
        (folder / f"known_hosts/node-{vmid}").write_text("192.0.2.1 ssh-ed25519 AAAA\n")
    with golden(bench, 190, "own"):
        assert cleanup(bench, remove=["cache"]).changed is (bench.backend == "cli")
        assert (folder / "known_hosts/node-190").exists()
        left = [(folder / name).exists() for name in ("x.json", "known_hosts/node-191")]
        assert left == [bench.backend == "api"] * 2
        assert not cleanup(bench, remove=["cache"]).changed
    cleanup(bench, remove=["cache"])
    assert folder.exists() is (bench.backend == "api")


# -- what another run may be about to use ------------------------------------------------------------------------------


def test_an_image_that_was_placed_a_moment_ago_stays(bench: Bench, images: Path) -> None:
    if bench.backend == "api":
        pytest.skip("over the API no file is removed")
    told = bench.good("cleanup", remove=["files"])
    assert not told.changed and (images / "ours.iso").exists()
    assert f"{images}/ours.iso is kept, since it is younger than min_age." in str(told.warnings)
    record = cache.record_path(images / "ours.iso")
    before = json.loads(record.read_text())
    record.write_text(json.dumps({**before, "verified": before["verified"] - 3601}))
    assert bench.good("cleanup", remove=["files"]).files == ["local:iso/ours.iso"]


def test_a_golden_template_that_was_made_a_moment_ago_stays(bench: Bench) -> None:
    with golden(bench, 190, ORIGIN.name):
        told = bench.good("cleanup", remove=["golden"])
        assert not told.changed and is_there(bench, 190)
        assert f"{ORIGIN.name} is kept, since it is younger than min_age." in str(told.warnings)
        config = bench.node.state.path("etc/pve/qemu-server/190.conf")
        config.write_text(re.sub(r"ctime=(\d+)", lambda made: f"ctime={int(made[1]) - 3601}", config.read_text()))
        assert bench.good("cleanup", remove=["golden"]).golden == [ORIGIN.name]


def test_a_download_of_a_moment_ago_stays(bench: Bench) -> None:
    if bench.backend == "api":
        pytest.skip("over the API no file is removed")
    folder = bench.node.root / "var/cache/pve-provision/images-of-a-test"
    folder.mkdir(parents=True)
    (folder / "some.qcow2").write_text("some")
    os.utime(folder / "some.qcow2", (0, 0))  # as it was where it comes from
    told = bench.good("cleanup", remove=["cache"])
    assert str(folder) not in told.cache and folder.is_dir()
    assert f"{folder} is kept, since it is younger than min_age." in str(told.warnings)
