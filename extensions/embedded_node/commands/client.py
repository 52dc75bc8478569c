# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of the executables ``pct``, ``qm``, ... in a state root: it hands itself over to the node's command server.

The server runs the command in its stead, with this process's own standard streams, working directory and environment.
SIGTERM and SIGINT are passed on; when this process is killed, so is what runs for it.

Runs start it thousands of times, so it loads what Python has built in: the modules ``socket``, ``signal`` and ``json``
take longer to load than all the rest takes.
"""

from __future__ import annotations

import stat
import sys
from pathlib import Path

SOCKET = "run/embedded-node/commands.sock"

TEXT = """#!{python} -IS
import _signal, _socket, marshal, os, sys

root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
folder = os.path.join(root, {folder!r})
link = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
try:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    link.connect("/proc/self/fd/%d/{name}" % handle)
    os.close(handle)
except OSError as error:
    sys.stderr.write("the embedded node of %s does not run: %s\\n" % (root, error))
    sys.exit(255)
for number in (_signal.SIGTERM, _signal.SIGINT):
    _signal.signal(number, lambda number, frame: link.send(bytes([number])))
name = os.path.basename(sys.argv[0])
files = [0, 1, 2, os.open(".", os.O_RDONLY)]
handles = b"".join(file.to_bytes(4, sys.byteorder) for file in files)
data = marshal.dumps({{"kind": "command", "argv": [name, *sys.argv[1:]], "env": dict(os.environ)}})
data = len(data).to_bytes(4, "big") + data
sent = link.sendmsg([data], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, handles)])
if sent < len(data):
    link.sendall(data[sent:])
answer = link.recv(1)
if not answer:
    _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)
    os.kill(os.getpid(), _signal.SIGKILL)
os._exit(answer[0])
"""


def install(root: Path, names: list[str]) -> None:
    """Write the executables into ``usr/sbin`` of a state root."""
    folder, name = SOCKET.rsplit("/", 1)
    text = TEXT.format(python=sys.executable, folder=folder, name=name)
    for program in names:
        path = root / "usr/sbin" / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
