# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One declared image on three storages: one transfer, nothing on a second run, nothing bad under a final name."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import os
import random
import re
import shutil
import tempfile
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    ImageError,
    InvalidInput,
    VerificationError,
)
from ansible_collections.pve.provision.plugins.module_utils._images import cache
from ansible_collections.pve.provision.plugins.module_utils._images.http import Retries
from ansible_collections.pve.provision.plugins.module_utils._images.releases.base import Artefact
from ansible_collections.pve.provision.plugins.module_utils._images.releases.indexes import Indexes
from ansible_collections.pve.provision.plugins.module_utils._io.clock import SYSTEM
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.node import CliNode
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed, Outcome, Storage, Volume
from ansible_collections.pve.provision.plugins.module_utils._store.image import ImageResult, provide
from ansible_collections.pve.provision.plugins.module_utils._store.source import file_name
from ansible_collections.pve.provision.plugins.module_utils._store.wanted import UserKey, WantedImage
from embedded_node.mirror import Mirror, images

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

ROOTFS = "/openwrt/releases/*/targets/x86/64/*-rootfs.tar.gz"
SITES = ("openwrt", "debian", "ubuntu", "fedora", "alma", "alpine", "opnsense", "talos", "pveam", "haos")


@pytest.fixture(scope="module")
def running() -> t.Iterator[Mirror]:
    with Mirror(sites=SITES) as mirror:
        yield mirror


@pytest.fixture
def mirror(running: Mirror) -> t.Iterator[Mirror]:
    running.forget()
    yield running
    running.clear_faults()


class Bench:
    """A node with storages ``a`` and ``b`` on one file system, ``c`` on another, and block storage ``rbd``."""

    def __init__(self, root: Path, elsewhere: Path, mirror: Mirror) -> None:
        self.mirror = mirror
        self.root = root
        self.paths = {"a": root / "srv/a", "b": root / "srv/b", "c": elsewhere}
        etc = root / "etc/pve"
        (etc / "nodes/pve1/lxc").mkdir(parents=True)
        (etc / "nodes/pve1/qemu-server").mkdir()
        (etc / "local").symlink_to("nodes/pve1")
        content = "\n\tcontent vztmpl,iso,import\n"
        entries = [f"dir: {name}\n\tpath {path}{content}" for name, path in self.paths.items()]
        entries.append("rbd: ceph\n\tpool rbd\n\tcontent images\n")
        entries.append(f"dir: other\n\tpath {root / 'other'}\n\tcontent backup\n")
        (etc / "storage.cfg").write_text("\n".join(entries))
        self.node: Node = CliNode("pve1", root=root, runner=self._answer)

    def _answer(self, argv: t.Sequence[str], **_kw: t.Any) -> Completed:
        assert list(argv) == ["pvesm", "status"], argv
        head = "Name Type Status Total Used Available %\n"
        rows = [f"{name} dir active 1000 100 900 10.00%" for name in (*self.paths, "other")]
        return Completed(0, head + "\n".join([*rows, "ceph rbd active 1000 100 900 10.00%"]) + "\n", "")

    def keys(self) -> tuple[UserKey, ...]:
        signer = self.mirror.signer
        return (UserKey(signer.usign_public),)

    def run(
        self, source: str = "openwrt", check: bool = False, node: Node | None = None, **declared: t.Any
    ) -> ImageResult:
        declared.setdefault("content", "vztmpl")
        declared.setdefault("mirrors", (self.mirror.base(source),) if source in SITES else ())
        if source == "openwrt":
            declared.setdefault("keys", self.keys())
        elif source in SITES:
            declared.setdefault("verify", "checksum")
        indexes = Indexes(self.root / "var/cache", declared.pop("index_max_age", 0), retries=Retries(attempts=1))
        wanted = WantedImage(source, **declared)
        return provide(node or self.node, wanted, indexes, check_mode=check, now=time.time())

    def files(self) -> dict[str, list[str]]:
        """What lies on each storage, records included, by content folder and name."""
        return {
            name: sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file())
            for name, path in self.paths.items()
        }

    def file(self, storage: str, name: str) -> Path:
        return self.paths[storage] / "template/cache" / name


@pytest.fixture
def bench(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Bench]:
    monkeypatch.setenv("PVE_ROOT", str(tmp_path / "root"))
    shm = Path("/dev/shm")
    base = shm if shm.is_dir() and os.access(shm, os.W_OK) else tmp_path
    with tempfile.TemporaryDirectory(dir=base) as elsewhere:
        yield Bench(tmp_path / "root", Path(elsewhere), mirror)


def steps(result: ImageResult) -> list[str]:
    return [step["step"] for step in result.plan]


NAME = "openwrt-24.10.4-x86-64-rootfs.tar.gz"


# -- one transfer ------------------------------------------------------------------------------------------------------
def test_three_storages_cost_one_transfer_and_a_second_run_nothing(bench: Bench) -> None:
    body = bench.mirror.read(f"openwrt/releases/24.10.4/targets/x86/64/{NAME}")
    first = bench.run()
    assert first.changed
    assert steps(first) == ["download", "copy", "copy"]
    assert bench.mirror.bytes_sent(ROOTFS) == first.transferred == len(body)
    assert first.volids == [f"{name}:vztmpl/{NAME}" for name in "abc"]
    assert {image["signed_by"] for image in first.images} == {bench.mirror.signer.usign_key_id}
    assert (first.version, first.available_version, first.update_available) == ("24.10.4", "24.10.4", False)
    for name in "abc":
        assert bench.file(name, NAME).read_bytes() == body
    hows = [image["how"] for image in first.images]
    assert hows[0] == "download"
    assert hows[1] in ("hardlink", "reflink")
    before = bench.files()
    bench.mirror.forget()
    second = bench.run()
    assert not second.changed
    assert second.plan == []
    assert [image["how"] for image in second.images] == ["kept"] * 3
    assert bench.mirror.bytes_sent() == 0
    assert bench.files() == before


