# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Systems that have no cloud-init: Home Assistant OS, which imports a volume labelled ``CONFIG`` at each start, and
Talos, which takes the network part of NoCloud's data."""

from __future__ import annotations

import configparser
import typing as t

from ..guest import commands
from ..guest.runtime import SYSTEMS, System
from ..linux import accounts, distributions
from ..state import iso9660
from . import cloud_init, network, seed

if t.TYPE_CHECKING:
    from ..guest.runtime import Guest
    from ..state.rootfs import GuestFiles

CONFIG = "config"
CONNECTIONS = "/etc/NetworkManager/system-connections"


def _haos(guest: Guest) -> None:
    """Take over what the volume holds; connections that it names replace all others."""
    files = guest.files
    found = _volume(files)
    for name, data in found.items():
        text = data.decode("utf-8", "replace")
        if name.startswith("network/"):
            files.write(f"{CONNECTIONS}/{name.rpartition('/')[2]}", text, 0o600)
        elif name == "authorized_keys":
            accounts.authorize(files, "root", text.splitlines())
    folder = files.resolve(CONNECTIONS)
    texts = [path.read_text(errors="replace") for path in sorted(folder.iterdir())] if folder.is_dir() else []
    given = dict(_connection(text, f"eth{index}") for index, text in enumerate(texts))
    network.write(files, given or {card.name: {"dhcp4": True} for card in guest.interfaces})


def _volume(files: GuestFiles) -> dict[str, bytes]:
    for path in sorted(files.resolve("/dev").glob("sr*")):
        image = path.read_bytes()
        if (iso9660.label(image) or "").lower() == CONFIG:
            return iso9660.read(image)
    return {}


def _connection(text: str, name: str) -> tuple[str, network.Card]:
    """A connection of NetworkManager's as netplan's card."""
    read = configparser.ConfigParser(interpolation=None, strict=False)
    read.read_string(text)
    card: network.Card = {}
    mac = read.get("ethernet", "mac-address", fallback="")
    if mac:
        card["match"] = {"macaddress": mac.lower()}
    for family, dhcp in (("ipv4", "dhcp4"), ("ipv6", "dhcp6")):
        if read.get(family, "method", fallback="") == "auto":
            card[dhcp] = True
        address, _comma, gateway = read.get(family, "address1", fallback="").partition(",")
        if address:
            card.setdefault("addresses", []).append(address)
        gateway = gateway or read.get(family, "gateway", fallback="")
        if gateway:
            card.setdefault("routes", []).append({"to": "default", "via": gateway})
    return name, card


def _talos(guest: Guest) -> None:
    """A machine's configuration is the user data; addresses come from the network part, else by DHCP."""
    found = seed.find(guest.files)
    cards = network.read(found.network) if found and found.network else {"eth0": {"dhcp4": True}}
    network.write(guest.files, cards)


def _enter(name: str, booted: t.Callable[[Guest], None]) -> None:
    def boots(guest: Guest) -> None:
        booted(guest)
        guest.network = cloud_init.configured(guest)

    SYSTEMS[name] = System(
        marker=distributions.DISTRIBUTIONS[name].marker,
        find=lambda guest, command: commands.find(command),
        knows=lambda guest, command: commands.find(command) is not None,
        booted=boots,
        addresses=lambda guest: {card.name: card.addresses for card in guest.interfaces},
    )


_enter("hassos", _haos)
_enter("talos", _talos)
