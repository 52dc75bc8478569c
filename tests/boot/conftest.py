# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cloud image of Debian, made here from Debian's packages: real cloud-init, OpenSSH and guest agent."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

CACHE = Path(__file__).parents[2] / ".cache" / "boot"
PROGRAMS = ("mmdebstrap", "mkfs.ext4", "qemu-system-x86_64", "ssh", "ssh-keygen")
PACKAGES = (
    "linux-image-cloud-amd64", "cloud-init", "qemu-guest-agent", "openssh-server", "sudo", "sysvinit-core", "udev",
    "kmod", "procps", "ifupdown", "iproute2",
)  # fmt: skip
# System V init takes a third of the time that systemd takes where a processor is emulated. It brings the network up
# before cloud-init would have configured it, so cloud-init's first part goes before that.
HOOK = """
set -eu
echo '/dev/sda / ext4 defaults 0 1' > "$1/etc/fstab"
echo "locale: false" > "$1/etc/cloud/cloud.cfg.d/99-no-locale.cfg"
mv "$1"/etc/rc2.d/S??cloud-init-local "$1/etc/rcS.d/S09cloud-init-local"
"""


@dataclass(frozen=True)
class CloudImage:
    """A disk without a boot loader, and what to start it with."""

    disk: Path
    kernel: Path
    initrd: Path


def _make(image: CloudImage) -> None:
    work = CACHE / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    hook = work / "hook.sh"
    hook.write_text(HOOK, encoding="utf-8")
    root = work / "root.tar"
    command = ["mmdebstrap", "--variant=minbase", "--mode=root", f"--include={','.join(PACKAGES)}"]
    command += ["--aptopt=APT::Install-Recommends false", "--dpkgopt=path-exclude=/usr/share/man/*"]
    command += ["--dpkgopt=path-exclude=/usr/share/locale/*", f'--customize-hook=sh {hook} "$1"', "bookworm", str(root)]
    subprocess.run(command, check=True)
    (work / "root").mkdir()
    with tarfile.open(root) as archive:
        archive.extractall(work / "root", filter="fully_trusted")
    for target, pattern in ((image.kernel, "vmlinuz-*"), (image.initrd, "initrd.img-*")):
        shutil.copyfile(next((work / "root/boot").glob(pattern)), target)
    disk = work / "disk.raw"
    with disk.open("wb") as handle:
        handle.truncate(1200 * 1024**2)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-d", str(work / "root"), str(disk)], check=True)
    disk.rename(image.disk)
    shutil.rmtree(work)


@pytest.fixture(scope="session")
def cloud_image() -> t.Iterator[CloudImage]:
    """Made once, and kept: it is 400 MiB of packages."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"a VM can really be booted only where these are: {', '.join(missing)}")
    if os.getuid() != 0:
        pytest.skip("only root can make an image of a system")
    image = CloudImage(CACHE / "debian.raw", CACHE / "vmlinuz", CACHE / "initrd.img")
    if not image.disk.exists():
        _make(image)
    yield image
