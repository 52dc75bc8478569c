# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests that run an application: what the modules make of its profile."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.pve.provision.plugins.plugin_utils.apps import with_profiles
from embedded_node.mirror.keys import Signer

from .conftest import Bench

Params = dict[str, t.Any]
VAULT: Params = {
    "needs": [],
    "options": {"phrases": {"type": "dict", "secret": True, "description": "Phrases", "format": "${item.value}"}},
    "packages": ["nginx-light"],
    "files": [{"path": "/etc/vault", "mode": "0600", "secret_content": "${phrases}\n"}],
    "services": {"nginx": True},
    "checks": [
        {"type": "service", "service": "nginx"},
        {"type": "package", "package": "nginx-light"},
        {"type": "command", "command": "cat /etc/hostname"},
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with profiles of a user."""
    path: Path = tmp_path_factory.mktemp("apps")
    site = {"title": "Site", "description": "A site.", "memory": 1024, "disk": "6G", "needs": ["nested_containers"]}
    (path / "site.yml").write_text(yaml.safe_dump(site), encoding="utf-8")
    (path / "mounter.yml").write_text(yaml.safe_dump({**site, "needs": ["nfs_mount"]}), encoding="utf-8")
    (path / "vault.yml").write_text(yaml.safe_dump({**site, **VAULT}), encoding="utf-8")
    return str(path)


def with_app(folder: str, **params: t.Any) -> Params:
    """What the action plugin makes of the arguments of a task."""
    return with_profiles({**params, "app_paths": [folder]}, str)


def test_a_container_is_made_as_its_application_needs_it_and_then_left_alone(bench: Bench, folder: str) -> None:
    params = with_app(folder, hostname="site1", app="site")
    foretold = bench.good("lxc_create", check=True, **params)
    made = bench.good("lxc_create", **params)
    assert foretold.plan == made.plan
    assert made.config["memory"] == 1024
    assert made.config["rootfs"]["size"] == "6G"
    assert made.config["unprivileged"] is True
    assert made.config["features"] == {"nesting": True, "keyctl": True}
    assert made.config["networks"][0]["bridge"] == "vmbr0"
    assert made.ostemplate.startswith("local:vztmpl/debian-13-standard_")
    assert foretold.app == made.app
    assert {reason["need"] for reason in made.app["reasons"]} == {"systemd", "nested_containers", ""}
    bench.pct("set", str(made.vmid), "--net0", "name=eth0,bridge=vmbr0,ip=192.168.20.7/24")
    bench.pct("resize", str(made.vmid), "rootfs", "+1G")
    again = bench.good("lxc_create", **params)
    assert (again.changed, again.app) == (False, made.app)


def test_a_list_of_guests_takes_applications_by_name(bench: Bench, folder: str) -> None:
    guests = [{"name": "a", "app": "mounter"}, {"name": "b", "app": "linkding", "memory": 2048}]
    run = bench.good("guests", **with_app(folder, guests=guests, defaults={"type": "lxc"}))
    mounter, linkding = run.guests
    assert mounter["config"]["features"] == {"nesting": True, "mount": ["nfs"]}
    assert "unprivileged" not in bench.config(mounter["vmid"])
    assert linkding["config"]["memory"] == 2048
    assert any("nothing is installed in it" in str(warning) for warning in run.values["warnings"])
    assert not bench.good("guests", **with_app(folder, guests=guests, defaults={"type": "lxc"})).changed


def test_a_package_that_brings_a_repository_for_subscribers_does_not_keep_others_from_coming(
    bench: Bench, folder: str, tmp_path: Path
) -> None:
    if bench.backend == "api":
        pytest.skip("over the API a container can only be reached by SSH")
    source = {"name": "proxmox-backup", "uris": ["http://download.proxmox.com/debian/pbs"], "components": ["pbs"],
              "suites": ["{codename}"], "public_key": Signer(tmp_path).gpg_key.read_text()}  # fmt: skip
    params: Params = {
        "hostname": "backup1", "app": "proxmox-backup-server", "state": "started", "repositories": [source],
        "networks": [{"bridge": "vmbr0", "ip": "192.168.20.9/24"}],
        "commands": [{"name": "datastore backup", "command": "true", "creates": "/etc"}], "run_checks": False,
    }  # fmt: skip
    bench.good("lxc_create", **with_app(folder, **params))
    more = bench.good("lxc_create", **with_app(folder, packages=["htop"], **params))
    assert more.setup["changed"] == ["packages: htop: install"]


def test_all_that_is_wrong_with_applications_is_reported_at_once(bench: Bench, folder: str) -> None:
    guests = [
        {"name": "a", "type": "lxc", "app": "ngnix"},
        {"name": "b", "type": "lxc", "app": "site", "app_options": {"port": 80}},
        {"name": "c", "type": "lxc", "app": "mounter", "unprivileged": True},
        {"name": "d", "type": "lxc", "app": "nfs-server"},
    ]
    answer = bench.bad("guests", **with_app(folder, guests=guests))
    found = {finding["option"]: finding["remedy"] for finding in answer.findings}
    assert {"a: app", "b: app_options.port", "c: unprivileged", "d: app"} <= found.keys()
    assert "Did you mean nginx" in found["a: app"]
    assert [argv for argv in bench.writes() if "create" in argv] == []


def test_an_unchanged_application_costs_one_command_and_its_secrets_are_shown_nowhere(
    bench: Bench, folder: str
) -> None:
    if bench.backend == "api":
        pytest.skip("the API has no access to the inside of a container")
    phrase = "sesame opens"
    guest = {
        "name": "v",
        "type": "lxc",
        "state": "started",
        "app": "vault",
        "app_secrets": {"phrases": {"one": phrase}},
    }
    made = bench.good("guests", **with_app(folder, guests=[guest]))
    assert {check["outcome"] for check in made.guests[0]["checks"]} == {"passed"}
    assert bench.pct("exec", str(made.guests[0]["vmid"]), "--", "cat", "/etc/vault") == f"{phrase}\n"
    bench.node.forget()
    again = bench.good("guests", **with_app(folder, guests=[guest]))
    assert not again.changed
    assert [argv[:2] for argv in bench.writes()] == [["pct", "exec"]]
    assert phrase not in str([made.values, again.values])
