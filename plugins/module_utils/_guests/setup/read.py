# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: from the parameters of a guest to what is to be in it."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._access.inside import Inside
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.guest_connection import GuestConnection
from ansible_collections.pve.provision.plugins.module_utils._model.setup.options import SetupOption, first_declared

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._guests.setup.part import SetupPart


def read_setup(
    params: t.Mapping[str, t.Any], options: t.Iterable[SetupOption], connection: GuestConnection, inside: Inside
) -> tuple[tuple[SetupPart, ...], list[Finding]]:
    """The part of a guest of which anything of its inside is declared, and what is wrong with that."""
    options = tuple(options)
    option = first_declared(params, options)
    if option is None:
        return (), []
    # Most containers have no such thing declared, and are spared reading from disk what it takes.
    from ansible_collections.pve.provision.plugins.module_utils._guests.setup.part import SetupPart
    from ansible_collections.pve.provision.plugins.module_utils._model.setup.declare import declare_setup

    setup, findings = declare_setup(params, options)
    return (SetupPart(setup, option, connection, inside),), findings
