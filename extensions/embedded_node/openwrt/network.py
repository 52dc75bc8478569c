# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What netifd, dnsmasq and odhcpd of a scripted OpenWrt guest make of its configuration.

The committed ``/etc/config/network`` counts, and only when netifd is told to read it (boot, reload). Static addresses
are up at once, a DHCP client gets the same lease each time if somebody serves on its bridge: the node's own network
there, or another guest. Whatever becomes visible on a bridge is noted in ``var/log/embedded-node/segments.jsonl``, one
JSON object a line: ``bridge``, ``tag``, ``vmid``, ``event`` (address, dhcp_server, ra), ``value``, the time ``at``.
"""

from __future__ import annotations

import ipaddress
import json
import random
import time
import typing as t
from dataclasses import asdict, replace

from ..guest.runtime import Guest, dhcp_lease
from ..state.root import PRIVATE
from .interfaces import Interface, Place, Port, items, ports, text
from .uci import Package, Section, UciError
from .uci_command import Uci

SEGMENTS = "var/log/embedded-node/segments.jsonl"
#: Seconds until an interface is up, by the node's latency: (after boot, for a DHCP lease).
DELAYS = {"none": (0.0, 0.3), "realistic": (5.5, 3.0)}
RA_MODES = ("server", "relay", "hybrid")


class Network:
    """The network of a running guest, as of the last time that netifd read its configuration."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.ports = ports(guest)
        if guest.recall("ports", self._plugged()) != self._plugged():
            self.reload()  # a cable was pulled or put in while it ran

    def _plugged(self) -> list[list[t.Any]]:
        return [[port.name, port.mac, port.bridge, port.tag] for port in self.ports.values()]

    # -- state ---------------------------------------------------------------------------------------------------------
    @property
    def interfaces(self) -> dict[str, Interface]:
        """What netifd runs, by name."""
        return {name: Interface(**known) for name, known in self.guest.recall("interfaces", {}).items()}

    @property
    def bridges(self) -> dict[str, list[str]]:
        """The guest's bridge devices with their ports, as netifd made them."""
        return t.cast("dict[str, list[str]]", self.guest.recall("bridges", {}))

    def addresses(self) -> dict[str, list[str]]:
        """Addresses that are up now, by device, the loopback's too."""
        found: dict[str, list[str]] = {"lo": ["127.0.0.1/8", "::1/128"], **{name: [] for name in self.ports}}
        for interface in self.interfaces.values():
            if interface.up and interface.device != "lo":
                found.setdefault(interface.device, []).extend([*interface.addresses, *interface.addresses6])
        return found

    def online(self) -> bool:
        """Whether an interface that is up has a way out."""
        return any(interface.up and interface.gateway for interface in self.interfaces.values())

    # -- netifd --------------------------------------------------------------------------------------------------------
    def reload(self, *, boot: bool = False) -> None:
        """Read the committed configuration and run it."""
        package = self._package("network")
        before = self.interfaces
        after: dict[str, Interface] = {}
        for section in package.of_type("interface") if package else []:
            interface = self._interface(package, section, boot)  # type: ignore[arg-type]
            old = before.get(interface.name)
            if old and replace(old, ready=None) == replace(interface, ready=None):
                interface = old
            after[interface.name] = interface
        used = {interface.device for interface in after.values()}
        self._remember(after, {name: members for name, members in self._bridges(package).items() if name in used})
        self.note()

    def set_up(self, name: str, up: bool) -> bool:
        """``ifup`` and ``ifdown``; False when there is no such interface."""
        known = self.interfaces
        if name not in known:
            return False
        package = self._package("network")
        section = package.find(name) if package else None
        if package is None or section is None:
            return False
        interface = self._interface(package, section, False)
        if not up:
            interface = replace(interface, autostart=False, ready=None, addresses=[], addresses6=[])
        self._remember({**known, name: replace(interface, autostart=up)}, self.bridges)
        self.note()
        return True

    def _remember(self, interfaces: dict[str, Interface], bridges: dict[str, list[str]]) -> None:
        self.guest.remember("interfaces", {name: asdict(interface) for name, interface in interfaces.items()})
        self.guest.remember("bridges", bridges)
        self.guest.remember("ports", self._plugged())

    def _package(self, name: str) -> Package | None:
        try:
            return Uci(self.guest.files).load(name, staged=False)
        except UciError:
            return None

    def _interface(self, package: Package, section: Section, boot: bool) -> Interface:
        device = self._device(package, section)
        lower = self._lower(package, device)
        interface = Interface(
            section.name,
            text(section, "proto", "none"),
            device,
            autostart=text(section, "auto", "1") != "0" and text(section, "disabled") != "1",
            available=device == "lo" or bool(lower),
            metric=int(text(section, "metric", "0") or 0),
            places=[[place.bridge, place.tag] for place, _other in lower if place.bridge],
        )
        if interface.autostart and interface.available:
            self._configure(interface, package, section, lower, boot)
        return interface

    def _configure(
        self, interface: Interface, package: Package, section: Section, lower: list[tuple[Place, Port]], boot: bool
    ) -> None:
        after_boot, for_lease = DELAYS[self.guest.state.settings()["latency"]]
        ready = time.time() + (after_boot if boot else 0.0)
        if interface.proto == "static":
            interface.addresses = _static(section)
            interface.addresses6 = items(section.options.get("ip6addr"))
            interface.gateway, interface.dns = text(section, "gateway"), items(section.options.get("dns"))
            self._assign(interface, package, section)
            interface.ready = ready
        elif interface.proto == "none":
            interface.ready = ready
        elif interface.proto == "dhcp" and not self._enslaved(package, interface.device):
            lease = next(filter(None, (self._lease(place, port) for place, port in lower if place.bridge)), None)
            if lease:
                interface.addresses, interface.gateway, interface.dns = [lease[0]], lease[1], [lease[1]]
                interface.ready = ready + for_lease

    @staticmethod
    def _assign(interface: Interface, package: Package, section: Section) -> None:
        """``ip6assign``: a part of the local prefix."""
        ula = next((text(one, "ula_prefix") for one in package.of_type("globals")), "")
        length = text(section, "ip6assign")
        if length.isdigit() and "/" in ula:
            network = ipaddress.IPv6Network(ula, strict=False)
            interface.addresses6 = [*interface.addresses6, f"{network.network_address + 1}/{length}"]
            interface.prefix = f"{network.network_address}/{length}"

    def _lease(self, place: Place, port: Port) -> tuple[str, str] | None:
        if place.tag is None and (own := dhcp_lease(self.guest.state, place.bridge, port.mac)):
            return own
        for server in other_servers(self.guest):
            if (server["bridge"], server["tag"]) == (place.bridge, place.tag):
                router = ipaddress.IPv4Interface(server["address"])
                number = server["start"] + random.Random(port.mac).randrange(max(server["limit"], 1))
                return f"{router.network.network_address + number}/{router.network.prefixlen}", str(router.ip)
        return None

    # -- devices -------------------------------------------------------------------------------------------------------
    @staticmethod
    def _device(package: Package, section: Section) -> str:
        device = text(section, "device") or text(section, "ifname")
        if device.startswith("@"):
            other = package.find(device[1:])
            return text(other, "device") if other else device
        return f"br-{section.name}" if text(section, "type") == "bridge" else device

    @staticmethod
    def _bridges(package: Package | None) -> dict[str, list[str]]:
        if package is None:
            return {}
        bridges = {
            text(section, "name"): items(section.options.get("ports") or section.options.get("ifname"))
            for section in package.of_type("device")
            if text(section, "type") == "bridge"
        }
        for section in package.of_type("interface"):
            if text(section, "type") == "bridge":
                bridges[f"br-{section.name}"] = items(section.options.get("ifname"))
        return bridges

    def _enslaved(self, package: Package, device: str) -> bool:
        """Whether a bridge of the configuration holds the device: what arrives there goes to the bridge."""
        return any(device in members for members in self._bridges(package).values())

    def _lower(self, package: Package, device: str, tag: int | None = None) -> list[tuple[Place, Port]]:
        """Where a device's frames come out, with the port they leave through."""
        bridges = self._bridges(package)
        if device in self.ports:
            port = self.ports[device]
            return [(Place(port.bridge, tag if port.tag is None else port.tag), port)]
        if device in bridges:
            return [pair for member in bridges[device] for pair in self._lower(package, member, tag)]
        for section in package.of_type("device"):
            if text(section, "name") == device and text(section, "type") in ("8021q", "8021ad", "macvlan"):
                vid = text(section, "vid")
                return self._lower(package, text(section, "ifname"), int(vid) if vid.isdigit() else tag)
        base, _other, vid = device.rpartition(".")
        if not (base and vid.isdigit()):
            return []
        for section in package.of_type("bridge-vlan"):
            if text(section, "device") == base and text(section, "vlan") == vid:
                members = [member.partition(":") for member in items(section.options.get("ports"))]
                tagged = [(name, int(vid) if "t" in how else tag) for name, _other, how in members]
                return [pair for name, outer in tagged for pair in self._lower(package, name, outer)]
        return self._lower(package, base, int(vid))

    # -- what others hear ----------------------------------------------------------------------------------------------
    def servers(self) -> list[dict[str, t.Any]]:
        """The DHCP servers that dnsmasq (or odhcpd) runs, one for each place."""
        running = self.guest.recall("services", {})
        package = self._package("dhcp")
        found = []
        for section in package.of_type("dhcp") if package else []:
            interface = self.interfaces.get(text(section, "interface", section.name))
            main = any(text(one, "maindhcp") == "1" for one in package.of_type("odhcpd")) if package else False
            if not running.get("odhcpd" if main else "dnsmasq") or interface is None or interface.proto != "static":
                continue
            if (
                text(section, "ignore") == "1"
                or text(section, "dhcpv4", "server") == "disabled"
                or not interface.addresses
            ):
                continue
            start, limit = (
                int(text(section, name, default) or 0) for name, default in (("start", "100"), ("limit", "150"))
            )
            found += [
                {"bridge": bridge, "tag": tag, "address": interface.addresses[0], "start": start, "limit": limit}
                for bridge, tag in interface.places
            ]
        return found

    def advertisers(self) -> list[tuple[str, int | None, str]]:
        """Where odhcpd sends router advertisements: bridge, tag, mode."""
        package = self._package("dhcp")
        if package is None or not self.guest.recall("services", {}).get("odhcpd"):
            return []
        found = []
        for section in package.of_type("dhcp"):
            interface = self.interfaces.get(text(section, "interface", section.name))
            mode = text(section, "ra", "disabled")
            if interface and interface.autostart and mode in RA_MODES and text(section, "ignore") != "1":
                found += [(bridge, tag, mode) for bridge, tag in interface.places]
        return found

    def note(self, extra: t.Iterable[tuple[str, int | None, str, str]] = ()) -> None:
        """Write down what has newly become visible on a bridge."""
        now: list[tuple[str, int | None, str, str]] = list(extra)
        for interface in self.interfaces.values():
            for bridge, tag in interface.places:
                now += [(bridge, tag, "address", address) for address in interface.addresses + interface.addresses6]
        servers = self.servers()
        now += [(server["bridge"], server["tag"], "dhcp_server", server["address"]) for server in servers]
        now += [(bridge, tag, "ra", mode) for bridge, tag, mode in self.advertisers()]
        known = [tuple(one) for one in self.guest.recall("visible", [])]
        for one in now:
            if one not in known:
                bridge, tag, event, value = one
                entry = {"bridge": bridge, "tag": tag, "vmid": self.guest.vmid, "event": event, "value": value}
                self.guest.state.append(SEGMENTS, json.dumps({**entry, "at": time.time()}))
        self.guest.remember("visible", now)
        self.guest.remember("servers", servers)


def other_servers(guest: Guest) -> list[dict[str, t.Any]]:
    """The DHCP servers of the other guests that run."""
    found = []
    for vmid in guest.state.running():
        if vmid != guest.vmid:
            found += guest.state.read_json(f"{PRIVATE}/guests/{vmid}.json", {}).get("servers", [])
    return found


def _static(section: Section) -> list[str]:
    mask = text(section, "netmask")
    addresses = []
    for address in items(section.options.get("ipaddr")):
        whole = address if "/" in address else f"{address}/{mask or 32}"
        try:
            addresses.append(str(ipaddress.IPv4Interface(whole)))
        except ValueError:
            continue  # netifd refuses the address and brings the interface up without it
    return addresses
