# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: how far a running OpenWrt is from its description, and the least that mends it.

What a description decides on is brought in line; everything else in the running configuration is the user's and
stays: options it does not know, sections of other types, rules of other names. What it decided on before and no
longer mentions goes: an interface on one of our ports, its pool, its zone, forwardings between declared zones and
rules of the names that we give. Sections that the user's own ``uci`` declares always stay.
"""

from __future__ import annotations

import copy
import hashlib
import re
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.pve.provision.plugins.module_utils._model.secrets import is_secret
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description import Description
from ansible_collections.pve.provision.plugins.module_utils._openwrt.router import (
    MANAGED,
    NEIGHBOUR6_RULES,
    SERVED6_RULES,
    SERVED_RULES,
    WAN_RULES,
    adopt,
    counterpart,
    desired,
    identity,
    line_of,
)
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci import (
    Config,
    Op,
    Package,
    Section,
    Value,
    batch,
    changes,
    diff_config,
    overlay,
    parse_export,
)

# Counts in what somebody has set and not committed; a change is not carried out upon that (see commit_confirm).
EXPORT = ("uci", "export")
# The init scripts that act on a package, and the order in which they are asked to; any other package is its own.
OWNERS = {"dhcp": ("dnsmasq", "odhcpd"), "system": ("system", "sysntpd")}
ORDER = ("system", "sysntpd", "network", "firewall", "dnsmasq", "odhcpd", "dropbear", "uhttpd")
CUTTING = ("network", "firewall", "dropbear")

_PORT = re.compile(r"eth\d+")
_OUR_RULES = {
    *WAN_RULES,
    *SERVED_RULES,
    *SERVED6_RULES,
    *NEIGHBOUR6_RULES,
    *(f"{verdict}-{service}" for verdict in ("Allow", "Reject") for service in MANAGED),
}


@dataclass(frozen=True)
class Change:
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
        """The changes as ``uci changes`` tells them, secrets hidden: for results and diffs."""
        secret = {id(op) for op in self.ops if is_secret(op.option, self.secret_names) and op.value}
        return changes(replace(op, value="(hidden)") if id(op) in secret else op for op in self.ops)

    @property
    def services(self) -> tuple[str, ...]:
        """The init scripts to reload, in this order."""
        owners = dict.fromkeys(owner for package in self.packages for owner in OWNERS.get(package, (package,)))
        return (*(owner for owner in ORDER if owner in owners), *(owner for owner in owners if owner not in ORDER))

    @property
    def touches_network(self) -> bool:
        """Whether it could cut off whoever manages the router."""
        return any(package in CUTTING for package in self.packages)


def drift(export: str, description: Description, version: str) -> Change:
    """The change from what ``uci export`` says (see :data:`EXPORT`) to what was declared; empty when there is none.

    Raises UciError when the text is no export, InvalidInput for what ``uci`` declares wrongly.
    """
    actual = parse_export(export)
    wanted = target(actual, description, version)
    ops = tuple(diff_config(actual, wanted))
    made = tuple(dict.fromkeys(op.package for op in ops if op.package not in actual))
    return Change(ops, made, description.secret_names)


def target(actual: Config, description: Description, version: str) -> Config:
    """The running configuration as it should be."""
    wanted = desired(description, line_of(version))
    if "uhttpd" not in actual:  # Its package is not installed, and would not put its own configuration over ours.
        del wanted["uhttpd"]
    result = copy.deepcopy(actual)
    for section in wanted["network"].of_type("globals"):
        section.options["ula_prefix"] = _local_prefix(actual, description)
    for name, package in wanted.items():
        _settle(result.setdefault(name, Package(name)), package)
    _Stale(result, wanted, description.uci).drop()
    return overlay(result, description.uci)


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
            package.sections.insert(_place(package, section, last.get(section.type)), known)
        else:
            adopt(known, section)
        last[section.type] = known


def _place(package: Package, section: Section, before: Section | None) -> int:
    """Among those of its type an anonymous section comes behind ``before``, or first: order counts, and ``@type[n]``
    must go on meaning the same. A named one goes last."""
    same = [at for at, each in enumerate(package.sections) if each.type == section.type]
    if section.name or not same:
        return len(package.sections)
    return next((at + 1 for at in same if package.sections[at] is before), same[0])


class _Stale:
    """Takes out what an earlier description left behind."""

    def __init__(self, config: Config, wanted: Config, uci: t.Mapping[str, t.Any]) -> None:
        self.config = config
        self.wanted = wanted
        self.declared = {name: _declared(uci.get(name) or {}) for name in wanted}
        self.devices = {section.get("device") for section in self.declared["network"]}

    def drop(self) -> None:
        self._interfaces()
        left = {section.name for section in self.config["network"].of_type("interface")}
        self._drop("dhcp", lambda s: s.type == "dhcp" and s.get("interface") not in left)
        self._drop("dropbear", lambda s: s.type == "dropbear")
        self._firewall({name for name in left if name})

    def _drop(self, name: str, stale: t.Callable[[Section], bool]) -> list[Section]:
        package = self.config[name]
        declared = self.declared.get(name, [])
        kept = {identity(section) for section in [*self.wanted[name].sections, *declared]}
        names = {section.name for section in declared} - {None}
        gone = [s for s in package.sections if identity(s) not in kept and s.name not in names and stale(s)]
        package.sections = [section for section in package.sections if not any(section is each for each in gone)]
        return gone

    def _interfaces(self) -> None:
        """A bridge over a port that an interface now has for itself would swallow its packets."""
        ports = {section.get("device") for section in self.wanted["network"].sections}

        def over_our_port(section: Section) -> bool:
            is_bridge = section.type == "device" and section.get("type") == "bridge"
            return is_bridge and section.get("name") not in self.devices and bool(ports & {*section.items("ports")})

        bridges = {section.get("name") for section in self._drop("network", over_our_port)}
        names = {section.name for section in self.wanted["network"].of_type("interface")}

        def on_our_port(section: Section) -> bool:
            device = section.get("device")
            six = f"{device[1:]}6" == section.name and device[1:] in names if device.startswith("@") else False
            return section.type == "interface" and bool(six or device in bridges or _PORT.fullmatch(device))

        gone = {f"@{section.name}" for section in self._drop("network", on_our_port)}
        self._drop("network", lambda s: s.type == "interface" and s.get("device") in gone)

    def _firewall(self, interfaces: set[str]) -> None:
        ours = {network for zone in self.wanted["firewall"].of_type("zone") for network in zone.items("network")}

        def has_nothing_left(section: Section) -> bool:
            networks = section.items("network")
            return section.type == "zone" and bool(networks) and not {*networks} & (interfaces - ours)

        dropped = {zone.get("name") for zone in self._drop("firewall", has_nothing_left)}
        zones = {zone.get("name") for zone in self.wanted["firewall"].of_type("zone")}

        def is_stale(section: Section) -> bool:
            ends = {section.get("src"), section.get("dest")} - {""}
            if section.type == "forwarding":
                return bool(ends & dropped) or ends <= zones
            return section.type == "rule" and (bool(ends & dropped) or _is_ours(section))

        self._drop("firewall", is_stale)


def _is_ours(rule: Section) -> bool:
    name, source = rule.get("name"), rule.get("src")
    return name.removesuffix(f"-{source}") in _OUR_RULES and (source == "wan" or name.endswith(f"-{source}"))


def _declared(sections: t.Mapping[str, t.Any]) -> list[Section]:
    """What the user's own ``uci`` declares of a package, as far as it can be told without the package."""
    found = []
    for ref, declared in sections.items():
        for each in declared if isinstance(declared, list) else [declared]:
            said = each if isinstance(each, t.Mapping) else {}
            options: dict[str, Value] = {str(key): str(value) for key, value in said.items() if isinstance(value, str)}
            kind = options.pop(".type", "") if not ref.startswith("@") else ref[1:].partition("[")[0]
            found.append(Section(str(kind), None if ref.startswith("@") else ref, options))
    return found
