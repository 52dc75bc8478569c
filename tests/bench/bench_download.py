# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast a large image arrives, against ``curl | tee | sha256sum``, and how much memory that takes.

    python tests/bench/bench_download.py [--size MIB] [--runs N] [--directory DIR]

Both fetch the same generated file from a server on loopback, in turns; curl's file is synced as ours is. The ratio of
the median times is printed; exit code 1 when it is over 1.10, or the peak memory over 64 MiB.
"""

from __future__ import annotations

import argparse
import hashlib
import http.server
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT_RATIO = 1.10
LIMIT_MEMORY = 64  # MiB

CURL = """set -e -o pipefail
curl -sS "$1" | tee "$2" | sha256sum
sync "$2"
"""


class Handler(http.server.BaseHTTPRequestHandler):
    """Sends one file by sendfile, so that the server takes as little of the machine as it can."""

    source: Path

    def do_GET(self) -> None:
        with self.source.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            self.wfile.flush()
            offset = 0
            while offset < size:
                offset += os.sendfile(self.connection.fileno(), file.fileno(), offset, size - offset)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def generate(path: Path, mebibytes: int) -> str:
    """A file that is not sparse and does not compress, from one block of random bytes; returns its SHA-256."""
    block = os.urandom(1 << 20)
    hasher = hashlib.sha256()
    with path.open("wb") as file:
        for index in range(mebibytes):
            part = index.to_bytes(8, "big") + block[8:]
            hasher.update(part)
            file.write(part)
    return hasher.hexdigest()


def by_curl(url: str, target: Path, digest: str) -> float:
    started = time.monotonic()
    done = subprocess.run(["bash", "-c", CURL, "curl", url, target], check=True, capture_output=True, text=True)
    seconds = time.monotonic() - started
    assert done.stdout.split()[0] == digest
    return seconds


def by_us(url: str, target: Path, digest: str) -> tuple[float, float]:
    """Seconds, and the peak memory of the process in MiB; a process of its own, as a module is."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, __file__, "--fetch", url, str(target), digest], check=True, capture_output=True, text=True
    )
    return time.monotonic() - started, float(done.stdout)


def fetch_one(url: str, target: str, digest: str) -> None:
    from ansible_collections.pve.provision.plugins.module_utils._images.download import fetch
    from ansible_collections.pve.provision.plugins.module_utils._images.transfer import Request

    got = fetch(Request([url], Path(target), ("sha256", digest)))
    assert got.transferred == got.size
    print(peak_memory())


def peak_memory() -> float:
    """The most memory that this program has had, in MiB. What ``getrusage`` tells counts the process that has started
    it, too: the limit would be about whoever runs the bench."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


def test_a_large_image_arrives_as_fast_as_by_curl() -> None:
    assert main([]) == 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=2048, help="MiB (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="turns of each (default: %(default)s)")
    parser.add_argument("--directory", type=Path, help="where the files go (default: the temporary directory)")
    parser.add_argument("--fetch", nargs=3, metavar=("URL", "TARGET", "SHA256"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.fetch:
        fetch_one(*options.fetch)
        return 0
    times: dict[str, list[float]] = {"curl": [], "ours": []}
    peaks: list[float] = []
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        Handler.source = Path(name, "source")
        digest = generate(Handler.source, options.size)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/image"
        target = Path(name, "target")
        for turn in range(options.runs):
            times["curl"].append(by_curl(url, target, digest))
            target.unlink()
            seconds, peak = by_us(url, target, digest)
            times["ours"].append(seconds)
            peaks.append(peak)
            target.unlink()
            print(f"turn {turn + 1}: curl {times['curl'][-1]:.2f} s, ours {seconds:.2f} s, peak {peak:.0f} MiB")
        server.shutdown()
    ratio = statistics.median(times["ours"]) / statistics.median(times["curl"])
    print(
        f"{options.size} MiB: ours takes {ratio:.2f} times as long as curl | tee | sha256sum (limit {LIMIT_RATIO:.2f})"
    )
    print(f"peak memory {max(peaks):.0f} MiB (limit {LIMIT_MEMORY})")
    return int(ratio > LIMIT_RATIO or max(peaks) > LIMIT_MEMORY)


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / ".build")]
    sys.exit(main())
