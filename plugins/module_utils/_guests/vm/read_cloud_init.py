# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: from the parameters of a VM to what it is to be told by cloud-init."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.cloud_init import GROUP, TIMEOUT, CloudInit
from ansible_collections.pve.provision.plugins.module_utils._model.cloud_init.content import (
    INSTEAD_OF,
    PARTS,
    check_contents,
)
from ansible_collections.pve.provision.plugins.module_utils._model.option import HIDDEN, Path


def read_cloud_init(
    params: t.Mapping[str, t.Any],
    nulls: frozenset[Path],
    stated: t.Mapping[str, t.Any],
    scripts: t.Mapping[str, str] | None = None,
) -> tuple[CloudInit, list[Finding]]:
    """The part of a VM that has to do with cloud-init, and what is wrong with the contents by themselves. ``stated``
    are the user's own parameters, without what a profile has put under them; ``scripts`` are a profile's own."""
    given = params.get(GROUP) or {}
    contents = {part: str(given[f"{part}_data"]) for part in PARTS if given.get(f"{part}_data") is not None}
    dropped = {part for part in PARTS if (GROUP,) in nulls or (GROUP, f"{part}_data") in nulls}
    part = CloudInit(
        declared=params.get(GROUP) is not None,
        given=contents,
        dropped=frozenset(dropped),
        storage=given.get("storage"),
        scripts=scripts or {},
        brings_agent=given.get("install_agent"),
        patience=TIMEOUT if given.get("wait") is None else given["wait"],
    )
    paths = {name: f"{GROUP}.{name}_data" for name in PARTS}
    placed = {*contents, "vendor"} if scripts else contents.keys()
    return part, [*check_contents(contents, paths), *_conflicts(stated.get(GROUP) or {}, placed)]


def _conflicts(given: t.Mapping[str, t.Any], contents: t.Collection[str]) -> t.Iterator[Finding]:
    """What PVE, or cloud-init, would pass over."""
    for part, names in INSTEAD_OF.items():
        for name in names if part in contents else ():
            if given.get(name) is not None:
                value = HIDDEN if name == "password" else given[name]
                problem = f"has no effect with {GROUP}.{part}_data, which replaces what PVE generates from it"
                yield Finding(f"{GROUP}.{name}", value, problem, f"Put it into {part}_data, or leave one of them out.")
    custom = given.get("custom") or {}
    for part in PARTS:
        if part in contents and custom.get(part):
            problem = f"is a snippet of your own beside {GROUP}.{part}_data"
            yield Finding(f"{GROUP}.custom.{part}", custom[part], problem, "Leave one of them out.")
