# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: how far a run may go with a guest."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, fields

from ansible_collections.pve.provision.plugins.module_utils._model.timeouts import DownloadLimits
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import Limits


@dataclass(frozen=True)
class Policy:
    """How far a run may go. Times in seconds; ``timeout`` is for whatever has none of its own. ``retries``: how often a
    download is tried again; ``storage_warn``, ``storage_refuse``: in percent, how full storages may become."""

    purge_options: bool = False
    restart: t.Literal["never", "when_needed"] = "never"
    recreate: bool = False
    rename: bool = False
    force: bool = False
    purge: bool = False
    cleanup_on_failure: bool = True
    retries: int = 4
    storage_warn: int = 85
    storage_refuse: int = 95
    timeout: int = 600
    create_timeout: int = 600
    download_timeout: int = 600
    post_install_timeout: int = 900
    start_timeout: int = 60
    shutdown_timeout: int = 60
    ip_timeout: int = 0

    @property
    def storage_limits(self) -> Limits:
        return Limits(self.storage_warn, self.storage_refuse)

    @property
    def download_limits(self) -> DownloadLimits:
        return {"timeout": self.download_timeout, "attempts": self.retries + 1}

    @classmethod
    def of(cls, params: t.Mapping[str, t.Any]) -> Policy:
        """What the options of a guest say of it."""
        return cls(**{each.name: params[each.name] for each in fields(cls) if params.get(each.name) is not None})
