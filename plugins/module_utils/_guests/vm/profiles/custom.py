# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: VMs of which everything is declared."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.profile import Profile

PROFILE: t.Final = Profile()
