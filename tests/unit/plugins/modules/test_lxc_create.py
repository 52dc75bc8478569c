# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lxc_create does, the same on the node and over the API."""

from __future__ import annotations

import os
import typing as t

import pytest
from ansible.module_utils import basic

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._pve.api.changes import ApiChanges
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.changes import CliChanges
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Outcome
from embedded_node import commands

from .conftest import Bench, steps

Params = dict[str, t.Any]

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample me@example.org"
WEB: Params = {
    "vmid": 101,
    "hostname": "web1",
    "ostemplate": "debian-13-standard",
    "cores": 2,
    "memory": 1024,
    "rootfs": {"storage": "local-lvm", "size": "8G"},
    "networks": [{"bridge": "vmbr0", "tag": 20, "ip": "192.168.20.10/24", "gateway": "192.168.20.1"}],
    "tags": ["web", "home"],
}


# -- creating ------------------------------------------------------------------------------------------------------


def test_a_new_container_is_created_as_declared_and_then_left_alone(bench: Bench) -> None:
    made = bench.good("lxc_create", **WEB, state="started")
    assert made.changed
    assert steps(made) == ["create", "start"]
    assert (made.vmid, made.node, made.status) == (101, bench.node.name, "running")
    assert made.config["memory"] == 1024
    assert made.config["unprivileged"] is True
    assert made.config["networks"][0]["tag"] == 20
    assert made.config["rootfs"]["size"] == "8G"
    assert made.addresses[0]["address"] == "192.168.20.10"
    assert made.ostemplate.startswith("local:vztmpl/debian-13-standard_")
    assert made.privilege
    again = bench.good("lxc_create", **WEB, state="started")
    assert not again.changed
    assert again.plan == []
    assert again.config == made.config


@pytest.mark.parametrize("ip", ["192.168.20.10/24", "dhcp"])
def test_the_addresses_of_a_running_container_cost_no_command_of_pve(router: Bench, ip: str) -> None:
    bench, net = router, {"bridge": "vmbr0", "ip": ip}
    declared = {**WEB, "networks": [net], "state": "started", "ip_timeout": 30}
    made = bench.good("lxc_create", **declared)
    bench.node.forget()
    again = bench.good("lxc_create", **declared)
    assert not again.changed
    assert [entry["source"] for entry in again.addresses] == ["guest"]
    assert again.addresses == made.addresses
    assert {argv[0] for argv in bench.node.commands()} == ({"nsenter"} if ip == "dhcp" else set())


def test_an_unchanged_run_starts_no_command_and_makes_two_requests_at_most(bench: Bench) -> None:
    bench.good("lxc_create", **WEB, state="started")
    bench.node.forget()
    by_name = {key: value for key, value in WEB.items() if key != "vmid"}
    for declaration in (WEB, by_name):
        assert not bench.good("lxc_create", **declaration, state="started").changed
    requests = [request for request in bench.node.requests() if "ticket" not in request["path"]]
    assert bench.node.commands() == []
    assert len(requests) <= (4 if bench.backend == "api" else 0)


def test_everything_goes_into_one_create(bench: Bench) -> None:
    bench.node.forget()
    bench.good(
        "lxc_create",
        **WEB,
        swap=256,
        onboot=True,
        startup={"order": 2, "up": 10},
        mount_points=[{"storage": "local-lvm", "size": 2, "mp": "/srv/data", "backup": True}],
        features={"nesting": True},
        nameserver=["1.1.1.1", "9.9.9.9"],
        searchdomain=["example.org"],
        description="two\nlines",
        timezone="Europe/Berlin",
    )
    if bench.backend == "cli":
        assert [argv[:2] for argv in bench.node.commands() if argv[0] == "pct"] == [["pct", "create"]]
    config = bench.config(101)
    assert config["mp0"].endswith("mp=/srv/data,backup=1,size=2G")
    assert config["startup"] == "order=2,up=10"
    assert config["nameserver"] == "1.1.1.1 9.9.9.9"


def test_without_a_vmid_the_lowest_free_one_is_taken_and_the_name_finds_it_again(bench: Bench) -> None:
    declaration = {key: value for key, value in WEB.items() if key != "vmid"}
    made = bench.good("lxc_create", **declaration)
    assert made.vmid == 100
    changed = bench.good("lxc_create", **{**declaration, "memory": 512})
    assert changed.vmid == 100
    assert bench.config(100)["memory"] == "512"


