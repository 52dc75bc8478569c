# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest's ``uci`` answers as the real one does, mistakes included."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedded_node.openwrt.uci import Package, Section, UciError, parse, render
from embedded_node.openwrt.uci_command import Uci
from embedded_node.state.rootfs import GuestFiles

if t.TYPE_CHECKING:
    from pathlib import Path

NETWORK = """
config interface 'loopback'
\toption device 'lo'

config globals 'globals'
\toption ula_prefix 'fd28:e6d9:a21f::/48'

config device
\toption name 'br-lan'
\tlist ports 'eth0'

config interface 'lan'
\toption ipaddr '192.168.1.1'
"""
SYSTEM = """
config system
\toption hostname 'OpenWrt'

config timeserver 'ntp'
\tlist server 'a'
\tlist server 'b c'
"""
Run = t.Callable[..., tuple[int, str, str]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc/config").mkdir(parents=True)
    (tmp_path / "tmp").mkdir()
    (tmp_path / "etc/config/network").write_text(NETWORK)
    (tmp_path / "etc/config/system").write_text(SYSTEM)
    return tmp_path


@pytest.fixture
def uci(root: Path) -> Run:
    def run(*argv: str, stdin: str = "") -> tuple[int, str, str]:
        return Uci(GuestFiles(root), stdin).run(argv)

    return run


MISSING = (1, "", "uci: Entry not found\n")
INVALID = (1, "", "uci: Invalid argument\n")


@pytest.mark.parametrize(
    ("argv", "answer"),
    [
        ("get network.lan", (0, "interface\n", "")),
        ("get network.lan.ipaddr", (0, "192.168.1.1\n", "")),
        ("get system.ntp.server", (0, "a 'b c'\n", "")),
        ("get system.@system[0].hostname", (0, "OpenWrt\n", "")),
        ("get system.@system[-1].hostname", (0, "OpenWrt\n", "")),
        ("get system.@system[7].hostname", MISSING),
        ("get system.@[1]", (0, "timeserver\n", "")),
        ("get network.lan.nope", MISSING),
        ("-q get network.lan.nope", (1, "", "")),
        ("get nope.a.b", MISSING),
        ("get network.bad-name", INVALID),
        ("get network.lan.bad-name", (1, "", "uci: Parse error\n")),
        ("show network.lan", (0, "network.lan=interface\nnetwork.lan.ipaddr='192.168.1.1'\n", "")),
        ("show system.@system[0].hostname", (0, "system.cfg01e48a.hostname='OpenWrt'\n", "")),
        ("show network.@device[0].ports", (0, "network.cfg030f15.ports='eth0'\n", "")),
        ("-d , show system.ntp.server", (0, "system.ntp.server='a','b c'\n", "")),
        ("changes", (0, "", "")),
        ("set network.nosec.proto=dhcp", INVALID),
        ("set network.bad-name.proto=dhcp", INVALID),
        ("set nopkg.a=b", MISSING),
        ("set network.lan.ipaddr", INVALID),
        ("delete network.nosec", MISSING),
        ("delete network", INVALID),
        ("add nopkg thing", (3, "", "uci: Entry not found\n")),
        ("add network interface", (0, "cfg056d96\n", "")),
        ("-c /nonexistent show", MISSING),
        ("export luci", MISSING),
        ("del_list system.ntp.server=nope", (0, "", "")),
        ("rename network.nosec=x", MISSING),
        ("reorder network.nosec=1", MISSING),
    ],
)  # fmt: skip
def test_answers(uci: Run, argv: str, answer: tuple[int, str, str]) -> None:
    assert uci(*argv.split()) == answer


def test_an_unknown_command_shows_the_usage(uci: Run) -> None:
    rc, _other, err = uci("frobnicate")
    assert rc == 255
    assert err.startswith("Usage: uci")


@pytest.mark.parametrize(
    ("commands", "changes"),
    [
        (["set network.lan.ipaddr=10.0.0.1"], "network.lan.ipaddr='10.0.0.1'\n"),
        (["set network.lan.ipaddr=192.168.1.1"], ""),
        (["set network.lan.ipaddr="], "-network.lan.ipaddr\n"),
        (["set network.lan.nope="], ""),
        (["set network.g=interface", "delete network.g"], "network.g='interface'\n-network.g\n"),
        (["add network rule"], "network.cfg0592bd='rule'\n"),
        (["delete network.@device[0]"], "-network.cfg030f15\n"),
        (["add_list system.ntp.server=c"], "system.ntp.server+='c'\n"),
        (["del_list system.ntp.server=a"], "system.ntp.server-='a'\n"),
        (["rename network.@device[0]=br", "reorder network.lan=0"], "network.cfg030f15='br'\nnetwork.lan='0'\n"),
        (["set network.lan.ipaddr=10.0.0.1", "revert network.lan.ipaddr"], ""),
        (["set network.lan.a=1", "set network.loopback.b=2", "revert network.lan"], "network.loopback.b='2'\n"),
        (["set network.lan.descr=it's"], "network.lan.descr='it'\\''s'\n"),
    ],
)  # fmt: skip
def test_changes_are_staged_and_reported(uci: Run, root: Path, commands: list[str], changes: str) -> None:
    before = (root / "etc/config/network").read_text()
    for command in commands:
        assert uci(*command.split())[0] == 0
    assert uci("changes") == (0, changes, "")
    assert (root / "etc/config/network").read_text() == before


def test_commit_writes_the_file_and_empties_the_staging_area(uci: Run, root: Path) -> None:
    uci("set", "network.lan.ipaddr=10.0.0.1")
    assert uci("commit", "network") == (0, "", "")
    assert uci("changes") == (0, "", "")
    assert (root / "etc/config/network").read_text() == NETWORK.replace("192.168.1.1", "10.0.0.1") + "\n"


def test_batch_ends_well_whatever_fails_and_commits_the_rest(uci: Run, root: Path) -> None:
    script = "set system.@system[0].hostname='rec2'\nset nopkg.x.y='1'\nset network.bad name='1'\ncommit system\nfrob\n"
    assert uci("batch", stdin=script) == (0, "", "uci: Entry not found\nUnknown command\nUnknown command\n")
    assert "option hostname 'rec2'" in (root / "etc/config/system").read_text()


def test_another_staging_folder_adds_to_the_default_one(uci: Run) -> None:
    uci("set", "network.lan.a=1")
    uci("-t", "/tmp/mine", "set", "network.lan.b=2")
    assert uci("changes")[1] == "network.lan.a='1'\n"
    assert uci("-t", "/tmp/mine", "changes")[1] == "network.lan.a='1'\nnetwork.lan.b='2'\n"


def test_import_replaces_or_merges(uci: Run) -> None:
    assert uci("import", "badpkg", stdin="config foo\n\toption x\n") == (0, "", "")
    assert uci("export", "badpkg") == (0, "package badpkg\n\nconfig foo\n\n", "")
    assert uci("-m", "import", "network", stdin="config interface 'iot'\n\toption proto 'none'\n") == (0, "", "")
    assert uci("changes", "network")[1] == "network.iot='interface'\nnetwork.iot.proto='none'\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("option a b\n", "option/list command found before the first section"),
        ("config\n", "invalid command"),
        ("config x 'a'\n\toption a 'b\n", "EOF with unterminated '"),
        ("config x a b\n", "too many arguments"),
        ("config x bad-name\n", "invalid character in name field"),
        ("frob\n", "invalid command"),
    ],
)
def test_broken_files_are_reported_with_the_place(text: str, words: str) -> None:
    with pytest.raises(UciError, match=words):
        parse(text, "x")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("option a b", "b"),
        ("option a 'b c'", "b c"),
        ('option a "b\'c"', "b'c"),
        ("option a 'it'\\''s'", "it's"),
        ("option a b # comment", "b"),
        ("option\ta\t'#'", "#"),
        ("option a 'two\nlines'", "two\nlines"),
        ('option a "x\\"y"', 'x"y'),
        ("option a b;option c d", "b"),
    ],
)
def test_values_are_read_in_every_quoting(text: str, value: str) -> None:
    (package,) = parse(f"config x\n\t{text}\n", "p")
    assert package.sections[0].options["a"] == value


TEXTS = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\x00"), min_size=1
)
NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
OPTIONS = st.dictionaries(NAMES, st.one_of(TEXTS, st.lists(TEXTS, min_size=1, max_size=3)), max_size=4)


@given(st.lists(st.tuples(NAMES, OPTIONS), max_size=4))
@settings(max_examples=80, deadline=None)
def test_what_is_rendered_is_read(sections: list[tuple[str, dict[str, t.Any]]]) -> None:
    package = Package("p")
    for number, (kind, options) in enumerate(sections):
        package.add(kind, f"s{number}" if number % 2 else "").options = dict(options)
    (again,) = parse(render(package), "p")
    assert again.sections == package.sections
    assert all(isinstance(section, Section) for section in again.sections)


def test_a_carriage_return_in_a_value_is_kept(uci: Run, root: Path) -> None:
    uci("set", "system.@system[0].notes=a\rb\r\nc")
    uci("commit", "system")
    assert b"a\rb\r\nc" in (root / "etc/config/system").read_bytes()
    assert uci("get", "system.@system[0].notes")[1] == "a\rb\r\nc\n"
