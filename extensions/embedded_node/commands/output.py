# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How commands print what guests have in common: options, waiting changes, snapshots."""

from __future__ import annotations

import time
import typing as t

from ..api.session import Session
from ..state.propstring import encode_text


def show_config(session: Session, config: t.Any) -> None:
    """Print a guest's options by name."""
    for key in sorted(config):
        if key in ("digest", "lxc"):
            continue
        value = encode_text(config[key]) if key == "description" else config[key]
        session.out.write(f"{key}: {value}\n")
    for key, value in config.get("lxc", []):
        session.out.write(f"{key}: {value}\n")


def show_pending(session: Session, rows: t.Any) -> None:
    """Print live and waiting values."""
    for row in sorted(rows, key=lambda row: str(row["key"])):
        key = row["key"]
        if key == "digest":
            continue
        text = {
            name: encode_text(row[name]) if key == "description" else row[name]
            for name in ("value", "pending")
            if name in row
        }
        if row.get("delete") and "value" in text:
            session.out.write(f"del {key}: {text['value']}\n")
        elif "value" in text:
            session.out.write(f"cur {key}: {text['value']}\n")
        if "pending" in text and not row.get("delete"):
            session.out.write(f"new {key}: {text['pending']}\n")


def show_snapshots(session: Session, rows: t.Any) -> None:
    """Print the tree of snapshots, each below its parent."""
    known = {row["name"] for row in rows}

    def branch(parent: str | None, depth: int) -> None:
        for row in sorted(rows, key=lambda row: (row.get("snaptime", 2**62), row["name"])):
            above = row.get("parent")
            if (above if above in known else None) != parent:
                continue
            stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row["snaptime"])) if row.get("snaptime") else ""
            text = (row.get("description") or "no-description").splitlines()[0]
            head = " " * depth + f"`-> {row['name']}"
            session.out.write(f"{head:<31} {stamp:<23} {text}\n")
            branch(row["name"], depth + 1)

    branch(None, 0)
