# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same inputs give the same template everywhere, from one download; and what other workflows get of it."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

import pytest
from mirrors import own_mirror

from ansible_collections.pve.provision.plugins.module_utils._argspec import CONNECTION
from ansible_collections.pve.provision.plugins.module_utils._errors import (
    ImageError,
    InvalidInput,
    VerificationError,
)
from ansible_collections.pve.provision.plugins.module_utils._images import cache
from ansible_collections.pve.provision.plugins.module_utils._openwrt import disk_image, rootfs
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.read import parse
from ansible_collections.pve.provision.plugins.module_utils._pve.open_node import open_node
from ansible_collections.pve.provision.plugins.module_utils._store import local_image, openwrt_template, place
from ansible_collections.pve.provision.plugins.module_utils._store.openwrt_build import baked, seeded
from ansible_collections.pve.provision.plugins.module_utils._store.openwrt_defaults import declared_defaults
from ansible_collections.pve.provision.plugins.module_utils._store.openwrt_template import (
    Ensured,
    WantedDisk,
    WantedTemplate,
    ensure,
    ensure_image,
    predict,
)
from ansible_collections.pve.provision.plugins.module_utils._store.storages import Store
from ansible_collections.pve.provision.plugins.module_utils._store.wanted import UserKey
from embedded_node import EmbeddedNode
from embedded_node.mirror import Mirror

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

NAME = "openwrt-24.10.4-lxc_amd64.tar.gz"
IMAGES = "/openwrt/*.gz"
TARGET = "openwrt/releases/24.10.4/targets/x86/64"


@pytest.fixture(scope="module")
def embedded() -> t.Iterator[EmbeddedNode]:
    with EmbeddedNode() as node:
        yield node


@pytest.fixture(scope="module")
def site() -> Mirror:
    """What there is when a test begins."""
    return Mirror(sites=("openwrt",))


@pytest.fixture
def mirror(site: Mirror, tmp_path: Path) -> t.Iterator[Mirror]:
    with own_mirror(site, tmp_path / "mirror") as running:
        yield running


