# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real containers: unpacked by tar with their owners, booted by LXC, asked by lxc-attach."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import tempfile
import typing as t
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..api.validation import option_format
from ..errors import ApiError
from ..guest.runtime import RUNTIMES, Completed, Guest, Link
from ..state import archive
from ..state.config_file import NET_KEY
from ..state.propstring import parse
from ..state.rootfs import GuestFiles
from ..state.trees import TREES
from . import cards, config, devices, groups, hotplug, namespace, programs, site, terminal
from .mounts import ALL_IDS, FIRST_ID, Mounts
from .programs import run

CHUNK = 1 << 20
#: What fails in a container that is not the machine's own, and that PVE turns off in each.
MASKED = ("sys-kernel-config.mount", "sys-kernel-debug.mount")


class Lxc:
    """Containers of this machine's kernel."""

    # -- files -----------------------------------------------------------------------------------------------------
    def unpack(self, source: Path, files: GuestFiles, room: int | None, progress: Callable[[], None]) -> int:
        """By the command that PVE runs, which gets the plain bytes. The disk itself tells when it is full."""
        if room == 0:
            raise archive.Broken("tar: Cannot write: No space left on device\n")
        mapped = files.first_id == FIRST_ID
        ids = [word for kind in "ug" for word in ("-m", f"{kind}:0:{FIRST_ID}:{ALL_IDS}")]
        argv = ["lxc-usernsexec", *ids, "--"] if mapped else []
        argv += ["tar", "xpf", "-", *archive.TAR_FLAGS.replace("'", "").split(), "--skip-old-files"]
        argv += ["--anchored", "--exclude", "./dev/*"]
        count = 0
        with (
            archive.opened(source) as plain,
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=errors, cwd=files.root, env=programs.ENV) as tar,
        ):
            try:
                with contextlib.suppress(BrokenPipeError), t.cast(t.IO[bytes], tar.stdin) as pipe:
                    while data := plain.read(CHUNK):
                        pipe.write(data)
                        count += len(data)
                        progress()
            except BaseException as error:
                tar.kill()
                if isinstance(error, archive.DAMAGE):
                    raise archive.Broken(archive.said(source, error)) from error
                raise
            tar.wait()
            errors.seek(0)
            told = errors.read().decode(errors="replace")
        if tar.returncode:
            raise archive.Broken(told, tar.returncode)
        return count

    # -- running ---------------------------------------------------------------------------------------------------
    def start(self, guest: Guest, raw: Sequence[tuple[str, str]] = ()) -> int:
        """Boot it, and wait until its first process runs."""
        state, vmid = guest.state, guest.vmid
        self._prepare(guest)
        group = namespace.group(state)
        log = state.path(f"var/log/lxc/{vmid}.log")
        log.parent.mkdir(parents=True, exist_ok=True)
        log.unlink(missing_ok=True)
        place = config.Place(
            namespace.shown(vmid), group.name, groups.controllers(group), log, state.path("usr/sbin/lxc-hook"),
            namespace.devices(vmid),
        )  # fmt: skip
        lines = config.text(vmid, guest.options, place)
        state.write(f"var/lib/lxc/{vmid}/config", lines + "".join(f"{key} = {value}\n" for key, value in raw))
        for bridge in filter(None, (card.bridge for card in guest.interfaces)):
            site.ensure_bridge(state, bridge)
        try:
            run([*self._lxc("start", guest), "-d", "-f", state.path(f"var/lib/lxc/{vmid}/config")])
        except ApiError as error:
            self.put_away(vmid)
            why = "\n".join(re.findall(r"ERROR\s+(.*)", state.read(f"var/log/lxc/{vmid}.log")))
            raise ApiError(f"startup for container '{vmid}' failed\n{why or error.message}") from error
        for key, text in guest.options.items():
            if NET_KEY.fullmatch(key):
                cards.link(cards.device(vmid, key), parse(text, option_format("lxc", key)))
        return int(run([*self._lxc("info", guest), "-p", "-H"]))

    def _prepare(self, guest: Guest) -> None:
        """Its files where it can see them, and what PVE writes into them for that it runs as a container."""
        shown = namespace.shown(guest.vmid)
        Mounts().detach(shown)
        Mounts().attach(guest.files.root, shown)
        first_id = FIRST_ID if guest.options.get("unprivileged") == "1" else 0
        devices.make(guest.options, guest.state.root, namespace.devices(guest.vmid), first_id)
        if not guest.managed:
            return
        units = guest.files.resolve("/etc/systemd/system")
        for unit in MASKED if units.is_dir() else ():
            if not (units / unit).is_symlink():
                (units / unit).symlink_to("/dev/null")
                guest.files.own(units / unit)
        if not guest.options.get("nameserver") and not guest.options.get("searchdomain"):
            guest.files.write("/etc/resolv.conf", guest.state.read("etc/resolv.conf"))

    def plug(self, guest: Guest, key: str, old: Mapping[str, str], new: Mapping[str, str]) -> None:
        """A card comes, goes or gets another bridge while the container runs."""
        device = cards.device(guest.vmid, key)
        same = bool(old) and all(old.get(name) == new.get(name) for name in ("hwaddr", "name"))
        if old and not same:
            run(["ip", "link", "delete", device])
        if new and not same:
            cards.insert(device, guest.state.running()[guest.vmid]["pid"], new)
        if new:
            if new.get("bridge"):
                site.ensure_bridge(guest.state, new["bridge"])
            cards.link(device, new)

    def mount(self, guest: Guest, target: str) -> None:
        """Into its own mounts, which are not the node's."""
        hotplug.mount(guest.state.running()[guest.vmid]["pid"], guest.files.resolve(target), target)

    def configure(self, guest: Guest, argv: Sequence[str]) -> None:
        """By this machine's program, in the container's network."""
        self._inside(guest, argv)

    def shutdown(self, guest: Guest, timeout: int) -> bool:
        """Tell its init."""
        try:
            run([*self._lxc("stop", guest), "--nokill", "--timeout", str(timeout)])
        except ApiError:
            return False
        return True

    def stop(self, guest: Guest) -> None:
        """Kill it, unless it is down."""
        with contextlib.suppress(ApiError):
            run([*self._lxc("stop", guest), "--kill"])
        groups.await_empty(namespace.group(guest.state) / f"monitor-{guest.vmid}")
        self.put_away(guest.vmid)

    def put_away(self, vmid: int) -> None:
        """Its files are shown to it no longer."""
        Mounts().detach(namespace.shown(vmid))

    # -- asking ----------------------------------------------------------------------------------------------------
    def attach(self, guest: Guest, argv: Sequence[str], stdin: Callable[[], bytes]) -> Completed:
        """On the standard streams of this process, which are the caller's."""
        command = [*self._lxc("attach", guest), "--clear-env"]
        command += [f"--set-var={key}={value}" for key, value in guest.env.items()]
        return Completed(terminal.run([*command, "--", *argv], programs.ENV))

    def links(self, guest: Guest) -> list[Link]:
        """As its own kernel tells them."""
        told = json.loads(self._inside(guest, ["ip", "-j", "address", "show"]))
        return [
            (link["ifname"], link["address"], tuple(f"{own['local']}/{own['prefixlen']}" for own in link["addr_info"]))
            for link in told
            if link["ifname"] != "lo"
        ]

    def network(self, argv: Sequence[str]) -> Completed | None:
        """What the program says itself: the node's commands run in the node's network."""
        done = subprocess.run(list(argv), capture_output=True, check=False, env=programs.ENV)
        return Completed(done.returncode, done.stdout, done.stderr)

    @staticmethod
    def _inside(guest: Guest, argv: Sequence[str]) -> str:
        pid = str(guest.state.running()[guest.vmid]["pid"])
        return run(["nsenter", "--target", pid, "--net", "--", *argv])

    @staticmethod
    def _lxc(what: str, guest: Guest) -> list[str]:
        return [f"lxc-{what}", "-P", str(namespace.LXC_PATH), "-n", str(guest.vmid)]


RUNTIMES["lxc"] = Lxc
TREES["lxc"] = Mounts()
