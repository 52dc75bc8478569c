# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a transcript says: one run of a real command, or one HTTP request, with everything that was seen of it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

GUEST_FILE = re.compile(r"^etc/pve/(?:nodes/[^/]+/)?(lxc|qemu-server)/(\d+)\.conf$")
STORAGE_CFG = "etc/pve/storage.cfg"
GUEST_PATH = re.compile(r"/nodes/[^/]+/(lxc|qemu)/(\d+)(?:/(.*))?$")


@dataclass(frozen=True)
class Transcript:
    """One recorded run. ``files`` are relative to the root of the machine; texts are as they stood on disk."""

    scenario: str
    argv: tuple[str, ...] = ()
    stdin: str | None = None
    rc: int = 0
    stdout: str = ""
    stderr: str = ""
    files_before: dict[str, str] = field(default_factory=dict)
    files_after: dict[str, str] = field(default_factory=dict)
    files_changed: frozenset[str] = frozenset()
    files_removed: frozenset[str] = frozenset()
    setup: tuple[str, ...] = ()
    signal: int | None = None
    http: dict[str, Any] | None = None
    status: int = 0
    reason: str = ""
    body: Any = None
    env_artifact: str | None = None
    note: str = ""
    oracle: str = ""

    @property
    def release(self) -> str:
        """The version of PVE that was recorded."""
        match = re.match(r"PVE ([\d.]+)", self.oracle)
        return match[1] if match else "9.1.9"

    @property
    def command(self) -> str:
        """The group it is counted in: ``pct create``, ``http-lxc``."""
        if self.http is not None:
            return "-".join(self.scenario.split("-")[:2])
        words = [word for word in self.argv[1:2] if re.fullmatch(r"[a-z][a-z-]*", word)]
        return " ".join((self.argv[0], *words))

    @property
    def group(self) -> str:
        """The coarse group of the floor: ``pct``, ``qm``, ``http-lxc``."""
        return self.command if self.http is not None else self.argv[0]

    def start_files(self) -> dict[str, str]:
        """The files as they were before the run; what the run made is not among them."""
        if self.rc < 0:  # killed: what it left was not compared, and is not the start
            return dict(self.files_before)
        if self.status >= 400:  # refused: what changed meanwhile is an earlier task's, not its doing
            return dict(self.files_after)
        kept = {name: text for name, text in self.files_after.items() if name not in self.files_changed}
        return {**kept, **self.files_before}

    def end_files(self) -> dict[str, str | None]:
        """The files as they were after the run, ``None`` for those that were gone.

        Nobody waited for the work that a POST started without telling its UPID.
        """
        if self.http is not None and self.http["method"] == "POST" and self.body == {"data": None}:
            return {}
        return {**self.files_after, **dict.fromkeys(self.files_removed)}

    @property
    def task_end(self) -> str | None:
        """How the task of a request ended, where that was noted."""
        match = re.search(r"the task ended with: (.+)$", self.note) if self.http is not None else None
        return match[1] if match else None

    @property
    def tells_all(self) -> bool:
        """Whether ``setup`` tells everything that was done right before. Such runs carry the storages, too."""
        return STORAGE_CFG in self.files_after

    def answer_text(self) -> str:
        """Everything the run said, as one text."""
        if self.http is None:
            return f"{self.stdout}\n{self.stderr}"
        return f"{self.status} {self.reason}\n{json.dumps(self.body, ensure_ascii=False)}\n{self.task_end or ''}"

    def asked_text(self) -> str:
        """Everything the run was told: its arguments or its request, and the files it started from."""
        asked = " ".join(self.argv) if self.http is None else json.dumps(self.http, ensure_ascii=False)
        return "\n".join((asked, self.stdin or "", *self.setup, *self.start_files().values()))

    def guests(self) -> set[int]:
        """The ids of the guests that the run names."""
        found = {int(match[2]) for name in (*self.files_after, *self.files_before) if (match := GUEST_FILE.match(name))}
        if self.http is not None and (match := GUEST_PATH.search(self.http["path"].split("?")[0])):
            found.add(int(match[2]))
        return found


def parse(data: dict[str, Any]) -> Transcript:
    """A transcript from its JSON form; fields that we do not know are ignored."""
    texts = {"stdout", "stderr", "reason", "note", "oracle"}
    values: dict[str, Any] = {"scenario": data["scenario"]}
    for name in ("rc", "status", "signal", "http", "stdin", "body", "env_artifact", *texts):
        values[name] = data.get(name) or ("" if name in texts else data.get(name))
    values["argv"] = tuple(str(word) for word in data.get("argv") or ())
    values["setup"] = tuple(data.get("setup") or ())
    values["rc"] = int(data.get("rc") or 0)
    values["status"] = int(data.get("status") or 0)
    for name in ("files_before", "files_after"):
        values[name] = {path: text for path, text in (data.get(name) or {}).items() if text is not None}
    for name in ("files_changed", "files_removed"):
        values[name] = frozenset(data.get(name) or ())
    return Transcript(**values)


def load(folder: Path) -> list[Transcript]:
    """All transcripts of a folder, by name. Files of another form are not transcripts and are passed over."""
    found = []
    for path in sorted(folder.glob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(data, dict) and "scenario" in data and ("argv" in data or "http" in data):
            found.append(parse(data))
    return found


def recorded_files(transcripts: Iterable[Transcript]) -> dict[str, list[str]]:
    """Every text that was ever seen under a name, in the order of the folder, without repetition."""
    pool: dict[str, dict[str, None]] = {}
    for transcript in transcripts:
        for files in (transcript.files_before, transcript.files_after):
            for name, text in files.items():
                pool.setdefault(name, {})[text] = None
    return {name: list(texts) for name, texts in pool.items()}
