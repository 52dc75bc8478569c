# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What PVE and guest agents answer, whatever way it is spelled."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._pve.types import Volume
from ansible_collections.pve.provision.plugins.module_utils._pve.values import interfaces_of, volumes_of


def test_interfaces_of_containers_and_of_the_guest_agent_look_the_same():
    container = [
        {
            "name": "eth0",
            "hwaddr": "bc:24:11:01:02:03",
            "ip-addresses": [
                {"ip-address": "10.0.0.5", "ip-address-type": "inet", "prefix": "24"},
                {"ip-address": "fd00::5", "ip-address-type": "inet6", "prefix": "64"},
            ],
        }
    ]
    agent = {
        "result": [
            {
                "name": "eth0",
                "hardware-address": "bc:24:11:01:02:03",
                "ip-addresses": [
                    {"ip-address": "10.0.0.5", "ip-address-type": "ipv4", "prefix": 24},
                    {"ip-address": "fd00::5", "ip-address-type": "ipv6", "prefix": 64},
                ],
            }
        ]
    }
    expected = [{"name": "eth0", "hwaddr": "bc:24:11:01:02:03", "inet": ["10.0.0.5/24"], "inet6": ["fd00::5/64"]}]
    assert interfaces_of(container) == expected
    assert interfaces_of(agent) == expected
    assert interfaces_of(None) == []


def test_volumes():
    answer = [
        {"volid": "local:vztmpl/a.tar.gz", "content": "vztmpl", "format": "tgz", "size": 5, "ctime": 7},
        {"volid": "local:101/vm-101-disk-0.raw", "content": "rootdir", "format": "raw", "size": "9", "vmid": "101"},
    ]
    assert volumes_of(answer) == [
        Volume("local:101/vm-101-disk-0.raw", "rootdir", 9, "raw", 101, None),
        Volume("local:vztmpl/a.tar.gz", "vztmpl", 5, "tgz", None, 7),
    ]


@pytest.mark.parametrize(
    "answer",
    [
        {"result": None},
        {"result": "none"},
        [None, "eth0"],
        [{"name": "eth0", "ip-addresses": 5}],
        [{"name": "eth0", "ip-addresses": [{"ip-address-type": "inet"}]}],
        [{"name": "eth0", "ip-addresses": [{"ip-address-type": ["inet"], "ip-address": "10.0.0.5", "prefix": 24}]}],
    ],
)
def test_an_agent_that_answers_nonsense_reports_no_address(answer: t.Any):
    assert not any(each["inet"] or each["inet6"] for each in interfaces_of(answer))
