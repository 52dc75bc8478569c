# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's first day: storages, bridges, users, and a few tiny templates made on the spot."""

from __future__ import annotations

import io
import json
import lzma
import tarfile
import time
import typing as t
from pathlib import Path

import zstandard

from .api import access, appliance, credentials
from .qemu import capabilities
from .state import hardware
from .state.root import PRIVATE, State

ADDRESS = "10.10.10.2"
INTERFACES = f"""auto lo
iface lo inet loopback

iface eno1 inet manual

auto vmbr0
iface vmbr0 inet static
\taddress {ADDRESS}/24
\tgateway 10.10.10.1
\tbridge-ports eno1
\tbridge-stp off
\tbridge-fd 0
\tbridge-vlan-aware yes
\tbridge-vids 2-4094

auto vmbr1
iface vmbr1 inet manual
\tbridge-ports none
\tbridge-stp off
\tbridge-fd 0
\tbridge-vlan-aware yes
\tbridge-vids 2-4094
"""
STORAGES = """\
dir: local
\tpath {}/var/lib/vz
\tcontent iso,vztmpl,backup,snippets,import

lvmthin: local-lvm
\tthinpool data
\tvgname pve
\tcontent rootdir,images

"""
#: The start of an ELF file for x86-64, enough to be recognised as one.
ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + (3).to_bytes(2, "little") + (62).to_bytes(2, "little") + bytes(44)
PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
SHADOW = "root:*:20000:0:99999:7:::\nnobody:*:20000:0:99999:7:::\n"
#: Where PVE's Perl modules have their version from.
PVECFG = "package PVE::pvecfg;\n\nsub version {{\n    return '{}';\n}}\n\n1;\n"
GROUPS = "root:x:0:\nnogroup:x:65534:\n"
FOLDERS = (
    "dev",
    "etc",
    "home",
    "mnt",
    "proc",
    "root",
    "run",
    "srv",
    "sys",
    "tmp",
    "usr",
    "usr/bin",
    "usr/sbin",
    "var",
    "var/log",
    "opt",
)

#: The node's devices: address, vendor and device, class, IOMMU group. The disk and the network card share a group.
PCI: tuple[tuple[str, str, str, int], ...] = (
    ("0000:00:00.0", "8086:4660", "0600", 0),
    ("0000:00:01.0", "8086:460d", "0604", 1),
    ("0000:01:00.0", "10de:2504", "0300", 2),
    ("0000:01:00.1", "10de:228e", "0403", 2),
    ("0000:02:00.0", "8086:1572", "0200", 3),
    ("0000:02:00.1", "8086:1572", "0200", 4),
    ("0000:03:00.0", "144d:a808", "0108", 5),
    ("0000:04:00.0", "10ec:8168", "0200", 5),
)
USB = (("1-1", "0403:6001", "FT232 Serial (UART) IC", "FTDI"), ("1-2.4", "10c4:ea60", "CP2102N", "Silicon Labs"))

Files = dict[str, "bytes | str | tuple[str, str]"]
COMMON: dict[str, t.Any] = {
    "etc/passwd": PASSWD, "etc/shadow": SHADOW, "etc/group": GROUPS, "etc/resolv.conf": "",
    "etc/hosts": "127.0.0.1 localhost\n",
}  # fmt: skip
DEBIAN: dict[str, t.Any] = {
    **COMMON,
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nVERSION_ID="13"\nID=debian\n',
    "etc/debian_version": "13.1\n",
    "etc/ssh/sshd_config": "PermitRootLogin prohibit-password\n",
    "bin": ("link", "usr/bin"), "sbin": ("link", "usr/sbin"), "lib": ("link", "usr/lib"),
    "usr/bin/dash": ELF, "usr/bin/sh": ("link", "dash"),
    "usr/lib/systemd/systemd": ELF, "usr/lib/systemd/libsystemd-core-257.so": "",
    "usr/sbin/init": ("link", "../lib/systemd/systemd"),
}  # fmt: skip
UBUNTU: dict[str, t.Any] = {
    **DEBIAN,
    "etc/os-release": 'PRETTY_NAME="Ubuntu 24.04.1 LTS"\nVERSION_ID="24.04"\nID=ubuntu\nID_LIKE=debian\n',
    "etc/debian_version": "trixie/sid\n",
}
ALPINE: dict[str, t.Any] = {
    **COMMON,
    "etc/os-release": 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.22.0\nPRETTY_NAME="Alpine Linux v3.22"\n',
    "etc/alpine-release": "3.22.0\n",
    "bin/busybox": ELF, "bin/sh": ("link", "/bin/busybox"), "sbin/init": ("link", "/bin/busybox"),
}  # fmt: skip
TEMPLATES = {
    "debian-13-standard_13.1-2_amd64.tar.zst": DEBIAN,
    "ubuntu-24.04-standard_24.04-2_amd64.tar.zst": UBUNTU,
    "alpine-3.22-default_20250617_amd64.tar.xz": ALPINE,
}


