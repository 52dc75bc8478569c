# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the applications that there are, as people search for them."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.app.read import needs_of
from ansible_collections.pve.provision.plugins.module_utils._model.apps.needs import meet
from ansible_collections.pve.provision.plugins.plugin_utils.app_catalog import facts
from ansible_collections.pve.provision.plugins.plugin_utils.apps import find_profile, own_names

App = dict[str, t.Any]


@dataclass(frozen=True)
class Query:
    """What is looked for. What is None or empty is not asked for."""

    name: str | None = None
    search: str | None = None
    category: str | None = None
    tags: t.Sequence[str] = ()
    complete: bool | None = None

    def fits(self, app: App) -> bool:
        text = " ".join([app["name"], app["title"], app["description"], *app["tags"]]).lower()
        return (
            (self.search is None or self.search.lower() in text)
            and (self.category is None or app["category"] == self.category)
            and set(self.tags) <= set(app["tags"])
            and (self.complete is None or app["complete"] is self.complete)
        )


def find_apps(query: Query, folders: t.Sequence[Path] = ()) -> tuple[list[App], list[Finding]]:
    """The applications that fit, by their names, and what is wrong with profiles that cannot be read."""
    names = [query.name] if query.name else sorted({*own_names(folders), *facts()})
    found: list[App] = []
    findings: list[Finding] = []
    for name in names:
        profile, wrong = find_profile(name, folders)
        findings += wrong
        if not wrong:
            found.append(_shown(name, profile))
    return [app for app in found if query.fits(app)], findings


def _shown(name: str, profile: App) -> App:
    """An application as it is told: its size, what it needs, and what that makes of a container."""
    given = meet(name, needs_of(profile), "lxc", {})
    kept = ("title", "description", "category", "tags", "complete", "types", "cores", "memory", "disk", "ostemplate")
    container = {"unprivileged": given.options.get("unprivileged", True)} if "lxc" in profile["types"] else {}
    return {
        "name": name,
        **{key: profile[key] for key in kept},
        **container,
        "needs": profile["needs"],
        "reasons": list(given.reasons) if container else [],
        "ports": [{key: value for key, value in port.items() if value is not None} for port in profile["ports"]],
        "options": {key: _told(spec) for key, spec in profile["options"].items()},
    }


def _told(spec: App) -> App:
    """An option of an application, without how it is spelt in files."""
    told = {key: value for key, value in spec.items() if key not in ("format", "join", "options")}
    if "options" in spec:
        told["options"] = {key: _told(inner) for key, inner in spec["options"].items()}
    return told
