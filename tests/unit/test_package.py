# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What those who list and certify collections ask of one, and what several files say alike."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTIONS = ("Requirements", "Installation", "Use", "Testing", "Communication", "Release notes", "Licence")


def read(name: str) -> t.Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_readme_has_the_sections_that_are_looked_for() -> None:
    assert set(SECTIONS) <= set(re.findall(r"^## (.+)$", README, re.MULTILINE))


def test_the_readme_is_read_elsewhere_so_its_links_are_absolute_and_lead_to_what_there_is() -> None:
    repository = read("galaxy.yml")["repository"]
    links = re.findall(r"(?<!!)\[[^]]+\]\(([^)]+)\)", README)
    assert [link for link in links if not link.startswith("https://")] == []
    files = [link.removeprefix(f"{repository}/blob/main/") for link in links if link.startswith(f"{repository}/blob/")]
    assert files
    assert [name for name in files if not (ROOT / name).is_file()] == []


def test_the_readme_shows_pictures_that_exist_and_says_what_they_show() -> None:
    pictures = re.findall(r"!\[([^]]*)\]\(([^)]+)\)", README)
    assert [path for text, path in pictures if not text or not (ROOT / path).is_file()] == []
    assert {path for _text, path in pictures} == {"docs/badges.svg", "docs/demo.svg"}


@pytest.mark.parametrize(
    ("heading", "folder", "pattern"),
    [("playbooks", "playbooks", "*.yml"), ("roles", "roles", "*"), ("modules", "plugins/modules", "*.py")],
)
def test_the_readme_names_all_that_can_be_run(heading: str, folder: str, pattern: str) -> None:
    (row,) = re.findall(rf"^- {heading}: (.*\n(?:  .*\n)*)", README, re.MULTILINE)
    named = set(re.findall(r"[`\[](\w+)[`\]]", row))
    assert named == {path.stem for path in (ROOT / folder).glob(pattern)}


def test_what_the_collection_needs_has_no_upper_bound() -> None:
    assert "<" not in (ROOT / "meta/requirements.txt").read_text(encoding="utf-8")


def test_all_say_the_same_oldest_ansible_core() -> None:
    oldest = read("meta/runtime.yml")["requires_ansible"].removeprefix(">=").removesuffix(".0")
    assert f"ansible-core {oldest} or newer" in README
    assert read("roles/provision/meta/main.yml")["galaxy_info"]["min_ansible_version"] == oldest
    tested = {row["core"] for row in read(".github/workflows/ci.yml")["jobs"]["core"]["strategy"]["matrix"]["include"]}
    assert min(tested) == oldest
    assert [core for core in tested if core not in README] == []
    newest = max(tested, key=lambda core: int(core.partition(".")[2]))
    badges = (ROOT / "docs/badges.svg").read_text(encoding="utf-8")
    assert f"{oldest} - {newest}" in badges
    assert f"ansible-core {oldest} to {newest}" in badges


def test_every_module_that_reaches_a_node_belongs_to_the_action_group() -> None:
    """What an action plugin of its own does on the controller has no connection."""
    modules = {path.stem for path in (ROOT / "plugins/modules").glob("*.py")}
    on_controller = {path.stem for path in (ROOT / "plugins/action").glob("*.py")} - {"guests"}
    assert set(read("meta/runtime.yml")["action_groups"]["node"]) == modules - on_controller


@pytest.mark.parametrize("role", sorted(path.name for path in (ROOT / "roles").iterdir()))
def test_the_readme_of_a_role_names_all_its_variables(role: str) -> None:
    folder = ROOT / "roles" / role
    options = read(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert [name for name in options if f"`{name}`" not in readme] == []
