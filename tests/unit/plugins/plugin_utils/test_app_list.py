# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The applications that there are, as people search for them."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.plugin_utils.app_catalog import facts
from ansible_collections.pve.provision.plugins.plugin_utils.app_list import Query, find_apps
from ansible_collections.pve.provision.plugins.plugin_utils.apps import own_names


@pytest.fixture(scope="module")
def everything() -> list[dict[str, t.Any]]:
    found, findings = find_apps(Query())
    assert findings == []
    return found


def test_all_are_reported_each_once(everything: list[dict[str, t.Any]]) -> None:
    assert [app["name"] for app in everything] == sorted({*own_names(), *facts()})
    assert len(own_names()) >= 40
    assert {app["name"] for app in everything if app["complete"]} == set(own_names())


@pytest.mark.parametrize(
    ("query", "some", "none"),
    [
        (Query(search="POSTGRES"), {"postgresql", "alpine-postgresql"}, {"mariadb"}),
        (Query(search="password server"), {"vaultwarden"}, {"alpine-vaultwarden"}),
        (Query(category="database"), {"postgresql", "redis"}, {"nginx", "mongodb"}),
        (Query(tags=["media"]), {"jellyfin", "plex"}, {"nginx"}),
        (Query(tags=["media", "dlna"]), {"minidlna"}, {"jellyfin"}),
        (Query(complete=True), {"nginx"}, {"plex"}),
        (Query(complete=False, search="plex"), {"plex"}, {"nginx"}),
        (Query(name="nginx"), {"nginx"}, {"caddy"}),
    ],
)
def test_what_is_looked_for_is_found(query: Query, some: set[str], none: set[str]) -> None:
    found = {app["name"] for app in find_apps(query)[0]}
    assert some <= found
    assert not none & found


def test_an_application_is_reported_with_its_size_needs_reasons_and_options() -> None:
    (docker,), _findings = find_apps(Query(name="docker"))
    assert (docker["memory"], docker["unprivileged"], docker["needs"]) == (2048, True, ["nested_containers"])
    assert any("features.keyctl" in reason["options"] for reason in docker["reasons"])
    (postgresql,), _findings = find_apps(Query(name="postgresql"))
    assert postgresql["options"]["users"]["secret"]
    assert "format" not in str(postgresql["options"])
    (server,), _findings = find_apps(Query(name="nfs-server"))
    assert "unprivileged" not in server


def test_a_profile_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "broken.yml").write_text("[")
    (tmp_path / "nginx.yml").write_text("{title: Mine, description: Ours., tags: [mine]}")
    found, findings = find_apps(Query(tags=["mine"]), [tmp_path])
    assert [app["title"] for app in found] == ["Mine"]
    assert [finding.option for finding in findings] == [f"{tmp_path}/broken.yml"]
