# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One transcript, run again: lay out its start, run it, compare the answers."""

from __future__ import annotations

import difflib
import fcntl
import json
import re
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .infer import infer
from .layout import change_configs, lay_out, run_guests
from .machine import on_root
from .normalise import Normaliser
from .sites import serve
from .transcript import GUEST_FILE, Transcript
from .world import NODE, USER_CFG, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .world import Start


@dataclass
class Answer:
    """What the embedded node answered. ``rc``/``stdout``/``stderr`` of a command, the rest of a request."""

    rc: int = 0
    stdout: str = ""
    stderr: str = ""
    status: int = 0
    reason: str = ""
    body: Any = None
    task_end: str | None = None
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """How one transcript fared. ``why`` is empty for a full match."""

    scenario: str
    command: str
    rc_ok: bool
    full_ok: bool
    why: str
    group: str = ""
    env_artifact: bool = False

    def row(self) -> dict[str, Any]:
        """The verdict as the report has it."""
        return {key: value for key, value in asdict(self).items() if key not in ("group", "env_artifact")}


class Driver(Protocol):
    """The embedded node as the runner sees it."""

    def prepare(self, root: Path, release: str) -> None:
        """Makes an empty state root of a node with this version of PVE."""

    def settle(self, root: Path) -> None:
        """Lets time pass, so that what is made from now on is newer than what was laid out."""

    def furnish(self, root: Path, start: Start) -> None:
        """Gives the guests that were laid out what a guest's disk holds, and makes them behave as recorded."""

    def command(self, root: Path, argv: list[str], stdin: str | None) -> tuple[int, str, str]:
        """Runs one command line."""

    def interrupted(self, number: int, root: Path, argv: list[str], stdin: str | None) -> tuple[int, str, str]:
        """Runs one command line that is sent a signal in the middle of its work."""

    def request(self, root: Path, http: dict[str, Any], auth: str) -> tuple[int, str, Any]:
        """Makes one request as this kind of caller: status, reason, body."""


def caller(transcript: Transcript) -> str:
    """Who made a request: a token by its name, ``token`` (root's), ``wrong-token``, ``bearer``, ``nobody``,
    ``ticket``, ``ticket-no-csrf`` or ``stranger``.

    Of those without a token a transcript tells only how the server took them.
    """
    auth = (transcript.http or {}).get("auth")
    if auth is not None and (auth == "token" or "!" in auth):
        return str(auth)
    if auth is not None:
        return "bearer" if transcript.reason == "No ticket" else "wrong-token"
    if transcript.reason == "No ticket" or (transcript.http or {})["path"].endswith("/access/ticket"):
        return "nobody"
    if "csrf" in transcript.reason:
        return "ticket-no-csrf"
    empty = isinstance(transcript.body, dict) and transcript.body.get("data") == []
    return "stranger" if transcript.status == 403 or empty else "ticket"


def run_one(transcript: Transcript, world: World, driver: Driver) -> Verdict:
    """Runs a transcript in a state root of its own and judges the answer."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        root = Path(folder).resolve()
        with ThreadPoolExecutor(1) as pool:  # whatever breaks is this transcript's miss, not the end of the run
            running = pool.submit(_run, transcript, world, driver, root)
            broken = running.exception()
        if broken is not None:
            return _verdict(transcript, False, False, f"broke: {_where(broken)}{type(broken).__name__}: {broken}")
        return judge(transcript, running.result(), str(root))


def _where(error: BaseException) -> str:
    """The place an exception came from, for whoever mends it."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}: " if frames else ""


def _run(transcript: Transcript, world: World, driver: Driver, root: Path) -> Answer:
    start = infer(transcript, world)
    driver.prepare(root, transcript.release)
    lay_out(start, root)
    with serve(start.sites) as renamed:
        if start.requests:
            driver.furnish(root, start)
        for maker in start.requests:
            renamed.update(_before(maker, renamed, driver, root))
        change_configs(start, root)
        run_guests(start, root)
        driver.furnish(root, start)
        if start.commands:
            driver.settle(root)
        for argv in start.commands:
            _unused, stdout, _unused = driver.command(root, on_root(tuple(argv), root), None)
            renamed.update(_pid(argv, stdout, transcript))
        for vmid in start.paused:
            driver.command(root, ["qm", "suspend", str(vmid)], None)
        with _held(start.locks, root):
            answer = _asked(transcript, renamed, driver, root)
    answer.files = _files(root)
    return answer


