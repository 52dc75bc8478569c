# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state a transcript started from: inferred from what it recorded, then laid out under a state root.

A transcript holds the guest configs around its run, and not much else. What else was there follows from facts in it:
a disk that the config names existed and had the size noted there, an image that was imported was there, a guest that
was found "already running" ran, a listing shows which guests were listed. Only such facts of the start are taken;
what the command answered to them is for the node to find.
"""

from __future__ import annotations

import functools
import io
import json
import re
import shlex
import struct
import subprocess
import tarfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .normalise import json_of
from .transcript import GUEST_FILE, GUEST_PATH, Transcript, recorded_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NODE = "pve1"
STORAGE_CFG = "etc/pve/storage.cfg"
USER_CFG = "etc/pve/user.cfg"
GIB = 1 << 30
DEFAULT_STORAGES = """dir: local
\tpath /var/lib/vz
\tcontent vztmpl,iso,backup,snippets,import

dir: local-dir2
\tpath /var/lib/vz2
\tcontent images,rootdir

btrfs: local-btrfs
\tpath /mnt/btr
\tcontent images,rootdir
"""
DEFAULT_USERS = "user:root@pam:1:0::::::\n"
CONTENT_DIRS = {"vztmpl": "template/cache", "iso": "template/iso", "backup": "dump", "snippets": "snippets",
                "import": "import"}
VOLUME = re.compile(r"(?<![\w.-])([a-z][a-z0-9-]*):((?:vztmpl|iso|backup|snippets|import)/[^\s,\"']+"
                    r"|\d+/[^\s,\"']+\.(?:raw|qcow2|vmdk|subvol)|vm-[^\s,\"']+)")
DISK_LINE = re.compile(r"^(?:rootfs|mp\d+|unused\d+|(?:ide|sata|scsi|virtio|efidisk|tpmstate)\d+|vmstate): (\S+)", re.M)
# The start of an ELF file for x86-64: what the architecture is told from.
ELF = "\x7fELF\x02\x01\x01" + "\0" * 9 + "\x03\0\x3e\0" + "\0" * 44
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": GIB, "T": 1 << 40}
HOST_PATH = re.compile(r"(^|=)(/(?:root|srv|dev|tmp|var/lib)(?:/[^,\s]*)?)(?=,|$)")
# Facts about the start that a run tells by what it found. The first that fits is believed.
SAYS_STOPPED = re.compile(r"(?:CT|VM) \d+ (?:is )?not running|(?<![Aa]gent) is not running|container '\d+' not running"
                          r"|status: stopped|can only (?:push|pull) |\"status\": ?\"stopped\"")
SAYS_RUNNING = re.compile(r"already running|is running\b|status: (?:running|paused)|if (?:the )?(?:CT|VM) is running"
                          r"|got timeout|VM still running|\"status\": ?\"running\"|guest agent is not running"
                          r"|drive mirror|Entering QEMU Monitor", re.I)
# The call that starts a task of this kind.
TASK_CALLS = {
    "vzdestroy": ("DELETE", "lxc/{}"), "vzstart": ("POST", "lxc/{}/status/start"), "vzcreate": ("POST", "lxc"),
    "qmdestroy": ("DELETE", "qemu/{}"), "qmstart": ("POST", "qemu/{}/status/start"),
    "resize": ("PUT", "qemu/{}/resize"),
}  # fmt: skip
VERBS = {"POST": "create", "PUT": "set", "DELETE": "delete"}
# What only succeeds on a running guest.
NEEDS_RUNNING = frozenset({
    "stop", "shutdown", "exec", "push", "pull", "reboot", "suspend", "resume", "reset", "enter", "console", "df",
})  # fmt: skip
QM_HARMLESS = frozenset(("stop", "shutdown"))


@dataclass
class Start:
    """Everything to be laid out before a run. Paths in ``files`` and ``host_files`` are the recorded machine's."""

    files: dict[str, str] = field(default_factory=dict)
    running: set[int] = field(default_factory=set)
    paused: set[int] = field(default_factory=set)
    volumes: dict[str, int] = field(default_factory=dict)
    host_files: dict[str, int] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    copies: list[tuple[str, str]] = field(default_factory=list)
    locks: list[str] = field(default_factory=list)
    commands: list[list[str]] = field(default_factory=list)
    requests: list[Transcript] = field(default_factory=list)
    changes: dict[int, dict[str, str | None]] = field(default_factory=dict)
    backups: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)


