# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A start, written under a state root: configs, storages, images, templates, backups."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from .transcript import STORAGE_CFG
from .world import GIB, NODE, options, size_of

if TYPE_CHECKING:
    from .world import Start

CONTENT_DIRS = {
    "vztmpl": "template/cache",
    "iso": "template/iso",
    "backup": "dump",
    "snippets": "snippets",
    "import": "import",
}
# The start of an ELF file for x86-64: what the architecture is told from.
ELF = "\x7fELF\x02\x01\x01" + "\0" * 9 + "\x03\0\x3e\0" + "\0" * 44


def lay_out(start: Start, root: Path) -> None:
    """Writes a start under a state root. What is already there of the node's own files stays."""
    nodes = root / "etc/pve/nodes" / NODE
    for folder in ("lxc", "qemu-server"):
        (nodes / folder).mkdir(parents=True, exist_ok=True)
        link = root / "etc/pve" / folder
        if not link.exists():
            link.symlink_to(f"nodes/{NODE}/{folder}")
    if not (root / "etc/pve/local").exists():
        (root / "etc/pve/local").symlink_to(f"nodes/{NODE}")
    for folder in ("run/qemu-server", "run/lock/lxc", "run/lock/qemu-server", "proc/net", "var/lib/lxc", "root"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name, text in start.files.items():
        if name == STORAGE_CFG:
            text = re.sub(r"^(\tpath )/", rf"\1{root}/", text, flags=re.M)
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    cfg = (root / STORAGE_CFG).read_text(encoding="utf-8")
    paths = storage_paths(cfg)
    for folder in paths.values():
        Path(folder).mkdir(parents=True, exist_ok=True)
    for volid, size in start.volumes.items():
        storage, _unused, name = volid.partition(":")
        if storage in paths:
            btrfs = re.search(rf"^btrfs: {re.escape(storage)}$", cfg, re.M) is not None
            _write_volume(Path(paths[storage]), name, size, volid in start.broken, btrfs)
            if volid in start.weights:
                heavy = Path(paths[storage]) / "template/cache" / name.rsplit("/", 1)[-1]
                _write_template(heavy, False, start.weights[volid])
            if volid in start.backups:
                _write_backup(Path(paths[storage]) / "dump" / name.rsplit("/", 1)[-1], start.backups[volid])
            if volid in start.sizes:
                _pad(Path(paths[storage]) / "template/cache" / name.rsplit("/", 1)[-1], start.sizes[volid])
    for name, size in start.host_files.items():
        _write_host_file(root / name.lstrip("/"), size, name in start.broken)
    for source, target in start.copies:
        data = (root / source.lstrip("/")).read_bytes()
        (root / target.lstrip("/")).write_bytes(data)
    for name, text in start.texts.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for name in start.removed:
        (root / name.lstrip("/")).unlink(missing_ok=True)
    run_guests(start, root)


def run_guests(start: Start, root: Path) -> None:
    """Marks the guests that run: a container by its command socket, a VM by its pid file."""
    nodes = root / "etc/pve/nodes" / NODE
    sockets = "".join(
        f"0000000000000000: 00000002 00000000 00010000 0001 01 {vmid} @/var/lib/lxc/{vmid}/command\n"
        for vmid in sorted(start.running)
        if (nodes / "lxc" / f"{vmid}.conf").exists()
    )
    (root / "proc/net/unix").write_text("Num       RefCount Protocol Flags    Type St Inode Path\n" + sockets)
    for vmid in start.running:
        if (nodes / "qemu-server" / f"{vmid}.conf").exists():
            (root / "run/qemu-server" / f"{vmid}.pid").write_text("4242\n")


def storage_paths(cfg: str) -> dict[str, str]:
    """The path of each storage that has one."""
    return {match[1]: match[2] for match in re.finditer(r"^\w+: (\S+)\n(?:\t.*\n)*?\tpath (\S+)$", cfg, re.M)}


def change_configs(start: Start, root: Path) -> None:
    """Brings configs that the node made during set-up to the facts known of them."""
    for vmid, changes in start.changes.items():
        for folder in ("lxc", "qemu-server"):
            path = root / "etc/pve/nodes" / NODE / folder / f"{vmid}.conf"
            if path.exists():
                main, mark, rest = path.read_text(encoding="utf-8").partition("\n[")
                held = options(main)
                _resize(held, changes.pop("maxdisk", None))
                held.update({key: value for key, value in changes.items() if value is not None})
                held = {key: value for key, value in held.items() if changes.get(key, "") is not None}
                notes = "".join(line + "\n" for line in main.splitlines() if line.startswith("#"))
                body = "".join(f"{key}: {value}\n" for key, value in sorted(held.items()))
                path.write_text(notes + body + mark + rest, encoding="utf-8")


def _resize(held: dict[str, str], size: str | None) -> None:
    """Gives the first disk of a config the size that a listing showed."""
    disk = next((key for key in ("rootfs", "scsi0", "virtio0", "sata0", "ide0") if "size=" in held.get(key, "")), None)
    if disk and size:
        held[disk] = re.sub(r"size=\w+", f"size={size}", held[disk])


def _write_backup(path: Path, config: str) -> None:
    """A backup of a guest."""
    if "vzdump-qemu-" in path.name:
        _write_machine(path, config)
    else:
        _write_container(path, config)


def _write_machine(path: Path, config: str) -> None:
    """A backup of a VM: its config, and empty disks of the sizes that it tells."""
    from embedded_node.state import vma

    disks: dict[str, tuple[int, list[tuple[int, bytes]]]] = {}
    main = config.split("\n[", 1)[0].rstrip("\n") + "\n"
    for name, text in options(config).items():
        if re.match(r"(?:scsi|virtio|sata|ide|efidisk|tpmstate)\d", name) and "media=cdrom" not in text:
            storage, form = text.partition(":")[0], "qcow2" if ".qcow2" in text else "raw"
            main += f"#qmdump#map:{name}:drive-{name}:{storage}:{form}:\n"
            disks[f"drive-{name}"] = (size_of(text) or GIB, [])
    raw = io.BytesIO()
    vma.write(raw, {"qemu-server.conf": main.encode()}, disks)
    path.write_bytes(_packed(path, raw.getvalue()))


def _write_container(path: Path, config: str) -> None:
    """A backup of a container: its config, and the files of a small system."""
    files = {"etc/vzdump/pct.conf": config, "bin/sh": "#!/bin/sh\n", "etc/hostname": "backup\n"}
    _pack(path, files, (".", "etc", "etc/vzdump", "bin"))


def _pad(path: Path, size: int) -> None:
    """Brings a compressed archive to an exact size, with bytes that its reader passes over."""
    short = size - path.stat().st_size
    if path.suffix == ".zst" and short > 8:
        with path.open("ab") as file:
            file.write(struct.pack("<II", 0x184D2A50, short - 8))
    if path.suffix in (".zst", ".gz") and short > 8:
        with path.open("r+b") as file:
            file.truncate(size)


def _write_volume(folder: Path, name: str, size: int, broken: bool, btrfs: bool) -> None:
    """One volume. btrfs keeps every disk in a subvolume of its own."""
    content, _unused, base = name.partition("/")
    if content in CONTENT_DIRS:
        path = folder / CONTENT_DIRS[content] / base
        path.parent.mkdir(parents=True, exist_ok=True)
        if content == "vztmpl":
            _write_template(path, broken)
        elif content == "snippets":
            path.write_text("#cloud-config\n")
        elif base.endswith(".qcow2"):
            path.write_bytes(qcow2(size))
        else:
            _sparse(path, size)
        return
    path = folder / "images" / name if "/" in name else folder / name
    if btrfs:
        path = path.with_suffix("") if name.endswith(".subvol") else path.with_suffix("") / "disk.raw"
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".subvol"):
        path.mkdir(exist_ok=True)
    elif name.endswith(".qcow2"):
        path.write_bytes(qcow2(size))
    else:
        _sparse(path, size)


