# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the runs of a folder know of each other, and what is laid out before one of them is run again."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .normalise import json_of
from .transcript import recorded_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .transcript import Transcript

NODE = "pve1"
USER_CFG = "etc/pve/user.cfg"
GIB = 1 << 30
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": GIB, "T": 1 << 40}
VOLUME = re.compile(
    r"(?<![\w.-])([a-z][a-z0-9-]*):((?:vztmpl|iso|backup|snippets|import)/[^\s,\"']+"
    r"|\d+/[^\s,\"']+\.(?:raw|qcow2|vmdk|subvol)|vm-[^\s,\"']+)"
)


@dataclass
class Start:
    """Everything to be laid out before a run. Paths in ``files`` and ``host_files`` are the recorded machine's.

    ``agents`` are the VMs whose agent answers, ``deaf`` the guests that ignore a shutdown, ``sites`` what HTTP servers
    hand out: the paths of each ``address:port``, ``releases`` the version of each distribution that guests have.
    """

    files: dict[str, str] = field(default_factory=dict)
    running: set[int] = field(default_factory=set)
    paused: set[int] = field(default_factory=set)
    volumes: dict[str, int] = field(default_factory=dict)
    host_files: dict[str, int] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    copies: list[tuple[str, str]] = field(default_factory=list)
    locks: list[str] = field(default_factory=list)
    commands: list[list[str]] = field(default_factory=list)
    requests: list[Transcript] = field(default_factory=list)
    changes: dict[int, dict[str, str | None]] = field(default_factory=dict)
    backups: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    agents: set[int] = field(default_factory=set)
    deaf: set[int] = field(default_factory=set)
    sites: dict[str, set[str]] = field(default_factory=dict)
    releases: dict[str, str] = field(default_factory=dict)


class World:
    """A folder of transcripts, as a source of neighbours: who made the guest, the task, the storage that one names."""

    def __init__(self, transcripts: Iterable[Transcript]) -> None:
        self.transcripts = list(transcripts)
        self.pool = recorded_files(self.transcripts)
        self.makers: dict[str, Transcript] = {}
        self.file_sizes: dict[str, int] = {}
        self.releases = dict(
            sorted(
                (match[1], match[2])
                for transcript in self.transcripts
                for match in re.finditer(r"vztmpl/([a-z]+)-(\d+[.\d]*)", transcript.asked_text())
            )
        )
        for transcript in self.transcripts:
            for volid, size in listed_volumes(transcript):
                if volid not in self.file_sizes or not transcript.stdout.startswith("NAME"):  # that listing rounds
                    self.file_sizes[volid] = size
            if transcript.http is None:
                upid = re.search(r'^"(UPID:[^"]+)"$', transcript.stdout, re.M)
                if upid:
                    self.makers[upid[1]] = transcript
                continue
            if transcript.status != 200:
                continue
            data = transcript.body.get("data") if isinstance(transcript.body, dict) else None
            if isinstance(data, str) and data.startswith("UPID:"):
                self.makers[data] = transcript

    def maker(self, upid: str) -> Transcript | None:
        """The run that started a task: this one, or else the last one of its kind for the same guest and user."""
        if upid in self.makers:
            return self.makers[upid]
        kind = upid.split(":")[5:8]
        alike = [maker for known, maker in self.makers.items() if known.split(":")[5:8] == kind and kind[1:2] != [""]]
        told = [maker for maker in alike if maker.task_end is not None]
        return told[-1] if told else None

    def creator(self, kind: str, vmid: int) -> Transcript | None:
        """The request of this folder that made a guest over the API."""
        for transcript in self.makers.values():
            http = transcript.http
            if http and http["method"] == "POST" and http["path"].endswith(f"/{kind}"):
                params = http.get("params") or {}
                if str(params.get("vmid")) == str(vmid) and "does not exist" not in str(self.outcome(transcript)):
                    return transcript
        return None

    def outcome(self, maker: Transcript) -> str:
        """All that was recorded of how a run ended: its own answer, and what its task told later."""
        data = maker.body.get("data") if isinstance(maker.body, dict) else None
        upid = data if isinstance(data, str) and data.startswith("UPID:") else None
        later = (json.dumps(t.body) for t in self.transcripts if upid and t.http and upid in t.http["path"])
        return " ".join((maker.answer_text(), *later))

    def configs(self, kind: str, vmid: int) -> list[str]:
        """Every config text recorded for a guest."""
        folder = "lxc" if kind == "lxc" else "qemu-server"
        return self.pool.get(f"etc/pve/{folder}/{vmid}.conf", [])


def options(config: str) -> dict[str, str]:
    """The options of a config's main section."""
    main = config.split("\n[", 1)[0]
    return dict(line.split(": ", 1) for line in main.splitlines() if ": " in line and not line.startswith("#"))


def guest_file(kind: str, vmid: int) -> str:
    return f"etc/pve/{'lxc' if kind == 'lxc' else 'qemu-server'}/{vmid}.conf"


def plain_config(kind: str, vmid: int) -> str:
    if kind == "lxc":
        return (
            f"arch: amd64\nhostname: CT{vmid}\nmemory: 512\nostype: unmanaged\n"
            f"rootfs: local-dir2:{vmid}/vm-{vmid}-disk-0.raw,size=1G\nswap: 512\nunprivileged: 1\n"
        )
    return f"boot: order=scsi0\nmemory: 512\nname: vm{vmid}\nscsi0: local-dir2:{vmid}/vm-{vmid}-disk-0.raw,size=1G\n"


def size_of(text: str) -> int | None:
    """The bytes of a ``size=`` in a disk's options."""
    match = re.search(r"\bsize=(\d+)([KMGT]?)\b", text)
    return int(match[1]) * UNITS[match[2]] if match else None


def format_size(size: int) -> str:
    """A size as configs write it."""
    for unit in ("", "K", "M"):
        if size % 1024:
            return f"{size}{unit}"
        size //= 1024
    return f"{size}G"


def listed_volumes(transcript: Transcript) -> Iterator[tuple[str, int]]:
    if transcript.stdout.startswith("Volid"):
        for line in transcript.stdout.splitlines()[1:]:
            words = line.split()
            yield words[0], int(words[3])
    for line in transcript.stdout.splitlines() if transcript.stdout.startswith("NAME") else ():
        if match := re.match(rf"({VOLUME.pattern}) +([\d.]+)MB", line):
            yield match[1], int(float(match[4]) * (1 << 20))
    data = transcript.body.get("data") if isinstance(transcript.body, dict) else json_of(transcript.stdout)
    for row in data if isinstance(data, list) else ():
        if isinstance(row, dict) and "volid" in row:
            yield row["volid"], int(row.get("size", 1 << 20))
