# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installing packages in a router that answers by heart: what is asked, how often, and what is made of the answers.

That a router really installs what it is handed is tested with the modules.
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fake_clock import FakeClock

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.packages.install import (
    NOTE,
    Installation,
    Packages,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.packages.scripts import PLACE
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed
from embedded_node.mirror import Mirror

OK = Completed(0, "", "")
BEHIND = Completed(1, "Downloading\n@@pve-provision behind\n1\n", "wget returned 4.\n")
BROKEN = Completed(1, "@@pve-provision behind\n0\n", " * opkg_download: Failed to download x, wget returned 4.\n")
UNKNOWN = Completed(1, "Unknown package 'nosuch'.\n@@pve-provision behind\n0\n", "Collected errors:\n")
FEED = "https://downloads.openwrt.org/releases/24.10.4/packages/x86_64/base"
ASKED = (
    "Downloading\n@@pve-provision behind\n1\n@@pve-provision opkg\ndest root /\n"
    f"src/gz openwrt_base {FEED}\nsrc/gz gone http://127.0.0.1:9/gone\n@@pve-provision status\n"
)


@dataclass
class Router:
    """Gives its answers in turn, and remembers what it was asked and handed."""

    answers: list[Completed]
    fails: bool = False
    scripts: list[str] = field(default_factory=list)
    handed: list[dict[str, bytes]] = field(default_factory=list)
    clock: FakeClock = field(default_factory=FakeClock)

    def run_script(self, script: str, *, timeout: int) -> Completed:
        assert 0 < timeout <= 600
        self.scripts.append(script)
        return self.answers[len(self.scripts) - 1]

    def hand_in(self, source: str, target: str) -> None:
        if self.fails:
            raise PveError("no space left on device")
        assert target.startswith(f"{PLACE}/")
        with tarfile.open(source) as archive:
            members = [(member, archive.extractfile(member)) for member in archive]
        assert {(member.uid, member.gid, member.mode & 0o077) for member, _body in members} == {(0, 0, 0)}
        with tarfile.open(source) as archive:
            files = {m.name: t.cast("t.IO[bytes]", archive.extractfile(m)).read() for m in archive if m.isfile()}
        self.handed.append({**files, "digest": hashlib.sha256(Path(source).read_bytes()).hexdigest().encode()})

    def install(self, *names: str, helped: bool = True, mirrors: tuple[str, ...] = ()) -> Installation:
        hand_in = self.hand_in if helped else None
        return Packages(self.run_script, self.clock, hand_in, mirrors).install(names)


@pytest.mark.parametrize("helped", [True, False])
@pytest.mark.parametrize(
    ("answers", "trouble", "pauses"),
    [
        ([OK], "", []),
        ([BROKEN, OK], "", [2.0]),
        ([BROKEN, BROKEN, OK], "", [2.0, 4.0]),
        ([BROKEN] * 3, "opkg_download: Failed to download x, wget returned 4.", [2.0, 4.0]),
        ([UNKNOWN], "no feed of the router has nosuch", []),
        ([BROKEN, UNKNOWN], "no feed of the router has nosuch", [2.0]),
        ([Completed(255, "", "")] * 3, "no reason given", [2.0, 4.0]),
    ],
)
def test_what_is_worth_it_is_tried_again(
    answers: list[Completed], trouble: str, pauses: list[float], helped: bool
) -> None:
    router = Router(answers)
    assert router.install("tcpdump", helped=helped) == Installation(trouble=trouble)
    assert (len(router.scripts), router.clock.slept, router.handed) == (len(answers), pauses, [])


def test_a_router_that_no_file_can_be_handed_to_is_asked_again_and_told_nothing_more() -> None:
    router = Router([BEHIND] * 3)
    assert router.install("tcpdump", helped=False) == Installation(trouble="wget returned 4.")
    assert len(set(router.scripts)) == 1
    assert "mkdir" not in router.scripts[0]


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Mirror]:
    with Mirror(tmp_path_factory.mktemp("mirror"), sites=("openwrt",)) as site:
        yield site


@pytest.fixture
def feeds(mirror: Mirror) -> t.Iterator[Mirror]:
    mirror.forget()
    yield mirror
    mirror.clear_faults()


def test_all_that_may_be_needed_is_handed_in_at_once(feeds: Mirror) -> None:
    router = Router([Completed(1, ASKED, ""), OK])
    done = router.install("tcpdump", "with space", mirrors=(feeds.base("openwrt"),))
    assert done.trouble.startswith("no feed of the router has with space (without gone: ")
    router = Router([Completed(1, ASKED, ""), OK])
    done = router.install("tcpdump", mirrors=(feeds.base("openwrt"),))
    assert done == Installation(note=f"{NOTE} (without the feeds gone)")
    assert not router.clock.slept
    (handed,) = router.handed
    folder = "openwrt/releases/24.10.4/packages/x86_64/base"
    assert handed["feeds/0/Packages.gz"] == feeds.read(f"{folder}/Packages.gz")
    assert handed["feeds/0/Packages.sig"] == feeds.read(f"{folder}/Packages.sig")
    assert {name for name in handed if name.endswith(".ipk")} == {
        "feeds/0/tcpdump_4.99.5-r1_x86_64.ipk",
        "feeds/0/libpcap1_1.10.5-r1_x86_64.ipk",
    }
    assert handed["opkg.conf"].decode() == (
        f"dest root /\noption check_signature\nlists_dir ext {PLACE}/lists\n"
        f"src/gz openwrt_base file://{PLACE}/feeds/0\n"
    )
    ask, work = router.scripts
    assert handed["digest"].decode() in work
    assert f"mkdir {PLACE}" in ask
    assert not [word for word in ("--force", "allow-untrusted", "no-check") if word in work]
    assert f"rm -rf {PLACE}\nexit" in work


