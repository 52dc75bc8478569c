# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._pve.journal import Journal, identity, is_alive


def test_notes_outlive_the_journal_that_wrote_them(tmp_path: Path):
    Journal(tmp_path / "journal")[101] = {"name": "web1", "since": 5}
    assert dict(Journal(tmp_path / "journal")) == {101: {"name": "web1", "since": 5}}


def test_an_empty_journal_makes_no_folder(tmp_path: Path):
    journal = Journal(tmp_path / "journal")
    assert not journal
    assert journal.get(101) is None
    assert not (tmp_path / "journal").exists()


def test_notes_are_replaced_and_removed(tmp_path: Path):
    journal = Journal(tmp_path)
    journal[101] = {"a": 1}
    journal[101] = {"a": 2}
    assert journal.pop(101) == {"a": 2}
    assert journal.pop(101, None) is None
    with pytest.raises(KeyError):
        del journal[101]


def test_only_its_owner_reads_the_journal(tmp_path: Path):
    Journal(tmp_path / "journal")[1] = {}
    assert (tmp_path / "journal").stat().st_mode & 0o077 == 0


def test_a_note_half_written_by_a_killed_run_is_not_read(tmp_path: Path):
    journal = Journal(tmp_path)
    journal[1] = {"a": 1}
    (tmp_path / "tmpabc").write_text('{"a"')
    assert dict(journal) == {1: {"a": 1}}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "5", '"text"'])
def test_a_note_that_cannot_be_read_is_none_and_blocks_nobody(tmp_path: Path, text: str):
    (tmp_path / "101.json").write_text(text)
    (tmp_path / "12a.json").write_text(text)
    journal = Journal(tmp_path)
    assert list(journal) == [101]
    assert journal.get(101) is None
    assert journal.setdefault(101, {"a": 1}) == {"a": 1}
    assert journal[101] == {"a": 1}


def test_a_full_disk_is_one_error_that_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    notes = Journal(tmp_path)
    notes[101] = {"a": 1}
    monkeypatch.setattr("os.fsync", full)
    for write in (lambda: notes.update({101: {"a": 2}}), lambda: notes.setdefault(102, {"a": 2})):
        with pytest.raises(
            ProvisionError, match=rf"A note in {tmp_path} cannot be read or written: No space left on device"
        ):
            write()
    assert dict(notes) == {101: {"a": 1}}


def test_a_note_that_cannot_be_read_is_an_error(tmp_path: Path):
    (tmp_path / "101.json").mkdir()
    with pytest.raises(ProvisionError, match="cannot be read or written"):
        Journal(tmp_path).pop(101)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(ProvisionError, match="cannot be read or written"):
        Journal(tmp_path / "file" / "journal")[101] = {}


def test_notes_of_others_come_and_go_while_we_look(tmp_path: Path):
    """A reader never meets half a note, nor one that is gone."""
    ended = threading.Event()

    def churn():
        journal = Journal(tmp_path)
        while not ended.is_set():
            journal.setdefault(100, {"name": "x" * 5000})
            journal.pop(100, None)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        journal = Journal(tmp_path)
        found = [journal.get(vmid) for _look in range(300) for vmid in journal]
    finally:
        ended.set()
        thread.join()
    assert all(note is None or note == {"name": "x" * 5000} for note in found)


def test_a_process_is_distinguished_from_every_other():
    assert is_alive(identity())
    boot, number, started = identity().split("/")
    others = (f"{boot}/{number}/{int(started) + 1}", f"other-boot/{number}/{started}", f"{boot}/999999999/1", "", "1/2")
    assert not any(map(is_alive, others))


def test_of_two_runs_at_once_one_note_holds(tmp_path: Path) -> None:
    notes: list[dict[str, int]] = []
    threads = [
        threading.Thread(target=lambda number=number: notes.append(Journal(tmp_path).setdefault(101, {"run": number})))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(notes) == 8
    assert all(note == Journal(tmp_path)[101] for note in notes)
    assert [path.name for path in tmp_path.iterdir()] == ["101.json"]
