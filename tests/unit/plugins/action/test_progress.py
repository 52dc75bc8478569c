# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-playbook shows of a long download, and that the task is otherwise what it would be without that.

The plugins themselves run in ansible-playbook alone: imported here, they would turn this process into a controller, in
which modules hand their warnings to the display instead of to their result.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import typing as t
from dataclasses import dataclass
from pathlib import Path

import progress_events
import pytest

from embedded_node import EmbeddedNode
from embedded_node.mirror import Mirror, images, openwrt_image, site_openwrt

ROOT = Path(__file__).resolve().parents[4]
TREE = ROOT / ".build"
CALLBACKS = ROOT / "tests/integration/callback_plugins"
LINE = re.compile(
    r"^pve: download openwrt-[^ ]+: (\d+) %, [\d.]+ of [\d.]+ MiB, [\d.]+ MiB/s(, .+ left)?$", re.MULTILINE
)
FOLDER = "openwrt/releases/24.10.4/targets/x86/64"
ROOTFS = f"{FOLDER}/openwrt-24.10.4-x86-64-rootfs.tar.gz"
MIB = 1 << 20


# -- real runs ---------------------------------------------------------------------------------------------------------
@dataclass
class Site:
    """A node, a slow mirror with a root file system of 3 MiB, and a place for playbooks."""

    node: EmbeddedNode
    mirror: Mirror
    work: Path

    def template(self, **more: t.Any) -> dict[str, t.Any]:
        mirrors, keys = [self.mirror.base("openwrt")], [self.mirror.signer.usign_public]
        return {"pve.provision.openwrt_template": {"mirrors": mirrors, "keys": keys, **more}}

    def play(self, tasks: list[dict[str, t.Any]], *options: str, **settings: t.Any) -> tuple[str, list[t.Any]]:
        """Run tasks; what was shown, and what each returned."""
        variables = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        hosts = {"all": {"hosts": {"pve": {**variables, **settings.pop("host", {})}}}}
        (self.work / "inventory.json").write_text(json.dumps(hosts))
        play = [{"hosts": "all", "gather_facts": False, "tasks": tasks, **settings}]
        (self.work / "playbook.yml").write_text(json.dumps(play))
        results = self.work / "results.jsonl"
        results.unlink(missing_ok=True)
        command = [sys.executable, "-m", "ansible", "playbook", "-i", "inventory.json", "playbook.yml", *options]
        shown = subprocess.run(
            command, env=self.environ, cwd=self.work, capture_output=True, text=True, timeout=120, check=False
        )
        lines = results.read_text().splitlines() if results.exists() else []
        return shown.stdout + shown.stderr, [json.loads(line)["result"] for line in lines]

    @property
    def environ(self) -> dict[str, str]:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "PROXMOX_"))}
        return {
            **inherited,
            **self.node.env,
            "ANSIBLE_COLLECTIONS_PATH": str(TREE),
            "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
            "ANSIBLE_CALLBACKS_ENABLED": "results",
            "ANSIBLE_HOME": str(self.work / "home"),
            "ANSIBLE_ASYNC_DIR": str(self.work / "async"),
            "ANSIBLE_NOCOLOR": "1",
            "XDG_CACHE_HOME": str(self.work / "cache"),
            "RESULTS": str(self.work / "results.jsonl"),
        }

    def forget(self) -> None:
        """As if nothing had ever been fetched."""
        for path in (self.node.root / "var/lib/vz/template/cache").glob("*openwrt*"):
            path.unlink()
        for path in (self.node.root / "var/lib/vz/template/cache").glob(".*openwrt*"):
            path.unlink()
        for path in (self.node.root / "var/cache/pve-provision").rglob("*openwrt*.gz*"):
            path.unlink()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Site]:
    with EmbeddedNode() as node, Mirror(sites=("openwrt",)) as mirror:
        noise = random.Random(24).randbytes(3 * MIB)
        tree = {**openwrt_image.openwrt_tree("24.10.4", "r1-abc", "x86/64"), "usr/lib/noise": noise}
        mirror.put(ROOTFS, images.gz(images.tar(tree)))
        site_openwrt._openwrt_sign(mirror.directory / FOLDER, mirror.signer)
        mirror.fault("slow", "*rootfs.tar.gz", seconds=0.06)
        yield Site(node, mirror, tmp_path_factory.mktemp("playbooks"))


