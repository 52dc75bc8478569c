# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of package feeds, and what is made of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._openwrt.feeds import (
    Entry,
    Feed,
    Present,
    Relation,
    apk_feeds,
    askable,
    closure,
    mirrored,
    opkg_conf,
    opkg_feeds,
    parse_index,
    parse_status,
    simulated,
    unknown_packages,
)

SITE = "https://downloads.openwrt.org/releases/24.10.4"
CONF = f"""\
dest root /
dest ram /tmp
lists_dir ext /var/opkg-lists
option overlay_root /overlay
option check_signature

# add your custom package feeds here
# src/gz example http://www.example.com/path/to/files
src/gz openwrt_core {SITE}/targets/x86/64/packages
src/gz openwrt_base {SITE}/packages/x86_64/base/
  src/gz "mine"   http://192.0.2.1/feed
src plain http://192.0.2.1/plain
src/gz mine http://192.0.2.2/second
src/gz ../evil http://192.0.2.1/x
arch x86_64 10
"""


def test_the_feeds_of_opkg() -> None:
    assert opkg_feeds(CONF) == [
        Feed("openwrt_core", f"{SITE}/targets/x86/64/packages", "Packages.gz"),
        Feed("openwrt_base", f"{SITE}/packages/x86_64/base", "Packages.gz"),
        Feed("mine", "http://192.0.2.1/feed", "Packages.gz"),
        Feed("plain", "http://192.0.2.1/plain", "Packages"),
    ]


def test_a_private_configuration_keeps_all_but_feeds_and_lists_and_checks_signatures_whatever_was_said() -> None:
    feeds = opkg_feeds(CONF)
    places = [(feeds[1], "/tmp/x/feeds/1"), (feeds[3], "/tmp/x/feeds/3")]
    expected = (
        "dest root /\ndest ram /tmp\noption overlay_root /overlay\narch x86_64 10\noption check_signature\n"
        "lists_dir ext /tmp/x/lists\nsrc/gz openwrt_base file:///tmp/x/feeds/1\nsrc plain file:///tmp/x/feeds/3\n"
    )
    assert opkg_conf(CONF, places, "/tmp/x/lists") == expected
    assert opkg_conf(CONF.replace("option check_signature\n", ""), places, "/tmp/x/lists") == expected


@pytest.mark.parametrize(
    ("line", "feed"),
    [
        ("http://192.0.2.1/a/b/c/packages.adb", Feed("b/c", "http://192.0.2.1/a/b/c", "packages.adb")),
        ("ndx http://192.0.2.1/a/packages.adb", Feed("192.0.2.1/a", "http://192.0.2.1/a", "packages.adb")),
        ("# https://192.0.2.1/packages.adb", None),
        ("#https://192.0.2.1/packages.adb", None),
        ("v3 https://192.0.2.1/repo main", None),
        ("https://192.0.2.1/repo", None),
        ("/usr/share/local/packages.adb", None),
        ("set -default mirror=https://192.0.2.1", None),
        ("", None),
    ],
)
def test_the_feeds_of_apk(line: str, feed: Feed | None) -> None:
    assert apk_feeds(line + "\n") == ([feed] if feed else [])


def test_the_name_of_a_feed_holds_no_login() -> None:
    assert [feed.name for feed in apk_feeds("https://me:secret@feeds.example.org/packages.adb\n")] == [
        "feeds.example.org"
    ]


def test_a_feed_that_is_named_twice_is_one() -> None:
    url = "https://192.0.2.1/packages.adb\n"
    assert len(apk_feeds(url + url + "https://192.0.2.2/packages.adb\n")) == 2


