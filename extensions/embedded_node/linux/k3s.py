# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""k3s in guests: a server that makes its token, agents that join it, and ``kubectl`` about all of them.

Whether a node belongs to a cluster follows from the files of the guests that run: an agent is a node of the server
whose address it was given, when it was given that server's token, too.
"""

from __future__ import annotations

import hashlib
import re
import typing as t
from urllib.parse import urlsplit

import yaml

from ..guest.runtime import Completed, Guest, done
from ..state.rootfs import GuestFiles
from . import services

if t.TYPE_CHECKING:
    from collections.abc import Sequence

BINARY = "/usr/local/bin/k3s"
CONFIG = "/etc/rancher/k3s/config.yaml"
TOKEN = "/var/lib/rancher/k3s/server/node-token"
PORT = 6443


def started(guest: Guest) -> None:
    """A server that runs has a token: the one it was given, or its own."""
    if services.is_active(guest, "k3s") and not guest.files.exists(TOKEN):
        told = _settings(guest)
        secret = told.get("token") or hashlib.sha256(f"k3s {guest.vmid}".encode()).hexdigest()[:32]
        guest.files.write(TOKEN, f"K10{hashlib.sha256(secret.encode()).hexdigest()}::server:{secret}\n", 0o600)


def _settings(guest: Guest) -> dict[str, str]:
    """What k3s was told: its file, the unit's environment, and the unit's arguments."""
    told = yaml.safe_load(guest.files.read(CONFIG) or "{}") or {}
    found = {str(key): str(value) for key, value in told.items()}
    for unit in ("k3s", "k3s-agent"):
        given = guest.files.read(f"{services.UNITS}/{unit}.service.env")
        names = {"K3S_URL": "server", "K3S_TOKEN": "token", "K3S_TOKEN_FILE": "token-file"}
        pairs = re.findall(r"^(\w+)='?([^'\n]*)'?$", given, re.MULTILINE)
        found.update({names[key]: value for key, value in pairs if key in names})
        line = services.unit_of(guest, unit).get("ExecStart", "")
        found.update(re.findall(r"--(server|token|token-file)[= ]'?([^' ]+)", line))
    if "token" not in found and found.get("token-file"):
        found["token"] = guest.files.read(found["token-file"]).strip()
    return found


def nodes(server: Guest) -> list[tuple[Guest, str]]:
    """The nodes of a server's cluster with their roles, the server first."""
    secret = _secret(server.files.read(TOKEN))
    own = {address.partition("/")[0] for card in server.interfaces for address in card.addresses}
    found = [(server, "control-plane,master")]
    for path in sorted(server.state.path("run/qemu-server").glob("*.pid")):
        tree = server.files.root.parent / path.stem
        if not tree.is_dir() or path.stem == str(server.vmid):
            continue
        other = Guest(server.state, int(path.stem), {}, GuestFiles(tree))
        told = _settings(other) if services.is_active(other, "k3s-agent") else {}
        place = urlsplit(told.get("server", ""))
        if place.hostname in own and (place.port or PORT) == PORT and _secret(told.get("token", "")) == secret:
            found.append((other, "<none>"))
    return found


def _secret(token: str) -> str:
    """The secret in a token, which may be given with the digest of the server's certificate or without."""
    return token.strip().rpartition(":")[2]


def name_of(guest: Guest) -> str:
    """The name of a node: the guest's own."""
    return guest.files.read("/etc/hostname").strip().lower()


services.HOOKS.setdefault("k3s", []).append(started)


def k3s(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    """``k3s kubectl ...`` and ``k3s --version``."""
    if argv[1:2] == ["kubectl"]:
        return kubectl(guest, argv[1:], stdin)
    return done(guest.files.read(BINARY))


def kubectl(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    """``kubectl get nodes``, and ``kubectl wait --for=condition=Ready node/NAME``."""
    if not services.is_active(guest, "k3s"):
        return done(rc=1, err=f"The connection to the server 127.0.0.1:{PORT} was refused - did you specify the right "
                              "host or port?\n")  # fmt: skip
    found = nodes(guest)
    words = [word for word in argv[1:] if not word.startswith("-")]
    if words[:1] == ["wait"]:
        wanted = [word.rpartition("/")[2] for word in words[1:] if word.startswith(("node/", "nodes/"))]
        missing = [name for name in wanted if name not in {name_of(node) for node, _role in found}]
        said = "".join(f'Error from server (NotFound): nodes "{name}" not found\n' for name in missing)
        met = "".join(f"node/{name} condition met\n" for name in wanted if name not in missing)
        return done(met, int(bool(missing)), said)
    if words[:2] not in (["get", "nodes"], ["get", "node"]):
        return done(rc=1, err=f'error: the server doesn\'t have a resource type "{" ".join(words[1:2])}"\n')
    version = guest.files.read(BINARY).split()[2:3] or ["v1.33.5+k3s1"]
    rows = [(name_of(node), "Ready", role, "1m", version[0]) for node, role in found]
    head = [] if "--no-headers" in argv else [("NAME", "STATUS", "ROLES", "AGE", "VERSION")]
    return done("".join(f"{name:<10} {status:<8} {role:<22} {age:<5} {number}\n"
                        for name, status, role, age, number in [*head, *rows]))  # fmt: skip
