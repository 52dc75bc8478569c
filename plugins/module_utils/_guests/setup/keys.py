# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the keys of repositories that come from the network, verified before a guest has them."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import VerificationError
from ansible_collections.pve.provision.plugins.module_utils._images.texts import fetch_text
from ansible_collections.pve.provision.plugins.module_utils._io.openpgp import armored, dearmored, fingerprints
from ansible_collections.pve.provision.plugins.module_utils._model.setup.items import FileItem, KeySource, Setup

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._io.clock import Clock

# A key with many signatures on it; nobody's is larger.
_MOST: t.Final = 1024 * 1024


def fetch_keys(setup: Setup, numbers: t.Collection[int] | None, clock: Clock) -> dict[int, str]:
    """The keys among these things, or among all, as armored text."""
    wanted = {
        number: item.key
        for number, item in enumerate(setup.items)
        if isinstance(item, FileItem) and item.key is not None and (numbers is None or number in numbers)
    }
    fetched = {source: _fetch(source, clock) for source in dict.fromkeys(wanted.values())}
    return {number: fetched[source] for number, source in wanted.items()}


def _fetch(source: KeySource, clock: Clock) -> str:
    content = fetch_text([source.url], _MOST, clock=clock).content
    try:
        packets = dearmored(content)
        found = fingerprints(packets)
    except ValueError as error:
        raise VerificationError(f"What {source.url} brings {error}.", remedy="Check that address.") from error
    strange = [each for each in found if each not in source.fingerprints]
    if strange or not found:
        held = ", ".join(strange) or "no key"
        pinned = ", ".join(source.fingerprints)
        raise VerificationError(
            f"{source.url} brings {held}, and declared is {pinned}.",
            remedy="If its owner confirms the new key, declare its fingerprint.",
        )
    return armored(packets)
