# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ports of scripted guests, really listened at: what runs in a guest answers at the guest's address.

Only with the setting ``guest_ports``, and only at addresses that this machine has: in a network namespace of its own,
where ``ip route add local 192.168.50.0/24 dev lo`` gives it a whole network, nothing of that is seen outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import typing as t
from dataclasses import dataclass

from .guest.runtime import Guest
from .linux import services, web
from .lxc import container
from .qemu import boot

if t.TYPE_CHECKING:
    from .state.root import State

#: Seconds between two looks at which services run.
LOOK = 0.5
#: The addresses of names that a guest's DNS server is asked for, and that of all others.
NAMES = {b"\x09localhost\0": bytes((127, 0, 0, 1))}
ANSWER = bytes((192, 0, 2, 80))
Place = tuple[str, int, str]


@dataclass
class _Dns(asyncio.DatagramProtocol):
    """A DNS server that knows every name."""

    transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = t.cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | t.Any, int]) -> None:
        if self.transport is not None and len(data) > 12:
            self.transport.sendto(reply(data), addr)


def reply(question: bytes) -> bytes:
    """The answer to a DNS question: an IPv4 address; of any other kind there is no record."""
    end = question.index(b"\0", 12) + 5
    asked = question[12:end]
    address = NAMES.get(asked[:-4].lower(), ANSWER)
    record = b"\xc0\x0c" + asked[-4:] + (300).to_bytes(4, "big") + len(address).to_bytes(2, "big") + address
    found = record if asked[-4:-2] == b"\0\x01" else b""
    counts = (1, int(bool(found)), 0, 0)
    return question[:2] + b"\x81\x80" + b"".join(count.to_bytes(2, "big") for count in counts) + asked + found


class GuestPorts:
    """What listens for the guests of a node."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.open: dict[Place, asyncio.AbstractServer | asyncio.DatagramTransport] = {}

    async def run(self) -> None:
        """Listen at what services listen at, as long as nobody ends this."""
        try:
            while True:
                await self._look()
                await asyncio.sleep(LOOK)
        finally:
            for place in list(self.open):
                self.open.pop(place).close()

    async def _look(self) -> None:
        wanted = dict(self._places())
        for place in [place for place in self.open if place not in wanted]:
            self.open.pop(place).close()
        for place in [place for place in wanted if place not in self.open]:
            with contextlib.suppress(OSError):  # an address that this machine does not have
                self.open[place] = await self._listen(place, wanted[place])

    def _places(self) -> t.Iterator[tuple[Place, Guest]]:
        for guest in self._guests():
            for port, kind, _name in services.listening(guest):
                for card in guest.interfaces if not guest.is_openwrt else ():
                    for address in card.addresses:
                        yield (address.partition("/")[0], port, kind), guest

    def _guests(self) -> t.Iterator[Guest]:
        for vmid in self.state.running():
            yield container.guest(self.state, vmid)
        for path in self.state.path("run/qemu-server").glob("*.pid"):
            yield boot.guest(self.state, int(path.stem))

    async def _listen(self, place: Place, guest: Guest) -> asyncio.AbstractServer | asyncio.DatagramTransport:
        address, port, kind = place
        if kind == "udp":
            transport, _protocol = await asyncio.get_running_loop().create_datagram_endpoint(
                _Dns, local_addr=(address, port)
            )
            return t.cast("asyncio.DatagramTransport", transport)

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError, IndexError):
                if kind == "http":
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(page(guest, port, head.split()[1].decode(), address))
                    await writer.drain()
                else:
                    await reader.read()
            writer.close()

        return await asyncio.start_server(talk, address, port)


def page(guest: Guest, port: int, path: str, host: str) -> bytes:
    """The answer of a guest's service to a request."""
    answer = web.served(guest, port, path.partition("?")[0], host)
    status, body = (answer.status, answer.body.encode()) if answer.status else (503, b"")
    head = f"HTTP/1.1 {status} {'OK' if status == 200 else 'No'}\r\nContent-Type: text/html\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
