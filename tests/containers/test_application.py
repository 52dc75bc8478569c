# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A declared application really serves: installed from Debian's packages, looked at, broken, and found broken."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from .conftest import Node

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "web.yml"


class Played(t.NamedTuple):
    """What a playbook did, and the commands of the node that it took."""

    rc: int
    output: str
    commands: list[list[str]]

    @property
    def changed(self) -> bool:
        return "changed=0" not in self.output


class Site:
    """The node as a host of the collection's playbooks."""

    def __init__(self, node: Node, work: Path) -> None:
        self.node = node
        self.inventory = work / "inventory.json"
        host = {"ansible_connection": "local", "ansible_python_interpreter": node.embedded.python}
        self.inventory.write_text(json.dumps({"all": {"hosts": {"pve": host}}}))

    def play(self, playbook: str) -> Played:
        self.node.embedded.forget()
        program = Path(sys.executable).with_name("ansible-playbook")
        command = [str(program), "-i", str(self.inventory), str(ROOT / "playbooks" / f"{playbook}.yml")]
        env = {**self.node.env, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build"), "ANSIBLE_NOCOLOR": "1"}
        env.pop("PYTHONPATH", None)
        done = subprocess.run(
            [*command, "-e", f"@{EXAMPLE}"], env=env, capture_output=True, text=True, check=False, timeout=900
        )  # fmt: skip
        return Played(done.returncode, done.stdout + done.stderr, self.node.embedded.commands())


@pytest.fixture(scope="module")
def site(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(node, tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def first(site: Site) -> Played:
    """Both guests of the example, made, set up and verified."""
    played = site.play("provision")
    assert played.rc == 0, played.output
    return played


def vmid(node: Node, name: str) -> int:
    rows = [line.split() for line in node.good("pct", "list").splitlines()]
    return next(int(row[0]) for row in rows if row[-1] == name)


def test_it_answers_at_the_address_that_was_declared(node: Node, first: Played) -> None:
    script = "import urllib.request as r; print(r.urlopen('http://10.10.10.20/').read().decode())"
    assert "<h1>web1</h1>" in node.good(node.embedded.python, "-c", script)
    assert node.inside(vmid(node, "web1"), "dpkg-query -W -f '${Status}' nginx-light") == "install ok installed"


def test_a_second_run_changes_nothing(site: Site, first: Played) -> None:
    second = site.play("provision")
    assert second.rc == 0 and not second.changed, second.output
    # Each guest is asked once; who has a leased address is asked for it as well.
    assert sorted(argv[0] for argv in second.commands) == ["nsenter", "pct", "pct"]


def test_it_is_green_then_broken_then_red(site: Site, first: Played) -> None:
    green = site.play("verify")
    assert green.rc == 0 and "HTTP port 80 /    ok" in green.output, green.output
    number = vmid(site.node, "web1")
    site.node.inside(number, "systemctl stop nginx")
    red = site.play("verify")
    assert red.rc != 0, red.output
    assert "web1: service nginx: inactive" in red.output and "connection refused" in red.output
    assert "web2: " not in red.output.split("checks failed", 1)[1].split('"summary"')[0]
    mended = site.play("provision")
    assert mended.rc == 0 and mended.changed, mended.output
    assert site.node.inside(number, "systemctl is-active nginx").strip() == "active"
