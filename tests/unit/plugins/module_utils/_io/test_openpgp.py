# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of OpenPGP: which ones a file holds, whatever form it has."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._io.openpgp import armored, dearmored, fingerprints

# A version 4 key of RFC 9580, appendix A.1, and its fingerprint.
SAMPLE = """\
-----BEGIN PGP PUBLIC KEY BLOCK-----

xjMEU/NfCxYJKwYBBAHaRw8BAQdAPwmJlL3ZFu1AUxl5NOSofIBzOhKA1i+AEJku
Q+47JAY=
-----END PGP PUBLIC KEY BLOCK-----
"""
FINGERPRINT = "C959BDBAFA32A2F89A153B678CFDE12197965A9A"


def test_the_fingerprint_is_that_of_the_standard() -> None:
    assert fingerprints(dearmored(SAMPLE.encode())) == [FINGERPRINT]


@pytest.mark.parametrize(
    "text",
    [
        SAMPLE.replace("\n", "\r\n"),
        SAMPLE.replace("BLOCK-----\n\n", "BLOCK-----\nVersion: GnuPG v2\nComment: a\n\n", 1),
        SAMPLE.replace("Q+47JAY=\n", "Q+47JAY=\n=abcd\n"),
        f"Before it\n{SAMPLE}after it\n",
    ],
)
def test_armor_is_read_in_every_form(text: str) -> None:
    assert fingerprints(dearmored(text.encode())) == [FINGERPRINT]


def test_several_keys_are_reported_each() -> None:
    assert fingerprints(dearmored((SAMPLE + SAMPLE).encode())) == [FINGERPRINT] * 2


def test_what_is_armored_is_read_again() -> None:
    packets = dearmored(SAMPLE.encode())
    assert dearmored(armored(packets).encode()) == dearmored(packets) == packets
    assert armored(packets) == SAMPLE


@pytest.mark.parametrize("content", [b"", b"<html>", SAMPLE.encode()[:90] + b"\n-----END PGP PUBLIC KEY BLOCK-----\n"])
def test_what_is_no_key_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"is not (an|a complete) OpenPGP key"):
        fingerprints(dearmored(content))


@given(st.binary(max_size=80))
def test_no_bytes_do_more_than_be_refused(content: bytes) -> None:
    try:
        fingerprints(dearmored(b"\x98" + content))
    except ValueError as error:
        assert "key" in str(error)


@pytest.mark.skipif(not shutil.which("gpg"), reason="no gpg")
@pytest.mark.parametrize("kind", ["rsa2048", "ed25519"])
def test_gpg_agrees(tmp_path: Path, kind: str) -> None:
    gpg = ["gpg", "--homedir", str(tmp_path), "--batch", "--quiet"]
    making = [*gpg, "--passphrase", "", "--quick-generate-key", "a@example.com", kind, "default", "never"]
    subprocess.run(making, check=True, capture_output=True)
    listed = subprocess.run([*gpg, "--with-colons", "--list-keys"], check=True, capture_output=True, text=True).stdout
    (expected,) = [line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr")][:1]
    for form in ([], ["--armor"]):
        content = subprocess.run([*gpg, *form, "--export"], check=True, capture_output=True).stdout
        assert fingerprints(dearmored(content)) == [expected]
    subprocess.run(["gpgconf", "--homedir", str(tmp_path), "--kill", "all"], check=False)
