# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies there before a download: the file itself, partial files of dead and living runs, and how much space."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError, Timeout, VerificationError
from ansible_collections.pve.provision.plugins.module_utils._images import transfer
from ansible_collections.pve.provision.plugins.module_utils._images.download import fetch
from ansible_collections.pve.provision.plugins.module_utils._images.http import Timeouts
from ansible_collections.pve.provision.plugins.module_utils._images.partial import SUFFIX
from ansible_collections.pve.provision.plugins.module_utils._images.transfer import Request
from ansible_collections.pve.provision.tests.unit.plugins.module_utils._images.downloads import (
    CONTENT,
    OTHER,
    QUICK,
    SHA256,
    get,
    nothing,
    only,
)
from ansible_collections.pve.provision.tests.unit.plugins.module_utils._images.faulty_server import FaultyServer


def test_a_foreign_file_is_left_alone(server: FaultyServer, target: Path) -> None:
    target.write_bytes(b"mine")
    for digest in (SHA256, None):
        with pytest.raises(VerificationError, match="exists and"):
            get(target, server.put("/image", CONTENT), digest=digest)
    assert target.read_bytes() == b"mine" and not server.asked
    get(target, server.url("/image"), overwrite=True)
    assert target.read_bytes() == CONTENT
    only(target)


def test_a_failed_replacement_keeps_the_old_file(server: FaultyServer, target: Path) -> None:
    target.write_bytes(b"mine")
    with pytest.raises(VerificationError):
        get(target, server.put("/image", OTHER), overwrite=True)
    assert target.read_bytes() == b"mine"
    only(target)


def test_the_partial_file_of_a_dead_run_is_continued(server: FaultyServer, target: Path) -> None:
    with pytest.raises(ImageError):
        get(target, server.put("/image", CONTENT, cuts=[2_000_000] + [0] * 9))
    got = get(target, server.put("/image", CONTENT))
    assert target.read_bytes() == CONTENT
    assert (got.resumed, got.transferred) == (True, len(CONTENT) - 2_000_000)
    only(target)


def test_a_complete_partial_file_needs_no_server(server: FaultyServer, target: Path) -> None:
    url = server.put("/image", CONTENT, cuts=[2_000_000] + [0] * 9)
    with pytest.raises(ImageError):
        get(target, url)
    partial = next(target.parent.glob(f".*{SUFFIX}"))
    partial.write_bytes(CONTENT)
    asked = len(server.asked)
    got = get(target, url)
    assert (got.attempts, len(server.asked)) == (0, asked)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("damage", ["bytes", "record", "longer", "other digest", "no record"])
def test_a_partial_file_that_does_not_fit_does_no_harm(server: FaultyServer, target: Path, damage: str) -> None:
    url = server.put("/image", OTHER if damage == "other digest" else CONTENT, cuts=[2_000_000] + [0] * 9)
    wanted = ("sha256", hashlib.sha256(OTHER).hexdigest()) if damage == "other digest" else SHA256
    with pytest.raises(ImageError):
        get(target, url, digest=wanted)
    partial = next(target.parent.glob(f".*{SUFFIX}"))
    record = partial.with_name(partial.name + ".json")
    if damage == "bytes":
        partial.write_bytes(bytes(2_000_000))
    elif damage == "longer":
        partial.write_bytes(CONTENT + b"more")
    elif damage == "record":
        record.write_text("[]")
    elif damage == "no record":
        record.unlink()
    get(target, server.put("/image", CONTENT))
    assert target.read_bytes() == CONTENT
    only(target)


def test_abandoned_partial_files_of_other_targets_go(server: FaultyServer, target: Path) -> None:
    old, young = (target.with_name(f".{name}{SUFFIX}") for name in ("old.iso", "young.iso"))
    for path in (old, young):
        path.write_bytes(b"x")
        path.with_name(path.name + ".json").write_text("{}")
    os.utime(old, (1, 1))
    get(target, server.put("/image", CONTENT))
    assert not old.exists() and not old.with_name(old.name + ".json").exists() and young.exists()


def test_a_link_planted_as_partial_file_is_not_followed(server: FaultyServer, target: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    target.with_name(f".{target.name}{SUFFIX}").symlink_to(victim)
    with pytest.raises(ImageError, match="cannot be written"):
        get(target, server.put("/image", CONTENT))
    assert victim.read_bytes() == b"precious"


def test_too_little_space_is_said_before_a_byte_is_written(
    server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "free_bytes", lambda directory: 2_999_999)
    with pytest.raises(ImageError, match=r"needs 3000000 more bytes in .*, 2999999 are free"):
        get(target, server.put("/image", CONTENT))
    nothing(target)


def test_an_endless_body_leaves_the_reserve(
    server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "free_bytes", lambda directory: transfer.RESERVE + 1_000_000)
    with pytest.raises(ImageError, match="more than 1000000 bytes arrive"):
        get(target, server.put("/image", CONTENT, chunked=True))
    nothing(target)


def test_a_full_disk_leaves_nothing(server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(descriptor: int, block: t.Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(ImageError, match="No space left"):
        get(target, server.put("/image", CONTENT))
    nothing(target)


def test_a_missing_directory_is_said(server: FaultyServer, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="No such file or directory"):
        get(tmp_path / "missing" / "image", server.put("/image", CONTENT))


def _in_a_process(url: str, target: Path, digest: t.Any, results: t.Any) -> None:
    try:
        results.put(fetch(Request([url], target, digest), timeouts=Timeouts(total=30), retries=QUICK).transferred)
    except ImageError as error:
        results.put(str(error))


@pytest.mark.parametrize("digest", [SHA256, None])
def test_ten_processes_fetch_once(server: FaultyServer, target: Path, digest: t.Any) -> None:
    url = server.put("/image", CONTENT, stalls=[1.5])  # long enough for all of them to be there
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    runs = [context.Process(target=_in_a_process, args=(url, target, digest, results)) for _unused in range(10)]
    for run in runs:
        run.start()
    transferred = sorted(results.get(timeout=30) for _unused in runs)
    for run in runs:
        run.join()
    assert transferred == [0] * 9 + [len(CONTENT)]
    assert server.sent() == len(CONTENT)
    assert target.read_bytes() == CONTENT
    only(target)


def wait_for_a_megabyte(target: Path, run: t.Any) -> None:
    partial = target.with_name(f".{target.name}{SUFFIX}")
    while not partial.exists() or partial.stat().st_size < 1_000_000:
        assert run.is_alive()
        time.sleep(0.01)


def test_a_killed_owner_of_the_lock_blocks_nobody(server: FaultyServer, target: Path) -> None:
    url = server.put("/image", CONTENT, stalls=[20.0])
    context = multiprocessing.get_context("fork")
    run = context.Process(target=_in_a_process, args=(url, target, SHA256, context.Queue()))
    run.start()
    wait_for_a_megabyte(target, run)
    run.kill()
    run.join()
    got = get(target, url)
    assert target.read_bytes() == CONTENT and got.resumed and got.transferred < len(CONTENT)
    only(target)


def test_waiting_for_another_run_ends_at_the_limit(server: FaultyServer, target: Path) -> None:
    url = server.put("/image", CONTENT, stalls=[20.0])
    context = multiprocessing.get_context("fork")
    run = context.Process(target=_in_a_process, args=(url, target, SHA256, context.Queue()))
    run.start()
    wait_for_a_megabyte(target, run)
    try:
        with pytest.raises(Timeout, match="Another run"):
            fetch(Request([url], target, SHA256), timeouts=Timeouts(total=0.5))
    finally:
        run.kill()
        run.join()