def test_what_is_left_open_is_decided_and_reported(bench: Bench) -> None:
    made = bench.good("lxc_create", hostname="small", ostemplate="alpine-3.22-default")
    assert made.config["rootfs"]["size"] == "4G"
    assert made.config["rootfs"]["volume"].split(":")[0] in {"local-lvm", "local"}
    assert made.config["unprivileged"] is True


def test_an_unmanaged_container_says_what_has_no_effect_inside(bench: Bench) -> None:
    declaration = {**WEB, "ostype": "unmanaged", "nameserver": ["1.1.1.1"], "password": "secret12"}
    made = bench.good("lxc_create", **declaration)
    assert any("nameserver, password, networks[0].ip" in str(warning) for warning in made.warnings)
    assert bench.config(101)["arch"] == "amd64"


def test_the_environment_is_set_and_never_seen(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr(basic.AnsibleModule, "log", lambda self, msg, log_args=None: logged.append(str(msg)))
    declared = {**WEB, "env": ["DB_PASSWORD=s3cret value", "LANG=C.UTF-8"]}
    made = bench.good("lxc_create", **declared)
    assert not bench.good("lxc_create", **declared).changed
    changed = bench.good("lxc_create", **{**declared, "env": ["DB_PASSWORD=an0ther s3cret", "LANG=C.UTF-8"]})
    assert changed.changed
    config = (bench.node.root / f"etc/pve/nodes/{bench.node.name}/lxc/{made.vmid}.conf").read_text()
    assert "lxc.environment.runtime: DB_PASSWORD=an0ther s3cret\n" in config
    wrong = bench.bad("lxc_create", check=True, **{**WEB, "env": ["a b=t0p s3cret"]})
    seen = [made.values, changed.values, wrong.values, logged]
    if bench.backend == "cli":
        seen.append(bench.node.commands())
    assert "s3cret" not in str(seen)


@pytest.mark.parametrize("password", ["p a s s $HOME", 'it\'s "quoted"', "-leading-dash", "--rootfs x", "a,b=c;d\\"])
def test_any_password_works_and_is_never_seen(bench: Bench, password: str) -> None:
    made = bench.good("lxc_create", **WEB, password=password, ssh_public_keys=[KEY])
    assert password not in str({**made.values, "invocation": None})
    assert all(password not in word for argv in bench.node.commands() for word in argv)


def test_a_clone_takes_the_source_and_then_what_is_declared(bench: Bench) -> None:
    bench.good("lxc_create", **WEB)
    declaration: Params = {
        "vmid": 110,
        "hostname": "web2",
        "clone_from": {"name": "web1", "full": True},
        "memory": 2048,
        "networks": [{"bridge": "vmbr0", "ip": "192.168.20.11/24"}],
        "state": "started",
    }
    made = bench.good("lxc_create", **declaration)
    assert steps(made) == ["clone", "set", "start"]
    assert made.config["memory"] == 2048
    assert made.config["cores"] == 2
    assert made.config["networks"][0]["ip"] == "192.168.20.11/24"
    assert not bench.good("lxc_create", **declaration).changed


def test_a_new_container_joins_its_pool(bench: Bench) -> None:
    bench.bad("lxc_create", **WEB, pool="nowhere")
    assert not bench.exists(101)


def test_a_container_that_is_there_joins_the_pool_that_it_is_declared_in(bench: Bench) -> None:
    commands.run(["pvesh", "create", "/pools", "--poolid", "web"], bench.node.root)
    bench.good("lxc_create", **WEB)
    joined = bench.good("lxc_create", **WEB, pool="web")
    assert joined.plan == [{"step": "join_pool", "pool": "web"}]
    assert joined.diff["after"] == {"pool": "web"}
    assert not bench.good("lxc_create", **WEB, pool="web").changed


# -- check mode and diff -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"memory": 2048},
        {"networks": [{"bridge": "vmbr0", "tag": 30}], "tags": ["db"]},
        {"rootfs": {"size": "10G"}, "cores": None},
        {"features": {"nesting": True}, "restart": "when_needed"},
        {"state": "stopped"},
        {"state": "restarted", "description": "new"},
        {"state": "absent"},
    ],
)
def test_check_mode_reports_what_the_real_run_then_does(bench: Bench, change: Params) -> None:
    bench.good("lxc_create", **WEB, state="started")
    declaration = {**WEB, "state": "started", **change}
    before = bench.config(101)
    predicted = bench.good("lxc_create", check=True, **declaration)
    assert bench.config(101) == before
    real = bench.good("lxc_create", **declaration)
    assert (predicted.changed, predicted.plan, predicted.diff) == (real.changed, real.plan, real.diff)
    assert (predicted.status, predicted.vmid) == (real.status, real.vmid)


