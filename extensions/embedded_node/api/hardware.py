# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API paths of a node's devices and of the cluster's names for them."""

from __future__ import annotations

import functools
import typing as t

from ..errors import ApiError
from ..state import hardware, mappings, propstring
from . import access
from .routes import Params, route
from .session import Session

LOCK = "/var/lock/pve-mapping-{0}.lck"
BLACKLIST = "05;06;0b"
SEEN_WITH = ["Mapping.Modify", "Mapping.Use", "Mapping.Audit"]


@route("GET", "/nodes/{node}/hardware")
def kinds(session: Session, params: Params) -> list[dict[str, str]]:
    """The kinds of devices."""
    return [{"type": "pci"}, {"type": "usb"}]


@route("GET", "/nodes/{node}/hardware/pci")
def pci(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The PCI devices without those of some classes."""
    hidden = tuple(f"0x{each}" for each in propstring.split_list(str(params.get("pci-class-blacklist", BLACKLIST))))
    found = [each for each in hardware.lspci(session.state) if not (hidden and each["class"].startswith(hidden))]
    told = ("id", "class", "vendor", "device", "iommugroup", "mdev")
    return found if params.get("verbose", 1) else [{key: each[key] for key in told if key in each} for each in found]


@route("GET", "/nodes/{node}/hardware/pci/{pci-id-or-mapping}")
def pci_methods(session: Session, params: Params) -> list[dict[str, str]]:
    """What can be asked of a device."""
    return [{"method": "mdev"}]


@route("GET", "/nodes/{node}/hardware/pci/{pci-id-or-mapping}/mdev")
def mdev_types(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The mediated devices that a device can make, or those that a mapping names."""
    name = str(params["pci-id-or-mapping"])
    if ":" in name:
        return hardware.mdev_types(session.state, name if name.count(":") > 1 else f"0000:{name}")
    paths = [each.get("path", "") for each in mappings.find(session.state, "pci", name)]
    return [each for path in paths for each in hardware.mdev_types(session.state, path)]


@route("GET", "/nodes/{node}/hardware/usb")
def usb(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The USB devices."""
    return hardware.lsusb(session.state)


# -- the cluster's names ----------------------------------------------------------------------------------------------


@route("GET", "/cluster/mapping")
def mapping_kinds(session: Session, params: Params) -> list[dict[str, str]]:
    """The kinds of mappings."""
    return [{"name": name} for name in ("dir", "pci", "usb")]


def all_of(kind: str, session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The mappings that the caller may see, checked against a node where one is named."""
    found = mappings.load(session.state, kind)
    seen = [name for name in found if access.may(session, f"/mapping/{kind}/{name}", SEEN_WITH, any_of=True)]
    node = params.get("check-node")
    wrong = "errors" if kind == "usb" else "checks"
    return [
        {**found[name], "id": name, **({wrong: _problems(session, kind, name, found[name], str(node))} if node else {})}
        for name in seen
    ]


def _problems(session: Session, kind: str, name: str, entry: mappings.Entry, node: str) -> list[dict[str, str]]:
    devices = mappings.on_node(session.state, entry, node)
    if not devices:
        return [{"severity": "warning", "message": f"No mapping for node {node}."}]
    problems = []
    for device in devices:
        try:
            mappings.check(session.state, kind, name, entry, device)
        except ApiError as error:
            problems.append({"severity": "error", "message": f"Invalid configuration: {error.message}\n"})
    return problems


def one(kind: str, session: Session, params: Params) -> dict[str, t.Any]:
    """One mapping."""
    found = mappings.load(session.state, kind).get(str(params["id"]))
    if found is None:
        raise ApiError(f"mapping '{params['id']}' not found")
    return found


def create(kind: str, session: Session, params: Params) -> None:
    """Add a mapping."""
    name, more = str(params["id"]), {key: value for key, value in params.items() if key != "id"}
    with session.locked(LOCK.format(kind)):
        found = mappings.load(session.state, kind)
        if name in found:
            raise ApiError(f"create hardware mapping failed: {kind} ID '{name}' already defined")
        mappings.save(session.state, kind, {**found, name: more})


def change(kind: str, session: Session, params: Params) -> None:
    """Change a mapping."""
    name, keys = str(params["id"]), ("id", "delete", "digest")
    with session.locked(LOCK.format(kind)):
        found = mappings.load(session.state, kind)
        if name not in found:
            raise ApiError(f"update hardware mapping failed: {kind} ID '{name}' does not exist")
        deleted = propstring.split_list(str(params.get("delete", "")))
        kept = {key: value for key, value in found[name].items() if key not in deleted}
        more = {key: value for key, value in params.items() if key not in keys}
        mappings.save(session.state, kind, {**found, name: {**kept, **more}})


def remove(kind: str, session: Session, params: Params) -> None:
    """Remove a mapping."""
    with session.locked(LOCK.format(kind)):
        found = mappings.load(session.state, kind)
        mappings.save(session.state, kind, {name: each for name, each in found.items() if name != params["id"]})


for _kind in mappings.FILES:
    for _method, _path, _handler in (
        ("GET", "", all_of), ("POST", "", create), ("GET", "/{id}", one), ("PUT", "/{id}", change),
        ("DELETE", "/{id}", remove),
    ):  # fmt: skip
        route(_method, f"/cluster/mapping/{_kind}{_path}")(functools.partial(_handler, _kind))
