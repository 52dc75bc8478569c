# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `vm_create` writes really boots: cloud-init configures the system as declared, and that is seen from outside."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from embedded_node import EmbeddedNode

from .conftest import CloudImage
from .emulator import Emulated, emulated

ADDRESS, NETWORK = "10.77.0.50", "10.77.0.0/24"
IMAGE = "/var/lib/debian.raw"
PASSWORD = "correct horse $battery"

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(7200)]


class Booted(t.NamedTuple):
    vm: Emulated
    key: Path


@pytest.fixture(scope="module")
def booted(cloud_image: CloudImage, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Booted]:
    """A declared VM, made and started by the module on an embedded node, which writes cloud-init's drive; then started
    for real."""
    folder = tmp_path_factory.mktemp("vm")
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    declared = {
        "vmid": 301,
        "state": "started",
        "name": "web1",
        "cores": 2,
        "memory": 768,
        "image": {"file": IMAGE},
        "disks": [{"storage": "local-lvm"}],
        "networks": [{"bridge": "vmbr0"}],
        "agent": {"enabled": True},
        "cloud_init": {
            "user": "ada",
            "password": PASSWORD,
            "ssh_keys": [key.with_suffix(".pub").read_text(encoding="utf-8").strip()],
            "upgrade": False,
            "ip": [{"ip": f"{ADDRESS}/24", "gateway": "10.77.0.2"}],
        },
    }
    with EmbeddedNode() as node:
        shutil.copyfile(cloud_image.disk, node.root / IMAGE.lstrip("/"))
        module = "ansible_collections.pve.provision.plugins.modules.vm_create"
        given = json.dumps({"ANSIBLE_MODULE_ARGS": declared})
        env = {**os.environ, **node.env}
        made = subprocess.run(
            [sys.executable, "-m", module], input=given, env=env, capture_output=True, text=True, check=False
        )
        assert json.loads(made.stdout).get("changed") is True, made.stdout + made.stderr
        with emulated(node, 301, cloud_image, folder, ADDRESS, NETWORK) as vm:
            vm.await_ssh("ada", key)
            yield Booted(vm, key)


def told(booted: Booted, command: str) -> str:
    done = booted.vm.ssh("ada", booted.key, command)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_answers_at_the_declared_address_and_its_user_gets_in_with_the_key(booted: Booted) -> None:
    assert told(booted, "id -un") == "ada"
    assert f"{ADDRESS}/24" in told(booted, "ip -4 -o address show dev eth0")


def test_it_has_the_declared_name(booted: Booted) -> None:
    assert told(booted, "hostname") == "web1"


def test_the_password_is_the_declared_one(booted: Booted) -> None:
    stored = told(booted, "sudo grep ^ada: /etc/shadow").split(":")[1]
    salt = stored.split("$")[2]
    asked = ["openssl", "passwd", "-6" if stored.startswith("$6$") else "-5", "-salt", salt, "-stdin"]
    assert subprocess.run(asked, input=PASSWORD, capture_output=True, text=True, check=True).stdout.strip() == stored


def test_cloud_init_ended_without_an_error(booted: Booted) -> None:
    assert "status: done" in told(booted, "cloud-init status --wait")


def test_the_guest_agent_reports_the_address(booted: Booted) -> None:
    cards = booted.vm.ask_agent("guest-network-get-interfaces")
    addresses = {entry["ip-address"] for card in cards for entry in card.get("ip-addresses", ())}
    assert ADDRESS in addresses
