# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: an OpenWrt router in a VM, configured before its first boot.

A copy of the verified image gets its configuration onto its boot partition, where OpenWrt itself looks for it, and is
then imported as the disk of the VM. On the node PVE reads that copy where it lies; over the API, where nobody but
root may name a path, it is uploaded to a storage for imports and removed from there afterwards.

Which NIC is which: PVE gives ``net0`` and so on ascending PCI addresses, and Linux names virtio NICs in that order
(``net6`` and up lie behind a bridge, which comes last). So the interfaces are ``eth0`` and so on in the declared
order, and wherever the guest can be asked, its MAC addresses are held against PVE's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import typing as t
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from ansible_collections.pve.provision.plugins.module_utils._engine.addresses import told_interfaces
from ansible_collections.pve.provision.plugins.module_utils._engine.creation import Create
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Plan, Run
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import Destroy, Shutdown, Start
from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Finding,
    InvalidInput,
    ProvisionError,
    Timeout,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.console import Console
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.errors import NEVER_ANOTHER, RouterError
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.router_guest import OpenWrtGuest
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.running import answers
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.seeding import sweep
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.seen import Seen
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.shells import Shell, by_agent
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.steps import AwaitUp, Configure
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.vm_steps import DISK, FetchDisk, PrepareDisk
from ansible_collections.pve.provision.plugins.module_utils._io.clock import poll
from ansible_collections.pve.provision.plugins.module_utils._model.network import is_net
from ansible_collections.pve.provision.plugins.module_utils._model.qemu import AGENT, NET
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import usable
from ansible_collections.pve.provision.plugins.module_utils._store import openwrt_template
from ansible_collections.pve.provision.plugins.module_utils._store.image import cache_directory
from ansible_collections.pve.provision.plugins.module_utils._store.openwrt_template import WantedDisk

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

OSTYPE: t.Final = "l26"
# Free bytes that the copy of an image needs: OpenWrt's has 120 MiB, twice while its file system grows.
ROOM: t.Final = 300 * 1024**2
# The name of a seeded copy on a storage.
SEEDED: t.Final = re.compile(r"pve-provision-.+\.qcow2")

PAUSES: t.Final = (0.1, 0.5)
# Options of a VM that cloud-init configures, which OpenWrt's images do not have.
CLOUD_INIT = re.compile(r"^(?:ci\w+|ipconfig\d+|sshkeys|nameserver|searchdomain): |^[a-z]+\d+: .*cloudinit")
LINK = re.compile(r"^\d+: ([^\s:@]+).*link/ether (\S+)", re.MULTILINE)


