# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How cloud-init says it has fared."""

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._model.cloud_init.status import Status, read_status

DONE = {"boot_status_code": "enabled-by-generator", "detail": "DataSourceNoCloud [seed=/dev/sr0]", "errors": []}
LONG = """\
status: done
extended_status: degraded done
boot_status_code: enabled-by-generator
last_update: Thu, 01 Jan 1970 00:03:20 +0000
detail: DataSourceNoCloud [seed=/dev/sr0]
errors: []
recoverable_errors:
WARNING:
\t- Failed to fetch index
"""
FAILED = """\
......
status: error
time: Thu, 01 Jan 1970 00:03:20 +0000
detail:
('scripts-user', RuntimeError('Runparts: 1 failures'))
errors:
\t- ('scripts-user', RuntimeError('Runparts: 1 failures'))
"""


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({**DONE, "status": "done"}, Status("done")),
        (
            {
                **DONE,
                "status": "done",
                "recoverable_errors": {"WARNING": ["Failed to fetch index"], "DEPRECATED": ["old"]},
            },
            Status("done", (), ("Failed to fetch index", "old")),
        ),
        ({**DONE, "status": "error", "errors": ["it broke", "twice"]}, Status("error", ("it broke", "twice"))),
        ({**DONE, "status": "error", "detail": "it broke"}, Status("error", ("it broke",))),
        ({"status": "disabled"}, Status("disabled")),
    ],
)
def test_json_is_read(answer: dict[str, t.Any], status: Status):
    assert read_status(json.dumps(answer, indent=2)) == status


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (LONG, Status("done", (), ("Failed to fetch index",))),
        (FAILED, Status("error", ("('scripts-user', RuntimeError('Runparts: 1 failures'))",))),
        ("status: error\ndetail: it broke\n", Status("error", ("it broke",))),
        (".....status: done\n", None),
        ("status: disabled\n", Status("disabled")),
    ],
)
def test_text_is_read(answer: str, status: Status | None):
    assert read_status(answer) == status


def test_an_error_is_a_failure_and_a_warning_is_none():
    assert Status("error").failed
    assert not Status("done", (), ("old",)).failed


@given(st.text())
def test_anything_else_is_no_answer(text: str):
    assert read_status(text) is None or isinstance(read_status(text), Status)
