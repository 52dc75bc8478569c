# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which types of VMs there are, and a declaration with what its type adds."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles import (
    cloud,
    custom,
    docker,
    haos,
    kubernetes,
    opnsense,
    talos,
    windows,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.profile import Profile

PROFILES: t.Final[dict[str, Profile]] = {
    "cloud": cloud.PROFILE,
    "docker": docker.PROFILE,
    "haos": haos.PROFILE,
    "kubernetes": kubernetes.PROFILE,
    "opnsense": opnsense.PROFILE,
    "talos": talos.PROFILE,
    "windows": windows.PROFILE,
    "custom": custom.PROFILE,
}
"""By the value of ``profile``."""


def with_profile(params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The parameters of a VM with what its profile adds. Of one that is to be absent there is nothing to be said."""
    if params.get("state") == "absent":
        return dict(params)
    return PROFILES[params.get("profile") or "custom"].under(params)