def test_check_mode_reports_what_the_run_then_does_and_writes_nothing(bench: Bench) -> None:
    told = bench.run(check=True)
    assert bench.files() == {"a": [], "b": [], "c": []}
    assert bench.mirror.bytes_sent(ROOTFS) == 0
    done = bench.run()
    assert told.plan == done.plan
    assert (told.changed, told.version, told.volids) == (done.changed, done.version, done.volids)
    assert (told.before, told.after) == (done.before, done.after) == ([], [NAME])


def test_a_storage_that_lacks_it_gets_a_copy_and_no_byte_is_fetched(bench: Bench) -> None:
    bench.run(storages=("a",))
    bench.mirror.forget()
    done = bench.run(storages=("a", "c"))
    assert [(s["step"], s["storage"]) for s in done.plan] == [("copy", "c")]
    assert bench.mirror.bytes_sent(ROOTFS) == 0


def test_ten_runs_side_by_side_fetch_once(bench: Bench) -> None:
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        results = list(pool.map(lambda _n: bench.run(storages=("a", "c")), range(10)))
    assert bench.mirror.count(ROOTFS) == 1
    assert sum(result.transferred > 0 for result in results) == 1
    assert bench.files()["a"] == [f"template/cache/.{NAME}.pve-provision.json", f"template/cache/{NAME}"]


# -- versions ----------------------------------------------------------------------------------------------------------
def test_present_is_content_with_what_it_covers_and_latest_updates_and_prunes(bench: Bench) -> None:
    bench.run(version="24.10.3")
    content = bench.run(version="24.10")
    assert not content.changed
    assert (content.version, content.available_version, content.update_available) == ("24.10.3", "24.10.4", True)
    told = bench.run(version="24.10", state="latest", keep=1, check=True)
    latest = bench.run(version="24.10", state="latest", keep=1)
    assert told.plan == latest.plan
    assert steps(latest) == ["download", "copy", "copy", "remove", "remove", "remove"]
    assert latest.version == "24.10.4"
    assert latest.freed > 0
    assert latest.before == ["openwrt-24.10.3-x86-64-rootfs.tar.gz"]
    assert latest.after == [NAME]
    assert not bench.run(version="24.10", state="latest", keep=1).changed


def test_a_new_release_is_taken_by_latest(bench: Bench, tmp_path: Path) -> None:
    with Mirror(tmp_path / "mirror", ["openwrt"]) as own:
        bench.mirror = own
        bench.run(storages=("a",))
        own.release("openwrt", "24.10.11")
        assert bench.run(storages=("a",)).update_available
        assert bench.run(storages=("a",), state="latest").version == "24.10.11"


@pytest.mark.parametrize(
    ("place", "refers"),
    [
        ("pve1/qemu-server/100.conf", "name: fw\nide2: {},media=cdrom\n"),
        ("pve2/qemu-server/100.conf", "name: fw\nide2: {},media=cdrom,size=40K\n"),
        ("pve1/qemu-server/100.conf", "name: fw\nide2: none\n\n[before]\nide2: {},media=cdrom\n"),
    ],
)
def test_keep_prunes_only_recorded_files_that_no_guest_refers_to(bench: Bench, place: str, refers: str) -> None:
    def iso(state: t.Literal["present", "latest"], version: str, keep: int | None = None) -> ImageResult:
        return bench.run("opnsense", content="iso", storages=("a",), version=version, state=state, keep=keep)

    old = iso("present", "25.1").volids[0]
    foreign = bench.paths["a"] / "template/iso/OPNsense-24.1-dvd-amd64.iso"
    foreign.write_bytes(b"mine")
    config = bench.root / "etc/pve/nodes" / place
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(refers.format(old))
    held = iso("latest", "latest", keep=1)
    assert "remove" not in steps(held)
    assert any("still refers" in warning for warning in held.warnings)
    config.write_text(refers.format("a:iso/other-OPNsense-25.1-dvd-amd64.iso"))
    assert steps(iso("latest", "latest", keep=1)) == ["remove"]
    assert foreign.read_bytes() == b"mine"


def test_absent_removes_what_it_covers_and_nothing_else(bench: Bench) -> None:
    for version in ("23.05.6", "24.10.3", "24.10.4"):
        bench.run(version=version, storages=("a",))
    stranger = bench.file("a", "openwrt-24.10.9-x86-64-rootfs.tar.gz")
    stranger.write_bytes(b"mine")
    bench.mirror.forget()
    told = bench.run(version="24.10", state="absent", check=True)
    gone = bench.run(version="24.10", state="absent")
    assert told.plan == gone.plan
    assert told.freed == gone.freed > 0
    assert sorted(p.name for p in stranger.parent.glob("*.tar.gz")) == [
        "openwrt-23.05.6-x86-64-rootfs.tar.gz",
        stranger.name,
    ]
    assert not bench.run(version="24.10", state="absent").changed
    assert bench.mirror.requests == []


# -- what is not trusted -----------------------------------------------------------------------------------------------
def corrupt(path: Path) -> None:
    path.write_bytes(b"x" * path.stat().st_size)


