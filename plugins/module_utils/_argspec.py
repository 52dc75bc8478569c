# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: argument specs as objects that merge, and those that no table of options holds."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, fields

from ansible.module_utils.basic import env_fallback
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.errors import UnsupportedError

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.codec import Codec
from ansible_collections.pve.provision.plugins.module_utils._model.declare import spell
from ansible_collections.pve.provision.plugins.module_utils._model.option import Option, Path
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Fields

_Module = t.TypeVar("_Module")
Rules = t.Sequence[t.Sequence[t.Any]]


@dataclass(frozen=True)
class Checked:
    """A declaration that was held against a spec: its options by their types, without those that are wrong.

    ``errors`` are the options that are wrong, and what is wrong with each; the empty name stands for several.
    """

    values: dict[str, t.Any]
    unknown: tuple[str, ...] = ()
    errors: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ArgSpec:
    """What a module takes: options and the rules between them, as AnsibleModule wants them."""

    options: dict[str, dict[str, t.Any]] = field(default_factory=dict)
    mutually_exclusive: Rules = ()
    required_together: Rules = ()
    required_one_of: Rules = ()
    required_if: Rules = ()
    required_by: dict[str, t.Sequence[str]] = field(default_factory=dict)

    def merge(self, *others: ArgSpec) -> ArgSpec:
        """All options and rules of this spec and of the others; ValueError when two define the same option."""
        merged: dict[str, t.Any] = {}
        for name in (spec_field.name for spec_field in fields(self)):
            parts = [getattr(spec, name) for spec in (self, *others)]
            if isinstance(parts[0], dict):
                twice = [key for key in set().union(*parts) if sum(key in part for part in parts) > 1]
                if twice:
                    raise ValueError(f"{name}: defined twice: {', '.join(sorted(twice))}")
                merged[name] = {key: value for part in parts for key, value in part.items()}
            else:
                merged[name] = [rule for part in parts for rule in part]
        return ArgSpec(**merged)

    @property
    def rules(self) -> dict[str, t.Any]:
        """The rules between the options, by the names that AnsibleModule has for them."""
        return {rule.name: getattr(self, rule.name) for rule in fields(self) if rule.name != "options"}

    def create_module(self, module_class: t.Callable[..., _Module], *, supports_check_mode: bool = True) -> _Module:
        """An AnsibleModule, ``_module.Module`` but for a test, with this spec."""
        return module_class(argument_spec=self.options, supports_check_mode=supports_check_mode, **self.rules)

    def validate(self, declared: t.Mapping[str, t.Any]) -> Checked:
        """Hold a declaration against this spec. One wrong option hides nothing that is wrong with the others."""
        options, rules = self.options, self.rules
        result = ArgumentSpecValidator(options, **rules).validate(declared)
        if not result.error_messages:
            return Checked(result.validated_parameters)
        aliases = {alias: name for name, spec in options.items() for alias in spec.get("aliases", ())}
        errors: list[tuple[str, str]] = []
        unknown: list[str] = []
        good: dict[str, t.Any] = {}
        for given, value in declared.items():
            name = aliases.get(given, given)
            if name not in options:
                unknown.append(given)
                continue
            alone = ArgumentSpecValidator({name: options[name]}).validate({name: value})
            nested = [path for path in alone.unsupported_parameters if path != name]
            unknown += [path if isinstance(path, str) else ".".join(path) for path in nested]
            texts = [str(error) for error in alone.errors if not isinstance(error, UnsupportedError)]
            errors += [(name, text) for text in texts]
            if not texts:
                good[name] = value
        checked = ArgumentSpecValidator(options, **rules).validate(good)
        errors += [("", str(error)) for error in checked.errors if not isinstance(error, UnsupportedError)]
        return Checked(checked.validated_parameters, tuple(sorted(unknown)), tuple(errors))


Options = t.Mapping[str, t.Mapping[str, t.Any]]


