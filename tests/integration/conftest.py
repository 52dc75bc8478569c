# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs real playbooks against an embedded node, the way its users run them."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from embedded_node import EmbeddedNode, commands

# A type of guest that test_new_type.py adds to a copy of the tree; there its tests are run.
collect_ignore = ["new_type"]

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOK = ROOT / "playbooks" / "provision.yml"
COMPILED_ONCE = ROOT / "tests" / "support" / "compiled_once"
RECAP = re.compile(r"^(?P<host>\S+)\s+: (?P<counts>ok=.*)$", re.MULTILINE)
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
LOGINS = {
    "password": ("api_host", "api_port", "api_user", "api_password", "ca_path"),
    "token": ("api_host", "api_port", "api_user", "api_token_id", "api_token_secret", "ca_path"),
}

Guest = dict[str, t.Any]


@dataclass
class Played:
    """A playbook run that has ended."""

    rc: int
    output: str
    results: list[dict[str, t.Any]]

    def count(self, word: str) -> int:
        """Tasks that were ``changed``, ``failed``, ... over all hosts, by the recap."""
        return sum(int(n) for line in RECAP.finditer(self.output) for n in re.findall(rf"\b{word}=(\d+)", line[0]))

    def of(self, task: str) -> list[dict[str, t.Any]]:
        """What a task returned, a loop's items one by one."""
        found = [entry for entry in self.results if task in entry["task"]]
        items = [entry for entry in found if "item" in entry["outcome"]]
        return [entry["result"] for entry in items or found]

    @property
    def failure(self) -> str:
        """What the failed tasks said."""
        return "\n".join(str(e["result"].get("msg")) for e in self.results if e["outcome"].startswith("failed"))


@dataclass
class Site:
    """An embedded node, one way to reach it, and a directory for playbooks.

    ``way``: ``node`` runs on the node itself, ``password`` and ``token`` over the API, ``environment`` over the API
    with what the modules need in ``PROXMOX_*`` variables, as a job of AWX has it.
    """

    node: EmbeddedNode
    way: str
    work: Path
    inventory: dict[str, t.Any] = field(default_factory=lambda: {"all": {"hosts": {"pve": LOCAL}}})

    @property
    def connection(self) -> dict[str, t.Any]:
        """The connection options of a module, as variables of a playbook."""
        return {key: self.node.api[key] for key in LOGINS.get(self.way, ())}

    @property
    def environ(self) -> dict[str, str]:
        """The environment of ansible-playbook."""
        environ = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "PROXMOX_", "PVE_"))},
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build"),
            "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callback_plugins"),
            "ANSIBLE_CALLBACKS_ENABLED": "results,kept_modules",
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "ANSIBLE_NOCOLOR": "1",
            "PWD": str(self.work),  # where a shell would be; playbooks write there
            "RESULTS": str(self.work / "results.jsonl"),
        }
        if self.way == "node":
            environ |= self.node.env
        if self.way == "environment":
            names = {key: key.removeprefix("api_").upper() for key in LOGINS["token"]}
            environ |= {f"PROXMOX_{name}": str(self.node.api[key]) for key, name in names.items()}
        environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environ["PATH"]])
        return environ

    def play(self, playbook: Path | list[dict[str, t.Any]], *options: str, **variables: t.Any) -> Played:
        """Run a playbook, or plays given as data."""
        if isinstance(playbook, list):
            path = self.work / "playbook.yml"
            path.write_text(yaml.safe_dump(playbook, sort_keys=False))
            playbook = path
        inventory, extra, results = (self.work / f for f in ("inventory.json", "variables.json", "results.jsonl"))
        inventory.write_text(json.dumps(self.inventory))
        extra.write_text(json.dumps(variables))
        results.unlink(missing_ok=True)
        command = ["ansible-playbook", "-i", str(inventory), str(playbook), "-e", f"@{extra}", *options]
        done = subprocess.run(
            command, env=self.environ, cwd=self.work, capture_output=True, text=True, timeout=900, check=False
        )
        lines = results.read_text().splitlines() if results.exists() else []
        return Played(done.returncode, done.stdout + done.stderr, [json.loads(line) for line in lines])

    def provision(self, guests: list[Guest], *options: str, **variables: t.Any) -> Played:
        """Run the collection's own playbook."""
        if self.connection:
            variables = {"provision_connection": self.connection, **variables}
        return self.play(PLAYBOOK, *options, provision_guests=guests, **variables)

    def good(self, guests: list[Guest], *options: str, **variables: t.Any) -> Played:
        """Run the collection's own playbook, which is to succeed."""
        played = self.provision(guests, *options, **variables)
        assert played.rc == 0, played.output
        return played

    # -- the node, as its administrator sees it --------------------------------------------------------------------
    def pct(self, *argv: str) -> str:
        """Run a command on the node."""
        rc, out, err = commands.run(["pct", *argv], self.node.root, b"")
        assert rc == 0, err
        return out

    def make(self, vmid: int, name: str, **options: str) -> None:
        """Make a container, as the administrator does."""
        template = "local:vztmpl/alpine-3.22-default_20250617_amd64.tar.xz"
        told = {"hostname": name, "rootfs": "local-lvm:1", **options}
        self.pct("create", str(vmid), template, *(word for key, value in told.items() for word in (f"--{key}", value)))

    def config(self, vmid: int) -> dict[str, str]:
        """A container's config file."""
        text = (self.node.root / f"etc/pve/lxc/{vmid}.conf").read_text(encoding="utf-8")
        return dict(line.split(": ", 1) for line in text.split("\n[")[0].splitlines() if ": " in line)

    def configs(self) -> dict[str, str]:
        """The config files of all guests."""
        found = (self.node.root / "etc/pve/nodes").rglob("*.conf")
        return {path.name: path.read_text(encoding="utf-8") for path in found}

    def commands(self, *names: str) -> list[list[str]]:
        """The commands of these names that were started."""
        return [argv for argv in self.node.commands() if argv[0] in names]

    def requests(self) -> list[str]:
        """The requests to the API, but for log-ins."""
        lines = [f"{request['method']} {request['path']}" for request in self.node.requests()]
        return [line for line in lines if not line.endswith("/access/ticket")]


