# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Formats of VM options that the schema only names: PCI devices, SMBIOS, cloud-init files, CPU models."""

from __future__ import annotations

import typing as t

from ..api import validation

OPTIONAL: dict[str, t.Any] = {"type": "string", "optional": 1}
FLAG: dict[str, t.Any] = {"type": "boolean", "optional": 1}
PCI = r"(?:[a-f0-9]{4,}:)?[a-f0-9]{2}:[a-f0-9]{2}(?:\.[a-f0-9])?"
HEX_ID = {**OPTIONAL, "pattern": "0x[0-9a-fA-F]{4}"}
BASE64 = {**OPTIONAL, "pattern": r"[A-Za-z0-9+\/]+={0,2}"}
VOLUME = {**OPTIONAL, "format": "pve-volume-id"}
STRINGS: dict[str, dict[str, t.Any]] = {
    "pve-qm-hostpci": {
        "host": {**OPTIONAL, "default_key": 1, "pattern": f"{PCI}(;{PCI})*"},
        "mapping": {**OPTIONAL, "format": "pve-configid"},
        "romfile": {**OPTIONAL, "pattern": "[^,;]+"}, "mdev": {**OPTIONAL, "pattern": r"[^/\.:]+"},
        "driver": {**OPTIONAL, "enum": ["vfio", "keep"]},
        **dict.fromkeys(("rombar", "pcie", "x-vga", "legacy-igd"), FLAG),
        **dict.fromkeys(("vendor-id", "device-id", "sub-vendor-id", "sub-device-id"), HEX_ID),
    },
    "pve-qm-smbios1": {
        "uuid": {**OPTIONAL, "pattern": "[a-fA-F0-9]{8}(?:-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}"}, "base64": FLAG,
        **dict.fromkeys(("version", "serial", "manufacturer", "product", "sku", "family"), BASE64),
    },
    "pve-qm-cicustom": dict.fromkeys(("meta", "network", "user", "vendor"), VOLUME),
}  # fmt: skip
CPU: dict[str, t.Any] = {
    "cputype": {**OPTIONAL, "default_key": 1}, "reported-model": OPTIONAL, "hidden": FLAG,
    "hv-vendor-id": {**OPTIONAL, "pattern": "[a-zA-Z0-9]{1,12}"},
    "flags": {**OPTIONAL, "pattern": r"[+-][a-zA-Z0-9\-_\.]+(;[+-][a-zA-Z0-9\-_\.]+)*"},
    "phys-bits": {**OPTIONAL, "pattern": "host|[0-9]{1,2}"},
    "guest-phys-bits": {"type": "integer", "optional": 1, "minimum": 32, "maximum": 64},
}  # fmt: skip
INTEL, AMD, ANY = "GenuineIntel", "AuthenticAMD", "default"
# The families of models that QEMU knows and those that PVE adds (x86-64-vN), each with the endings of its members.
FAMILIES: tuple[tuple[str, str, str], ...] = (
    (INTEL, "486 pentium pentium2 pentium3 coreduo core2duo Conroe Penryn KnightsMill ClearwaterForest", ""),
    (INTEL, "Nehalem Westmere SandyBridge IvyBridge", "-IBRS"),
    (INTEL, "Haswell Broadwell", "-IBRS -noTSX -noTSX-IBRS"),
    (INTEL, "Skylake-Client", "-IBRS -noTSX-IBRS -v4"),
    (INTEL, "Skylake-Server", "-IBRS -noTSX-IBRS -v4 -v5"),
    (INTEL, "Cascadelake-Server", "-noTSX -v2 -v4 -v5"),
    (INTEL, "Cooperlake GraniteRapids SierraForest", "-v2"),
    (INTEL, "Icelake-Client", "-noTSX"),
    (INTEL, "Icelake-Server", "-noTSX -v3 -v4 -v5 -v6 -v7"),
    (INTEL, "SapphireRapids", "-v2 -v3"),
    (AMD, "athlon phenom Opteron_G1 Opteron_G2 Opteron_G3 Opteron_G4 Opteron_G5 EPYC-Turin", ""),
    (AMD, "EPYC", "-IBPB -v3 -v4"),
    (AMD, "EPYC-Rome", "-v2 -v3 -v4"),
    (AMD, "EPYC-Milan EPYC-Genoa", "-v2"),
    (ANY, "host max kvm32 kvm64 qemu32 qemu64 x86-64-v3 x86-64-v4", ""),
    (ANY, "x86-64-v2", "-AES"),
)
MODELS = {
    name + ending: vendor
    for vendor, names, endings in FAMILIES
    for name in names.split()
    for ending in ("", *endings.split())
}
CPU_FLAGS = (
    "aes", "amd-no-ssb", "amd-ssbd", "hv-evmcs", "hv-tlbflush", "ibpb", "md-clear", "nested-virt", "pcid",
    "pdpe1gb", "spec-ctrl", "ssbd", "virt-ssbd",
)  # fmt: skip


def wrong_cpu(text: str) -> str | None:
    """What is wrong with a VM's ``cpu`` option, in PVE's words."""
    _unused, errors = validation.check({"properties": CPU}, dict(_parts(text)))
    if errors:
        return "format error\n" + "".join(f"cpu.{key}: {errors[key]}\n" for key in sorted(errors)).rstrip("\n")
    values = dict(_parts(text))
    model = values.get("cputype", "kvm64")
    if model.startswith("custom-"):
        return f"Custom cputype '{model.removeprefix('custom-')}' not found"
    if model not in MODELS:
        return f"Built-in cputype '{model}' is not defined (missing 'custom-' prefix?)"
    if any(flag[1:] not in CPU_FLAGS for flag in values.get("flags", "").split(";") if flag):
        return f"VM-specific CPU flags must be a subset of: {', '.join(CPU_FLAGS)}"
    if "reported-model" in values:
        return "Property 'reported-model' not allowed in VM-specific CPU config."
    return None


def _parts(text: str) -> t.Iterator[tuple[str, str]]:
    for part in text.split(","):
        key, found, value = part.partition("=")
        yield (key, value) if found else ("cputype", part)


def register() -> None:
    """Let the validation know these formats."""
    validation.OWN_STRINGS.update(STRINGS)
    validation.OWN_FORMATS["pve-vm-cpu-conf"] = wrong_cpu
