# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guest config files in PVE's own format: options, a pending section, a section for each snapshot.

The description is kept at the top as ``#`` lines, percent-encoded; keys are written by name. Containers call the
pending section ``pve:pending`` and may hold raw ``lxc.`` lines, VMs call it ``PENDING`` and have sections of a special
use, such as ``special:cloudinit``.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from .propstring import decode_text, encode_text

SECTION = re.compile(r"\[([^\]]+)\]\s*")
RAW_LXC = re.compile(r"(lxc\.[^:=\s]+)\s*[:=]\s*(.*?)\s*")
OPTION = re.compile(r"([A-Za-z][\w-]*):\s*(.+?)\s*")
NET_KEY = re.compile(r"net\d+")
SPECIAL = "special:"
PENDING_NAMES = {"lxc": "pve:pending", "qemu": "PENDING"}
ENVIRONMENT = "lxc.environment.runtime"


@dataclass
class Section:
    """One section: options by name (the description decoded, ending in a newline) and raw lxc lines."""

    options: dict[str, str] = field(default_factory=dict)
    raw: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class GuestFile:
    """A whole guest config. ``pending["delete"]`` lists the options that wait to be deleted."""

    kind: str = "lxc"
    current: Section = field(default_factory=Section)
    waiting: Section = field(default_factory=Section)
    special: dict[str, Section] = field(default_factory=dict)
    snapshots: dict[str, Section] = field(default_factory=dict)
    digest: str = ""

    @property
    def options(self) -> dict[str, str]:
        """The live options."""
        return self.current.options

    @property
    def pending(self) -> dict[str, str]:
        """The options that the next start takes."""
        return self.waiting.options


def parse(text: str, kind: str = "lxc") -> GuestFile:
    """Read a config file. Lines that are not understood are skipped, as PVE does."""
    raw = text.encode("utf-8", "surrogateescape")
    conf = GuestFile(kind, digest=hashlib.sha1(raw, usedforsecurity=False).hexdigest())
    section = conf.current
    for line in text.splitlines():
        if found := SECTION.fullmatch(line):
            name = found[1]
            if name == PENDING_NAMES[kind]:
                section = conf.waiting
            else:
                sections = conf.special if name.startswith(SPECIAL) else conf.snapshots
                section = sections.setdefault(name.removeprefix(SPECIAL), Section())
        elif line.startswith("#"):
            section.options["description"] = section.options.get("description", "") + decode_text(line[1:]) + "\n"
        elif found := RAW_LXC.fullmatch(line):
            if found[1] == ENVIRONMENT:
                known = section.options.get("env")
                section.options["env"] = f"{known}\0{found[2]}" if known else found[2]
            else:
                section.raw.append((found[1], found[2]))
        elif found := OPTION.fullmatch(line):
            section.options[found[1]] = decode_text(found[2]) if found[1] == "description" else found[2]
    return conf


def _render_section(section: Section) -> str:
    description = section.options.get("description", "").rstrip("\n")
    lines = [f"#{encode_text(line)}" for line in description.split("\n")] if description else []
    lines += [f"{key}: {section.options[key]}" for key in sorted(section.options) if key not in ("description", "env")]
    lines += [f"{ENVIRONMENT}: {item}" for item in section.options.get("env", "").split("\0") if item]
    lines += [f"{key}: {value}" for key, value in section.raw]
    return "".join(f"{line}\n" for line in lines)


def _in_use(section: Section) -> Section:
    """A container's options without the unused volumes that are used after all: PVE drops these whenever it writes."""
    used = {
        text.partition(",")[0].removeprefix("volume=")
        for key, text in section.options.items()
        if re.fullmatch(r"rootfs|mp\d+", key)
    }
    kept = {key: text for key, text in section.options.items() if not (key.startswith("unused") and text in used)}
    return Section(kept, section.raw)


def render(conf: GuestFile) -> str:
    """The file's text."""
    text = _render_section(_in_use(conf.current) if conf.kind == "lxc" else conf.current)
    if conf.pending:
        text += f"\n[{PENDING_NAMES[conf.kind]}]\n" + _render_section(conf.waiting)
    for name in sorted(conf.special):
        text += f"\n[{SPECIAL}{name}]\n" + _render_section(conf.special[name])
    for name in sorted(conf.snapshots):
        text += f"\n[{name}]\n" + _render_section(conf.snapshots[name])
    return text
