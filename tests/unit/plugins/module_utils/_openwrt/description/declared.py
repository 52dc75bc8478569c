# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declarations of routers, for the tests of how they are read."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.read import parse

LAN = {"bridge": "vmbr1", "address": "192.168.20.1/24"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample admin"
HASH = "$6$salt$" + "a" * 86


def lan(**options: object) -> dict[str, t.Any]:
    return {"interfaces": {"lan": {**LAN, **options}}}


def findings(declared: dict[str, t.Any], **node: t.Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        parse(declared, **node)
    return {finding.option: finding.problem for finding in caught.value.findings}
