# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: registries of OCI images (distribution-spec): what they have, and where it is.

Everything is asked for by its digest, but for a tag, whose digest is that of the answer. A registry that wants a token
says where one is to be had; public images get one without a login.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import typing as t
import urllib.parse
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError, VerificationError
from ansible_collections.pve.provision.plugins.module_utils._images.connection import open_url
from ansible_collections.pve.provision.plugins.module_utils._images.http import (
    ACCESS,
    Access,
    Deadline,
    Failed,
    Retries,
    Timeouts,
    shown,
    try_mirrors,
)
from ansible_collections.pve.provision.plugins.module_utils._images.oci import manifest as documents
from ansible_collections.pve.provision.plugins.module_utils._images.oci.manifest import Blob, ImageConfig, Manifest
from ansible_collections.pve.provision.plugins.module_utils._images.texts import read_all
from ansible_collections.pve.provision.plugins.module_utils._io.clock import SYSTEM, Clock
from ansible_collections.pve.provision.plugins.module_utils._model.oci import HUB, OciReference

# Docker Hub's registry is not where its images are named after.
_HOSTS: t.Final = {HUB: "registry-1.docker.io"}
_CHALLENGE: t.Final = re.compile(r'(\w+)="([^"]*)"')
_TOKEN_BYTES: t.Final = 64 << 10
# What the answers mean that are the registry's last word.
_REFUSALS: t.Final = {
    401: "it requires a login: there is no such image, or it is not public",
    403: "it refuses access: there is no such image, or it is not public",
    404: "it has no such image",
}
# For how many seconds a token is sure to be taken: those that say nothing of it hold for a minute.
_FRESH: t.Final = 40.0
_TIMEOUTS: t.Final = Timeouts(connect=10, read=30, total=90)
_RETRIES: t.Final = Retries(attempts=3)


class NotGiven(ImageError):
    """The registry has answered: it has no such image, or none for this login."""


@dataclass(frozen=True)
class Login:
    """An account of a registry, with its password or a token that it has given out for good."""

    user: str
    password: str = field(repr=False)

    @property
    def header(self) -> str:
        return f"Basic {base64.b64encode(f'{self.user}:{self.password}'.encode()).decode('ascii')}"


@dataclass(frozen=True)
class ResolvedImage:
    """What a name means: ``digest`` is that of the document that it names, ``contents`` that of the image for the
    architecture, which is the same where the name leads to one image alone."""

    reference: OciReference
    digest: str
    contents: str
    manifest: Manifest
    config: ImageConfig
    config_text: bytes = field(repr=False)


