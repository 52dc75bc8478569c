# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the script that PVE calls when a guest starts and stops, of whatever kind that is."""

from __future__ import annotations

import re
import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Values
    from ansible_collections.pve.provision.plugins.module_utils._engine.planned_guest import Report


def check(report: Report, facts: Facts, touched: Values) -> None:
    """It is a snippet that is there."""
    volid = touched.get("hookscript")
    if not volid:
        return
    remedy = "Put it, executable, into the snippets of a storage, and give its volid, such as local:snippets/hook.sh."
    if not re.fullmatch(r"[^:/]+:snippets/[^/]+", volid):
        report.add("hookscript", volid, "is not the volid of a snippet", remedy)
    elif facts.find_volume(volid) is None:
        report.add("hookscript", volid, f"does not exist on node {facts.node.name}", remedy)


def root_only(touched: Values, deleted: t.Collection[str]) -> t.Iterator[tuple[str, object, str]]:
    """PVE takes it from root@pam alone."""
    if "hookscript" in deleted:
        yield "hookscript", None, ""
    if "hookscript" in touched:
        yield "hookscript", touched["hookscript"], ""