def test_check_mode_of_a_creation_writes_nothing(bench: Bench) -> None:
    predicted = bench.good("lxc_create", check=True, **WEB, state="started")
    assert not bench.exists(101)
    real = bench.good("lxc_create", **WEB, state="started")
    assert (predicted.plan, predicted.diff, predicted.vmid) == (real.plan, real.diff, real.vmid)


def test_the_diff_holds_only_what_changes(bench: Bench) -> None:
    bench.good("lxc_create", **WEB)
    changed = bench.good("lxc_create", **{**WEB, "memory": 512})
    assert changed.diff == {"before": {"memory": 1024}, "after": {"memory": 512}}


# -- changing ------------------------------------------------------------------------------------------------------


def test_an_option_changed_by_hand_is_brought_back_alone(bench: Bench) -> None:
    bench.good("lxc_create", **WEB)
    bench.pct("set", "101", "--memory", "333")
    bench.node.forget()
    assert bench.good("lxc_create", **WEB).changed
    if bench.backend == "cli":
        (argv,) = bench.node.commands()
        assert argv[:4] == ["pct", "set", "101", "--memory"]
        assert argv[4] == "1024"
        assert argv[5] == "--digest"
        assert len(argv) == 7
    assert bench.config(101)["memory"] == "1024"


def test_a_change_keeps_the_mac_address(bench: Bench) -> None:
    mac = bench.good("lxc_create", **WEB).config["networks"][0]["hwaddr"]
    changed = bench.good("lxc_create", **{**WEB, "networks": [{"bridge": "vmbr0", "tag": 30}]})
    assert changed.config["networks"][0]["hwaddr"] == mac
    assert changed.config["networks"][0]["ip"] == "192.168.20.10/24"


def test_a_volume_grows_and_never_shrinks(bench: Bench) -> None:
    bench.good("lxc_create", **WEB)
    grown = bench.good("lxc_create", **{**WEB, "rootfs": {"size": "9G"}})
    assert steps(grown) == ["resize"]
    assert grown.config["rootfs"]["size"] == "9G"
    before = bench.config(101)
    refused = bench.bad("lxc_create", **{**WEB, "rootfs": {"size": "2G"}, "memory": 64})
    assert refused.findings[0]["option"] == "rootfs.size"
    assert bench.config(101) == before


def test_what_needs_a_restart_is_reported_and_done_only_when_asked(bench: Bench) -> None:
    bench.good("lxc_create", **WEB, state="started")
    declaration = {**WEB, "state": "started", "features": {"nesting": True}}
    told = bench.good("lxc_create", **declaration)
    assert steps(told) == ["set"]
    assert told.pending == {"features": "nesting=1"}
    still = bench.good("lxc_create", **declaration)
    assert not still.changed
    assert still.pending == {"features": "nesting=1"}
    done = bench.good("lxc_create", **declaration, restart="when_needed")
    assert steps(done) == ["shutdown", "start"]
    assert done.pending == {}
    assert done.config["features"]["nesting"] is True


def test_null_deletes_and_what_is_not_mentioned_stays(bench: Bench) -> None:
    bench.good("lxc_create", **WEB, onboot=True, nameserver=["1.1.1.1"])
    bench.good("lxc_create", vmid=101, cores=None)
    config = bench.config(101)
    assert "cores" not in config
    assert (config["onboot"], config["nameserver"]) == ("1", "1.1.1.1")
    bench.good("lxc_create", vmid=101, hostname="web1", purge_options=True, memory=1024)
    config = bench.config(101)
    assert not {"onboot", "nameserver", "net0", "tags"} & set(config)
    assert config["rootfs"].startswith("local-lvm:")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("cmode", "tty"),
        ("searchdomain", "lan"),
        ("tty", 3),
        ("tags", ["a"]),
        ("startup", {"order": 1}),
        ("onboot", True),
    ],
)
def test_null_deletes_whatever_the_type_of_the_option(bench: Bench, option: str, value: t.Any) -> None:
    bench.good("lxc_create", **{**WEB, option: value})
    assert option in bench.config(101)
    bench.good("lxc_create", vmid=101, **{option: None})
    assert option not in bench.config(101)


