# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._pve import kernel


def process(root: Path, group: str, pid: int, inside: str) -> None:
    """A process in a control group, and its numbers as the kernel tells them, from the node's inwards."""
    for path, text in (
        (f"sys/fs/cgroup/lxc/{group}/cgroup.procs", f"{pid}\n"),
        (f"proc/{pid}/status", f"Name:\tx\nNSpid:\t{pid}\t{inside}\n"),
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        with (root / path).open("a") as file:
            file.write(text)


@pytest.mark.parametrize("group", ["101/ns", "101/ns/init.scope", "101/ns/services/procd"])
def test_the_first_process_is_number_one_inside(tmp_path: Path, group: str) -> None:
    process(tmp_path, "101/ns/other", 4000, "17")
    process(tmp_path, "101/ns/docker", 4001, "20\t1")
    process(tmp_path, group, 4711, "1")
    process(tmp_path, "1011/ns", 5000, "1")
    assert kernel.first_process(tmp_path, 101) == 4711


def test_there_is_none_in_a_container_that_does_not_run(tmp_path: Path) -> None:
    assert kernel.first_process(tmp_path, 101) is None


def test_a_process_that_ends_while_it_is_looked_at(tmp_path: Path) -> None:
    process(tmp_path, "101/ns", 4711, "1")
    (tmp_path / "proc/4711/status").unlink()
    assert kernel.first_process(tmp_path, 101) is None
    assert kernel.host_name(tmp_path, 4711) is None


def test_the_name_inside_a_namespace_is_read_without_changing_ours() -> None:
    ours = socket.gethostname()
    command = ["unshare", "--uts", "sh", "-c", "hostname within && echo ready && exec sleep 60"]
    try:
        other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    except FileNotFoundError:
        pytest.skip("unshare is not there")
    try:
        assert other.stdout is not None
        if other.stdout.readline() != "ready\n":
            pytest.skip("this process may not make namespaces")
        assert kernel.host_name(Path("/"), other.pid) == "within"
    finally:
        other.kill()
        other.wait()
    assert os.uname().nodename == ours


def test_addresses_as_pve_reports_them() -> None:
    link = {
        "ifname": "eth0",
        "address": "bc:24:11:01:02:03",
        "addr_info": [
            {"family": "inet", "local": "10.0.0.5", "prefixlen": 24},
            {"family": "inet6", "local": "fd00::5", "prefixlen": 64},
        ],
    }
    expected = {"name": "eth0", "hwaddr": "bc:24:11:01:02:03", "inet": ["10.0.0.5/24"], "inet6": ["fd00::5/64"]}
    bare = {"name": "tun0", "hwaddr": "", "inet": [], "inet6": []}
    assert kernel.addresses_of([link, {"ifname": "tun0"}]) == [expected, bare]


def test_the_addresses_of_a_network_by_the_kernels_own_tables(tmp_path: Path) -> None:
    net = tmp_path / "proc/4711/net"
    net.mkdir(parents=True)
    (net / "fib_trie").write_text(
        "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 10.0.0.0\n"
        "        /24 link UNICAST\nLocal:\n        |-- 10.0.0.5\n           /32 host LOCAL\n        |-- 10.0.0.255\n"
        "           /32 link BROADCAST\n"
    )
    (net / "if_inet6").write_text("fd000000000000000000000000000005 02 40 00 80     eth0\n")
    assert kernel.local_addresses(tmp_path, 4711) == {"10.0.0.5", "fd00::5"}
    assert kernel.local_addresses(tmp_path, 4712) == frozenset()


def test_this_machine_has_its_loopback() -> None:
    assert "127.0.0.1" in kernel.local_addresses(Path("/"), os.getpid())
