# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checksum lists in every shape that vendors publish say the same; what is none of them is refused."""

from __future__ import annotations

import hashlib
import re
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._errors import VerificationError
from ansible_collections.pve.provision.plugins.module_utils._images.checksums import (
    ALGORITHMS,
    Checksum,
    find,
    hash_file,
    normalise,
    parse,
)

if t.TYPE_CHECKING:
    from pathlib import Path

A, B = "a1" * 32, "b2" * 32
LONG = "c3" * 64

SHAPES: dict[str, tuple[str, list[Checksum]]] = {
    "GNU text": (f"{A}  x.iso\n", [Checksum("x.iso", "sha256", A)]),
    "GNU binary": (f"{A} *x.iso\n", [Checksum("x.iso", "sha256", A)]),
    "GNU with a star in the name": (f"{A}  *x.iso\n", [Checksum("*x.iso", "sha256", A)]),
    "GNU escaped": (f"\\{A}  a\\\\b\\nc\n", [Checksum("a\\b\nc", "sha256", A)]),
    "one space, tab, many spaces": (
        f"{A} x\n{A}\ty\n{B}      z\n",
        [Checksum("x", "sha256", A), Checksum("y", "sha256", A), Checksum("z", "sha256", B)],
    ),
    "sub-directories": (
        f"{A} *packages/x.ipk\n{B} *./a/b\n",
        [Checksum("packages/x.ipk", "sha256", A), Checksum("./a/b", "sha256", B)],
    ),
    "BSD": (f"SHA256 (x (1).iso) = {A}\n", [Checksum("x (1).iso", "sha256", A)]),
    "BSD sha512": (f"SHA512 (x) = {LONG}\n", [Checksum("x", "sha512", LONG)]),
    "openssl dgst": (
        f"SHA256(x)= {A}\nSHA2-512(y)= {LONG}\n",
        [Checksum("x", "sha256", A), Checksum("y", "sha512", LONG)],
    ),
    "bare": (f"{A.upper()}", [Checksum("", "sha256", A)]),
    "from stdin": (f"{A}  -\n", [Checksum("", "sha256", A)]),
    "comments, empty lines, CRLF, BOM": (
        f"\ufeff# a list\r\n\r\n{A}  x y.iso\r\n  \r\n",
        [Checksum("x y.iso", "sha256", A)],
    ),
    "Fedora": (
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n"
        f"# Fedora.qcow2: 123 bytes\nSHA256 (Fedora.qcow2) = {A}\n"
        "-----BEGIN PGP SIGNATURE-----\n\niQIzBAEB\n=abcd\n-----END PGP SIGNATURE-----\n",
        [Checksum("Fedora.qcow2", "sha256", A)],
    ),
    "clear-signed, CRLF, two headers, dash-escaped": (
        "-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA512\r\nComment: x\r\n\r\n"
        f"- # ------\r\n{A}  x\r\n-----BEGIN PGP SIGNATURE-----\r\n\r\nabc\r\n-----END PGP SIGNATURE-----\r\n",
        [Checksum("x", "sha256", A)],
    ),
    "digests that we do not know": (
        f"RMD160 (x) = {'d' * 40}\nSHA512/256 (x) = {A}\nSHA256 (x) = {B}\n",
        [Checksum("x", "rmd160", "d" * 40), Checksum("x", "sha512/256", A), Checksum("x", "sha256", B)],
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(shape: str) -> None:
    text, entries = SHAPES[shape]
    assert list(parse(text, "SUMS")) == entries


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "empty"),
        ("# only a comment\n", "empty"),
        ("<!DOCTYPE html>\n<html>", "line 1 is not a line of a checksum list: '<!DOCTYPE html>'"),
        (f"{A}  good\n{A[:-1]}  cut\n", "line 2"),
        (f"{A}  good\n{A[:-2]}", "line 2"),
        (f"SHA512 (x) = {A}\n", "line 1"),
        ("404: Not Found", "line 1"),
        ("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nno end", "broken or has text around it"),
        (f"{B}  evil\n" + SHAPES["Fedora"][0], "text around it"),
        (SHAPES["Fedora"][0] + f"{B}  evil\n", "text around it"),
    ],
)
def test_unreadable_lists(text: str, complaint: str) -> None:
    with pytest.raises(VerificationError, match=r"^https://host/SUMS: ") as caught:
        parse(text, "https://host/SUMS")
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("text", "name", "answer"),
    [
        (f"{A}  x\n{B}  y\n", "y", B),
        (f"{A}  ./a/x\n{B}  ./b/x\n", "b/x", B),
        (f"{A}  ./a/x\n", "x", A),
        (f"{A}  a/x\n{B}  x\n", "x", B),
        (f"{A}  x\n{LONG}  x\n", "x", LONG),
        (f"{'d' * 32}  x\n{A}  x\n", "x", A),
        (f"{A}  x\n{A}  x\n", "x", A),
        (A, "whatever", A),
        (f"{A}  x\n{B}  y\n", "z", "z is not in the list of 2 files"),
        (f"{A}  x\n", "X", "X is not in the list"),
        (f"{A}  a/x\n{B}  b/x\n", "x", "listed in several places: a/x, b/x"),
        (f"{A}  x\n{B}  x\n", "x", "2 different sha256 digests"),
        (f"{'d' * 32}  x\n{'e' * 40}  x\n", "x", "md5, sha1 alone, which is not secure"),
        (f"{A}  prefix-x\n", "x", "not in the list"),
        (f"{A}  x\n", "a/x", "not in the list"),
    ],
)
def test_finding_a_name(text: str, name: str, answer: str) -> None:
    entries = parse(text, "SUMS")
    if re.fullmatch("[0-9a-f]+", answer):
        assert find(entries, name, "SUMS")[1] == answer
    else:
        with pytest.raises(VerificationError, match=re.escape(answer)):
            find(entries, name, "SUMS")


