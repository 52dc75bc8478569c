# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's files are read and written from outside, and nothing else of the node is, whatever the guest holds."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._io.rooted_fs import RootedFs


def test_a_file_is_written_with_its_mode_and_read_again(tmp_path: Path) -> None:
    guest = RootedFs(str(tmp_path))
    guest.write("etc/config/network", 0o600, b"old")
    guest.write("etc/config/network", 0o640, b"new")
    assert guest.read("etc/config/network") == b"new"
    assert stat.S_IMODE((tmp_path / "etc/config/network").stat().st_mode) == 0o640
    assert os.listdir(tmp_path / "etc/config") == ["network"]


@pytest.mark.parametrize("link", ["etc", "etc/passwd"])
def test_no_link_leads_out(tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "passwd").write_bytes(b"the node's")
    place = tmp_path / "guest" / link
    place.parent.mkdir(parents=True)
    place.symlink_to(outside if link == "etc" else outside / "passwd")
    with pytest.raises(ImageError, match="/etc/passwd of the guest leads through a link"):
        RootedFs(str(tmp_path / "guest")).read("etc/passwd")


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    """Nobody writes into the FIFO: whoever opens it waits for ever."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    assert [RootedFs(str(tmp_path)).read(name) for name in ("fifo", "folder", "nothing")] == [None] * 3


def test_a_file_that_cannot_be_written_whole_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int, _mode: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fchmod", full)
    with pytest.raises(ImageError, match=r"/etc/shadow of the guest cannot be written: No space left on device\."):
        RootedFs(str(tmp_path)).write("etc/shadow", 0o600, b"secret")
    assert os.listdir(tmp_path / "etc") == []
