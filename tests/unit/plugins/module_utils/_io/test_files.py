# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._io.files import (
    PART,
    atomic_file,
    free_bytes,
    write_atomically,
    write_sparse,
)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_a_file_appears_when_it_is_whole(tmp_path: Path, mode: int) -> None:
    target = tmp_path / "image"
    target.write_bytes(b"before")
    with atomic_file(target, mode) as file:
        file.write(b"after")
        file.flush()
        assert target.read_bytes() == b"before"
        (part,) = {*names(tmp_path)} - {"image"}
        assert stat.S_IMODE((tmp_path / part).stat().st_mode) == 0o600
    assert target.read_bytes() == b"after"
    assert stat.S_IMODE(target.stat().st_mode) == mode
    assert names(tmp_path) == ["image"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_of_a_file_that_did_not_become_whole(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), atomic_file(tmp_path / "image") as file:
        file.write(b"half")
        raise error
    assert names(tmp_path) == []


def test_nor_of_one_that_is_refused_in_the_end(tmp_path: Path) -> None:
    def refuse() -> None:
        raise InterruptedError

    (tmp_path / "image").write_bytes(b"before")
    with pytest.raises(InterruptedError), atomic_file(tmp_path / "image", check=refuse) as file:
        file.write(b"after")
    assert (tmp_path / "image").read_bytes() == b"before"
    assert names(tmp_path) == ["image"]


def test_what_a_killed_run_left_goes_when_the_same_is_written_again(tmp_path: Path) -> None:
    dead, fresh, other = (tmp_path / f".{name}{PART}" for name in ("image.dead", "image.fresh", "other.dead"))
    for path in (dead, fresh, other):
        path.write_bytes(b"half")
    for path in (dead, other):
        os.utime(path, (0, 0))
    write_atomically(tmp_path / "image", b"whole")
    assert names(tmp_path) == sorted(["image", fresh.name, other.name])


def test_what_another_run_still_writes_stays_however_old(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "image") as file:
        (part,) = tmp_path.iterdir()
        os.utime(part, (0, 0))
        write_atomically(tmp_path / "image", b"other")
        file.write(b"mine")
    assert (tmp_path / "image").read_bytes() == b"mine"


def test_a_link_at_the_target_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"kept")
    (tmp_path / "image").symlink_to(tmp_path / "elsewhere")
    write_atomically(tmp_path / "image", b"whole")
    assert (tmp_path / "elsewhere").read_bytes() == b"kept"
    assert not (tmp_path / "image").is_symlink()


def test_zeros_are_stepped_over(tmp_path: Path) -> None:
    blocks = [b"\0" * 65536, b"x" * 10, b"\0" * 65536]
    with (tmp_path / "disk").open("wb") as file:
        assert [write_sparse(file, block) for block in blocks] == [0, 10, 0]
        file.truncate(file.tell())
    assert (tmp_path / "disk").read_bytes() == b"".join(blocks)


def test_there_is_room(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) > 0
