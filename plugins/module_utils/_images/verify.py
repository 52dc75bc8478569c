# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the chain that makes a file trustworthy: signature, checksum list, file.

:func:`expect` says before a download what the file has to be; :func:`verify_file` says whether a file is that. What the
shape of an image has to be is ``inspect``'s.
"""

from __future__ import annotations

import enum
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._errors import VerificationError
from ansible_collections.pve.provision.plugins.module_utils._images import checksums

if t.TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.pve.provision.plugins.module_utils._images.signatures import Seal


class Policy(enum.StrEnum):
    """How much has to be proven: a signature by a trusted key, a published digest, or nothing."""

    REQUIRED = "required"
    CHECKSUM = "checksum"
    NONE = "none"

    @classmethod
    def default(cls, *, signs: bool) -> Policy:
        """What a source can give: its signature where it signs, else its digests."""
        return cls.REQUIRED if signs else cls.CHECKSUM


@dataclass(frozen=True)
class Listing:
    """A checksum list as it was fetched, and the signature over it where there is one."""

    content: bytes
    where: str
    seal: Seal | None = None


@dataclass(frozen=True)
class Expected:
    """What a file has to be. ``seal`` is still to be checked over the file itself; ``signed_by`` already was."""

    name: str
    digest: tuple[str, str] | None
    signed_by: str = ""
    seal: Seal | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verified:
    """A file that is what was expected. ``signed_by`` is empty where no signature was asked for."""

    digests: dict[str, str]
    signed_by: str = ""


def expect(
    name: str,
    policy: Policy,
    *,
    listing: Listing | None = None,
    seal: Seal | None = None,
    declared: tuple[str, str] | None = None,
) -> Expected:
    """What the file ``name`` has to be, by its list, by a ``declared`` digest (algorithm, hex), or by both.

    ``seal`` is a signature over the file itself. Raises VerificationError when the policy cannot be met, the list is
    unreadable or says nothing of the file, the signature over the list does not hold, or list and declaration differ.
    """
    digest = checksums.normalise(declared) if declared else None
    if policy is Policy.NONE:
        held = f"only compared with the declared {digest[0]}" if digest else "not verified at all"
        return Expected(name, digest, warnings=(f"{name} is {held}, since verify is none.",))
    signed_by = ""
    content = listing.content if listing else b""
    if policy is Policy.REQUIRED:
        if listing and listing.seal:
            signed = listing.seal.check_bytes(content)
            signed_by, content = signed.key, content if signed.content is None else signed.content
        elif seal is None:
            raise VerificationError(
                f"{name}: verify: required needs a signature, and its source publishes none.",
                remedy="Set verify: checksum to rely on the published digest.",
            )
    if listing:
        digest = _listed(name, listing.where, content, digest)
    if digest is None and seal is None:
        raise VerificationError(
            f"{name}: no digest is known for it.",
            remedy="Declare its checksum or a checksum list, or verify: none to use it unverified. "
            "template_cache takes all of these.",
        )
    return Expected(name, digest, signed_by, seal if policy is Policy.REQUIRED and not signed_by else None)


def _listed(name: str, where: str, content: bytes, declared: tuple[str, str] | None) -> tuple[str, str]:
    """What a checksum list says of a file, which has to be what was declared of it."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise VerificationError(f"{where}: this is not a checksum list, it is not text.") from error
    entries = checksums.parse(text, where)
    if declared:  # the list has to say the same, so it is asked in the same terms
        entries = tuple(entry for entry in entries if entry.algorithm == declared[0])
    listed = checksums.find(entries, name, where)
    if declared and declared != listed:
        raise VerificationError(f"{name}: {where} says {listed[1]}, declared is {declared[1]}.")
    return listed


def verify_file(path: Path, expected: Expected, digests: t.Mapping[str, str] | None = None) -> Verified:
    """Compare a file with what it has to be. ``digests`` known from writing it save reading it again."""
    algorithms = ("sha256", expected.digest[0]) if expected.digest else ("sha256",)
    if digests is None or not set(algorithms) <= set(digests):
        digests = checksums.hash_file(path, dict.fromkeys(algorithms))
    if expected.digest and digests[expected.digest[0]] != expected.digest[1]:
        algorithm, wanted = expected.digest
        raise VerificationError(
            f"{path}: its {algorithm} is {digests[algorithm]}, it has to be {wanted}.",
            remedy="The file is corrupt or another one: remove it, and it will be fetched again.",
        )
    signed_by = expected.seal.check(path).key if expected.seal else expected.signed_by
    return Verified(dict(digests), signed_by)