@pytest.fixture
def site(place: Site) -> t.Iterator[Site]:
    yield place
    place.forget()
    assert progress_events.all_gone()


def ssh(folder: Path) -> dict[str, str]:
    """The real ssh connection, to a program that does what the far side's sshd would do: run the last argument."""
    program = folder / "ssh"
    program.write_text('#!/bin/sh\nfor last; do :; done\nexec /bin/sh -c "$last"\n')
    program.chmod(0o755)
    return {
        "ansible_connection": "ssh",
        "ansible_host": "127.0.0.1",
        "ansible_ssh_executable": str(program),
        "ansible_ssh_transfer_method": "piped",
    }


def become() -> dict[str, t.Any]:
    if os.geteuid() != 0:
        pytest.skip("su asks nobody but root for no password")
    return {"ansible_become": True, "ansible_become_method": "su"}


@pytest.mark.parametrize("way", ["local", "ssh", "ssh, pipelined, become"])
def test_a_long_download_shows_how_far_it_is(site: Site, way: str) -> None:
    host: dict[str, t.Any] = ssh(site.work) if "ssh" in way else {}
    host |= {"ansible_pipelining": "pipelined" in way} | (become() if "become" in way else {})
    told, results = site.play([site.template()], host=host)
    percents = [int(match[1]) for match in LINE.finditer(told)]
    assert len(percents) >= 2, told
    assert percents == sorted(percents)
    assert "\r" not in told
    assert (results[0]["changed"], results[0]["volids"]) == (True, ["local:vztmpl/openwrt-24.10.4-lxc_amd64.tar.gz"])
    assert results[0]["diff"]["after"] == {"vztmpl": results[0]["volids"]}
    quiet, again = site.play([site.template()], host=host)
    assert not LINE.search(quiet)
    assert again[0]["changed"] is False


@pytest.mark.parametrize(
    ("options", "task", "environ"),
    [
        (["--check", "--diff"], {}, {}),
        ([], {"no_log": True}, {}),
        ([], {}, {"ANSIBLE_DISPLAY_OK_HOSTS": "false"}),
    ],
    ids=["check mode", "no_log", "display_ok_hosts=false"],
)
def test_it_is_quiet_where_nothing_is_fetched_or_to_be_seen(
    site: Site, options: list[str], task: dict[str, t.Any], environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Site, "environ", property(lambda self, old=site.environ: {**old, **environ}))
    told, _results = site.play([{**site.template(), **task}], *options)
    assert not LINE.search(told)
    assert "changed=1" in told
    if options:
        assert '"vztmpl": [\n+        "local:vztmpl/openwrt-24.10.4-lxc_amd64.tar.gz"' in told


def test_a_failure_is_the_modules_own(site: Site) -> None:
    told, results = site.play([site.template(keys=[])])
    assert results[0]["error"] == "verification"
    assert site.mirror.signer.usign_key_id in results[0]["msg"]
    assert "failed=1" in told
    assert "Traceback" not in told


def test_a_download_that_breaks_off_fails_the_task(site: Site) -> None:
    task = site.template(download_timeout=2)
    _told, results = site.play([task])
    assert results[0]["error"] == "timeout"


def test_defaults_of_modules_and_asynchronous_tasks_work_as_ever(site: Site) -> None:
    plain = site.template()["pve.provision.openwrt_template"]
    cached = {"source": "openwrt", "content": "vztmpl", "version": "24.10.3", "mirrors": plain["mirrors"]}
    cached["keys"] = [{"public": site.mirror.signer.usign_public}]
    tasks = [
        {"pve.provision.openwrt_template": {"version": "24.10.3"}, "async": 60, "poll": 1},
        {"pve.provision.template_cache": cached},
    ]
    api = {key: site.node.api[key] for key in ("api_host", "api_port", "api_user", "api_password", "ca_path")}
    defaults = {"pve.provision.openwrt_template": plain, "group/pve.provision.node": {**api, "node": site.node.name}}
    told, results = site.play(tasks, module_defaults=defaults)
    assert [result.get("version") for result in results] == ["24.10.3", "24.10.3"], told
    assert results[0]["plan"][-1]["step"] == "upload", "the group's defaults did not count"
    assert "path" not in results[1]["images"][0], "the group's defaults did not count"
