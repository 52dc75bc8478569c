# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps what Python compiles from zip files, in the folder ``COMPILED_ONCE``.

Ansible hands a module over as a zip file with all that the module imports, and Python compiles it at each start:
longer than most modules work. A test that runs playbooks starts the same ones many times. Python loads this by itself
where it finds it in its path.
"""

from __future__ import annotations

import importlib.util
import marshal
import os
import types
import zipimport


def compile_once(pathname: str, source: bytes) -> types.CodeType:
    """As ``zipimport`` does it; a file of one name and content is the same in each zip file."""
    name = pathname.partition(".zip")[2]
    kept = os.path.join(FOLDER, importlib.util.source_hash(name.encode() + source).hex())
    try:
        with open(kept, "rb") as stream:
            return marshal.load(stream)  # type: ignore[no-any-return]
    except FileNotFoundError:
        pass
    code: types.CodeType = COMPILE(pathname, source)
    part = f"{kept}.{os.getpid()}"
    with open(part, "wb") as stream:
        marshal.dump(code, stream)
    os.replace(part, kept)
    return code


FOLDER = os.environ.get("COMPILED_ONCE", "")
COMPILE = zipimport._compile_source  # type: ignore[attr-defined]
if FOLDER:
    zipimport._compile_source = compile_once  # type: ignore[attr-defined]