class World:
    """A folder of transcripts, as a source of neighbours: who made the guest, the task, the storage that one names."""

    def __init__(self, transcripts: Iterable[Transcript]) -> None:
        self.transcripts = list(transcripts)
        self.pool = recorded_files(self.transcripts)
        self.makers: dict[str, Transcript] = {}
        self.file_sizes: dict[str, int] = {}
        for transcript in self.transcripts:
            for volid, size in _listed_volumes(transcript):
                if volid not in self.file_sizes or not transcript.stdout.startswith("NAME"):  # that listing rounds
                    self.file_sizes[volid] = size
            if transcript.http is None:
                upid = re.search(r'^"(UPID:[^"]+)"$', transcript.stdout, re.M)
                if upid:
                    self.makers[upid[1]] = transcript
                continue
            if transcript.status != 200:
                continue
            data = transcript.body.get("data") if isinstance(transcript.body, dict) else None
            if isinstance(data, str) and data.startswith("UPID:"):
                self.makers[data] = transcript

    def creator(self, kind: str, vmid: int) -> Transcript | None:
        """The request of this folder that made a guest over the API."""
        for transcript in self.makers.values():
            http = transcript.http
            if http and http["method"] == "POST" and http["path"].endswith(f"/{kind}"):
                params = http.get("params") or {}
                if str(params.get("vmid")) == str(vmid) and "does not exist" not in str(self.outcome(transcript)):
                    return transcript
        return None

    def outcome(self, maker: Transcript) -> str:
        """All that was recorded of how a run ended: its own answer, and what its task told later."""
        data = maker.body.get("data") if isinstance(maker.body, dict) else None
        upid = data if isinstance(data, str) and data.startswith("UPID:") else None
        later = (json.dumps(t.body) for t in self.transcripts if upid and t.http and upid in t.http["path"])
        return " ".join((maker.answer_text(), *later))

    def configs(self, kind: str, vmid: int) -> list[str]:
        """Every config text recorded for a guest."""
        folder = "lxc" if kind == "lxc" else "qemu-server"
        return self.pool.get(f"etc/pve/{folder}/{vmid}.conf", [])


def infer(transcript: Transcript, world: World) -> Start:
    """The start of one transcript."""
    start = Start(files=transcript.start_files())
    start.files.setdefault(STORAGE_CFG, _storage_cfg(transcript, world))
    start.files.setdefault(USER_CFG, _user_cfg(transcript, world))
    _setup(transcript, start)
    if not _asked_task(transcript, world, start) and transcript.http is not None:
        _requested_guests(transcript, world, start)
    _grown(transcript, world, start)
    if match := re.search(r"^ +search:\n +- '([^']+)'", transcript.stdout, re.M):
        start.files["etc/resolv.conf"] = f"search {match[1]}\n"
    _listed_guests(transcript, world, start)
    for kind, vmid in _owners(transcript):
        start.files.setdefault(_file(kind, vmid), f"hostname: CT{vmid}\n" if kind == "lxc" else f"name: vm{vmid}\n")
    _running(transcript, start)
    _volumes(transcript, world, start)
    _host_files(transcript, start)
    return start


# --- guests ---------------------------------------------------------------------------------------------------------


def options(config: str) -> dict[str, str]:
    """The options of a config's main section."""
    main = config.split("\n[", 1)[0]
    return dict(line.split(": ", 1) for line in main.splitlines() if ": " in line and not line.startswith("#"))


def _file(kind: str, vmid: int) -> str:
    return f"etc/pve/{'lxc' if kind == 'lxc' else 'qemu-server'}/{vmid}.conf"


def _missing(transcript: Transcript, vmid: int) -> bool:
    pattern = rf"/{vmid}\.conf' does not exist|for VM {vmid} on node|(?:CT|VM) '?{vmid}'? does not exist"
    return re.search(pattern, transcript.answer_text()) is not None


def _asked_task(transcript: Transcript, world: World, start: Start) -> bool:
    """A task that is asked about has to be there: whoever started it runs first."""
    path = transcript.http["path"] if transcript.http else " ".join(transcript.argv)
    match = re.search(r"/tasks/(UPID:[^/ ]+)", path)
    maker = world.makers.get(match[1]) or _stand_in(match[1], transcript) if match else None
    if maker is None:
        return False
    _merge(start, infer(maker, world))
    start.requests.append(maker)
    return True


def _stand_in(upid: str, transcript: Transcript) -> Transcript | None:
    """A run that starts such a task, when nobody recorded the one that did."""
    kind, target = (upid.split(":") + [""] * 7)[5:7]
    if kind not in TASK_CALLS or not target.isdigit():
        return None
    method, path = TASK_CALLS[kind]
    said = transcript.answer_text()
    params: dict[str, Any] = {"purge": 1} if "purging" in said else {}
    before: dict[str, str] = {}
    if kind == "vzcreate":
        lost = re.search(r"volume '([^']+:vztmpl/[^']+)' does not exist", said)
        template = lost[1] if lost else "local:vztmpl/small_1_amd64.tar.gz"
        params = {"vmid": int(target), "ostemplate": template, "ostype": "unmanaged", "rootfs": "local-dir2:1"}
    else:
        folder = "lxc" if kind.startswith("vz") else "qemu"
        before[_file(folder, int(target))] = _plain(folder, int(target))
    if kind == "resize":
        params = {"disk": "scsi0", "size": "1M" if "shrinking" in said else "+1G"}
    path = f"/nodes/{NODE}/{path.format(target)}"
    if transcript.http is not None:
        http = {"method": method, "path": f"/api2/json{path}", "params": params, "auth": "token"}
        answer = {"data": upid} if "does not exist" not in said else {"data": upid, "said": said}
        return Transcript("stand-in", http=http, status=200, body=answer, files_before=before)
    options = [word for key, value in params.items() for word in (f"--{key}", str(value))]
    argv = ("pvesh", VERBS[method], path, *options, "--output-format", "json")
    return Transcript("stand-in", argv, stdout=f'"{upid}"\n', stderr=said, files_before=before)


