# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``docs/guests.schema.json`` is made from the tables, takes what the modules take, and refuses what they refuse.

Whether a text is an address, or a bridge is there, no schema tells; so what the modules find beyond types, choices,
bounds and rules is left out of it.
"""

from __future__ import annotations

import functools
import json
import typing as t
from collections.abc import Mapping
from pathlib import Path

import guests_schema
import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ansible_collections.pve.provision.plugins.module_utils._guests.registry import TYPES, with_defaults

EXAMPLES = sorted((Path(__file__).resolve().parents[3] / "examples").rglob("*.yml"))
Spec = Mapping[str, t.Any]

WRONG = {
    "int": st.sampled_from(["many", "1.5.2", [1, 2], {"a": 1}]),
    "float": st.sampled_from(["much", [1.5], {"a": 1}]),
    "bool": st.sampled_from(["maybe", "2", [True], {"a": 1}, 7]),
    "list": st.sampled_from([{"a": 1}]),
    "dict": st.sampled_from([3, ["a"], "no pairs"]),
}
RIGHT: dict[str, st.SearchStrategy[t.Any]] = {
    "str": st.sampled_from(["word", "two words", 5, True]),
    "path": st.just("/srv/data"),
    "raw": st.sampled_from(["word", 5]),
    "int": st.sampled_from([1, 2, "3", 100000000]),
    "float": st.sampled_from([1, 1.5, "2"]),
    "bool": st.sampled_from([True, False, "yes", "No", 1, 0]),
}


@functools.cache
def validator() -> Draft202012Validator:
    schema = json.loads(guests_schema.TARGET.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def values(spec: Spec, wrong: bool, partly: bool = False) -> st.SearchStrategy[t.Any]:
    """Values of an option; with ``wrong`` perhaps such as it does not take, with ``partly`` perhaps without what it
    requires. The entries of a list are whole."""
    kind = spec["type"]
    bad = [WRONG[kind]] if wrong and kind in WRONG else []
    if kind == "list":
        entry = values({**spec, "type": spec.get("elements", "raw")}, wrong)
        return st.one_of(st.lists(entry, max_size=2), *bad)
    if kind == "dict" and "options" in spec:
        return st.one_of(dictionaries(spec["options"], wrong, partly), *bad)
    if kind == "dict":
        return st.one_of(st.just({"a": {"b": 1}}), *bad)
    if spec.get("choices"):
        return st.sampled_from([*spec["choices"], *(["no such choice"] if wrong else [])])
    return st.one_of(RIGHT[kind], *bad)


def requires(spec: Spec) -> bool:
    return bool(spec.get("required_one_of")) or any(each.get("required") for each in spec.get("options", {}).values())


@st.composite
def dictionaries(draw: st.DrawFn, options: Spec, wrong: bool, partly: bool = False) -> dict[str, t.Any]:
    strict = sorted(name for name, spec in options.items() if requires(spec) and spec["type"] == "dict")
    names = draw(st.lists(st.sampled_from(sorted(options)), max_size=3, unique=True))
    if partly and strict:
        names += draw(st.lists(st.sampled_from(strict), max_size=2, unique=True))
    leaves = wrong or partly
    required = [name for name, spec in options.items() if spec.get("required") and not (leaves and draw(st.booleans()))]
    chosen = {name: draw(values(options[name], wrong, partly)) for name in sorted({*names, *required})}
    return {**chosen, **({"no_such_option": 1} if wrong and draw(st.integers(0, 9)) == 0 else {})}


@st.composite
def guests(draw: st.DrawFn, partly: bool = False) -> dict[str, t.Any]:
    kind = draw(st.sampled_from(sorted(TYPES)))
    wrong = draw(st.booleans())
    return {**draw(dictionaries(TYPES[kind].all_options, wrong, partly)), "name": "web1", "type": kind}


@st.composite
def documents(draw: st.DrawFn) -> dict[str, t.Any]:
    """A guest, and defaults of its type, either of which may have what the other requires; and the type, too."""
    guest = draw(guests(partly=True))
    defaults = draw(dictionaries(TYPES[guest["type"]].all_options, wrong=False, partly=True))
    for name in ("name", "hostname"):
        defaults.pop(name, None)
    if draw(st.booleans()):
        defaults["type"] = guest.pop("type")
    return {"provision_defaults": defaults, "provision_guests": [guest]}


def agrees(document: dict[str, t.Any]) -> None:
    """The schema refuses what the type of the guest refuses, and nothing that the guest could be made from."""
    errors = list(validator().iter_errors(document))
    (guest,) = with_defaults(document["provision_guests"], document.get("provision_defaults", {}))
    declared = TYPES[guest["type"]]
    options = {name: value for name, value in guest.items() if name not in ("type", "hostname")}
    checked = declared.check(options)
    if checked.findings:
        assert errors, checked.findings
    elif errors:  # of the bounds that the tables know, which are held against when the guest is read
        wanted, _parts = declared.read(checked.values, checked.nulls)
        assert wanted.findings, errors


def agree_with_defaults(document: dict[str, t.Any]) -> None:
    """Of defaults that are wrong by themselves the schema says so, though a guest may have something else instead."""
    assume(validator().is_valid({"provision_defaults": document["provision_defaults"]}))
    agrees(document)


@settings(max_examples=150, deadline=None)
@given(guests())
def test_the_schema_and_the_modules_agree(guest: dict[str, t.Any]) -> None:
    agrees({"provision_guests": [guest]})


@settings(max_examples=150, deadline=None)
@given(documents())
def test_they_agree_on_what_guests_and_defaults_say_together(document: dict[str, t.Any]) -> None:
    agree_with_defaults(document)


@pytest.mark.thorough
@settings(max_examples=1000, deadline=None)
@given(guests())
def test_they_agree_on_a_thousand_documents(guest: dict[str, t.Any]) -> None:
    agrees({"provision_guests": [guest]})


@pytest.mark.thorough
@settings(max_examples=1000, deadline=None)
@given(documents())
def test_they_agree_on_a_thousand_documents_with_defaults(document: dict[str, t.Any]) -> None:
    agree_with_defaults(document)


WINDOWS = {"name": "pc1", "type": "vm", "profile": "windows"}
PASSWORD = {"admin_password": "{{ vault_secret }}"}
OF_BACKUP = {"backup": "local:backup/a.tar.zst"}


@pytest.mark.parametrize(
    ("defaults", "guest", "right"),
    [
        ({"windows": PASSWORD}, {**WINDOWS, "windows": {"language": "de-DE"}}, True),
        ({"windows": {"language": "de-DE"}}, {**WINDOWS, "windows": PASSWORD}, True),
        ({"windows": "{{ windows }}"}, {**WINDOWS, "windows": {"language": "de-DE"}}, True),
        ({"type": "vm", "windows": PASSWORD}, {"name": "pc1", "windows": {"language": "de-DE"}}, True),
        ({}, {**WINDOWS, "windows": {"language": "de-DE"}}, False),
        ({"windows": {"language": "de-DE"}}, WINDOWS, False),
        ({"windows": {"language": "de-DE"}}, {**WINDOWS, "windows": {"user": "me"}}, False),
        ({"type": "vm", "windows": {"language": "de-DE"}}, {"name": "pc1"}, False),
        ({"windows": {"language": "de-DE"}}, {"name": "web1", "type": "lxc"}, True),
        ({"restore_from": OF_BACKUP}, {"name": "web1", "type": "lxc", "restore_from": {"unique": True}}, False),
        ({"restore_from": OF_BACKUP, "clone_from": {"vmid": 100}}, {"name": "web1", "type": "lxc"}, False),
    ],
)
def test_what_a_dictionary_requires_may_stand_among_the_defaults(
    defaults: dict[str, t.Any], guest: dict[str, t.Any], right: bool
) -> None:
    assert refused(defaults=defaults, guests=[guest]) != right


def test_the_file_is_what_the_tables_say() -> None:
    assert guests_schema.TARGET.read_text(encoding="utf-8") == guests_schema.text(), "make schema"


def declarations(node: t.Any) -> t.Iterator[dict[str, t.Any]]:
    """What looks like the variables of the role, wherever it stands in a playbook."""
    if isinstance(node, dict):
        if "provision_guests" in node and isinstance(node["provision_guests"], list):
            yield node
        for each in node.values():
            yield from declarations(each)
    elif isinstance(node, list):
        for each in node:
            yield from declarations(each)


@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_examples_are_valid(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        for variables in declarations(document):
            assert not [error.message for error in validator().iter_errors(variables)]


def options_of(node: t.Any, path: str) -> t.Iterator[tuple[str, dict[str, t.Any]]]:
    """All options of a schema by their paths, those within others too."""
    for name, option in (node.get("properties") or {}).items():
        yield f"{path}.{name}", option
        for form in option.get("anyOf", ()):
            for inner in (form, *(form.get("items") or {}).get("anyOf", ())):
                yield from options_of(inner, f"{path}.{name}")


def all_options() -> list[tuple[str, dict[str, t.Any]]]:
    definitions = validator().schema["$defs"]
    return [found for kind in TYPES for found in options_of(definitions[kind], kind)]


def test_every_option_has_a_text_and_an_example() -> None:
    assert len(all_options()) > 1000
    assert [path for path, option in all_options() if not option.get("description") or not option.get("examples")] == []


def test_every_example_is_one() -> None:
    for path, option in all_options():
        for example in option["examples"]:
            assert Draft202012Validator(option).is_valid(example), (path, example)


def test_every_example_of_the_table_is_of_an_option_and_is_shown() -> None:
    shown = {path.replace(".", "/"): option["examples"] for path, option in all_options()}
    for name, example in yaml.safe_load(guests_schema.EXAMPLES.read_text(encoding="utf-8")).items():
        paths = {name, *(f"{kind}/{name}" for kind in TYPES)} & shown.keys()
        assert [example] in [shown[path] for path in paths], name


@pytest.mark.parametrize("kind", ["lxc", "vm"])
def test_the_number_of_the_guest_to_clone_has_bounds(kind: str) -> None:
    guest = {"name": "web1", "type": kind, "clone_from": {"vmid": 1}}
    assert list(validator().iter_errors({"provision_guests": [guest]}))
    agrees({"provision_guests": [guest]})


# -- defaults ----------------------------------------------------------------------------------------------------------
def refused(**variables: t.Any) -> bool:
    return not validator().is_valid({f"provision_{name}": value for name, value in variables.items()})


@pytest.mark.parametrize("wrong", [{"memroy": 512}, {"cores": "many"}, {"rootfs": {"sise": 4}}, {"type": "lcx"}])
def test_what_is_wrong_is_found_also_where_the_type_stands_among_the_defaults(wrong: dict[str, t.Any]) -> None:
    assert refused(defaults={"type": "lxc", **wrong}, guests=[{"name": "web1"}])
    assert refused(defaults={"type": "lxc"}, guests=[{"name": "web1", **wrong}])
    assert refused(guests=[{"name": "web1", "type": "{{ kind }}", **wrong, "x": 1}])


def test_defaults_may_hold_what_some_types_have_and_a_part_of_what_is_required() -> None:
    defaults = {"cores": 2, "ostemplate": "debian-13-standard", "cloud_init": {"user": "ada"}, "version": "24",
                "windows": {"language": "de-DE"}, "clone_from": {"full": True}}  # fmt: skip
    assert not refused(defaults=defaults, guests=[{"name": "web1"}])
    assert refused(defaults={"users": [{"shell": "/bin/sh"}]})  # an entry of a list is whole


@settings(max_examples=60, deadline=None)
@given(guests())
def test_what_a_guest_of_a_type_may_say_may_be_a_default(guest: dict[str, t.Any]) -> None:
    if validator().is_valid({"provision_guests": [guest]}):
        rest = {name: value for name, value in guest.items() if name not in ("name", "hostname")}
        assert not refused(defaults=rest, guests=[{"name": "web1"}])


@pytest.mark.parametrize("variable", [{"prune": "maybe"}, {"on_failure": "explode"}, {"mirrors": {}}])
def test_the_other_variables_of_the_role_are_checked_too(variable: dict[str, t.Any]) -> None:
    assert refused(**variable)
