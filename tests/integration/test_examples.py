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

from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.catalog import with_profile
from embedded_node.mirror import Mirror, images
from embedded_node.mirror.registry import OciRegistry
from embedded_node.mirror.site_files import os_release

from .conftest import LOGINS, ROOT, Site

Task = dict[str, t.Any]

MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
OURS = "pve.provision."
# Each of their tasks takes seconds: the tests of the modules themselves show that a second run changes nothing.
LONG = frozenset(
    {"lxc_create", "vm_create", "guests", "openwrt_lxc", "openwrt_vm", "openwrt_template", "template_cache"}
)
# What an example needs besides a fresh node: a storage for files that other nodes share.
NAS = "\ndir: nas\n\tpath {0}\n\tcontent iso,vztmpl,import\n\tshared 1\n"
#: Of the password "secret" by ``openssl passwd -6 -salt pinch``.
HASH = "$6$pinch$2meG5e2eT3yj/9Q.HuKpjCb9ytUuMZ8CCPijV2VFfta5Oa6.rmyKDoPzjsaEZN7FMg4D/eHScFmwqKDOLqD0P."
# The files that lie beside a user's playbook.
FILES = {
    "web1.yaml": "#cloud-config\nhostname: web1\npackages: [nginx]\n",
    "ada.pub": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFzr9k0Pq5OZpLw4v7F6Zb1qv2m5T8h7v8r1N0c3d4e5 ada@example.org\n",
    "site.conf.j2": "server { listen 80; server_name web1; }\n",
}
# Examples that cannot run twice without a change, or not at all, by module and name of the task, and why.
CHANGES_AGAIN: dict[tuple[str, str], str] = {}
CANNOT_RUN: dict[tuple[str, str], str] = {
    ("wizard", "Ask what is to be made"): "there is no terminal; test_wizard.py has one",
}
# Examples that look at guests which are not there: their checks fail, and all of them are told.
FAILS = frozenset(
    {("guest_verify", "Look at a web server"), ("guest_verify", "Look at a router, and fail where nobody can tell")}
)
# What is in an image of an example.
IMAGE = {**images.ALPINE, "usr/bin/app": "#!/bin/sh\nexec sleep 1000000\n"}


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

    def __init__(self, site: Site, mirror: Mirror, registry: OciRegistry, documentation: dict[str, t.Any]) -> None:
        self.site = site
        self.mirror = mirror
        self.registry = registry
        self.documentation = documentation
        nas = site.node.root / "mnt/pve/nas"
        nas.mkdir(parents=True, exist_ok=True)
        with (site.node.root / "etc/pve/storage.cfg").open("a") as config:
            config.write(NAS.format(nas))
        index = gzip.decompress(mirror.read("pveam/images/aplinfo-pve-9.dat.gz")).decode()
        lists = site.node.root / "var/lib/pve-manager/apl-info/download.proxmox.com"
        lists.write_text(index.replace("Location: ", f"Location: {mirror.base('pveam')}/images/"), encoding="utf-8")
        for name, text in FILES.items():
            (site.work / name).write_text(text, encoding="utf-8")

    def fit(self, task: Task) -> Task:
        """A task of an example, for this place."""
        called = options_of(task)
        if called is None:
            return task
        module, options = called
        fitted = {**options, **self.login(options), **self.sources(module, options)}
        if module == "vm_create":
            fitted = placed(fitted, self.mirror)
        if "oci" in (fitted.get("image") or {}):
            fitted = self.from_registry(fitted)
        ends = {"ignore_errors": True} if (module, task["name"]) in FAILS else {}
        return {**task, f"{OURS}{module}": fitted, **ends}

    def from_registry(self, guest: Task) -> Task:
        """A container of an example, whose image is on a registry here. Nothing answers in it but its shell."""
        name, _colon, tag = guest["image"]["oci"].partition("/")[2].partition(":")
        self.registry.push(name, tag, [{**IMAGE, "etc/version": f"{tag}\n"}], {"Cmd": ["/usr/bin/app"]})
        guest = {**guest, "image": {"oci": f"{self.registry.name(name)}:{tag}"}}
        return {key: value for key, value in guest.items() if key != "checks"}

    def forget_templates(self) -> None:
        """Make the node one that has no template yet."""
        for path in (self.site.node.root / "var/lib/vz/template/cache").iterdir():
            path.unlink()

    def login(self, options: dict[str, t.Any]) -> dict[str, t.Any]:
        if "api_host" not in options:
            return self.site.connection
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


@pytest.fixture(scope="module")
def registry() -> t.Iterator[OciRegistry]:
    with OciRegistry() as running:
        yield running


