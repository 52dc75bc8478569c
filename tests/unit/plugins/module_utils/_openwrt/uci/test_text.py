# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""UCI as a file and as an export. What ``uci`` itself answers was recorded in a 24.10.4 container."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.config import Package, Section, UciError
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.text import (
    parse_config,
    parse_export,
    render,
    render_export,
)
from ansible_collections.pve.provision.tests.unit.plugins.module_utils._openwrt.uci.samples import (
    GOLDEN,
    bounded,
    packages,
)

if t.TYPE_CHECKING:
    pass


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("option x plain", "plain"),
        ("option x 'single $HOME \\ \"'", 'single $HOME \\ "'),
        ('option x "double \\" \\\\ \'"', "double \" \\ '"),
        ("option x 'it'\\''s'", "it's"),
        ("option x one'two'\"three\"four", "onetwothreefour"),
        ("option x back\\ slash", "back slash"),
        ("option x 'two\nlines'", "two\nlines"),
        ('option x "joined \\\nline"', "joined line"),
        ("option x joined\\\nword", "joinedword"),
        ("option x value # a comment", "value"),
        ("option x value#a comment", "value"),
        ("option x 'va#lue'", "va#lue"),
        ("\toption  x\t\tvalue   ", "value"),
        ("option x value\r", "value"),
        ("o x short", "short"),
        ("option y 1 ; option x 'after'", "after"),
        ("option y '1'; option x 'after'", "after"),
        ("option x kept;swallowed", "kept"),
        ("option x first\noption x second", "second"),
        ("option x a\nlist x b", ["a", "b"]),
        ("list x a\nlist x ''\nlist x 'b c'", ["a", "", "b c"]),
        ("list x a\noption x b", "b"),
        ("option x a\noption x ''", "a"),
        ("option x ''", None),
        ("option x", None),
    ],
)
def test_every_way_to_write_a_value_is_read(written: str, meant: str | list[str] | None) -> None:
    assert parse_config(f"config foo\n{written}\n", "test").sections[0].options.get("x") == meant


def test_a_section_name_that_comes_twice_is_one_section() -> None:
    package = parse_config("config a n\noption x 1\nconfig a\nconfig a n\noption y 2\n", "test")
    assert package.sections == [Section("a", "n", {"x": "1", "y": "2"}), Section("a")]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("option x 1", "before the first section in line 1"),
        ("config", "config without a name"),
        ("config a\noption", "option without a name"),
        ("config a b c", "too many words"),
        ("config a b\nconfig c b", "section b is of type a already in line 2"),
        ("config a bad-name", "bad section name 'bad-name'"),
        ("config a\noption bad-name 1", "bad option name"),
        ("konfig a", "unknown word 'konfig'"),
        ("config a\noption x 'open\nend", "text ends within '"),
    ],
)
def test_what_is_no_uci_is_refused_with_its_line(written: str, said: str) -> None:
    with pytest.raises(UciError, match=said):
        parse_config(written, "test")


def test_all_of_a_router_reads_alike_from_file_and_export() -> None:
    export = (GOLDEN / "recorded" / "export.txt").read_text()
    config = parse_export(export)
    assert list(config) == ["dhcp", "dropbear", "firewall", "network", "rpcd", "system", "uhttpd"]
    assert render_export(config) == export
    assert parse_config((GOLDEN / "recorded" / "firewall").read_text(), "firewall") == config["firewall"]
    assert parse_config((GOLDEN / "recorded" / "dropbear").read_text(), "dropbear") == config["dropbear"]


@bounded
@given(packages())
def test_what_is_written_is_read_back(package: Package) -> None:
    assert parse_config(render(package), package.name) == package
    assert parse_export(render_export({package.name: package})) == {package.name: package}


@bounded
@given(st.text(st.sampled_from("config option list package a '\"\\#;\n\t "), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        package = parse_config(text, "test")
    except UciError:
        return
    assert parse_config(render(package), "test") == package
