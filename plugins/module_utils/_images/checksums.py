# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: checksum lists in the shapes vendors publish, and digests of files.

One list may be GNU (``hex  name``, ``hex *name``, a leading backslash for escaped names), BSD (``SHA256 (name) = hex``,
also as ``openssl dgst`` writes it), or one bare hex string that belongs to a single file; with comments, CRLF and a PGP
clear-sign wrapper around it. A line that is none of these makes the whole list unreadable: half a list is no list.
"""

from __future__ import annotations

import hashlib
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._errors import VerificationError

if t.TYPE_CHECKING:
    from pathlib import Path

#: Hex digits of a digest -> its algorithm. The order is from weak to strong.
ALGORITHMS: t.Final = {32: "md5", 40: "sha1", 56: "sha224", 64: "sha256", 96: "sha384", 128: "sha512"}
#: Those that may decide whether bytes are good; a list's md5 and sha1 are read over.
TRUSTED: t.Final = ("sha256", "sha384", "sha512")

_GNU = re.compile(r"(?P<escaped>\\?)(?P<hex>[0-9A-Fa-f]+)(?: [ *]|[ \t])[ \t]*(?P<name>.+)")
_BSD = re.compile(r"(?P<algorithm>[A-Za-z0-9/-]+) ?\((?P<name>.+)\) ?= ?(?P<hex>[0-9A-Fa-f]+)")
_BARE = re.compile(r"(?P<hex>[0-9A-Fa-f]+)")
_ESCAPES: t.Final = {r"\\": "\\", r"\n": "\n", r"\r": "\r"}
_CLEARSIGNED = re.compile(
    r"\s*-----BEGIN PGP SIGNED MESSAGE-----\n(?:[A-Za-z]+: .*\n)*\n"
    r"(?P<text>.*?)\n?-----BEGIN PGP SIGNATURE-----\n.*?\n-----END PGP SIGNATURE-----\s*",
    re.DOTALL,
)
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Checksum:
    """One line of a list. ``name`` is as the list has it; empty where the list is one bare digest."""

    name: str
    algorithm: str
    digest: str


def hash_file(path: Path, algorithms: t.Iterable[str] = ("sha256",)) -> dict[str, str]:
    """Digests of a file (algorithm -> hex), read once, 1 MiB at a time."""
    hashers = {name: hashlib.new(name) for name in algorithms}
    block = memoryview(bytearray(_BLOCK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(block):
            for hasher in hashers.values():
                hasher.update(block[:count])
    return {name: hasher.hexdigest() for name, hasher in hashers.items()}


def normalise(digest: tuple[str, str]) -> tuple[str, str]:
    """A declared digest as (algorithm, lower-case hex). VerificationError for one that cannot decide anything."""
    algorithm, value = digest[0].lower().replace("-", ""), digest[1].strip().lower()
    if algorithm not in TRUSTED or not _BARE.fullmatch(value) or ALGORITHMS.get(len(value)) != algorithm:
        raise VerificationError(
            f"{digest[0]}:{digest[1]} is not a secure digest.",
            remedy=f"Give one of {', '.join(TRUSTED)} with all its hex digits.",
        )
    return algorithm, value


def without_clearsign(text: str, where: str) -> str:
    """The text inside a PGP clear-sign wrapper; text without a wrapper as it is. Nothing is verified here.

    Anything outside of the wrapper is refused, as no signature covers it.
    """
    text = text.replace("\r\n", "\n")
    if "-----BEGIN PGP SIGNED MESSAGE-----" not in text:
        return text
    match = _CLEARSIGNED.fullmatch(text)
    if match is None:
        raise VerificationError(f"{where}: the PGP signed message is broken or has text around it.")
    return "\n".join(line.removeprefix("- ") for line in match["text"].split("\n"))


def parse(text: str, where: str) -> tuple[Checksum, ...]:
    """The entries of a list in its order. ``where`` (URL or path) is for messages. VerificationError if unreadable."""
    entries = []
    for number, raw in enumerate(without_clearsign(text, where).removeprefix("\ufeff").split("\n"), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        entry = _entry(line)
        if entry is None:
            raise VerificationError(
                f"{where}: line {number} is not a line of a checksum list: {line[:80]!r}.",
                remedy="Look at what the server answers there; a login or error page is the usual reason.",
            )
        entries.append(entry)
    if not entries:
        raise VerificationError(f"{where}: the checksum list is empty.")
    return tuple(entries)


def _entry(line: str) -> Checksum | None:
    """One line, or None where it has none of the shapes. Algorithms that we do not know are kept as they are called."""
    for shape in (_BSD, _BARE, _GNU):
        match = shape.fullmatch(line)
        if match is None:
            continue
        found = match.groupdict()
        by_length = ALGORITHMS.get(len(found["hex"]), "")
        algorithm = re.sub(r"^sha2?-", "sha", found.get("algorithm", by_length).lower())
        if not algorithm or (algorithm in ALGORITHMS.values() and algorithm != by_length):
            return None
        name = found.get("name", "")
        if found.get("escaped"):
            name = re.sub(r"\\[\\nr]", lambda match: _ESCAPES[match[0]], name)
        return Checksum("" if name == "-" else name, algorithm, found["hex"].lower())
    return None


def find(entries: t.Sequence[Checksum], name: str, where: str) -> tuple[str, str]:
    """The digest of ``name`` as (algorithm, hex): the strongest that the list has.

    A name is looked up as it is, then without regard to a leading ``./``, then by its last part alone where only one
    file of the list is called so. A list of one bare digest belongs to whatever was asked for. VerificationError when
    the list does not say, says it by a weak algorithm alone, or says two different things.
    """
    plain = _plain(name)
    candidates = [entry for entry in entries if _plain(entry.name) == plain]
    if not candidates and "/" not in plain:
        candidates = [entry for entry in entries if _plain(entry.name).rpartition("/")[2] == plain]
        if len({_plain(entry.name) for entry in candidates}) > 1:
            places = ", ".join(sorted(entry.name for entry in candidates))
            raise VerificationError(f"{where}: {name} is listed in several places: {places}.")
    if not candidates and len(entries) == 1 and not entries[0].name:
        candidates = list(entries)
    if not candidates:
        raise VerificationError(
            f"{where}: {name} is not in the list of {len(entries)} files.",
            remedy="The source may be publishing right now: try again, or ask for another version.",
        )
    for algorithm in reversed(TRUSTED):
        digests = {entry.digest for entry in candidates if entry.algorithm == algorithm}
        if len(digests) > 1:
            raise VerificationError(f"{where}: {name} is listed with {len(digests)} different {algorithm} digests.")
        if digests:
            return algorithm, digests.pop()
    weak = ", ".join(sorted({entry.algorithm for entry in candidates}))
    raise VerificationError(f"{where}: {name} is listed with {weak} alone, which is not secure.")


def _plain(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("", "."))
