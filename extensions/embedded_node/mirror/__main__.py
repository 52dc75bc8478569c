# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m embedded_node.mirror``: run a mirror until it is interrupted."""

from __future__ import annotations

import argparse
import contextlib
import signal
import threading
import typing as t
from pathlib import Path

from . import server, sites
from .server import Mirror


def main(argv: t.Sequence[str] | None = None) -> int:
    """Run a mirror until Ctrl-C or SIGTERM."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    parser = argparse.ArgumentParser(prog="embedded_node.mirror", description=server.__doc__)
    parser.add_argument("--root", type=Path, help="where to make its files (default: a temporary directory)")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: any free one)")
    parser.add_argument("--site", action="append", choices=sites.NAMES, help="only this site (may be repeated)")
    options = parser.parse_args(argv)
    with (
        contextlib.suppress(KeyboardInterrupt),
        Mirror(options.root, options.site or sites.NAMES, options.port) as mirror,
    ):
        print(mirror.url, flush=True)
        print(f"OpenWrt key: {mirror.signer.usign_public}", flush=True)
        threading.Event().wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
