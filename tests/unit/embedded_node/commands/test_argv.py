# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How command lines are read."""

from __future__ import annotations

import typing as t

import pytest

from embedded_node.commands import argv
from embedded_node.errors import ApiError

PROPERTIES: dict[str, t.Any] = {
    "vmid": {"type": "integer"},
    "hostname": {"type": "string", "optional": 1},
    "memory": {"type": "integer", "optional": 1},
    "mp[n]": {"type": "string", "optional": 1},
    "onboot": {"type": "boolean", "optional": 1},
    "force": {"type": "boolean", "optional": 1},
    "forceStop": {"type": "boolean", "optional": 1},
    "delete": {"type": "string", "format": "pve-configid-list", "optional": 1},
    "password": {"type": "string", "optional": 1},
}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["101"], {"vmid": "101"}),
        (["101", "--hostname", "a"], {"vmid": "101", "hostname": "a"}),
        (["--hostname=a", "101"], {"vmid": "101", "hostname": "a"}),
        (["101", "-hostname", "a"], {"vmid": "101", "hostname": "a"}),
        (["101", "--host", "a"], {"vmid": "101", "hostname": "a"}),
        (["101", "--HOST", "a"], {"vmid": "101", "hostname": "a"}),
        (["101", "--hostname", "a", "--hostname", "b"], {"vmid": "101", "hostname": "b"}),
        (["101", "--hostname", "--memory"], {"vmid": "101", "hostname": "--memory"}),
        (["101", "--hostname", ""], {"vmid": "101", "hostname": ""}),
        (["101", "--mp7", "x"], {"vmid": "101", "mp7": "x"}),
        (["101", "--onboot"], {"vmid": "101", "onboot": 1}),
        (["--onboot", "--hostname", "a", "101"], {"vmid": "101", "onboot": 1, "hostname": "a"}),
        (["101", "--onboot", "no"], {"vmid": "101", "onboot": 0}),
        (["101", "--force", "yes"], {"vmid": "101", "force": 1}),
        (["101", "--delete", "a", "--delete", "b,c"], {"vmid": "101", "delete": "a,b,c"}),
        (["--", "101"], {"vmid": "101"}),
    ],
)
def test_words_become_parameters(words: list[str], expected: dict[str, t.Any]) -> None:
    assert argv.parse(words, PROPERTIES, ["vmid"]) == expected


@pytest.mark.parametrize(
    ("words", "complaint", "message"),
    [
        ([], "", "not enough arguments"),
        (["101", "102"], "", "too many arguments"),
        (["101", "--foo", "1"], "Unknown option: foo\n", "unable to parse option"),
        (["101", "--h"], "Option hostname requires an argument\n", None),
        (["101", "--memory="], "Option memory requires an argument\n", "unable to parse option"),
        (["101", "--mp1000", "x"], "Unknown option: mp1000\n", "unable to parse option"),
        (["101", "--fo", "1"], "Option fo is ambiguous (force, forcestop)\n", "unable to parse option"),
        (["101", "--onboot", "maybe"], "", "unable to parse boolean option"),
        (["101", "--foo", "--bar"], "Unknown option: foo\nUnknown option: bar\n", "unable to parse option"),
    ],
)
def test_what_is_refused(words: list[str], complaint: str, message: str | None) -> None:
    said: list[str] = []
    with pytest.raises(ApiError) as refused:
        argv.parse(words, PROPERTIES, ["vmid"], complain=said.append)
    if message is not None:
        assert (refused.value.status, refused.value.message) == (400, message)
        assert "".join(said) == complaint


def test_extra_arguments_follow_the_double_dash() -> None:
    own = {"vmid": {"type": "integer"}, "extra-args": {"type": "array", "optional": 1}}
    assert argv.parse(["101", "--", "ls", "-l"], own, ["vmid", "extra-args"]) == {
        "vmid": "101",
        "extra-args": ["ls", "-l"],
    }
    assert argv.parse(["101"], own, ["vmid", "extra-args"]) == {"vmid": "101", "extra-args": []}


def test_a_password_without_a_value_is_asked_for() -> None:
    ask = {"password": lambda given: given or "typed"}
    assert argv.parse(["101", "--password"], PROPERTIES, ["vmid"], ask)["password"] == "typed"
    assert argv.parse(["101", "--password", "x y"], PROPERTIES, ["vmid"], ask)["password"] == "x y"
    assert "password" not in argv.parse(["101"], PROPERTIES, ["vmid"], ask)
