# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the images that a new VM may be made from, and what goes with each."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles import cloud, haos
from ansible_collections.pve.provision.plugins.module_utils._store.named import SOURCES
from ansible_collections.pve.provision.plugins.plugin_utils.wizard.dialog import Answers, Choice

Options = t.Mapping[str, t.Any]

USUAL: t.Final = str(cloud.OPTIONS["image"])
_SET_UP: t.Final = {
    "cloud": "set up by cloud-init",
    "haos": "Home Assistant OS, set up in its web interface",
    "custom": "as it is shipped; you set it up at its console",
}
#: What a VM gets whose user sets it up at its console. Without these some of the systems do not start.
_AS_SHIPPED: t.Final[Options] = {"cpu": {"type": "x86-64-v2-AES"}, "scsihw": "virtio-scsi-pci"}


def image_choices(node: Options) -> list[Choice]:
    """All that are known by name, those that are set up by cloud-init first, and files on the node's storages."""
    named = [(name, how) for profile, how in _SET_UP.items() for name in SOURCES if _profile(name) == profile]
    return [
        Choice(USUAL, f"{USUAL}: the newest build ({_SET_UP['cloud']})"),
        *(Choice(name, f"{name}: the newest release ({how})") for name, how in named),
        *map(Choice, node.get("images") or ()),
    ]


def _profile(image: t.Any) -> str:
    """The profile that is for an image. What a file is, nobody but the user knows."""
    source = str(image).partition("-")[0].lower()
    if source == haos.PROFILE.options["image"]:
        return "haos"
    return "custom" if source in SOURCES and source not in cloud.NAMES else "cloud"


def has_cloud_init(answers: Answers) -> bool:
    return _profile(answers.get("image")) == "cloud"


def options(answers: Answers) -> Options:
    """What a VM of this image usually has."""
    own = haos.PROFILE.options if _profile(answers.get("image")) == "haos" else {}
    return {**cloud.PROFILE.options, **own}


def profiled(image: t.Any) -> Answers:
    """The options of a VM that follow from the image which was answered. A volume is no name."""
    profile = _profile(image)
    told: Answers = {"image": {"file": image}} if ":" in str(image) else {}
    return {**told, "profile": profile, **(_AS_SHIPPED if profile == "custom" else {})}