def blank_is_null(given: t.Mapping[str, t.Any], options: Options) -> dict[str, t.Any]:
    """What a task gives, with null for what is empty: as that a template's null arrives before ansible-core 2.19.

    A secret that is empty stays so, to be refused.
    """
    secret = {name for name, spec in _by_every_name(options).items() if spec.get("no_log")}
    return {name: None if value == "" and name not in secret else value for name, value in given.items()}


def without_nulls(given: t.Mapping[str, t.Any], options: Options) -> dict[str, t.Any]:
    """What a task gives, as if it did not mention what it says null to: an AnsibleModule would hold it against an
    option's choices. Options that are free in form stay as they are.
    """
    specs = _by_every_name(options)
    return {
        name: _entry_without_nulls(value, specs.get(name, {}).get("options"))
        for name, value in given.items()
        if value is not None
    }


def _entry_without_nulls(value: t.Any, options: Options | None) -> t.Any:
    if options is None:
        return value
    if isinstance(value, list):
        return [_entry_without_nulls(entry, options) for entry in value]
    return without_nulls(value, options) if isinstance(value, t.Mapping) else value


def null_entries(nulls: t.Iterable[Path], options: Options) -> list[Finding]:
    """The entries of lists that are null, except in options that are free in form."""
    free = {name for name, spec in _by_every_name(options).items() if spec["type"] == "dict" and "options" not in spec}
    entries = sorted(spell(path) for path in nulls if isinstance(path[-1], int) and path[0] not in free)
    remedy = "Leave the entry out, or set the whole option to null."
    return [Finding(entry, None, "is null, which is no entry of a list", remedy) for entry in entries]


def _by_every_name(options: Options) -> dict[str, t.Mapping[str, t.Any]]:
    return {name: spec for own, spec in options.items() for name in (own, *spec.get("aliases", ()))}


def _from_environment(name: str) -> tuple[t.Callable[..., t.Any], list[str]]:
    return env_fallback, [f"PROXMOX_{name}"]


CONNECTION = ArgSpec(
    options={
        "api_host": {"type": "str", "fallback": _from_environment("HOST")},
        "api_port": {"type": "int", "default": 8006, "fallback": _from_environment("PORT")},
        "api_user": {"type": "str", "fallback": _from_environment("USER")},
        "api_password": {"type": "str", "no_log": True, "fallback": _from_environment("PASSWORD")},
        "api_token_id": {"type": "str", "no_log": False, "fallback": _from_environment("TOKEN_ID")},
        "api_token_secret": {"type": "str", "no_log": True, "fallback": _from_environment("TOKEN_SECRET")},
        "validate_certs": {"type": "bool", "default": True, "fallback": _from_environment("VALIDATE_CERTS")},
        "ca_path": {"type": "path", "fallback": _from_environment("CA_PATH")},
        "node": {"type": "str"},
        "timeout": {"type": "int", "default": 600},
        "http_timeout": {"type": "int", "default": 30, "fallback": _from_environment("API_TIMEOUT")},
    },
    required_together=[("api_token_id", "api_token_secret")],
    required_by={"api_host": ("api_user",)},
)
"""How the node is reached; documented by the fragment ``pve.provision.connection``."""

POLICY = ArgSpec(
    options={
        "purge_options": {"type": "bool", "default": False},
        "restart": {"type": "str", "choices": ["never", "when_needed"], "default": "never"},
        "rename": {"type": "bool", "default": False},
        "force": {"type": "bool", "default": False},
        "purge": {"type": "bool", "default": False},
        "cleanup_on_failure": {"type": "bool", "default": True},
        "start_timeout": {"type": "int", "default": 60},
        "shutdown_timeout": {"type": "int", "default": 60},
        "ip_timeout": {"type": "int", "default": 0},
    },
)
"""How far a run may go with a guest; documented by the fragment ``pve.provision.policy``."""

