# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run is told by: pure functions, run on the controller."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.filter.guests import guest_results
from ansible_collections.pve.provision.plugins.module_utils._guests.registry import Guest


def run_report(told: list[Guest], guests: list[Guest], after: list[Guest], check_mode: bool = False) -> Guest:
    """What a report of a run tells. ``told``: what the tasks of each host have registered, those that failed too;
    ``guests`` the declared ones with their defaults, ``after`` the storages of each node at the end."""
    return {
        "failed": any(each.get("failed") for each in told),
        "messages": [str(each["msg"]) for each in told if each.get("failed") and each.get("msg")],
        "guests": _rows([result for each in told for result in each.get("guests") or ()], guests, check_mode),
        **{name: [line for each in told for line in each.get(name) or ()] for name in ("plan", "timeline")},
        "storages_before": _storages(told),
        "storages": _storages(after),
    }


def _rows(results: list[Guest], guests: list[Guest], check_mode: bool) -> list[Guest]:
    """Each guest with what was found of it, and the role's judgement. In check mode nothing has been made yet."""
    rows = [
        {**result, **row, "evidence": result.get("checks") or []}
        for result, row in zip(results, guest_results(results, guests), strict=True)
    ]
    unknown: Guest = {"checks": "", "failed_checks": [], "unverified_checks": []} if check_mode else {}
    return [{**row, **unknown} for row in rows]


def _storages(told: list[Guest]) -> list[Guest]:
    """The storages of all nodes: a shared one once, the others by their nodes where there are several."""
    nodes = {each["node"] for each in told if "storages" in each}
    found: dict[str, Guest] = {}
    for each in told:
        for storage in each.get("storages") or ():
            alone = storage.get("shared") or len(nodes) < 2
            name = storage["name"] if alone else f"{each['node']}: {storage['name']}"
            found.setdefault(name, {**storage, "name": name})
    return list(found.values())


class FilterModule:
    """The filters of reports."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"run_report": run_report}
