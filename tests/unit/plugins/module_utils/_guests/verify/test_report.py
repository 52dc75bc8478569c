# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of checks: a table for people."""

from __future__ import annotations

import pytest
from check_results import GW, WEB, check

from ansible_collections.pve.provision.plugins.module_utils._guests.verify import report


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (["passed", "passed"], "passed"),
        (["passed", "not_verified"], "not_verified"),
        (["not_verified", "failed", "passed"], "failed"),
        ([], "not_verified"),
    ],
)
def test_the_worst_outcome_is_that_of_the_guest(outcomes: list[str], expected: str) -> None:
    assert report.overall([check("x", outcome) for outcome in outcomes]) == expected


def test_a_table_has_a_line_for_each_check() -> None:
    assert report.table([WEB, GW], 80) == [
        "guest  check     outcome       what was found",
        "web1   80        ok            as it is (192.0.2.5)",
        "web1   443       FAILED        connection refused",
        "gw     firewall  not verified  no way in",
    ]


def test_what_is_too_long_for_a_line_goes_on_in_the_next() -> None:
    (_head, first, second) = report.table([{**WEB, "checks": [check("80", "failed", "word " * 9)]}], 50)
    assert first == "web1   80     FAILED   word word word word word"
    assert second.strip() == "word word word word"
