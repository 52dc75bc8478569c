# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any container becomes any declaration: check mode foretells the run exactly, and a second run changes nothing.

The node is its files and its commands, run in this process.
"""

from __future__ import annotations

import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Result
from ansible_collections.pve.provision.plugins.module_utils._engine.reconcile import reconcile
from ansible_collections.pve.provision.plugins.module_utils._errors import InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.read import wanted_container
from ansible_collections.pve.provision.plugins.module_utils._guests.registry import TYPES
from ansible_collections.pve.provision.plugins.module_utils._model.declare import null_paths
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.node import CliNode
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed
from embedded_node import bootstrap, commands

Params = dict[str, t.Any]

VMID = 101
# What each step of a plan runs on the node.
COMMAND = {"create": "create", "set": "set", "resize": "resize", "start": "start", "shutdown": "shutdown"}
DEFAULTS: Params = {name: spec.get("default") for name, spec in TYPES["lxc"].spec.options.items()}


class Lab:
    """A node without servers; counts the commands that write."""

    def __init__(self, root: Path) -> None:
        self.root = root
        bootstrap.prepare(root, "pve1", {}, "secret", ("provision", "secret"))
        self.written: list[list[str]] = []
        self.node = CliNode("pve1", root=root, runner=self.run)

    def run(self, argv: t.Sequence[str], *, stdin: str = "", timeout: float = 60) -> Completed:
        if argv[0] == "pct":
            self.written.append(list(argv))
        return Completed(*commands.run(list(argv), self.root, stdin.encode()))

    def reconcile(self, declared: Params, *, check: bool = False) -> Result | str:
        """A run's result, or all that stands against it in words."""
        params = {**DEFAULTS, "timeout": 60, "vmid": VMID, "hostname": "ct", "ostemplate": "alpine-3.22-default"}
        wanted = wanted_container(params | declared, null_paths(declared))
        self.written.clear()
        try:
            return reconcile(self.node, wanted, check_mode=check)
        except InvalidInput as error:
            return str(error)

    @property
    def text(self) -> str | None:
        path = self.root / f"etc/pve/lxc/{VMID}.conf"
        return path.read_text() if path.exists() else None

    def options(self) -> dict[str, str]:
        """The container's options as they will be after its next start."""
        config = self.node.config("lxc", VMID)
        return {} if config is None else config.options

    def clear(self) -> None:
        for action in (["stop"], ["set", "--protection", "0"], ["destroy", "--purge", "1"]):
            commands.run(["pct", action[0], str(VMID), *action[1:]], self.root)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("node"))


@pytest.fixture(autouse=True)
def empty(lab: Lab) -> Iterator[None]:
    yield
    lab.clear()


# -- random declarations -----------------------------------------------------------------------------------------------

ADDRESS = st.integers(2, 200)


@st.composite
def network(draw: st.DrawFn) -> Params:
    host = draw(ADDRESS)
    ways: list[Params] = [{}, {"ip": "dhcp"}, {"ip": f"10.0.0.{host}/24"}, {"ip6": f"fd00::{host}/64"}]
    ways.append({"ip": f"10.0.0.{host}/24", "gateway": "10.0.0.1"})
    return {
        "bridge": draw(st.sampled_from(["vmbr0", "vmbr1"])),
        **draw(st.sampled_from(ways)),
        **draw(
            some(
                tag=st.integers(1, 4094),
                firewall=st.booleans(),
                mtu=st.integers(576, 1500),
                rate=st.sampled_from([0.5, 10]),
                link_down=st.booleans(),
                trunks=st.lists(st.integers(2, 20), min_size=1, max_size=3, unique=True),
            )
        ),
    }


def some(**options: st.SearchStrategy[t.Any]) -> st.SearchStrategy[Params]:
    """Any of these options; some are left out."""
    return st.fixed_dictionaries({}, optional=options)


def volume(place: str) -> st.SearchStrategy[Params]:
    required = {"storage": st.just("local-lvm"), "mp": st.just(place), "size": st.integers(1, 3).map(str)}
    return st.fixed_dictionaries(required, optional={"backup": st.booleans(), "ro": st.booleans()})


