# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository in docs/applications.md adds an application of its own, without touching the collection."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .conftest import ROOT, Site

TEXT = (ROOT / "docs/applications.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```yaml\n# (\S+\.yml)\n(---\n.*?)```", TEXT, flags=re.DOTALL))


@pytest.fixture
def repository(site: Site) -> Path:
    """The files of the documentation, in a folder of their own."""
    folder = site.work / "repository"
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_an_application_of_ones_own_is_installed_and_answers(site: Site, repository: Path) -> None:
    assert set(FILES) == {"requirements.yml", "apps/greeter.yml", "site.yml"}
    first = site.play(repository / "site.yml")
    assert first.rc == 0, first.output
    (made,) = first.of("Make the guests match")[0]["guests"]
    assert (made["config"]["memory"], made["config"]["rootfs"]["size"]) == (512, "2G")
    assert made["app"]["ports"][0]["port"] == 80
    assert {check["outcome"] for check in made["checks"]} == {"passed"}
    page = site.pct("exec", str(made["vmid"]), "--", "cat", "/var/www/html/index.html")
    assert page == "<h1>Good morning from greeter1</h1>\n<li>Ann</li>\n<li>Bob</li>\n"
    again = site.play(repository / "site.yml")
    assert again.count("changed") == 0, again.output


def test_a_mistake_in_a_profile_is_reported_with_file_and_key(site: Site, repository: Path) -> None:
    profile = repository / "apps/greeter.yml"
    profile.write_text(profile.read_text().replace("${greeting}", "${greting}").replace("title:", "titel:"))
    played = site.play(repository / "site.yml")
    assert played.rc != 0
    assert f"greeter1: {profile}: titel" in played.failure
    assert "Did you mean title?" in played.failure
