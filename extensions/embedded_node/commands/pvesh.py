# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pvesh``: the API by path."""

from __future__ import annotations

import json
import typing as t

from ..api import routes, validation
from ..api.session import Session
from ..errors import INVALID, ApiError
from . import argv, usage
from .command_line import FLAG, STRING, Command, Exit, Params, Table

METHODS = {"get": "GET", "create": "POST", "set": "PUT", "delete": "DELETE"}
FORMATS = ["text", "json", "json-pretty", "yaml"]
OUTPUT: dict[str, t.Any] = {
    "output-format": {"type": "string", "enum": FORMATS, "optional": 1},
    "human-readable": FLAG,
    "noborder": FLAG,
    "noheader": FLAG,
    "quiet": FLAG,
}
OWN = "PVE::CLI::pvesh"


# -- printing ----------------------------------------------------------------------------------------------------------


def show(session: Session, data: t.Any, options: Params) -> None:
    """Print an answer in the format that was asked for."""
    form = options.get("output-format", "text")
    if options.get("quiet"):
        return
    if form == "json":
        session.say(json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False))
    elif form == "json-pretty":
        text = json.dumps(data, sort_keys=True, indent=3, ensure_ascii=False)
        session.say(text.replace('": ', '" : '))
    elif form == "yaml":
        session.write("---" + _yaml(data, 0) + "\n")
    elif isinstance(data, dict):
        _table(session, ["key", "value"], [[key, _cell(data[key])] for key in sorted(data)], options)
    elif isinstance(data, list) and data and isinstance(data[0], dict):
        columns = sorted({key for row in data for key in row})
        _table(session, columns, [[_cell(row.get(key)) for key in columns] for row in data], options)
    elif isinstance(data, list):
        for item in data:
            session.say(_cell(item))
    elif data is not None:
        session.say(_cell(data))


def _cell(value: t.Any) -> str:
    if value is None:
        return ""
    return json.dumps(value, sort_keys=True, separators=(",", ":")) if isinstance(value, (dict, list)) else str(value)


