# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mirror's own keys: what signs its lists in the formats that the real sites use."""

from __future__ import annotations

import base64
import functools
import hashlib
import subprocess
from pathlib import Path

from . import openpgp
from .openpgp import OpenPgpKey

_SEED = hashlib.sha256(b"pve.provision local mirror").digest()
_PKCS8 = bytes.fromhex("302e020100300506032b657004220420")
_KEY_ID = hashlib.sha256(_SEED).digest()[:8]
_USER = "Local mirror <mirror@example.invalid>"


def _run(argv: list[str], data: bytes = b"") -> bytes:
    done = subprocess.run(argv, input=data, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{argv[0]} failed: {done.stderr.decode('utf-8', 'replace').strip()}")
    return done.stdout


def _write_private(path: Path, key: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(key)


def _ed25519_public(key: Path) -> bytes:
    return _run(["openssl", "pkey", "-in", str(key), "-pubout", "-outform", "DER"])[-32:]


class Signer:
    """Signs by ``openssl``: usign with a key that is the same for every mirror, OpenPGP and RSA with keys made for this
    directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._usign_key = directory / "usign.pem"
        self._signed: dict[bytes, bytes] = {}
        if not self._usign_key.exists():
            der = base64.b64encode(_PKCS8 + _SEED).decode()
            pem = f"-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n"
            _write_private(self._usign_key, pem.encode())
        self.usign_key_id = _KEY_ID.hex()
        self.usign_public = base64.b64encode(b"Ed" + _KEY_ID + _ed25519_public(self._usign_key)).decode()

    def usign(self, data: bytes) -> bytes:
        """A usign (signify) signature file over these bytes; the same ones are signed once."""
        digest = hashlib.sha256(data).digest()
        if digest not in self._signed:
            self._signed[digest] = self._sign_usign(data)
        return self._signed[digest]

    def _sign_usign(self, data: bytes) -> bytes:
        encoded = base64.b64encode(b"Ed" + _KEY_ID + self._ed25519(self._usign_key, data)).decode()
        return f"untrusted comment: signed by key {self.usign_key_id}\n{encoded}\n".encode()

    def _ed25519(self, key: Path, data: bytes) -> bytes:
        document = self._directory / "document"
        document.write_bytes(data)
        return _run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", str(key), "-in", str(document)])

    @property
    def usign_key_file(self) -> str:
        """The public key as a router keeps it."""
        return f"untrusted comment: public key {self.usign_key_id}\n{self.usign_public}\n"

    # -- RSA -----------------------------------------------------------------------------------------------------------
    @property
    def rsa_public(self) -> str:
        """The public key in PEM format, as OPNsense publishes the one of each release."""
        return _run(["openssl", "pkey", "-in", str(self._rsa_key()), "-pubout"]).decode()

    def rsa(self, data: bytes) -> bytes:
        """A signature as OPNsense makes it: RSA over SHA-256, in base64."""
        signature = _run(["openssl", "dgst", "-sha256", "-sign", str(self._rsa_key())], data)
        return base64.encodebytes(signature)

    def _rsa_key(self) -> Path:
        key = self._directory / "rsa.pem"
        if not key.exists():
            made = _run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
            _write_private(key, made)
        return key

    # -- OpenPGP -------------------------------------------------------------------------------------------------------
    @functools.cached_property
    def _gpg(self) -> OpenPgpKey:
        key = self._directory / "openpgp.pem"
        if not key.exists():
            _write_private(key, _run(["openssl", "genpkey", "-algorithm", "ED25519"]))
        return OpenPgpKey(_ed25519_public(key), _USER, lambda data: self._ed25519(key, data))

    @property
    def gpg_key(self) -> Path:
        """The public key block."""
        block = self._directory / "gpg.asc"
        if not block.exists():
            block.write_bytes(self._gpg.block())
        return block

    @property
    def gpg_fingerprint(self) -> str:
        """The key's fingerprint."""
        return self._gpg.fingerprint

    def gpg_detached(self, data: bytes) -> bytes:
        """A detached signature, armored."""
        return openpgp.armor("SIGNATURE", self._gpg.detached(data))

    def gpg_clearsigned(self, data: bytes) -> bytes:
        """The text in a clear-sign wrapper."""
        return self._gpg.clearsigned(data)