def test_a_template_that_yields_null_before_ansible_core_2_19_deletes_too(bench: Bench) -> None:
    bench.good("lxc_create", **WEB, cmode="tty", timezone="host")
    bench.good("lxc_create", vmid=101, cores="", cmode="", tags="", onboot="", timezone="")
    assert not {"cores", "cmode", "tags", "onboot", "timezone"} & set(bench.config(101))
    other = {"vmid": 102, "hostname": "other", "ostemplate": WEB["ostemplate"]}
    assert "password" in bench.bad("lxc_create", **other, password="").msg


@pytest.mark.parametrize(("option", "value"), [("tags", ["a", None]), ("networks", [None])])
def test_null_is_no_entry_of_a_list(bench: Bench, option: str, value: t.Any) -> None:
    bench.bad("lxc_create", **{**WEB, option: value})
    assert not bench.exists(101)


def test_what_cannot_change_is_an_error_until_recreate_is_asked_for(bench: Bench) -> None:
    bench.good("lxc_create", **WEB)
    refused = bench.bad("lxc_create", **WEB, unprivileged=False)
    assert refused.findings[0]["option"] == "unprivileged"
    assert "recreate=true" in refused.msg
    assert bench.config(101)["unprivileged"] == "1"
    again = bench.good("lxc_create", **WEB, unprivileged=False, recreate=True)
    assert steps(again) == ["destroy", "create"]
    assert "unprivileged" not in bench.config(101)
    bench.pct("set", "101", "--protection", "1")
    assert "protected" in bench.bad("lxc_create", **WEB, unprivileged=True, recreate=True).msg
    assert bench.exists(101)


def test_a_template_of_another_system_is_an_error_until_recreate_is_asked_for(bench: Bench) -> None:
    bench.good("lxc_create", **WEB)
    other = {**WEB, "ostemplate": "alpine-3.22-default"}
    refused = bench.bad("lxc_create", **other)
    assert refused.findings[0]["option"] == "ostemplate"
    assert "it is debian" in refused.msg
    assert bench.good("lxc_create", **other, recreate=True).config["ostype"] == "alpine"
    assert not bench.good("lxc_create", **other).changed


def test_a_locked_container_is_left_alone_and_the_lock_is_named(bench: Bench) -> None:
    bench.good("lxc_create", **WEB)
    bench.pct("set", "101", "--lock", "backup")
    assert not bench.good("lxc_create", **WEB).changed
    assert "is locked (backup)" in bench.bad("lxc_create", **{**WEB, "memory": 64}).msg


def test_an_mtu_reaches_a_running_container_at_its_next_start_only(bench: Bench) -> None:
    """To PVE the new MTU is live at once; the container goes on with the old one."""
    small = {**WEB, "networks": [{**WEB["networks"][0], "mtu": 1400}], "state": "started"}
    bench.good("lxc_create", **WEB, state="started")
    told = bench.good("lxc_create", **small)
    assert steps(told) == ["set"]
    assert list(told.pending) == ["net0"]
    assert any("waits for a restart: net0" in str(warning) for warning in told.warnings)
    again = bench.good("lxc_create", **small)
    assert not again.changed
    assert list(again.pending) == (["net0"] if bench.backend == "cli" else [])  # the node's kernel alone knows
    smaller = {**small, "networks": [{**small["networks"][0], "mtu": 1300}], "restart": "when_needed"}
    foretold = bench.good("lxc_create", check=True, **smaller)
    done = bench.good("lxc_create", **smaller)
    assert steps(foretold) == steps(done) == ["set", "shutdown", "start"]
    assert done.pending == {}
    assert not bench.good("lxc_create", **smaller).changed


@pytest.mark.parametrize("restart", ["never", "when_needed"])
def test_a_host_name_that_a_running_container_does_not_have_yet(router: Bench, restart: str) -> None:
    """Somebody renamed it: to PVE that is done, and inside the old name goes on until a restart."""
    bench = router
    bench.good("lxc_create", **WEB, state="started")
    bench.pct("set", "101", "--hostname", "web2")
    renamed = {**WEB, "hostname": "web2", "state": "started", "restart": restart}
    answer = bench.good("lxc_create", **renamed)
    if restart == "never":
        assert not answer.changed
        assert answer.pending == {"hostname": "web2"}
    else:
        assert steps(answer) == ["shutdown", "start"]
        assert answer.pending == {}
        assert bench.pct("exec", "101", "--", "hostname").strip() == "web2"
        assert not bench.good("lxc_create", **renamed).changed


