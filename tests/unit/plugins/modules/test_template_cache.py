# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What template_cache does on a node and over the API, and that what it brings can be used."""

from __future__ import annotations

import typing as t

import pytest

from embedded_node.mirror import Mirror

if t.TYPE_CHECKING:
    from .conftest import Bench

Params = dict[str, t.Any]
ROOTFS = "/openwrt/releases/*-rootfs.tar.gz"


@pytest.fixture(scope="module")
def running() -> t.Iterator[Mirror]:
    with Mirror(sites=("openwrt", "opnsense", "pveam")) as mirror:
        yield mirror


@pytest.fixture
def mirror(running: Mirror) -> t.Iterator[Mirror]:
    running.forget()
    yield running
    running.clear_faults()


def images(bench: Bench) -> set[t.Any]:
    """Every file for templates, ISO images and imports on the node, records included."""
    folders = [
        *bench.node.root.rglob("template/cache"),
        *bench.node.root.rglob("template/iso"),
        *bench.node.root.rglob("import"),
    ]
    return {path for folder in folders for path in folder.iterdir() if path.is_file()}


def openwrt(mirror: Mirror, **more: t.Any) -> Params:
    return {
        "source": "openwrt",
        "version": "24.10.4",
        "content": "vztmpl",
        "storages": ["local"],
        "mirrors": [mirror.base("openwrt")],
        "keys": [{"public": mirror.signer.usign_public}],
        **more,
    }


def test_an_image_is_brought_once_and_can_be_used(bench: Bench, mirror: Mirror) -> None:
    told = bench.good("template_cache", check=True, **openwrt(mirror))
    made = bench.good("template_cache", **openwrt(mirror))
    assert made.changed
    assert (told.plan, told.volids, told.version) == (made.plan, made.volids, made.version)
    assert made.diff["after"] == told.diff["after"]
    assert made.volids == ["local:vztmpl/openwrt-24.10.4-x86-64-rootfs.tar.gz"]
    assert mirror.count(ROOTFS) == 1
    mirror.forget()
    again = bench.good("template_cache", **openwrt(mirror))
    assert (again.changed, again.plan) == (False, [])
    assert mirror.count(ROOTFS) == 0
    info = bench.good("node_info", gather=["templates"])
    assert made.volids[0] in info.templates


def test_a_second_run_on_the_node_starts_one_command_and_one_request(bench: Bench, mirror: Mirror) -> None:
    bench.good("template_cache", **openwrt(mirror))
    bench.node.forget()
    mirror.forget()
    bench.good("template_cache", **openwrt(mirror))
    assert mirror.requests == []
    if bench.backend == "cli":
        assert bench.node.commands() == [["pvesm", "status"]]


def test_the_signature_is_demanded(bench: Bench, mirror: Mirror) -> None:
    before = images(bench)
    failed = bench.bad("template_cache", **openwrt(mirror, keys=[]))
    assert failed.error == "verification"
    assert mirror.signer.usign_key_id in failed.msg
    assert images(bench) == before


def test_what_is_compressed_is_unpacked_and_the_room_is_reported(bench: Bench, mirror: Mirror) -> None:
    if bench.backend == "api":
        pytest.skip("uploads are specified beside the workflow, against a node that takes them")
    declared = {"source": "opnsense", "content": "iso", "storages": ["local"], "mirrors": [mirror.base("opnsense")]}
    made = bench.good("template_cache", **declared)
    assert made.volids == ["local:iso/OPNsense-25.7-dvd-amd64.iso"]
    assert made.capacity["local"]["before"]["total"] > 0
    assert made.capacity["local"]["after"]["available"] > 0
    (path,) = [path for path in images(bench) if path.name == "OPNsense-25.7-dvd-amd64.iso"]
    assert path.read_bytes()[32769:32774] == b"CD001"
    assert not bench.good("template_cache", **declared).changed


def test_gpg_signed_sources_are_verified_with_a_key_of_the_users(bench: Bench, mirror: Mirror) -> None:
    declared = {
        "source": "pveam",
        "version": "debian-12-standard",
        "content": "vztmpl",
        "storages": ["local"],
        "mirrors": [mirror.base("pveam")],
        "keys": [{"public": mirror.signer.gpg_key.read_text(), "fingerprint": mirror.signer.gpg_fingerprint}],
        "verify": "required",
    }
    wrong = {**declared, "keys": [{**declared["keys"][0], "fingerprint": "0" * 40}]}
    assert bench.bad("template_cache", **wrong).error == "verification"
    made = bench.good("template_cache", **declared)
    if bench.backend == "cli":
        assert made.images[0]["signed_by"] == mirror.signer.gpg_fingerprint
    made = bench.good(
        "lxc_create", vmid=140, hostname="fresh", ostemplate=made.volids[0], rootfs={"storage": "local-lvm"}
    )
    assert made.changed


def test_what_stands_against_it_is_reported_at_once(bench: Bench, mirror: Mirror) -> None:
    failed = bench.bad("template_cache", **openwrt(mirror, storages=["local-lvm", "nowhere"]))
    assert [finding["value"] for finding in failed.findings] == ["local-lvm", "nowhere"]
    assert mirror.requests == []


def test_absent_removes_it(bench: Bench, mirror: Mirror) -> None:
    bench.good("template_cache", **openwrt(mirror))
    gone = bench.good("template_cache", **openwrt(mirror, state="absent"))
    assert gone.changed
    assert gone.freed > 0
    assert not [path for path in images(bench) if "openwrt-24.10.4-x86-64-rootfs" in path.name]
    assert not bench.good("template_cache", **openwrt(mirror, state="absent")).changed
