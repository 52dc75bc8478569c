# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``systemctl``, as far as guests are set up by it."""

from __future__ import annotations

import typing as t

from ..guest.arguments import Words, command
from ..guest.runtime import Completed, done
from . import services

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..guest.runtime import Command, Guest

#: Verbs that change nothing that anybody could see here.
SILENT = ("daemon-reload", "daemon-reexec", "reset-failed", "preset", "kill", "set-default", "isolate")
OPTIONS = ("q=quiet quiet now no-pager no-block full l=full no-legend plain p=property: property: value all a=all "
           "type: t=type: state: system force f=force no-reload runtime "
           "s=signal: no-ask-password failed wait n=lines: lines:")  # fmt: skip


def _systemctl(guest: Guest, words: Words, stdin: bytes) -> Completed:
    action, names = ([*words.plain, "list-units"])[0], [services.plain(name) for name in words.plain[1:]]
    if action == "is-system-running":
        return done("running\n")
    if action in ASKED:
        return ASKED[action](guest, names, words)
    if action in SILENT:
        return done()
    if action not in CHANGES:
        return done(rc=1, err=f"Unknown command verb '{action}'.\n")
    for name in names:
        if not services.is_known(guest, name):
            return _missing(action, name)
        failed = CHANGES[action](guest, name, words)
        if failed:
            return done(rc=1, err=failed)
    return done()


def _missing(action: str, name: str) -> Completed:
    if action in services.STATES:
        return done(rc=5, err=f"Failed to {action} {name}.service: Unit {name}.service not found.\n")
    return done(rc=1, err=f"Failed to {action} unit: Unit {name}.service does not exist\n")


# -- changing ----------------------------------------------------------------------------------------------------------


def _switch(guest: Guest, name: str, active: bool, action: str = "start") -> str:
    """Start or stop; returns what went wrong."""
    if active and services.is_masked(guest, name):
        return f"Failed to {action} {name}.service: Unit {name}.service is masked.\n"
    if services.set_active(guest, name, active):
        return ""
    return (f"Job for {name}.service failed because the control process exited with error code.\n"
            f'See "systemctl status {name}.service" and "journalctl -xeu {name}.service" for details.\n')  # fmt: skip


def _state(action: str) -> t.Callable[[Guest, str, Words], str]:
    def change(guest: Guest, name: str, words: Words) -> str:
        if action.startswith("try-") and not services.is_active(guest, name):
            return ""
        if action == "reload" and not services.is_active(guest, name):
            return f"{name}.service is not active, cannot reload.\n"
        return _switch(guest, name, services.STATES[action], action)

    return change


def _enabling(wanted: bool) -> t.Callable[[Guest, str, Words], str]:
    def change(guest: Guest, name: str, words: Words) -> str:
        if wanted and services.is_masked(guest, name):
            return f"Failed to enable unit: Unit {name}.service is masked\n"
        services.enable(guest, name, wanted)
        return _switch(guest, name, wanted) if "now" in words else ""

    return change


def _masking(wanted: bool) -> t.Callable[[Guest, str, Words], str]:
    def change(guest: Guest, name: str, words: Words) -> str:
        note = f"{services.DISABLED}/{name}.masked"
        if wanted:
            guest.files.write(note, "")
        else:
            guest.files.resolve(note).unlink(missing_ok=True)
        return _switch(guest, name, False) if wanted and "now" in words else ""

    return change


CHANGES: dict[str, t.Callable[[Guest, str, Words], str]] = {
    **{action: _state(action) for action in services.STATES},
    "enable": _enabling(True), "disable": _enabling(False), "reenable": _enabling(True),
    "mask": _masking(True), "unmask": _masking(False),
}  # fmt: skip


# -- asking ------------------------------------------------------------------------------------------------------------


def _unit_file_state(guest: Guest, name: str) -> str:
    if services.is_masked(guest, name):
        return "masked"
    if not services.is_known(guest, name):
        return "not-found"
    return "enabled" if services.is_enabled(guest, name) else "disabled"


def _active_state(guest: Guest, name: str) -> str:
    return "active" if services.is_active(guest, name) else "failed" if services.has_failed(guest, name) else "inactive"


