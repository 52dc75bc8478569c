# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""guests: a whole list in one task. What one guest of it gets is tested with the module of its type."""

from __future__ import annotations

import collections
import contextlib
import sys
import typing as t

import pytest

from embedded_node import commands

from .conftest import Answer, Bench, Params

DEFAULTS: Params = {
    "type": "lxc",
    "ostemplate": "alpine-3.22-default",
    "rootfs": {"storage": "local-lvm", "size": 1},
}


def net(address: str, **more: t.Any) -> list[Params]:
    return [{"bridge": "vmbr0", "ip": address, **more}]


# Half as many again as it took when this was written.
MOST_CALLS = 1950

WEB: Params = {"name": "web1", "memory": 256, "networks": net("10.0.0.1/24")}
DB: Params = {"name": "db1", "memory": 512, "networks": net("10.0.0.2/24")}


def run(bench: Bench, *guests: Params, **more: t.Any) -> Answer:
    return bench.run("guests", defaults=DEFAULTS, guests=list(guests), **more)


def good(bench: Bench, *guests: Params, **more: t.Any) -> Answer:
    answer = run(bench, *guests, **more)
    assert not answer.failed, answer.msg
    return answer


def named(answer: Answer) -> dict[str, Params]:
    return {entry["name"]: entry for entry in answer.guests}


@contextlib.contextmanager
def counted_calls() -> t.Iterator[collections.Counter[str]]:
    """Counts what is called in this thread."""
    calls: collections.Counter[str] = collections.Counter()
    before = sys.getprofile()
    sys.setprofile(lambda _frame, event, _argument: calls.update([event]) if event in ("call", "c_call") else None)
    try:
        yield calls
    finally:
        sys.setprofile(before)


def hostnames(bench: Bench) -> list[str]:
    folder = bench.node.root / "etc/pve/lxc"
    return sorted(bench.config(int(path.stem))["hostname"] for path in folder.glob("*.conf"))


def test_a_list_is_made_once_and_then_left_alone(bench: Bench) -> None:
    predicted = good(bench, WEB, DB, check=True)
    assert hostnames(bench) == []
    made = good(bench, WEB, DB)
    assert hostnames(bench) == ["db1", "web1"]
    assert predicted.changed and made.changed
    told = [(entry["vmid"], entry["plan"]) for entry in predicted.guests]
    assert told == [(entry["vmid"], entry["plan"]) for entry in made.guests]
    assert predicted.plan[-1] == made.plan[-1] == "2 to create, 0 unchanged"
    bench.node.forget()
    again = good(bench, WEB, DB)
    assert not again.changed
    assert again.plan == ["2 unchanged"]
    assert set(again.guests[0]) == {"name", "type", "changed", "vmid", "node", "status", "addresses"}
    assert bench.writes() == []
    assert not {"guests", "defaults"} & again.invocation["module_args"].keys()


def test_an_unchanged_guest_costs_no_command_and_over_the_api_one_request(bench: Bench) -> None:
    """Whatever else is asked is asked once for all of the list."""
    asked = []
    for count in (1, 3):
        fleet = [{**WEB, "name": f"web{n}", "networks": net(f"10.0.0.{n}/24")} for n in range(1, count + 1)]
        good(bench, *fleet)
        bench.node.forget()
        assert not good(bench, *fleet).changed
        assert bench.node.commands() == []
        asked.append(len(bench.node.requests()))
    assert asked[1] - asked[0] == (2 if bench.backend == "api" else 0)
    assert asked[0] <= 4


def test_an_unchanged_guest_costs_little_work(bench: Bench) -> None:
    """Calls of Python are counted and not seconds, which are other ones on every machine: from the parameters of the
    module to its answer, with all that Ansible does there."""
    spent = []
    for count in (2, 6):
        fleet = [{**WEB, "name": f"web{n}", "networks": net(f"10.0.0.{n}/24")} for n in range(1, count + 1)]
        good(bench, *fleet)
        with counted_calls() as calls:
            assert not good(bench, *fleet).changed
        spent.append(calls.total())
    assert (spent[1] - spent[0]) / 4 <= MOST_CALLS


def test_a_guest_without_a_name_hides_no_finding_and_makes_none(bench: Bench) -> None:
    failed = run(bench, WEB, {"memory": 64})
    assert [finding["option"] for finding in failed.findings] == ["guests[1]"]


