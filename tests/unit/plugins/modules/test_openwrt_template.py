# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What openwrt_template does on a node and over the API, and that containers come out of what it makes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
import typing as t
from pathlib import Path

import pytest
import yaml
from mirrors import own_mirror

from ansible_collections.pve.provision.plugins.module_utils._images import cache
from ansible_collections.pve.provision.plugins.modules import openwrt_template
from embedded_node.mirror import Mirror

from .conftest import Bench, steps

Params = dict[str, t.Any]
IMAGES = "/openwrt/*.gz"
NAME = "openwrt-24.10.4-lxc_amd64.tar.gz"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq0ZNp8vXn5ZLQpTRLxLz0H9a4cJ4y1vK3m2dQwErTy admins"


@pytest.fixture
def mirror(bench: Bench, mirror: Mirror, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Mirror]:
    """A mirror of its own, that a test may change; ``nas`` is one more file storage."""
    config = bench.node.root / "etc/pve/storage.cfg"
    text = config.read_text(encoding="utf-8")
    nas = tmp_path_factory.mktemp("nas")
    config.write_text(f"{text}\ndir: nas\n\tpath {nas}\n\tcontent vztmpl\n\n", encoding="utf-8")
    with own_mirror(mirror, tmp_path_factory.mktemp("own") / "mirror") as running:
        yield running


def templates(bench: Bench) -> set[Path]:
    """Every file among the node's own templates, records included."""
    return {path for path in (bench.node.root / "var/lib/vz/template/cache").iterdir() if path.is_file()}


def declared(mirror: Mirror, **more: t.Any) -> Params:
    return {"mirrors": [mirror.base("openwrt")], "keys": [mirror.signer.usign_public], "storages": ["local"], **more}


def lying(bench: Bench, name: str = NAME) -> Path:
    return bench.node.root / "var/lib/vz/template/cache" / name


# -- making it ---------------------------------------------------------------------------------------------------------
def test_the_newest_24_becomes_a_template_by_one_download_and_a_second_run_does_nothing(
    bench: Bench, mirror: Mirror
) -> None:
    told = bench.good("openwrt_template", check=True, **declared(mirror))
    assert (told.changed, mirror.count(IMAGES)) == (True, 0)
    assert not lying(bench).exists()
    made = bench.good("openwrt_template", **declared(mirror))
    assert (made.plan, made.volids, made.diff) == (told.plan, told.volids, told.diff)
    assert steps(made) == ["download", "build", "copy" if bench.backend == "cli" else "upload"]
    assert made.volids == [f"local:vztmpl/{NAME}"]
    assert (made.version, made.available_version) == ("24.10.4", "24.10.4")
    assert made.signed_by == mirror.signer.usign_key_id
    assert made.digest == hashlib.sha256(lying(bench).read_bytes()).hexdigest()
    assert made.size == lying(bench).stat().st_size
    assert made.transferred == mirror.bytes_sent(IMAGES) > 0
    mirror.forget()
    bench.node.forget()
    again = bench.good("openwrt_template", **declared(mirror))
    assert (again.changed, again.plan, again.transferred) == (False, [], 0)
    assert again.diff["before"] == again.diff["after"]
    assert mirror.requests == []
    if bench.backend == "cli":
        assert bench.node.commands() == [["pvesm", "status"]]


def test_an_index_that_is_asked_again_costs_no_body(bench: Bench, mirror: Mirror) -> None:
    bench.good("openwrt_template", **declared(mirror, index_max_age=0))
    mirror.forget()
    assert not bench.good("openwrt_template", **declared(mirror, index_max_age=0)).changed
    assert mirror.count() > 0
    assert mirror.bytes_sent() == 0


def test_a_container_comes_out_of_it(bench: Bench, mirror: Mirror) -> None:
    made = bench.good("openwrt_template", **declared(mirror))
    router = {
        "ostemplate": made.volids[0],
        "ostype": "unmanaged",
        "unprivileged": False,
        "rootfs": {"storage": "local-lvm", "size": "1G"},
    }
    assert bench.good("lxc_create", vmid=150, hostname="router", **router).changed
    assert bench.config(150)["ostype"] == "unmanaged"


