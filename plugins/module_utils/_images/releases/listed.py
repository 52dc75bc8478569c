# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: sources that publish files beside a checksum list, and differ in where and what alone."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    ImageError,
    VerificationError,
)
from ansible_collections.pve.provision.plugins.module_utils._images import checksums
from ansible_collections.pve.provision.plugins.module_utils._images.http import shown
from ansible_collections.pve.provision.plugins.module_utils._images.releases.base import (
    Artefact,
    Key,
    Kind,
    Read,
    Release,
    Signature,
    SignatureKind,
    T,
    Verify,
    choose,
    clean_bases,
    their_arch,
)
from ansible_collections.pve.provision.plugins.module_utils._io import versions as order


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
    elsewhere: str = ""


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
            artefact = self._artefact(directory, image, match, entries[match.string], arch)
            artefacts.setdefault((artefact.kind, artefact.variant), artefact)
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
            elsewhere=layout.elsewhere,
        )

    def _artefact(
        self, directory: str, image: Image, match: re.Match[str], digest: tuple[str, str], arch: str
    ) -> Artefact:
        url, others = self.files.urls(f"{directory}/{match.string}")
        return Artefact(
            name=match.string,
            url=url,
            kind=image.kind,
            arch=arch,
            variant=match.expand(image.variant),
            compression=image.compression,
            format=image.format,
            digest=digest,
            mirrors=others,
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
