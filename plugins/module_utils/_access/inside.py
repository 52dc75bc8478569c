# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what the parts of a run ask in a running guest, all of it by one command on the node.

A look into a guest costs half a second, whatever is asked. So a part says beforehand what it is going to ask
(:meth:`Inside.include`), and the first question takes all of that along.
"""

from __future__ import annotations

import secrets
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._access.shell import NO_ANSWER, Shell
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed

Blocks = t.Mapping[str, str]

# Some ways into a guest bring no environment.
_HOME: t.Final = "HOME=${HOME:-/root}\nexport HOME\n"
# A block writes its output to where the script's goes, and what it complains about comes after it.
_BLOCK: t.Final = """\
pve_provision_{number}() {{
{script}
}}
"""
_RUN: t.Final = """\
{{ err=$( (pve_provision_{number}) 2>&1 >&3 < /dev/null ); rc=$?; }} 3>&1
printf '\\n%s\\n%s\\n%s\\n' "{mark} {number} $rc" "$err" '{mark}'
"""


class Inside:
    """One guest's shell during a run. ``answers``: what the first question brought, by the names of its blocks."""

    def __init__(self) -> None:
        self.answers: dict[str, Completed] = {}
        self._included: dict[str, str] = {}
        self._patience = 0

    def include(self, name: str, script: str, *, timeout: int = 0) -> None:
        """Have a block asked along with the first question, which then may take ``timeout`` seconds, whoever asks."""
        self._included[name] = script
        self._patience = max(self._patience, timeout)

    def ask(self, shell: Shell, blocks: Blocks | None = None, timeout: int = 60) -> dict[str, Completed]:
        """Run blocks of script, each by itself, by one command; the first time also those that are included.

        A block that was not come to, since the guest or the way to it failed, has the exit code ``NO_ANSWER``.
        """
        first = not self.answers
        asked = {**(self._included if first else {}), **(blocks or {})}
        if not asked:
            return {}
        mark = f"@@{secrets.token_hex(8)}"
        done = shell(ask_script(asked, mark), timeout=max(timeout, self._patience) if first else timeout)
        answers = answers_of(done, asked, mark)
        if first:
            self.answers = answers
        return answers

    def forget(self) -> None:
        """The run has changed the guest: the next question is the first again."""
        self.answers = {}


def ask_script(blocks: Blocks, mark: str) -> str:
    """A script that runs each block by itself. ``mark`` is in no output."""
    bodies = [_BLOCK.format(number=number, script=script) for number, script in enumerate(blocks.values())]
    runs = [_RUN.format(number=number, mark=mark) for number in range(len(blocks))]
    return "".join([_HOME, *bodies, *runs])


def answers_of(done: Completed, blocks: Blocks, mark: str) -> dict[str, Completed]:
    """What each block of such a script has answered."""
    told: dict[int, Completed] = {}
    rest = done.stdout
    while True:
        stdout, found, rest = rest.partition(f"\n{mark} ")
        head, newline, rest = rest.partition("\n")
        stderr, ended, rest = rest.partition(f"\n{mark}\n")
        if not (found and newline and ended):
            break
        number, _space, code = head.partition(" ")
        told[int(number)] = Completed(int(code), stdout, stderr)
    reason = done.stderr.strip() or f"the guest's shell ended with {done.rc} and did not come to it"
    missing = Completed(NO_ANSWER, "", reason)
    return {name: told.get(number, missing) for number, name in enumerate(blocks)}
