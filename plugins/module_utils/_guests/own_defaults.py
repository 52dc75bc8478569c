# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what holds for a new guest where its declaration says nothing."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted


def with_own_defaults(wanted: Wanted, defaults: t.Mapping[str, t.Any]) -> Wanted:
    """With the defaults of a new guest. They count as declared where ``purge_options`` would take them away."""
    declaration = wanted.declaration
    if wanted.policy.purge_options and wanted.state != "absent":
        table = wanted.type.table
        kept = {key: value for key, value in defaults.items() if (option := table.find(key)) and option.purge}
        values = {**kept, **declaration.values}
        declaration = dataclasses.replace(
            declaration, values=values, paths={**{key: key for key in kept}, **declaration.paths}
        )
    return dataclasses.replace(wanted, declaration=declaration, defaults=defaults)
