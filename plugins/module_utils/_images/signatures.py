# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: who signed a file, by the node's own ``openssl`` and ``gpgv``.

A signature counts only when one of the keys that the caller trusts made it: usign keys are pinned whole, GPG keys and
RSA keys by their fingerprint, wherever the key block itself came from. Nothing of the user's GPG home is read.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import subprocess
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import Unsupported, VerificationError

Kind = t.Literal["usign", "gpg-detached", "gpg-clearsigned", "openssl-sha256"]

#: DER of a SubjectPublicKeyInfo for Ed25519 (RFC 8410), up to the 32 bytes of the key.
_ED25519: t.Final = bytes.fromhex("302a300506032b6570032100")
_ARMOR = re.compile(rb"-----BEGIN PGP PUBLIC KEY BLOCK-----(.*?)-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL)
_TIME_LIMIT: t.Final = 600  # s; a signature over an image of many GiB has to read it
#: What gpgv's status lines say of a signature that does not count (doc/DETAILS of GnuPG).
_REFUSALS: t.Final = {
    "BADSIG": "the signature does not fit the bytes",
    "EXPSIG": "the signature has expired",
    "EXPKEYSIG": "the key has expired",
    "REVKEYSIG": "the key was revoked",
    "NO_PUBKEY": "the key is unknown",
    "NODATA": "there is no signature",
}


@dataclass(frozen=True)
class Trusted:
    """The keys that may have signed.

    ``material``: usign public keys (base64, as in ``.pub`` files), GPG key blocks (armored or binary), or PEM public
    keys. ``fingerprints``: for GPG those of the primary keys, for PEM the SHA-256 of the DER; what else lies in a key
    block is not trusted. usign keys are their own pin, so they need none.
    """

    material: tuple[bytes, ...]
    fingerprints: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Signed:
    """A signature that holds: by which key, and over which bytes where the signature wraps them (clearsigned)."""

    key: str
    content: bytes | None = None


@dataclass(frozen=True)
class Seal:
    """A signature as it was fetched. ``where`` (URL or path) is for messages; ``content`` is empty if clearsigned."""

    kind: Kind
    where: str
    trusted: Trusted
    content: bytes = b""

    def check(self, data: Path) -> Signed:
        """Raises VerificationError unless a trusted key signed these bytes, Unsupported without the program for it."""
        return _SCHEMES[self.kind](self, data)

    def check_bytes(self, data: bytes) -> Signed:
        with tempfile.TemporaryDirectory(prefix="pve-provision-") as scratch:
            path = Path(scratch, "data")
            path.write_bytes(data)
            return self.check(path)

    def refusal(self, why: str, remedy: str = "Nothing of it is used. Try another mirror.") -> VerificationError:
        return VerificationError(f"{self.where}: {why}.", remedy=remedy)


def key_id(public: str, fingerprint: str = "") -> str:
    """What :class:`Signed` calls a key: usign by its id, PEM by the SHA-256 of its DER, GPG by its fingerprint."""
    if fingerprint:
        return fingerprint.replace(" ", "").upper()
    if "BEGIN PUBLIC KEY" in public:
        return _pem_fingerprint(public.encode())
    raw = _decoded(public.encode(), 42)
    return raw[2:10].hex() if raw else ""


def _run(argv: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    try:
        return subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=_TIME_LIMIT, env=environment, check=False
        )
    except FileNotFoundError as error:
        raise Unsupported(
            f"Signatures cannot be checked here: the program {argv[0]} is missing.",
            remedy=f"Install {argv[0]}, or set verify: checksum.",
        ) from error


# -- usign and signify: Ed25519 -----------------------------------------------------------------------------------


def _decoded(text: bytes, length: int) -> bytes | None:
    """The bytes of a usign key or signature: base64 on its own line, perhaps after an ``untrusted comment:``."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and lines[0].startswith(b"untrusted comment:"):
        del lines[0]
    try:
        raw = base64.b64decode(lines[0], validate=True) if len(lines) == 1 else b""
    except binascii.Error:
        return None
    return raw if len(raw) == length and raw.startswith(b"Ed") else None


def _usign(seal: Seal, data: Path) -> Signed:
    raw = _decoded(seal.content, 74)
    if raw is None:
        raise seal.refusal("this is not a usign signature")
    keys: dict[bytes, bytes] = {}
    for text in seal.trusted.material:
        key = _decoded(text, 42)
        if key is None:
            raise VerificationError(f"{text.decode('utf-8', 'replace').strip()!r} is not a usign public key.")
        keys[key[2:10]] = key[10:]
    key_id = raw[2:10].hex()
    if raw[2:10] not in keys:
        raise seal.refusal(
            f"signed by the unknown key {key_id}; known are {', '.join(sorted(key.hex() for key in keys)) or 'none'}",
            "If this is a new key of the source, add its public part to the keys; else do not use this file.",
        )
    with tempfile.TemporaryDirectory(prefix="pve-provision-") as scratch:
        key_file, signature = Path(scratch, "key.der"), Path(scratch, "signature")
        key_file.write_bytes(_ED25519 + keys[raw[2:10]])
        signature.write_bytes(raw[10:])
        # One-shot algorithms need -rawin, and a file rather than a pipe, to know how much memory to take.
        argv = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", str(key_file)]
        result = _run([*argv, "-rawin", "-in", str(data), "-sigfile", str(signature)])
    if result.returncode or "Verified Successfully" not in result.stdout:
        raise seal.refusal(f"the signature by key {key_id} does not fit the bytes")
    return Signed(key_id)


# -- RSA over SHA-256 ---------------------------------------------------------------------------------------------


def _openssl_sha256(seal: Seal, data: Path) -> Signed:
    """OPNsense's way: base64 of an RSA signature; its keys are PEM."""
    try:
        raw = base64.b64decode(b"".join(seal.content.split()), validate=True)
    except binascii.Error as error:
        raise seal.refusal("this is not a base64 signature") from error
    with tempfile.TemporaryDirectory(prefix="pve-provision-") as scratch:
        key_file, signature = Path(scratch, "key.pem"), Path(scratch, "signature")
        signature.write_bytes(raw)
        for pem in seal.trusted.material:
            key_file.write_bytes(pem)
            fingerprint = _pem_fingerprint(pem)
            if seal.trusted.fingerprints and fingerprint not in seal.trusted.fingerprints:
                continue
            argv = ["openssl", "dgst", "-sha256", "-verify", str(key_file), "-signature", str(signature), str(data)]
            if _run(argv).returncode == 0:
                return Signed(fingerprint)
    raise seal.refusal(
        "no trusted key made this signature", "Give the public key of this release, or set verify: checksum."
    )


def _pem_fingerprint(pem: bytes) -> str:
    try:
        _unused, body, _unused = re.split(rb"-----(?:BEGIN|END) PUBLIC KEY-----", pem)
        return hashlib.sha256(base64.b64decode(b"".join(body.split()), validate=True)).hexdigest()
    except ValueError as error:
        raise VerificationError("One of the trusted keys is not a PEM public key.") from error


# -- GPG ----------------------------------------------------------------------------------------------------------


def _keyring(blocks: t.Iterable[bytes]) -> bytes:
    """Key blocks as one binary keyring, which is what gpgv reads. The armor's own CRC is not needed."""
    ring = b""
    for block in blocks:
        armored = _ARMOR.findall(block)
        for body in armored:
            # Headers end at the first empty line; a line that begins with = is the CRC.
            _headers, _unused, text = body.replace(b"\r\n", b"\n").partition(b"\n\n")
            lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(b"=")]
            try:
                ring += base64.b64decode(b"".join(lines), validate=True)
            except binascii.Error as error:
                raise VerificationError("One of the trusted GPG key blocks is broken.") from error
        if not armored:
            ring += block
    return ring


