# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenWrt's package feeds: what the mirror serves, and what a scripted guest installs from.

For opkg (up to 24.10) these are the real formats: ``.ipk`` files, ``Packages`` with its gzip and manifest, and a usign
signature over the plain text. For apk (from 25.12) ``packages.adb`` and the ``.apk`` files have the real names and
places, but not the real bytes: the index is JSON with a usign signature before it, a package is a tar.gz, both behind
four bytes that begin as a real one's do. A scripted guest reads them; apk itself would not.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

from . import images

CORE = "core"
FEEDS = ("base", "luci", "packages", "routing", "telephony")
SITE = "https://downloads.openwrt.org"
_ADB = b"ADBj"  # a real one says "ADB." or "ADBd"


@dataclass(frozen=True)
class Package:
    """One package. ``start`` is the number of its init script, where it has one."""

    version: str
    feed: str = "packages"
    needs: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    start: int | None = None


#: What can be had, by name.
PACKAGES: dict[str, Package] = {
    "adblock": Package("4.2.2-r8", start=30),
    "asterisk": Package("20.9.2-r1", "telephony", start=99),
    "bash": Package("5.2.32-r1"),
    "bird2": Package("2.15.1-r1", "routing", start=99),
    "coreutils": Package("9.3-r1"),
    "curl": Package("8.12.1-r1", needs=("libcurl4",)),
    "ddns-scripts": Package("2.8.2-r65"),
    "dnsmasq-full": Package("2.90-r4", "base"),
    "ethtool": Package("6.11-r1", "base"),
    "htop": Package("3.3.0-r1"),
    "ip-full": Package("6.11.0-r1", "base"),
    "iperf3": Package("3.17.1-r3", "base"),
    "kmod-wireguard": Package("6.6.110-r1", CORE),
    "libcurl4": Package("8.12.1-r1", provides=("libcurl",)),
    "libpcap1": Package("1.10.5-r1", "base", provides=("libpcap",)),
    "luci": Package("25.292.66247~75e41cb", "luci", ("luci-base", "uhttpd")),
    "luci-app-firewall": Package("25.292.66247~75e41cb", "luci"),
    "luci-base": Package("25.292.66247~75e41cb", "luci"),
    "luci-ssl": Package("25.292.66247~75e41cb", "luci", ("luci",)),
    "mtr-nojson": Package("0.95-r1", provides=("mtr",)),
    "nano": Package("8.3-r1"),
    "openssh-sftp-server": Package("9.9_p2-r1"),
    "qemu-ga": Package("9.1.2-r1", start=99),
    "sqm-scripts": Package("1.6.0-r1", start=50),
    "tcpdump": Package("4.99.5-r1", "base", ("libpcap1",)),
    "uhttpd": Package("2023.06.25~34a8a74d-r4", "base", start=50),
    "vim": Package("9.1-r1"),
    "wget-ssl": Package("1.24.5-r1", provides=("wget", "wget-any")),
    "wireguard-tools": Package("1.0.20210914-r4", "base", ("kmod-wireguard",)),
}


class Signer(t.Protocol):
    """Who signs the indexes."""

    def usign(self, data: bytes) -> bytes: ...


# -- where -------------------------------------------------------------------------------------------------------------
def folders(target: str, arch: str) -> dict[str, str]:
    """The directory of each feed below a release's."""
    return {CORE: f"targets/{target}/packages", **{feed: f"packages/{arch}/{feed}" for feed in FEEDS}}


def root(version: str) -> str:
    """A release's directory on the site."""
    return "snapshots" if version.upper() == "SNAPSHOT" else f"releases/{version}"


def distfeeds(version: str, target: str, arch: str) -> str:
    """``/etc/opkg/distfeeds.conf`` of a release."""
    there = f"{SITE}/{root(version)}"
    return "".join(f"src/gz openwrt_{feed} {there}/{folder}\n" for feed, folder in folders(target, arch).items())


def repositories(version: str, target: str, arch: str) -> str:
    """``/etc/apk/repositories.d/distfeeds.list`` of a release."""
    there = f"{SITE}/{root(version)}"
    return "".join(f"{there}/{folder}/packages.adb\n" for folder in folders(target, arch).values())


def feed_at(url: str) -> str:
    """Which feed lies at a URL."""
    last = url.rstrip("/").rpartition("/")[2]
    return last if last in FEEDS and "/targets/" not in url else CORE


# -- packages ----------------------------------------------------------------------------------------------------------
def _contents(name: str) -> images.Tree:
    """The files of a package."""
    package = PACKAGES[name]
    place = f"usr/lib/{name}" if name.startswith(("lib", "kmod-", "luci")) else f"usr/bin/{name}"
    tree: dict[str, str | bytes | None] = {place: b"\x7fELF a placeholder, not a program\n"}
    if package.start is not None:
        tree[f"etc/init.d/{name}"] = f"#!/bin/sh /etc/rc.common\nSTART={package.start}\nUSE_PROCD=1\n"
    return tree


