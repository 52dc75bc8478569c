# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A type of guest is added by what ``contributing.rst`` says, and by nothing else: here to a copy of this tree."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from embedded_node import EmbeddedNode

from .conftest import ROOT, InstalledSite

TYPE = Path(__file__).parent / "new_type"
NAME = "lxc_jump"
UTILS = "ansible_collections.pve.provision.plugins.module_utils"
REGISTRY = "plugins/module_utils/_guests/registry.py"
RUNTIME = "meta/runtime.yml"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFzr9k0Pq5OZpLw4v7F6Zb1qv2m5T8h7v8r1N0c3d4e5 admin@example.org"
JUMP = {"name": "jump1", "type": NAME, "ssh_keys": [KEY], "rootfs": {"size": 1}}
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "output", "new_type", "*.tar.gz")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this tree that has the new type."""
    copy = tmp_path_factory.mktemp("copy") / "provision"
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    before = hashes(copy)
    shutil.copytree(TYPE, copy, dirs_exist_ok=True)
    register(copy / REGISTRY, copy / RUNTIME)
    after = hashes(copy)
    touched = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert {name for name in touched if not any(re.fullmatch(place, name) for place in places())} == set()
    return copy


def hashes(tree: Path) -> dict[str, str]:
    files = [path for path in tree.rglob("*") if path.is_file()]
    return {str(path.relative_to(tree)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def places() -> list[str]:
    """The places that the page for contributors names for a new type, as patterns of paths."""
    page = (ROOT / "docs/docsite/rst/contributing.rst").read_text(encoding="utf-8")
    text = page.partition("\nA type of guest\n---")[2].partition("\n---")[0]
    named = re.findall(r"^\d\. ``([^`]+)``", text, re.MULTILINE)
    assert len(named) == 5
    return [re.escape(name.replace("TYPE", NAME)) + (".*" if name.endswith("/") else "") for name in named]


def register(registry: Path, runtime: Path) -> None:
    """What a contributor writes into the two files that all types share."""
    text = registry.read_text()
    imports = f"from {UTILS}._guests.{NAME}.read import read_jump\nfrom {UTILS}._guests.{NAME}.spec import LXC_JUMP\n"
    other = f"from {UTILS}._guests.openwrt.spec"
    text = text.replace(other, imports + other, 1)
    line = f'    "{NAME}": DeclaredType(LXC_JUMP, read_jump),\n'
    registry.write_text(re.sub(r'^    "openwrt_lxc": ', line + r"\g<0>", text, count=1, flags=re.MULTILINE))
    text = runtime.read_text().replace("    - node_info\n", f"    - {NAME}\n    - node_info\n")
    routed = f"    {NAME}:\n      action_plugin: pve.provision.guests\n"
    runtime.write_text(text.replace("    openwrt_lxc:\n", routed + "    openwrt_lxc:\n"))


def test_its_own_tests_and_those_of_all_types_hold(tree: Path) -> None:
    """The documentation against the spec, the layers and the manifest among them."""
    tests = [f"tests/unit/plugins/module_utils/_guests/{NAME}", "tests/unit/plugins/doc_fragments"]
    tests += ["tests/unit/test_layers.py", "tests/unit/test_package.py", "tests/unit/roles"]
    tests += ["tests/unit/plugins/module_utils/_guests/test_policy.py"]
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    pytest_options = ["-q", "-p", "no:cacheprovider", "-k", f"{NAME} or type or group or progress"]
    command = [sys.executable, "-m", "pytest", *pytest_options, *tests]
    done = subprocess.run(command, cwd=tree, env=environ, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_guests_takes_it_and_leaves_it_alone_the_second_time(tree: Path, node: EmbeddedNode, tmp_path: Path) -> None:
    home = tmp_path / "home/ansible_collections/pve"
    home.mkdir(parents=True)
    (home / "provision").symlink_to(tree, target_is_directory=True)
    site = InstalledSite(node, "node", tmp_path, collections=tmp_path / "home")
    play = {"hosts": "pve", "gather_facts": False, "roles": [{"role": "pve.provision.provision"}]}
    played = [site.play([play], provision_guests=[JUMP]) for _turn in ("first", "again")]
    assert [(run.rc, run.count("changed")) for run in played] == [(0, 1), (0, 0)], played[0].output
    (guest,) = played[0].of("Make the guests match")[0]["guests"]
    config = site.config(guest["vmid"])
    assert (config["hostname"], config["memory"]) == ("jump1", "128")
    assert "bridge=vmbr0" in config["net0"]
