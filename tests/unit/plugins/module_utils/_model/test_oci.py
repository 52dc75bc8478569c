# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How OCI images are named, and what a container remembers of its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._model.oci import (
    OciRecord,
    OciReference,
    merged_environment,
    with_record,
)

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")


@pytest.mark.parametrize(
    ("text", "registry", "name", "tag", "digest"),
    [
        ("nginx:1.29", "docker.io", "library/nginx", "1.29", ""),
        ("grafana/grafana:12.0", "docker.io", "grafana/grafana", "12.0", ""),
        ("docker.io/nginx:1.29", "docker.io", "library/nginx", "1.29", ""),
        (f"ghcr.io/a/b.c/d__e@{A}", "ghcr.io", "a/b.c/d__e", "", A),
        (f"quay.io/a/b:v1@{A}", "quay.io", "a/b", "v1", A),
        ("localhost/app:1", "localhost", "app", "1", ""),
        ("registry:5000/app:1", "registry:5000", "app", "1", ""),
        ("127.0.0.1:5000/a/b:latest", "127.0.0.1:5000", "a/b", "latest", ""),
        ("[::1]:5000/app:1", "[::1]:5000", "app", "1", ""),
        ("Quay.IO/a/b:1", "quay.io", "a/b", "1", ""),
    ],
)
def test_a_name_is_read_as_container_tools_read_it(text: str, registry: str, name: str, tag: str, digest: str) -> None:
    found = OciReference.parse(text)
    assert found == OciReference(registry, name, tag, digest)
    assert OciReference.parse(str(found)) == found
    assert found.which == (digest or tag)


@pytest.mark.parametrize(
    "text",
    ["", "nginx", "Nginx:1", "nginx:", "nginx@sha256:12", f"nginx@sha512:{'a' * 128}", "a b:1", "https://quay.io/a:1",
     "-a:1", "a//b:1", "quay.io/:1", f"nginx:{'a' * 129}"],
)  # fmt: skip
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not the name of an image|neither a tag"):
        OciReference.parse(text)


@pytest.mark.parametrize(
    ("text", "local"),
    [("localhost:5000/a:1", True), ("127.0.0.2/a:1", True), ("[::1]:5000/a:1", True), ("[::1]/a:1", True),
     ("10.0.0.1:5000/a:1", False), ("quay.io/a:1", False), ("localhost.example.org/a:1", False)],
)  # fmt: skip
def test_a_registry_on_this_machine_is_distinguished_from_others(text: str, local: bool) -> None:
    assert OciReference.parse(text).is_local is local


RECORD = OciRecord(OciReference("quay.io", "a/b", "1", A), B)


@given(
    st.text(
        alphabet=st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")
    )
)
def test_the_image_is_found_again_beside_any_text_and_reported_once(text: str) -> None:
    told = with_record(text, RECORD)
    assert OciRecord.find(told) == RECORD
    assert with_record(told, RECORD) == told
    assert with_record(told, None) == with_record(text, None)


@pytest.mark.parametrize(
    "text", ["", "Image: quay.io/a/b:1", f"An Image: quay.io/a:1@{A}, contents {B}", f"Image: A, contents {B}"]
)
def test_what_tells_no_image_is_none(text: str) -> None:
    assert OciRecord.find(text) is None


@pytest.mark.parametrize(
    ("wanted", "covered"),
    [
        ("quay.io/a/b:1", True),
        (f"quay.io/a/b@{A}", True),
        (f"quay.io/a/b@{B}", True),
        (f"quay.io/a/b:7@{A}", True),
        (f"quay.io/a/b:1@{C}", False),
        ("quay.io/a/b:2", False),
        ("quay.io/a/c:1", False),
        ("ghcr.io/a/b:1", False),
    ],
)
def test_which_names_mean_the_image_that_a_container_has(wanted: str, covered: bool) -> None:
    assert RECORD.covers(OciReference.parse(wanted)) is covered


def test_own_variables_go_over_those_of_the_image() -> None:
    merged = merged_environment(["PATH=/bin", "MODE=a", "EMPTY="], ["MODE=b=c", "NEW=1"])
    assert merged == ("PATH=/bin", "MODE=b=c", "EMPTY=", "NEW=1")
