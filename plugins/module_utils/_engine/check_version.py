# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what is declared and not known to the version of PVE that a node has."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._io import versions as order
from ansible_collections.pve.provision.plugins.module_utils._model.diff import HIDDEN, find_option
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Fields, plain

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
    from ansible_collections.pve.provision.plugins.module_utils._engine.outlook import Report


def check_version(report: Report, facts: Facts, wanted: Wanted, touched: t.Mapping[str, t.Any]) -> None:
    """PVE would say of such an option that there is none. The node is asked only where something new is declared."""
    for path, value, since in _newer(wanted, touched):
        if facts.version and order.key(facts.version) < order.key(since):
            problem = f"came with Proxmox VE {since}, and node {facts.node.name} has {facts.version}"
            report.add(path, value, problem, "Leave it out, or upgrade the node.")


def _newer(wanted: Wanted, touched: t.Mapping[str, t.Any]) -> t.Iterator[tuple[str, object, str]]:
    """The declared options, and keys of them, that not every supported version of PVE knows."""
    for key, value in touched.items():
        option, path = find_option(wanted.type.table, key), wanted.declaration.paths.get(key, key)
        if option is None:
            continue
        if option.since:
            yield path, HIDDEN if option.secret else plain(value), option.since
        fields = option.codec.keys if isinstance(option.codec, Fields) else {}
        for name, entry in fields.items():
            if entry.since and value.get(name) not in (None, entry.default):
                yield f"{path}.{entry.param or name}", plain(value[name]), entry.since
