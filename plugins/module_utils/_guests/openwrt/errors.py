# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what goes wrong with a running router."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError

NEVER_ANOTHER: t.Final = "Choose another name or vmid; this module never makes another system into OpenWrt."


class RouterError(ProvisionError):
    """The router did not do as it was told; ``message`` quotes it."""

    kind = "openwrt"


class AnotherSystem(RouterError):
    """The guest answers, and is no OpenWrt."""


class ReleaseError(RouterError):
    """A new release that does not come up, or does not take the router's configuration."""
