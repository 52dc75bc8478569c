# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``docs/verification.md`` and the fragment of checks tell each type with its options, and no other."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import yaml

from ansible_collections.pve.provision.plugins.doc_fragments.checks import ModuleDocFragment
from ansible_collections.pve.provision.plugins.module_utils._guests.verify.spec import CHECKS
from ansible_collections.pve.provision.plugins.module_utils._model.checks.declare import declare_checks
from ansible_collections.pve.provision.plugins.module_utils._model.checks.table import COMMON, OPTIONS, REQUIRED, TYPES

TEXT = (Path(__file__).resolve().parents[3] / "docs/verification.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(?P<type>\w+)` \| [^|]+ \|(?P<options>[^|]*)\|$", re.MULTILINE)
FRAGMENT = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]


def rows() -> dict[str, dict[str, bool]]:
    """The options of each type in the table, and whether they are required."""
    table = TEXT[TEXT.index("## Types") : TEXT.index("## Results")]
    return {
        row["type"]: {name: bold == "**" for bold, name in re.findall(r"(\*\*)?`(\w+)`", row["options"])}
        for row in ROW.finditer(table)
    }


def test_the_table_has_every_type_with_its_options() -> None:
    known = {
        kind: {name: default is REQUIRED for name, default in each.options.items()} for kind, each in TYPES.items()
    }
    assert rows() == known


def test_every_option_belongs_to_a_type() -> None:
    assert {name for each in TYPES.values() for name in each.options} == OPTIONS.keys()
    assert not OPTIONS.keys() & COMMON.keys()


def test_the_fragment_names_every_type() -> None:
    told = " ".join(FRAGMENT["checks"]["suboptions"]["type"]["description"])
    assert {kind for kind in TYPES if f"V({kind})" not in told} == set()


def test_the_example_is_right() -> None:
    guests: list[dict[str, t.Any]] = yaml.safe_load(TEXT.partition("```yaml\n")[2].partition("```")[0])[
        "provision_guests"
    ]
    checked = CHECKS.validate({"checks": guests[0]["checks"]})
    assert (checked.errors, checked.unknown) == ((), ())
    assert declare_checks(checked.values["checks"], "lxc")[1] == []
