# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what the first boot of a router in a VM finds."""

from __future__ import annotations

import shlex
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import Description
from ansible_collections.pve.provision.plugins.module_utils._openwrt.seed import seed, unknown
from ansible_collections.pve.provision.plugins.module_utils._openwrt.series import series_of

RC_LOCAL: t.Final = "etc/rc.local"
OPKG: t.Final = ("opkg update", "opkg install")
APK: t.Final = ("apk update", "apk add")
_IDLE = """\
# Put your custom commands here that should be executed once
# the system init finished. By default this file does nothing.

exit 0
"""
# Runs at the end of each boot until the packages are there, which takes the network, and then is gone.
_INSTALL = """\
(
    tries=0
    until {update} && {install}; do
        tries=$((tries + 1))
        [ "$tries" -lt 200 ] || exit 1
        sleep 3
    done
    cat > /etc/rc.local <<'END'
{idle}END
) > /dev/null 2>&1 &
exit 0
"""


def first_files(description: Description, version: str) -> dict[str, tuple[int, bytes]]:
    """What the archive on the boot partition holds: the seed, and what installs the packages."""
    files = seed(unknown, description, version)
    if description.packages:
        update, install = APK if series_of(version).prefix_length else OPKG
        names = " ".join(shlex.quote(name) for name in description.packages)
        files[RC_LOCAL] = (0o644, _INSTALL.format(update=update, install=f"{install} {names}", idle=_IDLE).encode())
    return files