def _requested_guests(transcript: Transcript, world: World, start: Start) -> None:
    """The guests an HTTP request names. Their files were not recorded, so their maker is asked, or a neighbour."""
    http = transcript.http or {}
    path, params = http["path"].split("?")[0], http.get("params") or {}
    named: list[tuple[str, int]] = []
    if match := GUEST_PATH.search(path):
        named.append((match[1], int(match[2])))
    elif (match := re.search(r"/(lxc|qemu)$", path)) and http["method"] == "POST" and "vmid" in params:
        taken = re.search(rf"(CT|VM) {params['vmid']} already exists", transcript.answer_text())
        if taken:
            named.append(("lxc" if taken[1] == "CT" else "qemu", int(params["vmid"])))
    data = transcript.body.get("data") if isinstance(transcript.body, dict) else None
    for kind, vmid in named:
        if _missing(transcript, vmid) or _file(kind, vmid) in start.files:
            continue
        config = data if http["method"] == "GET" and path.endswith("/config") and isinstance(data, dict) else None
        if config is not None:
            start.files[_file(kind, vmid)] = _matching(config, world.configs(kind, vmid)) or render(config)
        elif (creator := world.creator(kind, vmid)) is not None:
            _merge(start, infer(creator, world))
            start.requests.append(creator)
        else:
            start.files[_file(kind, vmid)] = (world.configs(kind, vmid) or [_plain(kind, vmid)])[-1]
        if isinstance(data, dict) and "maxmem" in data:
            start.changes[vmid] = _facts(kind, data)


def _grown(transcript: Transcript, world: World, start: Start) -> None:
    """A disk that could not be made as small as asked was larger: it was grown before."""
    http = transcript.http or {}
    if http.get("path", "").endswith("/resize") and "shrinking disks" in world.outcome(transcript):
        params = {"disk": http["params"]["disk"], "size": f"+{http['params']['size'].lstrip('+')}"}
        start.requests.append(replace(transcript, http={**http, "params": params}))


def _merge(start: Start, other: Start) -> None:
    for name, text in other.files.items():
        start.files.setdefault(name, text)
    start.volumes.update(other.volumes)
    start.running.update(other.running)
    start.host_files.update(other.host_files)
    start.requests.extend(other.requests)


def _matching(data: dict[str, Any], texts: list[str]) -> str | None:
    """The recorded text whose options are these, if there is one."""
    wanted = {key: str(value) for key, value in data.items() if key not in ("digest", "description")}
    return next((text for text in texts if options(text) == wanted), None)


def render(data: dict[str, Any]) -> str:
    """A config file that holds these options."""
    lines = [f"{key}: {value}" for key, value in sorted(data.items()) if key not in ("digest", "description")]
    notes = [f"#{line}" for line in str(data.get("description", "")).splitlines()]
    return "\n".join((*notes, *lines)) + "\n"


def _plain(kind: str, vmid: int) -> str:
    if kind == "lxc":
        return (f"arch: amd64\nhostname: CT{vmid}\nmemory: 512\nostype: unmanaged\n"
                f"rootfs: local-dir2:{vmid}/vm-{vmid}-disk-0.raw,size=1G\nswap: 512\nunprivileged: 1\n")
    return f"boot: order=scsi0\nmemory: 512\nname: vm{vmid}\nscsi0: local-dir2:{vmid}/vm-{vmid}-disk-0.raw,size=1G\n"


def _facts(kind: str, row: dict[str, Any]) -> dict[str, str | None]:
    """Config options that a status row tells; ``None`` for those it tells to be missing."""
    found: dict[str, str | None] = {}
    if row.get("name"):
        found["hostname" if kind == "lxc" else "name"] = str(row["name"])
    if row.get("maxmem"):
        found["memory"] = str(int(row["maxmem"]) >> 20)
    if kind == "lxc" and "maxswap" in row:
        found["swap"] = str(int(row["maxswap"]) >> 20)
    if "cpu" in row or row.get("tags"):
        found["tags"] = str(row["tags"]) if row.get("tags") else None
    if "cpu" in row and kind == "qemu":
        found["balloon"] = str(row["balloon_min"] >> 20) if "balloon_min" in row else None
        found["template"] = "1" if row.get("template") else None
    if "cpu" in row and kind == "lxc":
        cpus = row.get("cpus", row.get("maxcpu", ""))
        limited = isinstance(cpus, str) or "." in str(cpus)
        found.update({"cpulimit": str(cpus), "cores": None} if limited else {"cpulimit": None, "cores": str(cpus)})
    if "cpu" in row and kind == "qemu":
        found.update({"cores": str(row.get("cpus", row.get("maxcpu"))), "sockets": None})
        found.update({} if row.get("serial") or "maxcpu" in row else {"serial0": None})
        found.update({} if row.get("maxdisk") else {"boot": None})
    for card in row.get("nics") or ():
        found[f"net{card.rpartition('i')[2]}"] = "virtio=BC:24:11:00:00:0A,bridge=vmbr0"
    if row.get("maxdisk"):
        found["maxdisk"] = format_size(int(row["maxdisk"]))
    return found


