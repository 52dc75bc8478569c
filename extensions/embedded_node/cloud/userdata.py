# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""User and vendor data: cloud-config, scripts and MIME archives of them, put together as cloud-init does."""

from __future__ import annotations

import email
import gzip
import re
import typing as t
from dataclasses import dataclass, field

import yaml

Config = dict[str, t.Any]
SCRIPT, CONFIG, JINJA = "#!", "#cloud-config", "## template: jinja"
#: What a part is by its first line; MIME says it in so many words.
MIME_TYPES = {"text/x-shellscript": SCRIPT, "text/cloud-config": CONFIG, "text/jinja2": JINJA}
PLACEHOLDER = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")


@dataclass
class Parts:
    """What data of one origin hold: one configuration, scripts in order, and what was wrong."""

    config: Config = field(default_factory=dict)
    scripts: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read(data: bytes, known: t.Mapping[str, str]) -> Parts:
    """The parts of user or vendor data; ``known`` are the values that templates may name."""
    parts = Parts()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    _part(data.decode("utf-8", "replace"), known, parts)
    return parts


def _part(text: str, known: t.Mapping[str, str], parts: Parts, mime: str = "") -> None:
    if not text.strip():
        return
    kind = MIME_TYPES.get(mime) or next((kind for kind in (JINJA, CONFIG, SCRIPT) if text.startswith(kind)), "")
    if kind == JINJA:
        _part(PLACEHOLDER.sub(lambda found: known.get(found[1], found[0]), text.partition("\n")[2]), known, parts)
    elif kind == CONFIG:
        _merge_config(text, parts)
    elif kind == SCRIPT:
        parts.scripts.append(text)
    elif re.match(r"(?i)(?:content-type|mime-version):", text):
        for part in email.message_from_string(text).walk():
            body = part.get_payload(decode=True)
            if not part.is_multipart() and isinstance(body, bytes):
                _part(body.decode("utf-8", "replace"), known, parts, part.get_content_type())
    else:
        parts.warnings.append(f"Unhandled non-multipart (text/x-not-multipart) userdata: '{text[:24]!r}...'")


def _merge_config(text: str, parts: Parts) -> None:
    try:
        told = yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        place = f" Invalid format at line {where.line + 1} column {where.column + 1}:" if where else ""
        parts.warnings.append(f'Failed loading yaml blob.{place} "{error}"')
        return
    if isinstance(told, dict):
        parts.config = merged(told, parts.config)
    elif told is not None:
        kind = type(told).__name__
        parts.warnings.append(f"Failed loading yaml blob. Yaml load allows (<class 'dict'>,) root types, "
                              f"but got {kind} instead")  # fmt: skip


def merged(first: Config, second: Config) -> Config:
    """Both configurations; where both say something the first counts, and only mappings are merged inside."""
    result = dict(second)
    for key, value in first.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(value, result[key]) if both else value
    return result
