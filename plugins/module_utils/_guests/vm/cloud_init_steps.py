# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the steps that bring contents of the user's own to cloud-init in a VM, and await it.

On the node they are snippets, which PVE puts on the drive that it makes itself. Where no storage takes snippets, and
over the API, which has no way to upload one, the drive is a CD image of ours: it has what PVE would make of the VM's
options beside them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._engine.step import NewFile, Phase, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import Start
from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError, PveError, Timeout
from ansible_collections.pve.provision.plugins.module_utils._guests.sweep import remove_unused
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.cloud_init_held import cloud_init_drive
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.cloud_init_password import (
    PASSWORD,
    PRIVILEGE,
    with_hash,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.own_iso import PutIso
from ansible_collections.pve.provision.plugins.module_utils._io.clock import poll
from ansible_collections.pve.provision.plugins.module_utils._io.iso9660 import make_iso
from ansible_collections.pve.provision.plugins.module_utils._model.cloud_init.content import our_file
from ansible_collections.pve.provision.plugins.module_utils._model.cloud_init.status import (
    COMMAND,
    PLAIN_COMMAND,
    Status,
    read_status,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.error_messages import refuses_commands
from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node, required
from ansible_collections.pve.provision.plugins.module_utils._pve.privileges import Need, file_needs, held

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
    from ansible_collections.pve.provision.plugins.module_utils._guests.vm.cloud_init import CloudInit
    from ansible_collections.pve.provision.plugins.module_utils._guests.vm.kind import VmType
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed, Outcome

LABEL: t.Final = "cidata"
# The files of NoCloud by PVE's words for their contents.
FILES: t.Final = {"user": "user-data", "network": "network-config", "meta": "meta-data", "vendor": "vendor-data"}
_PAUSES = (1.0, 5.0)
_SILENT: t.Final = "no agent has answered"


class CloudInitError(ProvisionError):
    """cloud-init has failed in the guest; its own words are told."""

    kind = "cloud_init"


@dataclass(frozen=True)
class PlaceSnippets(Step):
    """Write contents to a storage for snippets, each under a name that tells its digest."""

    action = "place_snippets"
    phase = Phase.IMAGE

    volids: tuple[str, ...]
    texts: tuple[str, ...] = field(repr=False)

    def run(self, run: Run) -> None:
        snippets = required(run.node.snippets, "Snippets are written only")
        for volid, text in zip(self.volids, self.texts, strict=True):
            if not snippets.write(volid, text):
                told = f"{volid} can be read by others than root: its storage keeps no modes"
                run.result.warnings.append(told)
        label = label_of(run.wanted)
        for storage in sorted({volid.partition(":")[0] for volid in self.volids}):
            run.result.warnings += sweep(run.node, storage, "snippets", label, self.volids)

    def undo(self, run: Run) -> list[str]:
        return remove_unused(run.node, self.volids)


@dataclass(frozen=True)
class AttachImage(Step):
    """Make a CD image of contents, and put it into a drive of the VM; what is not among them is as PVE makes it."""

    action = "attach_cloud_init"
    phase = Phase.CHANGE
    privilege = "VM.Config.CDROM"

    guest: CloudInit = field(repr=False, compare=False)
    storage: str
    drive: str
    parts: tuple[str, ...]
    needed: tuple[Need, ...] = field(default=(), repr=False)

    def needs(self) -> list[Need]:
        return [*file_needs("upload", self.storage, ""), *self.needed]

    @property
    def file(self) -> NewFile:
        return NewFile(self.storage, "iso", None, "cloud_init.storage")

    def run(self, run: Run) -> Outcome:
        config = run.config()
        volid = self.guest.image_volid(run.wanted, self.storage, config.options)
        secret = bool(self.guest.given or self.guest.password.hash or config.options.get(PASSWORD))
        PutIso(volid, make_iso(LABEL, self._files(run)), secret=secret).run(run)
        if run.actual.running and not run.plan.has(Start):
            told = "cloud_init: the running guest reads the changes at its next boot"
            run.result.warnings.append(f"{told} (restart=when_needed does it)")
        digest = config.digest
        if run.actual.running and self.drive == cloud_init_drive(config.options):
            # Only a drive that is emptied gives up the volume that PVE has made, and PVE makes no second one.
            run.node.set_config("qemu", run.vmid, {self.drive: "none,media=cdrom"}, digest=digest)
            digest = run.config().digest
        outcome = run.node.set_config("qemu", run.vmid, {self.drive: f"{volid},media=cdrom"}, digest=digest)
        run.result.warnings += sweep(run.node, self.storage, "iso", label_of(run.wanted), (volid,))
        return outcome

    def _files(self, run: Run) -> dict[str, bytes]:
        given = self.guest.contents
        texts = {part: given.get(part) or run.node.cloud_init.dump(run.vmid, part) for part in ("user", "network")}
        if "user" not in given:
            texts["user"] = with_hash(texts["user"], self.guest.password.hash)
        texts["vendor"] = given.get("vendor", "")
        whole = "".join(texts.values()).encode()
        digest = hashlib.sha1(whole, usedforsecurity=False).hexdigest()  # as PVE makes it
        texts["meta"] = given.get("meta") or f"instance-id: {digest}\n"
        return {FILES[part]: text.encode() for part, text in texts.items()}

    def undo(self, run: Run) -> list[str]:
        return sweep(run.node, self.storage, "iso", label_of(run.wanted))


@dataclass(frozen=True)
class RemoveData(Step):
    """Remove files of ours that the VM does not need any more, unless another guest names them, as its clones do."""

    action = "remove_cloud_init"
    phase = Phase.REMOVE

    volids: tuple[str, ...]

    def run(self, run: Run) -> None:
        run.result.warnings += remove_unused(run.node, self.volids)


def label_of(wanted: Wanted) -> str:
    """How the names of files tell whose they are."""
    return str(wanted.name or wanted.vmid)


def sweep(node: Node, storage: str, content: str, label: str, keep: t.Collection[str] = ()) -> list[str]:
    """Remove files of a VM that no guest names, such as killed runs have left. They are known by the VM's name, which
    other VMs may have: a login that does not see all of them leaves the files there."""
    access = node.access()
    if access is not None and "VM.Audit" not in held(access, "/vms"):
        return []
    volumes = node.volumes(storage, content)
    ours = [each.volid for each in volumes if (file := our_file(each.volid)) and file.label == label]
    return remove_unused(node, [volid for volid in ours if volid not in keep])


@dataclass(frozen=True)
class RegenerateDrive(Step):
    """Have PVE rewrite the cloud-init drive of a running VM, so that the guest finds it when it boots again."""

    action = "regenerate_cloud_init"
    phase = Phase.CHANGE
    privilege = PRIVILEGE

    def run(self, run: Run) -> Outcome:
        return run.node.cloud_init.regenerate(run.vmid)


@dataclass(frozen=True)
class AwaitCloudInit(Step):
    """Wait until cloud-init is done in the guest, according to its agent."""

    action = "await_cloud_init"
    phase = Phase.INSIDE
    privilege = "VM.GuestAgent.Unrestricted"

    guest: CloudInit = field(repr=False, compare=False)
    timeout: int

    def run(self, run: Run) -> None:
        status, why = self._await(run)
        self.guest.status, self.guest.not_verified = status, why
        if status is None:
            run.result.warnings.append(f"cloud-init was not verified: {why}")
            if why.startswith(_SILENT):  # addresses do not wait for it once more
                run.wanted = dataclasses.replace(run.wanted, type=dataclasses.replace(_type_of(run), agent_timeout=0))
            return
        hide = self.guest.hide
        run.result.warnings += [f"cloud-init: {hide(warning)}" for warning in status.warnings]
        if status.failed:
            words = "; ".join(map(hide, status.errors)) or "it does not say why"
            remedy = "See /var/log/cloud-init-output.log in the guest; on_failure=keep keeps the guest."
            raise CloudInitError(f"cloud-init has failed: {words}.", remedy=remedy)

    def _await(self, run: Run) -> tuple[Status | None, str]:
        """The status, or why there is none. An agent that this run brings takes as long to come as cloud-init does."""
        clock = run.node.clock
        deadline = clock.now() + self.timeout
        patience = self.timeout if self.guest.brings else min(self.timeout, _type_of(run).agent_timeout)

        def ask(command: t.Sequence[str]) -> tuple[Completed | None, str]:
            left = max(1, round(deadline - clock.now()))
            try:
                return run.node.agent.run(run.vmid, command, timeout=left), ""
            except Timeout:
                return None, f"it was not done after {self.timeout} s"
            except PveError as error:
                if "No such file" in error.message:
                    return None, "the guest has no cloud-init"
                if refuses_commands(error.message) and not self.guest.brings:
                    return None, str(error)
                return None, f"{_SILENT} after {patience} s ({error})"

        done, why = poll(
            lambda: ask(COMMAND),
            lambda answer: answer[0] is not None or not answer[1].startswith(_SILENT),
            timeout=patience,
            clock=clock,
            pauses=_PAUSES,
        )
        if done is not None and read_status(done.stdout) is None and done.rc not in (0, 127):
            done, why = ask(PLAIN_COMMAND)
        if done is None:
            return None, why
        status = read_status(done.stdout)
        lacks = "the guest has no cloud-init" if done.rc == 127 else "its answer cannot be read"
        return status, "" if status else lacks


def _type_of(run: Run) -> VmType:
    return t.cast("VmType", run.wanted.type)


STEPS: t.Final[tuple[type[Step], ...]] = (PlaceSnippets, AttachImage, RemoveData, RegenerateDrive, AwaitCloudInit)
