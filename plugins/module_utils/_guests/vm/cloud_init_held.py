# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a VM holds of cloud-init: its drive, files of ours. Pure."""

from __future__ import annotations

import hashlib
import json
import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._guests.vm.cloud_init_password import PASSWORD, Password
from ansible_collections.pve.provision.plugins.module_utils._model.cloud_init.content import (
    WHOLE,
    OurFile,
    digest,
    our_file,
)
from ansible_collections.pve.provision.plugins.module_utils._model.network import networks_in
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.cloud_init import CICUSTOM, is_cloud_init
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.hardware import AGENT, with_boot_drive
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.hardware import BOOT as ORDER
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.network import NET

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
    from ansible_collections.pve.provision.plugins.module_utils._engine.step import Plan

Options = t.Mapping[str, str]
BOOT: t.Final = "boot"
CUSTOM: t.Final = "cicustom"
_UNTOLD: t.Final = (CUSTOM, PASSWORD)
_HALF: t.Final = 8
DRIVE: t.Final = re.compile(r"(ide|sata|scsi)\d+")
# The drives that data may be in, the usual one first.
DRIVES: t.Final = ("ide2", "ide0", "ide3", "ide1", "sata5", "sata4", "scsi30")


def options_after(wanted: Wanted, held: Options, plan: Plan) -> Options:
    """The options of the VM as the plan leaves them."""
    if plan.creating and not wanted.copied:
        return wanted.create_options()
    before = wanted.copied.options if plan.creating and wanted.copied else held
    gone = frozenset(plan.change.delete)
    return {key: text for key, text in {**before, **plan.change.set}.items() if key not in gone}


def image_drive(held: Options) -> str:
    """The drive that holds an image of ours."""
    drives = (key for key, text in held.items() if DRIVE.fullmatch(key) and is_image(text))
    return next(drives, "")


def with_image_drive(boot: t.Any, held: Options) -> t.Any:
    """A declared boot order with the drive of our image, once it is in that of the VM."""
    drive = image_drive(held)
    return with_boot_drive(boot, drive) if drive in (ORDER.read(held.get(BOOT, "")).get("order") or ()) else boot


def is_image(text: str) -> bool:
    file = our_file(text.split(",")[0])
    return file is not None and file.part == WHOLE


def image_of(label: str, contents: t.Mapping[str, str], options: Options, secret: str) -> OurFile:
    """The image for a VM with such options: its name tells what is in it, by one half of its digest without the
    ``secret``, by the other with it. That one is the hash of a password, which nobody guesses."""
    cards = {key: str(net.get("hwaddr")) for key, net in networks_in(options, NET).items()}
    told = {
        key: value for key, value in options.items() if (is_cloud_init(key) and key not in _UNTOLD) or key == "name"
    }
    whole = json.dumps([{part: digest(part, text) for part, text in contents.items()}, told, cards], sort_keys=True)
    halves = (hashlib.sha256(text.encode()).hexdigest()[:_HALF] for text in (whole, whole + secret))
    return OurFile(label, WHOLE, "".join(halves))


def is_same(there: str, image: str, password: Password) -> bool:
    """Whether an image is what another would be; where nobody can see the password, but for that."""
    held, wanted = our_file(there), our_file(image)
    if there == image or held is None or wanted is None or not password.hidden:
        return there == image
    return (held.label, held.digest[:_HALF]) == (wanted.label, wanted.digest[:_HALF])


def cloud_init_drive(held: Options) -> str:
    """The drive that PVE keeps for cloud-init."""
    return next((key for key, text in held.items() if DRIVE.fullmatch(key) and "cloudinit" in text.split(",")[0]), "")


def free_drive(values: t.Mapping[str, t.Any], held: Options) -> str:
    return next((key for key in DRIVES if key not in held and not values.get(key)), DRIVES[0])


def files_of(held: Options) -> tuple[str, ...]:
    """The files of ours that a VM names."""
    named = [str(volid) for volid in CICUSTOM.read(held.get(CUSTOM, "")).values()]
    named += [held[drive].split(",")[0] for drive in [image_drive(held)] if drive]
    return tuple(volid for volid in named if our_file(volid))


def has_agent(values: t.Mapping[str, t.Any], held: Options) -> bool:
    declared = values.get("agent")
    return bool((declared if declared is not None else AGENT.read(held.get("agent", ""))).get("enabled"))


def is_windows(values: t.Mapping[str, t.Any], held: Options) -> bool:
    return str(values.get("ostype") or held.get("ostype", "")).startswith("w")
