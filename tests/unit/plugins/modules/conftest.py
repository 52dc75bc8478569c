# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the modules themselves against an embedded node, on the node and over the API."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import json
import re
import shlex
import subprocess
import sys
import tempfile
import typing as t
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import pytest
from ansible.module_utils import _internal, basic
from ansible.module_utils.common import warnings
from fake_clock import ImpatientClock
from node_files import NodeFiles

from ansible_collections.pve.provision.plugins.module_utils._access.shell import Shell
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt import router_guest as openwrt_guest
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt import running as openwrt
from ansible_collections.pve.provision.plugins.module_utils._io.clock import Clock
from ansible_collections.pve.provision.plugins.module_utils._openwrt import commit_confirm
from ansible_collections.pve.provision.plugins.module_utils._pve import agent, tasks
from ansible_collections.pve.provision.plugins.module_utils._pve.api.node import ApiNode
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.node import CliNode
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed
from embedded_node import EmbeddedNode, commands
from embedded_node.guest import runtime
from embedded_node.lxc import container
from embedded_node.mirror import Mirror
from embedded_node.qemu import boot
from embedded_node.state.root import State

from .routers import INTERFACES, KEY, vmids

Params = dict[str, t.Any]
AnyClock = t.TypeVar("AnyClock", bound=Clock)


@dataclass
class Answer:
    """What a module returned."""

    failed: bool
    values: Params

    def __getattr__(self, name: str) -> t.Any:
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(f"{name} is not in the answer: {self.values}") from None


def steps(answer: Answer) -> list[str]:
    """The names of the steps of its plan, in order."""
    return [step["step"] for step in answer.plan]


def call(module: str, params: Params, *, check: bool = False) -> Answer:
    """Run a module in this process."""
    name = f"ansible_collections.pve.provision.plugins.modules.{module}"
    args = json.dumps({"ANSIBLE_MODULE_ARGS": {**params, "_ansible_check_mode": check, "_ansible_diff": True}})
    out = io.StringIO()
    warnings._global_warnings.clear()  # a module warns once in its life, which here is that of all tests
    # A test of a filter or action in the same process makes it a controller, where modules print their warnings.
    # ansible-core 2.18 knows neither of that nor of profiles.
    on_the_node = mock.patch.object(_internal, "is_controller", False, create=True)
    given = mock.patch.multiple(basic, create=True, _ANSIBLE_ARGS=args.encode(), _ANSIBLE_PROFILE="legacy")
    with on_the_node, given, contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        importlib.import_module(name).main()
    values = json.loads(out.getvalue())
    return Answer(bool(values.get("failed")), values)