def _gpg(seal: Seal, data: Path) -> Signed:
    pinned = {fingerprint.replace(" ", "").upper() for fingerprint in seal.trusted.fingerprints}
    with tempfile.TemporaryDirectory(prefix="pve-provision-") as scratch:
        ring, signature, text = (Path(scratch, name) for name in ("keys.gpg", "signature", "text"))
        ring.write_bytes(_keyring(seal.trusted.material))
        argv = ["gpgv", "--homedir", scratch, "--status-fd", "1", "--keyring", str(ring)]
        if seal.kind == "gpg-clearsigned":
            # What gpgv writes is what is signed, and nothing that stands around it in the file.
            result = _run([*argv, "--output", str(text), str(data)])
        else:
            signature.write_bytes(seal.content)
            result = _run([*argv, str(signature), str(data)])
        signers, refusals = _verdicts(result.stdout)
        for fingerprint in signers:
            if fingerprint in pinned:
                return Signed(fingerprint, text.read_bytes() if seal.kind == "gpg-clearsigned" else None)
    if signers:
        refusals = [f"the key {fingerprint} is not among the trusted ones" for fingerprint in signers]
    raise seal.refusal(
        "; ".join(dict.fromkeys(refusals)) or "there is no signature that gpgv can read",
        f"Trusted are: {', '.join(sorted(pinned)) or 'none'}. Add the source's present key, or set verify: checksum.",
    )


def _verdicts(status: str) -> tuple[list[str], list[str]]:
    """Primary fingerprints of the good signatures, and why the others are none.

    ``VALIDSIG`` alone does not do: gpgv says it, and exits 0, for an expired key too. Its last field is the primary
    key.
    """
    signers, refusals, good = [], [], False
    for line in status.splitlines():
        word, *fields = line.removeprefix("[GNUPG:] ").split() or [""]
        if word == "NEWSIG":
            good = False
        elif word == "GOODSIG":
            good = True
        elif word == "VALIDSIG" and good:
            signers.append(fields[-1])
        elif word in _REFUSALS:
            good = False
            refusals.append(f"{_REFUSALS[word]}{f' ({fields[0]})' if fields and word != 'NODATA' else ''}")
    return signers, refusals


_SCHEMES: t.Final[t.Mapping[Kind, t.Callable[[Seal, Path], Signed]]] = {
    "usign": _usign,
    "openssl-sha256": _openssl_sha256,
    "gpg-detached": _gpg,
    "gpg-clearsigned": _gpg,
}
