# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks on files: who waits, for how long, and which file is locked in the end."""

from __future__ import annotations

import os
import threading
import typing as t
from pathlib import Path

import pytest
from fake_clock import FakeClock

from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError, Timeout
from ansible_collections.pve.provision.plugins.module_utils._io.locks import held, locked_file, try_lock


class Meanwhile(FakeClock):
    """Something happens when somebody waits for the first time."""

    def __init__(self, act: t.Callable[[], object]) -> None:
        super().__init__()
        self.act = act

    def sleep(self, seconds: float) -> None:
        if not self.slept:
            self.act()
        super().sleep(seconds)


def test_the_second_waits_for_the_first(tmp_path: Path) -> None:
    order = []
    entered, waited_for = threading.Event(), threading.Event()

    def first() -> None:
        with held(tmp_path / "x.lock", timeout=60):
            entered.set()
            waited_for.wait(60)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait(60)

    def end() -> None:
        waited_for.set()
        thread.join()

    with held(tmp_path / "x.lock", timeout=60, clock=Meanwhile(end)):
        order.append("second")
    assert order == ["first", "second"]


def test_who_is_not_wanted_any_more_waits_no_longer(tmp_path: Path) -> None:
    def meanwhile() -> None:
        raise ProvisionError("not wanted")

    clock = FakeClock()
    with (
        held(tmp_path / "x.lock", timeout=60, meanwhile=meanwhile),
        pytest.raises(ProvisionError, match="not wanted"),
        held(tmp_path / "x.lock", timeout=60, clock=clock, meanwhile=meanwhile),
    ):
        pass
    assert clock.slept == []


def test_it_gives_up_and_says_on_what(tmp_path: Path) -> None:
    clock = FakeClock()
    with (
        held(tmp_path / "x.lock", timeout=1),
        pytest.raises(Timeout, match=r"held .*x\.lock for 60 s"),
        held(tmp_path / "x.lock", timeout=60, clock=clock),
    ):
        pytest.fail("two at once")
    assert 60 <= round(sum(clock.slept), 6) < 61


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("root:x:0:0")
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "x.lock").symlink_to(tmp_path / "passwd")
    with pytest.raises(ProvisionError, match=r"x\.lock cannot be used: it is a symbolic link"):
        held(tmp_path / "locks" / "x.lock", timeout=1).__enter__()
    assert (tmp_path / "passwd").read_text() == "root:x:0:0"


def test_a_failure_lets_go(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), held(tmp_path / "x.lock", timeout=1):
        raise RuntimeError
    with held(tmp_path / "x.lock", timeout=0):
        pass


def test_a_locked_file_is_held_off_others_and_then_let_go(tmp_path: Path) -> None:
    path = tmp_path / "image.part"
    with locked_file(path, timeout=0) as descriptor, path.open("rb") as other:
        os.write(descriptor, b"half")
        assert not try_lock(other.fileno())
    with path.open("rb") as other:
        assert try_lock(other.fileno())
        assert other.read() == b"half"


@pytest.mark.parametrize("goes", ["renamed", "removed"])
def test_who_waited_for_a_file_that_went_away_locks_the_one_that_has_its_name(tmp_path: Path, goes: str) -> None:
    path, first = tmp_path / "image.part", locked_file(tmp_path / "image.part", timeout=0)
    os.write(first.__enter__(), b"whole")

    def end() -> None:
        if goes == "renamed":
            path.rename(tmp_path / "image")
        else:
            path.unlink()
        first.__exit__(None, None, None)

    with locked_file(path, timeout=60, clock=Meanwhile(end)) as descriptor:
        assert os.path.samestat(os.fstat(descriptor), path.stat())
        assert path.read_bytes() == b""


def test_a_link_is_not_locked_in_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "image.part").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        locked_file(tmp_path / "image.part", timeout=0).__enter__()
    assert not (tmp_path / "elsewhere").exists()
