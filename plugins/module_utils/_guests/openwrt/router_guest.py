# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what an OpenWrt guest adds to a run, be it a container or a VM."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._access.inside import Inside
from ansible_collections.pve.provision.plugins.module_utils._access.shell import Shell, ssh
from ansible_collections.pve.provision.plugins.module_utils._engine.addresses import (
    global_addresses,
    neighbour_addresses,
)
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Plan, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import Shutdown, Start
from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Finding,
    InvalidInput,
    ProvisionError,
    Unsupported,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.guest_connection import known_hosts
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.addresses import (
    Source,
    merged,
    met_addresses,
    told_by,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.errors import AnotherSystem, RouterError
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.ports import ports_of, with_ports
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.running import Router
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.seen import Drift, Seen
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.steps import Configure, InstallPackages
from ansible_collections.pve.provision.plugins.module_utils._io import interrupt
from ansible_collections.pve.provision.plugins.module_utils._io.clock import rounds
from ansible_collections.pve.provision.plugins.module_utils._model.segments import addresses_on
from ansible_collections.pve.provision.plugins.module_utils._openwrt import live, seed
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import (
    Description,
    place,
)
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.read import parse as parse_description
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.text import parse_export

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

DESCRIPTION_OPTIONS = (
    *("interfaces", "management", "uci", "packages", "services", "timezone", "zonename", "allow_shared_segment"),
    "secret_names",
)
WAITED: t.Final = "a change of another run is not confirmed yet: this run waits until it is confirmed or rolled back"
# Seconds between two looks at a router that waits for an address: at first, and at most.
PAUSES: t.Final = (0.5, 4.0)


@dataclass
class OpenWrtGuest(Part):
    """A described router and what was seen of it. ``description`` None: the declaration cannot be read.

    ``unreachable_reason`` says why the running configuration cannot be seen; ``no_access_reason`` why nobody can
    enter where no way is declared. ``address_source`` is how results call what PVE itself can ask about a guest's
    addresses. ``inside`` is what all parts of a run ask it by. Times in seconds.
    """

    looks = True
    address_source: t.ClassVar[str]
    no_access_reason: t.ClassVar[str]

    declared: dict[str, t.Any]
    description: Description | None
    ip_timeout: int
    require_ip: bool
    confirm_timeout: int
    up_timeout: int
    seen: Seen | None = dataclasses.field(default=None, kw_only=True)
    drift: Drift | None = dataclasses.field(default=None, kw_only=True)
    ssh_key: str | None = dataclasses.field(default=None, kw_only=True)
    unreachable_reason: str = dataclasses.field(default="", kw_only=True)
    inside: Inside | None = dataclasses.field(default=None, kw_only=True)

    def connect(self, node: Node, vmid: int) -> Shell | None:
        """A shell in the running router, by any way; None where there is none, see ``no_access_reason``."""
        raise NotImplementedError

    def shell(self, node: Node, vmid: int, options: t.Mapping[str, str]) -> Shell:
        """A shell in the running router. Raises Unsupported where there is no way in."""
        shell = self.connect(node, vmid)
        if shell is None:
            raise Unsupported(self.no_access_reason)
        return shell

    def by_ssh(self, node: Node, vmid: int) -> Shell | None:
        """The way in by SSH, where a key for it and an address to go to are declared."""
        address = next(iter(self.management_addresses()), "")
        if not (self.ssh_key and address):
            return None
        return ssh(address, self.ssh_key, known_hosts(node, vmid))

    def management_addresses(self) -> list[str]:
        """The static addresses of the interfaces that the router is managed from."""
        sources = self.described.management.sources
        return [str(a.ip) for each in self.described.interfaces if each.name in sources for a in each.addresses]

    def observing(self) -> OpenWrtGuest:
        return dataclasses.replace(self, require_ip=False, ip_timeout=0)

    def router(self, node: Node, vmid: int) -> Router:
        """The running router, by the way there is into it."""
        shell = self.connect(node, vmid)
        if shell is None:
            raise RouterError(f"{self.no_access_reason}.")
        return Router(shell, self.described, node.clock, confirm_timeout=self.confirm_timeout, inside=self.inside)

    def probe(self, node: Node, vmid: int) -> Seen | None:
        """The router as it is now; None where nobody can look or it does not answer: ``unreachable_reason``."""
        if not self.unreachable_reason and self.connect(node, vmid) is None:
            self.unreachable_reason = self.no_access_reason
        if self.unreachable_reason:
            return None
        try:
            return self.router(node, vmid).probe()
        except AnotherSystem:
            raise
        except ProvisionError as error:
            self.unreachable_reason = str(error)
            return None

    def told_outside(self, run: Run, seen: Seen | None) -> list[dict[str, t.Any]]:
        """The router's interfaces as PVE tells them without a look inside; none when it cannot."""
        raise NotImplementedError

    # -- which port is which -------------------------------------------------------------------------------------------
    def look(self, node: Node, actual: Actual) -> None:
        if self.description is not None and actual.vmid is not None:
            with contextlib.suppress(ProvisionError):
                self.seen = self.see(node, actual.vmid)

    def resolve(self, node: Node, wanted: Wanted, actual: Actual, *, act: bool) -> Wanted:
        """Each interface keeps its port, whatever the declared order; the port of one that is gone is taken away."""
        if self.description is None or actual.config is None or actual.vmid is None or wanted.state == "absent":
            return wanted
        if wanted.findings:
            return wanted
        kind = wanted.type.kind
        ports = ports_of(actual.config.options, wanted.type.network, kind)
        told: dict[str, str] = {}
        left: set[str] = set()
        if actual.running:
            self.seen = self.seen or self.see(node, actual.vmid)
        if self.seen is not None and self.seen.waiting:
            wanted = dataclasses.replace(wanted, notes=(*wanted.notes, WAITED))
            self.seen = self._decided(node, actual.vmid, self.seen, act=act)
        if self.seen is not None:
            told = live.devices_of(parse_export(self.seen.export)["network"])
        first = self.description.interfaces
        self.description = place(self.description, ports, told, append=kind == "qemu")
        if self.seen is not None:
            left = live.abandoned(self.seen.export, self.description)
        gone = [port for port in ports if port.device in left]
        return with_ports(wanted, first, self.description.interfaces, gone)

    def _decided(self, node: Node, vmid: int, seen: Seen, *, act: bool) -> Seen | None:
        """The router when the change that an earlier run left unconfirmed stands or is gone."""
        if not act:
            return seen.taken_back()
        self.router(node, vmid).await_decision()
        return self.see(node, vmid)

    def see(self, node: Node, vmid: int) -> Seen | None:
        """The running router as the plan is to find it; None where nobody can look."""
        return self.probe(node, vmid)

    @property
    def described(self) -> Description:
        return t.cast("Description", self.description)

    def with_findings(self, node: Node, plan: Plan, findings: t.Iterable[Finding]) -> Plan:
        """The plan with what stands against it, networks included once there is anything to do."""
        return plan.against([*findings, *(self._wrong_segments(node) if plan else ())])

    def _wrong_segments(self, node: Node) -> list[Finding]:
        """DHCP servers where the node itself lives are refused; that needs the node's own addresses."""
        try:
            links = node.links()
            addresses = {e.segment: addresses_on(links, e.bridge, e.tag) for e in self.described.interfaces}
            parse_description(self.declared, addresses)
        except InvalidInput as error:
            return list(error.findings)
        return []

    def with_drift(self, plan: Plan, drift: Drift) -> Plan:
        """The plan with what is to be changed in the running router, before it is restarted."""
        self.drift = drift
        if not drift:
            return plan
        view = drift.view()
        ours: list[Step] = []
        inside = {name: what for name, what in view.items() if name != "packages"}
        if inside:
            ours.append(Configure(self, inside))
        if drift.missing:
            ours.append(InstallPackages(self, drift.missing))
        before, after = dict(plan.before), {**plan.after, **{n: what for n, what in view.items() if n != "files"}}
        if seed.KEYS in drift.files:
            has = self.seen.files.get(seed.KEYS, b"") if self.seen else b""
            before["ssh_keys"], after["ssh_keys"] = has.decode().splitlines(), [*self.described.management.ssh_keys]
        if seed.SHADOW in drift.files:
            before["password"], after["password"] = "(hidden)", "(hidden, changes)"
        plan = plan.insert(*ours, before=(Shutdown, Start))
        return dataclasses.replace(plan, before=before, after=after)

    def await_up(self, run: Run) -> None:
        """Wait until the router has booted."""
        raise NotImplementedError

    # -- afterwards ------------------------------------------------------------------------------------------------
    def finish(self, run: Run) -> None:
        """Which addresses the router has and who says so, and what is known of its configuration."""
        result = run.result
        if result.status != "running" or self.description is None:
            return
        for last in rounds(self.ip_timeout, run.node.clock, PAUSES):
            seen, self.seen = self.seen or self.probe(run.node, run.vmid), None
            sources = self._sources(run, seen)
            result.addresses, waiting = merged(self.described.interfaces, sources, last=last)
            if not waiting or interrupt.reason():
                break
        cards = {net["id"]: net.get("hwaddr") for net in result.config.get("networks", [])}
        macs = {each.name: cards.get(each.number) for each in self.described.interfaces}
        result.addresses = [{**entry, "hwaddr": macs[entry["interface"]]} for entry in result.addresses]
        if WAITED in run.wanted.notes and WAITED not in result.warnings:
            result.warnings.append(WAITED)
        if waiting and (self.ip_timeout or self.require_ip):
            words = f"no address on {', '.join(waiting)} after {self.ip_timeout} s"
            if self.require_ip:
                raise RouterError(f"{run.wanted.label}: {words}.", remedy="Look for a DHCP server on that bridge.")
            result.warnings.append(words)
        if seen is None:
            told: dict[str, t.Any] = {"drift": "unknown", "reason": self.unreachable_reason}
            result.not_verified.append(self.unreachable_reason)
        else:
            absent = {name for name, state in seen.services.items() if state == "missing"}
            wished = [name for name, wanted in self.described.services.items() if wanted and name in absent]
            dialling = [e.name for e in self.described.interfaces if e.proto == "pppoe" and e.name not in seen.up]
            result.warnings += [f"{name} is not up: no provider has answered by PPPoE" for name in dialling]
            result.warnings += [f"service {name} is not there: its package is not installed" for name in wished]
            left = self.router(run.node, run.vmid).drift(seen)
            told = {"drift": "present", "differs": left.view()} if left else {"drift": "none"}
            told |= {"version": seen.version, "interfaces_up": sorted(seen.up)}
        result.more["openwrt"] = told

    def _sources(self, run: Run, seen: Seen | None) -> t.Iterator[Source]:
        """What each says, asked when its turn comes, and whether it has answered, be it that there is none."""
        interfaces = self.described.interfaces
        if seen is not None:
            yield [told_by("ubus", e, text) for e in interfaces for text in seen.statuses.get(e.name, [])], False
            yield [told_by("ip", e, text) for e in interfaces for text in seen.addr.get(e.device, [])], True
        told = {each["name"]: global_addresses(each) for each in self.told_outside(run, seen)}
        yield [told_by(self.address_source, e, text) for e in interfaces for text in told.get(e.device, [])], bool(told)
        nets = neighbour_addresses(run.node, run.wanted.type.kind, run.vmid)
        met = {each.name: met_addresses(each, nets.get(f"net{each.number}", [])) for each in interfaces}
        yield [told_by("neighbour", e, text) for e in interfaces for text in met[e.name]], True
