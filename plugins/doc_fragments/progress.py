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
      - While the module runs, each step is shown as it ends, with the seconds that it took, and one that takes long
        meanwhile, too; then what was done with each guest. It is quiet in check mode and with C(no_log), and when the
        variable C(provision_progress) is V(false).
    support: full
  interruption:
    description:
      - Interrupted by C(SIGTERM), C(SIGINT) or C(SIGHUP), or when its connection is lost, the module finishes or takes
        back the step that it is at, begins no other one, and fails with C(error=interrupted). The next run goes on.
    support: full
"""
