# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small texts, fetched and kept for a while."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_clock import FakeClock

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._images.texts import Text, fetch_text
from ansible_collections.pve.provision.tests.unit.plugins.module_utils._images.downloads import QUICK
from ansible_collections.pve.provision.tests.unit.plugins.module_utils._images.faulty_server import FaultyServer


def test_a_text_is_read_whole_or_not_at_all(server: FaultyServer) -> None:
    url = server.put("/index", b"hello", cuts=[3])
    assert fetch_text([url], 100, retries=QUICK).content == b"hello"
    with pytest.raises(ImageError, match="more than 4 bytes"):
        fetch_text([url], 4, retries=QUICK)


def test_a_cached_text_costs_no_body(server: FaultyServer, tmp_path: Path) -> None:
    url = server.put("/index", b"one")
    clock = FakeClock()

    def ask(max_age: float) -> Text:
        return fetch_text([url], 100, cache=tmp_path, max_age=max_age, retries=QUICK, clock=clock)

    assert ask(60) == Text(b"one", url)
    clock.time += 50
    assert ask(60) == Text(b"one", url, age=50.0)
    assert server.statuses() == [200]
    assert ask(10) == Text(b"one", url)
    assert server.statuses() == [200, 304]
    server.put("/index", b"two")
    assert ask(0).content == b"two"
    del server.files["/index"]
    clock.time += 3600
    stale = ask(0)
    assert (stale.content, stale.age) == (b"two", 3600.0)
    assert "HTTP 404" in stale.problem
    next(tmp_path.iterdir()).write_text("broken")
    with pytest.raises(ImageError, match="404"):
        ask(0)


def test_a_text_from_the_next_mirror(server: FaultyServer) -> None:
    assert fetch_text([server.url("/gone"), server.put("/index", b"x")], 10, retries=QUICK).url.endswith("/index")
