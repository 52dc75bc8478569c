# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cached file is used only when its bytes are known, copied only when they are, removed only when they are ours."""

from __future__ import annotations

import concurrent.futures
import hashlib
import os
import shutil
import tempfile
import typing as t
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError, Timeout, VerificationError
from ansible_collections.pve.provision.plugins.module_utils._images import cache, placing
from ansible_collections.pve.provision.plugins.module_utils._images.cache import Record, State

BODY = bytes(range(256)) * 40
OTHER = BODY[::-1]


def record(body: bytes = BODY, version: str = "24.10.4", family: str = "openwrt/rootfs/amd64") -> Record:
    return Record(family, version, hashlib.sha256(body).hexdigest(), len(body), origin="sha256:abc", signed_by="k1")


def put(path: Path, body: bytes = BODY, **kw: t.Any) -> Path:
    """A file with its record."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    record(body, **kw).write(path)
    return path


@pytest.fixture
def elsewhere(tmp_path: Path) -> t.Iterator[Path]:
    """A directory on another file system."""
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("one file system only")
    with tempfile.TemporaryDirectory(dir=shm) as folder:
        yield Path(folder)


# -- records -----------------------------------------------------------------------------------------------------------
def test_a_record_survives_and_lies_where_pve_does_not_list_it(tmp_path: Path) -> None:
    path = put(tmp_path / "image.tar.gz")
    assert Record.read(path) == cache.lookup(path).record
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")] == ["image.tar.gz"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"family": 1, "version": "1", "sha256": "a", "size": 1}', '{"size": "big"}', "\xff"],
)
def test_a_record_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    path = put(tmp_path / "image")
    cache.record_path(path).write_bytes(text.encode("latin-1"))
    assert cache.lookup(path).state is State.FOREIGN


def test_a_record_with_fields_of_a_later_release_is_read(tmp_path: Path) -> None:
    path = put(tmp_path / "image")
    text = cache.record_path(path).read_text()
    cache.record_path(path).write_text(text.replace("{", '{"colour": "blue",', 1))
    assert cache.lookup(path).state is State.RECORDED


@settings(max_examples=60, deadline=None)
@given(st.builds(Record, *[st.text(max_size=30)] * 3, st.integers(0, 2**63), *[st.text(max_size=30)] * 3))
def test_every_record_is_read_as_it_was_written(written: Record) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "image")
        path.touch()
        kept = written.write(path)
        assert Record.read(path) == kept
        assert (kept.family, kept.version, kept.size, kept.origin) == (
            written.family,
            written.version,
            written.size,
            written.origin,
        )


# -- looking -----------------------------------------------------------------------------------------------------------
def touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def corrupt(path: Path) -> None:
    path.write_bytes(OTHER)
    touch(path)


def corrupt_and_backdate(path: Path) -> None:
    before = path.stat()
    path.write_bytes(OTHER)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def truncate(path: Path) -> None:
    path.write_bytes(BODY[:-1])


def lose_record(path: Path) -> None:
    cache.record_path(path).unlink()


def nothing(path: Path) -> None:
    assert path.exists()


LOOKS = [
    # what happened, state, trusted, trusted when read again, trusted when the wanted digest is known
    (nothing, State.RECORDED, True, True, True),
    (touch, State.CHANGED, True, True, True),
    (corrupt, State.CHANGED, False, False, False),
    (corrupt_and_backdate, State.RECORDED, True, False, True),
    (truncate, State.CHANGED, False, False, False),
    (lose_record, State.FOREIGN, False, False, True),
    (Path.unlink, State.ABSENT, False, False, False),
]


@pytest.mark.parametrize(("happened", "state", "trusted", "reverified", "known"), LOOKS)
def test_trust(
    tmp_path: Path, happened: t.Callable[[Path], None], state: State, trusted: bool, reverified: bool, known: bool
) -> None:
    for ask, answer in (({}, trusted), ({"reverify": True}, reverified), ({"sha256": record().sha256}, known)):
        path = put(tmp_path / "image")
        happened(path)
        entry = cache.lookup(path)
        assert entry.state is state
        assert cache.is_trustworthy(entry, **ask) is answer, ask
        path.unlink(missing_ok=True)


def test_another_image_under_the_name_is_not_trusted(tmp_path: Path) -> None:
    path = put(tmp_path / "image", OTHER)
    assert cache.is_trustworthy(cache.lookup(path))
    assert not cache.is_trustworthy(cache.lookup(path), record().sha256)


def test_a_good_file_with_a_new_date_is_read_once(tmp_path: Path) -> None:
    path = put(tmp_path / "image")
    touch(path)
    assert cache.is_trustworthy(cache.lookup(path))
    assert cache.lookup(path).state is State.RECORDED


def test_what_is_no_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    with pytest.raises(ImageError, match="not a regular file"):
        cache.lookup(tmp_path / "image")


def test_recorded_files_are_listed_newest_first(tmp_path: Path) -> None:
    for version in ("24.10.9", "24.10.10", "23.05.6"):
        put(tmp_path / f"image-{version}", version=version)
    put(tmp_path / "other", family="debian/disk/amd64")
    put(tmp_path / "gone").unlink()
    (tmp_path / "foreign").write_bytes(BODY)
    found = cache.recorded(tmp_path, "openwrt/rootfs/amd64")
    assert [entry.path.name for entry in found] == ["image-24.10.10", "image-24.10.9", "image-23.05.6"]
    assert len(cache.recorded(tmp_path)) == 4
    assert cache.recorded(tmp_path / "not there") == []


# -- placing -----------------------------------------------------------------------------------------------------------
def test_the_same_file_system_costs_no_second_copy(tmp_path: Path) -> None:
    source = put(tmp_path / "a" / "image")
    (placed,) = placing.place(source, record(), [tmp_path / "b" / "image"])
    assert placed.how in ("hardlink", "reflink")
    assert placed.written == 0
    assert placed.path.read_bytes() == BODY
    assert cache.lookup(placed.path).state is State.RECORDED


def test_another_file_system_gets_a_verified_copy(tmp_path: Path, elsewhere: Path) -> None:
    source = put(tmp_path / "image")
    first, second = placing.place(source, record(), [elsewhere / "x" / "image", elsewhere / "y" / "image"])
    assert (first.how, first.written) == ("copy", len(BODY))
    assert second.path.read_bytes() == BODY
    assert (
        os.listdir(elsewhere / "x") == [".image.pve-provision.json", "image"] or len(os.listdir(elsewhere / "x")) == 2
    )


def test_a_source_that_changed_meanwhile_is_not_copied(tmp_path: Path, elsewhere: Path) -> None:
    source = put(tmp_path / "image")
    source.write_bytes(OTHER)
    with pytest.raises(VerificationError, match="no longer what was verified"):
        placing.place(source, record(), [elsewhere / "image"])
    assert os.listdir(elsewhere) == []


def test_placing_again_keeps_everything(tmp_path: Path) -> None:
    source = put(tmp_path / "a" / "image")
    targets = [source, tmp_path / "b" / "image"]
    placing.place(source, record(), targets)
    before = [path.stat() for path in targets]
    assert [placed.how for placed in placing.place(source, record(), targets)] == ["kept", "kept"]
    assert [path.stat() for path in targets] == before


def test_a_foreign_file_with_the_right_bytes_is_adopted(tmp_path: Path) -> None:
    source, target = put(tmp_path / "a" / "image"), tmp_path / "image"
    target.write_bytes(BODY)
    inode = target.stat().st_ino
    assert placing.place(source, record(), [target])[0].how == "adopted"
    assert target.stat().st_ino == inode
    assert cache.lookup(target).state is State.RECORDED


@pytest.mark.parametrize("ours", [False, True])
def test_other_bytes_in_the_way_are_replaced_by_force_alone(tmp_path: Path, ours: bool) -> None:
    source, target = put(tmp_path / "a" / "image"), tmp_path / "image"
    put(target, OTHER, version="23.05.6") if ours else target.write_bytes(OTHER)
    says = "openwrt/rootfs/amd64 23.05.6, another image" if ours else "was not put there by this collection"
    with pytest.raises(VerificationError, match=says):
        placing.place(source, record(), [target])
    assert target.read_bytes() == OTHER
    placing.place(source, record(), [target], force=True)
    assert target.read_bytes() == BODY


def test_without_room_nothing_is_written(tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "free_bytes", lambda _directory: 10)
    with pytest.raises(ImageError, match="has 10 bytes free"):
        placing.place(put(tmp_path / "image"), record(), [elsewhere / "image"])
    assert os.listdir(elsewhere) == []


def test_runs_side_by_side_place_one_file(tmp_path: Path, elsewhere: Path) -> None:
    source = put(tmp_path / "image")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        placed = list(pool.map(lambda _: placing.place(source, record(), [elsewhere / "image"])[0].how, range(8)))
    assert sorted(placed) == ["copy", *["kept"] * 7]
    assert (elsewhere / "image").read_bytes() == BODY
    assert sorted(os.listdir(elsewhere)) == [".image.pve-provision.json", "image"]


def test_a_run_that_holds_a_file_for_too_long_is_named(tmp_path: Path) -> None:
    with (
        placing.exclusive(tmp_path / "image", 1),
        pytest.raises(Timeout, match="Another run has held"),
        placing.exclusive(tmp_path / "image", 0.05),
    ):
        pytest.fail("two at once")
    assert os.listdir(tmp_path) == []
    with placing.exclusive(tmp_path / "image", 0):
        assert len(os.listdir(tmp_path)) == 1


def test_capacity_is_told_for_a_directory_that_will_be(tmp_path: Path) -> None:
    room = cache.capacity(tmp_path / "not" / "yet")
    assert 0 < room.available <= room.total == shutil.disk_usage(tmp_path).total


# -- removing ----------------------------------------------------------------------------------------------------------
def test_prune_counts_what_really_comes_free(tmp_path: Path) -> None:
    for version in ("1", "2", "3"):
        put(tmp_path / f"image-{version}", os.urandom(8192), version=version)
    os.link(tmp_path / "image-1", tmp_path / "shared")
    entries = cache.recorded(tmp_path)
    told = cache.prune(entries, 1, lambda _path: False, dry=True)
    assert len(cache.recorded(tmp_path)) == 3
    assert cache.prune(entries, 1, lambda _path: False) == told
    assert told.freed == 8192
    assert sorted(os.listdir(tmp_path)) == [".image-3.pve-provision.json", "image-3", "shared"]


@settings(max_examples=60, deadline=None)
@given(
    st.sets(st.integers(0, 12), max_size=7),
    st.sets(st.integers(0, 12)),
    st.integers(0, 5),
)
def test_prune_never_touches_what_is_in_use_foreign_or_among_the_newest(
    versions: set[int], used: set[int], keep: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        for version in versions:
            put(directory / f"v{version}", version=f"24.10.{version}")
        (directory / "foreign").write_bytes(BODY)
        in_use = {directory / f"v{number}" for number in used}
        pruned = cache.prune(cache.recorded(directory), keep, in_use.__contains__)
        left = {path for path in directory.iterdir() if not path.name.startswith(".")}
        newest = {directory / f"v{number}" for number in sorted(versions, reverse=True)[:keep]}
        there = {directory / f"v{number}" for number in versions}
        assert left == newest | (in_use & there) | {directory / "foreign"}
        assert set(pruned.removed) == there - left
        assert set(pruned.in_use) == (in_use & there) - newest


def rewrite(path: Path) -> None:
    path.write_bytes(b"my own, built by hand, under the same name")


def put_a_link(path: Path) -> None:
    """The same bytes, at a place of somebody else's."""
    other = path.with_name("elsewhere")
    path.rename(other)
    path.symlink_to(other)