names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs"]), min_size=1).filter(
    lambda name: name != "-" and not name.startswith("*")
)
lengths = {algorithm: length for length, algorithm in ALGORITHMS.items()}
entries = st.sampled_from(["sha256", "sha384", "sha512"]).flatmap(
    lambda algorithm: st.builds(
        Checksum,
        names,
        st.just(algorithm),
        st.text("0123456789abcdef", min_size=lengths[algorithm], max_size=lengths[algorithm]),
    )
)
WRITERS: dict[str, t.Callable[[Checksum], str]] = {
    "text": lambda e: f"{e.digest}  {e.name}",
    "binary": lambda e: f"{e.digest} *{e.name}",
    "upper": lambda e: f"{e.digest.upper()}  {e.name}",
    "bsd": lambda e: f"{e.algorithm.upper()} ({e.name}) = {e.digest}",
}


@pytest.mark.parametrize("writer", WRITERS)
@given(st.lists(entries, min_size=1, max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_what_is_written_is_read(writer: str, listed: list[Checksum], newline: str) -> None:
    assert list(parse(newline.join(map(WRITERS[writer], listed)), "SUMS")) == listed


@given(st.text(max_size=200))
def test_any_text_is_a_list_or_a_clear_error(text: str) -> None:
    try:
        assert parse(text, "SUMS")
    except VerificationError as error:
        assert str(error).startswith("SUMS: ")


@given(st.binary(max_size=100))
def test_a_file_is_hashed_once_for_all_algorithms(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path: Path = tmp_path_factory.getbasetemp() / "file"
    path.write_bytes(content)
    assert hash_file(path, ["sha256", "sha512"]) == {
        name: hashlib.new(name, content).hexdigest() for name in ("sha256", "sha512")
    }


@pytest.mark.parametrize("digest", [("sha256", A), ("SHA-256", f" {A.upper()}\n"), ("sha512", LONG)])
def test_declared_digests(digest: tuple[str, str]) -> None:
    assert normalise(digest) == (digest[0].lower().replace("-", ""), digest[1].strip().lower())


@pytest.mark.parametrize("digest", [("md5", "d" * 32), ("sha256", LONG), ("sha256", "z" * 64), ("sha256", ""), ("", A)])
def test_digests_that_decide_nothing(digest: tuple[str, str]) -> None:
    with pytest.raises(VerificationError, match="is not a secure digest"):
        normalise(digest)
