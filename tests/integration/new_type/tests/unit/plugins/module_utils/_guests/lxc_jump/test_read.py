# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A jump host is a small container with one network, and keys."""

from __future__ import annotations

from ansible_collections.pve.provision.plugins.module_utils._guests.registry import TYPES

JUMP = TYPES["lxc_jump"]


def test_without_keys_it_is_refused() -> None:
    wanted, _parts = JUMP.read(JUMP.check({"name": "jump1"}).values, frozenset())
    assert [finding.option for finding in wanted.findings] == ["ssh_keys"]


def test_a_wrong_word_is_met_with_the_right_one() -> None:
    (finding,) = JUMP.check({"name": "jump1", "adress": "10.0.0.2/24"}).findings
    assert finding.remedy == "Did you mean address?"
