# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state a transcript started from, inferred from what it recorded.

A transcript holds the guest configs around its run, and not much else. What else was there follows from facts in it:
a disk that the config names existed and had the size noted there, an image that was imported was there, a guest that
was found "already running" ran, a listing shows which guests were listed. Only such facts of the start are taken;
what the command answered to them is for the node to find.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .guests import find_listed, find_running, is_missing, matching_config, render, row_facts, volume_owners
from .machine import find_host_files, find_sites, set_up
from .normalise import json_of
from .transcript import GUEST_PATH, STORAGE_CFG, Transcript
from .volumes import find_volumes, storage_cfg, user_cfg
from .world import NODE, USER_CFG, Start, guest_file, plain_config

if TYPE_CHECKING:
    from .world import World

# The call that starts a task of this kind.
TASK_CALLS = {
    "vzdestroy": ("DELETE", "lxc/{}"), "vzstart": ("POST", "lxc/{}/status/start"), "vzcreate": ("POST", "lxc"),
    "qmdestroy": ("DELETE", "qemu/{}"), "qmstart": ("POST", "qemu/{}/status/start"),
    "resize": ("PUT", "qemu/{}/resize"),
}  # fmt: skip
VERBS = {"POST": "create", "PUT": "set", "DELETE": "delete"}


def infer(transcript: Transcript, world: World) -> Start:
    """The start of one transcript."""
    start = Start(files=transcript.start_files(), releases=world.releases)
    start.files.setdefault(STORAGE_CFG, storage_cfg(transcript, world))
    start.files.setdefault(USER_CFG, user_cfg(transcript, world))
    set_up(transcript, start)
    if not _asked_task(transcript, world, start) and transcript.http is not None:
        _requested_guests(transcript, world, start)
    _grown(transcript, world, start)
    if match := re.search(r"^ +search:\n +- '([^']+)'", transcript.stdout, re.M):
        start.files["etc/resolv.conf"] = f"search {match[1]}\n"
    find_listed(transcript, world, start)
    for kind, vmid in volume_owners(transcript):
        bare = f"hostname: CT{vmid}\n" if kind == "lxc" else f"name: vm{vmid}\n"
        start.files.setdefault(guest_file(kind, vmid), bare)
    find_running(transcript, start)
    find_volumes(transcript, world, start)
    find_host_files(transcript, start)
    find_sites(transcript, world, start)
    _past_tasks(transcript, start)
    return start


def _asked_task(transcript: Transcript, world: World, start: Start) -> bool:
    """A task that is asked about has to be there: whoever started it runs first."""
    path = transcript.http["path"] if transcript.http else " ".join(transcript.argv)
    match = re.search(r"/tasks/(UPID:[^/ ]+)", path)
    if not match or "no such task" in transcript.answer_text():
        return False
    maker = world.maker(match[1]) or _stand_in(match[1], transcript)
    if maker is None:
        return False
    for name in maker.files_changed:  # what the run found of them is what the task made
        start.files.pop(name, None)
    _merge(start, infer(maker, world))
    start.requests.append(maker if maker.http is None else replace(maker, body={"data": match[1]}))
    return True


def _past_tasks(transcript: Transcript, start: Start) -> None:
    """The tasks of a listing that the set-up did not start had ended before."""
    data = transcript.body.get("data") if isinstance(transcript.body, dict) else json_of(transcript.stdout)
    rows = [row for row in data if isinstance(row, dict) and "upid" in row] if isinstance(data, list) else []
    rows.sort(key=lambda row: int(row["starttime"]))
    for argv in reversed(start.commands):
        kind = f"{'vz' if argv[0] == 'pct' else 'qm'}{argv[1]}"
        made = next((row for row in reversed(rows) if row["type"] == kind and row.get("id") == argv[2]), None)
        if made:
            rows.remove(made)
    lines = [f"{row['upid']} {int(row['endtime']):08X} {row.get('status', '')}\n" for row in rows if "endtime" in row]
    if lines:
        start.texts["var/log/pve/tasks/index"] = "".join(lines)


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
        before[guest_file(folder, int(target))] = plain_config(folder, int(target))
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
        if is_missing(transcript, vmid) or guest_file(kind, vmid) in start.files:
            continue
        config = data if http["method"] == "GET" and path.endswith("/config") and isinstance(data, dict) else None
        if config is not None:
            start.files[guest_file(kind, vmid)] = matching_config(config, world.configs(kind, vmid)) or render(config)
        elif (creator := world.creator(kind, vmid)) is not None:
            _merge(start, infer(creator, world))
            start.requests.append(creator)
        else:
            start.files[guest_file(kind, vmid)] = (world.configs(kind, vmid) or [plain_config(kind, vmid)])[-1]
        if isinstance(data, dict) and "maxmem" in data:
            start.changes[vmid] = row_facts(kind, data)


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
    start.texts.update(other.texts)
    for address, paths in other.sites.items():
        start.sites.setdefault(address, set()).update(paths)
    start.requests.extend(other.requests)
