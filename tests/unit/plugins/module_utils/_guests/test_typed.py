# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read without Ansible's validator is what the validator would make of it."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._guests.registry import TYPES
from ansible_collections.pve.provision.plugins.module_utils._guests.typed import NeedsValidator, TypedReader

WEB: dict[str, t.Any] = {
    "name": "web1",
    "memory": 256,
    "cpulimit": 2,
    "onboot": True,
    "state": "started",
    "rootfs": {"storage": "local-lvm", "size": 4},
    "networks": [{"bridge": "vmbr0", "ip": "10.0.0.1/24", "firewall": True}],
    "tags": ["home"],
}
VALUES = {
    "str": st.one_of(st.text(max_size=3), st.integers(0, 9)),
    "int": st.one_of(st.integers(0, 9), st.sampled_from(["7", "x"])),
    "bool": st.one_of(st.booleans(), st.sampled_from(["yes", "maybe"])),
    "float": st.one_of(st.integers(0, 9), st.floats(0, 9)),
    "raw": st.integers(0, 9),
    "path": st.just("~/key"),
}


def values(spec: t.Mapping[str, t.Any], kind: str) -> st.SearchStrategy[t.Any]:
    """Values for an option, right and wrong ones."""
    if kind == "list":
        return st.lists(values(spec, spec["elements"]), max_size=2)
    if kind == "dict":
        return declarations(spec["options"]) if "options" in spec else st.just({})
    return st.one_of(VALUES[kind], st.none(), st.sampled_from(spec.get("choices") or [""]))


def declarations(options: t.Mapping[str, t.Mapping[str, t.Any]]) -> st.SearchStrategy[dict[str, t.Any]]:
    named = {name: (spec, spec["type"]) for name, spec in options.items()}
    named |= {alias: named[name] for name, spec in options.items() for alias in spec.get("aliases", ())}
    some = st.lists(st.sampled_from(sorted(named)), max_size=4, unique=True)
    return some.flatmap(lambda names: st.fixed_dictionaries({name: values(*named[name]) for name in names}))


@pytest.mark.parametrize("kind", sorted(TYPES))
@given(data=st.data())
def test_it_is_what_the_validator_makes_of_it(kind: str, data: st.DataObject) -> None:
    spec = TYPES[kind].spec
    declared = data.draw(declarations(spec.options))
    try:
        read = TypedReader(spec.options, spec.rules).read(declared)
    except NeedsValidator:
        return
    checked = spec.validate(declared)
    assert (read, [], []) == (checked.values, list(checked.unknown), list(checked.errors))


def test_a_usual_guest_is_read() -> None:
    read = TypedReader(TYPES["lxc"].spec.options, TYPES["lxc"].spec.rules).read(WEB)
    assert (read["hostname"], read["rootfs"]["size"], read["cpulimit"]) == ("web1", "4", 2.0)
    assert (read["swap"], read["networks"][0]["state"]) == (None, "present")


@pytest.mark.parametrize(
    "wrong",
    [
        {"memory": "256"},
        {"memory": None},
        {"onboot": "yes"},
        {"networks": "vmbr0"},
        {"networks": [{"bridge": None}]},
        {"state": "running"},
        {"memroy": 1},
        {"hostname": "web2"},
        {"hookscript": ""},
        {"ostemplate": "alpine", "clone_from": {"vmid": 1}},
        {"clone_from": {}},
        {"clone_from": {"vmid": 1, "name": "x"}},
    ],
    ids=str,
)
def test_what_is_not_simply_right_is_left_to_the_validator(wrong: dict[str, t.Any]) -> None:
    with pytest.raises(NeedsValidator):
        TypedReader(TYPES["lxc"].spec.options, TYPES["lxc"].spec.rules).read({**WEB, **wrong})


@pytest.mark.parametrize(
    ("rules", "wrong"),
    [
        ({"required_together": [("a", "b")]}, {"a": 1}),
        ({"required_one_of": [("b", "c")]}, {"a": 1}),
        ({"required_if": [("a", 1, ["b"])]}, {"a": 1}),
        ({"required_by": {"a": ("b",)}}, {"a": 1}),
    ],
    ids=str,
)
def test_rules_between_options_are_left_to_the_validator(rules: dict[str, t.Any], wrong: dict[str, t.Any]) -> None:
    options = {name: {"type": "int"} for name in "abc"}
    assert TypedReader(options, {}).read(wrong) == {"a": 1, "b": None, "c": None}
    with pytest.raises(NeedsValidator):
        TypedReader(options, rules).read(wrong)
    with pytest.raises(NeedsValidator):
        TypedReader({**options, "d": {"type": "int", "required": True}}, {}).read(wrong)
