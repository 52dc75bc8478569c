# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signature, list, file: a chain that holds as a whole or not at all."""

from __future__ import annotations

import hashlib
import random
import typing as t
from dataclasses import replace

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import VerificationError
from ansible_collections.pve.provision.plugins.module_utils._images.download import fetch
from ansible_collections.pve.provision.plugins.module_utils._images.signatures import Seal, Trusted
from ansible_collections.pve.provision.plugins.module_utils._images.transfer import Request
from ansible_collections.pve.provision.plugins.module_utils._images.verify import (
    Listing,
    Policy,
    expect,
    verify_file,
)
from ansible_collections.pve.provision.tests.unit.plugins.module_utils._images.faulty_server import FaultyServer
from ansible_collections.pve.provision.tests.unit.plugins.module_utils._images.test_verify_signatures import (
    Usign,
    needs,
)

if t.TYPE_CHECKING:
    from pathlib import Path

CONTENT = random.Random(3).randbytes(200_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
LIST = f"{DIGEST} *rootfs.tar.gz\n".encode()
OTHER_LIST = f"{'0' * 64} *rootfs.tar.gz\n".encode()
pytestmark = needs("openssl")


@pytest.fixture
def key(tmp_path: Path) -> Usign:
    return Usign.make(tmp_path)


@pytest.fixture
def listing(key: Usign, tmp_path: Path) -> Listing:
    seal = Seal("usign", "https://host/sha256sums.sig", Trusted((key.public,)), key.sign(LIST, tmp_path))
    return Listing(LIST, "https://host/sha256sums", seal)


def test_a_signed_list_reports_digest_and_signer(listing: Listing) -> None:
    expected = expect("rootfs.tar.gz", Policy.REQUIRED, listing=listing)
    assert (expected.digest, expected.signed_by) == (("sha256", DIGEST), "0102030405060708")
    assert not expected.warnings


def test_a_right_list_with_a_wrong_signature(listing: Listing) -> None:
    with pytest.raises(VerificationError, match=r"sha256sums\.sig: .* does not fit"):
        expect("rootfs.tar.gz", Policy.REQUIRED, listing=replace(listing, content=OTHER_LIST))


def test_checksum_does_not_look_at_the_signature(listing: Listing) -> None:
    expected = expect("rootfs.tar.gz", Policy.CHECKSUM, listing=replace(listing, content=OTHER_LIST))
    assert (expected.digest, expected.signed_by) == (("sha256", "0" * 64), "")


def test_required_without_any_signature_says_what_to_do(listing: Listing) -> None:
    with pytest.raises(VerificationError, match=r"publishes none\. Set verify: checksum"):
        expect("rootfs.tar.gz", Policy.REQUIRED, listing=replace(listing, seal=None))


def test_none_warns() -> None:
    expected = expect("x.iso", Policy.NONE)
    assert expected.digest is None and "not verified at all" in expected.warnings[0]
    declared = expect("x.iso", Policy.NONE, declared=("sha256", DIGEST))
    assert declared.digest == ("sha256", DIGEST) and "only compared" in declared.warnings[0]


def test_checksum_without_any_digest_is_refused() -> None:
    with pytest.raises(VerificationError, match="no digest is known"):
        expect("x.iso", Policy.CHECKSUM)


def test_the_default_is_what_the_source_can_give() -> None:
    assert (Policy.default(signs=True), Policy.default(signs=False)) == (Policy.REQUIRED, Policy.CHECKSUM)
    assert Policy("required") is Policy.REQUIRED


def test_a_declared_digest_has_to_agree_with_the_list(listing: Listing) -> None:
    assert expect("rootfs.tar.gz", Policy.REQUIRED, listing=listing, declared=("sha256", DIGEST)).digest
    for declared in (("sha256", "1" * 64), ("sha512", "1" * 128)):
        with pytest.raises(VerificationError):
            expect("rootfs.tar.gz", Policy.REQUIRED, listing=listing, declared=declared)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"<html>", "line 1 is not"), (b"", "is empty"), (b"\xff\xfe\x00", "not text"), (OTHER_LIST[:41], "line 1")],
)
def test_an_unreadable_list_is_said_with_its_place(listing: Listing, content: bytes, complaint: str) -> None:
    with pytest.raises(VerificationError, match=r"^https://host/sha256sums: ") as caught:
        expect("rootfs.tar.gz", Policy.CHECKSUM, listing=replace(listing, content=content))
    assert complaint in str(caught.value)


def test_a_file_is_compared(listing: Listing, tmp_path: Path) -> None:
    path = tmp_path / "rootfs.tar.gz"
    path.write_bytes(CONTENT)
    expected = expect("rootfs.tar.gz", Policy.REQUIRED, listing=listing)
    assert verify_file(path, expected).digests == {"sha256": DIGEST}
    assert verify_file(path, expected).signed_by == "0102030405060708"
    assert verify_file(path, expected, {"sha256": DIGEST}).digests == {"sha256": DIGEST}
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(VerificationError, match=f"it has to be {DIGEST}"):
        verify_file(path, expected)


def test_a_signature_over_the_file_itself(key: Usign, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(CONTENT)
    seal = Seal("usign", "image.sig", Trusted((key.public,)), key.sign(CONTENT, tmp_path))
    expected = expect("image", Policy.REQUIRED, seal=seal)
    assert verify_file(path, expected).signed_by == "0102030405060708"
    path.write_bytes(CONTENT + b"x")
    with pytest.raises(VerificationError, match="does not fit"):
        verify_file(path, expected)
    assert expect("image", Policy.CHECKSUM, seal=seal, declared=("sha256", DIGEST)).seal is None


def test_right_digest_with_a_wrong_signature_never_gets_its_name(key: Usign, tmp_path: Path) -> None:
    target = tmp_path / "cache" / "image"
    target.parent.mkdir()
    seal = Seal("usign", "image.sig", Trusted((key.public,)), key.sign(b"something else", tmp_path))
    expected = expect("image", Policy.REQUIRED, seal=seal, declared=("sha256", DIGEST))
    with FaultyServer() as server, pytest.raises(VerificationError, match="does not fit"):
        url = server.put("/image", CONTENT)
        fetch(Request([url], target, expected.digest, check=lambda path: void(verify_file(path, expected))))
    assert list(target.parent.iterdir()) == []


def void(_value: object) -> None:
    """A check hands nothing back."""
