# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: start, stop, suspend, resume and remove guests, by commands and over the API alike."""

from __future__ import annotations

import abc
import typing as t
from types import MappingProxyType

from ansible_collections.pve.provision.plugins.module_utils._errors import NotFound, PveError
from ansible_collections.pve.provision.plugins.module_utils._pve import error_messages
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Kind, Outcome


class PowerSwitch(abc.ABC):
    """Changes the power state of guests. It is no error when a guest has the state already, or gets it from somebody
    else first. Raises PveError, Timeout. A way to a node says how PVE is asked."""

    #: Whether the status is read before PVE is asked for a change, because that costs less.
    look_first: t.ClassVar[bool]

    @abc.abstractmethod
    def _status(self, kind: Kind, vmid: int) -> str:
        """What a guest is: running, stopped or suspended."""

    @abc.abstractmethod
    def _act(self, kind: Kind, vmid: int, verb: str, options: t.Mapping[str, str], timeout: int) -> Outcome:
        """Let PVE change a guest by one of its verbs, such as ``start``, within ``timeout`` (s)."""

    @abc.abstractmethod
    def _remove(self, kind: Kind, vmid: int, purge: bool, timeout: int) -> Outcome:
        """Let PVE remove a guest within ``timeout`` (s)."""

    def destroy(self, kind: Kind, vmid: int, *, purge: bool, timeout: int) -> Outcome:
        try:
            return self._remove(kind, vmid, purge, timeout)
        except NotFound as error:
            if error.details.get("reason") != "guest":
                raise
            return Outcome()

    def start(self, kind: Kind, vmid: int, *, timeout: int) -> Outcome:
        def start(options: t.Mapping[str, str]) -> Outcome:
            return self._switch(kind, vmid, "start", "running", timeout, options)

        return error_messages.start_container(start) if kind == "lxc" else start({})

    def suspend(self, kind: Kind, vmid: int, *, timeout: int) -> Outcome:
        return self._switch(kind, vmid, "suspend", "suspended", timeout)

    def resume(self, kind: Kind, vmid: int, *, timeout: int) -> Outcome:
        return self._switch(kind, vmid, "resume", "running", timeout)

    def stop(self, kind: Kind, vmid: int, *, timeout: int) -> Outcome:
        return self._switch(kind, vmid, "stop", "stopped", timeout)

    def shutdown(self, kind: Kind, vmid: int, *, timeout: int, force: bool) -> Outcome:
        options = {"timeout": str(timeout), "forceStop": "1" if force else "0"}
        return self._switch(kind, vmid, "shutdown", "stopped", timeout + 60, options)

    def _switch(
        self,
        kind: Kind,
        vmid: int,
        verb: str,
        wanted: str,
        timeout: int,
        options: t.Mapping[str, str] = MappingProxyType({}),
    ) -> Outcome:
        if self.look_first and self._status(kind, vmid) == wanted:
            return Outcome()
        try:
            return self._act(kind, vmid, verb, options, timeout)
        except PveError as error:
            if not error_messages.is_so_already(error.message) or self._status(kind, vmid) != wanted:
                raise
            return Outcome()
