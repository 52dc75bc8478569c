# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a release is, and the engine that reads a source's index into one.

A source is a :class:`Layout`, which is data: where its index is, how a directory is named, what its checksum list is
called, and anchored patterns that find the artefacts by their real names in that list. :class:`Listed` reads any of
them. Fetching is injected as a :data:`Read`, so nothing here does I/O.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Finding,
    ImageError,
    InvalidInput,
)
from ansible_collections.pve.provision.plugins.module_utils._images.http import shown
from ansible_collections.pve.provision.plugins.module_utils._io import versions as order

Kind = t.Literal["rootfs", "disk", "iso"]
Verify = t.Literal["required", "checksum", "none"]
SignatureKind = t.Literal["usign", "gpg-detached", "gpg-clearsigned", "openssl-sha256"]
T = t.TypeVar("T")


#: What a parser raises about a document that is not what it should be.
UNREADABLE: t.Final = (ValueError, LookupError, TypeError, AttributeError)


class Read(t.Protocol):
    """Fetch a document from the first of several URLs that has a good one, and parse it.

    Both in one step, so that an answer that does not parse counts as none. Raises ImageError or Timeout.
    """

    def __call__(self, urls: t.Sequence[str], parse: t.Callable[[bytes], T], /) -> T: ...


def unreadable(url: str, error: Exception) -> ImageError:
    """The error about a document that does not parse."""
    return ImageError(
        f"What {shown(url)} answers is not the index it should be: {type(error).__name__}: {error}.",
        remedy="A proxy or a log-in page may stand between; look at the URL, or name another mirror.",
    )


def plain(get: t.Callable[[str], bytes]) -> Read:
    """A :class:`Read` without a cache, from a function that fetches one URL."""

    def read(urls: t.Sequence[str], parse: t.Callable[[bytes], T], /) -> T:
        errors: list[ImageError] = []
        for url in urls:
            try:
                return parse(get(url))
            except ImageError as error:
                errors.append(error)
            except UNREADABLE as error:
                errors.append(unreadable(url, error))
        raise errors[0]

    return read


@dataclass(frozen=True)
class Key:
    """A public key that may sign. usign: hex key id and base64 key; GPG: fingerprint and where its key block is.

    ``path`` names a key file of the node that is used instead of fetching ``url``.
    """

    id: str
    public: str = ""
    url: str = ""
    path: str = ""


@dataclass(frozen=True)
class Signature:
    """A signature, over the checksum list or (``covers`` artefact) over the file itself."""

    kind: SignatureKind
    url: str
    keys: tuple[Key, ...]
    covers: t.Literal["list", "artefact"] = "list"


@dataclass(frozen=True)
class Binding:
    """A signed document that says which files a version has, where the signed list itself names no version.

    ``digests`` reads it: file name to SHA-256, of that version alone.
    """

    url: str
    signature: Signature
    digests: t.Callable[[bytes], t.Mapping[str, str]] = field(compare=False)


@dataclass(frozen=True)
class Artefact:
    """One file of a release. ``digest`` is (algorithm, hex) of the file as it lies on the server, ``size`` its bytes.

    ``mirrors`` are further URLs of the same bytes. Where the list does not hold the digest, ``checksum_url`` names a
    list for this one file, and ``signature`` a signature over the file itself. ``format`` (qcow2, raw) of a disk
    image is set where its name does not tell. ``offered_by_pve``: PVE's own index of templates lists it, so PVE can be
    told to fetch and verify it by its name. ``assembled``: it lies nowhere as one file, but is put together here out of
    parts that its digest vouches for.
    """

    name: str
    url: str
    kind: Kind
    arch: str = "amd64"
    variant: str = ""
    compression: str = ""
    format: str = ""
    size: int | None = None
    digest: tuple[str, str] | None = None
    mirrors: tuple[str, ...] = ()
    checksum_url: str = ""
    signature: Signature | None = None
    offered_by_pve: bool = False
    assembled: bool = False


