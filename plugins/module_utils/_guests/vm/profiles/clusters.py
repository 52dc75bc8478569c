# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the nodes of clusters in a list of declared guests: agents find their server. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding

Guest = dict[str, t.Any]


def with_servers(guests: t.Sequence[Guest]) -> list[Guest]:
    """The guests, where agents know the server of their cluster and come after it."""
    servers = {cluster.get("name"): guest.get("name") for guest in guests if (cluster := _of_role(guest, "server"))}
    names = {guest.get("name") for guest in guests}
    return [_after_server(guest, servers, names) for guest in guests] if servers else list(guests)


def second_servers(guests: t.Iterable[Guest]) -> t.Iterator[Finding]:
    """Servers of a cluster that has one among the guests already: each would be a cluster of its own."""
    servers: dict[t.Any, t.Any] = {}
    for guest in guests:
        cluster, name = _of_role(guest, "server"), guest.get("name")
        first = servers.setdefault(cluster.get("name"), name) if cluster else name
        if first != name:
            problem = f"is that of {first} in cluster {cluster.get('name')}, which has one server"
            remedy = "Make it an agent, or give it a cluster of another name."
            yield Finding("cluster.role", "server", problem, remedy).of(str(name))


def _of_role(guest: Guest, role: str) -> Guest:
    """The cluster of a guest that has this role in it; what is malformed is left to be found."""
    cluster = guest.get("cluster")
    fitting = isinstance(cluster, dict) and guest.get("state") != "absent" and cluster.get("role", "agent") == role
    return t.cast("Guest", cluster) if fitting else {}


def _after_server(guest: Guest, servers: t.Mapping[t.Any, t.Any], names: t.Collection[t.Any]) -> Guest:
    cluster = _of_role(guest, "agent")
    server = cluster.get("server") or servers.get(cluster.get("name"))
    if not server:
        return guest
    after = guest.get("after") or []
    others = [after] if isinstance(after, str) else list(after)
    more = [server] if server in names and server not in others else []
    return {**guest, "cluster": {**cluster, "server": server}, "after": [*others, *more]}