def _is_enabled(guest: Guest, names: Sequence[str], words: Words) -> Completed:
    states = [_unit_file_state(guest, name) for name in names]
    code = 0 if "enabled" in states else 4 if set(states) == {"not-found"} else 1
    return done("" if "quiet" in words else "".join(f"{state}\n" for state in states), code)


def _is_active(guest: Guest, names: Sequence[str], words: Words) -> Completed:
    states = [_active_state(guest, name) for name in names]
    known = any(services.is_known(guest, name) for name in names)
    code = 0 if "active" in states else 3 if known else 4
    return done("" if "quiet" in words else "".join(f"{state}\n" for state in states), code)


def _is_failed(guest: Guest, names: Sequence[str], words: Words) -> Completed:
    states = [_active_state(guest, name) for name in names]
    return done("".join(f"{state}\n" for state in states), int("failed" not in states))


def _status(guest: Guest, names: Sequence[str], words: Words) -> Completed:
    for name in names:
        if not services.is_known(guest, name):
            return done(rc=4, err=f"Unit {name}.service could not be found.\n")
        state = {"active": "active (running)", "inactive": "inactive (dead)"}.get(_active_state(guest, name), "failed")
        if state != "active (running)":
            return done(f"● {name}.service\n     Active: {state}\n", 3)
    return done("".join(f"● {name}.service\n     Active: active (running)\n" for name in names))


def _show(guest: Guest, names: Sequence[str], words: Words) -> Completed:
    asked = [name for given in words.given.get("property", ()) for name in given.split(",")]
    told = []
    for name in names:
        known, active = services.is_known(guest, name), _active_state(guest, name)
        facts = {
            "Id": f"{name}.service", "LoadState": "loaded" if known else "not-found", "ActiveState": active,
            "SubState": {"active": "running", "inactive": "dead"}.get(active, "failed"),
            "UnitFileState": _unit_file_state(guest, name).replace("not-found", ""), "Result": "success",
            "MainPID": "0", "NRestarts": "0", "FragmentPath": f"{services.UNITS}/{name}.service" if known else "",
        }  # fmt: skip
        unknown = [key for key in asked if key not in facts]
        if unknown:
            return done(rc=127, err=f"systemctl show: property {unknown[0]} is not known here\n")
        chosen = asked or list(facts)
        told.append("".join(f"{facts[key] if 'value' in words else f'{key}={facts[key]}'}\n" for key in chosen))
    return done("\n".join(told))


def _list(guest: Guest, names: Sequence[str], words: Words) -> Completed:
    rows = []
    for name in names or services.names(guest):
        active = _active_state(guest, name)
        wanted = (not words.value("state") or active in words.value("state").split(",")) and "failed" not in words
        if services.is_known(guest, name) and (wanted or active == "failed"):
            rows.append(f"{name}.service loaded {active} {'running' if active == 'active' else 'dead'} {name}\n")
    return done("".join(rows))


def _list_files(guest: Guest, names: Sequence[str], words: Words) -> Completed:
    found = [name for name in names or services.names(guest) if services.is_known(guest, name)]
    return done("".join(f"{name}.service {_unit_file_state(guest, name)} enabled\n" for name in found),
                int(bool(names) and not found))  # fmt: skip


def _cat(guest: Guest, names: Sequence[str], words: Words) -> Completed:
    lost = [name for name in names if not services.is_known(guest, name)]
    if lost:
        return done(rc=1, err=f"No files found for {lost[0]}.service.\n")
    return done("".join(guest.files.read(f"{services.UNITS}/{name}.service") for name in names))


def _default(guest: Guest, names: Sequence[str], words: Words) -> Completed:
    return done("multi-user.target\n")


ASKED: dict[str, t.Callable[[Guest, Sequence[str], Words], Completed]] = {
    "cat": _cat, "get-default": _default, "is-active": _is_active, "is-enabled": _is_enabled, "is-failed": _is_failed,
    "list-unit-files": _list_files, "list-units": _list, "show": _show, "status": _status,
}  # fmt: skip
systemctl: Command = command(OPTIONS, _systemctl)
