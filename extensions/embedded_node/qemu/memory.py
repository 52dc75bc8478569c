# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM's memory: what QEMU can be started with, and the modules that memory grows by while the VM runs. In MiB."""

from __future__ import annotations

import re
import typing as t

from ..api import validation
from ..errors import ApiError
from ..state import propstring
from . import config

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..state.root import State

#: What a VM with memory hotplug starts with; everything above comes in modules.
STATIC = 1024
LARGEST = 1 << 19
PERL = "at /usr/share/perl5/PVE/QemuServer/Memory.pm line {}."


class Module(t.NamedTuple):
    """One module: its name, its size, and the VM's memory with it."""

    name: str
    size: int
    total: int


def static(options: Mapping[str, str]) -> int:
    """The memory that a VM with memory hotplug needs at least."""
    sockets = int(options.get("sockets", "1"))
    return STATIC * sockets if options.get("hugepages") == "1024" else STATIC


def modules(options: Mapping[str, str], wanted: int) -> Iterator[Module]:
    """The modules that bring a VM to this much memory. They grow with their number, and the last may be too big."""
    size = 1024 if options.get("hugepages") == "1024" else 512
    total, number = static(options), 0
    while total < wanted:
        total += size
        yield Module(f"dimm{number}", size, total)
        number += 1
        size *= 2 if number % 32 == 0 else 1


def check(state: State, options: Mapping[str, str]) -> None:
    """Die when QEMU could not be given the memory as it is configured."""
    plugs = "memory" in config.hotplug(options)
    wanted = config.memory(options)
    if plugs:
        _check_hotplug(options, wanted)
    numa, huge = options.get("numa") == "1", "hugepages" in options
    if huge and not numa:
        raise ApiError(f"numa needs to be enabled to use hugepages {PERL.format(388)}")
    if plugs and any(re.fullmatch(r"virtiofs\d", name) for name in options):
        raise ApiError("Memory hotplug does not work in combination with virtio-fs.")
    start = static(options) if plugs else wanted
    if numa:
        _check_nodes(state, options, start)
    for module in modules(options, wanted) if plugs else ():
        if huge:
            check_pages(options, module.size)
        if module.total > wanted:
            raise ApiError(f"memory size ({wanted}) must be aligned to {module.size} for hotplugging")


def _check_hotplug(options: Mapping[str, str], wanted: int) -> None:
    if options.get("numa") != "1":
        raise ApiError("NUMA needs to be enabled for memory hotplug")
    if wanted > LARGEST:
        raise ApiError(f"Total memory is bigger than {LARGEST}MB")
    if any(re.fullmatch(r"numa\d", name) for name in options):
        raise ApiError("cannot enable memory hotplugging with custom NUMA topology")
    if wanted < static(options):
        raise ApiError(f"minimum memory must be {static(options)}MB")


def _check_nodes(state: State, options: Mapping[str, str], start: int) -> None:
    """The NUMA nodes have to add up to the memory that the VM starts with."""
    names = sorted(name for name in options if re.fullmatch(r"numa\d", name))
    total = sum(_node_memory(state, options, name) for name in names)
    if names and total != start:
        raise ApiError("total memory for NUMA nodes must be equal to vm static memory")
    sockets = int(options.get("sockets", "1"))
    for number in range(0 if names else sockets):
        if "hugepages" in options:
            _check_host_node(state, number)
            check_pages(options, start // sockets)


def _node_memory(state: State, options: Mapping[str, str], name: str) -> int:
    """The memory of one configured NUMA node."""
    node = propstring.parse(options[name], validation.option_format("qemu", "numa0"))
    label = f"NUMA node{name.removeprefix('numa')}"
    size = int(float(node.get("memory", "0")))
    if not size:
        raise ApiError(f"missing {label} memory value")
    if "hugepages" in options:
        check_pages(options, size)
    if "cpus" not in node:
        raise ApiError(f"missing {label} cpus")
    if "hostnodes" in node:
        for number in _numbers(node["hostnodes"]):
            _check_host_node(state, number)
        if "policy" not in node:
            raise ApiError(f"you need to define a policy for hostnode {node['hostnodes'].replace(';', ',')}")
    elif "hugepages" in options:
        raise ApiError(f"numa hostnodes need to be defined to use hugepages {PERL.format(430)}")
    return size


def _numbers(text: str) -> Iterator[int]:
    """The numbers of ``0;2-3``."""
    for part in text.split(";"):
        first, _unused, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _check_host_node(state: State, number: int) -> None:
    if number and not state.path(f"sys/devices/system/node/node{number}").is_dir():
        raise ApiError(f"host NUMA node{number} doesn't exist")


def check_pages(options: Mapping[str, str], size: int) -> None:
    """Die when this much memory does not fill whole huge pages."""
    if size <= 0 or size % 2:
        raise ApiError(f"memory size '{size}' is not a positive even integer; cannot use for hugepages")
    if options["hugepages"] != "any" and size % int(options["hugepages"]):
        page = options["hugepages"]
        raise ApiError(f"Memory size {size} is not a multiple of the requested hugepages size {page}")
