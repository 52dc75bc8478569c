# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be in a container: on the node by pct exec, over the API by SSH."""

from __future__ import annotations

import dataclasses
import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._access.shell import Shell
from ansible_collections.pve.provision.plugins.module_utils._guests import guest_connection
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed
from embedded_node import commands

from .conftest import Answer, Bench, Params, steps

WEB: Params = {
    "hostname": "web1",
    "ostemplate": "debian-13-standard",
    "rootfs": {"storage": "local-lvm", "size": 2},
    "memory": 256,
    "state": "started",
    "networks": [{"bridge": "vmbr0", "ip": "10.0.0.1/24", "gateway": "10.0.0.254"}],
}
ED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ ada@example"
HASH = "$6$salt$hashed"
CONF = {"path": "/etc/nginx/conf.d/a.conf", "content": "server { listen 8080; }\n", "notify": ["nginx"]}
SETUP: Params = {
    "packages": ["nginx"],
    "users": [{"name": "ada", "groups": ["www-data"], "ssh_keys": [ED], "password_hash": HASH}],
    "files": [CONF, {"path": "/etc/token", "secret_content": "s3cret-value"}],
    "services": {"nginx": True},
    "commands": [{"name": "mark", "command": "echo done > /root/mark", "creates": "/root/mark"}],
}
PLANNED = [
    "packages: nginx: install",
    "users: ada: create",
    "files: /etc/nginx/conf.d/a.conf: create",
    "files: /etc/token: create",
    "services: nginx: enable, start",
    "commands: mark: run",
]


KEY = "/root/.ssh/id_ed25519"


@dataclasses.dataclass
class Inside:
    """A bench whose containers can be entered. ``scripts`` went in by SSH."""

    bench: Bench
    scripts: list[str] = dataclasses.field(default_factory=list)

    def good(self, check: bool = False, **params: t.Any) -> Answer:
        return self.bench.good("lxc_create", check, **{**WEB, **params})

    def bad(self, **params: t.Any) -> Answer:
        return self.bench.bad("lxc_create", **{**WEB, **params})

    def sh(self, script: str) -> str:
        """What a command in the container says."""
        return self.bench.pct("exec", "100", "--", "sh", "-c", script)

    def forget(self) -> None:
        self.bench.node.forget()
        self.scripts.clear()

    def looks(self) -> int:
        """How often the container was entered since."""
        return len(self.scripts) + sum(argv[:2] == ["pct", "exec"] for argv in self.bench.writes())


