# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``ip -j addr show`` and ``ip -j neigh show``: the node's own network as iproute2 tells it, and nothing else of it.

Whoever has an address in a network that the node has on a bridge is the node's neighbour there. Addresses of the node
are those of ``/etc/network/interfaces``.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import json
import typing as t
from collections.abc import Iterator

from ..api.session import Session
from ..errors import ApiError
from ..guest.runtime import Guest, bridge_addresses, links, runtime
from ..lxc import container
from ..openwrt.interfaces import ports
from ..qemu import boot
from ..state.kernel import link_local
from ..state.root import State
from .command_line import Command, Exit, Params


def _run(session: Session, params: Params) -> None:
    words = params["words"]
    told = runtime(session.state).network(["ip", *words])
    if told is not None:
        session.write_bytes(told.stdout, told.stderr)
        raise Exit(told.rc)
    what = words[1] if len(words) > 1 else ""
    if words[:1] != ["-j"] or words[2:] not in ([], ["show"]) or what not in ANSWERS:
        session.err.write(f'The embedded node\'s ip knows only "-j addr show" and "-j neigh show", not {words}.\n')
        raise Exit(1)
    session.say(json.dumps(list(ANSWERS[what](session.state)), separators=(",", ":")))


def _addresses(state: State) -> Iterator[dict[str, t.Any]]:
    for index, folder in enumerate(sorted(state.path("sys/class/net").iterdir()), 2):
        mac, mtu = (state.read(f"sys/class/net/{folder.name}/{what}").strip() for what in ("address", "mtu"))
        if not mac or not mtu:  # it is just coming or going
            continue
        yield {
            "ifindex": index, "ifname": folder.name, "flags": ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"],
            "mtu": int(mtu), "qdisc": "noqueue", "operstate": "UP",
            "group": "default", "txqlen": 1000, "link_type": "ether",
            "address": mac, "broadcast": "ff:ff:ff:ff:ff:ff",
            "addr_info": [
                {"family": "inet", "local": str(own.ip), "prefixlen": own.network.prefixlen, "scope": "global",
                 "label": folder.name, "valid_life_time": 4294967295, "preferred_life_time": 4294967295}
                for own in bridge_addresses(state, folder.name)
            ] + [
                {"family": "inet6", "local": link_local(mac), "prefixlen": 64, "scope": "link",
                 "valid_life_time": 4294967295, "preferred_life_time": 4294967295}
            ],
        }  # fmt: skip


def _neighbours(state: State) -> Iterator[dict[str, t.Any]]:
    vms = sorted(state.path("run/qemu-server").glob("*.pid"))
    guests = [functools.partial(container.guest, state, vmid) for vmid in state.running()]
    guests += [functools.partial(boot.guest, state, int(path.stem)) for path in vms if path.stem.isdigit()]
    for guest in guests:
        with contextlib.suppress(ApiError, FileNotFoundError):  # one that is just going is no neighbour any more
            yield from list(_shown_by(state, guest()))


def _shown_by(state: State, guest: Guest) -> Iterator[dict[str, t.Any]]:
    """The addresses of a guest that are on the node's own networks."""
    by_mac = {port.mac: port for port in ports(guest).values()}
    cards = {**ports(guest), **{card.name: by_mac[card.mac] for card in guest.interfaces if card.mac in by_mac}}
    for name, mac, held in links(guest):
        if name in cards and cards[name].tag is None:
            here = [own.network for own in bridge_addresses(state, cards[name].bridge)]
            for ip in (ipaddress.ip_interface(text).ip for text in held):
                if any(ip in network for network in here):
                    yield {"dst": str(ip), "dev": cards[name].bridge, "lladdr": mac, "state": ["REACHABLE"]}


ANSWERS = {"addr": _addresses, "neigh": _neighbours}
TABLE = Command(run=_run, raw=True)
