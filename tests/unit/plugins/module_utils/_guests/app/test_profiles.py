# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles of applications that nobody else would set up: what they write is what these read."""

from __future__ import annotations

import json
import typing as t

import pytest
import yaml

from ansible_collections.pve.provision.plugins.module_utils._guests.app.read import read_app
from ansible_collections.pve.provision.plugins.module_utils._guests.registry import TYPES
from ansible_collections.pve.provision.plugins.plugin_utils.apps import find_profile

Params = dict[str, t.Any]
PASSWORD = 'it\'s a "correct" horse'


def applied(app: str, secrets: Params, **options: t.Any) -> Params:
    """What a container with the application is to have."""
    given = {"hostname": "x", "app": app, "app_profiles": {app: find_profile(app)[0]}}
    done = read_app("lxc", {**given, "app_options": options, "app_secrets": secrets}, frozenset(), TYPES["lxc"].spec)
    assert done.findings == ()
    return done.params


def contents(params: Params) -> dict[str, str]:
    return {each["path"]: each.get("content") or each.get("secret_content") or "" for each in params["files"]}


def test_adguard_home_is_made_to_serve_dns_by_the_servers_that_are_declared() -> None:
    params = applied("adguard", {}, upstream=["9.9.9.9", "tls://dns.quad9.net"], admin_user="ann")
    settings = yaml.safe_load(contents(params)["/var/lib/pve-provision-adguard.yaml"])
    assert settings["schema_version"] == 29
    assert settings["dns"]["bind_hosts"] == ["0.0.0.0"] and settings["dns"]["port"] == 53
    assert settings["dns"]["upstream_dns"] == ["9.9.9.9", "tls://dns.quad9.net"]
    assert settings["users"] == [{"name": "ann", "password": "HASHED"}]
    assert {"dns_server", "http", "service"} == {check["type"] for check in params["checks"]}


@pytest.mark.parametrize("app", ["influxdb", "jellyfin", "navidrome"])
def test_an_administrator_is_made_by_the_password_that_is_declared_or_made_up(app: str) -> None:
    path = f"/var/lib/pve-provision-{app}.json"
    for secrets, password in (({}, "MADE-UP"), ({"password": PASSWORD}, PASSWORD)):
        params = applied(app, secrets)
        told = json.loads(contents(params)[path])
        assert {key.lower(): value for key, value in told.items()}["password"] == password
        assert PASSWORD not in json.dumps(params["commands"])
        (command,) = params["commands"]
        assert command["unless"], "once, and by what the application says of itself"
