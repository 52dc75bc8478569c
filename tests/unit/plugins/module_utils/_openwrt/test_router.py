# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What descriptions mean in UCI, to the letter, for every release series.

The files under ``golden`` were read by people; ``PVE_TEST_WRITE_GOLDEN=1`` rewrites them, to be read again.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from ansible_collections.pve.provision.plugins.module_utils._errors import InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import Description, devices
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.read import parse
from ansible_collections.pve.provision.plugins.module_utils._openwrt.router import complete
from ansible_collections.pve.provision.plugins.module_utils._openwrt.series import SERIES, ReleaseSeries
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.config import Section
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.text import render, render_export

GOLDEN = Path(__file__).parent / "golden"

EXAMPLES = sorted(path.parent.name for path in GOLDEN.glob("*/declared.yml"))

UCI = os.environ.get("PVE_TEST_UCI") or shutil.which("uci")

examples = pytest.mark.parametrize("example", EXAMPLES)

lines = pytest.mark.parametrize("series", SERIES, ids=lambda series: series.name)


def described(example: str) -> Description:
    return parse(yaml.safe_load((GOLDEN / example / "declared.yml").read_text()))


def rules(description: Description) -> dict[str, Section]:
    return {rule.get("name"): rule for rule in complete(description, SERIES[1])["firewall"].of_type("rule")}


def compare(path: Path, text: str) -> None:
    if os.environ.get("PVE_TEST_WRITE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


@examples
@lines
def test_a_description_becomes_exactly_these_files(example: str, series: ReleaseSeries) -> None:
    compare(GOLDEN / example / f"{series.name}.export", render_export(complete(described(example), series)))


@examples
def test_a_description_becomes_exactly_these_devices(example: str) -> None:
    found = {kind: devices(described(example), kind) for kind in ("lxc", "qemu")}
    compare(GOLDEN / example / "devices.json", json.dumps(found, indent=2) + "\n")


@pytest.mark.skipif(not UCI, reason="no uci program at hand (PVE_TEST_UCI names one)")
@examples
@lines
def test_uci_itself_accepts_the_files_and_exports_them_alike(
    tmp_path: Path, example: str, series: ReleaseSeries
) -> None:
    config = complete(described(example), series)
    for name, package in config.items():
        (tmp_path / name).write_text(render(package))
    done = subprocess.run([str(UCI), "-c", str(tmp_path), "export"], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (render_export(config), "")


@examples
@lines
def test_nothing_is_served_that_was_not_declared(example: str, series: ReleaseSeries) -> None:
    description = described(example)
    config = complete(description, series)
    for interface in description.interfaces:
        pool = config["dhcp"].find(interface.name)
        assert pool is not None
        if interface.dhcp is None:
            assert (pool.get("ignore"), pool.get("ra"), pool.get("dhcpv6")) == ("1", "disabled", "disabled")
        if not interface.ip6:
            assert (pool.get("ra"), pool.get("dhcpv6")) == ("disabled", "disabled")
    assert config["dhcp"].find("odhcpd"), "without it odhcpd's first boot turns router advertisements on"


@examples
def test_every_file_that_the_first_boot_would_generate_is_there(example: str) -> None:
    config = complete(described(example), SERIES[1])
    assert config["network"].find("loopback") and config["system"].of_type("system") and config["system"].find("ntp")


@examples
def test_no_zone_lets_management_in_that_was_not_named(example: str) -> None:
    description = described(example)
    zones = {zone.get("name"): zone for zone in complete(description, SERIES[1])["firewall"].of_type("zone")}
    found = rules(description)
    for interface in description.interfaces:
        allowed = f"Allow-SSH-{interface.name}" in found
        shut = zones[interface.name].get("input") == "REJECT" or f"Reject-SSH-{interface.name}" in found
        if interface.name in description.management.sources:
            assert allowed or not shut
        else:
            assert shut and not allowed


def test_a_network_of_one_interface_directly_on_its_port_has_no_bridge() -> None:
    """A bridge that lists the port beside an interface on the port itself loses DHCP offers."""
    assert complete(described("single-appliance"), SERIES[1])["network"].of_type("device") == []


def test_ssh_listens_where_management_comes_from_and_nowhere_else() -> None:
    package = complete(described("two-uplinks"), SERIES[1])["dropbear"]
    assert {section.get("Interface") for section in package.sections} == {"lan", "dmz"}
    nobody = parse({"interfaces": {"lan": {"bridge": "vmbr0"}}, "management": {"from": []}})
    assert [section.get("enable") for section in complete(nobody, SERIES[1])["dropbear"].sections] == ["0"]


def test_an_isolated_zone_with_ip6_can_find_its_neighbours() -> None:
    """Without neighbour solicitations let in, the router has no IPv6 there."""
    found = rules(described("ipv6-pd"))
    assert {"Allow-ICMPv6-guest", "Allow-ICMPv6-lab", "Allow-DHCPv6-Server-guest"} <= {*found}
    assert not {"Allow-DHCPv6-Server-lab", "Allow-DHCP-lab", "Allow-DNS-lab"} & {*found}


def test_passwords_are_taken_by_ssh_only_with_a_declared_hash() -> None:
    with_hash = complete(described("wan-lan-iot"), SERIES[1])["dropbear"].sections[0]
    without = complete(described("wan-lan"), SERIES[1])["dropbear"].sections[0]
    assert (with_hash.get("PasswordAuth"), with_hash.get("RootPasswordAuth")) == ("on", "on")
    assert (without.get("PasswordAuth"), without.get("RootPasswordAuth")) == ("off", "off")


def test_what_uci_declares_wrongly_is_reported() -> None:
    description = parse({"interfaces": {"lan": {"bridge": "vmbr0"}}, "uci": {"system": {"@system[3]": {"x": 1}}}})
    with pytest.raises(InvalidInput, match=r"uci\.system\.@system\[3\]"):
        complete(description, SERIES[1])
