# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of what a module is told of applications, for all its guests."""

from __future__ import annotations


class ModuleDocFragment:
    """Where profiles come from."""

    DOCUMENTATION = r"""
options:
  app_paths:
    description:
      - Folders on the controller with profiles of your own, relative to the playbook. A file C(NAME.yml) in one of them
        is the profile of application C(NAME), and takes precedence over one of this collection with the same name.
    type: list
    elements: path
  app_profiles:
    description:
      - The profiles of the declared applications. Set by the action plugin of the module on the controller; a value in
        a task is replaced.
    type: dict
"""
