# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which guests there were before a run, how they were configured, and which of them ran."""

from __future__ import annotations

import functools
import re
import shlex
from typing import TYPE_CHECKING, Any

from .normalise import json_of
from .world import GIB, UNITS, format_size, guest_file, options, plain_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .transcript import Transcript
    from .world import Start, World

# Facts about the start that a run tells by what it found. The first that fits is believed.
SAYS_STOPPED = re.compile(
    r"(?:CT|VM) \d+ (?:is )?not running|(?<![Aa]gent) is not running|container '\d+' not running"
    r"|status: stopped|can only (?:push|pull) |\"status\": ?\"stopped\""
)
SAYS_RUNNING = re.compile(
    r"already running|is running\b|status: (?:running|paused)|if (?:the )?(?:CT|VM) is running"
    r"|got timeout|VM still running|\"status\": ?\"running\"|guest agent is not running"
    r"|drive mirror|Entering QEMU Monitor",
    re.I,
)
# What only succeeds on a running guest.
NEEDS_RUNNING = frozenset({
    "stop", "shutdown", "exec", "push", "pull", "reboot", "suspend", "resume", "reset", "enter", "console", "df",
})  # fmt: skip
QM_HARMLESS = frozenset(("stop", "shutdown"))


def render(data: dict[str, Any]) -> str:
    """A config file that holds these options."""
    lines = [f"{key}: {value}" for key, value in sorted(data.items()) if key not in ("digest", "description")]
    notes = [f"#{line}" for line in str(data.get("description", "")).splitlines()]
    return "\n".join((*notes, *lines)) + "\n"


def matching_config(data: dict[str, Any], texts: list[str]) -> str | None:
    """The recorded text whose options are these, if there is one."""
    wanted = {key: str(value) for key, value in data.items() if key not in ("digest", "description")}
    return next((text for text in texts if options(text) == wanted), None)


def is_missing(transcript: Transcript, vmid: int) -> bool:
    pattern = rf"/{vmid}\.conf' does not exist|for VM {vmid} on node|(?:CT|VM) '?{vmid}'? does not exist"
    return re.search(pattern, transcript.answer_text()) is not None


def row_facts(kind: str, row: dict[str, Any]) -> dict[str, str | None]:
    """Config options that a status row tells; ``None`` for those it tells to be missing."""
    found: dict[str, str | None] = {}
    if row.get("name"):
        found["hostname" if kind == "lxc" else "name"] = str(row["name"])
    if row.get("maxmem"):
        found["memory"] = str(int(row["maxmem"]) >> 20)
    if kind == "lxc" and "maxswap" in row:
        found["swap"] = str(int(row["maxswap"]) >> 20)
    if "cpu" in row or row.get("tags"):
        found["tags"] = str(row["tags"]) if row.get("tags") else None
    if "cpu" in row and kind == "qemu":
        found["balloon"] = str(row["balloon_min"] >> 20) if "balloon_min" in row else None
        found["template"] = "1" if row.get("template") else None
    if "cpu" in row and kind == "lxc":
        cpus = row.get("cpus", row.get("maxcpu", ""))
        limited = isinstance(cpus, str) or "." in str(cpus)
        found.update({"cpulimit": str(cpus), "cores": None} if limited else {"cpulimit": None, "cores": str(cpus)})
    if "cpu" in row and kind == "qemu":
        found.update({"cores": str(row.get("cpus", row.get("maxcpu"))), "sockets": None})
        found.update({} if row.get("serial") or "maxcpu" in row else {"serial0": None})
        found.update({} if row.get("maxdisk") else {"boot": None})
    for card in row.get("nics") or ():
        found[f"net{card.rpartition('i')[2]}"] = "virtio=BC:24:11:00:00:0A,bridge=vmbr0"
    if row.get("maxdisk"):
        found["maxdisk"] = format_size(int(row["maxdisk"]))
    return found


def _rows(transcript: Transcript) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """The guests that a listing shows: kind, id and what else the row tells."""
    text = transcript.stdout
    data = transcript.body.get("data") if isinstance(transcript.body, dict) else json_of(text)
    asked = "/qemu" if "/qemu" in transcript.asked_text() else "/lxc"
    for row in data if isinstance(data, list) else ():
        if isinstance(row, dict) and "vmid" in row:
            kind = row["type"] if row.get("type") in ("lxc", "qemu") else asked.strip("/")
            yield kind, int(row["vmid"]), row
    if re.match(r"VMID +Status +Lock +Name", text):
        for line in text.splitlines()[1:]:
            if match := re.match(r"(\d+) +(\S+) +(\S*) +(\S+)", f"{line[:22]} {line[22:]}"):
                yield "lxc", int(match[1]), {"status": match[2], "lock": match[3], "name": match[4]}
    if re.match(r" *VMID NAME +STATUS", text):
        for line in text.splitlines()[1:]:
            if match := re.match(r" *(\d+) (.*?) +(running|stopped|paused) +(\d+) +([\d.]+) ", f"{line} "):
                name = None if match[2] == f"VM {match[1]}" else match[2]
                yield (
                    "qemu",
                    int(match[1]),
                    {"status": match[3], "name": name, "maxmem": int(match[4]) << 20, "maxdisk": float(match[5]) * GIB},
                )


