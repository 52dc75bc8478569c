# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: from the parameters of an OpenWrt container to what is wanted, and its router."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._access.inside import Inside
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.read import wanted_container
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.lxc import OpenWrtContainer
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.router_guest import (
    DESCRIPTION_OPTIONS,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.own_defaults import with_own_defaults
from ansible_collections.pve.provision.plugins.module_utils._guests.verify.part import verify_part
from ansible_collections.pve.provision.plugins.module_utils._model.option import Path
from ansible_collections.pve.provision.plugins.module_utils._model.timeouts import download_limits
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import Description, devices
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.read import parse as parse_description
from ansible_collections.pve.provision.plugins.module_utils._store.openwrt_template import WantedTemplate
from ansible_collections.pve.provision.plugins.module_utils._store.wanted import UserKey

# What a new router gets where nothing is declared, by PVE's keys; the disk in bytes.
DEFAULTS: t.Final[dict[str, t.Any]] = {
    "cores": 1,
    "memory": 256,
    "swap": 0,
    "onboot": True,
    "rootfs": {"size": 512 * 1024**2},
}
# What the PPP daemon opens; a container has it only when it is passed in.
PPP: t.Final = "/dev/ppp"
# The rule, as options a user might try to set otherwise.
_RULE = (
    (
        "ostype",
        "unmanaged",
        "PVE does not know OpenWrt; with a managed ostype it would write files of another system into it.",
    ),
    ("unprivileged", False, "OpenWrt needs a privileged container for its networking."),
)


def read_router(params: t.Mapping[str, t.Any], nulls: frozenset[Path] = frozenset()) -> tuple[Wanted, tuple[Part, ...]]:
    """Read a router's parameters: the container that is wanted, and the router inside it."""
    findings = [
        Finding(name, params[name], "is not possible for OpenWrt", reason)
        for name, only, reason in _RULE
        if params.get(name) is not None and params[name] != only
    ]
    declared = {name: params[name] for name in DESCRIPTION_OPTIONS if params.get(name) is not None}
    declared.setdefault("hostname", params.get("hostname"))
    description = None
    if params["state"] != "absent":
        try:
            description = parse_description(declared)
        except InvalidInput as error:
            findings += list(error.findings)
    findings += [
        Finding(f"interfaces.{each.name}.queues", each.queues, "is for VMs only", "Leave it out.")
        for each in (description.interfaces if description else ())
        if each.queues
    ]
    wanted = wanted_container(_container(params, description), nulls)
    router = _router(params, declared, description)
    router.inside = Inside()
    verify, unfit = verify_part(params, "openwrt_lxc", router.shell, router.inside)
    wanted = dataclasses.replace(
        with_own_defaults(wanted, DEFAULTS),
        recreate_if_unfinished=True,
        findings=(*findings, *unfit, *wanted.findings),
        notes=description.warnings if description else (),
    )
    return wanted, (router, verify)


def _container(params: t.Mapping[str, t.Any], description: Description | None) -> dict[str, t.Any]:
    """The parameters as those of any container."""
    stays = params["state"] != "absent"
    return {
        **params,
        "timezone": None,
        "ostype": "unmanaged" if stays else None,
        "unprivileged": False if stays else None,
        # procd's jails use pivot_root, which LXC's AppArmor profile gives to a privileged container by nesting alone.
        "features": {"nesting": True} if stays else None,
        "networks": devices(description, "lxc") if description else None,
        "devices": _devices(params, description),
        "ostemplate": params.get("template"),
        "ip_timeout": 0,
    }


def _devices(params: t.Mapping[str, t.Any], description: Description | None) -> list[dict[str, t.Any]] | None:
    """The declared devices, and the one that PPPoE needs."""
    devices: list[dict[str, t.Any]] | None = params.get("devices")
    dials = description is not None and any(each.proto == "pppoe" for each in description.interfaces)
    if not dials or any(device.get("path") == PPP for device in devices or ()):
        return devices
    return [*(devices or ()), {"path": PPP}]


def wanted_template(params: t.Mapping[str, t.Any]) -> WantedTemplate:
    """The release that a router is made from."""
    return WantedTemplate(
        version=params["version"],
        arch=params.get("arch") or "amd64",
        verify=params.get("verify") or "",
        keys=tuple(UserKey(key) for key in params.get("keys") or ()),
        mirrors=tuple(params.get("mirrors") or ()),
        offline_ok=params["offline_ok"],
        **download_limits(params),
        index_max_age=0 if params["upgrade"] else WantedTemplate.index_max_age,
        storages=(params["template_storage"],) if params.get("template_storage") else (),
    )


def _router(
    params: t.Mapping[str, t.Any], declared: dict[str, t.Any], description: Description | None
) -> OpenWrtContainer:
    template = None if params.get("template") else wanted_template(params)
    return OpenWrtContainer(
        declared=declared,
        description=description,
        template=template,
        mirrors=tuple(params.get("mirrors") or ()),
        ip_timeout=params["ip_timeout"],
        require_ip=params["require_ip"],
        confirm_timeout=params["confirm_timeout"],
        up_timeout=params["start_timeout"],
        upgrade=params["upgrade"],
        rollback_keep=params["rollback_keep"],
        by_vmid=params.get("vmid") is not None,
        ssh_key=params.get("ssh_private_key"),
    )