def _rows(transcript: Transcript) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """The guests that a listing shows: kind, id and what else the row tells."""
    text = transcript.stdout
    data = transcript.body.get("data") if isinstance(transcript.body, dict) else json_of(text)
    asked = "/qemu" if "/qemu" in transcript.asked_text() else "/lxc"
    for row in data if isinstance(data, list) else ():
        if isinstance(row, dict) and "vmid" in row:
            kind = row["type"] if row.get("type") in ("lxc", "qemu") else asked.strip("/")
            yield kind, int(row["vmid"]), row
    if re.match(r"VMID +Status +Lock +Name", text):
        for line in text.splitlines()[1:]:
            if match := re.match(r"(\d+) +(\S+) +(\S*) +(\S+)", f"{line[:22]} {line[22:]}"):
                yield "lxc", int(match[1]), {"status": match[2], "lock": match[3], "name": match[4]}
    if re.match(r" *VMID NAME +STATUS", text):
        for line in text.splitlines()[1:]:
            if match := re.match(r" *(\d+) (.*?) +(running|stopped|paused) +(\d+) +([\d.]+) ", f"{line} "):
                name = None if match[2] == f"VM {match[1]}" else match[2]
                yield "qemu", int(match[1]), {"status": match[3], "name": name, "maxmem": int(match[4]) << 20,
                                              "maxdisk": float(match[5]) * GIB}


def _listed_guests(transcript: Transcript, world: World, start: Start) -> None:
    for kind, vmid, row in _rows(transcript):
        if row.get("status") == "running":
            start.running.add(vmid)
        name = _file(kind, vmid)
        if any(command[1:3] == ["create", str(vmid)] for command in start.commands):
            continue
        if name not in start.files:
            texts = world.configs(kind, vmid) or [_plain(kind, vmid)]
            start.files[name] = max(texts, key=functools.partial(_fit, kind, row))
            start.changes[vmid] = _facts(kind, row)
        if row.get("lock"):
            start.changes.setdefault(vmid, {})["lock"] = row["lock"]


def _fit(kind: str, row: dict[str, Any], text: str) -> int:
    """How many facts of a row a config text fulfils."""
    held = options(text)
    facts = _facts(kind, row)
    size = re.search(r"^(?:rootfs|scsi0|virtio0|sata0|ide0): .*size=(\d+)([KMGT]?)", text, re.M)
    fits = sum(held.get(key) == value for key, value in facts.items())
    if row.get("maxdisk"):
        fits += bool(size and int(size[1]) * UNITS[size[2]] == row["maxdisk"])
    cpus = float(held.get("cpulimit") or int(held.get("cores", 0)) * int(held.get("sockets", 1)))
    fits += cpus == float(row.get("cpus") or row.get("maxcpu") or -1)
    return fits + (held.get("lock") == row.get("lock")) + ("tags" in held) * ("tags" in row)


def _running(transcript: Transcript, start: Start) -> None:
    """Which of the named guests ran."""
    guests, text = transcript.guests(), transcript.answer_text()
    for command in (shlex.split(line) for line in transcript.setup if line.startswith(("pct ", "qm "))):
        if command[1] in ("start", "stop") and command[2].isdigit():
            (start.running.add if command[1] == "start" else start.running.discard)(int(command[2]))
            guests.discard(int(command[2]))
    subject = next((int(word) for word in transcript.argv[1:4] if word.isdigit()), None)
    for vmid in guests:
        if transcript.argv and vmid != subject and transcript.argv[0] in ("pct", "qm"):
            continue
        if _was_running(transcript, vmid, text):
            start.running.add(vmid)
    if re.search(r"status: paused|\"(?:qmp)?status\": \"paused\"", text):
        start.paused.update(guests)
        start.running.update(guests)
    if transcript.argv[:2] == ("qm", "resume") and transcript.rc == 0:
        start.paused.update(guests)


def _was_running(transcript: Transcript, vmid: int, text: str) -> bool:
    verb = next((word for word in transcript.argv[1:3] if re.fullmatch(r"[a-z-]+", word)), "")
    before = "".join(t for name, t in transcript.start_files().items() if name.endswith(f"/{vmid}.conf"))
    after = "".join(t for name, t in transcript.files_after.items() if name.endswith(f"/{vmid}.conf"))
    if SAYS_STOPPED.search(text):
        return False
    if SAYS_RUNNING.search(text) or "[PENDING]" in before:
        return True
    if verb in NEEDS_RUNNING and transcript.rc == 0 and not (transcript.argv[0] == "qm" and verb in QM_HARMLESS):
        return True
    if transcript.argv[:2] == ("qm", "suspend") and transcript.rc == 0:
        return True
    if transcript.argv[0:1] == ("pct",) and verb == "exec" and transcript.rc not in (2, 255):
        return True
    if "/interfaces" in transcript.asked_text() and "127.0.0.1/8" in text:
        return True
    return len(_waiting(after)) > len(_waiting(before))


def _waiting(config: str) -> str:
    """The pending section: it grows only while a guest runs."""
    match = re.search(r"^\[(?:pve:pending|PENDING)\]\n((?:[^\[].*\n?)*)", config, re.M)
    return match[1].strip() if match else ""


# --- storages and volumes -------------------------------------------------------------------------------------------