SIMPLE: dict[str, st.SearchStrategy[t.Any]] = {
    "cores": st.integers(1, 4),
    "cpulimit": st.sampled_from([0, 0.5, 2]),
    "cpuunits": st.integers(8, 1000),
    "memory": st.integers(64, 2048),
    "swap": st.integers(0, 1024),
    "nameserver": st.lists(st.sampled_from(["1.1.1.1", "9.9.9.9", "fd00::53"]), min_size=1, max_size=2, unique=True),
    "searchdomain": st.just(["example.org"]),
    "features": some(nesting=st.booleans(), keyctl=st.booleans(), fuse=st.booleans()),
    "onboot": st.booleans(),
    "startup": some(order=st.integers(0, 9), up=st.integers(0, 60), down=st.integers(0, 60)),
    "tags": st.lists(st.sampled_from(["web", "home", "Zed", "a-b"]), max_size=3, unique=True),
    "description": st.sampled_from(["one", "two\nlines", "with: colon, and #hash", "ümlaut\n"]),
    "timezone": st.sampled_from(["host", "Europe/Berlin"]),
    "console": st.booleans(),
    "cmode": st.sampled_from(["tty", "console", "shell"]),
    "tty": st.integers(0, 6),
    "debug": st.booleans(),
    "protection": st.booleans(),
}
LISTS: dict[str, st.SearchStrategy[t.Any]] = {
    "networks": st.lists(network(), max_size=3),
    "mount_points": st.tuples(volume("/srv/a"), volume("/srv/b")).map(list),
}
ROOTFS = st.integers(1, 3).map(lambda size: {"storage": "local-lvm", "size": str(size)})
STATE = st.sampled_from(["present", "started", "stopped"])
CURRENT = st.fixed_dictionaries({"rootfs": ROOTFS, "state": STATE}, optional={**SIMPLE, **LISTS})
NULLABLE = {name: st.none() | value for name, value in {**SIMPLE, **LISTS}.items()}
DESIRED = st.fixed_dictionaries(
    {
        "state": STATE | st.just("restarted"),
        "purge_options": st.booleans(),
        "restart": st.sampled_from(["never", "when_needed"]),
    },
    optional={"rootfs": ROOTFS, **NULLABLE},
)
BOUNDED = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def view(result: Result | str) -> t.Any:
    """What check mode has to foretell."""
    if isinstance(result, str):
        return result
    return result.changed, result.status, result.plan, result.diff


@BOUNDED
@given(current=CURRENT, desired=DESIRED)
def test_check_mode_foretells_the_steps_and_the_diff_of_the_run(lab: Lab, current: Params, desired: Params) -> None:
    lab.clear()
    made = lab.reconcile(current)
    assume(not isinstance(made, str))
    before, text = lab.options(), lab.text
    told = lab.reconcile(desired, check=True)
    assert lab.written == []
    assert lab.text == text
    done = lab.reconcile(desired)
    assert view(done) == view(told)
    if isinstance(done, str):
        assert lab.written == []
        assert lab.text == text
        return
    steps = t.cast("Result", told).plan
    assert [argv[1] for argv in lab.written] == [COMMAND[step["step"]] for step in steps]
    after = lab.options()
    changed = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    assert changed == {name for step in steps for name in touched(step)} | unused(changed)
    assert {key.partition(".")[0] for key in {**done.diff["before"], **done.diff["after"]}} - {"status"} == (
        changed - unused(changed)
    )
    again = lab.reconcile({**desired, "state": "started" if desired["state"] == "restarted" else desired["state"]})
    assert isinstance(again, Result)
    assert (again.plan, again.changed, lab.written) == ([], False, [])


def touched(step: Params) -> set[str]:
    """The options that a step says it changes."""
    return {*step.get("options", {}), *step.get("delete", []), *filter(None, [step.get("disk")])}


def unused(changed: set[str]) -> set[str]:
    """A volume that no option names any more is kept by PVE as unusedN."""
    return {key for key in changed if key.startswith("unused")}


@BOUNDED
@given(declared=CURRENT)
@example(declared={"rootfs": {"storage": "local-lvm", "size": "1"}, "state": "started", "tags": []})
def test_check_mode_foretells_a_creation(lab: Lab, declared: Params) -> None:
    lab.clear()
    told = lab.reconcile(declared, check=True)
    assert lab.written == []
    assert lab.text is None
    done = lab.reconcile(declared)
    assert view(done) == view(told)
    if isinstance(done, Result) and isinstance(told, Result):
        assert (told.vmid, told.node, told.privilege, told.more) == (
            done.vmid,
            done.node,
            done.privilege,
            done.more,
        )
        assert [argv[1] for argv in lab.written] == [COMMAND[step["step"]] for step in done.plan]
        assert told.config.items() <= {**done.config, **chosen_by_pve(told.config)}.items()
        assert told.addresses == [{**address, "hwaddr": None} for address in done.addresses]
        again = lab.reconcile(declared)
        assert isinstance(again, Result)
        assert (again.plan, again.changed, lab.written) == ([], False, [])
        assert again.config == done.config


def chosen_by_pve(config: Params) -> Params:
    """Of a foretold config, what PVE fills in when it makes the container: volumes and MAC addresses."""
    return {key: value for key, value in config.items() if key in {"rootfs", "mount_points", "networks"}}
