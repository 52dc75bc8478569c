# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cloud-init data of a VM: what its user, network and meta files say, and the drive that carries them."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import typing as t
from urllib.parse import unquote

from ..api import validation
from ..errors import ApiError
from ..state import disk_image as image
from ..state import iso9660, propstring
from ..state import storage as storages
from . import config

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..api.session import Session
    from ..state.root import State

DATA_LIMIT = 3 << 20
#: Kind of drive -> its label, and where which part of the data lies on it.
_CONFIG_DRIVE = ("config-2", {"user": "openstack/latest/user_data", "network": "openstack/content/0000",
                              "meta": "openstack/latest/meta_data.json",
                              "vendor": "openstack/latest/vendor_data.json"})  # fmt: skip
VOLUMES = {
    "nocloud": ("cidata", {"user": "user-data", "network": "network-config", "meta": "meta-data",
                           "vendor": "vendor-data"}),
    "configdrive2": _CONFIG_DRIVE,
    "opennebula": _CONFIG_DRIVE,
}  # fmt: skip


def file_format(options: Mapping[str, str]) -> str:
    """The kind of cloud-init drive."""
    windows = options.get("ostype", "").startswith(("w", "win"))
    return options.get("citype") or ("configdrive2" if windows else "nocloud")


def user_data(options: Mapping[str, str], vmid: int, mask: bool = False) -> str:
    """The user part."""
    name = options.get("name", f"VM{vmid}")
    host, dot, _unused = name.partition(".")
    domain = options.get("searchdomain")
    fqdn = name if dot else f"{name}.{domain}" if domain else name
    lines = ["#cloud-config", f"hostname: {host}", "manage_etc_hosts: true", f"fqdn: {fqdn}"]
    user = options.get("ciuser")
    if user is not None:
        lines.append(f"user: {user}")
        if user == "root":
            lines.append("disable_root: False")
    if "cipassword" in options:
        lines.append(f"password: {'**********' if mask else options['cipassword']}")
    if "sshkeys" in options:
        keys = [key for key in unquote(options["sshkeys"]).split("\n") if key.strip()]
        lines += ["ssh_authorized_keys:", *(f"  - {key}" for key in keys)]
    lines += ["chpasswd:", "  expire: False"]
    if user != "root":
        lines += ["users:", "  - default"]
    if options.get("ciupgrade", "1") != "0":
        lines.append("package_upgrade: true")
    return "\n".join(lines) + "\n"


def _resolver(state: State) -> tuple[str, list[str]]:
    """The node's own search domains and name servers."""
    text = state.read("etc/resolv.conf")
    search = re.search(r"^search\s+(.*)$", text, re.MULTILINE)
    return (search[1] if search else ""), re.findall(r"^nameserver\s+(\S+)", text, re.MULTILINE)[:3]


def _names(state: State, options: Mapping[str, str]) -> tuple[list[str], list[str]]:
    search, servers = _resolver(state)
    given = options["nameserver"].split() if "nameserver" in options else servers
    return options.get("searchdomain", search).split(), given


def _cards(options: Mapping[str, str]) -> list[tuple[str, config.Net, dict[str, str]]]:
    """The cards that have an address: their number, the card, its addresses."""
    found = []
    for name in sorted(name for name in options if re.fullmatch(r"net\d+", name)):
        number = name[3:]
        if f"ipconfig{number}" in options:
            form = validation.option_format("qemu", "ipconfig0")
            addresses = propstring.parse(options[f"ipconfig{number}"], form)
            found.append((number, config.parse_net(options[name]), addresses))
    return found


def _netmask(address: str) -> tuple[str, str]:
    place = ipaddress.ip_interface(address)
    return str(place.ip), str(place.netmask)


def network_nocloud(state: State, options: Mapping[str, str]) -> str:
    """The network part, version 1 of cloud-init's own format."""
    lines = ["version: 1", "config:"]
    for number, net, addresses in _cards(options):
        lines += ["    - type: physical", f"      name: eth{number}", f"      mac_address: '{net['macaddr'].lower()}'",
                  "      subnets:"]  # fmt: skip
        lines += _subnets(addresses)
    search, servers = _names(state, options)
    lines.append("    - type: nameserver")
    for title, items in (("address", servers), ("search", search)):
        if items:
            lines += [f"      {title}:", *(f"      - '{item}'" for item in items)]
    return "\n".join(lines) + "\n"


