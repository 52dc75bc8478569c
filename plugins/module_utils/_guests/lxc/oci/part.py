# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: containers that are made from OCI images.

Proxmox VE makes a container from the archive of an image, and options from what the image says of how it is run; in
these it overrules what was asked for, so that what is declared is set afterwards. It does not remember the image: a
line of the container's description does.
"""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._engine import cleanup
from ansible_collections.pve.provision.plugins.module_utils._engine.creation import Create
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Fetch, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._engine.read import find_here
from ansible_collections.pve.provision.plugins.module_utils._engine.step import NewFile, Plan, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import CleanUp, Set, Shutdown, Start
from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Degradation,
    Finding,
    ImageError,
    InvalidInput,
    ProvisionError,
    Timeout,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.fetch_image import fetch_guest_image
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.oci import keeper as keepers
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.oci.replace import (
    OPTION,
    RemoveOldRoot,
    ReplaceRoot,
    see_it_run,
    stands_against,
)
from ansible_collections.pve.provision.plugins.module_utils._io import versions as order
from ansible_collections.pve.provision.plugins.module_utils._model.compare import shown
from ansible_collections.pve.provision.plugins.module_utils._model.lxc import TABLE, decide_privilege
from ansible_collections.pve.provision.plugins.module_utils._model.oci import (
    PLATFORMS,
    OciRecord,
    OciReference,
    merged_environment,
    with_record,
)
from ansible_collections.pve.provision.plugins.module_utils._model.volume import storage_of
from ansible_collections.pve.provision.plugins.module_utils._pve.privileges import Need

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.oci.keeper import Keeper
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig
    from ansible_collections.pve.provision.plugins.module_utils._store.oci_image import OciImage

SINCE: t.Final = {option.key: option.since for option in TABLE}["image"]
ENV: t.Final = "env"
DESCRIPTION: t.Final = "description"
# What PVE takes from the image, whatever it was asked for (pve-container, LXC/Create.pm, restore_oci_archive).
FROM_IMAGE: t.Final = ("entrypoint", "cmode", ENV)
# What it takes on a container, over the API, to give it another root file system.
_RIGHTS: t.Final = ("VM.Config.Disk", "VM.Config.Options", "VM.PowerMgmt")
# And on the one beside it, whose number nobody knows before, from which that comes.
_RIGHTS_BESIDE: t.Final = ("VM.Allocate", "VM.Audit", "VM.Config.Disk", "VM.Config.Network", "VM.Config.Options")


class Unanswered(InvalidInput):
    """Nobody says what the name of an image means now. ``why``: what its registry has said."""

    def __init__(self, finding: Finding, why: str) -> None:
        super().__init__([dataclasses.replace(finding, unverified=True)])
        self.why = why


@dataclass
class OciContainer(Part):
    """What an OCI image adds to a run over a container.

    ``fetching``: it may be fetched, and where to. ``own`` is what is declared of the options that the image has a part
    in. ``account``: user and password at its registry. ``record`` is the image that the container is made from, once
    that is known, and ``image`` the one that it is to be made from; ``keeper`` keeps what a run that did not end has
    replaced, ``left`` is one that a run left which did not come so far. ``instead``: the image that the container has
    has to do for the newest."""

    reference: OciReference
    fetching: Fetch | None
    own: t.Mapping[str, t.Any]
    account: tuple[str, str] | None = field(default=None, repr=False)
    record: OciRecord | None = None
    image: OciImage | None = None
    replaced_by: OciRecord | None = None
    keeper: Keeper | None = None
    left: Keeper | None = None
    instead: Degradation | None = None
    warnings: list[str] = field(default_factory=list)

    # -- a new container -------------------------------------------------------------------------------------------
    def prepare(self, node: Node, wanted: Wanted) -> Wanted:
        """A new container is made from the image that the name means now."""
        wanted = dataclasses.replace(wanted, template_made_by_run=True)
        privilege = decide_privilege(wanted.declaration)
        if not privilege.unprivileged:
            why = "unprivileged is false" if privilege.reason == "declared" else privilege.reason
            problem = f"cannot be unpacked for a privileged container, which this would be: {why}"
            remedy = "Leave that out, or use ostemplate."
            return _refused(wanted, InvalidInput([Finding(OPTION, str(self.reference), problem, remedy)]))
        try:
            image = self.find(node, wanted)
        except InvalidInput as error:
            return _refused(wanted, error)
        self.image, self.record = image, image.record
        values = {**wanted.declaration.values, **self._values(image.record, "", image.image.config.env)}
        values.setdefault("arch", image.wanted.arch)
        return dataclasses.replace(
            wanted,
            source=image.volid,
            declaration=dataclasses.replace(wanted.declaration, values=values),
            obtain=(*wanted.obtain, *self.fetch(node, image)),
            notes=(*wanted.notes, *image.warnings),
        )

    def find(self, node: Node, wanted: Wanted) -> OciImage:
        """The image that the name means now. Raises InvalidInput with why there is none for this container."""
        from ansible_collections.pve.provision.plugins.module_utils._images.oci.registry import Login
        from ansible_collections.pve.provision.plugins.module_utils._store.oci_image import LAST_WORD, OciImage

        text, version = str(self.reference), self.facts.version
        storage = self.fetching.storage if self.fetching else None
        if version and order.key(version) < order.key(SINCE):
            problem = f"needs Proxmox VE {SINCE}, and node {node.name} has {version}"
            raise InvalidInput([Finding(OPTION, text, problem, "Upgrade the node, or use ostemplate.")])
        arch = wanted.declaration.values.get("arch") or "amd64"
        if arch not in PLATFORMS:
            raise InvalidInput([Finding("arch", arch, "is not an architecture that images are made for")])

        def ask() -> OciImage:
            login = Login(*self.account) if self.account else None
            image = OciImage(node, self.reference, arch, storage, login, **wanted.policy.download_limits)
            _said = image.predicted
            return image

        try:
            # The same for all guests of a run, so that its registry is asked once.
            image = self.facts.keep(f"image {text} {arch} {storage} {self.account and self.account[0]}", ask)
        except InvalidInput:
            raise
        except ProvisionError as error:
            finding = Finding(OPTION, text, f"cannot be fetched: {error.message}", error.remedy)
            if isinstance(error, ImageError | Timeout) and not isinstance(error, LAST_WORD):
                raise Unanswered(finding, error.message) from error
            raise InvalidInput([finding]) from error
        if image.predicted.plan and self.fetching is None:
            problem = f"is not there as {image.volid}, and fetch_template is false"
            raise InvalidInput([Finding(OPTION, text, problem, "Let it be fetched.")])
        return image

    @staticmethod
    def fetch(node: Node, image: OciImage) -> tuple[t.Any, ...]:
        """What brings an image that is not there."""
        return (fetch_guest_image(node, image, OPTION),) if image.predicted.plan else ()

    def _values(self, record: OciRecord, description: str, env: t.Iterable[str]) -> dict[str, t.Any]:
        """The options that the image has a part in: ``description`` and ``env`` are what there is besides what is
        declared."""
        declared = self.own.get(DESCRIPTION, description) or ""
        values: dict[str, t.Any] = {DESCRIPTION: with_record(declared, record)}
        if self.own.get(ENV):
            values[ENV] = merged_environment(env, self.own[ENV])
        return values

    # -- one that is there -----------------------------------------------------------------------------------------
    def recover(self, node: Node, wanted: Wanted, *, act: bool) -> list[Step]:
        """What a killed replacement left is taken away, unless the new root file system is in its place: then the
        container has still to prove itself."""
        vmid, config = find_here(node, wanted)
        if wanted.findings or vmid is None or config is None:
            return []
        steps: list[Step] = []
        for number, note in list(cleanup.notes(node)):
            if note.get("root_of") == vmid and (half := node.config("lxc", number)) is not None and half.lock:
                if act:
                    cleanup.await_creator(node, "lxc", number, wanted.policy.timeout)
                    cleanup.recover(node, wanted, Actual(number, leftover=note))
                steps.append(CleanUp(number))
        keeper = keepers.find(node, vmid, config.options.get("hostname", ""))
        if keeper is None or node.busy("lxc", keeper.vmid):
            return steps
        if wanted.state == "absent":
            if act:
                node.destroy("lxc", keeper.vmid, purge=False, timeout=wanted.policy.timeout)
        elif keepers.is_replaced(config):
            self.keeper = keeper
            return steps
        elif act:
            self.warnings += keepers.go_back(node, wanted, keeper)
        self.left = keeper
        return [*steps, CleanUp(keeper.vmid)]

    def resolve(self, node: Node, wanted: Wanted, actual: Actual, *, act: bool) -> Wanted:
        """The container keeps the line that tells its image, and the variables that are not declared. Whether another
        image is meant is asked only where the name or a digest is another, or the latest is wanted."""
        if actual.config is None or wanted.state == "absent":
            return wanted
        options = actual.config.options
        description = options.get(DESCRIPTION, "")
        self.record = held = OciRecord.find(description)
        if held is None:
            return wanted
        newest = wanted.state == "latest" and not self.reference.digest
        if not actual.config.template and (newest or not held.covers(self.reference)):
            wanted = self._look(node, wanted, held)
            held = self.record or held
        rest = "" if wanted.policy.purge_options else description
        env = (entry for entry in options.get(ENV, "").split("\0") if entry)
        values = {**wanted.declaration.values, **self._values(held, rest, env)}
        return dataclasses.replace(wanted, declaration=dataclasses.replace(wanted.declaration, values=values))

    def _look(self, node: Node, wanted: Wanted, held: OciRecord) -> Wanted:
        """See which image is meant now. Where its registry does not say, one that it has meant before may stay."""
        named_so = held.covers(self.reference)
        try:
            image = self.find(node, wanted)
            why = image.oci.instead.because if image.oci.instead else ""
        except InvalidInput as error:
            if not (named_so and isinstance(error, Unanswered)):
                return _refused(wanted, error)
            image, why = None, error.why
        if image is None or (why and named_so):
            self.instead = Degradation(f"the newest image of {self.reference}", why, "the one that the container has")
            return dataclasses.replace(wanted, notes=(*wanted.notes, self.instead))
        if image.record.contents != held.contents:
            self.image = image
        else:
            self.record = image.record
        return wanted

    # -- the plan --------------------------------------------------------------------------------------------------
    def extend(self, node: Node, wanted: Wanted, actual: Actual, plan: Plan) -> Plan:
        if plan.has(Create):
            options = wanted.options
            own = {key: shown(wanted.type.table, key, options[key]) for key in FROM_IMAGE if key in options}
            return plan.insert_after(Set(own), after=Create) if own else plan
        if actual.config is None or self.record is None or wanted.state == "absent":
            return plan
        replacing, resuming = self.image is not None, self.keeper is not None
        if not (replacing or resuming):
            return plan
        if not (plan.has(Start) or (actual.running and not plan.has(Shutdown))):
            word = "is still being verified" if resuming else f"gets its image {self.reference}"
            return dataclasses.replace(plan, warnings=(*plan.warnings, f"{wanted.label} {word} when it is started"))
        if resuming:
            return self._with_resumption(actual, plan)
        return self._with_replacement(node, wanted, actual, plan)

    def _with_resumption(self, actual: Actual, plan: Plan) -> Plan:
        """An earlier run has put the new root file system in its place, and did not see how the container does."""
        old, new = t.cast("Keeper", self.keeper).record, t.cast("OciRecord", self.record)
        self.image = None
        others = [each for each in plan.steps if not isinstance(each, Start)]
        power = () if actual.running and not plan.has(Start) else (Start(),)
        steps = (*others, ReplaceRoot(old or new, new, resumed=True), *power, RemoveOldRoot())
        return dataclasses.replace(plan, steps=steps)

    def _with_replacement(self, node: Node, wanted: Wanted, actual: Actual, plan: Plan) -> Plan:
        """The container gets the new root file system after all else is in line, and is started with it."""
        config = t.cast("GuestConfig", actual.config)
        image, old = t.cast("OciImage", self.image), t.cast("OciRecord", self.record)
        storage, new = str(storage_of(config.options["rootfs"])), image.record
        needs = [Need((f"/vms/{actual.vmid}",), (name,), "image") for name in _RIGHTS]
        beside = ("/vms", *([f"/pool/{wanted.pool}"] if wanted.pool else []))
        needs += [Need(beside, (name,), "image") for name in _RIGHTS_BESIDE]
        needs += [Need((f"/storage/{storage}",), ("Datastore.AllocateSpace",), "image")]
        needs += [Need((f"/storage/{storage}",), ("Datastore.Audit", "Datastore.Allocate"), "image")]
        step = ReplaceRoot(
            old,
            new,
            volid=image.volid,
            env=tuple(self.own.get(ENV) or ()),
            own={
                key: wanted.options[key] for key in (*FROM_IMAGE, keepers.RAW) if key in wanted.options and key != ENV
            },
            new_file=NewFile(storage, "rootdir", image.size, "rootfs"),
            required=tuple(needs),
        )
        against = stands_against(node, t.cast("int", actual.vmid), self.reference, config, self.left)
        others = [each for each in plan.steps if not isinstance(each, Shutdown | Start)]
        self.replaced_by = new
        return dataclasses.replace(
            plan.against(against),
            steps=(*others, *self.fetch(node, image), step, Start(), RemoveOldRoot()),
            before={**plan.before, "image": str(old.reference)},
            after={**plan.after, "image": str(new.reference)},
            warnings=(*plan.warnings, *image.warnings),
        )

    def finish(self, run: Run) -> None:
        run.result.warnings += self.warnings
        run.result.not_verified += [self.instead] if self.instead else []
        if self.instead and not run.plan:  # with a plan it is among the notes
            run.result.warnings.append(self.instead)
        if run.plan.has(ReplaceRoot):
            see_it_run(run)
        record = self.replaced_by or self.record
        if record is not None:
            run.result.more["image"] = told(record)
        elif run.wanted.state != "absent":
            run.result.warnings.append(
                f"{OPTION} is not verified: the description of {run.wanted.label} does not say what it was made from"
            )


def told(record: OciRecord) -> dict[str, str]:
    """An image as results show it."""
    reference = record.reference
    return {"reference": str(reference), "digest": reference.digest, "contents": record.contents}


def _refused(wanted: Wanted, error: InvalidInput) -> Wanted:
    return dataclasses.replace(wanted, findings=(*wanted.findings, *error.findings))
