# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: an action plugin that runs its module as ever, and meanwhile tells how far it is.

The module runs in the one plain way, so check mode, diff, become, pipelining and results are Ansible's own. Beside it a
thread reads, over a second connection like the first, the line that the module writes about itself. Whatever goes wrong
with that is no concern of the module: there is no progress to see then, and that is all.
"""

from __future__ import annotations

import contextlib
import contextvars
import copy
import threading
import typing as t
import uuid

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.pve.provision.plugins.module_utils._images.progress import VARIABLE, Pace, Seen

if t.TYPE_CHECKING:
    from ansible.plugins.connection import ConnectionBase

#: Seconds between two looks, the first one included: a module that has nothing to fetch is through before.
LOOK_EVERY: t.Final = 1.0


class ActionModule(ActionBase):
    """Runs the module of its own name."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        wrap_async = bool(self._task.async_val) and not self._connection.has_native_async
        host = str((task_vars or {}).get("inventory_hostname", ""))
        with contextlib.nullcontext() if wrap_async or self._quiet() else self._watched(host):
            result.update(self._execute_module(task_vars=task_vars, wrap_async=wrap_async))
        if not wrap_async:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _quiet(self) -> bool:
        """Nothing is fetched in check mode, nothing is to be seen with no_log, or where not even good ends are."""
        try:
            wanted = C.config.get_config_value("display_ok_hosts", plugin_type="callback", plugin_name="default")
        except AnsibleError:  # another callback plugin shows this run, and the default one is not even loaded
            wanted = True
        return bool(self._task.check_mode or self._task.no_log or not wanted)

    @contextlib.contextmanager
    def _watched(self, host: str) -> t.Iterator[None]:
        """Have the module write about itself, and tell it as long as the context lasts."""
        path = f"/tmp/.pve-provision-{uuid.uuid4().hex}"
        told = {VARIABLE: path}
        over = threading.Event()
        context = contextvars.copy_context()
        watch = threading.Thread(target=context.run, args=(self._watch, host, path, over), daemon=True)
        self._task.environment = [*(self._task.environment or []), told]
        watch.start()
        try:
            yield
        finally:
            over.set()
            self._task.environment = [each for each in self._task.environment if each is not told]
            watch.join(LOOK_EVERY)

    def _watch(self, host: str, path: str, over: threading.Event) -> None:
        pace = Pace()
        now = 0.0
        while not over.wait(LOOK_EVERY):
            now += LOOK_EVERY
            try:
                # The module's own connection keeps what belongs to one command at a time.
                connection: ConnectionBase = copy.copy(self._connection)
                rc, line, _stderr = connection.exec_command(f"cat {path} 2> /dev/null", sudoable=False)
            except (AnsibleError, OSError):
                return
            seen = Seen.parse(line) if rc == 0 else None
            if seen and not over.is_set() and pace.due(seen, now):
                Display().display(f"{host}: {self._task.action}: {seen}")
