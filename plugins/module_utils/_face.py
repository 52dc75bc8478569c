# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what the modules have in common between their options and the workflow."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible.module_utils import basic

from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._model.diff import Path, null_paths
from ansible_collections.pve.provision.plugins.module_utils._model.secrets import secret_values
from ansible_collections.pve.provision.plugins.module_utils._pve.open_node import open_node
from ansible_collections.pve.provision.plugins.module_utils._workflow.guest import Companion, Wanted
from ansible_collections.pve.provision.plugins.module_utils._workflow.reconcile import reconcile

# The parameters and where they say null to what is wanted, and what that kind of guest adds to the workflow.
Read = t.Callable[[t.Mapping[str, t.Any], frozenset[Path]], tuple[Wanted, Companion]]


class Module(basic.AnsibleModule):
    """An AnsibleModule that hides the secrets in options that are free in form, which no spec can mark.

    They are told by the names they stand under, before anything is checked or logged. ``secret_names`` of the
    parameters are further such names; an option whose spec says ``no_log`` either way is left to that.
    """

    def _load_params(self) -> None:
        super()._load_params()
        more = self.params.get("secret_names")
        names = {str(name) for name in more} if isinstance(more, list) else set()
        free = {name: value for name, value in self.params.items() if "no_log" not in self.argument_spec.get(name, {})}
        self.no_log_values.update(secret_values(free, names))


def explicit_nulls() -> frozenset[Path]:
    """Where the task says null. A module's parameters show null and absent alike; the task's own still tell them."""
    raw = basic._load_params()
    return null_paths({key: value for key, value in raw.items() if not key.startswith("_ansible_")})


def make_match(params: t.Mapping[str, t.Any], read: Read, *, check_mode: bool) -> tuple[dict[str, t.Any], list[str]]:
    """Make a guest match a module's parameters: the module's return values, and its warnings."""
    wanted, companion = read(params, explicit_nulls())
    result = reconcile(open_node(params), wanted, check_mode=check_mode, companion=companion)
    answer = {key: value for key, value in dataclasses.asdict(result).items() if value not in (None, "")}
    warnings, more = answer.pop("warnings"), answer.pop("more")
    return {**more, **answer}, warnings


def failure(error: ProvisionError) -> dict[str, t.Any]:
    """The return values of a module that failed."""
    return {"msg": str(error), "error": error.kind, **error.details}
