# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what somebody sets up put under what the user declares. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._model.setup.options import OF_VMS, OPTIONS, SetupOption

Params = t.Mapping[str, t.Any]


def joined(under: Params, declared: Params) -> dict[str, t.Any]:
    """The options of both. Lists are joined, the first one's entries first; an entry of the same name, and for the same
    package manager, is the declared one. Services are joined by their names. Any other option is the declared one."""
    both = {}
    for option in (*OPTIONS, *OF_VMS):
        low, high = under.get(option.name), declared.get(option.name)
        if low is None or high is None:
            both[option.name] = low if high is None else high
        elif option.named:
            both[option.name] = {**low, **high}
        else:
            both[option.name] = _joined_lists(option, low, high) if option.listed else high
    return {name: value for name, value in both.items() if value is not None}


def _joined_lists(option: SetupOption, low: t.Sequence[t.Any], high: t.Sequence[t.Any]) -> list[t.Any]:
    over = {_identity(option, entry) for entry in high}
    return [*(entry for entry in low if _identity(option, entry) not in over), *high]


def _identity(option: SetupOption, entry: t.Any) -> tuple[t.Any, ...]:
    """What tells an entry from others; of one that has no name, all that it says."""
    if not isinstance(entry, dict):
        return (entry, None)
    name = entry.get(option.identity)
    return (name, entry.get("manager")) if name else tuple(sorted(map(str, entry.items())))