def test_names_are_quoted() -> None:
    router = Router([OK])
    router.install("tcpdump; reboot")
    assert "opkg install 'tcpdump; reboot' && exit 0" in router.scripts[0]


@pytest.mark.parametrize(
    ("fails", "answer", "words"),
    [
        (True, OK, "and the node could not help: no space left on device"),
        (False, Completed(77, "", ""), "and the node could not help: the copy in the router is incomplete"),
    ],
)
def test_what_does_not_arrive_is_reported_with_what_the_router_said(
    feeds: Mirror, fails: bool, answer: Completed, words: str
) -> None:
    between = [] if fails else [answer]
    router = Router([Completed(1, ASKED, ""), *between, BEHIND, BEHIND], fails)
    done = router.install("tcpdump", mirrors=(feeds.base("openwrt"),))
    assert done.trouble == f"wget returned 4.; {words}"
    assert router.clock.slept == [2.0, 4.0]
    assert router.scripts[-1].startswith(f"rm -rf {PLACE}\n")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            Completed(1, "Signature check failed.\nUnknown package 'tcpdump'.\n", "Collected errors:\n * x: No.\n"),
            "the router rejected the packages that the node had fetched: Signature check failed.; x: No.",
        ),
        (
            Completed(1, "", f"WARNING: opening {PLACE}/packages.adb: UNTRUSTED signature\n"),
            f"the router rejected the packages that the node had fetched: WARNING: opening {PLACE}/packages.adb: "
            "UNTRUSTED signature",
        ),
        (Completed(1, "Unknown package 'tcpdump'.\n", ""), "no feed of the router has tcpdump (without gone: "),
    ],
)
def test_what_the_router_refuses_is_not_offered_again(feeds: Mirror, answer: Completed, words: str) -> None:
    router = Router([Completed(1, ASKED, ""), answer])
    assert router.install("tcpdump", mirrors=(feeds.base("openwrt"),)).trouble.startswith(words)
    assert not router.clock.slept


def packed(text: bytes) -> bytes:
    return gzip.compress(text, mtime=0)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (packed(b"secret"), "is not what its name says"),
        (b"\x1f\x8b not gzip", "the index cannot be read"),
        (packed(b"Package: x\n" * 1000)[:-20], "the index cannot be read: its gzip stream breaks off"),
    ],
    ids=["text", "no gzip", "cut"],
)
def test_what_is_no_index_is_not_handed_on(feeds: Mirror, body: bytes, words: str) -> None:
    feeds.fault("replace", "*/Packages.gz", body=body)
    router = Router([Completed(1, ASKED, ""), BEHIND, BEHIND])
    assert words in router.install("tcpdump", mirrors=(feeds.base("openwrt"),)).trouble
    assert not router.handed


@pytest.mark.parametrize("text", [b"", b"\n\n"])
def test_a_feed_may_be_empty(feeds: Mirror, text: bytes) -> None:
    feeds.fault("replace", "*/Packages.gz", body=packed(text))
    router = Router([Completed(1, ASKED, ""), OK])
    done = router.install("tcpdump", mirrors=(feeds.base("openwrt"),))
    assert done.trouble.startswith("no feed of the router has tcpdump (without gone: ")


def test_what_is_no_signature_is_not_handed_on(feeds: Mirror) -> None:
    feeds.fault("replace", "*/Packages.sig", body=b"secret")
    router = Router([Completed(1, ASKED, ""), BEHIND, BEHIND])
    assert "Packages.sig is not what its name says" in router.install("x", mirrors=(feeds.base("openwrt"),)).trouble


def test_the_node_asks_only_for_what_a_feed_can_be(feeds: Mirror) -> None:
    told = ASKED.replace(FEED, f"{feeds.url}/openwrt/.versions.json?x=").replace("http://127.0.0.1:9", "file:///etc")
    router = Router([Completed(1, told, ""), BEHIND, BEHIND])
    assert "is nothing that the node asks for" in router.install("tcpdump").trouble
    assert not feeds.requests


def test_a_router_that_names_no_feeds_is_not_helped() -> None:
    router = Router([Completed(1, BEHIND.stdout + "@@pve-provision apk\n\n", ""), BEHIND, BEHIND])
    assert (
        router.install("tcpdump").trouble == "wget returned 4.; and the node could not help: the router names no feeds"
    )
