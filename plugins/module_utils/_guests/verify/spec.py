# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the options by which checks are declared."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._argspec import ArgSpec
from ansible_collections.pve.provision.plugins.module_utils._model.checks.table import CHECK

CHECKS: t.Final = ArgSpec(
    options={
        "checks": {"type": "list", "elements": "dict", "options": CHECK},
        "run_checks": {"type": "bool", "default": True},
        "checks_timeout": {"type": "int"},
    },
)
"""What every type of guest takes; documented by the fragment ``pve.provision.checks``."""
