# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: who answers by DHCP on a bridge of the node (RFC 2131).

A client that is nowhere else asks for an offer, and takes none. The node needs no address on that bridge, so whole
frames are sent and read. The answer is asked for as a broadcast, which bridges hand to the node as well.
"""

from __future__ import annotations

import ipaddress
import os
import random
import socket
import struct
import time
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import Check
from ansible_collections.pve.provision.plugins.module_utils._model.checks.network import Reply

# Seconds that a server may take: dnsmasq first makes sure that nobody has the address that it offers.
TIMEOUT: t.Final = 5.0
_IPV4: t.Final = 0x0800
_UDP: t.Final = 17
_SERVER, _CLIENT = 67, 68
_MAGIC: t.Final = b"\x63\x82\x53\x63"
_TYPE, _SERVER_ID, _WANTED, _END = 53, 54, 55, 255
_DISCOVER, _OFFER = 1, 2
_IP: t.Final = struct.Struct("!BBHHHBBH4s4s")
_DATAGRAM: t.Final = struct.Struct("!4H")
_BOOTP: t.Final = struct.Struct("!4BIHH4s4s4s4s16s64s128s4s")
_NOWHERE, _EVERYBODY = bytes(4), b"\xff" * 4


def probe(check: Check, addresses: t.Sequence[str]) -> Reply:
    """Ask on the check's bridge. Somebody else's answer is none of the guest's."""
    bridge, wanted = check["bridge"], [check["address"]] if check["address"] else addresses
    asked = f"DHCP on {bridge}"
    if not wanted:
        return Reply("lacking", asked, "no address of the guest is known")
    try:
        servers = _offers(bridge, set(wanted))
    except OSError as error:
        return Reply("lacking", asked, f"{bridge}: {error.strerror or error}")
    for server, offered in servers.items():
        if server in wanted:
            return Reply("answered", asked, f"{server} offers {offered}")
    others = f"only {', '.join(servers)} answers" if servers else f"no answer within {TIMEOUT:.0f} s"
    return Reply("silent", asked, others)


def _offers(bridge: str, wanted: t.AbstractSet[str]) -> dict[str, str]:
    """What each server offers, until one of those that are wanted has answered."""
    number, mac = random.randrange(1 << 32), bytes([2, *os.urandom(5)])
    servers: dict[str, str] = {}
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_IPV4)) as link:
        link.bind((bridge, _IPV4))
        link.send(discover(number, mac))
        deadline = time.monotonic() + TIMEOUT
        while not servers.keys() & wanted and (left := deadline - time.monotonic()) > 0:
            link.settimeout(left)
            try:
                offer = offer_of(link.recv(65535), number)
            except TimeoutError:
                break
            if offer is not None:
                servers[offer[0]] = offer[1]
    return servers


def discover(number: int, mac: bytes) -> bytes:
    """The frame that asks for offers."""
    options = bytes([_TYPE, 1, _DISCOVER, _WANTED, 3, 1, 3, 6, _END])
    fixed = (1, 1, len(mac), 0, number, 0, 0x8000, *[_NOWHERE] * 4, mac.ljust(16, b"\0"), b"", b"", _MAGIC)
    message = (_BOOTP.pack(*fixed) + options).ljust(300, b"\0")
    datagram = _DATAGRAM.pack(_CLIENT, _SERVER, _DATAGRAM.size + len(message), 0) + message
    fields = (0x45, 0, _IP.size + len(datagram), 0, 0, 64, _UDP)
    header = _IP.pack(*fields, _checksum(_IP.pack(*fields, 0, _NOWHERE, _EVERYBODY)), _NOWHERE, _EVERYBODY)
    return b"\xff" * 6 + mac + struct.pack("!H", _IPV4) + header + datagram


def _checksum(header: bytes) -> int:
    total = int(sum(struct.unpack(f"!{len(header) // 2}H", header)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def offer_of(frame: bytes, number: int) -> tuple[str, str] | None:
    """The server and the address that a frame offers; None where it is none of the answers to this question."""
    packet = frame[14:]
    if len(packet) < _IP.size or packet[9] != _UDP:
        return None
    datagram = packet[(packet[0] & 0xF) * 4 :]
    message = datagram[_DATAGRAM.size :]
    if len(message) < _BOOTP.size or _DATAGRAM.unpack_from(datagram)[:2] != (_SERVER, _CLIENT):
        return None
    fields = _BOOTP.unpack_from(message)
    options = _options(message[_BOOTP.size :])
    if fields[0] != 2 or fields[4] != number or fields[-1] != _MAGIC or options.get(_TYPE) != bytes([_OFFER]):
        return None
    server = options.get(_SERVER_ID, packet[12:16])
    return str(ipaddress.IPv4Address(server[:4])), str(ipaddress.IPv4Address(fields[8]))


def _options(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    place = 0
    while place + 1 < len(data) and data[place] != _END:
        if data[place] == 0:
            place += 1
            continue
        length = data[place + 1]
        found[data[place]] = data[place + 2 : place + 2 + length]
        place += 2 + length
    return found
