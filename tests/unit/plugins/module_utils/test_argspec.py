# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.pve.provision.plugins.doc_fragments.connection import ModuleDocFragment
from ansible_collections.pve.provision.plugins.module_utils._argspec import CONNECTION, ArgSpec

DOCUMENTED = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]


class FakeModule:
    def __init__(self, **spec: t.Any):
        self.spec = spec


class TestMerging:
    def test_options_and_rules_are_joined_and_the_parts_stay_as_they_are(self):
        one = ArgSpec({"a": {"type": "str"}}, required_together=[("a", "b")])
        two = ArgSpec({"b": {"type": "int"}}, mutually_exclusive=[("b", "c")], required_by={"b": ("a",)})
        spec = one.merge(two).create_module(FakeModule).spec
        assert spec == {
            "argument_spec": {"a": {"type": "str"}, "b": {"type": "int"}},
            "supports_check_mode": True,
            "mutually_exclusive": [("b", "c")],
            "required_together": [("a", "b")],
            "required_one_of": [],
            "required_if": [],
            "required_by": {"b": ("a",)},
        }
        assert one == ArgSpec({"a": {"type": "str"}}, required_together=[("a", "b")])

    def test_an_option_defined_twice_is_a_mistake(self):
        with pytest.raises(ValueError, match="options: defined twice: a"):
            ArgSpec({"a": {}}).merge(ArgSpec({"a": {}}))

    def test_merging_nothing_changes_nothing(self):
        assert set(CONNECTION.merge().options) == set(CONNECTION.options)


def validate(given: dict[str, t.Any], **environment: t.Any) -> t.Any:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        validator = ArgumentSpecValidator(
            CONNECTION.options, required_together=CONNECTION.required_together, required_by=CONNECTION.required_by
        )
        return validator.validate(given)


class TestConnection:
    def test_on_the_node_nothing_is_needed(self):
        result = validate({})
        assert result.error_messages == []
        assert result.validated_parameters["api_host"] is None
        assert result.validated_parameters["api_port"] == 8006
        assert result.validated_parameters["validate_certs"] is True
        assert (result.validated_parameters["timeout"], result.validated_parameters["http_timeout"]) == (600, 30)

    def test_the_environment_stands_in_as_for_community_proxmox(self):
        environment = {
            "HOST": "pve1",
            "PORT": "443",
            "USER": "root@pam",
            "PASSWORD": "geheim",
            "TOKEN_ID": "t",
            "TOKEN_SECRET": "s",
            "VALIDATE_CERTS": "no",
            "CA_PATH": "/etc/ca.pem",
            "API_TIMEOUT": "7",
        }
        result = validate({}, **{f"PROXMOX_{name}": value for name, value in environment.items()})
        assert result.error_messages == []
        assert result.validated_parameters == {
            "api_host": "pve1",
            "api_port": 443,
            "api_user": "root@pam",
            "api_password": "geheim",
            "api_token_id": "t",
            "api_token_secret": "s",
            "validate_certs": False,
            "ca_path": "/etc/ca.pem",
            "http_timeout": 7,
            "timeout": 600,
            "node": None,
        }

    def test_the_task_wins_over_the_environment(self):
        assert validate({"api_port": 1}, PROXMOX_PORT="2").validated_parameters["api_port"] == 1

    @pytest.mark.parametrize(
        "given", [{"api_host": "pve1"}, {"api_host": "pve1", "api_user": "root@pam", "api_token_id": "t"}]
    )
    def test_half_a_login_is_an_error(self, given: dict[str, t.Any]):
        assert validate(given).error_messages

    def test_secrets_are_kept_out_of_logs(self):
        assert {name for name, option in CONNECTION.options.items() if option.get("no_log")} == {
            "api_password",
            "api_token_secret",
        }


class TestDocumentation:
    def test_every_option_is_documented_and_none_else(self):
        assert set(DOCUMENTED) == set(CONNECTION.options)

    @pytest.mark.parametrize("name", sorted(CONNECTION.options))
    def test_type_default_and_environment_are_reported(self, name: str):
        option, text = CONNECTION.options[name], DOCUMENTED[name]
        assert text["type"] == option["type"]
        assert text.get("default") == option.get("default")
        for variable in option.get("fallback", ((), []))[1]:
            assert f"E({variable})" in " ".join(text["description"])


@pytest.mark.parametrize("declared, path, wrong", [
    ({"nested": 3}, "nested", "is of type int, but has to be a dictionary with the key size"),
    ({"nested": "nas:8"}, "nested", "is text, but has to be a dictionary with the key size"),
    ({"entries": [{}, ["a"]]}, "entries[1]", "is of type list, but has to be a dictionary with the key deep"),
    ({"entries": [{"deep": 1.5}]}, "entries[0].deep",
     "is of type float, but has to be a dictionary with the key size"),
    ({"entries": "deep=1,other=2"}, "entries", "is text, but has to be a list of dictionaries with the key deep"),
])  # fmt: skip
def test_what_is_no_dictionary_is_an_error_and_hides_nothing(declared: dict[str, t.Any], path: str, wrong: str) -> None:
    deep = {"type": "dict", "options": {"size": {"type": "int"}}}
    spec = ArgSpec(options={
        "nested": deep,
        "entries": {"type": "list", "elements": "dict", "options": {"deep": deep}},
        "count": {"type": "int"},
    })  # fmt: skip
    checked = spec.validate({**declared, "count": "many", "other": 1})
    errors = [(name, text) for name, _value, text in checked.errors if name.startswith(tuple(declared))]
    assert errors == [(path, wrong)]
    assert ([name for name, _value, _text in checked.errors if name == "count"], checked.unknown) == (
        ["count"],
        ("other",),
    )
