# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of an option agrees with its table and its spec.

A fragment is written by hand. It states the facts of a table in these words, which the tests look for: ``V(1) to
V(10)``, ``V(16) or more``, "default is", "Cannot change on an existing", "at the next start", "Only used at the
creation", "never shown", "Since Proxmox VE".
"""

from __future__ import annotations

import functools
import importlib
import re
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ansible_collections.pve.provision.plugins.module_utils._argspec import CONNECTION
from ansible_collections.pve.provision.plugins.module_utils._guests.registry import TYPES
from ansible_collections.pve.provision.plugins.module_utils._model import lxc
from ansible_collections.pve.provision.plugins.module_utils._model.codec import Codec
from ansible_collections.pve.provision.plugins.module_utils._model.option import Option
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Field, Fields
from ansible_collections.pve.provision.plugins.module_utils._model.qemu import options as qemu
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.hardware import PLUGGED

PLUGINS = "ansible_collections.pve.provision.plugins"
FOLDER = Path(__file__).resolve().parents[4] / "plugins/modules"
# The module of each type of guest, and its table.
MODULES = {
    kind: path.stem
    for path in sorted(FOLDER.glob("*.py"))
    for kind in re.findall(r'run_guest_module\("(\w+)"\)', path.read_text(encoding="utf-8"))
}
TABLES = {kind: qemu.TABLE if "bios" in TYPES[kind].spec.options else lxc.TABLE for kind in MODULES}
# What a router's module has an option of its own for, by the name that a table has for another one.
OWN = {
    "openwrt_lxc": {"ostype", "unprivileged", "timezone"},
    "openwrt_vm": {"agent"},
}
Doc = dict[str, t.Any]


@functools.cache
def documented(kind: str) -> Doc:
    """The options that the documentation of a module has, those of its fragments among them."""
    own = yaml.safe_load(importlib.import_module(f"{PLUGINS}.modules.{MODULES[kind]}").DOCUMENTATION)
    fragments = [name.rpartition(".")[2] for name in own["extends_documentation_fragment"]]
    texts = [importlib.import_module(f"{PLUGINS}.doc_fragments.{name}").ModuleDocFragment for name in fragments]
    shared = [yaml.safe_load(text.DOCUMENTATION).get("options", {}) for text in texts]
    return {name: doc for options in [own["options"], *shared] for name, doc in options.items()}


def text_of(doc: Doc) -> str:
    description = doc["description"]
    return " ".join([description] if isinstance(description, str) else description)


def doc_of(kind: str, option: Option) -> Doc:
    """What is said of an option, also of one that is within a dictionary."""
    doc: Doc = {"suboptions": documented(kind)}
    for name in option.path:
        doc = doc["suboptions"][name]
    return doc


def options_of(kind: str) -> Iterator[Option]:
    """The options of a table that a module takes."""
    spec = TYPES[kind].spec.options
    return (option for option in TABLES[kind] if option.path[0] in spec and option.param not in OWN.get(kind, ()))


def fields_of(kind: str) -> Iterator[tuple[Option, str, Field]]:
    for option in options_of(kind):
        if isinstance(option.codec, Fields):
            yield from ((option, key, entry) for key, entry in option.codec.keys.items() if not entry.internal)


OPTIONS = [pytest.param(kind, option, id=f"{kind}-{option.param}") for kind in MODULES for option in options_of(kind)]
FIELDS = [
    pytest.param(kind, option, key, entry, id=f"{kind}-{option.param}-{key}")
    for kind in MODULES
    for option, key, entry in fields_of(kind)
]


def test_every_type_has_a_module() -> None:
    assert set(MODULES) == set(TYPES)


@pytest.mark.parametrize("kind", MODULES)
def test_every_option_is_documented_and_none_else(kind: str) -> None:
    of_module = TYPES[kind].of_module.options
    assert set(documented(kind)) == {*TYPES[kind].spec.options, *of_module, *CONNECTION.options}


def same(spec: Doc, doc: Doc, path: str) -> Iterator[str]:
    """In what an option's documentation differs from its spec."""
    for word in ("type", "elements", "default", "required"):
        if spec.get(word) != doc.get(word):
            yield f"{path}: {word} is {spec.get(word)}, documented as {doc.get(word)}"
    for word in ("choices", "aliases"):
        if sorted(spec.get(word, ())) != sorted(doc.get(word, ())):
            yield f"{path}: {word} are {spec.get(word)}, documented as {doc.get(word)}"
    if spec["type"] == "dict" and "options" not in spec:
        return  # free in form: its suboptions are told for people alone
    inner, told = spec.get("options", {}), doc.get("suboptions", {})
    if inner.keys() != told.keys():
        yield f"{path}: has {sorted(inner)}, documented are {sorted(told)}"
    for name in inner.keys() & told.keys():
        yield from same(inner[name], told[name], f"{path}.{name}")


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in MODULES for name in TYPES[kind].spec.options])
def test_type_elements_choices_default_and_suboptions_are_those_of_the_spec(kind: str, name: str) -> None:
    assert list(same(TYPES[kind].spec.options[name], documented(kind)[name], name)) == []


def told(default: t.Any) -> str:
    """A default as the documentation tells it."""
    *first, last = [f"V({each})" for each in (default if isinstance(default, tuple) else [default])]
    return f"{', '.join(first)} and {last}" if first else last


def bounds(codec: Codec) -> str:
    if codec.maximum is not None:
        return f"V({codec.minimum:g}) to V({codec.maximum:.12g})"
    return f"V({codec.minimum:g}) or more" if codec.minimum else ""


@pytest.mark.parametrize(("kind", "option"), OPTIONS)
class TestOption:
    def test_bounds(self, kind: str, option: Option) -> None:
        if isinstance(option.codec, Codec):
            assert bounds(option.codec) in text_of(doc_of(kind, option))

    def test_the_default_of_pve(self, kind: str, option: Option) -> None:
        text = text_of(doc_of(kind, option))
        if option.default and not isinstance(option.default, (bool, float)):
            assert f"default is {told(option.default)}" in text

    def test_when_a_change_counts(self, kind: str, option: Option) -> None:
        text = text_of(doc_of(kind, option))
        at_once = option.hotplug and (not option.plugs or option.plugs in PLUGGED)
        waits = option.scope == "config" and not at_once and not option.immutable
        assert ("at the next start" in text) == waits
        assert ("Cannot change on an existing" in text) == option.immutable
        assert ("Only used at the creation" in text) == (option.scope == "creation")

    def test_what_is_secret_and_what_is_new(self, kind: str, option: Option) -> None:
        text = text_of(doc_of(kind, option))
        assert ("never shown" in text) == option.secret
        assert (f"Since Proxmox VE {option.since}" in text) == bool(option.since)


@pytest.mark.parametrize(("kind", "option", "key", "entry"), FIELDS)
class TestSuboption:
    def test_bounds_and_what_is_new(self, kind: str, option: Option, key: str, entry: Field) -> None:
        text = text_of(doc_of(kind, option)["suboptions"][entry.param or key])
        assert bounds(entry.codec) in text
        assert (f"Since Proxmox VE {entry.since}" in text) == bool(entry.since)

    def test_what_a_running_guest_takes_only_at_its_next_start(
        self, kind: str, option: Option, key: str, entry: Field
    ) -> None:
        text = text_of(doc_of(kind, option)["suboptions"][entry.param or key])
        assert ("at the next start" in text) == (key in option.cold)
