# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declarations that are applied one after another leave what the last of them alone makes of a fresh guest."""

from __future__ import annotations

import re
import typing as t

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._model import lxc
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Fields
from ansible_collections.pve.provision.plugins.module_utils._model.qemu import options as qemu
from ansible_collections.pve.provision.plugins.module_utils._pve.config_text import parse_guest_config
from embedded_node import commands

from .conftest import Answer, Bench, Params
from .samples import declaration
from .test_every_option import KINDS, furnished, reason

__all__ = ["furnished"]

UNHURRIED: t.Any = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
}
# What each guest has of its own.
OWN = re.compile(r"(?<=vm-)\d+(?=-)|BC:24:11(?::[0-9A-F]{2}){3}")
OWN_OPTIONS = ("meta", "vmgenid", "smbios1", "hostname")
# What purge_options leaves alone, so that it has to be declared: what the guest is, its disks and drives.
ALWAYS: dict[str, Params] = {
    "vm": {
        "ostype": "l26",
        "cpu.type": "x86-64-v2-AES",
        "machine.type": "i440fx",
        "scsihw": "virtio-scsi-single",
        "boot.order": ["scsi0"],
        "disks.discard": "on",
        "disks.ssd": True,
        "cdroms.volume": "local:iso/one.iso",
    },
    "lxc": {"ostype": "debian", "rootfs.storage": "local-lvm", "rootfs.size": "1G"},
}
TABLES = {"lxc": lxc.OPTIONS, "vm": qemu.OPTIONS}
# What a running VM without a system in it says to what is unplugged.
EMPTY = "still busy in guest"
STATES = ("present", "started", "stopped")


def declarations(name: str) -> st.SearchStrategy[tuple[str, Params]]:
    """A state, and values of some options."""
    kind = KINDS[name]
    shared = {leaf for leaf, each in kind.samples.items() if each.group == "" and not each.refused and each.shown}
    leaves = sorted(leaf for leaf in shared if not leaf.startswith("cloud_init."))  # which brings a drive that stays
    chosen = st.dictionaries(st.sampled_from(leaves), st.booleans(), max_size=12)
    values = chosen.map(
        lambda picked: {
            leaf: kind.samples[leaf].b if second else kind.samples[leaf].a for leaf, second in picked.items()
        }
    )
    return st.tuples(st.sampled_from(STATES), values)


def apply(bench: Bench, name: str, vmid: int, state: str, values: Params) -> Answer:
    kind = KINDS[name]
    options = declaration(kind.options, kind.entries, {**ALWAYS[name], **values})
    common: Params = {"vmid": vmid, "state": state, "purge_options": True, "shutdown_timeout": 1, "force": True}
    answer = bench.run(kind.module, **{**kind.base, **options, **common})
    refused = answer.values.get("findings") or EMPTY in str(answer.values.get("msg"))
    assert not answer.failed or refused, f"{values}: {reason(answer)}"
    return answer


def config(bench: Bench, name: str, vmid: int) -> dict[str, t.Any]:
    """What PVE holds of a guest, as values: what says what PVE assumes anyway is left out."""
    folder = {"vm": "qemu-server", "lxc": "lxc"}[name]
    path = bench.node.root / f"etc/pve/{folder}/{vmid}.conf"
    held = parse_guest_config(path.read_bytes()).options if path.exists() else {}
    found = {}
    for key, text in held.items():
        option, plain = TABLES[name].find(key), OWN.sub("", text)
        if option is None or isinstance(option.codec, Fields):
            value = option.codec.normal(option.codec.parse(plain)) if option else plain
        else:
            value = option.codec.parse(plain)
        if key not in OWN_OPTIONS and value != {} and not (option and value == option.default):
            found[key] = value
    return found


def destroy(bench: Bench, name: str) -> None:
    command = {"vm": "qm", "lxc": "pct"}[name]
    for vmid in ("301", "302"):
        for words in (["set", vmid, "--protection", "0"], ["stop", vmid], ["destroy", vmid, "--purge", "1"]):
            commands.run([command, *words], bench.node.root, b"")


def check(bench: Bench, name: str, steps: list[tuple[str, Params]], last: Params) -> None:
    """A step that cannot be is a finding, and leaves the guest as it was."""
    destroy(bench, name)
    fresh = apply(bench, name, 302, "stopped", last)
    assume(not fresh.failed)
    for state, values in steps:
        before = config(bench, name, 301)
        if apply(bench, name, 301, state, values).failed:
            assert config(bench, name, 301) == before
    ended = apply(bench, name, 301, "stopped", last)
    assume(not ended.failed)
    assert config(bench, name, 301) == config(bench, name, 302)
    bench.node.forget()
    assert not apply(bench, name, 301, "stopped", last).changed
    assert bench.writes() == []


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=3, derandomize=True, phases=[Phase.generate], **UNHURRIED)
@given(data=st.data())
def test_only_the_last_declaration_counts(furnished: Bench, name: str, data: st.DataObject) -> None:
    steps = data.draw(st.lists(declarations(name), min_size=1, max_size=3))
    check(furnished, name, steps, data.draw(declarations(name))[1])


@pytest.mark.thorough
@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=100, **UNHURRIED)
@given(data=st.data())
def test_only_the_last_declaration_counts_whatever_was_before(furnished: Bench, name: str, data: st.DataObject) -> None:
    steps = data.draw(st.lists(declarations(name), min_size=1, max_size=6))
    check(furnished, name, steps, data.draw(declarations(name))[1])