@pytest.mark.parametrize(
    ("version", "arch", "name"),
    [
        ("24", "x86/64", "openwrt-24.10.4-lxc_amd64.tar.gz"),
        ("24.10", "armsr/armv8", "openwrt-24.10.4-lxc_arm64.tar.gz"),
        ("24.10.3", "arm64", "openwrt-24.10.3-lxc_arm64.tar.gz"),
        ("24.10.0-rc1", "amd64", "openwrt-24.10.0-rc1-lxc_amd64.tar.gz"),
        ("23.05", "amd64", "openwrt-23.05.6-lxc_amd64.tar.gz"),
        ("latest", "amd64", "openwrt-25.12.5-lxc_amd64.tar.gz"),
    ],
)
def test_the_version_is_the_newest_of_what_was_asked_for(
    bench: Bench, mirror: Mirror, version: str, arch: str, name: str
) -> None:
    made = bench.good("openwrt_template", **declared(mirror, version=version, arch=arch))
    assert made.volids == [f"local:vztmpl/{name}"]
    assert f"DISTRIB_RELEASE='{made.version}'".encode() in read(lying(bench, name), "./etc/openwrt_release")


def test_a_snapshot_goes_by_its_revision_and_may_not_be_too_old(bench: Bench, mirror: Mirror) -> None:
    made = bench.good("openwrt_template", **declared(mirror, version="snapshot", snapshot_max_age=7))
    assert made.version.startswith("snapshot-r")
    assert made.volids == [f"local:vztmpl/openwrt-{made.version}-lxc_amd64.tar.gz"]
    path = "openwrt/snapshots/targets/x86/64/profiles.json"
    mirror.put(path, json.dumps({**json.loads(mirror.read(path)), "source_date_epoch": 1_600_000_000}).encode())
    shutil.rmtree(bench.node.root / "var/cache/pve-provision", ignore_errors=True)
    old = bench.bad("openwrt_template", **declared(mirror, version="snapshot", snapshot_max_age=7, index_max_age=0))
    assert "days ago" in old.msg


def test_a_new_release_is_noticed_and_the_old_template_stays(bench: Bench, mirror: Mirror) -> None:
    bench.good("openwrt_template", **declared(mirror, index_max_age=0))
    mirror.release("openwrt", "24.10.10")
    newer = bench.good("openwrt_template", **declared(mirror, index_max_age=0))
    assert (newer.changed, newer.version) == (True, "24.10.10")
    assert lying(bench).exists()
    mirror.forget()
    pinned = bench.good("openwrt_template", **declared(mirror, index_max_age=0, version="24.10.4"))
    assert (pinned.changed, pinned.volids) == (False, [f"local:vztmpl/{NAME}"])
    assert mirror.requests == []


def test_two_storages_cost_one_download(bench: Bench, mirror: Mirror) -> None:
    made = bench.good("openwrt_template", **declared(mirror, storages=[]))
    assert sorted(made.volids) == [f"local:vztmpl/{NAME}", f"nas:vztmpl/{NAME}"]
    assert mirror.count(IMAGES) == 1
    assert not bench.good("openwrt_template", **declared(mirror, storages=["nas", "local"])).changed


def test_a_storage_that_comes_later_gets_it_without_a_byte_from_the_network(bench: Bench, mirror: Mirror) -> None:
    bench.good("openwrt_template", **declared(mirror))
    mirror.forget()
    made = bench.good("openwrt_template", **declared(mirror, storages=["local", "nas"]))
    assert steps(made) == (["copy"] if bench.backend == "cli" else ["upload"])
    assert made.diff["before"] == {"vztmpl": [f"local:vztmpl/{NAME}"]}
    assert mirror.requests == []


# -- what it does not trust --------------------------------------------------------------------------------------------
def test_without_its_key_a_signature_does_not_count(bench: Bench, mirror: Mirror) -> None:
    failed = bench.bad("openwrt_template", **declared(mirror, keys=[], offline_ok=True))
    assert failed.error == "verification"
    assert mirror.signer.usign_key_id in failed.msg
    assert not lying(bench).exists()
    assert mirror.count(IMAGES) == 0
    unsigned = bench.good("openwrt_template", **declared(mirror, keys=[], verify="checksum"))
    assert "signed_by" not in unsigned.values
    signed = bench.good("openwrt_template", **declared(mirror))  # what is there was never verified so far
    assert signed.signed_by == mirror.signer.usign_key_id
    assert signed.digest == unsigned.digest
    mirror.forget()
    assert not bench.good("openwrt_template", **declared(mirror)).changed
    assert mirror.requests == []


def test_a_wrong_archive_leaves_nothing(bench: Bench, mirror: Mirror) -> None:
    mirror.fault("flip", IMAGES, after=100)
    assert bench.bad("openwrt_template", **declared(mirror)).error == "verification"
    assert not [path for path in templates(bench) if "openwrt" in path.name]


