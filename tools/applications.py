# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the tables of ``docs/applications.md``: the applications that are complete, and what needs make of a guest.

make schema
"""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._model.apps.needs import NEEDS
from ansible_collections.pve.provision.plugins.plugin_utils.app_list import Query, find_apps

TARGET = Path(__file__).resolve().parents[1] / "docs/applications.md"


def rows(cells: t.Iterable[t.Sequence[str]]) -> str:
    head, *body = cells
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *body])


def applications() -> str:
    found, _findings = find_apps(Query(complete=True))
    head = ["application", "what it is", "cores, MiB, disk", "needs", "options"]
    return rows([head, *(_application(app) for app in found)])


def _application(app: dict[str, t.Any]) -> list[str]:
    size = f"{app['cores']}, {app['memory']}, {app['disk']}"
    options = [f"`{name}`{' (secret)' if spec.get('secret') else ''}" for name, spec in app["options"].items()]
    needs = ", ".join(f"`{need}`" for need in app["needs"])
    return [f"`{app['name']}`", f"{app['title']}: {app['description']}", size, needs, ", ".join(options)]


def needs() -> str:
    head = ["need", "what it is", "options of a container", "why"]
    return rows([head, *(_need(name) for name in NEEDS)])


def _need(name: str) -> list[str]:
    need = NEEDS[name]
    options = {**need.container, **({"unprivileged": False} if need.privileged else {})}
    told = ", ".join(f"`{option}: {json.dumps(value)}`" for option, value in options.items())
    why = ". ".join(dict.fromkeys(text[0].upper() + text[1:] for text in (need.because, need.privileged) if text))
    return [f"`{name}`", need.meaning, "a VM only" if need.vm_only else told, f"{why}."]


def written(text: str) -> str:
    """A text with its tables."""
    for name, table in (("applications", applications()), ("needs", needs())):
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        before, _begin, rest = text.partition(begin)
        text = f"{before}{begin}{table}\n{end}{rest.partition(end)[2]}"
    return text


if __name__ == "__main__":
    TARGET.write_text(written(TARGET.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"docs/applications.md: {len(find_apps(Query(complete=True))[0])} applications")
