# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A download ends in the right file or in a clear error, whatever the server does."""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
import os
import random
import shutil
import socket
import ssl
import subprocess
import time
import typing as t
from pathlib import Path

import pytest
from fake_clock import FakeClock

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError, Timeout, VerificationError
from ansible_collections.pve.provision.plugins.module_utils._images import download, transfer
from ansible_collections.pve.provision.plugins.module_utils._images.download import fetch
from ansible_collections.pve.provision.plugins.module_utils._images.http import (
    Access,
    Retries,
    Timeouts,
    shown,
)
from ansible_collections.pve.provision.plugins.module_utils._images.partial import SUFFIX
from ansible_collections.pve.provision.plugins.module_utils._images.texts import Text, fetch_text
from ansible_collections.pve.provision.plugins.module_utils._images.transfer import Request
from ansible_collections.pve.provision.tests.unit.plugins.module_utils._images.faulty_server import FaultyServer

CONTENT = random.Random(1).randbytes(3_000_000)
OTHER = random.Random(2).randbytes(3_000_000)
SHA256 = ("sha256", hashlib.sha256(CONTENT).hexdigest())
QUICK = Retries(attempts=3, first=0.01, longest=0.05)
PATIENT = Timeouts(connect=60, read=60, total=600)  # so that only what is meant to takes too long


@pytest.fixture
def server() -> t.Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "image.tar.gz"


def get(target: Path, *urls: str, digest: tuple[str, str] | None = SHA256, **more: t.Any) -> download.Fetched:
    options = {name: more.pop(name) for name in ("progress", "clock") if name in more}
    timeouts = more.pop("timeouts", PATIENT)
    return fetch(Request(urls, target, digest, **more), timeouts=timeouts, retries=QUICK, **options)


def only(target: Path) -> None:
    """Nothing lies in the directory but the target."""
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def nothing(target: Path) -> None:
    assert list(target.parent.iterdir()) == []


# -- the straight road --------------------------------------------------------------------------------------------


def test_a_file_arrives_whole_with_its_digests(server: FaultyServer, target: Path) -> None:
    url = server.put("/image", CONTENT)
    got = get(target, url, algorithms=("sha512",))
    assert target.read_bytes() == CONTENT
    assert got.digests == {"sha256": SHA256[1], "sha512": hashlib.sha512(CONTENT).hexdigest()}
    assert (got.size, got.url, got.resumed, got.attempts, got.transferred) == (
        len(CONTENT),
        url,
        False,
        1,
        len(CONTENT),
    )
    only(target)


def test_a_second_fetch_asks_nobody(server: FaultyServer, target: Path) -> None:
    url = server.put("/image", CONTENT)
    get(target, url)
    again = get(target, url)
    assert (again.url, again.transferred, again.digests["sha256"]) == ("", 0, SHA256[1])
    assert len(server.asked) == 1


def test_an_empty_file_is_a_file(server: FaultyServer, target: Path) -> None:
    get(target, server.put("/image", b""), digest=("sha256", hashlib.sha256(b"").hexdigest()))
    assert target.read_bytes() == b""


@pytest.mark.parametrize("digest", [SHA256, None])
@pytest.mark.parametrize("faults", [{"chunked": True}, {"no_length": True}])
def test_a_body_without_length(server: FaultyServer, target: Path, faults: t.Any, digest: t.Any) -> None:
    url = server.put("/image", CONTENT, **faults)
    if digest is None and "no_length" in faults:
        with pytest.raises(ImageError, match="tells no length"):
            get(target, url, digest=None)
        nothing(target)
    else:
        get(target, url, digest=digest)
        assert target.read_bytes() == CONTENT


class TickingClock(FakeClock):
    """Each look at it takes a hundredth of a second."""

    def now(self) -> float:
        self.time += 0.01
        return self.time


