# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which storages and volumes there were before a run, and who was known to the node."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from .normalise import json_of
from .transcript import GUEST_FILE, STORAGE_CFG
from .world import GIB, USER_CFG, VOLUME, listed_volumes, plain_config, size_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .transcript import Transcript
    from .world import Start, World

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
DISK_LINE = re.compile(r"^(?:rootfs|mp\d+|unused\d+|(?:ide|sata|scsi|virtio|efidisk|tpmstate)\d+|vmstate): (\S+)", re.M)


def _storage_names(transcript: Transcript, world: World) -> set[str]:
    """The storages that a run found: named in what it was told, and not reported as missing."""
    text = transcript.asked_text()
    names = {match[1] for match in re.finditer(r"(?<![\w.:/-])([a-z][\w-]+):(?=\d|[a-z]+/|vm-|cloudinit)", text)}
    words = transcript.argv
    known = {
        match[1]
        for texts in (world.pool.get(STORAGE_CFG, []),)
        for cfg in texts
        for match in re.finditer(r"^\w+: (\S+)$", cfg, re.M)
    }
    names |= {word for word in words[1:] if word in known}
    if words[:2] in (("pvesm", "list"), ("pvesm", "status"), ("pvesm", "alloc"), ("pveam", "list")):
        names |= {word for word in words[2:3] if not word.startswith("-")}
    if transcript.http and (match := re.search(r"/storage/([\w-]+)", transcript.http["path"])):
        names.add(match[1])
    names |= {match[1] for match in re.finditer(r"storage ID '([\w-]+)' already defined", transcript.answer_text())}
    missing = re.findall(r"storage '([\w-]+)' does not exist", transcript.answer_text())
    return {name for name in names if name not in missing and name not in ("http", "https", "mac", "order")}


def storage_cfg(transcript: Transcript, world: World) -> str:
    data = transcript.body.get("data") if isinstance(transcript.body, dict) else json_of(transcript.stdout)
    rows = data if isinstance(data, list) else []
    listed = [row for row in rows if isinstance(row, dict) and "storage" in row and row.get("type") in ("dir", "btrfs")]
    if listed and all("path" in row for row in listed):
        skip = ("storage", "type", "digest")
        return "\n".join(
            f"{row['type']}: {row['storage']}\n"
            + "".join(f"\t{key} {value}\n" for key, value in row.items() if key not in skip)
            for row in listed
        )
    text = DEFAULT_STORAGES
    for name in sorted(_storage_names(transcript, world)):
        section = re.compile(rf"^\w+: {re.escape(name)}\n(?:\t.*\n?)*", re.M)
        if section.search(text):
            continue
        found = next((match[0] for cfg in world.pool.get(STORAGE_CFG, []) if (match := section.search(cfg))), None)
        text += "\n" + (found or f"dir: {name}\n\tpath /var/lib/{name}\n\tcontent images,rootdir\n")
    return text


def user_cfg(transcript: Transcript, world: World) -> str:
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


def find_volumes(transcript: Transcript, world: World, start: Start) -> None:
    """Every volume that the start names: in configs, in the arguments, in a listing."""
    said = world.outcome(transcript)
    for name, text in start.files.items():
        if not GUEST_FILE.match(name):
            continue
        for spec in DISK_LINE.findall(text):
            volid = spec.split(",")[0]
            if VOLUME.fullmatch(volid) and not is_lost(volid, said):
                size = size_of(spec) or _known_size(volid, world) or GIB
                for part in _chain(volid):
                    start.volumes.setdefault(part, size)
    for match in VOLUME.finditer(_named(transcript)):
        volid = match[0]
        if is_lost(volid, said):
            continue
        if any(target.endswith("/" + volid.rsplit("/", 1)[-1]) for _unused, target in start.copies):
            continue
        spec = re.search(rf"{re.escape(volid)}\S*size=\S+", transcript.answer_text())
        known = (size_of(spec[0]) if spec else None) or source_size(transcript, volid) or _known_size(volid, world)
        start.volumes.setdefault(volid, known or 1 << 20)
        if re.search(r"Unexpected EOF|unexpected end of file", said) and ":vztmpl/" in volid:
            start.broken.add(volid)
        too_small = re.search(r"^Formatting .*\bsize=(\d+)(?=[\s\S]*No space left on device)", said, re.M)
        if too_small and ":vztmpl/" in volid:
            start.weights[volid] = int(too_small[1])
    for volid, size in listed_volumes(transcript):
        start.volumes.setdefault(volid, size)
    for source, _unused in start.copies:
        start.volumes.setdefault(f"local:vztmpl/{source.rsplit('/', 1)[-1]}", 1 << 20)
    for volid in _left_over(transcript, start):
        start.volumes.setdefault(volid, GIB)
    for volid in start.volumes:
        if ":vztmpl/" in volid and world.file_sizes.get(volid, 0):
            start.sizes[volid] = world.file_sizes[volid]
        elif ":backup/" in volid:
            start.backups[volid] = _backed_up(transcript, world, volid)


def _named(transcript: Transcript) -> str:
    """The texts in which a run names volumes; one without its storage gets that."""
    http = transcript.http or {}
    words = list(transcript.argv)
    if words[:2] == ["pvesm", "import"] and "already exists" not in transcript.stderr:
        del words[2]
    if "--storage" in words[:-1]:
        name = words[words.index("--storage") + 1]
        words = [f"{name}:{word}" if re.fullmatch(r"\d+/\S+\.\w+", word) else word for word in words]
    return " ".join((*words, *transcript.setup, str(http.get("params") or ""), unquote(http.get("path", ""))))


def is_lost(path: str, said: str) -> bool:
    """Whether a run says of a volume, or of a file, that it is not there."""
    name = re.escape(path.rsplit("/", 1)[-1])
    return (
        re.search(
            rf"{name}'?:? (?:does not exist|No such file)|failed to (?:stat|open) '[^']*{name}'"
            rf"|can't find file '[^']*{name}'",
            said,
        )
        is not None
    )


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
    for vmid in {vmid for _unused, vmid, _unused in made}:
        first = min(int(number) for _unused, owner, number in made if owner == vmid)
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
    plain = plain_config(match[1], int(match[2]))
    return max(texts, key=lambda text: sum(line in seen or -1 for line in text.splitlines()), default=plain)


def _chain(volid: str) -> list[str]:
    """A linked clone's own volume and its base."""
    storage, _unused, path = volid.partition(":")
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


def source_size(transcript: Transcript, source: str) -> int | None:
    """The virtual size of an image that was imported: that of the disk it became."""
    params = (transcript.http or {}).get("params") or {}
    asked = "\n".join((" ".join(transcript.argv), *(f"--{key} {value}" for key, value in params.items())))
    importing = re.search(rf"--(\w+\d) \S*import-from={re.escape(source)}(?![^\s,])", asked)
    for name, text in transcript.end_files().items() if importing else ():
        line = re.search(rf"^{importing[1]}: (.*)$", text or "", re.M) if importing and GUEST_FILE.match(name) else None
        if line and (size := size_of(line[1])):
            return size
    match = re.search(r"^Formatting '[^']*disk[^']*', fmt=\S+ .*?\bsize=(\d+)", transcript.stdout, re.M)
    return int(match[1]) if match and "import" in asked else None
