# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module is packed once, and again when anything that goes with it has changed. Ansible itself tells which it did.

There is no node here: the module fails, which makes no difference to how it is packed.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.plugin_utils import packed_modules

TREE = Path(__file__).resolve().parents[4] / ".build"
PLAY = "- {hosts: localhost, gather_facts: false, tasks: [{pve.provision.guests: {guests: []}}]}\n"


@dataclass
class Controller:
    """Where playbooks are run, by a user with a home of his own."""

    home: Path

    @property
    def kept(self) -> Path:
        return self.home / "cache/pve-provision/modules"

    def packs(self) -> bool:
        """Run a play; whether Ansible had to pack the module for it."""
        (self.home / "play.yml").write_text(PLAY)
        mine = {
            "ANSIBLE_COLLECTIONS_PATH": str(TREE),
            "ANSIBLE_DEBUG": "1",
            "ANSIBLE_HOME": str(self.home / "ansible"),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "PVE_ROOT": str(self.home / "no-node"),
        }
        command = [sys.executable, "-m", "ansible", "playbook", "play.yml"]
        shown = subprocess.run(
            command, env=os.environ | mine, cwd=self.home, capture_output=True, text=True, timeout=300, check=False
        ).stdout
        packed, used = "ANSIBALLZ: Creating module" in shown, "ANSIBALLZ: using cached module" in shown
        assert packed != used, shown[-2000:]
        return packed


@pytest.fixture
def controller(tmp_path: Path) -> Controller:
    return Controller(tmp_path)


def contents(folder: Path) -> t.Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def test_a_module_is_packed_once_and_again_after_a_change(controller: Controller) -> None:
    assert controller.packs()
    assert not controller.packs()
    own = controller.home / "ansible/plugins/module_utils/mine.py"
    own.parent.mkdir(parents=True)
    own.write_text("ANSWER = 42\n")
    assert controller.packs()
    (one, other) = contents(controller.kept)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (one, other, controller.kept)] == [0o600, 0o600, 0o700]


def test_nothing_is_taken_from_where_others_may_write(controller: Controller) -> None:
    controller.kept.mkdir(parents=True)
    controller.kept.chmod(0o777)
    assert (controller.packs(), controller.packs()) == (True, True)
    assert list(controller.kept.iterdir()) == []


def test_other_contents_are_seen_where_size_and_time_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed_modules, "COLLECTION", tmp_path)
    module = tmp_path / "plugins/modules/guests.py"
    module.parent.mkdir(parents=True)
    told = []
    for text in ("ANSWER = 1\n", "ANSWER = 2\n"):
        module.write_text(text)
        os.utime(module, (0, 0))
        told.append(packed_modules.fingerprint())
    assert told[0] != told[1]
