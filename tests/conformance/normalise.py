# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may differ between two honest runs of one command, taken out of both before they are compared.

A value is volatile only when the run could not know it: a MAC, UUID or digest that was in the arguments or in the
files the run started from is compared to the letter.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# Text that no two runs share. The order matters: the longer form first.
TEXT: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"UPID:([^:\s\"]+):[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:([^:\s\"]+):([^:\s\"]*):([^:\s\"]+):"),
        r"UPID:\1:<TASK>:\2:\3:\4:",
    ),
    (re.compile(r"^.*transferred [\d.]+ [kKMGTi]*B of [\d.]+ [kKMGTi]*B \([\d.]+%\).*\n?", re.M), ""),
    (re.compile(r"^\S*: transferred .*\n?", re.M), ""),
    (re.compile(r"Total bytes (read|written|sent|received): [\d,]+( \([^)]*\))?"), r"Total bytes \1: <BYTES>"),
    (re.compile(r"^sent [\d,]+ bytes  received [\d,]+ bytes .*$", re.M), "sent <BYTES>"),
    (re.compile(r"^total size is [\d,]+  speedup is .*$", re.M), "total size is <BYTES>"),
    (
        re.compile(
            r"^(Number of (?:created |deleted |regular )?files[^:]*|(?:Total|Literal|Matched|File list)[^:]*): .*$",
            re.M,
        ),
        r"\1: <COUNT>",
    ),
    (re.compile(r"\d+/\d+ files \([\d.]+% non-contiguous\), \d+/\d+ blocks"), "<COUNT>"),
    (re.compile(r"^[\d.]+ [KMGT]?i?B in \d+(?:\.\d+)?m?s\n", re.M), ""),
    (re.compile(r"SHA256:[\w+/]{43}"), "SHA256:<KEY>"),
    (re.compile(r"saved [\d.]+ [KMGT]?i?B$", re.M), "saved <BYTES>"),
    (re.compile(r"clean, \d+/\d+ files, \d+/\d+ blocks"), "clean, <COUNT>"),
    (re.compile(r"[\d.]+ [KMGT]?i?B \(\d+ bytes\) trimmed"), "<BYTES> trimmed"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d"), "<TIME>"),
    (re.compile(r"\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d"), "<STAMP>"),
    (re.compile(r"^(swtpm_setup: Starting vTPM manufacturing as \S+) @ .*$", re.M), r"\1 @ <TIME>"),
    (re.compile(r"\bctime=\d{9,}"), "ctime=<TIME>"),
    (re.compile(r"^(snaptime:) \d{9,}", re.M), r"\1 <TIME>"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b(?=\))"), "<DURATION>"),
    (re.compile(r"\d+(\.\d+)?(e[+-]\d+)? [KMGTk]?i?B/s"), "<RATE>"),
    (re.compile(r"copied, [\d.e-]+ s"), "copied, <DURATION>"),
    (re.compile(r" in \d+(\.\d+)?(ms|s)\b"), " in <DURATION>"),
    (re.compile(r"archive file size: \S+"), "archive file size: <BYTES>"),
    (re.compile(r"\.tmp_dwnl\.\d+"), ".tmp_dwnl.<PID>"),
    (re.compile(r"^( *\d+K[ .]* \d+%) +[\d.]+[KMGT]?=[\d.]+s$", re.M), r"\1 <RATE>"),
    (re.compile(r"(?:[0-9A-F]{2}:){31}[0-9A-F]{2}"), "<FINGERPRINT>"),
    (
        re.compile(r"^(local\S*:(?:vztmpl|backup|import|snippets)/\S+\s+(?:\S+\s+\S+\s+)?)[\d.]+(?:[KMGT]?B)?", re.M),
        r"\1<BYTES>",
    ),
    (re.compile(r" at \S+ line \d+\.?"), " at <LINE>"),
)
# Perl tells a hash in no order.
BACKUP_JOB = re.compile(r"(?<=^INFO: starting new backup job: vzdump)(.*)$", re.M)
WRONG_KEYS = re.compile(r"^[\w.-]+: property is .*(?:\n[\w.-]+: property is .*)*", re.M)
# Host keys are made in no order.
KEY_LINES = re.compile(r"(?:Creating SSH host key .*\ndone: .*\n)+")
# Values that the run may have made itself: kept when they were known before it.
MADE: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<UUID>"),
    (re.compile(r"\bBC:24:11:[0-9A-F]{2}:[0-9A-F]{2}:[0-9A-F]{2}\b", re.I), "<MAC>"),
    (re.compile(r"\b[0-9a-f]{40}\b"), "<DIGEST>"),
    (re.compile(r"\$5\$[./0-9A-Za-z]+\$[./0-9A-Za-z]+"), "<CRYPT>"),
    (re.compile(r"pveupload-[0-9a-f]{32}"), "pveupload-<HEX>"),
)
# Measurements in JSON answers and in the "key: value" lines of --verbose: the machine's, not the command's.
MEASURED = frozenset({
    "cpu", "mem", "memhost", "disk", "diskread", "diskwrite", "netin", "netout", "uptime", "pid", "ctime", "starttime",
    "endtime", "pstart", "digest", "used", "avail", "total", "used_fraction", "ssl_fingerprint", "loadavg", "wait",
    "idle", "pressurecpufull", "pressurecpusome", "pressureiofull", "pressureiosome", "pressurememoryfull",
    "pressurememorysome",
})  # fmt: skip
# The lists of the cluster tell it or not, as old as the statistics are that the node keeps.
UNSTEADY = frozenset(("memhost",))
FILE_SIZED = frozenset(("vztmpl", "backup", "import", "snippets"))
# A table whose numbers are the machine's: header to match, and the columns that are measurements.
TABLES = {
    "VMID NAME STATUS MEM(MB) BOOTDISK(GB) PID": (5,), "Name Type Status": (3, 4, 5, 6), "MP Volume": (2, 3, 4, 5),
}  # fmt: skip


