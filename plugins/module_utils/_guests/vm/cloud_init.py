# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a VM is told by cloud-init, in a run over that VM.

PVE makes most of it of options of the VM. Besides them a user may give whole contents; how those come to the VM is told
in ``cloud_init_steps.py``. What lies there is known by its name, so that a run over a VM that is as declared starts
nothing to see that it is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._engine.creation import Clone, Create, Restore
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Plan, Run
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import (
    Destroy,
    MakeTemplate,
    Set,
    Shutdown,
    Start,
)
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.cloud_init_check import verify
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.cloud_init_held import (
    BOOT,
    CUSTOM,
    Options,
    cloud_init_drive,
    files_of,
    free_drive,
    has_agent,
    image_drive,
    image_of,
    is_same,
    is_windows,
    options_after,
    with_image_drive,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.cloud_init_password import (
    PASSWORD,
    PASSWORD_HIDDEN,
    PRIVILEGE,
    Password,
    decide,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.cloud_init_places import (
    NO_AGENT,
    drive_elsewhere,
    drive_storage,
    image_storage,
    nowhere,
    snippet_storage,
    takes_contents,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.cloud_init_steps import (
    AttachImage,
    AwaitCloudInit,
    PlaceSnippets,
    RegenerateDrive,
    RemoveData,
    label_of,
    sweep,
)
from ansible_collections.pve.provision.plugins.module_utils._model.cloud_init.content import (
    OurFile,
    digest,
    our_file,
    secrets_in,
)
from ansible_collections.pve.provision.plugins.module_utils._model.cloud_init.vendor_data import AGENT, with_scripts
from ansible_collections.pve.provision.plugins.module_utils._model.option import HIDDEN
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.cloud_init import CICUSTOM, is_cloud_init
from ansible_collections.pve.provision.plugins.module_utils._pve.privileges import Need

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._model.cloud_init.status import Status
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

GROUP: t.Final = "cloud_init"
# How long cloud-init is awaited where nobody says so, in seconds.
TIMEOUT: t.Final = 120
# The script that brings the guest agent, among those that have a name.
AGENT_NAME: t.Final = "agent"


@dataclass
class CloudInit(Part):
    """``given``: contents of the user's own by PVE's words for them, ``dropped`` those that are to go; ``scripts``:
    what a profile has run at the first boot, by its name. ``brings_agent`` None: where that is possible. ``patience``
    (s): how long cloud-init is awaited.

    ``contents`` is all that is told by files of ours, ``told`` what each of them is known by; ``brings``: they bring
    the agent, ``lacks_agent``: they should, and cannot. ``image``: whether they are a CD image, ``drive`` where it
    goes; ``password`` the declared one, once what the VM has is known.
    """

    declared: bool = False
    given: t.Mapping[str, str] = field(default_factory=dict, repr=False)
    dropped: frozenset[str] = frozenset()
    storage: str | None = None
    scripts: t.Mapping[str, str] = field(default_factory=dict, repr=False)
    brings_agent: bool | None = None
    patience: int = TIMEOUT
    contents: dict[str, str] = field(default_factory=dict, init=False, repr=False)
    told: dict[str, str] = field(default_factory=dict, init=False, repr=False)
    brings: bool = field(default=False, init=False)
    lacks_agent: bool = field(default=False, init=False)
    image: bool = field(default=False, init=False)
    image_storage: str = field(default="", init=False)
    drive: str = field(default="", init=False)
    password: Password = field(default=Password("", ""), init=False, repr=False)
    status: Status | None = field(default=None, init=False)
    not_verified: str = field(default="", init=False)

    # -- what is wanted --------------------------------------------------------------------------------------------
    def resolve(self, node: Node, wanted: Wanted, actual: Actual, *, act: bool) -> Wanted:
        if actual.config is None or wanted.state == "absent" or not (self.declared or self.dropped):
            return wanted
        return self._decided(node, wanted, actual.config.options, actual.vmid)

    def prepare(self, node: Node, wanted: Wanted) -> Wanted:
        if not self.declared:
            return wanted
        return self._decided(node, wanted, wanted.copied.options if wanted.copied else {}, None)

    def _decided(self, node: Node, wanted: Wanted, held: Options, vmid: int | None) -> Wanted:
        """The declaration with what it leaves to this part: the password's hash, where contents lie, the drive."""
        values, paths = dict(wanted.declaration.values), dict(wanted.declaration.paths)
        findings: list[Finding] = []
        if values.get(PASSWORD):
            self.password = decide(node, vmid, str(values[PASSWORD]), held.get(PASSWORD, ""))
            values[PASSWORD] = self.password.value
        self.contents = self._contents(node, values, held, new=vmid is None)
        self.drive = image_drive(held) or cloud_init_drive(held) or free_drive(values, held)
        findings += self._drive_taken(wanted, held)
        custom = CICUSTOM.read(held.get(CUSTOM, ""))
        placed = {part: self._as_held(custom.get(part), part) for part in self.contents}
        self.image = self._takes_image(node, held, placed)
        gone = [part for part, volid in custom.items() if (self.image or part in self.dropped) and our_file(str(volid))]
        own: dict[str, str] = {}
        there = held[self.drive].split(",")[0] if image_drive(held) or cloud_init_drive(held) else ""
        if self.image:
            self.image_storage = image_storage(node, self.storage, there)
            values |= {BOOT: with_image_drive(values[BOOT], held)} if values.get(BOOT) else {}
            findings += [] if self.image_storage else [nowhere(node, self.contents, GROUP)]
        else:
            findings += drive_elsewhere(self.storage, wanted, held, f"{GROUP}.storage")
            own = {part: volid or self._snippet(node, wanted, part) for part, volid in placed.items()}
            if not cloud_init_drive(held):
                home = drive_storage(node, self.storage, wanted, held)
                there = f"{home}:cloudinit" if home else ""
        if there:  # a drive that is declared is not purged
            values[self.drive], paths[self.drive] = {"volume": there, "media": "cdrom"}, f"{GROUP}.storage"
        if own or gone:
            values[CUSTOM] = {**(values.get(CUSTOM) or {}), **dict.fromkeys(gone), **own}
            paths.setdefault(CUSTOM, GROUP)
        declaration = dataclasses.replace(wanted.declaration, values=values, paths=paths)
        return dataclasses.replace(
            wanted,
            declaration=declaration,
            findings=(*wanted.findings, *findings),
            notes=(*wanted.notes, *([NO_AGENT] if self.lacks_agent else [])),
        )

    def _takes_image(self, node: Node, held: Options, placed: t.Mapping[str, str]) -> bool:
        """Whether contents come to the VM on a CD image. One that has such an image keeps to that."""
        if image_drive(held):
            return bool(self.contents or not self.dropped)
        return not all(placed.values()) and not snippet_storage(node, self.storage)

    def _drive_taken(self, wanted: Wanted, held: Options) -> t.Iterator[Finding]:
        """What is declared for the place of the drive, or is there where no place is free."""
        declared = wanted.declaration.values.get(self.drive) or {}
        ours = self.drive in (image_drive(held), cloud_init_drive(held))
        if (self.drive in held and not ours) or (declared and "cloudinit" not in str(declared.get("volume"))):
            path = wanted.declaration.paths.get(self.drive, f"{GROUP}.storage")
            problem = f"is at {self.drive}, where the drive for cloud-init is"
            yield Finding(path, declared.get("volume"), problem, "Choose another place on a bus for it.")

    def _contents(self, node: Node, values: t.Mapping[str, t.Any], held: Options, *, new: bool) -> dict[str, str]:
        """The contents that are told by files of ours. The guest agent is brought where that is declared; where nothing
        is said, to a new VM where that is possible, and to others that were made so."""
        contents, scripts = dict(self.given), dict(self.scripts)
        self.brings, self.lacks_agent = bool(self.brings_agent), False
        if self.brings_agent is None and self.declared and has_agent(values, held) and not is_windows(values, held):
            ours = our_file(str(CICUSTOM.read(held.get(CUSTOM, "")).get("vendor", "")))
            made = ours is not None and ours.digest != digest("vendor", self._told(scripts))
            self.brings = bool(made or image_drive(held) or (new and takes_contents(node, self.storage)))
            self.lacks_agent = new and not self.brings
        if self.brings:
            scripts[AGENT_NAME] = AGENT
        self.told = dict(contents)
        if scripts:
            self.told["vendor"] = self._told(scripts)
            contents["vendor"] = with_scripts(contents.get("vendor", ""), list(scripts.values()))
        return contents

    def _told(self, scripts: t.Iterable[str]) -> str:
        """What vendor data are known by: what the user says, and the names of our scripts. How a release words these,
        or which version they fetch, counts for a new VM alone."""
        return "\0".join((self.given.get("vendor", ""), *scripts))

    def _as_held(self, volid: object, part: str) -> str:
        """The snippet that a VM has, where it is ours and holds the content."""
        file = our_file(str(volid or ""))
        return str(volid) if file and (file.part, file.digest) == (part, digest(part, self.told[part])) else ""

    def _snippet(self, node: Node, wanted: Wanted, part: str) -> str:
        """The snippet that a content gets."""
        file = OurFile(label_of(wanted), part, digest(part, self.told[part]))
        return f"{snippet_storage(node, self.storage)}:snippets/{file.name}"

    def hide(self, text: str) -> str:
        """A text of the guest's without the secrets that it was told."""
        secrets = {secret for content in self.contents.values() for secret in secrets_in(content)}
        return functools.reduce(lambda shown, secret: shown.replace(secret, HIDDEN), sorted(secrets, key=len), text)

    def image_volid(self, wanted: Wanted, storage: str, options: Options) -> str:
        """The volume of the image for a VM with such options: its name tells what is in it."""
        secret = self.password.hash or options.get(PASSWORD, "")
        return f"{storage}:iso/{image_of(label_of(wanted), self.told, options, secret).name}"

    # -- the plan --------------------------------------------------------------------------------------------------
    def extend(self, node: Node, wanted: Wanted, actual: Actual, plan: Plan) -> Plan:
        held = actual.config.options if actual.config else {}
        if wanted.state == "absent":
            ours = files_of(held)
            return plan.append(RemoveData(ours)) if ours and plan.has(Destroy) else plan
        if not (self.declared or self.dropped):
            return plan
        after = options_after(wanted, held, plan)
        made = plan.has(Destroy) or actual.config is None
        with_image = functools.partial(self._with_image, wanted, actual, after)
        plan = with_image(plan) if self.image else self._with_snippets(node, wanted, plan)
        told = any(is_cloud_init(key) or key in ("name", self.drive) for key in (*plan.change.set, *plan.change.delete))
        changes = plan.creating or told or plan.has(AttachImage)
        if changes and actual.running and not made and not plan.has((Start, Shutdown)):
            plan = self._while_running(wanted, plan)
        kept = {str(value) for value in CICUSTOM.read(after.get(CUSTOM, "")).values()}
        old = tuple(volid for volid in files_of(held) if volid not in kept)
        if old and changes and (not self.image or plan.has((AttachImage, Destroy))):
            plan = plan.append(RemoveData(old))
        if changes and self.patience and plan.has(Start) and has_agent({}, after):
            plan = plan.insert_after(AwaitCloudInit(self, self.patience), after=Start)
        return plan

    def _while_running(self, wanted: Wanted, plan: Plan) -> Plan:
        """The guest reads it when it boots again. A change of options alone has had it restarted where that is
        wanted."""
        if not self.image:
            return plan.insert_after(RegenerateDrive(), after=Set)
        policy = wanted.policy
        if plan.has(AttachImage) and policy.restart == "when_needed":
            return plan.append(Shutdown(policy.shutdown_timeout, policy.force), Start())
        return plan

    def _with_snippets(self, node: Node, wanted: Wanted, plan: Plan) -> Plan:
        """The snippets are there before the VM names them."""
        custom = wanted.declaration.values.get(CUSTOM) or {}
        ours = {part: str(custom.get(part)) for part in self.contents if our_file(str(custom.get(part)))}
        if node.snippets is None:
            return plan
        named = plan.creating or CUSTOM in plan.change.set
        missing = [part for part, volid in ours.items() if named or node.snippets.missing(volid)]
        if not missing:
            return plan
        step = PlaceSnippets(tuple(ours[part] for part in missing), tuple(self.contents[part] for part in missing))
        return plan.insert(step, before=(Destroy, Create, Clone, Restore, Set, Shutdown, Start))

    def _with_image(self, wanted: Wanted, actual: Actual, after: Options, plan: Plan) -> Plan:
        """What is on the image follows from the VM, so that it is made once that is there."""
        held = actual.config.options if actual.config else {}
        if not self.contents:
            told = f"{GROUP}: {image_drive(held)} has contents that are no longer declared; null removes them"
            return dataclasses.replace(plan, warnings=(*plan.warnings, told))
        there = held.get(self.drive, "").split(",")[0]
        if not plan.creating and is_same(there, self.image_volid(wanted, self.image_storage, after), self.password):
            return plan
        reads = after.get(PASSWORD) and not self.password.hash and "user" not in self.contents
        place = (f"/vms/{actual.vmid}" if actual.vmid else "/vms",)
        needed = (Need(place, (PRIVILEGE,), f"{GROUP}.password"),) if reads else ()
        step = AttachImage(self, self.image_storage, self.drive, tuple(self.contents), needed)
        seen = {**plan.after, GROUP: {**(plan.after.get(GROUP) or {}), "image": list(self.contents)}}
        return dataclasses.replace(plan.insert(step, before=(Start, MakeTemplate)), after=seen)

    def uploads(self, node: Node, plan: Plan) -> t.Sequence[str]:
        return [self.image_storage] if plan.has(AttachImage) else []

    def tidy(self, run: Run) -> None:
        """The VM that a failed run has made is gone by now, and so is who named the image."""
        if run.made and run.plan.has(AttachImage):
            with contextlib.suppress(ProvisionError):
                if run.node.config("qemu", run.vmid) is None:
                    sweep(run.node, self.image_storage, "iso", label_of(run.wanted))

    # -- afterwards ------------------------------------------------------------------------------------------------
    def finish(self, run: Run) -> None:
        if self.password.hidden:
            run.result.warnings.append(f"{GROUP}.password: {PASSWORD_HIDDEN}")
        if run.wanted.state == "absent" or not _touches(run.wanted, run.plan):
            return
        options = run.config().options
        wrong, unverified = verify(run, options, self.contents)
        run.result.warnings += [f"{GROUP}: {words}" for words in wrong]
        if not run.plan.has(AwaitCloudInit):
            unverified.append("what came of it in the guest")
        elif self.status is None or self.status.state != "done":
            told = self.not_verified or f"cloud-init says that it is {self.status.state if self.status else 'nowhere'}"
            unverified.append(f"what came of it in the guest: {told}")
        status = {"status": self.status.state} if self.status else {}
        run.result.more[GROUP] = {"verified": not wrong and not unverified, "not_verified": unverified, **status}


def _touches(wanted: Wanted, plan: Plan) -> bool:
    """Whether a plan changes what a VM is told by cloud-init; a clone may have all of it from its template."""
    changed = wanted.declaration.values if plan.has(Clone) else (*plan.change.set, *plan.change.delete)
    told = any(is_cloud_init(key) for key in changed)
    made = next((step for step in plan.steps if isinstance(step, Create)), None)
    new = made is not None and any(is_cloud_init(key) or "cloudinit" in text for key, text in made.options.items())
    return told or new or plan.has((AttachImage, PlaceSnippets))
