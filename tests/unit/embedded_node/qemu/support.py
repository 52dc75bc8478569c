# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of VMs share: ``qm`` on a state root, requests of anybody, and images that boot."""

from __future__ import annotations

import typing as t

from embedded_node import commands
from embedded_node.api import access, credentials
from embedded_node.api.http import respond
from embedded_node.state.root import State

if t.TYPE_CHECKING:
    from pathlib import Path

    from ..conftest import Machine


class Qm:
    """``qm`` on a state root; words are given as they are, so that blanks may be in them."""

    def __init__(self, machine: Machine) -> None:
        self.root, self.state = machine.root, State(machine.root)

    def run(self, *words: str, stdin: bytes = b"") -> tuple[int, str, str]:
        return commands.run(["qm", *words], self.root, stdin)

    def ok(self, *words: str) -> str:
        code, out, err = self.run(*words)
        assert (code, err) == (0, ""), (words, err)
        return out.replace(str(self.root), "")

    def fails(self, *words: str) -> str:
        code, _unused, err = self.run(*words)
        assert code != 0, words
        return err

    def conf(self, vmid: int = 100) -> dict[str, str]:
        return self.state.guest("qemu", vmid).options

    def pending(self, vmid: int = 100) -> dict[str, str]:
        return self.state.guest("qemu", vmid).pending

    def disk(self, name: str, vmid: int = 100) -> Path:
        return self.root / "var/lib/disks/images" / str(vmid) / name

    def started(self, *words: str) -> None:
        """A VM 100 that runs."""
        self.ok("create", "100", *words)
        self.ok("start", "100")

    def special(self) -> dict[str, str]:
        """What waits for the cloud-init drive to be rebuilt."""
        section = self.state.guest("qemu", 100).special.get("cloudinit")
        return section.options if section else {}


def bootable(path: Path, size: int = 1 << 20) -> Path:
    """A raw image with a boot sector and one marked place."""
    data = bytearray(size)
    data[510:512] = b"\x55\xaa"
    data[700_000:700_006] = b"marked"
    path.write_bytes(data)
    return path


class Caller:
    """A user who makes requests with a token; ``grants`` are pairs of a path and the privileges there."""

    def __init__(self, qm: Qm, *grants: tuple[str, str]) -> None:
        self.qm = qm
        users = access.UserFile.load(qm.state)
        users.users["u@pve"] = ["1", "0", "", "", "", "", "", ""]
        users.tokens["u@pve!t"] = ["0", "0", "", ""]
        for number, (path, privileges) in enumerate(grants):
            users.roles[f"R{number}"] = [privileges, ""]
            users.acl.append(("1", path, "u@pve", f"R{number}"))
        users.save(qm.state)
        credentials.set_secret(qm.state, "token.cfg", "u@pve!t", "s")

    def __call__(self, method: str, path: str, **params: t.Any) -> tuple[int, str]:
        """Status and reason of a request below ``/nodes/pve1/qemu``."""
        header = {"Authorization": "PVEAPIToken=u@pve!t=s"}
        answer = respond(self.qm.state, method, f"/api2/json/nodes/pve1/qemu{path}", params, header)
        return answer.status, answer.reason
