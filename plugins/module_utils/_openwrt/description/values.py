# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: single values of a router's description, read and, where they are wrong, noted."""

from __future__ import annotations

import ipaddress
import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding

Address: t.TypeAlias = "ipaddress.IPv4Interface | ipaddress.IPv6Interface"

NAME = re.compile(r"[A-Za-z0-9_]{1,15}")


class Findings(list[Finding]):
    """What is wrong so far. The readers below note it and go on with a harmless value."""

    def note(self, option: str, value: object, problem: str, remedy: str = "") -> None:
        self.append(Finding(option, value, problem, remedy))

    def told(self, option: str) -> bool:
        return any(finding.option == option for finding in self)

    def mapping(self, option: str, value: object, keys: t.Sequence[str]) -> dict[str, t.Any]:
        """A mapping of known keys; what is None was not said."""
        if not isinstance(value, t.Mapping):
            if value is not None:
                self.note(option, value, "is not a mapping")
            return {}
        for key in value:
            if key not in keys:
                self.note(f"{option}.{key}".lstrip("."), key, "is not known here", f"There are {', '.join(keys)}.")
        return {str(key): each for key, each in value.items() if each is not None and key in keys}

    def number(self, option: str, value: object, low: int, high: int) -> int | None:
        if value is None:
            return None
        text = str(value)
        if isinstance(value, bool) or not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            self.note(option, value, f"is not a number from {low} to {high}")
            return None
        return int(text)

    def choice(self, option: str, value: object, choices: t.Sequence[str], default: str) -> str:
        if value is None:
            return default
        if value not in choices:
            self.note(option, value, "is not possible here", f"Say {' or '.join(choices) or 'nothing'}.")
            return default
        return str(value)

    def words(self, option: str, value: object) -> tuple[str, ...]:
        """A list of strings; one string is a list of one."""
        if value is None:
            return ()
        if isinstance(value, (list, tuple)):
            return tuple(str(each) for each in value)
        return (str(value),)

    def pattern(self, option: str, value: object, pattern: re.Pattern[str], remedy: str) -> str:
        text = "" if value is None else str(value)
        if text and not pattern.fullmatch(text):
            self.note(option, value, "is not possible", remedy)
            return ""
        return text

    def flag(self, option: str, value: object) -> bool:
        if not isinstance(value, (bool, type(None))):
            self.note(option, value, "is neither true nor false")
        return value is True

    def addresses(self, option: str, value: object) -> tuple[Address, ...]:
        found: list[Address] = []
        for text in self.words(option, value):
            try:
                address = ipaddress.ip_interface(text)
            except ValueError:
                address = None
            if address is None or "/" not in text or "%" in text:
                self.note(option, text, "is not an address with prefix length", "Write it like 192.168.20.1/24.")
            elif address.version == 4 and address.network.prefixlen < 31 and address.ip in _edges(address):
                self.note(option, text, "is the network's own or its broadcast address", "Take a host's address.")
            else:
                found.append(address)
        return tuple(found)

    def hosts(self, option: str, value: object) -> tuple[str, ...]:
        found = []
        for text in self.words(option, value):
            try:
                host = ipaddress.ip_address(text)
            except ValueError:
                host = None
            if host is None or "%" in text:
                self.note(option, text, "is not an IP address", "Write it without a prefix length and an interface.")
            else:
                found.append(str(host))
        return tuple(found)


def _edges(address: Address) -> tuple[object, object]:
    return address.network.network_address, address.network.broadcast_address
