# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release can be made: its notes from the fragments, and the lock files with each requirement of development and of a
release, in a version that is allowed, with the digests of its files."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[3]
REQUIREMENTS = ROOT / "requirements"
LOCKED = ("dev", "docs", "package", "release")


def lock(name: str) -> str:
    return (REQUIREMENTS / f"{name}.lock").read_text(encoding="utf-8")


def required(file: Path) -> list[Requirement]:
    """The requirements of a file, and of those that it names."""
    found: list[Requirement] = []
    for line in (each.partition("#")[0].strip() for each in file.read_text(encoding="utf-8").splitlines()):
        if line.startswith("-r "):
            found += required((file.parent / line[3:]).resolve())
        elif line:
            found.append(Requirement(line))
    return found


@pytest.mark.parametrize("name", LOCKED)
def test_the_lock_has_what_is_required(name: str) -> None:
    pinned = {canonicalize_name(each): at for each, at in re.findall(r"^([\w.-]+)==(\S+)", lock(name), re.MULTILINE)}
    asked = required(REQUIREMENTS / f"{name}.txt")
    assert asked
    assert [each for each in asked if not each.specifier.contains(pinned[canonicalize_name(each.name)])] == [], (
        "make lock"
    )


@pytest.mark.parametrize("name", LOCKED)
def test_each_pin_has_digests(name: str) -> None:
    entries = re.split(r"\n(?=[\w.-]+==)", lock(name))[1:]
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in lock(name).partition("==")[2]


def test_the_makefile_installs_what_is_locked() -> None:
    asked = re.findall(r"\$\(call requires,(\w+)\)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert sorted(asked) == sorted(LOCKED)


def test_the_fragments_become_the_notes_of_the_version_that_galaxy_yml_names(tmp_path: Path) -> None:
    """In a copy, with the command of CONTRIBUTING; the workflow of a release looks for the same two lines."""
    for name in ("galaxy.yml", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "changelogs", tmp_path / "changelogs")
    galaxy = (ROOT / "galaxy.yml").read_text(encoding="utf-8")
    version = yaml.safe_load(galaxy)["version"]
    if version in yaml.safe_load((ROOT / "changelogs/changelog.yaml").read_text(encoding="utf-8"))["releases"]:
        pytest.skip(f"{version} is released")
    done = subprocess.run(["antsibull-changelog", "release"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"\n  {version}:\n" in (tmp_path / "changelogs/changelog.yaml").read_text(encoding="utf-8")
    assert f"\nversion: {version}\n" in galaxy
    assert list((tmp_path / "changelogs/fragments").glob("*.yml")) == []
    notes = (tmp_path / "CHANGELOG.md").read_text(encoding="utf-8").replace("\\", "")
    assert f"## v{version}\n" in notes
    assert "### Release Summary" in notes
    assert re.findall(r"\b(?:[COVMPEIBUL]|RV)\([^)]*\)", notes) == [], "notes know only ``literals``"
