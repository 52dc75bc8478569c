# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: upgrade a router that is a container.

One that is declared by name gets the new container's number. One that is declared by number keeps it: both are backed
up, and the new one is restored over the old, so that permissions and firewall rules stay, too. In the note of the
upgrade ``archive`` is there from the moment when the old one may be gone, ``done`` from the moment when the new one has
proved itself.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._engine import cleanup
from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.addresses import await_static
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.seeding import (
    MakeFiles,
    inject_files,
    remove_template,
    seeded_template,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.finish import (
    finish_in_place,
    install,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.migrate import (
    SWITCHES,
    goes_with_it,
    identity_options,
    options_to_keep,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.rollback import (
    attempt,
    drop_archives,
    restore_backup,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.upgrade import Note, Upgrade
from ansible_collections.pve.provision.plugins.module_utils._model.lxc import OPTIONS
from ansible_collections.pve.provision.plugins.module_utils._model.sizes import render_gib
from ansible_collections.pve.provision.plugins.module_utils._model.volume import ROOTFS, storage_of
from ansible_collections.pve.provision.plugins.module_utils._store import openwrt_template
from ansible_collections.pve.provision.plugins.module_utils._store.openwrt_build import Defaults
from ansible_collections.pve.provision.plugins.module_utils._store.openwrt_template import WantedTemplate

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig


def new_options(options: t.Mapping[str, str]) -> dict[str, str]:
    """The options of the container that is to replace one: the same, with a new root volume and its links down."""
    rootfs = ROOTFS.parse(options["rootfs"])
    volume = f"{storage_of(rootfs['volume'])}:{render_gib(rootfs.pop('size', None) or 512 * 1024**2)}"
    kept = options_to_keep("lxc", OPTIONS, options)
    return {"unprivileged": "0", **kept, "rootfs": ROOTFS.render({**rootfs, "volume": volume})}


def left_behind(config: GuestConfig, *, stays: bool) -> list[str]:
    """What a router has that its upgrade cannot migrate: mount points with a volume of their own, lines of LXC's,
    and what goes with the old container unless that ``stays``."""
    points = {key: value for key, value in config.options.items() if re.fullmatch(r"mp\d+", key)}
    found = sorted(key for key, value in points.items() if not value.startswith("/"))
    found += [line.partition(":")[0] for line in config.raw]
    return found if stays else [*found, *goes_with_it(config)]


@dataclass(kw_only=True)
class ContainerUpgrade(Upgrade):
    """``template`` is the release, ``volid`` its template on the node. ``in_place``: the router keeps its number."""

    template: WantedTemplate
    volid: str
    in_place: bool

    @property
    def outside(self) -> bool:
        """Whether containers can be seen from outside alone."""
        return self.node.containers is None

    def _make(self, config: GuestConfig, note: Note, files: MakeFiles, digest: str) -> None:
        options = new_options(config.options)
        if not self.outside:
            self._claim(options, note, {"ostemplate": self.volid})
            inject_files(self.node, self.new, files)
            return
        template = seeded_template(self.node, self.template, Defaults(digest, files))
        try:
            self._claim(options, note, {"ostemplate": openwrt_template.ensure(self.node, template).volid})
        finally:
            self.run.result.warnings += remove_template(self.node, template)

    def _await_boot(self) -> None:
        """From outside only its addresses can be seen, which it has when it has come up as configured."""
        if self.outside:
            await_static(self.node, self.new, self.description.static, self.patience)
            return
        router = self.make_router(self.new)
        router.await_shell(self.patience)
        self._bring_in_line(router)

    def _complete(self, packages: t.Sequence[str]) -> None:
        self.run.result.warnings += install(self.make_router(self.run.vmid), packages, self.patience)

    def _swap(self, old: int, config: GuestConfig, reached: bool) -> None:
        swap = self._take_place if self.in_place else self._take_over
        swap(old, config, reached)

    def _take_place(self, old: int, config: GuestConfig, reached: bool) -> None:
        """The new one is restored over the old; a copy of the old one stays behind."""
        timeout, place = self.wanted.policy.timeout, identity_options("lxc", config.options)
        backups = self.node.backups
        storage = str(storage_of(ROOTFS.parse(config.options["rootfs"])["volume"]))
        try:
            self._stop(self.new)
            self._note(archiving=self.new)
            new_archive = backups.archive(self.new, timeout=timeout)
            self._stop(old)
            self._note(archiving=old)
            old_archive = backups.archive(old, timeout=timeout)
            self._check_unchanged(old, config)
            free = {key: "0" if key == "protection" else text for key, text in place.items()}
            self.node.set_config("lxc", old, {key: text for key, text in free.items() if key in SWITCHES})
            self._note(archive=old_archive, storage=storage, over=cleanup.window(self.wanted))
            backups.restore(old, new_archive, {**free, "storage": storage}, over=True, timeout=timeout)
            self.node.start("lxc", old, timeout=self.wanted.policy.start_timeout)
            self._await_reach(old, reached)
        except ProvisionError as error:
            words = attempt(lambda: restore_backup(self.node, self.wanted, self._note()))
            note = self._note()
            words += self._discard()
            if self.node.status("lxc", old) == "running":
                drop_archives(self.node, old, self.new)
            elif "archive" in note:
                words.append(f"the old router is in the backup {note['archive']}")
            raise self._went_back(error, old, words) from error
        self.run.result.warnings += finish_in_place(self.node, self.wanted, self.new, self._note(done=True))
        self.run.result.warnings += self._discard()
