# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads into a storage: streamed to a temporary file, hashed, looked at, renamed; told as wget tells it."""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from ..errors import ApiError
from .session import Session

CHUNK = 1 << 20
#: wget shows a dot for each of these, 32 in a line, when it is told ``--progress=dot:giga``.
DOT, LINE = 1 << 20, 32 << 20


def no_network(session: Session, url: str) -> None:
    """What wget says on a node without network; dies."""
    host = urllib.parse.urlsplit(url).hostname or ""
    session.say(f"--{_now()}--  {url}")
    session.say(f"Resolving {host} ({host})... failed: Name or service not known.")
    raise ApiError(f"download failed: wget: unable to resolve host address '{host}'")


def fetch(
    session: Session,
    url: str,
    target: Path,
    algorithm: str | None,
    checksum: str | None,
    check: Callable[[Path], None] = lambda path: None,
) -> None:
    """Fetch a URL into a file; dies when it cannot be had, has another hash or is not what it should be."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.tmp_dwnl.{os.getpid()}")
    try:
        _wget(session, url, partial)
        if algorithm and checksum:
            compare(session, partial, algorithm, checksum)
        check(partial)
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
    session.say(f"download of '{url}' to '{target}' finished")


def compare(session: Session, file: Path, algorithm: str, checksum: str) -> None:
    """Hash a file and say whether it is the expected one; dies when it is not."""
    session.write("calculating checksum...")
    found = hashlib.new(algorithm, file.read_bytes()).hexdigest()
    if found != checksum.lower():
        session.say("")
        raise ApiError(f"checksum mismatch: got '{found}' != expect '{checksum}'")
    session.say("OK, checksum verified")


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def _wget(session: Session, url: str, target: Path) -> None:
    session.say(f"--{_now()}--  {url}")
    place = urllib.parse.urlsplit(url)
    port = place.port or {"http": 80, "https": 443}.get(place.scheme, 0)
    connecting = f"Connecting to {place.hostname}:{port}..."
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            session.say(f"{connecting} connected.")
            session.say(f"HTTP request sent, awaiting response... {answer.status} {answer.reason}")
            _save(session, answer, target)
    except urllib.error.HTTPError as error:
        session.say(f"{connecting} connected.")
        session.say(f"HTTP request sent, awaiting response... {error.code} {error.reason}")
        session.say(f"{_now()} ERROR {error.code}: {error.reason}.")
        raise ApiError("download failed: exit code 8") from error
    except OSError as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        words = reason.strerror if isinstance(reason, OSError) else str(reason)
        raise ApiError(f"download failed: {connecting} failed: {words}.") from error


def _save(session: Session, answer: http.client.HTTPResponse, target: Path) -> None:
    began, size = time.monotonic(), 0
    total = answer.headers.get("Content-Length")
    known = f"{total}{_short(int(total))}" if total else "unspecified"
    session.say(f"Length: {known} [{answer.headers.get_content_type()}]\nSaving to: '{target}'")
    with target.open("wb") as out:
        while chunk := answer.read(CHUNK):
            out.write(chunk)
            size += len(chunk)
    took = max(time.monotonic() - began, 1e-4)
    for start in range(0, size, LINE):
        done = min(start + LINE, size)
        dots = "." * ((done - start) // DOT)
        shown = "".join(f" {dots[at : at + 8]:<8}" for at in range(0, 32, 8))
        last = "=0s" if done == size else " 0s"
        session.say(f"{start // 1024:>6}K{shown}{100 * done // size:>3}% {_rate(size / took, '')}{last}")
    session.say(f"{_now()} ({_rate(size / took, 'B/s')}) - '{target}' saved [{size}/{total or size}]")


def _short(size: int) -> str:
    """wget's second form of a length: `` (64K)``, nothing for small ones."""
    for unit in ("K", "M", "G"):
        size //= 1024
        if 0 < size < 1024:
            return f" ({size}{unit})"
    return ""


def _rate(speed: float, suffix: str) -> str:
    for unit in ("", "K", "M", "G"):
        if speed < 1024 or unit == "G":
            return f"{speed:.3g} {unit}{suffix}" if suffix else f"{speed:.3g}{unit}"
        speed /= 1024
    return ""


def download(
    session: Session,
    url: str,
    target: Path,
    algorithm: str | None,
    checksum: str | None,
    check: Callable[[Path], None] = lambda path: None,
) -> None:
    """``download-url``: a file that is there already is fetched again only when its hash is wrong."""
    session.say(f"downloading {url} to {target}")
    if target.exists():
        if not checksum:
            raise ApiError(f"refusing to override existing file '{target}'")
        session.write("calculating checksum of existing file...")
        found = hashlib.new(str(algorithm), target.read_bytes()).hexdigest()
        if found == checksum.lower():
            session.say("OK, got correct file already, no need to download")
            return
        session.say("")
        raise ApiError(f"checksum mismatch: got '{found}' != expect '{checksum}', aborting")
    fetch(session, url, target, algorithm, checksum, check)
