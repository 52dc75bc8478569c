# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may change which of a container's options."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass

from ..api import access, validation, volume_access
from ..api.session import Session
from ..errors import forbidden
from ..state import storage
from ..state.config_file import NET_KEY, GuestFile
from ..state.propstring import parse
from . import container

PRIVILEGES = (
    (re.compile(r"cores|cpuunits|cpulimit"), "VM.Config.CPU"),
    (re.compile(r"rootfs|mp\d+"), "VM.Config.Disk"),
    (re.compile(r"memory|swap"), "VM.Config.Memory"),
    (re.compile(r"net\d+|nameserver|searchdomain|hostname"), "VM.Config.Network"),
)


@dataclass(frozen=True)
class Permissions:
    """What a caller may set or delete. A token of root@pam is not root@pam.

    ``old`` is the config that is changed, none for a container that is made, maybe in a ``pool``.
    """

    session: Session
    vmid: int
    old: GuestFile | None
    unprivileged: bool
    pool: str | None = None

    def check(self, new: Mapping[str, t.Any], delete: t.Sequence[str] = ()) -> None:
        """Die with a 403 for the first option that the caller may not set or delete."""
        if self.session.is_root:
            return
        for option in sorted(new):
            self._check_option(option, str(new[option]))
        for option in delete:
            self._check_option(option, None)

    def _check_option(self, option: str, value: str | None) -> None:
        if re.fullmatch(r"dev\d+", option):
            raise forbidden("configuring device passthrough is only allowed for root@pam")
        if option == "hookscript":
            raise forbidden("changing the hookscript is only allowed for root@pam")
        if option == "features":
            self._check_features(value)
            return
        pool = None if option == "tags" else self.pool
        privilege = next((name for pattern, name in PRIVILEGES if pattern.fullmatch(option)), "VM.Config.Options")
        access.need_on_guest(self.session, self.vmid, pool, privilege)
        if container.VOLUME_KEY.fullmatch(option) and value is not None:
            self._check_volume(option, value)
        elif NET_KEY.fullmatch(option):
            before = self.old.options.get(option) if self.old else None
            for text in filter(None, (before, value)):
                access.need_bridge(self.session, parse(text, validation.option_format("lxc", option)))

    def _check_volume(self, option: str, value: str) -> None:
        if re.fullmatch(r"\d+(\.\d+)?", value):  # on the default storage, which is looked at later
            return
        mount = container.parse_volume(option, value)
        if mount.type != "volume":
            raise forbidden(f"mount point type {mount.type} is only allowed for root@pam")
        fresh = storage.NEW_DISK.fullmatch(mount.volume)
        if fresh:
            access.need(self.session, f"/storage/{fresh[1]}", "Datastore.AllocateSpace")
        else:
            volume_access.check(self.session, mount.volume, self.vmid, "rootdir")

    def _check_features(self, value: str | None) -> None:
        if not self.unprivileged:
            raise forbidden("changing feature flags for privileged container is only allowed for root@pam")
        form = validation.option_format("lxc", "features")
        before = parse(self.old.options.get("features", ""), form) if self.old else {}
        after = parse(value, form) if value is not None else {}
        changed = {key for key in {*before, *after} if before.get(key, "") != after.get(key, "")}
        if changed - {"nesting"}:
            raise forbidden("changing feature flags (except nesting) is only allowed for root@pam")
        if changed:
            access.need_on_guest(self.session, self.vmid, self.pool, "VM.Allocate")
