# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Really installs applications in real containers, looks whether they answer, and writes the figures into the docs.

For root, with the programs of the embedded node's runtime ``lxc``. Of each application whose packages Debian has, or of
those that are named: a container is made and set up, its checks are made, a second run changes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pve.provision.plugins.plugin_utils.apps import find_profile, own_names
from embedded_node import EmbeddedNode
from embedded_node.lxc_runtime import programs, template

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs" / "applications.md"
TABLE = re.compile(r"(?<=<!-- begin installed -->\n).*(?=<!-- end installed -->)", re.DOTALL)
HEADING = "| application | seconds | disk, MiB | checks |\n| --- | --- | --- | --- |\n"
DEFAULTS = {
    "type": "lxc", "state": "started", "networks": [{"bridge": "vmbr0", "ip": "dhcp"}],
    "rootfs": {"storage": "local-lvm", "size": 4},
}  # fmt: skip
#: What a playbook does here: both are told by one line of JSON each.
PLAY = [
    {
        "hosts": "all",
        "gather_facts": False,
        "tasks": [
            {
                "pve.provision.guests": {"defaults": DEFAULTS, "guests": "{{ wanted }}"},
                "register": "answer",
                "ignore_errors": True,
            },
            {"ansible.builtin.copy": {"content": "{{ answer | to_json }}", "dest": "{{ told }}", "mode": "0600"}},
        ],
    }
]


@dataclass
class Installed:
    """What became of an application."""

    name: str
    seconds: float = 0.0
    disk: int = 0
    passed: int = 0
    checks: int = 0
    why_not: str = ""


def candidates() -> list[str]:
    """The applications whose packages are Debian's own, in a container."""
    return [name for name in own_names() if _is_candidate(find_profile(name)[0])]


def _is_candidate(profile: t.Mapping[str, t.Any]) -> bool:
    debian = str(profile["ostemplate"]).startswith("debian")
    fetched = any("url" in each for each in profile.get("files") or [])
    theirs = bool(profile.get("repositories")) or fetched
    return debian and not theirs and "lxc" in (profile.get("types") or ["lxc"])


def declared(name: str) -> dict[str, t.Any]:
    """A guest for it, with what it wants to be told as in the examples of its profile."""
    options = find_profile(name)[0]["options"]
    wanted = {key: option for key, option in options.items() if option.get("required")}
    told: dict[str, t.Any] = {"name": name, "app": name}
    for place, secret in (("app_options", False), ("app_secrets", True)):
        values = {key: _example(option) for key, option in wanted.items() if bool(option.get("secret")) is secret}
        told |= {place: values} if values else {}
    return told


def _example(option: t.Mapping[str, t.Any]) -> t.Any:
    if option.get("type") == "list":
        inner = option.get("options") or {}
        return [{key: _example(each) for key, each in inner.items() if each.get("required")}]
    value = option.get("example", "correct-horse-1")
    return {option["key_example"]: value} if option.get("type") == "dict" else value


class Machine:
    """A node with real containers, and Ansible in front of it."""

    def __init__(self, node: EmbeddedNode) -> None:
        self.node = node
        self.env = os.environ | node.env
        host = {"ansible_connection": "local", "ansible_python_interpreter": node.python}
        self.inventory, self.playbook, self.told = (node.root / f"{name}.json" for name in ("hosts", "play", "told"))
        self.inventory.write_text(json.dumps({"all": {"hosts": {"pve": host}}}))
        self.playbook.write_text(json.dumps(PLAY))

    def run(self, guests: list[dict[str, t.Any]]) -> dict[str, t.Any]:
        """Have the guests made; the answer of the module."""
        given = {"wanted": guests, "told": str(self.told)}
        command = ["ansible-playbook", "-i", str(self.inventory), str(self.playbook), "-e", json.dumps(given)]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
        return t.cast("dict[str, t.Any]", json.loads(self.told.read_text()))

    def pct(self, *argv: str) -> str:
        """Run the node's command."""
        return subprocess.run(["pct", *argv], env=self.env, capture_output=True, text=True, check=True).stdout

    def install(self, names: t.Sequence[str]) -> list[Installed]:
        """Some applications at once, each in a container of its own, which is removed in the end."""
        guests = [declared(name) for name in names]
        first = self.run(guests)
        if not first.get("guests") and len(names) > 1:  # refused because of one of them
            return [one for name in names for one in self.install([name])]
        second = self.run(guests)
        again = {each["name"]: (each.get("setup") or {}).get("changed") for each in second.get("guests", [])}
        rows = {each["name"]: each for each in first.get("guests", [])}
        why_not = str(first.get("msg") or "it was not made")
        found = [self._look(name, rows.get(name, {"msg": why_not}), again.get(name)) for name in names]
        for line in self.pct("list").splitlines()[1:]:
            self.pct("stop", line.split()[0])
            self.pct("destroy", line.split()[0], "--purge", "1")
        return found

    def _look(self, name: str, row: dict[str, t.Any], changed_again: list[str] | None) -> Installed:
        if row.get("failed") or row.get("status") != "running":
            return Installed(name, why_not=str(row.get("msg") or "it does not run"))
        checks = row.get("checks", [])
        failed = [f"{check['name']}: {check['detail']}" for check in checks if check["outcome"] != "passed"]
        why_not = "; ".join(failed) or (f"a second run changed {changed_again}" if changed_again else "")
        used = self.pct("exec", str(row["vmid"]), "--", "df", "--output=used", "-BM", "/").split()[-1]
        passed = len(checks) - len(failed)
        return Installed(name, row["seconds"], int(used.rstrip("M")), passed, len(checks), why_not)


def write(found: t.Iterable[Installed]) -> None:
    """Put the figures into the table of the docs; those of other applications stay."""
    text = DOCS.read_text(encoding="utf-8")
    before = TABLE.search(text)
    if before is None:
        raise SystemExit(f"{DOCS} has no place for the table")
    rows = {line.split("`")[1]: line for line in before[0].splitlines() if line.startswith("| `")}
    rows |= {one.name: f"| `{one.name}` | {one.seconds:.0f} | {one.disk} | {one.passed} |" for one in found}
    lines = "".join(f"{rows[name]}\n" for name in sorted(rows))
    DOCS.write_text(TABLE.sub(lambda match: HEADING + lines, text), encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="applications; by default all whose packages Debian has")
    parser.add_argument("--at-once", type=int, default=2, help="how many at the same time")
    args = parser.parse_args()
    why = programs.reason_against() or template.reason_against()
    if why:
        raise SystemExit(f"apps: {why}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    names = args.names or candidates()
    template.make()
    failed: list[Installed] = []
    with EmbeddedNode(runtime="lxc", mirrors=template.mirrors()) as node:
        template.install(node.root)
        machine = Machine(node)
        for start in range(0, len(names), args.at_once):
            found = machine.install(names[start : start + args.at_once])
            for one in found:
                told = one.why_not or f"{one.seconds:.0f} s, {one.disk} MiB, {one.passed} of {one.checks} checks"
                print(f"{one.name}: {told}", flush=True)
            failed += [one for one in found if one.why_not]
            write(one for one in found if not one.why_not)
    print(f"{len(names) - len(failed)} of {len(names)} applications were installed and answer.")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