def _storage_names(transcript: Transcript, world: World) -> set[str]:
    """The storages that a run found: named in what it was told, and not reported as missing."""
    text = transcript.asked_text()
    names = {match[1] for match in re.finditer(r"(?<![\w.:/-])([a-z][\w-]+):(?=\d|[a-z]+/|vm-|cloudinit)", text)}
    words = transcript.argv
    known = {match[1] for texts in (world.pool.get(STORAGE_CFG, []),) for cfg in texts
             for match in re.finditer(r"^\w+: (\S+)$", cfg, re.M)}
    names |= {word for word in words[1:] if word in known}
    if words[:2] in (("pvesm", "list"), ("pvesm", "status"), ("pvesm", "alloc"), ("pveam", "list")):
        names |= {word for word in words[2:3] if not word.startswith("-")}
    if transcript.http and (match := re.search(r"/storage/([\w-]+)", transcript.http["path"])):
        names.add(match[1])
    names |= {match[1] for match in re.finditer(r"storage ID '([\w-]+)' already defined", transcript.answer_text())}
    missing = re.findall(r"storage '([\w-]+)' does not exist", transcript.answer_text())
    return {name for name in names if name not in missing and name not in ("http", "https", "mac", "order")}


def _storage_cfg(transcript: Transcript, world: World) -> str:
    data = transcript.body.get("data") if isinstance(transcript.body, dict) else json_of(transcript.stdout)
    rows = data if isinstance(data, list) else []
    listed = [row for row in rows if isinstance(row, dict) and "storage" in row and row.get("type") in ("dir", "btrfs")]
    if listed and all("path" in row for row in listed):
        skip = ("storage", "type", "digest")
        return "\n".join(f"{row['type']}: {row['storage']}\n"
                         + "".join(f"\t{key} {value}\n" for key, value in row.items() if key not in skip)
                         for row in listed)
    text = DEFAULT_STORAGES
    for name in sorted(_storage_names(transcript, world)):
        section = re.compile(rf"^\w+: {re.escape(name)}\n(?:\t.*\n?)*", re.M)
        if section.search(text):
            continue
        found = next((match[0] for cfg in world.pool.get(STORAGE_CFG, []) if (match := section.search(cfg))), None)
        text += "\n" + (found or f"dir: {name}\n\tpath /var/lib/{name}\n\tcontent images,rootdir\n")
    return text


def _user_cfg(transcript: Transcript, world: World) -> str:
    text = max(world.pool.get(USER_CFG, [DEFAULT_USERS]), key=len)
    kept = [line for line in text.splitlines() if line and not line.startswith("pool:")]
    rows = json_of(transcript.stdout)
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and "poolid" in row:
            kept.append(f"pool:{row['poolid']}:{row.get('comment', '')}:::")
    kept += _known_access(transcript)
    if transcript.http and transcript.http["path"].endswith("/access/acl") and transcript.http["method"] == "GET":
        kept = [line for line in kept if not line.startswith("acl:")]
        rows = transcript.body.get("data") if isinstance(transcript.body, dict) else None
        kept += [f"acl:{row['propagate']}:{row['path']}:{row['ugid']}:{row['roleid']}:" for row in rows or ()]
    return "\n".join(dict.fromkeys(kept)) + "\n"


def _known_access(transcript: Transcript) -> Iterator[str]:
    """Users and tokens that a run found there."""
    for user in re.findall(r"user '([^']+)' already exists", transcript.answer_text()):
        yield f"user:{user}:1:0::::::"
    match = re.search(r"/users/([^/]+)/token/([^/]+)$", transcript.http["path"]) if transcript.http else None
    method = transcript.http["method"] if transcript.http else ""
    there = "already exists" in transcript.answer_text() or (method != "POST" and transcript.status == 200)
    if match and there:
        yield f"token:{match[1]}!{match[2]}:0:0::"


def size_of(text: str) -> int | None:
    """The bytes of a ``size=`` in a disk's options."""
    match = re.search(r"\bsize=(\d+)([KMGT]?)\b", text)
    return int(match[1]) * UNITS[match[2]] if match else None


def _volumes(transcript: Transcript, world: World, start: Start) -> None:
    """Every volume that the start names: in configs, in the arguments, in a listing."""
    said = world.outcome(transcript)
    for name, text in start.files.items():
        if not GUEST_FILE.match(name):
            continue
        for spec in DISK_LINE.findall(text):
            volid = spec.split(",")[0]
            if VOLUME.fullmatch(volid):
                size = size_of(spec) or _known_size(volid, world) or GIB
                for part in _chain(volid):
                    start.volumes.setdefault(part, size)
    params = str((transcript.http or {}).get("params") or "")
    for match in VOLUME.finditer(" ".join((*transcript.argv, *transcript.setup, params))):
        volid = match[0]
        if re.search(rf"{re.escape(volid.rsplit('/', 1)[-1])}' does not exist", said):
            continue
        if any(target.endswith("/" + volid.rsplit("/", 1)[-1]) for _, target in start.copies):
            continue
        spec = re.search(rf"{re.escape(volid)}\S*size=\S+", transcript.answer_text())
        known = (size_of(spec[0]) if spec else None) or _source_size(transcript) or _known_size(volid, world)
        start.volumes.setdefault(volid, known or 1 << 20)
        if re.search(r"Unexpected EOF|unexpected end of file", said) and ":vztmpl/" in volid:
            start.broken.add(volid)
    for volid, size in _listed_volumes(transcript):
        start.volumes.setdefault(volid, size)
    for source, _ in start.copies:
        start.volumes.setdefault(f"local:vztmpl/{source.rsplit('/', 1)[-1]}", 1 << 20)
    for volid in _left_over(transcript, start):
        start.volumes.setdefault(volid, GIB)
    for volid in start.volumes:
        if ":vztmpl/" in volid and world.file_sizes.get(volid, 0):
            start.sizes[volid] = world.file_sizes[volid]
        elif ":backup/" in volid:
            start.backups[volid] = _backed_up(transcript, world, volid)


