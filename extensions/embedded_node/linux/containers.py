# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that packages and installers bring: Docker as far as it is asked how it is, k3s, curl."""

from __future__ import annotations

import json
import re
import typing as t

from ..guest.runtime import Command, Completed, Guest, done
from . import k3s, services, web
from .catalog import CURL

if t.TYPE_CHECKING:
    from collections.abc import Sequence

VERSION = "26.1.5"
INFO = {"ServerVersion": VERSION, "Containers": 0, "Images": 0, "Driver": "overlay2", "CgroupVersion": "2",
        "OperatingSystem": "Debian GNU/Linux 13 (trixie)", "ServerErrors": None}  # fmt: skip
HEAD = "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n"


def _docker(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    """``docker info``, ``version``, ``ps``, ``compose version``; what runs is nothing."""
    words = [word for word in argv[1:] if not word.startswith("-")]
    form = _format(argv)
    if not services.is_active(guest, "docker"):
        return done(rc=1, err="Cannot connect to the Docker daemon at unix:///var/run/docker.sock. "
                              "Is the docker daemon running?\n")  # fmt: skip
    if words[:1] == ["info"]:
        facts = {**INFO, "Name": guest.hostname}
        if form:
            return done(_formatted(form, facts) + "\n")
        return done(f"Client:\n Version:    {VERSION}\nServer:\n Containers: 0\n Server Version: {VERSION}\n"
                    f" Storage Driver: overlay2\n Name: {guest.hostname}\n")  # fmt: skip
    if words[:1] == ["version"]:
        return done(f"{VERSION}\n" if form else f"Client:\n Version: {VERSION}\nServer:\n Version: {VERSION}\n")
    if words[:1] == ["compose"]:
        there = guest.files.exists("/usr/libexec/docker/cli-plugins/docker-compose")
        if not there:
            return done(rc=1, err="docker: unknown command: docker compose\n")
        return done("Docker Compose version v2.26.1\n")
    return done(HEAD if words[:1] == ["ps"] else "")


def _format(argv: Sequence[str]) -> str:
    """The template after ``--format`` or ``-f``."""
    joined = next((word.partition("=")[2] for word in argv if word.startswith("--format=")), "")
    places = [index for index, word in enumerate(argv[:-1]) if word in ("--format", "-f")]
    return joined or (argv[places[0] + 1] if places else "")


def _formatted(form: str, facts: dict[str, t.Any]) -> str:
    """A Go template of fields alone."""
    if form in ("json", "{{json .}}"):
        return json.dumps(facts)
    return re.sub(r"\{\{\s*\.(\w+)\s*\}\}", lambda found: str(facts.get(found[1], "")), form)


#: Command -> the file without which there is none, and what it does.
COMMANDS: dict[str, tuple[str, Command]] = {
    "curl": (CURL, web.curl),
    "docker": ("/usr/bin/docker", _docker),
    "k3s": (k3s.BINARY, k3s.k3s),
    "kubectl": (k3s.BINARY, k3s.kubectl),
}


#: The bridges that containers in a guest are on.
MACS = {"docker0": "02:42:ac:11:00:01", "cni0": "02:42:0a:2a:00:01"}


def addresses(guest: Guest) -> dict[str, tuple[str, ...]]:
    """The addresses of the guest's interfaces: its cards', and the bridges that containers in it are on."""
    found = {card.name: card.addresses for card in guest.interfaces}
    bridges = {"docker": ("docker0", "172.17.0.1/16"), "k3s": ("cni0", "10.42.0.1/24"),
               "k3s-agent": ("cni0", "10.42.1.1/24")}  # fmt: skip
    return {**found, **{name: (own,) for unit, (name, own) in bridges.items() if services.is_active(guest, unit)}}
