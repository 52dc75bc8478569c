# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which values are secret, told by the name of the option that holds them."""

from __future__ import annotations

import functools
import hashlib
import re
import typing as t

_SECRET = re.compile(
    r"passw(or)?d|passphrase|(?<!by)(?<!by_)pass\d*$|psk|secret|token|communit|credential|(^|_)pin(_?code)?$|key\d?$"
)
# What is written like a secret and tells none.
_PUBLIC = re.compile(r"pub(lic)?_?key\d?$|token_id$|auth$|(file|path)$")
_PUBLIC_VALUE = re.compile(r"(ssh|ecdsa|sk)-\S+ [A-Za-z0-9+/]{16}|-----BEGIN (CERTIFICATE|([A-Z]+ )?PUBLIC KEY)-----")
# The login, the password of it, and the query of a URL.
_URL = re.compile(r"https?://(?:((?:[^/?#@:\s]*:)?([^/?#\s]*))@)?[^/?#\s@]*[^?#\s]*(?:\?([^#\s]+))?")
# A shorter value stands in too many other words to be hidden wherever it comes up.
_SHORTEST: t.Final = 4
# How often a digest is taken that others can see: some hundredths of a second for each guess.
_ROUNDS: t.Final = 50_000


def is_secret(name: str, more: t.Collection[str] = ()) -> bool:
    """Whether the value of an option of this name is a secret; ``more`` are names that are so too."""
    return name in more or _says_secret(name)


@functools.lru_cache(maxsize=1024)
def _says_secret(name: str) -> bool:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[-.]", "_", name).lower()
    return _SECRET.search(words) is not None and _PUBLIC.search(words) is None


def slow_digest(told: bytes) -> str:
    """What stands for something that may hold secrets where others can see it, such as in the name of a file. Who knows
    the rest of it can try out guesses of a secret, but not fast. Whoever reaches a node, and however, gets the same."""
    return _slowly(hashlib.sha256(told).digest())


@functools.lru_cache(maxsize=1024)
def _slowly(digest: bytes) -> str:
    return hashlib.pbkdf2_hmac("sha256", digest, b"pve.provision", _ROUNDS).hex()


def secret_values(value: t.Any, more: t.Collection[str] = (), name: str = "") -> set[str]:
    """The secrets in a structure, each also as it is spelt within the text of a structure."""
    if isinstance(value, dict):  # what is within something secret is secret, whatever it is called
        inside = ((name if name in more else str(key), inner) for key, inner in value.items())
        return {secret for key, inner in inside for secret in secret_values(inner, more, key)}
    if isinstance(value, (list, tuple)):
        return {secret for inner in value for secret in secret_values(inner, more, name)}
    if isinstance(value, bool) or not isinstance(value, (str, int, float)) or not is_secret(name, more):
        return set()
    text = str(value)
    return set() if len(text) < _SHORTEST or _PUBLIC_VALUE.match(text) else {text, repr(text)[1:-1]}


def url_secrets(value: t.Any) -> set[str]:
    """What the addresses in a structure hold besides a place: logins and queries, where links carry their signature."""
    if isinstance(value, dict):
        return {secret for inner in value.values() for secret in url_secrets(inner)}
    if isinstance(value, (list, tuple)):
        return {secret for inner in value for secret in url_secrets(inner)}
    found = {part for match in _URL.finditer(value) for part in match.groups("")} if isinstance(value, str) else set()
    return {part for part in found if len(part) >= _SHORTEST}


def text_secrets(value: t.Any) -> set[str]:
    """Whole texts that are secret by their place: environment variables, scripts, files that not everybody may read."""
    if isinstance(value, dict):
        return {secret for inner in value.values() for secret in text_secrets(inner)}
    if isinstance(value, (list, tuple)):
        return {secret for inner in value for secret in text_secrets(inner)}
    text = str(value)
    return {text, repr(text)[1:-1]} if isinstance(value, str) and len(text) >= 2 * _SHORTEST else set()


def closed_files(value: t.Any) -> list[str]:
    """The contents of the files declared in a structure that not everybody may read, or that hold a private key."""
    if isinstance(value, (list, tuple)):
        return [text for inner in value for text in closed_files(inner)]
    if not isinstance(value, dict):
        return []
    found = [text for inner in value.values() for text in closed_files(inner)]
    content = value.get("content")
    if isinstance(content, str) and _is_closed(str(value.get("mode") or "0644"), content):
        found.append(content)
    return found


def _is_closed(mode: str, content: str) -> bool:
    return mode[-1:] not in "4567" or "PRIVATE KEY" in content
