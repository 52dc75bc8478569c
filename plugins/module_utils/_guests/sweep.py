# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: files of ours on storages that nobody needs any more, such as killed runs have left."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import usable

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

#: For how many seconds another run may still be about to use one.
IN_USE: t.Final = 3600


def sweep(node: Node, content: str, pattern: re.Pattern[str], own: str = "") -> list[str]:
    """Remove what runs that were killed have left on storages: the files whose names end like ``own``, and what is
    called like them and is old.

    Returns what could not be removed, in words."""
    try:
        storages = usable(node.storages(), content)
        volumes = [volume for storage in storages for volume in node.volumes(storage.name, content)]
    except ProvisionError as error:
        return [f"a guest's secrets may be left on a storage that could not be looked at: {error}"]
    troubles = []
    for volume in volumes:
        name = volume.volid.rpartition("/")[2]
        old = volume.ctime is not None and node.clock.wall() - volume.ctime > IN_USE
        if pattern.fullmatch(name) and (old or (own and name.endswith(own))):
            try:
                node.free(volume.volid)
            except ProvisionError as error:
                troubles.append(f"{volume.volid}, which holds a guest's secrets, could not be removed: {error}")
    return troubles


def remove_unused(node: Node, volids: t.Iterable[str]) -> list[str]:
    """Remove files that no guest of the cluster names, as far as this login sees them; what did not go, in words."""
    wanted = tuple(volids)
    texts = list(guest_texts(node)) if wanted else []
    left = []
    for volid in wanted:
        if any(volid in text for text in texts):
            continue
        try:
            if node.snippets is not None and ":snippets/" in volid:
                node.snippets.remove(volid)
            else:
                node.free(volid)
        except ProvisionError as error:
            left.append(f"{volid} could not be removed: {error}")
    return left


def guest_texts(node: Node) -> t.Iterator[str]:
    """What the configs of the cluster's guests say, as far as this login sees them."""
    if node.files is not None:
        yield from node.files.guest_configs()
        return
    for _guest, config in node.configs(node.guests("qemu")):
        yield "\n".join((*config.options.values(), *config.live.values()))
