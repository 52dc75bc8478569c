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
    VerificationError,
)
from ansible_collections.pve.provision.plugins.module_utils._images import checksums
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
    told to fetch and verify it by its name.
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


@dataclass(frozen=True)
class Release:
    """One version of a source, resolved to files.

    ``checksum_text`` are the very bytes of the list that the digests were read from: a signature is checked over
    these, not over a second download. ``built`` is the time (epoch seconds) the release says it was made, where it
    says so. ``facts``: a further file (name, content) that its version was read from, and that the list has to hold.
    ``binding``: what else has to say that its files are this version.
    """

    source: str
    version: str
    artefacts: tuple[Artefact, ...]
    checksum_list: str | None = None
    checksum_kind: str = ""
    checksum_text: bytes = field(default=b"", repr=False)
    signature: Signature | None = None
    verify_default: Verify = "checksum"
    built: int | None = None
    facts: tuple[str, bytes] | None = field(default=None, repr=False)
    binding: Binding | None = None

    def pick(self, kind: Kind, variant: str = "") -> Artefact:
        """The artefact of a kind; without ``variant`` the first, which each source orders by what fits PVE best."""
        of_kind = [a for a in self.artefacts if a.kind == kind]
        for artefact in of_kind:
            if variant in ("", artefact.variant):
                return artefact
        have = ", ".join(f"{a.kind} {a.variant}".strip() for a in self.artefacts) or "nothing"
        raise ImageError(
            f"{self.source} {self.version} has no {kind} image{f' of variant {variant}' if variant else ''}.",
            remedy=f"It has: {have}.",
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


@dataclass(frozen=True)
class Site:
    """A server, or several with the same bytes. Paths have no leading slash."""

    read: Read
    bases: tuple[str, ...]

    def get(self, path: str, parse: t.Callable[[bytes], T]) -> T:
        """The parsed document at a path."""
        return self.read([f"{base}/{path}" for base in self.bases], parse)

    def urls(self, path: str) -> tuple[str, tuple[str, ...]]:
        """A file's first URL and its further ones."""
        first, *others = (f"{base}/{path}" for base in self.bases)
        return first, tuple(others)


@dataclass(frozen=True)
class Image:
    """A kind of file that a release may hold.

    ``pattern`` must match a whole name of the list; ``%(field)s`` stands for a field of the place, escaped. A group
    ``build`` marks a dated build: of several the newest is taken. ``variant`` may use groups of the match. ``format``
    (qcow2, raw) is needed where the name does not tell.
    """

    kind: Kind
    pattern: str
    variant: str = ""
    compression: str = ""
    format: str = ""


@dataclass(frozen=True)
class Signed:
    """How a source signs: ``name`` beside the list, with the fields of the place in it."""

    kind: SignatureKind
    name: str
    keys: tuple[Key, ...]


Fields = t.Mapping[str, str]


@dataclass(frozen=True)
class Layout:
    """A source as data.

    ``base`` is the official server. ``list_versions`` reads what there is. ``place`` turns (site, wanted, their name
    of the architecture) into the fields that ``directory``, ``listing``, the patterns and the signature's name are
    filled with; it must set ``version``, and may set ``build`` to narrow down the dated builds.
    """

    name: str
    base: str
    default: str
    arches: t.Mapping[str, str]
    list_versions: t.Callable[[Site], t.Sequence[str]]
    directory: str
    listing: str
    algorithm: str
    images: tuple[Image, ...]
    place: t.Callable[[Site, str, str], Fields] | None = None
    signed: Signed | None = None
    verify: Verify = "checksum"
    files: str = ""


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


def parse_list(body: bytes) -> dict[str, tuple[str, str]]:
    """Name to (algorithm, hex) of a checksum list of any shape; ValueError when it is none."""
    try:
        entries = checksums.parse(body.decode("utf-8"), "checksum list")
    except VerificationError as error:
        raise ValueError(error.message) from error
    return {entry.name: (entry.algorithm, entry.digest) for entry in entries if entry.algorithm in checksums.TRUSTED}


@dataclass(frozen=True)
class Listed:
    """Reads a source of any :class:`Layout`."""

    layout: Layout
    read: Read
    mirrors: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.layout.name

    @property
    def default(self) -> str:
        return self.layout.default

    @property
    def keys(self) -> tuple[Key, ...] | None:
        return self.layout.signed.keys if self.layout.signed else None

    @property
    def verify(self) -> Verify:
        return self.layout.verify

    @property
    def site(self) -> Site:
        """Where the index is."""
        return Site(self.read, clean_bases(self.layout.base, self.mirrors))

    @property
    def files(self) -> Site:
        """Where the files are: the same server unless the layout names another."""
        return Site(self.read, clean_bases(self.layout.files or self.layout.base, self.mirrors))

    def versions(self) -> tuple[str, ...]:
        return order.descending(self.layout.list_versions(self.site))

    def resolve(self, wanted: str = "", arch: str = "amd64") -> Release:
        layout = self.layout
        theirs = their_arch(layout.name, arch, layout.arches)
        wanted = wanted or layout.default
        if layout.place is None:
            fields: dict[str, str] = {"version": choose(layout.name, wanted, layout.list_versions(self.site))}
        else:
            fields = dict(layout.place(self.site, wanted, theirs))
        fields.setdefault("arch", theirs)
        directory, listing = layout.directory % fields, layout.listing % fields
        text, entries = self.files.get(f"{directory}/{listing}", lambda body: (body, parse_list(body)))
        matches = self._matches(entries, fields)
        builds = {m["build"] for _image, m in matches if "build" in m.re.groupindex}
        if builds:
            fields["version"] = choose(layout.name, fields.get("build", ""), sorted(builds))
            matches = [(i, m) for i, m in matches if m.groupdict().get("build", fields["version"]) == fields["version"]]
        artefacts: dict[tuple[str, str], Artefact] = {}
        for image, match in matches:
            variant = match.expand(image.variant)
            url, others = self.files.urls(f"{directory}/{match.string}")
            artefact = Artefact(
                name=match.string,
                url=url,
                kind=image.kind,
                arch=arch,
                variant=variant,
                compression=image.compression,
                format=image.format,
                digest=entries[match.string],
                mirrors=others,
            )
            artefacts.setdefault((image.kind, variant), artefact)
        if not artefacts:
            where = shown(self.files.urls(f"{directory}/{listing}")[0])
            raise ImageError(
                f"{layout.name} {fields['version']} lists no image for {arch} that is known by name.",
                remedy=f"Look at {where}; name the file by source: url instead.",
            )
        return Release(
            source=layout.name,
            version=fields["version"],
            artefacts=tuple(artefacts.values()),
            checksum_list=self.files.urls(f"{directory}/{listing}")[0],
            checksum_kind=layout.algorithm,
            checksum_text=text,
            signature=self._signature(directory, fields),
            verify_default=layout.verify,
        )

    def _matches(self, entries: t.Iterable[str], fields: Fields) -> list[tuple[Image, re.Match[str]]]:
        escaped = {name: re.escape(value) for name, value in fields.items()}
        found: list[tuple[Image, re.Match[str]]] = []
        for image in self.layout.images:
            pattern = re.compile(image.pattern % escaped)
            hits = [match for name in sorted(entries, key=lambda n: (len(n), n)) if (match := pattern.fullmatch(name))]
            found.extend((image, match) for match in hits)
        return found

    def _signature(self, directory: str, fields: Fields) -> Signature | None:
        signed = self.layout.signed
        if signed is None:
            return None
        url = self.files.urls(f"{directory}/{signed.name % fields}")[0]
        keys = tuple(Key(k.id, k.public, k.url % fields if "%(" in k.url else k.url, k.path) for k in signed.keys)
        return Signature(signed.kind, url, keys)
