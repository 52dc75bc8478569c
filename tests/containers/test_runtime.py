# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is real about a container of the runtime `lxc`: its processes, owners, disks, addresses, and that all of it goes
with the node."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from embedded_node import EmbeddedNode
from embedded_node.lxc_runtime import groups, template

from .conftest import Node

STATIC, DHCP = 200, 201
CARD = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:02:00,gw=10.10.10.1"
MAY_GROW_MOUNTED = 1 << 24  # CAP_SYS_RESOURCE


@pytest.fixture(scope="module")
def booted(node: Node) -> Node:
    """One without rights on the machine that has a static address, and one with all of them that asks for one."""
    node.create(STATIC, net0=f"{CARD},ip=10.10.10.20/24", mp0="local-lvm:1,mp=/srv/data")
    node.create(DHCP, unprivileged="0")
    await_boot(node, STATIC)
    await_boot(node, DHCP)
    return node


def await_boot(node: Node, vmid: int) -> None:
    node.until("pct", "exec", str(vmid), "--", "systemctl", "is-system-running", says="running")


def test_systemd_runs_in_it(booted: Node) -> None:
    assert booted.inside(STATIC, "cat /proc/1/comm; systemctl --failed --no-legend").split() == ["systemd"]
    assert booted.inside(STATIC, "hostname").strip() == "ct200"


def test_a_command_has_its_input_its_output_and_its_exit_code(booted: Node) -> None:
    assert booted.good("pct", "exec", str(STATIC), "--", "tr", "a-z", "A-Z", stdin="hello\n") == "HELLO\n"
    assert booted.run("pct", "exec", str(STATIC), "--", "sh", "-c", "echo no >&2; exit 7")[::2] == (7, "no\n")
    assert booted.run("pct", "exec", str(STATIC), "--", "there-is-no-such").rc == 127


def test_users_of_an_unprivileged_one_are_others_on_the_machine(booted: Node) -> None:
    assert booted.inside(STATIC, "stat -c %u /etc/shadow /root").split() == ["0", "0"]
    assert booted.inside(STATIC, "cat /proc/self/uid_map").split() == ["0", "100000", "65536"]
    assert booted.inside(DHCP, "cat /proc/self/uid_map").split() == ["0", "0", "4294967295"]


def test_a_file_is_pushed_with_its_owner(booted: Node, tmp_path: Path) -> None:
    (tmp_path / "page").write_text("hello")
    booted.good(
        "pct", "push", str(STATIC), str(tmp_path / "page"), "/srv/page", "--user", "www-data", "--perms", "640"
    )  # fmt: skip
    assert booted.inside(STATIC, "stat -c '%U %G %a' /srv/page; cat /srv/page") == "www-data root 640\nhello"


def test_addresses_are_those_that_it_has(booted: Node) -> None:
    leased = r"inet 10\.10\.10\.(\d+)/24"
    own = re.findall(leased, booted.good("pct", "exec", str(DHCP), "--", "ip", "-4", "address", "show", "eth0"))
    assert len(own) == 1 and 128 <= int(own[0]) < 255
    told = booted.good("pvesh", "get", f"/nodes/pve1/lxc/{DHCP}/interfaces", "--output-format", "json")
    assert f'"inet":"10.10.10.{own[0]}/24"' in told


def test_it_is_reached_from_the_node_and_from_its_neighbours(booted: Node) -> None:
    booted.good("on-node", "ping", "-c", "1", "10.10.10.20")
    booted.inside(DHCP, "ping -c 1 10.10.10.20")
    booted.inside(STATIC, "ping -c 1 10.10.10.1")
    assert '"dst":"10.10.10.20","dev":"vmbr0"' in booted.good("ip", "-j", "neigh", "show")


def test_the_network_ends_at_the_node(booted: Node) -> None:
    """Neither this machine nor anything behind it is reached, though it listens on every address."""
    with socket.create_server(("0.0.0.0", 0)) as listening:
        port = listening.getsockname()[1]
        own = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split()
        for address in ["10.10.10.1", "10.10.10.2", *(each for each in own if ":" not in each)]:
            script = f"timeout 3 bash -c 'echo > /dev/tcp/{address}/{port}'"
            assert booted.run("pct", "exec", str(STATIC), "--", "sh", "-c", script).rc != 0, address
    assert not any("10.10.10." in line for line in Path("/proc/net/fib_trie").read_text().splitlines())


def test_package_mirrors_are_reached_by_their_names(booted: Node) -> None:
    host = template.mirrors()[0].split("/")[2].split(":")[0]
    assert booted.inside(DHCP, f"getent hosts {host}").startswith("192.0.2.")
    assert "Reading package lists" in booted.inside(DHCP, "apt-get -o APT::Update::Error-Mode=any update 2>&1")


