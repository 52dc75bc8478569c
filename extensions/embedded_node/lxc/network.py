# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing a network interface of a running container: PVE plugs it in again and sets its addresses from outside."""

from __future__ import annotations

import ipaddress
import typing as t
from collections.abc import Mapping

from ..api import validation
from ..api.session import Session
from ..errors import ApiError
from ..guest import runtime
from ..state.config_file import GuestFile
from ..state.propstring import parse, render
from . import container

PLUGGED = ("hwaddr", "name")
SWITCHED = ("bridge", "tag", "firewall", "link_down")
#: What the guest has after it was plugged in, before its addresses are set.
KEPT = ("bridge", "firewall", "hwaddr", "link_down", "name", "tag")
NO_ADDRESS = ("auto", "dhcp", "manual")
#: The addresses and routes that this node set in guests that nobody else configures.
MEMORY = "addresses"


def replug(session: Session, vmid: int, conf: GuestFile, option: str, value: str) -> None:
    """Bring a changed or new netN to life; dies when its bridge is missing, and then the old one is gone for good."""
    form = validation.option_format("lxc", option)
    new = parse(value, form)
    old = parse(conf.options.get(option, ""), form)
    running, guest = runtime.runtime(session.state), container.guest(session.state, vmid)
    if old and all(old.get(key) == new.get(key) for key in PLUGGED):
        if any(old.get(key) != new.get(key) for key in SWITCHED):
            _check_bridge(session, new, "\n")
            running.plug(guest, option, old, new)
    else:
        if old:
            running.plug(guest, option, old, {})
            del conf.options[option]
            session.state.write_guest(vmid, conf)
        _check_bridge(session, new)
        running.plug(guest, option, {}, new)
        old = {key: new[key] for key in KEPT if key in new}
        conf.options[option] = render({**old, "type": "veth"}, form)
    for change in (Change(session, vmid, conf, old, new, 4), Change(session, vmid, conf, old, new, 6)):
        change.make()


def _check_bridge(session: Session, net: Mapping[str, str], end: str = "") -> None:
    if net.get("bridge"):
        try:
            session.state.bridge_mtu(net["bridge"])
        except ApiError as error:
            raise ApiError(error.message + end) from error


class Change:
    """New addresses and a new gateway of one family. What fails is reported, and the rest is done all the same."""

    def __init__(
        self, session: Session, vmid: int, conf: GuestFile, old: Mapping[str, str], new: Mapping[str, str], family: int
    ) -> None:
        suffix = "" if family == 4 else str(family)
        self.session, self.vmid, self.family = session, vmid, family
        self.card = new.get("name", "")
        self.old_ip, self.new_ip = old.get(f"ip{suffix}"), new.get(f"ip{suffix}")
        self.old_gw, self.new_gw = old.get(f"gw{suffix}"), new.get(f"gw{suffix}")
        self.guest = container.guest(session.state, vmid)
        self.managed = conf.options.get("ostype") != "unmanaged"

    def make(self) -> None:
        """Add the new address, change the default route, take the old address away."""
        if self.old_ip != self.new_ip and self._real(self.new_ip):
            self._remember(add=str(self.new_ip))
        if self.old_gw != self.new_gw and not self._change_route():
            self._remember(drop=str(self.new_ip))
            return
        if self.old_ip != self.new_ip and self.old_ip and self.old_ip not in ("auto", "dhcp"):
            self._drop(self.old_ip)

    def _change_route(self) -> bool:
        if not self.new_gw:
            if not self.managed:
                self._failed(["route", "del", "default"], "RTNETLINK answers: No such process")
            return True
        reached = any(ipaddress.ip_address(self.new_gw) in ipaddress.ip_interface(ip).network for ip in self._present())
        if not reached and not self._real(self.new_ip):
            self._failed(["route", "replace", "default", "via", self.new_gw], "Error: Nexthop has invalid gateway.")
            return False
        self._ip(["route", "replace", "default", "via", self.new_gw])
        return True

    def _drop(self, ip: str) -> None:
        """Without promoted secondaries a new address would go together with the old one: for a moment they are."""
        if self.family == 4:
            self._promote(1)
        if ip in self._present() or self.managed:
            self._remember(drop=ip)
        else:
            words = {4: "Error: ipv4: Address not found.", 6: "Error: ipv6: address not found."}[self.family]
            self._failed(["addr", "del", ip, "dev", self.card], words)
        if self.family == 4:
            self._promote(int(self.managed))

    def _promote(self, value: int) -> None:
        self._configure(["sh", "-c", f"echo {value} > /proc/sys/net/ipv4/conf/{self.card}/promote_secondaries"])
        self.session.say(f"net.ipv4.conf.{self.card}.promote_secondaries = {value}")

    def _failed(self, words: list[str], why: str) -> None:
        command = f"lxc-attach -n {self.vmid} -s NETWORK -- /sbin/ip -{self.family} {' '.join(words)}"
        self.session.complain(f"{why}\ncommand '{command}' failed: exit code 2\n")

    @staticmethod
    def _real(ip: str | None) -> t.TypeGuard[str]:
        return bool(ip) and ip not in NO_ADDRESS

    def _present(self) -> list[str]:
        """The addresses inside: those of the config where PVE configures the guest, else those set from here."""
        known: list[str] = self.guest.recall(MEMORY, [])
        if self.managed:
            known = [*known, *(address for card in self.guest.interfaces for address in card.addresses)]
        return [address for address in known if (":" in address) == (self.family == 6)]

    def _ip(self, words: list[str]) -> None:
        self._configure(["ip", f"-{self.family}", *words])

    def _configure(self, argv: list[str]) -> None:
        try:
            runtime.runtime(self.session.state).configure(self.guest, argv)
        except ApiError as error:
            self.session.complain(error.command_text)

    def _remember(self, add: str = "", drop: str = "") -> None:
        for action, address in (("add", add), ("del", drop)):
            if address:
                self._ip(["address", action, address, "dev", self.card])
        known: list[str] = [item for item in self.guest.recall(MEMORY, []) if item not in (add, drop)]
        self.guest.remember(MEMORY, [*known, add] if add else known)
