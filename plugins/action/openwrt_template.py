# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: tells how far openwrt_template is, as for template_cache."""

from __future__ import annotations

from ansible_collections.pve.provision.plugins.action import template_cache


class ActionModule(template_cache.ActionModule):
    """Long downloads show percent, rate and time left."""
