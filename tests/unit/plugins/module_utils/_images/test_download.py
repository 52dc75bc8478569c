# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A download ends in the right file or in a clear error, whatever the server does."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import signal
import threading
import time
import typing as t
from pathlib import Path

import pytest
from fake_clock import FakeClock

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    ImageError,
    Interrupted,
    Timeout,
    VerificationError,
)
from ansible_collections.pve.provision.plugins.module_utils._images.download import fetch
from ansible_collections.pve.provision.plugins.module_utils._images.http import Retries, Timeouts
from ansible_collections.pve.provision.plugins.module_utils._images.transfer import Request
from ansible_collections.pve.provision.plugins.module_utils._io import interrupt
from ansible_collections.pve.provision.plugins.module_utils._io.clock import SYSTEM, poll
from ansible_collections.pve.provision.tests.unit.plugins.module_utils._images.downloads import (
    CONTENT,
    OTHER,
    SHA256,
    get,
    nothing,
    only,
)
from ansible_collections.pve.provision.tests.unit.plugins.module_utils._images.faulty_server import FaultyServer


def test_a_file_arrives_whole_with_its_digests(server: FaultyServer, target: Path) -> None:
    url = server.put("/image", CONTENT)
    got = get(target, url, algorithms=("sha512",))
    assert target.read_bytes() == CONTENT
    assert got.digests == {"sha256": SHA256[1], "sha512": hashlib.sha512(CONTENT).hexdigest()}
    assert (got.size, got.url, got.resumed, got.attempts, got.transferred) == (
        len(CONTENT),
        url,
        False,
        1,
        len(CONTENT),
    )
    only(target)


def test_a_second_fetch_asks_nobody(server: FaultyServer, target: Path) -> None:
    url = server.put("/image", CONTENT)
    get(target, url)
    again = get(target, url)
    assert (again.url, again.transferred, again.digests["sha256"]) == ("", 0, SHA256[1])
    assert len(server.asked) == 1


def test_an_empty_file_is_a_file(server: FaultyServer, target: Path) -> None:
    get(target, server.put("/image", b""), digest=("sha256", hashlib.sha256(b"").hexdigest()))
    assert target.read_bytes() == b""


@pytest.mark.parametrize("digest", [SHA256, None])
@pytest.mark.parametrize("faults", [{"chunked": True}, {"no_length": True}])
def test_a_body_without_length(server: FaultyServer, target: Path, faults: t.Any, digest: t.Any) -> None:
    url = server.put("/image", CONTENT, **faults)
    if digest is None and "no_length" in faults:
        with pytest.raises(ImageError, match="reports no length"):
            get(target, url, digest=None)
        nothing(target)
    else:
        get(target, url, digest=digest)
        assert target.read_bytes() == CONTENT


class TickingClock(FakeClock):
    """Each look at it takes a hundredth of a second."""

    def now(self) -> float:
        self.time += 0.01
        return self.time


def test_progress_comes_at_most_every_half_second(server: FaultyServer, target: Path) -> None:
    clock = TickingClock()
    seen: list[tuple[int, int | None, float]] = []
    times: list[float] = []

    def progress(done: int, total: int | None, rate: float) -> None:
        seen.append((done, total, rate))
        times.append(clock.now())

    big = CONTENT * 5
    digest = ("sha256", hashlib.sha256(big).hexdigest())
    fetch(Request([server.put("/image", big)], target, digest), progress=progress, clock=clock)
    assert seen, "a long download reports"
    assert all(total == len(big) and 0 < done <= len(big) and rate > 0 for done, total, rate in seen)
    assert all(later - earlier >= 0.5 for earlier, later in itertools.pairwise(times))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("digest", [SHA256, None])
def test_ten_cuts_cost_ten_resumptions_and_no_byte_twice(
    server: FaultyServer, target: Path, seed: int, digest: t.Any
) -> None:
    cuts = sorted(random.Random(seed).sample(range(1, len(CONTENT)), 10))
    got = get(target, server.put("/image", CONTENT, cuts=cuts), digest=digest)
    assert target.read_bytes() == CONTENT
    assert got.attempts == 11 and got.resumed
    assert server.sent() == len(CONTENT) == got.transferred
    only(target)


def test_cuts_of_a_chunked_body_are_seen(server: FaultyServer, target: Path) -> None:
    get(target, server.put("/image", CONTENT, chunked=True, cuts=[100_000, 1_000_001]), digest=None)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("cut", [0, 1, len(CONTENT) - 1])
def test_a_cut_at_the_edges(server: FaultyServer, target: Path, cut: int) -> None:
    get(target, server.put("/image", CONTENT, cuts=[cut]), digest=None)
    assert target.read_bytes() == CONTENT


def test_a_server_that_always_cuts_at_the_same_byte_is_given_up(server: FaultyServer, target: Path) -> None:
    url = server.put("/image", CONTENT, cuts=[1000] * 50)
    with pytest.raises(ImageError, match=r"broke off after 1000 of 3000000 bytes"):
        get(target, url, digest=None)
    nothing(target)


def test_a_stall_is_cut_short_and_resumed(server: FaultyServer, target: Path) -> None:
    timeouts = Timeouts(connect=60, read=5, total=600)
    got = get(target, server.put("/image", CONTENT, stalls=[300.0]), timeouts=timeouts)
    assert target.read_bytes() == CONTENT and got.attempts == 2 and got.resumed


