# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The devices of a node, by whatever way they are read."""

from __future__ import annotations

import json
import os
import subprocess
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._model.host_devices import Mapped, PciDevice, UsbDevice
from ansible_collections.pve.provision.plugins.module_utils._pve.hardware import cpu_models_of
from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
from ansible_collections.pve.provision.plugins.module_utils._pve.open_node import open_node
from embedded_node import EmbeddedNode
from embedded_node.state.root import DEFAULTS


@pytest.fixture(scope="module")
def embedded() -> t.Iterator[EmbeddedNode]:
    with EmbeddedNode() as embedded:
        pvesh(embedded, "create", "/cluster/mapping/pci", "--id", "gpu", "--description", "of both: nodes",
              "--map", "node=pve1,path=0000:01:00,id=10de:2504,iommugroup=2,subsystem-id=10de:0001",
              "--map", "node=pve2,path=0000:03:00.0,id=10de:2504")  # fmt: skip
        pvesh(embedded, "create", "/cluster/mapping/usb", "--id", "stick", "--map", "node=pve1,id=10C4:EA60")
        pvesh(embedded, "create", "/cluster/mapping/dir", "--id", "share", "--map", "node=pve1,path=/srv/share")
        yield embedded


def pvesh(embedded: EmbeddedNode, *words: str) -> str:
    env = {**os.environ, **embedded.env}
    return subprocess.run(["pvesh", *words], env=env, check=True, capture_output=True, text=True).stdout


def login(embedded: EmbeddedNode, *keys: str) -> dict[str, t.Any]:
    return {key: embedded.api[key] for key in ("api_host", "api_port", "ca_path", *keys)}


@pytest.fixture(params=["cli", "api"])
def node(request: pytest.FixtureRequest, embedded: EmbeddedNode, monkeypatch: pytest.MonkeyPatch) -> Node:
    for name, value in embedded.env.items():
        monkeypatch.setenv(name, value)
    return open_node({} if request.param == "cli" else login(embedded, "api_user", "api_password"))


def test_pci_devices_are_reported_with_their_iommu_groups(node: Node) -> None:
    devices = {device.address: device for device in node.hardware.pci() or ()}
    assert devices["0000:01:00.0"] == PciDevice("0000:01:00.0", "10de:2504", "0300", 2)
    assert str(devices["0000:01:00.0"]) == "0000:01:00.0 (display, 10de:2504)"
    assert [address for address, device in devices.items() if device.board] == ["0000:00:00.0", "0000:00:01.0"]


def test_usb_devices_are_reported_by_port_and_ids(node: Node) -> None:
    assert node.hardware.usb() == [
        UsbDevice("1-1", "0403:6001", "FT232 Serial (UART) IC"), UsbDevice("1-2.4", "10c4:ea60", "CP2102N")
    ]  # fmt: skip


def test_mappings_tell_what_they_name_on_each_node(node: Node) -> None:
    gpu = node.hardware.mappings("pci")["gpu"]
    assert gpu.on("pve1") == [Mapped("pve1", "0000:01:00", "10de:2504", 2)]
    assert [each.path for each in gpu.on("pve2")] == ["0000:03:00.0"]
    assert node.hardware.mappings("usb")["stick"].devices == (Mapped("pve1", "", "10c4:ea60"),)
    assert node.hardware.mappings("dir")["share"].devices == (Mapped("pve1", "/srv/share"),)


def test_the_node_reports_its_processors_and_machine_versions(node: Node) -> None:
    assert node.hardware.processors() == DEFAULTS["cpus"]
    assert {"pc-i440fx-9.2", "pc-q35-10.0"} <= node.hardware.machines()
    assert "pc-q35-99.0" not in node.hardware.machines()


def test_the_node_reports_its_models_of_a_cpu(node: Node) -> None:
    assert {"host", "EPYC-Rome", "x86-64-v2-AES"} <= node.hardware.cpu_models()
    assert "hosst" not in node.hardware.cpu_models()


@pytest.mark.parametrize("name", ["mine", "custom-mine"])
def test_a_model_of_the_cluster_s_own_has_its_prefix(name: str) -> None:
    """Versions of Proxmox VE list it with the prefix, or without."""
    told = [{"name": "host", "custom": 0}, {"name": name, "custom": 1}]
    assert cpu_models_of(told) == {"host", "custom-mine"}


def test_who_may_not_look_sees_the_names_that_he_may_use(embedded: EmbeddedNode) -> None:
    pvesh(embedded, "create", "/access/users", "--userid", "u@pve")
    made = json.loads(
        pvesh(embedded, "create", "/access/users/u@pve/token/run", "--privsep", "0", "--output-format", "json")
    )
    pvesh(embedded, "create", "/access/roles", "--roleid", "Devices", "--privs", "Mapping.Use")
    pvesh(embedded, "set", "/access/acl", "--path", "/mapping/usb/stick", "--users", "u@pve", "--roles", "Devices")
    token = {"api_user": "u@pve", "api_token_id": "run", "api_token_secret": made["value"], "node": "pve1"}
    node = open_node({**login(embedded), **token})
    assert (node.hardware.pci(), node.hardware.usb(), node.hardware.processors()) == (None, None, None)
    assert (list(node.hardware.mappings("usb")), node.hardware.mappings("pci")) == (["stick"], {})


def test_on_the_node_it_costs_no_command(embedded: EmbeddedNode, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in embedded.env.items():
        monkeypatch.setenv(name, value)
    embedded.forget()
    hardware = open_node({}).hardware
    assert hardware.pci() and hardware.usb() and hardware.mappings("pci")
    assert embedded.commands() == []
