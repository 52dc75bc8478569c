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
      - Name of the application that the guest runs, such as V(nginx) or V(postgresql). Its profile is data that is put
        under the declaration, as if it stood there. That is the size, the template or image, what it needs of the
        guest, and what is installed, written and started in it. Whatever is declared takes precedence over it; lists of
        packages, files, services, checks and the like are joined.
      - The size of the root volume, the template and the network (C(eth0) at C(vmbr0) with DHCP) hold for a new guest
        alone.
      - What an application needs decides by one table whether a container is privileged, and which features and
        devices it gets. RV(app) tells which option is there for what.
      - M(pve.provision.app_info) lists the applications. Of some only the size and the needs are known. For those a
        guest is made, and nothing is installed in it; a warning says so.
      - Something can be installed in a running guest alone, so declare O(state=started).
    type: str
  app_options:
    description:
      - Options of the application, as its profile has them. M(pve.provision.app_info) lists them with their types and
        defaults.
    type: dict
  app_secrets:
    description:
      - Those of its options that are secret, such as passwords. They are never shown.
    type: dict
"""
