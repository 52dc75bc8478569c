# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: from the parameters of an OPNsense to those of a VM, and its part of a run."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.opnsense.config_xml import can_log_in
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.opnsense.description import (
    opens_web,
    read_description,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.opnsense.part import OpnsensePart
from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import Check
from ansible_collections.pve.provision.plugins.module_utils._model.checks.declare import check
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import devices

OPTIONS: t.Final = ("interfaces", "management", "zonename", "allow_shared_segment")
# The first boot makes keys and grows the file system; then it takes a minute or two.
BOOT: t.Final = 600


class Opnsense(t.NamedTuple):
    """The parameters of the VM, what is to be true once it runs, its part of the run, and what is wrong."""

    params: dict[str, t.Any]
    checks: tuple[Check, ...] = ()
    parts: tuple[OpnsensePart, ...] = ()
    findings: tuple[Finding, ...] = ()


def read_opnsense(params: t.Mapping[str, t.Any]) -> Opnsense:
    """Read the description; the VM's network devices follow from it."""
    findings: list[Finding] = []
    if params.get("networks"):
        words = "follow from the interfaces of an OPNsense"
        findings.append(Finding("networks", None, words, "Set bridge, tag, mtu, hwaddr and queues in interfaces."))
    declared = {name: params[name] for name in OPTIONS if params.get(name) is not None}
    declared |= {"hostname": params["name"]} if params.get("name") else {}
    try:
        description = read_description(declared)
    except InvalidInput as error:
        # What is wrong with the name is told once, as the VM's.
        findings += [each for each in error.findings if each.option != "hostname"]
        return Opnsense(dict(params), findings=tuple(findings))
    web = opens_web(declared)
    given = {**params, "networks": devices(description, "qemu")}
    management, checks = description.management, []
    if can_log_in(management):
        checks.append(check("tcp", "SSH", port=22, timeout=BOOT))
    if web and management.sources:
        checks.append(check("tcp", "web interface", port=443, timeout=BOOT))
    return Opnsense(given, tuple(checks), (OpnsensePart(declared, description, web),), tuple(findings))
