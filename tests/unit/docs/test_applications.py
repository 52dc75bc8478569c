# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``docs/applications.md`` names every application and need, and every key of a profile."""

from __future__ import annotations

import applications

from ansible_collections.pve.provision.plugins.module_utils._guests.app.spec import INSIDE, OPTION, PROFILE
from ansible_collections.pve.provision.plugins.module_utils._model.apps.fill import QUOTES
from ansible_collections.pve.provision.plugins.plugin_utils.app_catalog import facts
from ansible_collections.pve.provision.plugins.plugin_utils.apps import own_names

TEXT = applications.TARGET.read_text(encoding="utf-8")


def test_its_tables_are_those_of_the_profiles_and_needs() -> None:
    assert applications.written(TEXT) == TEXT, "run: make schema"


def test_it_names_all_that_a_profile_may_say() -> None:
    names = {*PROFILE.options, *INSIDE, *OPTION, *QUOTES} - {"complete"}
    assert [name for name in sorted(names) if f"`{name}`" not in TEXT and f"`{name}: " not in TEXT] == []
    assert f"{len(facts())} applications" in TEXT
    readme = (applications.TARGET.parents[1] / "README.md").read_text(encoding="utf-8")
    assert f"{len(own_names())} are installed" in readme
