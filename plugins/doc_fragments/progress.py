# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of what a run shows while it goes on, and how it ends when it is interrupted."""

from __future__ import annotations


class ModuleDocFragment:
    """What all modules that change something have in common."""

    DOCUMENTATION = r"""
attributes:
  progress:
    description:
      - Each step is shown as it ends, with its duration, and long ones also while they run; at the end comes a summary
        of each guest. Nothing is shown in check mode, with C(no_log), or when the variable C(provision_progress) is
        V(false).
    support: full
  interruption:
    description:
      - On C(SIGTERM), C(SIGINT) or C(SIGHUP), or when its connection is lost, the module finishes or undoes the current
        step, starts no other one, and fails with C(error=interrupted). The next run continues.
    support: full
"""
