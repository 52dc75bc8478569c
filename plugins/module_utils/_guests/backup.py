# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the backup that a new container is restored from, found and read."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import BackupSource, Wanted
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.mark import without_tags_of_source
from ansible_collections.pve.provision.plugins.module_utils._model.network import is_net, without_hwaddr
from ansible_collections.pve.provision.plugins.module_utils._model.volume import AUTO, storage_of
from ansible_collections.pve.provision.plugins.module_utils._pve.privileges import Need
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import usable
from ansible_collections.pve.provision.plugins.module_utils._pve.types import same_name

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig, Volume

LATEST: t.Final = "latest"
# A backup of a guest: a file of vzdump, or one on a Proxmox Backup Server.
_OURS: t.Final = {
    "lxc": re.compile(r"[^:]+:backup/(?:vzdump-(?:lxc|openvz)-|ct/)(\d+)[-/]"),
    "qemu": re.compile(r"[^:]+:backup/(?:vzdump-qemu-|vm/)(\d+)[-/]"),
}
_WHEN: t.Final = re.compile(r"\d{4}[_-]\d\d[_-]\d\d[-T]\d\d[_:]\d\d[_:]\d\d")
# What PVE leaves out of a restored config.
_LEFT_OUT: t.Final = ("lock", "parent", "snaptime", "template")


def with_backup(facts: Facts, wanted: Wanted, source: BackupSource) -> Wanted:
    """The backup's volid and the config in it, as it will be restored. What cannot be found is a finding."""
    try:
        volume, config = _find(facts, wanted, source)
    except LookupError as error:
        where = f" on {source.storage}" if source.storage and source.backup == LATEST else ""
        remedy = _there_are(facts, wanted, source)
        finding = Finding("restore_from.backup", source.backup + where, str(error.args[0]), remedy)
        lacking = dataclasses.replace(source, needs=_to_read(wanted, source.backup, source.storage, wanted.vmid))
        return dataclasses.replace(wanted, backup=lacking, findings=(*wanted.findings, finding))
    options = {key: text for key, text in config.options.items() if key not in _LEFT_OUT and key[:6] != "unused"}
    declared = wanted.declaration.values
    moving = {key: text for key, text in options.items() if wanted.type.is_volume(key) and wanted.type.is_copied(text)}
    target, target_option = _target(facts, wanted, moving)
    create = {**wanted.type.restoring(volume.volid), **({"storage": target} if target else {})}
    options |= {key: re.sub("^[^,]*", f"{target or storage_of(text)}:0", text) for key, text in moving.items()}
    if declared.get("unprivileged") is not None:
        create["unprivileged"] = options["unprivileged"] = str(int(declared["unprivileged"]))
    if _has_twin(facts, wanted, volume.vmid):
        create["unique"] = "1"
        wanted = without_tags_of_source(wanted)
        network = wanted.type.network
        options = {key: without_hwaddr(network, text) if is_net(key) else text for key, text in options.items()}
    options[wanted.type.name_key] = wanted.name or options.get(wanted.type.name_key, "")
    storages = sorted({storage_of(options[key]) or "" for key in moving})
    needs = (
        *_to_read(wanted, volume.volid, None, volume.vmid),
        *(Need((f"/storage/{storage}",), ("Datastore.AllocateSpace",), target_option) for storage in storages),
    )
    found = BackupSource(volume.volid, source.storage, options, create, target, target_option, needs)
    return dataclasses.replace(wanted, backup=found)


def _has_twin(facts: Facts, wanted: Wanted, vmid: int | None) -> bool:
    """Whether another guest has the addresses in a backup: the one that was backed up, if it is still anywhere in the
    cluster, or what the same run restores from a backup of it."""
    first = facts.keep(f"restored {vmid}", lambda: wanted.label)
    return first != wanted.label or (vmid not in (None, wanted.vmid) and facts.node.locate(vmid) is not None)


def _to_read(wanted: Wanted, backup: str, storage: str | None, owner: int | None) -> tuple[Need, ...]:
    """The privileges without which PVE does not even tell that there is a backup (pve-storage, Storage.pm,
    check_volume_access)."""
    storage = storage if backup == LATEST else storage_of(backup)
    named = _OURS[wanted.type.kind].match(backup)
    guest = int(named[1]) if named else owner
    rights = [(f"/storage/{storage}", "Datastore.AllocateSpace")] if storage else []
    rights += [(f"/vms/{guest}", "VM.Backup")] if guest else []
    return tuple(Need((path,), (privilege,), "restore_from") for path, privilege in rights)


def _target(facts: Facts, wanted: Wanted, moving: t.Mapping[str, str]) -> tuple[str | None, str]:
    """The storage that gets the volumes, all of them: the declared one of the first volume, else that where the first
    one was, if it is here and takes such guests; None: each gets back to its own. And the option that says so."""
    declared = wanted.declaration
    first = wanted.type.first_volume({**declared.values, **moving})
    storage = (declared.values.get(first) or {}).get("storage")
    if storage not in (None, AUTO):
        return str(storage), f"{declared.paths.get(first, first)}.storage"
    names = [each.name for each in usable(facts.storages, wanted.type.content)]
    if not wanted.type.restored_to_one and all(storage_of(text) in names for text in moving.values()):
        return None, "restore_from"
    had = storage_of(moving.get(first, ""))
    return had if had in names or not names else names[0], "restore_from"


def _find(facts: Facts, wanted: Wanted, source: BackupSource) -> tuple[Volume, GuestConfig]:
    """The backup that is meant and the config in it. LookupError says what is wrong."""
    if source.backup != LATEST:
        if not _OURS[wanted.type.kind].match(source.backup):
            raise LookupError(f"is not the volid of a {wanted.type.noun}'s backup")
        volume = next((each for each in _backups(facts, wanted, source) if each.volid == source.backup), None)
        if volume is None:
            raise LookupError(f"is not on any storage of node {facts.node.name}")
        return volume, facts.node.backup_config(volume.volid)
    seen: set[int | None] = set()
    for volume in sorted(_backups(facts, wanted, source), key=_made, reverse=True):
        if wanted.vmid not in (None, volume.vmid) or volume.vmid in seen:
            continue
        seen.add(volume.vmid)
        config = facts.node.backup_config(volume.volid)
        if wanted.vmid is not None or same_name(config.options.get(wanted.type.name_key), wanted.name):
            return volume, config
    raise LookupError(f"is not a backup of {wanted.label}")


def _backups(facts: Facts, wanted: Wanted, source: BackupSource) -> list[Volume]:
    """The backups of such guests on the storages that are meant."""
    only = source.storage or (source.backup.partition(":")[0] if source.backup != LATEST else None)
    holding = [each.name for each in facts.storages if "backup" in each.content and each.active]
    volumes = [volume for name in holding if only in (None, name) for volume in facts.node.volumes(name, "backup")]
    return [volume for volume in volumes if _OURS[wanted.type.kind].match(volume.volid)]


def _made(volume: Volume) -> tuple[str, int]:
    """When a backup was made: its name tells, whatever was done to the file since."""
    told = _WHEN.search(volume.volid)
    return re.sub(r"\D", "", told[0]) if told else "", volume.ctime or 0


def _there_are(facts: Facts, wanted: Wanted, source: BackupSource) -> str:
    everywhere = dataclasses.replace(source, backup=LATEST)
    names = sorted(volume.volid for volume in _backups(facts, wanted, everywhere))
    return f"Backups of {wanted.type.noun}s here: {', '.join(names) or 'none'}."
