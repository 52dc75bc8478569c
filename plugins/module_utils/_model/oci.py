# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: OCI images by their names, and what a container remembers of the one it was made from."""

from __future__ import annotations

import ipaddress
import re
import typing as t
from dataclasses import dataclass

HUB: t.Final = "docker.io"
# What a registry's name has and the first part of an image's own has not: a dot, a port, or it is this machine.
_REGISTRY: t.Final = re.compile(
    r"(localhost|[a-z0-9-]+(\.[a-z0-9-]+)+|[a-z0-9-]+(?=:\d)|\[[0-9a-f:]+\])(:\d{1,5})?", re.ASCII | re.IGNORECASE
)
_WORD: t.Final = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_NAME: t.Final = re.compile(
    rf"(?P<name>{_WORD}(?:/{_WORD})*)(?::(?P<tag>\w[\w.-]{{0,127}}))?(?:@(?P<digest>sha256:[0-9a-f]{{64}}))?", re.ASCII
)
# PVE's words for architectures, and those of images.
PLATFORMS: t.Final = {"amd64": "amd64", "arm64": "arm64", "armhf": "arm", "i386": "386", "riscv64": "riscv64"}
# What PVE makes of an image's config at the creation of a container, besides what is an option of its own
# (pve-container, LXC/Create.pm, restore_oci_archive).
IMAGE_LINES: t.Final = ("lxc.init.uid", "lxc.init.gid", "lxc.init.groups", "lxc.init.cwd", "lxc.signal.halt")
_RECORD: t.Final = re.compile(r"^Image: (?P<reference>\S+), contents (?P<contents>sha256:[0-9a-f]{64})$", re.MULTILINE)


@dataclass(frozen=True)
class OciReference:
    """The name of an image: ``REGISTRY/NAME``, and a tag, a digest, or both. With both the digest counts."""

    registry: str
    name: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> OciReference:
        """Read a name as container tools do: without a registry it is one of Docker Hub's. ValueError says what is
        wrong."""
        first, slash, rest = text.strip().partition("/")
        registry = first.lower() if slash and _REGISTRY.fullmatch(first) else ""
        found = _NAME.fullmatch(rest if registry else text.strip())
        if found is None:
            raise ValueError("is not the name of an image, such as docker.io/library/nginx:1.29 or NAME@sha256:DIGEST")
        if not found["tag"] and not found["digest"]:
            raise ValueError("names neither a tag nor a digest")
        name, registry = found["name"], registry or HUB
        if registry == HUB and "/" not in name:
            name = f"library/{name}"
        return cls(registry, name, found["tag"] or "", found["digest"] or "")

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.registry}/{self.name}{tag}{f'@{self.digest}' if self.digest else ''}"

    @property
    def which(self) -> str:
        """What a registry is asked for."""
        return self.digest or self.tag

    @property
    def is_local(self) -> bool:
        """Whether the registry is on this machine, where container tools speak plain HTTP too."""
        host = self.registry.rpartition(":")[0] if re.search(r":\d+$", self.registry) else self.registry
        if host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host.strip("[]")).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True)
class OciRecord:
    """The image that a container was made from: as it was named, with the digest that this had then, and the digest of
    its contents for the container's architecture, which is the same where the name leads to one image alone."""

    reference: OciReference
    contents: str

    def __str__(self) -> str:
        return f"Image: {self.reference}, contents {self.contents}"

    @classmethod
    def find(cls, description: str) -> OciRecord | None:
        """What a container's description tells of its image."""
        found = _RECORD.search(description)
        if found is None:
            return None
        try:
            return cls(OciReference.parse(found["reference"]), found["contents"])
        except ValueError:
            return None

    def covers(self, wanted: OciReference) -> bool:
        """Whether a name means this image, as far as can be said without asking its registry."""
        held = self.reference
        if (held.registry, held.name) != (wanted.registry, wanted.name):
            return False
        return wanted.digest in (held.digest, self.contents) if wanted.digest else wanted.tag == held.tag


def with_record(description: str, record: OciRecord | None) -> str:
    """A description that tells the image, in place of what it told of one."""
    rest = _RECORD.sub("", description).strip("\n")
    return "\n\n".join(part for part in (rest, str(record) if record else "") if part)


def merged_environment(base: t.Iterable[str], own: t.Iterable[str]) -> tuple[str, ...]:
    """Environment variables (``NAME=value``) with some of one's own over them, in the order in which they were."""
    values = {entry.partition("=")[0]: entry for entry in base}
    return tuple({**values, **{entry.partition("=")[0]: entry for entry in own}}.values())
