# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what an application needs of the guest that it runs in, and which options that takes.

One table. Pure.
"""

from __future__ import annotations

import functools
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding

Options = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Need:
    """Something that an application needs.

    ``meaning`` tells people what it is. ``container`` are the options of a container that give it, ``because`` says why
    those; ``privileged`` says why the container has to be a privileged one, empty: it has not. ``vm`` are the options
    of a VM, ``vm_because`` why. ``vm_only``: no container can have it, and why.
    """

    meaning: str
    because: str
    container: Options = field(default_factory=dict)
    privileged: str = ""
    vm: Options = field(default_factory=dict)
    vm_because: str = "a VM has a kernel of its own"
    vm_only: str = ""


_USB: t.Final = (
    "lxc.cgroup2.devices.allow=c 189:* rwm",
    "lxc.mount.entry=/dev/bus/usb dev/bus/usb none rbind,optional,create=dir",
)
NEEDS: t.Final[dict[str, Need]] = {
    "systemd": Need(
        "services that systemd shuts off from the rest of the guest",
        "systemd shuts services off by mounts of their own, which needs nesting",
        {"features": {"nesting": True}},
    ),
    "nested_containers": Need(
        "containers within the guest, such as those of Docker and Podman",
        "containers within a container mount their own /proc and /sys, which needs nesting, and use the kernel's "
        "keyring, which needs keyctl",
        {"features": {"nesting": True, "keyctl": True}},
    ),
    "tun": Need(
        "tunnels of a VPN by /dev/net/tun",
        "a VPN makes its tunnel through the node's /dev/net/tun",
        {"devices": [{"path": "/dev/net/tun", "mode": "0666"}]},
    ),
    "fuse": Need(
        "file systems in user space",
        "a file system in user space is mounted through /dev/fuse",
        {"features": {"fuse": True}},
    ),
    "nfs_mount": Need(
        "mounting NFS shares within the guest",
        "the kernel mounts NFS only where the feature allows it",
        {"features": {"mount": ["nfs"]}},
        privileged="the kernel mounts NFS for nobody but the node's own root",
    ),
    "cifs_mount": Need(
        "mounting SMB shares within the guest",
        "the kernel mounts SMB only where the feature allows it",
        {"features": {"mount": ["cifs"]}},
        privileged="the kernel mounts SMB for nobody but the node's own root",
    ),
    "usb": Need(
        "any USB device that is plugged into the node",
        "a USB device has another number each time it is plugged in, so the container gets the whole bus",
        {"raw": list(_USB)},
        privileged="the files of USB devices belong to the node's own root",
        vm_because="state usb: a VM gets its USB devices by name",
    ),
    "kvm": Need(
        "running VMs within the guest",
        "VMs are run through the node's /dev/kvm",
        {"devices": [{"path": "/dev/kvm", "mode": "0666"}]},
        vm={"cpu": {"type": "host"}},
        vm_because="a VM runs VMs only with the node's own type of CPU",
    ),
    "gpu": Need(
        "the graphics card, for video and computing",
        "the node's graphics devices are passed, with the groups that they belong to in the guest",
        {"gpu": True},
        vm_because="state gpu or hostpci: a VM takes a whole card, which the node and its containers then do without",
    ),
    "privileged_port": Need(
        "listening at a port below 1024",
        "a container has a network of its own, in which its root may listen at any port",
    ),
    "kernel_nfs_server": Need(
        "the kernel's NFS server",
        "the kernel serves NFS to one network alone, which is the node's own",
        vm_only="the kernel serves NFS to one network alone, which is the node's own",
    ),
    "privileged": Need(
        "the node's own root",
        "its programs expect to be root without any limits",
        privileged="its programs expect to be root without any limits",
    ),
}
"""By the value of ``needs``."""


ONLY_PRIVILEGED: t.Final = tuple(name for name, need in NEEDS.items() if need.privileged and not need.container)
"""Needs that are about nothing but whether a container is privileged."""


@dataclass(frozen=True)
class Given:
    """The options that needs take, and why each: by the user's names for them."""

    options: dict[str, t.Any] = field(default_factory=dict)
    reasons: tuple[dict[str, t.Any], ...] = ()
    findings: tuple[Finding, ...] = ()


def meet(app: str, needs: t.Sequence[str], kind: str, declared: Options) -> Given:
    """The options that give a guest of a type (``lxc`` or ``vm``) what an application needs."""
    if kind != "lxc":
        reasons = [_reason(name, NEEDS[name].vm, NEEDS[name].vm_because) for name in needs]
        return Given(_all(NEEDS[name].vm for name in needs), tuple(reasons))
    privileged = {name: NEEDS[name].privileged for name in needs if NEEDS[name].privileged}
    plain = declared.get("unprivileged") is not False and not privileged
    added = {name: NEEDS[name].container if plain else _for_privileged(NEEDS[name].container) for name in needs}
    reasons = [_reason(name, added[name], NEEDS[name].because) for name in needs if name not in ONLY_PRIVILEGED]
    reasons += [_reason(name, {"unprivileged": False}, why) for name, why in privileged.items()]
    if plain:
        reasons.append(_reason("", {"unprivileged": True}, "nothing that it needs takes a privileged container"))
    options = _all([*added.values(), *([{"unprivileged": False}] if privileged else [])])
    return Given(options, tuple(reasons), tuple(_impossible(app, needs, declared)))


def _all(each: t.Iterable[Options]) -> dict[str, t.Any]:
    return functools.reduce(combined, each, {})


def _for_privileged(options: Options) -> Options:
    """The options that a privileged container takes: it may use the kernel's keyring anyway."""
    features = {name: value for name, value in options.get("features", {}).items() if name != "keyctl"}
    return {**options, "features": features} if "features" in options else options


def _reason(need: str, options: Options, because: str) -> dict[str, t.Any]:
    return {"need": need, "options": _spelt(options), "reason": because}


def _impossible(app: str, needs: t.Sequence[str], declared: Options) -> t.Iterator[Finding]:
    """What a container cannot have, or not as it is declared."""
    for need in (NEEDS[name] for name in needs):
        if need.vm_only:
            yield Finding("app", app, f"needs {need.meaning}: {need.vm_only}", "Run it in a VM (type: vm).")
        if need.privileged and declared.get("unprivileged") is True:
            problem = f"does not do for application {app}, which needs {need.meaning}: {need.privileged}"
            remedy = "Leave it out, or run the application in a VM (type: vm)."
            yield Finding("unprivileged", True, problem, remedy)


def combined(first: Options, second: Options) -> dict[str, t.Any]:
    """Options with others: dictionaries and lists are joined."""
    joined = {**first}
    for name, value in second.items():
        had = joined.get(name)
        if isinstance(had, t.Mapping) and isinstance(value, t.Mapping):
            joined[name] = combined(had, value)
        elif isinstance(had, list) and isinstance(value, list):
            joined[name] = [*had, *(entry for entry in value if entry not in had)]
        else:
            joined[name] = value
    return joined


def _spelt(options: Options, path: str = "") -> dict[str, t.Any]:
    """Options by their whole names, as a table of reasons shows them."""
    told: dict[str, t.Any] = {}
    for name, value in options.items():
        here = f"{path}.{name}" if path else name
        if isinstance(value, t.Mapping):
            told |= _spelt(value, here)
        else:
            told[here] = value
    return told
