# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which storage does best for a volume, why another one does not, and how full one may become."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._pve.storages import Demand, Limits, check_storage, rank
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Storage

GIB = 1024**3


def storage(name: str, kind: str, used: int, *, total: int = 100, **more: t.Any) -> Storage:
    """A storage for disks, with sizes in GiB; so that a percent of it is one."""
    sizes = {"total": total * GIB, "used": used * GIB, "available": (total - used) * GIB}
    return Storage(name, kind, frozenset({"images", "rootdir"}), **{**sizes, **more})


LVM = storage("lvm", "lvm", 10)
THIN = storage("thin", "lvmthin", 20)
ZFS = storage("tank", "zfspool", 60)
CEPH = storage("ceph", "rbd", 70, shared=True)
NFS = storage("nas", "nfs", 30, shared=True)

RANKINGS: list[tuple[list[Storage], int, bool, list[str], dict[str, str]]] = [
    # what keeps its data better comes first, then what has more room
    ([LVM, ZFS, THIN, CEPH], 4, False, ["ceph", "tank", "lvm", "thin"], {"tank": "ceph keeps its data better"}),
    ([THIN, LVM], 4, False, ["lvm", "thin"], {"thin": "lvm has more room"}),
    # but not where it would become too full for comfort
    ([storage("tank", "zfspool", 84), LVM], 4, False, ["lvm", "tank"], {"tank": "lvm is emptier"}),
    # what all nodes see matters where there are several
    ([LVM, NFS], 4, False, ["lvm", "nas"], {"nas": "lvm has more room"}),
    ([LVM, NFS], 4, True, ["nas", "lvm"], {"lvm": "nas is seen by all nodes"}),
    # what cannot take it says why
    (
        [storage("full", "lvm", 94), storage("small", "lvm", 1, total=2), LVM],
        4,
        False,
        ["lvm"],
        {
            "full": "would be 98 % full, and storage_refuse is 95",
            "small": "has 1.0 GiB free, 4.0 GiB are needed",
        },
    ),
    (
        [dataclasses.replace(LVM, active=False), dataclasses.replace(ZFS, content=frozenset({"iso"}))],
        4,
        False,
        [],
        {"lvm": "is not active", "tank": "takes no VM disks"},
    ),
]


@pytest.mark.parametrize(("storages", "size", "clustered", "order", "reasons"), RANKINGS)
def test_storages_are_ranked_and_each_says_why_it_is_not_the_one(
    storages: list[Storage], size: int, clustered: bool, order: list[str], reasons: dict[str, str]
) -> None:
    ranking = rank(storages, Demand("images", size * GIB), clustered=clustered)
    assert [each.name for each in ranking.fitting] == order
    told = {**ranking.behind, **ranking.refused}
    assert reasons.items() <= told.items()
    assert told.keys() == {each.name for each in storages} - set(order[:1])


def test_what_others_of_the_run_take_counts() -> None:
    other = storage("other", "lvm", 20)
    assert rank([LVM, other], Demand("images", GIB)).fitting[0] is LVM
    taken = Demand("images", GIB, lambda name: 30 * GIB if name == "lvm" else 0)
    assert rank([LVM, other], taken).fitting[0] is other


def test_what_a_thin_one_has_promised_counts_as_if_it_were_written() -> None:
    promised = Demand("images", GIB, promised=lambda name: 90 * GIB if name == "thin" else 0)
    ranking = rank([THIN, storage("lvm", "lvm", 50)], promised)
    assert [each.name for each in ranking.fitting] == ["lvm", "thin"]
    assert ranking.behind == {"thin": "lvm is emptier"}


@given(
    st.lists(
        st.tuples(st.sampled_from(["lvm", "lvmthin", "dir", "zfspool", "rbd"]), st.integers(0, 100), st.booleans()),
        max_size=6,
    ),
    st.integers(0, 120),
)
def test_every_storage_is_either_ranked_or_refused_and_the_first_has_room(
    described: list[tuple[str, int, bool]], size: int
) -> None:
    storages = [storage(f"s{n}", kind, used, active=on) for n, (kind, used, on) in enumerate(described)]
    ranking = rank(storages, Demand("images", size * GIB))
    ranked = [each.name for each in ranking.fitting]
    assert sorted([*ranked, *ranking.refused]) == sorted(each.name for each in storages)
    assert ranking.behind.keys() == set(ranked[1:])
    for name in ranked:
        assert check_storage(storages, name, "images", size * GIB, "x")[0] == []


ROOM: list[tuple[Storage, int, bool, str, str]] = [
    (storage("a", "lvm", 10), 4, False, "", ""),
    (storage("a", "lvm", 82), 4, False, "", "a would be 86 % full with all that is declared (storage_warn is 85)"),
    (storage("a", "lvm", 92), 4, False, "would be 96 % full, and storage_refuse is 95", ""),
    (storage("a", "lvm", 92), 0, False, "", ""),
    (storage("a", "lvm", 98), 4, False, "has 2.0 GiB free, 4.0 GiB are needed", ""),
    # a thin one promises what is not written yet
    (storage("a", "lvmthin", 92), 4, False, "", "would be 96 % full"),
    (storage("a", "lvmthin", 92), 9, False, "", "it is thin, so this works until the space is really written"),
    (storage("a", "lvmthin", 96), 4, False, "is 96 % full, and storage_refuse is 95", ""),
    # but a file is written at once
    (storage("a", "dir", 92), 4, True, "would be 96 % full, and storage_refuse is 95", ""),
    # of what PVE does not tell nothing is said
    (storage("a", "lvm", 92, total=100, available=None), 4, False, "", ""),
]


@pytest.mark.parametrize(("found", "size", "written", "problem", "warning"), ROOM)
def test_how_full_a_storage_becomes_is_told_or_refused(
    found: Storage, size: int, written: bool, problem: str, warning: str
) -> None:
    findings, warnings = check_storage([found], "a", "images", size * GIB, "disks[0].storage", written=written)
    assert [finding.problem for finding in findings] == [problem][: bool(problem)]
    assert [warning in told for told in warnings] == [True][: bool(warning)]


def test_the_limits_are_the_users() -> None:
    found = storage("a", "lvm", 10)
    limits = Limits(warn=5, refuse=12)
    assert check_storage([found], "a", "images", GIB, "x", limits=limits)[1]
    assert check_storage([found], "a", "images", 3 * GIB, "x", limits=limits)[0]