def test_a_container_that_names_itself_is_not_restarted_for_ever(router: Bench) -> None:
    bench = router
    bench.good("lxc_create", **WEB, state="started")
    (name,) = [path for path in (bench.node.root / "proc").glob("*/ns/uts") if path.read_text() == "web1"]
    name.write_text("myself", encoding="utf-8")
    config = bench.node.root / "etc/pve/lxc/101.conf"
    os.utime(config, (0, 0))  # written long before the start
    again = bench.good("lxc_create", **WEB, state="started", restart="when_needed")
    assert not again.changed
    assert again.pending == {}


# -- power and removal ---------------------------------------------------------------------------------------------


def test_states(bench: Bench) -> None:
    bench.good("lxc_create", **WEB, state="started")
    assert steps(bench.good("lxc_create", **WEB, state="stopped")) == ["shutdown"]
    assert steps(bench.good("lxc_create", **WEB, state="stopped")) == []
    assert steps(bench.good("lxc_create", **WEB, state="restarted")) == ["start"]
    assert steps(bench.good("lxc_create", **WEB, state="restarted")) == ["shutdown", "start"]
    assert bench.good("lxc_create", **WEB, state="present").status == "running"


def test_absent_removes_the_right_container_only(bench: Bench) -> None:
    bench.good("lxc_create", **WEB, state="started")
    wrong = bench.bad("lxc_create", vmid=101, hostname="other", state="absent")
    assert "is called web1" in wrong.msg
    assert bench.bad("lxc_create", hostname="web1", state="absent").findings[0]["option"] == "vmid"
    bench.pct("set", "101", "--protection", "1")
    assert "protected" in bench.bad("lxc_create", vmid=101, state="absent").msg
    bench.pct("set", "101", "--protection", "0")
    gone = bench.good("lxc_create", vmid=101, hostname="web1", state="absent")
    assert steps(gone) == ["shutdown", "destroy"]
    assert gone.status == "absent"
    assert not bench.exists(101)
    assert bench.volumes("local-lvm", 101) == []
    assert not bench.good("lxc_create", vmid=101, hostname="web1", state="absent").changed


# -- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "option", "words"),
    [
        ({"vmid": 99}, "vmid", "out of range"),
        ({"hostname": "a_b"}, "hostname", "not a valid DNS name"),
        ({"networks": [{"bridge": "vmbr0", "ip": "10.0.0.5"}]}, "networks[0].ip", "has no prefix"),
        (
            {"networks": [{"bridge": "vmbr0", "ip": "10.0.0.5/24", "gateway": "10.0.1.1"}]},
            "networks[0].gateway",
            "is not in the network",
        ),
        ({"networks": [{"bridge": "vmbr0", "tag": 4095}]}, "networks[0].tag", "out of range"),
        ({"networks": [{"bridge": "vmbr0", "mtu": 70000}]}, "networks[0].mtu", "out of range"),
        ({"networks": [{"bridge": "vmbr0", "mtu": 9000}]}, "networks[0].mtu", "is above the 1500 of vmbr0"),
        ({"networks": [{"bridge": "vmbr99"}]}, "networks[0].bridge", "does not exist on node"),
        ({"networks": [{"id": 0, "bridge": "vmbr0"}, {"id": 0}]}, "networks[1].id", "is used twice"),
        ({"rootfs": {"storage": "local", "size": 4}}, "rootfs.storage", "takes no containers"),
        ({"rootfs": {"storage": "nope", "size": 4}}, "rootfs.storage", "does not exist"),
        ({"rootfs": {"storage": "local-lvm", "size": "1X"}}, "rootfs.size", "is not a size"),
        ({"ostemplate": "plan9"}, "ostemplate", "is not on any storage"),
        ({"ostemplate": "local:vztmpl/none_1_amd64.tar.gz"}, "ostemplate", "is not on any storage"),
        ({"password": "abc"}, "password", "is too short"),
        ({"ssh_public_keys": ["nonsense"]}, "ssh_public_keys[0]", "is not an SSH public key"),
        ({"mount_points": [{"bind": "/no/such/dir", "mp": "/x"}]}, "mount_points[0].bind", "does not exist on node"),
        ({"mount_points": [{"mp": "/x"}]}, "mount_points[0]", "does not say what to mount"),
        ({"pool": "nowhere"}, "pool", "does not exist"),
    ],
)
def test_bad_input_is_one_clear_error_and_nothing_is_written(
    bench: Bench, change: Params, option: str, words: str
) -> None:
    if bench.backend == "api" and option == "mount_points[0].bind":
        pytest.skip("over the API nobody can see the node's directories")
    refused = bench.bad("lxc_create", **{**WEB, **change})
    assert [finding["option"] for finding in refused.findings] == [option]
    assert words in refused.msg
    assert refused.findings[0]["value"] is None or str(refused.findings[0]["value"]) in refused.msg
    assert list((bench.node.root / "etc/pve/lxc").glob("*.conf")) == []
    assert not any(argv[0] == "pct" for argv in bench.node.commands())