def _asked(transcript: Transcript, renamed: dict[str, str], driver: Driver, root: Path) -> Answer:
    """The run itself. ``renamed`` are the recorded names that are others here: tasks, addresses, process ids."""
    answer = Answer()
    back = {new: old for old, new in renamed.items()}
    if transcript.http is not None:
        http = json.loads(_translated(json.dumps(transcript.http), renamed))
        answer.status, answer.reason, answer.body = driver.request(root, http, caller(transcript))
        if isinstance(answer.body, dict) and str(answer.body.get("data")).startswith("UPID:"):
            answer.task_end = _translated(_finish(driver, root, answer.body["data"]), back)
        answer.reason = _translated(answer.reason, back)
        answer.body = json.loads(_translated(json.dumps(answer.body), back))
        return answer
    argv = [_translated(word, renamed) for word in on_root(transcript.argv, root)]
    run = driver.command if transcript.signal is None else partial(driver.interrupted, transcript.signal)
    answer.rc, answer.stdout, answer.stderr = run(root, argv, transcript.stdin)
    answer.stdout, answer.stderr = _translated(answer.stdout, back), _translated(answer.stderr, back)
    return answer


def _before(maker: Transcript, renamed: dict[str, str], driver: Driver, root: Path) -> dict[str, str]:
    """Runs what came before; answers the task that it started under its recorded name."""
    if maker.http is None:
        _unused, stdout, _unused = driver.command(root, on_root(maker.argv, root), maker.stdin)
        old, new = (re.search(r'^"(UPID:[^"]+)"$', text, re.M) for text in (maker.stdout, stdout))
        return {old[1]: new[1]} if old and new else {}
    http = json.loads(_translated(json.dumps(maker.http), renamed))
    _unused, _unused, body = driver.request(root, http, caller(maker))
    if isinstance(body, dict) and isinstance(body.get("data"), str):
        _finish(driver, root, body["data"])
        return {maker.body["data"]: body["data"]}
    return {}


def _pid(argv: list[str], stdout: str, transcript: Transcript) -> dict[str, str]:
    """The process that an agent was told to run, and that is asked about by its recorded id."""
    started = re.search(r'"pid" *: *(\d+)', stdout)
    if not started or "exec" not in argv or "exec-status" not in transcript.asked_text():
        return {}
    params = (transcript.http or {}).get("params") or {}
    asked = str(params.get("pid") or transcript.argv[-1])
    return {asked: started[1]}


def _finish(driver: Driver, root: Path, upid: str, limit: float = 15.0) -> str:
    """Waits for a task, seconds at most; answers how it ended."""
    if not upid.startswith("UPID:"):
        return ""
    until = time.monotonic() + limit
    path = f"/api2/json/nodes/{NODE}/tasks/{upid}/status"
    while time.monotonic() < until:
        _unused, _unused, body = driver.request(root, {"method": "GET", "path": path, "params": None}, "token")
        data = body.get("data") if isinstance(body, dict) else None
        if not data or data.get("status") != "running":
            return str((data or {}).get("exitstatus"))
        time.sleep(0.02)
    return "running"


def _translated(text: str, names: dict[str, str]) -> str:
    for old, new in names.items():
        text = text.replace(old, new)
    return text


@contextmanager
def _held(locks: list[str], root: Path) -> Iterator[None]:
    """Holds lock files as another process would. ``/var/lock`` is the same folder as ``/run/lock``."""
    with ExitStack() as stack:
        for name in locks:
            below = re.sub(r"^/(?:run|var)/lock/", "", name)
            for place in {(root / top / below).resolve() for top in ("run/lock", "var/lock")}:
                place.parent.mkdir(parents=True, exist_ok=True)
                handle = stack.enter_context(place.open("a"))
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _files(root: Path) -> dict[str, str]:
    """The guest configs and cluster files as they stand now, under their short names."""
    found = {}
    for folder in ("lxc", "qemu-server"):
        for path in (root / "etc/pve/nodes" / NODE / folder).glob("*.conf"):
            found[f"etc/pve/{folder}/{path.name}"] = path.read_text(encoding="utf-8", errors="replace")
    for name in ("etc/pve/storage.cfg", USER_CFG):
        if (root / name).exists():
            found[name] = (root / name).read_text(encoding="utf-8")
    return found