def make_template(path: Path, files: t.Mapping[str, t.Any]) -> None:
    """Write a tar archive; a value is text, bytes, or ("link", target). The compression is the name's."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name in FOLDERS:
            if name not in files:
                _add(tar, name, tarfile.DIRTYPE)
        made = set(FOLDERS)
        for name, value in files.items():
            for parent in reversed(Path(name).parents):
                if str(parent) not in made and str(parent) != ".":
                    _add(tar, str(parent), tarfile.DIRTYPE)
                    made.add(str(parent))
            if isinstance(value, tuple):
                _add(tar, name, tarfile.SYMTYPE, link=value[1])
            else:
                _add(tar, name, tarfile.REGTYPE, value.encode() if isinstance(value, str) else value)
    data = raw.getvalue()
    pack = {"zst": zstandard.ZstdCompressor().compress, "xz": lzma.compress}[path.name.rsplit(".", 1)[-1]]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pack(data))


def _add(tar: tarfile.TarFile, name: str, kind: bytes, data: bytes = b"", link: str = "") -> None:
    member = tarfile.TarInfo(f"./{name}")
    member.type = kind
    member.mode = (
        0o755
        if kind == tarfile.DIRTYPE or name.startswith(("usr/bin", "usr/sbin", "bin", "usr/lib/systemd/systemd"))
        else 0o644
    )
    member.size = len(data)
    member.linkname = link
    member.mtime = 1_750_000_000
    tar.addfile(member, io.BytesIO(data))


def add_bridge(state: State, name: str, bridge: bool = True, vlan_aware: bool = False) -> None:
    """Make a network interface appear below ``/sys/class/net``."""
    folder = state.path(f"sys/class/net/{name}")
    (folder / "bridge" if bridge else folder).mkdir(parents=True, exist_ok=True)
    (folder / "mtu").write_text("1500\n", encoding="utf-8")
    if bridge:
        (folder / "bridge/vlan_filtering").write_text(f"{int(vlan_aware)}\n", encoding="utf-8")
    number = sum(name.encode()) % 256
    (folder / "address").write_text(f"bc:24:11:00:00:{number:02x}\n", encoding="utf-8")
    (folder / "operstate").write_text("up\n", encoding="utf-8")


def add_devices(state: State) -> None:
    """The devices that a node has."""
    for address, ids, kind, group in PCI:
        hardware.add_pci(state, address, ids, kind, group)
    for port, ids, product, maker in USB:
        hardware.add_usb(state, port, ids, product, maker)


def prepare(root: Path, name: str, settings: t.Mapping[str, t.Any], password: str, token: tuple[str, str]) -> State:
    """Complete a state root; what is there already stays. ``token`` is a name and its secret."""
    _make_folders(root, name)
    state = State(root)
    known = state.read_json(f"{PRIVATE}/settings.json", {})
    state.write(f"{PRIVATE}/settings.json", json.dumps({**known, **settings}))
    state.write(f"{PRIVATE}/started.json", json.dumps(time.time()))
    state.write("usr/share/perl5/PVE/pvecfg.pm", PVECFG.format(state.settings()["release"]))
    if not state.read("etc/pve/storage.cfg"):
        state.write("etc/pve/storage.cfg", STORAGES.format(root))
        for folder in ("template/iso", "template/cache", "dump", "snippets", "import"):
            (root / "var/lib/vz" / folder).mkdir(parents=True, exist_ok=True)
        for template, files in TEMPLATES.items():
            make_template(root / "var/lib/vz/template/cache" / template, files)
    if not state.path(appliance.INDEXES).is_dir():
        state.write(f"{appliance.INDEXES}/download.proxmox.com", appliance.index())
    if not state.read("etc/network/interfaces"):
        state.write("etc/network/interfaces", INTERFACES)
        state.write("etc/hosts", f"127.0.0.1 localhost.localdomain localhost\n{ADDRESS} {name}.example.org {name}\n")
        for bridge in ("vmbr0", "vmbr1"):
            add_bridge(state, bridge, vlan_aware=True)
        add_bridge(state, "eno1", bridge=False)
    if not state.path(hardware.PCI).exists():
        add_devices(state)
    cpus = range(state.settings()["cpus"])
    state.write("proc/cpuinfo", "\n".join(f"processor\t: {number}\nmodel name\t: Embedded\n" for number in cpus))
    memory = int(state.settings()["memory"]) // 1024
    state.write("proc/meminfo", f"MemTotal:       {memory} kB\nSwapTotal:             0 kB\n")
    machines = [each for each in capabilities.machine_versions() if "+" not in each["version"]]
    state.write("usr/share/kvm/machine-versions-x86_64.json", json.dumps(machines))
    for empty in ("etc/pve/sdn/vnets.cfg", "proc/net/unix"):
        if not state.path(empty).exists():
            state.write(empty, "")
    ppp = state.path("dev/ppp")  # kmod makes it before the module is loaded
    if not ppp.is_symlink():
        ppp.parent.mkdir(parents=True, exist_ok=True)
        ppp.symlink_to("/dev/null")
    _users(state, password, token)
    state.publish()
    return state


def _make_folders(root: Path, name: str) -> None:
    """The node's folders below ``etc/pve``, and the links to them."""
    for folder in ("lxc", "qemu-server"):
        (root / f"etc/pve/nodes/{name}/{folder}").mkdir(parents=True, exist_ok=True)
    for link, target in (
        ("local", f"nodes/{name}"),
        ("lxc", f"nodes/{name}/lxc"),
        ("qemu-server", f"nodes/{name}/qemu-server"),
    ):
        path = root / "etc/pve" / link
        if not path.is_symlink():
            path.symlink_to(target)


def _users(state: State, password: str, token: tuple[str, str]) -> None:
    conf = access.UserFile.load(state)
    name = f"root@pam!{token[0]}"
    conf.tokens[name] = ["0", "0", ""]
    conf.save(state)
    credentials.set_secret(state, "shadow.cfg", "root@pam", password)
    credentials.set_secret(state, "token.cfg", name, token[1])
    credentials.signing_key(state)  # before several log in at once