def test_what_is_no_number_is_refused_by_name_and_value(bench: Bench) -> None:
    refused = bench.bad("lxc_create", **{**WEB, "memory": "lots"})
    assert "memory" in refused.msg
    assert "lots" in refused.msg


def test_all_findings_come_at_once(bench: Bench) -> None:
    refused = bench.bad(
        "lxc_create",
        **{
            **WEB,
            "hostname": "a_b",
            "ostemplate": "plan9",
            "networks": [{"bridge": "vmbr99", "tag": 4095}],
            "rootfs": {"storage": "nope", "size": 4},
        },
    )
    found = {finding["option"] for finding in refused.findings}
    assert found == {"hostname", "ostemplate", "networks[0].bridge", "networks[0].tag", "rootfs.storage"}


def test_a_vmid_of_a_vm_is_taken(bench: Bench) -> None:
    from embedded_node import commands

    assert commands.run(["qm", "create", "101", "--name", "vm1"], bench.node.root, b"")[0] == 0
    refused = bench.bad("lxc_create", **WEB)
    assert "is taken by a VM" in refused.msg


def test_addresses_of_neighbours_are_not_taken_again(bench: Bench) -> None:
    """A stopped guest may take turns with the new one, and a template never runs."""
    mac = bench.good("lxc_create", **WEB, state="started").config["networks"][0]["hwaddr"]
    twin = {**WEB, "vmid": 102, "hostname": "web2", "networks": [{**WEB["networks"][0], "hwaddr": mac}]}
    refused = bench.bad("lxc_create", **twin)
    assert {finding["option"] for finding in refused.findings} == {"networks[0].ip", "networks[0].hwaddr"}
    assert not bench.exists(102)
    bench.pct("stop", "101")
    told = [str(warning) for warning in bench.good("lxc_create", check=True, **twin).warnings]
    assert len([warning for warning in told if "guest 101 (web1), which is stopped" in warning]) == 2
    bench.pct("template", "101")
    answer = bench.good("lxc_create", check=True, **twin)
    assert not any("guest 101" in str(warning) for warning in answer.values.get("warnings", []))


def test_two_containers_of_one_name_need_a_vmid(bench: Bench) -> None:
    bench.good("lxc_create", **WEB)
    bench.pct("clone", "101", "102", "--hostname", "web1", "--full", "1")
    refused = bench.bad("lxc_create", hostname="web1", memory=64)
    assert "several guests: 101, 102" in refused.msg


# -- values as PVE keeps them --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"rootfs": {"storage": "local-lvm", "size": "100M"}},
        {"rootfs": {"storage": "local-lvm", "size": "1000M"}},
        {"cpulimit": 1.2345678},
        {"cpuunits": 10000},
        {"nameserver": [], "searchdomain": [], "env": [], "tags": []},
        {"networks": [{"bridge": "vmbr0", "trunks": [], "rate": 1234.5678}]},
        {"features": {"nesting": True, "fuse": False, "mount": []}},
        {"startup": {"order": 3}},
    ],
)
def test_a_second_run_finds_nothing_to_do(bench: Bench, change: Params) -> None:
    bench.good("lxc_create", **{**WEB, **change})
    again = bench.good("lxc_create", **{**WEB, **change})
    assert not again.changed, again.plan