def test_progress_comes_at_most_every_half_second(server: FaultyServer, target: Path) -> None:
    clock = TickingClock()
    seen: list[tuple[int, int | None, float]] = []
    times: list[float] = []

    def progress(done: int, total: int | None, rate: float) -> None:
        seen.append((done, total, rate))
        times.append(clock.now())

    big = CONTENT * 5
    digest = ("sha256", hashlib.sha256(big).hexdigest())
    fetch(Request([server.put("/image", big)], target, digest), progress=progress, clock=clock)
    assert seen, "a long download reports"
    assert all(total == len(big) and 0 < done <= len(big) and rate > 0 for done, total, rate in seen)
    assert all(later - earlier >= 0.5 for earlier, later in itertools.pairwise(times))


# -- faults of the server -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("digest", [SHA256, None])
def test_ten_cuts_cost_ten_resumptions_and_no_byte_twice(
    server: FaultyServer, target: Path, seed: int, digest: t.Any
) -> None:
    cuts = sorted(random.Random(seed).sample(range(1, len(CONTENT)), 10))
    got = get(target, server.put("/image", CONTENT, cuts=cuts), digest=digest)
    assert target.read_bytes() == CONTENT
    assert got.attempts == 11 and got.resumed
    assert server.sent() == len(CONTENT) == got.transferred
    only(target)


def test_cuts_of_a_chunked_body_are_seen(server: FaultyServer, target: Path) -> None:
    get(target, server.put("/image", CONTENT, chunked=True, cuts=[100_000, 1_000_001]), digest=None)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("cut", [0, 1, len(CONTENT) - 1])
def test_a_cut_at_the_edges(server: FaultyServer, target: Path, cut: int) -> None:
    get(target, server.put("/image", CONTENT, cuts=[cut]), digest=None)
    assert target.read_bytes() == CONTENT


def test_a_server_that_always_cuts_at_the_same_byte_is_given_up(server: FaultyServer, target: Path) -> None:
    url = server.put("/image", CONTENT, cuts=[1000] * 50)
    with pytest.raises(ImageError, match=r"broke off after 1000 of 3000000 bytes"):
        get(target, url, digest=None)
    nothing(target)


def test_a_stall_is_cut_short_and_resumed(server: FaultyServer, target: Path) -> None:
    timeouts = Timeouts(connect=60, read=5, total=600)
    got = get(target, server.put("/image", CONTENT, stalls=[300.0]), timeouts=timeouts)
    assert target.read_bytes() == CONTENT and got.attempts == 2 and got.resumed


def test_a_server_that_only_stalls_ends_at_the_total_limit(server: FaultyServer, target: Path) -> None:
    request = Request([server.put("/image", CONTENT, stalls=[5.0] * 50)], target, SHA256)
    limits = Timeouts(connect=1, read=0.2, total=0.5)
    with pytest.raises((Timeout, ImageError)):
        fetch(request, timeouts=limits, retries=Retries(attempts=50, first=0.01))
    assert not target.exists()


def test_200_for_a_range_starts_over_in_the_same_answer(server: FaultyServer, target: Path) -> None:
    got = get(target, server.put("/image", CONTENT, cuts=[1_000_000], ranges=False))
    assert target.read_bytes() == CONTENT
    assert (server.statuses(), got.resumed) == ([200, 200], False)


@pytest.mark.parametrize("digest", [SHA256, None])
@pytest.mark.parametrize("honour", [True, False])
@pytest.mark.parametrize("length", [len(OTHER), len(OTHER) - 5])
def test_a_file_that_changes_between_attempts_is_never_mixed(
    server: FaultyServer, target: Path, honour: bool, digest: t.Any, length: int
) -> None:
    before = OTHER[:length]
    url = server.put("/image", before, cuts=[1_000_000], successors=[CONTENT], honour_if_range=honour)
    get(target, url, digest=digest)
    assert target.read_bytes() == CONTENT


def test_a_change_that_no_header_tells_is_found_by_the_digest(server: FaultyServer, target: Path) -> None:
    url = server.put("/image", OTHER, etag="", cuts=[1_000_000], successors=[CONTENT])
    got = get(target, url)
    assert target.read_bytes() == CONTENT
    assert (got.attempts, got.resumed) == (3, False)


