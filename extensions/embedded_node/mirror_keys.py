# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mirror's own keys: what signs its lists in the formats that the real sites use."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from pathlib import Path

_SEED = hashlib.sha256(b"pve.provision local mirror").digest()
_PKCS8 = bytes.fromhex("302e020100300506032b657004220420")
_KEY_ID = hashlib.sha256(_SEED).digest()[:8]
_USER = "Local mirror <mirror@example.invalid>"


def _run(argv: list[str], data: bytes = b"") -> bytes:
    done = subprocess.run(argv, input=data, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{argv[0]} failed: {done.stderr.decode('utf-8', 'replace').strip()}")
    return done.stdout


class Signer:
    """usign by ``openssl`` with a key that is the same for every mirror; GPG with a key made for this directory.

    Without ``gpg`` there are no GPG signatures: :attr:`gpg_fingerprint` is empty then.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._usign_key = directory / "usign.pem"
        self._signed: dict[bytes, bytes] = {}
        if not self._usign_key.exists():
            der = base64.b64encode(_PKCS8 + _SEED).decode()
            self._usign_key.write_text(f"-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n")
            self._usign_key.chmod(0o600)
        public = _run(["openssl", "pkey", "-in", str(self._usign_key), "-pubout", "-outform", "DER"])
        self.usign_key_id = _KEY_ID.hex()
        self.usign_public = base64.b64encode(b"Ed" + _KEY_ID + public[-32:]).decode()

    def usign(self, data: bytes) -> bytes:
        """A usign (signify) signature file over these bytes; the same ones are signed once."""
        digest = hashlib.sha256(data).digest()
        if digest not in self._signed:
            self._signed[digest] = self._sign_usign(data)
        return self._signed[digest]

    def _sign_usign(self, data: bytes) -> bytes:
        document = self._directory / "document"
        document.write_bytes(data)
        key = ["-inkey", str(self._usign_key)]
        signature = _run(["openssl", "pkeyutl", "-sign", "-rawin", *key, "-in", str(document)])
        encoded = base64.b64encode(b"Ed" + _KEY_ID + signature).decode()
        return f"untrusted comment: signed by key {self.usign_key_id}\n{encoded}\n".encode()

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
            key.write_bytes(made)
            key.chmod(0o600)
        return key

    # -- GPG -----------------------------------------------------------------------------------------------------------
    @property
    def _gpg(self) -> list[str]:
        return ["gpg", "--homedir", str(self._directory / "gnupg"), "--batch", "--quiet", "--pinentry-mode", "loopback"]

    @property
    def gpg_key(self) -> Path:
        """The public key block."""
        self._make_gpg_key()
        return self._directory / "gpg.asc"

    @property
    def gpg_fingerprint(self) -> str:
        """The key's fingerprint, or nothing where there is no gpg."""
        if not self._make_gpg_key():
            return ""
        listed = _run([*self._gpg, "--with-colons", "--list-keys"]).decode()
        return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))

    def gpg_detached(self, data: bytes, *, armor: bool = True) -> bytes | None:
        """A detached signature, or None where there is no gpg."""
        return self._sign(["--detach-sign", *(["--armor"] if armor else [])], data)

    def gpg_clearsigned(self, data: bytes) -> bytes:
        """The text in a clear-sign wrapper; the bare text where there is no gpg."""
        return self._sign(["--clear-sign"], data) or data

    def _sign(self, how: list[str], data: bytes) -> bytes | None:
        return _run([*self._gpg, *how], data) if self._make_gpg_key() else None

    def _make_gpg_key(self) -> bool:
        if shutil.which("gpg") is None:
            return False
        home = self._directory / "gnupg"
        if not home.exists():
            home.mkdir(mode=0o700)
            _run([*self._gpg, "--passphrase", "", "--quick-generate-key", _USER, "ed25519", "sign", "never"])
            (self._directory / "gpg.asc").write_bytes(_run([*self._gpg, "--armor", "--export"]))
        return True

    def close(self) -> None:
        """End the agent that gpg started."""
        home = self._directory / "gnupg"
        if home.exists() and shutil.which("gpgconf"):
            subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "gpg-agent"], check=False, capture_output=True)
