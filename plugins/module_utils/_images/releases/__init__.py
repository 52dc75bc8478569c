# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the sources that images come from, by name."""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._images.releases import (
    bsd,
    debian,
    openwrt,
    redhat,
    talos,
    ubuntu,
)
from ansible_collections.pve.provision.plugins.module_utils._images.releases.alpine import Alpine
from ansible_collections.pve.provision.plugins.module_utils._images.releases.base import Read, Source
from ansible_collections.pve.provision.plugins.module_utils._images.releases.haos import HomeAssistantOs
from ansible_collections.pve.provision.plugins.module_utils._images.releases.listed import Layout, Listed
from ansible_collections.pve.provision.plugins.module_utils._images.releases.openwrt import OpenWrt
from ansible_collections.pve.provision.plugins.module_utils._images.releases.pveam import Appliances

LAYOUTS: tuple[Layout, ...] = (
    debian.LAYOUT,
    ubuntu.LAYOUT,
    redhat.FEDORA,
    redhat.ROCKY,
    redhat.ALMA,
    bsd.FREEBSD,
    bsd.OPNSENSE,
    talos.LAYOUT,
)


def _turnkey(read: Read, mirrors: tuple[str, ...]) -> Appliances:
    return Appliances(
        read, mirrors, "turnkeylinux", base="https://releases.turnkeylinux.org", folder="pve", file="aplinfo.dat"
    )


_MAKERS: dict[str, t.Callable[[Read, tuple[str, ...]], Source]] = {
    "openwrt": functools.partial(OpenWrt, openwrt.LAYOUT),
    "alpine": Alpine,
    "haos": HomeAssistantOs,
    "pveam": Appliances,
    "turnkeylinux": _turnkey,
    **{layout.name: functools.partial(Listed, layout) for layout in LAYOUTS},
    "ubuntu": functools.partial(ubuntu.Ubuntu, ubuntu.LAYOUT),
}
NAMES: tuple[str, ...] = tuple(sorted(_MAKERS))


def open_source(name: str, read: Read, mirrors: t.Sequence[str] = ()) -> Source:
    """The source of that name, reading through ``read``. ``mirrors`` replace the official servers, in order.

    A mirror of a source with several servers holds the paths of all of them under one root.
    """
    maker = _MAKERS.get(name)
    if maker is None:
        raise InvalidInput([Finding("source", name, "is not a known source", f"Known: {', '.join(NAMES)}, url, file")])
    return maker(read, tuple(mirrors))
