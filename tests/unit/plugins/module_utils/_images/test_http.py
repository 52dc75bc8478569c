# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which server is asked again and when, and which of several."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from fake_clock import FakeClock

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError, VerificationError
from ansible_collections.pve.provision.plugins.module_utils._images.http import Retries
from ansible_collections.pve.provision.tests.unit.plugins.module_utils._images.downloads import (
    CONTENT,
    OTHER,
    get,
    nothing,
)
from ansible_collections.pve.provision.tests.unit.plugins.module_utils._images.faulty_server import FaultyServer


@pytest.mark.parametrize(("status", "asked"), [(500, 2), (503, 2), (429, 2), (408, 2), (404, 1), (403, 1), (410, 1)])
def test_what_is_worth_retrying(server: FaultyServer, target: Path, status: int, asked: int) -> None:
    url = server.put("/image", CONTENT, status=[status])
    if asked == 1:
        with pytest.raises(ImageError, match=f"HTTP {status}"):
            get(target, url)
        nothing(target)
    else:
        get(target, url)
    assert len(server.asked) == asked


def test_a_server_that_stays_down_is_given_up_after_the_attempts(server: FaultyServer, target: Path) -> None:
    with pytest.raises(ImageError, match=r"HTTP 503 .*\(3x\)"):
        get(target, server.put("/image", CONTENT, status=[503] * 9))
    nothing(target)


@pytest.mark.parametrize(("value", "seconds"), [("7", 7), ("Fri, 01 May 2026 10:00:09 GMT", 9), ("soon", 0)])
def test_retry_after_is_honoured(server: FaultyServer, target: Path, value: str, seconds: float) -> None:
    clock = FakeClock(wall=1777629600.0)
    get(target, server.put("/image", CONTENT, status=[429], headers={"Retry-After": value}), clock=clock)
    assert seconds <= sum(clock.slept) <= seconds + 0.1


def test_retry_after_beyond_the_limit_is_not_waited_for(server: FaultyServer, target: Path) -> None:
    url = server.put("/image", CONTENT, status=[503], headers={"Retry-After": "86400"})
    with pytest.raises(ImageError, match="HTTP 503"):
        get(target, url)


def test_pauses_grow_with_jitter_up_to_a_limit() -> None:
    retries = Retries(first=1.0, longest=10.0)
    for failures, whole in ((0, 1), (1, 2), (2, 4), (3, 8), (4, 10), (20, 10)):
        pauses = {retries.pause(failures) for _unused in range(20)}
        assert all(whole / 2 <= pause <= whole for pause in pauses) and len(pauses) > 1


@pytest.mark.parametrize("faults", [{"status": [404] * 9}, {"status": [503] * 9}, {"content_type": "text/html"}])
def test_the_next_mirror_helps_out(server: FaultyServer, target: Path, faults: t.Any) -> None:
    first, second = server.put("/first", CONTENT, **faults), server.put("/second", CONTENT)
    assert get(target, first, second).url == second
    assert [asked.path for asked in server.asked] == ["/first", "/second"]


def test_a_mirror_with_wrong_bytes_is_passed_over(server: FaultyServer, target: Path) -> None:
    assert get(target, server.put("/first", OTHER), server.put("/second", CONTENT)).url.endswith("/second")
    assert target.read_bytes() == CONTENT


def test_the_next_mirror_continues_where_a_digest_vouches(server: FaultyServer, target: Path) -> None:
    first = server.put("/first", CONTENT, cuts=[1_000_000] + [0] * 20, etag='"here"')
    second = server.put("/second", CONTENT, etag='"there"')
    got = get(target, first, second)
    assert (got.url, got.resumed, server.sent()) == (second, True, len(CONTENT))
    assert target.read_bytes() == CONTENT


def test_without_digest_the_next_mirror_starts_over(server: FaultyServer, target: Path) -> None:
    first = server.put("/first", OTHER, cuts=[1_000_000] + [0] * 20)
    got = get(target, first, server.put("/second", CONTENT), digest=None)
    assert target.read_bytes() == CONTENT and not got.resumed


def test_an_error_names_what_each_mirror_said(server: FaultyServer, target: Path) -> None:
    with pytest.raises(VerificationError) as caught:
        get(target, server.put("/a", CONTENT, status=[404]), server.put("/b", OTHER), "http://127.0.0.1:1/c")
    assert all(word in str(caught.value) for word in ("/a: HTTP 404", "/b: the sha256 is", "/c: Connection"))