@pytest.fixture
def inside(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Inside:
    """On the node containers are entered by pct exec, over the API by SSH, which is played."""
    found = Inside(bench)

    def ssh(address: str, key: str, known_hosts: Path) -> Shell:
        def shell(script: str, *, timeout: int) -> Completed:
            assert (address, key) == ("10.0.0.1", KEY)
            found.scripts.append(script)
            return Completed(*commands.run(["pct", "exec", "100", "--", "sh", "-s"], bench.node.root, script.encode()))

        return shell

    if bench.backend == "api":
        monkeypatch.setattr(guest_connection, "ssh", ssh)
        bench.defaults["ssh_private_key"] = KEY
    return found


def changes(answer: Answer) -> list[str]:
    """What a plan has to do in the container."""
    return [change for step in answer.plan if step["step"] == "set_up" for change in step["changes"]]


def test_a_new_container_is_set_up_and_then_left_alone_for_one_look(inside: Inside) -> None:
    planned = inside.good(check=True, **SETUP)
    assert changes(planned) == PLANNED
    assert planned.diff["after"]["setup"] == PLANNED
    made = inside.good(**SETUP)
    assert changes(made) == PLANNED
    way = "pct exec" if inside.bench.backend == "cli" else "ssh"
    assert made.setup["verified_by"] == way
    assert "packages: nginx: install" in made.setup["changed"]
    assert inside.sh("cat /etc/nginx/conf.d/a.conf; systemctl is-active nginx") == f"{CONF['content']}active\n"
    assert inside.sh("stat -c %a /etc/token") == "600\n"
    assert f"ada:{HASH}:" in inside.sh("cat /etc/shadow")
    assert "s3cret-value" not in json.dumps([planned.values, made.values])
    assert HASH not in json.dumps([planned.values, made.values])
    for check in (True, False):
        inside.forget()
        again = inside.good(check=check, checks=[{"type": "command", "command": "test -s /root/mark"}], **SETUP)
        assert (again.changed, again.plan) == (False, [])
        assert again.setup == {"changed": [], "verified_by": way}
        assert [verdict["outcome"] for verdict in again.checks] == ["passed"]
        assert inside.looks() == 1
        assert not any("s3cret-value" in script or HASH in script for script in inside.scripts)


def test_what_differs_is_changed_and_what_is_not_declared_any_more_is_taken_back(inside: Inside) -> None:
    params = {**SETUP, "packages": ["nginx", "vim"]}
    inside.good(**params)
    inside.sh("systemctl stop nginx; echo changed > /etc/token")
    wanted = {**SETUP, "files": [{**CONF, "content": "# none\n"}, SETUP["files"][1]]}
    expected = [
        "packages: vim: remove (not declared any more)",
        "files: /etc/nginx/conf.d/a.conf: content",
        "files: /etc/token: content",
        "services: nginx: start",
    ]
    foreseen = inside.good(check=True, **wanted)
    done = inside.good(**wanted)
    assert (changes(foreseen), changes(done), done.setup["changed"]) == (expected, expected, expected)
    assert not inside.good(**wanted).changed


def test_a_container_that_does_not_run_is_not_looked_at(inside: Inside) -> None:
    told = "its setup was not checked: it does not run"
    for _each in range(2):
        answer = inside.good(**{**SETUP, "state": "present"})
        assert told in str(answer.warnings)
        assert answer.setup == {"changed": [], "verified_by": "", "reason": "it does not run"}
    planned = inside.good(check=True, **SETUP)
    assert steps(planned) == ["start", "set_up"]
    started = inside.good(**SETUP)
    assert "packages: nginx: install" in started.setup["changed"]
    assert not inside.good(**SETUP).changed


def test_what_fails_says_what_and_why_and_tells_no_secret(inside: Inside) -> None:
    command = {"name": "leak", "command": "cat /etc/token; echo no good >&2; exit 3", "creates": "/root/leak"}
    answer = inside.bad(cleanup_on_failure=False, **{**SETUP, "commands": [command]})
    assert answer.error == "setup_failed"
    assert "set_up failed: commands: leak: the command failed: " in answer.msg
    assert "no good" in answer.msg
    assert "s3cret-value" not in json.dumps(answer.values)
    assert "services: nginx: restart" in answer.setup["changed"]
    assert changes(inside.good(**SETUP)) == ["commands: mark: run"]


def test_what_cannot_be_is_found_before_anything_is_written(inside: Inside) -> None:
    inside.good()
    inside.sh("mkdir /etc/motd.d")
    files = [{"path": "/etc/motd.d", "content": "a"}, {"path": "/etc/b", "content": "b"}]
    answer = inside.bad(files=files)
    assert answer.error == "invalid_input"
    assert "files: '/etc/motd.d' /etc/motd.d is a folder" in answer.msg
    assert inside.sh("ls /etc/b 2>&1 || true").endswith("No such file or directory\n")


def test_a_wrong_declaration_is_reported_with_all_else_that_is_wrong(bench: Bench) -> None:
    answer = bench.bad("lxc_create", **{**WEB, "packages": ["-y"], "files": [{"path": "a"}], "memory": -1})
    assert {"packages[0].name", "files[0].path", "memory"} <= {each["option"] for each in answer.findings}
    assert not bench.exists(100)


def test_over_the_api_without_a_key_there_is_no_way_in(bench: Bench) -> None:
    if bench.backend == "cli":
        pytest.skip("on the node containers are entered by pct exec")
    answer = bench.bad("lxc_create", **{**WEB, **SETUP})
    assert "packages: cannot be done: the API has no access to the inside of a container" in answer.msg
    assert "ssh_private_key" in answer.msg
    assert not bench.exists(100)


# -- with checks -----------------------------------------------------------------------------------------------------

CHECKED: list[Params] = [
    {"type": "service", "service": "nginx", "enabled": True},
    {"type": "package", "package": "nginx"},
    {"type": "command", "command": "cat /root/mark", "expect": "^done$"},
]


def test_a_container_with_three_checks_is_asked_by_one_look(inside: Inside) -> None:
    declared = {**SETUP, "checks": CHECKED, "checks_timeout": 0}
    made = inside.good(**declared)
    assert [check["outcome"] for check in made.checks] == ["passed"] * 3
    inside.forget()
    again = inside.good(**declared)
    assert [check["outcome"] for check in again.checks] == ["passed"] * 3
    assert (again.changed, inside.looks()) == (False, 1)
    if inside.bench.backend == "cli":
        assert len(inside.bench.writes()) == 1

    inside.sh("systemctl stop nginx")
    guest = {**declared, "name": "web1", "type": "lxc", **{k: v for k, v in WEB.items() if k != "hostname"}}
    inside.forget()
    if inside.bench.defaults:
        guest |= inside.bench.defaults
        inside.bench.defaults.clear()
    told = inside.bench.bad("guest_verify", guests=[guest]).guests[0]["checks"]
    found = {check["name"]: (check["outcome"], check["detail"]) for check in told}
    assert found["service nginx"] == ("failed", "inactive")
    assert found["as declared"] == ("failed", "setup: [] -> [services: nginx: start]")
    assert inside.looks() == 1


def test_what_is_to_be_in_a_container_that_nobody_can_enter_is_not_verified(bench: Bench) -> None:
    if bench.backend == "cli":
        pytest.skip("the node can enter any container")
    guest = {"name": "web1", "type": "lxc", **{name: value for name, value in WEB.items() if name != "hostname"}}
    bench.good("guests", guests=[guest])
    answer = bench.good("guest_verify", guests=[{**guest, "packages": ["nginx"]}])
    (drift,) = (check for check in answer.guests[0]["checks"] if check["type"] == "drift")
    assert drift["outcome"] == "not_verified"
    assert "the API has no access to the inside of a container" in drift["detail"]


def test_alpine_is_set_up_by_its_own_programs(inside: Inside) -> None:
    params = {**SETUP, "ostemplate": "alpine-3.22-default", "unattended_upgrades": True}
    made = inside.good(**params)
    assert {"packages: nginx: install", "unattended_upgrades: create"} <= set(made.setup["changed"])
    assert "differs" not in made.setup
    assert inside.sh("rc-service nginx status > /dev/null && apk info -e nginx") == "nginx\n"
    assert not inside.good(**params).changed
    undone = inside.good(packages=[], ostemplate="alpine-3.22-default")
    assert "packages: nginx: remove (not declared any more)" in undone.setup["changed"]
    assert not inside.good(packages=[], ostemplate="alpine-3.22-default").changed