@dataclass(frozen=True)
class Release:
    """One version of a source, resolved to files.

    ``checksum_text`` are the very bytes of the list that the digests were read from: a signature is checked over
    these, not over a second download. ``built`` is the time (epoch seconds) the release says it was made, where it
    says so. ``facts``: a further file (name, content) that its version was read from, and that the list has to hold.
    ``binding``: what else has to say that its files are this version. ``elsewhere``: where what it lacks is found.
    """

    source: str
    version: str
    artefacts: tuple[Artefact, ...]
    checksum_list: str | None = None
    checksum_kind: str = ""
    checksum_text: bytes = field(default=b"", repr=False)
    signature: Signature | None = None
    built: int | None = None
    facts: tuple[str, bytes] | None = field(default=None, repr=False)
    binding: Binding | None = None
    elsewhere: str = ""

    def pick(self, kind: Kind, variant: str = "") -> Artefact:
        """The artefact of a kind; without ``variant`` the first, which each source orders by what fits PVE best."""
        of_kind = [a for a in self.artefacts if a.kind == kind]
        for artefact in of_kind:
            if variant in ("", artefact.variant):
                return artefact
        have = ", ".join(f"{a.kind} {a.variant}".strip() for a in self.artefacts) or "nothing"
        raise ImageError(
            f"{self.source} {self.version} has no {kind} image{f' of variant {variant}' if variant else ''}.",
            remedy=f"It has: {have}. {self.elsewhere}".strip(),
        )


class Source(t.Protocol):
    """Where images come from."""

    @property
    def name(self) -> str: ...

    @property
    def default(self) -> str:
        """The version that an empty ``wanted`` means."""

    @property
    def keys(self) -> tuple[Key, ...] | None:
        """The known keys that may have signed what it has; None where it signs nothing."""

    @property
    def verify(self) -> Verify:
        """What is asked of its images where the user does not say."""

    def versions(self) -> tuple[str, ...]:
        """What can be asked for, newest first."""

    def resolve(self, wanted: str = "", arch: str = "amd64") -> Release:
        """The files of one version. An empty ``wanted`` is the source's own default."""


def choose(source: str, wanted: str, available: t.Sequence[str]) -> str:
    """The newest available version that fits, or an error that names the nearest ones."""
    found = order.newest(available, "" if wanted == "latest" else wanted)
    if found is None:
        some = ", ".join(order.descending(available)[:8]) or "none"
        raise InvalidInput(
            [Finding("version", wanted, f"is not a version that {source} has", f"Newest it has: {some}")]
        )
    return found


def their_arch(source: str, arch: str, arches: t.Mapping[str, str]) -> str:
    """The source's own name of an architecture."""
    if arch not in arches:
        raise InvalidInput([Finding("arch", arch, f"is not built by {source}", f"It has: {', '.join(arches)}")])
    return arches[arch]


def directory_names(body: bytes) -> list[str]:
    """The entries of an HTML directory listing (Apache, nginx, lighttpd), directories with their ``/``."""
    text = body.decode("utf-8", "replace")
    names = re.findall(r"""href=["'](?:\./)?([^"'?#:]+?)["']""", text, re.IGNORECASE)
    relative = [name for name in names if not name.startswith(("/", ".."))]
    if not relative:
        raise ValueError("no directory listing")
    return list(dict.fromkeys(relative))


def subdirectories(body: bytes) -> list[str]:
    """The sub-directories of an HTML directory listing, without the ``/``."""
    return [name.rstrip("/") for name in directory_names(body) if name.endswith("/")]


def json_document(body: bytes) -> t.Any:
    """A JSON document; ValueError when it is none."""
    return json.loads(body.decode("utf-8"))


def path_of(url: str) -> str:
    """The path of an absolute URL, without the leading slash: what to ask a mirror for."""
    return urlsplit(url).path.lstrip("/")


def clean_bases(official: str, mirrors: t.Sequence[str]) -> tuple[str, ...]:
    """The servers to ask, in order: the user's mirrors, or the official one when there are none."""
    return tuple(base.rstrip("/") for base in mirrors) or (official.rstrip("/"),)