@pytest.fixture
def clean(embedded: EmbeddedNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[EmbeddedNode]:
    """A node where nothing of OpenWrt is, neither before nor afterwards."""
    for name, value in {**embedded.env, "XDG_CACHE_HOME": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    yield embedded
    shutil.rmtree(embedded.root / "var/cache/pve-provision", ignore_errors=True)
    for path in (embedded.root / "var/lib/vz/template/cache").iterdir():
        if "openwrt" in path.name:
            path.unlink()


def reached(embedded: EmbeddedNode, way: str) -> Node:
    login = ("api_host", "api_port", "api_user", "api_password", "ca_path") if way == "api" else ()
    connection = {name: option.get("default") for name, option in CONNECTION.options.items()}
    return open_node({**connection, "node": embedded.name, **{key: embedded.api[key] for key in login}})


@pytest.fixture(params=["cli", "api"])
def node(request: pytest.FixtureRequest, clean: EmbeddedNode) -> Node:
    return reached(clean, request.param)


@pytest.fixture
def wanted(mirror: Mirror) -> WantedTemplate:
    return WantedTemplate(
        mirrors=(mirror.base("openwrt"),), keys=(UserKey(mirror.signer.usign_public),), storages=("local",)
    )


def tasks(embedded: EmbeddedNode, kind: str) -> list[Path]:
    return [path for path in (embedded.root / "var/log/pve/tasks").rglob("UPID:*") if f":{kind}:" in path.name]


def disk(wanted: WantedTemplate, **more: t.Any) -> WantedDisk:
    return WantedDisk(mirrors=wanted.mirrors, keys=wanted.keys, **more)


def steps(result: openwrt_template.Prediction) -> list[str]:
    return [step["step"] for step in result.plan]


# -- the same everywhere -----------------------------------------------------------------------------------------------
# Makes the template on a node of its own whose commands are answered here, and tells its digest.
BUILDER = """
import hashlib, json, os, sys, time
from pathlib import Path
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.node import CliNode
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed
from ansible_collections.pve.provision.plugins.module_utils._store.openwrt_defaults import declared_defaults
from ansible_collections.pve.provision.plugins.module_utils._store.openwrt_template import WantedTemplate, ensure
from ansible_collections.pve.provision.plugins.module_utils._store.storages import Store
from ansible_collections.pve.provision.plugins.module_utils._store.wanted import UserKey

root, base, key, shift, umask = sys.argv[1:]
root = Path(root)
now = time.time
time.time = lambda: now() + float(shift)
(root / "etc/pve/nodes/pve1/lxc").mkdir(parents=True)
(root / "etc/pve/nodes/pve1/qemu-server").mkdir()
(root / "etc/pve/local").symlink_to("nodes/pve1")
(root / "etc/pve/storage.cfg").write_text(f"dir: a\\n\\tpath {root}/a\\n\\tcontent vztmpl\\n")
status = "Name Type Status Total Used Available %\\na dir active 1000 100 900 10.00%\\n"
node = CliNode("pve1", root=root, runner=lambda argv, **kw: Completed(0, status, ""))
os.umask(int(umask, 8))
defaults = declared_defaults({
    "hostname": "r1", "password_hash": "$6$salt$hash", "scripts": {"95-x": "true"},
    "files": [{"path": "/etc/x/y", "content": "\\u00e4", "mode": "0640"}, {"path": "/a", "content": ""}],
    "uci": {"system": {"@system[0]": {"zonename": "Europe/Z\\u00fcrich"}}},
})
wanted = WantedTemplate(mirrors=(base,), keys=(UserKey(key),), defaults=defaults)
made = ensure(node, wanted)
path = root / "a/template/cache" / made.name
print(json.dumps([made.name, made.digest, hashlib.sha256(path.read_bytes()).hexdigest(), os.geteuid()]))
"""
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def build(mirror: Mirror, *prefix: str, shift: int = 0, umask: str = "022", **environ: str) -> list[t.Any]:
    """Make the template in another process: its name, its digest, that of the file, and who made it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # pytest's own are closed to other users
        Path(folder).chmod(0o777)
        root = Path(folder) / "root"
        argv = (str(root), mirror.base("openwrt"), mirror.signer.usign_public, str(shift), umask)
        own = {"PVE_ROOT": str(root), "HOME": folder, "XDG_CACHE_HOME": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [*prefix, sys.executable, "-c", BUILDER, *argv],
            env={**os.environ, **own, **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    if prefix and "ModuleNotFoundError" in done.stderr + done.stdout:
        pytest.skip("an ordinary user may not read this checkout")
    assert done.returncode == 0, done.stderr
    answer: list[t.Any] = json.loads(done.stdout)
    return answer


def test_time_place_and_user_leave_no_trace_in_the_template(mirror: Mirror) -> None:
    first = build(mirror)
    assert first[1] == first[2]
    others = [
        build(mirror, shift=400 * 86400, umask="077", TZ="Asia/Kathmandu"),
        build(mirror, LC_ALL="C", LANG="C", PYTHONUTF8="0", PYTHONHASHSEED="7"),
    ]
    assert [other[:3] for other in others] == [first[:3], first[:3]]


def test_root_and_others_make_the_same_template(mirror: Mirror) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else too")
    if shutil.which(NOBODY[0]) is None:
        pytest.skip("no setpriv here")
    as_root, as_nobody = build(mirror), build(mirror, *NOBODY)
    assert (as_root[3], as_nobody[3]) == (0, 65534)
    assert as_root[:3] == as_nobody[:3]


def test_it_is_the_same_on_the_node_and_over_the_api(clean: EmbeddedNode, wanted: WantedTemplate) -> None:
    here = ensure(reached(clean, "cli"), wanted)
    over_api = ensure(reached(clean, "api"), wanted)
    assert (over_api.digest, over_api.changed) == (here.digest, False)  # compared by size, found the same


def test_ten_runs_side_by_side_download_once(node: Node, wanted: WantedTemplate, mirror: Mirror) -> None:
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        made = list(pool.map(lambda _n: ensure(node, wanted), range(10)))
    assert {result.digest for result in made} == {made[0].digest}
    assert mirror.count(IMAGES) == 1
    assert not predict(node, wanted).changed


def test_what_another_run_has_brought_in_the_meantime_is_not_uploaded_again(
    clean: EmbeddedNode, wanted: WantedTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, looked = reached(clean, "api"), place.OverApi.missing

    def overtaken(places: place.OverApi, store: Store, file: place.File) -> bool:
        missing = looked(places, store, file)
        monkeypatch.setattr(place.OverApi, "missing", looked)
        ensure(reached(clean, "api"), wanted)
        return missing

    monkeypatch.setattr(place.OverApi, "missing", overtaken)
    uploads = len(tasks(clean, "imgcopy"))
    ensure(node, wanted)
    assert len(tasks(clean, "imgcopy")) == uploads + 1


# -- what is baked in --------------------------------------------------------------------------------------------------
def test_no_defaults_are_no_defaults() -> None:
    assert declared_defaults({}) is None
    assert declared_defaults({"hostname": "", "ssh_keys": [], "files": None}) is None
    assert baked({}) is None


BASE: t.Final = {"hostname": "r1", "files": [{"path": "/etc/x", "content": "x", "mode": "0644"}]}


@pytest.mark.parametrize(
    "change",
    [
        {"hostname": "r2"},
        {"password_hash": "$6$a$b"},
        {"ssh_keys": ["ssh-ed25519 AAAA me"]},
        {"files": [{"path": "/etc/x", "content": "y", "mode": "0644"}]},
        {"files": [{"path": "/etc/x", "content": "x", "mode": "0600"}]},
        {"files": [{"path": "/etc/y", "content": "x", "mode": "0644"}]},
        {"scripts": {"95-x": "true"}},
        {"uci": {"dhcp": {"lan": {"ignore": True}}}},
    ],
    ids="-".join,
)
def test_each_changed_input_gives_another_name(change: dict[str, t.Any]) -> None:
    names = {WantedTemplate(defaults=declared_defaults(each)).name("24.10.4") for each in (BASE, {**BASE, **change})}
    assert len(names) == 2
    assert NAME not in names


def test_a_secret_of_a_description_counts_for_the_name_and_is_not_in_it() -> None:
    def name(password: str) -> str:
        wan = {"bridge": "vmbr0", "proto": "pppoe", "username": "me", "password": password}
        return WantedTemplate(defaults=seeded(parse({"interfaces": {"wan": wan}}))).name("24.10.4")

    assert name("one") == name("one") != name("two")
    assert "one" not in name("one")


@pytest.mark.parametrize(
    ("uci", "lines"),
    [
        ({"a": {"b": {"c": 1}}}, ["set a.b.c='1'"]),
        ({"a": {"b": {".type": "t", "c": "it's"}}}, ["set a.b='t'", "set a.b.c='it'\\''s'"]),
        ({"a": {"b": None, "@t[0]": {"c": None}}}, ["delete a.b", "delete a.@t[0].c"]),
        ({"a": {"b": {"c": ["x", "y"]}}}, ["delete a.b.c", "add_list a.b.c='x'", "add_list a.b.c='y'"]),
        (
            {"a": {"@t": [{"c": False}, {"c": True}]}},
            ["add a t", "set a.@t[-1].c='0'", "add a t", "set a.@t[-1].c='1'"],
        ),
    ],
)
def test_uci_becomes_a_batch_of_the_first_boot(uci: dict[str, t.Any], lines: list[str]) -> None:
    defaults = declared_defaults({"uci": uci})
    assert defaults is not None
    ((path, (mode, script)),) = defaults.files(lambda _path: None, "24.10.4").items()
    assert (path, mode) == ("etc/uci-defaults/90-pve-provision", 0o600)
    body = script.decode().partition("<<'PVE_PROVISION_END'\n")[2]
    assert body.splitlines() == [*lines, "commit a", "PVE_PROVISION_END", "exit 0"]


def test_a_first_boot_that_was_described_is_in_the_template(node: Node, wanted: WantedTemplate) -> None:
    lan = {"bridge": "vmbr1", "address": "192.168.9.1/24"}
    description = parse({"interfaces": {"lan": lan}, "hostname": "r1"})
    told = dataclasses.replace(wanted, defaults=seeded(description, {"etc/banner": (0o644, b"ours\n")}))
    expected = predict(node, told)
    made = ensure(node, told)
    assert (made.volid, made.plan) == (expected.volid, expected.plan)
    template = Path(os.environ["PVE_ROOT"]) / "var/lib/vz/template/cache" / made.name
    files = rootfs.read_files(template, ["etc/config/network", "etc/banner", "etc/shadow"])
    assert b"option ipaddr '192.168.9.1'" in files["etc/config/network"]
    assert files["etc/banner"] == b"ours\n"
    assert files["etc/shadow"].startswith(b"root:*:")


# -- when the source changes or fails ----------------------------------------------------------------------------------
def test_a_release_that_was_published_again_replaces_ours(node: Node, wanted: WantedTemplate, mirror: Mirror) -> None:
    loose = dataclasses.replace(wanted, index_max_age=0)
    first = ensure(node, loose)
    archive = f"{TARGET}/openwrt-24.10.4-x86-64-rootfs.tar.gz"
    mirror.release("openwrt", "24.10.4")
    files = {"etc/anew": (0o644, b"!")}
    with tempfile.TemporaryDirectory() as folder:
        source, again = Path(folder) / "a", Path(folder) / "b"
        source.write_bytes(mirror.read(archive))
        rootfs.build_template(source, again, files)
        mirror.put(archive, again.read_bytes())
    listing = f"{hashlib.sha256(mirror.read(archive)).hexdigest()} *{Path(archive).name}\n".encode()
    mirror.put(f"{TARGET}/sha256sums", listing)
    mirror.put(f"{TARGET}/sha256sums.sig", mirror.signer.usign(listing))
    assert predict(node, loose).changed is (node.files is not None)  # over the API the size of the new one is not known
    if node.files is None:  # a storage's file is known by its size, and so is in the way
        with pytest.raises(VerificationError, match="neither used nor overwritten"):
            ensure(node, loose)
        loose = dataclasses.replace(loose, force=True)
    second = ensure(node, loose)
    assert second.changed
    assert (second.version, second.digest != first.digest) == (first.version, True)
    assert not ensure(node, dataclasses.replace(loose, force=False)).changed


def test_an_archive_that_cannot_be_fetched_leaves_the_template_that_is_there(
    node: Node, wanted: WantedTemplate, mirror: Mirror
) -> None:
    ensure(node, dataclasses.replace(wanted, version="24.10.3"))
    mirror.fault("status", "*24.10.4*rootfs.tar.gz", code=404)
    with pytest.raises(ImageError):
        ensure(node, wanted)
    used = ensure(node, dataclasses.replace(wanted, offline_ok=True))
    assert (used.version, used.available_version, used.changed) == ("24.10.3", "24.10.4", False)
    assert "openwrt-24.10.3-lxc_amd64.tar.gz" in used.warnings[0]


def test_a_login_page_is_no_index(node: Node, wanted: WantedTemplate, mirror: Mirror) -> None:
    ensure(node, dataclasses.replace(wanted, version="24.10.3"))
    mirror.fault("html", "*")
    with pytest.raises(ImageError, match="not the index"):
        ensure(node, wanted)
    assert ensure(node, dataclasses.replace(wanted, offline_ok=True)).version == "24.10.3"


def test_a_wrong_signature_is_never_taken_for_a_source_that_is_down(
    node: Node, wanted: WantedTemplate, mirror: Mirror
) -> None:
    ensure(node, dataclasses.replace(wanted, version="24.10.3"))
    mirror.put(f"{TARGET}/sha256sums.sig", mirror.read("openwrt/releases/24.10.3/targets/x86/64/sha256sums.sig"))
    with pytest.raises(VerificationError):
        ensure(node, dataclasses.replace(wanted, offline_ok=True))
    assert mirror.count("*24.10.4*rootfs.tar.gz") == 0


def test_a_prediction_writes_nothing_to_a_storage(node: Node, wanted: WantedTemplate) -> None:
    folder = Path(os.environ["PVE_ROOT"]) / "var/lib/vz/template/cache"
    before = sorted(path.name for path in folder.iterdir())
    told = predict(node, wanted)
    assert (told.plan[0]["step"], told.digest, told.version) == ("download", None, "24.10.4")
    assert sorted(path.name for path in folder.iterdir()) == before


def test_an_unknown_architecture_is_reported(node: Node, wanted: WantedTemplate) -> None:
    with pytest.raises(InvalidInput, match=r"armsr/armv8"):
        predict(node, dataclasses.replace(wanted, arch="mips"))


# -- disks -------------------------------------------------------------------------------------------------------------
def test_a_disk_image_comes_once_and_unpacked(
    node: Node, wanted: WantedTemplate, mirror: Mirror, tmp_path: Path
) -> None:
    made = ensure_image(node, disk(wanted, variant="squashfs-combined"))
    assert made.version == "24.10.4"
    assert made.signed_by == mirror.signer.usign_key_id
    assert made.digest == hashlib.sha256(made.path.read_bytes()).hexdigest()
    mirror.forget()
    again = ensure_image(node, disk(wanted, variant="squashfs-combined"))
    assert (again.path, again.digest, again.transferred) == (made.path, made.digest, 0)
    assert mirror.requests == []
    other = ensure_image(node, disk(wanted, variant="ext4-combined"))
    assert other.path != made.path
    copy = tmp_path / "disk.raw"
    disk_image.unpack_image(other.path, copy)
    assert disk_image.inspect_image(copy).boot != "fat"


def test_a_damaged_disk_image_is_fetched_again(node: Node, wanted: WantedTemplate, mirror: Mirror) -> None:
    made = ensure_image(node, disk(wanted))
    made.path.write_bytes(made.path.read_bytes()[:-1] + b"!")
    assert ensure_image(node, disk(wanted)).digest == made.digest
    assert hashlib.sha256(made.path.read_bytes()).hexdigest() == made.digest
    assert mirror.count(IMAGES) == 2


def test_offline_a_disk_image_that_is_there_will_do_when_that_was_allowed(
    node: Node, wanted: WantedTemplate, mirror: Mirror
) -> None:
    made = ensure_image(node, disk(wanted))
    mirror.fault("status", code=404)
    assert ensure_image(node, disk(wanted, version="24.10.4")).path == made.path
    with pytest.raises(ImageError):
        ensure_image(node, disk(wanted, version="25", offline_ok=True))
    gone = disk(wanted, version="24", offline_ok=True)
    for path in made.path.parent.parent.glob("*"):
        if path.is_file():
            path.unlink()
    used = ensure_image(node, gone)
    assert used.path == made.path
    assert "verified before" in used.warnings[0]


def test_the_depot_is_closed_to_others_and_drops_what_nobody_used_for_long(
    node: Node, wanted: WantedTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = ("23.05.5", "23.05.6", "24.10.0", "24.10.3", "24.10.4")
    made: list[Ensured] = [ensure(node, dataclasses.replace(wanted, version=version)) for version in versions]
    base = Path(os.environ["PVE_ROOT"]) / "var/cache" if node.files is not None else Path(os.environ["XDG_CACHE_HOME"])
    store = base / "pve-provision/openwrt"
    assert store.stat().st_mode & 0o777 == 0o700
    assert len([entry for entry in cache.recorded(store) if "rootfs" in entry.path.name]) == len(versions)
    now = time.time() + 30 * 86400
    monkeypatch.setattr(time, "time", lambda: now)
    assert ensure(node, dataclasses.replace(wanted, version="25.12")).changed
    assert len(cache.recorded(store)) == local_image.KEEP
    assert ensure(node, dataclasses.replace(wanted, version="24.10.3")).digest == made[3].digest