@pytest.fixture
def place(
    site: Site,
    mirror: Mirror,
    registry: OciRegistry,
    documentation: dict[str, t.Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Place:
    monkeypatch.setenv("XDG_CACHE_HOME", str(site.work / "cache"))
    return Place(site, mirror, registry, documentation)


def turns(module: str) -> t.Iterator[t.Any]:
    """How the examples of a module are run, and how often. What takes long runs once, and twice where there is time."""
    if module in LONG:
        yield pytest.param("node", module, 1, id=f"{module}-once")
    yield pytest.param("node", module, 2, id=module, marks=[pytest.mark.thorough] if module in LONG else [])
    if module == "vm_create":
        yield pytest.param("password", module, 2, id=f"{module}-api", marks=pytest.mark.thorough)


@pytest.mark.parametrize(
    ("site", "module", "times"), [each for module in MODULES for each in turns(module)], indirect=["site"]
)
def test_examples_of_a_module_work_and_change_nothing_the_second_time(module: str, times: int, place: Place) -> None:
    examples = yaml.safe_load(place.documentation[module]["examples"])
    if "mirrors" in place.documentation[module]["doc"]["options"]:
        place.forget_templates()  # the node's own have the names of the mirror's
    assert any(options_of(task) for task in examples), "no example calls the module"
    tasks = [place.fit(task) for task in examples if (module, task["name"]) not in CANNOT_RUN]
    twice = [{**task, "name": f"{turn}: {task['name']}"} for task in tasks for turn in ("First", "Again")[:times]]
    play = {"hosts": "pve", "gather_facts": False, "tasks": twice}
    played = place.site.play([play], **secrets(examples))
    assert played.rc == 0, played.output
    for task in tasks:
        if options_of(task):
            ended = played.of(f"First: {task['name']}")
            assert ended, played.output
            if (module, task["name"]) in FAILS:
                assert all(result["summary"]["failed"] for result in ended)
        if options_of(task) and times == 2:
            changed = [result.get("changed") for result in played.of(f"Again: {task['name']}")]
            expected = (module, task["name"]) in CHANGES_AGAIN
            assert set(changed) == {expected}, (task["name"], played.of(f"Again: {task['name']}"))


def test_exceptions_name_examples_that_there_are(documentation: dict[str, t.Any]) -> None:
    for module, name in {*CHANGES_AGAIN, *CANNOT_RUN, *FAILS}:
        assert name in [task["name"] for task in yaml.safe_load(documentation[module]["examples"])]


@pytest.mark.parametrize("times", [pytest.param(1, id="once"), pytest.param(2, id="twice", marks=pytest.mark.thorough)])
def test_what_the_readme_declares_works(site: Site, mirror: Mirror, times: int) -> None:
    text = (ROOT / "README.md").read_text().replace("AAAA...", "AAAAC3NzaC1lZDI1NTE5AAAAIFzr9k0Pq5OZpLw4v7F6Zb1qv2m5")
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    variables = {key: value for block in blocks if isinstance(block, dict) for key, value in block.items()}
    more = [guest for block in blocks if isinstance(block, list) for guest in block]
    guests = [*variables["provision_guests"], *more]
    sources = {"provision_mirrors": [mirror.base("openwrt")], "provision_keys": [mirror.signer.usign_public]}
    changed = [site.good(guests, **sources).count("changed") > 0 for _turn in range(times)]
    assert changed == [True, False][:times]


def mirrored(image: str | Task, mirror: Mirror) -> Task:
    """An image of an example, from a mirror of its download site; one with a URL is that of a Talos."""
    if isinstance(image, str):
        return {"name": image, "mirrors": [mirror.base(image.partition("-")[0])], "verify": "checksum"}
    disk = images.raw_disk(b"nocloud", os_release("talos", "1.10.0"))
    url = mirror.put("own/nocloud-amd64.raw", disk)
    return {"url": url, "checksum": f"sha256:{hashlib.sha256(disk).hexdigest()}"}


def placed(guest: Task, mirror: Mirror) -> Task:
    """A VM of an example, whose image comes from a mirror of its download site."""
    image = with_profile(guest).get("image") if guest.get("type") != "openwrt_vm" else None
    if image:
        guest = {**guest, "image": mirrored(image, mirror)}
    disks = guest.get("disks", ())
    if any("image" in disk for disk in disks):
        disks = [{**disk, "image": mirrored(disk["image"], mirror)} if "image" in disk else disk for disk in disks]
        guest = {**guest, "disks": disks}
    if guest.get("profile") == "windows":  # nobody asks for a key here, and it is pressed for a while
        return {**guest, "state": "present"}
    # What is at a scripted guest's address is none of its business.
    return {**guest, "run_checks": False} if guest.get("profile") in ("haos", "opnsense", "talos") else guest


@pytest.mark.parametrize("site", ["node", pytest.param("password", marks=pytest.mark.thorough)], indirect=True)
def test_a_vm_of_each_type_is_made_once_and_costs_nothing_afterwards(
    site: Site, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(site.work / "cache"))
    declared = yaml.safe_load((ROOT / "examples/vms.yml").read_text())
    guests = [placed(guest, mirror) for guest in declared.pop("provision_guests")]
    media = site.node.root / "var/lib/vz/template/iso"
    media.mkdir(parents=True, exist_ok=True)
    for name in ("windows-server-2025.iso", "virtio-win.iso"):
        (media / name).write_bytes(b"somebody's own")
    declared["provision_defaults"]["agent_timeout"] = 1  # a blank disk brings none, however long it is waited for
    declared |= {"provision_mirrors": [mirror.base("openwrt")], "provision_keys": [mirror.signer.usign_public]}
    declared |= {"vault_talos_worker": "version: v1alpha1\nmachine: {type: worker}\n", "vault_windows_password": "Pw-9"}
    first = site.good(guests, **declared)
    assert first.count("changed") == 1
    (run,) = first.of("Make the guests match")
    outcomes = {guest["name"]: {each["outcome"] for each in guest.get("checks", ())} for guest in run["guests"]}
    assert [name for name, found in outcomes.items() if found == {"passed"}] == ["containers1", "k1", "k2"]
    site.node.forget()
    assert site.good(guests, **declared).count("changed") == 0
    assert [argv for argv in site.node.commands() if argv[0] != "ip"] == []  # which asks the kernel alone


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
