# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of the playbooks names each variable that a user may set for one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from guide_blocks import RST

ROOT = Path(__file__).resolve().parents[3]
TEXT = (RST / "playbooks.rst").read_text(encoding="utf-8")
#: Those with a page of their own: of a role, or of AWX.
ELSEWHERE = re.compile(r"provision_(?!hosts|connection|guests|defaults|limit|owner_tag|app_paths)\w+|awx_\w+")


@pytest.mark.parametrize("playbook", sorted((ROOT / "playbooks").glob("*.yml")), ids=lambda path: path.stem)
def test_each_variable_that_a_playbook_reads_is_explained(playbook: Path) -> None:
    assert re.search(rf"^(.* )?{playbook.stem}( .*)?\n-+$", TEXT, re.MULTILINE), "has no section"
    read = set(re.findall(r"(?<![.\w])([a-z]+_[a-z_]+)\s*\|\s*default\(", playbook.read_text(encoding="utf-8")))
    ours = set(re.findall(r"^\s+([a-z]+_[a-z_]+):", playbook.read_text(encoding="utf-8"), re.MULTILINE))
    registered = set(re.findall(r"register: (\w+)", playbook.read_text(encoding="utf-8")))
    wanted = {name for name in read - ours - registered if not ELSEWHERE.fullmatch(name)}
    assert [name for name in sorted(wanted) if f"``{name}``" not in TEXT] == []
