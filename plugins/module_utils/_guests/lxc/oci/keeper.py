# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what keeps the old root file system of a container while a new one proves itself.

Proxmox VE unpacks an image only into a new container. So one is made beside, which gives its root volume to the other
and gets that one's in exchange, with the options that came of the old image: it keeps what is needed to go back. All of
that stands in the configs of the two, so that a later run finds it, wherever it runs: the description of the keeper
says whose it is, and two keys of the container, which nobody else gets to so soon, say how far it came.

The new volume is first the container's under :data:`NEW`. From the moment when it is its root, the old one is there
under :data:`OLD`. Nothing else than going back or finishing takes them away.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._model.oci import (
    IMAGE_LINES,
    OciRecord,
    with_record,
)
from ansible_collections.pve.provision.plugins.module_utils._model.volume import ROOTFS

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig

NEW: t.Final = "unused255"
OLD: t.Final = "unused254"
# What PVE makes of an image (pve-container, LXC/Create.pm, restore_oci_archive).
OF_IMAGE: t.Final[tuple[str, ...]] = ("entrypoint", "cmode", "env", "ostype")
RAW: t.Final = "lxc"
_MARK: t.Final = re.compile(
    r"^Made by pve\.provision: keeps the old root file system of container (\d+), which (ran|did not run)\.",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Keeper:
    """A container beside the one numbered ``of``, which ``ran`` or not before."""

    vmid: int
    of: int
    ran: bool
    config: GuestConfig

    @property
    def record(self) -> OciRecord | None:
        """The image that the old root file system was made from."""
        return OciRecord.find(self.config.options.get("description", ""))


def name_of(name: str) -> str:
    """What the keeper of a container is called."""
    return f"{name[:55].rstrip('-.')}-replace"


def mark(vmid: int, *, ran: bool, record: OciRecord | None) -> str:
    """The description of a keeper."""
    how = "ran" if ran else "did not run"
    text = f"Made by pve.provision: keeps the old root file system of container {vmid}, which {how}."
    return with_record(text, record)


def find(node: Node, vmid: int, name: str) -> Keeper | None:
    """The keeper of a container, where there is one."""
    for guest in node.named("lxc", name_of(name)):
        config = node.config("lxc", guest.vmid) if guest.node == node.name else None
        found = _MARK.search(config.options.get("description", "")) if config else None
        if config and found and int(found[1]) == vmid:
            return Keeper(guest.vmid, vmid, found[2] == "ran", config)
    return None


def volume_of(text: str) -> str:
    """The volume of a root file system."""
    return str(ROOTFS.parse(text)["volume"])


def is_replaced(config: GuestConfig) -> bool:
    """Whether the new root file system is in its place."""
    return OLD in config.options


def of_image(lines: t.Iterable[str]) -> tuple[str, ...]:
    """The lines for LXC that came of an image."""
    return tuple(line for line in lines if line.partition(":")[0] in IMAGE_LINES)


def besides_image(lines: t.Iterable[str]) -> tuple[str, ...]:
    """The other lines for LXC."""
    return tuple(line for line in lines if line.partition(":")[0] not in IMAGE_LINES)


def set_of_image(node: Node, vmid: int, now: GuestConfig, options: dict[str, str], lines: t.Sequence[str]) -> None:
    """Set the options of a stopped container to these, and of those that come of an image none else; ``lines`` for LXC
    where they can be set."""
    delete = [key for key in OF_IMAGE if key in now.options and key not in options]
    if node.files is not None and tuple(lines) != node.lxc_lines(vmid):
        options = {**options, RAW: "\n".join(lines)}
    node.set_config("lxc", vmid, options, delete)


def drop(node: Node, vmid: int, *keys: str) -> None:
    """Take keys of unused volumes from a config: of a volume that has another one, PVE has done so itself; any other is
    removed with its key."""
    config = node.config("lxc", vmid)
    if config is not None and (there := [key for key in keys if key in config.options]):
        node.set_config("lxc", vmid, {}, there)


def go_back(node: Node, wanted: Wanted, keeper: Keeper) -> list[str]:
    """Let a container be as it was before, and remove what was new. What could not be done, in words."""
    vmid, config = keeper.of, node.config("lxc", keeper.of)
    words: list[str] = []
    if config is not None:
        try:
            if is_replaced(config):
                _put_back(node, wanted, keeper, config)
            if keeper.ran and wanted.state != "stopped":
                node.start("lxc", vmid, timeout=wanted.policy.start_timeout)
            drop(node, vmid, NEW)
        except ProvisionError as error:
            left = f"container {keeper.vmid} keeps the old root file system, and the next run restores it"
            return [f"it could not be rolled back: {error}", left]
    try:
        node.destroy("lxc", keeper.vmid, purge=False, timeout=wanted.policy.timeout)
    except ProvisionError as error:
        words.append(f"container {keeper.vmid}, which is no longer needed, could not be removed: {error}")
    node.journal.pop(keeper.vmid, None)
    return words


def _put_back(node: Node, wanted: Wanted, keeper: Keeper, config: GuestConfig) -> None:
    """The old root file system in its place, and the new one unused."""
    if node.status("lxc", keeper.of) == "running":
        node.stop("lxc", keeper.of, timeout=wanted.policy.timeout)
    kept = keeper.config.options
    options = {key: kept[key] for key in OF_IMAGE if key in kept}
    options["description"] = with_record(config.options.get("description", ""), keeper.record)
    options |= {"rootfs": kept["rootfs"], NEW: volume_of(config.options["rootfs"])}
    lines = (*besides_image(node.lxc_lines(keeper.of)), *of_image(node.lxc_lines(keeper.vmid)))
    set_of_image(node, keeper.of, config, options, lines)
    drop(node, keeper.of, OLD)


def finish(node: Node, wanted: Wanted, keeper: Keeper) -> None:
    """The new root file system stays; the old one goes, and its keeper."""
    drop(node, keeper.of, NEW, OLD)
    node.destroy("lxc", keeper.vmid, purge=False, timeout=wanted.policy.timeout)
    node.journal.pop(keeper.vmid, None)
