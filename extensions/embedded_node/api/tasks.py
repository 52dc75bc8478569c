# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API paths of tasks: which there were, what they logged, and how they ended."""

from __future__ import annotations

import os
import re
import signal
import typing as t
from urllib.parse import unquote

from ..errors import bad_params
from ..state.propstring import split_list
from ..state.root import State
from . import access
from .routes import Params, route
from .session import TASKS, Session, log_name

UPID = re.compile(r"UPID:([^:]+):([0-9A-F]{8}):([0-9A-F]{8,9}):([0-9A-F]{8}):([^:\s]+):([^:\s]*):([^:\s]+):")


class Task(t.NamedTuple):
    """A task by its UPID."""

    node: str
    pid: int
    pstart: int
    started: int
    kind: str
    target: str
    user: str


def parse_upid(upid: str) -> Task:
    """Read a UPID; dies with PVE's words when it is none."""
    found = UPID.fullmatch(upid)
    if not found:
        raise bad_params(upid="unable to parse worker upid")
    return Task(
        found[1], int(found[2], 16), int(found[3], 16), int(found[4], 16), found[5], unquote(found[6]), found[7]
    )


def task_row(upid: str) -> dict[str, t.Any]:
    """What a UPID tells by itself."""
    task = parse_upid(upid)
    row: dict[str, t.Any] = {
        "upid": upid, "node": task.node, "pid": task.pid, "pstart": task.pstart, "starttime": task.started,
        "type": task.kind, "id": task.target, "user": task.user.partition("!")[0],
    }  # fmt: skip
    if "!" in task.user:
        row["tokenid"] = task.user.partition("!")[2]
    return row


def finished(state: State) -> dict[str, tuple[int, str]]:
    """The tasks that ended: UPID -> end time and exit status, oldest first."""
    done: dict[str, tuple[int, str]] = {}
    for line in state.read(f"{TASKS}/index").splitlines():
        upid, stamp, status = [*line.split(" ", 2), "", ""][:3]
        if stamp:
            done[upid] = (int(stamp, 16), status)
    return done


def active(state: State) -> list[str]:
    """The tasks that run; one whose process is gone does not."""
    upids = [line.split(" ")[0] for line in state.read(f"{TASKS}/active").splitlines()]
    return [upid for upid in upids if state_of_process(parse_upid(upid).pid)]


def state_of_process(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Lines(list[dict[str, t.Any]]):
    """A part of a longer list; over HTTPS the answer tells the ``total``."""

    total: int | None = None


@route("GET", "/nodes/{node}/tasks")
def tasks(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The tasks that the caller may see, newest first."""
    source = str(params.get("source", "archive"))
    rows = [task_row(upid) for upid in reversed(active(session.state))] if source in ("active", "all") else []
    if source in ("archive", "all"):
        done = reversed(finished(session.state).items())
        rows += [{**task_row(upid), "endtime": ended, "status": status} for upid, (ended, status) in done]
    auditor = access.may(session, f"/nodes/{session.state.name}", ["Sys.Audit"])
    rows = [row for row in rows if (auditor or _is_own(session, row)) and _task_matches(row, params)]
    start, limit = int(params.get("start", 0)), int(params.get("limit", 50))
    answer = Lines(rows[start : start + limit])
    answer.total = len(rows) or None
    return answer


def _is_own(session: Session, row: t.Mapping[str, t.Any]) -> bool:
    """Whether a task is the caller's: a user owns those of its tokens, a token its own alone."""
    return (
        session.user in (row["user"], f"{row['user']}!{row['tokenid']}")
        if "tokenid" in row
        else (session.user == row["user"])
    )


def _find_task(session: Session, params: Params, privilege: str, missing: bool = False) -> dict[str, t.Any]:
    """What a UPID tells; dies when there is no such task, or when it is somebody else's."""
    row = task_row(str(params["upid"]))
    if not missing and not session.state.path(log_name(row["upid"])).exists():
        raise bad_params(upid="no such task")
    if not _is_own(session, row):
        access.need(session, f"/nodes/{session.state.name}", privilege)
    return row


@route("GET", "/nodes/{node}/tasks/{upid}")
def task_directory(session: Session, params: Params) -> list[dict[str, str]]:
    """The entries below a task."""
    return [{"name": "log"}, {"name": "status"}]


@route("GET", "/nodes/{node}/tasks/{upid}/status")
def task_status(session: Session, params: Params) -> dict[str, t.Any]:
    """Whether a task runs, and how it ended."""
    row = _find_task(session, params, "Sys.Audit")
    upid = row["upid"]
    gone = not state_of_process(row["pid"])
    ended = finished(session.state).get(upid)  # after the process: it writes how it ended before it goes
    if ended is None and gone:
        return {**row, "status": "stopped", "exitstatus": "unexpected status"}
    return {**row, "status": "stopped", "exitstatus": ended[1]} if ended else {**row, "status": "running"}


def _task_matches(row: t.Mapping[str, t.Any], params: Params) -> bool:
    """Whether a task is among those asked for."""
    status = str(row.get("status", "unknown"))
    kind = "ok" if status == "OK" else "warning" if status.startswith("WARNINGS") else "error"
    kind = "unknown" if status in ("unknown", "unexpected status") else kind
    wanted = {item.lower() for item in split_list(str(params.get("statusfilter", "")))}
    return not (
        (params.get("vmid") and row["id"] != str(params["vmid"]))
        or (params.get("typefilter") and row["type"] != params["typefilter"])
        or (params.get("userfilter") and str(params["userfilter"]).lower() not in str(row["user"]).lower())
        or (params.get("since") and row["starttime"] < int(params["since"]))
        or (params.get("until") and row["starttime"] > int(params["until"]))
        or (params.get("errors") and kind == "ok")
        or (wanted and not params.get("errors") and kind not in wanted)
    )


@route("GET", "/nodes/{node}/tasks/{upid}/log")
def task_log(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """A task's log, by line; where there is none, one line that says so."""
    name = log_name(_find_task(session, params, "Sys.Audit", missing=True)["upid"])
    there = session.state.path(name).exists()
    lines = session.state.read(name).splitlines() if there else ["unable to open file - No such file or directory"]
    start, limit = (int(params.get("start", 0)), int(params.get("limit", 50))) if there else (0, 1)
    shown = [{"n": number, "t": line} for number, line in enumerate(lines, 1)][start : start + (limit or len(lines))]
    answer = Lines(shown or [{"n": 1, "t": "no content"}])
    answer.total = len(lines)
    return answer


@route("DELETE", "/nodes/{node}/tasks/{upid}")
def stop_task(session: Session, params: Params) -> None:
    """Stop a task."""
    task = parse_upid(str(_find_task(session, params, "Sys.Modify")["upid"]))
    if str(params["upid"]) in active(session.state) and task.pid != os.getpid():
        os.kill(task.pid, signal.SIGTERM)


@route("GET", "/cluster/tasks")
def cluster_tasks(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The newest tasks."""
    newest: list[dict[str, t.Any]] = tasks(session, {"source": "all", "limit": 25})
    return newest
