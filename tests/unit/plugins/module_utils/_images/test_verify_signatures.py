# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A signature counts when a trusted key made it over these bytes, and in no other case."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import typing as t
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import Unsupported, VerificationError
from ansible_collections.pve.provision.plugins.module_utils._images import signatures
from ansible_collections.pve.provision.plugins.module_utils._images.signatures import Seal, Trusted

LIST = b"0" * 64 + b" *openwrt.tar.gz\n"
OPENWRT_24_10 = b"RWTTEMbygz6X95lKDAulctZy3aj15823THXfyrfXgwGbxZlXBd2brNcw"


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"the program {', '.join(missing)} is not installed")


def openssl(*arguments: str | Path) -> bytes:
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True).stdout


# -- usign --------------------------------------------------------------------------------------------------------


@dataclass
class Usign:
    """A key pair made for the test."""

    private: Path
    public: bytes
    key_id: bytes

    @classmethod
    def make(cls, folder: Path, key_id: bytes = b"\x01\x02\x03\x04\x05\x06\x07\x08") -> Usign:
        private = folder / f"{key_id.hex()}.pem"
        openssl("genpkey", "-algorithm", "ed25519", "-out", private)
        der = openssl("pkey", "-in", private, "-pubout", "-outform", "DER")
        return cls(private, base64.b64encode(b"Ed" + key_id + der[-32:]), key_id)

    def sign(self, data: bytes, folder: Path) -> bytes:
        plain, raw = folder / "plain", folder / "raw"
        plain.write_bytes(data)
        openssl("pkeyutl", "-sign", "-inkey", self.private, "-rawin", "-in", plain, "-out", raw)
        return b"untrusted comment: signed by key\n" + base64.b64encode(b"Ed" + self.key_id + raw.read_bytes()) + b"\n"


@pytest.fixture
def usign(tmp_path: Path) -> Usign:
    return Usign.make(tmp_path)


def usign_seal(signature: bytes, *keys: bytes) -> Seal:
    return Seal("usign", "sha256sums.sig", Trusted(keys), signature)


@needs("openssl")
def test_usign_by_a_trusted_key_among_others(usign: Usign, tmp_path: Path) -> None:
    seal = usign_seal(usign.sign(LIST, tmp_path), OPENWRT_24_10, b"untrusted comment: mine\n" + usign.public + b"\n")
    assert seal.check_bytes(LIST).key == "0102030405060708"


@needs("openssl")
def test_usign_over_other_bytes(usign: Usign, tmp_path: Path) -> None:
    seal = usign_seal(usign.sign(LIST, tmp_path), usign.public)
    for other in (LIST + b"\n", LIST.replace(b"0", b"1", 1), b""):
        with pytest.raises(VerificationError, match=r"sha256sums.sig: .* does not fit the bytes"):
            seal.check_bytes(other)


@needs("openssl")
def test_usign_by_an_unknown_key(usign: Usign, tmp_path: Path) -> None:
    seal = usign_seal(usign.sign(LIST, tmp_path), OPENWRT_24_10)
    with pytest.raises(VerificationError, match="unknown key 0102030405060708; known are d310c6f2833e97f7"):
        seal.check_bytes(LIST)


@needs("openssl")
def test_usign_by_a_key_that_borrows_a_trusted_id(tmp_path: Path) -> None:
    stranger = Usign.make(tmp_path, bytes.fromhex("d310c6f2833e97f7"))
    with pytest.raises(VerificationError, match="key d310c6f2833e97f7 does not fit"):
        usign_seal(stranger.sign(LIST, tmp_path), OPENWRT_24_10).check_bytes(LIST)


@pytest.mark.parametrize(
    "broken",
    [b"", b"untrusted comment: x\n", b"<html>", b"RWS=\n", b"untrusted comment: x\n" + b"A" * 100, b"\xff\xfe"],
)
def test_what_is_no_usign_signature(broken: bytes) -> None:
    with pytest.raises(VerificationError, match="not a usign signature"):
        usign_seal(broken, OPENWRT_24_10).check_bytes(LIST)


