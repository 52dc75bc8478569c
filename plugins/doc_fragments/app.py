# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the options of guests that run an application."""

from __future__ import annotations


class ModuleDocFragment:
    """What a guest says of its application."""

    DOCUMENTATION = r"""
options:
  app:
    description:
      - Name of the application that the guest runs, such as V(nginx) or V(postgresql). Its profile supplies defaults
        for the declaration, such as the size, the template or image, the features that the guest needs, and what is
        installed, configured and started in it. Declared options take precedence over it; lists of packages, files,
        services, checks and the like are joined.
      - The size of the root volume, the template and the network (C(eth0) at C(vmbr0) with DHCP) are only used for a
        new guest.
      - The needs of an application decide whether a container is privileged, and which features and devices it gets.
        RV(app) reports which option serves which need.
      - M(pve.provision.app_info) lists the applications. For some of them only the size and the needs are known. The
        guest is then created without anything installed in it, and a warning says so.
      - Installation needs a running guest, so declare O(state=started).
    type: str
  app_options:
    description:
      - Options of the application, as its profile has them. M(pve.provision.app_info) lists them with their types and
        defaults.
    type: dict
  app_secrets:
    description:
      - The secret options of the application, such as passwords. They are never shown.
    type: dict
"""
