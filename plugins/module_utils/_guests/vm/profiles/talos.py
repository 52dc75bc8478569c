# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: Talos Linux, from its nocloud image. Its machine configuration is the user data.

It knows neither memory that is plugged nor a balloon, and has no guest agent unless its image was built with one. Newer
releases have no such image among their files; it is built by the image factory, and given by its address.
"""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.profile import Profile
from ansible_collections.pve.provision.plugins.module_utils._io import versions
from ansible_collections.pve.provision.plugins.module_utils._model.checks.declare import check

PROFILE: t.Final = Profile(
    {
        "ostype": "l26",
        "machine": {"type": "q35"},
        "cpu": {"type": "x86-64-v2-AES"},
        "cores": 2,
        "memory": 4096,
        "balloon": 0,
        "scsihw": "virtio-scsi-pci",
        "image": {"name": "talos", "variant": "nocloud"},
        "disks": [{"bus": "scsi", "size": "16G", "discard": "on"}],
        "networks": [{"model": "virtio", "bridge": "vmbr0"}],
        "serials": [{"device": "socket"}],
        "tablet": False,
        "agent": {"enabled": False},
        "cloud_init": {"type": "nocloud", "ip": [{"ip": "dhcp"}]},
    },
    checks=(check("tcp", "Talos API", port=50000, timeout=600),),
)
NOCLOUD: t.Final = "nocloud"
# From this release on the files of a release have no such image, and what goes by its name is for bare metal.
METAL_ONLY: t.Final = "1.8"


def check_image(params: t.Mapping[str, t.Any]) -> t.Iterator[Finding]:
    """An image of Talos for bare metal reads no drive: what it is to be told, it never hears."""
    first = (params.get("disks") or [{}])[0]
    image = first.get("image") or params.get("image")
    named = image if isinstance(image, dict) else {"name": image}
    name, variant = str(named.get("name") or "").lower(), named.get("variant")
    told = params.get("profile") == "talos" or (params.get("cloud_init") or {}).get("user_data") is not None
    source, _dash, version = name.partition("-")
    old = version[:1].isdigit() and versions.key(version) < versions.key(METAL_ONLY)
    if source != "talos" or not told or variant == NOCLOUD or (not variant and old):
        return
    remedy = "Give url and checksum of a nocloud image, which factory.talos.dev builds, or variant: nocloud up to 1.7."
    yield Finding("image", name, "is Talos for bare metal, which reads no machine configuration of cloud-init", remedy)
