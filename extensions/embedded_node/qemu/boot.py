# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes up inside a VM: nothing from a blank disk, OpenWrt or OPNsense from its image, else what a cloud
image holds.

The guest is scripted, as containers are: it has files and the runtime's commands, and its cards are eth0, eth1, ... in
the order of the config. A cloud image's cloud-init reads the CDs that are in the drives. An OpenWrt image brings its
configuration along as ``sysupgrade.tgz`` on the boot partition; the first boot takes it from there, as OpenWrt's
preinit does. ``debugfs`` reads it from an ext4, where it may lie in pieces. Elsewhere it is looked for by content, in
one piece and on a sector's boundary, which is how small files lie on a fresh file system.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import mmap
import os
import re
import shutil
import struct
import subprocess
import tarfile
import tempfile
import typing as t
import zlib
from pathlib import Path

from ..cloud import appliances, cloud_init, seed
from ..guest import runtime
from ..linux import agent, distributions
from ..mirror import openwrt_image
from ..state import disk_image as image
from ..state import iso9660
from ..state import storage as storages
from ..state.root import PRIVATE
from ..state.rootfs import GuestFiles
from . import config, opnsense

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..state.root import State

OPENWRT = ("24.10.4", "r28959-29397011cc")
RELEASE = re.compile(rb"DISTRIB_RELEASE='([^'\n]+)'\nDISTRIB_REVISION='([^'\n]*)'")
TARGET = "x86/64"
TREES = f"{PRIVATE}/vm-trees"
LABELS = {*seed.SOURCES, appliances.CONFIG}
SECTOR = 512
GZIP = re.compile(rb"\x1f\x8b\x08")
AGENTS = ("/usr/bin/qemu-ga", distributions.AGENT)
#: What makes the socket of a VM's agent; nothing does where no node runs.
AGENT_SOCKETS: list[t.Callable[[State, int], None]] = []
MAX_SEED = 16 << 20
MAX_BOOT = 64 << 20


def boot_disk(state: State, options: Mapping[str, str]) -> Path | None:
    """The file of the disk that the VM boots from, None when nothing would boot."""
    found = dict(config.drives(options))
    for name in config.boot_order(options) or config.BOOT_DRIVES:
        if name in found and config.holds_data(found[name]):
            storage, volume = storages.locate(state, found[name]["file"])
            path = storage.path(volume)
            return path if path.is_file() and image.bootable(path) else None
    return None


def files(state: State, vmid: int) -> GuestFiles:
    """The files of what runs in the VM."""
    root = state.path(f"{TREES}/{vmid}")
    root.mkdir(parents=True, exist_ok=True)
    return GuestFiles(root)


def guest(state: State, vmid: int) -> runtime.Guest:
    """What runs in a VM, with its cards described as the runtime knows them from containers.

    It has the name that its files tell, else the VM's.
    """
    options = state.guest("qemu", vmid).options
    inside = files(state, vmid)
    named = inside.read("/etc/hostname").strip()
    seen = {"hostname": named or options.get("name", f"VM{vmid}").partition(".")[0], "ostype": "unmanaged"}
    names = sorted((name for name in options if re.fullmatch(r"net\d+", name)), key=lambda name: int(name[3:]))
    for index, name in enumerate(names):
        seen[name] = _card(index, config.parse_net(options[name]))
    found = runtime.Guest(state, vmid, seen, inside)
    if inside.exists(opnsense.CONF):
        found.network = opnsense.configured(inside, [card.mac for card in found.interfaces])
    elif inside.exists(distributions.OS_RELEASE) and not found.is_openwrt:
        found.network = cloud_init.configured(found)
    return found


def _card(index: int, net: config.Net) -> str:
    """A card as a container's netN."""
    keys: dict[str, str] = {key: net[key] for key in ("bridge", "link_down", "mtu", "tag") if key in net}
    keys.update(hwaddr=net["macaddr"], type="veth")
    return ",".join([f"name=eth{index}", *(f"{key}={keys[key]}" for key in sorted(keys))])


