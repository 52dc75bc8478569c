# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the options that say what is in a guest."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._argspec import ArgSpec, setup_spec
from ansible_collections.pve.provision.plugins.module_utils._model.setup.options import OF_VMS, OPTIONS

SETUP: t.Final = setup_spec(OPTIONS).merge(ArgSpec(options={"ssh_private_key": {"type": "path", "no_log": False}}))
"""What every guest but a router takes; documented by the fragment ``pve.provision.setup``."""
SETUP_OF_VMS: t.Final = setup_spec(OF_VMS)
"""What VMs take besides."""
