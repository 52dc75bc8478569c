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

from ansible_collections.pve.provision.plugins.module_utils._given import Wrong, no_dictionaries
from ansible_collections.pve.provision.plugins.module_utils._model.codec import Codec
from ansible_collections.pve.provision.plugins.module_utils._model.option import Option
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Fields
from ansible_collections.pve.provision.plugins.module_utils._model.setup.options import SetupOption
from ansible_collections.pve.provision.plugins.module_utils._model.timeouts import FLAT, TIMEOUTS

_Module = t.TypeVar("_Module")
Rules = t.Sequence[t.Sequence[t.Any]]


@dataclass(frozen=True)
class Checked:
    """A declaration that was held against a spec: its options by their types, without what is wrong of them.

    ``unknown`` are the paths of what is no option. ``errors`` are the paths of options that are wrong, what each was
    given, and what is wrong with it; the empty path stands for several options.
    """

    values: dict[str, t.Any]
    unknown: tuple[str, ...] = ()
    errors: tuple[Wrong, ...] = ()


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

    def create_module(self, module_class: t.Callable[..., _Module]) -> _Module:
        """An AnsibleModule, ``_module.Module`` but for a test, with this spec."""
        return module_class(argument_spec=self.options, supports_check_mode=True, **self.rules)

    def validate(self, declared: t.Mapping[str, t.Any]) -> Checked:
        """Hold a declaration against this spec. One wrong option hides nothing that is wrong with the others, and one
        wrong entry of an option nothing that is wrong with the rest of it."""
        wrong = next(no_dictionaries(declared, self.options), None)
        if wrong is None:
            result = ArgumentSpecValidator(self.options, **self.rules).validate(declared)
            if not result.error_messages:
                return Checked(result.validated_parameters)
        sieve = _Sieve()
        good = sieve.sift(self, declared, "")
        checked = ArgumentSpecValidator(self.options, **self.rules).validate(good)
        sieve.errors += [("", None, text) for text in _texts(checked)]
        return Checked(checked.validated_parameters, tuple(sorted(sieve.unknown)), tuple(sieve.errors))


class _Sieve:
    """Parts what is right of a declaration from what is wrong, and tells the wrong by its path."""

    def __init__(self) -> None:
        self.unknown: list[str] = []
        self.errors: list[Wrong] = []

    def sift(self, spec: ArgSpec, declared: t.Mapping[str, t.Any], prefix: str) -> dict[str, t.Any]:
        """What is right of a dictionary, as it was given."""
        aliases = {alias: name for name, option in spec.options.items() for alias in option.get("aliases", ())}
        good: dict[str, t.Any] = {}
        for given, value in declared.items():
            name = aliases.get(given, given)
            if name not in spec.options:
                self.unknown.append(f"{prefix}{given}")
                continue
            option = {name: spec.options[name]}
            known = len(self.errors)
            kept = self._inside(option[name], value, f"{prefix}{name}")
            told = None if option[name].get("no_log") else value
            wrong = list(no_dictionaries({name: kept}, option, prefix))
            if not wrong:
                texts = _texts(ArgumentSpecValidator(option).validate({name: kept}))
                wrong = [(f"{prefix}{name}", told, text) for text in texts]
            if not wrong:
                good[name] = kept
            elif len(self.errors) == known:
                self.errors += wrong
        return good

    def _inside(self, option: t.Mapping[str, t.Any], value: t.Any, path: str) -> t.Any:
        """What is right of the dictionaries of options in a value."""
        if "options" not in option:
            return value
        spec = ArgSpec(option["options"])
        if isinstance(value, t.Mapping):
            return self.sift(spec, value, f"{path}.")
        if not isinstance(value, list):
            return value
        return [
            self.sift(spec, entry, f"{path}[{place}].") if isinstance(entry, t.Mapping) else entry
            for place, entry in enumerate(value)
        ]


def _texts(result: t.Any) -> list[str]:
    """What Ansible's validator says, but for options that it does not know."""
    return [str(error) for error in result.errors if not isinstance(error, UnsupportedError)]


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

