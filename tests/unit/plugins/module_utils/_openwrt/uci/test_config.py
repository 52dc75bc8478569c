# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sections of a UCI package and how they are referred to."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.text import parse_config

if t.TYPE_CHECKING:
    pass


def test_sections_have_addresses() -> None:
    package = parse_config("config rule\nconfig zone z\nconfig rule\n", "firewall")
    first, zone, last = package.sections
    assert [package.ref(section) for section in package.sections] == ["@rule[0]", "z", "@rule[1]"]
    assert package.find("@rule[-1]") is last
    assert package.find("@rule[2]") is None
    assert package.find("z") is zone
    assert package.find("cfg0192bd") is first
    assert package.find("cfg0392bd") is last
