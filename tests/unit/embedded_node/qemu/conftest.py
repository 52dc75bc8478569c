# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A state root on which VMs are made."""

from __future__ import annotations

import typing as t

import pytest

from .support import Qm

if t.TYPE_CHECKING:
    from ..conftest import Machine


@pytest.fixture
def qm(machine: Machine) -> Qm:
    """A node without VMs."""
    return Qm(machine)