@pytest.mark.parametrize("happened", [rewrite, corrupt, corrupt_and_backdate, truncate, put_a_link, lose_record])
@pytest.mark.parametrize("dry", [True, False])
def test_what_somebody_put_over_a_file_of_ours_is_not_removed(
    tmp_path: Path, happened: t.Callable[[Path], None], dry: bool
) -> None:
    path = put(tmp_path / "image")
    entry = cache.lookup(path)
    happened(path)
    entry = cache.lookup(path) if happened is lose_record else entry
    before = path.read_bytes()
    pruned = cache.prune([entry, cache.lookup(path)], 0, lambda _path: False, dry=dry)
    assert (pruned.removed, pruned.freed) == ((), 0)
    assert set(pruned.changed) == (set() if happened is lose_record else {path})
    assert path.read_bytes() == before


def test_what_is_only_older_goes_even_with_a_new_date(tmp_path: Path) -> None:
    path = put(tmp_path / "image")
    touch(path)
    assert cache.prune(cache.recorded(tmp_path), 0, lambda _path: False).removed == (path,)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("happened", "family", "replaced"),
    [
        (nothing, "openwrt/rootfs/amd64", True),
        (touch, "openwrt/rootfs/amd64", True),
        (nothing, "debian/disk/amd64", False),
        (corrupt_and_backdate, "openwrt/rootfs/amd64", False),
        (put_a_link, "openwrt/rootfs/amd64", False),
        (lose_record, "openwrt/rootfs/amd64", False),
    ],
)
def test_only_an_untouched_file_of_its_own_kind_gives_way(
    tmp_path: Path, happened: t.Callable[[Path], None], family: str, replaced: bool
) -> None:
    source = put(tmp_path / "new" / "image")
    target = put(tmp_path / "image", b"older", version="24.10.3", family=family)
    happened(target)
    before = target.read_bytes()
    if replaced:
        placing.place(source, record(), [target], replace=True)
        assert target.read_bytes() == BODY
        return
    with pytest.raises(VerificationError, match="neither used nor overwritten"):
        placing.place(source, record(), [target], replace=True)
    assert target.read_bytes() == before


