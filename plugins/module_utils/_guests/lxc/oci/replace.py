# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: give a container the root file system of another image.

The container keeps its number, its name, its networks, its mount points and what is on them. It stands still only while
the new root file system takes the place of the old one. The old one is kept until the container runs, goes on running
and has passed its checks; where it does not, it gets that back.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._engine import cleanup
from ansible_collections.pve.provision.plugins.module_utils._engine.step import NewFile, Phase, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._errors import (
    ChecksFailed,
    Conflict,
    Finding,
    ProvisionError,
    Timeout,
    Unsupported,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.oci import keeper as keepers
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.oci.keeper import (
    NEW,
    OF_IMAGE,
    OLD,
    besides_image,
    of_image,
    volume_of,
)
from ansible_collections.pve.provision.plugins.module_utils._io.clock import poll
from ansible_collections.pve.provision.plugins.module_utils._model.oci import (
    OciRecord,
    OciReference,
    merged_environment,
    with_record,
)
from ansible_collections.pve.provision.plugins.module_utils._model.raw_lines import merge_lines
from ansible_collections.pve.provision.plugins.module_utils._model.sizes import render_gib
from ansible_collections.pve.provision.plugins.module_utils._model.volume import DEFAULT_SIZE, ROOTFS, storage_of

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.oci.keeper import Keeper
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.privileges import Need
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig

OPTION: t.Final = "image.oci"
# Storages that can give a volume another name that is a directory tree.
_RENAMED_SUBVOLUMES: t.Final = frozenset({"zfspool"})
# For how many seconds a container has to go on running to count as one that runs.
STEADY: t.Final = 5


@dataclass(frozen=True)
class ReplaceRoot(Step):
    """Put the root file system of another image in the place of a container's, which is stopped then. ``volid`` is its
    archive; ``env`` and ``own`` are what is declared of the options that come of it; ``resumed``: an earlier run has
    done it, and ended before the container had proved itself."""

    action = "replace_root"
    phase = Phase.CHANGE
    privilege = "VM.Config.Disk"
    until_verified = True
    with_snapshots = "a snapshot holds the old root file system, which goes when the new one serves"

    old: OciRecord
    new: OciRecord
    volid: str = field(default="", repr=False)
    env: tuple[str, ...] = field(default=(), repr=False)
    own: t.Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    new_file: NewFile | None = field(default=None, repr=False)
    required: tuple[Need, ...] = field(default=(), repr=False)
    resumed: bool = False

    @property
    def file(self) -> NewFile | None:
        return self.new_file

    @property
    def volumes(self) -> t.Sequence[str]:
        return ("rootfs", NEW, OLD)

    def needs(self) -> t.Sequence[Need]:
        return self.required

    def details(self) -> dict[str, t.Any]:
        told = {"from": str(self.old.reference), "to": str(self.new.reference)}
        return {**told, "resumed": True} if self.resumed else told

    def run(self, run: Run) -> None:
        if not self.resumed:
            with run.node.lock(f"lxc-replace-{run.vmid}"):
                Replacement(run, self).carry_out()

    def undo(self, run: Run) -> list[str]:
        """Go back, as far as it came."""
        name = run.config().options["hostname"]
        keeper = keepers.find(run.node, run.vmid, name)
        if keeper is None:
            return []
        words = keepers.go_back(run.node, run.wanted, keeper)
        run.rolled_back = not words
        how = "and runs again" if keeper.ran and run.wanted.state != "stopped" else "and is stopped, as it was"
        return words or [f"It has its old root file system again, that of {self.old.reference}, {how}"]


@dataclass(frozen=True)
class RemoveOldRoot(Step):
    """Remove the old root file system, once the container has proved itself with the new one."""

    action = "remove_old_root"
    phase = Phase.CLOSE
    privilege = "VM.Config.Disk"

    def run(self, run: Run) -> None:
        keeper = keepers.find(run.node, run.vmid, run.config().options["hostname"])
        if keeper is not None:
            keepers.finish(run.node, run.wanted, keeper)


@dataclass
class Replacement:
    """One replacement. ``new`` is the number of the container beside, once it is known."""

    run: Run
    step: ReplaceRoot
    new: int = 0
    made: bool = False

    @property
    def node(self) -> Node:
        return self.run.node

    def carry_out(self) -> None:
        run, vmid, config = self.run, self.run.vmid, self.run.config()
        ran = self.node.status("lxc", vmid) == "running"
        try:
            image = self._unpack(config, ran=ran)
            lines = of_image(self.node.lxc_lines(self.new))
            self._check_lines(lines)
            self._hand_over(config, image, ran=ran)
        except ProvisionError as error:
            words = cleanup.undo(self.node, run.wanted, self.new, made=self.made) if self.new else []
            remedy = [error.remedy, "The container is as it was", *words]
            error.remedy = ". ".join(part.rstrip(".") for part in remedy if part)
            raise
        if ran:
            self._stop()
        self._swap(image, lines)

    def _unpack(self, config: GuestConfig, *, ran: bool) -> GuestConfig:
        """Have PVE make a container of the image, with a root volume as the one that is to be replaced. It is never
        started."""
        options, wanted = config.options, self.run.wanted
        root = ROOTFS.parse(options["rootfs"])
        name = keepers.name_of(options["hostname"])
        given = {
            "hostname": name,
            "rootfs": f"{storage_of(root['volume'])}:{render_gib(root.get('size') or DEFAULT_SIZE)}",
            "unprivileged": options.get("unprivileged", "0"),
            "arch": options.get("arch", "amd64"),
            "description": keepers.mark(self.run.vmid, ran=ran, record=self.step.old),
        }
        if options.get("ostype") == "unmanaged":
            given["ostype"] = "unmanaged"
        if wanted.pool:
            given["pool"] = wanted.pool

        def make(vmid: int) -> None:
            self.new = vmid
            self.node.create("lxc", vmid, {"ostemplate": self.step.volid, **given}, timeout=wanted.policy.timeout)

        cleanup.claim(self.node, wanted, given, make, name=name, root_of=self.run.vmid)
        self.made = True
        return self._config(self.new)

    def _config(self, vmid: int) -> GuestConfig:
        config = self.node.config("lxc", vmid)
        if config is None:
            raise Conflict(f"container {vmid} vanished meanwhile.", remedy="Run again.")
        return config

    def _check_lines(self, lines: t.Iterable[str]) -> None:
        """Over the API nobody can set what an image says in lines for LXC: then it has to say the same as before."""
        if self.node.files is None and (wrong := {*lines} ^ {*of_image(self.node.lxc_lines(self.run.vmid))}):
            keys = ", ".join(sorted({line.partition(":")[0] for line in wrong}))
            raise Unsupported(
                f"the new image says of {keys} something else than the old one, which the API cannot set.",
                remedy="Run this task on the node, without api_host.",
            )

    def _hand_over(self, config: GuestConfig, image: GuestConfig, *, ran: bool) -> None:
        """The two containers exchange their root volumes; the one beside keeps what the other one has of its image."""
        kept = {key: config.options[key] for key in OF_IMAGE if key in config.options}
        kept |= {"rootfs": config.options["rootfs"], "mp0": f"{volume_of(image.options['rootfs'])},mp=/replacement"}
        kept["description"] = keepers.mark(self.run.vmid, ran=ran, record=self.step.old)
        keepers.set_of_image(self.node, self.new, image, kept, of_image(self.node.lxc_lines(self.run.vmid)))
        self.node.reassign_volume(self.new, "mp0", self.run.vmid, NEW, timeout=self.run.wanted.policy.timeout)

    def _swap(self, image: GuestConfig, of_new: t.Sequence[str]) -> None:
        """The new volume becomes the root, with the options that came of its image and what is declared of them."""
        config, step = self._config(self.run.vmid), self.step
        given = {key: image.options[key] for key in OF_IMAGE if key in image.options}
        env = merged_environment(filter(None, given.pop("env", "").split("\0")), step.env)
        if env:
            given["env"] = "\0".join(env)
        root = {**ROOTFS.parse(config.options["rootfs"]), "volume": config.options[NEW]}
        given |= {
            **step.own,
            "rootfs": ROOTFS.render(root),
            OLD: volume_of(config.options["rootfs"]),
            "description": with_record(config.options.get("description", ""), step.new),
        }
        lines = (*besides_image(self.node.lxc_lines(self.run.vmid)), *of_new)
        declared = tuple(line for line in step.own.get(keepers.RAW, "").splitlines() if line)
        given.pop(keepers.RAW, None)
        keepers.set_of_image(self.node, self.run.vmid, config, given, merge_lines(lines, declared))
        keepers.drop(self.node, self.run.vmid, NEW)

    def _stop(self) -> None:
        """Shut it down. Where HA looks after it, PVE takes note of that only, and does it later."""
        vmid, timeout = self.run.vmid, self.run.wanted.policy.shutdown_timeout
        self.node.shutdown("lxc", vmid, timeout=timeout, force=True)
        if not _becomes(self.node, vmid, "stopped", timeout):
            raise Timeout(f"container {vmid} did not stop within {timeout} s.", remedy="Look at its tasks.")


def see_it_run(run: Run) -> None:
    """See that a container goes on running: the program of an image may end as soon as it has been started."""
    if _becomes(run.node, run.vmid, "stopped", STEADY):
        raise ChecksFailed(
            f"{run.wanted.label} was started with its new root file system, and its init process has ended.",
            remedy=f"See what it says with 'pct start {run.vmid} --debug', and what env and mount points it wants.",
        )


def _becomes(node: Node, vmid: int, status: str, timeout: int) -> bool:
    """Whether a container gets to a status in time."""
    found = poll(lambda: node.status("lxc", vmid), lambda found: found == status, timeout=timeout, clock=node.clock)
    return found == status


def stands_against(
    node: Node, vmid: int, reference: OciReference, config: GuestConfig, left: Keeper | None
) -> t.Iterator[Finding]:
    """Why a container cannot get another root file system. What is ``left`` goes before."""
    text, options = str(reference), config.options
    if config.protected:
        yield Finding(
            OPTION, text, "cannot replace the root file system of a protected container", "Set protection=false first."
        )
    if options.get("unprivileged", "0") == "0":
        problem = "cannot be unpacked for a privileged container, which this is"
        yield Finding(OPTION, text, problem, "Make a new container, and move its mount points there.")
    if config.snapshots:
        problem = (
            f"cannot replace the root file system, which is part of the snapshots {', '.join(config.snapshots)} hold"
        )
        yield Finding(OPTION, text, problem, "Delete them first.")
    if any(line.startswith("lxc.idmap") for line in node.lxc_lines(vmid)):
        problem = "cannot be unpacked for a container with an lxc.idmap of its own"
        yield Finding(OPTION, text, problem, "Make a new container, and move its mount points there.")
    types = {storage.name: storage.type for storage in node.storages()}
    volume = volume_of(options["rootfs"])
    if volume.endswith(".subvol") and types.get(str(storage_of(volume))) not in _RENAMED_SUBVOLUMES:
        problem = "needs a root volume that its storage can give another name, which is a directory here"
        yield Finding("rootfs", volume, problem, "Declare a size for rootfs when the container is made.")
    for key in (NEW, OLD):
        if key in options and left is None:
            yield Finding(
                OPTION, text, f"needs the key {key}, which has {options[key]}", "Remove or attach that volume."
            )
    for guest in node.named("lxc", keepers.name_of(options.get("hostname", ""))):
        if left is not None and guest.vmid == left.vmid:
            continue
        problem = f"needs the name of container {guest.vmid}, which an unfinished run may have left"
        yield Finding(OPTION, text, problem, f"Look into container {guest.vmid}, and remove it or rename it.")


STEPS: t.Final[tuple[type[Step], ...]] = (ReplaceRoot, RemoveOldRoot)
