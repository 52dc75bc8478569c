# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PVE's privileges, and the roles that it brings."""

from __future__ import annotations

from fakepve import shapes

ALL_PRIVILEGES: frozenset[str] = frozenset(shapes.PRIVILEGES)
#: The privileges of each kind by who is meant to have them; what root alone has is in no role but Administrator.
_GROUPS: dict[str, dict[str, str]] = {
    "VM": {
        "admin": "VM.Config.Disk VM.Config.CPU VM.Config.Memory VM.Config.Network VM.Config.HWType VM.Config.Options"
        " VM.Allocate VM.Clone VM.GuestAgent.Unrestricted VM.Migrate VM.Replicate VM.Snapshot VM.Snapshot.Rollback",
        "user": "VM.Config.CDROM VM.Config.Cloudinit VM.Console VM.Backup VM.PowerMgmt VM.GuestAgent.FileRead"
        " VM.GuestAgent.FileSystemMgmt VM.GuestAgent.FileWrite",
        "audit": "VM.Audit VM.GuestAgent.Audit",
    },
    "Sys": {"admin": "Sys.Console Sys.Syslog", "audit": "Sys.Audit"},
    "Datastore": {
        "admin": "Datastore.Allocate Datastore.AllocateTemplate",
        "user": "Datastore.AllocateSpace",
        "audit": "Datastore.Audit",
    },
    "SDN": {"admin": "SDN.Allocate SDN.Audit", "user": "SDN.Use", "audit": "SDN.Audit"},
    "User": {"admin": "User.Modify Group.Allocate Realm.AllocateUser"},
    "Pool": {"admin": "Pool.Allocate", "user": "Pool.Audit", "audit": "Pool.Audit"},
    "Mapping": {"admin": "Mapping.Modify", "user": "Mapping.Use", "audit": "Mapping.Audit"},
}


def _special_roles() -> dict[str, frozenset[str]]:
    """The roles that PVE brings along, made of the groups of privileges."""
    roles: dict[str, set[str]] = {"PVEAdmin": set(), "PVEAuditor": set(), "PVETemplateUser": {"VM.Audit", "VM.Clone"}}
    for kind, levels in _GROUPS.items():
        admin, user, audit = (set(levels.get(level, "").split()) for level in ("admin", "user", "audit"))
        roles[f"PVE{kind}Admin"] = admin | user | audit
        roles["PVEAdmin"] |= admin | user | audit
        roles["PVEAuditor"] |= audit
        if user:
            roles[f"PVE{kind}User"] = user | audit
    roles["PVEAdmin"] -= {"Mapping.Modify"}
    found = {name: frozenset(held) for name, held in roles.items()}
    return {"Administrator": ALL_PRIVILEGES, "NoAccess": frozenset(), **found}


ROLES: dict[str, frozenset[str]] = _special_roles()