def test_a_disk_that_grows_is_larger_inside(booted: Node) -> None:
    def size(place: str) -> int:
        return int(booted.inside(STATIC, f"df --output=size -BM {place} | tail -n 1").strip().rstrip("M"))

    assert 900 < size("/srv/data") < 1024
    answer = booted.run("pct", "resize", str(STATIC), "rootfs", "2G")
    capable = int(re.findall(r"CapEff:\s+(\w+)", Path("/proc/self/status").read_text())[0], 16) & MAY_GROW_MOUNTED
    if capable:
        assert 1800 < size("/") < 2048
    else:  # the kernel lets nobody grow what is mounted: that is told, and done while it is not
        assert "Failed to update the container's filesystem" in answer.err + answer.out
    booted.good("pct", "stop", str(STATIC))
    booted.good("pct", "resize", str(STATIC), "rootfs", "3G")
    booted.good("pct", "start", str(STATIC))
    await_boot(booted, STATIC)  # what boots still sets its addresses
    assert 2800 < size("/") < 3072


def test_a_changed_address_is_there_at_once(booted: Node) -> None:
    booted.good("pct", "set", str(STATIC), "--net0", f"{CARD},ip=10.10.10.21/24")
    assert re.findall(r"inet ([\d./]+)", booted.inside(STATIC, "ip -4 address show eth0")) == ["10.10.10.21/24"]
    booted.good("pct", "set", str(STATIC), "--net0", f"{CARD},ip=10.10.10.20/24")
    booted.good("on-node", "ping", "-c", "1", "10.10.10.20")


def test_a_card_comes_and_goes(booted: Node) -> None:
    booted.good("pct", "set", str(STATIC), "--net1", "name=eth1,bridge=vmbr1,ip=10.20.0.5/24")
    assert "10.20.0.5/24" in booted.inside(STATIC, "ip -brief address show eth1")
    booted.good("pct", "set", str(STATIC), "--delete", "net1")
    assert booted.run("pct", "exec", str(STATIC), "--", "ip", "link", "show", "eth1").rc != 0


def test_the_api_answers_outside_of_its_network_and_inside(booted: Node) -> None:
    login = ("api_host", "api_port", "api_user", "api_password", "ca_path")
    options = {"node": "pve1", **{key: booted.embedded.api[key] for key in login}}
    for python in (sys.executable, booted.embedded.python):
        told = booted.module("node_info", python=python, **options)
        assert {guest["vmid"]: guest["status"] for guest in told["guests"]}[STATIC] == "running", told


def test_a_mount_point_comes_while_it_runs(booted: Node) -> None:
    booted.good("pct", "set", str(STATIC), "--mp1", "local-lvm:1,mp=/srv/more")
    assert (
        booted.inside(STATIC, "df --output=target /srv/more | tail -n 1; touch /srv/more/file").strip() == "/srv/more"
    )
    booted.good("pct", "pull", str(STATIC), "/srv/more/file", "/dev/null")


def test_a_snapshot_is_gone_back_to(booted: Node) -> None:
    booted.good("pct", "snapshot", str(DHCP), "before")
    booted.inside(DHCP, "rm -r /usr/share/zoneinfo; touch /srv/later")
    booted.good("pct", "rollback", str(DHCP), "before", "--start", "1")
    assert booted.inside(DHCP, "ls -d /usr/share/zoneinfo; ls -A /srv").split() == ["/usr/share/zoneinfo"]


def test_one_that_turns_itself_off_is_stopped(booted: Node) -> None:
    booted.until("pct", "exec", str(DHCP), "--", "systemctl", "is-system-running", says="running")
    booted.run("pct", "exec", str(DHCP), "--", "systemctl", "poweroff")
    booted.until("pct", "status", str(DHCP), says="stopped")
    booted.good("pct", "start", str(DHCP))


def left(name: str) -> list[str]:
    """What there is of a node's on this machine."""
    found = [str(path) for path in Path("/sys/fs/cgroup").rglob(name)]
    loops = [path.read_text() for path in Path("/sys/block").glob("loop*/loop/backing_file")]
    groups = {path: _text(path) for path in Path("/proc").glob("[0-9]*/cgroup")}
    processes = [path for path, text in groups.items() if name in text and "(deleted)" not in text]  # but for zombies
    return [*found, *(text for text in loops if name in text), *map(str, processes)]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def killed(embedded: EmbeddedNode, process: subprocess.Popen[t.Any]) -> None:
    """Kill a node's process and that of its commands, so that neither can tidy up."""
    holder = int((embedded.root / "run/embedded-node/namespace.pid").read_text())
    for pid in (process.pid, holder):
        subprocess.run(["kill", f"-{signal.SIGKILL}", str(pid)], check=True)
    process.wait()


def test_nothing_outlives_a_node(debian: Path) -> None:
    """One that ends takes its containers along; what one that was killed has left goes with the next one's start."""
    with EmbeddedNode(runtime="lxc") as first:
        Node(first, template.install(first.root)).create(100)
        name = groups.name_of(first.root)
        assert left(name)
        killed(first, t.cast("subprocess.Popen[t.Any]", first._process))
        with EmbeddedNode(runtime="lxc") as second:
            assert left(name) == []
            Node(second, template.install(second.root)).create(100)
            name = groups.name_of(second.root)
            assert left(name)
    assert left(name) == []