def test_a_file_that_comes_while_a_copy_is_made_is_left_alone(
    tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = put(tmp_path / "image"), elsewhere / "image"
    copy = placing._copy

    def interrupted(*args: t.Any) -> None:
        copy(*args)
        target.write_bytes(b"mine")

    monkeypatch.setattr(placing, "_copy", interrupted)
    with pytest.raises(VerificationError, match="by somebody else meanwhile"):
        placing.place(source, record(), [target])
    assert target.read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_record_of_no_file_is_none(tmp_path: Path, name: str) -> None:
    (tmp_path / f".{name}{cache.SUFFIX}").write_text("{}")
    (tmp_path / ".folder.pve-provision.json").write_text("{}")
    (tmp_path / "folder").mkdir()
    assert cache.recorded(tmp_path) == []


def test_a_look_that_is_not_to_be_noted_writes_nothing(tmp_path: Path) -> None:
    path = put(tmp_path / "image")
    touch(path)
    before = cache.record_path(path).read_bytes()
    assert cache.is_trustworthy(cache.lookup(path), note=False)
    assert cache.record_path(path).read_bytes() == before


def test_a_closed_file_stays_closed_wherever_it_is_brought(tmp_path: Path, elsewhere: Path) -> None:
    source = tmp_path / "image"
    source.write_bytes(BODY)
    source.chmod(0o600)
    record().write(source)
    for target in (tmp_path / "linked", elsewhere / "copied"):
        placing.place(source, record(), [target])
        assert {path.stat().st_mode & 0o777 for path in (target, cache.record_path(target))} == {0o600}


def test_a_key_that_vouches_later_is_noted(tmp_path: Path) -> None:
    source, target = put(tmp_path / "a" / "image"), tmp_path / "image"
    target.write_bytes(BODY)
    Record("openwrt/rootfs/amd64", "24.10.4", record().sha256, len(BODY)).write(target)
    assert placing.place(source, record(), [target])[0].how == "kept"
    assert t.cast("Record", Record.read(target)).signed_by == "k1"
