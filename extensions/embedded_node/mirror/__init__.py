# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A download mirror with images and package feeds made on the spot."""

from __future__ import annotations

from .server import Mirror

__all__ = ["Mirror"]
