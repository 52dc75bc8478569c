# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: asks at the terminal what is to be made. Only the process that owns the terminal can read
it; Ansible lets an action plugin ask through that one."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsiblePromptInterrupt, AnsiblePromptNoninteractive
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.pve.provision.plugins.plugin_utils.wizard.dialog import Choice, Question, Quit, ask_all
from ansible_collections.pve.provision.plugins.plugin_utils.wizard.guest import ask_guests

Result = dict[str, t.Any]

_NO_TERMINAL: t.Final = (
    "There is no terminal to ask at. Declare the guests in a file instead, and run playbook pve.provision.provision "
    "with it: -e @guests.yml, where provision_guests is a list such as "
    "[{name: web1, type: lxc, ostemplate: debian-13-standard, state: started}]."
)
_ENDED: t.Final = "Ended. Nothing was changed."
#: Keys that end the questions: Ctrl-C, Ctrl-D, and a terminal that is gone.
_INTERRUPTS: t.Final = (b"\x03", b"\x04", b"")
QUIT: t.Final = "quit"
_WHAT_NOW: t.Final = (
    Choice("run", "write the file and make the guests"),
    Choice("write", "write the file only"),
    Choice(QUIT, "neither"),
)


class _Asking:
    """The terminal, as far as Ansible lends it."""

    def ask(self, prompt: str, *, secret: bool) -> str:
        typed = Display().prompt_until(prompt, private=secret, interrupt_input=_INTERRUPTS)
        return typed.decode(errors="replace") if isinstance(typed, bytes) else str(typed)

    def show(self, text: str) -> None:
        Display().display(text)


class ActionModule(ActionBase):
    """Asks for guests, or with a plan, what is to be done with it."""

    BYPASS_HOST_LOOP = True
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> Result:
        result: Result = super().run(tmp, task_vars)
        _spec, options = self.validate_argument_spec(
            {"node": {"type": "dict"}, "plan": {"type": "list", "elements": "str"}}, required_one_of=[("node", "plan")]
        )
        plan = options["plan"]
        try:
            told: Result = {"choice": _decide(plan)} if plan else {"guests": ask_guests(_Asking(), options["node"])}
        except AnsiblePromptNoninteractive:
            return {**result, "failed": True, "msg": _NO_TERMINAL}
        except (Quit, AnsiblePromptInterrupt):
            _Asking().show(_ENDED)
            told = {"choice": QUIT} if plan else {"guests": []}
        # A guest may have secrets: callback plugins are told nothing of it, the tasks that follow everything.
        return {**result, "changed": False, "_ansible_no_log": "guests" in told, **told}


def _decide(plan: list[str]) -> str:
    """What the user wants done, having seen the plan."""
    terminal = _Asking()
    terminal.show("\n".join(["", "The plan:", *plan, ""]))
    asked = [Question("choice", "What now", "", lambda _answers: "run", lambda _answers: _WHAT_NOW)]
    answers = ask_all(terminal, asked, lambda _answers, _question: "")
    if answers is None or answers["choice"] == QUIT:
        raise Quit
    return str(answers["choice"])
