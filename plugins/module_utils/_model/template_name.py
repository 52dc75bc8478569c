# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the file names of container templates (``debian-13-standard_13.1-2_amd64.tar.zst``)."""

from __future__ import annotations

import functools
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._io.versions import Key, key

_SUFFIX = re.compile(r"\.tar(\.(gz|xz|zst|bz2|lzo))?$|\.tgz$")
_ARCH = re.compile(r"[_-](amd64|i386|arm64|armhf|riscv32|riscv64)$")

# The name a template's file starts with, and the ostype PVE gives to what it unpacks from it.
OSTYPE_BY_NAME = (
    ("debian", "debian"),
    ("devuan", "devuan"),
    ("ubuntu", "ubuntu"),
    ("centos", "centos"),
    ("rockylinux", "centos"),
    ("almalinux", "centos"),
    ("fedora", "fedora"),
    ("opensuse", "opensuse"),
    ("archlinux", "archlinux"),
    ("alpine", "alpine"),
    ("gentoo", "gentoo"),
    ("nixos", "nixos"),
)


@dataclass(frozen=True)
class TemplateName:
    """The parts of a template's file name; what a name does not say is empty."""

    file: str
    name: str
    version: str
    arch: str

    @functools.cached_property
    def ostype(self) -> str | None:
        """The ostype PVE detects in such a template, where the name tells."""
        return next((ostype for prefix, ostype in OSTYPE_BY_NAME if self.name.startswith(prefix)), None)

    @property
    def age(self) -> tuple[Key, Key]:
        """Sorts templates from old to new."""
        return key(self.name), key(self.version)


@functools.lru_cache(maxsize=1024)
def parse_template(file: str) -> TemplateName:
    """Take a template's file name (or volid) apart."""
    base = re.split(r"[:/]", file)[-1]
    stem = _SUFFIX.sub("", base)
    arch = _ARCH.search(stem)
    stem = _ARCH.sub("", stem)
    name, _unused, version = stem.partition("_")
    return TemplateName(base, name, version, arch[1] if arch else "")


def newest_match(wanted: str, volids: t.Iterable[str], arch: str | None = None) -> str | None:
    """The newest volid that a name means: its file name, its name, or the beginning of that up to a hyphen."""

    def fits(template: TemplateName) -> bool:
        names = {template.file, template.name, f"{template.name}_{template.version}"}
        alike = wanted in names or template.name.startswith(f"{wanted}-")
        return alike and (not arch or not template.arch or template.arch == arch)

    found = [(parse_template(volid), volid) for volid in volids]
    matching = [(template.age, volid) for template, volid in found if fits(template)]
    return max(matching)[1] if matching else None
