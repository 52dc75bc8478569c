# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded node, driven in this process: commands by their entry point, requests through its own dispatcher."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = "var/lib/embedded-node/settings.json"


class EmbeddedDriver:
    """Every transcript has a state root of its own; nothing is kept between them."""

    def prepare(self, root: Path) -> None:
        """An empty node with one bridge; a held lock is not waited for as long as a real node would."""
        for name, text in (("mtu", "1500\n"), ("address", "bc:24:11:ff:ff:01\n"), ("bridge/bridge_id", "8000\n")):
            path = root / "sys/class/net/vmbr0" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        settings = root / SETTINGS
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(json.dumps({"lock_timeout": 0.2}))

    def command(self, root: Path, argv: list[str], stdin: str | None) -> tuple[int, str, str]:
        """Runs one command line."""
        from embedded_node.commands import run

        return run(argv, root, (stdin or "").encode())

    def request(self, root: Path, http: dict[str, Any], auth: str) -> tuple[int, str, Any]:
        """Makes one request."""
        raise NotImplementedError("no dispatcher yet")
