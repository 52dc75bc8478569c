# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What parts ask in a guest: by real shells, and by that of the embedded node's guests."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.pve.provision.extensions.embedded_node.guest.commands import find
from ansible_collections.pve.provision.extensions.embedded_node.guest.shell import Shell as ScriptedShell
from ansible_collections.pve.provision.plugins.module_utils._access.inside import Inside, answers_of, ask_script
from ansible_collections.pve.provision.plugins.module_utils._access.shell import NO_ANSWER
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed

BUSYBOX = shutil.which("busybox")
MARK = "@@mark"


class Asked:
    """A shell that remembers what it was asked."""

    def __init__(self, *argv: str) -> None:
        self.argv = argv
        self.scripts: list[str] = []

    def __call__(self, script: str, *, timeout: int) -> Completed:
        self.scripts.append(script)
        done = subprocess.run(self.argv, input=script, capture_output=True, text=True, timeout=timeout, check=False)
        return Completed(done.returncode, done.stdout, done.stderr)


class Scripted:
    """The shell of a scripted guest, which has no files here."""

    files = None

    def knows(self, name: str) -> bool:
        return find(name) is not None

    def __call__(self, script: str, *, timeout: int) -> Completed:
        return Completed(*ScriptedShell(t.cast("t.Any", self), "sh").run(script))


SHELLS = [
    pytest.param(Asked("sh", "-s"), id="sh"),
    pytest.param(Asked("bash", "--posix", "-s"), id="bash"),
    pytest.param(Scripted(), id="scripted"),
    pytest.param(
        Asked(BUSYBOX or "", "ash", "-s"), id="ash", marks=pytest.mark.skipif(not BUSYBOX, reason="no busybox")
    ),
]


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> t.Any:
    return request.param


BLOCKS: dict[str, tuple[str, Completed]] = {
    "output": ("echo one\necho two", Completed(0, "one\ntwo\n", "")),
    "without a line's end": ("printf %s one", Completed(0, "one", "")),
    "nothing": (":", Completed(0, "", "")),
    "complaint": ("echo said; echo why >&2; echo more; false", Completed(1, "said\nmore\n", "why")),
    "has the last exit code that there is": ("exit 255", Completed(255, "", "")),
    "leaves": ("echo a; exit 7; echo b", Completed(7, "a\n", "")),
    "reads": ("cat; echo done", Completed(0, "done\n", "")),
    "keeps to itself": ("x=changed; set -- a b", Completed(0, "", "")),
    "after it": ('echo "${x:-untouched}"', Completed(0, "untouched\n", "")),
    "ends with a comment": ("echo a # said", Completed(0, "a\n", "")),
    "looks like an end": (f"echo '{MARK[:-1]} 0 0'", Completed(0, f"{MARK[:-1]} 0 0\n", "")),
}


def test_each_block_answers_for_itself(shell: t.Any) -> None:
    answers = Inside().ask(shell, {name: script for name, (script, _answer) in BLOCKS.items() if name != "reads"})
    assert answers == {name: answer for name, (_script, answer) in BLOCKS.items() if name != "reads"}


def test_no_block_reads_the_rest_of_the_script() -> None:
    script, answer = BLOCKS["reads"]
    assert Inside().ask(Asked("sh", "-s"), {"a": script, "b": script}) == {"a": answer, "b": answer}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r")), max_size=4))
def test_any_output_is_reported_as_it_is(texts: list[str]) -> None:
    blocks = {str(n): f"printf %s {shlex.quote(text)}" for n, text in enumerate(texts)}
    done = Asked("sh", "-s")(ask_script(blocks, MARK), timeout=60)
    assert [answer.stdout for answer in answers_of(done, blocks, MARK).values()] == texts


@pytest.mark.parametrize("cut", [0, 3, 12, 20])
def test_what_was_not_come_to_is_no_answer(cut: int) -> None:
    blocks = {"a": "echo first", "b": "echo second"}
    whole = Asked("sh", "-s")(ask_script(blocks, MARK), timeout=60).stdout
    answers = answers_of(Completed(137, whole[:cut], "Killed"), blocks, MARK)
    assert answers["b"] == Completed(NO_ANSWER, "", "Killed")
    assert answers["a"].rc == (0 if cut > whole.index(f"\n{MARK}\n") + len(MARK) + 1 else NO_ANSWER)


def test_what_is_included_goes_along_with_the_first_question_alone() -> None:
    shell, inside = Asked("sh", "-s"), Inside()
    inside.include("service", "echo runs")
    inside.include("disk", "echo half full")
    assert set(inside.ask(shell, {"setup": "echo differs"})) == {"service", "disk", "setup"}
    assert inside.answers["disk"].stdout == "half full\n"
    assert set(inside.ask(shell, {"again": "echo b"})) == {"again"}
    assert "again" not in inside.answers
    assert len(shell.scripts) == 2


def test_a_changed_guest_is_asked_everything_again() -> None:
    shell, inside = Asked("sh", "-s"), Inside()
    inside.include("disk", "echo half full")
    inside.ask(shell)
    inside.forget()
    assert inside.answers == {}
    assert set(inside.ask(shell, {"service": "echo runs"})) == {"disk", "service"}


def test_nothing_to_ask_costs_nothing() -> None:
    shell = Asked("sh", "-s")
    assert Inside().ask(shell) == {}
    assert shell.scripts == []
