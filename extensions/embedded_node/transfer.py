# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads into a storage: streamed to a temporary file, hashed, renamed."""

from __future__ import annotations

import hashlib
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from .errors import ApiError
from .session import Session

CHUNK = 1 << 20


def no_network(session: Session, url: str) -> None:
    """What wget says on a node without network; dies."""
    host = urllib.parse.urlsplit(url).hostname or ""
    session.say(f"--{time.strftime('%Y-%m-%d %H:%M:%S')}--  {url}")
    session.say(f"Resolving {host} ({host})... failed: Name or service not known.")
    raise ApiError(f"download failed: wget: unable to resolve host address '{host}'")


def fetch(session: Session, url: str, target: Path, algorithm: str | None, checksum: str | None) -> None:
    """Fetch a URL into a file; dies when it cannot be had or has another hash."""
    partial = target.with_name(f"{target.name}.tmp_dwnl.{time.monotonic_ns()}")
    digest = hashlib.new(algorithm) if algorithm else None
    try:
        with urllib.request.urlopen(url, timeout=30) as answer, partial.open("wb") as out:
            while chunk := answer.read(CHUNK):
                out.write(chunk)
                if digest:
                    digest.update(chunk)
        if digest and checksum:
            session.say("calculating checksum...")
            if digest.hexdigest() != checksum.lower():
                raise ApiError(f"checksum mismatch: got '{digest.hexdigest()}' != expect '{checksum}', aborting")
            session.say("OK, checksum verified")
        partial.rename(target)
    except urllib.error.HTTPError as error:
        raise ApiError(
            f"download failed: HTTP request sent, awaiting response... {error.code} {error.reason}"
        ) from error
    except OSError as error:
        raise ApiError(f"download failed: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    session.say(f"download of '{url}' to '{target}' finished")


def download(session: Session, url: str, target: Path, algorithm: str | None, checksum: str | None) -> None:
    """``download-url``: a file that is there already is fetched again only when its hash is wrong."""
    session.say(f"downloading {url} to {target}")
    if target.exists():
        if not checksum:
            raise ApiError(f"refusing to override existing file '{target}'")
        if hashlib.new(str(algorithm), target.read_bytes()).hexdigest() == checksum.lower():
            session.say("OK, got correct file already, no need to download")
            return
        found = hashlib.new(str(algorithm), target.read_bytes()).hexdigest()
        raise ApiError(f"checksum mismatch: got '{found}' != expect '{checksum}', aborting")
    target.parent.mkdir(parents=True, exist_ok=True)
    fetch(session, url, target, algorithm, checksum)
