# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What PVE writes into a fresh container: it looks at the distribution, then sets hostname, network, DNS and so on.

An ``unmanaged`` container gets nothing at all, whatever was asked for.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import typing as t

from ..api import validation
from ..api.session import Session
from ..errors import ApiError
from ..state.propstring import parse
from ..state.rootfs import GuestFiles

KNOWN = (
    "alpine",
    "archlinux",
    "centos",
    "debian",
    "devuan",
    "fedora",
    "gentoo",
    "opensuse",
    "ubuntu",
    "nixos",
    "openeuler",
)
ALIASES = {
    "opensuse-leap": "opensuse", "opensuse-tumbleweed": "opensuse", "opensuse-slowroll": "opensuse", "sles": "opensuse",
    "openEuler": "openeuler", "arch": "archlinux", "rocky": "centos", "almalinux": "centos",
}  # fmt: skip
MARKS = (
    ("etc/debian_version", "debian"), ("etc/devuan_version", "devuan"), ("etc/SuSE-brand", "opensuse"),
    ("etc/fedora-release", "fedora"), ("etc/centos-release", "centos"), ("etc/redhat-release", "centos"),
    ("etc/arch-release", "archlinux"), ("etc/alpine-release", "alpine"), ("etc/gentoo-release", "gentoo"),
    ("nix/store", "nixos"),
)  # fmt: skip
#: e_machine and word size of an ELF file -> PVE's architecture
MACHINES = {
    (62, 2): "amd64",
    (3, 1): "i386",
    (183, 2): "arm64",
    (40, 1): "armhf",
    (243, 1): "riscv32",
    (243, 2): "riscv64",
}
SYSTEMD = {
    ("debian", "11"): 247, ("debian", "12"): 252, ("debian", "13"): 257, ("ubuntu", "22.04"): 249,
    ("ubuntu", "24.04"): 255, ("ubuntu", "25.04"): 257, ("fedora", "42"): 257, ("fedora", "43"): 258,
}  # fmt: skip
HOST_KEYS = {"rsa": "ssh_host_rsa_key", "ed25519": "ssh_host_ed25519_key", "ecdsa": "ssh_host_ecdsa_key"}


def os_release(files: GuestFiles) -> dict[str, str]:
    """The guest's ``/etc/os-release``."""
    rows = (line.partition("=") for line in files.read("/etc/os-release").splitlines() if "=" in line)
    return {key.strip(): value.strip().strip("\"'") for key, _sep, value in rows}


def detect(session: Session, files: GuestFiles) -> str:
    """The distribution, as PVE finds it."""
    identifier = os_release(files).get("ID")
    if identifier:
        if identifier in KNOWN:
            return identifier
        if identifier in ALIASES:
            return ALIASES[identifier]
        session.warn(f"unknown ID '{identifier}' in /etc/os-release file, trying fallback detection")
    if "DISTRIB_ID=Ubuntu" in files.read("/etc/lsb-release"):
        return "ubuntu"
    for name, kind in MARKS:
        if files.exists(name):
            return kind
    if files.exists("etc/os-release"):
        raise ApiError("unable to detect OS distribution")
    session.warn("/etc/os-release file not found and autodetection failed, falling back to 'unmanaged'")
    return "unmanaged"


def architecture(files: GuestFiles) -> str | None:
    """The architecture of the guest's shell."""
    try:
        with files.resolve("/bin/sh").open("rb") as shell:
            head = shell.read(20)
    except OSError:
        return None
    if head[:4] != b"\x7fELF":
        return None
    order: t.Literal["little", "big"] = "little" if head[5] == 1 else "big"
    return MACHINES.get((int.from_bytes(head[18:20], order), head[4]))


def look_at(session: Session, options: dict[str, str], files: GuestFiles) -> None:
    """Complete ostype and arch in the config."""
    if options.get("ostype") != "unmanaged":
        found = detect(session, files)
        expected = options.setdefault("ostype", found)
        if found != expected:
            if not files.exists("etc"):
                session.warn("WARNING: /etc not present in CT, is the rootfs mounted?")
            session.warn(f"got unexpected ostype ({found} != {expected})")
    if "arch" not in options:
        known = None if options["ostype"] == "unmanaged" else architecture(files)
        options["arch"] = known or "amd64"
        if known:
            session.say(f"Detected container architecture: {known}")
        else:
            session.say("Falling back to amd64.\nUse `pct set VMID --arch ARCH` to change.")


def check_public_keys(text: str) -> None:
    """Die unless every line is a public key, options before it allowed."""
    for line in filter(str.strip, text.splitlines()):
        found = re.search(r"(?:^|\s)((?:ssh|ecdsa|sk)-[\w@.-]+)\s+([A-Za-z0-9+/]+=*)(?:\s|$)", line)
        data = base64.b64decode(found[2] + "==") if found else b""
        name = data[4 : 4 + int.from_bytes(data[:4], "big")] if data else b""
        if not found or name != found[1].encode():
            raise ApiError("SSH public key validation error")