def _write_host_file(path: Path, size: int, broken: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".pub", ".keys"):
        path.write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJk0wZrCq0S1xwT1XqvQ8m3m7n5nq3c3wYH3fYQ0C1aV test@x\n")
    elif broken:
        path.write_text("junk\n")
    elif path.parent.name == "cache":
        _write_template(path, broken)
    elif path.suffix == ".qcow2":
        path.write_bytes(qcow2(size))
    elif path.suffix in (".raw", ".img", ".iso"):
        _sparse(path, size)
    elif str(path).endswith("/srv") or (not path.suffix and "/srv/" in str(path)):
        path.mkdir(parents=True, exist_ok=True)
    elif not path.exists():
        path.write_text("")


def _sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def qcow2(size: int) -> bytes:
    """The header of an empty qcow2 image (version 3) of this virtual size."""
    header = struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 0, 0, 16, size, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 4, 104)
    return header + b"\0" * (196616 - len(header))


def system_files(distribution: str, release: str) -> dict[str, str]:
    """The files that tell a distribution and its init. The small ones have none of them."""
    if distribution == "busybox":
        return {}
    major = release.split(".")[0]
    files = {
        "etc/os-release": f"ID={distribution}\nVERSION_ID=\"{major}\"\n", "etc/debian_version": f"{major}.1\n",
        "etc/ssh/sshd_config": "PermitRootLogin prohibit-password\n", "bin/sh": ELF, "lib/systemd/systemd": ELF,
    }  # fmt: skip
    if (distribution, major) == ("debian", "13"):
        files["usr/lib/systemd/libsystemd-core-257.so"] = ""
    return files


def _write_template(path: Path, broken: bool, weight: int = 0) -> None:
    """A small root file system and ``weight`` bytes more, packed as the name says, which tells the distribution too."""
    distribution = re.match(r"([a-z]+)-(\d+[.\d]*)", path.name)
    files = {"bin/sh": "#!/bin/sh\n", "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/hostname": "template\n"}
    if distribution:
        files.update(system_files(distribution[1], distribution[2]))
    if weight:
        files["usr/lib/large"] = "\0" * weight
    folders = (".", "bin", "dev", "etc", "lib", "proc", "root", "sbin", "sys", "tmp", "var")
    _pack(path, files, folders, broken)


def _pack(path: Path, files: dict[str, str], folders: tuple[str, ...], broken: bool = False) -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for folder in folders:
            info = tarfile.TarInfo(f"./{folder}")
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        for name, text in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size, info.mode = len(text), 0o755
            tar.addfile(info, io.BytesIO(text.encode("latin-1")))
    data = _packed(path, raw.getvalue())
    path.write_bytes(data[: len(data) // 2] if broken else data)


def _packed(path: Path, data: bytes) -> bytes:
    """The data compressed as the name says."""
    packers = {".zst": ["zstd", "-q", "-c"], ".xz": ["xz", "-c"], ".gz": ["gzip", "-c"], ".bz2": ["bzip2", "-c"]}
    packer = packers.get(path.suffix)
    return subprocess.run(packer, input=data, stdout=subprocess.PIPE, check=True).stdout if packer else data
