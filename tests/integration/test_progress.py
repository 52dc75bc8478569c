# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people see of a run while it goes on and at its end, and what it leaves when they end it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import typing as t
from pathlib import Path

import progress_events
import pytest

from embedded_node import commands

from .conftest import LOCAL, Site

STEP = re.compile(r"^pve: (?P<guest>\w+): (?P<step>\w+): (?P<how>.*)$", re.MULTILINE)
DEFAULTS = {"ostemplate": "alpine-3.22-default", "rootfs": {"storage": "local-lvm", "size": 1}, "state": "started"}
NAMES = ("web1", "web2", "web3")


def fleet(limit: t.Sequence[str] = NAMES, **more: t.Any) -> list[dict[str, t.Any]]:
    """A play that makes three guests, one after the other."""
    guests = [{"name": name} for name in NAMES]
    options = {"defaults": {**DEFAULTS, "type": "lxc"}, "guests": guests, "concurrency": "1", "limit": [*limit]}
    return [{"hosts": "pve", "gather_facts": False, "tasks": [{"pve.provision.guests": options, **more}]}]


def steps(output: str) -> list[tuple[str, str]]:
    return [(match["guest"], match["step"]) for match in STEP.finditer(output)]


def every_step(*names: str) -> list[tuple[str, str]]:
    return [(name, step) for name in names for step in ("create", "start", "verify")]


def begin(site: Site, plays: list[dict[str, t.Any]]) -> subprocess.Popen[str]:
    """Run plays with their output in a pipe, as in CI."""
    for name, data in (("playbook.yml", plays), ("inventory.json", site.inventory)):
        (site.work / name).write_text(json.dumps(data))
    environ = {name: value for name, value in site.environ.items() if name != "PYTHONUNBUFFERED"}
    command = ["ansible-playbook", "-i", "inventory.json", "playbook.yml"]
    return subprocess.Popen(command, env=environ, cwd=site.work, stdout=subprocess.PIPE, text=True)


def over_ssh(site: Site) -> Path:
    """Reach the host by the real ssh connection, through a program that does what the far side would do. Returns its
    log of the commands."""
    program, log = site.work / "ssh", site.work / "ssh.log"
    program.write_text(f'#!/bin/sh\nfor last; do :; done\necho "$last" >> {log}\nexec /bin/sh -c "$last"\n')
    program.chmod(0o755)
    ssh = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_ssh_executable": str(program)}
    python = {"ansible_python_interpreter": sys.executable, "ansible_ssh_transfer_method": "piped"}
    site.inventory = {"all": {"hosts": {"pve": {**ssh, **python}}}}
    return log


@pytest.mark.parametrize("way", ["local", "ssh"])
def test_steps_are_reported_through_a_pipe_as_they_end(site: Site, way: str) -> None:
    log = over_ssh(site) if way == "ssh" else None
    site.node.fault("slow", at="extract", nth=2, seconds=8)
    with begin(site, fleet()) as process:
        lines = []
        for line in process.stdout or ():
            lines.append(line)
            if line.startswith("pve: web1: create: "):
                assert len(site.configs()) < len(NAMES), "the line came when all was over"
    output = "".join(lines)
    assert process.returncode == 0, output
    plan = lines.index("pve: plan (validate, storage, template, network): 3 to create, 0 unchanged\n")
    assert lines[plan + 1].startswith("pve: web1: create: ")
    assert steps(output) == every_step(*NAMES)
    assert all(re.fullmatch(r"\d+\.\d s", match["how"]) for match in STEP.finditer(output))
    assert re.search(r"^pve: 3 changed, [\d.]+ s\nname  type  vmid  node  address  changed  seconds$", output, re.M)
    assert [row.split()[:4] for row in output.splitlines() if row.startswith("web")] == [
        [name, "lxc", str(vmid), site.node.name] for name, vmid in zip(NAMES, (100, 101, 102), strict=True)
    ]
    if log:  # the connection is heard of while the module runs
        assert log.read_text().count("tail -c +") >= 2
    assert progress_events.all_gone()


def test_it_is_quiet_in_check_mode_with_no_log_and_when_it_is_turned_off(site: Site) -> None:
    """And then, of what is as declared, no step is told, but where each guest is."""
    plays = [
        *fleet(check_mode=True),
        *fleet(no_log=True, limit=["web1"]),
        *fleet(vars={"provision_progress": False}, limit=["web2"]),
        *fleet(vars={"provision_progress": "{{ not true }}"}),
        *fleet(),
    ]
    played = site.play(plays)
    assert played.rc == 0, played.output
    assert played.count("changed") == 4
    assert steps(played.output) == []
    assert re.findall(r"^pve: .*?,", played.output, re.MULTILINE) == ["pve: 3 unchanged,"]
    assert [row.split()[-2:] for row in played.output.splitlines() if row.startswith("web")] == 3 * [["-", "-"]]


def test_a_failure_is_reported_as_it_comes_and_in_the_table(site: Site) -> None:
    site.node.fault("fail_start", nth=2)
    played = site.play(fleet())
    assert played.rc != 0
    assert steps(played.output) == [step for step in every_step(*NAMES) if step != ("web2", "verify")]
    assert re.search(r"^pve: web2: start: failed after [\d.]+ s$", played.output, re.MULTILINE)
    assert "pve: 2 changed, 1 failed, " in played.output
    assert re.search(r"^web2 .* failed: start +", played.output, re.MULTILINE)
    assert played.of("guests")[0]["guests"][1]["step"] == "start"
    assert "progress_events" not in played.of("guests")[0]


def test_the_modules_for_one_guest_tell_a_line_for_what_they_changed(site: Site) -> None:
    one = {"pve.provision.lxc_create": {**DEFAULTS, "hostname": "{{ item }}"}, "loop": ["web1", "web2"]}
    plays = [{"hosts": "pve", "gather_facts": False, "tasks": [one]}]
    made = site.play([*plays, *plays])
    assert made.rc == 0, made.output
    assert steps(made.output) == every_step("web1", "web2")
    for name, vmid in (("web1", 100), ("web2", 101)):
        assert re.search(rf"^pve: {name} \({vmid}\) on {site.node.name}, created, [\d.]+ s$", made.output, re.MULTILINE)
    assert len(re.findall(r"^pve: web. \(", made.output, re.MULTILINE)) == 2, "nothing is told of what is as declared"


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGTERM, id="SIGTERM"),
        pytest.param(signal.SIGINT, id="SIGINT", marks=pytest.mark.thorough),  # the module takes it as the other
    ],
)
def test_an_ended_run_leaves_whole_guests_and_the_next_one_goes_on(site: Site, number: signal.Signals) -> None:
    """The playbook is ended, as a job of AWX is; the module on the node finishes its step."""
    site.inventory = {"all": {"hosts": {"pve": LOCAL}}}
    site.node.fault("slow", at="extract", nth=2, seconds=3)
    with begin(site, fleet()) as process:
        for line in process.stdout or ():
            if line.startswith("pve: web1: start: "):
                process.send_signal(number)
    assert process.returncode != 0
    assert progress_events.all_gone(), "the module goes on"
    there = site.configs()
    assert "web1" in there["100.conf"]
    assert "web3" not in "".join(there.values())
    assert "lock:" not in "".join(there.values())
    _rc, listing, _err = commands.run(["pvesm", "list", "local-lvm"], site.node.root, b"")
    assert len(listing.splitlines()[1:]) == len(there)
    assert list((site.node.root / "var/lib/pve-provision/journal").glob("*.json")) == []
    assert site.play(fleet()).rc == 0
    assert len(site.configs()) == len(NAMES)