def after_create(
    session: Session, options: t.Mapping[str, str], files: GuestFiles, password: str | None, keys: str | None
) -> None:
    """Write what was asked for into a fresh container that PVE manages."""
    if options["ostype"] == "unmanaged":
        return
    if password:
        set_password(files, password)
    if keys:
        block = f"# --- BEGIN PVE ---\n{keys.rstrip()}\n# --- END PVE ---\n"
        files.write("/root/.ssh/authorized_keys", block, 0o600)
    if files.resolve("/etc/ssh").is_dir():
        _host_keys(session, files, options.get("hostname", "localhost").split(".")[0])
    write_settings(session, options, files)


def write_settings(session: Session, options: t.Mapping[str, str], files: GuestFiles) -> None:
    """Hostname, DNS, timezone and network of a container that PVE manages: at its creation and before every start."""
    if options.get("ostype", "unmanaged") == "unmanaged":
        return
    hostname = options.get("hostname", "localhost")
    files.write("/etc/hostname", hostname.split(".")[0] + "\n")
    files.write("/etc/hosts", f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {hostname} {hostname.split('.')[0]}\n")
    if options.get("nameserver") or options.get("searchdomain"):
        search = f"search {options['searchdomain']}\n" if options.get("searchdomain") else ""
        servers = "".join(f"nameserver {server}\n" for server in options.get("nameserver", "").split())
        files.write("/etc/resolv.conf", f"# --- BEGIN PVE ---\n{search}{servers}# --- END PVE ---\n")
    if options.get("timezone", "host") != "host":
        files.write("/etc/timezone", options["timezone"] + "\n")
    files.write("/etc/network/interfaces", interfaces(options))
    version = systemd_version(files)
    if version and version > 241 and "nesting=1" not in options.get("features", ""):
        session.log_warning(f"Systemd {version} detected. You may need to enable nesting.")


def interfaces(options: t.Mapping[str, str]) -> str:
    """ifupdown's file for the networks of a config."""
    lines = ["auto lo", "iface lo inet loopback"]
    for key in sorted(key for key in options if re.fullmatch(r"net\d+", key)):
        net = parse(options[key], validation.option_format("lxc", key))
        lines += ["", f"auto {net['name']}"]
        for family, ip, gateway in (("inet", net.get("ip"), net.get("gw")), ("inet6", net.get("ip6"), net.get("gw6"))):
            if ip in (None, "manual"):
                continue
            method = ip if ip in ("dhcp", "auto") else "static"
            lines.append(f"iface {net['name']} {family} {method}")
            lines += [f"\taddress {ip}"] if method == "static" else []
            lines += [f"\tgateway {gateway}"] if gateway else []
    return "\n".join(lines) + "\n"


def set_password(files: GuestFiles, password: str) -> None:
    """Put a hash of root's password into the guest's shadow file."""
    salt = secrets.token_hex(8)
    digest = base64.b64encode(hashlib.pbkdf2_hmac("sha512", password.encode(), salt.encode(), 5000)).decode()
    rows = [row for row in files.read("/etc/shadow").splitlines() if not row.startswith("root:")]
    files.write("/etc/shadow", "\n".join([f"root:$6${salt}${digest}:20000:0:99999:7:::", *rows]) + "\n", 0o640)


def _host_keys(session: Session, files: GuestFiles, hostname: str) -> None:
    for kind, name in HOST_KEYS.items():
        session.say(f"Creating SSH host key '{name}' - this may take some time ...")
        key = secrets.token_bytes(32)
        fingerprint = base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")
        files.write(f"/etc/ssh/{name}.pub", f"ssh-{kind} {base64.b64encode(key).decode()} root@{hostname}\n")
        session.say(f"done: SHA256:{fingerprint} root@{hostname}")


def systemd_version(files: GuestFiles) -> int | None:
    """The version of the systemd that is the guest's init, None when another one is.

    Its libraries tell; where they are left out of a template, the distribution's release does.
    """
    init = files.resolve("/sbin/init")
    if not init.exists():
        init = files.resolve("/lib/systemd/systemd")
    if init.name != "systemd" or not init.exists():
        return None
    libraries = [
        *init.parent.glob("libsystemd-core-*.so"),
        *files.root.glob("usr/lib/*/systemd/libsystemd-shared-*.so"),
    ]
    for path in libraries:
        found = re.search(r"-(\d+)", path.name)
        if found:
            return int(found[1])
    release = os_release(files)
    return SYSTEMD.get((release.get("ID", ""), release.get("VERSION_ID", "")))
