# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API: handlers by method and path, and the one way to call them.

A module registers its handlers with :func:`route`; ``call`` finds the path in PVE's schema, checks parameters and
permissions as the schema says, and runs the handler. Commands and the HTTPS server call the same handlers.
"""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Mapping

from ..errors import INVALID, ApiError
from . import access, validation
from .session import Session

Params = dict[str, t.Any]
Handler = Callable[[Session, Params], t.Any]

HANDLERS: dict[tuple[str, str], Handler] = {}
VERBS = {"GET": "get", "POST": "create", "PUT": "set", "DELETE": "delete"}


def route(method: str, path: str) -> Callable[[Handler], Handler]:
    """Register a handler for a method and a path template of PVE's schema (``/nodes/{node}/lxc/{vmid}``)."""

    def register(handler: Handler) -> Handler:
        HANDLERS[method, path] = handler
        return handler

    return register


def not_implemented(method: str, path: str) -> ApiError:
    """An unknown path, or a method that a path does not have."""
    return ApiError(f"Method '{method} {path}' not implemented", 501)


def call(session: Session, method: str, path: str, params: Mapping[str, t.Any]) -> t.Any:
    """Run one API call. Dies with ApiError."""
    found = validation.find(path)
    info = validation.paths()[found[0]].get(method) if found else None
    if not found or not info:
        raise not_implemented(method, path)
    template, variables = found
    return run(session, method, template, {**params, **variables})


def run(session: Session, method: str, template: str, params: Mapping[str, t.Any]) -> t.Any:
    """Run a method of a known path with all its parameters, path variables included.

    As on a real node, who may call is decided first, then which node, then whether the parameters are right. What is
    asked of another node is passed on to it.
    """
    info = validation.paths()[template][method]
    given = _joined(info, params)
    access.enforce(session, info.get("permissions") or {}, given)
    _check_node(session, given)
    checked, errors = validation.check(info.get("parameters") or {}, given)
    errors |= validation.unknown_yet(checked, session.state.release)
    if errors:
        raise ApiError(INVALID, 400, errors)
    handler = HANDLERS.get((method, template))
    if handler is None:
        raise ApiError(f"the embedded node does not know {VERBS[method]} {template}", 501)
    return handler(session.at(given.get("node", session.state.name)), checked)


def _joined(info: Mapping[str, t.Any], params: Mapping[str, t.Any]) -> Params:
    """A repeated parameter of a list format is joined, as PVE does."""
    properties = (info.get("parameters") or {}).get("properties") or {}
    joined: Params = {}
    for name, value in params.items():
        schema = validation.property_schema(properties, name) or {}
        is_list = isinstance(value, list) and str(schema.get("format", "")).endswith(("-list", "-list-opt"))
        joined[name] = "\0".join(map(str, value)) if is_list else value
    return joined


def _check_node(session: Session, params: Params) -> None:
    node = params.get("node")
    if node == "localhost":
        params["node"] = session.state.name
    elif node is not None and node not in session.state.nodes():
        raise ApiError(
            f"hostname lookup '{node}' failed - failed to get address info for: {node}: Name or service not known"
        )
