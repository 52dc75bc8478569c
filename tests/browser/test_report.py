# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a real run in a real browser, at the widths of a phone, a tablet and a desk, by day and by night.

``make browser`` brings playwright-core and axe-core from npm; Chromium has to be there (Debian: package chromium).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest

from embedded_node.mirror import Mirror
from tests.integration.conftest import Site, node, site

__all__ = ["node", "site"]

pytestmark = pytest.mark.thorough
HERE = Path(__file__).resolve().parent
MODULES = HERE.parents[1] / ".cache/browser"
SHOTS = MODULES / "screenshots"
LXC = {"type": "lxc", "ostemplate": "alpine-3.22-default", "rootfs": {"storage": "local-lvm", "size": 1}}
CHECKS = [
    {"type": "command", "command": "hostname", "expect": "web1"},
    {"type": "command", "command": "exit 3", "name": "never green", "timeout": 1},
]
WEB = {
    **LXC,
    "name": "web1",
    "networks": [{"bridge": "vmbr1", "tag": 20, "ip": "192.168.20.10/24", "gateway": "192.168.20.1"}],
    "checks": CHECKS,
    "state": "started",
}
ROUTER = {
    "name": "gw",
    "type": "openwrt_lxc",
    "rootfs": {"storage": "local-lvm", "size": "512M"},
    "interfaces": {
        "wan": {"bridge": "vmbr0", "proto": "dhcp"},
        "lan": {"bridge": "vmbr1", "tag": 20, "address": "192.168.20.1/24"},
        "guest": {"bridge": "vmbr1", "tag": 30, "address": "192.168.30.1/24"},
    },
    "management": {"from": ["lan"], "ssh_keys": ["ssh-ed25519 AAAAC3Nz admin@example.org"]},
    "state": "started",
}
GUESTS = [WEB, ROUTER, {**LXC, "name": "spare"}]
PHONE, PAPER = "380", "print"


@pytest.fixture
def chromium() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not found or not shutil.which("node") or not (MODULES / "node_modules/playwright-core").is_dir():
        pytest.skip("needs Chromium, node, and what `make browser` fetches")
    return found


def looked_at(page: Path, chromium: str) -> dict[str, dict[str, t.Any]]:
    """What a browser shows of a page, by the name of the view."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    command = ["node", str(HERE / "report.mjs"), str(page), str(SHOTS)]
    told = subprocess.run(
        command, cwd=MODULES, env={**os.environ, "CHROMIUM": chromium}, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    return {view["name"]: view for view in json.loads(told.stdout)}


def light(colour: str) -> float:
    """How light a colour is, from 0 to 1."""
    return sum(map(int, colour[4:-1].split(","))) / 3 / 255


def test_the_page_of_a_run_reads_well_everywhere(site: Site, chromium: str) -> None:
    page = site.work / "run.html"
    with Mirror(sites=("openwrt",)) as mirror:
        sources = {"mirrors": [mirror.base("openwrt")], "keys": [mirror.signer.usign_public]}
        played = site.provision(GUESTS, provision_report=str(page), provision_defaults=sources)
    assert (played.rc, "never green" in played.failure) == (2, True), played.output
    views = looked_at(page, chromium)
    assert len(views) == 7
    for name, view in views.items():
        assert (name, view["violations"], view["asked"]) == (name, [], [page.as_uri()])
        assert view["wide"] <= view["width"], name
        assert view["cut"] == (["Networks"] if name.startswith(PHONE) else []), name  # it is scrolled
        words = ("web1", "VLAN 20", "192.168.20.10", "local-lvm", "create gw", "never green", "FAILED", "hostname")
        assert [word for word in words if word not in view["text"]] == [], name
        pictures_say_what_was_done(view)
        assert (light(view["paper"]) > 0.9, light(view["ink"]) < 0.2) == (
            (False, False) if name.endswith("dark") else (True, True)
        ), name
    assert (SHOTS / f"{PAPER}.pdf").read_bytes().startswith(b"%PDF")


def pictures_say_what_was_done(view: dict[str, t.Any]) -> None:
    by_section = {section: [each for each in view["pictures"] if each["section"] == section] for section in (
        "Networks", "Storages", "Time",
    )}  # fmt: skip
    (networks,) = by_section["Networks"]
    assert networks["label"] == "2 guests in 3 network segments"
    assert networks["texts"] == [
        "vmbr0", "untagged", "vmbr1", "VLAN 20", "vmbr1", "VLAN 30",
        "gw", *networks["texts"][7:8], "lan 192.168.20.1", "guest 192.168.30.1", "web1", "192.168.20.10/24",
    ]  # fmt: skip
    assert networks["texts"][7].startswith("wan ")
    assert networks["shapes"] == {"segment": 3, "cable router": 1, "router": 1, "cable": 1, "guest": 1, "port": 4}
    local, thin = by_section["Storages"]
    assert (local["label"].partition(":")[0], thin["label"].partition(":")[0]) == ("local", "local-lvm")
    assert all(each["shapes"]["room"] == 1 for each in (local, thin))
    (time,) = by_section["Time"]
    for guest in ("web1", "gw", "spare"):
        (lane,) = [text for text in time["texts"] if text.startswith(guest)]
        assert "create 0." in lane
    assert time["shapes"]["bar"] + time["shapes"].get("bar failed", 0) == int(time["label"].split()[0])
    assert "0 s" in time["texts"]