@dataclass
class Registry:
    """The registry of one image, as one run asks it. ``login`` is for images that are not public."""

    reference: OciReference
    login: Login | None = None
    access: Access = ACCESS
    clock: Clock = SYSTEM
    _challenge: str = field(default="", repr=False)
    _token: str = field(default="", repr=False)
    _since: float = 0.0

    @property
    def url(self) -> str:
        """Where it has everything of the image."""
        reference = self.reference
        scheme = "http" if reference.is_local else "https"
        return f"{scheme}://{_HOSTS.get(reference.registry, reference.registry)}/v2/{reference.name}"

    def resolve(self, architecture: str) -> ResolvedImage:
        """What the name means for an architecture. Raises ImageError, NotGiven where that is the registry's word,
        VerificationError and Timeout."""
        reference, what = self.reference, str(self.reference)
        content = self._document(reference.which, reference.digest)
        digest = contents = documents.digest_of(content)
        if documents.is_index(content, what):
            contents = documents.choose(content, architecture, what).digest
            content = self._document(contents, contents)
        manifest = documents.read_manifest(content, what)
        config = self._read(f"{self.url}/blobs/{manifest.config.digest}", manifest.config.digest)
        read = documents.read_config(config, what)
        return ResolvedImage(reference, digest, contents, manifest, read, config)

    def blob(self, blob: Blob) -> tuple[str, Access]:
        """Where a blob is to be had, and how."""
        if self._challenge and self.clock.now() - self._since > _FRESH:
            self._renew(Deadline.start(str(self.reference), _TIMEOUTS, self.clock))
        return f"{self.url}/blobs/{blob.digest}", self._allowed()

    def _document(self, which: str, digest: str) -> bytes:
        return self._read(f"{self.url}/manifests/{which}", digest)

    def _read(self, url: str, digest: str) -> bytes:
        """A document, which has this digest where one is given."""
        deadline = Deadline.start(str(self.reference), _TIMEOUTS, self.clock)
        content = try_mirrors(
            str(self.reference), [url], lambda at: self._attempt(at, deadline), retries=_RETRIES, deadline=deadline
        )
        found = documents.digest_of(content)
        if digest and found != digest:
            raise VerificationError(
                f"{self.reference}: the registry answers {shown(url)} with something whose digest is {found}.",
                remedy="It is not used. A proxy may stand between; look at the registry.",
            )
        return content

    def _attempt(self, url: str, deadline: Deadline) -> bytes:
        try:
            return self._get(url, deadline)
        except Failed as failure:
            if failure.status != 401 or not failure.challenge:
                raise self._told(url, failure) from failure
            self._challenge = failure.challenge
        try:
            self._renew(deadline)
            return self._get(url, deadline)
        except Failed as failure:
            raise self._told(url, failure) from failure

    def _told(self, url: str, failure: Failed) -> Failed | NotGiven:
        """What an answer means that a registry gives for an image that it has not, or not for everybody."""
        words = _REFUSALS.get(failure.status or 0)
        if words:
            said = f"{self.reference} could not be fetched: {shown(url)}: {words} (HTTP {failure.status})."
            return NotGiven(said, remedy="Check its name, and declare image.username where it takes a login.")
        if failure.status == 429:
            reason = f"too many requests were made from here (HTTP {failure.status})"
            return Failed(reason, retry=failure.retry, wait=failure.wait, status=failure.status)
        return failure

    def _get(self, url: str, deadline: Deadline) -> bytes:
        with open_url(url, {}, self._allowed(Accept=documents.ACCEPT), _TIMEOUTS, deadline) as response:
            return read_all(response, documents.DOCUMENT_BYTES, deadline)

    def _allowed(self, **headers: str) -> Access:
        """How the registry is spoken to. It may send us on to where its blobs are, and what is ours stays here."""
        if self._token:
            headers["Authorization"] = self._token
        return dataclasses.replace(self.access, headers=headers)

    def _renew(self, deadline: Deadline) -> None:
        self._token, self._since = self._new_token(self._challenge, deadline), self.clock.now()

    def _new_token(self, challenge: str, deadline: Deadline) -> str:
        """What a registry wants to be shown, with a token from where it says. Nobody is to read along."""
        scheme, _space, rest = challenge.partition(" ")
        told = dict(_CHALLENGE.findall(rest))
        realm = urllib.parse.urlsplit(told.get("realm", ""))
        if scheme.lower() == "basic" and self.login:
            return self.login.header
        if scheme.lower() != "bearer" or not realm.netloc:
            raise Failed(
                "it requires a login" + (" of a kind that is not known here" if self.login else ""), retry=False
            )
        if realm.scheme != "https" and not self.reference.is_local:
            raise Failed(f"it has its tokens from {shown(realm.geturl())}, which is not https", retry=False)
        query = {"scope": f"repository:{self.reference.name}:pull"}
        if told.get("service"):
            query["service"] = told["service"]
        given = [pair for pair in urllib.parse.parse_qsl(realm.query) if pair[0] not in query]
        url = realm._replace(query=urllib.parse.urlencode([*given, *query.items()])).geturl()
        login = {"Authorization": self.login.header} if self.login else {}
        with open_url(url, {}, dataclasses.replace(self.access, headers=login), _TIMEOUTS, deadline) as response:
            content = read_all(response, _TOKEN_BYTES, deadline)
        try:
            answer = json.loads(content)
            return f"Bearer {answer.get('token') or answer['access_token']}"
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise Failed(f"{shown(url)} answers with no token", retry=False) from error
