# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``uci`` itself, where there is one, is the judge of how we read, write and change."""

from __future__ import annotations

import os
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.changes import batch, changes, diff
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.config import Package, UciError
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.text import (
    parse_config,
    parse_export,
    render,
    render_export,
)
from ansible_collections.pve.provision.tests.unit.plugins.module_utils._openwrt.uci.samples import bounded, packages

if t.TYPE_CHECKING:
    pass

UCI = os.environ.get("PVE_TEST_UCI") or shutil.which("uci")

judged = pytest.mark.skipif(not UCI, reason="no uci program at hand (PVE_TEST_UCI names one)")


def uci(tmp: Path, *arguments: str, stdin: str = "") -> str:
    (tmp / "delta").mkdir(exist_ok=True)
    done = subprocess.run(
        [str(UCI), "-c", str(tmp / "config"), "-t", str(tmp / "delta"), *arguments],
        input=stdin.encode(), capture_output=True, check=True, timeout=20,
    )  # fmt: skip
    assert done.stderr == b"", done.stderr.decode()
    return done.stdout.decode()


def fresh(tmp: Path, package: Package) -> Path:
    shutil.rmtree(tmp / "config", ignore_errors=True)
    shutil.rmtree(tmp / "delta", ignore_errors=True)
    (tmp / "config").mkdir(parents=True)
    (tmp / "config" / package.name).write_bytes(render(package).encode())
    return tmp


@judged
@bounded
@given(old=packages(), new=packages())
def test_uci_reads_writes_and_changes_as_we_do(
    tmp_path_factory: pytest.TempPathFactory, old: Package, new: Package
) -> None:
    tmp = fresh(tmp_path_factory.getbasetemp() / "judge", old)
    assert uci(tmp, "export", "test") == render_export({"test": old})
    ops = diff(old, new)
    uci(tmp, "batch", stdin=batch(ops))
    assert uci(tmp, "changes", "test").splitlines() == "\n".join(changes(ops)).splitlines()
    uci(tmp, "commit", "test")
    assert parse_config((tmp / "config" / "test").read_bytes().decode(), "test") == new
    assert (tmp / "config" / "test").read_bytes().decode() == uci(tmp, "export", "test").removeprefix("package test\n")


PIECES = ["config a\n", "\nconfig b n\n", "option x ", "list x ", " ", "'", '"', "\\", "#", ";", "\n", "\t", "v", "w"]


@judged
@bounded
@given(st.lists(st.sampled_from(PIECES), max_size=20).map("".join))
def test_uci_reads_any_text_as_we_do(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    tmp = fresh(tmp_path_factory.getbasetemp() / "judge", Package("test"))
    text = "config a\n" + text
    (tmp / "config" / "test").write_text(text)
    try:
        ours = render_export({"test": parse_config(text, "test")})
    except UciError:
        return
    try:
        theirs = uci(tmp, "export", "test")
    except (subprocess.CalledProcessError, AssertionError):
        assume(False)
    assert parse_export(ours) == parse_export(theirs)
