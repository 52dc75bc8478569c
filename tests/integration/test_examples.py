# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every documented example is run, each task twice in a row: the first time it works, the second it changes nothing.

An example names hosts, secrets and download sites of a user's. They are put in place here, nothing else is changed.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.pve.provision.plugins.module_utils._argspec import CONNECTION
from embedded_node.mirror import images
from embedded_node.mirror.server import Mirror

from .conftest import LOGINS, ROOT, Site

Task = dict[str, t.Any]

MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
OURS = "pve.provision."
# What an example needs besides a fresh node: a storage for files that other nodes share.
NAS = "\ndir: nas\n\tpath {0}\n\tcontent iso,vztmpl,import\n\tshared 1\n"
#: Of the password "secret" by ``openssl passwd -6 -salt pinch``.
HASH = "$6$pinch$2meG5e2eT3yj/9Q.HuKpjCb9ytUuMZ8CCPijV2VFfta5Oa6.rmyKDoPzjsaEZN7FMg4D/eHScFmwqKDOLqD0P."
# Examples that cannot run twice without a change, or not at all, by module and name of the task, and why.
CHANGES_AGAIN: dict[tuple[str, str], str] = {}
CANNOT_RUN: dict[tuple[str, str], str] = {}


@pytest.fixture(scope="module")
def documentation() -> dict[str, t.Any]:
    """What ansible-doc shows of each module: doc with options, and examples."""
    environ = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build")}
    command = [str(Path(sys.executable).parent / "ansible-doc"), "--json", *(f"{OURS}{module}" for module in MODULES)]
    shown = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300, check=True)
    return {name.removeprefix(OURS): entry for name, entry in json.loads(shown.stdout).items()}


def options_of(task: Task) -> tuple[str, dict[str, t.Any]] | None:
    """The module of ours that a task calls, and its options."""
    found = [key for key in task if key.startswith(OURS)]
    return (found[0].removeprefix(OURS), task[found[0]] or {}) if found else None


def secrets(tasks: list[Task]) -> dict[str, str]:
    """A value for each variable of a vault."""
    names = re.findall(r"\bvault_\w+", str(tasks))
    return {name: HASH if name.endswith("_hash") else f"Secret-of-{name}" for name in names}


class Place:
    """Where the examples run: a node whose index of templates lists what a mirror of the download sites has."""

    def __init__(self, site: Site, mirror: Mirror, documentation: dict[str, t.Any]) -> None:
        self.site = site
        self.mirror = mirror
        self.documentation = documentation
        nas = site.node.root / "mnt/pve/nas"
        nas.mkdir(parents=True, exist_ok=True)
        with (site.node.root / "etc/pve/storage.cfg").open("a") as config:
            config.write(NAS.format(nas))
        index = gzip.decompress(mirror.read("pveam/images/aplinfo-pve-9.dat.gz")).decode()
        lists = site.node.root / "var/lib/pve-manager/apl-info/download.proxmox.com"
        lists.write_text(index.replace("Location: ", f"Location: {mirror.base('pveam')}/images/"), encoding="utf-8")

    def fit(self, task: Task) -> Task:
        """A task of an example, for this place."""
        called = options_of(task)
        if called is None:
            return task
        module, options = called
        fitted = {**options, **self.login(options), **self.sources(module, options)}
        return {**task, f"{OURS}{module}": fitted}

    def forget_templates(self) -> None:
        """Make the node one that has no template yet."""
        for path in (self.site.node.root / "var/lib/vz/template/cache").iterdir():
            path.unlink()

    def login(self, options: dict[str, t.Any]) -> dict[str, t.Any]:
        if "api_host" not in options:
            return {}
        names = LOGINS["token" if "api_token_id" in options else "password"]
        return {name: self.site.node.api[name] for name in names}

    def sources(self, module: str, options: dict[str, t.Any]) -> dict[str, t.Any]:
        known = self.documentation[module]["doc"]["options"]
        if "mirrors" not in known or options.get("state") == "absent":
            return {}
        source = options.get("source", "openwrt")
        if source == "url":
            image = images.qcow2(1 << 20, b"an appliance")
            url = self.mirror.put(f"own/{Path(options['url']).name}", image)
            return {"url": url, "checksum": f"sha256:{hashlib.sha256(image).hexdigest()}"}
        trust: Task = {} if "verify" in options else {"verify": "checksum"}
        if source == "openwrt":
            key = self.mirror.signer.usign_public
            trust = {"keys": [{"public": key} if known["keys"]["elements"] == "dict" else key]}
        return {"mirrors": [self.mirror.base(source)], **trust}


