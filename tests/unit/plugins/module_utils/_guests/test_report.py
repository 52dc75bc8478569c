# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a run as people read it."""

from __future__ import annotations

import typing as t

import pytest
from every_step import every_step

from ansible_collections.pve.provision.plugins.module_utils._engine.fleet import Ended, Member
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Result
from ansible_collections.pve.provision.plugins.module_utils._guests.report import LINES, UNTOLD, plan_lines


def ended(*steps: dict[str, t.Any], before: dict[str, t.Any] | None = None, **after: t.Any) -> Ended:
    member = Member("web1", "lxc", lambda: pytest.fail("nobody reads it"))
    diff = {"before": before or {}, "after": after}
    return Ended(member, Result(bool(steps), 101, "pve1", "running", list(steps), diff))


def test_for_each_step_it_is_decided_whether_people_see_it() -> None:
    assert {step.action for step in every_step()} == LINES.keys() | UNTOLD
    assert not LINES.keys() & UNTOLD


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (
            ended({"step": "create", "ostemplate": "local:vztmpl/x.tar.zst", "options": {"cores": 1}}, cores=1),
            ["+ create web1 (101)", "    cores: 1", "    from template local:vztmpl/x.tar.zst",
             "1 to create, 0 unchanged"],
        ),
        (
            ended({"step": "set"}, {"step": "shutdown"}, {"step": "start"}, before={"cores": 1}, cores=2),
            ["~ change web1 (101)", "    cores: 1 -> 2", "    restart", "1 to change, 0 unchanged"],
        ),
        (
            ended({"step": "migrate", "from": "pve1", "to": "pve2", "mode": "restart", "local_volumes": ["a:b"]}),
            ["~ change web1 (101)", "    migrate pve1 -> pve2, restart", "    with its local volumes [a:b]",
             "1 to change, 0 unchanged"],
        ),
        (
            ended({"step": "purge_disk", "disk": "scsi1", "volume": "a:vm-101-disk-1"}),
            ["~ change web1 (101)", "    destroy volume a:vm-101-disk-1", "1 to change, 0 unchanged"],
        ),
        (ended({"step": "fetch_image", "volid": "a:iso/x", "url": "u"}, {"step": "start"}),
         ["+ fetch a:iso/x", "~ change web1 (101)", "1 to change, 0 unchanged"]),
        (ended(), ["1 unchanged"]),
    ],
)  # fmt: skip
def test_a_plan_reports_what_is_done(one: Ended, expected: list[str]) -> None:
    assert plan_lines([one]) == expected
