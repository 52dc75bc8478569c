# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declarations that are applied one after another leave what the last of them alone makes of a fresh guest."""

from __future__ import annotations

import copy
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
OWN = re.compile(r"(?<=vm-)\d+(?:-disk-\d+)?(?=\b)|BC:24:11(?::[0-9A-F]{2}){3}")
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
        # It brings a drive that stays.
        "cloud_init.type": "nocloud",
        "cloud_init.install_agent": False,
        "cloud_init.wait": 0,
        # It gets addresses from there.
        "networks.bridge": "vmbr0",
        "networks.model": "virtio",
    },
    "lxc": {"ostype": "debian", "rootfs.storage": "local-lvm", "rootfs.size": "1G"},
}
TABLES = {"lxc": lxc.OPTIONS, "vm": qemu.OPTIONS}
# What a running VM without a system in it says to what is unplugged.
EMPTY = "still busy in guest"
STATES = ("present", "started", "stopped")
MIB = 128  # by which disks grow, which is all that they do
KEYS = [f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample{end}" for end in "AB"]


class Step(t.NamedTuple):
    """A state, values of some options, and what is listed: disks, network devices, cloud-init."""

    state: str
    values: Params
    listed: Params

    def grown(self, size: int) -> Step:
        """Its disks have that size."""
        listed = copy.deepcopy(self.listed)
        for disk in listed.get("disks", []):
            disk["size"] = f"{1024 + size * MIB}M"
        return self._replace(listed=listed)


def cards(name: str) -> st.SearchStrategy[list[Params]]:
    """Further network devices, in any number up to three."""
    bridge = {"bridge": st.sampled_from(["vmbr0", "vmbr1"])}
    always = {"lxc": bridge, "vm": {**bridge, "model": st.sampled_from(["virtio", "e1000"])}}
    device = st.fixed_dictionaries(always[name], optional={"tag": st.sampled_from([10, 20]), "firewall": st.booleans()})
    numbers = st.sets(st.sampled_from([1, 2, 3])).map(sorted)
    named = {"lxc": lambda number: {"id": number, "name": f"eth{number}"}, "vm": lambda number: {"id": number}}
    listed = st.tuples(numbers, st.lists(device, min_size=3, max_size=3))
    return listed.map(lambda drawn: [{**named[name](number), **each} for number, each in zip(*drawn, strict=False)])


def cloud_init() -> st.SearchStrategy[Params]:
    """What the first network device gets, a user and his keys."""
    address = st.one_of(
        st.just({"id": 0, "ip": "dhcp"}),
        st.builds(
            lambda last, more: {"id": 0, "ip": f"192.0.2.{last}/24", **more},
            st.sampled_from([10, 11]),
            st.sampled_from([{}, {"gateway": "192.0.2.1"}]),
        ),
        st.just({"id": 0, "ip6": "2001:db8::10/64"}),
    )
    return st.fixed_dictionaries(
        {},
        optional={
            "user": st.sampled_from(["admin", "other"]),
            "ssh_keys": st.lists(st.sampled_from(KEYS), min_size=1, unique=True),
            "ip": address.map(lambda each: [each]),
            "nameserver": st.just(["192.0.2.53"]),
            "upgrade": st.booleans(),
        },
    )


def lists(name: str) -> st.SearchStrategy[Params]:
    """What is listed besides the first of each."""
    if name == "lxc":
        return st.fixed_dictionaries({"networks": cards(name)})
    places = st.sets(st.sampled_from([("scsi", 1), ("scsi", 2), ("virtio", 0), ("sata", 1)]), max_size=2).map(sorted)
    disks = places.map(lambda drawn: [{"bus": bus, "index": index, "storage": "local-lvm"} for bus, index in drawn])
    first = {"bus": "scsi", "index": 0, "storage": "local-lvm"}
    return st.fixed_dictionaries({
        "disks": disks.map(lambda others: [first, *others]), "networks": cards(name), "cloud_init": cloud_init()
    })  # fmt: skip


def declarations(name: str) -> st.SearchStrategy[Step]:
    """A state, values of some options, and lists."""
    kind = KINDS[name]
    shared = {leaf for leaf, each in kind.samples.items() if each.group == "" and not each.refused and each.shown}
    leaves = sorted(leaf for leaf in shared if not leaf.startswith("cloud_init."))
    chosen = st.dictionaries(st.sampled_from(leaves), st.booleans(), max_size=12)
    values = chosen.map(
        lambda picked: {
            leaf: kind.samples[leaf].b if second else kind.samples[leaf].a for leaf, second in picked.items()
        }
    )
    return st.builds(Step, st.sampled_from(STATES), values, lists(name))


def sequences(name: str, most: int) -> st.SearchStrategy[list[Step]]:
    """Some of them, whose disks only grow."""
    steps = st.lists(declarations(name), min_size=2, max_size=most + 1)
    sizes = st.lists(st.integers(0, 4), min_size=most + 1, max_size=most + 1).map(sorted)
    return st.tuples(steps, sizes).map(lambda drawn: [step.grown(size) for step, size in zip(*drawn, strict=False)])


def declared(name: str, step: Step) -> Params:
    """What a user writes of it: what is listed comes with the first of each, of which options are drawn."""
    kind = KINDS[name]
    options = declaration(kind.options, kind.entries, {**ALWAYS[name], **step.values})
    for param, more in copy.deepcopy(step.listed).items():
        if param == "cloud_init":
            options[param] |= more
        elif param == "disks":
            options[param] = [{**options[param][0], **more[0]}, *more[1:]]
        else:
            options[param] = [*options.get(param, []), *more]
    return options


def apply(bench: Bench, name: str, vmid: int, step: Step) -> Answer:
    kind, options = KINDS[name], declared(name, step)
    common: Params = {"vmid": vmid, "state": step.state, "purge_options": True, "shutdown_timeout": 1, "force": True}
    common |= {"purge_disks": True} if name == "vm" else {}
    answer = bench.run(kind.module, **{**kind.base, **options, **common})
    refused = answer.values.get("findings") or EMPTY in str(answer.values.get("msg"))
    assert not answer.failed or refused, f"{step}: {reason(answer)}"
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


def check(bench: Bench, name: str, steps: list[Step]) -> None:
    """A step that cannot be is a finding, and leaves the guest as it was. What a running guest refuses is seen as it is
    changed: a disk may have grown by then."""
    *steps, last = [*steps[:-1], steps[-1]._replace(state="stopped")]
    destroy(bench, name)
    fresh = apply(bench, name, 302, last)
    assume(not fresh.failed)
    for step in steps:
        before = config(bench, name, 301)
        if apply(bench, name, 301, step).values.get("findings"):
            assert config(bench, name, 301) == before
    ended = apply(bench, name, 301, last)
    assume(not ended.failed)
    assert config(bench, name, 301) == config(bench, name, 302)
    bench.node.forget()
    assert not apply(bench, name, 301, last).changed
    assert bench.writes() == []


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=3, derandomize=True, phases=[Phase.generate], **UNHURRIED)
@given(data=st.data())
def test_only_the_last_declaration_counts(furnished: Bench, name: str, data: st.DataObject) -> None:
    check(furnished, name, data.draw(sequences(name, 3)))


@pytest.mark.thorough
@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=100, **UNHURRIED)
@given(data=st.data())
def test_only_the_last_declaration_counts_whatever_was_before(furnished: Bench, name: str, data: st.DataObject) -> None:
    check(furnished, name, data.draw(sequences(name, 6)))
