# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An installed collection is whole with ``meta``, ``plugins``, ``roles`` and ``playbooks`` alone."""

from __future__ import annotations

import shutil
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from embedded_node import EmbeddedNode

from .conftest import ROOT, Guest, Site

FOLDERS = ("meta", "plugins", "roles", "playbooks")
GUEST: Guest = {"name": "web1", "type": "lxc", "ostemplate": "alpine-3.22-default", "rootfs": {"size": 1}}


@dataclass
class Installed(Site):
    """A site that knows nothing of the checkout."""

    @property
    def environ(self) -> dict[str, str]:
        environ = {**super().environ, "ANSIBLE_COLLECTIONS_PATH": str(self.work)}
        del environ["PYTHONPATH"]
        return environ


@pytest.fixture
def installed(node: EmbeddedNode, tmp_path: Path) -> Installed:
    place = tmp_path / "ansible_collections" / "pve" / "provision"
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, place / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return Installed(node, "node", tmp_path)


def test_playbook_role_modules_and_filters_work(installed: Installed) -> None:
    role: dict[str, t.Any] = {
        "hosts": "pve",
        "gather_facts": False,
        "roles": [{"role": "pve.provision.provision", "provision_guests": "{{ guests }}"}],
        "tasks": [
            {"name": "Look", "pve.provision.node_info": {"gather": ["guests", "storages"]}, "register": "node"},
            {"name": "Show", "ansible.builtin.debug": {"msg": "{{ node.storages | pve.provision.capacity }}"}},
        ],
    }
    playbook = {"import_playbook": "pve.provision.provision", "vars": {"provision_guests": "{{ guests }}"}}
    played = installed.play([role, playbook], guests=[GUEST])
    assert played.rc == 0, played.output
    assert played.count("changed") == 1
    assert [guest["name"] for guest in played.of("Look")[0]["guests"]] == ["web1"]
    assert played.of("Show")[0]["msg"]
    assert str(ROOT / "plugins") not in played.output