def test_a_broken_usign_key_is_said() -> None:
    signature = base64.b64encode(b"Ed" + bytes(72))
    with pytest.raises(VerificationError, match="is not a usign public key"):
        usign_seal(signature, OPENWRT_24_10[:-4]).check_bytes(LIST)


def test_a_missing_program_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*args: t.Any, **kwargs: t.Any) -> t.NoReturn:
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", run)
    signature = base64.b64encode(b"Ed" + bytes.fromhex("d310c6f2833e97f7") + bytes(64))
    with pytest.raises(Unsupported, match="openssl is missing"):
        usign_seal(signature, OPENWRT_24_10).check_bytes(LIST)


# -- RSA ----------------------------------------------------------------------------------------------------------


@needs("openssl")
def test_rsa_over_sha256(tmp_path: Path) -> None:
    theirs, strange, plain = (tmp_path / name for name in ("theirs", "strange", "plain"))
    for private in (theirs, strange):
        openssl("genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", private)
    pems = tuple(openssl("pkey", "-in", private, "-pubout") for private in (theirs, strange))
    plain.write_bytes(LIST)
    raw = openssl("dgst", "-sha256", "-sign", theirs, plain)
    seal = Seal("openssl-sha256", "list.sig", Trusted(pems), base64.encodebytes(raw))
    der = openssl("pkey", "-in", theirs, "-pubout", "-outform", "DER")
    assert seal.check_bytes(LIST).key == hashlib.sha256(der).hexdigest()
    for wrong in (
        replace(seal, trusted=Trusted((pems[1],))),
        replace(seal, trusted=Trusted(pems, frozenset({"0" * 64}))),
        replace(seal, content=b"not base64!"),
    ):
        with pytest.raises(VerificationError, match=r"list\.sig"):
            wrong.check_bytes(LIST)
    with pytest.raises(VerificationError, match="no trusted key"):
        seal.check_bytes(LIST + b" ")


# -- GPG ----------------------------------------------------------------------------------------------------------


