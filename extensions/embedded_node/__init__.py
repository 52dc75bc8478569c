# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Proxmox VE node for a machine that has none: commands, configuration files and HTTPS API over one state root."""

from __future__ import annotations

from .node import EmbeddedNode

__all__ = ["EmbeddedNode"]
