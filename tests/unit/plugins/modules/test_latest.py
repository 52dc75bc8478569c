# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest with the newest of its packages, and back to what it was where it does not serve with them."""

from __future__ import annotations

import dataclasses
import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._access.shell import Shell
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Run
from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._guests import guest_connection
from ansible_collections.pve.provision.plugins.module_utils._guests.snapshot.backup import DropBackup
from ansible_collections.pve.provision.plugins.module_utils._pve.api.backups import ApiBackups
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.backups import CliBackups
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.node import CliNode
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed, Storage
from embedded_node import commands
from embedded_node.linux.package_database import OFFERED

from .conftest import Bench, Params, grant, pvesh, steps

WEB: Params = {
    "hostname": "web1",
    "ostemplate": "debian-13-standard",
    "rootfs": {"storage": "local-lvm", "size": 2},
    "memory": 256,
    "networks": [{"bridge": "vmbr0", "ip": "127.0.0.1/8"}],
    "packages": ["nginx"],
    "state": "latest",
}


@pytest.fixture
def web(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench with a container that can be entered, over the API by SSH, which is played."""

    def ssh(_address: str, _key: str, _known_hosts: Path) -> Shell:
        def shell(script: str, *, timeout: int) -> Completed:
            return Completed(*commands.run(["pct", "exec", "100", "--", "sh", "-s"], bench.node.root, script.encode()))

        return shell

    if bench.backend == "api":
        monkeypatch.setattr(guest_connection, "ssh", ssh)
        bench.defaults["ssh_private_key"] = "/root/.ssh/id_ed25519"
    bench.good("lxc_create", **WEB)
    return bench


def offer(bench: Bench, **versions: str) -> None:
    """What the repositories have from now on."""
    (bench.node.root / OFFERED).write_text(json.dumps(versions), encoding="utf-8")


def version(bench: Bench) -> str:
    return bench.pct("exec", "100", "--", "dpkg-query", "-W", "-f", "${Version}", "nginx")


def snapshots(bench: Bench) -> int:
    return bench.pct("listsnapshot", "100").count("provision_")


def test_newer_packages_are_reported_installed_and_then_left_alone(web: Bench) -> None:
    assert not web.good("lxc_create", **WEB).changed
    offer(web, nginx="1.1-1", htop="9.0-1")
    told = web.good("lxc_create", check=True, **WEB)
    assert version(web) == "1.0-1"
    done = web.good("lxc_create", **WEB)
    assert steps(done) == steps(told) == ["snapshot", "upgrade_packages", "prune_snapshots"]
    assert done.plan[1] == told.plan[1] == {"step": "upgrade_packages", "packages": ["nginx: 1.0-1 -> 1.1-1"]}
    assert done.upgraded == ["nginx: 1.0-1 -> 1.1-1"]
    assert (version(web), snapshots(web)) == ("1.1-1", 0)
    for check in (True, False):
        web.node.forget()
        assert not web.good("lxc_create", check=check, **WEB).changed
        assert sum(argv[:2] == ["pct", "exec"] for argv in web.writes()) == (web.backend == "cli")


def test_only_the_latest_asks_for_newer_ones(web: Bench) -> None:
    offer(web, nginx="1.1-1")
    assert not web.good("lxc_create", **{**WEB, "state": "started"}).changed
    assert version(web) == "1.0-1"


def test_one_that_does_not_pass_its_checks_goes_back(web: Bench) -> None:
    offer(web, nginx="1.1-1")
    checks = [{"type": "tcp", "port": 1, "timeout": 1}]
    failed = web.bad("lxc_create", **WEB, checks=checks, checks_timeout=1)
    assert "does not pass its checks" in failed.msg
    assert "rolled back to its state before this run" in failed.msg
    assert failed.rolled_back is True
    assert (version(web), snapshots(web)) == ("1.0-1", 0)


def test_it_goes_back_with_all_else_that_the_run_has_changed(web: Bench) -> None:
    offer(web, nginx="1.1-1")
    more = {"memory": 512, "files": [{"path": "/etc/motd.new", "content": "hello\n"}]}
    told = web.good("lxc_create", check=True, **{**WEB, **more})
    assert steps(told) == ["snapshot", "set", "set_up", "upgrade_packages", "prune_snapshots"]
    failed = web.bad("lxc_create", **{**WEB, **more}, checks=[{"type": "tcp", "port": 1, "timeout": 1}])
    assert failed.rolled_back is True
    assert (version(web), web.config(100)["memory"]) == ("1.0-1", "256")
    assert "motd.new" not in web.pct("exec", "100", "--", "ls", "/etc")


@pytest.mark.parametrize("packages", [["nginx"], []])
def test_so_it_is_with_a_program_that_the_guest_fetches(web: Bench, packages: list[str]) -> None:
    program = {"path": "/usr/local/bin/tool", "url": "https://vendor.example/tool-2", "sha256": "2" * 64}
    told = web.good("lxc_create", check=True, **{**WEB, "packages": packages, "files": [program]})
    assert steps(told) == ["snapshot", "set_up", "prune_snapshots"]


def test_an_upgrade_may_take_as_long_as_what_is_set_up(web: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: dict[str, set[int]] = {"packages_pending": set(), "packages_upgrade": set()}
    enter = guest_connection.GuestConnection.__call__

    def entered(self: guest_connection.GuestConnection, *place: t.Any) -> Shell:
        def shell(script: str, *, timeout: int) -> Completed:
            for what in limits:
                if f'{what} "$@"' in script:
                    limits[what].add(timeout)
            return enter(self, *place)(script, timeout=timeout)

        return shell

    monkeypatch.setattr(guest_connection.GuestConnection, "__call__", entered)
    offer(web, nginx="1.1-1")
    web.good("lxc_create", **WEB, timeouts={"post_install": 2400})
    assert limits == {"packages_pending": {2400}, "packages_upgrade": {2400}}


def test_a_snapshot_of_the_whole_run_is_enough(web: Bench) -> None:
    offer(web, nginx="1.1-1")
    done = web.good("lxc_create", **WEB, rollback="snapshot")
    assert steps(done) == ["snapshot", "upgrade_packages", "prune_snapshots"]


# -- where no snapshot can be taken ------------------------------------------------------------------------------------
PLAIN: Params = {**WEB, "rootfs": {"storage": "local", "size": 1}}
FAILING: Params = {"checks": [{"type": "tcp", "port": 1, "timeout": 1}], "checks_timeout": 1}


@pytest.fixture
def plain(web: Bench) -> Bench:
    """The container on a storage that takes no snapshots, with a newer version of its package."""
    pvesh(web, "set", "/storage/local", "--content", "iso,vztmpl,backup,snippets,rootdir")
    for argv in (["stop", "100"], ["destroy", "100"]):
        web.pct(*argv)
    web.good("lxc_create", **PLAIN)
    offer(web, nginx="1.1-1")
    return web


def kept(bench: Bench) -> list[Path]:
    """The backups of the container that runs have made."""
    where = "var/lib/pve-provision/archives/100" if bench.backend == "cli" else "var/lib/vz/dump"
    return list((bench.node.root / where).glob("vzdump-lxc-100-*.tar.zst"))


def place(bench: Bench) -> str:
    return "/var/lib/pve-provision" if bench.backend == "cli" else "local"


def volid(bench: Bench, archive: Path) -> str:
    """What PVE calls a backup."""
    return str(archive) if bench.backend == "cli" else f"local:backup/{archive.name}"


def kinds(bench: Bench) -> type[CliBackups | ApiBackups]:
    return CliBackups if bench.backend == "cli" else ApiBackups


def on_node(bench: Bench) -> Bench:
    if bench.backend == "api":
        pytest.skip("over the API nothing is left half done by a run that is killed: the tasks of PVE go on")
    return bench


def over_api(bench: Bench) -> Bench:
    if bench.backend == "cli":
        pytest.skip("on the node a backup is a file of its own")
    return bench


def test_a_backup_is_the_way_back_then(plain: Bench) -> None:
    told = plain.good("lxc_create", check=True, **PLAIN)
    done = plain.good("lxc_create", **PLAIN)
    assert steps(told) == steps(done) == ["backup", "upgrade_packages", "drop_backup"]
    assert told.plan[0] == done.plan[0] == {"step": "backup", "place": place(plain)}
    for answer in (told, done):
        (degraded,) = answer.degraded
        assert degraded["what"] == "a snapshot of container (web1)"
        assert "PVE takes no snapshot of rootfs" in degraded["because"]
        assert degraded["instead"] == f"a backup on {place(plain)}, for which it is shut down,"
    assert (version(plain), kept(plain)) == ("1.1-1", [])
    assert plain.pct("status", "100").strip() == "status: running"
    assert not plain.good("lxc_create", **PLAIN).changed


@pytest.mark.parametrize(("room", "told"), [(1024**3, False), (1024**3 - 1, True)])
def test_a_place_without_room_for_the_backup_is_reported_before(
    plain: Bench, monkeypatch: pytest.MonkeyPatch, room: int, told: bool
) -> None:
    storage = Storage(place(plain), "dir", frozenset({"backup"}), available=room)
    monkeypatch.setattr(kinds(plain), "places", lambda _backups: [storage])
    words = f"the backup of container (web1) takes up to 1.0 GiB on {place(plain)}, where 1.0 GiB are free"
    assert (words in str(plain.good("lxc_create", check=True, **PLAIN).warnings)) is told


@pytest.mark.parametrize(("room", "told"), [(2 * 1024**3, 0), (2 * 1024**3 - 1, 1)])
def test_the_backups_of_one_run_count_together(
    plain: Bench, monkeypatch: pytest.MonkeyPatch, room: int, told: int
) -> None:
    storage = Storage(place(plain), "dir", frozenset({"backup"}), available=room)
    monkeypatch.setattr(kinds(plain), "places", lambda _backups: [storage])
    common = {key: PLAIN[key] for key in PLAIN if key != "hostname"} | {"type": "lxc"} | plain.defaults
    plain.defaults.clear()
    first = {**common, "name": "web1"}
    second = {**common, "name": "web2", "networks": [{"bridge": "vmbr0", "ip": "127.0.0.2/8"}]}
    plain.good("guests", guests=[{**second, "state": "stopped"}])
    answer = plain.good("guests", check=True, guests=[first, second])
    assert str(answer.warnings).count("and others of this run take up to 1.0 GiB of them") == told


def test_a_backup_goes_where_the_most_room_is(plain: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    over_api(plain)
    for name in ("small", "large"):
        folder = plain.node.root / "srv" / name
        folder.mkdir(parents=True)
        pvesh(plain, "create", "/storage", "--storage", name, "--type", "dir", "--path", str(folder))
        pvesh(plain, "set", f"/storage/{name}", "--content", "backup")
    there = ApiBackups.places
    rooms = {"local": 1, "small": 2, "large": 3}

    def places(backups: ApiBackups) -> list[Storage]:
        return [dataclasses.replace(each, available=rooms[each.name] * 1024**3) for each in there(backups)]

    monkeypatch.setattr(ApiBackups, "places", places)
    assert plain.good("lxc_create", check=True, **PLAIN).plan[0] == {"step": "backup", "place": "large"}


def test_it_goes_back_to_it_with_all_that_the_run_has_changed(plain: Bench) -> None:
    before = plain.config(100)
    failed = plain.bad("lxc_create", **{**PLAIN, "memory": 512, **FAILING})
    assert failed.rolled_back is True
    assert "rolled back to its state before this run" in failed.msg
    after = plain.config(100)
    assert {**after, "rootfs": ""} == {**before, "rootfs": ""}
    assert plain.pct("status", "100").strip() == "status: running"
    assert (version(plain), kept(plain), len(plain.volumes("local", 100))) == ("1.0-1", [], 1)


def test_over_the_api_no_other_backup_is_touched_or_counted(plain: Bench) -> None:
    """Of a storage that keeps one backup of each guest: that one is the administrator's, and stays the only one."""
    over_api(plain)
    pvesh(plain, "set", "/storage/local", "--prune-backups", "keep-last=1")
    dump = ["vzdump", "100", "--storage", "local", "--mode", "suspend", "--compress", "zstd"]
    rc, _out, err = commands.run([*dump, "--notes-template", "{{guestname}} by night"], plain.node.root, b"")
    assert rc == 0, err
    nightly = kept(plain)
    failed = plain.bad("lxc_create", **{**PLAIN, **FAILING})
    assert failed.rolled_back is True
    assert kept(plain) == nightly
    plain.good("lxc_create", **PLAIN)
    assert kept(plain) == nightly


def test_over_the_api_a_node_without_a_storage_for_backups_changes_nothing(plain: Bench) -> None:
    over_api(plain)
    pvesh(plain, "set", "/storage/local", "--content", "iso,vztmpl,snippets,rootdir")
    (found,) = plain.bad("lxc_create", **PLAIN).findings
    assert found["option"] == "state"
    assert "PVE takes no snapshot of rootfs" in found["problem"]
    assert "no storage of this node takes backups" in found["problem"]
    assert version(plain) == "1.0-1"


@pytest.mark.parametrize(
    ("line", "words"),
    [("mp0: /srv/data,mp=/data", "mp0"), ("lxc.mount.auto: proc:rw", "lxc.mount.auto: proc:rw")],
)
def test_what_a_token_gets_back_of_no_backup_is_reported_before(
    plain: Bench, token: Params, line: str, words: str
) -> None:
    (plain.node.root / "srv/data").mkdir(parents=True, exist_ok=True)
    config = plain.node.root / "etc/pve/lxc/100.conf"
    config.write_text(config.read_text(encoding="utf-8") + f"{line}\n", encoding="utf-8")
    pvesh(plain, "set", "/access/acl", "--path", "/", "--users", "ansible@pve", "--roles", "Administrator")
    (found,) = plain.bad("lxc_create", check=True, **PLAIN, **token).findings
    assert f"a backup would lose {words}, which PVE restores for root@pam itself alone" in found["problem"]


def test_the_privileges_of_a_backup_and_of_the_way_back_are_reported_at_once(plain: Bench, token: Params) -> None:
    pvesh(plain, "set", "/access/acl", "--path", "/", "--users", "ansible@pve", "--roles", "PVEAuditor")
    (lacking,) = plain.bad("lxc_create", check=True, **PLAIN, **token).findings
    for words in ("Datastore.AllocateSpace on /storage/local", "VM.Backup on /vms/100", "VM.PowerMgmt on /vms/100"):
        assert words in lacking["problem"]
    assert "SDN.Use on /sdn/zones/localnetwork/vmbr0" in lacking["problem"]
    grant(plain, lacking["remedy"])
    failed = plain.bad("lxc_create", **{**PLAIN, **FAILING}, **token)
    assert failed.rolled_back is True, failed.msg
    assert (version(plain), kept(plain)) == ("1.0-1", [])
    assert plain.good("lxc_create", **PLAIN, **token).changed


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (["--mp0", "local:1,mp=/data"], "a backup would lose mp0, which PVE does not back up"),
        (["--mp0", "local-lvm:1,mp=/data,backup=1"], "a backup would bring all of its volumes to one storage"),
        (["--protection", "1"], "a protected guest cannot go back to a backup"),
    ],
)
def test_what_a_backup_would_lose_is_reported_before(plain: Bench, change: list[str], problem: str) -> None:
    plain.pct("set", "100", *change)
    for check in (True, False):
        (found,) = plain.bad("lxc_create", check=check, **PLAIN).findings
        assert (found["option"], problem in found["problem"]) == ("state", True), found
    assert (version(plain), kept(plain)) == ("1.0-1", [])


