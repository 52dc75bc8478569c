# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes ``docs/guests.schema.json``: what a file with ``provision_guests`` may say, for editors.

    make schema

It follows the tables of options, as the modules do, and has its texts from their documentation. Where a value may be a
template, any string with ``{{`` will do.
"""

from __future__ import annotations

import functools
import html
import itertools
import json
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import yaml
from antsibull_docs_parser.md import to_md
from antsibull_docs_parser.parser import Context, parse
from guests_schema_defaults import is_of, stated, supplied, with_defaults

from ansible_collections.pve.provision.plugins.module_utils._guests.registry import OWN, TYPES
from ansible_collections.pve.provision.plugins.module_utils._model import lxc
from ansible_collections.pve.provision.plugins.module_utils._model.codec import Codec
from ansible_collections.pve.provision.plugins.module_utils._model.qemu import options as qemu

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs/guests.schema.json"
MODULES = {"lxc": "lxc_create", "vm": "vm_create", "openwrt_lxc": "openwrt_lxc", "openwrt_vm": "openwrt_vm"}
TABLES = {"lxc": lxc.TABLE, "openwrt_lxc": lxc.TABLE, "vm": qemu.TABLE, "openwrt_vm": qemu.TABLE}

EXAMPLES = ROOT / "tools/option_examples.yml"
ROLE = ROOT / "roles/provision/meta/argument_specs.yml"
VAULTED = "{{ vault_secret }}"

Schema = dict[str, t.Any]
Spec = t.Mapping[str, t.Any]
Bounds = t.Mapping[tuple[str, ...], Codec]

#: What Ansible takes for each type besides the type itself.
WORDS_OF_BOOLEANS = ("yes", "no", "on", "off", "true", "false", "y", "n", "t", "f", "1", "0")
TEMPLATE: Schema = {"type": "string", "pattern": r"\{\{"}
SCALARS: dict[str, list[Schema]] = {
    "str": [{"type": ["string", "number", "boolean"]}],
    "path": [{"type": "string"}],
    "raw": [{}],
    "int": [{"type": "integer"}, {"type": "string", "pattern": r"^\s*[+-]?[0-9]+\s*$"}, TEMPLATE],
    "float": [{"type": "number"}, {"type": "string", "pattern": r"^\s*[+-]?[0-9]+(\.[0-9]+)?\s*$"}, TEMPLATE],
    "bool": [
        {"type": "boolean"},
        {"enum": [0, 1, *WORDS_OF_BOOLEANS, *(word.capitalize() for word in WORDS_OF_BOOLEANS if word.isalpha())]},
        TEMPLATE,
    ],
}


OF_TYPE: Schema = {
    "description": "The type of guest; it decides which options there are.",
    "anyOf": [{"enum": list(TYPES)}, TEMPLATE],
}


@functools.cache
def documentation() -> dict[str, Spec]:
    """The options of each module, with the text of all fragments."""
    names = [f"pve.provision.{module}" for module in (*MODULES.values(), "guests")]
    told = subprocess.run(
        [sys.executable, "-m", "ansible", "doc", "-t", "module", "-j", *names],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return {name.rpartition(".")[2]: page for name, page in json.loads(told).items()}


def plain(texts: str | t.Sequence[str] | None) -> str:
    """A description as text that reads well without being rendered; options and values stand between backticks."""
    lines = [texts] if isinstance(texts, str) else list(texts or ())
    marked = to_md(parse(lines, Context())).strip()
    marked = re.sub(r"<a [^>]*>|</a>|</?(?:em|b|strong)>", "", re.sub(r"</?code>", "`", marked))
    return html.unescape(re.sub(r"\\([^A-Za-z0-9\s])", r"\1", marked))


def bounds_of(kind: str) -> Bounds:
    """The codecs behind the options of a type, by path: they know the least and the most."""
    found: dict[tuple[str, ...], Codec] = {}
    for option in TABLES[kind]:
        if isinstance(option.codec, Codec):
            found[tuple(option.path)] = option.codec
        else:
            for key, entry in option.codec.keys.items():
                found[*option.path, entry.param or key] = entry.codec
    return found


def gathered(value: t.Any, path: tuple[str, ...] = ()) -> t.Iterator[tuple[tuple[str, ...], t.Any]]:
    """What stands at each path of an example; the entries of a list have the path of the list."""
    if isinstance(value, dict):
        for key, entry in value.items():
            yield (*path, str(key)), entry
            yield from gathered(entry, (*path, str(key)))
    elif isinstance(value, list):
        for entry in value:
            yield from gathered(entry, path)


def known_examples(kind: str) -> dict[tuple[str, ...], t.Any]:
    """An example of each option that there is one of: of the type's own module, of the table of examples, which may
    have one for the type alone, or of other modules."""
    found: dict[tuple[str, ...], t.Any] = {}
    tables = {tuple(name.split("/")): value for name, value in yaml.safe_load(EXAMPLES.read_text("utf-8")).items()}
    own = {path[1:]: value for path, value in tables.items() if path[0] == kind and kind in TYPES}
    for examples in (own, _documented(MODULES[kind]), tables, *map(_documented, MODULES.values())):
        found = {**examples, **found}
    return found


@functools.cache
def _documented(module: str) -> dict[tuple[str, ...], t.Any]:
    found: dict[tuple[str, ...], t.Any] = {}
    for task in yaml.safe_load(documentation()[module]["examples"]) or ():
        for path, value in gathered(task.get(f"pve.provision.{module}")):
            found.setdefault(path, value)
    return found


class Writer:
    """Writes the schema of the options of one type. With ``partly`` nothing is required, since the rest may stand
    elsewhere: in defaults, and in guests that have them."""

    def __init__(self, kind: str, partly: bool = False) -> None:
        self._codecs = bounds_of(kind)
        self._examples = known_examples(kind)
        self._partly = partly
        self._supplied = {(name,) for name in supplied(kind)}  # what these lack, the defaults may have
        self._entries = Writer(kind) if partly else self  # a list is replaced as a whole, so its entries are complete
        self.texts: Spec = documentation()[MODULES[kind]]["doc"]["options"]

    def options(self, options: Spec, texts: Spec, rules: Spec, path: tuple[str, ...] = ()) -> Schema:
        """A dictionary of options, and the rules between them."""
        properties: Schema = {}
        for name, spec in options.items():
            here = (*path, name)
            properties[name] = self.option(spec, texts.get(name) or {}, here)
            for alias in spec.get("aliases", ()):
                properties[alias] = {**properties[name], "description": f"Another name of `{name}`."}
        schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
        partly = self._partly or path in self._supplied
        required = [name for name, spec in options.items() if spec.get("required") and not partly]
        clauses = [*_rules(rules, options, partly), *({"anyOf": stated(options, (name,))} for name in required)]
        return {**schema, "allOf": clauses} if clauses else schema

    def option(self, spec: Spec, text: Spec, path: tuple[str, ...]) -> Schema:
        """One option: null means what an option's documentation says of it."""
        told: Schema = {"description": plain(text.get("description"))}
        if spec.get("default") not in (None, {}, []):
            told["default"] = spec["default"]
        told["examples"] = [self.example(spec, text, path)]
        required = () if spec.get("required") and not self._partly else ({"type": "null"},)
        return {**told, "anyOf": [*self.forms(spec, text, path), *required]}

    def example(self, spec: Spec, text: Spec, path: tuple[str, ...]) -> t.Any:
        """A value of an option: a known one, its default, or one that follows from what it takes."""
        if spec.get("no_log"):
            return {"NAME": VAULTED} if spec["type"] == "dict" else VAULTED
        for known in (self._examples.get(path), spec.get("default")):
            if known not in (None, {}, [], ""):
                return known
        if spec["type"] == "list":
            return [self._made_up({**spec, "type": spec.get("elements", "str")}, text, path)]
        return self._made_up(spec, text, path)

    def _made_up(self, spec: Spec, text: Spec, path: tuple[str, ...]) -> t.Any:
        """The least choice or number, some of the options within it, or what its description names."""
        codec = self._codecs.get(path)
        if spec.get("choices"):
            return spec["choices"][0]
        if "options" in spec:
            within, texts = spec["options"], text.get("suboptions") or {}
            names = [name for name, each in within.items() if each.get("required")] or list(within)[:1]
            return {name: self.example(within[name], texts.get(name) or {}, (*path, name)) for name in names}
        if spec["type"] == "bool":
            return True
        if spec["type"] in ("int", "float") and codec is not None and codec.minimum is not None:
            return codec.minimum
        named = re.search(r"(?:such as|for example) `([^`]+)`", plain(text.get("description")))
        if named is None:
            raise LookupError(f"{'/'.join(path)} has no example. Add one to {EXAMPLES.relative_to(ROOT)}.")
        return named[1]

    def forms(self, spec: Spec, text: Spec, path: tuple[str, ...]) -> list[Schema]:
        kind = spec["type"]
        if kind == "list":
            inner = {**spec, "type": spec.get("elements", "raw")}
            entries = self._entries.forms(inner, text, path)
            separated = [{"type": ["string", "number"]}] if inner["type"] != "dict" and "choices" not in spec else []
            return [{"type": "array", "items": {"anyOf": entries}}, *(separated or [TEMPLATE])]
        if kind == "dict":
            if "options" not in spec:
                return [{"type": "object"}, TEMPLATE]
            return [self.options(spec["options"], text.get("suboptions") or {}, spec, path), TEMPLATE]
        if spec.get("choices"):
            return [{"enum": list(spec["choices"])}, TEMPLATE]
        return [self._bounded(form, path) for form in SCALARS[kind]]

    def _bounded(self, form: Schema, path: tuple[str, ...]) -> Schema:
        codec = self._codecs.get(path)
        if codec is None or form.get("type") not in ("integer", "number"):
            return form
        limits = {"minimum": codec.minimum, "maximum": codec.maximum}
        return {**form, **{name: limit for name, limit in limits.items() if limit is not None}}


def _rules(rules: Spec, options: Spec, partly: bool) -> t.Iterator[Schema]:
    """What holds between options."""
    for names in () if partly else rules.get("required_one_of") or ():
        yield {"anyOf": stated(options, names)}
    for names in rules.get("mutually_exclusive") or ():
        for one, other in itertools.combinations(names, 2):
            yield {"not": {"allOf": [{"anyOf": stated(options, (each,))} for each in (one, other)]}}
    for names in () if partly else rules.get("required_together") or ():
        all_of = [{"anyOf": stated(options, (each,))} for each in names]
        yield {"if": {"anyOf": all_of}, "then": {"allOf": all_of}}


def definitions(partly: bool = False) -> Schema:
    """The options of each type."""
    found: Schema = {}
    for kind, declared in TYPES.items():
        writer = Writer(kind, partly)
        options = {**declared.all_options, **_own(kind)}
        found[kind] = writer.options(options, {**writer.texts, **_own_texts()}, declared.spec.rules)
    return found


def of_any_type(strict: Schema) -> Schema:
    """The options of all types, as defaults have them, and guests whose type stands among the defaults. Nothing is
    required: the rest may stand in the other of the two."""
    properties: dict[str, list[Schema]] = {}
    seen: list[Schema] = []
    for kind, written in definitions(partly=True).items():
        for name, option in written["properties"].items():
            if {name: option} not in seen:
                seen.append({name: option})
                same = option == strict[kind]["properties"][name]
                reference = {"$ref": f"#/$defs/{kind}/properties/{name}"}
                properties.setdefault(name, []).append(reference if same else option)
    told = {name: each[0] if len(each) == 1 else {"anyOf": each} for name, each in properties.items()}
    return {"type": "object", "properties": {**told, "type": OF_TYPE}, "additionalProperties": False}


def schema() -> Schema:
    """The whole of it."""
    strict = definitions()
    is_kind = {kind: is_of(kind) for kind in TYPES}
    choose: list[Schema] = [{"if": is_kind[kind], "then": {"$ref": f"#/$defs/{kind}"}} for kind in TYPES]
    choose.append({"if": {"not": {"anyOf": list(is_kind.values())}}, "then": {"$ref": "#/$defs/any"}})
    guest = {"type": "object", "required": ["name"], "properties": {"type": OF_TYPE}, "allOf": choose}
    variables = role_variables()
    variables["provision_guests"] |= {"anyOf": [{"type": "array", "items": guest}]}
    variables["provision_defaults"] |= {"anyOf": [{"$ref": "#/$defs/any"}]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Guests of Proxmox VE, as pve.provision provisions them",
        "type": "object",
        "properties": variables,
        "allOf": with_defaults(),
        "$defs": {**strict, "any": of_any_type(strict)},
    }


def role_variables() -> Schema:
    """The variables of the role, which stand beside the guests."""
    told = yaml.safe_load(ROLE.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
    writer = Writer("lxc")
    return {
        name: {"description": plain(spec["description"]), "anyOf": writer.forms(spec, {}, (name,))}
        for name, spec in told.items()
    }


def _own(kind: str) -> Spec:
    """What a guest of a list has besides the options of its module."""
    own: dict[str, Spec] = {"type": {"type": "str", "choices": [kind]}, "after": {"type": "list", "elements": "str"}}
    assert set(own) == set(OWN.options)
    return own


def _own_texts() -> Spec:
    return {
        "name": {"description": "The name of the guest, unique in the list."},
        "type": {"description": "The type of guest."},
        "after": {"description": "Names of guests of this list that are done before this one begins."},
        "node": {"description": "The node of the cluster that it comes to; `auto` takes the one with the most room."},
        "migrate": {"description": "Whether it is moved where it is on another node than `node`."},
        "anti_affinity": {"description": "With `node: auto`, a tag whose guests are spread over the nodes."},
    }


def text() -> str:
    """The file."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
    print(f"{TARGET.relative_to(ROOT)}: {TARGET.stat().st_size // 1024} KiB")
