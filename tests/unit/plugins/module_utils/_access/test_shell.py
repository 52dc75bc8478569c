# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""With which keys a guest is entered by SSH."""

from __future__ import annotations

import os
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._access.shell import SSH_AGENT, ssh

if t.TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Callable[[str], list[str]]:
    """What ssh is told for a key."""
    program = tmp_path / "bin/ssh"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(program.parent), os.environ["PATH"]]))

    def call(key: str) -> list[str]:
        return ssh("10.0.0.5", key, tmp_path / "known_hosts/1")("true", timeout=60).stdout.splitlines()

    return call


def test_a_key_that_is_declared_is_the_only_one_that_is_offered(told: t.Callable[[str], list[str]]) -> None:
    words = told("/root/.ssh/id_ed25519")
    assert words[:2] == ["-i", "/root/.ssh/id_ed25519"]
    assert "IdentitiesOnly=yes" in words


def test_the_keys_of_the_agent_are_offered_where_it_is_named(told: t.Callable[[str], list[str]]) -> None:
    words = told(SSH_AGENT)
    assert "-i" not in words
    assert "IdentitiesOnly=no" in words
