# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What went wrong and what to do about it are two sentences."""

from __future__ import annotations

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, ProvisionError


@pytest.mark.parametrize("end", ["", "."])
def test_the_remedy_is_a_sentence_of_its_own(end: str) -> None:
    assert str(ProvisionError(f"It does not answer{end}", remedy="Look at it.")) == "It does not answer. Look at it."
    finding = Finding("image.oci", "x", f"cannot be fetched: HTTP 404 (1x){end}", "Look at it.")
    assert str(finding) == "image.oci: 'x' cannot be fetched: HTTP 404 (1x). Look at it."


def test_what_has_no_remedy_is_reported_as_it_is() -> None:
    assert str(ProvisionError("It does not answer")) == "It does not answer"
    assert str(Finding("vmid", None, "is missing")) == "vmid: is missing"
