# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a registry is asked: for documents by digest, and for tokens where it wants one."""

from __future__ import annotations

import typing as t

import pytest
from fake_clock import FakeClock

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError, VerificationError
from ansible_collections.pve.provision.plugins.module_utils._images.oci.registry import Login, Registry
from ansible_collections.pve.provision.plugins.module_utils._model.oci import OciReference
from embedded_node.mirror.registry import OciRegistry


@pytest.fixture(scope="module")
def running() -> t.Iterator[OciRegistry]:
    with OciRegistry() as registry:
        registry.push("app", "1", [{"etc/motd": "1\n"}], {"Cmd": ["sh"]})
        yield registry


@pytest.fixture
def server(running: OciRegistry) -> t.Iterator[OciRegistry]:
    running.tokens = True
    running.forget()
    yield running
    running.account, running.basic = "", False
    running.clear_faults()


def ask(server: OciRegistry, which: str = ":1", clock: FakeClock | None = None, login: Login | None = None) -> Registry:
    return Registry(OciReference.parse(f"{server.name('app')}{which}"), login, clock=clock or FakeClock())


def test_docker_hub_is_asked_where_it_is() -> None:
    assert Registry(OciReference.parse("nginx:1")).url == "https://registry-1.docker.io/v2/library/nginx"
    assert Registry(OciReference.parse("quay.io/a/b:1")).url == "https://quay.io/v2/a/b"


def test_a_registry_without_tokens_is_not_asked_for_any(server: OciRegistry) -> None:
    server.tokens = False
    image = ask(server).resolve("amd64")
    assert image.config.command == ("sh",)
    assert server.count("/token") == 0


def test_a_token_is_fetched_once_and_again_when_it_is_too_old(server: OciRegistry) -> None:
    clock = FakeClock()
    registry = ask(server, clock=clock)
    image = registry.resolve("amd64")
    assert server.count("/token") == 1
    registry.blob(image.manifest.layers[0])
    assert server.count("/token") == 1
    clock.sleep(60)
    _url, access = registry.blob(image.manifest.layers[0])
    assert server.count("/token") == 2
    assert access.headers["Authorization"].startswith("Bearer ")
    assert access.headers["Authorization"] not in repr((registry, access))


def test_a_digest_and_the_tag_that_leads_to_it_mean_the_same(server: OciRegistry) -> None:
    by_tag = ask(server).resolve("amd64")
    by_digest = ask(server, f"@{by_tag.digest}").resolve("amd64")
    alone = ask(server, f"@{by_tag.contents}").resolve("amd64")
    assert by_tag.contents == by_digest.contents == alone.contents == alone.digest
    assert ask(server).resolve("arm64").contents != by_tag.contents


@pytest.mark.parametrize(
    ("code", "words"), [(401, "it requires a login"), (403, "it refuses"), (404, "it has no such image")]
)
def test_why_there_is_no_image_is_reported(server: OciRegistry, code: int, words: str) -> None:
    server.fault("status", "*/manifests/*", code=code)
    with pytest.raises(ImageError, match=words):
        ask(server).resolve("amd64")


def test_a_registry_that_is_asked_too_often_is_asked_again_later(server: OciRegistry) -> None:
    server.fault("status", "*/manifests/*", code=429, times=1, seconds=7)
    clock = FakeClock()
    ask(server, clock=clock).resolve("amd64")
    assert clock.now() >= 7


@pytest.mark.parametrize("path", ["*/manifests/sha256:*", "*/blobs/*"])
def test_what_has_another_digest_is_refused(server: OciRegistry, path: str) -> None:
    server.fault("replace", path, body=b"{}")
    with pytest.raises(VerificationError, match="something whose digest is"):
        ask(server).resolve("amd64")


@pytest.mark.parametrize(
    ("challenge", "words"),
    [
        ('Basic realm="x"', "it requires a login"),
        ("Bearer", "it requires a login"),
        ('Bearer realm="http://tokens.example.org/"', "which is not https"),
    ],
)
def test_tokens_come_from_where_nobody_reads_along(challenge: str, words: str) -> None:
    from ansible_collections.pve.provision.plugins.module_utils._images.http import Deadline, Failed, Timeouts

    clock = FakeClock()
    registry = Registry(OciReference.parse("quay.io/a/b:1"), clock=clock)
    with pytest.raises(Failed, match=words):
        registry._new_token(challenge, Deadline.start("x", Timeouts(), clock))


def test_an_answer_without_a_token_is_reported(server: OciRegistry) -> None:
    server.fault("replace", "/token", body=b"[]")
    with pytest.raises(ImageError, match="answers with no token"):
        ask(server).resolve("amd64")


@pytest.mark.parametrize("basic", [False, True])
def test_an_image_that_is_not_public_is_had_with_a_login(server: OciRegistry, basic: bool) -> None:
    server.account, server.basic = "ada:secret", basic
    with pytest.raises(ImageError, match="it requires a login"):
        ask(server).resolve("amd64")
    with pytest.raises(ImageError, match="it requires a login"):
        ask(server, login=Login("ada", "guess")).resolve("amd64")
    registry = ask(server, login=Login("ada", "secret"))
    assert registry.resolve("amd64").config.command == ("sh",)
    assert "secret" not in repr(registry)