@dataclass
class OpenWrtVm(OpenWrtGuest):
    """What OpenWrt adds to a run over a VM.

    ``work`` is the seeded copy of the image on this machine, ``import_storage`` where it is uploaded to;
    ``verified_by`` says what showed that the router is up. ``silent`` are the addresses at which nobody was before the
    VM was made: an answer from there is the router's.
    """

    address_source = "agent"
    no_access_reason = "there is no way into the router: neither agent nor ssh_private_key is declared"
    image: WantedDisk
    work: FilePath | None = None
    import_storage: str = ""
    verified_by: str = ""
    silent: list[str] = field(default_factory=list)

    # -- the plan --------------------------------------------------------------------------------------------------
    def prepare(self, node: Node, wanted: Wanted) -> Wanted:
        """Where the disk of a new router is imported from."""
        self.work = work_file(node, wanted)
        findings = list(self._no_room(self.work))
        source = str(self.work)
        if node.files is None:
            homes = usable(node.storages(), "import")
            if not homes:
                remedy = "Give a storage with files the content type import (PVE 8.4 and newer), or run on the node."
                findings.append(
                    Finding("disk", None, "cannot be filled over the API: no storage takes imports", remedy)
                )
            self.import_storage = homes[0].name if homes else ""
            source = f"{self.import_storage}:import/{self.work.stem}.qcow2"
        values = dict(wanted.declaration.values)
        values[DISK] = {**(values.get(DISK) or {}), "import-from": source}
        paths = {DISK: "disk", **wanted.declaration.paths}
        declaration = dataclasses.replace(wanted.declaration, values=values, paths=paths)
        return dataclasses.replace(wanted, declaration=declaration, findings=(*wanted.findings, *findings))

    def _no_room(self, work: FilePath) -> t.Iterator[Finding]:
        place = next((folder for folder in work.parents if folder.is_dir()), FilePath("/"))
        space = os.statvfs(place)
        free = space.f_bavail * space.f_frsize
        if free < ROOM:
            words = f"has {free // 1024**2} MiB free, and the image needs {ROOM // 1024**2} MiB to be prepared"
            yield Finding("disk", str(place), words, "Free some space there.")

    def extend(self, node: Node, wanted: Wanted, actual: Actual, plan: Plan) -> Plan:
        if wanted.state == "absent" or self.description is None:
            return plan
        findings = list(self._wrong_guest(actual))
        if findings:
            return self.with_findings(node, plan, findings)
        if plan.creating:
            try:
                plan = self._extend_creation(node, plan)
            except InvalidInput as error:  # there is no such release; what else is wrong is told with it
                findings += error.findings
        elif actual.running:
            plan = self._extend_running(node, actual, plan)
        if plan.has(Start):
            plan = plan.append(AwaitUp(self))
            if not plan.creating and not actual.running and self.connect(node, t.cast("int", actual.vmid)):
                plan = plan.append(Configure(self))  # what is in a stopped router cannot be seen
        return self.with_findings(node, plan, findings)

    @staticmethod
    def _wrong_guest(actual: Actual) -> t.Iterator[Finding]:
        """What shows that a VM which is there has another system: its OS type, what cloud-init configures, an
        installation medium, or that it does not start from the disk that a router is imported to."""
        options = actual.config.options if actual.config else {}
        order = options.get("boot", "").partition("order=")[2]
        signs = [f"ostype {options.get('ostype', 'other')}"] if options.get("ostype") != OSTYPE else []
        signs += [key for key, text in options.items() if CLOUD_INIT.search(f"{key}: {text}")]
        signs += [] if DISK in options else [f"no {DISK}"]
        signs += [f"boot order={order}"] if order and DISK not in order.split(",")[0].split(";") else []
        signs += [key for key, text in options.items() if re.fullmatch(r"[^,]+:iso/.+media=cdrom.*", text)]
        if options and signs:
            called = f" called {options['name']}" if options.get("name") else ""
            problem = f"is a VM{called} that this module did not make, no OpenWrt ({', '.join(signs)})"
            yield Finding("vmid", actual.vmid, problem, NEVER_ANOTHER)

    def _extend_creation(self, node: Node, plan: Plan) -> Plan:
        expected = openwrt_template.predict_image(node, self.image)
        fetch = [FetchDisk(self, expected.name, expected.url, expected.size)] if expected.url else []
        prepare = PrepareDisk(self, expected.version, self.image.variant)
        plan = plan.insert(prepare, before=(Destroy, Create))  # one that is made anew is not lost for a bad image
        plan = plan.insert(*fetch, before=(Shutdown, Destroy, PrepareDisk))
        (disk,) = plan.after["scsi"]
        named = {**disk, "import_from": expected.name}  # people are told which image it is, not where its copy lies
        return dataclasses.replace(plan, after={**plan.after, "scsi": [named]})

    def _extend_running(self, node: Node, actual: Actual, plan: Plan) -> Plan:
        """The router's own configuration is looked at where there is a way into it."""
        vmid = t.cast("int", actual.vmid)
        return self.with_drift(plan, self.router(node, vmid).drift(self.seen)) if self.seen else plan

    def uploads(self, node: Node, plan: Plan) -> t.Sequence[str]:
        return [self.import_storage] if self.import_storage and plan.creating else []

    # -- the way in ------------------------------------------------------------------------------------------------
    def connect(self, node: Node, vmid: int) -> Shell | None:
        """SSH where a key for it is declared, else the guest agent where PVE may ask one."""
        return self.by_ssh(node, vmid) or (by_agent(node, vmid) if has_agent(node, vmid) else None)

    # -- what a run does -------------------------------------------------------------------------------------------
    def tidy(self, run: Run) -> None:
        """The seeded copy holds secrets and is of no use any more; nor is one that a killed run has left."""
        work = work_file(run.node, run.wanted)
        for copy in (work, work.with_suffix(".qcow2")):
            with contextlib.suppress(OSError):
                copy.unlink(missing_ok=True)
        if run.node.files is None:
            run.result.warnings += sweep(run.node, "import", SEEDED, f"{work.stem}.qcow2")

    def await_up(self, run: Run) -> None:
        """Wait until anything shows that the router has booted: its console, the agent, SSH, or an address.

        An address alone is waited for as long as ``ip_timeout`` says: from here it may be out of reach.
        """
        if self.work is not None:  # made anew, and so are its host keys
            self.forget_hosts(run.node, run.vmid)
        with contextlib.closing(Console(serial_socket(run))) as console:
            sure = console.open or self.connect(run.node, run.vmid) is not None
            timeout = self.up_timeout if sure else self.ip_timeout
            up = poll(lambda: self._is_up(run, console), bool, timeout=timeout, clock=run.node.clock, pauses=PAUSES)
            if not up:
                self._give_up(run, console)

    def _is_up(self, run: Run, console: Console) -> bool:
        """Whether the router has shown that it is up; by what is noted."""
        tests: t.Sequence[tuple[str, t.Callable[[], object]]] = (
            ("console", console.listen),
            ("agent", lambda: has_agent(run.node, run.vmid) and self._agent_cards(run)),
            ("ssh", lambda: self._ssh_cards(run)),
            ("address", lambda: any(answers(address) for address in self.silent)),
        )
        self.verified_by = next((name for name, test in tests if test()), "")
        return bool(self.verified_by)

    def _give_up(self, run: Run, console: Console) -> None:
        if console.heard:
            raise Timeout(
                f"OpenWrt did not boot within {self.up_timeout} s; last on its console: {console.last_line}",
                remedy="Look at its console with 'qm terminal', or raise start_timeout.",
            )
        run.result.warnings.append("nothing told whether the router is up")

    # -- which card is which ---------------------------------------------------------------------------------------
    def _agent_cards(self, run: Run) -> bool:
        cards = {each["name"]: str(each.get("hwaddr") or "") for each in agent_interfaces(run)}
        return self._check_cards(run, cards)

    def _ssh_cards(self, run: Run) -> bool:
        if not self.ssh_key:
            return False
        try:
            told = self.router(run.node, run.vmid).run("ip -o link\n", timeout=20)
        except ProvisionError:
            return False
        return self._check_cards(run, dict(LINK.findall(told)))

    def _check_cards(self, run: Run, cards: t.Mapping[str, str]) -> bool:
        """Hold the guest's MAC addresses against PVE's; whether it told any."""
        config = run.node.config("qemu", run.vmid)
        nets = {key: NET.parse(text) for key, text in (config.options if config else {}).items() if is_net(key)}
        ours = {each.device: str(nets.get(f"net{each.number}", {}).get("hwaddr")) for each in self.described.interfaces}
        for device, mac in cards.items():
            if mac and device in ours and mac.upper() != ours[device]:
                words = f"{device} of the router has the MAC address {mac}, PVE gave that interface {ours[device]}."
                raise RouterError(words, remedy="Its network cards have another order than declared.")
        return bool(cards)

    # -- afterwards ------------------------------------------------------------------------------------------------
    def told_outside(self, run: Run, seen: Seen | None) -> list[dict[str, t.Any]]:
        """What the agent tells; where the router itself was seen, it knows no more."""
        return agent_interfaces(run) if seen is None and has_agent(run.node, run.vmid) else []

    def finish(self, run: Run) -> None:
        super().finish(run)
        if "openwrt" in run.result.more and self.verified_by:
            run.result.more["openwrt"]["verified_by"] = self.verified_by


def work_file(node: Node, wanted: Wanted) -> FilePath:
    """Where a router's image is prepared, on the machine this runs on: every run for it knows the place. A controller
    may have routers of one name on several nodes."""
    folder = cache_directory(node) / "work"
    folder = folder / node.name if node.files is None else folder
    return folder / f"pve-provision-{wanted.name or wanted.vmid}.raw"


def agent_interfaces(run: Run) -> list[dict[str, t.Any]]:
    """What the agent tells of the guest's network cards; nothing while it does not answer."""
    return told_interfaces(run.node, "qemu", run.vmid)


def has_agent(node: Node, vmid: int) -> bool:
    """Whether PVE is told to ask an agent in the guest."""
    config = node.config("qemu", vmid)
    text = config.options.get("agent") if config else None
    return bool(text and AGENT.parse(text).get("enabled"))


def serial_socket(run: Run) -> FilePath | None:
    """Where the VM's serial console can be listened to, which is on the node itself."""
    return None if run.node.files is None else run.node.files.serial_console(run.vmid)
