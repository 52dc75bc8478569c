# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest
from fake_clock import FakeClock

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Conflict,
    ProvisionError,
    PveError,
    TaskFailed,
    Timeout,
    Unreachable,
)
from ansible_collections.pve.provision.plugins.module_utils._pve import tasks
from ansible_collections.pve.provision.plugins.module_utils._pve.tasks import Upid, succeeded, wait
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Outcome

TEXT = "UPID:pve1:000044AA:000426BA:6B03AD98:vzcreate:140:root@pam!oracle:"
UPID = Upid.parse(TEXT)
RUNNING = {"status": "running"}


def stopped(ending: str) -> dict[str, str]:
    return {"status": "stopped", "exitstatus": ending}


class Script:
    """Tasks that answer from a list; the clock is moved by sleeping alone."""

    def __init__(self, *answers: t.Any, log: list[str] = ()):
        self.answers = list(answers)
        self.log = list(log)
        self.clock = FakeClock(now=0.0)

    def task_status(self, upid: Upid) -> t.Any:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def task_log(self, upid: Upid) -> list[str]:
        return self.log

    def wait(self, timeout: float = 600) -> Outcome:
        return wait(self, UPID, step="create lxc 140", timeout=timeout, clock=self.clock)


def test_an_upid_says_what_it_is_about():
    assert (UPID.node, UPID.pid, UPID.started, UPID.type, UPID.id, UPID.user) == (
        "pve1",
        0x44AA,
        0x6B03AD98,
        "vzcreate",
        "140",
        "root@pam!oracle",
    )


@pytest.mark.parametrize("text", ["", "UPID:pve1", "OK", TEXT[:-1], TEXT + "x", "UPID:n:zz:0:0:t:1:u:"])
def test_other_text_is_no_upid(text: str):
    with pytest.raises(ValueError):
        Upid.parse(text)


def test_ok_reads_no_log():
    script = Script(RUNNING, stopped("OK"))
    script.task_log = None
    assert script.wait().upid == TEXT


def test_nobody_asks_before_a_task_can_have_ended():
    script = Script(stopped("OK"))
    script.wait()
    assert script.clock.slept == [0.5]  # a container is not made sooner
    quick = Upid.parse(TEXT.replace("vzcreate", "qmconfig"))
    script = Script(stopped("OK"))
    wait(script, quick, step="set qemu 140", timeout=60, clock=script.clock)
    assert script.clock.slept == [tasks.PAUSES[0]]


@pytest.mark.parametrize(("kind", "shows"), [("qmstart", True), ("vzstart", False), ("hastart", False)])
def test_only_the_task_that_starts_qemu_shows_by_its_end_that_the_guest_runs(kind: str, shows: bool):
    assert tasks.shows_running(TEXT.replace("vzcreate", kind)) is shows
    assert not tasks.shows_running(None)


def test_pauses_grow_to_two_seconds():
    script = Script(*[RUNNING] * 30, stopped("OK"))
    script.wait()
    assert script.clock.slept[1:] == sorted(script.clock.slept[1:])
    assert script.clock.slept[-1] == 2.0


def test_a_failure_is_reported_at_once_with_the_end_of_the_log():
    log = [f"line {n}" for n in range(20)]
    script = Script(stopped("command 'tar' failed: exit code 2"), log=log)
    with pytest.raises(TaskFailed) as caught:
        script.wait()
    assert caught.value.message.startswith("create lxc 140: command 'tar' failed: exit code 2\nline 10")
    assert caught.value.details["log"] == log[-10:]
    assert caught.value.details["upid"] == TEXT
    assert len(script.clock.slept) == 1


def test_a_failure_with_a_meaning_has_it():
    with pytest.raises(Conflict):
        Script(stopped("CT is locked (backup)")).wait()


def test_warnings_are_a_success_and_are_reported():
    outcome = Script(stopped("WARNINGS: 1"), log=["x", "WARN: enable nesting", "TASK WARNINGS: 1"]).wait()
    assert outcome.warnings == ("enable nesting",)
    assert succeeded("WARNINGS: 1")
    assert Script(stopped("WARNINGS: 2"), log=[]).wait().warnings == ("WARNINGS: 2",)


def test_the_deadline_names_the_task():
    script = Script(RUNNING)
    with pytest.raises(Timeout) as caught:
        script.wait(timeout=7)
    assert TEXT in caught.value.message
    assert caught.value.details["upid"] == TEXT
    assert 7 <= script.clock.time < 8


def test_a_short_silence_is_survived():
    assert Script(RUNNING, *[Unreachable("refused")] * 5, RUNNING, stopped("OK")).wait().upid == TEXT


def test_a_long_one_is_not():
    script = Script(RUNNING, Unreachable("refused"))
    with pytest.raises(Unreachable, match="refused") as caught:
        script.wait()
    assert caught.value.details["upid"] == TEXT
    assert 60 < script.clock.time < 70


def test_a_state_that_pve_failed_to_tell_is_asked_for_again():
    script = Script(PveError("500 cluster not ready - no quorum?", status=500), Timeout("late"), stopped("OK"))
    assert script.wait().upid == TEXT


@pytest.mark.parametrize(
    "error",
    [
        PveError("401 permission denied - invalid PVE ticket", reason="login"),
        PveError("upid: no such task", status=400),
    ],
)
def test_a_state_that_pve_refuses_to_tell_is_reported_at_once_and_that_the_task_may_end_well(error: ProvisionError):
    script = Script(error)
    with pytest.raises(type(error), match=f"create lxc 140: {error.message}") as caught:
        script.wait()
    assert len(script.clock.slept) == 1
    assert "run again when it has ended" in caught.value.remedy
    assert caught.value.details["upid"] == TEXT


@pytest.mark.parametrize("ending", ["WARNINGS: 1", "command 'tar' failed: exit code 2"])
def test_a_log_that_cannot_be_read_does_not_change_how_a_task_ended(ending: str):
    script = Script(stopped(ending))

    def unread(upid: Upid) -> list[str]:
        raise PveError("500 no")

    script.task_log = unread
    if succeeded(ending):
        assert script.wait().warnings == (ending,)
        return
    with pytest.raises(TaskFailed, match=ending):
        script.wait()