def test_a_bare_startup_order_reads_as_one(bench: Bench) -> None:
    bench.good("lxc_create", **WEB)
    bench.pct("set", "101", "--startup", "3")
    assert bench.good("lxc_create", **WEB).config["startup"] == {"order": 3}
    assert not bench.good("lxc_create", **WEB, startup={"order": 3}).changed


def test_a_volume_that_grows_may_change_its_options_too(bench: Bench) -> None:
    bench.good("lxc_create", **WEB, state="started")
    more = {**WEB, "rootfs": {"size": "9G", "mountoptions": ["noatime"]}, "state": "started", "restart": "when_needed"}
    bench.good("lxc_create", **more)
    again = bench.good("lxc_create", **more)
    assert not again.changed, again.plan
    assert again.config["rootfs"]["size"] == "9G"


@pytest.mark.parametrize(
    ("change", "option"),
    [
        ({"clone_from": {"name": "nobody"}}, "clone_from.name"),
        ({"clone_from": {"vmid": 999}}, "clone_from.vmid"),
        ({"unprivileged": False}, "unprivileged"),
        ({"password": "secret12"}, "password"),
        ({"rootfs": {"size": "1G"}}, "rootfs.size"),
    ],
)
def test_what_a_clone_cannot_be_is_reported_before_it_is_made(bench: Bench, change: Params, option: str) -> None:
    bench.good("lxc_create", **WEB)
    refused = bench.bad("lxc_create", vmid=110, hostname="web2", **{"clone_from": {"vmid": 101}, **change})
    assert [finding["option"] for finding in refused.findings] == [option]
    assert not bench.exists(110)


def test_a_clone_grows_at_once(bench: Bench) -> None:
    bench.good("lxc_create", **WEB)
    declaration: Params = {"vmid": 110, "hostname": "web2", "clone_from": {"vmid": 101}, "rootfs": {"size": "9G"}}
    made = bench.good("lxc_create", **declaration)
    assert made.config["rootfs"]["size"] == "9G"
    assert not bench.good("lxc_create", **declaration).changed


# -- lists and what waits ------------------------------------------------------------------------------------------

DATA = [{"storage": "local-lvm", "size": "1G", "mp": f"/srv/{name}"} for name in "ab"]
CARDS = [{"bridge": "vmbr0", "tag": 20, "ip": "192.168.20.10/24"}, {"bridge": "vmbr1", "tag": 30, "ip": "dhcp"}]


def test_taking_the_first_entries_away_leaves_all_volumes_and_ports_where_they_are(bench: Bench) -> None:
    bench.good("lxc_create", **{**WEB, "mount_points": DATA, "networks": CARDS}, state="started")
    before = bench.config(101)
    for lists in (
        {"mount_points": DATA[1:], "networks": CARDS[1:]},
        {"mount_points": DATA[::-1], "networks": CARDS[::-1]},
    ):
        assert not bench.good("lxc_create", **{**WEB, **lists}).changed
    assert bench.config(101) == before
    added = {**DATA[0], "mp": "/srv/new"}
    bench.good("lxc_create", **{**WEB, "networks": CARDS, "mount_points": [added, *DATA]})
    mounts = {key: value for key, value in bench.config(101).items() if key.startswith("mp")}
    assert {key: mounts[key] for key in ("mp0", "mp1")} == {key: before[key] for key in ("mp0", "mp1")}
    assert ",mp=/srv/new," in mounts["mp2"]


def test_one_network_device_and_one_mount_point_go_by_themselves(bench: Bench) -> None:
    bench.good("lxc_create", **{**WEB, "mount_points": DATA, "networks": CARDS})
    gone = {"networks": [{"id": 1, "state": "absent"}], "mount_points": [{"mp": "/srv/a", "state": "absent"}]}
    answer = bench.good("lxc_create", hostname="web1", **gone)
    assert answer.plan == [{"step": "set", "delete": ["net1", "mp0"]}]
    assert {"mp1", "net0"} <= bench.config(101).keys()
    assert not bench.config(101).keys() & {"mp0", "net1"}
    assert answer.other_options.keys() == {"unused0"}
    assert not bench.good("lxc_create", hostname="web1", **gone).changed