def corrupt_silently(path: Path) -> None:
    times = path.stat()
    corrupt(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def make_foreign(path: Path) -> None:
    corrupt(path)
    cache.record_path(path).unlink()


@pytest.mark.parametrize(
    ("spoil", "options"),
    [(corrupt, {}), (corrupt_silently, {"reverify": True}), (make_foreign, {})],
)
@pytest.mark.parametrize("storage", ["a", "c"])
def test_a_bad_file_is_neither_used_nor_overwritten_without_force(
    bench: Bench, spoil: t.Callable[[Path], None], options: dict[str, t.Any], storage: str
) -> None:
    good = bench.run(storages=("a", "c"))
    path = bench.file(storage, NAME)
    path.unlink()  # a hard link elsewhere must not be spoilt with it
    path.write_bytes(bench.file("c" if storage == "a" else "a", NAME).read_bytes())
    os.utime(path, ns=(1, 1)) if not cache.record_path(path).exists() else cache.lookup(path)
    assert not bench.run(storages=("a", "c")).changed
    spoil(path)
    bad = path.read_bytes()
    with pytest.raises(VerificationError, match="neither used nor overwritten"):
        bench.run(storages=("a", "c"), **options)
    assert path.read_bytes() == bad
    again = bench.run(storages=("a", "c"), force=True, **options)
    assert again.changed
    assert hashlib.sha256(path.read_bytes()).hexdigest() == good.images[0]["sha256"]


def test_a_foreign_file_that_is_the_very_image_is_adopted_without_a_transfer(bench: Bench) -> None:
    path = bench.file("a", NAME)
    path.parent.mkdir(parents=True)
    path.write_bytes(bench.mirror.read(f"openwrt/releases/24.10.4/targets/x86/64/{NAME}"))
    bench.run(storages=("a",))
    assert bench.mirror.bytes_sent(ROOTFS) == 0
    assert not bench.run(storages=("a",)).changed


BAD = [
    ("flip", {"after": 1000}, ROOTFS, "sha256"),
    ("html", {}, ROOTFS, "web page"),
    ("status", {"code": 404}, ROOTFS, "404"),
    ("replace", {"body": b"short"}, ROOTFS, "sha256"),
    ("flip", {"after": 10}, "*/sha256sums.sig", "usign signature|does not fit|unknown key"),
    ("replace", {"body": b"untrusted comment: x\nUldR\n"}, "*/sha256sums.sig", "not a usign signature"),
    ("flip", {"after": 70}, "*/sha256sums", "line of a checksum list|can't decode|does not fit"),
    ("html", {}, "*/.versions.json", "not the index"),
]


@pytest.mark.parametrize(("fault", "options", "pattern", "says"), BAD)
def test_no_fault_puts_a_bad_file_under_a_final_name(
    bench: Bench, fault: t.Any, options: dict[str, t.Any], pattern: str, says: str
) -> None:
    bench.mirror.fault(fault, pattern, **options)
    with pytest.raises(ImageError, match=says):
        bench.run()
    assert not [name for names in bench.files().values() for name in names if name.endswith(".tar.gz")]
    bench.mirror.clear_faults()
    assert bench.run().changed


def test_a_key_that_nobody_knows_is_refused(bench: Bench) -> None:
    with pytest.raises(VerificationError, match=bench.mirror.signer.usign_key_id):
        bench.run(keys=())


CLOUD = "releases/44/Cloud/x86_64/images/Fedora-Cloud-44-1.7-x86_64-CHECKSUM"
SIGNED = [
    # source, content, version, what is spoilt: a list whose signature then does not fit, or a signature of other bytes
    ("ubuntu", "import", "24.04", "releases/24.04/release-20250805/SHA256SUMS"),
    ("fedora", "import", "44", f"pub/fedora/linux/{CLOUD}"),
    ("alma", "import", "9", "almalinux/9/cloud/x86_64/images/CHECKSUM"),
    ("alpine", "vztmpl", "", "alpine/v3.22/releases/x86_64/alpine-minirootfs-3.22.1-x86_64.tar.gz.asc"),
    ("pveam", "vztmpl", "debian-13-standard", "images/aplinfo-pve-9.dat.asc"),
    ("opnsense", "iso", "", "releases/25.7/OPNsense-25.7-checksums-amd64.sha256.sig"),
]


def spoilt_bytes(mirror: Mirror, path: str) -> bytes:
    if path.endswith(".asc"):
        return mirror.signer.gpg_detached(b"other bytes")
    if path.endswith(".sig"):
        return mirror.signer.rsa(b"other bytes")
    digest = re.search(rb"[0-9a-f]{64}", body := mirror.read(path))
    assert digest
    return body.replace(digest[0], digest[0][::-1])


@pytest.mark.skipif(shutil.which("gpgv") is None, reason="no gpgv here")
@pytest.mark.parametrize(("source", "content", "version", "spoilt"), SIGNED)
def test_every_way_of_signing_is_demanded(bench: Bench, source: str, content: str, version: str, spoilt: str) -> None:
    signer = bench.mirror.signer
    rsa = source == "opnsense"
    key = UserKey(signer.rsa_public) if rsa else UserKey(signer.gpg_key.read_text(), signer.gpg_fingerprint)
    declared: dict[str, t.Any] = {"content": content, "version": version, "storages": ("a",), "verify": "required"}
    stranger = dataclasses.replace(key, fingerprint="0" * 40)
    with pytest.raises(VerificationError):
        bench.run(source, **declared, keys=() if rsa else (stranger,), mirrors=(bench.mirror.base(source),))
    bench.mirror.fault("replace", f"/{source}/{spoilt}", body=spoilt_bytes(bench.mirror, f"{source}/{spoilt}"))
    with pytest.raises(ImageError):
        bench.run(source, **declared, keys=(key,))
    assert not [name for name in bench.files()["a"] if not Path(name).name.startswith(".")]
    bench.mirror.clear_faults()
    for path in (bench.root / "var/cache").glob("*"):
        path.unlink()
    done = bench.run(source, **declared, keys=(key,))
    assert done.images[0]["signed_by"]
    assert rsa or done.images[0]["signed_by"] == signer.gpg_fingerprint
    assert not bench.run(source, **declared, keys=(key,)).changed


def test_a_transfer_that_breaks_off_again_and_again_goes_on_where_it_stopped(bench: Bench) -> None:
    body = bench.mirror.read(f"openwrt/releases/24.10.4/targets/x86/64/{NAME}")
    for after in sorted(random.Random(24).sample(range(1, len(body)), 4)):
        bench.mirror.fault("cut", ROOTFS, after=after, times=1)
    done = bench.run(storages=("a",))
    assert bench.mirror.count(ROOTFS) == 5
    assert bench.mirror.bytes_sent(ROOTFS) == done.transferred == len(body)
    assert bench.file("a", NAME).read_bytes() == body


def test_an_archive_that_climbs_out_is_refused(bench: Bench) -> None:
    evil = images.gz(images.tar({"sbin/init": b"x", "../etc/cron.d/x": "evil"}, ""))
    url = bench.mirror.put("own/evil.tar.gz", evil)
    digest = hashlib.sha256(evil).hexdigest()
    with pytest.raises(VerificationError, match=r"member '\.\.'"):
        bench.run("url", url=url, checksum=f"sha256:{digest}")
    assert bench.files() == {"a": [], "b": [], "c": []}


# -- when the source is down -------------------------------------------------------------------------------------------
def test_what_is_cached_is_used_when_the_source_is_down(bench: Bench) -> None:
    bench.run(storages=("a",))
    bench.mirror.fault("status", code=404)
    for path in (bench.root / "var/cache").glob("*"):
        path.unlink()
    present = bench.run(storages=("a", "c"))
    assert steps(present) == ["copy"]
    assert any("could not be asked" in warning for warning in present.warnings)
    with pytest.raises(ImageError):
        bench.run(storages=("a",), state="latest")
    latest = bench.run(storages=("a",), state="latest", offline_ok=True)
    assert (latest.changed, latest.version) == (False, "24.10.4")
    assert any("verified before, is used" in warning for warning in latest.warnings)


def test_an_old_index_is_used_and_reported(bench: Bench) -> None:
    bench.run(storages=("a",))
    bench.mirror.fault("status", code=404)
    result = bench.run(storages=("a",), state="latest")
    assert not result.changed
    assert any("is used" in warning for warning in result.warnings)


# -- other sources -----------------------------------------------------------------------------------------------------
SHAPES = [
    ("openwrt", "import", "24.10.4", "ext4-combined", "openwrt-24.10.4-x86-64-generic-ext4-combined.raw"),
    ("debian", "import", "12", "", "debian-12-genericcloud-amd64-20250316-2053.qcow2"),
    ("ubuntu", "import", "24.04", "", "ubuntu-24.04-server-cloudimg-amd64-20250805.qcow2"),
    ("haos", "import", "", "", "haos_ova-16.2.qcow2"),
    ("talos", "iso", "", "", "talos-metal-amd64-1.10.0.iso"),
    ("opnsense", "import", "", "nano", "OPNsense-25.7-nano-amd64.raw"),
    ("opnsense", "iso", "", "", "OPNsense-25.7-dvd-amd64.iso"),
    ("alpine", "vztmpl", "", "", "alpine-minirootfs-3.22.1-x86_64.tar.gz"),
    ("pveam", "vztmpl", "alpine-3.22-default", "", "alpine-3.22-default_20250617_amd64.tar.xz"),
]


@pytest.mark.parametrize(("source", "content", "version", "variant", "name"), SHAPES)
def test_every_kind_of_image_lands_unpacked_under_a_name_that_pve_takes(
    bench: Bench, source: str, content: str, version: str, variant: str, name: str
) -> None:
    options: dict[str, t.Any] = {"content": content, "version": version, "variant": variant, "storages": ("a", "c")}
    first = bench.run(source, **options)
    assert [volid.partition("/")[2] for volid in first.volids] == [name, name]
    assert {volume.volid for volume in bench.node.volumes("a", content)} == {first.volids[0]}
    bench.mirror.forget()
    second = bench.run(source, **options)
    assert (second.changed, bench.mirror.bytes_sent()) == (False, 0)
    folders = {str(Path(name).parent) for name in bench.files()["a"]}
    assert len(folders) == 1
    assert len(bench.files()["a"]) == 2


def test_a_file_of_the_user_is_judged_and_copied_not_linked(bench: Bench, tmp_path: Path) -> None:
    mine = tmp_path / "mine.qcow2"
    mine.write_bytes(images.qcow2(1 << 20))
    with pytest.raises(VerificationError, match="no digest is known"):
        bench.run("file", content="import", path=str(mine))
    digest = hashlib.sha256(mine.read_bytes()).hexdigest()
    done = bench.run("file", content="import", path=str(mine), checksum=digest, storages=("a",))
    assert done.changed
    placed = Path(done.images[0]["path"])
    assert placed.read_bytes() == mine.read_bytes()
    assert placed.stat().st_ino != mine.stat().st_ino
    assert not bench.run("file", content="import", path=str(mine), checksum=digest, storages=("a",)).changed
    with pytest.raises(InvalidInput, match="is not a file"):
        bench.run("file", content="import", path=str(tmp_path / "nothing.qcow2"), checksum="a" * 64)


def test_an_image_under_the_same_address_with_a_new_digest_replaces_ours(bench: Bench) -> None:
    def run(size: int) -> ImageResult:
        body = images.qcow2(size)
        url = bench.mirror.put("own/app.qcow2", body)
        return bench.run("url", content="import", url=url, checksum=hashlib.sha256(body).hexdigest(), storages=("a",))

    assert run(1 << 20).changed
    assert run(2 << 20).changed
    assert not run(2 << 20).changed


def test_a_pinned_checksum_must_fit_what_the_source_says(bench: Bench) -> None:
    with pytest.raises(VerificationError, match="the source says"):
        bench.run(checksum="sha256:" + "a" * 64)
    with pytest.raises(VerificationError, match="sha512"):
        bench.run(checksum="sha512:" + "a" * 128)


def test_an_image_of_the_users_may_be_judged_by_a_list(bench: Bench) -> None:
    body = images.qcow2(1 << 20)
    url = bench.mirror.put("own/listed.qcow2", body)
    digest = hashlib.sha256(body).hexdigest()
    good = bench.mirror.put("own/SHA256SUMS", f"{digest}  listed.qcow2\n{'a' * 64}  other\n".encode())
    bad = bench.mirror.put("own/bad/SHA256SUMS", f"{'a' * 64}  listed.qcow2\n".encode())
    with pytest.raises(VerificationError, match="sha256 is"):
        bench.run("url", content="import", url=url, checksum_url=bad, storages=("a",))
    assert bench.run("url", content="import", url=url, checksum_url=good, storages=("a",)).changed
    assert not bench.run("url", content="import", url=url, checksum_url=good, storages=("a",)).changed


def test_verify_none_warns(bench: Bench) -> None:
    url = bench.mirror.put("own/app.qcow2", images.qcow2(1 << 20))
    with pytest.raises(VerificationError, match="no digest is known"):
        bench.run("url", content="import", url=url)
    assert bench.run("url", content="import", url=url, verify="none").changed


def test_a_qcow2_under_the_name_of_a_raw_image_is_refused(bench: Bench) -> None:
    body = images.qcow2(1 << 20)
    url = bench.mirror.put("own/app.img", body)
    digest = hashlib.sha256(body).hexdigest()
    with pytest.raises(VerificationError, match="would say raw"):
        bench.run("url", content="import", url=url, checksum=digest)
    named = bench.run("url", content="import", url=url, checksum=digest, filename="app.qcow2")
    assert named.volids[0] == "a:import/app.qcow2"


# -- what is refused ---------------------------------------------------------------------------------------------------
def test_everything_against_the_storages_is_reported_at_once(bench: Bench) -> None:
    with pytest.raises(InvalidInput) as caught:
        bench.run(storages=("a", "ceph", "other", "nowhere"))
    assert [finding.value for finding in caught.value.findings] == ["ceph", "other", "nowhere"]
    assert "type rbd, which keeps blocks" in str(caught.value)
    assert bench.mirror.requests == []


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({"filename": "../x.tar.gz"}, "filename"),
        ({"checksum": "md5:abc"}, "checksum"),
        ({"keys": (UserKey("-----BEGIN PGP PUBLIC KEY BLOCK-----"),)}, "fingerprint"),
    ],
)
def test_bad_declarations(bench: Bench, declared: dict[str, t.Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        bench.run(**declared)


NAMES = [
    ("openwrt", "24.10.4", "openwrt-24.10.4-x86-64-rootfs.tar.gz", "vztmpl", "openwrt-24.10.4-x86-64-rootfs.tar.gz"),
    ("openwrt", "snapshot-r1", "openwrt-x86-64-rootfs.tar.gz", "vztmpl", "openwrt-x86-64-rootfs-snapshot-r1.tar.gz"),
    ("talos", "1.10.0", "metal-amd64.raw.zst", "import", "talos-metal-amd64-1.10.0.raw"),
    ("freebsd", "14.3", "FreeBSD-14.3-amd64-zfs.qcow2.xz", "import", "FreeBSD-14.3-amd64-zfs.qcow2"),
    ("opnsense", "25.7", "OPNsense-25.7-nano-amd64.img.bz2", "iso", "OPNsense-25.7-nano-amd64.img"),
    ("url", "x.tgz", "x.tgz", "vztmpl", "x.tar.gz"),
    ("url", "x.img.gz", "x.img.gz", "import", "x.raw"),
]


@pytest.mark.parametrize(("source", "version", "name", "content", "result"), NAMES)
def test_names(source: str, version: str, name: str, content: str, result: str) -> None:
    assert file_name(source, version, Artefact(name, "", "disk"), content) == result


# -- over the API ------------------------------------------------------------------------------------------------------
class ApiNode:
    """As much of a node over the API as a template needs; a storage is a dictionary of names."""

    name = "pve1"
    files = None
    clock = SYSTEM
    downloads = None  # these images are none of PVE's own index

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror
        self.held: dict[str, dict[str, bytes]] = {"a": {}, "c": {}}
        self.calls: list[tuple[str, ...]] = []

    def access(self) -> None:
        return None

    def storages(self) -> list[Storage]:
        content = frozenset({"vztmpl", "import"})
        return [Storage(name, "dir", content, total=1000, available=900) for name in self.held]

    def volumes(self, storage: str, content: str | None = None) -> list[Volume]:
        return [Volume(volid, str(content), len(body)) for volid, body in self.held[storage].items()]

    def free(self, volid: str) -> None:
        self.calls.append(("free", volid))
        del self.held[volid.split(":")[0]][volid]

    def download_url(
        self, storage: str, content: str, filename: str, url: str, *, checksum: tuple[str, str], timeout: int
    ) -> Outcome:
        body = self.mirror.read(url.removeprefix(self.mirror.url))
        assert hashlib.new(checksum[0], body).hexdigest() == checksum[1]
        self.calls.append(("download_url", storage))
        self.held[storage][f"{storage}:{content}/{filename}"] = body
        return Outcome()

    def upload(self, storage: str, content: str, path: str, filename: str, *, timeout: int) -> Outcome:
        self.calls.append(("upload", storage))
        self.held[storage][f"{storage}:{content}/{filename}"] = Path(path).read_bytes()
        return Outcome()


def test_over_the_api_pve_fetches_what_fits_with_its_checksum(bench: Bench) -> None:
    node = ApiNode(bench.mirror)
    over = t.cast("Node", node)
    told = bench.run(node=over, check=True)
    assert node.calls == []
    done = bench.run(node=over)
    assert told.plan == done.plan
    assert node.calls == [("download_url", "a"), ("download_url", "c")]
    assert done.volids == [f"a:vztmpl/{NAME}", f"c:vztmpl/{NAME}"]
    assert not bench.run(node=over).changed
    gone = bench.run(node=over, state="absent")
    assert (steps(gone), node.held) == (["remove", "remove"], {"a": {}, "c": {}})


def test_over_the_api_what_pve_cannot_unpack_is_fetched_here_once_and_uploaded(bench: Bench) -> None:
    node = ApiNode(bench.mirror)
    options: dict[str, t.Any] = {"content": "import", "version": "24.10.4", "variant": "ext4-combined"}
    done = bench.run(node=t.cast("Node", node), **options)
    assert node.calls == [("upload", "a"), ("upload", "c")]
    assert bench.mirror.count("*-ext4-combined.img.gz") == 1
    assert done.transferred > 0
    body = next(iter(node.held["a"].values()))
    assert body[510:512] == b"\x55\xaa"
    assert not bench.run(node=t.cast("Node", node), **options).changed


def test_over_the_api_nothing_is_pruned(bench: Bench) -> None:
    with pytest.raises(InvalidInput, match="keep"):
        bench.run(node=t.cast("Node", ApiNode(bench.mirror)), keep=1)


def test_a_wrong_signature_stops_the_api_too(bench: Bench) -> None:
    node = ApiNode(bench.mirror)
    bench.mirror.fault("replace", "*/sha256sums.sig", body=b"untrusted comment: x\nUldR\n")
    with pytest.raises(VerificationError):
        bench.run(node=t.cast("Node", node))
    assert node.calls == []


def test_the_record_says_where_a_file_came_from_and_who_vouched(bench: Bench) -> None:
    bench.run(storages=("a",))
    record = cache.Record.read(bench.file("a", NAME))
    assert record is not None
    facts = dataclasses.asdict(record)
    assert facts["family"] == "openwrt/vztmpl/default/amd64"
    assert facts["version"] == "24.10.4"
    assert facts["url"].endswith(NAME)
    assert facts["origin"] == f"sha256:{facts['sha256']}"
    assert facts["signed_by"] == bench.mirror.signer.usign_key_id
    assert abs(facts["verified"] - time.time()) < 60


# -- what a run may take from the cache --------------------------------------------------------------------------------
def other_key(mirror: Mirror) -> tuple[UserKey, ...]:
    """A usign key that has signed nothing here."""
    return (UserKey("RWRNAX5vHtXWFmt+n5di7XX8rTu0w+c8X7Ihv4oCyD6tzsUwmH0A6kO0"),)


@pytest.mark.parametrize("state", ["present", "latest"])
@pytest.mark.parametrize("fetched", [{"verify": "none", "keys": ()}, {"verify": "checksum"}, {}])
def test_a_required_signature_is_required_of_the_cache_too(
    bench: Bench, state: t.Any, fetched: dict[str, t.Any]
) -> None:
    bench.run(storages=("a",), **fetched)
    with pytest.raises(VerificationError, match="signed by the unknown key"):
        bench.run(storages=("a",), state=state, verify="required", keys=other_key(bench.mirror))
    with pytest.raises(VerificationError, match="signed by the unknown key"):
        bench.run(storages=("a",), state=state, verify="required", keys=(), check=True)


@pytest.mark.parametrize("check", [True, False])
def test_what_nobody_has_verified_is_verified_now_without_a_transfer(bench: Bench, check: bool) -> None:
    bench.run(storages=("a", "c"), verify="none", keys=())
    before = cache.record_path(bench.file("a", NAME)).read_bytes()
    bench.mirror.forget()
    again = bench.run(storages=("a", "c"), check=check)
    assert (again.changed, bench.mirror.bytes_sent(ROOTFS)) == (False, 0)
    assert {image["signed_by"] for image in again.images} == {bench.mirror.signer.usign_key_id}
    noted = {t.cast("cache.Record", cache.lookup(bench.file(name, NAME)).record).signed_by for name in "ac"}
    assert noted == ({""} if check else {bench.mirror.signer.usign_key_id})
    assert (cache.record_path(bench.file("a", NAME)).read_bytes() == before) is check


def test_an_unpacked_image_that_nobody_has_verified_is_fetched_again(bench: Bench) -> None:
    more = {"content": "import", "storages": ("a",)}
    bench.run(verify="none", keys=(), **more)
    assert steps(bench.run(check=True, **more)) == ["download"]
    assert steps(bench.run(**more)) == ["download"]
    assert not bench.run(**more).changed


def test_an_image_without_any_digest_is_no_more_known_the_second_time(bench: Bench) -> None:
    url = bench.mirror.put("own/app.qcow2", images.qcow2(1 << 20))
    assert bench.run("url", content="import", url=url, verify="none").changed
    for check in (True, False):
        with pytest.raises(VerificationError, match="no digest is known"):
            bench.run("url", content="import", url=url, check=check)


def test_an_unreachable_source_does_not_lower_what_is_asked_for(bench: Bench) -> None:
    bench.run(storages=("a",), verify="none", keys=())
    bench.mirror.fault("status", code=503)
    with pytest.raises(ImageError, match="503"):
        bench.run(storages=("a",), offline_ok=True, state="latest")
    with pytest.raises(ImageError, match="503"):
        bench.run(storages=("a",))
    assert not bench.run(storages=("a",), verify="none", keys=()).changed


# -- check mode finds it first -----------------------------------------------------------------------------------------
def test_check_mode_judges_what_is_signed(bench: Bench) -> None:
    with pytest.raises(VerificationError, match="signed by the unknown key"):
        bench.run(check=True, verify="required", keys=other_key(bench.mirror))


@pytest.mark.parametrize(
    ("content", "filename"),
    [("vztmpl", "app.zip"), ("vztmpl", "a b.tar.gz"), ("iso", "app.qcow2"), ("import", "x.iso"), ("iso", "../x.iso")],
)
def test_a_name_that_pve_does_not_take_is_found(bench: Bench, content: str, filename: str) -> None:
    with pytest.raises(InvalidInput, match="filename"):
        bench.run("debian", content=content, filename=filename, check=True)


# -- the name that is asked for ----------------------------------------------------------------------------------------
def test_a_file_name_is_kept_also_where_the_image_lies_under_another(bench: Bench) -> None:
    bench.run(storages=("a",))
    named = {"storages": ("a",), "filename": "router.tar.gz"}
    for check in (True, False):
        told = bench.run(check=check, **named)
        assert (steps(told), told.volids) == (["copy"], ["a:vztmpl/router.tar.gz"])
    assert bench.file("a", "router.tar.gz").read_bytes() == bench.file("a", NAME).read_bytes()
    assert not bench.run(**named).changed
    assert bench.mirror.count(ROOTFS) == 1


# -- what is said and written of a URL ---------------------------------------------------------------------------------
def test_no_login_and_no_query_of_a_url_is_told_or_written(bench: Bench) -> None:
    body = images.qcow2(1 << 20)
    url = bench.mirror.put("own/app.qcow2", body).replace("http://", "http://deploy:sup3rs3cret@")
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    told = bench.run("url", content="import", url=f"{url}?X-Amz-Signature=abcdef0123", checksum=digest)
    assert told.changed
    again = bench.run("url", content="import", url=f"{url}?X-Amz-Signature=9876543210", checksum=digest)
    assert not again.changed, "a link that is signed anew is the same image"
    with pytest.raises(ImageError) as failure:
        bench.run("url", content="iso", url=f"{url}.gone?X-Amz-Signature=abcdef0123", checksum=digest)
    written = b"".join(path.read_bytes() for path in bench.root.rglob("*") if path.is_file())
    for secret in ("sup3rs3cret", "abcdef0123", "9876543210"):
        assert secret not in f"{told} {again} {failure.value}"
        assert secret.encode() not in written


# -- a good signature under a wrong name -------------------------------------------------------------------------------
def publish_again(mirror: Mirror, old: str, new: str) -> None:
    """Serve what one folder of the mirror has, signatures included, as what another is called."""
    for path in (mirror.directory / old).iterdir():
        if path.is_file():
            mirror.put(f"{new}/{path.name}", path.read_bytes())


def signed(bench: Bench, source: str, **declared: t.Any) -> ImageResult:
    signer = bench.mirror.signer
    keys = (UserKey(signer.gpg_key.read_text(), signer.gpg_fingerprint),)
    return bench.run(source, keys=keys, verify="required", storages=("a",), **declared)


def test_an_old_serial_of_ubuntu_under_a_new_name_is_refused(bench: Bench) -> None:
    assert signed(bench, "ubuntu", content="import", version="24.04").version == "24.04-20250805"
    releases = "ubuntu/releases/24.04"
    publish_again(bench.mirror, f"{releases}/release-20250704", f"{releases}/release-20991231")
    for content in ("import", "vztmpl"):
        with pytest.raises(VerificationError, match=r"20991231.*does not know it"):
            signed(bench, "ubuntu", content=content, version="24.04", state="latest")
    shutil.rmtree(bench.mirror.directory / releases / "release-20991231")


def test_an_old_alpine_under_a_new_name_is_refused(bench: Bench) -> None:
    folder = bench.mirror.directory / "alpine/alpine/v3.22/releases/x86_64"
    kept = {path: path.read_bytes() for path in folder.iterdir()}
    older = bench.mirror.directory / "alpine/alpine/v3.21/releases/x86_64"
    try:
        for path in older.glob("alpine-minirootfs-3.21.4-*"):
            (folder / path.name.replace("3.21.4", "3.22.1")).write_bytes(path.read_bytes())
        listing = (older / "latest-releases.yaml").read_text().replace("3.21.4", "3.22.1").replace("v3.21", "v3.22")
        (folder / "latest-releases.yaml").write_text(listing)
        name = "alpine-minirootfs-3.22.1-x86_64.tar.gz"
        digest = hashlib.sha512((folder / name).read_bytes()).hexdigest()
        (folder / f"{name}.sha512").write_text(f"{digest}  {name}\n")
        with pytest.raises(VerificationError, match=r"holds Alpine 3\.21\.4 for amd64, its name says 3\.22\.1"):
            signed(bench, "alpine", version="3.22")
    finally:
        for path, body in kept.items():
            path.write_bytes(body)
    assert signed(bench, "alpine", version="3.22").version == "3.22.1"


# -- an old disk image of Alpine ---------------------------------------------------------------------------------------
CLOUD = "alpine/alpine/v3.22/releases/cloud/nocloud_alpine-3.22.1-x86_64-bios-cloudinit-r0.qcow2"


@pytest.fixture
def cloud(mirror: Mirror) -> t.Iterator[t.Callable[[bytes], None]]:
    """Serve other bytes as the disk image of Alpine 3.22.1, rightly signed and listed."""
    image = mirror.directory / CLOUD
    beside = [image, *(image.with_name(f"{image.name}.{end}") for end in ("sha512", "asc"))]
    kept = {path: path.read_bytes() for path in beside}

    def serve(body: bytes) -> None:
        mirror.put(CLOUD, body)
        mirror.put(f"{CLOUD}.sha512", f"{hashlib.sha512(body).hexdigest()}  {image.name}\n".encode())
        mirror.put(f"{CLOUD}.asc", mirror.signer.gpg_detached(body))

    yield serve
    for path, body in kept.items():
        path.write_bytes(body)


def alpine_disk(bench: Bench, verify: str = "required") -> ImageResult:
    if verify == "required":
        return signed(bench, "alpine", content="import", version="3.22.1")
    return bench.run("alpine", content="import", version="3.22.1", storages=("a",), verify=verify)


def test_a_disk_image_of_alpine_is_the_version_that_it_says(bench: Bench) -> None:
    result = alpine_disk(bench)
    assert (result.version, result.images[0]["signed_by"]) == ("3.22.1", bench.mirror.signer.gpg_fingerprint)


def test_an_old_disk_image_of_alpine_and_its_old_signature_are_refused_under_a_new_name(bench: Bench) -> None:
    image = bench.mirror.directory / CLOUD
    old = image.parents[3] / "v3.21/releases/cloud" / image.name.replace("3.22.1", "3.21.4")
    ends = ("", ".sha512", ".asc")
    kept = {end: Path(f"{image}{end}").read_bytes() for end in ends}
    try:
        for end in ends:
            body = Path(f"{old}{end}").read_bytes()
            renamed = body.replace(old.name.encode(), image.name.encode()) if end == ".sha512" else body
            Path(f"{image}{end}").write_bytes(renamed)
        for verify in ("required", "checksum", "none"):
            with pytest.raises(VerificationError, match=r"holds Alpine 3\.21\.4, its name says 3\.22\.1"):
                alpine_disk(bench, verify)
        assert not list(bench.paths["a"].rglob("*alpine*"))
    finally:
        for end, body in kept.items():
            Path(f"{image}{end}").write_bytes(body)


def zstd_packed(image: bytes) -> bytes:
    """The image as one whose header tells that its clusters are packed with zstd."""
    changed = bytearray(image)
    changed[72:80], changed[100:105] = (8).to_bytes(8, "big"), (112).to_bytes(4, "big") + b"\1"
    return bytes(changed)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (
            lambda mirror: zstd_packed((mirror.directory / CLOUD).read_bytes()),
            "compressed with zstd, which is not read here",
        ),
        (lambda mirror: images.qcow2(2 << 20), "no file in it says which release it is"),
    ],
)
def test_a_disk_image_of_alpine_that_does_not_tell_its_version_is_not_taken_by_its_signature(
    bench: Bench, cloud: t.Callable[[bytes], None], body: t.Callable[[Mirror], bytes], why: str
) -> None:
    cloud(body(bench.mirror))
    with pytest.raises(VerificationError, match=rf"cannot be bound to version 3\.22\.1, because .*{why}") as caught:
        alpine_disk(bench)
    assert "Set verify: checksum" in caught.value.remedy
    assert not list(bench.paths["a"].rglob("*.qcow2"))
    assert alpine_disk(bench, "checksum").version == "3.22.1"


