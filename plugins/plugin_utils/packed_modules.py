# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: modules as Ansible has packed them for the way to a node, kept for the next play.

Ansible reads a module and all that it imports, and packs that: more than a second for a module of this collection. It
keeps the result in its temporary directory, for as long as ``ansible-playbook`` runs
(``ansible/executor/module_common.py``). Here it is put aside after a task, and back before the first task of the next
run, as long as nothing that is in it has changed. Where anything is not as expected, Ansible packs, as ever.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
import typing as t
from pathlib import Path

from ansible import constants as C
from ansible.plugins.loader import module_utils_loader
from ansible.release import __version__ as ansible_version

from ansible_collections.pve.provision.plugins.module_utils._io.files import write_atomically
from ansible_collections.pve.provision.plugins.module_utils._io.private import private_directory, user_cache

COLLECTION: t.Final = Path(__file__).resolve().parents[2]
#: What is packed with the modules of this collection, and where Ansible is told to take one for another.
SOURCES: t.Final = ("plugins/modules", "plugins/module_utils", "meta/runtime.yml")
#: How the names of packed modules of this collection begin, and how they end where nothing was added for debugging.
OURS: t.Final = "ansible_collections.pve.provision.plugins.modules."
PLAIN: t.Final = ("-ZIP_DEFLATED", "-ZIP_STORED", "-none")
#: Of how many states of the collection modules are kept.
KEPT: t.Final = 3


def ansible_keeps() -> Path:
    """Where Ansible looks for modules that it has packed in this run."""
    return Path(C.DEFAULT_LOCAL_TMP) / "ansiballz_cache"


def we_keep() -> Path:
    """Where they lie from one run to the next."""
    return user_cache() / "modules"


def fingerprint() -> str:
    """What the packed modules are made from, in short: this collection by its contents, for some ways to install one
    give all files the same time, and what Ansible or the user has for it by sizes and times."""
    seen = hashlib.sha256(f"{ansible_version} {sys.version}".encode())
    for path in sorted(file for name in SOURCES for file in _files(COLLECTION / name)):
        seen.update(f"\n{path} {hashlib.sha256(path.read_bytes()).hexdigest()}".encode())
    theirs = map(Path, module_utils_loader.print_paths().split(os.pathsep))
    for path in sorted(file for place in theirs for file in _files(place)):
        found = path.stat()
        seen.update(f"\n{path} {found.st_size} {found.st_mtime_ns}".encode())
    return seen.hexdigest()[:32]


def _files(place: Path) -> t.Iterator[Path]:
    if place.is_file():
        yield place
    for folder, folders, names in os.walk(place):
        folders[:] = [name for name in folders if name != "__pycache__"]
        yield from (Path(folder) / name for name in names)


@contextlib.contextmanager
def kept() -> t.Iterator[None]:
    """What is kept is at Ansible's hand within, and what it packs meanwhile is kept afterwards."""
    before = ""
    with contextlib.suppress(OSError):
        before = fingerprint()
        _put_back(private_directory(we_keep()) / before)
    yield
    with contextlib.suppress(OSError):
        if before == fingerprint():
            _put_aside(private_directory(we_keep()) / before)


def _put_back(folder: Path) -> None:
    here = ansible_keeps()
    if not folder.is_dir():
        return
    here.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in private_directory(folder).iterdir():
        if file.name.startswith(OURS) and not (here / file.name).exists():
            write_atomically(here / file.name, file.read_bytes())


def _put_aside(folder: Path) -> None:
    new = [
        file
        for file in ansible_keeps().iterdir()
        if file.name.startswith(OURS) and file.name.endswith(PLAIN) and not (folder / file.name).exists()
    ]
    for file in new:
        write_atomically(private_directory(folder) / file.name, file.read_bytes())
    if new:
        others = sorted(folder.parent.iterdir(), key=lambda each: each.stat().st_mtime, reverse=True)
        for old in others[KEPT:]:
            shutil.rmtree(old)
