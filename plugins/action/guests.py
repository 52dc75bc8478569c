# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the action plugin of all modules that change something (see meta/runtime.yml). It runs
its module as ever, tells meanwhile what the module does, and at the end how it went with each guest.

The module runs in the one plain way, so check mode, diff, become, pipelining and results are Ansible's own. Beside it a
thread reads, over a second connection like the first, the events that the module writes. That also keeps a connection
alive that would be cut when nothing is heard on it for long. Whatever goes wrong with that is no concern of the module:
there is no progress to see then, and that is all.
"""

from __future__ import annotations

import contextlib
import contextvars
import copy
import sys
import threading
import time
import typing as t
import uuid

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.pve.provision.plugins.module_utils._guests.table import table
from ansible_collections.pve.provision.plugins.module_utils._io.progress import RESULT_KEY, VARIABLE, Event, setting
from ansible_collections.pve.provision.plugins.plugin_utils import packed_modules
from ansible_collections.pve.provision.plugins.plugin_utils.apps import with_profiles
from ansible_collections.pve.provision.plugins.plugin_utils.report_files import write_reports

if t.TYPE_CHECKING:
    from ansible.plugins.connection import ConnectionBase

#: Seconds between two looks, the first one included: a module that has nothing to do is through before.
LOOK_EVERY: t.Final = 1.0
#: Seconds between two looks that serve the connection alone.
KEEP_ALIVE: t.Final = 15.0
#: After so many seconds a step that has not ended is told, and again each time when twice as many have passed.
LONG: t.Final = 10.0
#: The variable that turns all of it off.
WANTED: t.Final = "provision_progress"
#: Callback plugins whose output is read by programs.
FOR_PROGRAMS: t.Final = frozenset({"json", "jsonl", "null"})

Result = dict[str, t.Any]


class _Flush(str):
    """No text. Where it is unpickled, which is in the process that owns the terminal, pipe or log, what was written
    before gets out: Ansible itself leaves it in a buffer until the next task begins."""

    __slots__ = ()

    def __reduce__(self) -> tuple[t.Callable[[], str], tuple[()]]:
        return _flush, ()


def _flush() -> str:
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    return ""


def _say(text: str) -> None:
    display = Display()
    display.display(text)
    display.display(_Flush(), screen_only=True, newline=False)


class ActionModule(ActionBase):
    """Runs the module that the task names."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> Result:
        result: Result = super().run(tmp, task_vars)
        wrap_async = bool(self._task.async_val) and not self._connection.has_native_async
        unwatched = wrap_async or self._task.check_mode
        host = str((task_vars or {}).get("inventory_hostname", ""))
        watch = _Watch(self._connection, host, self._is_shown(task_vars))
        began = time.monotonic()
        args = with_profiles(self._task.args, self._loader.path_dwim)
        with packed_modules.kept(), contextlib.nullcontext() if unwatched else watch.running(self._task):
            result.update(self._execute_module(module_args=args, task_vars=task_vars, wrap_async=wrap_async))
        write_reports(result, self._task.args, self._loader.path_dwim)
        if not unwatched:
            watch.conclude(result, self._task.args, time.monotonic() - began)
        if not wrap_async:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _is_shown(self, task_vars: t.Mapping[str, t.Any] | None) -> bool:
        """Nothing is to be seen with no_log, where not even good ends are, where a program reads the output, or where
        the user says so."""
        try:
            good_ends = C.config.get_config_value("display_ok_hosts", plugin_type="callback", plugin_name="default")
        except AnsibleError:  # another callback plugin shows this run, and the default one is not even loaded
            good_ends = True
        wanted = boolean(self._templar.template((task_vars or {}).get(WANTED, True)), strict=False)
        read_by_people = str(C.DEFAULT_STDOUT_CALLBACK).rpartition(".")[2] not in FOR_PROGRAMS
        return bool(wanted and good_ends and read_by_people and not self._task.no_log)


class _Watch:
    """Tells what a module does while it runs."""

    def __init__(self, connection: ConnectionBase, host: str, shown: bool) -> None:
        self._connection = connection
        self._host = host
        self._shown = shown
        self._path = f"/tmp/.pve-provision-{uuid.uuid4().hex}"
        self._read = 0
        self._ended = 0
        self._at_work: dict[tuple[str, str], tuple[float, float]] = {}
        self._over = threading.Event()
        self._telling = threading.Lock()

    @contextlib.contextmanager
    def running(self, task: t.Any) -> t.Iterator[None]:
        """Have the module write events, and tell them as long as the context lasts."""
        told = {VARIABLE: setting(self._path, others_read=bool(self._connection.become))}
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(self._look_often,), daemon=True)
        task.environment = [*(task.environment or []), told]
        thread.start()
        try:
            yield
        finally:
            with self._telling:  # a look that is under way is not waited for
                self._over.set()
            task.environment = [each for each in task.environment if each is not told]

    def _look_often(self) -> None:
        began = time.monotonic()
        pause = LOOK_EVERY if self._shown else KEEP_ALIVE
        while not self._over.wait(pause):
            try:
                self._look(time.monotonic() - began)
            except (AnsibleError, OSError):
                pause = KEEP_ALIVE

    def _look(self, now: float) -> None:
        if not self._shown:
            self._ask(":")
            return
        events = self._ask(f"tail -c +{self._read + 1} {self._path} 2> /dev/null")
        with self._telling:
            if not self._over.is_set():
                self._take(events[: events.rfind(b"\n") + 1], now)

    def _ask(self, command: str) -> bytes:
        # The module's own connection keeps what belongs to one command at a time.
        connection: ConnectionBase = copy.copy(self._connection)
        stdout: bytes = connection.exec_command(command, sudoable=False)[1]
        return stdout

    def _take(self, lines: bytes, now: float) -> None:
        """Tell the events that whole lines hold, and what has been going on for long."""
        self._read += len(lines)
        for event in filter(None, map(Event.parse, lines.splitlines())):
            if event.state == "begun":
                self._at_work[event.guest, event.step] = now, now + LONG
            else:
                self._at_work.pop((event.guest, event.step), None)
                self._ended += 1
                self._say(event)
        for (guest, step), (since, due) in self._at_work.items():
            if now >= due:
                self._at_work[guest, step] = since, now + (now - since)
                self._say(Event(guest, step, "note", note=f"{now - since:.0f} s so far"))

    def _say(self, event: Event) -> None:
        _say(f"{self._host}: {event}")

    def conclude(self, result: Result, args: t.Mapping[str, t.Any], seconds: float) -> None:
        """Tell what was not told yet, and how it went with each guest."""
        events = result.pop(RESULT_KEY, None)
        if timed := [event for event in (Event(*values) for values in events or ()) if event.state != "note"]:
            names = ("guest", "step", "began", "seconds")
            result["timeline"] = [
                {**{name: getattr(event, name) for name in names}, "failed": event.state == "failed"} for event in timed
            ]
        if not self._shown:
            return
        if events is None and self._read:  # the module was killed
            with contextlib.suppress(AnsibleError, OSError):
                self._ask(f"rm -f {self._path}")
        for values in (events or [])[self._ended :]:
            self._say(Event(*values))
        name = args.get("hostname") or args.get("name")
        text = table(result, str(name or ""), seconds, Display().columns)
        if text:
            _say(f"{self._host}: {text}")