def test_what_only_waits_is_taken_back(bench: Bench) -> None:
    bench.good("lxc_create", **WEB, state="started")
    assert bench.good("lxc_create", **WEB, tty=4, timezone="Europe/Berlin").pending.keys() == {"tty", "timezone"}
    foretold = bench.good("lxc_create", check=True, **WEB, tty=None, timezone=None)
    done = bench.good("lxc_create", **WEB, tty=None, timezone=None)
    assert foretold.plan == done.plan == [{"step": "set", "revert": ["timezone", "tty"]}]
    assert "tty" not in foretold.config
    assert done.pending == {}
    assert "[pve:pending]" not in (bench.node.root / "etc/pve/lxc/101.conf").read_text()
    assert not bench.good("lxc_create", **WEB, tty=None, restart="when_needed").changed


def test_what_has_a_value_and_another_that_waits_is_deleted_for_good(bench: Bench) -> None:
    bench.good("lxc_create", **WEB, tty=3, state="started")
    bench.good("lxc_create", **WEB, tty=4)
    done = bench.good("lxc_create", **WEB, tty=None, restart="when_needed")
    assert steps(done) == ["set", "shutdown", "start"]
    assert "tty" not in bench.config(101)
    assert not bench.good("lxc_create", **WEB, tty=None).changed


def test_what_a_running_container_refuses_does_not_wait_for_its_next_start(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.good("lxc_create", **WEB, state="started", cmode="shell")
    backend = CliChanges if bench.backend == "cli" else ApiChanges
    real = backend.set_config

    def refuses(self: t.Any, kind: t.Any, vmid: int, options: Params, *more: t.Any, **named: t.Any) -> Outcome:
        outcome = real(self, kind, vmid, options, *more, **named)
        if "tty" in options:
            raise PveError("unable to hotplug tty: no")
        return outcome

    monkeypatch.setattr(backend, "set_config", refuses)
    refused = bench.bad("lxc_create", **WEB, tty=4, cmode=None)
    assert "unable to hotplug tty" in refused.msg
    assert "[pve:pending]" not in (bench.node.root / "etc/pve/lxc/101.conf").read_text()


def test_a_network_card_that_a_failed_hotplug_has_taken_out_is_put_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PVE unplugs the card, forgets it, and only then tries the new bridge."""
    bench.good("lxc_create", **WEB, state="started")
    before = bench.config(101)
    backend = CliChanges if bench.backend == "cli" else ApiChanges
    real = backend.set_config

    def refuses(self: t.Any, kind: t.Any, vmid: int, options: Params, *more: t.Any, **named: t.Any) -> Outcome:
        if "tag=21" in options.get("net0", ""):
            bench.pct("set", str(vmid), "--delete", "net0")
            raise PveError("unable to hotplug net0: command failed")
        return real(self, kind, vmid, options, *more, **named)

    monkeypatch.setattr(backend, "set_config", refuses)
    moved = [{**WEB["networks"][0], "tag": 21}]
    assert "unable to hotplug net0" in bench.bad("lxc_create", **{**WEB, "networks": moved}).msg
    assert bench.config(101) == before


@pytest.mark.parametrize("size", ["1.1G", "1.5G", "1000M", "0.3", "1153434K"])
def test_a_size_is_the_same_the_second_time(bench: Bench, size: str) -> None:
    declared = {**WEB, "rootfs": {"storage": "local-lvm", "size": size}}
    bench.good("lxc_create", **declared)
    assert not bench.good("lxc_create", **declared).changed


def test_the_config_that_is_returned_can_be_declared(bench: Bench) -> None:
    full = {
        **WEB,
        "mount_points": DATA,
        "networks": CARDS,
        "features": {"nesting": True},
        "startup": {"order": 2},
        "nameserver": ["1.1.1.1", "fe80::1%eth0"],
        "description": "two\nlines",
        "timezone": "Europe/Berlin",
        "cpulimit": 1.5,
    }
    made = bench.good("lxc_create", **full)
    again = bench.good("lxc_create", **made.config)
    assert not again.changed
    assert again.config == made.config


def test_a_clone_of_a_running_container_does_not_get_its_address(bench: Bench) -> None:
    bench.good("lxc_create", **WEB, state="started")
    refused = bench.bad("lxc_create", hostname="twin", clone_from={"vmid": 101})
    assert refused.findings[0]["option"] == "net0.ip"
    moved = [{"bridge": "vmbr0", "tag": 20, "ip": "192.168.20.11/24"}]
    bench.good("lxc_create", check=True, hostname="twin", clone_from={"vmid": 101}, networks=moved)
