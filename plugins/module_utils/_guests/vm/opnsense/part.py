# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what an OPNsense adds to a run over its VM: its network devices, and its first disk.

Which NIC is which: PVE gives ``net0`` and so on ascending PCI addresses, and FreeBSD names virtio NICs in that order
(``net6`` and up lie behind a bridge, which comes last). So the interfaces are ``vtnet0`` and so on in the declared
order; where the node meets a declared address, it has to be at the MAC address that PVE gave that interface.

What is in a running OPNsense is its own: a VM that is there is never given another configuration.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._engine.addresses import neighbour_addresses
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Plan, Run
from ansible_collections.pve.provision.plugins.module_utils._errors import Conflict, Finding, InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.addresses import (
    merged,
    met_addresses,
    told_by,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.ports import ports_of, with_ports
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.running import answers
from ansible_collections.pve.provision.plugins.module_utils._guests.seeded_disk import (
    DISK,
    SeededDisk,
    find_import_storage,
    no_room,
    remove_copies,
    work_file,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.opnsense.config_xml import SHORTER
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.opnsense.description import (
    read_description,
    warnings,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.opnsense.nano import lacks_room, put_config
from ansible_collections.pve.provision.plugins.module_utils._io import versions
from ansible_collections.pve.provision.plugins.module_utils._model.image_name import ImageName
from ansible_collections.pve.provision.plugins.module_utils._model.network import is_net, networks_in
from ansible_collections.pve.provision.plugins.module_utils._model.segments import addresses_on
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import Description, place
from ansible_collections.pve.provision.plugins.module_utils._store.local_image import Disk, LocalImage, PredictedDisk
from ansible_collections.pve.provision.plugins.module_utils._store.named import wanted_image

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

# Free bytes that a copy needs: of the nano image's 3 GiB about half is in use.
# The first release whose firewall rules take several networks in one.
OLDEST: t.Final = "25.1"
ROOM: t.Final = 2 * 1024**3
FOLDER: t.Final = "opnsense"
AT_CREATION: t.Final = (
    "the network devices change, and what OPNsense makes of them was set when the VM was made: assign interfaces and"
    " addresses in OPNsense"
)
COPIED: t.Final = (
    "a copy keeps the configuration of what it was made from: nothing of interfaces and management is put in"
)


@dataclass
class OpnsensePart(Part):
    """A described OPNsense. ``disk`` is the seeded copy of the image that a new one is made from."""

    declared: dict[str, t.Any]
    description: Description
    web: bool
    disk: SeededDisk | None = None
    local: LocalImage | None = None

    def resolve(self, node: Node, wanted: Wanted, actual: Actual, *, act: bool) -> Wanted:
        """Each interface keeps its port, whatever the declared order."""
        if actual.config is None or wanted.findings or wanted.state == "absent":
            return wanted
        ports = ports_of(actual.config.options, wanted.type.network, wanted.type.kind)
        first = self.description.interfaces
        self.description = place(self.description, ports, {}, append=True)
        return with_ports(wanted, first, self.description.interfaces, ())

    def prepare(self, node: Node, wanted: Wanted) -> Wanted:
        """Where the disk of a new one is imported from. A copy of another VM has what that one has."""
        values = dict(wanted.declaration.values)
        named = (values.get(DISK) or {}).get("image")
        if wanted.clone or wanted.backup:
            return dataclasses.replace(wanted, notes=(*wanted.notes, COPIED))
        where = wanted.declaration.paths.get(DISK, "disks[0]")
        option = f"{where}.image"
        if not isinstance(named, ImageName):
            remedy = "Set image: opnsense, or one with a version, a url or a file."
            missing = Finding(option, None, "is missing: a configuration is put into an image only", remedy)
            return dataclasses.replace(wanted, findings=(*wanted.findings, missing))
        values[DISK] = {key: value for key, value in values[DISK].items() if key != "image"}
        ports = {f"net{each.number}": f"interfaces.{each.name}" for each in self.description.interfaces}
        declaration = dataclasses.replace(
            wanted.declaration, values=values, paths={**wanted.declaration.paths, **ports}
        )
        wanted = dataclasses.replace(wanted, declaration=declaration)
        path = work_file(node, wanted)
        storage, findings = find_import_storage(node, where)
        self.disk = SeededDisk(path, storage, self._bring, self._fill)
        try:
            image = wanted_image(named, "import", option, **wanted.policy.download_limits)
            self.local = LocalImage(node, dataclasses.replace(image, storages=()), FOLDER)
        except InvalidInput as error:
            findings += error.findings
        if named.is_volume:
            remedy = "Name it (opnsense, opnsense-26.7), or give its url, or its file as a path."
            findings.append(Finding(option, named.file, "is a volume, which no configuration is put into", remedy))
        if named.variant not in ("", "nano"):
            words = "is a medium to install from, which no configuration is put into"
            findings.append(Finding(option, named.variant, words, "Leave variant out, or set nano."))
        found = (*wanted.findings, *no_room(path, ROOM, where), *findings)
        notes = (*wanted.notes, *warnings(self.description, web=self.web))
        return dataclasses.replace(self.disk.import_from(wanted), findings=found, notes=notes)

    def extend(self, node: Node, wanted: Wanted, actual: Actual, plan: Plan) -> Plan:
        findings = self._wrong_segments(node) if plan and wanted.state != "absent" else []
        if plan.creating and self.disk and self.local and not wanted.findings:
            try:
                expected = self.local.predict()
                findings += _too_old(wanted, expected.version) or self._too_long(expected)
                plan = self.disk.extend(plan, expected, "nano")
            except InvalidInput as error:  # there is no such release; what else is wrong is told with it
                findings += error.findings
        changed = {*plan.change.set, *plan.change.delete}
        if not plan.creating and any(map(is_net, changed)):
            plan = dataclasses.replace(plan, warnings=(*plan.warnings, AT_CREATION))
        return plan.against(findings)

    def _too_long(self, expected: PredictedDisk) -> list[Finding]:
        """Whether what is declared has room in the image."""
        image = t.cast("LocalImage", self.local).here(expected)
        problem = lacks_room(image, expected.version, self.description, web=self.web)
        option = "management.ssh_keys" if self.description.management.ssh_keys else "interfaces"
        return [Finding(option, None, f"makes a configuration that {problem}", SHORTER)] if problem else []

    def _wrong_segments(self, node: Node) -> list[Finding]:
        """DHCP servers where the node itself lives are refused; that needs the node's own addresses."""
        links = node.links()
        addresses = {e.segment: addresses_on(links, e.bridge, e.tag) for e in self.description.interfaces}
        try:
            read_description(self.declared, addresses)
        except InvalidInput as error:
            return list(error.findings)
        return []

    def uploads(self, node: Node, plan: Plan) -> t.Sequence[str]:
        return [self.disk.import_storage] if self.disk and self.disk.import_storage and plan.creating else []

    # -- what a run does -----------------------------------------------------------------------------------------------
    def _bring(self, node: Node) -> Disk:
        return t.cast("LocalImage", self.local).ensure()

    def _fill(self, run: Run, path: Path, disk: Disk) -> None:
        for address in self._managed_at():
            if answers(address):
                words = f"{address} was answered before this VM was made: what is checked there is somebody else's."
                run.result.warnings.append(words)
        size = run.wanted.declaration.values[DISK].get("size")
        put_config(path, self.description, web=self.web, size=size)

    def _managed_at(self) -> list[str]:
        """The declared addresses of the interfaces that it is managed from."""
        sources = self.description.management.sources
        return [str(a.ip) for each in self.description.interfaces if each.name in sources for a in each.addresses]

    def tidy(self, run: Run) -> None:
        remove_copies(run)

    # -- afterwards ----------------------------------------------------------------------------------------------------
    def finish(self, run: Run) -> None:
        """Its addresses: at which the node has met it, and those declared."""
        if run.result.status != "running":
            return
        self._check_cards(run)
        interfaces = self.description.interfaces
        nets = neighbour_addresses(run.node, run.wanted.type.kind, run.vmid)
        met = {each.name: met_addresses(each, nets.get(f"net{each.number}", [])) for each in interfaces}
        seen = [told_by("neighbour", each, text) for each in interfaces for text in met[each.name]]
        found, _waiting = merged(interfaces, [(seen, True)], last=True)
        cards = self._cards(run)
        run.result.addresses = [{**entry, "hwaddr": cards.get(entry["interface"])} for entry in found]

    def _cards(self, run: Run) -> dict[str, str]:
        """The MAC address that PVE gave each interface."""
        nets = networks_in(run.result.options, run.wanted.type.network)
        found = {each.name: nets.get(f"net{each.number}", {}).get("hwaddr") for each in self.description.interfaces}
        return {name: str(mac).upper() for name, mac in found.items() if mac}

    def _check_cards(self, run: Run) -> None:
        """A declared address that the node has met at another of the VM's cards is on the wrong interface."""
        cards = self._cards(run)
        names = {mac: name for name, mac in cards.items()}
        for mac, met in run.node.neighbours().items():
            for each in self.description.interfaces:
                wrong = [str(address.ip) for address in each.addresses if str(address.ip) in met]
                if wrong and mac in names and names[mac] != each.name:
                    words = f"{wrong[0]} of interface {each.name} is at the network device of {names[mac]} ({mac})."
                    remedy = "Its network devices have another order than declared: assign them in OPNsense."
                    raise Conflict(f"{run.wanted.label}: {words}", remedy=remedy)


def _too_old(wanted: Wanted, version: str) -> list[Finding]:
    if not re.match(r"\d", version) or versions.key(version) >= versions.key(OLDEST):
        return []
    option = wanted.declaration.paths.get(DISK, "disks[0]") + ".image"
    words = f"is a release whose configuration is written otherwise than that of {OLDEST} and newer"
    return [Finding(option, version, words, "Take a newer one.")]
