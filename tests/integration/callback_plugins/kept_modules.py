# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has a run take the modules that an earlier run has packed, from the folder KEPT_MODULES.

Ansible packs each module with all that it imports once in a run, and keeps it for as long as that lasts. It takes
longer than most runs of the tests, which use the same few modules.
"""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from ansible import constants
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: kept_modules
type: notification
short_description: Modules that are packed once for many runs
description: Has a run take the modules that an earlier run has packed, from the folder of the variable KEPT_MODULES.
author: the pve.provision authors (@pve-provision)
"""


class CallbackModule(CallbackBase):
    """Leads to that folder where Ansible looks for what it has packed."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "kept_modules"

    def v2_playbook_on_start(self, playbook: t.Any) -> None:
        if kept := os.environ.get("KEPT_MODULES"):
            Path(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache").symlink_to(kept)
