# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second play really goes on inside of a new container, through the node, by the connection of community.proxmox.

The node is reached by an SSH server of this test at a port of loopback, with keys of its own. That connection starts
pct at the path where PVE has it, so what it asks for is run with the embedded node's.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from .conftest import TIMEOUT, Node

ROOT = Path(__file__).parents[2]
SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
LIKELY = [ROOT / ".cache/community", *map(Path, sys.path)]
PLACES = [path for path in LIKELY if (path / "ansible_collections/community/proxmox").is_dir()]
SAID = "{{ pinged.ping }} {{ said.stdout }} {{ read.content | b64decode | trim }} as {{ ansible_user }}"
PLAYS = [
    {
        "hosts": "pve",
        "gather_facts": False,
        "roles": [
            {
                "role": "pve.provision.provision",
                "provision_guest_connection": "pct_remote",
                "provision_guest_python": True,
                "provision_guests": [
                    {"name": "in1", "type": "lxc", "state": "started", "networks": [{"bridge": "vmbr0", "ip": "dhcp"}]}
                ],
                "provision_defaults": {"ostemplate": "debian", "rootfs": {"storage": "local-lvm", "size": 2}},
            }
        ],
    },
    {
        "hosts": "provisioned",
        "gather_facts": False,
        "tasks": [
            {"ansible.builtin.ping": {}, "register": "pinged"},
            {"ansible.builtin.command": {"argv": ["cat", "/etc/hostname"]}, "register": "said"},
            {"ansible.builtin.copy": {"content": "it's {{ provision_vmid }}", "dest": "/root/a file", "mode": "0600"}},
            {"ansible.builtin.slurp": {"src": "/root/a file"}, "register": "read"},
            {"ansible.builtin.fetch": {"src": "/etc/hostname", "dest": "{{ fetched }}", "flat": True}},
            {"ansible.builtin.debug": {"msg": SAID}},
        ],
    },
]  # fmt: skip
COMMAND = """#!/bin/sh
{exports}
exec sh -c "$(printf %s "$SSH_ORIGINAL_COMMAND" | sed 's#/usr/sbin/pct#pct#')"
"""
CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/user.pub
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
ForceCommand {folder}/command
"""


@pytest.fixture(scope="module")
def possible() -> None:
    if SSHD is None:
        pytest.skip("this test starts an SSH server: apt-get install openssh-server")
    if not PLACES or (importlib.util.find_spec("paramiko") is None and not (PLACES[0] / "paramiko").is_dir()):
        pytest.skip("the connection is in the package ansible, and uses paramiko: make community")


@dataclass
class Login:
    """An SSH server that leads to the node."""

    port: int
    key: Path
    home: Path


@pytest.fixture
def login(possible: None, node: Node, tmp_path: Path) -> t.Iterator[Login]:
    folder, home = tmp_path / "ssh", tmp_path / "home"
    for each in (folder, home / ".ssh"):
        each.mkdir(parents=True)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in node.embedded.env.items())
    (folder / "command").write_text(COMMAND.format(exports=exports))
    (folder / "command").chmod(0o755)
    (folder / "config").write_text(CONFIG.format(port=port, folder=folder))
    public = (folder / "host.pub").read_text()
    (home / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{port} {public}")
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it locks in who has not logged in yet
    with subprocess.Popen([t.cast("str", SSHD), "-D", "-e", "-f", str(folder / "config")]) as server:
        try:
            await_port(port)
            yield Login(port, folder / "user", home)
        finally:
            server.terminate()


def await_port(port: int) -> None:
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.1)
    raise AssertionError("the SSH server does not listen")


def test_a_second_play_goes_on_inside_of_a_new_container(login: Login, node: Node, tmp_path: Path) -> None:
    """The variables of the new host are those by which the play reaches the node, and nothing else says how."""
    inventory, playbook = tmp_path / "hosts.json", tmp_path / "play.json"
    # The modules run on this machine, which has the node; for its guests the node is where its variables say.
    host = {
        "ansible_connection": "local", "ansible_python_interpreter": node.embedded.python,
        "ansible_host": "127.0.0.1", "ansible_port": login.port, "ansible_ssh_private_key_file": str(login.key),
    }  # fmt: skip
    inventory.write_text(json.dumps({"all": {"hosts": {"pve": host}}}))
    playbook.write_text(json.dumps(PLAYS))
    env = {
        **node.env, "HOME": str(login.home), "ANSIBLE_NOCOLOR": "1", "SSH_AUTH_SOCK": "",
        "PYTHONPATH": os.pathsep.join([node.env["PYTHONPATH"], str(PLACES[0])]),
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join([str(ROOT / ".build"), str(PLACES[0])]),
    }  # fmt: skip
    program = Path(sys.executable).with_name("ansible-playbook")
    command = [str(program), "-i", str(inventory), str(playbook), "-e", json.dumps({"fetched": str(tmp_path / "got")})]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    vmid = next(line.split()[0] for line in node.good("pct", "list").splitlines() if line.split()[-1] == "in1")
    assert f"pong in1 it's {vmid} as root" in done.stdout, done.stdout
    assert (tmp_path / "got").read_text() == "in1\n"
    assert node.inside(int(vmid), "stat -c '%U %a' '/root/a file'").split() == ["root", "600"]
