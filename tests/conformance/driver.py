# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded node, driven in this process: commands by their entry point, requests through its own dispatcher."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from itertools import product
from typing import TYPE_CHECKING, Any

from .layout import system_files
from .sites import CONTENT

if TYPE_CHECKING:
    from pathlib import Path

    from embedded_node.state.root import State

    from .world import Start

# A command that the fault "kill" hits with a signal of our choice.
VICTIM = """
import os, signal, sys
from embedded_node import commands
from embedded_node.api import session
from embedded_node.errors import Interrupted
from embedded_node.state import faults
from embedded_node.state.root import State
def stop(number, frame):
    raise Interrupted
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
kill, number = os.kill, int(sys.argv[1])
os.kill = lambda pid, ignored: kill(pid, number)
node = State(os.environ["PVE_ROOT"])
faults.add(node, "kill", at="extract")
sys.exit(commands.execute(session.standard(node), sys.argv[2:]))
"""
TOKEN, STRANGER = "root@pam!oracle", "stranger@pve"
LAG = 0.3
BRIDGES = ("vmbr0", "vmbr1", "vmbr2")
# What the VM whose agent answers has on its disk.
GUEST_FILES = {"/etc/hostname": "guest1\n", "/tmp/x": "hello"}
PRIVATE = "var/lib/embedded-node"
SETTINGS = f"{PRIVATE}/settings.json"


class EmbeddedDriver:
    """Every transcript has a state root of its own; nothing is kept between them."""

    def prepare(self, root: Path, release: str) -> None:
        """An empty node with the recorded ones' bridges; a held lock is not waited for as long as on a real node."""
        facts = (("mtu", "1500\n"), ("address", "bc:24:11:ff:ff:01\n"), ("bridge/bridge_id", "8000\n"))
        for bridge, (name, text) in product(BRIDGES, facts):
            path = root / "sys/class/net" / bridge / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        settings = root / SETTINGS
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(json.dumps({"lock_timeout": 0.2, "release": release}))

    def settle(self, root: Path) -> None:
        """The node's statistics take as long to see a new guest as the other guests are old by then."""
        time.sleep(LAG)
        settings = json.loads((root / SETTINGS).read_text())
        (root / SETTINGS).write_text(json.dumps({**settings, "resources_lag": LAG}))

    def furnish(self, root: Path, start: Start) -> None:
        """The folders that every system has, on the disks of all containers; agents that answer, guests that do not."""
        from embedded_node.api.session import Session
        from embedded_node.errors import ApiError
        from embedded_node.lxc import container
        from embedded_node.qemu import boot
        from embedded_node.state import faults
        from embedded_node.state.root import State
        from embedded_node.state.storage import locate

        state = State(root)
        for vmid in start.deaf:
            faults.add(state, "shutdown_ignored", vmid=vmid)
        if start.agents:
            (root / PRIVATE / "agents.json").write_text(json.dumps(dict.fromkeys(map(str, start.agents), True)))
            for vmid, (name, text) in product(start.agents, GUEST_FILES.items()):
                boot.files(state, vmid).write(name, text)
        for vmid, (kind, _unused) in state.guests().items():
            options = state.guest(kind, vmid).options if kind == "lxc" else {}
            spec = options.get("rootfs")
            if spec and not spec.startswith("/"):
                storage, volume = locate(state, container.parse_volume("rootfs", spec).volume)
                try:
                    tree = storage.tree(volume)
                except ApiError:  # a disk that cannot be is one of the things that runs are about
                    continue
                for folder in ("bin", "etc", "root", "tmp", "var"):
                    (tree / folder).mkdir(parents=True, exist_ok=True)
                release = start.releases.get(options.get("ostype", ""))
                for name, text in system_files(options["ostype"], release).items() if release else ():
                    (tree / name).parent.mkdir(parents=True, exist_ok=True)
                    (tree / name).write_text(text, encoding="latin-1")
                if vmid in state.running():
                    container.mount(Session(state), vmid, state.guest("lxc", vmid).options)

    def command(self, root: Path, argv: list[str], stdin: str | None) -> tuple[int, str, str]:
        """Runs one command line."""
        from embedded_node.commands import run

        return run(argv, root, (stdin or "").encode())

    def interrupted(self, number: int, root: Path, argv: list[str], stdin: str | None) -> tuple[int, str, str]:
        """Runs one command line in a process of its own, which gets a signal while it unpacks."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PVE_ROOT": str(root)}
        command = [sys.executable, "-c", VICTIM, str(number), *argv]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment, check=False)
        return done.returncode, done.stdout, done.stderr

    def request(self, root: Path, http: dict[str, Any], auth: str) -> tuple[int, str, Any]:
        """Makes one request."""
        from embedded_node import commands
        from embedded_node.api.http import respond
        from embedded_node.state.root import State

        commands.load()
        state = State(root)
        headers, cookies = self._credentials(state, auth)
        params = http.get("params") or {}
        if http["method"] == "POST" and http["path"].endswith("/upload"):
            params = {**params, "tmpfilename": self._received(root)}
        answer = respond(state, http["method"], http["path"], params, headers, cookies)
        return answer.status, answer.reason, "" if answer.body is None else answer.body

    @staticmethod
    def _received(root: Path) -> str:
        """The file part of an upload, as the HTTPS server leaves it."""
        name = f"/var/tmp/pveupload-{secrets.token_hex(16)}"
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENT)
        return name

    @staticmethod
    def _credentials(state: State, auth: str) -> tuple[dict[str, str], dict[str, str]]:
        """Headers and cookies of this kind of caller; secrets, and users that no run recorded, are made when needed."""
        from embedded_node.api import access, credentials

        token = auth if "!" in auth else TOKEN
        users = access.UserFile.load(state)
        if token == TOKEN and TOKEN not in users.tokens:
            users.tokens[TOKEN] = ["0", "0", "", ""]
            users.save(state)
        if auth == "stranger":
            users.users.setdefault(STRANGER, ["1", "0", "", "", "", "", "", ""])
            users.save(state)
        credentials.set_secret(state, "token.cfg", token, "secret")
        credentials.set_secret(state, "shadow.cfg", "root@pam", "right")
        if auth == "bearer":
            return {"Authorization": f"Bearer {token}=secret"}, {}
        if auth == "nobody":
            return {}, {}
        if auth in ("ticket", "ticket-no-csrf", "stranger"):
            ticket, csrf = credentials.issue_ticket(state, STRANGER if auth == "stranger" else "root@pam")
            return {} if auth == "ticket-no-csrf" else {"CSRFPreventionToken": csrf}, {"PVEAuthCookie": ticket}
        return {"Authorization": f"PVEAPIToken={token}={'guess' if auth == 'wrong-token' else 'secret'}"}, {}
