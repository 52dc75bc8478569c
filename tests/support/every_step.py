# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every step that a run over any guest may take."""

from __future__ import annotations

from ansible_collections.pve.provision.plugins.module_utils._engine import steps
from ansible_collections.pve.provision.plugins.module_utils._engine.migration import Migrate
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Step
from ansible_collections.pve.provision.plugins.module_utils._guests import fetch_image, seeded_disk
from ansible_collections.pve.provision.plugins.module_utils._guests.latest import part as latest
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc import gpu
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.oci import replace
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt import lxc_steps
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt import steps as router_steps
from ansible_collections.pve.provision.plugins.module_utils._guests.setup import steps as setup
from ansible_collections.pve.provision.plugins.module_utils._guests.snapshot import backup
from ansible_collections.pve.provision.plugins.module_utils._guests.snapshot import steps as snapshot
from ansible_collections.pve.provision.plugins.module_utils._guests.vm import (
    cloud_init_steps,
    disk_life,
    golden,
    own_iso,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles import installer, join


def every_step() -> tuple[type[Step], ...]:
    """The classes of all steps."""
    vms = (*disk_life.STEPS, *golden.STEPS, *own_iso.STEPS, *cloud_init_steps.STEPS, *join.STEPS, *installer.STEPS)
    routers = (*router_steps.STEPS, *lxc_steps.STEPS, *seeded_disk.STEPS)
    shared: tuple[type[Step], ...] = (*steps.STEPS, Migrate, *snapshot.STEPS, *setup.STEPS, *fetch_image.STEPS)
    return (*shared, *latest.STEPS, *backup.STEPS, *gpu.STEPS, *replace.STEPS, *routers, *vms)
