# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what the first boot of a router in a VM finds."""

from __future__ import annotations

import shlex
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import Description
from ansible_collections.pve.provision.plugins.module_utils._openwrt.rootfs import Files
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
    until {install}; do
        tries=$((tries + 1))
        [ "$tries" -lt 200 ] || exit 1
        sleep 3
    done
{wished}    cat > /etc/rc.local <<'{end}'
{after}{end}
) > /dev/null 2>&1 &
{rest}"""
_END = "PVE_PROVISION_END"


def first_files(description: Description, version: str) -> dict[str, tuple[int, bytes]]:
    """What the archive on the boot partition holds: the seed, and what installs the packages."""
    return with_packages(seed(unknown, description, version), version, description.packages)


def with_packages(
    files: Files, version: str, packages: t.Sequence[str], wished: t.Sequence[str] = ()
) -> dict[str, tuple[int, bytes]]:
    """The files with what installs the packages; ``wished`` are those that the release may not have any more. What the
    files have as commands of the user's own runs at that boot too, and stays."""
    if not (packages or wished):
        return dict(files)
    mode, own = files.get(RC_LOCAL, (0o644, b""))
    after = _users_own(own.decode()) or _IDLE
    update, install = APK if series_of(version).prefix_length else OPKG
    names = " ".join(shlex.quote(name) for name in packages)
    script = _INSTALL.format(
        install=f"{update} && {install} {names}" if names else update,
        wished="".join(f"    {install} {shlex.quote(name)}\n" for name in wished),
        end=_END,
        after=after,
        rest="exit 0\n" if after == _IDLE else after,
    )
    return {**files, RC_LOCAL: (mode, script.encode())}


def _users_own(text: str) -> str:
    """The commands in it; of one that still installs packages, those that it is to leave."""
    text = text.partition(f"<<'{_END}'\n")[2].partition(f"{_END}\n")[0] if f"<<'{_END}'" in text else text
    return text if not text or text.endswith("\n") else f"{text}\n"