STORAGE_LIMITS: t.Final = {"storage_warn": 85, "storage_refuse": 95}
POLICY = ArgSpec(
    options={
        "purge_options": {"type": "bool", "default": False},
        "restart": {"type": "str", "choices": ["never", "when_needed"], "default": "never"},
        "rename": {"type": "bool", "default": False},
        "force": {"type": "bool", "default": False},
        "purge": {"type": "bool", "default": False},
        "on_failure": {"type": "str", "choices": ["cleanup", "keep"]},
        "cleanup_on_failure": {"type": "bool"},
        "rollback": {"type": "str", "choices": ["never", "snapshot"], "default": "never"},
        "snapshots_kept": {"type": "int", "default": 0},
        "retries": {"type": "int", "default": 4},
        **{name: {"type": "int", "default": share} for name, share in STORAGE_LIMITS.items()},
        "timeouts": {"type": "dict", "options": {name: {"type": "int"} for name in TIMEOUTS}},
        **{option: {"type": "int"} for name, option in FLAT.items() if name != "agent"},
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
    options: dict[str, dict[str, t.Any]] = {}
    for option in table:
        within = options
        for name in option.path[:-1]:
            within = within.setdefault(name, {"type": "dict", "options": {}})["options"]
        spec = option_spec(option)
        if option.slot and option.path[-1] in within:
            within[option.path[-1]]["options"][option.slot]["choices"].append(option.key)
        else:
            within[option.path[-1]] = spec
    return ArgSpec(
        options=options,
        mutually_exclusive=[(other, option.param) for option in table for other in option.excludes],
    )


def option_spec(option: Option) -> dict[str, t.Any]:
    """An option of a table as AnsibleModule wants it."""
    if isinstance(option.codec, Codec):
        spec = _value_spec(option.codec)
    elif option.indexed:
        inner = fields_spec(option.codec)
        slot = {option.slot: {"type": "str", "choices": [option.key]}, "index": ENTRY["id"], "state": ENTRY["state"]}
        known = slot if option.slot else ENTRY
        spec = {**inner, "type": "list", "elements": "dict", "options": {**known, **inner["options"]}}
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
    for key, entry in ((key, entry) for key, entry in fields.keys.items() if not entry.internal):
        hints: dict[str, t.Any] = {"no_log": entry.secret} if entry.secret or entry.public else {}
        hints |= {"required": True} if entry.required else {}
        spec["options"][entry.param or key] = {**_value_spec(entry.codec), **hints}
    rules = {"mutually_exclusive": fields.exclusive, "required_one_of": fields.one_of}
    return {**spec, **{name: list(rule) for name, rule in rules.items() if rule}}


def setup_spec(options: t.Iterable[SetupOption]) -> ArgSpec:
    """What a module takes of the options that say what is in a guest."""
    return ArgSpec(options={option.name: _setup_option_spec(option) for option in options})


def _setup_option_spec(option: SetupOption) -> dict[str, t.Any]:
    if option.named:
        return {"type": "dict"}
    if option.short:
        return {"type": "list", "elements": "raw"}
    spec = _value_spec(option.codec) if isinstance(option.codec, Codec) else fields_spec(option.codec)
    return {**spec, "type": "list", "elements": spec["type"]} if option.listed else spec


def _value_spec(codec: Codec) -> dict[str, t.Any]:
    spec: dict[str, t.Any] = {"type": codec.type}
    if codec.elements:
        spec["elements"] = codec.elements
    if codec.choices:
        spec["choices"] = list(codec.choices)
    return spec


VERIFY = ArgSpec(
    options={
        "guests": {"type": "list", "elements": "dict", "required": True},
        "defaults": {"type": "dict", "default": {}},
        "limit": {"type": "list", "elements": "str"},
        "concurrency": {"type": "str", "default": "auto"},
        "owner_tag": {"type": "str"},
        "peers": {"type": "list", "elements": "dict"},
        "strict": {"type": "bool", "default": False},
        "report": {"type": "dict", "options": {"junit": {"type": "str"}, "json": {"type": "str"}}},
    },
)
"""A whole list of guests that are looked at."""

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
        **{name: {"type": "int"} for name in STORAGE_LIMITS},
    },
)
"""A whole list of guests; each is held against the spec of its type."""
