# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: from the parameters of an OpenWrt VM to what is wanted, and its router."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._access.inside import Inside
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.router_guest import (
    DESCRIPTION_OPTIONS,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.vm import OSTYPE, OpenWrtVm
from ansible_collections.pve.provision.plugins.module_utils._guests.own_defaults import with_own_defaults
from ansible_collections.pve.provision.plugins.module_utils._guests.seeded_disk import DISK
from ansible_collections.pve.provision.plugins.module_utils._guests.verify.part import verify_part
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.read import wanted_vm
from ansible_collections.pve.provision.plugins.module_utils._model.option import Path
from ansible_collections.pve.provision.plugins.module_utils._model.timeouts import download_limits
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import Description, devices
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.read import parse as parse_description
from ansible_collections.pve.provision.plugins.module_utils._store.openwrt_template import WantedDisk
from ansible_collections.pve.provision.plugins.module_utils._store.wanted import UserKey

AGENT_PACKAGE: t.Final = "qemu-ga"
HOST: t.Final = "hostname"
# What a new router gets where nothing is declared, by PVE's keys; the disk in bytes.
DEFAULTS: t.Final[dict[str, t.Any]] = {
    "ostype": OSTYPE,
    "scsihw": "virtio-scsi-single",
    "cores": 1,
    "memory": 256,
    "onboot": True,
    "serial0": {"device": "socket"},
    "boot": {"order": (DISK,)},
    DISK: {"size": 512 * 1024**2},
}


def read_vm(params: t.Mapping[str, t.Any], nulls: frozenset[Path] = frozenset()) -> tuple[Wanted, tuple[Part, ...]]:
    """Read a router's parameters: the VM that is wanted, and the router inside it."""
    findings: list[Finding] = []
    declared = {name: params[name] for name in DESCRIPTION_OPTIONS if params.get(name) is not None}
    declared["packages"] = _packages(params)
    declared[HOST] = params.get("name")
    description = None
    if params["state"] != "absent":
        try:
            description = parse_description(declared)
        except InvalidInput as error:
            # What is wrong with the name is told once, as the VM's.
            findings += [f for f in error.findings if f.option != HOST]
    agent = AGENT_PACKAGE in declared["packages"] if params.get("agent") is None else params["agent"]
    first = _first_disk(params)
    wanted = wanted_vm(_vm(params, description, first), nulls)
    paths = {"disks[0]": "disk"} if first else {}
    paths |= {f"disks[{n + len(first)}]": f"disks[{n}]" for n, _each in enumerate(params.get("disks") or ())}
    paths |= {
        f"networks[{n}]": f"interfaces.{each.name}"
        for n, each in enumerate(description.interfaces if description else ())
    }
    named = {key: paths.get(path, path) for key, path in wanted.declaration.paths.items()}
    wanted = dataclasses.replace(wanted, declaration=dataclasses.replace(wanted.declaration, paths=named))
    router = _router(params, declared, description)
    router.inside = Inside()
    verify, unfit = verify_part(params, "openwrt_vm", router.shell, router.inside)
    wanted = dataclasses.replace(
        with_own_defaults(wanted, {**DEFAULTS, **({"agent": {"enabled": True}} if agent else {})}),
        findings=(
            *findings,
            *unfit,
            *(dataclasses.replace(p, option=_renamed(p.option, paths)) for p in wanted.findings),
        ),
        notes=description.warnings if description else (),
    )
    return wanted, (router, verify)


def _packages(params: t.Mapping[str, t.Any]) -> list[str]:
    """The declared packages; the agent is one that OpenWrt's images do not have."""
    names = list(params.get("packages") or ())
    return [*names, AGENT_PACKAGE] if params.get("agent") and AGENT_PACKAGE not in names else names


def _first_disk(params: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """The router's own disk, as an entry of those of a VM."""
    disk = {key: value for key, value in (params.get("disk") or {}).items() if value is not None}
    return [{"index": 0, **disk}] if disk else []


def _vm(
    params: t.Mapping[str, t.Any], description: Description | None, first: list[dict[str, t.Any]]
) -> dict[str, t.Any]:
    """The parameters as those of any VM. The router's disk is the first of its bus, whether it is declared or not."""
    further: list[dict[str, t.Any]] = []
    for disk in params.get("disks") or ():
        place = 1 + sum(each["bus"] == "scsi" for each in further)
        bus = disk.get("bus") or "scsi"
        index = place if bus == "scsi" and disk.get("index") is None else disk.get("index")
        further.append({**disk, "bus": bus, "index": index})
    return {
        **params,
        "networks": devices(description, "qemu") if description else None,
        "disks": [*first, *further] or None,
        "agent": None if params.get("agent") is None else {"enabled": params["agent"]},
        "ip_timeout": 0,
    }


def _renamed(option: str, paths: t.Mapping[str, str]) -> str:
    """The user's name of an option that is called otherwise among those of any VM."""
    for name, ours in paths.items():
        if option == name or option.startswith(f"{name}."):
            return ours + option[len(name) :]
    return option


def wanted_disk(params: t.Mapping[str, t.Any]) -> WantedDisk:
    """The image that a router is made from."""
    wanted = WantedDisk(
        version=params["version"],
        verify=params.get("verify") or "",
        keys=tuple(UserKey(key) for key in params.get("keys") or ()),
        mirrors=tuple(params.get("mirrors") or ()),
        offline_ok=params["offline_ok"],
        **download_limits(params),
        index_max_age=0 if params["upgrade"] else WantedDisk.index_max_age,
        variant=params["filesystem"],
    )
    return wanted.for_firmware(params.get("bios") or "")


def _router(params: t.Mapping[str, t.Any], declared: dict[str, t.Any], description: Description | None) -> OpenWrtVm:
    return OpenWrtVm(
        declared=declared,
        description=description,
        image=wanted_disk(params),
        ssh_key=params.get("ssh_private_key"),
        ip_timeout=params["ip_timeout"],
        require_ip=params["require_ip"],
        confirm_timeout=params["confirm_timeout"],
        up_timeout=params["start_timeout"],
        upgrade=params["upgrade"],
        rollback_keep=params["rollback_keep"],
        by_vmid=params.get("vmid") is not None,
    )