def _table(session: Session, columns: list[str], rows: list[list[str]], options: Params) -> None:
    widths = [
        max(len(columns[n]), *(len(row[n]) for row in rows)) if rows else len(columns[n]) for n in range(len(columns))
    ]
    if options.get("noheader"):
        widths = [max((len(row[n]) for row in rows), default=0) for n in range(len(columns))]
    if options.get("noborder"):
        head = [] if options.get("noheader") else [columns]
        for row in [*head, *rows]:
            session.say(" ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return

    def rule(left: str, middle: str, right: str, stroke: str = "─") -> str:
        return left + middle.join(stroke * (width + 2) for width in widths) + right

    def line(row: list[str]) -> str:
        return "│" + "│".join(f" {cell:<{width}} " for cell, width in zip(row, widths, strict=True)) + "│"

    session.say(rule("┌", "┬", "┐"))
    if not options.get("noheader"):
        session.say(line(columns))
        session.say(rule("╞", "╪", "╡", "═"))
    for number, row in enumerate(rows):
        if number:
            session.say(rule("├", "┼", "┤"))
        session.say(line(row))
    session.say(rule("└", "┴", "┘"))


def _yaml(data: t.Any, depth: int) -> str:
    pad = "  " * depth
    if isinstance(data, dict):
        return "".join(f"\n{pad}{key}:{_yaml(data[key], depth + 1)}" for key in sorted(data)) if data else " {}"
    if isinstance(data, list):
        if not data:
            return " []"
        return "".join(f"\n{pad}-{_yaml(item, depth + 1).replace(chr(10) + pad + '  ', ' ', 1)}" for item in data)
    text = "~" if data is None else str(data)
    quoted = isinstance(data, str) and (
        text == "" or (text.replace(".", "", 1).isdigit() and "." in text) or text in "~" or text[0] in "{[&*!|>'\"%@`-"
    )
    return f" '{text}'" if quoted else f" {text}"


# -- calling -----------------------------------------------------------------------------------------------------------


def _find(verb: str, path: str) -> tuple[str, dict[str, str], t.Mapping[str, t.Any]]:
    found = validation.find(path)
    info = validation.paths()[found[0]].get(METHODS[verb]) if found else None
    if not found or not info:
        sys_text = f"No '{verb}' handler defined for '{path}'"
        raise _NoHandler(sys_text)
    return found[0], found[1], info


class _NoHandler(Exception):
    """A path or method that is not there: exit code 1."""


def _verb(verb: str) -> t.Callable[[Session, Params], None]:
    def run(session: Session, params: Params) -> None:
        words = list(params["words"])
        if not words or words[0].startswith("-"):
            raise argv.bad_usage("not enough arguments")
        path = "/" + words[0].strip("/")
        try:
            template, variables, info = _find(verb, path)
        except _NoHandler as error:
            session.warn(str(error))
            raise Exit(1) from error
        properties = {**((info.get("parameters") or {}).get("properties") or {})}
        visible = {key: schema for key, schema in properties.items() if key not in variables}
        command = Command(("api_path",), own={"api_path": STRING, **visible}, formatted=True)
        try:
            options = argv.parse(words[1:], {**visible, **OUTPUT, "noproxy": FLAG}, (), None, session.err.write)
            output = {key: options.pop(key) for key in OUTPUT if key in options}
            options.pop("noproxy", None)
            checked, errors = validation.check({"properties": OUTPUT}, output)
            if errors:
                raise ApiError(INVALID, 400, errors)
            result = routes.run(session, METHODS[verb], template, {**options, **variables})
        except ApiError as error:
            session.err.write(error.command_text)
            if error.status == 400:
                session.err.write(_usage(f"pvesh {verb}", command) + "\n")
            raise Exit(error.exit_code) from error
        if result is not None or (info.get("returns") or {}).get("type", "null") != "null":
            show(session, result, checked)

    return run


def _usage(prefix: str, command: Command) -> str:
    return usage.line(prefix, {**command.own, "noproxy": FLAG}, command.arguments, (), True)


def _ls(session: Session, params: Params) -> None:
    words = list(params["words"])
    if not words:
        raise argv.bad_usage("not enough arguments")
    path = "/" + words[0].strip("/")
    argv.parse(words[1:], {**OUTPUT, "noproxy": FLAG}, (), None, session.err.write)
    found = validation.find(path)
    template = found[0] if found else path
    if path != "/" and not (found and validation.paths()[template].get("GET")):
        raise ApiError(f"no such resource '{path}'")
    if path != "/" and not _link(template):
        raise ApiError(f"resource '{path}' does not define child links")
    for name in _children(session, path, template):
        child = validation.find(f"{path.rstrip('/')}/{name}")
        methods = validation.paths()[child[0]] if child else {}
        reads = "Dr" if child and _link(child[0]) else "-r" if "GET" in methods else "--"
        others = (("w", "PUT"), ("c", "POST"), ("d", "DELETE"))
        session.say(
            reads + "".join(letter if method in methods else "-" for letter, method in others) + f"        {name}"
        )


def _link(template: str) -> str:
    """The property that names the children of a path, empty when it has none."""
    returns = (validation.paths().get(template, {}).get("GET") or {}).get("returns") or {}
    names = [str(link["href"]).strip("{}") for link in returns.get("links") or () if link.get("rel") == "child"]
    return names[0] if names else ""


def _children(session: Session, path: str, template: str) -> list[str]:
    """The names below a path: what its own listing tells, else the schema."""
    key = _link(template)
    if ("GET", template) in routes.HANDLERS:
        rows = routes.call(session, "GET", path, {})
        return sorted(str(row[key]) for row in rows if isinstance(row, dict) and key in row)
    return sorted(validation.children(template))


def _show_usage(session: Session, params: Params) -> None:
    words = list(params["words"])
    if not words:
        raise argv.bad_usage("not enough arguments")
    path = "/" + words[0].strip("/")
    own = {"command": {"type": "string", "enum": sorted(METHODS), "optional": 1}, "returns": FLAG, "verbose": FLAG}
    options = argv.parse(words[1:], own, (), None, session.err.write)
    found = validation.find(path)
    asked = options.get("command")
    if asked and not (found and validation.paths()[found[0]].get(METHODS[asked])):
        raise ApiError(f"no '{asked}' handler for '{path}'")
    if not found:
        raise ApiError(f"no such resource '{path}'")
    for verb in sorted(METHODS):
        info = validation.paths()[found[0]].get(METHODS[verb])
        if not info or asked not in (None, verb):
            continue
        properties = (info.get("parameters") or {}).get("properties") or {}
        session.say("USAGE: " + usage.line(f"pvesh {verb} {path}", properties, (), found[1]))


def _raw(run: t.Callable[[Session, Params], None]) -> Command:
    own = {"api_path": STRING, "noproxy": FLAG}
    return Command(("api_path",), own=own, run=run, group=OWN, formatted=True, raw=True)


TABLE: Table = {
    **{verb: _raw(_verb(verb)) for verb in METHODS},
    "ls": _raw(_ls),
    "usage": _raw(_show_usage),
}