def test_without_validator_and_digest_nothing_is_resumed(server: FaultyServer, target: Path) -> None:
    get(target, server.put("/image", CONTENT, etag="", cuts=[1_000_000]), digest=None)
    assert target.read_bytes() == CONTENT
    assert server.statuses() == [200, 200]


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_the_date_validates_where_there_is_no_strong_etag(server: FaultyServer, target: Path, etag: str) -> None:
    date = "Fri, 01 May 2026 10:00:00 GMT"
    get(target, server.put("/image", CONTENT, etag=etag, last_modified=date, cuts=[1_000_000]), digest=None)
    assert target.read_bytes() == CONTENT
    assert server.asked[1].headers["If-Range"] == date
    assert server.statuses() == [200, 206]


def test_a_range_from_somewhere_else_is_not_believed(server: FaultyServer, target: Path) -> None:
    get(target, server.put("/image", CONTENT, cuts=[1_000_000], wrong_start=5))
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><html>log in</html>", b"\n<html><body>busy</body></html>"])
@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/gzip"])
@pytest.mark.parametrize("digest", [SHA256, None])
def test_a_web_page_is_no_image(
    server: FaultyServer, target: Path, page: bytes, content_type: str, digest: t.Any
) -> None:
    url = server.put("/image", page, content_type=content_type)
    with pytest.raises(ImageError, match="web page"):
        get(target, url, digest=digest)
    assert len(server.asked) == 1
    nothing(target)


def test_a_wrong_digest_leaves_nothing(server: FaultyServer, target: Path) -> None:
    with pytest.raises(VerificationError, match=f"not {SHA256[1]}"):
        get(target, server.put("/image", OTHER))
    assert len(server.asked) == 1
    nothing(target)


@pytest.mark.parametrize(
    ("faults", "size"),
    [
        ({}, len(CONTENT) + 1),
        ({"announce": len(CONTENT) + 7}, None),
        ({"announce": len(CONTENT) - 7}, None),
        ({"announce": len(CONTENT) - 7}, len(CONTENT)),
        ({"no_length": True}, len(CONTENT) - 3),
        ({"no_length": True}, len(CONTENT) + 3),
        ({"chunked": True}, len(CONTENT) - 3),
        ({"chunked": True}, len(CONTENT) + 3),
    ],
)
def test_wrong_lengths(server: FaultyServer, target: Path, faults: t.Any, size: int | None) -> None:
    with pytest.raises(ImageError):
        get(target, server.put("/image", CONTENT, **faults), size=size)
    assert not target.exists()


@pytest.mark.parametrize(("status", "asked"), [(500, 2), (503, 2), (429, 2), (408, 2), (404, 1), (403, 1), (410, 1)])
def test_what_is_worth_retrying(server: FaultyServer, target: Path, status: int, asked: int) -> None:
    url = server.put("/image", CONTENT, status=[status])
    if asked == 1:
        with pytest.raises(ImageError, match=f"HTTP {status}"):
            get(target, url)
        nothing(target)
    else:
        get(target, url)
    assert len(server.asked) == asked


def test_a_server_that_stays_down_is_given_up_after_the_attempts(server: FaultyServer, target: Path) -> None:
    with pytest.raises(ImageError, match=r"HTTP 503 .*\(3x\)"):
        get(target, server.put("/image", CONTENT, status=[503] * 9))
    nothing(target)


@pytest.mark.parametrize(("value", "seconds"), [("7", 7), ("Fri, 01 May 2026 10:00:09 GMT", 9), ("soon", 0)])
def test_retry_after_is_honoured(server: FaultyServer, target: Path, value: str, seconds: float) -> None:
    clock = FakeClock(wall=1777629600.0)
    get(target, server.put("/image", CONTENT, status=[429], headers={"Retry-After": value}), clock=clock)
    assert seconds <= sum(clock.slept) <= seconds + 0.1


