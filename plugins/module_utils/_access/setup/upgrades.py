# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the scripts that ask a guest of which packages its repositories have newer ones, and that
bring it these.

To ask means to fetch the lists of packages again, which changes nothing that runs.
"""

from __future__ import annotations

import shlex
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._access.setup.library.head import HEAD
from ansible_collections.pve.provision.plugins.module_utils._access.setup.library.packages import PACKAGES
from ansible_collections.pve.provision.plugins.module_utils._access.setup.render import PATIENCE

_MARK: t.Final = "@@newer "
# Nothing was set up yet in a guest that has it all, so there is no place for the log either.
_LOG: t.Final = '[ -d "$state" ] || log=$(mktemp)'
_ASK: t.Final = """\
[ "$manager" != none ] || { echo 'it has no package manager that is known here' >&2; return 3; }
refresh || { echo 'the lists of packages could not be fetched' >&2; tail -n 3 "$log" >&2; rm -f "$log"; return 4; }
rm -f "$log"
packages_pending "$@" 2> /dev/null | while IFS= read -r row; do printf '%s%s\\n' '@MARK@' "$row"; done
""".replace("@MARK@", _MARK)
_UPGRADE: t.Final = """\
run packages_mend
rm -f "$log"
packages_upgrade "$@" < /dev/null || return 5
"""


@dataclass(frozen=True)
class Newer:
    """A package of which there is a newer version."""

    name: str
    held: str
    offered: str

    def __str__(self) -> str:
        return f"{self.name}: {self.held} -> {self.offered}"


def ask_script(names: t.Iterable[str]) -> str:
    """What tells the newer versions of those among some packages that are installed."""
    return _script(names, _ASK)


def upgrade_script(names: t.Iterable[str]) -> str:
    """What brings those among some packages that are installed to their newest version."""
    return _script(names, _UPGRADE)


def _script(names: t.Iterable[str], body: str) -> str:
    given = " ".join(map(shlex.quote, names))
    head = f"task=ask patience={PATIENCE} root=''"
    return "\n".join(
        ["pve_provision_newer() {", head, HEAD, _LOG, PACKAGES, f"set -- {given}", body, "}", "pve_provision_newer"]
    )


def read(told: str) -> tuple[Newer, ...]:
    """The newer packages that a guest tells."""
    rows = [line.removeprefix(_MARK).split() for line in told.splitlines() if line.startswith(_MARK)]
    return tuple(Newer(*row) for row in rows if len(row) == 3)
