# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets of containers that are alike, declared for ``guests`` and for the neighbour, on nodes with realistic times."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass
from pathlib import Path

from embedded_node import commands
from embedded_node.state import kernel
from tests.bench import neighbour
from tests.integration.conftest import Played, Site

Declared = dict[str, t.Any]

FIRST = 1000
DEFAULTS: Declared = {
    "type": "lxc",
    "ostemplate": "alpine-3.22-default",
    "cores": 1,
    "memory": 256,
    "rootfs": {"storage": "local-lvm", "size": 1},
    "features": {"nesting": True},
}


def address(number: int) -> str:
    return f"10.64.{number // 256}.{number % 256}/16"


def hwaddr(number: int) -> str:
    return f"BC:24:11:00:{number // 256:02X}:{number % 256:02X}"


def fleet(count: int) -> list[Declared]:
    """So many guests, as a user declares them."""
    return [
        {"name": f"guest{number}", "networks": [{"bridge": "vmbr0", "ip": address(number)}]}
        for number in range(1, count + 1)
    ]


def creation(template: str, number: int) -> list[str]:
    """The command that makes one of them."""
    net = f"name=eth0,bridge=vmbr0,ip={address(number)}"
    options = {"hostname": f"guest{number}", "cores": 1, "memory": 256, "features": "nesting=1", "unprivileged": 1}
    options |= {"rootfs": "local-lvm:1", "net0": net}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return ["pct", "create", str(FIRST + number), template, *words]


def template_of(site: Site) -> str:
    cache = site.node.root / "var/lib/vz/template/cache"
    return f"local:vztmpl/{next(cache.glob('alpine*.xz')).name}"


def stock(site: Site, count: int) -> None:
    """Let the node have the first so many of them, running. The first is made, the others are like it."""
    state, folder = site.node.state, site.node.root / "etc/pve/lxc"
    if not (folder / f"{FIRST + 1}.conf").exists():
        done = commands.run([*creation(template_of(site), 1), "--start", "1"], site.node.root)
        assert done[0] == 0, done
    made = (folder / f"{FIRST + 1}.conf").read_text(encoding="utf-8")
    mac = next(part for part in made.replace("\n", ",").split(",") if part.startswith("hwaddr="))
    missing = [number for number in range(2, count + 1) if not (folder / f"{FIRST + number}.conf").exists()]
    for number in missing:
        text = made.replace("hostname: guest1\n", f"hostname: guest{number}\n").replace(address(1), address(number))
        text = text.replace(mac, f"hwaddr={hwaddr(number)}").replace(f"vm-{FIRST + 1}-", f"vm-{FIRST + number}-")
        (folder / f"{FIRST + number}.conf").write_text(text, encoding="utf-8")
    state.publish()
    for number in missing:
        kernel.set_running(state, FIRST + number, 10_000 + number)


def play(site: Site, tasks: list[Declared], **variables: t.Any) -> Played:
    """Run a play of these tasks, which succeeds."""
    played = site.play([{"hosts": "pve", "gather_facts": False, "tasks": tasks}], **variables)
    assert played.rc == 0, played.output[-2000:]
    return played


def ours(site: Site, guests: list[Declared], variables: t.Mapping[str, t.Any], **options: t.Any) -> Played:
    """Run the module ``guests``. The variables are those of every play that it is compared with."""
    connection = {**site.connection, "node": site.node.name}
    task = {"guests": "{{ declared }}" if guests else [], "defaults": DEFAULTS, **connection, **options}
    return play(site, [{"pve.provision.guests": task}], **variables)


@dataclass
class NeighbourSite(Site):
    """The same node, reached by the neighbour's own Ansible."""

    @property
    def environ(self) -> dict[str, str]:
        environ = super().environ
        folder = neighbour.programs() or Path()
        self.inventory["all"]["hosts"]["pve"] = {
            "ansible_connection": "local",
            "ansible_python_interpreter": str(folder / "python"),
        }
        environ["PATH"] = os.pathsep.join([str(folder), environ["PATH"]])
        del environ["ANSIBLE_COLLECTIONS_PATH"]
        return environ


def theirs(site: Site, guests: list[Declared]) -> Played:
    """Run the neighbour's module in a loop over the same guests: each as declared, but for whether it runs."""
    login = {key: site.node.api[key] for key in ("api_host", "api_port", "api_user", "api_password")}
    task = {
        **login,
        "node": site.node.name,
        "hostname": "{{ item.name }}",
        "ostemplate": template_of(site),
        "cores": 1,
        "memory": 256,
        "features": ["nesting=1"],
        "disk_volume": {"storage": "local-lvm", "size": 1},
        "netif": {"net0": "name=eth0,bridge=vmbr0,ip={{ item.networks[0].ip }}"},
        "timeout": 120,
    }
    return play(site, [{"community.proxmox.proxmox": task, "loop": "{{ declared }}"}], declared=guests)
