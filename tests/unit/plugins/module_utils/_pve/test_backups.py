# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups that runs make for themselves, several guests at once."""

from __future__ import annotations

import threading
import typing as t
from concurrent import futures
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._pve.api.backups import ApiBackups
from ansible_collections.pve.provision.plugins.module_utils._pve.api.requests import Requests
from ansible_collections.pve.provision.plugins.module_utils._pve.api.storages import ApiStorages
from ansible_collections.pve.provision.plugins.module_utils._pve.backups import Backups
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.backups import CliBackups
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.commands import Commands
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.root import Root
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Outcome, Storage, Volume


class Vzdump:
    """PVE's job, of which two never run at once."""

    def __init__(self) -> None:
        self.alone = threading.Lock()
        self.begun = threading.Event()
        self.made: list[int] = []

    def run(self, vmid: int) -> Outcome:
        assert self.alone.acquire(blocking=False), "can't acquire lock '/var/run/vzdump.lock' - got timeout"
        self.begun.wait(0.1)  # the other one has the time to ask
        self.made.append(vmid)
        self.alone.release()
        return Outcome()


def on_node(root: Path, vzdump: Vzdump) -> Backups:
    class Played(Commands):
        def write(self, argv: t.Sequence[str], options: t.Any = None, **_more: t.Any) -> Outcome:
            vmid = int(argv[1])
            Path(options["dumpdir"], f"vzdump-lxc-{vmid}-2026_01_01-00_00_00.tar.zst").touch()
            return vzdump.run(vmid)

    commands = Played.__new__(Played)
    return CliBackups(Root("pve1", root), commands, t.cast("t.Any", None))


def over_api(_root: Path, vzdump: Vzdump) -> Backups:
    class PlayedRequests(Requests):
        node = "pve1"

        def __init__(self) -> None:
            pass

        def act(self, _step: str, _method: str, _path: str, values: t.Any = None, **_more: t.Any) -> Outcome:
            return vzdump.run(values["vmid"])

    class PlayedStorages(ApiStorages):
        def all(self) -> list[Storage]:
            return [Storage("local", "dir", frozenset({"backup"}))]

        def volumes(self, storage: str, content: str | None = None) -> list[Volume]:
            notes = "kept by pve.provision until web on pve1 has passed its checks"
            names = [f"local:backup/vzdump-lxc-{vmid}-2026_01_01-00_00_00.tar.zst" for vmid in vzdump.made]
            return [Volume(name, "backup", 1, notes=notes) for name in names]

    requests = PlayedRequests()
    return ApiBackups(requests, PlayedStorages(requests))


@pytest.mark.parametrize("reach", [on_node, over_api])
def test_they_take_turns(reach: t.Callable[[Path, Vzdump], Backups], tmp_path: Path) -> None:
    """PVE has one lock for all backups of a node, and fails who waits for it for longer than a minute."""
    vzdump = Vzdump()
    backups = reach(tmp_path, vzdump)
    with futures.ThreadPoolExecutor(2) as pool:
        made = [pool.submit(backups.archive, vmid, place="local", timeout=60) for vmid in (100, 101)]
        assert all(f"-{vmid}-" in each.result() for vmid, each in zip((100, 101), made, strict=True))
    assert sorted(vzdump.made) == [100, 101]


def test_a_disk_that_takes_no_folder_is_reported_before_a_backup_begins(tmp_path: Path) -> None:
    (tmp_path / "var").touch()
    vzdump = Vzdump()
    with pytest.raises(PveError, match=r"for a backup of 100 cannot be made: Not a directory"):
        on_node(tmp_path, vzdump).archive(100, timeout=60)
    assert not vzdump.made
