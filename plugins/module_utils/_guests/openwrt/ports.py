# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which network device of a guest is which port of its router."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
from ansible_collections.pve.provision.plugins.module_utils._model.network import is_net
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import Interface, Port

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Fields
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Kind


def ports_of(options: t.Mapping[str, str], network: Fields, kind: Kind) -> list[Port]:
    """The network devices of a guest. A VM calls them ``eth0`` and so on in the order of their numbers."""
    nets = sorted((int(key[3:]), network.parse(text)) for key, text in options.items() if is_net(key))
    return [
        Port(
            number,
            str(net.get("name", f"eth{number}")) if kind == "lxc" else f"eth{rank}",
            str(net.get("hwaddr", "")),
            str(net.get("bridge", "")) + (f".{net['tag']}" if net.get("tag") else ""),
        )
        for rank, (number, net) in enumerate(nets)
    ]


def with_ports(
    wanted: Wanted, first: t.Sequence[Interface], placed: t.Sequence[Interface], gone: t.Sequence[Port]
) -> Wanted:
    """The networks that were declared in the order of ``first``, by the numbers of the ports they are placed on. A
    port that is ``gone`` is taken away; of a VM it stays unplugged, so that those behind it keep their names."""
    declaration = wanted.declaration
    values = {key: value for key, value in declaration.values.items() if not is_net(key)}
    paths = {key: path for key, path in declaration.paths.items() if not is_net(key)}
    for old, new in zip(first, placed, strict=True):
        value = declaration.values[f"net{old.number}"]
        name = {"name": new.device} if wanted.type.kind == "lxc" else {}
        values[f"net{new.number}"], paths[f"net{new.number}"] = {**value, **name}, f"interfaces.{new.name}"
    for port in gone:
        taken = None if wanted.type.kind == "lxc" else {"link_down": True}
        values[f"net{port.number}"], paths[f"net{port.number}"] = taken, "interfaces"
    assumed = frozenset(key for key in declaration.assumed if not is_net(key))
    return dataclasses.replace(
        wanted, declaration=dataclasses.replace(declaration, values=values, paths=paths, assumed=assumed)
    )