def find_listed(transcript: Transcript, world: World, start: Start) -> None:
    for kind, vmid, row in _rows(transcript):
        if row.get("status") == "running":
            start.running.add(vmid)
        name = guest_file(kind, vmid)
        if any(command[1:3] == ["create", str(vmid)] for command in start.commands):
            continue
        if name not in start.files:
            texts = world.configs(kind, vmid) or [plain_config(kind, vmid)]
            start.files[name] = max(texts, key=functools.partial(_fit, kind, row))
            start.changes[vmid] = row_facts(kind, row)
        if row.get("lock"):
            start.changes.setdefault(vmid, {})["lock"] = row["lock"]


def _fit(kind: str, row: dict[str, Any], text: str) -> int:
    """How many facts of a row a config text fulfils."""
    held = options(text)
    facts = row_facts(kind, row)
    size = re.search(r"^(?:rootfs|scsi0|virtio0|sata0|ide0): .*size=(\d+)([KMGT]?)", text, re.M)
    fits = sum(held.get(key) == value for key, value in facts.items())
    if row.get("maxdisk"):
        fits += bool(size and int(size[1]) * UNITS[size[2]] == row["maxdisk"])
    cpus = float(held.get("cpulimit") or int(held.get("cores", 0)) * int(held.get("sockets", 1)))
    fits += cpus == float(row.get("cpus") or row.get("maxcpu") or -1)
    return fits + (held.get("lock") == row.get("lock")) + ("tags" in held) * ("tags" in row)


def find_running(transcript: Transcript, start: Start) -> None:
    """Which of the named guests ran."""
    guests, text = transcript.guests(), transcript.answer_text()
    for command in (shlex.split(line) for line in transcript.setup if line.startswith(("pct ", "qm "))):
        if command[1] in ("start", "stop") and command[2].isdigit():
            (start.running.add if command[1] == "start" else start.running.discard)(int(command[2]))
            guests.discard(int(command[2]))
    subject = next((int(word) for word in transcript.argv[1:4] if word.isdigit()), None)
    for vmid in guests:
        if transcript.argv and vmid != subject and transcript.argv[0] in ("pct", "qm"):
            continue
        if not transcript.tells_all and _was_running(transcript, vmid, text):
            start.running.add(vmid)
    if re.search(r"status: paused|\"(?:qmp)?status\": \"paused\"", text):
        start.paused.update(guests)
        start.running.update(guests)
    if transcript.argv[:2] == ("qm", "resume") and transcript.rc == 0:
        start.paused.update(guests)


def _was_running(transcript: Transcript, vmid: int, text: str) -> bool:
    verb = next((word for word in transcript.argv[1:3] if re.fullmatch(r"[a-z-]+", word)), "")
    before = "".join(t for name, t in transcript.start_files().items() if name.endswith(f"/{vmid}.conf"))
    after = "".join(t for name, t in transcript.files_after.items() if name.endswith(f"/{vmid}.conf"))
    if SAYS_STOPPED.search(text):
        return False
    if SAYS_RUNNING.search(text) or "[PENDING]" in before:
        return True
    if verb in NEEDS_RUNNING and transcript.rc == 0 and not (transcript.argv[0] == "qm" and verb in QM_HARMLESS):
        return True
    if transcript.argv[:2] == ("qm", "suspend") and transcript.rc == 0:
        return True
    if transcript.argv[0:1] == ("pct",) and verb == "exec" and transcript.rc not in (2, 255):
        return True
    if "/interfaces" in transcript.asked_text() and "127.0.0.1/8" in text:
        return True
    return len(_waiting(after)) > len(_waiting(before))


def _waiting(config: str) -> str:
    """The pending section: it grows only while a guest runs."""
    match = re.search(r"^\[(?:pve:pending|PENDING)\]\n((?:[^\[].*\n?)*)", config, re.M)
    return match[1].strip() if match else ""


def volume_owners(transcript: Transcript) -> Iterator[tuple[str, int]]:
    """The guests that own the volumes of a listing: a container's are of the kind ``rootdir``."""
    for line in transcript.stdout.splitlines()[1:] if transcript.stdout.startswith("Volid") else ():
        words = line.split()
        if len(words) == 5 and words[2] in ("rootdir", "images"):
            yield ("lxc" if words[2] == "rootdir" else "qemu"), int(words[4])
