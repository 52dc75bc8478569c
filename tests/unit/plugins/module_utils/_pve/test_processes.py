# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import Timeout, Unreachable
from ansible_collections.pve.provision.plugins.module_utils._pve import processes
from ansible_collections.pve.provision.plugins.module_utils._pve.processes import is_creating, is_moving, run
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Kind


def test_output_exit_code_and_input_are_kept_apart():
    done = run(["sh", "-c", "cat; echo bad >&2; exit 7"], stdin="grüße\n")
    assert (done.rc, done.stdout, done.stderr) == (7, "grüße\n", "bad\n")


@pytest.fixture(params=["told by the kernel", "without that"])
def waiting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to wait for the end of a process."""

    def missing(_pid: int) -> int:
        raise OSError(errno.ENOSYS, "Function not implemented")

    if request.param == "without that":
        monkeypatch.setattr(os, "pidfd_open", missing)


def test_more_input_than_a_pipe_holds(waiting: None) -> None:
    text = "0123456789" * 50000
    assert run(["sh", "-c", "sleep 0.1; cat"], stdin=text).stdout == text


def test_input_that_is_not_read_is_no_failure(waiting: None) -> None:
    assert run(["sh", "-c", "exec <&-; sleep 0.1; echo ended"], stdin="x" * 500000).stdout == "ended\n"


def test_nothing_is_left_open(waiting: None) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    run(["cat"], stdin="text")
    with pytest.raises(Timeout):
        run(["sleep", "600"], timeout=0.1, grace=60)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_output_that_is_no_text_is_read_nevertheless():
    assert run(["sh", "-c", r"printf 'a\377b'"]).stdout == "a\ufffdb"


def test_a_missing_command_says_where_we_should_be():
    with pytest.raises(Unreachable, match="no-such-command") as caught:
        run(["no-such-command"])
    assert "api_host" in caught.value.remedy


def test_more_output_than_a_pipe_holds():
    assert (
        len(run(["sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x; head -c 300000 /dev/zero >&2"]).stdout) == 300000
    )


def until(come: t.Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not come():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def timed_from(monkeypatch: pytest.MonkeyPatch, moment: t.Callable[[], bool]) -> None:
    """Let the time that a command may take begin at that moment of it, so that a busy machine changes nothing."""

    real = processes._attend

    def attend(*args: t.Any) -> None:
        until(moment)
        real(*args)

    monkeypatch.setattr(processes, "_attend", attend)


def test_a_command_that_takes_too_long_is_asked_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    note = tmp_path / "cleaned"
    ready = tmp_path / "ready"
    script = f"trap 'echo done > {note}; exit 1' TERM; echo 1 > {ready}; sleep 600 & wait"
    timed_from(monkeypatch, ready.exists)
    with pytest.raises(Timeout, match=r"within 0 s"):
        run(["sh", "-c", script], timeout=0.3, grace=60)
    assert note.read_text() == "done\n"


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_one_that_will_not_end_is_killed_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pids = tmp_path / "pids"
    script = f"trap '' TERM; sh -c \"trap '' TERM; echo \\$\\$ >> {pids}; sleep 600\" & echo $$ >> {pids}; sleep 600"
    timed_from(monkeypatch, lambda: pids.exists() and len(pids.read_text().split()) == 2)
    with pytest.raises(Timeout):
        run(["sh", "-c", script], timeout=0.5, grace=0.3)
    until(lambda: all(gone(int(pid)) for pid in pids.read_text().split()))


def test_a_daemon_left_behind_does_not_hold_us():
    done = run(["sh", "-c", "sleep 600 & echo $!"])
    os.kill(int(done.stdout), signal.SIGKILL)  # it still ran


class TestIsCreating:
    @pytest.mark.parametrize(
        ("kind", "vmid", "cmdline", "expected"),
        [
            ("lxc", 110, "/usr/bin/perl\0/usr/sbin/pct\0create\x00110\0local:vztmpl/x\0", True),
            ("lxc", 110, "pct\0clone\x00101\x00110\0", True),
            ("lxc", 101, "pct\0clone\x00101\x00110\0", False),
            ("lxc", 11, "pct\0create\x00110\0", False),
            ("lxc", 110, "pct\0set\x00110\0--memory\x00512\0", False),
            ("qemu", 110, "pct\0create\x00110\0", False),
            ("qemu", 110, "/usr/sbin/qm\0create\x00110\0--memory\x00512\0", True),
            ("lxc", 110, "task UPID:pve1:000044AA:000426BA:6B03AD98:vzcreate:110:root@pam:\0", True),
            ("lxc", 110, "task UPID:pve1:000044AA:000426BA:6B03AD98:vzstart:110:root@pam:\0", False),
            ("lxc", 110, "task UPID:pve1:000044AA:000426BA:6B03AD98:vzrestore:110:root@pam:\0", True),
            ("lxc", 110, "task UPID:pve1:000044AA:000426BA:6B03AD98:vzclone:7:root@pam:\0", True),
            ("lxc", 110, "task UPID:pve1:000044AA:000426BA:6B03AD98:vzdump:110:root@pam:\0", True),
            ("lxc", 110, "/usr/bin/perl\0-T\0/usr/sbin/pct\0restore\x00110\0local:backup/x\0", True),
            ("lxc", 110, "/usr/bin/perl\0-T\0/usr/bin/vzdump\x00110\0--mode\0stop\0", True),
            ("qemu", 110, "task UPID:pve1:000044AA:000426BA:6B03AD98:qmrestore:110:root@pam:\0", True),
            ("qemu", 110, "/usr/sbin/qmrestore\0local:backup/x\x00110\0", True),
            ("qemu", 110, "/usr/sbin/qm\0importdisk\x00110\0/tmp/a.raw\0", True),
            ("qemu", 110, "/usr/sbin/qm\0disk\0import\x00110\0/tmp/a.raw\0", True),
            ("qemu", 11, "/usr/sbin/qm\0importdisk\x00110\0/tmp/a.raw\0", False),
            ("lxc", 110, "vim\0notes-about-pct create 110\0", False),
        ],
    )
    def test_by_the_command_line(self, tmp_path: Path, kind: Kind, vmid: int, cmdline: str, expected: bool):
        process = tmp_path / "proc/42"
        process.mkdir(parents=True)
        (process / "cmdline").write_text(cmdline)
        (process / "environ").write_text(f"HOME=/root\0PVE_ROOT={tmp_path}\0")
        assert is_creating(kind, vmid, tmp_path, tmp_path / "proc") is expected

    @pytest.mark.parametrize(
        ("cmdline", "expected"),
        [
            ("/usr/bin/perl\0-T\0/usr/sbin/qm\0disk\0move\x00110\0scsi0\0nas\0", True),
            ("qm\0move-disk\x00110\0scsi0\0nas\0", True),
            ("task UPID:pve1:000044AA:000426BA:6B03AD98:qmmove:110:root@pam:\0", True),
            ("task UPID:pve1:000044AA:000426BA:6B03AD98:qmmove:11:root@pam:\0", False),
            ("qm\0disk\0move\x001101\0scsi0\0nas\0", False),
            ("qm\0disk\0resize\x00110\0scsi0\0", False),
        ],
    )
    def test_a_move_by_the_command_line(self, tmp_path: Path, cmdline: str, expected: bool):
        process = tmp_path / "proc/42"
        process.mkdir(parents=True)
        (process / "cmdline").write_text(cmdline)
        (process / "environ").write_text(f"PVE_ROOT={tmp_path}\0")
        assert is_moving(110, tmp_path, tmp_path / "proc") is expected

    def test_a_process_of_another_root_is_none_of_ours(self, tmp_path: Path):
        process = tmp_path / "proc/42"
        process.mkdir(parents=True)
        (process / "cmdline").write_text("pct\0create\x00110\0")
        (process / "environ").write_text("PVE_ROOT=/elsewhere\0")
        assert not is_creating("lxc", 110, tmp_path, tmp_path / "proc")

    def test_a_living_process_is_seen(self, tmp_path: Path):
        code = "import sys; print(flush=True); sys.stdin.read()"
        argv = [sys.executable, "-c", code, "/usr/sbin/pct", "create", "4711", "x"]
        with subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PVE_ROOT": str(tmp_path)}
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            assert is_creating("lxc", 4711, tmp_path)
            process.communicate(b"")
        assert not is_creating("lxc", 4711, tmp_path)
