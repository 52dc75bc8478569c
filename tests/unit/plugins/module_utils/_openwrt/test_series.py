# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which release series a version belongs to."""

from __future__ import annotations

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import Unsupported
from ansible_collections.pve.provision.plugins.module_utils._openwrt.series import series_of


@pytest.mark.parametrize(
    ("version", "line"),
    [
        ("23.05.5", "23.05"),
        ("24.10", "24.10"),
        ("24.10.4", "24.10"),
        ("25.12.5", "25.12"),
        ("26.6.0", "25.12"),
        ("SNAPSHOT", "25.12"),
    ],
)
def test_a_version_is_written_in_its_line(version: str, line: str) -> None:
    assert series_of(version).name == line


def test_a_version_older_than_every_line_is_refused() -> None:
    with pytest.raises(Unsupported, match=r"22\.03\.7 is too old"):
        series_of("22.03.7")
