# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the machine that a command line names, and what was done right before it."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from .volumes import is_lost, source_size
from .world import UNITS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .transcript import Transcript
    from .world import Start, World

HOST_PATH = re.compile(r"(^|=)(/(?:root|srv|dev|tmp|var/lib)(?:/[^,\s]*)?)(?=,|$)")
# A server that is named by its address. Names are not resolved on a machine without a network.
SITE = re.compile(r"http://((?:\d+\.){3}\d+(?::\d+)?)(/[^\s\"'?]*)")


def set_up(transcript: Transcript, start: Start) -> None:
    """What was done right before the run, apart from what the recorded configs already show."""
    if "ignores SIGPWR" in transcript.note:
        start.deaf.update(transcript.guests())
    for line in transcript.setup:
        if match := re.search(r"flock (/\S+)", line):
            start.locks.append(match[1])
        elif match := re.fullmatch(r"cp (\S+) (\S+)", line):
            start.copies.append((match[1], match[2]))
        elif match := re.fullmatch(r"echo (\S+) > (\S+)", line):
            start.host_files[match[2]] = len(match[1]) + 1
            start.broken.add(match[2])
        elif match := re.fullmatch(
            r"(?:truncate -s (\d+)([KMGT]?) (\S+)|qemu-img create -f \w+ (\S+) (\d+)([KMGT]?))", line
        ):
            path, number, unit = (match[3], match[1], match[2]) if match[3] else (match[4], match[5], match[6])
            start.host_files[path] = int(number) * UNITS[unit]
        elif match := re.fullmatch(r"printf '(.*)' > (\S+)", line):
            start.texts[match[2]] = match[1].replace("\\n", "\n")
        elif match := re.fullmatch(r"rm (\S+)", line):
            start.removed.append(match[1])
        elif match := re.fullmatch(r"qm agent (\d+) ping", line):
            start.agents.add(int(match[1]))
        elif line.startswith(("pct ", "qm ", "pvesm ")):
            words = shlex.split(line)
            recorded = any(name.endswith(f"/{words[2]}.conf") for name in start.files) if len(words) > 2 else False
            if words[1] not in ("start", "stop") and not recorded:
                start.commands.append(words)


def host_positions(argv: tuple[str, ...]) -> Iterator[int]:
    """The words of a command line in which a path of the machine (not of the guest, not of the API) may stand."""
    verb = argv[1] if len(argv) > 1 else ""
    if argv[0] == "pvesh":
        yield from (i for i in range(3, len(argv)))
    elif argv[0] == "pct" and verb == "exec":
        return
    elif argv[0] == "pct" and verb == "push":
        yield 3
    elif argv[0] == "pct" and verb == "pull":
        yield 4
    else:
        yield from range(1, len(argv))


def on_root(argv: tuple[str, ...], root: Path) -> list[str]:
    """The command line with the machine's paths moved under the state root."""
    words = list(argv)
    for i in host_positions(argv):
        if i < len(words):
            words[i] = HOST_PATH.sub(lambda m: m[0] if _stays(m) else f"{m[1]}{root}{m[2]}", words[i])
    return words


def _stays(match: re.Match[str]) -> bool:
    """A mount point is a path of the guest, and devices are named as the kernel does."""
    return match.string[: match.end(1)].endswith("mp=") or match[2].startswith("/dev/")


def find_sites(transcript: Transcript, world: World, start: Start) -> None:
    """The HTTP servers that the run asked, and what they had."""
    asked = f"{' '.join(transcript.argv)} {(transcript.http or {}).get('params')}"
    said = world.outcome(transcript)
    for address, path in SITE.findall(asked):
        found = start.sites.setdefault(address, set())
        if not re.search(r"\b404\b", said):
            found.add(path)


def find_host_files(transcript: Transcript, start: Start) -> None:
    """The machine's files that the command line names and found."""
    said = transcript.answer_text()
    for i in host_positions(transcript.argv) if transcript.argv else ():
        word = transcript.argv[i] if i < len(transcript.argv) else ""
        for match in HOST_PATH.finditer(word):
            path = match[2]
            target = transcript.argv[1] == "pull"
            made = any(transcript.argv[j].startswith("--path") for j in (i, i - 1))
            if re.search(rf"{re.escape(path)}\W*(?:does not exist|non-existent|for reading|No such)", said):
                continue
            if is_lost(path, said) or f"open '{path}'" in said or target or made:
                continue
            start.host_files.setdefault(path, source_size(transcript, path) or 1 << 20)
    if transcript.http and "Device" not in said:
        for value in (transcript.http.get("params") or {}).values():
            if str(value).startswith("/dev/"):
                start.host_files.setdefault(str(value), 0)
