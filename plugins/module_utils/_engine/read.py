# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what the node has of a wanted guest."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine import cleanup
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._errors import Conflict, Finding, InvalidInput, PveError
from ansible_collections.pve.provision.plugins.module_utils._pve.node import list_tells
from ansible_collections.pve.provision.plugins.module_utils._pve.types import same_name

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig


def find_here(node: Node, wanted: Wanted) -> tuple[int | None, GuestConfig | None]:
    """The number and the config of the wanted guest, where it is on this node and there is but one."""
    vmid, kind = wanted.vmid, wanted.type.kind
    if vmid is None and wanted.name:
        named = [guest for guest in node.named(kind, wanted.name) if guest.node == node.name]
        vmid = named[0].vmid if len(named) == 1 else None
    return vmid, node.config(kind, vmid) if vmid is not None else None


def read(node: Node, wanted: Wanted, *, wait: bool) -> Actual:
    """What the node has of the wanted guest; waits for a creation that is under way."""
    if any(problem.option in {"vmid", wanted.type.name_key} for problem in wanted.findings):
        return Actual(wanted.vmid)
    actual = _find(node, wanted)
    if wait and actual.vmid is None and wanted.state != "absent" and _await_others(node, wanted):
        actual = _find(node, wanted)
    found = cleanup.leftover(node, wanted, actual.vmid)
    vmid = found[0] if found else actual.vmid
    if wait and vmid is not None and (found or _half_made(actual)):
        cleanup.await_creator(node, wanted.type.kind, vmid, wanted.policy.create_timeout)
        actual = _find(node, wanted)
    return _with_leftover(node, wanted, actual, found, act=wait)


def _await_others(node: Node, wanted: Wanted) -> bool:
    """Wait for the guests that somebody else is creating by this login: one may get the wanted name when it is whole,
    for instance after a run that was killed while PVE goes on. Whether there were any."""
    others = node.being_made(wanted.type.kind)
    for vmid in others:
        with contextlib.suppress(Conflict):  # whatever takes so long, it will be looked at once more
            cleanup.await_creator(node, wanted.type.kind, vmid, wanted.policy.create_timeout)
    return bool(others)


def _with_leftover(
    node: Node, wanted: Wanted, actual: Actual, found: tuple[int, cleanup.Note] | None, *, act: bool
) -> Actual:
    """What the node has, without what a killed run of ours left half-made: that is recreated.

    So is the declared guest, where it has to be whole before its first start and its maker was killed before that.
    """
    if found is None:
        return actual
    vmid, note = found
    kept = wanted.state == "absent" and actual.config is not None and actual.config.protected
    unfinished = wanted.recreate_if_unfinished and note.get("whole") is True and not kept
    anew = actual.config is None or _half_made(actual) or (unfinished and is_declared_guest(wanted, actual))
    if anew and cleanup.is_ours(node, vmid, note):
        return Actual(vmid, leftover=note)
    if act and (actual.config is None or _half_made(actual)):
        cleanup.drop(node, vmid, note)
    return actual


def _half_made(actual: Actual) -> bool:
    return actual.config is not None and actual.config.lock in cleanup.MAKING


def _find(node: Node, wanted: Wanted) -> Actual:
    kind = wanted.type.kind
    if wanted.vmid is not None:
        config = node.config(kind, wanted.vmid)
        if config is not None:
            return Actual(wanted.vmid, config, node.status(kind, wanted.vmid))
        return Actual(wanted.vmid, taken=node.locate(wanted.vmid))
    named = node.named(kind, t.cast("str", wanted.name), sure=wanted.state != "absent")
    exact = [guest for guest in named if guest.name == wanted.name]
    if len(named) > 1 and len(exact) != 1:
        others = {guest.vmid: "" if guest.name == wanted.name else f" ({guest.name})" for guest in named}
        vmids = ", ".join(f"{vmid}{spelled}" for vmid, spelled in others.items())
        problem = f"is the name of several guests: {vmids}"
        raise InvalidInput([Finding(wanted.type.name_key, wanted.name, problem, "Say which one with vmid.")])
    for guest in exact or named:
        if guest.node != node.name:
            return Actual(guest.vmid, taken=guest)
        status = guest.status if list_tells(node, kind, guest.status) else ""
        return Actual(guest.vmid, node.config(kind, guest.vmid), status or node.status(kind, guest.vmid))
    return Actual(None)


def read_if_allowed(node: Node, wanted: Wanted, *, wait: bool) -> Actual:
    """What the node has. Where this login may not even look, all that it lacks for a new guest is found and told."""
    try:
        return read(node, wanted, wait=wait)
    except PveError as error:
        if error.details.get("reason") != "permission":
            raise
        return Actual(wanted.vmid, forbidden=error)


def with_outdated(node: Node, wanted: Wanted, actual: Actual) -> Actual:
    if actual.config is None or actual.vmid is None or not actual.running or wanted.state == "absent":
        return actual
    outdated = node.outdated(wanted.type.kind, actual.vmid, actual.config)
    return dataclasses.replace(actual, outdated=outdated) if outdated else actual


def without_lock(actual: Actual) -> Actual:
    """What the node has, once a lock is removed that a killed run left."""
    if actual.config is None:
        return actual
    options, live = (
        {k: v for k, v in each.items() if k != "lock"} for each in (actual.config.options, actual.config.live)
    )
    return dataclasses.replace(actual, config=dataclasses.replace(actual.config, options=options, live=live))


def is_declared_guest(wanted: Wanted, actual: Actual) -> bool:
    """Whether a guest that is there has the declared name, if one is declared: otherwise it is somebody else's."""
    if actual.config is None or not wanted.name:
        return True
    return same_name(actual.config.options.get(wanted.type.name_key), wanted.name)


def with_current_spelling(wanted: Wanted, actual: Actual) -> Wanted:
    """What is wanted, with the guest's own spelling of its name: only ``rename`` changes that."""
    key = wanted.type.name_key
    has = actual.config.options.get(key) if actual.config else None
    if wanted.policy.rename or has == wanted.name or not same_name(has, wanted.name):
        return wanted
    declaration = dataclasses.replace(wanted.declaration, values={**wanted.declaration.values, key: has})
    return dataclasses.replace(wanted, declaration=declaration)