def _left_over(transcript: Transcript, start: Start) -> Iterator[str]:
    """Volumes that nothing names but that were there: a new disk gets the first number that is free."""
    if transcript.argv[:2] == ("pvesm", "alloc"):
        storage, vmid, name = transcript.argv[2:5] if len(transcript.argv) > 4 else ("", "", "")
        if "already exists" in transcript.stderr:
            yield f"{storage}:{vmid}/{name}"
        if name:
            return
    made = re.findall(r"^Formatting '[^']*/((?:vm|subvol)-(\d+)-disk-(\d+))[./][^']*'", transcript.stdout, re.M)
    names = " ".join(start.volumes)
    for vmid in {vmid for _, vmid, _ in made}:
        first = min(int(number) for _, owner, number in made if owner == vmid)
        named = re.search(r"(?<!\S)([\w-]+)(?=:\d)", " ".join(transcript.argv))
        storage = named[1] if named else "local-dir2"
        for number in range(first):
            if f"-{vmid}-disk-{number}" not in names:
                yield f"{storage}:{vmid}/vm-{vmid}-disk-{number}.raw"


def _backed_up(transcript: Transcript, world: World, volid: str) -> str:
    """The config inside a backup: one recorded for its guest, whichever the run's outcome shows."""
    match = re.search(r"vzdump-(lxc|qemu)-(\d+)-", volid)
    if not match:
        return ""
    texts = world.configs(match[1], int(match[2]))
    seen = f"{transcript.stdout}\n" + "\n".join(transcript.files_after.values())
    plain = _plain(match[1], int(match[2]))
    return max(texts, key=lambda text: sum(line in seen or -1 for line in text.splitlines()), default=plain)


def _chain(volid: str) -> list[str]:
    """A linked clone's own volume and its base."""
    storage, _, path = volid.partition(":")
    parts = path.split("/")
    if len(parts) == 4:
        return [f"{storage}:{parts[0]}/{parts[1]}", f"{storage}:{parts[2]}/{parts[3]}"]
    return [volid]


def _known_size(volid: str, world: World) -> int | None:
    pattern = re.compile(rf"{re.escape(volid)}\S*size=\d+[KMGT]?")
    for texts in world.pool.values():
        for text in texts:
            if match := pattern.search(text):
                return size_of(match[0])
    return None


def _source_size(transcript: Transcript) -> int | None:
    """The virtual size of an image that was imported: that of the disk it became."""
    match = re.search(r"^Formatting '[^']*disk[^']*', fmt=\S+ .*?\bsize=(\d+)", transcript.stdout, re.M)
    importing = any("import" in word for word in transcript.argv)
    return int(match[1]) if match and importing else None


def format_size(size: int) -> str:
    """A size as configs write it."""
    for unit in ("", "K", "M"):
        if size % 1024:
            return f"{size}{unit}"
        size //= 1024
    return f"{size}G"


def _owners(transcript: Transcript) -> Iterator[tuple[str, int]]:
    """The guests that own the volumes of a listing: a container's are of the kind ``rootdir``."""
    for line in transcript.stdout.splitlines()[1:] if transcript.stdout.startswith("Volid") else ():
        words = line.split()
        if len(words) == 5 and words[2] in ("rootdir", "images"):
            yield ("lxc" if words[2] == "rootdir" else "qemu"), int(words[4])


def _listed_volumes(transcript: Transcript) -> Iterator[tuple[str, int]]:
    if transcript.stdout.startswith("Volid"):
        for line in transcript.stdout.splitlines()[1:]:
            words = line.split()
            yield words[0], int(words[3])
    for line in transcript.stdout.splitlines() if transcript.stdout.startswith("NAME") else ():
        if match := re.match(rf"({VOLUME.pattern}) +([\d.]+)MB", line):
            yield match[1], int(float(match[4]) * (1 << 20))
    data = transcript.body.get("data") if isinstance(transcript.body, dict) else json_of(transcript.stdout)
    for row in data if isinstance(data, list) else ():
        if isinstance(row, dict) and "volid" in row:
            yield row["volid"], int(row.get("size", 1 << 20))


# --- files of the machine, locks, setup -------------------------------------------------------------------------------


def _setup(transcript: Transcript, start: Start) -> None:
    """What was done right before the run, apart from what the recorded configs already show."""
    for line in transcript.setup:
        if match := re.search(r"flock (/\S+)", line):
            start.locks.append(match[1])
        elif match := re.fullmatch(r"cp (\S+) (\S+)", line):
            start.copies.append((match[1], match[2]))
        elif match := re.fullmatch(r"echo (\S+) > (\S+)", line):
            start.host_files[match[2]] = len(match[1]) + 1
            start.broken.add(match[2])
        elif line.startswith(("pct ", "qm ", "pvesm ")):
            words = shlex.split(line)
            recorded = any(name.endswith(f"/{words[2]}.conf") for name in start.files) if len(words) > 2 else False
            if words[1] not in ("start", "stop") and not recorded:
                start.commands.append(words)


