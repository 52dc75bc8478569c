# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: make, change and remove guests by PVE's commands."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Conflict
from ansible_collections.pve.provision.plugins.module_utils._io.locks import held
from ansible_collections.pve.provision.plugins.module_utils._model.raw_lines import merge_lines
from ansible_collections.pve.provision.plugins.module_utils._model.sizes import parse_size
from ansible_collections.pve.provision.plugins.module_utils._pve import config_text, error_messages
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.commands import COMMAND, Commands, outcome_of
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.guests import CliGuests
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.lines_read import LinesRead
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.root import Root
from ansible_collections.pve.provision.plugins.module_utils._pve.power import PowerSwitch
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Kind, Outcome

# The lines for LXC in a container's config, as the API calls them; and what is written into the file itself.
RAW: t.Final = "lxc"
IN_FILE: t.Final = frozenset({"env", RAW})


class CliChanges(PowerSwitch):
    """Guests made, changed and removed."""

    look_first = True

    def __init__(self, root: Root, commands: Commands, guests: CliGuests) -> None:
        self._root = root
        self._commands = commands
        self._guests = guests
        self._lines = LinesRead(root)

    def create(self, kind: Kind, vmid: int, options: t.Mapping[str, str], *, timeout: int) -> Outcome:
        rest = {name: value for name, value in options.items() if name not in ("ostemplate", *IN_FILE)}
        template = [options["ostemplate"]] if "ostemplate" in options else []
        outcome = self._commands.write([COMMAND[kind], "create", str(vmid), *template], rest, timeout=timeout)
        beside = {RAW: self._beside_own(vmid, options[RAW])} if RAW in options else {}
        self.write_into_file(vmid, {**options, **beside})
        return outcome

    def _beside_own(self, vmid: int, lines: str) -> str:
        """The declared lines, and those that PVE itself has written at the creation, as for an application's image."""
        own = self._guests.known("lxc", vmid).live.get(RAW, "")
        return "\n".join(merge_lines(own.splitlines(), lines.splitlines()))

    def clone(self, kind: Kind, source: int, vmid: int, options: t.Mapping[str, str], *, timeout: int) -> Outcome:
        return self._commands.write([COMMAND[kind], "clone", str(source), str(vmid)], options, timeout=timeout)

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
        line = {name: value for name, value in options.items() if name not in IN_FILE}
        if RAW in delete:
            options, delete = {**options, RAW: ""}, [name for name in delete if name != RAW]
        if delete:
            line["delete"] = ",".join(delete)
        if revert:
            line["revert"] = ",".join(revert)
        outcome = Outcome()
        if kind == "lxc":
            self._keep_lines(vmid, options)
        if line:
            given = {"digest": digest} if digest else {}
            outcome = self._commands.write([COMMAND[kind], "set", str(vmid)], {**line, **given})
        self.write_into_file(vmid, options, "" if line else digest)
        return outcome

    def _keep_lines(self, vmid: int, options: t.Mapping[str, str]) -> None:
        """Any change has PVE rewrite what LXC has read."""
        config = self._guests.config("lxc", vmid)
        if config is not None and (RAW in config.live or RAW in options):
            self._lines.keep(vmid, config.live.get(RAW, ""))

    def write_into_file(self, vmid: int, options: t.Mapping[str, str], digest: str = "") -> None:
        """Write a container's environment and its ``lxc.*`` lines into its config. PVE takes the one on the command
        line alone, which every user of the node can read, and the others not at all; so they are written as PVE writes
        them, under PVE's own lock."""
        if not options.keys() & IN_FILE:
            return
        path = self._root.path / self._root.config_path("lxc", vmid)
        with held(
            self._root.path / "run/lock/lxc" / f"pve-config-{vmid}.lock",
            timeout=self._commands.timeout,
            clock=self._commands.clock,
        ):
            before = self._root.read(self._root.config_path("lxc", vmid))
            if before is None or (digest and config_text.digest(before) != digest):
                raise Conflict(f"The config of CT {vmid} changed meanwhile.", remedy="Run the task again.")
            text = before.decode("utf-8", "surrogateescape")
            after = self._with(vmid, text, options)
            fresh = path.with_name(f"{path.name}.tmp.{os.getpid()}")  # as PVE's own: no guest's name
            try:
                fresh.write_text(after, encoding="utf-8", errors="surrogateescape")
                fresh.replace(path)
            except OSError as error:
                with contextlib.suppress(OSError):
                    fresh.unlink(missing_ok=True)
                raise error_messages.error_of(f"The config of CT {vmid} cannot be written", str(error)) from error

    def _with(self, vmid: int, text: str, options: t.Mapping[str, str]) -> str:
        if "env" in options:
            entries = [entry for entry in options["env"].split("\0") if entry]
            waiting = self._guests.status("lxc", vmid) == "running"
            text = config_text.with_environment(text, entries, waiting=waiting)
        if RAW in options:
            text = config_text.with_raw_lines(text, options[RAW].splitlines())
        return text

    def resize(self, kind: Kind, vmid: int, disk: str, size: str, *, timeout: int) -> Outcome:
        step = f"{COMMAND[kind]} resize {vmid} {disk} {size}"
        wanted = parse_size(size, unit=1)
        before = self._guests.known(kind, vmid).live.get(disk, "")
        if config_text.has_grown(before, wanted):
            return Outcome()
        done = self._commands.run([COMMAND[kind], "resize", str(vmid), disk, size], timeout=timeout)
        after = self._guests.known(kind, vmid).live.get(disk, "")
        said = "\n".join(error_messages.tail_of(error_messages.lines(f"{done.stdout}\n{done.stderr}")))
        if not config_text.has_grown(after, wanted) or error_messages.filesystem_failed(said):
            words = error_messages.words_of(said) or "reported no error, but the disk did not grow"
            error = error_messages.error_of(step, words, rc=done.rc)
            error.remedy = error.remedy or error_messages.ungrown_remedy(said, on_node=True)
            raise error
        return outcome_of(done)

    def move_disk(self, vmid: int, disk: str, storage: str, *, form: str, timeout: int) -> Outcome:
        options = {"delete": "1", **({"format": form} if form else {})}
        return self._commands.write(["qm", "disk", "move", str(vmid), disk, storage], options, timeout=timeout)

    def reassign_volume(self, vmid: int, disk: str, target: int, key: str, *, timeout: int) -> Outcome:
        options = {"target-vmid": str(target), "target-volume": key}
        return self._commands.write(["pct", "move-volume", str(vmid), disk], options, timeout=timeout)

    def send_key(self, vmid: int, key: str) -> None:
        self._commands.write(["qm", "sendkey", str(vmid), key])

    def _status(self, kind: Kind, vmid: int) -> str:
        return self._guests.status(kind, vmid)

    def _act(self, kind: Kind, vmid: int, verb: str, options: t.Mapping[str, str], timeout: int) -> Outcome:
        return self._commands.write([COMMAND[kind], verb, str(vmid)], options, timeout=timeout)

    def make_template(self, kind: Kind, vmid: int, *, timeout: int) -> Outcome:
        return self._commands.write([COMMAND[kind], "template", str(vmid)], timeout=timeout)

    def _remove(self, kind: Kind, vmid: int, purge: bool, timeout: int) -> Outcome:
        options = {"purge": "1"} if purge else {}
        if kind == "lxc":
            self._lines.forget(vmid)
        return self._commands.write([COMMAND[kind], "destroy", str(vmid)], options, timeout=timeout)

    def join_pool(self, vmid: int, pool: str) -> None:
        self._commands.write(["pvesh", "set", "/pools"], {"poolid": pool, "vms": str(vmid), "allow-move": "1"})