def test_a_backup_that_cannot_be_restored_stays_and_is_reported(plain: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def restore(_backups: object, vmid: int, *_more: t.Any, **_options: t.Any) -> None:
        plain.pct("destroy", str(vmid))
        raise PveError("There is no room.")

    with monkeypatch.context() as moment:
        moment.setattr(kinds(plain), "restore", restore)
        failed = plain.bad("lxc_create", **{**PLAIN, **FAILING})
    (archive,) = kept(plain)
    command = f"pct restore 100 {volid(plain, archive)} --force 1 --storage local"
    assert f"There is no room. To do so: '{command}'" in failed.msg
    assert "rolled_back" not in failed.values
    for check in (True, False):  # nobody makes another one in its place
        (found,) = plain.bad("lxc_create", check=check, **PLAIN).findings
        assert command in found["remedy"]
    plain.pct(*command.split()[1:])
    again = plain.good("lxc_create", **PLAIN)
    assert steps(again)[-1] == "drop_backup"
    assert kept(plain) == []
    assert not plain.good("lxc_create", **{**PLAIN, "state": "started"}).changed


def test_a_backup_that_was_killed_is_put_right_by_the_next_run(plain: Bench) -> None:
    on_node(plain)
    plain.pct("stop", "100")
    config = plain.node.root / "etc/pve/lxc/100.conf"
    config.write_text(config.read_text(encoding="utf-8") + "lock: backup\n", encoding="utf-8")
    node = CliNode(plain.node.name, root=plain.node.root)
    refused = plain.bad("lxc_create", **PLAIN)  # somebody else's
    assert "is locked (backup)" in refused.msg
    node.snapshots.rollbacks[100] = {"kind": "lxc", "backing_up": True, "start": True}
    told = plain.good("lxc_create", check=True, **PLAIN)
    done = plain.good("lxc_create", **PLAIN)
    assert steps(told)[0] == steps(done)[0] == "clean_up"
    assert "lock" not in plain.config(100)
    assert (kept(plain), dict(node.snapshots.rollbacks)) == ([], {})


def test_a_backup_that_a_run_did_not_drop_is_dropped_by_the_next(plain: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def drop(_step: DropBackup, _run: Run) -> None:
        raise PveError("Killed.")

    with monkeypatch.context() as moment:
        moment.setattr(DropBackup, "run", drop)
        plain.bad("lxc_create", **PLAIN)
    assert (version(plain), len(kept(plain))) == ("1.1-1", 1)
    assert steps(plain.good("lxc_create", **PLAIN)) == ["drop_backup"]
    assert kept(plain) == []
    assert not plain.good("lxc_create", **PLAIN).changed


def test_a_backup_of_another_guest_is_not_replaced(plain: Bench) -> None:
    folder = "var/lib/pve-provision/archives/100" if plain.backend == "cli" else "var/lib/vz/dump"
    other = plain.node.root / folder / "vzdump-lxc-100-2026_01_01-00_00_00.tar.zst"
    other.parent.mkdir(parents=True, exist_ok=True)
    other.write_bytes(b"all that is left of another guest")
    notes = f"kept by pve.provision until other on {plain.node.name} has passed its checks"
    other.with_name(f"{other.name}.notes").write_text(notes, encoding="utf-8")
    for check in (True, False):
        (found,) = plain.bad("lxc_create", check=check, **PLAIN).findings
        assert f"{volid(plain, other)} may be all that is left of a guest" in found["problem"]
    assert not plain.good("lxc_create", **{**PLAIN, "state": "started"}).changed
    assert kept(plain) == [other]
    for path in list(other.parent.glob(f"{other.name}*")):
        path.unlink()
    assert plain.good("lxc_create", **PLAIN).changed


def test_lists_that_cannot_be_fetched_are_reported(web: Bench) -> None:
    web.pct("exec", "100", "--", "sh", "-c", "echo 'deb [signed-by=/none] http://x y' > /etc/apt/sources.list.d/x.list")
    (found,) = web.bad("lxc_create", check=True, **WEB).findings
    assert "the lists of packages could not be fetched" in found["problem"]


def test_what_has_nothing_newer_is_reported(web: Bench) -> None:
    (found,) = web.bad("lxc_create", **{**WEB, "packages": []}).findings
    assert "has nothing to update" in found["problem"]
