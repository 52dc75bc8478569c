# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: reach a node from the node itself, by PVE's commands and by its files.

Reading is done from files wherever PVE keeps one, since a command costs half a second and a file nothing. What starts a
command: writing, the capacity of storages, what lies on a storage that is no plain directory, and a guest's addresses.
What only the kernel knows of the node's network is asked of ``ip``, which costs next to nothing.
Every path goes through ``root`` (environment variable ``PVE_ROOT``), which is ``/`` on a real node.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import json
import os
import re
import shutil
import tempfile
import typing as t
from pathlib import Path
from urllib.parse import quote

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Conflict,
    Finding,
    InvalidInput,
    PveError,
    TaskFailed,
    Timeout,
    Unreachable,
    Unsupported,
)
from ansible_collections.pve.provision.plugins.module_utils._io.clock import SYSTEM, Clock, retry
from ansible_collections.pve.provision.plugins.module_utils._model.network import NET
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import parse_size
from ansible_collections.pve.provision.plugins.module_utils._model.segments import Link, make_link
from ansible_collections.pve.provision.plugins.module_utils._pve import (
    config_text,
    directory,
    error_messages,
    kernel,
    processes,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.agent import Agent
from ansible_collections.pve.provision.plugins.module_utils._pve.journal import Journal, held
from ansible_collections.pve.provision.plugins.module_utils._pve.leftovers import Leftovers
from ansible_collections.pve.provision.plugins.module_utils._pve.node import (
    Access,
    Bridge,
    Completed,
    GuestConfig,
    GuestRef,
    Kind,
    Outcome,
    Storage,
    Transport,
    Volume,
    same_name,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.processes import Runner
from ansible_collections.pve.provision.plugins.module_utils._pve.tasks import succeeded

_COMMAND: dict[Kind, str] = {"lxc": "pct", "qemu": "qm"}
_CONFIG_DIRECTORY: dict[Kind, str] = {"lxc": "lxc", "qemu": "qemu-server"}
_NAME_OPTION: dict[Kind, str] = {"lxc": "hostname", "qemu": "name"}
_UNNAMED: dict[Kind, str] = {"lxc": "CT{}", "qemu": "VM {}"}

# Options whose value PVE reads twice from standard input when they come last and without one.
_SECRETS = ("password", "cipassword")
# Options whose value is the name of a file with the text.
_FILES = ("ssh-public-keys", "sshkeys")

# e2fsck found nothing, or mended what it found.
_CHECKED = frozenset({0, 1, 2})
# Grows a mounted file system, which resize2fs has to see mounted; nobody else sees this mount.
_GROW = 'mount --make-rprivate / && mount "$1" /tmp && resize2fs "$1"'

_LOG_TAIL = 10
_UPID = re.compile(r"UPID:[^\s\"']+")
# What the kernel says of a neighbour that has not answered.
_SILENT = frozenset({"FAILED", "INCOMPLETE"})


class CliNode:
    """The node this process runs on. ``timeout`` (s) bounds the verbs that take none of their own."""

    transport: Transport = "cli"
    root_login = True

    def __init__(
        self,
        name: str,
        *,
        root: Path = Path("/"),
        runner: Runner = processes.run,
        timeout: int = 60,
        clock: Clock = SYSTEM,
    ) -> None:
        self.name = name
        self.journal: t.MutableMapping[int, dict[str, t.Any]] = Journal(root / "var/lib/pve-provision/journal")
        self.ungrown: t.MutableMapping[int, dict[str, t.Any]] = Journal(root / "var/lib/pve-provision/ungrown")
        self._root = root
        self._run = runner
        self._timeout = timeout
        self._storages: list[Storage] | None = None
        self.leftovers: Leftovers | None = Leftovers(name, root, self)
        self.clock = clock

    @classmethod
    def here(cls, params: t.Mapping[str, t.Any], clock: Clock) -> CliNode:
        """The node whose files are under ``PVE_ROOT`` (unset: ``/``)."""
        root = Path(os.environ.get("PVE_ROOT") or "/")
        try:
            name = Path(os.readlink(root / "etc/pve/local")).name
        except OSError as error:
            raise Unreachable(
                f"This machine is no Proxmox VE node, or its cluster file system is not up: {error}.",
                remedy="Run the task on a node, or set api_host to speak to the API of one.",
            ) from error
        if params.get("node") not in (None, "", name):
            problem = f"is not the node this runs on, which is {name}"
            raise InvalidInput([Finding("node", params["node"], problem, "Run the task there, or set api_host")])
        return cls(name, root=root, timeout=int(params.get("timeout") or 600), clock=clock)

    # -- files -----------------------------------------------------------------------------------------------------
    def _bytes(self, path: str | Path) -> bytes | None:
        """A file under the root, or None when it is not there (a guest may vanish while we look)."""
        with _as_root(), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return (self._root / path).read_bytes()
        return None

    def _names(self, path: str | Path) -> list[str]:
        """The names in a folder under the root; none when it is not there."""
        with _as_root(), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return sorted(entry.name for entry in (self._root / path).iterdir())
        return []

    def _text(self, path: str | Path) -> str:
        return (self._bytes(path) or b"").decode(errors="replace")

    def _config_path(self, kind: Kind, vmid: int, node: str | None = None) -> Path:
        return Path("etc/pve/nodes", node or self.name, _CONFIG_DIRECTORY[kind], f"{vmid}.conf")

    def _entries(self) -> list[config_text.StorageEntry]:
        return config_text.parse_storages(self._text("etc/pve/storage.cfg"), self.name)

    def _entry(self, storage: str) -> config_text.StorageEntry:
        for entry in self._entries():
            if entry.name == storage:
                return entry
        raise error_messages.error_of(f"storage {storage}", f"storage '{storage}' does not exist")

    # -- commands --------------------------------------------------------------------------------------------------
    def _command(
        self, argv: t.Sequence[str], *, timeout: float, stdin: str = "", secrets: t.Sequence[str] = ()
    ) -> Completed:
        """Run a command; its failure becomes an error with PVE's words. Asks again while PVE's lock is held."""

        def attempt(left: float) -> Completed:
            done = self._run(argv, stdin=stdin, timeout=left)
            stdout, stderr = (error_messages.scrub(text, secrets) for text in (done.stdout, done.stderr))
            if done.rc:
                raise self._failure(" ".join(argv[:3]), done.rc, stdout, stderr)
            return Completed(0, stdout, stderr)

        return retry(attempt, error_messages.is_held_lock, timeout=timeout, clock=self.clock)

    @staticmethod
    def _failure(step: str, rc: int, stdout: str, stderr: str) -> PveError:
        """The error of a failed command."""
        log = error_messages.tail_of(error_messages.lines(stdout))
        words = error_messages.words_of(stderr) or f"ended with exit code {rc}"
        return error_messages.error_of(step, words, log_tail=log, rc=rc, log=log)

    def _outcome(self, done: Completed) -> Outcome:
        return Outcome(
            log=tuple(error_messages.lines(done.stdout)), warnings=error_messages.warnings_of(done.stdout, done.stderr)
        )

    def _write(
        self, argv: t.Sequence[str], options: t.Mapping[str, str] | None = None, *, timeout: float | None = None
    ) -> Outcome:
        """Run a command with options. Secrets go through standard input, keys through a file only root can read."""
        options = options or {}
        secrets = [name for name in _SECRETS if name in options]
        if len(secrets) > 1:
            raise ValueError("PVE reads one password at a time")
        stdin = ""
        with contextlib.ExitStack() as stack:
            line = list(argv)
            for name, value in options.items():
                if name in _FILES:
                    line += [f"--{name}", stack.enter_context(_private_file(value))]
                elif name not in secrets:
                    _refuse_nul(name, value)
                    # An option takes any value as the next word, but a reader of the command line (and of our log)
                    # is helped when a value that looks like an option is tied to its own.
                    line += [f"--{name}={value}"] if value.startswith("-") else [f"--{name}", value]
            for name in secrets:
                _refuse_newline(name, options[name])
                line.append(f"--{name}")
                stdin = f"{options[name]}\n" * 2
            values = [options[name] for name in secrets]
            done = self._command(line, stdin=stdin, timeout=timeout or self._timeout, secrets=values)
        return self._outcome(done)

    def _json(self, argv: t.Sequence[str]) -> t.Any:
        return self._parsed([*argv, "--output-format", "json"])

    def _ip(self, what: str) -> list[dict[str, t.Any]]:
        """What the kernel knows of the node's network."""
        return t.cast("list[dict[str, t.Any]]", self._parsed(["ip", "-j", what, "show"]) or [])

    def _parsed(self, argv: t.Sequence[str]) -> t.Any:
        done = self._command(argv, timeout=self._timeout)
        try:
            return json.loads(done.stdout or "null")
        except ValueError as error:
            raise PveError(f"{' '.join(argv)} answered with something else than JSON: {done.stdout[:200]}") from error

    # -- reading ---------------------------------------------------------------------------------------------------
    def guests(self, kind: Kind | None = None) -> list[GuestRef]:
        return self._guests_of(self.name, (kind,) if kind else tuple(_COMMAND))

    def _guests_of(self, node: str, kinds: t.Iterable[Kind]) -> list[GuestRef]:
        found = []
        for kind in kinds:
            running = self._running(kind)
            for name in self._names(self._config_path(kind, 0, node).parent):
                if re.fullmatch(r"[1-9]\d*\.conf", name) and (
                    guest := self._guest(kind, int(name[:-5]), running, node)
                ):
                    found.append(guest)
        return sorted(found, key=lambda guest: guest.vmid)

    def _guest(
        self, kind: Kind, vmid: int, running: t.Callable[[int], bool], node: str | None = None
    ) -> GuestRef | None:
        raw = self._bytes(self._config_path(kind, vmid, node))
        if raw is None:
            return None
        head = config_text.guest_head(raw.decode(errors="replace"))
        here = node in (None, self.name)
        return GuestRef(
            vmid=vmid,
            kind=kind,
            node=node or self.name,
            name=head.get(_NAME_OPTION[kind]) or _UNNAMED[kind].format(vmid),
            status=("running" if running(vmid) else "stopped") if here else None,
            lock=head.get("lock"),
            template=head.get("template") == "1",
        )

    def _other_nodes(self) -> list[str]:
        return [node for node in self._names("etc/pve/nodes") if node != self.name]

    def elsewhere(self, kind: Kind) -> list[GuestRef]:
        return [guest for node in self._other_nodes() for guest in self._guests_of(node, (kind,))]

    def named(self, kind: Kind, name: str, *, everywhere: bool = False) -> list[GuestRef]:
        found = [guest for guest in self.guests(kind) if same_name(guest.name, name)]
        if found and not everywhere:
            return found
        others = [guest for guest in self.elsewhere(kind) if same_name(guest.name, name)]
        return sorted(found + others, key=lambda guest: guest.vmid)

    def _running(self, kind: Kind) -> t.Callable[[int], bool]:
        """A test whether a guest runs, answered from one reading where that serves all guests."""
        if kind == "lxc":
            return config_text.running_containers(self._text("proc/net/unix")).__contains__
        return self._vm_runs

    def _vm_runs(self, vmid: int) -> bool:
        pid = self._text(f"run/qemu-server/{vmid}.pid").strip()
        if not pid or self._root != Path("/"):
            return bool(pid)
        return f"\0-id\0{vmid}\0".encode() in (self._bytes(f"proc/{pid}/cmdline") or b"")

    def locate(self, vmid: int) -> GuestRef | None:
        listed = config_text.parse_vmlist(self._text("etc/pve/.vmlist")).get(vmid)
        for place in (listed, self._place(vmid)):
            if place and (guest := self._guest(place.kind, vmid, self._running(place.kind), place.node)):
                return guest
        return GuestRef(vmid, listed.kind, listed.node) if listed and listed.node != self.name else None

    def _place(self, vmid: int) -> config_text.Place | None:
        """Where the config of a guest lies, in case that the list of all guests does not know it, or not where."""
        places = ((node, kind) for node in self._names("etc/pve/nodes") for kind in _COMMAND)
        for node, kind in places:
            if (self._root / self._config_path(kind, vmid, node)).exists():
                return config_text.Place(node, kind)
        return None

    def config(self, kind: Kind, vmid: int) -> GuestConfig | None:
        raw = self._bytes(self._config_path(kind, vmid))
        return None if raw is None else config_text.parse_guest_config(raw)

    def _known(self, kind: Kind, vmid: int) -> GuestConfig:
        config = self.config(kind, vmid)
        if config is None:
            words = f"Configuration file '{self._config_path(kind, vmid).relative_to('etc/pve')}' does not exist"
            raise error_messages.error_of(f"{kind} {vmid}", words)
        return config

    def status(self, kind: Kind, vmid: int) -> str:
        self._known(kind, vmid)
        return "running" if self._running(kind)(vmid) else "stopped"

    def storages(self) -> list[Storage]:
        """Read once: a run asks in several places, and its own writes do not change what is decided by it."""
        if self._storages is None:
            self._storages = self._read_storages()
        return self._storages

    def _read_storages(self) -> list[Storage]:
        entries = self._entries()
        capacity = {}
        if any(entry.enabled for entry in entries):
            status = self._command(["pvesm", "status"], timeout=self._timeout)
            capacity = config_text.parse_storage_status(status.stdout)
        return [
            Storage(entry.name, entry.type, entry.content, active, entry.enabled, entry.shared, entry.path, *sizes)
            for entry in entries
            for active, *sizes in [capacity.get(entry.name, (False, None, None, None))]
        ]

    def volumes(self, storage: str, content: str | None = None) -> list[Volume]:
        entry = self._entry(storage)
        if entry.type == "dir" and entry.path:
            places = config_text.parse_vmlist(self._text("etc/pve/.vmlist"))
            containers = {vmid for vmid, place in places.items() if place.kind == "lxc"}
            return directory.list_volumes(entry, containers, content)
        options = ["--content", content] if content else []
        return error_messages.volumes_of(
            self._json(["pvesh", "get", f"/nodes/{self.name}/storage/{storage}/content", *options])
        )

    def bridges(self) -> list[Bridge]:
        configured = config_text.parse_interfaces(self._text("etc/network/interfaces"))
        vnets = self._vnets()
        live = self._live_addresses()
        net = self._root / "sys/class/net"
        found = {}
        for name in [*self._names(net), *sorted(vnets)]:
            interface = configured.get(name, config_text.Interface())
            ovs = interface.options.get("ovs_type") == "OVSBridge"
            if name not in vnets and not ovs and not (net / name / "bridge").is_dir():
                continue
            mtu = self._text(net / name / "mtu").strip()
            aware = (
                self._text(net / name / "bridge/vlan_filtering").strip() == "1"
                or interface.options.get("bridge-vlan-aware") == "yes"
                or vnets.get(name) is True
            )
            found[name] = Bridge(
                name=name,
                kind="vnet" if name in vnets else "OVSBridge" if ovs else "bridge",
                mtu=int(mtu) if mtu.isdigit() else None,
                addresses=tuple(live.get(name, interface.addresses)),
                vlan_aware=aware or ovs,
            )
        return list(found.values())

    def links(self) -> list[Link]:
        configured = config_text.parse_interfaces(self._text("etc/network/interfaces"))
        live = self._live_addresses()
        return [
            make_link(name, live.get(name, each.addresses), each.options)
            for name in dict.fromkeys([*configured, *live])
            for each in [configured.get(name, config_text.Interface())]
        ]

    def _vnets(self) -> dict[str, bool]:
        """The SDN networks whose zone reaches this node, and whether they let a guest's tags pass."""
        zones = {zone.name: zone for zone in config_text.parse_section_config(self._text("etc/pve/sdn/zones.cfg"))}
        vnets = config_text.parse_section_config(self._text("etc/pve/sdn/vnets.cfg"))
        return {
            vnet.name: vnet.options.get("vlanaware") == "1"
            for vnet in vnets
            if (zone := zones.get(vnet.options.get("zone", ""))) is None or zone.on_node(self.name)
        }

    def _live_addresses(self) -> dict[str, list[str]]:
        """Addresses as the kernel has them, without the link-local ones, which every bridge that is up has."""
        return {
            link["ifname"]: [
                f"{address['local']}/{address['prefixlen']}"
                for address in link.get("addr_info", [])
                if address.get("scope") != "link"
            ]
            for link in self._ip("addr")
        }

    def pools(self) -> dict[str, frozenset[int]]:
        return config_text.parse_pools(self._text("etc/pve/user.cfg"))

    def access(self) -> Access | None:
        return None

    def has_path(self, path: str) -> bool | None:
        inside = path if self._root in Path(path).parents else path.lstrip("/")
        return (self._root / inside).exists()

    def busy(self, kind: Kind, vmid: int) -> bool:
        return processes.is_creating(kind, vmid, self._root)

    def being_made(self, kind: Kind) -> list[int]:
        return []

    def interfaces(self, kind: Kind, vmid: int) -> list[dict[str, t.Any]]:
        """A container's are told by the kernel, a VM's by its agent, which costs next to nothing; else PVE is asked."""
        process = kernel.first_process(self._root, vmid) if kind == "lxc" else None
        if process is not None:
            argv = ["nsenter", "-t", str(process), "-n", "ip", "-j", "addr", "show"]
            return kernel.addresses_of(self._parsed(argv) or [])
        if kind == "qemu" and (agent := self._agent(vmid)):
            return error_messages.interfaces_of(agent.interfaces())
        tail = "interfaces" if kind == "lxc" else "agent/network-get-interfaces"
        answer = self._json(["pvesh", "get", f"/nodes/{self.name}/{kind}/{vmid}/{tail}"])
        return error_messages.interfaces_of(answer)

    def local_addresses(self, vmid: int) -> frozenset[str] | None:
        process = kernel.first_process(self._root, vmid)
        return frozenset() if process is None else kernel.local_addresses(self._root, process)

    def outdated(self, kind: Kind, vmid: int, config: GuestConfig) -> dict[str, str]:
        if kind != "lxc":
            return {}
        found = {}
        for key, text in config.live.items():
            mtu = NET.parse(text).get("mtu") if key.startswith("net") and key[3:].isdigit() else None
            if mtu and kernel.device_mtu(self._root, vmid, key[3:]) not in (None, mtu):
                found[key] = text
        # One that PVE does not manage gives itself its name.
        name = config.live.get("hostname") if config.live.get("ostype") != "unmanaged" else None
        if name and self._written_since_start(vmid):
            process = kernel.first_process(self._root, vmid)
            if process is not None and kernel.host_name(self._root, process) not in (None, name):
                found["hostname"] = name
        return found

    def _written_since_start(self, vmid: int) -> bool:
        """Whether a container's config was written after its start, when its control group was made: else a name that
        differs is its own doing. The cluster file system keeps whole seconds."""
        started = kernel.time_of(self._root / "sys/fs/cgroup/lxc" / str(vmid))
        written = kernel.time_of(self._root / self._config_path("lxc", vmid))
        return started is not None and written is not None and written >= int(started)

    def neighbours(self) -> dict[str, list[str]]:
        heard: dict[str, list[str]] = {}
        for entry in sorted(self._ip("neigh"), key=lambda entry: "REACHABLE" not in entry.get("state", [])):
            silent = "lladdr" not in entry or _SILENT.intersection(entry.get("state", []))
            if not silent and not ipaddress.ip_address(entry["dst"]).is_link_local:
                heard.setdefault(entry["lladdr"].upper(), []).append(entry["dst"])
        return heard

    # -- serialising -----------------------------------------------------------------------------------------------
    def lock(self, key: str) -> t.ContextManager[None]:
        return held(self._root / "run/lock/pve-provision" / f"{quote(key, safe='')}.lock", timeout=self._timeout)

    # -- guests ----------------------------------------------------------------------------------------------------
    def next_vmid(self, skip: t.Container[int] = ()) -> int:
        used = config_text.parse_vmlist(self._text("etc/pve/.vmlist"))
        lower, upper = config_text.vmid_bounds(self._text("etc/pve/datacenter.cfg"))
        for vmid in range(lower, upper):
            if vmid not in used and vmid not in skip:
                return vmid
        raise PveError(f"No vmid from {lower} to {upper - 1} is free.", remedy="Widen next-id of the datacenter.")

    def create(self, kind: Kind, vmid: int, options: t.Mapping[str, str], *, timeout: int) -> Outcome:
        rest = {name: value for name, value in options.items() if name not in ("ostemplate", "env")}
        template = [options["ostemplate"]] if "ostemplate" in options else []
        outcome = self._write([_COMMAND[kind], "create", str(vmid), *template], rest, timeout=timeout)
        self._set_environment(vmid, options)
        return outcome

    def clone(self, kind: Kind, source: int, vmid: int, options: t.Mapping[str, str], *, timeout: int) -> Outcome:
        return self._write([_COMMAND[kind], "clone", str(source), str(vmid)], options, timeout=timeout)

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
        line = {name: value for name, value in options.items() if name != "env"}
        if delete:
            line["delete"] = ",".join(delete)
        if revert:
            line["revert"] = ",".join(revert)
        outcome = Outcome()
        if line:
            given = {"digest": digest} if digest else {}
            outcome = self._write([_COMMAND[kind], "set", str(vmid)], {**line, **given})
        self._set_environment(vmid, options, "" if line else digest)
        return outcome

    def _set_environment(self, vmid: int, options: t.Mapping[str, str], digest: str = "") -> None:
        """Write a container's environment into its config. PVE takes it on the command line alone, which every user of
        the node can read; so it is written as PVE writes it, under PVE's own lock."""
        if "env" not in options:
            return
        entries = [entry for entry in options["env"].split("\0") if entry]
        path = self._root / self._config_path("lxc", vmid)
        with held(self._root / "run/lock/lxc" / f"pve-config-{vmid}.lock", timeout=self._timeout):
            before = self._bytes(self._config_path("lxc", vmid))
            if before is None or (digest and config_text.digest(before) != digest):
                raise Conflict(f"The config of CT {vmid} changed meanwhile.", remedy="Run the task again.")
            text = before.decode("utf-8", "surrogateescape")
            waiting = self.status("lxc", vmid) == "running"
            after = config_text.with_environment(text, entries, waiting=waiting)
            fresh = path.with_name(f"{path.name}.tmp.{os.getpid()}")  # as PVE's own: no guest's name
            try:
                fresh.write_text(after, encoding="utf-8", errors="surrogateescape")
                fresh.replace(path)
            except OSError as error:
                raise PveError(f"The config of CT {vmid} cannot be written: {error}.") from error

    def resize(self, kind: Kind, vmid: int, disk: str, size: str, *, timeout: int) -> Outcome:
        step = f"{_COMMAND[kind]} resize {vmid} {disk} {size}"
        wanted = parse_size(size, unit=1)
        before = self._known(kind, vmid).live.get(disk, "")
        if config_text.disk_size(before) == wanted:
            return Outcome()
        done = self._command([_COMMAND[kind], "resize", str(vmid), disk, size], timeout=timeout)
        after = self._known(kind, vmid).live.get(disk, "")
        said = "\n".join(error_messages.lines(f"{done.stdout}\n{done.stderr}")[-_LOG_TAIL:])
        if config_text.disk_size(after) != wanted or error_messages.filesystem_failed(said):
            words = error_messages.words_of(said) or "said nothing, and the disk did not grow"
            error = error_messages.error_of(step, words, rc=done.rc)
            error.remedy = error.remedy or error_messages.ungrown_remedy(said, self.transport)
            raise error
        return self._outcome(done)

    def grow_filesystem(self, vmid: int, disk: str, *, timeout: int) -> Outcome:
        """As PVE does it: of a running container in a mount namespace of our own, where resize2fs can see it mounted;
        of a stopped one after a check. That may wait for as long as a killed one's mount counts (MMP)."""
        volid = self._known("lxc", vmid).live.get(disk, "").partition(",")[0]
        path = self.volume_path(volid)
        if self.status("lxc", vmid) == "stopped":
            checked = self._run(["e2fsck", "-f", "-y", path], timeout=timeout)
            if checked.rc not in _CHECKED:
                raise self._failure(f"e2fsck {path}", checked.rc, checked.stdout, checked.stderr)
            return self._outcome(self._command(["resize2fs", path], timeout=timeout))
        if not path.startswith("/dev/"):
            found = self._command(
                ["losetup", "--noheadings", "--output", "NAME", "--associated", path], timeout=timeout
            )
            path = found.stdout.split()[0] if found.stdout.split() else path
            self._command(["losetup", "--set-capacity", path], timeout=timeout)
        return self._outcome(self._command(["unshare", "-m", "--", "sh", "-c", _GROW, "sh", path], timeout=timeout))

    def start(self, kind: Kind, vmid: int, *, timeout: int) -> Outcome:
        def start(options: t.Mapping[str, str]) -> Outcome:
            return self._switch(kind, vmid, "start", "running", timeout, options)

        return error_messages.start_container(start) if kind == "lxc" else start({})

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
        options: t.Mapping[str, str] | None = None,
    ) -> Outcome:
        """Change a guest's power state; it is no error when it has that state, or gets it from somebody else first."""
        if self.status(kind, vmid) == wanted:
            return Outcome()
        try:
            return self._write([_COMMAND[kind], verb, str(vmid)], options, timeout=timeout)
        except PveError as error:
            if not error_messages.is_so_already(error.message) or self.status(kind, vmid) != wanted:
                raise
            return Outcome()

    def destroy(self, kind: Kind, vmid: int, *, purge: bool, timeout: int) -> Outcome:
        options = {"purge": "1"} if purge else {}
        return self._write([_COMMAND[kind], "destroy", str(vmid)], options, timeout=timeout)

    def archive(self, vmid: int, *, timeout: int) -> str:
        self.discard_archive(vmid)
        folder = self._archives(vmid)
        folder.mkdir(mode=0o700, parents=True)
        # Another backup job holds the node's one lock for as long as it takes: better to fail than to keep waiting.
        options = {"dumpdir": str(folder), "mode": "stop", "compress": "zstd", "remove": "0", "lockwait": "1"}
        self._write(["vzdump", str(vmid)], options, timeout=timeout)
        found = list(folder.glob(f"vzdump-lxc-{vmid}-*.tar.zst"))
        if len(found) != 1:
            raise PveError(f"vzdump of {vmid} said nothing, and left no archive.")
        return str(found[0])

    def restore(
        self, vmid: int, archive: str, options: t.Mapping[str, str], *, over: bool = False, timeout: int
    ) -> None:
        force = ["--force", "1"] if over else []
        rest = {name: value for name, value in options.items() if name != "env"}
        self._write(["pct", "restore", str(vmid), archive, *force], rest, timeout=timeout)
        self._set_environment(vmid, options)

    def discard_archive(self, vmid: int) -> None:
        shutil.rmtree(self._archives(vmid), ignore_errors=True)

    def _archives(self, vmid: int) -> Path:
        return self._root / "var/lib/pve-provision/archives" / str(vmid)

    def join_pool(self, vmid: int, pool: str) -> None:
        self._write(["pvesh", "set", "/pools"], {"poolid": pool, "vms": str(vmid), "allow-move": "1"})

    def unlock(self, kind: Kind, vmid: int) -> None:
        self._write([_COMMAND[kind], "unlock", str(vmid)])

    # -- storage ---------------------------------------------------------------------------------------------------
    def storage_type(self, storage: str) -> str:
        """The type of a storage, from its configuration."""
        return self._entry(storage).type

    def run(self, argv: t.Sequence[str]) -> Completed:
        """Run a command that is none of PVE's."""
        return self._command(argv, timeout=self._timeout)

    def volume_path(self, volid: str) -> str:
        storage, name = volid.split(":", 1) if ":" in volid else ("", volid)
        entry = self._entry(storage)
        if entry.type == "dir" and (path := directory.volume_path(entry, name)):
            return str(path)
        return self._command(["pvesm", "path", volid], timeout=self._timeout).stdout.strip()

    def free(self, volid: str) -> None:
        self._write(["pvesm", "free", volid])

    def download_url(
        self, storage: str, content: str, filename: str, url: str, *, checksum: tuple[str, str] | None, timeout: int
    ) -> Outcome:
        options = {"content": content, "filename": filename, "url": url}
        if checksum:
            options["checksum-algorithm"], options["checksum"] = checksum
        path = f"/nodes/{self.name}/storage/{storage}/download-url"
        outcome = self._write(["pvesh", "create", path], options, timeout=timeout)
        return self._verified(f"download of {filename} to {storage}", outcome)

    def _verified(self, step: str, outcome: Outcome) -> Outcome:
        """Look up how a task ended that pvesh started: pvesh itself exits 0 however it ended."""
        log = list(outcome.log[-_LOG_TAIL:])
        upids = _UPID.findall("\n".join(outcome.log))
        if not upids:
            raise TaskFailed(f"{step}: PVE named no task.", log=log)
        status = self._json(["pvesh", "get", f"/nodes/{self.name}/tasks/{upids[-1]}/status"])
        ending = str(status.get("exitstatus", "ended without a word"))
        if not succeeded(ending):
            raise error_messages.error_of(step, ending, otherwise=TaskFailed, log_tail=log, upid=upids[-1], log=log)
        return Outcome(outcome.log, outcome.warnings, upids[-1])

    def upload(self, storage: str, content: str, path: str, filename: str, *, timeout: int) -> Outcome:
        """Copy a file into the storage's folder; it gets its name only when it is whole."""
        deadline = self.clock.now() + timeout
        target = Path(self.volume_path(f"{storage}:{content}/{filename}"))
        if self._entry(storage).type == "dir":
            target.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(prefix=f".{filename}.", suffix=".part", dir=target.parent)
        try:
            with open(path, "rb") as source, os.fdopen(handle, "wb") as sink:
                while block := source.read(1 << 22):
                    sink.write(block)
                    if self.clock.now() > deadline:
                        raise Timeout(f"Copying {path} to {storage} took longer than {timeout} s.")
                sink.flush()
                os.fsync(sink.fileno())
            os.chmod(partial, 0o644)
            os.replace(partial, target)
        except OSError as error:
            raise PveError(f"Copying {path} to {storage}: {error}") from error
        finally:
            Path(partial).unlink(missing_ok=True)
        return Outcome()

    # -- inside VMs ------------------------------------------------------------------------------------------------
    def _agent(self, vmid: int) -> Agent | None:
        """The agent's socket, which QEMU makes where the VM has one."""
        path = self._root / "run/qemu-server" / f"{vmid}.qga"
        return Agent(path, self.clock) if path.is_socket() else None

    def agent_exec(self, vmid: int, argv: t.Sequence[str], *, stdin: str = "", timeout: int = 60) -> Completed:
        agent = self._agent(vmid)
        if agent is not None:
            done = agent.run(argv, stdin=stdin, timeout=timeout)
        else:
            done = self._exec_by_qm(vmid, argv, stdin=stdin, timeout=timeout)
        if done is None:
            raise Timeout(f"{argv[0]} in VM {vmid} was not done after {timeout} s.")
        return done

    def _exec_by_qm(self, vmid: int, argv: t.Sequence[str], *, stdin: str, timeout: int) -> Completed | None:
        line = ["qm", "guest", "exec", str(vmid), "--timeout", str(timeout), "--pass-stdin", "1", "--", *argv]
        said = self._command(line, stdin=stdin, timeout=timeout + 30).stdout
        return error_messages.completed_of(json.loads(said))

    # -- inside containers -----------------------------------------------------------------------------------------
    def exec(self, vmid: int, argv: t.Sequence[str], *, stdin: str = "", timeout: int = 60) -> Completed:
        """Run a command in a running container; its exit code is handed back, pct's own failures are raised."""
        self._must_run(vmid)
        done = self._run(["pct", "exec", str(vmid), "--", *argv], stdin=stdin, timeout=timeout)
        if done.rc and re.search(r"^Configuration file '.*' does not exist$|^container '\d+' not running", done.stderr):
            raise self._failure(f"pct exec {vmid}", done.rc, done.stdout, done.stderr)
        return done

    def _must_run(self, vmid: int) -> None:
        if self.status("lxc", vmid) != "running":
            raise Conflict(f"CT {vmid} is not running.", remedy="Start it first.", reason="not_running")

    def push(self, vmid: int, source: str, target: str, *, mode: str = "0644") -> None:
        argv = ["pct", "push", str(vmid), source, target, "--perms", mode]
        done = self._transfer(argv, vmid)
        if error_messages.words_of(done.stderr) and not self._has_arrived(vmid, Path(source), target):
            raise self._failure(" ".join(argv[:5]), done.rc, done.stdout, done.stderr)

    def _has_arrived(self, vmid: int, source: Path, target: str) -> bool:
        """Whether a file in a running container holds what a file of the node does."""
        if not source.is_file():
            return False
        inside = self.exec(vmid, ["sha256sum", target]).stdout.split()
        return inside[:1] == [hashlib.sha256(source.read_bytes()).hexdigest()]

    def pull(self, vmid: int, source: str, target: str) -> None:
        argv = ["pct", "pull", str(vmid), source, target]
        partial = Path(f"{target}.part")
        partial.unlink(missing_ok=True)
        done = self._transfer([*argv[:-1], str(partial)], vmid)
        if not partial.exists():
            raise self._failure(" ".join(argv), done.rc, done.stdout, done.stderr)
        partial.replace(target)

    def _transfer(self, argv: t.Sequence[str], vmid: int) -> Completed:
        """Push or pull. Both fail with exit code 0, and what they say may have to do with something else."""
        self._must_run(vmid)
        return self._command(argv, timeout=self._timeout)

    def mount(self, vmid: int) -> str:
        self._write(["pct", "mount", str(vmid)])
        return str(self._root / "var/lib/lxc" / str(vmid) / "rootfs")

    def unmount(self, vmid: int) -> None:
        self._write(["pct", "unmount", str(vmid)])


@contextlib.contextmanager
def _as_root() -> t.Iterator[None]:
    """Say what to do when a file may not be read."""
    try:
        yield
    except PermissionError as error:
        raise Unreachable(f"May not read {error.filename}.", remedy="Become root (become: true).") from error


@contextlib.contextmanager
def _private_file(text: str) -> t.Iterator[str]:
    """A file that only its owner can read, gone afterwards."""
    with tempfile.NamedTemporaryFile("w", prefix="pve-provision-", encoding="utf-8") as file:
        file.write(text.rstrip("\n") + "\n")
        file.flush()
        yield file.name


def _refuse_newline(name: str, value: str) -> None:
    if "\n" in value:
        raise InvalidInput([Finding(name, error_messages.HIDDEN, "holds a line break, and PVE reads one line")])


def _refuse_nul(name: str, value: str) -> None:
    if "\0" in value:
        raise Unsupported(
            f"{name}: the commands of the node cannot take more than one entry, since PVE separates them by NUL.",
            remedy="Set api_host to use the API for this guest.",
        )
