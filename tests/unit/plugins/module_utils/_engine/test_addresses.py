# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How addresses are shown, and how long somebody is asked for them."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._engine import addresses as health


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("10.0.0.5/24", ("10.0.0.5", 24, "ipv4")),
        ("10.0.0.5/32", ("10.0.0.5", 32, "ipv4")),
        ("10.0.0.5", ("10.0.0.5", None, "ipv4")),
        ("fd00::5/64", ("fd00::5", 64, "ipv6")),
        ("fd00::5", ("fd00::5", None, "ipv6")),
    ],
)
def test_an_address_has_the_prefix_that_somebody_told(text: str, shown: tuple[t.Any, ...]) -> None:
    address = health.make_address("wan", text, "neighbour", None)
    assert (address["address"], address["prefix"], address["family"]) == shown
