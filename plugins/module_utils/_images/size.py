# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: how large what lies behind a URL is, without fetching it."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError, Timeout
from ansible_collections.pve.provision.plugins.module_utils._images.connection import open_url
from ansible_collections.pve.provision.plugins.module_utils._images.http import (
    ACCESS,
    Access,
    Deadline,
    Failed,
    Timeouts,
)
from ansible_collections.pve.provision.plugins.module_utils._io.clock import SYSTEM

#: Nobody waits long for what is only good to know.
TIMEOUTS: t.Final = Timeouts(connect=5, read=10, total=15)


def size_of(url: str, access: Access = ACCESS) -> int | None:
    """Bytes behind a URL; None when its server does not tell, or cannot be asked."""
    with contextlib.suppress(Failed, ImageError, Timeout):
        deadline = Deadline.start("asking for a size", TIMEOUTS, SYSTEM)
        with open_url(url, {}, access, TIMEOUTS, deadline, method="HEAD") as answer:
            length = answer.headers.get("Content-Length", "")
            return int(length) if length.isdigit() else None
    return None