def test_retry_after_beyond_the_limit_is_not_waited_for(server: FaultyServer, target: Path) -> None:
    url = server.put("/image", CONTENT, status=[503], headers={"Retry-After": "86400"})
    with pytest.raises(ImageError, match="HTTP 503"):
        get(target, url)


def test_pauses_grow_with_jitter_up_to_a_limit() -> None:
    retries = Retries(first=1.0, longest=10.0)
    for failures, whole in ((0, 1), (1, 2), (2, 4), (3, 8), (4, 10), (20, 10)):
        pauses = {retries.pause(failures) for _unused in range(20)}
        assert all(whole / 2 <= pause <= whole for pause in pauses) and len(pauses) > 1


def test_a_partial_file_beyond_the_file_is_thrown_away(server: FaultyServer, target: Path) -> None:
    url = server.put("/image", CONTENT + OTHER, cuts=[len(CONTENT) + 10], successors=[CONTENT], honour_if_range=False)
    get(target, url)
    assert target.read_bytes() == CONTENT
    assert server.statuses() == [200, 416, 200]


# -- mirrors, redirects, proxies, TLS -----------------------------------------------------------------------------


@pytest.mark.parametrize("faults", [{"status": [404] * 9}, {"status": [503] * 9}, {"content_type": "text/html"}])
def test_the_next_mirror_helps_out(server: FaultyServer, target: Path, faults: t.Any) -> None:
    first, second = server.put("/first", CONTENT, **faults), server.put("/second", CONTENT)
    assert get(target, first, second).url == second
    assert [asked.path for asked in server.asked] == ["/first", "/second"]


def test_a_mirror_with_wrong_bytes_is_passed_over(server: FaultyServer, target: Path) -> None:
    assert get(target, server.put("/first", OTHER), server.put("/second", CONTENT)).url.endswith("/second")
    assert target.read_bytes() == CONTENT


def test_the_next_mirror_continues_where_a_digest_vouches(server: FaultyServer, target: Path) -> None:
    first = server.put("/first", CONTENT, cuts=[1_000_000] + [0] * 20, etag='"here"')
    second = server.put("/second", CONTENT, etag='"there"')
    got = get(target, first, second)
    assert (got.url, got.resumed, server.sent()) == (second, True, len(CONTENT))
    assert target.read_bytes() == CONTENT


def test_without_digest_the_next_mirror_starts_over(server: FaultyServer, target: Path) -> None:
    first = server.put("/first", OTHER, cuts=[1_000_000] + [0] * 20)
    got = get(target, first, server.put("/second", CONTENT), digest=None)
    assert target.read_bytes() == CONTENT and not got.resumed


def test_an_error_names_what_each_mirror_said(server: FaultyServer, target: Path) -> None:
    with pytest.raises(VerificationError) as caught:
        get(target, server.put("/a", CONTENT, status=[404]), server.put("/b", OTHER), "http://127.0.0.1:1/c")
    assert all(word in str(caught.value) for word in ("/a: HTTP 404", "/b: the sha256 is", "/c: Connection"))


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "file:///etc/passwd", "/etc/passwd", "http://", ""])
def test_only_http(target: Path, url: str) -> None:
    with pytest.raises(ImageError, match="no http or https URL"):
        get(target, url)
    nothing(target)


def test_a_redirect_to_a_file_is_not_followed(server: FaultyServer, target: Path) -> None:
    with pytest.raises(ImageError):
        get(target, server.put("/image", b"", redirect="file:///etc/passwd"), digest=None)
    nothing(target)


def test_redirects_do_not_carry_the_login(server: FaultyServer, target: Path) -> None:
    server.put("/first", b"", redirect=server.put("/second", CONTENT))
    url = server.url("/first").replace("127.0.0.1", "me:secret@127.0.0.1")
    got = get(target, url, access=Access(headers={"X-Token": "secret"}))
    first, second = server.asked
    assert (first.headers["Authorization"], first.headers["X-Token"]) == ("Basic bWU6c2VjcmV0", "secret")
    assert not {"Authorization", "X-Token"} & set(second.headers)
    assert got.path.read_bytes() == CONTENT


