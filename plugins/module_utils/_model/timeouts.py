# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: how long what may take, by one option for all of it or by one for each. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding

Values = dict[str, t.Any]


class DownloadLimits(t.TypedDict, total=False):
    """How long a download may take in seconds, and how often it is attempted at each server."""

    timeout: int
    attempts: int


@dataclass(frozen=True)
class Limit:
    """How long something may take, in seconds. ``default`` None: as long as ``timeout`` says; ``flat``: an option
    beside ``timeouts`` says the same, which is called as :func:`name_of` says."""

    default: int | None = None
    flat: bool = False


TIMEOUTS: t.Final[dict[str, Limit]] = {
    "create": Limit(),
    "start": Limit(60, flat=True),
    "ip": Limit(0, flat=True),
    "agent": Limit(30, flat=True),
    "download": Limit(),
    "shutdown": Limit(60, flat=True),
    "post_install": Limit(900),
}
"""By their names in the option ``timeouts``."""


def name_of(limit: str) -> str:
    """What a limit is called outside of ``timeouts``."""
    return f"{limit}_timeout"


FLAT: t.Final = {name: name_of(name) for name, limit in TIMEOUTS.items() if limit.flat}
"""The options beside ``timeouts``, by the limits that they state."""


def with_timeouts(values: t.Mapping[str, t.Any]) -> tuple[Values, list[Finding]]:
    """The options of a guest with each limit under its own name, and what is wrong with them: one that is stated twice
    is to be the same."""
    declared = values.get("timeouts") or {}
    complete, findings = dict(values), list[Finding]()
    for name, limit in TIMEOUTS.items():
        option, given = name_of(name), declared.get(name)
        beside = values.get(option) if limit.flat else None
        if None not in (given, beside) and given != beside:
            problem = f"is not the {beside} of {option}"
            findings.append(Finding(f"timeouts.{name}", given, problem, "State one of the two."))
        stated = given if beside is None else beside
        if stated is not None and stated < 0:
            path = f"timeouts.{name}" if beside is None else option
            findings.append(Finding(path, stated, "is negative", "State seconds, 0 or more."))
        default = values.get("timeout") if limit.default is None else limit.default
        complete[option] = default if stated is None else stated
    return complete, findings


def download_limits(values: t.Mapping[str, t.Any]) -> DownloadLimits:
    """What is declared of downloads, for those that have limits of their own otherwise."""
    found = DownloadLimits()
    if (timeout := _entries(values).get("download")) is not None:
        found["timeout"] = timeout
    if (retries := values.get("retries")) is not None:
        found["attempts"] = retries + 1
    return found


def without_overridden(defaults: t.Mapping[str, t.Any], guest: t.Mapping[str, t.Any]) -> Values:
    """The defaults of a list without the limits that a guest states itself, by whichever of the two options."""
    own, under = _entries(guest), _entries(defaults)
    stated = {name for name, option in FLAT.items() if name in own or option in guest}
    kept = {key: value for key, value in defaults.items() if key not in {FLAT[name] for name in stated & own.keys()}}
    if stated & under.keys():
        kept["timeouts"] = {name: value for name, value in under.items() if name not in stated}
    return kept


def _entries(options: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
    found = options.get("timeouts")
    return found if isinstance(found, dict) else {}
