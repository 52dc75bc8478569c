# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes ``playbooks/vars/awx_surveys.json``: the surveys of AWX, from the tables of options and their documentation.

    make surveys

An answer is a variable ``guest__PATH``; playbook ``guest.yml`` makes a guest of all of them. ``SURVEYS`` says which
options are asked for; types, choices, bounds and texts are those of the options.
"""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

from guests_schema import MODULES, Spec, bounds_of, documentation, plain

from ansible_collections.pve.provision.plugins.module_utils._guests.registry import TYPES
from ansible_collections.pve.provision.plugins.plugin_utils.apps import own_names

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "playbooks/vars/awx_surveys.json"
#: The most that a survey takes for a number, where an option has no bound of its own.
LARGEST = 2**31 - 1

#: Each survey: the type of guest, and the options that it asks for, with a default or ... where an answer is required.
SURVEYS: dict[str, tuple[str, dict[str, t.Any]]] = {
    "container": (
        "lxc",
        {
            "name": ..., "vmid": None, "state": "started", "ostemplate": "debian-13-standard", "cores": 1,
            "memory": 512, "rootfs.storage": "auto", "rootfs.size": 4, "networks.0.bridge": "vmbr0",
            "networks.0.tag": None, "networks.0.ip": "dhcp", "networks.0.gateway": None, "ssh_public_keys": None,
            "onboot": True, "tags": None, "node": None,
        },
    ),
    "application": (
        "lxc",
        {
            "name": ..., "app": ..., "vmid": None, "state": "started", "memory": None, "rootfs.storage": "auto",
            "networks.0.bridge": "vmbr0", "networks.0.tag": None, "networks.0.ip": "dhcp", "networks.0.gateway": None,
            "ssh_public_keys": None, "ssh_private_key": "agent", "onboot": True, "node": None,
        },
    ),
    "openwrt": (  # as a VM, since PVE leaves a container for a router to root@pam itself, and no token is that
        "openwrt_vm",
        {
            "name": ..., "vmid": None, "version": "24", "memory": None, "interfaces.wan.bridge": ...,
            "interfaces.wan.tag": None, "interfaces.wan.proto": "dhcp", "interfaces.wan.address": None,
            "interfaces.wan.gateway": None, "interfaces.wan.username": None, "interfaces.wan.password": None,
            "interfaces.lan.bridge": ..., "interfaces.lan.tag": None,
            "interfaces.lan.address": "192.168.1.1/24", "management.from": "lan", "management.ssh_keys": None,
            "node": None,
        },
    ),
    "vm": (
        "vm",
        {
            "name": ..., "vmid": None, "state": "started", "profile": "cloud", "image": "debian-13", "cores": 2,
            "memory": 2048, "disks.0.storage": "auto", "disks.0.size": "16G", "networks.0.bridge": "vmbr0",
            "networks.0.tag": None, "cloud_init.user": None, "cloud_init.ssh_keys": None, "cloud_init.password": None,
            "onboot": True, "node": None,
        },
    ),
}  # fmt: skip
#: What people call those that are not named as they are called.
NAMES: dict[str, str] = {"openwrt": "OpenWrt router", "vm": "VM"}
#: What the options of a router's interfaces are, which are free in form.
FREE: dict[str, Spec] = {
    "bridge": {"type": "str", "description": "The bridge of this interface."},
    "tag": {"type": "str", "description": "The VLAN tag of this interface."},
    "proto": {"type": "str", "choices": ["dhcp", "static", "pppoe"], "description": "How it gets its address."},
    "address": {"type": "str", "description": "Its own address with prefix length. A wan has one where it is static."},
    "gateway": {"type": "str", "description": "The way out, where it is static."},
    "username": {"type": "str", "description": "Name to log in with, for pppoe."},
    "password": {"type": "str", "no_log": True, "description": "Password to log in with, for pppoe."},
}


def question(kind: str, path: str, default: t.Any) -> dict[str, t.Any]:
    """What a survey asks for one option."""
    spec, text = _find(kind, path)
    parts = tuple(part for part in path.split(".") if not part.isdigit())
    asked: dict[str, t.Any] = {
        "question_name": path.replace(".0.", ".").replace(".", " "),
        "question_description": plain(text.get("description")).split("\n")[0][:250],
        "variable": f"guest__{path.replace('.', '__')}",
        "required": default is ...,
        "default": "" if default in (None, ...) else default,
        **_form(spec, path),
    }
    if spec["type"] == "bool":
        asked["default"] = "" if default is None else str(default).lower()
    if asked["type"] in ("text", "textarea"):
        asked["default"] = str(asked["default"])
        asked |= {"min": 1} if asked["required"] else {}  # or a blank would be an answer
    if asked["type"] in ("integer", "float"):
        codec = bounds_of(kind).get(parts)
        asked["min"] = int((codec and codec.minimum) or 0)
        asked["max"] = int((codec and codec.maximum) or LARGEST)
    return asked


def _find(kind: str, path: str) -> tuple[Spec, Spec]:
    """The spec of an option and its documentation."""
    options: t.Any = {"name": {"type": "str"}, **TYPES[kind].all_options}
    texts: t.Any = documentation()[MODULES[kind]]["doc"]["options"]
    spec: Spec = {"type": "str"}
    text: Spec = {}
    for part in (each for each in path.split(".") if not each.isdigit()):
        if part not in options:  # a dictionary that is free in form
            free = FREE.get(path.rpartition(".")[2], {"type": "str", "description": text.get("description")})
            return free, free
        spec, text = options[part], texts.get(part) or {}
        options, texts = spec.get("options") or {}, text.get("suboptions") or {}
        if part == "name":
            text = {"description": "The name of the guest, under which runs find it again."}
    return spec, text


def _form(spec: Spec, path: str) -> dict[str, t.Any]:
    if path == "app":
        return {"type": "multiplechoice", "choices": own_names()}
    if spec.get("no_log"):
        return {"type": "password"}
    if spec.get("choices"):
        return {"type": "multiplechoice", "choices": list(spec["choices"])}
    if spec["type"] == "bool":
        return {"type": "multiplechoice", "choices": ["true", "false"]}
    if spec["type"] == "list":
        return {"type": "textarea"}
    return {"type": {"int": "integer", "float": "float"}.get(spec["type"], "text")}


def surveys() -> dict[str, t.Any]:
    """All of them, as AWX takes them."""
    return {
        name: {
            "name": f"New {NAMES.get(name, name)}",
            "description": f"Options of pve.provision.{MODULES[kind]}.",
            "spec": [question(kind, path, default) for path, default in asked.items()],
        }
        for name, (kind, asked) in SURVEYS.items()
    }


def text() -> str:
    """The file."""
    return json.dumps({"awx_surveys": surveys()}, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"{TARGET.relative_to(ROOT)}\n")
