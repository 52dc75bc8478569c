# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An installed collection is whole: it takes nothing from the checkout, and a repository of a user's own uses it."""

from __future__ import annotations

import os
import shutil
import typing as t
from pathlib import Path

import pytest
import yaml

from .conftest import ROOT, Guest, InstalledSite, Played

GUEST: Guest = {"name": "web1", "type": "lxc", "ostemplate": "alpine-3.22-default", "rootfs": {"size": 1}}
INFRA = ROOT / "examples/infra"
# Stands for ssh: writes down what it was to do, and says what the guests would.
SSH = """#!/bin/sh
case " $* " in *python3*) ;; *) exit 0 ;; esac
echo "$*" >> "$SSH_LOG"
[ "$(wc -l < "$SSH_LOG")" -gt 2 ] || echo installed
"""


def test_playbook_role_modules_and_filters_work(installed: InstalledSite) -> None:
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


@pytest.mark.parametrize("installed", ["token"], indirect=True)
def test_a_repository_of_ones_own_provisions_and_goes_on_with_the_new_guests(
    installed: InstalledSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = yaml.safe_load((INFRA / "requirements.yml").read_text())
    assert needed == {"collections": [{"name": "pve.provision"}]}
    installed.inventory = {}  # the repository has one
    infra = installed.work / "infra"
    shutil.copytree(INFRA, infra)
    log = stand_in_for_ssh(installed.work, monkeypatch)
    played = [provision(installed, infra) for _turn in ("first", "again")]
    assert [run.count("changed") for run in played] == [1 + 2, 0], played[0].output
    told = log.read_text().splitlines()
    guests = yaml.safe_load((infra / "group_vars/pve/guests.yml").read_text())["provision_guests"]
    addresses = [guest["networks"][0]["ip"].partition("/")[0] for guest in guests]
    assert sorted(address for line in told for address in addresses if address in line) == sorted(addresses * 2)
    assert all('User="root"' in line for line in told)


def stand_in_for_ssh(work: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts one in front of the real ssh; what it was to do is found in the returned file."""
    program, log = work / "bin/ssh", work / "ssh.log"
    program.parent.mkdir()
    program.write_text(SSH)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(program.parent), os.environ["PATH"]]))
    monkeypatch.setenv("SSH_LOG", str(log))
    return log


def provision(installed: InstalledSite, infra: Path) -> Played:
    """Runs the repository's own playbook with its own inventory, against the embedded node."""
    connection = {**installed.connection, "node": installed.node.name}
    inventory = str(infra / "inventory.yml")
    played = installed.play(infra / "provision.yml", "-i", inventory, provision_connection=connection)
    assert played.rc == 0, played.output
    return played