def host_positions(argv: tuple[str, ...]) -> Iterator[int]:
    """The words of a command line in which a path of the machine (not of the guest, not of the API) may stand."""
    verb = argv[1] if len(argv) > 1 else ""
    if argv[0] == "pvesh":
        yield from (i for i in range(3, len(argv)))
    elif argv[0] == "pct" and verb == "exec":
        return
    elif argv[0] == "pct" and verb == "push":
        yield 3
    elif argv[0] == "pct" and verb == "pull":
        yield 4
    else:
        yield from range(1, len(argv))


def on_root(argv: tuple[str, ...], root: Path) -> list[str]:
    """The command line with the machine's paths moved under the state root."""
    words = list(argv)
    for i in host_positions(argv):
        if i < len(words):
            words[i] = HOST_PATH.sub(lambda m: m[0] if _stays(m) else f"{m[1]}{root}{m[2]}", words[i])
    return words


def _stays(match: re.Match[str]) -> bool:
    """A mount point is a path of the guest, and devices are named as the kernel does."""
    return match.string[: match.end(1)].endswith("mp=") or match[2].startswith("/dev/")


def _host_files(transcript: Transcript, start: Start) -> None:
    """The machine's files that the command line names and found."""
    said = transcript.answer_text()
    for i in host_positions(transcript.argv) if transcript.argv else ():
        word = transcript.argv[i] if i < len(transcript.argv) else ""
        for match in HOST_PATH.finditer(word):
            path = match[2]
            target = transcript.argv[1] == "pull"
            made = any(transcript.argv[j].startswith("--path") for j in (i, i - 1))
            if re.search(rf"{re.escape(path)}\W*(?:does not exist|non-existent|for reading|No such)", said):
                continue
            if f"can't find file '{path}'" in said or f"open '{path}'" in said or target or made:
                continue
            start.host_files.setdefault(path, _source_size(transcript) or 1 << 20)
    if transcript.http and "Device" not in said:
        for value in (transcript.http.get("params") or {}).values():
            if str(value).startswith("/dev/"):
                start.host_files.setdefault(str(value), 0)


# --- laying out -----------------------------------------------------------------------------------------------------


def lay_out(start: Start, root: Path) -> None:
    """Writes a start under a state root. What is already there of the node's own files stays."""
    nodes = root / "etc/pve/nodes" / NODE
    for folder in ("lxc", "qemu-server"):
        (nodes / folder).mkdir(parents=True, exist_ok=True)
        link = root / "etc/pve" / folder
        if not link.exists():
            link.symlink_to(f"nodes/{NODE}/{folder}")
    if not (root / "etc/pve/local").exists():
        (root / "etc/pve/local").symlink_to(f"nodes/{NODE}")
    for folder in ("run/qemu-server", "run/lock/lxc", "run/lock/qemu-server", "proc/net", "var/lib/lxc", "root"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name, text in start.files.items():
        if name == STORAGE_CFG:
            text = re.sub(r"^(\tpath )/", rf"\1{root}/", text, flags=re.M)
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    cfg = (root / STORAGE_CFG).read_text(encoding="utf-8")
    paths = storage_paths(cfg)
    for folder in paths.values():
        Path(folder).mkdir(parents=True, exist_ok=True)
    for volid, size in start.volumes.items():
        storage, _, name = volid.partition(":")
        if storage in paths:
            btrfs = re.search(rf"^btrfs: {re.escape(storage)}$", cfg, re.M) is not None
            _write_volume(Path(paths[storage]), name, size, volid in start.broken, btrfs)
            if volid in start.backups:
                _write_backup(Path(paths[storage]) / "dump" / name.rsplit("/", 1)[-1], start.backups[volid])
            if volid in start.sizes:
                _pad(Path(paths[storage]) / "template/cache" / name.rsplit("/", 1)[-1], start.sizes[volid])
    for name, size in start.host_files.items():
        _write_host_file(root / name.lstrip("/"), size, name in start.broken)
    for source, target in start.copies:
        data = (root / source.lstrip("/")).read_bytes()
        (root / target.lstrip("/")).write_bytes(data)
    run_guests(start, root)


def run_guests(start: Start, root: Path) -> None:
    """Marks the guests that run: a container by its command socket, a VM by its pid file."""
    nodes = root / "etc/pve/nodes" / NODE
    sockets = "".join(f"0000000000000000: 00000002 00000000 00010000 0001 01 {vmid} @/var/lib/lxc/{vmid}/command\n"
                      for vmid in sorted(start.running) if (nodes / "lxc" / f"{vmid}.conf").exists())
    (root / "proc/net/unix").write_text("Num       RefCount Protocol Flags    Type St Inode Path\n" + sockets)
    for vmid in start.running:
        if (nodes / "qemu-server" / f"{vmid}.conf").exists():
            (root / "run/qemu-server" / f"{vmid}.pid").write_text("4242\n")


def storage_paths(cfg: str) -> dict[str, str]:
    """The path of each storage that has one."""
    return {match[1]: match[2] for match in re.finditer(r"^\w+: (\S+)\n(?:\t.*\n)*?\tpath (\S+)$", cfg, re.M)}


def change_configs(start: Start, root: Path) -> None:
    """Brings configs that the node made during set-up to the facts known of them."""
    for vmid, changes in start.changes.items():
        for folder in ("lxc", "qemu-server"):
            path = root / "etc/pve/nodes" / NODE / folder / f"{vmid}.conf"
            if path.exists():
                main, mark, rest = path.read_text(encoding="utf-8").partition("\n[")
                held = options(main)
                _resize(held, changes.pop("maxdisk", None))
                held.update({key: value for key, value in changes.items() if value is not None})
                held = {key: value for key, value in held.items() if changes.get(key, "") is not None}
                notes = "".join(line + "\n" for line in main.splitlines() if line.startswith("#"))
                body = "".join(f"{key}: {value}\n" for key, value in sorted(held.items()))
                path.write_text(notes + body + mark + rest, encoding="utf-8")


def _resize(held: dict[str, str], size: str | None) -> None:
    """Gives the first disk of a config the size that a listing showed."""
    disk = next((key for key in ("rootfs", "scsi0", "virtio0", "sata0", "ide0") if "size=" in held.get(key, "")), None)
    if disk and size:
        held[disk] = re.sub(r"size=\w+", f"size={size}", held[disk])


def _write_backup(path: Path, config: str) -> None:
    """A backup of a container: its config, and the files of a small system."""
    files = {"etc/vzdump/pct.conf": config, "bin/sh": "#!/bin/sh\n", "etc/hostname": "backup\n"}
    _pack(path, files, (".", "etc", "etc/vzdump", "bin"))


def _pad(path: Path, size: int) -> None:
    """Brings a compressed archive to an exact size, with bytes that its reader passes over."""
    short = size - path.stat().st_size
    if path.suffix == ".zst" and short > 8:
        with path.open("ab") as file:
            file.write(struct.pack("<II", 0x184D2A50, short - 8))
    if path.suffix in (".zst", ".gz") and short > 8:
        with path.open("r+b") as file:
            file.truncate(size)


def _write_volume(folder: Path, name: str, size: int, broken: bool, btrfs: bool) -> None:
    """One volume. btrfs keeps every disk in a subvolume of its own."""
    content, _, base = name.partition("/")
    if content in CONTENT_DIRS:
        path = folder / CONTENT_DIRS[content] / base
        path.parent.mkdir(parents=True, exist_ok=True)
        if content == "vztmpl":
            _write_template(path, broken)
        elif content == "snippets":
            path.write_text("#cloud-config\n")
        elif content == "import" or base.endswith(".qcow2"):
            path.write_bytes(qcow2(size))
        else:
            _sparse(path, size)
        return
    path = folder / "images" / name if "/" in name else folder / name
    if btrfs:
        path = path.with_suffix("") if name.endswith(".subvol") else path.with_suffix("") / "disk.raw"
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".subvol"):
        path.mkdir(exist_ok=True)
    elif name.endswith(".qcow2"):
        path.write_bytes(qcow2(size))
    else:
        _sparse(path, size)


