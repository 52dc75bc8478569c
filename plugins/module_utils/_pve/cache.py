# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: where what can be had again is kept."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._io.private import user_cache

if t.TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node


def cache_directory(node: Node) -> Path:
    """Where indexes are kept: on the node below its own /var/cache, elsewhere in the user's cache."""
    return node.files.cache if node.files is not None else user_cache()
