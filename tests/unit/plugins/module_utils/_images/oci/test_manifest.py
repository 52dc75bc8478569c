# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documents of images as they are read, and the archive that is made of them."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._images.oci import archive, manifest
from ansible_collections.pve.provision.plugins.module_utils._images.oci.manifest import Blob, ImageConfig, Manifest

OCI, DOCKER = "application/vnd.oci.image", "application/vnd.docker"
DIGEST = f"sha256:{'a' * 64}"


def document(**changes: t.Any) -> bytes:
    layer = {"mediaType": f"{OCI}.layer.v1.tar+gzip", "digest": DIGEST, "size": 5}
    config = {"mediaType": f"{OCI}.config.v1+json", "digest": DIGEST, "size": 2}
    return json.dumps({"schemaVersion": 2, "config": config, "layers": [layer], **changes}).encode()


def blob(**changes: t.Any) -> dict[str, t.Any]:
    return {"mediaType": f"{OCI}.layer.v1.tar", "digest": DIGEST, "size": 5, **changes}


@pytest.mark.parametrize(
    ("told", "becomes"),
    [
        (f"{OCI}.layer.v1.tar", "tar"),
        (f"{OCI}.layer.v1.tar+gzip", "tar+gzip"),
        (f"{OCI}.layer.v1.tar+zstd", "tar+zstd"),
        (f"{DOCKER}.image.rootfs.diff.tar", "tar"),
        (f"{DOCKER}.image.rootfs.diff.tar.gzip", "tar+gzip"),
    ],
)
def test_layers_get_the_names_that_proxmox_ve_knows(told: str, becomes: str) -> None:
    found = manifest.read_manifest(document(layers=[blob(mediaType=told)]), "x")
    assert found.layers == (Blob(DIGEST, 5, f"{OCI}.layer.v1.{becomes}"),)
    rendered = json.loads(found.render())
    assert rendered["config"]["mediaType"] == f"{OCI}.config.v1+json"
    assert manifest.read_manifest(found.render(), "x") == found


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"[]", "is not a JSON document"),
        (b"<html>", "is not a JSON document"),
        (document(layers=[]), "has no layers"),
        (document(layers=None), "is not a manifest"),
        (document(config={}), "is not a manifest"),
        (document(layers=[blob(mediaType="application/vnd.in-toto+json")]), "which Proxmox VE cannot unpack"),
        (document(layers=[blob(digest="sha512:12")]), "is not a SHA-256 digest"),
        (document(layers=[blob(digest="sha256:../../etc/passwd")]), "is not a SHA-256 digest"),
        (document(layers=[blob(size=8**11)]), "which fits into no archive"),
        (document(layers=[blob(size=-1)]), "which fits into no archive"),
    ],
)
def test_what_is_no_image_is_reported(content: bytes, problem: str) -> None:
    with pytest.raises(ImageError, match=problem):
        manifest.read_manifest(content, "x")


@pytest.mark.parametrize(
    ("kind", "index"),
    [(f"{OCI}.index.v1+json", True), (f"{DOCKER}.distribution.manifest.list.v2+json", True),
     (f"{OCI}.manifest.v1+json", False), (f"{DOCKER}.distribution.manifest.v2+json", False), ("", False)],
)  # fmt: skip
def test_an_index_is_distinguished_from_an_image(kind: str, index: bool) -> None:
    assert manifest.is_index(document(mediaType=kind), "x") is index


def test_a_document_of_ten_years_ago_is_refused() -> None:
    with pytest.raises(ImageError, match="no image that a container can be made from"):
        manifest.is_index(document(mediaType=f"{DOCKER}.distribution.manifest.v1+prettyjws"), "x")


def test_the_image_of_an_architecture_is_chosen_and_what_is_none_passed_over() -> None:
    kind = f"{OCI}.manifest.v1+json"
    entries = [
        {"mediaType": kind, "digest": DIGEST, "size": 1, "platform": {"os": "windows", "architecture": "amd64"}},
        {"mediaType": kind, "digest": DIGEST, "size": 1, "platform": {"os": "unknown", "architecture": "unknown"}},
        {"mediaType": kind, "digest": DIGEST, "size": 2, "platform": {"os": "linux", "architecture": "amd64"}},
        {"mediaType": kind, "digest": DIGEST, "size": 3, "platform": {"os": "linux", "architecture": "amd64"}},
    ]
    content = json.dumps({"manifests": entries}).encode()
    assert manifest.choose(content, "amd64", "x").size == 2
    with pytest.raises(ImageError, match="is not made for arm64") as error:
        manifest.choose(content, "arm64", "x")
    assert "amd64" in error.value.remedy


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({}, ImageConfig()),
        ({"config": None}, ImageConfig()),
        ({"config": {"Entrypoint": None, "Cmd": ["sh"], "Env": None}}, ImageConfig(("sh",))),
        ({"config": {"Entrypoint": ["/a"], "Cmd": ["b"], "Env": ["C=d"]}}, ImageConfig(("/a", "b"), ("C=d",))),
    ],
)
def test_what_runs_is_entrypoint_and_arguments(config: dict[str, t.Any], found: ImageConfig) -> None:
    assert manifest.read_config(json.dumps(config).encode(), "x") == found


@given(st.lists(st.binary(max_size=20_000), min_size=1, max_size=4))
def test_the_size_of_an_archive_is_known_before_and_its_parts_are_in_it_once(parts: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        blobs, files = [], {}
        for content in parts:
            digest = manifest.digest_of(content)
            files[digest] = Path(folder) / hashlib.sha256(content).hexdigest()
            files[digest].write_bytes(content)
            blobs.append(Blob(digest, len(content), f"{OCI}.layer.v1.tar"))
        image = Manifest(blobs[0], tuple(blobs))
        out = io.BytesIO()
        archive.write_archive(out, image, files)
    assert len(out.getvalue()) == archive.archive_size(image)
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        for digest in {blob.digest for blob in blobs}:
            member = tar.extractfile(f"blobs/{digest.replace(':', '/')}")
            assert manifest.digest_of(t.cast("t.IO[bytes]", member).read()) == digest
        assert len(tar.getnames()) == len(set(tar.getnames()))
