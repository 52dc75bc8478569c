# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation says of the options about applications is what their specs say."""

from __future__ import annotations

import typing as t

import pytest
import yaml

from ansible_collections.pve.provision.plugins.doc_fragments import app_paths
from ansible_collections.pve.provision.plugins.module_utils._argspec import ArgSpec
from ansible_collections.pve.provision.plugins.module_utils._guests.app.spec import APP_INFO, PROFILES
from ansible_collections.pve.provision.plugins.modules import app_info

from .test_options import same


@pytest.mark.parametrize(
    ("text", "spec"),
    [(app_info.DOCUMENTATION, APP_INFO), (app_paths.ModuleDocFragment.DOCUMENTATION, PROFILES)],
    ids=["app_info", "app_paths"],
)
def test_options_are_documented_as_they_are(text: str, spec: ArgSpec) -> None:
    documented: dict[str, t.Any] = yaml.safe_load(text)["options"]
    assert documented.keys() == spec.options.keys()
    assert [line for name in documented for line in same(spec.options[name], documented[name], name)] == []
