# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation of profiles says that they set, and check, is what their data say."""

from __future__ import annotations

import typing as t

import pytest
import yaml

from ansible_collections.pve.provision.plugins.doc_fragments.profile import ModuleDocFragment
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles import kubernetes
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.catalog import PROFILES
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.spec import NAMES, PROFILE
from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import Check

DOCUMENTED = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
LINES = DOCUMENTED["profile"]["description"]
# A text that is too long to be told.
LONG = 60


def settings(value: t.Any, path: str = "") -> t.Iterator[str]:
    """What is set, as the documentation spells it: ``C(disks[0].size=16G)``."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from settings(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for place, inner in enumerate(value):
            yield from settings(inner, f"{path}[{place}]")
    else:
        text = (
            ",".join(value)
            if isinstance(value, list)
            else str(value).lower()
            if isinstance(value, bool)
            else str(value)
        )
        yield f"C({path})" if len(text) > LONG else f"C({path}={text})"


def told(check: Check) -> str:
    """How a check is told."""
    what = {
        "tcp": f"TCP port {check['port']}",
        "http": f"HTTP port {check['port']}",
        "command": f"C({check['command']})",
    }
    return what[check.type]


def line(name: str) -> str:
    """The line of a profile."""
    profile = PROFILES[name]
    checks = profile.checks
    if name == "kubernetes":
        checks = (kubernetes.ready("NAME", ""),)
    parts = [f"V({name}) sets {', '.join(settings(profile.options))}."]
    for image, options in profile.images.items():
        parts.append(f"With image V({image}) {' and '.join(settings(options))}.")
    if checks:
        parts.append(f"It checks {' and '.join(map(told, checks))}.")
    return " ".join(parts)


@pytest.mark.parametrize("name", [name for name in PROFILES if PROFILES[name].options])
def test_the_documentation_says_what_a_profile_sets(name: str) -> None:
    assert line(name) in LINES


def test_every_profile_is_documented() -> None:
    assert list(NAMES) == list(PROFILES) == PROFILE.options["profile"]["choices"]
    for name in NAMES:
        assert any(text.startswith(f"V({name})") for text in LINES)
