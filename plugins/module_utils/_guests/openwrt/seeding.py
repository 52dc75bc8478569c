# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: how the first boot of a container finds the files that are made for it.

On the node they are written into the container before its first start. Over the API nobody can write into a container,
so they go into a template of its own, which holds its secrets and is removed as soon as the container is made.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine import cleanup
from ansible_collections.pve.provision.plugins.module_utils._guests.sweep import sweep
from ansible_collections.pve.provision.plugins.module_utils._io.rooted_fs import RootedFs
from ansible_collections.pve.provision.plugins.module_utils._openwrt.rootfs import ONE_ROUTER, Files, parse_release
from ansible_collections.pve.provision.plugins.module_utils._openwrt.seed import RELEASE, Read
from ansible_collections.pve.provision.plugins.module_utils._pve.node import required
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import usable
from ansible_collections.pve.provision.plugins.module_utils._store import openwrt_template
from ansible_collections.pve.provision.plugins.module_utils._store.openwrt_build import Defaults
from ansible_collections.pve.provision.plugins.module_utils._store.openwrt_template import WantedTemplate

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

MakeFiles = t.Callable[[Read, str], Files]
"""The files for a root file system, out of what can be read in it and its version."""


def inject_files(node: Node, vmid: int, make: MakeFiles) -> None:
    """Write files into a stopped container. A mounted container is locked, so it is unmounted on every way out."""
    cleanup.advance(node, vmid, "seeding")
    containers = required(node.containers, "A stopped container is written into only")
    tree = RootedFs(containers.mount(vmid))
    try:
        version = parse_release((tree.read(RELEASE) or b"").decode()).version
        for path, (mode, content) in make(tree.read, version).items():
            tree.write(path, mode, content)
    finally:
        containers.unmount(vmid)
    cleanup.advance(node, vmid, "seeded")


def seeded_template(node: Node, template: WantedTemplate, defaults: Defaults) -> WantedTemplate:
    """The template that carries the files, on one storage alone: nobody else is to use it."""
    storages = template.storages or tuple(storage.name for storage in usable(node.storages(), "vztmpl")[:1])
    return dataclasses.replace(template, defaults=defaults, storages=storages, one_router=True)


def remove_template(node: Node, template: WantedTemplate) -> list[str]:
    """Remove a template of :func:`seeded_template` wherever it is, of any version, also where nobody saw it arrive.
    Returns what could not be removed, in words."""
    openwrt_template.forget(node, template)
    return sweep(node, "vztmpl", ONE_ROUTER, template.name("").removeprefix("openwrt-"))