# What every entry of a numbered list has.
ENTRY: dict[str, dict[str, t.Any]] = {
    "id": {"type": "int"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def spec_of(table: t.Iterable[Option]) -> ArgSpec:
    """What a module takes of a table of options."""
    return ArgSpec(
        options={option.param: option_spec(option) for option in table},
        mutually_exclusive=[(other, option.param) for option in table for other in option.excludes],
    )


def option_spec(option: Option) -> dict[str, t.Any]:
    """An option of a table as AnsibleModule wants it."""
    if isinstance(option.codec, Codec):
        spec = _value_spec(option.codec)
    elif option.indexed:
        inner = fields_spec(option.codec)
        spec = {**inner, "type": "list", "elements": "dict", "options": {**ENTRY, **inner["options"]}}
    else:
        spec = fields_spec(option.codec)
    if option.aliases:
        spec["aliases"] = list(option.aliases)
    if option.secret or option.public:
        spec["no_log"] = option.secret
    return spec


def fields_spec(fields: Fields) -> dict[str, t.Any]:
    """A property string as a dictionary of what the user may say in it."""
    spec: dict[str, t.Any] = {"type": "dict", "options": {}}
    for key, entry in fields.keys.items():
        hints = {**({"no_log": False} if entry.public else {}), **({"required": True} if entry.required else {})}
        spec["options"][entry.param or key] = {**_value_spec(entry.codec), **hints}
    rules = {"mutually_exclusive": fields.exclusive, "required_one_of": fields.one_of}
    return {**spec, **{name: list(rule) for name, rule in rules.items() if rule}}


def _value_spec(codec: Codec) -> dict[str, t.Any]:
    spec: dict[str, t.Any] = {"type": codec.type}
    if codec.elements:
        spec["elements"] = codec.elements
    if codec.choices:
        spec["choices"] = list(codec.choices)
    return spec


ROUTER = ArgSpec(
    options={
        "version": {"type": "str", "default": "24"},
        "mirrors": {"type": "list", "elements": "str"},
        "keys": {"type": "list", "elements": "str", "no_log": False},
        "verify": {"type": "str", "choices": ["required", "checksum", "none"]},
        "offline_ok": {"type": "bool", "default": False},
        "interfaces": {"type": "dict", "default": {}},
        "management": {
            "type": "dict",
            "options": {
                "from": {"type": "list", "elements": "str"},
                "ssh_keys": {"type": "list", "elements": "str", "no_log": False},
                "password_hash": {"type": "str", "no_log": True},
                "luci": {"type": "bool"},
                "allow_empty_password": {"type": "bool", "no_log": False},
            },
        },
        "uci": {"type": "dict"},
        "secret_names": {"type": "list", "elements": "str", "no_log": False},
        "packages": {"type": "list", "elements": "str"},
        "services": {"type": "dict"},
        "timezone": {"type": "str"},
        "zonename": {"type": "str"},
        "allow_shared_segment": {"type": "bool", "default": False},
        "confirm_timeout": {"type": "int", "default": 60},
        "ssh_private_key": {"type": "path", "no_log": False},
        "require_ip": {"type": "bool", "default": False},
    },
)
"""An OpenWrt router as people think of it; documented by the fragment ``pve.provision.router``."""

GUESTS = ArgSpec(
    options={
        "guests": {"type": "list", "elements": "dict", "required": True},
        "defaults": {"type": "dict", "default": {}},
        "limit": {"type": "list", "elements": "str"},
        "concurrency": {"type": "str", "default": "auto"},
        "on_failure": {"type": "str", "choices": ["continue", "stop"], "default": "continue"},
        "owner_tag": {"type": "str"},
        "adopt": {"type": "list", "elements": "str"},
        "prune": {"type": "bool", "default": False},
        "details": {"type": "bool", "default": False},
        "peers": {"type": "list", "elements": "dict"},
    },
)
"""A whole list of guests; each is held against the spec of its type."""
