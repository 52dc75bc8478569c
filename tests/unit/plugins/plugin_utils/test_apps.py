# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The profiles of applications on the controller: where they are found, and what is wrong with one."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.pve.provision.plugins.module_utils._guests.app.read import read_app
from ansible_collections.pve.provision.plugins.module_utils._guests.registry import TYPES
from ansible_collections.pve.provision.plugins.module_utils._model.apps.options import samples
from ansible_collections.pve.provision.plugins.plugin_utils import apps
from ansible_collections.pve.provision.plugins.plugin_utils.app_catalog import catalogued, facts
from ansible_collections.pve.provision.plugins.plugin_utils.app_schema import read_profile

Data = dict[str, t.Any]
SITE: Data = {"title": "Site", "description": "A site."}


def write(folder: Path, name: str, **more: t.Any) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.yml"
    path.write_text(yaml.safe_dump({**SITE, **more}), encoding="utf-8")
    return path


# -- where they are ---------------------------------------------------------------------------------------------------
def test_a_profile_of_the_user_goes_before_ours(tmp_path: Path) -> None:
    write(tmp_path / "a", "nginx", title="Mine")
    write(tmp_path / "b", "nginx", title="Other")
    write(tmp_path / "b", "site")
    folders = [tmp_path / "a", tmp_path / "b"]
    assert apps.find_profile("nginx", folders)[0]["title"] == "Mine"
    assert apps.find_profile("site", folders)[0]["title"] == "Site"
    assert apps.find_profile("nginx")[0]["title"] == "nginx"


@pytest.mark.parametrize(
    ("name", "finding"),
    [
        ("ngnix", "Did you mean nginx"),
        ("../nginx", "is not a known application"),
        ("NGINX", "is not a known application"),
    ],
)
def test_what_nobody_knows_is_reported(name: str, finding: str) -> None:
    _profile, (found,) = apps.find_profile(name)
    assert (found.option, found.value) == ("app", name)
    assert finding in str(found)


def test_a_folder_that_is_not_there_is_reported(tmp_path: Path) -> None:
    _profile, (found,) = apps.find_profile("nginx", [tmp_path / "apps"])
    assert str(found).startswith(f"app_paths: '{tmp_path}/apps' is not a folder")


@pytest.mark.parametrize(
    ("args", "names"),
    [
        ({}, None),
        ({"app": "nginx"}, ["nginx"]),
        ({"guests": [{"app": "nginx"}, {"app": "docker"}, {}, "x"], "defaults": {"app": "nginx"}}, ["docker", "nginx"]),
        ({"guests": "x", "app": ""}, None),
    ],
)
def test_a_module_gets_the_profiles_that_it_names(args: Data, names: list[str] | None) -> None:
    given = apps.with_profiles(args, str)
    assert (list(given["app_profiles"]) if "app_profiles" in given else None) == names
    assert {name: given[name] for name in args} == args


def test_a_module_is_told_what_is_wrong_with_a_profile(tmp_path: Path) -> None:
    path = write(tmp_path, "site", memory="much")
    given = apps.with_profiles({"app": "site", "app_paths": ["apps"]}, lambda _path: str(tmp_path))
    applied = read_app("lxc", {"hostname": "x", **given}, frozenset(), TYPES["lxc"].spec)
    assert [finding.option for finding in applied.findings] == [f"{path}: memory"]


