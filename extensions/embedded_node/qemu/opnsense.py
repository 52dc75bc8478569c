# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OPNsense in a VM: its first boot copies the configuration that the image brings to ``/conf``, where it stays.

The file is looked for by content: the nano image holds it in one piece, and an example of it, which still has the
wizard of the first login in it, beside it.
"""

from __future__ import annotations

import re
import typing as t
from xml.etree import ElementTree as ET

from ..guest.runtime import Configured
from ..linux import distributions

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..state.rootfs import GuestFiles

CONF = "/conf/config.xml"
WIZARD = "<trigger_initial_wizard"
RELEASE = 'NAME="OPNsense"\nID=opnsense\n'
UFS2 = 0x19540119.to_bytes(4, "little")
MAGIC_AT = 65536 + 1372
IN_USE = 64 << 20  # bytes at the beginning of the disk: the image is shorter, and what follows is empty
DOCUMENT = re.compile(rb"<\?xml[^>]*\?>\s*<opnsense>.*?</opnsense>", re.DOTALL)


def config_on(disk: Path) -> str:
    """The configuration that the first boot takes; empty where there is no OPNsense."""
    with disk.open("rb") as file:
        file.seek(MAGIC_AT)
        if file.read(4) != UFS2:
            return ""
        file.seek(0)
        found = [match[0].decode() for match in DOCUMENT.finditer(file.read(IN_USE))]
    return next(iter(sorted(found, key=lambda text: WIZARD in text)), "")


def boot(files: GuestFiles, config: str) -> None:
    """Come up: for the first time with the image's configuration, and always with the one in ``/conf``."""
    if not files.exists(CONF):
        distributions.lay_out(files, RELEASE)
        files.write(CONF, config, 0o640)
    files.write("/etc/hostname", f"{ET.fromstring(files.read(CONF)).findtext('system/hostname')}\n")


def configured(files: GuestFiles, macs: Sequence[str]) -> dict[str, Configured]:
    """What its configuration gives the cards, which are ``vtnet0`` and so on in their order."""
    cards = {mac.lower(): Configured(f"vtnet{number}") for number, mac in enumerate(macs)}
    by_name = {card.name: mac for mac, card in cards.items()}
    for interface in ET.fromstring(files.read(CONF)).findall("interfaces/*"):
        name = interface.findtext("if") or ""
        if name in by_name:
            static = (_address(interface, "ipaddr", "subnet"), _address(interface, "ipaddrv6", "subnetv6"))
            dhcp = interface.findtext("ipaddr") == "dhcp"
            cards[by_name[name]] = Configured(name, tuple(each for each in static if each), dhcp=dhcp)
    return cards


def _address(interface: ET.Element, address: str, length: str) -> str:
    host, prefix = interface.findtext(address) or "", interface.findtext(length)
    return f"{host}/{prefix}" if prefix and re.match(r"[0-9a-f]*[.:]", host) else ""
