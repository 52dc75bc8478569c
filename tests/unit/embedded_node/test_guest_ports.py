# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What guests answer at their ports, without a network: a page, and the name of a host."""

from __future__ import annotations

import socket

import pytest

from embedded_node.guest_ports import reply


def question(name: str, kind: int) -> bytes:
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
    return b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\0" + kind.to_bytes(2, "big") + b"\x00\x01"


@pytest.mark.parametrize(("name", "address"), [("localhost", "127.0.0.1"), ("deb.debian.org", "192.0.2.80")])
def test_a_name_has_an_address(name: str, address: str) -> None:
    answer = reply(question(name, 1))
    assert answer[:2] == b"\x12\x34" and answer[6:8] == b"\x00\x01"
    assert socket.inet_ntoa(answer[-4:]) == address


def test_of_other_kinds_there_is_no_record() -> None:
    answer = reply(question("localhost", 28))
    assert answer[3] & 0x0F == 0 and answer[6:8] == b"\x00\x00"