@pytest.fixture(scope="module")
def mirror() -> t.Iterator[Mirror]:
    with Mirror() as running:
        yield running


@pytest.fixture
def place(
    site: Site, mirror: Mirror, documentation: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch
) -> Place:
    monkeypatch.setenv("XDG_CACHE_HOME", str(site.work / "cache"))
    return Place(site, mirror, documentation)


@pytest.mark.parametrize("module", MODULES)
def test_examples_of_a_module_work_and_change_nothing_the_second_time(module: str, place: Place) -> None:
    examples = yaml.safe_load(place.documentation[module]["examples"])
    if "mirrors" in place.documentation[module]["doc"]["options"]:
        place.forget_templates()  # the node's own have the names of the mirror's
    assert any(options_of(task) for task in examples), "no example calls the module"
    tasks = [place.fit(task) for task in examples if (module, task["name"]) not in CANNOT_RUN]
    twice = [{**task, "name": f"{turn}: {task['name']}"} for task in tasks for turn in ("First", "Again")]
    play = {"hosts": "pve", "gather_facts": False, "tasks": twice}
    played = place.site.play([play], **secrets(examples))
    assert played.rc == 0, played.output
    for task in tasks:
        if options_of(task):
            assert played.of(f"First: {task['name']}"), played.output
            changed = [result.get("changed") for result in played.of(f"Again: {task['name']}")]
            expected = (module, task["name"]) in CHANGES_AGAIN
            assert set(changed) == {expected}, (task["name"], played.of(f"Again: {task['name']}"))


def test_exceptions_name_examples_that_there_are(documentation: dict[str, t.Any]) -> None:
    for module, name in {**CHANGES_AGAIN, **CANNOT_RUN}:
        assert name in [task["name"] for task in yaml.safe_load(documentation[module]["examples"])]


def test_what_the_readme_declares_works(site: Site, mirror: Mirror) -> None:
    text = (ROOT / "README.md").read_text().replace("AAAA...", "AAAAC3NzaC1lZDI1NTE5AAAAIFzr9k0Pq5OZpLw4v7F6Zb1qv2m5")
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    variables = {key: value for block in blocks if isinstance(block, dict) for key, value in block.items()}
    assert set(variables["provision_connection"]) <= set(CONNECTION.options)
    assert set(variables["module_defaults"]["group/pve.provision.node"]) <= set(CONNECTION.options)
    more = [guest for block in blocks if isinstance(block, list) for guest in block]
    guests = [*variables["provision_guests"], *more]
    sources = {"provision_mirrors": [mirror.base("openwrt")], "provision_keys": [mirror.signer.usign_public]}
    assert site.good(guests, **sources).count("changed") > 0
    assert site.good(guests, **sources).count("changed") == 0


def test_the_fleet_is_made_once_and_costs_nothing_afterwards(site: Site, mirror: Mirror) -> None:
    declared = yaml.safe_load((ROOT / "examples/fleet.yml").read_text())
    guests = declared.pop("provision_guests")
    sources = {"provision_mirrors": [mirror.base("openwrt")], "provision_keys": [mirror.signer.usign_public]}
    first = site.good(guests, **declared, **sources)
    assert first.count("changed") == 1
    (run,) = first.of("Make the guests match")
    assert [guest["name"] for guest in run["guests"] if guest["changed"]] == [guest["name"] for guest in guests[:-1]]
    site.node.forget()
    assert site.good(guests, **declared, **sources).count("changed") == 0
    assert [argv for argv in site.node.commands() if argv[:2] != ["pct", "exec"]] == []
