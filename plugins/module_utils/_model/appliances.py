# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: PVE's index of container templates, as text. Pure.

Shape (pve-manager's aplinfo/README.format and APLInfo.pm): paragraphs of ``Field: value`` as in Debian's control
files, one an appliance: Package, Version, Type, OS, Section (``system``, ``turnkeylinux``, ``mail``), Architecture,
Location (relative to the index, or a URL), md5sum, sha512sum, Infopage, Description. The paragraph ``pve-web-news`` is
none.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

Fields = dict[str, str]


@dataclass(frozen=True)
class Appliance:
    """A container template that can be downloaded. ``file`` is its name on a storage."""

    package: str
    version: str
    url: str
    sha512: str = ""
    arch: str = "amd64"

    @property
    def file(self) -> str:
        return self.url.rpartition("/")[2]

    @classmethod
    def of(cls, fields: t.Mapping[str, t.Any], base: str) -> Appliance:
        """By the fields of an index that lies at ``base``."""
        location = str(fields["location"])
        absolute = re.match(r"[a-z]+://", location, re.IGNORECASE)
        return cls(
            package=str(fields["package"]),
            version=str(fields["version"]),
            url=location if absolute else f"{base}/{location}",
            sha512=str(fields.get("sha512sum") or "").lower(),
            arch=str(fields.get("architecture") or "amd64"),
        )


def paragraphs(text: str) -> list[Fields]:
    """The appliances of an index: field names in lower case, the description's first line only."""
    found: list[Fields] = []
    for paragraph in re.split(r"\n[ \t]*\n", text):
        pairs = re.findall(r"^([A-Za-z][\w-]*):[ \t]*(.*?)[ \t]*$", paragraph, re.MULTILINE)
        fields = {name.lower(): value for name, value in pairs}
        if is_template(fields):
            found.append(fields)
    return found


def is_template(fields: t.Mapping[str, t.Any]) -> bool:
    """Whether a paragraph names something to download."""
    return bool(fields.get("package") and fields.get("version") and fields.get("location"))


def containers(found: t.Iterable[t.Mapping[str, t.Any]], base: str = "") -> list[Appliance]:
    """The container templates among the appliances of an index."""
    return [Appliance.of(each, base) for each in found if is_template(each) and each.get("type", "lxc") == "lxc"]