# -- an old signed list under a new name -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("source", "version", "old", "new"),
    [
        (
            "fedora",
            "44",
            "fedora/pub/fedora/linux/releases/43/Cloud/x86_64/images/Fedora-Cloud-43-1.6-x86_64-CHECKSUM",
            "fedora/pub/fedora/linux/releases/44/Cloud/x86_64/images/Fedora-Cloud-44-1.7-x86_64-CHECKSUM",
        ),
        (
            "alma",
            "10",
            "alma/almalinux/9/cloud/x86_64/images/CHECKSUM",
            "alma/almalinux/10/cloud/x86_64/images/CHECKSUM",
        ),
        (
            "opnsense",
            "25.7",
            "opnsense/releases/25.1/OPNsense-25.1-checksums-amd64.sha256",
            "opnsense/releases/25.7/OPNsense-25.7-checksums-amd64.sha256",
        ),
        (
            "debian",
            "13",
            "debian/images/cloud/bookworm/20250316-2053/SHA512SUMS",
            "debian/images/cloud/trixie/20250814-2204/SHA512SUMS",
        ),
    ],
)
def test_an_old_list_holds_no_name_of_a_new_version(
    bench: Bench, source: str, version: str, old: str, new: str
) -> None:
    kept = {path: path.read_bytes() for path in (bench.mirror.directory / new).parent.glob(f"{Path(new).name}*")}
    try:
        for path in kept:
            end = path.name.removeprefix(Path(new).name)
            path.write_bytes((bench.mirror.directory / f"{old}{end}").read_bytes())
        with pytest.raises(ImageError, match="no image for amd64 that is known by name"):
            bench.run(source, content="import", version=version, storages=("a",))
    finally:
        for path, body in kept.items():
            path.write_bytes(body)


