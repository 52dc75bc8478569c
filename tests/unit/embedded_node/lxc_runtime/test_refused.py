# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine that runs no real containers is told what it lacks, before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedded_node import EmbeddedNode
from embedded_node.lxc_runtime import programs


def test_only_root_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(RuntimeError, match="only root may"):
        EmbeddedNode(runtime="lxc").__enter__()


def test_missing_programs_are_named_by_their_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(programs, "PATH", str(tmp_path))
    assert "apt-get install lxc iproute2 dnsmasq-base" in str(programs.reason_against())


def test_it_is_in_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "reason_against", lambda: None)
    with pytest.raises(RuntimeError, match="in no cluster"):
        EmbeddedNode(runtime="lxc", joins=EmbeddedNode()).__enter__()
