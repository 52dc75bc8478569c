# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: an agent of a k3s cluster joins its server, by way of the guest agents of both."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._engine.addresses import (
    global_addresses,
    told_interfaces,
)
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Phase, Plan, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import Start
from ansible_collections.pve.provision.plugins.module_utils._errors import Conflict, ProvisionError, PveError, Timeout
from ansible_collections.pve.provision.plugins.module_utils._io.clock import poll
from ansible_collections.pve.provision.plugins.module_utils._model.network import networks_in
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.network import NET

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestRef

# Seconds that a server and an agent may take until k3s is there and the server has made its token.
TIMEOUT: t.Final = 900
PAUSES: t.Final = (2.0, 10.0)
TOKEN: t.Final = "/var/lib/rancher/k3s/server/node-token"
JOINED: t.Final = "/etc/rancher/k3s/token"
_HAS_TOKEN: t.Final = ("/usr/bin/test", "-s", JOINED)
_IS_INSTALLED: t.Final = ("/usr/bin/test", "-x", "/usr/local/bin/k3s")
# The address and the token are read, so that they stand on no command line.
_JOIN: t.Final = f"""\
set -eu
umask 077
mkdir -p /etc/rancher/k3s
read -r server
read -r token
printf '%s\\n' "$token" > {JOINED}
printf 'server: %s\\ntoken-file: {JOINED}\\n' "$server" > /etc/rancher/k3s/config.yaml
systemctl enable --now --no-block k3s-agent
"""


@dataclass(frozen=True)
class JoinCluster(Step):
    """Give an agent the address and the token of its server, and start it; nothing where it has joined before."""

    action = "join_cluster"
    phase = Phase.INSIDE
    privilege = "VM.GuestAgent.Unrestricted"

    cluster: str
    server: str
    address: str | None = field(default=None, repr=False)

    def run(self, run: Run) -> None:
        agent = run.node.agent
        if _ends_well(run.node, run.vmid, _HAS_TOKEN):
            return
        node, server = _server(run.node, self.server)
        token = _await(run, f"{self.server} has no token yet", lambda: _read(node, server.vmid, TOKEN))
        address = self.address or _await(run, f"{self.server} reports no address", lambda: _address(node, server.vmid))
        _await(run, "k3s is not installed", lambda: _ends_well(run.node, run.vmid, _IS_INSTALLED))
        place = f"[{address}]" if ":" in address else address
        given = f"https://{place}:6443\n{token}\n"
        done = agent.run(run.vmid, ("/bin/sh", "-c", _JOIN), stdin=given)
        if done.rc:
            raise PveError(f"It could not join cluster {self.cluster}: {done.stderr.strip()}", remedy="Run again.")


T = t.TypeVar("T")


def _await(run: Run, problem: str, ask: t.Callable[[], T]) -> T:
    answer = poll(ask, bool, timeout=TIMEOUT, clock=run.node.clock, pauses=PAUSES)
    if not answer:
        remedy = "See what cloud-init says in that VM (cloud-init status --long), and run again."
        raise Timeout(f"After {TIMEOUT} s {problem}.", remedy=remedy)
    return answer


def _server(node: Node, name: str) -> tuple[Node, GuestRef]:
    for ref in node.named("qemu", name):
        if (place := node.on(ref.node)) is not None:
            return place, ref
    raise Conflict(f"{name} is not a VM that can be reached from here.", remedy="Make the server of the cluster first.")


def _ends_well(node: Node, vmid: int, argv: t.Sequence[str]) -> bool:
    """Whether a command of a VM ends with 0; not while nobody answers."""
    try:
        return node.agent.run(vmid, argv).rc == 0
    except ProvisionError:
        return False


def _read(node: Node, vmid: int, path: str) -> str:
    try:
        done = node.agent.run(vmid, ("/usr/bin/cat", path))
    except ProvisionError:
        return ""
    return done.stdout.strip() if done.rc == 0 else ""


def _address(node: Node, vmid: int) -> str:
    """The first address on the VM's own network devices: others are those of its containers."""
    config = node.config("qemu", vmid)
    macs = {str(net.get("hwaddr")).upper() for net in networks_in(config.options if config else {}, NET).values()}
    for interface in told_interfaces(node, "qemu", vmid):
        if str(interface.get("hwaddr") or "").upper() in macs:
            for text in global_addresses(interface):
                return text.partition("/")[0]
    return ""


@dataclass
class ClusterAgent(Part):
    """The part of an agent: it joins once it has been started. ``address``: where it finds its server; None: where that
    one's guest agent says."""

    cluster: str
    server: str
    address: str | None = None

    def extend(self, node: Node, wanted: Wanted, actual: Actual, plan: Plan) -> Plan:
        join = JoinCluster(self.cluster, self.server, self.address)
        if plan.has(Start):
            return plan.insert_after(join, after=Start)
        left = actual.running and not plan.creating and actual.vmid is not None
        if left and wanted.state != "absent" and _has_not_joined(node, t.cast("int", actual.vmid)):
            return plan.append(join)
        return plan


def _has_not_joined(node: Node, vmid: int) -> bool:
    """Whether an agent that answers has no token: a run that made it was killed. Check mode asks, too: this looks for a
    file and changes nothing."""
    try:
        return node.agent.run(vmid, _HAS_TOKEN).rc != 0
    except ProvisionError:
        return False


STEPS: t.Final[tuple[type[Step], ...]] = (JoinCluster,)