def _subnets(addresses: Mapping[str, str]) -> list[str]:
    lines: list[str] = []
    ip, ip6 = addresses.get("ip"), addresses.get("ip6")
    if ip == "dhcp":
        lines.append("      - type: dhcp4")
    elif ip:
        address, mask = _netmask(ip)
        lines += ["      - type: static", f"        address: '{address}'", f"        netmask: '{mask}'"]
        lines += [f"        gateway: '{addresses['gw']}'"] if "gw" in addresses else []
    if ip6 in ("dhcp", "auto"):
        lines.append(f"      - type: {'dhcp6' if ip6 == 'dhcp' else 'ipv6_slaac'}")
    elif ip6:
        lines += ["      - type: static6", f"        address: '{ip6}'"]
        lines += [f"        gateway: '{addresses['gw6']}'"] if "gw6" in addresses else []
    return lines


def network_configdrive2(state: State, options: Mapping[str, str]) -> str:
    """The network part as Debian's ``interfaces`` file."""
    search, servers = _names(state, options)
    lines = ["auto lo", "iface lo inet loopback", ""]
    lines += [f"        dns_nameservers {' '.join(servers)}"] if servers else []
    lines += [f"        dns_search {' '.join(search)}"] if search else []
    for number, _unused, addresses in _cards(options):
        name = f"eth{number}"
        lines.append(f"auto {name}")
        for key, family, gateway in (("ip", "inet", "gw"), ("ip6", "inet6", "gw6")):
            value = addresses.get(key)
            if value in ("dhcp", "auto"):
                lines.append(f"iface {name} {family} {value}")
            elif value:
                address, mask = _netmask(value) if key == "ip" else value.split("/")
                lines += [f"iface {name} {family} static", f"        address {address}", f"        netmask {mask}"]
                lines += [f"        gateway {addresses[gateway]}"] if gateway in addresses else []
    return "\n".join(lines) + "\n"


def dump(session: Session, options: Mapping[str, str], vmid: int, kind: str, mask: bool) -> str:
    """One part of the data: ``user``, ``network`` or ``meta``."""
    if kind == "user":
        return user_data(options, vmid, mask)
    network = network_data(session.state, options)
    return network if kind == "network" else meta_data(options, user_data(options, vmid), network)


def network_data(state: State, options: Mapping[str, str]) -> str:
    """The network part, in the form that the kind of drive has."""
    form = network_nocloud if file_format(options) == "nocloud" else network_configdrive2
    return form(state, options)


def meta_data(options: Mapping[str, str], user: str, network: str) -> str:
    """The meta part: a guest that sees another identity than at its last boot is a new one to cloud-init."""
    digest = hashlib.sha1((user + network).encode(), usedforsecurity=False).hexdigest()
    if file_format(options) == "nocloud":
        return f"instance-id: {digest}\n"
    return f'{{\n     "uuid": "{digest}",\n     "network_config": {{ "content_path": "/content/0000" }}\n}}\n'


def _snippet(state: State, volid: str) -> str:
    """A snippet of the user's own."""
    storage, volume = storages.locate(state, volid)
    if storage.parse(volume).content != "snippets":
        raise ApiError(f"{volid} is not in the snippets directory")
    return storages.absolute_path(state, volid).read_text(encoding="utf-8", errors="surrogateescape")


def generate(session: Session, options: Mapping[str, str], vmid: int) -> None:
    """Write the data to the VM's cloud-init drive, when it has one."""
    name = config.cloudinit_drive(options)
    if name is None:
        return
    form = validation.option_format("qemu", "cicustom")
    custom = propstring.parse(options.get("cicustom", ""), form)
    parts = {kind: _snippet(session.state, volid) for kind, volid in sorted(custom.items())}
    if sum(map(len, parts.values())) > DATA_LIMIT:
        raise ApiError("Cloud-Init sum of snippets too big (> 3 MiB)")
    user = parts.setdefault("user", user_data(options, vmid))
    network = parts.setdefault("network", network_data(session.state, options))
    parts.setdefault("meta", meta_data(options, user, network))
    parts.setdefault("vendor", "")
    session.say("generating cloud-init ISO")
    label, paths = VOLUMES[file_format(options)]
    files = {paths[kind]: text.encode("utf-8", "surrogateescape") for kind, text in parts.items()}
    _write_drive(session.state, config.parse_drive(name, options[name])["file"], iso9660.write(files, label))


def _write_drive(state: State, volid: str, iso: bytes) -> None:
    """Put an image at the beginning of the drive's volume, as ``qemu-img dd`` does."""
    storage, volume = storages.locate(state, volid)
    storage.require(volume)
    path, size = storage.path(volume), storage.size(volume)
    if not path.is_file():
        return
    if storage.parse(volume).format == "qcow2":
        pieces = ((at, iso[at : at + image.CLUSTER]) for at in range(0, min(len(iso), size), image.CLUSTER))
        image.write_qcow2(path, size, pieces)
    else:
        with path.open("r+b") as file:
            file.write(iso[:size])
