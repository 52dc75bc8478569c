# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PVE's ways of writing values: sizes, booleans, property strings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._model.codec import (
    CONTAINER_SIZE,
    DISK_SIZE,
    parse_boolean,
    text,
    vlans,
    words,
)
from ansible_collections.pve.provision.plugins.module_utils._model.network import NET
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import join, split
from ansible_collections.pve.provision.plugins.module_utils._model.sizes import (
    GIB,
    KIB,
    MIB,
    TIB,
    parse_size,
    render_gib,
    render_size,
)
from ansible_collections.pve.provision.plugins.module_utils._model.volume import MOUNT_POINT


@pytest.mark.parametrize(
    ("written", "size"),
    [
        (1, GIB),
        ("8", 8 * GIB),
        (0.5, GIB // 2),
        ("1G", GIB),
        ("1GiB", GIB),
        ("1 GB", GIB),
        ("1024M", GIB),
        ("1536m", 1536 * MIB),
        ("2T", 2 * TIB),
        ("512K", 512 * KIB),
        ("100B", 100),
    ],
)
def test_a_size_is_gib_or_says_its_unit(written: object, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize("written", ["1X", "", "lots", "-1", "1G2", "G", True, "1e3"])
def test_what_is_no_size_is_refused_with_a_remedy(written: object) -> None:
    with pytest.raises(ValueError, match="is not a size; write a number of GiB"):
        parse_size(written)


@given(st.integers(min_value=1, max_value=2**50))
def test_a_rendered_size_reads_back(size: int) -> None:
    assert parse_size(render_size(size), 1) == size


@pytest.mark.parametrize(("size", "text"), [(GIB, "1"), (GIB // 2, "0.5"), (1536 * MIB, "1.5")])
def test_a_new_volume_is_asked_for_in_bare_gib(size: int, text: str) -> None:
    assert render_gib(size) == text


@pytest.mark.parametrize("word", ["1", "on", "yes", "true", "True", "YES", True, 1])
def test_every_spelling_of_true(word: object) -> None:
    assert parse_boolean(word) is True


@pytest.mark.parametrize("word", ["0", "off", "no", "false", "No", False, 0])
def test_every_spelling_of_false(word: object) -> None:
    assert parse_boolean(word) is False


def test_what_is_no_boolean_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a boolean"):
        parse_boolean("maybe")


@pytest.mark.parametrize(
    "text",
    [
        "name=eth0,bridge=vmbr0,firewall=1,hwaddr=BC:24:11:AA:BB:CC,ip=dhcp,mtu=1400,rate=5,tag=12,type=veth",
        "name=eth1,bridge=vmbr0,gw=10.1.2.1,gw6=fd00::1,hwaddr=BC:24:11:49:E8:61,ip=10.1.2.3/24,ip6=fd00::5/64,type=veth",
        "name=eth0,bridge=vmbr0,trunks=10;20,type=veth",
    ],
)
def test_networks_as_pve_writes_them_survive_a_round_trip(text: str) -> None:
    assert NET.render(NET.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["local-lvm:vm-105-disk-1,mp=/srv/data,backup=1,size=8G", "/srv,mp=/mnt/srv,ro=1", "local:105/x.raw,mp=/d"]
)
def test_mount_points_as_pve_writes_them_survive_a_round_trip(text: str) -> None:
    assert MOUNT_POINT.render(MOUNT_POINT.parse(text)) == text


@pytest.mark.parametrize(
    ("written", "canonical", "listed"),
    [
        ("10;20", (10, 20), "10;20"),
        ("20;10;10", (10, 20), "10;20"),
        ("2-4;7", ("2-4", 7), "2;3;4;7"),
        ("2-4;3-6;7", ("2-7",), "2;3;4;5;6;7"),
        ("", (), ""),
    ],
)
def test_vlans_are_the_fewest_tags_and_ranges(written: str, canonical: tuple[object, ...], listed: str) -> None:
    ranges, single = vlans(ranges=True), vlans(ranges=False)
    assert ranges.parse(written) == ranges.accept(written) == ranges.accept(written.split(";")) == canonical
    assert ranges.parse(ranges.render(canonical)) == canonical
    assert single.render(canonical) == listed
    assert single.parse(listed) == canonical


@given(st.sets(st.integers(1, 4094), max_size=40))
def test_any_set_of_vlans_survives_a_round_trip(tags: set[int]) -> None:
    for codec in (vlans(ranges=True), vlans(ranges=False)):
        canonical = codec.accept(sorted(tags))
        assert codec.parse(codec.render(canonical)) == canonical
        assert codec.accept([str(part) for part in canonical]) == canonical


@pytest.mark.parametrize(
    ("written", "container", "disk"),
    [
        ("8G", "8G", "8G"),
        ("1.1G", "1126M", "1153434K"),
        ("100.3M", "100M", "102708K"),
        ("1000M", "1000M", "1000M"),
        ("0.5", "512M", "512M"),
        ("1.5M", "1M", "1536K"),
    ],
)
def test_a_size_is_what_pve_makes_of_it(written: str, container: str, disk: str) -> None:
    assert render_size(CONTAINER_SIZE.accept(written)) == container
    assert render_size(DISK_SIZE.accept(written)) == disk


def test_a_size_below_the_least_is_refused() -> None:
    with pytest.raises(ValueError, match="is too small; the least is 1M"):
        CONTAINER_SIZE.accept("100K")


def test_unknown_keys_survive() -> None:
    assert NET.render(NET.parse("name=eth0,new-thing=7")) == "name=eth0,new-thing=7"


keys = st.text("abcdefgh-", min_size=1, max_size=8)
values = st.text(st.characters(blacklist_characters=",=\n", blacklist_categories=("Cs",)), min_size=1, max_size=12)


@given(st.dictionaries(keys, values, max_size=6))
def test_any_property_string_survives_a_round_trip(pairs: dict[str, str]) -> None:
    assert split(join(pairs)) == pairs


def test_a_part_without_key_belongs_to_the_default_key_or_is_an_error() -> None:
    assert split("local:8,size=8G", "volume") == {"volume": "local:8", "size": "8G"}
    with pytest.raises(ValueError, match="without a key: 'local:8'"):
        split("local:8,size=8G")


@pytest.mark.parametrize(
    ("written", "canonical"), [(["b", "A", "b"], ("a", "b")), ("b;A", ("a", "b")), ("", ()), ([], ())]
)
def test_unordered_lists_are_sorted_and_without_repetition(written: object, canonical: tuple[str, ...]) -> None:
    tags = words(";", text(fold=str.lower), ordered=False)
    assert tags.accept(written) == canonical
    assert tags.parse(tags.render(canonical)) == canonical
