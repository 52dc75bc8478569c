# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: how far a running OpenWrt is from its description, and the least that mends it.

What a description decides on is brought in line; everything else in the running configuration is the owner's and
stays: options it does not know, and whatever sections somebody made by hand. What we made ourselves and what is no
longer declared goes, by the note of it in the router (see ``ours.py``).
"""

from __future__ import annotations

import copy
import hashlib
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.pve.provision.plugins.module_utils._model.secrets import is_secret
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import Description
from ansible_collections.pve.provision.plugins.module_utils._openwrt.ours import NOTE, merge_declared, read_note
from ansible_collections.pve.provision.plugins.module_utils._openwrt.router import adopt, counterpart, desired
from ansible_collections.pve.provision.plugins.module_utils._openwrt.series import factory, series_of
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.changes import Op, batch, changes, diff_config
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.config import Config, Package, Section
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.text import parse_export

# Counts in what somebody has set and not committed; a change is not carried out upon that (see commit_confirm).
EXPORT = ("uci", "export")
# The init scripts that act on a package, and the order in which they are asked to; any other package is its own.
OWNERS: t.Mapping[str, tuple[str, ...]] = {"dhcp": ("dnsmasq", "odhcpd"), "system": ("system", "sysntpd"), NOTE: ()}
ORDER = ("system", "sysntpd", "network", "firewall", "dnsmasq", "odhcpd", "dropbear", "uhttpd")
CUTTING = ("network", "firewall", "dropbear")


@dataclass(frozen=True)
class UciChange:
    """What brings a running router in line. ``made``: packages that have no file yet; ``secret_names``: options whose
    values are hidden too."""

    ops: tuple[Op, ...] = ()
    made: tuple[str, ...] = ()
    secret_names: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.ops)

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages that change, each once."""
        return tuple(dict.fromkeys(op.package for op in self.ops))

    @property
    def batch(self) -> str:
        """The script for ``uci batch``, with its secrets: for stdin only."""
        return batch(self.ops)

    @property
    def words(self) -> list[str]:
        """The changes as ``uci changes`` tells them, secrets hidden: for results and diffs. That our note follows is
        told only when it is all there is."""
        ops = [op for op in self.ops if op.package != NOTE] or self.ops
        secret = {id(op) for op in ops if is_secret(op.option, self.secret_names) and op.value}
        return changes(replace(op, value="(hidden)") if id(op) in secret else op for op in ops)

    @property
    def services(self) -> tuple[str, ...]:
        """The init scripts to reload, in this order."""
        owners = dict.fromkeys(owner for package in self.packages for owner in OWNERS.get(package, (package,)))
        return (*(owner for owner in ORDER if owner in owners), *(owner for owner in owners if owner not in ORDER))

    @property
    def touches_network(self) -> bool:
        """Whether it could cut off whoever manages the router."""
        return any(package in CUTTING for package in self.packages)


def drift(export: str, description: Description, version: str) -> UciChange:
    """The change from what ``uci export`` says (see :data:`EXPORT`) to what was declared; empty when there is none.

    Raises UciError when the text is no export, InvalidInput for what ``uci`` declares wrongly.
    """
    actual = parse_export(export)
    wanted = target(actual, description, version)
    ops = tuple(diff_config(actual, wanted))
    made = tuple(dict.fromkeys(op.package for op in ops if op.package not in actual))
    return UciChange(ops, made, description.secret_names)


def devices_of(network: Package) -> dict[str, str]:
    """The device of each interface of a running router; of a bridge over one port alone, that port."""
    bridges = {
        section.get("name"): section.items("ports")
        for section in network.of_type("device")
        if section.get("type") == "bridge"
    }
    found = {section.name: section.get("device") for section in network.of_type("interface") if section.name}
    return {
        name: bridges[device][0] if len(bridges.get(device, ())) == 1 else device
        for name, device in found.items()
        if device and not device.startswith("@")
    }


def abandoned(export: str, description: Description) -> set[str]:
    """The devices of interfaces that we once made and nobody declares any more, as far as nothing else uses them."""
    actual = parse_export(export)
    network = actual.get("network", Package("network"))
    uci = description.uci.get("network")
    kept = {each.name for each in description.interfaces} | {
        str(ref) for ref in (uci if isinstance(uci, t.Mapping) else ())
    }
    gone = {name for name in read_note(actual).sections.get("network", ()) if name.removesuffix("6") not in kept} - kept
    used = {each.device for each in description.interfaces}
    for section in network.sections:
        if section.name not in gone:
            words = [*section.items("device"), *section.items("ports"), *section.items("ifname")]
            used |= {word.partition(".")[0].partition(":")[0] for word in words}
    return {device for name, device in devices_of(network).items() if name in gone} - used


def target(actual: Config, description: Description, version: str) -> Config:
    """The running configuration as it should be."""
    wanted = desired(description, series_of(version))
    if "uhttpd" not in actual:  # Its package is not installed, and would not put its own configuration over ours.
        del wanted["uhttpd"]
    result = copy.deepcopy(actual)
    for section in wanted["network"].of_type("globals"):
        section.options["ula_prefix"] = _local_prefix(actual, description)
    for name, package in wanted.items():
        _settle(result.setdefault(name, Package(name)), package)
    _free_ports(result["network"], wanted["network"])
    return merge_declared(result, actual, wanted, description.uci, factory(series_of(version)))


def _free_ports(network: Package, wanted: Package) -> None:
    """A bridge over a port that an interface now has for itself would swallow its packets."""
    ours = {section.get("device") for section in wanted.of_type("interface")}
    for section in network.of_type("device"):
        ports = section.items("ports")
        if section.get("type") == "bridge" and ours & {*ports}:
            section.options["ports"] = [port for port in ports if port not in ours]
            section.options = {option: value for option, value in section.options.items() if value}


def _local_prefix(actual: Config, description: Description) -> str:
    """The local IPv6 prefix there is; else one drawn from the description, the same every time."""
    known = actual["network"].find("globals") if "network" in actual else None
    prefix = known.get("ula_prefix") if known else ""
    if prefix not in ("", "auto"):
        return prefix
    said = "\n".join([description.hostname, *(f"{i.name} {i.segment} {i.addresses}" for i in description.interfaces)])
    digest = hashlib.sha256(said.encode()).hexdigest()
    return f"fd{digest[:2]}:{digest[2:6]}:{digest[6:10]}::/48"


def _settle(package: Package, wanted: Package) -> None:
    """Bring declared sections in line, and put missing ones where a first boot would have had them."""
    last: dict[str, Section] = {}
    for section in wanted.sections:
        known = counterpart(package, section)
        if known is None:
            known = copy.deepcopy(section)
            package.sections.insert(_position(package, section, last.get(section.type)), known)
        else:
            adopt(known, section)
        last[section.type] = known


def _position(package: Package, section: Section, before: Section | None) -> int:
    """Among those of its type an anonymous section comes behind ``before``, or first: order counts, and ``@type[n]``
    must go on meaning the same. A named one goes last."""
    same = [at for at, each in enumerate(package.sections) if each.type == section.type]
    if section.name or not same:
        return len(package.sections)
    return next((at + 1 for at in same if package.sections[at] is before), same[0])
