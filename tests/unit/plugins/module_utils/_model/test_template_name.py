# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which template a name means."""

from __future__ import annotations

import pytest

from ansible_collections.pve.provision.plugins.module_utils._model.template_name import newest_match, parse_template

VOLIDS = [
    "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst",
    "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst",
    "local:vztmpl/debian-13-standard_13.10-1_amd64.tar.zst",
    "nas:vztmpl/debian-13-standard_13.1-1_arm64.tar.zst",
    "local:vztmpl/alpine-3.22-default_20250617_amd64.tar.xz",
    "local:vztmpl/openwrt-24.10.4-lxc_amd64.tar.gz",
]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("debian-13-standard", 2),
        ("debian-13", 2),
        ("debian", 2),
        ("debian-12", 0),
        ("debian-13-standard_13.1-2_amd64.tar.zst", 1),
        ("alpine-3.22-default", 4),
        ("debian-1", None),
        ("ubuntu", None),
        ("", None),
    ],
)
def test_a_name_means_its_newest_template(wanted: str, found: int | None) -> None:
    assert newest_match(wanted, VOLIDS) == (None if found is None else VOLIDS[found])


def test_another_architecture_is_not_meant() -> None:
    assert newest_match("debian-13", VOLIDS, arch="arm64") == VOLIDS[3]


@pytest.mark.parametrize(("volid", "ostype"), [(VOLIDS[0], "debian"), (VOLIDS[4], "alpine"), (VOLIDS[5], None)])
def test_the_ostype_follows_from_the_name(volid: str, ostype: str | None) -> None:
    assert parse_template(volid).ostype == ostype
