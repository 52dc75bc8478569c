# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens in the namespace of :mod:`.test_homelab`: ``homelab_scene.py FOLDER`` writes ``FOLDER/told.json``."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import typing as t
from pathlib import Path

import yaml

from embedded_node import EmbeddedNode, commands
from embedded_node.mirror import Mirror
from tests.integration.conftest import LOCAL, ROOT, Played, Site
from tests.integration.test_examples import placed

#: What PVE and the embedded node write for themselves, whatever becomes of the guests.
OWN = ("var/log/", "var/lib/embedded-node/", "run/", "var/lock/", "etc/pve/.vmlist")


def files(root: Path) -> dict[str, str]:
    """The files of a node, by what is in them."""
    found = {}
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        if not name.startswith(OWN) and path.is_file() and not path.is_symlink():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def outcomes(played: Played) -> dict[str, list[str]]:
    """What came of the checks of each guest."""
    (run,) = played.of("Make the guests match")
    return {guest["name"]: sorted({check["outcome"] for check in guest.get("checks", ())}) for guest in run["guests"]}


def main(folder: Path) -> None:
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    with Mirror() as mirror, EmbeddedNode(guest_ports=True) as node:
        site = Site(node, "node", folder, {"all": {"hosts": {"pve": LOCAL}}})
        declared = yaml.safe_load((ROOT / "examples/homelab.yml").read_text())
        guests = [
            placed(guest, mirror) if guest["type"] == "vm" else guest for guest in declared.pop("provision_guests")
        ]
        declared |= {"provision_mirrors": [mirror.base("openwrt")], "provision_keys": [mirror.signer.usign_public]}
        told = story(site, guests, declared)
    (folder / "told.json").write_text(json.dumps(told, indent=1))


def story(site: Site, guests: list[dict[str, t.Any]], declared: dict[str, t.Any]) -> dict[str, t.Any]:
    before = files(site.node.root)
    made = site.provision(guests, **declared)
    told: dict[str, t.Any] = {"made": {"rc": made.rc, "changed": made.count("changed")}}
    if made.rc:
        print(made.output)
        raise SystemExit(1)
    told["outcomes"] = outcomes(made)
    tell = [
        {"name": "Groups", "ansible.builtin.debug": {"msg": "{{ groups }}"}},
        {
            "name": "Ways",
            "ansible.builtin.debug": {"msg": "{{ [hostvars.web1, hostvars.k1] | map(attribute='ansible_host') }}"},
        },
        {"name": "Connection", "ansible.builtin.debug": {"msg": "{{ hostvars.web1.ansible_connection }}"}},
    ]
    plays = [{"import_playbook": "pve.provision.provision"}, {"hosts": "pve", "gather_facts": False, "tasks": tell}]
    site.node.forget()
    again = site.play(plays, provision_guests=guests, **declared)
    told["again"] = {"rc": again.rc, "changed": again.count("changed")}
    told["commands"] = [
        " ".join(argv[:3]) for argv in site.node.commands() if argv[0] in ("pct", "qm", "pvesm", "pvesh")
    ]
    told["groups"] = again.of("Groups")[0]["msg"]
    told["ways"] = [*again.of("Ways")[0]["msg"], again.of("Connection")[0]["msg"]]
    web = next(ref for ref in site.node.state.running() if site.config(ref).get("hostname") == "web1")
    commands.run(["pct", "exec", str(web), "--", "systemctl", "stop", "nginx"], site.node.root)
    broken = site.play(ROOT / "playbooks/verify.yml", provision_guests=guests, **declared)
    told["broken"] = {"rc": broken.rc, "failed": ["web1"] if "web1" in broken.failure else [broken.failure]}
    destroyed = site.play(ROOT / "playbooks/destroy.yml", provision_guests=guests, confirm_destroy=True, **declared)
    told["destroyed"] = {"rc": destroyed.rc, "said": destroyed.failure}
    after = files(site.node.root)
    told["left"] = {name: after.get(name, "") for name in {*before, *after} if before.get(name) != after.get(name)}
    return told


if __name__ == "__main__":
    main(Path(sys.argv[1]))
