# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What LXC is told of a container."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from embedded_node import commands
from embedded_node.lxc_runtime import config, mounts, site

PLACE = config.Place(Path("/run/rootfs"), "group", frozenset({"memory"}), Path("/log"), Path("/hook"), Path("/made"))
NET = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,type=veth"

commands.load()


def lines(**options: str) -> list[str]:
    return config.text(100, options, PLACE).splitlines()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"hostname": "web"}, "lxc.uts.name = web"),
        ({}, "lxc.uts.name = CT100"),
        ({"arch": "arm64"}, "lxc.arch = aarch64"),
        ({"unprivileged": "1"}, "lxc.idmap = u 0 100000 65536"),
        ({"features": "nesting=1"}, "lxc.mount.auto = cgroup:rw proc:rw sys:rw"),
        ({}, "lxc.mount.auto = cgroup:mixed proc:mixed sys:mixed"),
        ({"features": "fuse=1"}, "lxc.mount.entry = /made/dev/fuse dev/fuse none bind,create=file,optional 0 0"),
        (
            {"dev0": "/dev/net/tun,mode=0666"},
            "lxc.mount.entry = /made/dev/net/tun dev/net/tun none bind,create=file,optional 0 0",
        ),
        ({"entrypoint": "/bin/server --port 80"}, "lxc.init.cmd = /bin/server --port 80"),
        ({"env": "A=1\0B=2"}, "lxc.environment = B=2"),
        ({"memory": "256"}, "lxc.cgroup2.memory.max = 268435456"),
        ({"net0": NET}, "lxc.net.0.veth.pair = veth100i0"),
        ({"net0": NET}, "lxc.net.0.link = vmbr0"),
        ({"net3": f"{NET},mtu=1400"}, "lxc.net.3.mtu = 1400"),
        ({}, "lxc.cgroup.dir.monitor = group/monitor-100"),
    ],
)
def test_an_option_is_a_line(options: dict[str, str], line: str) -> None:
    assert line in lines(**options)


def test_a_privileged_one_has_the_users_of_the_machine() -> None:
    assert not any("idmap" in line or "userns" in line for line in lines())


def test_there_is_no_limit_where_the_kernel_gives_no_controller() -> None:
    assert not any("cpu.max" in line for line in lines(cores="2"))


INTERFACES = """\
auto lo
iface lo inet loopback

iface eno1 inet manual

iface vmbr0 inet static
\taddress 10.10.10.2/24
\tgateway 10.10.10.1
\tbridge-ports eno1

iface vmbr1 inet manual
\tbridge-ports none
"""


def test_the_networks_of_a_node() -> None:
    found = {each.name: each for each in site.interfaces(INTERFACES)}
    assert {name: (str(each.address), each.port) for name, each in found.items()} == {
        "eno1": ("None", None),
        "vmbr0": ("10.10.10.2/24", "eno1"),
        "vmbr1": ("None", None),
    }


def test_the_second_half_of_a_network_is_leased() -> None:
    first, last = site.leased(ipaddress.IPv4Network("10.10.10.0/24"))
    assert (str(first), str(last)) == ("10.10.10.128", "10.10.10.254")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("36 35 7:0 / /srv/a\\040b rw - ext4 /dev/loop0 rw", ("/srv/a b", "/dev/loop0")),
        ("36 35 7:0 / / rw shared:1 - ext4 /dev/vda rw", ("/", "/dev/vda")),
    ],
)
def test_what_is_mounted_is_read_from_the_kernels_table(line: str, told: tuple[str, str]) -> None:
    assert mounts.read(line) == told
