# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m embedded_node``: run a node in the foreground and say how to point a playbook at it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import sys
import typing as t
import uuid
from pathlib import Path

from . import bootstrap, command_server, commands
from .commands import client
from .errors import ApiError
from .lxc_runtime import namespace, programs, relay
from .state import faults
from .state.members import SECRETS
from .state.root import State

TOKEN = "demo"


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="embedded_node", description="A Proxmox VE node for a machine that has none.")
    parser.add_argument("--root", type=Path, default=Path("embedded-node-state"), help="where its files are kept")
    parser.add_argument("--node", default="pve1", help="the node's name")
    parser.add_argument("--port", type=int, default=8006, help="HTTPS port on 127.0.0.1, 0 for a free one")
    parser.add_argument("--latency", choices=("none", "realistic"), help="realistic: commands cost what real ones cost")
    parser.add_argument("--runtime", choices=("scripted", "lxc"), help="lxc: containers really run; needs root")
    parser.add_argument("--mirror", action="append", metavar="URL", help="a package mirror for them (runtime lxc)")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME[:KEY=VALUE,...]", help=faults.__doc__)
    parser.add_argument("--settings", type=json.loads, default={}, help=argparse.SUPPRESS)
    parser.add_argument("--machine", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--temporary", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def _access(root: Path) -> tuple[str, str]:
    """The password of root@pam and the secret of its token; the same ones each time."""
    file = root / SECRETS
    if file.exists():
        known = json.loads(file.read_text(encoding="utf-8"))
    else:
        known = {"password": secrets.token_urlsafe(12), "secret": str(uuid.uuid4())}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(known), encoding="utf-8")
        file.chmod(0o600)
    return known["password"], known["secret"]


def _fork_command_server(state: State) -> tuple[int, int]:
    """Start the command server before there are threads; it ends when the pipe that is answered closes."""
    inside = namespace.of(state) if state.settings()["runtime"] == "lxc" else contextlib.nullcontext()
    alive, keep = os.pipe()
    ready, told = os.pipe()
    child = os.fork()
    if not child:
        os.close(keep)
        os.close(ready)
        try:
            with inside:
                command_server.serve(state.root, alive, lambda: os.write(told, b"1"))
        except (ApiError, OSError) as error:
            sys.stderr.write(f"embedded_node: {error}\n")
        finally:
            os._exit(0)
    os.close(alive)
    os.close(told)
    began = os.read(ready, 1)
    os.close(ready)
    if not began:
        raise SystemExit("embedded_node: its command server did not start")
    return child, keep


async def _serve(root: Path, name: str, port: int, announce: t.Callable[[int], None], until_stdin_closes: bool) -> None:
    from .guest_ports import GuestPorts
    from .server import EmbeddedApi, make_certificate

    state = State(root)
    certificate = make_certificate(state, name)
    server = EmbeddedApi(state, port)
    await server.start(str(certificate), str(certificate.with_suffix(".key")))
    ways = await relay.serve(relay.relays(state, server.port)) if state.settings()["runtime"] == "lxc" else []
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if until_stdin_closes:
        loop.add_reader(0, lambda: None if os.read(0, 1024) else stop.set())
    ports = loop.create_task(GuestPorts(state).run()) if state.settings()["guest_ports"] else None
    announce(server.port)
    await stop.wait()
    if ports:
        ports.cancel()
    for way in ways:
        way.close()
    await server.stop()


def _explain(options: dict[str, t.Any], root: Path) -> str:
    return f"""\
The embedded node runs. On the node itself (a second terminal):
  export PVE_ROOT={root}
  export PATH={root}/usr/sbin:$PATH
  pct list
Over HTTPS, as module options:
  api_host: {options["api_host"]}
  api_port: {options["api_port"]}
  api_user: {options["api_user"]}
  api_token_id: {options["api_token_id"]}
  api_token_secret: {options["api_token_secret"]}
  ca_path: {options["ca_path"]}
or with the password of {options["api_user"]} (what PVE refuses to a token): {options["api_password"]}
Stop it with Ctrl-C.
"""


def main(argv: list[str] | None = None) -> int:
    """Run the node until SIGTERM or Ctrl-C."""
    args = _arguments(argv)
    root: Path = args.root.resolve()
    given = {"latency": args.latency, "runtime": args.runtime, "mirrors": args.mirror}
    settings = {**{name: value for name, value in given.items() if value}, **args.settings}
    why = programs.reason_against() if settings.get("runtime") == "lxc" else None
    if why:
        raise SystemExit(f"embedded_node: {why}")
    root.mkdir(parents=True, exist_ok=True)
    password, secret = _access(root)
    state = bootstrap.prepare(root, args.node, settings, password, (TOKEN, secret))
    client.install(root, list(commands.PROGRAMS))
    for text in args.fault:
        name, _sep, rest = text.partition(":")
        faults.add(state, name, **dict(item.split("=", 1) for item in rest.split(",") if item))
    child, keep = _fork_command_server(state)

    def announce(port: int) -> None:
        options = {
            "api_host": "127.0.0.1", "api_port": port, "api_user": "root@pam", "api_token_id": TOKEN,
            "api_token_secret": secret, "api_password": password,
            "ca_path": str(root / f"etc/pve/nodes/{args.node}/pve-ssl.pem"),
        }  # fmt: skip
        sys.stdout.write(json.dumps(options) + "\n" if args.machine else _explain(options, root))
        sys.stdout.flush()

    try:
        asyncio.run(_serve(root, args.node, args.port, announce, args.machine))
    finally:
        os.close(keep)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)
        if args.temporary:  # also when nobody is left to do so
            shutil.rmtree(root, ignore_errors=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
