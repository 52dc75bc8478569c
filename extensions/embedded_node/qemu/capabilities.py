# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the node's QEMU can do: machine versions, CPU models."""

from __future__ import annotations

import typing as t

from ..api import validation
from ..api.routes import route
from . import formats

if t.TYPE_CHECKING:
    from ..api.routes import Params
    from ..api.session import Session

QEMU = "/nodes/{node}/capabilities/qemu"
LATER = tuple(f"{major}.{minor}" for major in range(9, 4, -1) for minor in (2, 1, 0))
VERSIONS = ("10.0", *LATER, "4.2", "4.1", "4.0", "3.1", "3.0", *(f"2.{minor}" for minor in range(12, 3, -1)))
# PVE's own steps between two versions of QEMU, and what each brings.
STEPS = {
    "10.0": ("Set host_mtu vNIC option even with default value for migration compat.",),
    "9.2": ("Disables S3/S4 power states by default.",),
    "4.1": ("Introduction of pveX versioning, no changes.", "Increases the number of SCSI drives supported."),
}


def machine_versions() -> list[dict[str, str]]:
    """Every version of both boards, the newest first."""
    rows: list[dict[str, str]] = []
    for version in VERSIONS:
        steps = STEPS.get(version, ())
        for number in range(len(steps), 0, -1):
            rows += _pair(f"{version}+pve{number}", steps[number - 1])
        rows += _pair(version)
        if version == "4.0":  # the one board that had a version of its own
            rows.append({"id": "pc-q35-4.0.1", "type": "q35", "version": "4.0.1"})
    return rows


def _pair(version: str, changes: str = "") -> list[dict[str, str]]:
    more = {"changes": changes} if changes else {}
    return [{"id": f"pc-{kind}-{version}", "type": kind, "version": version, **more} for kind in ("i440fx", "q35")]


NEWEST = machine_versions()[0]["version"]


@route("GET", "/nodes/{node}/capabilities")
def index(session: Session, params: Params) -> list[dict[str, str]]:
    """What there is to ask about."""
    return [{"name": name} for name in validation.children("/nodes/{node}/capabilities")]


@route("GET", QEMU)
def qemu_index(session: Session, params: Params) -> list[dict[str, str]]:
    """What there is to ask about QEMU."""
    return [{"name": name} for name in validation.children(QEMU)]


@route("GET", f"{QEMU}/machines")
def machines(session: Session, params: Params) -> list[dict[str, str]]:
    """The machine versions."""
    return machine_versions()


@route("GET", f"{QEMU}/cpu")
def cpus(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The CPU models that a VM may be given."""
    return [{"name": name, "vendor": vendor, "custom": 0} for name, vendor in formats.MODELS.items()]
