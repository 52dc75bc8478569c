# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what PVE takes of a VM's hardware when it is made, and refuses at each start; and what it
refuses in words that name no option. Pure.

Sources: qemu-server (QemuServer/Memory.pm, PCI.pm, USB.pm, Virtiofs.pm, OVMF.pm).
"""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.option import base_of

Values = t.Mapping[str, t.Any]
Paths = t.Mapping[str, str]

_HUGE_PAGE: t.Final = {"any": 2, "2": 2, "1024": 1024}
# The keys that PVE requires of a property string, and an example of each.
_REQUIRED: t.Final = {
    "agent": ("enabled", "true or false"),
    "amd-sev": ("type", "std, es or snp"),
    "audio0": ("device", "such as ich9-intel-hda"),
    "intel-tdx": ("type", "tdx"),
    "ivshmem": ("size", "a number of MiB"),
    "numa": ("cpus", "the virtual CPUs of the node, such as 0-1"),
    "rng0": ("source", "such as /dev/urandom"),
}
# Guests with a modern USB controller take 14 devices, all others 5.
_OLD_USB_PORTS: t.Final = 5
_MODERN: t.Final = ("l26", "win8", "win10", "win11")
_32_BITS: t.Final = ("486", "pentium", "pentium2", "pentium3", "athlon", "coreduo", "kvm32", "qemu32")


def check_start(values: Values, paths: Paths) -> t.Iterator[Finding]:
    """All of it."""
    yield from _check_required(values, paths)
    yield from _check_huge_pages(values, paths)
    yield from _check_numa_nodes(values, paths)
    yield from _check_named(values, paths)
    yield from _check_usb(values, paths)
    yield from _check_shared_folders(values, paths)
    yield from _check_graphics(values, paths)
    model = str((values.get("cpu") or {}).get("cputype", ""))
    if values.get("bios") == "ovmf" and model in _32_BITS:
        remedy = "Choose a 64-bit model, or bios=seabios; the VM could not start."
        yield Finding(
            f"{paths.get('cpu', 'cpu')}.type", model, "is a 32-bit processor, which OVMF cannot run on", remedy
        )


def _those(values: Values, base: str) -> t.Iterator[tuple[str, t.Mapping[str, t.Any]]]:
    """The entries of a list, such as ``usb0`` and ``usb1``."""
    return ((key, value) for key, value in values.items() if base_of(key) == base != key and value)


def _check_required(values: Values, paths: Paths) -> t.Iterator[Finding]:
    for key, value in values.items():
        name, example = _REQUIRED.get(key if key in _REQUIRED else base_of(key), ("", ""))
        if name and isinstance(value, dict) and value and value.get(name) is None:
            path = f"{paths.get(key, key)}.{name}"
            yield Finding(path, None, "is missing", f"Proxmox VE needs it with the other options; state {example}.")


def _check_huge_pages(values: Values, paths: Paths) -> t.Iterator[Finding]:
    pages = values.get("hugepages")
    if not pages:
        return
    path = paths.get("hugepages", "hugepages")
    if not values.get("numa"):
        yield Finding(path, pages, "needs numa", "Set numa=true; the VM could not start.")
    page = _HUGE_PAGE.get(str(pages), 2)
    nodes = [value.get("memory") for _key, value in _those(values, "numa")]
    shares = nodes or [(values.get("memory") or 512) / (values.get("sockets") or 1)]
    for share in shares:
        if isinstance(share, int | float) and share % page:
            problem = f"does not divide the {share:g} MiB of a NUMA node, in pages of {page} MiB"
            yield Finding(path, pages, problem, "Choose a memory that is a multiple of that; the VM could not start.")
            return


def _check_numa_nodes(values: Values, paths: Paths) -> t.Iterator[Finding]:
    for key, node in _those(values, "numa") if values.get("numa") else ():
        path = paths.get(key, key)
        if not node.get("memory"):
            yield Finding(f"{path}.memory", None, "is missing; the VM could not start", "State a number of MiB.")
        if node.get("hostnodes") and not node.get("policy"):
            remedy = "State preferred, bind or interleave; the VM could not start."
            yield Finding(f"{path}.policy", None, "is missing where hostnodes are stated", remedy)
        if values.get("hugepages") and not node.get("hostnodes"):
            yield Finding(f"{path}.hostnodes", None, "is missing: huge pages come from the node's own", "State it.")


def _check_named(values: Values, paths: Paths) -> t.Iterator[Finding]:
    """A device of the node says which it is."""
    for base, names, remedy in (
        ("hostpci", ("host", "mapping"), "State host (an address such as 0000:01:00.0) or mapping."),
        ("usb", ("host", "mapping"), "State host (vendor:product, bus-port or spice) or mapping."),
        ("virtiofs", ("dirid",), "State mapping, the name of a directory mapping."),
    ):
        for key, value in _those(values, base):
            if not any(value.get(name) for name in names):
                yield Finding(paths.get(key, key), None, "does not say which device it is", remedy)


def _check_usb(values: Values, paths: Paths) -> t.Iterator[Finding]:
    for key, _value in _those(values, "usb"):
        if int(key.removeprefix("usb")) >= _OLD_USB_PORTS and values.get("ostype", "other") not in _MODERN:
            problem = f"is one USB device more than a guest of ostype {values.get('ostype', 'other')} can have"
            remedy = f"{_OLD_USB_PORTS} are possible; {', '.join(_MODERN)} can have 14."
            yield Finding(paths.get(key, key), None, problem, remedy)


def _check_shared_folders(values: Values, paths: Paths) -> t.Iterator[Finding]:
    plugged = "memory" in (values.get("hotplug") or ())
    windows = str(values.get("ostype", "")).startswith("w")
    for key, value in _those(values, "virtiofs"):
        path = paths.get(key, key)
        if plugged:
            remedy = "Leave memory out of hotplug; the VM could not start."
            yield Finding(path, None, "does not work with memory hotplug", remedy)
        if windows and value.get("expose-acl"):
            yield Finding(f"{path}.expose_acl", True, "is not for Windows, which could not mount it", "Leave it out.")


def _check_graphics(values: Values, paths: Paths) -> t.Iterator[Finding]:
    """A graphics card of the node: the legacy mode of Intel's own has many conditions."""
    legacy = [(key, value) for key, value in _those(values, "hostpci") if value.get("legacy-igd")]
    for key, _value in legacy[1:]:
        yield Finding(f"{paths.get(key, key)}.legacy_igd", True, "is possible for one device alone", "Leave it out.")
    shown = str((values.get("vga") or {}).get("type", "std"))
    machine = str((values.get("machine") or {}).get("type", ""))
    for key, value in legacy[:1]:
        path = f"{paths.get(key, key)}.legacy_igd"
        hosts: tuple[str, ...] = value.get("host") or ()
        for wrong, problem, remedy in (
            (shown != "none", f"needs vga none, and the VM has {shown}", "Set vga.type=none."),
            (value.get("rombar") is False, "needs rombar", "Leave rombar out."),
            (value.get("x-vga"), "does not work with x_vga", "Leave x_vga out."),
            (value.get("mdev"), "does not work with mdev", "Leave mdev out."),
            ("q35" in machine, "needs the machine i440fx", "Set machine.type=i440fx."),
            (len(hosts) == 1 and not hosts[0].endswith("02.0"), "is for 0000:00:02.0 alone", "Pass that one through."),
        ):
            if wrong:
                yield Finding(path, True, problem, remedy)