# -- what is wrong with one -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("more", "key", "text"),
    [
        ({"titel": "x"}, "titel", "is not a key of a profile. Did you mean title?"),
        ({"title": None}, "", "title"),
        ({"memory": "much"}, "memory", "int"),
        ({"category": "webb"}, "category", "one of"),
        ({"needs": ["gpus"]}, "needs", "one or more of"),
        ({"disk": "big"}, "disk", "State a size such as 8G."),
        ({"ports": [{"port": 70000}]}, "ports[0].port", "is not a valid port"),
        ({"ports": [{}]}, "ports", "port"),
        ({"lxc": {"memroy": 1}}, "lxc.memroy", "Did you mean memory?"),
        ({"vm": {"cores": "many"}}, "vm.cores", "int"),
        ({"options": {"Port": {"description": "x"}}}, "options.Port", "is not a valid option name"),
        ({"options": {"item": {"description": "x"}}}, "options.item", "is not a valid option name"),
        ({"options": {"port": 80}}, "options.port", "is not a dictionary"),
        ({"options": {"port": {"type": "int"}}}, "options.port", "description"),
        ({"options": {"port": {"type": "int", "description": "x", "default": "y"}}}, "options.port.default", "whole"),
        ({"options": {"p": {"secret": True, "description": "x", "default": "y"}}}, "options.p.default", "secret"),
        (
            {"options": {"p": {"type": "list", "description": "x", "options": {"q": {}}}}},
            "options.p.options.q",
            "descr",
        ),
        ({"options": {"p": {"description": "x", "pattern": "[ab]"}}}, "options.p.example", "is missing"),
        ({"options": {"p": {"description": "x", "pattern": "[ab]", "example": "c"}}}, "options.p.example", "form"),
        ({"packages": ["x-${verison}"]}, "packages[0]", "is not an option of the application"),
        ({"packages": ["${a b}"]}, "packages[0]", "is not a valid option name"),
        ({"files": [{"path": "a", "content": "x"}]}, "files[0].path", "is not an absolute path"),
        ({"files": [{"path": "/a", "contents": "x"}]}, "files[0].contents", "is not a key"),
        ({"services": {"a b": True}}, "services.a b", "is not a valid service name"),
        ({"commands": [{"command": "x"}]}, "commands", "creates, unless"),
        ({"checks": [{"type": "tcp"}]}, "checks[0].port", "is missing"),
        ({"checks": [{"type": "tpc"}]}, "checks[0].type", "one of"),
        ({"repositories": [{"name": "x", "uris": ["https://x"]}]}, "repositories[0]", "has no key"),
        ({"files": [{"path": "/a", "when": "tsl"}]}, "files[0].when", "is not an option of the application"),
        ({"files": [{"path": "/a", "content": "${item}"}]}, "files[0].content", "is not an option of the application"),
        ({"commands": [{"command": "echo ${guest_name}"}]}, "commands[0].command", "Write ${guest_name|shell}."),
        (
            {
                "options": {"key": {"secret": True, "description": "x"}},
                "files": [{"path": "/a", "content": "${key}", "mode": "0600"}],
            },
            "files[0].content",
            "Put it into secret_content",
        ),
    ],
)
def test_each_mistake_is_found_by_its_key(more: Data, key: str, text: str) -> None:
    _profile, findings = read_profile({**SITE, **more})
    assert [each for each in findings if each.option == key and text in str(each)], list(map(str, findings))


@pytest.mark.parametrize("text", ["[", "- a\n- b", "title: \xe4".encode("latin-1").decode("latin-1"), ""])
def test_what_is_no_profile_at_all_is_reported_with_its_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "site.yml"
    path.write_text(text, encoding="latin-1")
    _profile, findings = apps.find_profile("site", [tmp_path])
    assert findings
    assert all(finding.option.startswith(str(path)) for finding in findings)


# -- ours -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", apps.own_names())
def test_each_of_our_profiles_is_right_in_each_guest_that_it_is_for(name: str) -> None:
    profile, findings = apps.find_profile(name)
    assert list(map(str, findings)) == []
    assert profile["complete"]
    values = samples(profile["options"])
    secret = {name for name, spec in profile["options"].items() if spec["secret"]}
    for kind in profile["types"]:
        given = {
            "hostname": "x",
            "app": name,
            "app_profiles": {name: profile},
            "app_options": {name: value for name, value in values.items() if name not in secret},
            "app_secrets": {name: value for name, value in values.items() if name in secret},
        }
        applied = read_app(kind, given, frozenset(), TYPES[kind].spec)
        only_vm = [finding for finding in applied.findings if "type: vm" in finding.remedy]
        assert list(map(str, applied.findings)) == list(map(str, only_vm))


def test_every_application_of_the_catalogue_is_a_guest_that_can_be_made() -> None:
    assert len(facts()) == 594
    for name in facts():
        profile = catalogued(name)
        kind = profile["types"][0]
        if kind not in ("lxc", "vm"):
            continue
        given = {"hostname": "x", "app": name, "app_profiles": {name: profile}}
        applied = read_app(kind, given, frozenset(), TYPES[kind].spec)
        assert applied.findings == ()
        assert applied.notes
        assert (applied.params.get("unprivileged") is False) == ("privileged" in profile["needs"])
        assert applied.params["memory"] == facts()[name]["memory"]
