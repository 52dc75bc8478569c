# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who answers by DHCP: a whole frame each way, and nothing of anybody else's."""

from __future__ import annotations

import socket
import struct
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._engine.verify import dhcp
from ansible_collections.pve.provision.plugins.module_utils._model.checks.declare import check

NUMBER, MAC = 0x01020304, bytes.fromhex("02aabbccddee")
BRIDGE = check("dhcp", bridge="vmbr1")


def offer(question: bytes, server: str = "192.0.2.1", offered: str = "192.0.2.100", kind: int = 2) -> bytes:
    """The frame by which a server answers."""
    message = bytearray(question[42:])
    message[0] = 2
    message[16:20] = socket.inet_aton(offered)
    options = bytes([0, 53, 1, kind, 54, 4]) + socket.inet_aton(server) + b"\xff"
    message = message[:240] + options
    datagram = struct.pack("!4H", 67, 68, 8 + len(message), 0) + message
    header = bytearray(question[14:34])
    header[12:16] = socket.inet_aton(server)
    return question[:14] + bytes(header) + datagram


class Wire:
    """A bridge with servers on it."""

    def __init__(self, servers: t.Sequence[str], error: OSError | None = None) -> None:
        self.servers, self.error = servers, error
        self.frames: list[bytes] = []

    def __call__(self, *_kind: object) -> Wire:
        return self

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_error: object) -> None: ...

    def bind(self, _place: tuple[str, int]) -> None:
        if self.error:
            raise self.error

    def settimeout(self, _seconds: float) -> None: ...

    def send(self, frame: bytes) -> None:
        self.frames = [frame, *(offer(frame, server) for server in self.servers)]

    def recv(self, _most: int) -> bytes:
        if not self.frames:
            raise TimeoutError
        return self.frames.pop(0)


@pytest.mark.parametrize(
    ("servers", "end", "detail"),
    [
        (["192.0.2.1"], "answered", "192.0.2.1 offers 192.0.2.100"),
        (["192.0.2.9", "192.0.2.1"], "answered", "192.0.2.1 offers 192.0.2.100"),
        (["192.0.2.9"], "silent", "only 192.0.2.9 answers"),
        ([], "silent", "no answer within 5 s"),
    ],
)
def test_the_answer_of_the_guest_counts(
    servers: list[str], end: str, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socket", Wire(servers))
    reply = dhcp.probe(BRIDGE, ["192.0.2.1"])
    assert (reply.end, reply.detail) == (end, detail)


@pytest.mark.parametrize(
    ("addresses", "error", "detail"),
    [
        ([], None, "no address of the guest is known"),
        (["192.0.2.1"], OSError(19, "No such device"), "vmbr1: No such device"),
        (["192.0.2.1"], PermissionError(1, "Operation not permitted"), "vmbr1: Operation not permitted"),
    ],
)
def test_what_cannot_be_asked_tells_nothing(
    addresses: list[str], error: OSError | None, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socket", Wire([], error))
    reply = dhcp.probe(BRIDGE, addresses)
    assert (reply.end, reply.detail) == ("lacking", detail)


def test_a_question_is_a_whole_frame_for_everybody() -> None:
    frame = dhcp.discover(NUMBER, MAC)
    assert frame[:14] == b"\xff" * 6 + MAC + b"\x08\x00"
    assert sum(struct.unpack("!10H", frame[14:34])) % 0xFFFF == 0  # the checksum of the header
    assert frame[42 + 28 : 42 + 34] == MAC
    assert len(frame) == 14 + 20 + 8 + 300


def test_only_an_offer_to_this_question_is_one() -> None:
    question = dhcp.discover(NUMBER, MAC)
    assert dhcp.offer_of(offer(question), NUMBER) == ("192.0.2.1", "192.0.2.100")
    assert dhcp.offer_of(offer(question), NUMBER + 1) is None
    assert dhcp.offer_of(offer(question, kind=5), NUMBER) is None
    assert dhcp.offer_of(question, NUMBER) is None


@given(st.binary(max_size=400))
def test_whatever_comes_by_is_read_over(frame: bytes) -> None:
    assert dhcp.offer_of(frame, NUMBER) is None
