# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A template of Debian for real containers, made on this machine from the package mirrors that its apt is set up with.

It has what PVE's own template has to boot and to be set up: systemd, ifupdown, a DHCP client, apt. Made once, in a
minute, and kept as long as nothing of what it is made of changes.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
import typing as t
import urllib.request
from pathlib import Path

import zstandard

from . import programs

CACHE = Path(__file__).resolve().parents[3] / ".cache" / "containers"
#: The Debian that the profiles of applications are for.
SUITE, NAME = "trixie", "debian-13-standard_13.9-1_amd64.tar.zst"
PACKAGES = (
    "systemd-sysv", "dbus", "ifupdown", "isc-dhcp-client", "iproute2", "iputils-ping", "procps", "ca-certificates",
)  # fmt: skip
#: Smaller, and without waiting for the disk at each package.
DPKG = (
    "force-unsafe-io", "path-exclude=/usr/share/man/*", "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/doc/*",
)  # fmt: skip
APT = ("APT::Install-Recommends false", "Acquire::Retries 3", "Acquire::Languages none")
TIMEOUT = 60.0
FIELDS = ("ORIGIN", "REPO_URI", "RELEASE", "COMPONENT", "CODENAME")


class Repository(t.NamedTuple):
    """A repository of Debian that this machine has."""

    uri: str
    suite: str
    component: str


def reason_against() -> str | None:
    """Why none can be made here; None when it can."""
    if not all(shutil.which(name, path=programs.PATH) for name in ("mmdebstrap", "apt-get")):
        return "a template of Debian is made by mmdebstrap, which is not installed: apt-get install mmdebstrap"
    if not repositories():
        return "this machine's apt knows no repository of Debian: it takes Debian, and apt-get update"
    release = f"{repositories()[0].uri.rstrip('/')}/dists/{SUITE}/InRelease"
    try:
        urllib.request.urlopen(release, timeout=TIMEOUT).close()
    except OSError as error:
        return f"the mirror that this machine's apt has does not answer: {release}: {error}"
    return None


def repositories() -> list[Repository]:
    """Those of Debian among what this machine's apt is set up with, by their own words in its lists."""
    form = "|".join(f"$({name})" for name in FIELDS)
    rows = programs.run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"]).splitlines()
    found = (dict(zip(FIELDS, row.split("|"), strict=True)) for row in rows)
    named = (
        Repository(row["REPO_URI"], row["RELEASE"], row["COMPONENT"]) for row in found if row["ORIGIN"] == "Debian"
    )
    return list(dict.fromkeys(named))


def lines() -> list[str]:
    """The same repositories with the packages of the template's Debian, as apt has them in its list of sources."""
    told = dict(line.partition("=")[::2] for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines())
    own = told["VERSION_CODENAME"].strip('"')
    return [f"deb {each.uri} {each.suite.replace(own, SUITE)} {each.component}" for each in repositories()]


def make() -> Path:
    """The template's file. Its folder is named after a digest of the recipe: another recipe makes another file."""
    recipe = json.dumps([SUITE, lines(), PACKAGES, DPKG, APT])
    target = CACHE / hashlib.sha256(recipe.encode()).hexdigest()[:12] / NAME
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several processes of tests want it at once
        if not target.exists():
            _make(target)
    return target


def _make(target: Path) -> None:
    command = ["mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", f"--include={','.join(PACKAGES)}"]
    command += [f"--dpkgopt={option}" for option in DPKG] + [f"--aptopt={option}" for option in APT]
    plain, packed = target.with_suffix(".work"), target.with_suffix(".part")
    subprocess.run([*command, "--format=tar", SUITE, str(plain), *lines()], env=programs.ENV, check=True)
    with plain.open("rb") as source, packed.open("wb") as out:
        zstandard.ZstdCompressor(level=3).copy_stream(source, out)
    plain.unlink()
    packed.rename(target)


def install(node_root: Path) -> str:
    """Copy it to a node's storage ``local``; returns its volume id."""
    made = make()
    shutil.copyfile(made, node_root / "var/lib/vz/template/cache" / made.name)
    return f"local:vztmpl/{made.name}"


def mirrors() -> list[str]:
    """The URLs that containers of it fetch packages from, for the setting ``mirrors``."""
    return list(dict.fromkeys(each.uri for each in repositories()))
