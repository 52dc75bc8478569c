# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""UCI read, written, compared and changed. What ``uci`` itself answers was recorded in a 24.10.4 container."""

from __future__ import annotations

import os
import shutil
import string
import subprocess
import typing as t
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._errors import InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.changes import (
    apply,
    batch,
    changes,
    diff,
    diff_config,
)
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.config import (
    Config,
    Package,
    Section,
    UciError,
)
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.merge import overlay
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.text import (
    parse_config,
    parse_export,
    parse_show,
    render,
    render_export,
    render_show,
)

if t.TYPE_CHECKING:
    from random import Random

GOLDEN = Path(__file__).parent / "golden"
bounded = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# --- what there is to say in UCI -----------------------------------------------------------------------------------

names = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=6)
texts = st.one_of(
    st.sampled_from(["it's", "'", "''", '"', "\\", "a b", "#", "a#b", ";", "a;b", "two\nlines", "\ttab", "ü", "$HOME"]),
    st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=8),
)
values = st.one_of(texts, st.lists(st.one_of(texts, st.just("")), min_size=1, max_size=4))
kinds = st.sampled_from(["rule", "zone", "interface", "dhcp-relay"])
options = st.dictionaries(names, values, max_size=4)


@st.composite
def packages(draw: st.DrawFn, name: str = "test") -> Package:
    sections = draw(st.lists(st.tuples(kinds, st.one_of(st.none(), names), options), max_size=6))
    taken: set[str] = set()
    found = []
    for kind, label, content in sections:
        if label is not None and (label in taken or label.startswith("cfg")):
            label = None
        taken.add(label or "")
        found.append(Section(kind, label, content))
    return Package(name, found)


# --- reading -------------------------------------------------------------------------------------------------------


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


def test_sections_have_addresses() -> None:
    package = parse_config("config rule\nconfig zone z\nconfig rule\n", "firewall")
    first, zone, last = package.sections
    assert [package.ref(section) for section in package.sections] == ["@rule[0]", "z", "@rule[1]"]
    assert package.find("@rule[-1]") is last
    assert package.find("@rule[2]") is None
    assert package.find("z") is zone
    assert package.find("cfg0192bd") is first
    assert package.find("cfg0392bd") is last


def test_all_of_a_router_reads_alike_from_file_export_and_show() -> None:
    export = (GOLDEN / "recorded" / "export.txt").read_text()
    config = parse_export(export)
    assert list(config) == ["dhcp", "dropbear", "firewall", "network", "rpcd", "system", "uhttpd"]
    assert render_export(config) == export
    assert render_show(config) == (GOLDEN / "recorded" / "show.txt").read_text()
    assert parse_config((GOLDEN / "recorded" / "firewall").read_text(), "firewall") == config["firewall"]
    assert parse_config((GOLDEN / "recorded" / "dropbear").read_text(), "dropbear") == config["dropbear"]


def test_show_knows_anonymous_sections_by_their_generated_names() -> None:
    shown = parse_show("firewall.cfg01e63d=defaults\nfirewall.cfg01e63d.input='REJECT'\nfirewall.cfg02dc81=zone\n")
    assert [section.name for section in shown["firewall"].sections] == [None, None]
    assert parse_show("firewall.cfg01dead=zone\n")["firewall"].sections[0].name == "cfg01dead"


def _as_shown(package: Package) -> Package:
    """A list of one item is shown as a string."""
    shown = [
        Section(s.type, s.name, {k: v[0] if isinstance(v, list) and len(v) == 1 else v for k, v in s.options.items()})
        for s in package.sections
    ]
    return Package(package.name, shown)


@bounded
@given(packages())
def test_what_is_written_is_read_back(package: Package) -> None:
    assert parse_config(render(package), package.name) == package
    assert parse_export(render_export({package.name: package})) == {package.name: package}
    if package.sections and all(value not in ("", [""]) for s in package.sections for value in s.options.values()):
        shown = parse_show(render_show({package.name: package}))[package.name]
        assert len(shown.sections) == len(package.sections)
        for was, now in zip(package.sections, shown.sections, strict=True):
            assert (was.type, was.name, now.options) == (
                now.type,
                now.name,
                _as_shown(Package("", [was])).sections[0].options,
            )


