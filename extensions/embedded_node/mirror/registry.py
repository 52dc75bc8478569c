# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry of OCI images on loopback, as the distribution specification has it, for those who pull.

``with OciRegistry() as registry: registry.push("web", "1.0", [{"etc/motd": "hello\\n"}])`` has an image that is named
``registry.name("web")``. With ``tokens`` it hands out nothing without one, which anybody gets, as public registries do.
What it counts, and what goes wrong with it, is as with any mirror.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import typing as t
import urllib.parse
from dataclasses import dataclass, field

from . import images
from .documents import Document, of_bytes
from .server import Mirror

OCI = "application/vnd.oci.image"
DOCKER = "application/vnd.docker"
#: The media types of index, manifest, config and layer.
KINDS = {
    "oci": (f"{OCI}.index.v1+json", f"{OCI}.manifest.v1+json", f"{OCI}.config.v1+json", f"{OCI}.layer.v1.tar+gzip"),
    "docker": (
        f"{DOCKER}.distribution.manifest.list.v2+json",
        f"{DOCKER}.distribution.manifest.v2+json",
        f"{DOCKER}.container.image.v1+json",
        f"{DOCKER}.image.rootfs.diff.tar.gzip",
    ),
}
Json = dict[str, t.Any]


def digest_of(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


@dataclass
class OciRegistry(Mirror):
    """The registry. ``tokens``: whoever asks has to bring one; ``account`` (``user:password``): which nobody else gets;
    ``basic``: who has to show the password each time instead."""

    sites: t.Sequence[str] = ()
    tokens: bool = False
    account: str = ""
    basic: bool = False
    _manifests: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict, init=False)
    _blobs: dict[str, bytes] = field(default_factory=dict, init=False)
    _given: set[str] = field(default_factory=set, init=False)

    def name(self, image: str) -> str:
        """How an image of this registry is named, without tag and digest."""
        return f"{urllib.parse.urlsplit(self.url).netloc}/{image}"

    # -- existing state ------------------------------------------------------------------------------------------------
    def push(
        self,
        image: str,
        tag: str,
        layers: t.Sequence[images.Tree],
        config: Json | None = None,
        *,
        form: str = "oci",
        platforms: t.Sequence[str] = ("amd64", "arm64"),
    ) -> str:
        """Publish an image, in place of what the tag named; the digest of what it names now. Without ``platforms`` the
        tag names the image itself, not an index."""
        index_type, manifest_type, _config, _layer = KINDS[form]
        entries = [
            {
                **self._put(image, self._manifest(layers, config or {}, form, platform), manifest_type),
                "platform": {"architecture": platform, "os": "linux"},
            }
            for platform in platforms or ("amd64",)
        ]
        if not platforms:
            digest = str(entries[0]["digest"])
            self._manifests[image, tag] = self._manifests[image, digest]
            return digest
        attestation = {**entries[0], "platform": {"architecture": "unknown", "os": "unknown"}}
        index = {"schemaVersion": 2, "mediaType": index_type, "manifests": [*entries, attestation]}
        body = json.dumps(index, indent=1).encode()
        digest = str(self._put(image, body, index_type)["digest"])
        self._manifests[image, tag] = index_type, body
        return digest

    def _put(self, image: str, body: bytes, kind: str) -> Json:
        digest = digest_of(body)
        self._manifests[image, digest] = kind, body
        return {"mediaType": kind, "digest": digest, "size": len(body)}

    def _manifest(self, layers: t.Sequence[images.Tree], config: Json, form: str, platform: str) -> bytes:
        _index, manifest_type, config_type, layer_type = KINDS[form]
        plain = [images.tar(tree, prefix="") for tree in layers]
        document = {
            "architecture": platform,
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in plain]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": manifest_type,
            "config": self._blob(json.dumps(document).encode(), config_type),
            "layers": [self._blob(images.gz(layer), layer_type) for layer in plain],
        }
        return json.dumps(manifest, indent=1).encode()

    def _blob(self, body: bytes, kind: str) -> Json:
        digest = digest_of(body)
        self._blobs[digest] = body
        return {"mediaType": kind, "digest": digest, "size": len(body)}

    def spoil(self, image: str, tag: str) -> None:
        """From now on something else lies under the digest of the first layer."""
        _kind, body = self._manifests[image, tag]
        document = json.loads(body)
        if "manifests" in document:
            document = json.loads(self._manifests[image, document["manifests"][0]["digest"]][1])
        digest = document["layers"][0]["digest"]
        self._blobs[digest] = self._blobs[digest][:-1] + bytes([self._blobs[digest][-1] ^ 0xFF])

    # -- answering -----------------------------------------------------------------------------------------------------
    def challenge(self, path: str, authorization: str) -> str:
        known = authorization == f"Basic {base64.b64encode(self.account.encode()).decode()}"
        if path == "/token" or self.basic:
            return "" if known or not self.account else 'Basic realm="registry"'
        if not self.tokens or not path.startswith("/v2/") or authorization.removeprefix("Bearer ") in self._given:
            return ""
        image = re.sub(r"^/v2/|/(manifests|blobs|tags)/.*$", "", path)
        return f'Bearer realm="{self.url}/token",service="registry",scope="repository:{image}:pull"'

    def answer(self, path: str, query: str) -> Document | None:
        if path == "/token":
            return self._token(urllib.parse.parse_qs(query))
        if path == "/v2/":
            return of_bytes(b"{}", "application/json")
        found = re.fullmatch(r"/v2/(.+)/(manifests|blobs|tags)/([^/]+)", path)
        if found is None:
            return None
        image, what, which = found.groups()
        if what == "tags":
            names = sorted(tag for held, tag in self._manifests if held == image and ":" not in tag)
            return of_bytes(json.dumps({"name": image, "tags": names}).encode(), "application/json")
        kind, body = "application/octet-stream", self._blobs.get(which)
        if what == "manifests":
            kind, body = self._manifests.get((image, which), ("", None))
        if body is None:
            return None
        document = of_bytes(body, kind)
        document.headers = {"Docker-Content-Digest": which if ":" in which else digest_of(body)}
        return document

    def _token(self, query: t.Mapping[str, t.Sequence[str]]) -> Document | None:
        if query.get("service") != ["registry"] or not str(query.get("scope", [""])[0]).startswith("repository:"):
            return None
        token = secrets.token_urlsafe(16)
        self._given.add(token)
        return of_bytes(json.dumps({"token": token, "expires_in": 60}).encode(), "application/json")
