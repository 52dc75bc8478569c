# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest
import requests
from fake_clock import FakeClock
from scripted_requests import TOKEN, Connect, Script

from ansible_collections.pve.provision.plugins.module_utils._io import clock
from ansible_collections.pve.provision.plugins.module_utils._pve.api.node import ApiNode
from ansible_collections.pve.provision.plugins.module_utils._pve.open_node import open_node


@pytest.fixture
def script() -> t.Iterator[Script]:
    script = Script()
    yield script
    assert not script.expected, f"missing: {script.expected}"


@pytest.fixture
def connect(script: Script, monkeypatch: pytest.MonkeyPatch) -> Connect:
    monkeypatch.setattr(requests.adapters, "HTTPAdapter", lambda **_: script)
    monkeypatch.setattr(clock, "SYSTEM", FakeClock())
    return lambda **params: open_node({**TOKEN, "timeout": 60, **params})


@pytest.fixture
def node(connect: Connect) -> ApiNode:
    return connect(node="pve1")
