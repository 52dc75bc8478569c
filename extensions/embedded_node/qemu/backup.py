# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The VM's part of a backup: its config and its disks as a VMA archive."""

from __future__ import annotations

import gzip
import io
import typing as t
import uuid

import zstandard

from ..state import config_file, vma
from ..state import disk_image as image
from ..state import storage as storages
from . import agent, config, process
from .disks import Disks, shown_size

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ..api.session import Session
    from ..state.config_file import GuestFile

CONFIG = "qemu-server.conf"
LEFT_OUT = ("lock", "parent")


def included(session: Session, options: Mapping[str, str]) -> dict[str, config.Drive]:
    """The drives that a backup holds; tells about each drive."""
    if options.get("name"):
        session.say(f"INFO: VM Name: {options['name']}")
    found: dict[str, config.Drive] = {}
    for name, drive in config.drives(options):
        if not config.holds_data(drive):
            continue
        if drive.get("backup") == "0":
            session.say(f"INFO: exclude disk '{name}' '{drive['file']}' (backup=no)")
            continue
        session.say(f"INFO: include disk '{name}' '{drive['file']}' {drive.get('size', '')}".rstrip())
        found[name] = drive
    return found


def write(session: Session, vmid: int, text: str, target: Path, drives: Mapping[str, config.Drive]) -> None:
    """Write the archive of a VM with this config, packed as its name says."""
    running = process.pid(session.state, vmid) is not None
    if drives and not running:
        session.say("INFO: starting kvm to execute backup task")
    frozen = running and _freeze(session, vmid)
    if drives:
        session.say(f"INFO: started backup task '{uuid.uuid4()}'")
    if frozen:
        session.say("INFO: issuing guest-agent 'fs-thaw' command")
        agent.ask(session, vmid, "fsfreeze-thaw")
    disks = Disks(session, vmid)
    packed = io.BytesIO()
    sources = {f"drive-{name}": _source(disks, drive["file"]) for name, drive in drives.items()}
    vma.write(packed, {CONFIG: text.encode()}, sources)
    pack: dict[str, t.Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}
    target.write_bytes(pack.get(target.suffix, bytes)(packed.getvalue()))
    _tell_progress(session, sum(size for size, _pieces in sources.values()), len(packed.getvalue()))
    if drives and not running:
        session.say("INFO: stopping kvm after backup task")


def _freeze(session: Session, vmid: int) -> bool:
    """Hold the guest's file systems still while the backup begins; returns whether they are."""
    options = session.state.guest("qemu", vmid).options
    why = ""
    if not config.agent_enabled(options):
        why = ", agent not configured in VM options"
    elif not process.agent_runs(session, vmid, options):
        why = ", agent configured but not running?"
    elif not config.freezes(options):
        why = ", disabled in VM options"
    if why:
        session.say(f"INFO: skipping guest-agent 'fs-freeze'{why}")
        return False
    session.say("INFO: issuing guest-agent 'fs-freeze' command")
    agent.ask(session, vmid, "fsfreeze-freeze")
    return True


def _source(disks: Disks, volid: str) -> tuple[int, Iterator[tuple[int, bytes]]]:
    """A disk's size and the pieces of it that hold something."""
    path = disks.path(volid)
    return image.sniffed_size(path), image.read(path, "qcow2" if image.is_qcow2(path) else "raw")


def archived_config(session: Session, conf: GuestFile, drives: Mapping[str, config.Drive]) -> str:
    """The config as the archive keeps it, with where each disk of the archive belongs."""
    options = {key: value for key, value in conf.options.items() if key not in LEFT_OUT}
    for name in sorted(name for name in options if name.startswith("unused")):
        session.say(f"INFO: skip unused drive '{options.pop(name)}' (not included into backup)")
    text = config_file.render(config_file.GuestFile("qemu", config_file.Section(options)))
    for name, drive in drives.items():
        storage, volume = storages.locate(session.state, drive["file"])
        text += f"#qmdump#map:{name}:drive-{name}:{storage.name}:{storage.parse(volume).format}:\n"
    for what, there in (("special config section", conf.special), ("snapshots", conf.snapshots),
                        ("pending configuration changes", conf.pending)):  # fmt: skip
        if there:
            session.say(f"INFO: {what} found (not included into backup)")
    return text


def _tell_progress(session: Session, total: int, written: int) -> None:
    if not total:
        return
    shown, zero = shown_size(total), max(total - written, 0)
    session.say(f"INFO: 100% ({shown} of {shown}) in 1s, read: {shown}/s, write: {shown_size(written)}/s")
    if zero:
        session.say(f"INFO: backup is sparse: {shown_size(zero)} ({100 * zero // total}%) total zero data")
    session.say(f"INFO: transferred {shown} in 1 seconds ({shown}/s)")
