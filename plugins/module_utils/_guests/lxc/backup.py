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
from ansible_collections.pve.provision.plugins.module_utils._model.network import is_net
from ansible_collections.pve.provision.plugins.module_utils._model.volume import storage_of
from ansible_collections.pve.provision.plugins.module_utils._pve.privileges import Need
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import usable
from ansible_collections.pve.provision.plugins.module_utils._pve.types import same_name

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig, Volume

LATEST: t.Final = "latest"
# A backup of a container: a file of vzdump, or one on a Proxmox Backup Server.
_OURS: t.Final = re.compile(r"[^:]+:backup/(?:vzdump-(?:lxc|openvz)-|ct/)")
_OWNER: t.Final = re.compile(r":backup/(?:vzdump-(?:lxc|openvz)-|ct/)(\d+)[-/]")
_WHEN: t.Final = re.compile(r"\d{4}[_-]\d\d[_-]\d\d[-T]\d\d[_:]\d\d[_:]\d\d")
# What PVE leaves out of a restored config.
_LEFT_OUT: t.Final = ("lock", "parent", "snaptime", "template")


def with_backup(facts: Facts, wanted: Wanted, source: BackupSource) -> Wanted:
    """The backup's volid and the config in it, as it will be restored. What cannot be found is a finding."""
    try:
        volume, config = _find(facts, wanted, source)
    except LookupError as error:
        where = f" on {source.storage}" if source.storage and source.backup == LATEST else ""
        finding = Finding("restore_from.backup", source.backup + where, str(error.args[0]), _there_are(facts, source))
        lacking = dataclasses.replace(source, needs=_to_read(source.backup, source.storage, wanted.vmid))
        return dataclasses.replace(wanted, backup=lacking, findings=(*wanted.findings, finding))
    options = {key: text for key, text in config.options.items() if key not in _LEFT_OUT and key[:6] != "unused"}
    declared = wanted.declaration.values
    target, target_option = _home(facts, wanted, options)
    create = {"ostemplate": volume.volid, "restore": "1", "storage": target}
    options |= {key: re.sub("^[^,]*", f"{target}:0", text) for key, text in options.items() if _moves(key, text)}
    if declared.get("unprivileged") is not None:
        create["unprivileged"] = options["unprivileged"] = str(int(declared["unprivileged"]))
    if _has_twin(facts, wanted, volume.vmid):
        create["unique"] = "1"
        options = {key: _without_address(wanted, text) if is_net(key) else text for key, text in options.items()}
    options[wanted.type.name_key] = wanted.name or options.get(wanted.type.name_key, "")
    needs = (
        *_to_read(volume.volid, None, volume.vmid),
        Need((f"/storage/{target}",), ("Datastore.AllocateSpace",), target_option),
    )
    found = BackupSource(volume.volid, source.storage, options, create, target, target_option, needs)
    return dataclasses.replace(wanted, backup=found)


def _has_twin(facts: Facts, wanted: Wanted, vmid: int | None) -> bool:
    """Whether another guest has the addresses in a backup: the one that was backed up, if it is still anywhere in the
    cluster, or what the same run restores from a backup of it."""
    first = facts.keep(f"restored {vmid}", lambda: wanted.label)
    return first != wanted.label or (vmid not in (None, wanted.vmid) and facts.node.locate(vmid) is not None)


def _to_read(backup: str, storage: str | None, owner: int | None) -> tuple[Need, ...]:
    """The privileges without which PVE does not even tell that there is a backup (pve-storage, Storage.pm,
    check_volume_access)."""
    home = storage if backup == LATEST else storage_of(backup)
    named = _OWNER.search(backup)
    guest = int(named[1]) if named else owner
    rights = [(f"/storage/{home}", "Datastore.AllocateSpace")] if home else []
    rights += [(f"/vms/{guest}", "VM.Backup")] if guest else []
    return tuple(Need((path,), (privilege,), "restore_from") for path, privilege in rights)


def _home(facts: Facts, wanted: Wanted, options: t.Mapping[str, str]) -> tuple[str, str]:
    """The storage that gets the volumes, all of them: the declared one, else that of the backed-up root volume, if it
    is here and takes containers. And the option that says so."""
    declared = (wanted.declaration.values.get("rootfs") or {}).get("storage")
    names = [storage.name for storage in usable(facts.storages, wanted.type.content)]
    had = storage_of(options.get("rootfs", ""))
    if declared:
        return str(declared), "rootfs.storage"
    return str(had if had in names or not names else names[0]), "restore_from"


def _moves(key: str, text: str) -> bool:
    """Whether an option is a volume of a storage: what is bound from the node stays where it is."""
    return re.fullmatch(r"rootfs|mp\d+", key) is not None and not text.startswith("/")


def _without_address(wanted: Wanted, text: str) -> str:
    network = wanted.type.network
    return network.render({**network.parse(text), "hwaddr": None})


def _find(facts: Facts, wanted: Wanted, source: BackupSource) -> tuple[Volume, GuestConfig]:
    """The backup that is meant and the config in it. LookupError says what is wrong."""
    if source.backup != LATEST:
        if not _OURS.match(source.backup):
            raise LookupError("is not the volid of a container's backup")
        volume = next((each for each in _backups(facts, source) if each.volid == source.backup), None)
        if volume is None:
            raise LookupError(f"is not on any storage of node {facts.node.name}")
        return volume, facts.node.backup_config(volume.volid)
    seen: set[int | None] = set()
    for volume in sorted(_backups(facts, source), key=_made, reverse=True):
        if wanted.vmid not in (None, volume.vmid) or volume.vmid in seen:
            continue
        seen.add(volume.vmid)
        config = facts.node.backup_config(volume.volid)
        if wanted.vmid is not None or same_name(config.options.get(wanted.type.name_key), wanted.name):
            return volume, config
    raise LookupError(f"is no backup of {wanted.label}")


def _backups(facts: Facts, source: BackupSource) -> list[Volume]:
    """The backups of containers on the storages that are meant."""
    only = source.storage or (source.backup.partition(":")[0] if source.backup != LATEST else None)
    holding = [each.name for each in facts.storages if "backup" in each.content and each.active]
    volumes = [volume for name in holding if only in (None, name) for volume in facts.node.volumes(name, "backup")]
    return [volume for volume in volumes if _OURS.match(volume.volid)]


def _made(volume: Volume) -> tuple[str, int]:
    """When a backup was made: its name tells, whatever was done to the file since."""
    told = _WHEN.search(volume.volid)
    return re.sub(r"\D", "", told[0]) if told else "", volume.ctime or 0


def _there_are(facts: Facts, source: BackupSource) -> str:
    names = sorted(volume.volid for volume in _backups(facts, dataclasses.replace(source, backup=LATEST)))
    return f"Backups of containers here: {', '.join(names) or 'none'}."
