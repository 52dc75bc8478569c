# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module writes about itself while it runs, and how that reads."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._io import progress
from ansible_collections.pve.provision.plugins.module_utils._io.progress import Downloaded, Event, Pace

MIB = 1 << 20


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a plugin has named."""
    path = tmp_path / "events"
    monkeypatch.setenv(progress.VARIABLE, progress.setting(str(path), others_read=False))
    return path


# -- how it reads ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Event("web1", "create", "begun"), "web1: create"),
        (Event("web1", "create", "done", 4.24), "web1: create: 4.2 s"),
        (Event("web1", "start", "failed", 0.3), "web1: start: failed after 0.3 s"),
        (Event("web1", "create", "note", note="12 s so far"), "web1: create: 12 s so far"),
        (Event("", "download", "note", note="25 %"), "download: 25 %"),
    ],
)
def test_an_event_is_a_line(event: Event, text: str) -> None:
    assert str(event) == text
    assert Event.parse(event.line()) == event
    assert event.line().count(b"\n") == 1


@pytest.mark.parametrize("line", [b"", b"{", b"{}", b"[]", b"null", b'{"guest": "web1"}', b'{"other": 1}'])
def test_what_is_no_event_is_nothing(line: bytes) -> None:
    assert Event.parse(line) is None


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (Downloaded(0, 4 * MIB, 0.0), "0 %, 0.0 of 4.0 MiB, 0.0 MiB/s"),
        (Downloaded(MIB, 4 * MIB, MIB / 2), "25 %, 1.0 of 4.0 MiB, 0.5 MiB/s, 6 s left"),
        (Downloaded(MIB, 401 * MIB, 4 * MIB), "0 %, 1.0 of 401.0 MiB, 4.0 MiB/s, 1 min 40 s left"),
        (Downloaded(0, 36000 * MIB, 4 * MIB), "0 %, 0.0 of 36000.0 MiB, 4.0 MiB/s, 2 h 30 min left"),
        (Downloaded(3 * MIB, None, MIB), "3.0 MiB, 1.0 MiB/s"),
    ],
)
def test_a_download_reports_percent_rate_and_time_left(seen: Downloaded, text: str) -> None:
    assert str(seen) == text


def test_a_download_is_reported_each_tenth_or_each_ten_seconds() -> None:
    pace = Pace()
    fast = [done for second, done in enumerate(range(0, 101, 4)) if pace.due(Downloaded(done, 100, 4.0), float(second))]
    assert fast == [0, 12, 24, 36, 48, 60, 72, 84, 96]
    pace = Pace()
    slow = [second for second in range(1, 40) if pace.due(Downloaded(second, 10_000, 1.0), float(second))]
    assert slow == [1, 11, 21, 31]
    pace = Pace()
    stalled = [second for second in range(1, 40) if pace.due(Downloaded(7, 100, 0.0), float(second))]
    assert stalled == [1]


def test_the_next_download_is_reported_from_its_beginning() -> None:
    pace = Pace()
    reports = [Downloaded(done, 100, 1.0) for done in (0, 95, 99, 1, 2, 20)]
    assert [seen.done for seen in reports if pace.due(seen, 0.0)] == [0, 95, 1, 20]


# -- what is written ---------------------------------------------------------------------------------------------------
def test_nothing_is_reported_where_nobody_wants_to_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(progress.VARIABLE, raising=False)
    with progress.step("web1", "create"):
        pass
    progress.note("download", "25 %")
    assert progress.download_reporter("image.xz") is None
    assert progress.ended() == {}


def test_steps_are_written_as_they_begin_and_end(file: Path) -> None:
    assert not file.exists()
    with progress.step("web1", "create"):
        assert [Event.parse(line) for line in file.read_bytes().splitlines()] == [Event("web1", "create", "begun")]
    with pytest.raises(RuntimeError), progress.step("web1", "start"):
        raise RuntimeError
    events = [Event.parse(line) for line in file.read_bytes().splitlines()]
    assert [(event.step, event.state) for event in events if event] == [
        ("create", "begun"),
        ("create", "done"),
        ("start", "begun"),
        ("start", "failed"),
    ]
    ended = [Event(*values) for values in progress.ended()[progress.RESULT_KEY]]
    assert ended == [event for event in events if event and event.state != "begun"]


def test_a_download_is_written(file: Path) -> None:
    report = progress.download_reporter("image.xz")
    assert report is not None
    report(MIB, 4 * MIB, MIB)
    report(MIB + 1, 4 * MIB, MIB)
    assert [str(Event.parse(line)) for line in file.read_bytes().splitlines()] == [
        "download image.xz: 25 %, 1.0 of 4.0 MiB, 1.0 MiB/s, 3 s left"
    ]


@pytest.mark.parametrize(("others_read", "mode"), [(False, 0o600), (True, 0o644)])
def test_others_can_read_the_file_where_the_plugin_is_another_user_only(
    tmp_path: Path, others_read: bool, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events"
    monkeypatch.setenv(progress.VARIABLE, progress.setting(str(path), others_read=others_read))
    progress.note("plan", "1 to create")
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_file_of_somebody_else_is_left_alone(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("somebody's")
    file.symlink_to(other)
    progress.note("plan", "1 to create")
    file.unlink()
    file.write_text("somebody's, too")
    progress.note("plan", "2 to create")
    assert other.read_text() == "somebody's"
    assert file.read_text() == "somebody's, too"
    assert len(progress.ended()[progress.RESULT_KEY]) == 2