@bounded
@given(st.text(st.sampled_from("config option list package a '\"\\#;\n\t "), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        package = parse_config(text, "test")
    except UciError:
        return
    assert parse_config(render(package), "test") == package


# --- changing ------------------------------------------------------------------------------------------------------


def firewall() -> Package:
    return parse_export((GOLDEN / "recorded" / "export.txt").read_text())["firewall"]


def changed(package: Package, edit: dict[str, object]) -> list[str]:
    return changes(diff(package, overlay({package.name: package}, {package.name: edit})[package.name]))


def test_changes_are_told_as_uci_tells_them() -> None:
    """These words are the recorded ones, down to the generated names."""
    config = parse_export((GOLDEN / "recorded" / "export.txt").read_text())
    device = config["network"].of_type("device")[0]
    assert config["network"].ref(device) == "@device[0]"
    assert changed(
        config["network"],
        {"@device[name=br-lan]": None, "lan": {"device": "eth0", "proto": "dhcp", "ipaddr": None, "netmask": None}},
    ) == [
        "-network.cfg030f15",
        "-network.lan.ipaddr",
        "-network.lan.netmask",
        "network.lan.device='eth0'",
        "network.lan.proto='dhcp'",
    ]
    assert changed(config["system"], {"@system[0]": {"hostname": "rec3"}}) == ["system.cfg01e48a.hostname='rec3'"]
    assert changed(config["network"], {"guest": {".type": "interface", "descr": "it's"}}) == [
        "network.guest='interface'",
        "network.guest.descr='it'\\''s'",
    ]
    assert changed(config["firewall"], {"@rule": [{}]}) == ["firewall.cfg0e92bd='rule'"]
    ntp = config["system"].find("ntp")
    assert ntp is not None
    servers = ntp.items("server")
    assert changed(config["system"], {"ntp": {"server": [*servers, "time.example"]}}) == [
        "system.ntp.server+='time.example'"
    ]
    assert changed(config["system"], {"ntp": {"server": servers[1:]}}) == [
        "system.ntp.server-='0.openwrt.pool.ntp.org'"
    ]


def test_a_rule_between_others_is_the_only_change() -> None:
    old, new = firewall(), firewall()
    new.sections.insert(5, Section("rule", None, {"name": "Mine", "target": "ACCEPT"}))
    assert batch(diff(old, new)).splitlines() == [
        "add firewall rule",
        "set firewall.@rule[9].name='Mine'",
        "set firewall.@rule[9].target='ACCEPT'",
        "reorder firewall.@rule[9]='5'",
    ]
    assert [op.verb for op in diff(old=new, new=old)] == ["delete"]


def test_rules_are_known_by_their_names_when_one_before_goes() -> None:
    old, new = firewall(), firewall()
    del new.sections[4]
    assert batch(diff(old, new)) == "delete firewall.@rule[0]\n"


def test_several_deletions_do_not_shift_each_other() -> None:
    old, new = firewall(), firewall()
    del new.sections[4], new.sections[6], new.sections[8]
    assert batch(diff(old, new)).splitlines() == [f"delete firewall.@rule[{n}]" for n in (6, 3, 0)]


def test_a_section_that_only_gets_a_name_is_renamed() -> None:
    old = Package("p", [Section("rule", None, {"x": "1"})])
    assert batch(diff(old, Package("p", [Section("rule", "first", {"x": "1"})]))) == "rename p.@rule[0]='first'\n"


def test_moving_one_section_is_one_reorder() -> None:
    old = Package("p", [Section("s", name) for name in "abcd"])
    assert batch(diff(old, Package("p", [Section("s", name) for name in "bcda"]))) == "reorder p.a='3'\n"


def test_a_string_that_becomes_a_list_is_made_anew() -> None:
    old, new = Package("p", [Section("s", "n", {"x": "a"})]), Package("p", [Section("s", "n", {"x": ["a", "b"]})])
    assert batch(diff(old, new)).splitlines() == ["delete p.n.x", "add_list p.n.x='a'", "add_list p.n.x='b'"]


def test_control_characters_are_refused_before_uci_sees_them() -> None:
    with pytest.raises(UciError, match="control character"):
        render(Package("p", [Section("s", "n", {"x": "a\x01"})]))


@bounded
@given(packages(), packages())
def test_applying_the_difference_gives_the_other(old: Package, new: Package) -> None:
    assert diff(old, old) == []
    assert apply(diff(old, new), old) == new
    assert diff_config({"test": old}, {"test": new, "more": Package("more")}) == diff(old, new)


@bounded
@given(packages(), st.randoms(use_true_random=False))
def test_any_shuffle_is_put_in_order(package: Package, random: Random) -> None:
    shuffled = Package(package.name, list(package.sections))
    random.shuffle(shuffled.sections)
    assert apply(diff(shuffled, package), shuffled) == package


# --- merging what the user declares --------------------------------------------------------------------------------


def test_declared_options_are_merged_last() -> None:
    config: Config = {"system": parse_config("config system\n\toption hostname 'a'\n\toption x '1'\n", "system")}
    merged = overlay(
        config,
        {
            "system": {"@system[0]": {"timezone": "CET-1CEST", "x": None, "flag": True, "n": 5, "l": ["a", 1]}},
            "new": {"m": {".type": "main", "on": False}},
        },
    )
    assert merged["system"].sections[0].options == {
        "hostname": "a",
        "timezone": "CET-1CEST",
        "flag": "1",
        "n": "5",
        "l": ["a", "1"],
    }
    assert merged["new"].sections == [Section("main", "m", {"on": "0"})]
    assert config["system"].sections[0].options == {"hostname": "a", "x": "1"}


def test_added_sections_are_added_once() -> None:
    """The same declaration merged again, into what it made, changes nothing."""
    declared = {"firewall": {"@rule": [{"name": "Mine", "target": "ACCEPT"}], "@include": [{"path": "/x"}]}}
    once = overlay({"firewall": firewall()}, declared)
    assert len(once["firewall"].sections) == len(firewall().sections) + 2
    assert overlay(once, declared) == once


HOSTS = "".join(
    f"config host\n\toption name 'h{n}'\n\toption mac '00:11:22:33:44:0{n}'\n\toption ip '10.0.0.{n}'\n"
    for n in range(3)
)


def hosts(edit: dict[str, t.Any]) -> list[str]:
    """The names and addresses of the leases after a declaration."""
    merged = overlay({"dhcp": parse_config(HOSTS, "dhcp")}, {"dhcp": edit})
    return [f"{each.name or each.get('name')} {each.get('ip')}" for each in merged["dhcp"].of_type("host")]


@pytest.mark.parametrize(
    ("edit", "after"),
    [
        ({"@host[1]": {"ip": "10.0.0.9"}}, ["h0 10.0.0.0", "h1 10.0.0.9", "h2 10.0.0.2"]),
        ({"@host[1]": {"name": "h2", "ip": "10.0.0.9"}}, ["h0 10.0.0.0", "h1 10.0.0.1", "h2 10.0.0.9"]),
        ({"@host[9]": {"name": "h2", "ip": "10.0.0.9"}}, ["h0 10.0.0.0", "h1 10.0.0.1", "h2 10.0.0.9"]),
        ({"@host[1]": {"name": "new"}}, ["h0 10.0.0.0", "new 10.0.0.1", "h2 10.0.0.2"]),
        ({"@host[name=h1]": {"ip": "10.0.0.9"}}, ["h0 10.0.0.0", "h1 10.0.0.9", "h2 10.0.0.2"]),
        ({"@host[name=h1]": None}, ["h0 10.0.0.0", "h2 10.0.0.2"]),
        ({"@host[name=gone]": None}, ["h0 10.0.0.0", "h1 10.0.0.1", "h2 10.0.0.2"]),
        ({"@host": [{"mac": "00:11:22:33:44:01", "ip": "10.0.0.9"}]}, ["h0 10.0.0.0", "h1 10.0.0.9", "h2 10.0.0.2"]),
        ({"@host": [{"name": "h1", "ip": "10.0.0.9"}]}, ["h0 10.0.0.0", "h1 10.0.0.9", "h2 10.0.0.2"]),
        (
            {"@host": [{"name": "h1", "ip": "10.0.0.8"}, {"name": "h1", "ip": "10.0.0.9"}]},
            ["h0 10.0.0.0", "h1 10.0.0.8", "h2 10.0.0.2", "h1 10.0.0.9"],
        ),
        (
            {"@host": [{".name": "tv", "ip": "10.0.0.9"}]},
            ["h0 10.0.0.0", "h1 10.0.0.1", "h2 10.0.0.2", "tv 10.0.0.9"],
        ),
    ],
)
def test_a_section_is_told_by_what_it_is(edit: dict[str, t.Any], after: list[str]) -> None:
    assert hosts(edit) == after


@pytest.mark.parametrize("ref", ["@host[1]", "@host[-1]", "cfg02f37d"])
def test_a_position_is_not_enough_to_delete_a_section(ref: str) -> None:
    with pytest.raises(InvalidInput, match=r"deletes whatever section is there by then.*\[name=\.\.\.\]\": null"):
        hosts({ref: None})


def test_everything_wrong_in_a_declaration_is_told_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        overlay(
            {}, {"p": {"@nope[3]": {"a": 1}, "new": {"a": 1}, "s": 7, "t": {".type": "x", "bad-name": 1}}, "q/": {}}
        )
    assert [finding.option for finding in caught.value.findings] == [
        "uci.p.@nope[3]",
        "uci.p.new",
        "uci.p.s",
        "uci.p.t",
        "uci",
    ]


# --- the judge: uci itself, where there is one ---------------------------------------------------------------------

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
    assert uci(tmp, "show", "test") == render_show({"test": old})
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
