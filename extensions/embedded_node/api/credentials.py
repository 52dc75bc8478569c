# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of users and tokens, tickets, and who has logged in."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time

from ..state.root import State
from .access import UserFile

TICKET_SECONDS = 2 * 3600


def _hash(secret: str, salt: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", secret.encode(), salt.encode(), 1000).hex()


def _secrets(state: State, name: str) -> dict[str, str]:
    rows = (line.partition(" ") for line in state.read(f"etc/pve/priv/{name}").splitlines())
    return {key: value for key, _sep, value in rows}


def set_secret(state: State, name: str, key: str, secret: str | None) -> None:
    """Store a password (``shadow.cfg``) or a token's value (``token.cfg``), or forget it. Only a hash is kept."""
    rows = _secrets(state, name)
    rows.pop(key, None)
    if secret is not None:
        salt = secrets.token_hex(8)
        rows[key] = f"{salt}:{_hash(secret, salt)}"
    state.write(f"etc/pve/priv/{name}", "".join(f"{key} {rows[key]}\n" for key in sorted(rows)))


def check_secret(state: State, name: str, key: str, secret: str) -> bool:
    """Whether this is the stored password or token value."""
    salt, _sep, digest = _secrets(state, name).get(key, "").partition(":")
    return bool(digest) and hmac.compare_digest(digest, _hash(secret, salt))


def signing_key(state: State) -> bytes:
    """The key that tickets are signed with, made when there is none."""
    text = state.read("etc/pve/priv/authkey.key")
    if not text:
        text = secrets.token_hex(32)
        state.write("etc/pve/priv/authkey.key", text)
    return text.encode()


def _sign(state: State, text: str) -> str:
    return hmac.new(signing_key(state), text.encode(), "sha256").hexdigest()


def issue_ticket(state: State, user: str) -> tuple[str, str]:
    """A login ticket and its CSRF token."""
    stamp = f"{int(time.time()):08X}"
    plain = f"PVE:{user}:{stamp}"
    return f"{plain}::{_sign(state, plain)}", f"{stamp}:{_sign(state, f'csrf:{user}:{stamp}')}"


def check_ticket(state: State, ticket: str) -> str | None:
    """The user of a valid ticket."""
    plain, _sep, signature = ticket.partition("::")
    parts = plain.split(":")
    if len(parts) != 3 or not hmac.compare_digest(signature, _sign(state, plain)):
        return None
    age = time.time() - int(parts[2], 16)
    return parts[1] if -300 < age < TICKET_SECONDS else None


def check_csrf(state: State, user: str, token: str) -> bool:
    """Whether a CSRF token belongs to the user."""
    stamp, _sep, signature = token.partition(":")
    return hmac.compare_digest(signature, _sign(state, f"csrf:{user}:{stamp}"))


def check_login(state: State, user: str, password: str) -> bool:
    """Whether a user exists, is enabled and has this password."""
    return UserFile.load(state).enabled(user) and check_secret(state, "shadow.cfg", user, password)


def check_token(state: State, token: str, secret: str) -> bool:
    """Whether a token is valid with this value. Nobody is told why it is not."""
    return UserFile.load(state).valid(token) and check_secret(state, "token.cfg", token, secret)