def power_on(state: State, vmid: int, options: Mapping[str, str]) -> None:
    """Boot what lies on the disk."""
    disk = boot_disk(state, options)
    if disk is None:
        return
    tree = files(state, vmid)
    with tempfile.TemporaryDirectory(prefix="embedded-vm-") as folder:
        raw = disk
        if image.is_qcow2(disk):
            raw = Path(folder, "disk.raw")
            raw.touch()
            image.convert(disk, "qcow2", raw, "raw")
        boot, firewall = boot_partition(raw), opnsense.config_on(raw)
        release = openwrt_release(raw) if is_openwrt(boot) else OPENWRT
    if firewall:
        opnsense.boot(tree, firewall)
    elif boot and is_openwrt(boot):
        _boot_openwrt(state, vmid, tree, boot, release)
    elif not tree.exists(distributions.OS_RELEASE):
        distributions.lay_out(tree, distributions.release_on(boot))
    _insert_cds(state, tree, options)
    rules = agent.filter_in(tree)
    runtime.Scripted().start(guest(state, vmid))
    agent.booted(guest(state, vmid), rules)


def open_agent(state: State, vmid: int, options: Mapping[str, str]) -> None:
    """Open the way to the agent of a guest that runs, where it may have one."""
    for start in AGENT_SOCKETS if config.agent_enabled(options) and boot_disk(state, options) else ():
        start(state, vmid)


def _insert_cds(state: State, tree: GuestFiles, options: Mapping[str, str]) -> None:
    """The CDs in the VM's drives as the guest's devices, those that carry a configuration; ``/run`` is new."""
    for name in ("dev", "run"):
        shutil.rmtree(tree.root / name, ignore_errors=True)
        (tree.root / name).mkdir()
    drives = (drive for _unused, drive in config.drives(options) if config.is_cdrom(drive))
    for index, drive in enumerate(drives):
        data = _cd(state, drive["file"])
        if data:
            (tree.root / f"dev/sr{index}").write_bytes(data)


def _cd(state: State, volid: str) -> bytes:
    """The bytes of a small CD that a guest takes its configuration from; of no other."""
    if storages.split_volid(volid) is None:
        return b""
    path = storages.absolute_path(state, volid)
    form = "qcow2" if path.is_file() and image.is_qcow2(path) else "raw"
    data = bytearray()
    for offset, piece in image.read(path, form) if path.is_file() else ():
        if offset > image.CLUSTER and (iso9660.label(bytes(data)) or "").lower() not in LABELS:
            return b""
        data = data.ljust(offset, b"\0") + piece
    return bytes(data) if (iso9660.label(bytes(data)) or "").lower() in LABELS else b""


def copy_files(state: State, vmid: int, newid: int) -> None:
    """What a guest has on its disks is on their copies, too."""
    source, target = state.path(f"{TREES}/{vmid}"), state.path(f"{TREES}/{newid}")
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        state.write(f"{TREES}/{newid}.seed", state.read(f"{TREES}/{vmid}.seed"))


def power_off(state: State, vmid: int) -> None:
    """The guest is gone; its files stay."""
    if state.has_guest("qemu", vmid):
        runtime.Scripted().stop(guest(state, vmid))


def has_agent(state: State, vmid: int, options: Mapping[str, str]) -> bool:
    """Whether the guest that boots has an agent: its image brings it, or somebody installed it."""
    if boot_disk(state, options) is None:
        return False
    tree = files(state, vmid)
    known = tree.exists("/etc/openwrt_release") or tree.exists(distributions.OS_RELEASE)
    return not known or any(tree.exists(name) for name in AGENTS)


# -- OpenWrt's image ---------------------------------------------------------------------------------------------------