def spawn(params: Params, module: str = "lxc_create") -> subprocess.Popen[str]:
    """Run a module in a process of its own, as Ansible does."""
    name = f"ansible_collections.pve.provision.plugins.modules.{module}"
    with tempfile.TemporaryFile("w+") as given:
        json.dump({"ANSIBLE_MODULE_ARGS": params}, given)
        given.seek(0)
        pipes = {"stdin": given, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([sys.executable, "-m", name], **pipes, text=True, start_new_session=True)


def answer(process: subprocess.Popen[str]) -> Params:
    """What a module that was spawned returned in the end."""
    out, err = process.communicate(timeout=300)
    assert out, err
    return t.cast("Params", json.loads(out))


@dataclass
class Bench:
    """An embedded node, and one way to reach it."""

    node: EmbeddedNode
    backend: str
    defaults: Params = field(default_factory=dict)

    @property
    def connection(self) -> Params:
        if self.backend == "cli":
            return {}
        login = ("api_host", "api_port", "api_user", "api_password", "ca_path")
        return {"node": self.node.name, **{key: self.node.api[key] for key in login}}

    def run(self, module: str, check: bool = False, **params: t.Any) -> Answer:
        return call(module, {**self.connection, **self.defaults, **params}, check=check)

    def good(self, module: str, check: bool = False, **params: t.Any) -> Answer:
        """Run a module that is to succeed."""
        answer = self.run(module, check, **params)
        assert not answer.failed, answer.msg
        return answer

    def bad(self, module: str, check: bool = False, **params: t.Any) -> Answer:
        """Run a module that is to fail."""
        answer = self.run(module, check, **params)
        assert answer.failed, answer.values
        return answer

    def pct(self, *argv: str) -> str:
        """Run a command on the node, as its administrator would."""
        rc, out, err = commands.run(["pct", *argv], self.node.root, b"")
        assert rc == 0, err
        return out

    def config(self, vmid: int) -> dict[str, str]:
        """A container's config file."""
        text = (self.node.root / f"etc/pve/lxc/{vmid}.conf").read_text(encoding="utf-8")
        return dict(line.split(": ", 1) for line in text.split("\n[")[0].splitlines() if ": " in line)

    def exists(self, vmid: int) -> bool:
        return (self.node.root / f"etc/pve/lxc/{vmid}.conf").exists()

    def volumes(self, storage: str, vmid: int) -> list[str]:
        rc, out, _err = commands.run(["pvesm", "list", storage, "--vmid", str(vmid)], self.node.root, b"")
        assert rc == 0
        return [line.split()[0] for line in out.splitlines()[1:]]

    @contextlib.contextmanager
    def settings(self, **settings: t.Any) -> t.Iterator[None]:
        """The node with other settings."""
        file = self.node.root / "var/lib/embedded-node/settings.json"
        before = file.read_text(encoding="utf-8")
        file.write_text(json.dumps({**json.loads(before), **settings}), encoding="utf-8")
        yield
        file.write_text(before, encoding="utf-8")

    @contextlib.contextmanager
    def release(self, version: str) -> t.Iterator[None]:
        """The node with another version of PVE."""
        file = self.node.root / "usr/share/perl5/PVE/pvecfg.pm"
        before = file.read_text(encoding="utf-8")
        file.write_text(before.replace(self.node.state.settings()["release"], version), encoding="utf-8")
        with self.settings(release=version):
            yield
        file.write_text(before, encoding="utf-8")

    def writes(self) -> list[list[str]]:
        """The commands of PVE started since `forget`, as argv; to ask the kernel costs nothing."""
        return [argv for argv in self.node.commands() if argv[0] != "ip"]


@pytest.fixture(scope="session")
def embedded() -> t.Iterator[EmbeddedNode]:
    with EmbeddedNode() as node:
        yield node


@pytest.fixture(scope="session")
def fresh(embedded: EmbeddedNode) -> NodeFiles:
    """The node as it was started."""
    return NodeFiles(embedded)


@pytest.fixture(autouse=True)
def tasks_end_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real node's tasks take a second. Nothing waits for that long before it asks whether this one's have ended."""
    monkeypatch.setattr(tasks, "_LEAST", {})


@pytest.fixture(params=["cli", "api"])
def bench(
    request: pytest.FixtureRequest,
    embedded: EmbeddedNode,
    fresh: NodeFiles,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> t.Iterator[Bench]:
    """The node as it was started, reached in each way, and a cache that is empty."""
    environ = {**embedded.env, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(commit_confirm, "_SETTLE", 0)  # a router's networks are there at once
    embedded.forget()  # the last request of another test may have been noted after its answer
    yield Bench(embedded, request.param)
    embedded.clear_faults()
    fresh.put_back()


# -- rights -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def token(bench: Bench) -> Params:
    """A token of a user with no rights at all."""
    if bench.backend == "cli":
        pytest.skip("root on the node may do everything")
    pvesh(bench, "create", "/access/users", "--userid", "ansible@pve")
    made = pvesh(bench, "create", "/access/users/ansible@pve/token/run", "--privsep", "0", "--output-format", "json")
    secret = re.search(r'"value":"([^"]+)"', made)
    assert secret
    bench.node.forget()
    login = {key: bench.node.api[key] for key in ("api_host", "api_port", "ca_path")}
    return {
        "api_user": "ansible@pve", "api_token_id": "run", "api_token_secret": secret[1], "api_password": None, **login
    }  # fmt: skip


def pvesh(bench: Bench, *argv: str) -> str:
    rc, out, err = commands.run(["pvesh", *argv], bench.node.root, b"")
    assert rc == 0, err
    return out


def grant(bench: Bench, remedy: str) -> None:
    """Do what the remedy says, by the API calls that `pveum` makes."""
    for role, privileges in re.findall(r'pveum role add (\S+) --privs "([^"]+)"', remedy):
        pvesh(bench, "create", "/access/roles", "--roleid", role, "--privs", privileges.replace(" ", ","))
    for line in re.findall(r"pveum acl modify ([^;(]+)", remedy):
        path, *options = shlex.split(line)
        pvesh(bench, "set", "/access/acl", "--path", path, *options)


# -- routers --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Mirror]:
    with Mirror(tmp_path_factory.mktemp("mirror"), sites=("openwrt",)) as site:
        yield site


@pytest.fixture
def gateway(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> Params:
    """A router between two networks. One that never gets a way out is not waited for as long as on a real network."""
    monkeypatch.setattr(openwrt, "UPLINK", 1)
    return {
        "hostname": "gw",
        "interfaces": INTERFACES,
        "management": {"from": ["lan"], "ssh_keys": [KEY]},
        "mirrors": [mirror.base("openwrt")],
        "keys": [mirror.signer.usign_public],
    }


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ImpatientClock:
    """For tests in which something never comes. What comes late may be given up too, so not for others."""
    return use_clock(monkeypatch, ImpatientClock())


def use_clock(monkeypatch: pytest.MonkeyPatch, clock: AnyClock) -> AnyClock:
    """Give the nodes of a test a clock. What talks to PVE keeps its own: what PVE does does come."""

    def given(make: t.Callable[[Params, Clock], t.Any], params: Params, own: Clock) -> t.Any:
        node = make(params, own)
        node.clock = clock
        return node

    for backend, maker in ((CliNode, "here"), (ApiNode, "connect")):
        monkeypatch.setattr(backend, maker, functools.partial(given, getattr(backend, maker)))
    return clock


@contextlib.contextmanager
def silent_agents(*running: int) -> t.Iterator[None]:
    """No guest agent runs but in these VMs: the answer of another is waited for in vain, and for a moment only."""
    real = agent.Agent._connect

    def connect(self: agent.Agent, *args: t.Any) -> t.Any:
        with pytest.MonkeyPatch.context() as moment:
            if int(self._path.stem) not in running:
                moment.setattr(agent, "_ANSWERS_WITHIN", 0.05)
            return real(self, *args)

    with mock.patch.object(agent.Agent, "_connect", connect):
        yield


@pytest.fixture
def router(bench: Bench) -> Bench:
    if bench.backend == "api":
        pytest.skip("inside the router only the node can look")
    return bench


def ssh_to_vms(bench: Bench) -> t.Callable[[str, str, Path], Shell]:
    """Stands for SSH: a script runs in the VM that has the address."""

    def ssh(address: str, key: str, known_hosts: Path) -> Shell:
        def shell(script: str, *, timeout: int) -> Completed:
            state = State(bench.node.root)
            for path in sorted(state.path("run/qemu-server").glob("*.pid")):
                guest = boot.guest(state, int(path.stem))
                if any(text.startswith(f"{address}/") for link in runtime.links(guest) for text in link[2]):
                    done = guest.run(["sh", "-s"], script.encode())
                    return Completed(done.rc, done.stdout.decode(), done.stderr.decode())
            return Completed(255, "", f"ssh: connect to host {address} port 22: No route to host")

        return shell

    return ssh


@pytest.fixture
def entered(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Routers can be entered: on the node by `pct exec`, over the API by SSH at an address that is plugged in."""

    def plugged(vmid: int, address: str) -> bool:
        state = State(bench.node.root)
        if vmid not in state.running() or any("link_down=1" in value for value in bench.config(vmid).values()):
            return False
        commands.load()
        links = runtime.links(container.guest(state, vmid))
        return any(text.startswith(f"{address}/") for _name, _mac, texts in links for text in texts)

    def ssh(address: str, key: str, known_hosts: Path) -> Shell:
        def shell(script: str, *, timeout: int) -> Completed:
            for vmid in vmids(bench):
                if plugged(vmid, address):
                    argv = ["pct", "exec", str(vmid), "--", "sh", "-s"]
                    return Completed(*commands.run(argv, bench.node.root, script.encode()))
            return Completed(255, "", f"ssh: connect to host {address} port 22: No route to host")

        return shell

    if bench.backend == "api":
        monkeypatch.setattr(openwrt_guest, "ssh", ssh)
        bench.defaults["ssh_private_key"] = "/root/.ssh/id_ed25519"
    return bench


@pytest.fixture
def old(entered: Bench, gateway: Params) -> int:
    """A router of an older release, with an edit of its owner's."""
    vmid = entered.good("openwrt_lxc", **gateway, version="23.05", verify="required").vmid
    for words in (["set", "system.ntp.enabled=0"], ["commit", "system"]):
        entered.pct("exec", str(vmid), "--", "uci", *words)
    return t.cast("int", vmid)


@pytest.fixture(params=["by name", "by vmid"])
def upgrading(request: pytest.FixtureRequest, bench: Bench, gateway: Params, old: int) -> Params:
    """The old router's declaration, of a newer release; a router that is declared by its number keeps it."""
    if (bench.backend, request.param) == ("api", "by vmid"):
        pytest.skip("over the API a router cannot keep its number")
    return {**gateway, "version": "24", "upgrade": True, **({"vmid": old} if request.param == "by vmid" else {})}
