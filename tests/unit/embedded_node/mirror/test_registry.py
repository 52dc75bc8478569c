# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry answers as the distribution specification says, and wants tokens as public registries do."""

from __future__ import annotations

import hashlib
import json
import typing as t
import urllib.error
import urllib.request

import pytest

from embedded_node.mirror.registry import OciRegistry


@pytest.fixture(scope="module")
def registry() -> t.Iterator[OciRegistry]:
    with OciRegistry() as running:
        running.push("team/app", "1", [{"etc/motd": "1\n"}], {"Cmd": ["sh"]})
        running.push("team/app", "old", [{"etc/motd": "0\n"}], form="docker", platforms=())
        yield running


def ask(registry: OciRegistry, path: str, **headers: str) -> tuple[int, t.Mapping[str, str], bytes]:
    request = urllib.request.Request(f"{registry.url}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def test_a_tag_leads_to_an_index_that_to_an_image_and_that_to_its_parts(registry: OciRegistry) -> None:
    status, headers, body = ask(registry, "/v2/team/app/manifests/1")
    index = json.loads(body)
    assert (status, headers["Content-Type"]) == (200, index["mediaType"])
    assert headers["Docker-Content-Digest"] == f"sha256:{hashlib.sha256(body).hexdigest()}"
    image = index["manifests"][0]
    assert image["platform"] == {"architecture": "amd64", "os": "linux"}
    manifest = json.loads(ask(registry, f"/v2/team/app/manifests/{image['digest']}")[2])
    for part in (manifest["config"], *manifest["layers"]):
        body = ask(registry, f"/v2/team/app/blobs/{part['digest']}")[2]
        assert (len(body), f"sha256:{hashlib.sha256(body).hexdigest()}") == (part["size"], part["digest"])


def test_it_reports_its_version_and_tags_and_what_it_has_not(registry: OciRegistry) -> None:
    assert ask(registry, "/v2/")[0] == 200
    assert json.loads(ask(registry, "/v2/team/app/tags/list")[2]) == {"name": "team/app", "tags": ["1", "old"]}
    for path in ("manifests/2", f"manifests/sha256:{'0' * 64}", f"blobs/sha256:{'0' * 64}"):
        assert ask(registry, f"/v2/team/app/{path}")[0] == 404


def test_a_client_without_a_token_learns_where_to_get_one(registry: OciRegistry) -> None:
    registry.tokens = True
    try:
        status, headers, _body = ask(registry, "/v2/team/app/manifests/1")
        challenge = f'Bearer realm="{registry.url}/token",service="registry",scope="repository:team/app:pull"'
        assert (status, headers["WWW-Authenticate"]) == (401, challenge)
        given = json.loads(ask(registry, "/token?service=registry&scope=repository:team/app:pull")[2])
        assert ask(registry, "/v2/team/app/manifests/1", Authorization=f"Bearer {given['token']}")[0] == 200
        assert ask(registry, "/v2/team/app/manifests/1", Authorization="Bearer another")[0] == 401
    finally:
        registry.tokens = False
