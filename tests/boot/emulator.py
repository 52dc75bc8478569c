# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM of an embedded node, really started: by QEMU's software emulation, from the config and disks that are there."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import time
import typing as t
from pathlib import Path

from embedded_node import EmbeddedNode, commands

from .conftest import CloudImage

# Generous: an emulated processor on a busy machine needs ten minutes for a boot that takes a real one seconds.
BOOT_SECONDS = 2400


class Emulated:
    """A VM that runs; ``ssh_port`` of this machine leads to the SSH port of the address that the VM is to have."""

    def __init__(
        self, node: EmbeddedNode, vmid: int, image: CloudImage, folder: Path, address: str, network: str
    ) -> None:
        self.console = folder / "console.log"
        self.agent = folder / "agent.sock"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.ssh_port = free.getsockname()[1]
        config = dict(
            line.split(": ", 1)
            for line in (node.root / f"etc/pve/qemu-server/{vmid}.conf").read_text(encoding="utf-8").splitlines()
            if ": " in line
        )
        mac = re.match(r"virtio=([0-9A-Fa-f:]+)", config["net0"])
        assert mac
        disk, seed = (_path(node, config[key].partition(",")[0]) for key in ("scsi0", "ide2"))
        forward = f"user,id=net0,net={network},hostfwd=tcp:127.0.0.1:{self.ssh_port}-{address}:22"
        self.process = subprocess.Popen(
            [
                "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-m", config["memory"], "-smp", config["cores"],
                "-display", "none", "-kernel", str(image.kernel), "-initrd", str(image.initrd),
                "-append", "root=/dev/sda rw console=ttyS0 net.ifnames=0", "-serial", f"file:{self.console}",
                "-device", "virtio-scsi-pci", "-drive", f"if=none,id=scsi0,file={disk},format=raw",
                "-device", "scsi-hd,drive=scsi0", "-drive", f"if=ide,media=cdrom,readonly=on,file={seed}",
                "-netdev", forward, "-device", f"virtio-net-pci,netdev=net0,mac={mac[1]}",
                "-device", "virtio-serial", "-chardev", f"socket,path={self.agent},server=on,wait=off,id=agent",
                "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
            ],
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def ssh(self, user: str, key: Path, command: str) -> subprocess.CompletedProcess[str]:
        options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes", "ConnectTimeout=120")
        argv = ["ssh", "-q", "-i", str(key), "-p", str(self.ssh_port), *(f"-o{option}" for option in options)]
        return subprocess.run([*argv, f"{user}@127.0.0.1", command], capture_output=True, text=True, check=False)

    def await_ssh(self, user: str, key: Path) -> None:
        """Until the user gets in; what the console said is told when nobody ever does."""
        deadline = time.monotonic() + BOOT_SECONDS
        while self.ssh(user, key, "true").returncode != 0:
            told = self.console.read_text(encoding="utf-8", errors="replace")[-2000:] if self.console.exists() else ""
            assert self.process.poll() is None, f"QEMU ended: {told}"
            assert time.monotonic() < deadline, told
            time.sleep(5)

    def ask_agent(self, command: str) -> t.Any:
        """The answer of the guest agent, over the channel that Proxmox VE has to it."""
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(BOOT_SECONDS)
            channel.connect(str(self.agent))
            channel.sendall(json.dumps({"execute": command}).encode() + b"\n")
            with channel.makefile() as answers:
                return json.loads(answers.readline())["return"]

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def emulated(*args: t.Any) -> t.Iterator[Emulated]:
    """A VM that runs until the end of the block."""
    vm = Emulated(*args)
    try:
        yield vm
    finally:
        vm.stop()


def _path(node: EmbeddedNode, volid: str) -> Path:
    rc, out, err = commands.run(["pvesm", "path", volid], node.root, b"")
    assert rc == 0, err
    path = Path(out.strip())
    return path if path.is_relative_to(node.root) else node.root / path.relative_to("/")
