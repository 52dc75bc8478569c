# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a VM stands still, as its QEMU tells it."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._pve import monitor


@contextlib.contextmanager
def qemu(place: Path, *answers: str) -> t.Iterator[Path]:
    """A QEMU that greets one client and gives these answers, one to each command."""
    path = place / "200.qmp"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            link, _peer = listener.accept()
            with link, link.makefile("rwb") as lines, contextlib.suppress(OSError):
                lines.write(b'{"QMP": {"capabilities": []}}\n')
                lines.flush()
                for answer in answers:
                    if not lines.readline():
                        return
                    lines.write(answer.encode() + b"\n")
                    lines.flush()

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        yield path
        server.join(60)


OK = json.dumps({"return": {}})
EVENT = json.dumps({"event": "RESUME", "data": {}})


@pytest.mark.parametrize(
    ("answers", "paused"),
    [
        ((OK, json.dumps({"return": {"status": "paused", "running": False}})), True),
        ((OK, json.dumps({"return": {"status": "suspended", "running": False}})), True),
        ((OK, json.dumps({"return": {"status": "running", "running": True}})), False),
        ((f"{EVENT}\n{OK}", f"{EVENT}\n" + json.dumps({"return": {"status": "paused"}})), True),
        ((OK, json.dumps({"error": {"class": "GenericError", "desc": "no"}})), False),
        ((OK, "no JSON"), False),
        ((), False),
    ],
)
def test_what_qemu_says_of_a_vm(tmp_path: Path, answers: tuple[str, ...], paused: bool) -> None:
    with qemu(tmp_path, *answers) as path:
        assert monitor.is_paused(path) is paused


def test_where_nobody_answers_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not monitor.is_paused(tmp_path / "200.qmp")
    monkeypatch.setattr(monitor, "_ANSWERS_WITHIN", 0.1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.bind(str(tmp_path / "201.qmp"))
        silent.listen()
        assert not monitor.is_paused(tmp_path / "201.qmp")