def test_an_interrupted_download_does_not_wait_for_a_silent_server(server: FaultyServer, target: Path) -> None:
    an_hour = Timeouts(connect=60, read=3600, total=7200)
    url = server.put("/image", CONTENT, stalls=[600.0])

    def interrupt_it() -> None:
        poll(lambda: server.asked and server.asked[0].sent >= len(CONTENT) // 2, bool, timeout=60, clock=SYSTEM)
        os.kill(os.getpid(), signal.SIGTERM)

    began = time.monotonic()
    with interrupt.deferred():
        threading.Thread(target=interrupt_it).start()
        with pytest.raises(Interrupted, match="was not fetched to its end, because SIGTERM came"):
            get(target, url, timeouts=an_hour)
    assert time.monotonic() - began < 300


def test_a_server_that_only_stalls_ends_at_the_total_limit(server: FaultyServer, target: Path) -> None:
    request = Request([server.put("/image", CONTENT, stalls=[5.0] * 50)], target, SHA256)
    limits = Timeouts(connect=1, read=0.2, total=0.5)
    with pytest.raises((Timeout, ImageError)):
        fetch(request, timeouts=limits, retries=Retries(attempts=50, first=0.01))
    assert not target.exists()


def test_200_for_a_range_starts_over_in_the_same_answer(server: FaultyServer, target: Path) -> None:
    got = get(target, server.put("/image", CONTENT, cuts=[1_000_000], ranges=False))
    assert target.read_bytes() == CONTENT
    assert (server.statuses(), got.resumed) == ([200, 200], False)


@pytest.mark.parametrize("digest", [SHA256, None])
@pytest.mark.parametrize("honour", [True, False])
@pytest.mark.parametrize("length", [len(OTHER), len(OTHER) - 5])
def test_a_file_that_changes_between_attempts_is_never_mixed(
    server: FaultyServer, target: Path, honour: bool, digest: t.Any, length: int
) -> None:
    before = OTHER[:length]
    url = server.put("/image", before, cuts=[1_000_000], successors=[CONTENT], honour_if_range=honour)
    get(target, url, digest=digest)
    assert target.read_bytes() == CONTENT


def test_a_change_that_no_header_tells_is_found_by_the_digest(server: FaultyServer, target: Path) -> None:
    url = server.put("/image", OTHER, etag="", cuts=[1_000_000], successors=[CONTENT])
    got = get(target, url)
    assert target.read_bytes() == CONTENT
    assert (got.attempts, got.resumed) == (3, False)


def test_without_validator_and_digest_nothing_is_resumed(server: FaultyServer, target: Path) -> None:
    get(target, server.put("/image", CONTENT, etag="", cuts=[1_000_000]), digest=None)
    assert target.read_bytes() == CONTENT
    assert server.statuses() == [200, 200]


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_the_date_validates_where_there_is_no_strong_etag(server: FaultyServer, target: Path, etag: str) -> None:
    date = "Fri, 01 May 2026 10:00:00 GMT"
    get(target, server.put("/image", CONTENT, etag=etag, last_modified=date, cuts=[1_000_000]), digest=None)
    assert target.read_bytes() == CONTENT
    assert server.asked[1].headers["If-Range"] == date
    assert server.statuses() == [200, 206]


def test_a_range_from_somewhere_else_is_not_believed(server: FaultyServer, target: Path) -> None:
    get(target, server.put("/image", CONTENT, cuts=[1_000_000], wrong_start=5))
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><html>log in</html>", b"\n<html><body>busy</body></html>"])
@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/gzip"])
@pytest.mark.parametrize("digest", [SHA256, None])
def test_a_web_page_is_no_image(
    server: FaultyServer, target: Path, page: bytes, content_type: str, digest: t.Any
) -> None:
    url = server.put("/image", page, content_type=content_type)
    with pytest.raises(ImageError, match="web page"):
        get(target, url, digest=digest)
    assert len(server.asked) == 1
    nothing(target)


def test_a_wrong_digest_leaves_nothing(server: FaultyServer, target: Path) -> None:
    with pytest.raises(VerificationError, match=f"not {SHA256[1]}"):
        get(target, server.put("/image", OTHER))
    assert len(server.asked) == 1
    nothing(target)


@pytest.mark.parametrize(
    ("faults", "size"),
    [
        ({}, len(CONTENT) + 1),
        ({"announce": len(CONTENT) + 7}, None),
        ({"announce": len(CONTENT) - 7}, None),
        ({"announce": len(CONTENT) - 7}, len(CONTENT)),
        ({"no_length": True}, len(CONTENT) - 3),
        ({"no_length": True}, len(CONTENT) + 3),
        ({"chunked": True}, len(CONTENT) - 3),
        ({"chunked": True}, len(CONTENT) + 3),
    ],
)
def test_wrong_lengths(server: FaultyServer, target: Path, faults: t.Any, size: int | None) -> None:
    with pytest.raises(ImageError):
        get(target, server.put("/image", CONTENT, **faults), size=size)
    assert not target.exists()


def test_a_partial_file_beyond_the_file_is_thrown_away(server: FaultyServer, target: Path) -> None:
    url = server.put("/image", CONTENT + OTHER, cuts=[len(CONTENT) + 10], successors=[CONTENT], honour_if_range=False)
    get(target, url)
    assert target.read_bytes() == CONTENT
    assert server.statuses() == [200, 416, 200]
