# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container gets the root file system of another image, and the old one back where it does not serve."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.oci import keeper, replace
from ansible_collections.pve.provision.plugins.module_utils._pve.api.changes import ApiChanges
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.changes import CliChanges
from embedded_node.mirror import images
from embedded_node.mirror.registry import OciRegistry

from .conftest import Bench, Params, steps

BASE: images.Tree = {**images.ALPINE, "etc/os-release": "ID=alpine\nVERSION_ID=3.22.1\n"}
PROGRAM = "#!/bin/sh\nexec sleep 1000000\n"
CONFIG = {"Entrypoint": ["/usr/bin/app"], "Env": ["PATH=/usr/bin:/bin", "VERSION=1"], "WorkingDir": "/srv"}
ENDS = {"usr/bin/app": "#!/bin/false\n"}


def publish(registry: OciRegistry, tag: str, number: int, **more: t.Any) -> str:
    layers = [BASE, {"usr/bin/app": PROGRAM, "srv/version": f"{number}\n", **more.pop("tree", {})}]
    config = {**CONFIG, "Env": ["PATH=/usr/bin:/bin", f"VERSION={number}"], **more}
    return registry.push("team/app", tag, layers, config, platforms=())


@pytest.fixture(scope="module")
def serving() -> t.Iterator[OciRegistry]:
    with OciRegistry() as registry:
        yield registry


