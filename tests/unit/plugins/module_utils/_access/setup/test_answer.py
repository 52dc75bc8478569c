# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the setup script tells, read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._access.setup.answer import (
    Note,
    changes_of,
    difference,
    on_new,
    parse_answer,
)
from ansible_collections.pve.provision.plugins.module_utils._access.setup.render import record_id
from ansible_collections.pve.provision.plugins.module_utils._model.setup.declare import declare_setup

SETUP, _FINDINGS = declare_setup({
    "packages": ["nginx", {"name": "x", "manager": "dnf"}, {"name": "y", "state": "absent"}],
    "services": {"nginx": True},
})  # fmt: skip
NGINX, X = record_id("package", "nginx"), record_id("package", "x")


def test_everything_that_is_told_has_its_place() -> None:
    answer = parse_answer(
        "noise\n#setup fact manager apt\n#setup 0 change install\n#setup 3 change enable start\n#setup 3 done stop\n"
        "#setup 1 restart nginx\n#setup 2 fault is a b\n#setup record file-1 there created abc - /etc/a b\n"
        "#setup 0 failed went wrong\n#setup 0 said a  b\n#setup end\n"
    )
    assert answer.facts == {"manager": "apt"}
    assert answer.changes == {"0": ["install"], "3": ["enable", "start"]}
    assert answer.done == {"3": ["stop"]}
    assert answer.restarts == ["nginx"]
    assert answer.faults == [("2", "is a b")]
    assert answer.notes == [Note("file-1", "there", "created abc - /etc/a b")]
    assert (answer.failed, answer.said, answer.complete) == (("0", "went wrong"), ["a  b"], True)


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    difference(SETUP, parse_answer(text.replace("#setup ", "")))


@given(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])))
def test_what_a_note_says_is_read_as_it_is(path: str) -> None:
    answer = parse_answer(f"#setup record file-1 there created abc - {path}\n#setup end\n")
    assert answer.notes[0].title == path


def test_an_answer_that_breaks_off_is_not_complete() -> None:
    assert not parse_answer("#setup fact manager apt\n#setup 0 change install").complete


@pytest.mark.parametrize(
    ("note", "told"),
    [
        (Note("package-1", "there", "vim"), "packages: vim: remove"),
        (Note("package-1", "none", "vim"), "packages: vim: forget"),
        (Note("user-1", "there", "ada"), "users: ada: remove"),
        (Note("group-1", "there", "ada docker"), "users: ada: group docker: remove"),
        (Note("key-1", "there", "ada ssh-rsa AAAA a b"), "users: ada: ssh_key: remove"),
        (Note("service-1", "there", "no yes nginx"), "services: nginx: put back"),
        (Note("file-1", "there", "created abc nginx,cron /a b"), "files: /a b: remove"),
        (Note("file-1", "there", "replaced abc - /a"), "files: /a: restore"),
        (Note("file-1", "there", "there abc - /a"), "files: /a: forget"),
        (Note("file-1", "changed", "created abc - /a"), "files: /a: keep"),
    ],
)
def test_what_is_noted_and_not_declared_is_taken_back(note: Note, told: str) -> None:
    found = difference(SETUP, parse_answer(f"#setup record {note.name} {note.now} {note.line}\n"))
    assert [str(change) for change in found.changes] == [f"{told} (not declared any more)"]
    assert found.undo == (note.name,)


def test_what_is_declared_is_kept_as_far_as_it_is_for_this_guest() -> None:
    told = f"#setup fact manager apt\n#setup record {NGINX} there nginx\n#setup record {X} there x\n"
    assert difference(SETUP, parse_answer(told)).undo == (X,)


def test_a_restart_that_was_not_come_to_is_made_up_for() -> None:
    found = difference(SETUP, parse_answer("#setup record notify-cron there cron\n"))
    assert [str(change) for change in found.changes] == ["services: cron: restart"]
    assert (found.numbers, found.undo, bool(found)) == ((), (), True)


def test_a_service_that_is_started_is_not_restarted_besides() -> None:
    found = difference(SETUP, parse_answer("#setup 3 change start\n#setup 0 restart nginx\n"))
    assert [str(change) for change in found.changes] == ["services: nginx: start"]


def test_a_new_guest_has_all_of_it_to_come() -> None:
    assert [str(change) for change in on_new(SETUP)] == [
        "packages: nginx: install",
        "packages: x (dnf): install",
        "services: nginx: enable, start",
    ]


def test_what_was_done_is_reported_by_its_name() -> None:
    notes = [Note("package-1", "there", "vim")]
    done = {"package-1": ["remove"], "0": ["install"], "notify-cron": ["restart"]}
    assert [str(change) for change in changes_of(SETUP, done, notes)] == [
        "packages: vim: remove (not declared any more)",
        "packages: nginx: install",
        "services: cron: restart",
    ]
