# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``nsenter -t PID -n ip -j addr show``: the network of a running container as iproute2 tells it from inside."""

from __future__ import annotations

import ipaddress
import json
import typing as t
from collections.abc import Iterator

from ..api.session import Session
from ..guest.runtime import Guest, links, runtime
from ..lxc import container
from .command_line import Command, Exit, Params

LOOPBACK = ("lo", "00:00:00:00:00:00", ("127.0.0.1/8", "::1/128"))


def _run(session: Session, params: Params) -> None:
    words = params["words"]
    told = runtime(session.state).network(["nsenter", *words])
    if told is not None:
        session.write_bytes(told.stdout, told.stderr)
        raise Exit(told.rc)
    if words[:1] != ["-t"] or words[2:] != ["-n", "ip", "-j", "addr", "show"]:
        session.err.write(f'The embedded node\'s nsenter knows only "-t PID -n ip -j addr show", not {words}.\n')
        raise Exit(1)
    state, pid = session.state, words[1]
    vmid = next((number for number, entry in state.running().items() if str(entry["pid"]) == pid), None)
    if vmid is None:
        session.err.write(f"nsenter: cannot open /proc/{pid}/ns/net: No such file or directory\n")
        raise Exit(1)
    session.say(json.dumps(list(_links(container.guest(state, vmid))), separators=(",", ":")))


def _links(inside: Guest) -> Iterator[dict[str, t.Any]]:
    for index, (name, mac, held) in enumerate([LOOPBACK, *links(inside)], 1):
        addresses = [ipaddress.ip_interface(text) for text in held]
        yield {
            "ifindex": index, "ifname": name, "flags": ["UP", "LOWER_UP"], "mtu": 1500, "operstate": "UP",
            "link_type": "loopback" if name == "lo" else "ether", "address": mac.lower(),
            "addr_info": [
                {"family": "inet" if own.version == 4 else "inet6", "local": str(own.ip),
                 "prefixlen": own.network.prefixlen,
                 "scope": "host" if own.ip.is_loopback else "link" if own.ip.is_link_local else "global"}
                for own in addresses
            ],
        }  # fmt: skip


TABLE = Command(run=_run, raw=True)
