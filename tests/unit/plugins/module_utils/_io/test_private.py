# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What root opens in a place that is open to every local user."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._io.private import (
    NotPrivate,
    open_private,
    private_directory,
)


def test_a_file_is_made_for_its_owner_alone_and_keeps_its_content(tmp_path: Path):
    path = tmp_path / "locks" / "x.lock"
    os.close(open_private(path))
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("what another run wrote")
    os.close(open_private(path))
    assert path.read_text() == "what another run wrote"


def link_to(victim: Path, path: Path) -> None:
    path.symlink_to(victim)


def name_of(victim: Path, path: Path) -> None:
    os.link(victim, path)


def pipe(victim: Path, path: Path) -> None:
    os.mkfifo(path)


def open_to_all(victim: Path, path: Path) -> None:
    path.touch()
    path.chmod(0o666)


@pytest.mark.parametrize("planted", [link_to, name_of, pipe, open_to_all])
def test_a_file_that_somebody_planted_is_refused_and_untouched(tmp_path: Path, planted: Callable[[Path, Path], None]):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = private_directory(tmp_path / "locks")
    planted(victim, folder / "x.lock")
    with pytest.raises(NotPrivate):
        open_private(folder / "x.lock")
    assert victim.read_text() == "precious"


def test_a_directory_that_leads_elsewhere_is_refused(tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "locks").symlink_to(elsewhere)
    for use in (lambda: open_private(tmp_path / "locks" / "x"), lambda: private_directory(tmp_path / "locks")):
        with pytest.raises(NotPrivate):
            use()
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_directory_that_others_may_write_to_is_refused(tmp_path: Path, mode: int):
    folder = tmp_path / "locks"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(NotPrivate, match="others may write"):
        open_private(folder / "x.lock")
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path):
    folder = tmp_path / "locks"
    folder.mkdir(mode=0o755)
    os.chown(folder, 65534, 65534)
    with pytest.raises(NotPrivate, match="belongs to user 65534"):
        private_directory(folder)


def test_a_directory_of_ours_is_closed_to_readers(tmp_path: Path):
    folder = tmp_path / "work"
    folder.mkdir(mode=0o755)
    assert private_directory(folder).stat().st_mode & 0o777 == 0o700
    assert private_directory(tmp_path / "made" / "deep").stat().st_mode & 0o777 == 0o700
