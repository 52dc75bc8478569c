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

from embedded_node.mirror import Mirror

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
    assert {"name": "pve.provision"} in needed["collections"]
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


LAN: Guest = {"lan": {"bridge": "vmbr0", "address": "192.168.20.1/24"}}
ROUTER: Guest = {"name": "gw", "rootfs": {"storage": "local-lvm", "size": "512M"}, "interfaces": LAN}
ROUTER_VM: Guest = {"name": "gw2", "disk": {"storage": "local-lvm"}, "interfaces": LAN}


def roles(mirror: Mirror) -> dict[str, dict[str, t.Any]]:
    """Role -> what it is given here; releases of OpenWrt come from a mirror."""
    source = {"mirrors": [mirror.base("openwrt")], "keys": [mirror.signer.usign_public]}
    return {
        "lxc": {"lxc_guests": [GUEST]},
        "vm": {"vm_guests": [{"name": "vm1", "disks": [{"storage": "local-lvm", "size": 1}]}]},
        "templates": {
            "templates_images": [
                {"source": "pveam", "version": "debian-12-standard", "content": "vztmpl", "state": "absent"}
            ],
            "templates_openwrt": [{"version": "24", **source}],
        },
        "openwrt_lxc": {"openwrt_lxc_guests": [ROUTER], "openwrt_lxc_defaults": source},
        "openwrt_vm": {"openwrt_vm_guests": [ROUTER_VM], "openwrt_vm_defaults": source},
        "preflight": {"preflight_guests": [GUEST], "preflight_unchanged": True},
        "verify": {"verify_guests": [GUEST]},
    }


PLAYBOOKS: dict[str, dict[str, t.Any]] = {
    "guest": {"guest_type": "vm", "guest__name": "vm2", "guest__memory": 64},
    "verify": {},
    "report": {},
    "adopt": {},
    "update_templates": {},
    "destroy": {"confirm_destroy": True},
}


def test_a_repository_that_lists_this_collection_alone_has_each_role_and_playbook(installed: InstalledSite) -> None:
    declared = {
        "provision_guests": [{**GUEST, "ostemplate": "local:vztmpl/alpine-3.22-default_20250617_amd64.tar.xz"}],
        "adopt_file": str(installed.work / "adopted.yml"),
    }
    others = [{"import_playbook": f"pve.provision.{name}", "vars": {**declared, **given}}
              for name, given in PLAYBOOKS.items()]  # fmt: skip
    with Mirror() as mirror:
        known = roles(mirror)
        play = {
            "hosts": "pve",
            "gather_facts": False,
            "roles": [{"role": f"pve.provision.{name}", **given} for name, given in known.items()],
            "tasks": [
                {"name": name, "ansible.builtin.debug": {"msg": f"{{{{ {name}_results }}}}"}}
                for name in ("openwrt_lxc", "openwrt_vm", "templates_openwrt")
            ],
        }
        played = installed.play([play, *others])
    assert played.rc == 0, played.output
    assert {path.name for path in (ROOT / "roles").iterdir()} == {*known, "provision"}
    of_roles = {name: played.of(name)[0]["msg"] for name in ("openwrt_lxc", "openwrt_vm", "templates_openwrt")}
    assert of_roles["templates_openwrt"]["results"][0]["volids"] == [of_roles["openwrt_lxc"]["guests"][0]["ostemplate"]]
    assert all(of_roles[name]["guests"][0]["changed"] for name in ("openwrt_lxc", "openwrt_vm"))
    made = {path.read_text().partition("name: ")[2].split()[0]
            for path in (installed.node.root / "etc/pve/nodes").rglob("*.conf")}  # fmt: skip
    assert made == {"vm1", "vm2", "gw", "gw2"}, "what no playbook was to destroy is left"
    adopted = yaml.safe_load((installed.work / "adopted.yml").read_text())["provision_guests"]
    assert {guest["name"] for guest in adopted} == {*made, "web1"}
    assert str(ROOT / "plugins") not in played.output


def test_the_repositorys_pipeline_runs_what_is_there() -> None:
    pipeline = yaml.safe_load((INFRA / ".gitlab-ci.yml").read_text())
    jobs = {name: job for name, job in pipeline.items() if name != "default"}
    commands = [line.split() for job in jobs.values() for line in job["script"]]
    assert [command[:2] for command in commands] == [["ansible-playbook", "-i"]] * 3
    assert all((INFRA / name).is_file() for command in commands for name in command if name.endswith(".yml"))
    ours = (ROOT / "meta/requirements.txt").read_text().splitlines()
    theirs = (INFRA / "requirements.txt").read_text().splitlines()
    assert [line for line in ours if line[:1].isalpha()] == [line for line in theirs if line[:1].isalpha()]
    assert yaml.safe_load((INFRA / "group_vars/pve/vault.yml.example").read_text()).keys() == {"vault_token_secret"}


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
