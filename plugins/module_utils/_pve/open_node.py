# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: choose how the node is reached."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._io import clock
from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node


def open_node(params: t.Mapping[str, t.Any], *, any_node: bool = False) -> Node:
    """The node that the connection options name: over the API when ``api_host`` is set, else the one we run on.

    It holds the clock by which the run waits. ``any_node``: any will do where none is named, for the whole cluster is
    reached by each.
    """
    if params.get("api_host"):
        from ansible_collections.pve.provision.plugins.module_utils._pve.api.node import ApiNode

        return ApiNode.connect({**params, "any_node": any_node}, clock.SYSTEM)
    from ansible_collections.pve.provision.plugins.module_utils._pve.cli.node import CliNode

    return CliNode.here(params, clock.SYSTEM)
