# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords hashed as Linux does."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._model.sha_crypt import (
    fits,
    hash_password,
    is_hash,
    is_unknown_hash,
)

# From the description of the algorithm, and one that Proxmox VE 9.1 has made.
KNOWN = [
    ("Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
    (
        "Hello world!",
        "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
    ),
    ("Hello world!", "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"),
    (
        "Hello world!",
        "$6$rounds=10000$saltstringsaltst$"
        "OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.",
    ),
    (
        "a very much longer text to encrypt.  This one even stretches over morethan one line.",
        "$6$rounds=1400$anotherlongsalts$"
        "POfYwTEok97VWcjxIiSOjiykti.o/pQs.wPvMxQ6Fm7I6IoYN3CmLs66x9t0oSwbtEW7o7UmJEiDwGqd8p4ur1",
    ),
    (
        "odd",
        "$6$rounds=1001$saltstring$"
        "I4r2eV2oQrTSxOGadj9Ovjp.i7RvzthBkVa5t2N0WzMuGBLdjoB1k9hGvpYSbjcx8sFXehKOkB7Cz/fbOcqf2/",
    ),
    ("otherpw5", "$5$RgssmTRC$xWvzkxfxj.hGUE515vyayYSAY7jxc7yxRBnstHssgK4"),
]
BCRYPT = "12$" + "a" * 53


@pytest.mark.parametrize(("password", "stored"), KNOWN)
def test_a_password_fits_its_hash_and_no_other_does(password: str, stored: str):
    assert fits(password, stored)
    assert not fits(f"{password}.", stored)


def test_a_hash_is_salted():
    assert hash_password("secret") != hash_password("secret")
    assert hash_password("secret", "abc") == hash_password("secret", "abc")


@settings(max_examples=20)
@given(
    password=st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\r\n"), min_size=1, max_size=80)
)
def test_what_openssl_makes_of_a_password_is_the_same(password: str):
    openssl = shutil.which("openssl")
    ours = hash_password(password, "saltstring")
    assert fits(password, ours)
    assert is_hash(ours)
    if openssl is not None:
        line = [openssl, "passwd", "-6", "-salt", "saltstring", "-stdin"]
        done = subprocess.run(line, input=password.encode(), capture_output=True, check=True)
        assert done.stdout.decode().strip() == ours


@pytest.mark.parametrize(
    ("text", "hashed", "unknown"),
    [
        ("$6$salt$sum", True, False),
        ("$5$rounds=5000$salt$sum", True, False),
        ("$1$salt$sum", True, False),
        (f"$2y${BCRYPT}", True, False),
        (f"$2b${BCRYPT}", False, True),
        ("$y$j9T$salt$sum", False, True),
        ("pa$$word", False, False),
        ("$6$", False, False),
        ("", False, False),
    ],
)
def test_hashes_are_told_from_passwords_as_pve_and_cloud_init_do(text: str, hashed: bool, unknown: bool):
    assert (is_hash(text), is_unknown_hash(text)) == (hashed, unknown)


@pytest.mark.parametrize("stored", ["", "**********", "secret", f"$2y${BCRYPT}", "$6$only"])
def test_nothing_fits_what_is_no_such_hash(stored: str):
    assert not fits("secret", stored)
