# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what the modules have in common between their options and the workflow."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible.module_utils import basic

from ansible_collections.pve.provision.plugins.module_utils._argspec import (
    blank_is_null,
    null_entries,
    without_nulls,
)
from ansible_collections.pve.provision.plugins.module_utils._errors import InvalidInput, ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._model.diff import Path, null_paths
from ansible_collections.pve.provision.plugins.module_utils._model.secrets import (
    closed_files,
    secret_values,
    text_secrets,
    url_secrets,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.open_node import open_node
from ansible_collections.pve.provision.plugins.module_utils._workflow.guest import Companion, Wanted
from ansible_collections.pve.provision.plugins.module_utils._workflow.reconcile import reconcile

# The parameters and where they say null to what is wanted, and what that kind of guest adds to the workflow.
Read = t.Callable[[t.Mapping[str, t.Any], frozenset[Path]], tuple[Wanted, Companion]]


class Module(basic.AnsibleModule):
    """An AnsibleModule that hides the secrets in options that are free in form, which no spec can mark.

    They are told by the names they stand under, before anything is checked or logged. ``secret_names`` of the
    parameters are further such names; an option whose spec says ``no_log`` either way is left to that.

    ``nulls`` is where the task says null: parameters show null and absent alike.
    """

    params: dict[str, t.Any]
    nulls: frozenset[Path]

    def _load_params(self) -> None:
        super()._load_params()
        given = blank_is_null(self.params, self.argument_spec)
        self.nulls = null_paths({name: value for name, value in given.items() if not name.startswith("_ansible_")})
        self.params = without_nulls(given, self.argument_spec)
        more = self.params.get("secret_names")
        names = {str(name) for name in more} if isinstance(more, list) else set()
        free = {name: value for name, value in self.params.items() if "no_log" not in self.argument_spec.get(name, {})}
        self.no_log_values.update(secret_values(free, names), url_secrets(self.params))
        defaults = self.params.get("defaults")
        if isinstance(defaults, dict):
            texts = [defaults.get("scripts"), closed_files(defaults.get("files"))]
            self.no_log_values.update(text_secrets(texts))


def make_match(module: Module, read: Read) -> tuple[dict[str, t.Any], list[str]]:
    """Make a guest match a module's parameters: the module's return values, and its warnings."""
    wrong = null_entries(module.nulls, module.argument_spec)
    if wrong:
        raise InvalidInput(wrong)
    wanted, companion = read(module.params, module.nulls)
    result = reconcile(open_node(module.params), wanted, check_mode=module.check_mode, companion=companion)
    answer = {key: value for key, value in dataclasses.asdict(result).items() if value not in (None, "")}
    warnings, more = answer.pop("warnings"), answer.pop("more")
    return {**more, **answer}, warnings


def failure(error: ProvisionError) -> dict[str, t.Any]:
    """The return values of a module that failed."""
    return {"msg": str(error), "error": error.kind, **error.details}
