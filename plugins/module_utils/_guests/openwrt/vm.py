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
import re
import typing as t
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from ansible_collections.pve.provision.plugins.module_utils._access.shell import Shell, by_agent
from ansible_collections.pve.provision.plugins.module_utils._engine.addresses import told_interfaces
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Plan, Run
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import Start
from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Finding,
    InvalidInput,
    ProvisionError,
    Timeout,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.guest_connection import forget_hosts
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.console import Console, console_of
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.errors import NEVER_ANOTHER, RouterError
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.first_boot import first_files
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.running import answers
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.seen import Seen
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.steps import (
    AwaitUp,
    Configure,
    UpgradeRouter,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.part import (
    Release,
    UpgradableRouter,
    unfinished,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.vm import (
    VmUpgrade,
    disk_size,
    left_behind,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.seeded_disk import (
    DISK,
    FetchDisk,
    SeededDisk,
    find_import_storage,
    no_room,
    remove_copies,
    work_file,
)
from ansible_collections.pve.provision.plugins.module_utils._io.clock import poll
from ansible_collections.pve.provision.plugins.module_utils._model.network import is_net
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.hardware import AGENT
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.network import NET
from ansible_collections.pve.provision.plugins.module_utils._openwrt.disk_image import prepare_image
from ansible_collections.pve.provision.plugins.module_utils._store import openwrt_template
from ansible_collections.pve.provision.plugins.module_utils._store.local_image import Disk
from ansible_collections.pve.provision.plugins.module_utils._store.openwrt_template import WantedDisk

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig

OSTYPE: t.Final = "l26"
# Free bytes that the copy of an image needs: OpenWrt's has 120 MiB, twice while its file system grows.
ROOM: t.Final = 300 * 1024**2
PAUSES: t.Final = (0.1, 0.5)
# Options of a VM that cloud-init configures, which OpenWrt's images do not have.
CLOUD_INIT = re.compile(r"^(?:ci\w+|ipconfig\d+|sshkeys|nameserver|searchdomain): |^[a-z]+\d+: .*cloudinit")
LINK = re.compile(r"^\d+: ([^\s:@]+).*link/ether (\S+)", re.MULTILINE)


@dataclass
class OpenWrtVm(UpgradableRouter):
    """What OpenWrt adds to a run over a VM.

    ``disk`` is the seeded copy of the image that a new one is made from, ``successor`` that of the one that is to take
    its place in an upgrade; ``verified_by`` says what showed that the
    router is up. ``silent`` are the addresses at which nobody was before the VM was made: an answer from there is the
    router's.
    """

    kind = "qemu"
    address_source = "agent"
    no_access_reason = "the router cannot be accessed: neither agent nor ssh_private_key is declared"
    access_remedy = "Declare ssh_private_key, with an address that can be reached from here, or agent."
    image: WantedDisk
    disk: SeededDisk | None = None
    successor: SeededDisk | None = None
    verified_by: str = ""
    silent: list[str] = field(default_factory=list)

    # -- the plan --------------------------------------------------------------------------------------------------
    def prepare(self, node: Node, wanted: Wanted) -> Wanted:
        """Where the disk of a new router is imported from."""
        path = work_file(node, wanted)
        storage, findings = find_import_storage(node)
        self.disk = SeededDisk(path, storage, self._bring, self._fill)
        found = (*wanted.findings, *no_room(path, ROOM), *findings)
        return dataclasses.replace(self.disk.import_from(wanted), findings=found)

    def _bring(self, node: Node) -> Disk:
        return openwrt_template.ensure_image(node, self.image)

    def _fill(self, run: Run, path: FilePath, disk: Disk) -> None:
        """Put the router's first configuration into a copy of a release's disk image."""
        self.silent = [address for address in self.management_addresses() if not answers(address)]
        size = run.wanted.declaration.values[DISK]["size"]
        prepare_image(path, size=size, files=first_files(self.described, disk.version))

    def extend(self, node: Node, wanted: Wanted, actual: Actual, plan: Plan) -> Plan:
        if wanted.state == "absent" or self.description is None:
            return plan
        findings = list(self._wrong_guest(wanted, actual))
        if findings:
            return self.with_findings(node, plan, findings)
        if plan.creating:
            findings += unfinished(node, self.kind, wanted.name) if wanted.name else ()
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
        if actual.running and not plan.creating:
            try:
                plan = self._extend_upgrade(node, wanted, actual, plan)
            except InvalidInput as error:
                findings += error.findings
        return self.with_findings(node, plan, findings)

    @staticmethod
    def _wrong_guest(wanted: Wanted, actual: Actual) -> t.Iterator[Finding]:
        """What shows that a VM which is there has another system: its OS type, what cloud-init configures, an
        installation medium that nobody declares, or that it does not start from the disk that is imported."""
        options = actual.config.options if actual.config else {}
        order = options.get("boot", "").partition("order=")[2]
        signs = [f"ostype {options.get('ostype', 'other')}"] if options.get("ostype") != OSTYPE else []
        signs += [key for key, text in options.items() if CLOUD_INIT.search(f"{key}: {text}")]
        signs += [] if DISK in options else [f"no {DISK}"]
        signs += [f"boot order={order}"] if order and DISK not in order.split(",")[0].split(";") else []
        media = [key for key, text in options.items() if re.fullmatch(r"[^,]+:iso/.+media=cdrom.*", text)]
        signs += [key for key in media if key not in wanted.declaration.values]
        if options and signs:
            called = f" called {options['name']}" if options.get("name") else ""
            problem = f"is a VM{called} that this module did not create, not an OpenWrt ({', '.join(signs)})"
            yield Finding("vmid", actual.vmid, problem, NEVER_ANOTHER)

    def _extend_creation(self, node: Node, plan: Plan) -> Plan:
        expected = openwrt_template.predict_image(node, self.image)
        return t.cast("SeededDisk", self.disk).extend(plan, expected, self.image.variant)

    def _extend_running(self, node: Node, actual: Actual, plan: Plan) -> Plan:
        """The router's own configuration is looked at where there is a way into it."""
        vmid = t.cast("int", actual.vmid)
        return self.with_drift(plan, self.router(node, vmid).drift(self.seen)) if self.seen else plan

    def _extend_upgrade(self, node: Node, wanted: Wanted, actual: Actual, plan: Plan) -> Plan:
        if self.seen is None:
            return self.with_unknown(plan)
        return self.with_upgrade(node, actual, plan, lambda: self._release(node, wanted, actual))

    def _release(self, node: Node, wanted: Wanted, actual: Actual) -> Release:
        """The release that is declared, in an image for the firmware that the VM has, and what stands against it."""
        config = t.cast("GuestConfig", actual.config)
        image = self.image.for_firmware(config.options.get("bios", ""))
        path = work_file(node, wanted)
        storage, findings = find_import_storage(node, "upgrade")
        disk = SeededDisk(path, storage, lambda node: openwrt_template.ensure_image(node, image), self._fill)
        expected = openwrt_template.predict_image(node, image)
        findings += no_room(path, max(ROOM, disk_size(config.options) or 0), "upgrade")
        if self.by_vmid:
            problem = f"cannot keep vmid {actual.vmid}: the new router is a VM of its own beside the old one"
            findings.append(Finding("upgrade", True, problem, "Declare the router by name alone."))
        self.successor = disk
        fetch = (FetchDisk(disk, expected.name, expected.url, expected.size),) if expected.url else ()
        return Release(expected.version, fetch, left_behind(config, stays=self.rollback_keep), tuple(findings))

    def replacement(self, run: Run, *, to: str, keep: bool) -> VmUpgrade:
        return VmUpgrade(
            run,
            lambda vmid: self.router(run.node, vmid),
            lambda vmid: forget_hosts(run.node, vmid),
            self.described,
            patience=self.up_timeout,
            keep=keep,
            to=to,
            disk=t.cast("SeededDisk", self.successor),
        )

    def uploads(self, node: Node, plan: Plan) -> t.Sequence[str]:
        disk = self.disk if plan.creating else self.successor if plan.has(UpgradeRouter) else None
        return [disk.import_storage] if disk and disk.import_storage else []

    # -- the way in ------------------------------------------------------------------------------------------------
    def connect(self, node: Node, vmid: int) -> Shell | None:
        """SSH where a key for it is declared, else the guest agent where PVE may ask one."""
        return self.by_ssh(node, vmid) or (by_agent(node, vmid) if has_agent(node, vmid) else None)

    # -- what a run does -------------------------------------------------------------------------------------------
    def tidy(self, run: Run) -> None:
        remove_copies(run)

    def await_up(self, run: Run) -> None:
        """Wait until anything shows that the router has booted: its console, the agent, SSH, or an address.

        An address alone is waited for as long as ``ip_timeout`` says: from here it may be out of reach.
        """
        if self.disk is not None:  # made again, and so are its host keys
            forget_hosts(run.node, run.vmid)
        with contextlib.closing(console_of(run.node, run.vmid)) as console:
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
        run.result.warnings.append("nothing shows whether the router is up")

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


def agent_interfaces(run: Run) -> list[dict[str, t.Any]]:
    """What the agent tells of the guest's network cards; nothing while it does not answer."""
    return told_interfaces(run.node, "qemu", run.vmid)


def has_agent(node: Node, vmid: int) -> bool:
    """Whether PVE is told to ask an agent in the guest."""
    config = node.config("qemu", vmid)
    text = config.options.get("agent") if config else None
    return bool(text and AGENT.parse(text).get("enabled"))
