# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation site consists of; ``make docs`` builds it, and fails with a warning."""

from __future__ import annotations

import re
from pathlib import Path

import docs
from ansible_collections.pve.provision.plugins.plugin_utils.apps import own_names

PAGES = docs.DOCSITE / "rst"
LABEL = ".. _ansible_collections.pve.provision.docsite."


def named(page: str, pattern: str) -> set[str]:
    return set(re.findall(pattern, (PAGES / page).read_text(encoding="utf-8"), re.MULTILINE))


def test_every_page_is_among_the_contents_once() -> None:
    listed = [page for pages in docs.sections().values() for page in pages]
    assert sorted(listed) == sorted(path.stem for path in PAGES.glob("*.rst"))


def test_every_page_has_a_label_of_its_name() -> None:
    without = [path.stem for path in PAGES.glob("*.rst") if f"{LABEL}{path.stem}:" not in path.read_text("utf-8")]
    assert without == []


def test_getting_started_names_every_playbook_and_every_example() -> None:
    playbooks = {path.stem for path in (docs.ROOT / "playbooks").glob("*.yml")}
    assert named("getting_started.rst", r"^   \* - ``pve\.provision\.(\w+)``") == playbooks
    examples = {f"{path.name}/" if path.is_dir() else path.name for path in (docs.ROOT / "examples").iterdir()}
    assert named("getting_started.rst", r"^   \* - ``(\w+(?:\.yml|/))``") == examples


def test_the_readme_leads_to_every_guide() -> None:
    readme = (docs.ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"/rst/(guide_\w+)\.rst\)", readme)) == {path.stem for path in PAGES.glob("guide_*.rst")}


def test_every_make_target_that_is_named_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (docs.ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    texts = [docs.ROOT / name for name in ("README.md", "CONTRIBUTING.md")] + [*PAGES.glob("*.rst")]
    wanted = {
        name
        for path in texts
        for name in re.findall(r"(?:^ *|`)make ([a-z][a-z-]*)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert wanted - targets == set()
    assert {"demo", "test", "docs", "boot", "browser", "apps", "schema", "surveys"} <= wanted


def test_the_comparison_states_the_real_number_of_applications() -> None:
    assert named("neighbours.rst", r"^     - (\d+), as data") == {str(len(own_names()))}


def test_the_first_page_has_the_contents_of_the_site() -> None:
    page = docs.landing_page("Welcome.\n", ["applications"])
    assert page.startswith("Welcome.\n")
    for entry in ("    docsite/getting_started\n", "    applications\n", "    reference\n"):
        assert entry in page


def test_the_reference_is_the_index_of_plugins_alone() -> None:
    plugins = ".. _plugin_index_for_pve.provision:\n\nPlugins\n"
    index = f".. _plugins_in_pve.provision:\n\nPve.Provision\n=============\n\nText.\n\n{plugins}"
    page = docs.reference(index)
    assert page.startswith(".. _plugins_in_pve.provision:\n\nModules, roles and filters\n====")
    assert page.endswith(plugins)
    assert "Text." not in page


def test_awx_names_every_variable_of_its_playbook() -> None:
    text = (Path(docs.ROOT) / "playbooks/awx.yml").read_text(encoding="utf-8")
    asked = {"awx_project_url", "awx_image"} | set(re.findall(r"^    (awx_\w+):", text, re.MULTILINE))
    internal = {"awx_limit_survey", "awx_destroy_survey", "awx_templates", "awx_credentials", "awx_token"}
    assert named("awx.rst", r"^   \* - ``(awx_\w+)``") == asked - internal