# --- judging --------------------------------------------------------------------------------------------------------


def judge(transcript: Transcript, answer: Answer, root: str = "") -> Verdict:
    """Compares an answer with the recorded one: the outcome's class first, then every text."""
    known = transcript.asked_text()
    wanted, got = Normaliser(known), Normaliser(known, root)
    if transcript.http is not None:
        rc_ok = answer.status == transcript.status
        misses = [
            _differ("status", transcript.status, answer.status),
            _differ("reason", transcript.reason, answer.reason),
            _differ("body", _body(wanted, transcript.body), _body(got, answer.body)),
        ]
        if transcript.task_end is not None and rc_ok:
            misses.append(
                _differ(
                    "task", *(_words(*end) for end in ((wanted, transcript.task_end), (got, answer.task_end or "")))
                )
            )
    else:
        rc_ok = (answer.rc == 0) == (transcript.rc == 0)
        misses = [
            _differ("exit code class", *(("zero", "not zero")[bool(rc)] for rc in (transcript.rc, answer.rc))),
            _differ("stderr", wanted.text(transcript.stderr), got.text(answer.stderr)),
            _differ("stdout", wanted.text(transcript.stdout), got.text(answer.stdout)),
        ]
    misses += _file_misses(transcript, answer, wanted, got)
    why = "; ".join(miss for miss in misses if miss)
    return _verdict(transcript, rc_ok, not why, why)


def _verdict(transcript: Transcript, rc_ok: bool, full_ok: bool, why: str) -> Verdict:
    return Verdict(
        transcript.scenario,
        transcript.command,
        rc_ok,
        full_ok,
        why,
        transcript.group,
        transcript.env_artifact is not None,
    )


def _file_misses(transcript: Transcript, answer: Answer, wanted: Normaliser, got: Normaliser) -> Iterator[str]:
    for name, text in transcript.end_files().items():
        actual = answer.files.get(name)
        label = GUEST_FILE.sub(r"\2.conf", name)
        if text is None or actual is None:
            yield _differ(label, "gone" if text is None else "there", "gone" if actual is None else "there")
        else:
            yield _differ(label, wanted.text(text), got.text(actual))
    new = {name for name in answer.files if GUEST_FILE.match(name)} - set(transcript.end_files())
    for name in sorted(new) if transcript.argv[1:2] in (("create",), ("clone",)) else ():
        if name.endswith(tuple(f"/{word}.conf" for word in transcript.argv)) and name not in transcript.files_before:
            yield f"{name}: should not be there"


def _words(normaliser: Normaliser, text: str) -> str:
    """A text whose line breaks were not recorded."""
    return " ".join(normaliser.text(text).split())


def _body(normaliser: Normaliser, body: Any) -> str:
    if isinstance(body, str):
        return normaliser.text(body)
    return json.dumps(normaliser.data(body), sort_keys=True, ensure_ascii=False, indent=1)


def _differ(what: str, wanted: object, got: object) -> str:
    """A short account of a difference, empty when there is none."""
    if wanted == got:
        return ""
    if "\n" not in f"{wanted}{got}" and len(f"{wanted}{got}") < 200:
        return f"{what}: want {wanted!r}, got {got!r}"
    lines = [
        line
        for line in difflib.unified_diff(str(wanted).splitlines(), str(got).splitlines(), lineterm="", n=0)
        if not line.startswith(("---", "+++", "@@"))
    ]
    shown = " | ".join(line[:160] for line in lines[:6])
    return f"{what}: {shown}" + (f" | ... {len(lines) - 6} more" if len(lines) > 6 else "")
