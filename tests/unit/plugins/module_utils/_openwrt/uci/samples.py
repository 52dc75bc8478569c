# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is to say in UCI, for the tests of its parts."""

from __future__ import annotations

import string
import typing as t
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.config import Package, Section
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.text import parse_export

if t.TYPE_CHECKING:
    pass


GOLDEN = Path(__file__).parents[1] / "golden"

bounded = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])

names = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=6)

texts = st.one_of(
    st.sampled_from(["it's", "'", "''", '"', "\\", "a b", "#", "a#b", ";", "a;b", "two\nlines", "\ttab", "ü", "$HOME"]),
    st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=8),
)

values = st.one_of(texts, st.lists(st.one_of(texts, st.just("")), min_size=1, max_size=4))

kinds = st.sampled_from(["rule", "zone", "interface", "dhcp-relay"])

options = st.dictionaries(names, values, max_size=4)


@st.composite
def packages(draw: st.DrawFn, name: str = "test") -> Package:
    sections = draw(st.lists(st.tuples(kinds, st.one_of(st.none(), names), options), max_size=6))
    taken: set[str] = set()
    found = []
    for kind, label, content in sections:
        if label is not None and (label in taken or label.startswith("cfg")):
            label = None
        taken.add(label or "")
        found.append(Section(kind, label, content))
    return Package(name, found)


def firewall() -> Package:
    return parse_export((GOLDEN / "recorded" / "export.txt").read_text())["firewall"]