def _control(name: str, arch: str, extra: str = "") -> str:
    package = PACKAGES[name]
    lines = [f"Package: {name}", f"Version: {package.version}"]
    lines += [f"Depends: {', '.join(package.needs)}"] if package.needs else []
    lines += [f"Provides: {', '.join(package.provides)}"] if package.provides else []
    lines += ["Section: utils", f"Architecture: {arch}", "Installed-Size: 1024"]
    return "\n".join(lines) + f"\n{extra}Description:  A small {name} for trying things out.\n"


@functools.cache
def ipk(name: str, arch: str) -> bytes:
    """A package for opkg."""
    members = {
        "debian-binary": "2.0\n",
        "data.tar.gz": images.gz(images.tar(_contents(name))),
        "control.tar.gz": images.gz(images.tar({"control": _control(name, arch)})),
    }
    return images.gz(images.tar(members))


@functools.cache
def apk(name: str, arch: str) -> bytes:
    """A package for apk: see the module's docstring."""
    return _ADB + images.gz(images.tar({**_contents(name), ".PKGINFO": _control(name, arch)}, ""))


def ipk_name(name: str, arch: str) -> str:
    """The file name of a package for opkg."""
    return f"{name}_{PACKAGES[name].version}_{arch}.ipk"


def _of(feed: str) -> list[str]:
    return sorted(name for name, package in PACKAGES.items() if package.feed == feed)


# -- indexes -----------------------------------------------------------------------------------------------------------
@functools.cache
def index(feed: str, arch: str) -> str:
    """The text of ``Packages``."""
    blocks = []
    for name in _of(feed):
        body = ipk(name, arch)
        digest = hashlib.sha256(body).hexdigest()
        facts = f"Filename: {ipk_name(name, arch)}\nSize: {len(body)}\nSHA256sum: {digest}\n"
        blocks.append(f"{_control(name, arch, facts)}\n")
    return "".join(blocks)


def opkg_files(feed: str, arch: str, signer: Signer) -> dict[str, bytes]:
    """All files of a feed for opkg, by name."""
    text = index(feed, arch).encode()
    lists = {"Packages": text, "Packages.gz": images.gz(text), "Packages.manifest": text}
    return {**lists, "Packages.sig": signer.usign(text), **{ipk_name(n, arch): ipk(n, arch) for n in _of(feed)}}


def apk_files(feed: str, arch: str, signer: Signer) -> dict[str, bytes]:
    """All files of a feed for apk, by name."""
    bodies = {name: apk(name, arch) for name in _of(feed)}
    entries = [
        {
            "name": name,
            "version": PACKAGES[name].version,
            "depends": list(PACKAGES[name].needs),
            "provides": list(PACKAGES[name].provides),
            "hashes": hashlib.sha256(body).hexdigest(),
        }
        for name, body in bodies.items()
    ]
    text = json.dumps(entries).encode()
    signature = signer.usign(text)
    adb = _ADB + len(signature).to_bytes(4, "little") + signature + text
    return {"packages.adb": adb, **{f"{n}-{PACKAGES[n].version}.apk": body for n, body in bodies.items()}}


def contents(package: bytes) -> dict[str, bytes]:
    """The files that a package brings, by path."""
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(package.removeprefix(_ADB))) as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.isreg() else None
            if stream is not None and member.name != ".PKGINFO":
                found[member.name.removeprefix("./")] = stream.read()
    return contents(found["data.tar.gz"]) if "data.tar.gz" in found else found


def read_adb(blob: bytes) -> tuple[bytes, bytes]:
    """The text of a ``packages.adb`` and its signature; ValueError when it is none."""
    size = int.from_bytes(blob[4:8], "little")
    if blob[:4] != _ADB or size > len(blob):
        raise ValueError("no index")
    return blob[8 + size :], blob[8 : 8 + size]


# -- signatures --------------------------------------------------------------------------------------------------------
def _key_line(text: str) -> bytes:
    lines = [line for line in text.splitlines() if line and not line.startswith("untrusted comment:")]
    try:
        return base64.b64decode(lines[0]) if lines else b""
    except ValueError:
        return b""


def verified(text: bytes, signature: bytes, keys: t.Iterable[str]) -> bool:
    """Whether one of these usign public keys has signed the text."""
    packed = _key_line(signature.decode("ascii", "replace"))
    public = next((key for key in map(_key_line, keys) if key[:10] == packed[:10] and len(key) == 42), b"")
    if not public or len(packed) != 74:
        return False
    with tempfile.TemporaryDirectory() as folder:
        names = {"key": bytes.fromhex("302a300506032b6570032100") + public[10:], "sig": packed[10:], "text": text}
        for name, body in names.items():
            Path(folder, name).write_bytes(body)
        argv = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey", "key"]
        argv += ["-sigfile", "sig", "-in", "text"]
        return subprocess.run(argv, cwd=folder, capture_output=True, check=False).returncode == 0
