# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of an application's options in the texts of its profile."""

from __future__ import annotations

import shlex
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._model.apps.fill import (
    Spelling,
    Unfilled,
    fill,
    names_in,
)

VALUES: dict[str, t.Any] = {
    "port": 8080,
    "name": "it's",
    "tls": True,
    "off": False,
    "none": None,
    "words": ["a b", "c"],
    "empty": [],
    "ages": {"ann": 3, "bob": 4},
    "users": [{"name": "ann", "age": 3}, {"name": "bob", "age": 4}],
}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("listen ${port};", "listen 8080;"),
        ("${ port }/", "8080/"),
        ("${port}", 8080),
        ("${tls}", True),
        ("${none}", None),
        ("x${none}y", "xy"),
        ("on: ${tls}, ${off}", "on: true, false"),
        ("proxy_set_header Host $host;", "proxy_set_header Host $host;"),
        ("$(id) $1 $$", "$(id) $1 $$"),
        ("echo $${HOME}", "echo ${HOME}"),
        ("echo $${port}", "echo ${port}"),
        ("x ${name|shell}", "x 'it'\"'\"'s'"),
        ("x ${name | sql}", "x 'it''s'"),
        ("x ${name|mysql}", "x 'it''s'"),
        ("x ${name|json}", 'x "it\'s"'),
        ("x ${name|php}", "x 'it\\'s'"),
        ("x ${name|identifier}", 'x "it\'s"'),
        ("words: ${words}.", "words: a b\nc."),
        ("words: ${words|shell}.", "words: 'a b'\nc."),
    ],
)
def test_a_text(text: str, filled: t.Any) -> None:
    assert fill(text, VALUES) == filled


@pytest.mark.parametrize(
    ("data", "filled"),
    [
        ({"a": ["x", "${port}"], "b": 1}, {"a": ["x", 8080], "b": 1}),
        (["nginx", "${words}"], ["nginx", "a b", "c"]),
        (["nginx", "${empty}"], ["nginx"]),
        ([{"when": "tls", "p": 1}, {"when": "off", "p": 2}, {"when": "none", "p": 3}], [{"p": 1}]),
        ([{"when": "not tls", "p": 1}, {"when": "not empty", "p": 2}], [{"p": 2}]),
        (
            [{"for_each": "users", "n": "${item.name}", "a": "${item.age}"}],
            [{"n": "ann", "a": 3}, {"n": "bob", "a": 4}],
        ),
        ([{"for_each": "words", "run": "x ${item|shell}"}], [{"run": "x 'a b'"}, {"run": "x c"}]),
        ([{"for_each": "ages", "run": "${item.key}"}], [{"run": "ann"}, {"run": "bob"}]),
        ([{"for_each": "none", "run": "x"}, {"for_each": "empty", "run": "x"}], []),
        ([{"for_each": "users", "when": "off", "n": "${item.name}"}], []),
    ],
)
def test_data(data: t.Any, filled: t.Any) -> None:
    assert fill(data, VALUES) == filled


@pytest.mark.parametrize(
    ("text", "format", "filled"),
    [
        ("${port}", "listen ${item};", "listen 8080;"),
        (
            "a\n${words}\nb",
            "  server ${item|json}",
            'a\n  server "a b"\n  server c\nb'.replace("server c", 'server "c"'),
        ),
        ("${users}", "${item.name}=${item.age}", "ann=3\nbob=4"),
        ("${ages}", "${item.key}=${item.value}", "ann=3\nbob=4"),
        ("a${none}b", "x ${item}", "ab"),
        ("a${off}b", "ssl", "ab"),
        ("a${tls}b", " ssl ", "a ssl b"),
        ("a${empty}b", "x ${item}", "ab"),
    ],
)
def test_an_option_with_a_spelling_of_its_own(text: str, format: str, filled: str) -> None:
    assert fill(text, VALUES, dict.fromkeys(VALUES, Spelling(format))) == filled


def test_what_stands_between_values_and_how_a_key_of_a_value_is_spelt() -> None:
    spellings = {
        "words": Spelling(join=","),
        "users": Spelling("${item.name}${item.age}"),
        "users.age": Spelling("(${item})"),
    }
    assert fill("x ${words}", VALUES, spellings) == "x a b,c"
    assert fill("x ${words|shell}", VALUES, spellings) == "x 'a b',c"
    assert fill("${users}", VALUES, spellings) == "ann(3)\nbob(4)"
    each = [{"for_each": "users", "n": "x${item.age}"}]
    assert fill(each, VALUES, spellings) == [{"n": "x(3)"}, {"n": "x(4)"}]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("${prot}", "prot is not one of its options"),
        ("x ${prot}", "prot is not one of its options"),
        ("${port.x}", "port has no x"),
        ("x ${item}", "item is not one of its options"),
        ("${}", "is not a valid option name"),
        ("${port|html} x", "html is no way to quote"),
        ("${port +}", "is not a valid option name"),
        ("${__import__('os')}", "is not a valid option name"),
    ],
)
def test_what_cannot_be_filled_is_reported(text: str, why: str) -> None:
    with pytest.raises(Unfilled, match=why):
        fill(text, VALUES)


def test_names_in_a_text() -> None:
    assert list(names_in("${a} $${b} ${c.d|shell} $e")) == [("a", ""), ("c.d", "shell")]


@given(st.text())
def test_no_value_breaks_out_of_a_word_of_a_shell(value: str) -> None:
    if "\0" not in value:
        assert shlex.split(fill("run ${v|shell} end", {"v": value})) == ["run", value, "end"]


@given(st.text())
def test_what_stands_in_a_value_is_not_filled_again(value: str) -> None:
    assert fill("<${v}>", {"v": value}) == f"<{value}>"