@pytest.fixture
def registry(serving: OciRegistry, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[OciRegistry]:
    monkeypatch.setattr(replace, "STEADY", 0)
    publish(serving, "1", 1)
    publish(serving, "2", 2)
    publish(serving, "bad", 3, tree=ENDS)
    serving.forget()
    yield serving
    serving.clear_faults()


def container(registry: OciRegistry, which: str = ":1", **more: t.Any) -> Params:
    return {
        "hostname": "app",
        "image": {"oci": f"{registry.name('team/app')}{which}"},
        "rootfs": {"storage": "local-lvm", "size": 1},
        "mount_points": [{"storage": "local-lvm", "size": 1, "mp": "/data"}],
        "networks": [{"bridge": "vmbr0", "ip": "10.99.0.9/24"}],
        "env": ["MODE=own"],
        "state": "started",
        **more,
    }


@pytest.fixture
def vmid(bench: Bench, registry: OciRegistry) -> int:
    """A container of the first image, with data on its mount point and something in its root file system."""
    number = t.cast("int", bench.good("lxc_create", **container(registry)).vmid)
    for name in ("/data/kept", "/srv/scratch"):
        bench.pct("exec", str(number), "--", "sh", "-c", f"echo kept > {name}")
    registry.forget()
    bench.node.forget()
    return number


def inside(bench: Bench, vmid: int, *paths: str) -> list[str]:
    return [bench.pct("exec", str(vmid), "--", "cat", path).strip() for path in paths]


def env_of(bench: Bench, vmid: int) -> list[str]:
    text = (bench.node.root / f"etc/pve/lxc/{vmid}.conf").read_text(encoding="utf-8").partition("\n[")[0]
    return [line.partition(": ")[2] for line in text.splitlines() if line.startswith("lxc.environment")]


def alone(bench: Bench, vmid: int) -> bool:
    """Whether nothing is left beside a container: no other one, no volume that it does not use, no note."""
    options = bench.config(vmid)
    used = {text.partition(",")[0] for key, text in options.items() if key == "rootfs" or key.startswith("mp")}
    guests = [path.stem for path in (bench.node.root / "etc/pve/lxc").glob("*.conf")]
    notes = list((bench.node.root / "var/lib/pve-provision/journal").glob("*.json"))
    unused = [key for key in options if key.startswith("unused")]
    held = {volume for number in range(100, 110) for volume in bench.volumes("local-lvm", number)}
    return (guests, unused, notes, held) == ([str(vmid)], [], [], used)


# -- it serves ---------------------------------------------------------------------------------------------------------
def test_another_image_takes_the_place_of_the_old_one(bench: Bench, registry: OciRegistry, vmid: int) -> None:
    before = bench.config(vmid)
    told = bench.good("lxc_create", check=True, **container(registry, ":2"))
    assert bench.config(vmid) == before
    done = bench.good("lxc_create", **container(registry, ":2"))
    assert done.plan == told.plan
    assert steps(done) == ["fetch_image", "replace_root", "start", "remove_old_root"]
    assert done.plan[1]["from"].startswith(f"{registry.name('team/app')}:1@")
    assert (done.vmid, done.status) == (vmid, "running")
    assert done.image["reference"].startswith(f"{registry.name('team/app')}:2@")
    assert inside(bench, vmid, "/srv/version", "/data/kept") == ["2", "kept"]
    assert bench.run("lxc_create", **container(registry, ":2")).changed is False
    after = bench.config(vmid)
    assert env_of(bench, vmid) == ["PATH=/usr/bin:/bin", "VERSION=2", "MODE=own"]
    changed = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    assert changed <= {"rootfs", "lxc.environment.runtime"}
    assert alone(bench, vmid)


def test_a_tag_is_looked_up_again_for_the_latest_alone(bench: Bench, registry: OciRegistry, vmid: int) -> None:
    publish(registry, "1", 7)
    assert not bench.good("lxc_create", **container(registry)).changed
    assert registry.requests == []
    done = bench.good("lxc_create", **container(registry, state="latest"))
    assert steps(done) == ["fetch_image", "replace_root", "start", "remove_old_root"]
    assert inside(bench, vmid, "/srv/version") == ["7"]
    assert not bench.good("lxc_create", **container(registry, state="latest")).changed
    assert alone(bench, vmid)


def test_the_latest_keeps_what_it_has_while_the_registry_is_away(
    bench: Bench, registry: OciRegistry, vmid: int
) -> None:
    publish(registry, "1", 8)
    registry.fault("status", code=503)
    for check, more in ((False, {}), (True, {"memory": 1024}), (False, {"memory": 1024})):
        kept = bench.good("lxc_create", check=check, **container(registry, state="latest", **more))
        assert steps(kept) == (["set"] if more else [])
        (degraded,) = kept.degraded
        assert degraded["instead"] == "the one that the container has"
        assert "HTTP 503" in degraded["because"]
    assert inside(bench, vmid, "/srv/version") == ["1"]


@pytest.mark.usefixtures("vmid")
def test_a_tag_that_the_registry_has_not_is_reported(bench: Bench, registry: OciRegistry) -> None:
    (found,) = bench.bad("lxc_create", check=True, **container(registry, ":9", state="latest")).findings
    assert "it has no such image (HTTP 404)" in found["problem"]


@pytest.mark.usefixtures("vmid")
def test_which_image_is_meant_is_not_verified_where_nobody_says(bench: Bench, registry: OciRegistry) -> None:
    def drift(reference: str = ":1", **more: t.Any) -> tuple[str, str]:
        guest = {"type": "lxc", **container(registry, reference, **more)}
        answer = bench.run("guest_verify", guests=[guest])
        (check,) = (each for each in answer.guests[0]["checks"] if each["type"] == "drift")
        return check["outcome"], check["detail"]

    missing = drift(":9")
    assert (missing[0], "it has no such image (HTTP 404)" in missing[1]) == ("failed", True)
    registry.fault("status", code=503)
    for away in (drift(state="latest"), drift(":2")):
        assert (away[0], "HTTP 503" in away[1]) == ("not_verified", True), away
    assert drift() == ("passed", "none")


def test_another_name_of_the_same_image_is_noted_alone(bench: Bench, registry: OciRegistry, vmid: int) -> None:
    digest = publish(registry, "same", 1)
    assert not bench.good("lxc_create", **container(registry, f"@{digest}")).changed
    noted = bench.good("lxc_create", **container(registry, ":same"))
    assert steps(noted) == ["set"]
    assert ":same@" in noted.image["reference"]
    assert inside(bench, vmid, "/srv/scratch") == ["kept"]


def test_other_changes_of_the_same_run_come_first(bench: Bench, registry: OciRegistry, vmid: int) -> None:
    done = bench.good("lxc_create", **container(registry, ":2", memory=256, tty=1, entrypoint="/usr/bin/app --own"))
    assert steps(done) == ["set", "fetch_image", "replace_root", "start", "remove_old_root"]
    options = bench.config(vmid)
    assert (options["memory"], options["tty"], options["entrypoint"]) == ("256", "1", "/usr/bin/app --own")
    assert done.pending == {}
    assert not bench.good("lxc_create", **container(registry, ":2", memory=256, tty=1)).changed


def test_an_image_without_a_program_of_its_own_leaves_none_behind(
    bench: Bench, registry: OciRegistry, vmid: int
) -> None:
    publish(registry, "plain", 4, Entrypoint=["/sbin/init"], Env=[], WorkingDir="/srv")
    bench.good("lxc_create", **container(registry, ":plain"))
    assert "entrypoint" not in bench.config(vmid)
    assert env_of(bench, vmid) == ["MODE=own"]


def test_a_stopped_one_gets_it_when_it_is_started(bench: Bench, registry: OciRegistry, vmid: int) -> None:
    bench.good("lxc_create", **container(registry, state="stopped"))
    answer = bench.good("lxc_create", **container(registry, ":2", state="present"))
    assert not answer.changed
    done = bench.good("lxc_create", **container(registry, ":2"))
    assert steps(done) == ["fetch_image", "replace_root", "start", "remove_old_root"]
    assert (done.status, inside(bench, vmid, "/srv/version")) == ("running", ["2"])
    assert alone(bench, vmid)


def test_what_lxc_is_told_follows_the_image_on_the_node(bench: Bench, registry: OciRegistry, vmid: int) -> None:
    publish(registry, "moved", 5, WorkingDir="/opt", StopSignal="SIGINT")
    if bench.backend == "api":
        before = bench.config(vmid)
        refused = bench.bad("lxc_create", **container(registry, ":moved"))
        assert "lxc.init.cwd, lxc.signal.halt" in refused.msg
        assert bench.config(vmid) == before
    else:
        bench.good("lxc_create", **container(registry, ":moved"))
        options = bench.config(vmid)
        assert (options["lxc.init.cwd"], options["lxc.signal.halt"]) == ("/opt", "SIGINT")
    assert alone(bench, vmid)


# -- it does not -------------------------------------------------------------------------------------------------------
def test_one_that_ends_at_once_gets_its_old_root_back(bench: Bench, registry: OciRegistry, vmid: int) -> None:
    before, env = bench.config(vmid), env_of(bench, vmid)
    failed = bench.bad("lxc_create", **container(registry, ":bad"))
    assert "stopped again at once" in failed.msg
    assert "has its old root file system again" in failed.msg
    assert failed.rolled_back is True
    assert (bench.config(vmid), env_of(bench, vmid)) == (before, env)
    assert inside(bench, vmid, "/srv/version", "/srv/scratch", "/data/kept") == ["1", "kept", "kept"]
    assert alone(bench, vmid)
    assert not bench.good("lxc_create", **container(registry)).changed


def test_one_that_does_not_pass_its_checks_gets_its_old_root_back(
    bench: Bench, registry: OciRegistry, vmid: int
) -> None:
    networks = [{"bridge": "vmbr0", "ip": "127.0.0.1/8"}]
    bench.good("lxc_create", **container(registry, networks=networks))
    before = bench.config(vmid)
    checks = [{"type": "tcp", "port": 1, "timeout": 1}]
    failed = bench.bad("lxc_create", **container(registry, ":2", networks=networks, checks=checks), checks_timeout=1)
    assert "does not pass its checks" in failed.msg
    assert "has its old root file system again" in failed.msg
    assert bench.config(vmid) == before
    assert inside(bench, vmid, "/srv/version") == ["1"]
    assert alone(bench, vmid)


@pytest.mark.parametrize("fault", ["extract", "fail_start"])
def test_what_fails_on_the_way_is_taken_back(bench: Bench, registry: OciRegistry, vmid: int, fault: str) -> None:
    before = bench.config(vmid)
    if fault == "extract":
        bench.node.fault("storage_full", storage="local-lvm")
    else:
        bench.node.fault("fail_start", vmid=vmid, times=1)
    bench.bad("lxc_create", **container(registry, ":2"))
    bench.node.clear_faults()
    assert bench.config(vmid) == before
    assert inside(bench, vmid, "/srv/version", "/srv/scratch") == ["1", "kept"]
    assert alone(bench, vmid)


@pytest.mark.parametrize(
    ("option", "problem"), [("protection", "a protected container"), ("snapshot", "the snapshots before")]
)
def test_what_stands_against_it_is_reported_before(
    bench: Bench, registry: OciRegistry, vmid: int, option: str, problem: str
) -> None:
    argv = {"protection": ["set", str(vmid), "--protection", "1"], "snapshot": ["snapshot", str(vmid), "before"]}
    bench.pct(*argv[option])
    (found,) = bench.bad("lxc_create", check=True, **container(registry, ":2")).findings
    assert problem in found["problem"]


# -- killed ------------------------------------------------------------------------------------------------------------
class Killed(BaseException):
    pass


@pytest.mark.parametrize(
    "after", [1, 4, *(pytest.param(number, marks=pytest.mark.thorough) for number in (0, 2, 3, 5, 6))]
)
def test_a_killed_one_is_finished_or_taken_back_by_the_next_run(
    bench: Bench, registry: OciRegistry, vmid: int, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before each thing that it does on the node."""
    calls = ["set_of_image", "reassign_volume", "stop", "swap", "start", "remove", "destroy"]

    def die(*_args: t.Any, **_more: t.Any) -> t.NoReturn:
        raise Killed

    changes = CliChanges if bench.backend == "cli" else ApiChanges
    places: dict[str, tuple[t.Any, str]] = {
        "set_of_image": (keeper, "set_of_image"),
        "reassign_volume": (changes, "reassign_volume"),
        "stop": (replace.Replacement, "_stop"),
        "swap": (replace.Replacement, "_swap"),
        "start": (changes, "start"),
        "remove": (keeper, "finish"),
        "destroy": (changes, "destroy"),
    }
    with monkeypatch.context() as patch:
        patch.setattr(*places[calls[after]], die)
        with pytest.raises(Killed):
            bench.run("lxc_create", **container(registry, ":2"))
    replaced = calls[after] in ("start", "remove", "destroy")
    told = bench.good("lxc_create", check=True, **container(registry, ":2"))
    done = bench.good("lxc_create", **container(registry, ":2"))
    assert done.plan == told.plan
    assert ("clean_up" in steps(done)) is (not replaced or calls[after] == "destroy")
    assert inside(bench, vmid, "/srv/version", "/data/kept") == ["2", "kept"]
    assert alone(bench, vmid)
    assert not bench.good("lxc_create", **container(registry, ":2")).changed


def test_a_killed_one_that_does_not_serve_goes_back_in_the_next_run(
    bench: Bench, registry: OciRegistry, vmid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bench.config(vmid)

    def die(*_args: t.Any, **_more: t.Any) -> t.NoReturn:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(CliChanges if bench.backend == "cli" else ApiChanges, "start", die)
        with pytest.raises(Killed):
            bench.run("lxc_create", **container(registry, ":bad"))
    failed = bench.bad("lxc_create", **container(registry, ":bad"))
    assert "has its old root file system again" in failed.msg
    assert bench.config(vmid) == before
    assert inside(bench, vmid, "/srv/version") == ["1"]
    assert alone(bench, vmid)
