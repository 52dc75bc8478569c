# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles say what they take, in one way everywhere, and cannot drift away from the modules that they call."""

from __future__ import annotations

import importlib
import re
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.pve.provision.plugins.module_utils._argspec import CONNECTION

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
MODULES = "ansible_collections.pve.provision.plugins.modules."
#: Option of the role templates -> the module that each of its entries is for.
ENTRIES = {"templates_images": "template_cache", "templates_openwrt": "openwrt_template"}


def read(role: str, path: str) -> t.Any:
    return yaml.safe_load((ROOT / "roles" / role / path).read_text(encoding="utf-8"))


def options(role: str) -> dict[str, dict[str, t.Any]]:
    """What a role takes."""
    found: dict[str, dict[str, t.Any]] = read(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    return found


def spec_of(module: str) -> dict[str, dict[str, t.Any]]:
    """The options of a module, without those of the connection."""
    found: dict[str, dict[str, t.Any]] = importlib.import_module(MODULES + module).SPEC.options
    return {name: option for name, option in found.items() if name not in CONNECTION.options}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_says_what_it_takes_in_its_spec_its_defaults_and_its_manual(role: str) -> None:
    spec, defaults = options(role), read(role, "defaults/main.yml")
    manual = (ROOT / "roles" / role / "README.md").read_text(encoding="utf-8")
    assert {name for name in spec if not name.startswith(f"{role}_")} == set()
    assert defaults == {name: option["default"] for name, option in spec.items() if not option.get("required")}
    listed = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", manual, re.MULTILINE))
    assert set(listed) == set(spec)
    assert {name for name, text in listed.items() if text == "required"} == {
        name for name, option in spec.items() if option.get("required")
    }
    assert f"role: pve.provision.{role}" in manual
    assert read(role, "meta/main.yml")["galaxy_info"]["role_name"] == role


@pytest.mark.parametrize("kind", ["lxc", "vm", "openwrt_lxc", "openwrt_vm"])
def test_a_role_of_a_type_makes_guests_of_it(kind: str) -> None:
    (task,) = read(kind, "tasks/main.yml")
    assert task["pve.provision.guests"]["guests"] == f"{{{{ {kind}_guests | map('combine', {{'type': '{kind}'}}) }}}}"
    assert task["register"] == f"{kind}_results"
    assert task["module_defaults"] == {"group/pve.provision.node": f"{{{{ {kind}_connection }}}}"}


@pytest.mark.parametrize(("option", "module"), ENTRIES.items())
def test_the_role_templates_takes_what_its_modules_take(option: str, module: str) -> None:
    spec = spec_of(module)
    assert shape(options("templates")[option]["options"]) == shape(spec)
    (block,) = read("templates", "tasks/main.yml")
    (task,) = [task for task in block["block"] if f"pve.provision.{module}" in task]
    entry = task["loop_control"]["loop_var"]
    handed = {name: f"{{{{ {entry}.{name} }}}}" if option.get("required") else f"{{{{ {entry}.get('{name}', omit) }}}}"
              for name, option in spec.items()}  # fmt: skip
    assert task[f"pve.provision.{module}"] == handed


def shape(spec: t.Mapping[str, t.Mapping[str, t.Any]]) -> dict[str, t.Any]:
    """A spec without what a role leaves to the module: its defaults and its texts."""
    kept = ("type", "elements", "choices", "required")
    return {
        name: {**{key: option[key] for key in kept if option.get(key)}, "options": shape(option.get("options") or {})}
        for name, option in spec.items()
    }