def test_an_archive_of_another_release_is_refused(bench: Bench, mirror: Mirror) -> None:
    """Rightly signed, but not what its name says."""
    folder = "openwrt/releases/24.10.4/targets/x86/64"
    other = mirror.read("openwrt/releases/24.10.3/targets/x86/64/openwrt-24.10.3-x86-64-rootfs.tar.gz")
    mirror.put(f"{folder}/openwrt-24.10.4-x86-64-rootfs.tar.gz", other)
    listing = f"{hashlib.sha256(other).hexdigest()} *openwrt-24.10.4-x86-64-rootfs.tar.gz\n".encode()
    mirror.put(f"{folder}/sha256sums", listing)
    mirror.put(f"{folder}/sha256sums.sig", mirror.signer.usign(listing))
    failed = bench.bad("openwrt_template", **declared(mirror))
    assert "holds OpenWrt 24.10.3" in failed.msg
    assert not lying(bench).exists()


def test_a_foreign_file_is_neither_used_nor_overwritten_without_force(bench: Bench, mirror: Mirror) -> None:
    lying(bench).write_bytes(b"somebody's own")
    failed = bench.bad("openwrt_template", **declared(mirror))
    assert failed.error == "verification"
    assert "neither used nor overwritten" in failed.msg
    assert lying(bench).read_bytes() == b"somebody's own"
    forced = bench.good("openwrt_template", **declared(mirror, force=True))
    assert forced.changed
    assert hashlib.sha256(lying(bench).read_bytes()).hexdigest() == forced.digest
    assert not bench.good("openwrt_template", **declared(mirror)).changed


def test_what_a_killed_run_left_without_its_record_is_adopted(bench: Bench, mirror: Mirror) -> None:
    if bench.backend == "api":
        pytest.skip("over the API there are no records on a storage")
    made = bench.good("openwrt_template", **declared(mirror))
    record = lying(bench, f".{NAME}.pve-provision.json")
    record.unlink()
    again = bench.good("openwrt_template", **declared(mirror))
    assert (again.changed, again.digest) == (False, made.digest)
    assert record.exists()


def test_a_template_that_was_tampered_with_is_neither_used_nor_overwritten_without_force(
    bench: Bench, mirror: Mirror
) -> None:
    made = bench.good("openwrt_template", **declared(mirror))
    bad = lying(bench).read_bytes()[:-8] + (b"" if bench.backend == "api" else b"tampered")
    lying(bench).write_bytes(bad)
    for check in (True, False):
        failed = bench.bad("openwrt_template", check=check, **declared(mirror))
        assert (failed.error, lying(bench).read_bytes()) == ("verification", bad)
    mended = bench.good("openwrt_template", **declared(mirror, force=True))
    assert (mended.changed, mended.digest) == (True, made.digest)
    assert hashlib.sha256(lying(bench).read_bytes()).hexdigest() == made.digest


