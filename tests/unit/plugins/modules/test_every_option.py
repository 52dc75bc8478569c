# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every option of a guest is changed once and brought back; driven by the tables, so that none is forgotten.

Options that need the same besides share a guest. Each run takes some of them from their values ``a`` to ``b``, and
those before back to ``a``; then the same is declared again, and nothing may change. The thorough form takes one at a
time.
"""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._model import lxc
from ansible_collections.pve.provision.plugins.module_utils._model.qemu import options as qemu
from embedded_node.state import hardware

from . import samples
from .conftest import Answer, Bench, Params, pvesh
from .samples import Sample, declaration, leaves, value_in

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._model.option import Option


class Kind(t.NamedTuple):
    """What is known of a kind of guest."""

    module: str
    options: dict[str, Option]
    samples: dict[str, Sample]
    left: dict[str, str]
    base: Params
    groups: dict[str, Params]
    entries: dict[str, Params]


KINDS = {
    "lxc": Kind(
        "lxc_create",
        leaves(lxc.OPTIONS),
        samples.LXC,
        samples.LXC_LEFT,
        samples.LXC_BASE,
        samples.LXC_GROUPS,
        samples.LXC_ENTRIES,
    ),
    "vm": Kind(
        "vm_create",
        leaves(qemu.OPTIONS),
        samples.VM,
        samples.VM_LEFT,
        samples.VM_BASE,
        samples.VM_GROUPS,
        samples.VM_ENTRIES,
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_option_has_two_values(name: str) -> None:
    kind = KINDS[name]
    assert {*kind.samples, *kind.left} == set(kind.options)
    assert [leaf for leaf, sample in kind.samples.items() if sample.a == sample.b] == []


@pytest.fixture
def furnished(bench: Bench) -> Bench:
    """A node with all that the values name."""
    root = bench.node.root
    files = ["var/lib/vz/template/iso/one.iso", "var/lib/vz/template/iso/two.iso", "dev/ttyS0"]
    files += ["var/lib/vz/snippets/one.sh", "var/lib/vz/snippets/two.sh", "dev/parport0", "dev/parport1"]
    files += ["usr/share/kvm/one.rom", "usr/share/kvm/two.rom"]
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n", encoding="utf-8")
        path.chmod(0o755)
    (root / "dev/other").symlink_to("/dev/null")
    for folder in ("srv/one", "srv/two"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    hardware.add_pci(bench.node.state, "0000:00:02.0", "8086:4692", "0300", 9, ("i915-GVTg_V5_4", "i915-GVTg_V5_8"))
    for kind, name, entry in (
        ("pci", "card", "node=pve1,path=0000:02:00.0,id=8086:1572,iommugroup=3,subsystem-id=8086:0001"),
        ("pci", "other", "node=pve1,path=0000:02:00.1,id=8086:1572,iommugroup=4,subsystem-id=8086:0001"),
        ("usb", "stick", "node=pve1,id=10c4:ea60"), ("usb", "port", "node=pve1,id=0403:6001,path=1-1"),
        ("dir", "share", "node=pve1,path=/srv/one"), ("dir", "data", "node=pve1,path=/srv/two"),
    ):  # fmt: skip
        pvesh(bench, "create", f"/cluster/mapping/{kind}", "--id", name, "--map", entry)
    pvesh(bench, "set", "/storage/local", "--content", "iso,vztmpl,backup,snippets,import,images,rootdir")
    bench.node.forget()
    return bench


def groups(kind: Kind) -> dict[str, list[str]]:
    """The options that share a guest."""
    found: dict[str, list[str]] = {}
    for leaf, sample in kind.samples.items():
        found.setdefault(sample.group, []).append(leaf)
    return found


class Chain:
    """A guest whose options are changed one after the other."""

    def __init__(self, bench: Bench, kind: Kind, group: str) -> None:
        self.bench, self.kind, self.members = bench, kind, groups(kind)[group]
        self.values: Params = {**kind.groups[group], **{leaf: kind.samples[leaf].a for leaf in self.members}}
        self.problems: dict[str, str] = {}

    def declare(self, values: Params) -> Answer:
        plain = {name: value for name, value in values.items() if name not in self.kind.options}
        known = {name: value for name, value in values.items() if name in self.kind.options}
        options = declaration(self.kind.options, self.kind.entries, known)
        return self.bench.run(self.kind.module, vmid=301, **{**self.kind.base, **options, **plain})

    def run(self, size: int) -> dict[str, str]:
        made = self.declare(self.values)
        if made.failed:
            return {"all": f"cannot be made: {reason(made)}"}
        self._expect_unchanged("after it was made", self.values)
        refused = [leaf for leaf in self.members if self.kind.samples[leaf].refused]
        for leaf in refused:
            self._expect_refusal(leaf, self.kind.samples[leaf])
        others = [leaf for leaf in self.members if leaf not in refused]
        for first in range(0, len(others), size):
            self._change(others[first : first + size])
        last = self.declare(self.values)
        if last.failed:
            self.problems["the end"] = reason(last)
        self._expect_unchanged("the end", self.values)
        return self.problems

    def _expect_refusal(self, leaf: str, sample: Sample) -> None:
        values = {**self.values, leaf: sample.b}
        if sample.refused == "back":
            self._change([leaf])
            self.values, values = values, self.values
        answer = self.declare(values)
        named = [each["option"] for each in answer.values.get("findings", ())] if answer.failed else []
        if not any(leaf.split(".")[0] in option for option in named):
            self.problems[leaf] = f"is not refused: {reason(answer) if answer.failed else answer.values['diff']}"

    def _change(self, leaves: list[str]) -> None:
        values, together = dict(self.values), ", ".join(leaves)
        for leaf in leaves:
            values |= {**self.kind.samples[leaf].with_b, leaf: self.kind.samples[leaf].b}
        answer = self.declare(values)
        if answer.failed or not answer.changed:
            self.problems[together] = reason(answer) if answer.failed else "are not changed"
            return
        for leaf in leaves:
            shown, sample = value_in(answer.config, leaf, self.kind.entries), self.kind.samples[leaf]
            if sample.shown and not same(shown, sample.b):
                self.problems[leaf] = f"is shown as {shown!r}, not {sample.b!r}"
        self._expect_unchanged(together, values)

    def _expect_unchanged(self, leaf: str, values: Params) -> None:
        self.bench.node.forget()
        again = self.declare(values)
        if again.failed:
            self.problems[leaf] = f"fails the second time: {reason(again)}"
        elif again.changed:
            self.problems[leaf] = f"changes the second time: {json.dumps(again.values['diff'])}"
        elif self.bench.writes():
            self.problems[leaf] = f"costs commands: {self.bench.writes()}"


def reason(answer: Answer) -> str:
    found = [f"{each['option']} {each['value']!r} {each['problem']}" for each in answer.values.get("findings", ())]
    return "; ".join(found) or str(answer.values.get("msg"))


def same(shown: t.Any, declared: t.Any) -> bool:
    if isinstance(declared, list):
        return sorted(map(str, shown or ())) == sorted(map(str, declared))
    return bool(shown == declared)


CASES = [(name, group) for name, kind in KINDS.items() for group in groups(kind)]


@pytest.mark.parametrize("size", [20, pytest.param(1, marks=pytest.mark.thorough)])
@pytest.mark.parametrize(("name", "group"), CASES, ids=[f"{name} {group or 'most'}" for name, group in CASES])
def test_every_option_is_changed_and_brought_back(furnished: Bench, name: str, group: str, size: int) -> None:
    problems = Chain(furnished, KINDS[name], group).run(size)
    assert not problems, "\n".join(f"{leaf}: {problem}" for leaf, problem in problems.items())