def _write_host_file(path: Path, size: int, broken: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".pub", ".keys"):
        path.write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJk0wZrCq0S1xwT1XqvQ8m3m7n5nq3c3wYH3fYQ0C1aV test@x\n")
    elif broken:
        path.write_text("junk\n")
    elif path.parent.name == "cache":
        _write_template(path, broken)
    elif path.suffix == ".qcow2":
        path.write_bytes(qcow2(size))
    elif path.suffix in (".raw", ".img", ".iso"):
        _sparse(path, size)
    elif str(path).endswith("/srv") or (not path.suffix and "/srv/" in str(path)):
        path.mkdir(parents=True, exist_ok=True)
    elif not path.exists():
        path.write_text("")


def _sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def qcow2(size: int) -> bytes:
    """The header of an empty qcow2 image (version 3) of this virtual size."""
    header = struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 0, 0, 16, size, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 4, 104)
    return header + b"\0" * (196616 - len(header))


def _write_template(path: Path, broken: bool) -> None:
    """A small root file system, packed as the name says. Its name tells the distribution, as names of templates do."""
    distribution = re.match(r"([a-z]+)-(\d+[.\d]*)", path.name)
    files = {"bin/sh": "#!/bin/sh\n", "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/hostname": "template\n"}
    if distribution and distribution[1] != "busybox":
        major = distribution[2].split(".")[0]
        files["etc/os-release"] = f"ID={distribution[1]}\nVERSION_ID=\"{major}\"\n"
        files["etc/debian_version"] = f"{major}.1\n"
        files["etc/ssh/sshd_config"] = "PermitRootLogin prohibit-password\n"
        files["bin/sh"] = files["lib/systemd/systemd"] = ELF
        if (distribution[1], major) == ("debian", "13"):
            files["usr/lib/systemd/libsystemd-core-257.so"] = ""
    folders = (".", "bin", "dev", "etc", "lib", "proc", "root", "sbin", "sys", "tmp", "var")
    _pack(path, files, folders, broken)


def _pack(path: Path, files: dict[str, str], folders: tuple[str, ...], broken: bool = False) -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for folder in folders:
            info = tarfile.TarInfo(f"./{folder}")
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        for name, text in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size, info.mode = len(text), 0o755
            tar.addfile(info, io.BytesIO(text.encode("latin-1")))
    packers = {".zst": ["zstd", "-q", "-c"], ".xz": ["xz", "-c"], ".gz": ["gzip", "-c"], ".bz2": ["bzip2", "-c"]}
    packer = packers.get(path.suffix)
    data = subprocess.run(packer, input=raw.getvalue(), stdout=subprocess.PIPE, check=True).stdout if packer else b""
    path.write_bytes(data[: len(data) // 2] if broken else data)
