# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: hash a password as Linux does (SHA-crypt), and hold a password against a hash. Pure.

Python's own ``crypt`` went with 3.13. The algorithm: https://www.akkadia.org/drepper/SHA-crypt.txt
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import re
import secrets
import typing as t

_ALPHABET: t.Final = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ROUNDS: t.Final = 5000
_FEWEST, _MOST = 1000, 999_999_999
_SALT_LENGTH: t.Final = 16
# What a round does depends on its number, by 2, 3 and 7.
_PERIOD: t.Final = 42
_FORM: t.Final = re.compile(r"\$(?P<kind>[56])\$(?:rounds=(?P<rounds>\d+)\$)?(?P<salt>[^$]*)\$(?P<sum>[./0-9A-Za-z]+)")
# What cloud-init and Proxmox VE take for a hash; anything else is a password in clear to them.
_HASHED: t.Final = re.compile(r"\$(?:[156]|2[ay])(\$.+){2}")
# Hashes that they know nothing of, so that they would take them for passwords.
_UNKNOWN: t.Final = re.compile(r"\$(?:y|gy|7|2b|sha1|argon2\w*)\$\S+")


class _Kind(t.NamedTuple):
    """One of the two functions, and in which order the bytes of its digest are written."""

    function: t.Callable[[bytes], t.Any]
    order: tuple[tuple[int, ...], ...]


_Triple = tuple[int, int, int]


def _triples(triple: _Triple, count: int, turn: t.Callable[[int, int, int], _Triple]) -> t.Iterator[_Triple]:
    for _each in range(count):
        yield triple
        triple = turn(*triple)


_KINDS: t.Final[dict[str, _Kind]] = {
    "5": _Kind(
        hashlib.sha256,
        (*_triples((0, 10, 20), 10, lambda a, b, c: (c + 1, a + 1, b + 1)), (31, 30)),
    ),
    "6": _Kind(
        hashlib.sha512,
        (*_triples((0, 21, 42), 21, lambda a, b, c: (b + 1, c + 1, a + 1)), (63,)),
    ),
}


def hash_password(password: str, salt: str = "") -> str:
    """The hash of a password (SHA-512), with a salt of its own unless one is given."""
    salt = salt or "".join(secrets.choice(_ALPHABET) for _each in range(_SALT_LENGTH))
    return _crypt(password, "6", salt, None)


def fits(password: str, stored: str) -> bool:
    """Whether a password is the one of a stored hash. A kind of hash that is not known here fits none."""
    form = _FORM.fullmatch(stored)
    if form is None:
        return False
    rounds = int(form["rounds"]) if form["rounds"] else None
    return hmac.compare_digest(_crypt(password, form["kind"], form["salt"], rounds), stored)


def is_hash(text: str) -> bool:
    """Whether it is a hash to cloud-init and Proxmox VE, and no password."""
    return _HASHED.fullmatch(text) is not None


def is_unknown_hash(text: str) -> bool:
    """Whether it is a hash that cloud-init and Proxmox VE would take for a password."""
    return _UNKNOWN.fullmatch(text) is not None


def _crypt(password: str, kind: str, salt: str, rounds: int | None) -> str:
    count = _ROUNDS if rounds is None else min(max(rounds, _FEWEST), _MOST)
    salt = salt[:_SALT_LENGTH]
    function, order = _KINDS[kind]
    digest = _digest(function, password.encode(), salt.encode(), count)
    told = "" if rounds is None else f"rounds={count}$"
    return f"${kind}${told}{salt}${''.join(_base64(digest, places) for places in order)}"


def _base64(digest: bytes, places: tuple[int, ...]) -> str:
    """Up to three bytes as up to four characters, the lowest six bits first."""
    number = int.from_bytes(bytes(digest[place] for place in places), "big")
    return "".join(_ALPHABET[number >> 6 * place & 63] for place in range(len(places) + 1))


def _digest(function: t.Callable[[bytes], t.Any], password: bytes, salt: bytes, rounds: int) -> bytes:
    """The rounds of the algorithm, by the names of its description: sums B, A, DP and DS, sequences P and S."""
    length = len(password)
    inner: bytes = function(password + salt + password).digest()
    told = password + salt + _repeated(inner, length)
    bits = length
    while bits:
        told += inner if bits & 1 else password
        bits >>= 1
    result: bytes = function(told).digest()
    of_password = _repeated(function(password * length).digest(), length)
    of_salt = _repeated(function(salt * (16 + result[0])).digest(), len(salt))
    beside = [(of_salt if n % 3 else b"") + (of_password if n % 7 else b"") for n in range(_PERIOD)]
    # Two rounds at a time: what follows the result in the even one, and what it follows in the odd one.
    pairs = [(beside[n] + of_password, of_password + beside[n + 1]) for n in range(0, _PERIOD, 2)]
    for after, before in itertools.islice(itertools.cycle(pairs), rounds // 2):
        result = function(before + function(result + after).digest()).digest()
    return function(result + pairs[rounds // 2 % len(pairs)][0]).digest() if rounds % 2 else result


def _repeated(block: bytes, length: int) -> bytes:
    return (block * (length // len(block) + 1))[:length]
