# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what is declared and cannot be had of this node, or in this way of reaching it."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._io import versions as order
from ansible_collections.pve.provision.plugins.module_utils._model.codec import plain
from ansible_collections.pve.provision.plugins.module_utils._model.option import HIDDEN
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Fields

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
    from ansible_collections.pve.provision.plugins.module_utils._engine.planned_guest import Report


def check_version(report: Report, facts: Facts, wanted: Wanted, touched: t.Mapping[str, t.Any]) -> None:
    """PVE would say of such an option that there is none. The node is asked only where something new is declared."""
    for path, value, since in _newer(wanted, touched):
        if facts.version and order.key(facts.version) < order.key(since):
            problem = f"needs Proxmox VE {since}, and node {facts.node.name} has {facts.version}"
            report.add(path, value, problem, "Leave it out, or upgrade the node.")


def check_reach(report: Report, facts: Facts, wanted: Wanted) -> None:
    """What only root on the node itself can set. Over the API nobody could even see whether it is as declared."""
    for key in wanted.type.table.on_node:
        if key in wanted.declaration.values and facts.node.files is None:
            path = wanted.declaration.paths.get(key, key)
            remedy = "Run this task on the node, without api_host, or leave it out."
            report.add(path, None, "is written to a file of the node, which is not possible over the API", remedy)


def _newer(wanted: Wanted, touched: t.Mapping[str, t.Any]) -> t.Iterator[tuple[str, object, str]]:
    """The declared options, and keys of them, that not every supported version of PVE knows."""
    for key, value in touched.items():
        option, path = wanted.type.table.find(key), wanted.declaration.paths.get(key, key)
        if option is None:
            continue
        if option.since:
            yield path, HIDDEN if option.secret else plain(value), option.since
        fields = option.codec.keys if isinstance(option.codec, Fields) else {}
        for name, entry in fields.items():
            if entry.since and value.get(name) not in (None, entry.default):
                yield f"{path}.{entry.param or name}", plain(value[name]), entry.since
