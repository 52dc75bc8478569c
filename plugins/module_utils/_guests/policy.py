# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: how far a run may go with a guest, whatever its type."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._argspec import STORAGE_LIMITS
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.snapshot.part import RollbackPart
from ansible_collections.pve.provision.plugins.module_utils._model.timeouts import with_timeouts

Values = t.Mapping[str, t.Any]
# The values of on_failure as those of cleanup_on_failure.
_CLEANS: t.Final = {"cleanup": True, "keep": False}


@dataclasses.dataclass(frozen=True)
class Policed:
    """The options of a guest with what follows from those that every type has, and what is wrong with these."""

    values: Values
    findings: tuple[Finding, ...]

    def apply(self, wanted: Wanted, parts: t.Sequence[Part]) -> tuple[Wanted, t.Sequence[Part]]:
        """A guest as it is wanted, and the parts of its run, with what concerns them of that."""
        if self.findings:
            wanted = dataclasses.replace(wanted, findings=(*wanted.findings, *self.findings))
        if self.values.get("rollback") != "snapshot":
            return wanted, parts
        return wanted, (*parts, RollbackPart(self.values.get("snapshots_kept") or 0))


def policed(values: Values) -> Policed:
    """Read the options of a guest that say how far a run may go."""
    complete, findings = with_timeouts(values)
    on_failure, cleanup = values.get("on_failure"), values.get("cleanup_on_failure")
    if on_failure is not None:
        complete["cleanup_on_failure"] = _CLEANS[on_failure]
        if cleanup not in (None, _CLEANS[on_failure]):
            problem = f"is not what cleanup_on_failure={str(cleanup).lower()} says"
            findings.append(Finding("on_failure", on_failure, problem, "State one of the two."))
    findings += [*_negative(values, "snapshots_kept", "retries"), *_no_percent(values)]
    return Policed(complete, tuple(findings))


def _no_percent(values: Values) -> t.Iterator[Finding]:
    for name in STORAGE_LIMITS:
        if not 1 <= values.get(name, 100) <= 100:
            yield Finding(name, values[name], "is not a percentage", "State 1 to 100.")


def _negative(values: t.Mapping[str, t.Any], *names: str) -> t.Iterator[Finding]:
    for name in names:
        if (values.get(name) or 0) < 0:
            yield Finding(name, values[name], "is negative", "State 0 or more.")
