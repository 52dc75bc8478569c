# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: make, change and remove guests over the API."""

from __future__ import annotations

import typing as t
from urllib.parse import quote

from ansible_collections.pve.provision.plugins.module_utils._errors import Timeout
from ansible_collections.pve.provision.plugins.module_utils._io.clock import poll
from ansible_collections.pve.provision.plugins.module_utils._model.sizes import parse_size
from ansible_collections.pve.provision.plugins.module_utils._pve import config_text, error_messages
from ansible_collections.pve.provision.plugins.module_utils._pve.api.guests import ApiGuests
from ansible_collections.pve.provision.plugins.module_utils._pve.api.requests import Requests
from ansible_collections.pve.provision.plugins.module_utils._pve.power import PowerSwitch
from ansible_collections.pve.provision.plugins.module_utils._pve.tasks import Upid
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Kind, Outcome


class ApiChanges(PowerSwitch):
    """Guests made, changed and removed."""

    look_first = False

    def __init__(self, requests: Requests, guests: ApiGuests) -> None:
        self._requests = requests
        self._guests = guests

    def create(self, kind: Kind, vmid: int, options: t.Mapping[str, str], *, timeout: int) -> Outcome:
        values = {"vmid": vmid, **_encoded(options)}
        return self._requests.act(
            f"create {kind} {vmid}", "POST", f"/nodes/{self._requests.node}/{kind}", values, timeout=timeout
        )

    def clone(self, kind: Kind, source: int, vmid: int, options: t.Mapping[str, str], *, timeout: int) -> Outcome:
        step, path = f"clone {kind} {source} to {vmid}", self._requests.path(kind, source, "clone")
        return self._requests.act(step, "POST", path, {"newid": vmid, **options}, timeout=timeout)

    def set_config(
        self,
        kind: Kind,
        vmid: int,
        options: t.Mapping[str, str],
        delete: t.Sequence[str] = (),
        digest: str = "",
        *,
        revert: t.Sequence[str] = (),
    ) -> Outcome:
        """A VM's config is set by a task, since a change may import or move a disk."""
        lists = {"delete": ",".join(delete) or None, "revert": ",".join(revert) or None}
        values = {**_encoded(options), **lists, "digest": digest or None}
        method = "PUT" if kind == "lxc" else "POST"
        return self._requests.act(f"set {kind} {vmid}", method, self._requests.path(kind, vmid, "config"), values)

    def resize(self, kind: Kind, vmid: int, disk: str, size: str, *, timeout: int) -> Outcome:
        step = f"resize {kind} {vmid} {disk} {size}"
        wanted = parse_size(size, unit=1)
        if config_text.has_grown(self._disk(kind, vmid, disk), wanted):
            return Outcome()
        path, values = self._requests.path(kind, vmid, "resize"), {"disk": disk, "size": size}
        outcome = self._requests.act(step, "PUT", path, values, timeout=timeout)
        log = self._requests.task_log(Upid.parse(outcome.upid)) if outcome.upid else []
        said = "\n".join(error_messages.tail_of(log))
        if not config_text.has_grown(self._disk(kind, vmid, disk), wanted) or error_messages.filesystem_failed(said):
            error = error_messages.error_of(
                step, said or "PVE reported no error, but the disk did not grow", upid=outcome.upid
            )
            error.remedy = error.remedy or error_messages.ungrown_remedy(said, on_node=False)
            raise error
        return Outcome(tuple(log), outcome.warnings, outcome.upid)

    def _disk(self, kind: Kind, vmid: int, disk: str) -> str:
        config = self._guests.config(kind, vmid)
        if config is None:
            raise error_messages.error_of(f"{kind} {vmid}", f"Configuration file '{vmid}.conf' does not exist")
        return config.live.get(disk, "")

    def move_disk(self, vmid: int, disk: str, storage: str, *, form: str, timeout: int) -> Outcome:
        values = {"disk": disk, "storage": storage, "format": form or None, "delete": 1}
        path = self._requests.path("qemu", vmid, "move_disk")
        return self._requests.act(f"move {disk} of VM {vmid} to {storage}", "POST", path, values, timeout=timeout)

    def reassign_volume(self, vmid: int, disk: str, target: int, key: str, *, timeout: int) -> Outcome:
        values = {"volume": disk, "target-vmid": target, "target-volume": key}
        path = self._requests.path("lxc", vmid, "move_volume")
        return self._requests.act(f"reassign {disk} of CT {vmid} to {target}", "POST", path, values, timeout=timeout)

    def send_key(self, vmid: int, key: str) -> None:
        self._requests.act(f"key for {vmid}", "PUT", self._requests.path("qemu", vmid, "sendkey"), {"key": key})

    def _status(self, kind: Kind, vmid: int) -> str:
        return self._guests.status(kind, vmid)

    def _act(self, kind: Kind, vmid: int, verb: str, options: t.Mapping[str, str], timeout: int) -> Outcome:
        path = self._requests.path(kind, vmid, "status", verb)
        return self._requests.act(f"{verb} {kind} {vmid}", "POST", path, options, timeout=timeout)

    def make_template(self, kind: Kind, vmid: int, *, timeout: int) -> Outcome:
        """Of a container PVE tells no task, and goes on for itself: its config tells when that is done."""
        step = f"make a template of {kind} {vmid}"
        outcome = self._requests.act(step, "POST", self._requests.path(kind, vmid, "template"), timeout=timeout)

        def made() -> bool:
            config = self._guests.config(kind, vmid)
            return config is not None and config.options.get("template") == "1"

        if not poll(made, bool, timeout=timeout, clock=self._requests.clock):
            raise Timeout(f"{step}: after {timeout} s it is none.", remedy="See the log of its last task.")
        return outcome

    def _remove(self, kind: Kind, vmid: int, purge: bool, timeout: int) -> Outcome:
        values = {"purge": 1 if purge else None}
        return self._requests.act(
            f"destroy {kind} {vmid}", "DELETE", self._requests.path(kind, vmid), values, timeout=timeout
        )

    def join_pool(self, vmid: int, pool: str) -> None:
        values = {"poolid": pool, "vms": vmid, "allow-move": 1}
        self._requests.act(f"add {vmid} to pool {pool}", "PUT", "/pools", values)


def _encoded(options: t.Mapping[str, str]) -> dict[str, str]:
    """The API takes the keys of cloud-init percent-encoded inside the (again encoded) form."""
    return {name: quote(value, safe="") if name == "sshkeys" else value for name, value in options.items()}
