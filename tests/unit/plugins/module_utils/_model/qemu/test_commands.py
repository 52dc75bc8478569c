# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of a VM's options is that of PVE itself, as ``qm`` tells it; what is left out has a reason."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._model.qemu.options import TABLE

# A file with what ``qm help create --verbose`` and ``qm help set --verbose`` print on a node.
HELP = os.environ.get("PVE_TEST_QM_HELP") or ""
LEFT_OUT = {
    "create": {
        "archive": "restore_from",
        "force": "restores over a VM; recreate says that",
        "ha-managed": "HA is left to PVE",
        "live-restore": "a restored VM starts once it is whole",
        "start": "state",
        "storage": "each disk says its own",
        "unique": "restore_from decides it",
    },
    "set": {
        "delete": "made by the run",
        "digest": "made by the run",
        "force": "purge_disks",
        "revert": "made by the run",
        "skiplock": "locks are obeyed",
    },
    "both": {
        "autostart": "onboot",
        "bootdisk": "boot.order",
        "cdrom": "cdroms",
        "lock": "PVE's own",
        "smp": "cores and sockets",
        "template": "state",
        "unused[n]": "what PVE makes of disks that are taken out",
    },
}


@pytest.mark.skipif(not HELP, reason="PVE_TEST_QM_HELP names no file with the help of qm")
@pytest.mark.parametrize("command", ["create", "set"])
def test_every_option_of_qm_is_in_the_table_or_left_out_for_a_reason(command: str) -> None:
    text = Path(HELP).read_text(encoding="utf-8").partition(f"USAGE: qm {command} ")[2].partition("\nUSAGE: ")[0]
    known = set(re.findall(r"^  --([a-z][\w-]*(?:\[n\])?)", text, re.MULTILINE))
    ours = {f"{option.key}[n]" if option.indexed else option.key for option in TABLE}
    assert len(known) > 50
    assert known - ours == {*LEFT_OUT[command], *LEFT_OUT["both"]}
