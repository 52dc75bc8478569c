# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what the modules have in common between their options and the workflow."""

from __future__ import annotations

import contextlib
import re
import typing as t

from ansible.module_utils import basic

from ansible_collections.pve.provision.plugins.module_utils._argspec import CONNECTION, ArgSpec
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Result
from ansible_collections.pve.provision.plugins.module_utils._engine.reconcile import reconcile
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, InvalidInput, ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._given import (
    blank_is_null,
    no_dictionaries,
    null_entries,
    without_nulls,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.app.spec import PROFILES
from ansible_collections.pve.provision.plugins.module_utils._guests.registry import SECRET_OPTIONS, TYPES
from ansible_collections.pve.provision.plugins.module_utils._io import interrupt, progress
from ansible_collections.pve.provision.plugins.module_utils._model.declare import null_paths
from ansible_collections.pve.provision.plugins.module_utils._model.option import Path
from ansible_collections.pve.provision.plugins.module_utils._model.secrets import (
    closed_files,
    secret_values,
    text_secrets,
    url_secrets,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.open_node import open_node


class Module(basic.AnsibleModule):
    """An AnsibleModule that hides the secrets in options that are free in form, which no spec can mark.

    They are told by the names they stand under, before anything is checked or logged. ``secret_names`` of the
    parameters are further such names; an option whose spec says ``no_log`` either way is left to that.

    ``nulls`` is where the task says null: parameters show null and absent alike. ``mistyped`` is what stands where
    options belong, which no validation takes; the parameters are without it.
    """

    params: dict[str, t.Any]
    nulls: frozenset[Path]
    mistyped: list[Finding]

    def _load_params(self) -> None:
        super()._load_params()
        given = blank_is_null(self.params, self.argument_spec)
        self.nulls = null_paths({name: value for name, value in given.items() if not name.startswith("_ansible_")})
        self.params = without_nulls(given, self.argument_spec)
        self.mistyped = [Finding(*wrong) for wrong in no_dictionaries(self.params, self.argument_spec)]
        if self.mistyped:
            wrong = {re.split(r"[.\[]", finding.option)[0] for finding in self.mistyped}
            self.params = {name: value for name, value in self.params.items() if name not in wrong}
        more = self.params.get("secret_names")
        names = {str(name) for name in more} if isinstance(more, list) else set()
        names |= SECRET_OPTIONS
        free = {name: value for name, value in self.params.items() if "no_log" not in self.argument_spec.get(name, {})}
        self.no_log_values.update(secret_values(free, names), url_secrets(self.params))
        defaults = self.params.get("defaults")
        scripts = defaults.get("scripts") if isinstance(defaults, dict) else None
        self.no_log_values.update(text_secrets([scripts, closed_files(self.params)]))

    def interruptible(self) -> t.ContextManager[None]:
        """Have signals end the run between two steps, where it writes something."""
        return contextlib.nullcontext() if self.check_mode else interrupt.deferred()

    def exit_json(self, **kwargs: t.Any) -> None:
        super().exit_json(**kwargs, **progress.ended())

    def fail_json(self, msg: str, **kwargs: t.Any) -> None:
        super().fail_json(msg, **kwargs, **progress.ended())


def run_guest_module(kind: str) -> None:
    """The whole of a module for one guest of a type of the registry."""
    declared = TYPES[kind]
    module = CONNECTION.merge(declared.spec, declared.of_module).create_module(Module)
    with module.interruptible():
        try:
            wrong = [*module.mistyped, *null_entries(module.nulls, module.argument_spec)]
            if wrong:
                raise InvalidInput(wrong)
            wanted, parts = declared.read(module.params, module.nulls)
            result = reconcile(open_node(module.params), wanted, check_mode=module.check_mode, parts=parts)
        except ProvisionError as error:
            for warning in error.details.pop("warnings", ()):
                module.warn(str(warning))
            module.fail_json(**failure(error))
        for warning in result.warnings:
            module.warn(str(warning))
        module.exit_json(**answer_of(result))


def run_list_module(spec: ArgSpec, run: t.Callable[[Module], dict[str, t.Any]]) -> None:
    """The whole of a module for a list of guests. ``run`` returns ``failed`` when it failed."""
    module = CONNECTION.merge(spec, PROFILES).create_module(Module)
    # Of a long declaration nothing goes back: whoever wrote it has it.
    long = ("guests", "defaults", "app_profiles")
    told = {"module_args": {name: value for name, value in module.params.items() if name not in long}}
    with module.interruptible():
        try:
            answer = run(module)
        except ProvisionError as error:
            module.fail_json(**failure(error), invocation=told)
        for warning in answer.pop("warnings"):
            module.warn(warning)
        answer["invocation"] = told
        if answer.pop("failed", False):
            module.fail_json(**answer)
        module.exit_json(**answer)


def answer_of(result: Result) -> dict[str, t.Any]:
    """The return values of a module for one guest, without its warnings."""
    answer = result.values()
    del answer["warnings"]
    return answer


def failure(error: ProvisionError) -> dict[str, t.Any]:
    """The return values of a module that failed."""
    return {"msg": str(error), "error": error.kind, **error.details}
