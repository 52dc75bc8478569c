# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what the engine has to know of containers."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, GuestType, Values, Wanted
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc import addresses, checks
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.complete import complete, with_storages
from ansible_collections.pve.provision.plugins.module_utils._model.lxc import OPTIONS, check_container, decide_privilege
from ansible_collections.pve.provision.plugins.module_utils._model.option import Declaration, SubValues, Table
from ansible_collections.pve.provision.plugins.module_utils._model.template_name import parse_template
from ansible_collections.pve.provision.plugins.module_utils._pve.privileges import Need

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.addresses import Address
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
    from ansible_collections.pve.provision.plugins.module_utils._engine.planned_guest import PlannedGuest, Report
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

# Which privilege on a container changes an option of it; what is not listed needs REST. What makes it privileged or not
# needs one of its own, elsewhere (pve-container, API2/LXC.pm, check_ct_modify_config_perm).
_PRIVILEGES: t.Final = (
    (r"cores|cpulimit|cpuunits", "VM.Config.CPU"),
    (r"memory|swap", "VM.Config.Memory"),
    (r"rootfs|mp\d+|unused\d+", "VM.Config.Disk"),
    (r"net\d+|nameserver|searchdomain|hostname", "VM.Config.Network"),
    (r"features", "VM.Allocate"),
    (r"unprivileged", ""),
)
_REST: t.Final = "VM.Config.Options"


@dataclass(frozen=True)
class ContainerType(GuestType):
    """A container."""

    kind = "lxc"
    content = "rootdir"
    source_option = "ostemplate"
    keeps_volumes = True
    restored_to_one = True
    whole_template = True

    def is_volume(self, key: str) -> bool:
        return re.fullmatch(r"rootfs|(mp|unused)\d+", key) is not None

    def first_volume(self, values: Values) -> str:
        return "rootfs"

    def restoring(self, backup: str) -> dict[str, str]:
        return {"ostemplate": backup, "restore": "1"}

    def complete(self, facts: Facts, wanted: Wanted) -> Wanted:
        return complete(facts, wanted)

    def complete_change(self, facts: Facts, wanted: Wanted, actual: Actual) -> Wanted:
        return with_storages(facts, wanted, actual.config.options if actual.config else ())

    def privilege(self, declaration: Declaration) -> str:
        return decide_privilege(declaration).reason

    def check(self, values: Values, paths: t.Mapping[str, str]) -> list[Finding]:
        return check_container(values, paths)

    def check_existing(self, wanted: Wanted, actual: Actual) -> t.Iterator[Finding]:
        """PVE does not remember a template, but what it made of it shows what it cannot have been."""
        template = parse_template(wanted.source).ostype if wanted.source and not wanted.template_made_by_run else None
        has = actual.config.options.get("ostype") if actual.config else None
        if template and has not in (None, "unmanaged", template) and wanted.declaration.values.get("ostype") is None:
            problem = f"is not what {wanted.type.noun} {actual.vmid} was made from: it is {has}"
            yield Finding("ostemplate", wanted.source, problem, wanted.rebuild)

    def check_volume(self, report: Report, facts: Facts, planned: PlannedGuest, key: str, value: SubValues) -> None:
        checks.check_volume(report, facts, planned, key, value)

    def check_node(self, report: Report, facts: Facts, planned: PlannedGuest, touched: Values) -> None:
        checks.check_node(report, facts, planned, touched)

    def privilege_of(self, key: str) -> str:
        return next((name for pattern, name in _PRIVILEGES if re.fullmatch(pattern, key)), _REST)

    def creation_needs(self, touched: Values) -> t.Iterator[Need]:
        if touched.get("unprivileged") is False:
            yield Need(("/",), ("Sys.Modify",), "a privileged container")

    def root_only(
        self, wanted: Wanted, actual: Actual, touched: Values, deleted: t.Collection[str]
    ) -> t.Iterator[tuple[str, object, str]]:
        return checks.root_only(wanted, actual, touched, deleted)

    def declared_addresses(self, options: t.Mapping[str, str]) -> list[Address]:
        return addresses.declared_addresses(options)

    def witness(self, options: t.Mapping[str, str]) -> str:
        return "the container"

    def await_addresses(
        self, node: Node, vmid: int, options: t.Mapping[str, str], timeout: int, *, wait: bool
    ) -> tuple[list[Address], list[str]]:
        return addresses.await_addresses(node, vmid, options, timeout, wait=wait)


LXC: t.Final = ContainerType(OPTIONS)
# A container that PVE does not manage gives itself its host name.
UNMANAGED: t.Final = ContainerType(
    Table(
        dataclasses.replace(option, hotplug=True, hotplug_delete=True) if option.key == LXC.name_key else option
        for option in OPTIONS
    ),
)
