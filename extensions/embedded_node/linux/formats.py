# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The formats by which commands are asked for single facts: ``%{NAME}``, ``${Version}``, ``%a``."""

from __future__ import annotations

import re
import typing as t


def filled(form: str, place: str, facts: t.Mapping[str, str], keep: bool = False) -> str:
    """A format with its places filled: ``place`` is the pattern of one, with the fact's name as its group. What is not
    known is left empty, or with ``keep`` as it is.
    """
    return re.sub(place, lambda found: facts.get(found[1], found[0] if keep else ""), form)


def unescaped(form: str) -> str:
    """A format with the line ends and tabs that it means."""
    return form.replace("\\n", "\n").replace("\\t", "\t")
