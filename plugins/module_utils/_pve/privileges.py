# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: privileges on paths: what is needed, what a login lacks, and how it is granted. Pure.

PVE refuses one privilege at a time, sometimes without its name, and only when it is reached. Sources: pve-storage
(API2/Storage/Content.pm, Status.pm) and pve-access-control (RPCEnvironment.pm).
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, InvalidInput

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Access

FileStep = t.Literal["upload", "download", "appliance", "remove"]
# The roles that the remedy makes, by the first word of the path.
ROLES: t.Final = {
    "": "ProvisionCluster",
    "vms": "ProvisionGuests",
    "pool": "ProvisionGuests",
    "storage": "ProvisionStorages",
    "sdn": "ProvisionNetworks",
    "nodes": "ProvisionCluster",
    "mapping": "ProvisionDevices",
}
# What Proxmox VE 8 has in place of a privilege.
OLDER: t.Final = {"VM.GuestAgent.Unrestricted": "VM.Monitor"}


@dataclass(frozen=True, order=True)
class Need:
    """A privilege (any one of them) on a path (any one of them), and what needs it. ``instead``: what does as well, all
    of it on ``/``."""

    paths: tuple[str, ...]
    privileges: tuple[str, ...]
    reason: str
    instead: tuple[str, ...] = ()

    def met(self, access: Access) -> bool:
        if self.instead and set(self.instead) <= held(access, "/"):
            return True
        names = {*self.privileges, *(OLDER[name] for name in self.privileges if name in OLDER)}
        return any(names & held(access, path) for path in self.paths)


def file_needs(step: FileStep, storage: str, node: str) -> list[Need]:
    """What it takes to put a template or image on a storage, or to remove it from there. ``download``: from any URL,
    ``appliance``: a template of PVE's own index. Without a storage, where this login sees none: on any."""
    place = (f"/storage/{storage}",) if storage else ("/storage", "/storage/*")
    if step == "remove":
        return [Need(place, ("Datastore.Allocate",), step)]
    reason = {"appliance": "download"}.get(step, step)
    found = [Need(place, ("Datastore.AllocateTemplate",), reason)]
    if step == "download":  # by PVE itself, which not everybody may send anywhere
        found.append(Need((f"/nodes/{node}",), ("Sys.AccessNetwork",), step, ("Sys.Audit", "Sys.Modify")))
    return found


def require(node: Node, required: t.Iterable[Need]) -> None:
    """Raise InvalidInput with all that this login lacks."""
    access = node.access()
    lacking = missing(required, access) if access else []
    if access and lacking:
        raise InvalidInput([finding(lacking, access)])


def missing(required: t.Iterable[Need], access: Access) -> list[Need]:
    """What the login lacks, each once."""
    return sorted({need for need in required if not need.met(access)})


def held(access: Access, path: str) -> set[str]:
    """The privileges on a path: those that PVE lists, else those that the nearest path above hands down. ``/*`` at its
    end stands for any path below."""
    if path.endswith("/*"):
        return {name for below, names in access.paths.items() if below.startswith(path[:-1]) for name in names}
    if path in access.paths:
        return set(access.paths[path])
    while path != "/":
        path = path.rpartition("/")[0] or "/"
        if path in access.paths:
            return {name for name, inherited in access.paths[path].items() if inherited}
    return set()


def finding(lacking: t.Sequence[Need], access: Access) -> Finding:
    """All that is missing, and the commands that grant it.

    A grant on a path takes the place of what the paths above hand down, so the roles hold that as well.
    """
    reasons: dict[tuple[str, str], list[str]] = {}
    for need in lacking:
        reasons.setdefault((need.privileges[0], need.paths[0]), []).append(need.reason)
    told = [f"{privilege} on {path} ({', '.join(dict.fromkeys(why))})" for (privilege, path), why in reasons.items()]
    roles: dict[str, set[str]] = {}
    granted: dict[str, str] = {}
    for privilege, path in reasons:
        granted[path] = role = ROLES[path.split("/")[1]]
        roles.setdefault(role, set()).update({privilege}, held(access, path))
    user, _mark, token = access.login.partition("!")
    who = f"--users {user}" + (f" --tokens '{access.login}'" if token else "")
    lines = [f'pveum role add {role} --privs "{" ".join(sorted(names))}"' for role, names in roles.items()]
    lines += [f"pveum acl modify {path} {who} --roles {role}" for path, role in granted.items()]
    remedy = (
        f"As root on a node: {'; '.join(lines)} (for a role that is there: pveum role modify ROLE --append --privs)"
    )
    option = "api_token_id" if token else "api_user"
    return Finding(option, access.login, f"lacks privileges: {', '.join(told)}", remedy)
