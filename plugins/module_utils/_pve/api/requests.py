# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: requests to PVE that may start a task, which is waited for."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._io.clock import retry
from ansible_collections.pve.provision.plugins.module_utils._pve import error_messages
from ansible_collections.pve.provision.plugins.module_utils._pve.api.client import Client
from ansible_collections.pve.provision.plugins.module_utils._pve.tasks import Upid, wait
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Kind, Outcome


class Requests:
    """Requests about one node, and the tasks that they start. ``timeout`` (s) bounds those given none of their own."""

    def __init__(self, client: Client, node: str, timeout: int) -> None:
        self.node = node
        self.ask = client.__call__
        self.upload = client.upload
        self.clock = client.clock
        self._timeout = timeout

    def path(self, kind: Kind, vmid: int, *rest: str) -> str:
        return "/".join(["/nodes", self.node, kind, str(vmid), *rest])

    def act(
        self,
        step: str,
        method: str,
        path: str,
        values: t.Mapping[str, t.Any] | None = None,
        *,
        timeout: float | None = None,
    ) -> Outcome:
        """Do a request and wait for the task it starts, if it does. Asks again while PVE's lock is held."""
        return self.act_by(step, lambda: self.ask(method, path, values), timeout or self._timeout)

    def act_by(self, step: str, ask: t.Callable[[], t.Any], timeout: float) -> Outcome:

        def attempt(left: float) -> Outcome:
            answer = ask()
            if not isinstance(answer, str) or not answer.startswith("UPID:"):
                return Outcome()
            return wait(self, Upid.parse(answer), step=step, timeout=left, clock=self.clock)

        return retry(attempt, error_messages.is_held_lock, timeout=timeout, clock=self.clock)

    def task_status(self, upid: Upid) -> t.Mapping[str, t.Any]:
        return t.cast("dict[str, t.Any]", self.ask("GET", f"/nodes/{upid.node}/tasks/{upid.text}/status") or {})

    def active_tasks(self) -> list[dict[str, t.Any]]:
        """The tasks that run on the node."""
        tasks = self.ask("GET", f"/nodes/{self.node}/tasks", {"source": "active"}) or []
        return [task for task in tasks if not task.get("endtime")]

    def task_log(self, upid: Upid) -> list[str]:
        lines = self.ask("GET", f"/nodes/{upid.node}/tasks/{upid.text}/log", {"limit": 5000})
        return [str(line.get("t", "")) for line in lines or [] if line.get("t")]