@dataclass(frozen=True)
class Normaliser:
    """Takes the volatile parts out of one run's texts. ``known`` is all that the run was told, ``root`` its prefix."""

    known: str = ""
    root: str = ""

    def text(self, text: str) -> str:
        """A text as it is compared. Trailing blanks and the number of blank lines at the end do not count."""
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        if self.root:
            text = text.replace(self.root + "/", "/").replace(self.root, "/")
        data = json_of(text)
        if data is not None:
            return json.dumps(self.data(data), sort_keys=True, ensure_ascii=False, indent=1)
        for pattern, replacement in TEXT:
            text = pattern.sub(replacement, text)
        text = KEY_LINES.sub(lambda m: "".join(sorted(re.findall(r".*\n.*\n", m[0]))), text)
        text = WRONG_KEYS.sub(lambda m: "\n".join(sorted(m[0].splitlines())), text)
        text = BACKUP_JOB.sub(lambda m: "".join(sorted(re.split(r"(?= --)", m[0]))), text)
        if "<BYTES>" in text and text.startswith(("Volid", "NAME")):
            text = re.sub(r" +", " ", text)
        text = self._made(text)
        measured = MEASURED | {"maxdisk"} if re.search(r"^status: running$", text, re.M) else MEASURED
        text = re.sub(
            r"^(\t*)(\w+): -?[\d.]+$",
            lambda m: f"{m[1]}{m[2]}: <NUMBER>" if m[2] in measured else m[0],
            text,
            flags=re.M,
        )
        text = re.sub(r"^(\s*content )(\S+)$", lambda m: m[1] + _sorted_list(m[2]), text, flags=re.M)
        lines = [line.rstrip() for line in _tables(text).splitlines()]
        return "\n".join(lines).strip("\n")

    def data(self, value: Any) -> Any:
        """A JSON value as it is compared: measurements become their kind, lists of objects lose their order."""
        if isinstance(value, dict):
            sized = value.get("content") in FILE_SIZED
            moving = value.get("status") == "running" or value.get("type") in ("node", "storage")
            unsteady = UNSTEADY if str(value.get("id")).startswith(("lxc/", "qemu/")) else ()
            return {key: self._field(key, item, sized, moving) for key, item in value.items() if key not in unsteady}
        if isinstance(value, list):
            if value and all(isinstance(item, dict) and set(item) == {"n", "t"} for item in value):  # a task's log
                log = self.text("\n".join(str(item["t"]) for item in value))
                return {"first": value[0]["n"], "log": log.splitlines()}
            items = [self.data(item) for item in value]
            return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
        if isinstance(value, str):
            return self.text(value) if json_of(value) is None else value
        return value

    def _field(self, key: str, value: Any, sized: bool, moving: bool) -> Any:
        measured = key in MEASURED or (key == "size" and sized) or (key in ("maxdisk", "maxmem", "maxcpu") and moving)
        if measured and re.fullmatch(r"-?[\d.]+(e-?\d+)?", str(value)):
            return "<NUMBER>"
        if key == "content" and isinstance(value, str):
            return _sorted_list(value)
        return self.data(value)

    def _made(self, text: str) -> str:
        def keep(name: str) -> Callable[[re.Match[str]], str]:
            return lambda match: match[0] if match[0] in self.known else name

        for pattern, name in MADE:
            text = pattern.sub(keep(name), text)
        return text


def json_of(text: str) -> Any:
    """The value of a text that is a JSON object or list, else ``None``."""
    text = text.strip()
    if not text or text[0] not in "[{":
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def _sorted_list(text: str) -> str:
    return ",".join(sorted(text.split(",")))


def _tables(text: str) -> str:
    """Tables with measured columns: those columns masked, the widths they cause forgotten."""
    lines: list[str] = []
    columns: tuple[int, ...] = ()
    for line in text.splitlines():
        words = line.split()
        heading = " ".join(words)
        for start, found in TABLES.items():
            if heading.startswith(start):
                columns = found
                break
        if columns:
            line = " ".join(
                "<NUMBER>" if i in columns and re.match(r"[\d.]+[%KMGT]?$", w) else w for i, w in enumerate(words)
            )
        lines.append(line)
    return "\n".join(lines)