def test_a_wrong_guest_keeps_every_other_from_being_changed(bench: Bench) -> None:
    """And all that is wrong with all of them is told at once: nothing hides anything."""
    wrong = {"name": "bad1", "memroy": 1, "memory": "lots", "networks": [{"bridge": "vmbr9"}]}
    failed = run(bench, WEB, DB, wrong, {"name": "bad2", "type": "jail"})
    assert failed.failed
    told = {(finding["option"], finding["problem"][:15]) for finding in failed.findings}
    assert {
        ("bad1: memroy", "is not an optio"),
        ("bad1: memory", "argument 'memor"),
        ("bad1: networks[0].bridge", "does not exist "),
        ("bad2: type", "is not a type o"),
    } <= told
    assert "Did you mean memory?" in failed.msg
    assert hostnames(bench) == []
    assert [argv for argv in bench.writes() if argv[0] == "pct"] == []


def storage(bench: Bench, lines: str) -> None:
    """One more storage of the node, until the end of the test."""
    config = bench.node.root / "etc/pve/storage.cfg"
    config.write_text(config.read_text(encoding="utf-8") + lines, encoding="utf-8")


def test_room_is_counted_for_all_of_the_list_together(bench: Bench) -> None:
    storage(bench, "lvm: thick\n\tvgname pve\n\tcontent rootdir,images\n\n")
    told = bench.good("node_info", gather=["storages"]).storages
    (thick,) = (each for each in told if each["name"] == "thick")
    volume = {"storage": "thick", "size": thick["available"] * 2 // 3 // 1024**3}
    failed = run(bench, {**WEB, "rootfs": volume}, {**DB, "rootfs": volume})
    assert failed.failed
    assert [finding["option"] for finding in failed.findings] == ["db1: rootfs.storage"]


def test_a_failure_stops_what_comes_after_and_nothing_else(bench: Bench) -> None:
    bench.node.fault("fail_start", nth=1)
    app = {"name": "app1", "after": ["db1"], "networks": net("10.0.0.3/24")}
    failed = run(bench, app, {**DB, "state": "started"}, WEB, concurrency="1")
    assert failed.failed
    entries = named(failed)
    assert entries["db1"]["failed"]
    assert entries["app1"]["skipped"] == "comes after db1, which failed"
    assert entries["web1"]["changed"]
    assert hostnames(bench) == ["web1"]
    assert "1 of 3 guests failed." in failed.msg
    bench.node.clear_faults()
    good(bench, app, {**DB, "state": "started"}, WEB)
    assert hostnames(bench) == ["app1", "db1", "web1"]


def test_with_stop_nothing_is_started_after_a_failure(bench: Bench) -> None:
    bench.node.fault("fail_start", nth=1)
    failed = run(bench, {**DB, "state": "started"}, WEB, concurrency="1", on_failure="stop")
    assert failed.failed
    assert named(failed)["web1"]["skipped"]
    assert hostnames(bench) == []


def test_a_clone_comes_after_its_source(bench: Bench) -> None:
    """Also when both are made by the same run; the template that is a default is not for the clone."""
    clone = {"name": "copy1", "clone_from": {"name": "web1", "full": True}, "networks": net("10.0.0.9/24")}
    predicted = good(bench, clone, WEB, check=True)
    done = good(bench, clone, WEB)
    assert [entry["plan"][0]["step"] for entry in done.guests] == ["clone", "create"]
    assert [e["plan"][0]["step"] for e in predicted.guests] == ["clone", "create"]
    assert hostnames(bench) == ["copy1", "web1"]
    assert "ip=10.0.0.9/24" in bench.config(named(done)["copy1"]["vmid"])["net0"]
    assert not good(bench, clone, WEB).changed


def test_the_source_of_a_clone_may_be_a_guest_that_is_not_declared(bench: Bench) -> None:
    good(bench, WEB)
    good(bench, {"name": "copy1", "clone_from": {"name": "web1", "full": True}, "networks": net("10.0.0.9/24")})
    assert hostnames(bench) == ["copy1", "web1"]


def test_one_guest_of_the_list(bench: Bench) -> None:
    """What is wrong with the others by themselves is found all the same."""
    good(bench, WEB, {**DB, "after": ["web1"]}, limit=["db1"])
    assert hostnames(bench) == ["db1"]
    assert run(bench, {**WEB, "memory": 1}, DB, limit=["db1"]).failed
    assert "limit: 'nobody' is not a guest of this list" in run(bench, WEB, limit=["nobody"]).msg
    assert not run(bench, WEB, {**DB, "after": ["web1"]}, limit=["web1", " db1"]).failed


def test_what_stands_against_guests_outside_the_limit_holds_up_nobody(bench: Bench) -> None:
    """No lock, no storage, no node, and no protected guest that would be pruned."""
    made = named(good(bench, DB, {**WEB, "name": "old1", "networks": net("10.0.0.8/24")}, owner_tag="iac"))
    bench.pct("set", str(made["db1"]["vmid"]), "--lock", "backup")
    bench.pct("set", str(made["old1"]["vmid"]), "--protection", "1")
    stored = {"name": "stored1", "rootfs": {"storage": "nowhere", "size": 1}}
    away = {"name": "away1", "node": "pve9"}
    others = ({**DB, "memory": 640}, stored, away, {"name": "bridged1", "networks": [{"bridge": "vmbr9"}]})
    done = good(bench, *others, WEB, limit=["web1"], owner_tag="iac", prune=True)
    assert done.plan[-1] == "1 to create, 0 unchanged"
    refused = run(bench, *others, WEB, owner_tag="iac", prune=True)
    told = {finding["option"].partition(":")[0] for finding in refused.findings}
    assert told == {"db1", "stored1", "away1", "bridged1", "old1"}


def test_absent_by_name_wants_exactly_one_guest_of_that_name(bench: Bench) -> None:
    vmid = named(good(bench, WEB))["web1"]["vmid"]
    gone = {"name": "web1", "state": "absent"}
    assert named(good(bench, gone, check=True))["web1"]["vmid"] == vmid
    assert good(bench, gone).plan[0] == f"- destroy web1 ({vmid})"
    assert hostnames(bench) == []
    assert not good(bench, gone).changed
    good(bench, {**DB, "vmid": vmid})
    assert not good(bench, {**gone, "vmid": vmid}).changed, "its number is somebody else's now"
    assert hostnames(bench) == ["db1"]


def test_what_carries_the_mark_and_is_not_declared_any_more_is_pruned(bench: Bench) -> None:
    bench.good(
        "lxc_create",
        **{key: value for key, value in {**DEFAULTS, **DB}.items() if key not in ("name", "type")},
        hostname="stranger",
    )
    good(bench, WEB, {**DB, "networks": net("10.0.0.4/24")}, owner_tag="iac")
    assert good(bench, WEB, owner_tag="iac").plan == ["1 unchanged"]
    pruned = good(bench, WEB, owner_tag="iac", prune=True, check=True)
    assert pruned.plan[-1] == "1 to destroy, 1 unchanged"
    good(bench, WEB, owner_tag="iac", prune=True)
    assert hostnames(bench) == ["stranger", "web1"]
    assert "needs the tag" in run(bench, WEB, prune=True).msg


def test_no_guest_gets_the_address_of_one_that_runs_whatever_their_types(bench: Bench) -> None:
    argv = [
        "create",
        "300",
        "--name",
        "vm1",
        "--memory",
        "64",
        "--net0",
        "virtio,bridge=vmbr0",
        "--ipconfig0",
        "ip=10.0.0.1/24",
    ]
    assert commands.run(["qm", *argv], bench.node.root, b"")[0] == 0
    assert commands.run(["qm", "start", "300"], bench.node.root, b"")[0] == 0
    vm = {"name": "vm2", "type": "vm", "networks": [{"bridge": "vmbr0"}], "cloud_init": {"ip": [{"ip": "10.0.0.1/16"}]}}
    refused = bench.bad("guests", check=True, guests=[{**DEFAULTS, **WEB}])
    assert [finding["option"] for finding in refused.findings] == ["web1: networks[0].ip"]
    refused = bench.bad("guests", check=True, guests=[vm])
    assert [finding["option"] for finding in refused.findings] == ["vm2: cloud_init.ip[0].ip"]
    assert "is, on the same bridge, the address of guest 300 (vm1)" in refused.msg


def test_absent_by_name_is_about_guests_of_its_kind(bench: Bench) -> None:
    argv = ["qm", "create", "300", "--name", "web1", "--memory", "64"]
    assert commands.run(argv, bench.node.root, b"")[0] == 0
    gone = {"name": "web1", "state": "absent"}
    (finding,) = run(bench, gone, check=True).findings
    assert (finding["option"], finding["problem"]) == ("web1: name", f"is no lxc, but VM 300 on node {bench.node.name}")
    vmid = bench.good("lxc_create", hostname="web1", **{k: DEFAULTS[k] for k in ("ostemplate", "rootfs")}).vmid
    assert good(bench, gone).plan[0] == f"- destroy web1 ({vmid})"
    assert good(bench, {**gone, "type": "vm"}).plan[0] == "- destroy web1 (300)"


def test_a_list_that_is_empty_prunes_nothing(bench: Bench) -> None:
    """It may be one that was not read. A guest that is to be absent says that it is meant."""
    good(bench, WEB, DB, owner_tag="iac")
    (finding,) = run(bench, owner_tag="iac", prune=True).findings
    assert finding["problem"].startswith("would destroy all guests, as the list is empty: ")
    assert hostnames(bench) == ["db1", "web1"]
    good(bench, {"name": "web1", "state": "absent"}, owner_tag="iac", prune=True)
    assert hostnames(bench) == []
    good(bench, owner_tag="iac", prune=True)


def test_a_node_that_is_not_here_hides_nothing_else_of_a_guest(bench: Bench) -> None:
    failed = run(bench, {**WEB, "node": "pve9", "memory": 1})
    assert [finding["option"] for finding in failed.findings] == ["web1: node", "web1: memory"]


def test_a_copy_of_a_marked_guest_is_nobodys_and_not_pruned(bench: Bench) -> None:
    source = {"name": "web1", "full": True}
    good(bench, WEB, owner_tag="iac")
    bench.good("lxc_create", hostname="copy1", clone_from=source, networks=net("10.0.0.8/24"))
    copy = {"name": "copy2", "type": "lxc", "clone_from": source, "tags": ["test"], "networks": net("10.0.0.9/24")}
    vmid = bench.good("guests", guests=[copy]).guests[0]["vmid"]
    assert bench.config(vmid)["tags"] == "test"
    assert good(bench, WEB, owner_tag="iac", prune=True).plan == ["1 unchanged"]


def test_a_declared_guest_is_not_pruned_however_its_vmid_is_written(bench: Bench) -> None:
    """It was called otherwise before, so that its vmid alone tells that it is declared."""
    good(bench, {**WEB, "vmid": 101}, owner_tag="iac")
    renamed = {**WEB, "name": "web2", "vmid": "101", "rename": True}
    done = good(bench, renamed, owner_tag="iac", prune=True)
    assert done.plan[0] == "~ change web2 (101)"
    assert done.plan[-1] == "1 to change, 0 unchanged"
    assert hostnames(bench) == ["web2"]


@pytest.mark.parametrize(
    "option", [{"owner_tag": "a b", "prune": True}, {"concurrency": "lots"}, {"concurrency": "-3"}]
)
def test_an_option_of_the_run_that_is_wrong_is_a_finding(bench: Bench, option: Params) -> None:
    (finding,) = run(bench, WEB, **option).findings
    assert finding["option"] == next(iter(option))
    assert hostnames(bench) == []


@pytest.mark.parametrize("after", [5, True])
def test_what_is_no_name_of_a_guest_is_a_finding(bench: Bench, after: object) -> None:
    (finding,) = run(bench, {**WEB, "after": after}).findings
    assert (finding["option"], finding["value"]) == ("web1: after", str(after))


def test_the_mark_is_no_difference(bench: Bench) -> None:
    tagged = {**WEB, "tags": ["home"]}
    vmid = named(good(bench, tagged, owner_tag="iac"))["web1"]["vmid"]
    assert bench.config(vmid)["tags"] == "home;iac"
    assert not good(bench, tagged, owner_tag="iac").changed


def test_a_guest_that_was_there_is_marked_when_it_is_adopted(bench: Bench) -> None:
    vmid = named(good(bench, WEB))["web1"]["vmid"]
    assert not good(bench, WEB, owner_tag="iac").changed
    assert good(bench, WEB, owner_tag="iac", adopt=["web1"]).changed
    assert bench.config(vmid)["tags"] == "iac"
    assert not good(bench, WEB, owner_tag="iac", adopt=["web1"]).changed


def test_guests_that_come_after_each_other_in_a_circle(bench: Bench) -> None:
    failed = run(bench, {**WEB, "after": ["db1"]}, {**DB, "after": ["web1"]})
    assert "after: 'db1, web1' wait for each other in a cycle" in failed.msg


@pytest.mark.parametrize("how", ["pruned", "absent"])
@pytest.mark.parametrize("source", [{"name": "web1"}, {"vmid": 150}])
def test_what_a_new_guest_is_cloned_from_is_not_destroyed_by_the_same_run(
    bench: Bench, how: str, source: Params
) -> None:
    web = {key: value for key, value in DEFAULTS.items() if key != "type"}
    bench.good("lxc_create", vmid=150, hostname="web1", **web, tags=["ours"])
    copy = {"name": "copy", "type": "lxc", "clone_from": source}
    gone = {"name": "web1", "type": "lxc", "state": "absent"}
    given = {"guests": [copy], "owner_tag": "ours", "prune": True} if how == "pruned" else {"guests": [gone, copy]}
    (finding,) = bench.bad("guests", **given).findings
    assert (finding["option"], finding["problem"]) == ("copy: clone_from", "is destroyed by this run")
    assert bench.exists(150)


def test_a_guest_may_come_after_one_that_is_gone(bench: Bench) -> None:
    good(bench, {**WEB, "after": ["gone1"]}, {"name": "gone1", "state": "absent"})
    assert hostnames(bench) == ["web1"]


def test_a_clone_whose_source_is_neither_there_nor_in_the_limit_is_found_before_anything_is_written(
    bench: Bench,
) -> None:
    clone = {"name": "copy1", "type": "lxc", "clone_from": {"name": "db1"}}
    refused = bench.bad("guests", guests=[{**DEFAULTS, **DB}, clone], limit=["copy1"])
    assert [finding["option"] for finding in refused.findings] == ["copy1: clone_from"]
    assert hostnames(bench) == []


def vms(bench: Bench) -> set[int]:
    return {int(path.stem) for path in (bench.node.root / "etc/pve/qemu-server").glob("*.conf")}


@pytest.fixture
def linked(bench: Bench) -> None:
    """A template whose volumes are files, 300, and a linked clone of it, 301."""
    storage(bench, f"dir: files\n\tpath {bench.node.root}/srv/files\n\tcontent images\n\n")
    for argv in (
        ["create", "300", "--name", "base", "--tags", "ours", "--memory", "64", "--scsi0", "files:1,format=qcow2"],
        ["template", "300"],
        ["clone", "300", "301", "--name", "copy"],
    ):
        rc, _out, err = commands.run(["qm", *argv], bench.node.root, b"")
        assert rc == 0, err


@pytest.mark.usefixtures("linked")
def test_linked_clones_are_pruned_before_what_they_are_linked_to(bench: Bench) -> None:
    assert vms(bench) == {300, 301}
    good(bench, WEB, owner_tag="ours", prune=True, concurrency="4")
    assert vms(bench) == set()


@pytest.mark.usefixtures("linked")
def test_a_template_that_a_guest_is_linked_to_is_not_removed(bench: Bench) -> None:
    copy = {"name": "copy", "type": "vm", "vmid": 301}
    (finding,) = bench.bad("guests", guests=[copy], owner_tag="ours", prune=True).findings
    assert finding["problem"] == "is what the disks of copy (301) are linked to"
    assert vms(bench) == {300, 301}


def test_an_order_at_boot_that_contradicts_what_a_guest_comes_after(bench: Bench) -> None:
    first = {**DB, "state": "started", "startup": {"order": 2, "up": 0}}
    second = {**WEB, "after": ["db1"], "startup": {"order": 1, "up": 0}}
    good(bench, second, first, concurrency="1")
    assert hostnames(bench) == ["db1", "web1"]


def test_prune_removes_a_vm_of_whatever_kind(bench: Bench) -> None:
    argv = ["qm", "create", "300", "--name", "vm1", "--tags", "ours", "--memory", "64"]
    rc, _out, err = commands.run(argv, bench.node.root, b"")
    assert rc == 0, err
    pruned = good(bench, WEB, owner_tag="ours", prune=True)
    assert "- destroy vm1 (300)" in pruned.plan
    assert pruned.guests[-1]["type"] == "vm"
