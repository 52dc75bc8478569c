# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: from the parameters of a guest to what it is to have the newest of."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._access.inside import Inside
from ansible_collections.pve.provision.plugins.module_utils._guests.guest_connection import GuestConnection

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._guests.latest.part import LatestPackages
    from ansible_collections.pve.provision.plugins.module_utils._guests.setup.part import SetupPart


def latest_packages(
    params: t.Mapping[str, t.Any], setup: t.Iterable[SetupPart], connection: GuestConnection, inside: Inside
) -> tuple[LatestPackages, ...]:
    """What keeps the declared packages at their newest, where that is wanted. What is in an image comes with that."""
    if params["state"] != "latest" or (params.get("image") and "oci" in params["image"]):
        return ()
    from ansible_collections.pve.provision.plugins.module_utils._guests.latest.part import LatestPackages
    from ansible_collections.pve.provision.plugins.module_utils._model.setup.items import FileItem, PackageItem

    items = [item for part in setup for item in part.setup.items]
    packages = (item.name for item in items if isinstance(item, PackageItem) and item.present)
    part = LatestPackages(
        tuple(dict.fromkeys(packages)),
        connection,
        inside,
        params["post_install_timeout"],
        fetches=any(isinstance(item, FileItem) and item.url for item in items),
        saves=params.get("rollback") == "snapshot",
    )
    return (part,)