def test_messages_hold_no_secret(server: FaultyServer, target: Path) -> None:
    url = server.url("/image?signature=hidden").replace("127.0.0.1", "me:secret@127.0.0.1")
    with pytest.raises(ImageError) as caught:
        get(target, url)
    assert "secret" not in str(caught.value) and "hidden" not in str(caught.value) and "/image" in str(caught.value)
    assert shown("https://u:p@host:8/x?y=z#f") == "https://host:8/x"


def test_the_proxy_of_the_environment_is_used(
    server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put("/image", CONTENT)
    monkeypatch.setenv("http_proxy", server.url(""))
    get(target, "http://mirror.invalid/image")
    assert server.asked[0].headers["Host"] == "mirror.invalid"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    get(target.with_name("other"), server.url("/image"))
    assert server.asked[1].headers["Host"].startswith("127.0.0.1")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the program openssl is not installed")
def test_certificates_are_verified(
    server: FaultyServer, target: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "ca.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ),
            "-keyout",
            key,
            "-out",
            certificate,
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with FaultyServer(context) as secure:
        url = secure.put("/image", CONTENT, cuts=[1_000_000])
        with pytest.raises(ImageError, match="CERTIFICATE_VERIFY_FAILED"):
            get(target, url)
        nothing(target)
        trusting = Access(ca_path=str(certificate))
        assert get(target, url, access=trusting).resumed
        downgrade = secure.put("/downgrade", b"", redirect=server.put("/image", CONTENT))
        with pytest.raises(ImageError, match="redirects from https to http"):
            get(target.with_name("other"), downgrade, access=trusting)
    with pytest.raises(ImageError, match="cannot be read"):
        get(target.with_name("other"), url, access=Access(ca_path=str(folder / "none.pem")))


def test_a_connection_that_never_answers_is_given_up(target: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/image"
        with pytest.raises(ImageError, match=r"imeout"):
            get(target, url, timeouts=Timeouts(connect=60, read=0.3, total=600))
    nothing(target)


# -- what lies there ----------------------------------------------------------------------------------------------


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


# -- many at once -------------------------------------------------------------------------------------------------


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


# -- small texts --------------------------------------------------------------------------------------------------


def test_a_text_is_read_whole_or_not_at_all(server: FaultyServer) -> None:
    url = server.put("/index", b"hello", cuts=[3])
    assert fetch_text([url], 100, retries=QUICK).content == b"hello"
    with pytest.raises(ImageError, match="more than 4 bytes"):
        fetch_text([url], 4, retries=QUICK)


def test_a_cached_text_costs_no_body(server: FaultyServer, tmp_path: Path) -> None:
    url = server.put("/index", b"one")
    clock = FakeClock()

    def ask(max_age: float) -> Text:
        return fetch_text([url], 100, cache=tmp_path, max_age=max_age, retries=QUICK, clock=clock)

    assert ask(60) == Text(b"one", url)
    clock.time += 50
    assert ask(60) == Text(b"one", url, age=50.0)
    assert server.statuses() == [200]
    assert ask(10) == Text(b"one", url)
    assert server.statuses() == [200, 304]
    server.put("/index", b"two")
    assert ask(0).content == b"two"
    del server.files["/index"]
    clock.time += 3600
    stale = ask(0)
    assert (stale.content, stale.age) == (b"two", 3600.0)
    assert "HTTP 404" in stale.problem
    next(tmp_path.iterdir()).write_text("broken")
    with pytest.raises(ImageError, match="404"):
        ask(0)


def test_a_text_from_the_next_mirror(server: FaultyServer) -> None:
    assert fetch_text([server.url("/gone"), server.put("/index", b"x")], 10, retries=QUICK).url.endswith("/index")
