# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that an application has of its own."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._model.apps.options import read_options, samples
from ansible_collections.pve.provision.plugins.module_utils._model.option import HIDDEN

DECLARED: dict[str, dict[str, t.Any]] = {
    "port": {"type": "int", "description": "Port", "default": 80, "minimum": 1, "maximum": 65535},
    "name": {"description": "Name of the site", "required": True, "pattern": r"[\w.]+"},
    "tls": {"type": "bool", "description": "Whether TLS is on"},
    "level": {"description": "Level", "choices": ["low", "high"], "default": "low"},
    "note": {"description": "Note", "multiline": True},
    "hosts": {"type": "list", "description": "Hosts", "pattern": r"\w+"},
    "users": {
        "type": "list",
        "elements": "dict",
        "description": "Users",
        "options": {"name": {"description": "Name", "required": True}, "age": {"type": "int", "description": "Age"}},
    },
    "ports": {
        "type": "dict",
        "elements": "int",
        "description": "Ports",
        "maximum": 99,
        "key_pattern": "[a-z]+",
        "key_example": "a",
    },
    "password": {"description": "Password", "secret": True, "required": True},
}
NEEDED = {"name": "x"}
SECRET = {"password": "hunter22"}


def read(given: dict[str, t.Any], secrets: dict[str, t.Any]) -> tuple[dict[str, t.Any], list[str]]:
    values, findings = read_options("site", DECLARED, given, secrets)
    return values, list(map(str, findings))


def test_values_have_the_types_of_their_options_and_defaults() -> None:
    given = {
        "name": "x",
        "tls": "yes",
        "port": "8080",
        "hosts": ["a", "b"],
        "users": [{"name": "ann"}],
        "note": "a\nb",
        "ports": {"a": "1"},
    }
    values, findings = read(given, SECRET)
    assert findings == []
    assert values == {
        "port": 8080,
        "name": "x",
        "tls": True,
        "level": "low",
        "note": "a\nb",
        "hosts": ["a", "b"],
        "users": [{"name": "ann", "age": None}],
        "ports": {"a": 1},
        "password": "hunter22",
    }


@pytest.mark.parametrize(
    ("given", "secrets", "finding"),
    [
        ({"port": 0}, {}, "app_options.port: 0 is less than 1. Port."),
        ({"port": "x"}, {}, "app_options.port: 'x' is not a whole number. Port."),
        ({"port": True}, {}, "app_options.port: True is not a whole number. Port."),
        ({"port": 70000}, {}, "app_options.port: 70000 is more than 65535. Port."),
        ({"name": "a b"}, {}, "app_options.name: 'a b' is not of the right form. Name of the site."),
        ({"name": None}, {}, "app_options.name: is missing. Name of the site."),
        ({"tls": "perhaps"}, {}, "app_options.tls: 'perhaps' is not true or false. Whether TLS is on."),
        ({"level": "no"}, {}, "app_options.level: 'no' is none of low, high. Level."),
        ({"hosts": "a"}, {}, "app_options.hosts: 'a' is not a list. Hosts."),
        ({"hosts": ["a", "b c"]}, {}, "app_options.hosts[1]: 'b c' is not of the right form. Hosts."),
        ({"users": [{"age": 3}]}, {}, "app_options.users[0].name: is missing. Name."),
        (
            {"users": [{"name": "a", "agee": 3}]},
            {},
            "app_options.users[0].agee: is not an option. There are: name, age.",
        ),
        ({"users": [{"name": "a\nb"}]}, {}, "has a line break or another control character in it"),
        ({"ports": {"a": "x"}}, {}, "app_options.ports.a: 'x' is not a whole number. Ports."),
        ({"ports": {"a": 100}}, {}, "app_options.ports.a: 100 is more than 99. Ports."),
        ({"ports": {"A1": 1}}, {}, "app_options.ports.A1: 'A1' is not of the right form. Ports."),
        ({"prot": 1}, {}, "app_options.prot: 1 is not an option of application site. Did you mean port?"),
        ({"zzz": 1}, {}, "There are: port, name, tls, level, note, hosts, users, ports."),
        ({"password": "geheim22"}, {}, "app_options.password: belongs under app_secrets"),
        ({}, {"port": 1}, "app_secrets.port: belongs under app_options"),
        (
            {},
            {"pasword": "geheim22"},
            "app_secrets.pasword: is not an option of application site. Did you mean password?",
        ),
        ({}, {"password": None}, "app_secrets.password: is missing. Password."),
        ({}, {"password": ["geheim22"]}, f"app_secrets.password: {HIDDEN!r} is not text. Password."),
    ],
)
def test_what_is_wrong_is_reported_and_no_secret(
    given: dict[str, t.Any], secrets: dict[str, t.Any], finding: str
) -> None:
    _values, findings = read({**NEEDED, **given}, {**SECRET, **secrets})
    assert [text for text in findings if finding in text]
    assert "geheim22" not in str(findings)


def test_samples_are_of_the_right_type() -> None:
    given = samples(DECLARED)
    values, findings = read_options("site", DECLARED, given, {"password": given.pop("password")})
    assert findings == []
    assert values["users"] == [{"name": "x", "age": 1}]
