# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which addresses may be asked when it was not the user who named the server.

A URL that a guest names must not make this machine ask itself, its neighbours or a private network. So a name is
resolved once, every address of it is judged, and the connection goes to an address that was judged.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import sys
import typing as t
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path

Address: t.TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"
Network: t.TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"
Server = tuple[str, int]

_PORTS: t.Final = {"http": 80, "https": 443}
#: Addresses of IPv6 whose end is one of IPv4: translated (RFC 6052) and "compatible" ones.
_WITH_IPV4: t.Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))


class Refused(OSError):
    """The address is none that may be asked."""


def server_of(url: str) -> Server:
    """Host and port that a URL names. Raises Refused for one that cannot be read."""
    try:
        parts = urllib.parse.urlsplit(url)
        return (parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0))
    except ValueError as error:
        raise Refused(f"it is not a URL that can be read: {error}") from error


def own_networks(proc: Path = Path("/proc/net")) -> tuple[Network, ...]:
    """The networks that this machine has an address in, as the kernel tells them."""
    networks: list[Network] = []
    with contextlib.suppress(OSError):
        for line in (proc / "route").read_text(encoding="ascii").splitlines()[1:]:
            _name, destination, gateway, *_rest, mask, _mtu, _window, _irtt = line.split()
            if int(gateway, 16) == 0 and int(mask, 16):
                networks.append(ipaddress.IPv4Network(f"{_ipv4(destination)}/{_ipv4(mask)}", strict=False))
    with contextlib.suppress(OSError):
        for line in (proc / "if_inet6").read_text(encoding="ascii").splitlines():
            address, _index, length, *_rest = line.split()
            networks.append(ipaddress.IPv6Network((int(address, 16), int(length, 16)), strict=False))
    return tuple(networks)


def _ipv4(word: str) -> ipaddress.IPv4Address:
    """Eight hex digits in the byte order of this machine, as the kernel writes them."""
    return ipaddress.IPv4Address(int(word, 16).to_bytes(4, sys.byteorder))


def _meant(address: Address) -> Address:
    """The IPv4 address that one of IPv6 stands for, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if any(address in network for network in _WITH_IPV4):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else address)


@dataclass(frozen=True)
class Outside:
    """The Internet without this machine and its own networks. ``listed`` servers are the user's word, wherever they
    are."""

    listed: frozenset[Server] = frozenset()
    own: tuple[Network, ...] = field(default_factory=own_networks)

    @classmethod
    def but(cls, urls: t.Iterable[str]) -> Outside:
        """The Internet, and the servers of some URLs."""
        return cls(frozenset(map(server_of, urls)))

    def allows(self, address: Address) -> bool:
        """Whether an address is neither this machine's, its network's, nor one of a private network."""
        address = _meant(address)
        return (
            address.is_global
            and not address.is_multicast
            and not any(address.version == network.version and address in network for network in self.own)
        )

    def addresses(self, server: Server) -> list[Server]:
        """The addresses of a server, all of them judged. Raises Refused, and socket.gaierror for an unknown name."""
        host, port = server
        found = [t.cast("Server", info[4][:2]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        if server not in self.listed:
            for text, _port in found:
                if not self.allows(ipaddress.ip_address(text)):
                    raise Refused(
                        f"{host} is {text}, which is not an address on the Internet, and mirrors do not list it"
                    )
        return list(dict.fromkeys(found))

    def connect(
        self, server: Server, timeout: float | None = None, source_address: tuple[str, int] | None = None
    ) -> socket.socket:
        """A connection to the first of a server's addresses that answers, as ``socket.create_connection``."""
        failure: OSError = socket.gaierror(socket.EAI_NONAME, "the name has no address")
        for address in self.addresses(server):
            try:
                return socket.create_connection(address, timeout, source_address)
            except OSError as error:
                failure = error
        raise failure