@dataclass
class InstalledSite(Site):
    """A site whose collection was installed, and that knows nothing of the checkout."""

    collections: Path = Path()

    @property
    def environ(self) -> dict[str, str]:
        environ = {**super().environ, "ANSIBLE_COLLECTIONS_PATH": str(self.collections)}
        for name in ("PYTHONPATH", "KEPT_MODULES"):
            environ.pop(name, None)
        return environ


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the playbook runs of all tests have in common."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module", autouse=True)
def kept_between_runs(kept: Path) -> t.Iterator[None]:
    """The first run packs and compiles the modules of the checkout, the others take what it has made."""
    with pytest.MonkeyPatch.context() as environ:
        for name in ("KEPT_MODULES", "COMPILED_ONCE"):
            folder = kept / name.lower()
            folder.mkdir(exist_ok=True)
            environ.setenv(name, str(folder))
        environ.setenv("PYTHONPATH", str(COMPILED_ONCE), prepend=os.pathsep)
        yield


@pytest.fixture(scope="session")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the collection is installed, from its tarball."""
    place = tmp_path_factory.mktemp("collections")
    galaxy = [str(Path(sys.executable).parent / "ansible-galaxy"), "collection"]
    environ = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "ANSIBLE_COLLECTIONS_PATH")}
    environ["ANSIBLE_HOME"] = str(place / "home")
    run = functools.partial(subprocess.run, env=environ, check=True, capture_output=True, text=True, timeout=600)
    run([*galaxy, "build", "--output-path", str(place)], cwd=ROOT)
    (tarball,) = place.glob("*.tar.gz")
    run([*galaxy, "install", str(tarball), "--offline", "--force", "--collections-path", str(place)], cwd=place)
    return place


@pytest.fixture
def installed(node: EmbeddedNode, collections: Path, request: pytest.FixtureRequest, tmp_path: Path) -> InstalledSite:
    """On the node itself, unless the test asks for other ways."""
    return InstalledSite(node, getattr(request, "param", "node"), tmp_path, collections=collections)


@pytest.fixture
def node() -> t.Iterator[EmbeddedNode]:
    with EmbeddedNode() as running:
        yield running


@pytest.fixture(params=["node"])
def site(request: pytest.FixtureRequest, node: EmbeddedNode, tmp_path: Path) -> Site:
    """On the node itself, unless the test asks for other ways."""
    return Site(node, request.param, tmp_path)