def test_what_keeps_its_size_and_time_is_found_when_asked_for(bench: Bench, mirror: Mirror) -> None:
    if bench.backend == "api":
        pytest.skip("over the API nobody can read what lies on a storage")
    bench.good("openwrt_template", **declared(mirror))
    stat, good = lying(bench).stat(), lying(bench).read_bytes()
    lying(bench).write_bytes(good[:-1] + b"!")
    os.utime(lying(bench), ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert not bench.good("openwrt_template", **declared(mirror)).changed
    assert bench.bad("openwrt_template", **declared(mirror, reverify=True)).error == "verification"
    assert bench.good("openwrt_template", **declared(mirror, reverify=True, force=True)).changed
    assert lying(bench).read_bytes() == good


# -- when the source is down -------------------------------------------------------------------------------------------
def test_offline_the_newest_verified_template_will_do_when_that_was_allowed(bench: Bench, mirror: Mirror) -> None:
    for version in ("24.10.3", "24.10.4", "23.05.6"):
        bench.good("openwrt_template", **declared(mirror, version=version))
    shutil.rmtree(bench.node.root / "var/cache/pve-provision/openwrt", ignore_errors=True)
    forget_indexes(bench)
    mirror.fault("status", code=503)
    assert bench.bad("openwrt_template", **declared(mirror)).error == "image"
    for check in (True, False):
        used = bench.good("openwrt_template", check=check, **declared(mirror, offline_ok=True))
        assert (used.changed, used.version) == (False, "24.10.4")
        assert NAME in " ".join(map(str, used.warnings))
    exact = bench.good("openwrt_template", **declared(mirror, version="24.10.3"))
    assert (exact.changed, exact.version) == (False, "24.10.3")
    assert bench.bad("openwrt_template", **declared(mirror, version="22", offline_ok=True)).error == "image"


def forget_indexes(bench: Bench) -> None:
    for base in (bench.node.root / "var/cache/pve-provision", Path(os.environ["XDG_CACHE_HOME"]) / "pve-provision"):
        for path in base.glob("*") if base.is_dir() else ():
            if path.is_file():
                path.unlink()


# -- defaults ----------------------------------------------------------------------------------------------------------
def read(template: Path, member: str) -> bytes:
    with tarfile.open(template) as tar:
        stream = tar.extractfile(member)
        assert stream is not None
        return stream.read()


def test_defaults_are_in_the_template_and_in_its_name(bench: Bench, mirror: Mirror) -> None:
    defaults = {
        "hostname": "branch",
        "ssh_keys": [KEY],
        "password_hash": "$6$salt$hash",
        "uci": {"dhcp": {"lan": {"ignore": True, "dns": ["1.1.1.1", "9.9.9.9"]}}},
        "files": [{"path": "/etc/banner", "content": "hands off\n", "mode": "0600"}],
        "scripts": {"95-mine": "true\n"},
    }
    plain = bench.good("openwrt_template", **declared(mirror))
    mirror.forget()
    if bench.backend == "api":
        for check in (True, False):
            refused = bench.bad("openwrt_template", check=check, **declared(mirror, defaults=defaults))
            assert "can be read by every user of the node" in refused.msg
        del defaults["password_hash"], defaults["files"]
    made = bench.good("openwrt_template", **declared(mirror, defaults=defaults))
    assert mirror.requests == []
    assert steps(made) == ["build", "copy" if bench.backend == "cli" else "upload"]
    name = made.volids[0].partition("/")[2]
    assert len(name) == len(NAME) + 9
    assert made.digest != plain.digest
    template = lying(bench, name)
    if bench.backend == "cli":
        assert read(template, "./etc/banner") == b"hands off\n"
        assert read(template, "./etc/shadow").startswith(b"root:$6$salt$hash:")
        assert {path.stat().st_mode & 0o777 for path in (template, cache.record_path(template))} == {0o600}
    assert read(template, "./etc/dropbear/authorized_keys").decode() == f"{KEY}\n"
    assert read(template, "./etc/uci-defaults/95-mine") == b"true\n"
    script = read(template, "./etc/uci-defaults/90-pve-provision").decode()
    assert "set system.@system[0].hostname='branch'\n" in script
    assert "set dhcp.lan.ignore='1'\ndelete dhcp.lan.dns\nadd_list dhcp.lan.dns='1.1.1.1'\n" in script
    assert not bench.good("openwrt_template", **declared(mirror, defaults=defaults)).changed
    other = bench.good("openwrt_template", check=True, **declared(mirror, defaults={**defaults, "hostname": "other"}))
    assert other.volids != made.volids
    assert "$6$" not in str(made.values)


def test_everything_wrong_with_defaults_is_reported_at_once_and_no_secret_with_it(bench: Bench, mirror: Mirror) -> None:
    defaults = {
        "hostname": "no_name",
        "ssh_keys": ["a key"],
        "password_hash": "hunter2",
        "uci": {"network": {"lan": {"key": "psk\nline"}, "@bad": {}}, "dhcp": "x"},
        "files": [{"path": "/x", "content": "", "mode": "rwx"}],
        "scripts": {"../x": "true"},
    }
    failed = bench.bad("openwrt_template", **declared(mirror, defaults=defaults))
    assert [finding["option"] for finding in failed.findings] == [
        "defaults.hostname",
        "defaults.password_hash",
        "defaults.ssh_keys",
        "defaults.uci.network.lan.key",
        "defaults.uci.network.@bad",
        "defaults.uci",
        "defaults.scripts",
        "defaults.files",
    ]
    assert "hunter2" not in str(failed.values)
    assert "psk" not in str(failed.findings)
    assert mirror.requests == []


# -- the documentation -------------------------------------------------------------------------------------------------
def examples() -> list[Params]:
    """The documented tasks of this module, one for each item of a loop."""
    tasks = []
    for task in yaml.safe_load(openwrt_template.EXAMPLES):
        params = task.get("pve.provision.openwrt_template", {})
        if "ansible.builtin.debug" not in task:
            items = task.get("loop", [None])
            tasks += [{k: item if v == "{{ item }}" else v for k, v in (params or {}).items()} for item in items]
    return tasks


@pytest.mark.parametrize("example", examples(), ids=lambda example: "-".join(example) or "plain")
def test_each_example_runs_and_changes_nothing_the_second_time(bench: Bench, mirror: Mirror, example: Params) -> None:
    if ("api_host" in example) != (bench.backend == "api") and "api_host" in example:
        pytest.skip("an example for the API")
    own = {name: value for name, value in example.items() if not name.startswith("api_") and name != "node"}
    params = {**own, "mirrors": [mirror.base("openwrt")], "keys": [mirror.signer.usign_public]}
    assert bench.good("openwrt_template", **params).changed
    assert not bench.good("openwrt_template", **params).changed
