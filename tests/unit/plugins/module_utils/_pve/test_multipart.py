# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import email
import email.policy
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._pve.multipart import Multipart


def parse(form: Multipart, body: bytes) -> t.Any:
    head = f"Content-Type: {form.content_type}\r\n\r\n".encode()
    return email.message_from_bytes(head + body, policy=email.policy.HTTP).get_payload()


def read_all(form: Multipart, sizes: t.Iterator[int]) -> bytes:
    body = b""
    while True:
        block = form.read(next(sizes, 7))
        if not block:
            return body
        body += block


@given(st.binary(max_size=2000), st.lists(st.integers(1, 700), max_size=20))
def test_it_reads_the_same_in_blocks_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, sizes: list[int]
):
    path = tmp_path_factory.mktemp("form") / "file"
    path.write_bytes(data)
    with Multipart({"content": "vztmpl"}, "filename", path, "a.tar.gz") as form:
        whole = form.read()
        form.rewind()
        assert read_all(form, iter(sizes)) == whole
        assert len(form) == len(whole)
        form.rewind()
        assert b"".join(form) == whole


def test_a_server_sees_the_fields_before_the_file(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"\x00binary\r\n")
    with Multipart({"content": "vztmpl"}, "filename", tmp_path / "file", "a.tar.gz") as form:
        field, file = parse(form, form.read())
    assert field.get_param("name", header="content-disposition") == "content"
    assert field.get_payload() == "vztmpl"
    assert file.get_filename() == "a.tar.gz"
    assert file.get_content_type() == "application/octet-stream"
    assert file.get_payload(decode=True) == b"\x00binary\r\n"


def test_a_file_that_shrinks_meanwhile_is_an_error(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    with Multipart({}, "filename", path, "a") as form:
        path.write_bytes(b"x")
        with pytest.raises(OSError, match="shorter"):
            form.read()


@pytest.mark.parametrize("name", ['a"b', "a\r\nb"])
def test_a_name_that_would_break_the_form_is_refused(tmp_path: Path, name: str):
    with pytest.raises(ValueError):
        Multipart({}, "filename", tmp_path, name)
