# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the template that a new container is made from: what a storage holds, or PVE offers."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Fetch, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.policy import Policy
from ansible_collections.pve.provision.plugins.module_utils._engine.step import NewFile
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.fetch_image import FetchImage
from ansible_collections.pve.provision.plugins.module_utils._model.appliances import Appliance
from ansible_collections.pve.provision.plugins.module_utils._model.template_name import newest_match
from ansible_collections.pve.provision.plugins.module_utils._pve.privileges import file_needs

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._store.ostemplate import OsTemplates

# What fetches is read from disk only where a template is missing: hence the imports in functions.
CONTENT: t.Final = "vztmpl"


def fetch_template(appliance: Appliance, storage: str, size: int | None, option: str = "ostemplate") -> FetchImage:
    """The step that fetches a template of PVE's index to a storage."""

    def bring(node: Node, policy: Policy) -> list[str]:
        from ansible_collections.pve.provision.plugins.module_utils._store import ostemplate

        return ostemplate.bring(node, appliance, storage, **policy.download_limits).warnings

    return FetchImage(
        volid=f"{storage}:{CONTENT}/{appliance.file}",
        url=appliance.url,
        size=size,
        new_file=NewFile(storage, CONTENT, size, option),
        required=tuple(file_needs("appliance", storage, "")),
        bring=bring,
    )


def with_template(facts: Facts, wanted: Wanted) -> Wanted:
    """The template's volid: as given where it exists, or the newest one that the name means. What no storage holds is
    fetched first, where PVE's index has it and that is allowed."""
    source = wanted.source
    if wanted.template_made_by_run:
        return wanted
    if source is None:
        remedy = "Name a template, clone_from or restore_from."
        return _refuse(wanted, None, "is required to create a container", remedy)
    found = _held(facts, wanted, source)
    if found is not None:
        return dataclasses.replace(wanted, source=found)
    if wanted.fetch is not None and not source.startswith("/"):
        return _fetched(facts, wanted, source, wanted.fetch)
    remedy = f"{_held_names(facts)} Fetch one with 'pveam download' or pve.provision.template_cache."
    return _refuse(wanted, source, _nowhere(facts), remedy)


def _held(facts: Facts, wanted: Wanted, source: str) -> str | None:
    """The template that is there."""
    if source.startswith("/"):
        files = facts.node.files
        return source if files is None or files.has(source) else None
    volids = [volume.volid for volume in facts.templates if volume.size]
    if ":" in source:
        return source if source in volids else None
    return newest_match(source, volids, wanted.declaration.values.get("arch"))


def _fetched(facts: Facts, wanted: Wanted, source: str, fetch: Fetch) -> Wanted:
    """The template that will be there, and the step that brings it."""
    from ansible_collections.pve.provision.plugins.module_utils._store.ostemplate import OsTemplates, roomiest_storage

    offers = facts.keep("ostemplates", lambda: OsTemplates(facts.node))
    named, _colon, rest = source.rpartition(":")
    appliance = offers.find(rest.removeprefix(f"{CONTENT}/"), wanted.declaration.values.get("arch"))
    if appliance is None:
        return _refuse(wanted, source, *_not_offered(facts, offers, source))
    storage = named or fetch.storage or roomiest_storage(facts.storages)
    if storage is None:
        problem = f"{_nowhere(facts)}, and none takes container templates, so it cannot be fetched"
        return _refuse(wanted, source, problem, "Give a storage with files the content type vztmpl.")
    option = "template_storage" if fetch.storage and not named else "ostemplate"
    step = fetch_template(appliance, storage, offers.size(appliance), option)
    return dataclasses.replace(wanted, source=step.volid, obtain=(step,))


def _not_offered(facts: Facts, offers: OsTemplates, source: str) -> tuple[str, str]:
    """Why a template cannot be fetched, and what to do."""
    node = facts.node.name
    held = _held_names(facts)
    if not offers.offered:
        problem = f"{_nowhere(facts)}, and the node has no index of what PVE offers"
        return problem, f"{held} Run 'pveam update' on {node}, or fetch one with pve.provision.template_cache."
    near = offers.near(source)
    like = f"Similar are {', '.join(near)}. " if near else ""
    problem = f"{_nowhere(facts)}, and PVE's index of templates does not list it"
    remedy = f"{like}{held} A newer index comes with 'pveam update', other templates with pve.provision.template_cache."
    return problem, remedy


def _nowhere(facts: Facts) -> str:
    return f"is not on any storage of node {facts.node.name}"


def _held_names(facts: Facts) -> str:
    return f"Templates here: {', '.join(sorted(volume.volid for volume in facts.templates)) or 'none'}."


def _refuse(wanted: Wanted, value: object, problem: str, remedy: str) -> Wanted:
    return dataclasses.replace(wanted, findings=(*wanted.findings, Finding("ostemplate", value, problem, remedy)))
