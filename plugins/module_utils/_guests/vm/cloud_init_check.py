# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: whether what PVE makes of a VM's options for cloud-init is what they say."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._guests.vm.cloud_init_held import CUSTOM, Options
from ansible_collections.pve.provision.plugins.module_utils._model.cloud_init.dump import check_network, check_user
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.cloud_init import CICUSTOM, is_cloud_init
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.network import NET

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.step import Run


def verify(run: Run, options: Options, contents: t.Collection[str]) -> tuple[list[str], list[str]]:
    """Where that is not so, and what was not looked at. ``contents`` are the parts that come by files of ours."""
    wrong: list[str] = []
    unverified = [f"{part}_data, which only the guest reads" for part in contents]
    custom = CICUSTOM.read(options.get(CUSTOM, ""))
    if "user" not in custom and "user" not in contents:
        wrong += _dumped(run, "user", options)
    if "network" in custom or "network" in contents or not any(key.startswith("ipconfig") for key in options):
        return wrong, unverified
    if options.get("citype", "nocloud") == "nocloud" and not options.get("ostype", "").startswith("w"):
        wrong += _dumped(run, "network", options)
    else:
        unverified.append("the network, which is read for type nocloud alone")
    return wrong, unverified


def _dumped(run: Run, part: t.Literal["user", "network"], options: Options) -> list[str]:
    """What is wrong with a part; VMs of a run that have the same options are looked at once."""

    def check() -> list[str]:
        dump = run.node.cloud_init.dump(run.vmid, part)
        return list(check_user(options, dump) if part == "user" else check_network(options, dump, NET))

    told = sorted((key, text) for key, text in options.items() if is_cloud_init(key))
    return run.facts.keep(f"cloud-init {part} {told}", check)