@pytest.mark.parametrize("content", ["vztmpl", "import"])
def test_a_signed_snapshot_of_openwrt_is_no_release(bench: Bench, content: str) -> None:
    bench.mirror.release("openwrt", "24.10.77")
    target = "targets/x86/64"
    folder = bench.mirror.directory / "openwrt/releases/24.10.77" / target
    shutil.rmtree(folder)
    publish_again(bench.mirror, f"openwrt/snapshots/{target}", f"openwrt/releases/24.10.77/{target}")
    try:
        with pytest.raises(ImageError, match="no image for amd64 that is known by name"):
            bench.run(content=content, version="24.10.77", storages=("a",))
    finally:
        shutil.rmtree(bench.mirror.directory / "openwrt/releases/24.10.77")


def test_a_snapshot_of_openwrt_is_what_its_signed_list_says(bench: Bench) -> None:
    """An old snapshot that an unsigned page calls new."""
    facts = bench.mirror.directory / "openwrt/snapshots/targets/x86/64/profiles.json"
    kept = facts.read_bytes()
    assert bench.run(version="snapshot", storages=("a",)).changed
    try:
        facts.write_bytes(kept.replace(b'"version_code": "r', b'"version_code": "r9'))
        with pytest.raises(VerificationError, match=r"profiles\.json is not the one of"):
            bench.run(version="snapshot", storages=("a",), state="latest")
    finally:
        facts.write_bytes(kept)
