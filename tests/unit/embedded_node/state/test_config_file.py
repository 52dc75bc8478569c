# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guest config files survive reading and writing."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedded_node.state import config_file, propstring

KEYS = st.sampled_from(["arch", "cores", "hostname", "memory", "mp0", "net0", "rootfs", "swap", "tags", "unused0"])
VALUES = (
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=30)
    .map(str.strip)
    .filter(bool)
)
DESCRIPTIONS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40).map(
    lambda text: text.strip() or "x"
)
# An unused volume is one that no other option names.
OPTIONS = st.dictionaries(KEYS, VALUES, max_size=5).map(
    lambda options: {key: "local-lvm:vm-1-disk-7" if key == "unused0" else text for key, text in options.items()}
)
SECTIONS = st.builds(
    lambda options, notes: config_file.Section(options | ({"description": notes + "\n"} if notes else {})),
    OPTIONS,
    st.one_of(st.none(), DESCRIPTIONS),
)
FILES = st.builds(
    config_file.GuestFile,
    st.sampled_from(["lxc", "qemu"]),
    SECTIONS,
    st.builds(config_file.Section, OPTIONS),
    st.dictionaries(st.sampled_from(["before", "s1", "z"]), SECTIONS, max_size=2),
)


@settings(max_examples=100, deadline=None)
@given(FILES)
def test_what_is_written_is_read_again(conf: config_file.GuestFile) -> None:
    again = config_file.parse(config_file.render(conf), conf.kind)
    assert (again.current, again.waiting, again.snapshots) == (conf.current, conf.waiting, conf.snapshots)


def test_a_volume_of_a_container_that_is_used_is_written_as_used_alone() -> None:
    conf = config_file.GuestFile("lxc", config_file.Section({"mp0": "local-lvm:vm-1-disk-1,mp=/srv,size=1G"}))
    conf.options["unused0"] = "local-lvm:vm-1-disk-1"
    assert config_file.render(conf) == "mp0: local-lvm:vm-1-disk-1,mp=/srv,size=1G\n"


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_percent_encoding_is_undone(text: str) -> None:
    encoded = propstring.encode_text(text)
    assert encoded.isascii() and "\n" not in encoded and ":" not in encoded
    assert propstring.decode_text(encoded) == text


def test_a_file_is_written_as_pve_writes_it() -> None:
    conf = config_file.GuestFile()
    conf.options.update({"memory": "512", "arch": "amd64", "description": "l1\nl2: ü 100%\n", "env": "A=1\0B=2"})
    conf.pending.update({"tty": "4", "delete": "mp0"})
    conf.snapshots["s1"] = config_file.Section({"memory": "256", "snaptime": "1", "description": "first"})
    conf.current.raw.append(("lxc.cap.drop", "sys_admin"))
    assert config_file.render(conf) == (
        "#l1\n#l2%3A %C3%BC 100%25\narch: amd64\nmemory: 512\n"
        "lxc.environment.runtime: A=1\nlxc.environment.runtime: B=2\nlxc.cap.drop: sys_admin\n"
        "\n[pve:pending]\ndelete: mp0\ntty: 4\n\n[s1]\n#first\nmemory: 256\nsnaptime: 1\n"
    )


def test_an_empty_value_comes_back_as_a_space() -> None:
    assert config_file.parse("tags: \n").options == {"tags": " "}
    assert config_file.parse("tags:  \n").options == {"tags": " "}


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0T"), (512, "512"), (1024, "1K"), (3355443200, "3200M"), (2**40, "1T")]
)
def test_sizes_are_spelled_as_short_as_they_can_be(size: int, text: str) -> None:
    assert propstring.format_size(size) == text
    assert propstring.parse_size(text) == size


NET: dict[str, t.Any] = {
    "name": {}, "bridge": {"optional": 1}, "hwaddr": {"optional": 1}, "firewall": {"type": "boolean", "optional": 1},
    "type": {"optional": 1},
}  # fmt: skip


def test_required_keys_come_first_then_the_alphabet() -> None:
    values = propstring.parse("type=veth,firewall=on,bridge=vmbr0,name=eth0", NET)
    assert propstring.render(values, NET) == "name=eth0,bridge=vmbr0,firewall=1,type=veth"
