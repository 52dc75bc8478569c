# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: from the parameters of a VM to those with its profile, and the parts of the run."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.own_iso import OwnIso
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles import (
    haos_config,
    kubernetes,
    talos,
    windows_setup,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.catalog import PROFILES
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.installer import Installer
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.join import ClusterAgent
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.part import ProfilePart
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.spec import OWN
from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import Check
from ansible_collections.pve.provision.plugins.module_utils._model.option import Path

Params = dict[str, t.Any]
# Where a CD image of ours is, out of the way of a user's own drives.
DRIVE: t.Final = "sata5"


class Profiled(t.NamedTuple):
    """The parameters of a VM with what its profile adds, the parts of it, what is wrong, what is to be true of the VM
    once it runs, and what a new one runs at its first boot, by the name of the profile."""

    params: Params
    parts: tuple[Part, ...] = ()
    findings: tuple[Finding, ...] = ()
    checks: tuple[Check, ...] = ()
    scripts: t.Mapping[str, str] = {}


def read_profile(
    given: t.Mapping[str, t.Any],
    nulls: frozenset[Path] = frozenset(),
    stated: t.Mapping[str, t.Any] | None = None,
) -> Profiled:
    """Read a VM's parameters with its profile. Of one that is to be absent, only what goes with it is said. ``stated``:
    the parameters as the user states them, where an application has added to them."""
    name = given.get("profile")
    findings = tuple(_misplaced(given))
    if given.get("state") != "absent" and not (given.get("clone_from") or given.get("restore_from")):
        findings += tuple(talos.check_image(given))
    if not name or given.get("state") == "absent":
        return Profiled(dict(given), tuple(_own_iso(given)) if name else (), findings)
    profile = PROFILES[name]
    params, more, script = profile.under(given, nulls), profile.checks, profile.script
    parts: list[Part] = list(_own_iso(params))
    if name == "kubernetes":
        cluster = given.get("cluster")
        if cluster is None:
            return Profiled(params, (), (*findings, Finding("cluster", None, "is missing", "State its name and role.")))
        findings += tuple(kubernetes.check_version(cluster["version"]))
        script = kubernetes.install_script(cluster["version"], cluster.get("checksum") or "", cluster["role"])
        server = cluster.get("server") if cluster["role"] == "agent" else ""
        if server is None:
            remedy = "State it, or declare the server among the guests."
            findings = (*findings, Finding("cluster.server", None, "is missing: an agent joins a server", remedy))
        elif server:
            parts.append(ClusterAgent(cluster["name"], server, cluster.get("address")))
        more = (*more, kubernetes.ready(str(given.get("name") or "").lower(), server or ""))
    if name == "opnsense":
        # Half of what VMs load is for firewalls: it is loaded only where there is one.
        from ansible_collections.pve.provision.plugins.module_utils._guests.vm.opnsense.read import read_opnsense

        firewall = read_opnsense(params)
        params, more, findings = firewall.params, firewall.checks, (*findings, *firewall.findings)
        parts += firewall.parts
    findings = (*findings, *_of_profile(name, params))
    scripts = {name: script} if script and ("cloud_init", "vendor_data") not in nulls else {}
    return Profiled(params, (*parts, ProfilePart((stated or given).get("disks") or ())), findings, more, scripts)


def _misplaced(given: t.Mapping[str, t.Any]) -> t.Iterator[Finding]:
    for option, profile in OWN.items():
        if given.get(option) is not None and given.get("profile") != profile:
            problem = f"is for VMs with profile {profile}"
            yield Finding(option, None, problem, f"State profile: {profile}, or leave it out.")


def _of_profile(name: str, params: Params) -> t.Iterator[Finding]:
    """What a profile needs that nothing but the declaration can say."""
    if name == "haos":
        if params.get("cloud_init") is not None:
            remedy = "State haos.network and haos.ssh_keys, or leave it out."
            yield Finding("cloud_init", None, "is nothing that Home Assistant OS reads", remedy)
        yield from haos_config.check_config(params.get("haos") or {}, _macs(params))
    if name == "windows" and not (params.get("clone_from") or params.get("restore_from")):
        for place, what in enumerate(("the installer of Windows", "the drivers for virtio (virtio-win)")):
            drives = params.get("cdroms") or []
            drive = drives[place] if place < len(drives) else {}
            if not (drive.get("iso") or drive.get("volume")):
                remedy = "State iso, such as local:iso/NAME.iso."
                yield Finding(f"cdroms[{place}].iso", None, f"is missing: the CD image with {what}", remedy)


def _macs(params: t.Mapping[str, t.Any]) -> list[str | None]:
    networks = params.get("networks") or []
    return [entry.get("hwaddr") for entry in networks if entry.get("state") != "absent"]


def _own_iso(params: t.Mapping[str, t.Any]) -> t.Iterator[OwnIso]:
    """The CD image by which the system of a profile is configured, where there is something to say."""
    name = str(params.get("name") or params.get("vmid"))
    haos, windows = params.get("haos"), params.get("windows")
    if haos and params.get("profile") == "haos":
        files = haos_config.config_files(haos, name, _macs(params))
        if files:
            yield OwnIso(haos_config.LABEL, "config", DRIVE, "haos", files, storage=haos.get("storage") or "")
    if windows and params.get("profile") == "windows":
        secret = {"admin_password": None, "product_key": None}
        whole, told = (
            {windows_setup.FILE: windows_setup.answer_file(each, name)} for each in (windows, {**windows, **secret})
        )
        storage = windows.get("storage") or ""
        yield Installer(windows_setup.LABEL, "setup", DRIVE, "windows", whole, told, storage=storage, once=True)
