# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: lists applications on the controller, where their profiles are."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase

from ansible_collections.pve.provision.plugins.module_utils._guests.app.spec import APP_INFO
from ansible_collections.pve.provision.plugins.plugin_utils.app_list import Query, find_apps


class ActionModule(ActionBase):
    """Reads profiles and the catalogue; starts nothing anywhere."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(APP_INFO.options)
        folders = [Path(self._loader.path_dwim(path)) for path in args.pop("app_paths") or ()]
        found, findings = find_apps(Query(**{**args, "tags": args["tags"] or ()}), folders)
        if findings and args["name"]:
            return {**result, "failed": True, "msg": "; ".join(map(str, findings))}
        warnings = [str(finding) for finding in findings]
        return {**result, "changed": False, "apps": found, **({"warnings": warnings} if warnings else {})}
