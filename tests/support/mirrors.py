# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mirrors that a test may change, for which nothing is recreated: to make a site takes a second or two."""

from __future__ import annotations

import os
import shutil
import typing as t

from embedded_node.mirror import Mirror

if t.TYPE_CHECKING:
    from pathlib import Path


def own_mirror(mirror: Mirror, folder: Path) -> Mirror:
    """Another mirror with the files of one, linked into a new folder; what is written there replaces a file."""
    shutil.copytree(mirror.directory, folder, copy_function=os.link)
    return Mirror(folder, sites=mirror.sites)
