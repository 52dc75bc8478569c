# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets plain ``pytest`` import the collection by its real name: the tree ``.build`` holds a link to the checkout."""

from __future__ import annotations

import importlib
import os
import sys
import typing as t
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
LINK = ROOT / ".build" / "ansible_collections" / "pve" / "provision"


def make_tree() -> None:
    """Make the link unless it is there; several test processes may do so at once."""
    LINK.parent.mkdir(parents=True, exist_ok=True)
    if not LINK.is_symlink():
        ours = LINK.with_name(f".provision-{os.getpid()}")
        ours.symlink_to(ROOT, target_is_directory=True)
        ours.replace(LINK)
    importlib.invalidate_caches()  # pytest's pythonpath has had a look before it was there


make_tree()
# A template in what is not trusted (ansible-core 2.19 and newer) would be shown as it is, and nobody would notice.
os.environ["_ANSIBLE_TEMPLAR_UNTRUSTED_TEMPLATE_BEHAVIOR"] = "error"
# Commands that the tests start import the same code.
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / ".build"), str(ROOT / "extensions")])
# They are compiled once, also in an image of a container that has Python keep nothing.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Programs for file systems are where the PATH of most users does not look.
os.environ["PATH"] += ":/usr/sbin:/sbin"
for entry in (str(ROOT / "extensions"), str(ROOT / ".build")):
    if entry not in sys.path:
        sys.path.insert(0, entry)

# Tasks of the embedded node end sooner than PVE's.
importlib.import_module("ansible_collections.pve.provision.plugins.module_utils._pve.tasks").PAUSES = (0.05, 2.0)

# What takes longest begins first, so that no worker is left with it at the end. One file of tests of real containers
# makes the template that the others of them need: they would wait for it.
LONGEST = (
    *("tests/containers/test_application.py", "tests/integration", "tests/containers"),
    *("tests/unit/plugins/modules", "tests/conformance"),
)


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[None]:
    """What is kept in the user's cache is seen by no other worker and by no later run."""
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("user-cache")))
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by how long the tests of a folder take; within one folder nothing changes."""

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(ROOT).as_posix()
        return next((at for at, folder in enumerate(LONGEST) if name.startswith(folder)), len(LONGEST))

    items.sort(key=place)


settings.register_profile(
    "provision", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("provision")