def boot_partition(disk: Path) -> bytes:
    """The first partition's bytes, as far as a boot partition is long; empty when there is none."""
    with disk.open("rb") as file:
        head = file.read(3 * SECTOR)
        kind, start, count = struct.unpack_from("<4xB3xII", head, 446)
        if kind == 0xEE and head[SECTOR : SECTOR + 8] == b"EFI PART":
            first, last = struct.unpack_from("<QQ", head, 2 * SECTOR + 32)
            start, count = first, last - first + 1
        file.seek(start * SECTOR)
        return file.read(min(count * SECTOR, MAX_BOOT)) if start and count else b""


def is_openwrt(boot: bytes) -> bool:
    """Whether a boot partition is OpenWrt's: it is labelled ``kernel``."""
    ext4 = boot[1080:1082] == b"\x53\xef" and boot[1144:1160].rstrip(b"\0") == b"kernel"
    fat = any(boot[place : place + 11] == b"KERNEL     " for place in (43, 71)) or b"KERNEL     \x08" in boot[: 1 << 20]
    return ext4 or fat


def openwrt_release(disk: Path) -> tuple[str, str]:
    """The release that an OpenWrt disk holds and its revision, as a file behind the boot partition tells them."""
    with disk.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = RELEASE.search(data, 0, MAX_BOOT)
        return (found[1].decode(), found[2].decode()) if found else OPENWRT


def find_seed(boot: bytes) -> bytes | None:
    """The configuration archive on a boot partition, unpacked to a tar."""
    packed = _read_ext4(boot, "sysupgrade.tgz")
    if packed:
        return gzip.decompress(packed)
    for found in GZIP.finditer(boot):
        if found.start() % SECTOR:
            continue
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(boot[found.start() : found.start() + MAX_SEED])) as packed:
                data = _first_member(packed)
            with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                if any(name.lstrip("./").startswith("etc/") for name in tar.getnames()):
                    return data
        except (OSError, EOFError, zlib.error, tarfile.TarError):
            continue
    return None


def _read_ext4(boot: bytes, name: str) -> bytes:
    """A file of an ext4; empty where there is none, or no debugfs to read it."""
    program = shutil.which("debugfs", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None or boot[1080:1082] != b"\x53\xef":
        return b""
    with tempfile.TemporaryDirectory(prefix="embedded-vm-") as folder:
        partition, target = Path(folder, "boot.img"), Path(folder, "file")
        partition.write_bytes(boot)
        subprocess.run([program, "-R", f"dump {name} {target}", str(partition)], capture_output=True, check=False)
        return target.read_bytes() if target.exists() else b""


def _first_member(packed: gzip.GzipFile) -> bytes:
    """The first gzip member's data; what follows it on the disk is something else."""
    chunks: list[bytes] = []
    try:
        while chunk := packed.read1(1 << 16):
            chunks.append(chunk)
    except (OSError, EOFError, zlib.error):
        if not chunks:
            raise
    return b"".join(chunks)


def _boot_openwrt(state: State, vmid: int, tree: GuestFiles, boot: bytes, release: tuple[str, str]) -> None:
    if not tree.exists("/etc/openwrt_release"):
        for name, body in openwrt_image.openwrt_tree(*release, TARGET).items():
            _write(tree, name, body)
    data = find_seed(boot)
    digest = hashlib.sha256(data or b"").hexdigest()
    marker = f"{TREES}/{vmid}.seed"
    if data and state.read(marker) != digest:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            # The Python of Debian 12 is older than tarfile's filters.
            tar.extractall(tree.root, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
        state.write(marker, digest)


def _write(tree: GuestFiles, name: str, body: str | bytes | None) -> None:
    """One entry of a tree: a folder, a link (``->target``), or a file."""
    path = tree.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if body is None:
        path.mkdir(parents=True, exist_ok=True)
    elif isinstance(body, str) and body.startswith("->"):
        path.symlink_to(body[2:])
    else:
        path.write_bytes(body.encode() if isinstance(body, str) else body)
        path.chmod(0o755 if "/bin/" in f"/{name}" or "init.d/" in name else 0o644)
