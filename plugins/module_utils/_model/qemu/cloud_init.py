# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what PVE tells a VM by cloud-init, option by option. Pure."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.codec import Codec, text
from ansible_collections.pve.provision.plugins.module_utils._model.creation import PASSWORD
from ansible_collections.pve.provision.plugins.module_utils._model.lxc import NAMESERVER as CONTAINER_NAMESERVER
from ansible_collections.pve.provision.plugins.module_utils._model.network import (
    ADDRESSES,
    check_gateway,
    interface_codec,
    same_addresses,
)
from ansible_collections.pve.provision.plugins.module_utils._model.option import SubValues
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Field, Fields
from ansible_collections.pve.provision.plugins.module_utils._model.sha_crypt import is_hash, is_unknown_hash

# What a running VM is told at its next start, although PVE writes it into its config at once.
KEYS: t.Final = ("ciuser", "cipassword", "sshkeys", "ciupgrade", "citype", "nameserver", "searchdomain", "cicustom")


def _nameserver(value: t.Any) -> str:
    """An IP address; an interface is for containers alone (pve-container has a format of its own for it)."""
    if "%" in str(value):
        raise ValueError("names an interface, which Proxmox VE takes for containers alone; leave % and the rest out")
    return str(CONTAINER_NAMESERVER.accept(value))


NAMESERVER = dataclasses.replace(CONTAINER_NAMESERVER, accept=_nameserver)
USER = text(r"[A-Za-z_][A-Za-z0-9_.-]{0,30}\$?", "is not the name of a user, such as debian")
IPCONFIG = Fields(
    {
        "gw": ADDRESSES["gw"],
        "gw6": ADDRESSES["gw6"],
        "ip": Field(interface_codec(4, ("dhcp",))),
        "ip6": Field(interface_codec(6, ("auto", "dhcp"), {"slaac": "auto"})),
    }
)
# Where contents of the user's own lie: volumes of the content type snippets.
CICUSTOM = Fields({part: Field() for part in ("meta", "network", "user", "vendor")})


def _password(value: t.Any) -> str:
    """A password, or the hash of one that cloud-init knows: it would take any other hash for a password."""
    given = str(value)
    if is_unknown_hash(given):
        raise ValueError("is a hash that cloud-init takes for a password; give one of mkpasswd -m sha-512")
    return given if is_hash(given) else str(PASSWORD.accept(given))


CI_PASSWORD = Codec(parse=str, accept=_password, render=str)


def is_cloud_init(key: str) -> bool:
    """Whether an option is one that cloud-init is told."""
    return key in KEYS or (key.startswith("ipconfig") and key[8:].isdigit())


def check_ipconfigs(values: t.Mapping[str, t.Any], paths: t.Mapping[str, str]) -> t.Iterator[Finding]:
    """Gateways that cannot be reached, addresses used twice, and addresses for a network device that is not there."""
    given: dict[str, SubValues] = {
        key: value for key, value in values.items() if value and re.fullmatch(r"ipconfig\d+", key)
    }
    yield from same_addresses(given, paths)
    for key, value in given.items():
        path = paths.get(key, key)
        for address, gateway in (("ip", "gw"), ("ip6", "gw6")):
            yield from check_gateway(path, value.get(address), value.get(gateway), str(IPCONFIG.keys[gateway].param))
            if value.get(gateway) and not value.get(address):
                problem, remedy = "has no address to go with it", f"State {address} too."
                yield Finding(f"{path}.{IPCONFIG.keys[gateway].param}", value[gateway], problem, remedy)
        if values.get(f"net{key[8:]}") is None:
            yield Finding(path, None, f"is for net{key[8:]}, which the VM does not have", "Declare it among networks.")
