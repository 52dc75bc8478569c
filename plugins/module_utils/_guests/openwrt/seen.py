# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a running router tells of itself, and how that differs from its description."""

from __future__ import annotations

import shlex
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.errors import (
    NEVER_ANOTHER,
    AnotherSystem,
    RouterError,
)
from ansible_collections.pve.provision.plugins.module_utils._openwrt import commit_confirm, live, seed
from ansible_collections.pve.provision.plugins.module_utils._openwrt.addresses import (
    ADDR_ARGV,
    parse_addr,
    parse_status,
    status_argv,
)
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import Description
from ansible_collections.pve.provision.plugins.module_utils._openwrt.rootfs import Files, parse_release
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.text import (
    parse_config,
    parse_export,
    render_export,
)

_MARK = "@@pve-provision "
_PROBE = {
    "release": "cat /etc/openwrt_release",
    "export": shlex.join(live.EXPORT),
    seed.KEYS: "cat /etc/dropbear/authorized_keys",
    seed.SHADOW: "cat /etc/shadow",
    "packages": "if [ -d /etc/apk ]; then apk info; else opkg list-installed; fi",
    "addr": "; ".join(map(shlex.join, ADDR_ARGV)),
    "waiting": commit_confirm.WAITING,
    "kept": commit_confirm.KEPT.format(mark=_MARK),
}
_SERVICE = """\
if [ ! -x /etc/init.d/{0} ]; then echo {0} missing
elif /etc/init.d/{0} enabled; then
    if grep -q '^USE_PROCD=1' /etc/init.d/{0} && [ "$(/etc/init.d/{0} status)" = inactive ]
    then echo {0} stopped; else echo {0} enabled; fi
else echo {0} disabled
fi"""


@dataclass(frozen=True)
class Seen:
    """What a running router told in one go. ``files`` hold secrets; ``services`` are the declared ones: ``enabled``,
    ``disabled``, ``stopped`` (though it starts with the router) or ``missing``. ``kept``: the packages of a change that
    waits for its confirmation, as they are when it takes itself back."""

    version: str
    export: str
    files: dict[str, bytes] = field(repr=False)
    packages: frozenset[str]
    statuses: dict[str, list[str]]
    addr: dict[str, list[str]]
    up: frozenset[str]
    services: dict[str, str]
    waiting: bool = False
    kept: dict[str, str] = field(default_factory=dict, repr=False)

    def taken_back(self) -> Seen:
        """The router when the change that waits has taken itself back."""
        config = parse_export(self.export)
        for name, text in self.kept.items():
            config.pop(name, None)
            config |= {name: parse_config(text, name)} if text.strip() else {}
        return replace(self, export=render_export(config), waiting=False, kept={})


@dataclass(frozen=True)
class Drift:
    """How a running router differs from its description. ``stopped`` services start with it and do not run now."""

    change: live.UciChange
    files: Files
    missing: tuple[str, ...]
    services: t.Mapping[str, bool] = field(default_factory=dict)
    stopped: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.change or self.files or self.missing or self.services)

    def view(self) -> dict[str, t.Any]:
        """The difference for a plan: words of ``uci changes``, names of files, packages."""
        switched = [
            f"{('start' if name in self.stopped else 'enable') if wanted else 'disable'} {name}"
            for name, wanted in self.services.items()
        ]
        parts = {"uci": self.change.words, "files": sorted(self.files), "services": switched}
        parts |= {"packages": list(self.missing)}
        return {name: value for name, value in parts.items() if value}


def answers_of(told: t.Mapping[str, str]) -> dict[str, str]:
    """What each command told. One may tell several things, each under a name of its own."""
    parts = {}
    for name, output in told.items():
        parts[name], *others = output.split(_MARK)
        for other in others:
            inner, _unused, text = other.partition("\n")
            parts[inner] = text.removesuffix("\n")
    return parts


def questions(description: Description) -> dict[str, str]:
    """The commands that tell all that is to be known of a router."""
    services = "\n".join(_SERVICE.format(name) for name in description.services) or "true"
    statuses = {f"status {each.name}": shlex.join(status_argv(each.name)) for each in description.interfaces}
    return {**_PROBE, "services": services, **statuses}


def seen_of(parts: t.Mapping[str, str], description: Description) -> Seen:
    """The router, from the answers to ``questions``."""
    if "release" in parts and "DISTRIB_" not in parts["release"]:
        raise AnotherSystem("the guest has no /etc/openwrt_release, so it is not an OpenWrt", remedy=NEVER_ANOTHER)
    if "release" not in parts or "config" not in parts.get("export", ""):
        raise RouterError("the guest does not answer like an OpenWrt", remedy="Look at its console.")
    statuses = {each.name: parse_status(parts.get(f"status {each.name}", "")) for each in description.interfaces}
    return Seen(
        version=parse_release(parts["release"]).version,
        export=parts["export"],
        files={path: parts[path].encode() for path in (seed.KEYS, seed.SHADOW) if parts.get(path)},
        packages=frozenset(line.split(" - ")[0].strip() for line in parts["packages"].splitlines()),
        statuses={name: list(status.addresses) for name, status in statuses.items() if status},
        addr=parse_addr(parts["addr"]),
        up=frozenset(name for name, status in statuses.items() if status and status.up),
        services=dict(line.split() for line in parts["services"].splitlines() if line),
        waiting="waits" in parts["waiting"],
        kept={name.removeprefix("old "): text for name, text in parts.items() if name.startswith("old ")},
    )


def drift_of(seen: Seen, description: Description) -> Drift:
    """What to change in the router."""
    return Drift(
        change=live.drift(seen.export, description, seen.version),
        files=seed.account_drift(seen.files.get, description.management),
        missing=tuple(name for name in description.packages if name not in seen.packages),
        services={
            name: wanted
            for name, wanted in description.services.items()
            if seen.services.get(name) in (("disabled", "stopped") if wanted else ("enabled", "stopped"))
        },
        stopped=frozenset(name for name, state in seen.services.items() if state == "stopped"),
    )
