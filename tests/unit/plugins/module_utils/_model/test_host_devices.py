# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices are found as PVE finds them."""

from __future__ import annotations

import pytest

from ansible_collections.pve.provision.plugins.module_utils._model.host_devices import (
    PciDevice,
    UsbDevice,
    find_pci,
    find_usb,
    full_address,
    make_mapping,
)

PCI = [
    PciDevice("0000:01:00.0", "10de:2504", "0300"), PciDevice("0000:01:00.1", "10de:228e", "0403"),
    PciDevice("0001:01:00.0", "8086:1572", "0200"),
]  # fmt: skip
USB = [UsbDevice("1-1", "0403:6001"), UsbDevice("1-1.2", "10c4:ea60"), UsbDevice("2-1", "10c4:ea60")]


@pytest.mark.parametrize(("address", "found"), [
    ("0000:01:00.0", ["0000:01:00.0"]), ("01:00.0", ["0000:01:00.0"]), ("01:00", ["0000:01:00.0", "0000:01:00.1"]),
    ("0001:01:00", ["0001:01:00.0"]), ("02:00", []), ("01:0", []),
])  # fmt: skip
def test_an_address_without_a_function_is_all_of_them(address: str, found: list[str]) -> None:
    assert [each.address for each in find_pci(PCI, address)] == found


@pytest.mark.parametrize(("host", "found"), [
    ("1-1", ["1-1"]), ("1-1.2", ["1-1.2"]), ("10C4:EA60", ["1-1.2", "2-1"]), ("0x0403:0x6001", ["1-1"]), ("3-1", []),
])  # fmt: skip
def test_a_usb_device_is_a_port_or_a_vendor_and_product(host: str, found: list[str]) -> None:
    assert [each.port for each in find_usb(USB, host)] == found


def test_an_address_is_compared_in_full() -> None:
    assert [full_address(each) for each in ("0A:00.0", "0001:0A:00")] == ["0000:0a:00.0", "0001:0a:00"]


@pytest.mark.parametrize(("kind", "name"), [
    ("0108", "NVMe disk"), ("0106", "disk controller"), ("0c03", "USB controller"), ("0c05", "class 0c05"),
])  # fmt: skip
def test_a_device_is_called_what_it_is(kind: str, name: str) -> None:
    assert str(PciDevice("0000:01:00.0", "1:2", kind)) == f"0000:01:00.0 ({name}, 1:2)"


def test_what_is_odd_in_a_mapping_does_not_hide_the_rest() -> None:
    mapping = make_mapping("gpu", ["node=pve1,path=0000:01:00.0,id=10DE:2504,iommugroup=x", "nonsense"])
    assert [(each.node, each.ids, each.group) for each in mapping.devices] == [
        ("pve1", "10de:2504", None),
        ("", "", None),
    ]
