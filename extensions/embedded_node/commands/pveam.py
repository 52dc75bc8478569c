# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pveam``: container templates."""

from __future__ import annotations

import typing as t

from ..api import appliance
from ..api.session import Session
from ..errors import ApiError
from ..state import storage
from .command_line import STRING, Command, Params, Table

STORAGE: dict[str, t.Any] = {"type": "string", "format": "pve-storage-id"}
OWN = "PVE::CLI::pveam"


def _available(session: Session, params: Params) -> None:
    rows = [row for row in appliance.listing(session.state) if params.get("section") in (None, row["section"])]
    for row in sorted(rows, key=lambda row: (str(row["section"]), str(row["template"]))):
        session.say(f"{row['section']:<15} {row['template']}")


def _list(session: Session, params: Params) -> None:
    store = storage.get(session.state, str(params["storage"]))
    if "vztmpl" not in store.contents:
        raise ApiError("Storage does not support templates!")
    session.say(f"{'NAME':<60} {'SIZE':<6}")
    for item in store.check_enabled().activate().files("vztmpl"):
        session.say(f"{item.volid:<60} {item.size / 1024**2:<4.2f}MB")


def _remove(session: Session, params: Params) -> None:
    volid = str(params["template_path"])
    if storage.split_volid(volid):
        store, volume = storage.locate(session.state, volid)
        if store.parse(volume).content != "vztmpl":
            raise ApiError(f"unable to use volume {volid} - content type needs to be 'vztmpl'")
    storage.absolute_path(session.state, volid).unlink()


def _update(session: Session, params: Params) -> None:
    if not session.state.settings().get("template_url"):
        session.warn("update failed - see /var/log/pveam.log for details")
        return
    session.say("update successful")


def _download(session: Session, params: Params) -> None:
    appliance.download(session, str(params["storage"]), str(params["template"]))


TABLE: Table = {
    "available": Command(
        (),
        own={"section": {"type": "string", "enum": list(appliance.SECTIONS), "optional": 1}},
        run=_available,
        group=OWN,
    ),
    "list": Command(("storage",), own={"storage": STORAGE}, run=_list, group=OWN),
    "remove": Command(("template_path",), own={"template_path": STRING}, run=_remove, group=OWN),
    "update": Command((), run=_update, group=OWN),
    "download": Command(
        ("storage", "template"), own={"storage": STORAGE, "template": STRING}, run=_download, group="PVE::API2::Nodes"
    ),
}
