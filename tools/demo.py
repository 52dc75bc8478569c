# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows the main job on a machine without Proxmox VE: provision, and provision again, with nothing left to do.

With ``--runtime lxc``, for root, the containers are real, and what they are there for is looked at in the end.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from embedded_node import EmbeddedNode
from embedded_node.lxc_runtime import programs, template
from embedded_node.mirror import Mirror

ROOT = Path(__file__).resolve().parent.parent
GUESTS = {"scripted": ROOT / "examples" / "guests.yml", "lxc": ROOT / "examples" / "web.yml"}
RECAP = re.compile(r"^(?P<host>\S+)\s+: ok=(?P<ok>\d+)\s+changed=(?P<changed>\d+)", re.MULTILINE)


class Failed(Exception):
    """The demo did not show what it promises."""


def changes(output: str) -> int:
    """How many tasks changed something, over all hosts, by the play's recap."""
    recap = list(RECAP.finditer(output))
    if not recap:
        raise Failed("the playbook printed no recap")
    return sum(int(line["changed"]) for line in recap)


def play(title: str, node: EmbeddedNode, guests: Path, options: dict[str, t.Any], playbook: str = "provision") -> int:
    """Run a playbook on the node; returns the number of changed tasks."""
    host = {"ansible_connection": "local", "ansible_python_interpreter": node.python}
    inventory = node.root / "inventory.json"
    inventory.write_text(json.dumps({"all": {"hosts": {"pve": host}}}))
    command = ["ansible-playbook", "-i", str(inventory), str(ROOT / "playbooks" / f"{playbook}.yml")]
    command += ["-e", f"@{guests}", "-e", json.dumps(options)]
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


@contextlib.contextmanager
def scripted() -> t.Iterator[tuple[EmbeddedNode, dict[str, t.Any]]]:
    """A node of plain files. OpenWrt comes from a mirror of the demo's own, signed with a key of its own: where the
    demo runs there may be no internet.
    """
    with EmbeddedNode() as node, Mirror(sites=("openwrt",)) as mirror:
        yield node, {"provision_mirrors": [mirror.base("openwrt")], "provision_keys": [mirror.signer.usign_public]}


@contextlib.contextmanager
def lxc() -> t.Iterator[tuple[EmbeddedNode, dict[str, t.Any]]]:
    """A node with real containers, of Debian from the mirrors that this machine's apt has."""
    why = programs.reason_against() or template.reason_against()
    if why:
        raise Failed(why)
    print("A template of Debian is made once, which takes a minute or two.", flush=True)
    template.make()
    with EmbeddedNode(runtime="lxc", mirrors=template.mirrors()) as node:
        template.install(node.root)
        yield node, {}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guests", type=Path, help="declared guests")
    parser.add_argument("--runtime", choices=GUESTS, default="scripted", help="lxc: real containers; needs root")
    args = parser.parse_args()
    guests = (args.guests or GUESTS[args.runtime]).resolve()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with {"scripted": scripted, "lxc": lxc}[args.runtime]() as (node, options):
            play("first run", node, guests, options)
            changed = play("second run, nothing to do", node, guests, options)
            if changed:
                raise Failed(f"the second run changed {changed} tasks; it should have changed none")
            if args.runtime == "lxc":
                play("what they are there for", node, guests, {}, "verify")
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
