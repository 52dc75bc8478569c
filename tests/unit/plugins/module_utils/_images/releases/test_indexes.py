# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An index is asked for as seldom as allowed, and what it said last is used, and told, when its source is down."""

from __future__ import annotations

import dataclasses
import os
import time
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._images import releases
from ansible_collections.pve.provision.plugins.module_utils._images.http import Retries
from ansible_collections.pve.provision.plugins.module_utils._images.releases.indexes import Indexes
from embedded_node.mirror import Mirror

if t.TYPE_CHECKING:
    from pathlib import Path

INDEX = "/openwrt/.versions.json"


@pytest.fixture(scope="module")
def mirror() -> t.Iterator[Mirror]:
    with Mirror(sites=releases.NAMES) as running:
        yield running


@pytest.fixture
def site(mirror: Mirror) -> t.Iterator[Mirror]:
    mirror.forget()
    yield mirror
    mirror.clear_faults()


def indexes(directory: Path | None, max_age: float = 0.0) -> Indexes:
    return Indexes(directory, max_age, retries=Retries(attempts=1))


def versions(read: Indexes, *bases: str) -> tuple[str, ...]:
    return releases.open_source("openwrt", read, bases).versions()


@pytest.mark.parametrize("name", releases.NAMES)
def test_every_source_resolves_against_the_mirror(site: Mirror, tmp_path: Path, name: str) -> None:
    wanted = {"pveam": "debian-13-standard", "turnkeylinux": "debian-12-turnkey-core"}.get(name, "")
    release = releases.open_source(name, indexes(tmp_path), [site.base(name)]).resolve(wanted)
    site.forget()
    again = releases.open_source(name, indexes(tmp_path, 60), [site.base(name)]).resolve(wanted)
    assert dataclasses.replace(again) == release
    assert site.requests == []
    for artefact in release.artefacts:
        assert site.read(artefact.url.removeprefix(site.url))


def test_a_young_answer_is_used_unasked_and_an_old_one_costs_no_body(site: Mirror, tmp_path: Path) -> None:
    first = versions(indexes(tmp_path), site.base("openwrt"))
    body = site.bytes_sent(INDEX)
    assert versions(indexes(tmp_path, max_age=60), site.base("openwrt")) == first
    assert site.count(INDEX) == 1
    assert versions(indexes(tmp_path, max_age=0), site.base("openwrt")) == first
    assert site.count(INDEX, status=304) == 1
    assert site.bytes_sent(INDEX) == body


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("status", {"code": 503}),
        ("status", {"code": 404}),
        ("html", {}),
        ("cut", {"after": 20}),
        ("flip", {"after": 0}),
    ],
)
def test_when_the_source_is_down_its_last_answer_is_used_and_reported(
    site: Mirror, tmp_path: Path, fault: t.Any, options: dict[str, t.Any]
) -> None:
    first = versions(indexes(tmp_path), site.base("openwrt"))
    for path in tmp_path.iterdir():
        os.utime(path, (time.time() - 7200, time.time() - 7200))
    site.put("openwrt/.versions.json", site.read("openwrt/.versions.json") + b"\n")
    site.fault(fault, INDEX, **options)
    for _run in range(2):
        read = indexes(tmp_path)
        assert versions(read, site.base("openwrt")) == first
        (stale,) = read.stale
        assert 7100 < stale.age < 7300
        assert "2.0 h ago" in stale.told
    site.clear_faults()
    read = indexes(tmp_path)
    assert versions(read, site.base("openwrt")) == first
    assert read.stale == []


def test_a_fresh_answer_of_the_second_mirror_comes_before_an_old_one_of_the_first(site: Mirror, tmp_path: Path) -> None:
    site.put("second/.versions.json", b'{"stable_version": "99.1.0", "versions_list": ["99.1.0"]}')
    bases = (site.base("openwrt"), site.base("second"))
    versions(indexes(tmp_path), *bases)
    site.fault("status", INDEX)
    read = indexes(tmp_path)
    assert versions(read, *bases) == ("99.1.0",)
    assert read.stale == []


def test_without_any_answer_the_error_of_the_first_is_raised(site: Mirror, tmp_path: Path) -> None:
    site.fault("html")
    for directory in (tmp_path, None):
        with pytest.raises(ImageError, match=r"openwrt/\.versions\.json"):
            versions(indexes(directory), site.base("openwrt"))


def test_a_cache_that_cannot_be_written_costs_only_requests(site: Mirror, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    read = Indexes(tmp_path / "file" / "below", 60, retries=Retries(attempts=1))
    assert versions(read, site.base("openwrt"))[0] == "25.12.5"
