# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows the main job on a machine without Proxmox VE: provision, and provision again, with nothing left to do."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from embedded_node import EmbeddedNode
from embedded_node.mirror.server import Mirror

ROOT = Path(__file__).resolve().parent.parent
RECAP = re.compile(r"^(?P<host>\S+)\s+: ok=(?P<ok>\d+)\s+changed=(?P<changed>\d+)", re.MULTILINE)


class Failed(Exception):
    """The demo did not show what it promises."""


def changes(output: str) -> int:
    """How many tasks changed something, over all hosts, by the play's recap."""
    recap = list(RECAP.finditer(output))
    if not recap:
        raise Failed("the playbook printed no recap")
    return sum(int(line["changed"]) for line in recap)


def play(title: str, node: EmbeddedNode, mirror: Mirror, guests: Path, work: Path) -> int:
    """Run the playbook on the node; returns the number of changed tasks."""
    inventory = work / "inventory.json"
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory.write_text(json.dumps({"all": {"hosts": {"pve": host}}}))
    command = ["ansible-playbook", "-i", str(inventory), str(ROOT / "playbooks" / "provision.yml")]
    command += ["-e", f"@{guests}"]
    # Where there is no internet, OpenWrt comes from a mirror of the demo's own, signed with a key of its own.
    command += ["-e", json.dumps({"provision_mirrors": [mirror.base("openwrt")]})]
    command += ["-e", json.dumps({"provision_keys": [mirror.signer.usign_public]})]
    print(f"\n==> {title}", flush=True)
    started, lines = time.monotonic(), []
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | node.env, stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout or ():
                print(line, end="", flush=True)
                lines.append(line)
        except KeyboardInterrupt:
            process.terminate()
            raise
    if process.returncode:
        raise Failed(f"{title}: ansible-playbook ended with {process.returncode}")
    print(f"==> {title}: {time.monotonic() - started:.1f} s")
    return changes("".join(lines))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guests", type=Path, default=ROOT / "examples" / "guests.yml", help="declared guests")
    guests = parser.parse_args().guests.resolve()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = tempfile.TemporaryDirectory(prefix="pve-provision-")
    with folder as work, EmbeddedNode() as node, Mirror(sites=("openwrt",)) as mirror:
        try:
            play("first run", node, mirror, guests, Path(work))
            changed = play("second run, nothing to do", node, mirror, guests, Path(work))
            if changed:
                raise Failed(f"the second run changed {changed} tasks; it should have changed none")
        except Failed as failure:
            print(f"demo: {failure}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("demo: interrupted", file=sys.stderr)
            return 130
    print("The guests were provisioned, and left alone by the second run. The embedded node is stopped.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