@pytest.mark.parametrize(
    ("url", "mirrors", "asked"),
    [
        (f"{SITE}/a/b.gz", (), [f"{SITE}/a/b.gz"]),
        (
            f"{SITE}/a/b.gz",
            ("http://192.0.2.1/openwrt/", "http://192.0.2.2"),
            ["http://192.0.2.1/openwrt/releases/24.10.4/a/b.gz", "http://192.0.2.2/releases/24.10.4/a/b.gz"],
        ),
        ("http://downloads.openwrt.org/x", ("http://192.0.2.1",), ["http://192.0.2.1/x"]),
        ("http://192.0.2.9/x", ("http://192.0.2.1",), ["http://192.0.2.9/x"]),
        (
            "https://downloads.openwrt.org.example/x",
            ("http://192.0.2.1",),
            ["https://downloads.openwrt.org.example/x"],
        ),
    ],
)
def test_mirrors_stand_in_for_the_official_server_alone(url: str, mirrors: tuple[str, ...], asked: list[str]) -> None:
    assert mirrored(url, mirrors) == asked


@pytest.mark.parametrize(
    ("url", "good"),
    [
        (SITE, True),
        ("http://192.0.2.1/feed", True),
        ("file:///etc", False),
        ("ftp://192.0.2.1/feed", False),
        ("http://192.0.2.1/secret?x=", False),
        ("http://192.0.2.1/secret#", False),
        ("/etc", False),
    ],
)
def test_what_the_node_may_ask_for(url: str, good: bool) -> None:
    assert askable(url) is good


DIGEST = "ab" * 32
PACKAGES = f"""\
Package: tcpdump
Version: 4.99.5-r1
Depends: libc, libpcap1 (>= 1.10), wget | wget-any
Provides: tcpdump-any
License: BSD-3-Clause
Architecture: x86_64
Installed-Size: 1024
Filename: tcpdump_4.99.5-r1_x86_64.ipk
Size: 345
SHA256sum: {DIGEST}
Description:  Network monitoring
 Package: not this one
 Filename: ../../etc/passwd


Package: outside
Version: 1
Filename: ../../etc/outside_1.ipk
Size: 1
SHA256sum: {DIGEST}

Package: unchecked
Version: 1
Filename: unchecked_1.ipk
Size: 1

Package: below
Version: 2~3+4
Filename: sub/below_2~3+4_x86_64.ipk
Size: 7
SHA256sum: {DIGEST}
"""


def test_an_index() -> None:
    assert parse_index(PACKAGES) == [
        Entry(
            "tcpdump",
            "4.99.5-r1",
            "tcpdump_4.99.5-r1_x86_64.ipk",
            345,
            DIGEST,
            (Relation(("libc",)), Relation(("libpcap1",), bound=True), Relation(("wget", "wget-any"))),
            ("tcpdump-any",),
        ),
        Entry("below", "2~3+4", "sub/below_2~3+4_x86_64.ipk", 7, DIGEST),
    ]


def test_what_is_installed() -> None:
    status = """\
Package: libc
Version: 1.2.5-r4
Provides: libpthread, librt (=1)
Status: install ok installed

Package: gone
Version: 1
Status: deinstall ok not-installed

Package: half
Version: 1
Status: install user unpacked
"""
    present = parse_status(status)
    assert present == Present({"libc": "1.2.5-r4"}, frozenset({"libpthread", "librt"}))
    assert [name in present for name in ("libc", "librt", "gone", "half")] == [True, True, False, False]


def entry(name: str, needs: str = "", provides: str = "", version: str = "1") -> Entry:
    text = (
        f"Package: {name}\nVersion: {version}\nDepends: {needs}\nProvides: {provides}\n"
        f"Filename: {name}_{version}.ipk\nSize: 1\nSHA256sum: {DIGEST}\n"
    )
    return parse_index(text)[0]


OFFERED = [
    ("base", entry("tcpdump", "libc, libpcap1")),
    ("base", entry("libpcap1", "libc", "libpcap")),
    ("base", entry("libc")),
    ("base", entry("kernel", version="6.6.110")),
    ("base", entry("kmod-a", "kernel (=6.6.110)")),
    ("base", entry("fetcher", "wget")),
    ("packages", entry("wget-ssl", "libssl", "wget")),
    ("packages", entry("wget-nossl", "", "wget")),
    ("packages", entry("libssl")),
    ("base", entry("round", "about")),
    ("base", entry("about", "round")),
    ("mine", entry("tcpdump", "libc", version="9")),
]
PRESENT = Present({"libc": "0", "kernel": "6.6.110"}, frozenset({"libm"}))


