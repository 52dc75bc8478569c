# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways out of a node's network: connections that are passed on between it and this machine.

A listening socket stays in the network that it was made in, so this process, which is outside, takes what comes in
inside. There are the API on the node's own loopback, other servers of this machine's loopback by the setting
``local_ports``, and the package mirrors at the router's addresses.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..state.root import State
from . import programs, site
from .namespace import HOLDER

LOOPBACK = "127.0.0.1"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]


@dataclass(frozen=True)
class Relay:
    """Whoever connects to ``address`` in the network of a process is connected to ``target``."""

    process: str
    address: tuple[str, int]
    target: tuple[str, int]


def relays(state: State, api_port: int) -> Iterator[Relay]:
    """All of a node."""
    holder, router = (state.read(name).strip() for name in (HOLDER, site.ROUTER))
    for port in (api_port, *state.settings()["local_ports"]):
        yield Relay(holder, (LOOPBACK, port), (LOOPBACK, port))
    known = site.mirrors(state)
    for host, port in site.ports(state) if router else []:
        yield Relay(router, (known[host], port), (LOOPBACK if host.endswith(".localhost") else host, port))


async def serve(found: Iterator[Relay]) -> list[asyncio.Server]:
    """Listen for all of them, until the servers are closed."""
    return [await asyncio.start_server(_handler(relay.target), sock=_listener(relay)) for relay in found]


def _listener(relay: Relay) -> socket.socket:
    """A socket that listens in another network: a thread of its own enters it and ends."""
    made: list[socket.socket] = []
    failed: list[OSError] = []

    def work() -> None:
        try:
            programs.enter(Path("/proc", relay.process, "ns/net"))
            made.append(socket.create_server(relay.address, backlog=64))
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]


def _handler(target: tuple[str, int]) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            other_reader, other_writer = await asyncio.open_connection(*target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pass_on(reader, other_writer), _pass_on(other_reader, writer))
        for each in (writer, other_writer):
            each.close()

    return handle


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