class Gpg:
    """A GPG home of the test's own with two keys: one that is good, and one that expired in 2020."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(mode=0o700)
        self.good = self.make("good@example.org", "0", "20250101T000000")
        self.expired = self.make("expired@example.org", "seconds=86400", "20200101T000000")

    def run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        argv = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", "--no-tty", *arguments]
        return subprocess.run(argv, input=stdin, capture_output=True, check=True).stdout

    def make(self, user: str, expires: str, when: str) -> str:
        recipe = (
            f"%no-protection\nKey-Type: eddsa\nKey-Curve: ed25519\nSubkey-Type: eddsa\nSubkey-Curve: ed25519\n"
            f"Subkey-Usage: sign\nName-Real: {user}\nName-Email: {user}\nExpire-Date: {expires}\n%commit\n"
        )
        self.run("--faked-system-time", when, "--gen-key", stdin=recipe.encode())
        listing = self.run("--with-colons", "--list-keys", user).decode()
        return next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:"))

    def key(self, *fingerprints: str, armor: bool = True) -> bytes:
        return self.run(*(["--armor"] if armor else []), "--export", *fingerprints)

    def sign(
        self, data: bytes, fingerprint: str, *, how: str = "--detach-sign", when: str = "20260101T000000"
    ) -> bytes:
        return self.run("--faked-system-time", when, "--local-user", fingerprint, "--armor", how, stdin=data)

    def close(self) -> None:
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "all"], check=False, capture_output=True)


@pytest.fixture(scope="module")
def gpg(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Gpg]:
    keys = Gpg(tmp_path_factory.mktemp("g") / "h")  # the agent's socket has a short limit on its path
    yield keys
    keys.close()


def gpg_seal(gpg: Gpg, content: bytes, pinned: str, *, kind: t.Any = "gpg-detached", armor: bool = True) -> Seal:
    return Seal(kind, "SUMS.gpg", Trusted((gpg.key(gpg.good, gpg.expired, armor=armor),), frozenset({pinned})), content)


NEEDS_GPG = needs("gpg", "gpgv", "gpgconf")


@NEEDS_GPG
@pytest.mark.parametrize("armor", [True, False])
def test_gpg_detached_by_a_pinned_key(gpg: Gpg, armor: bool) -> None:
    spaced = " ".join(gpg.good[i : i + 4] for i in range(0, 40, 4)).lower()
    seal = gpg_seal(gpg, gpg.sign(LIST, gpg.good), spaced, armor=armor)
    assert seal.check_bytes(LIST) == signatures.Signed(gpg.good)


@NEEDS_GPG
def test_gpg_clearsigned_hands_out_what_is_signed_and_nothing_else(gpg: Gpg) -> None:
    text = b"# comment\n- dashed\n" + LIST
    signed = gpg.sign(text, gpg.good, how="--clearsign")
    seal = gpg_seal(gpg, b"", gpg.good, kind="gpg-clearsigned")
    assert seal.check_bytes(signed) == signatures.Signed(gpg.good, text)
    evil = b"1" * 64 + b" *evil.tar.gz\n"
    surrounded = seal.check_bytes(evil + signed + evil).content
    assert surrounded is not None and b"evil" not in surrounded
    with pytest.raises(VerificationError, match="does not fit the bytes"):
        seal.check_bytes(signed.replace(b"openwrt", b"evilwrt"))


@NEEDS_GPG
@pytest.mark.parametrize("kind", ["gpg-detached", "gpg-clearsigned"])
@pytest.mark.parametrize("content", [b"", b"<html>sorry</html>", b"-----BEGIN PGP SIGNATURE-----\n\nAAAA\n"])
def test_what_is_no_gpg_signature(gpg: Gpg, kind: t.Any, content: bytes) -> None:
    with pytest.raises(VerificationError, match=r"SUMS\.gpg"):
        gpg_seal(gpg, content, gpg.good, kind=kind).check_bytes(content)


@NEEDS_GPG
def test_gpg_over_other_bytes(gpg: Gpg) -> None:
    with pytest.raises(VerificationError, match="does not fit the bytes"):
        gpg_seal(gpg, gpg.sign(LIST, gpg.good), gpg.good).check_bytes(LIST + b"x")


@NEEDS_GPG
def test_a_key_of_the_block_that_is_not_pinned_does_not_count(gpg: Gpg) -> None:
    with pytest.raises(VerificationError, match=f"{gpg.good} is not among the trusted ones"):
        gpg_seal(gpg, gpg.sign(LIST, gpg.good), gpg.expired).check_bytes(LIST)


@NEEDS_GPG
def test_an_unknown_gpg_key(gpg: Gpg) -> None:
    seal = gpg_seal(gpg, gpg.sign(LIST, gpg.good), gpg.good)
    with pytest.raises(VerificationError, match="the key is unknown"):
        replace(seal, trusted=Trusted((gpg.key(gpg.expired),), frozenset({gpg.good}))).check_bytes(LIST)


@NEEDS_GPG
def test_an_expired_gpg_key(gpg: Gpg) -> None:
    signature = gpg.sign(LIST, gpg.expired, when="20200101T000100!")
    with pytest.raises(VerificationError, match="the key has expired"):
        gpg_seal(gpg, signature, gpg.expired).check_bytes(LIST)


@NEEDS_GPG
def test_one_good_signature_among_several_is_enough(gpg: Gpg) -> None:
    both = b"".join(
        subprocess.run(["gpg", "--dearmor"], input=signature, capture_output=True, check=True).stdout
        for signature in (gpg.sign(LIST, gpg.expired, when="20200101T000100!"), gpg.sign(LIST, gpg.good))
    )
    assert gpg_seal(gpg, both, gpg.good).check_bytes(LIST).key == gpg.good
    with pytest.raises(VerificationError):
        gpg_seal(gpg, both, gpg.expired).check_bytes(LIST)


@NEEDS_GPG
def test_a_broken_key_block_is_said(gpg: Gpg) -> None:
    broken = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!!!!\n-----END PGP PUBLIC KEY BLOCK-----\n"
    seal = gpg_seal(gpg, gpg.sign(LIST, gpg.good), gpg.good)
    with pytest.raises(VerificationError, match="key blocks is broken"):
        replace(seal, trusted=Trusted((broken,), frozenset({gpg.good}))).check_bytes(LIST)