@pytest.mark.parametrize(
    ("wanted", "present", "needed", "unknown"),
    [
        (["libpcap1"], PRESENT, ["base/libpcap1"], []),
        (["libpcap"], PRESENT, ["base/libpcap1"], []),
        (["tcpdump"], PRESENT, ["base/libpcap1", "base/tcpdump", "mine/tcpdump"], []),
        (["tcpdump"], Present(), ["base/libc", "base/libpcap1", "base/tcpdump", "mine/tcpdump"], []),
        (["kmod-a"], PRESENT, ["base/kmod-a"], []),
        (["kmod-a"], Present({"kernel": "6.6.1"}), ["base/kernel", "base/kmod-a"], []),
        (["fetcher"], PRESENT, ["base/fetcher", "packages/libssl", "packages/wget-nossl", "packages/wget-ssl"], []),
        (["fetcher"], Present({}, frozenset({"wget"})), ["base/fetcher"], []),
        (["round"], PRESENT, ["base/about", "base/round"], []),
        (["nosuch", "libssl"], PRESENT, ["packages/libssl"], ["nosuch"]),
        (["libm"], PRESENT, [], []),
        ([], PRESENT, [], []),
    ],
)
def test_what_is_brought(wanted: list[str], present: Present, needed: list[str], unknown: list[str]) -> None:
    found, lacking = closure(wanted, OFFERED, present)
    assert (sorted(f"{place}/{one.name}" for place, one in found), lacking) == (needed, unknown)


NAMES = st.sampled_from("abcdefgh")


@given(st.dictionaries(NAMES, st.lists(NAMES, max_size=4), max_size=8), st.lists(NAMES, max_size=4), st.sets(NAMES))
def test_nothing_that_is_needed_is_missing_and_nothing_else_comes(
    needs: dict[str, list[str]], wanted: list[str], there: set[str]
) -> None:
    offered = [("feed", entry(name, ", ".join(others))) for name, others in needs.items()]
    found, unknown = closure(wanted, offered, Present(dict.fromkeys(there, "0")))
    brought = {one.name for _place, one in found}
    assert len(brought) == len(found)
    assert set(unknown) == set(wanted) - set(needs) - there
    reached = {name for name in wanted if name in needs}
    while more := {n for name in reached for n in needs[name] if n in needs and n not in there} - reached:
        reached |= more
    assert brought == reached


SIMULATED = """\
WARNING: opening /tmp/x/feeds/3/packages.adb: UNTRUSTED signature
( 1/12) Installing libpcap1 (1.10.5-r1)
(2/12) Upgrading tcpdump (4.99.4-r1 -> 4.99.5-r1)
(3/12) Purging old (1)
(4/12) Installing pinned@mine (2-r0)
(5/12) Installing ../../etc/passwd (1)
(6/12) Installing x (../1)
OK: 4 B in 2 packages
"""


def test_what_apk_would_install() -> None:
    assert simulated(SIMULATED) == [("libpcap1", "1.10.5-r1"), ("tcpdump", "4.99.5-r1"), ("pinned", "2-r0")]


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("Unknown package 'nosuch'.\nUnknown package 'other'.\nUnknown package 'nosuch'.\n", ["nosuch", "other"]),
        ("ERROR: unable to select packages:\n  a (no such package):\n    required by: world[a]\n", ["a"]),
        ("Installing tcpdump (4.99.5-r1) to root...\n", []),
    ],
)
def test_what_opkg_and_apk_have_never_heard_of(said: str, names: list[str]) -> None:
    assert unknown_packages(said) == names


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    for entry_ in parse_index(text):
        assert not entry_.filename.startswith(("/", "."))
        assert "/." not in entry_.filename
    for feed in opkg_feeds(text):
        assert "/" not in feed.name
    apk_feeds(text)
    parse_status(text)
    simulated(text)
    unknown_packages(text)
    opkg_conf(text, [], "/tmp/x")
