# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    InvalidInput,
    Unreachable,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.node import CliNode
from ansible_collections.pve.provision.plugins.module_utils._pve.open_node import open_node


class TestWhereWeAre:
    def test_the_node_is_the_one_whose_files_are_there(self, root: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("PVE_ROOT", str(root))
        node = open_node({"api_host": None, "node": None, "timeout": 5})
        assert (node.name, node.root_login) == ("pve1", True)

    def test_another_node_is_an_error_that_names_both(self, root: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("PVE_ROOT", str(root))
        with pytest.raises(InvalidInput, match="'pve2' is not the node this runs on, which is pve1"):
            open_node({"node": "pve2"})

    def test_a_machine_without_pve_says_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("PVE_ROOT", str(tmp_path))
        with pytest.raises(Unreachable) as caught:
            open_node({})
        assert "api_host" in caught.value.remedy


def test_guard_and_journal_are_on_the_node(node: CliNode, root: Path):
    with node.lock("ip 10.0.0.5/24"):
        assert [path.name for path in (root / "run/lock/pve-provision").iterdir()] == ["ip%2010.0.0.5%2F24.lock"]
    node.journal[101] = {"name": "web1"}
    assert (root / "var/lib/pve-provision/journal/101.json").exists()
    assert not node.busy("lxc", 101)
