# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What openwrt_lxc does: a router that is configured before its first boot, and kept as declared."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from fake_clock import ImpatientClock

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._guests import sweep as sweeping
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt import lxc_steps
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt import router_guest as openwrt_guest
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt import running as openwrt
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.lxc import OpenWrtContainer
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.lxc_steps import Seed
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.running import Router
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.containers import CliContainers
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.network import CliNetwork
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.running import CliRunning
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed

from .conftest import Answer, Bench, steps
from .routers import INTERFACES, KEY, Params, killed, segments, uci, vmids


def test_a_router_comes_up_as_declared_and_is_then_left_alone(entered: Bench, gateway: Params) -> None:
    made = entered.good("openwrt_lxc", **gateway)
    seeded = ["create", "seed"] if entered.backend == "cli" else ["create"]
    assert steps(made) == ["template", *seeded, "start", "await_up"]
    config = entered.config(made.vmid)
    assert (config["ostype"], config["features"], config["memory"]) == ("unmanaged", "nesting=1", "256")
    assert "unprivileged" not in config
    assert {entry["address"] for entry in made.addresses if entry["interface"] == "lan"} == {"192.168.20.1"}
    assert made.addresses[-1]["source"] == "ubus"
    assert made.openwrt["version"].startswith("24.10.")
    assert uci(entered, made.vmid, "get", "network.lan.proto") == "static"
    assert entered.pct("exec", str(made.vmid), "--", "cat", "/etc/dropbear/authorized_keys").strip() == KEY
    again = entered.good("openwrt_lxc", **gateway)
    assert not again.changed, again.plan
    assert again.plan == []


def test_a_router_with_ipv6_is_left_alone_too(router: Bench, gateway: Params) -> None:
    declared = {name: {**INTERFACES[name], "ip6": "pd"} for name in ("wan", "lan")}
    made = router.good("openwrt_lxc", **{**gateway, "interfaces": declared})
    assert uci(router, made.vmid, "get", "network.globals.ula_prefix").startswith("fd"), "the first boot has drawn one"
    again = router.good("openwrt_lxc", **{**gateway, "interfaces": declared})
    assert (again.changed, again.plan) == (False, [])


def test_it_never_shows_itself_as_an_unconfigured_router(entered: Bench, gateway: Params) -> None:
    made = entered.good("openwrt_lxc", **gateway)
    seen = segments(entered, made.vmid)
    assert seen, "the embedded node listens on its bridges"
    assert not [event for event in seen if "192.168.1.1" in str(event["value"])]
    assert {event["bridge"] for event in seen if event["event"] == "dhcp_server"} == {"vmbr1"}


def test_a_single_interface_serves_nothing(router: Bench, gateway: Params) -> None:
    declaration = {**gateway, "interfaces": {"lan": {"bridge": "vmbr0", "proto": "dhcp"}}}
    made = router.good("openwrt_lxc", **declaration, ip_timeout=300)
    assert not [event for event in segments(router, made.vmid) if event["event"] in {"dhcp_server", "ra"}]
    assert made.addresses[0]["interface"] == "lan"
    assert not router.good("openwrt_lxc", **declaration, ip_timeout=300).changed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"interfaces": {**INTERFACES, "lan": {**INTERFACES["lan"], "address": "192.168.21.1/24"}}},
            "network.lan.ipaddr='192.168.21.1'",
        ),
        ({"timezone": "CET-1CEST"}, "system.@system[0].timezone='CET-1CEST'"),
        ({"uci": {"system": {"@system[0]": {"log_size": 256}}}}, "system.@system[0].log_size='256'"),
    ],
)
def test_a_change_sets_only_what_differs(entered: Bench, gateway: Params, change: Params, words: str) -> None:
    if entered.backend == "api" and "interfaces" in change:
        pytest.skip("the address that a router is entered by cannot be changed by SSH")
    entered.good("openwrt_lxc", **gateway)
    predicted = entered.good("openwrt_lxc", check=True, **{**gateway, **change})
    changed = entered.good("openwrt_lxc", **{**gateway, **change})
    assert (predicted.plan, predicted.diff) == (changed.plan, changed.diff)
    assert steps(changed) == ["configure"]
    assert len(changed.plan[0]["uci"]) <= 2
    assert any(words.split("=")[1] in word for word in changed.plan[0]["uci"])
    assert not entered.good("openwrt_lxc", **{**gateway, **change}).changed


def test_services_are_as_declared_from_the_first_boot_on(entered: Bench, gateway: Params) -> None:
    def rows(vmid: int) -> dict[str, list[str]]:
        told = entered.pct("exec", str(vmid), "--", "service")
        return {line.split()[0].rpartition("/")[2]: line.split()[1:] for line in told.splitlines()[1:]}

    declaration = {**gateway, "services": {"odhcpd": False, "sqm": True}}
    made = entered.good("openwrt_lxc", **declaration)
    assert rows(made.vmid)["odhcpd"] == ["disabled", "stopped"]
    assert "service sqm is not there" in str(made.warnings)
    assert not entered.good("openwrt_lxc", **declaration).changed
    changed = entered.good("openwrt_lxc", **gateway, services={"odhcpd": True, "dropbear": False})
    assert changed.plan == [{"step": "configure", "services": ["enable odhcpd", "disable dropbear"]}]
    assert rows(made.vmid)["odhcpd"] == ["enabled", "running"]
    assert rows(made.vmid)["dropbear"] == ["disabled", "stopped"]
    assert not entered.good("openwrt_lxc", **gateway, services={"odhcpd": True, "dropbear": False}).changed


def test_what_was_changed_by_hand_inside_is_brought_back(entered: Bench, gateway: Params) -> None:
    vmid = entered.good("openwrt_lxc", **gateway).vmid
    entered.pct("exec", str(vmid), "--", "uci", "set", "dhcp.lan.limit=7")
    entered.pct("exec", str(vmid), "--", "uci", "commit", "dhcp")
    assert steps(entered.good("openwrt_lxc", **gateway)) == ["configure"]
    assert uci(entered, vmid, "get", "dhcp.lan.limit") == "150"


def test_options_of_the_container_change_by_the_same_engine(entered: Bench, gateway: Params) -> None:
    vmid = entered.good("openwrt_lxc", **gateway).vmid
    changed = entered.good("openwrt_lxc", **gateway, memory=512, tags=["router"])
    assert steps(changed) == ["set"]
    assert entered.config(vmid)["memory"] == "512"


def test_a_new_interface_gets_its_device_and_its_configuration(entered: Bench, gateway: Params) -> None:
    vmid = entered.good("openwrt_lxc", **gateway).vmid
    more = {**INTERFACES, "iot": {"bridge": "vmbr1", "tag": 30, "address": "192.168.30.1/24", "dhcp_server": {}}}
    changed = entered.good("openwrt_lxc", **{**gateway, "interfaces": more})
    assert steps(changed) == ["set", "configure"]
    assert "tag=30" in entered.config(vmid)["net2"]
    assert uci(entered, vmid, "get", "network.iot.device") == "eth2"
    assert not entered.good("openwrt_lxc", **{**gateway, "interfaces": more}).changed


def test_states_and_removal(entered: Bench, gateway: Params) -> None:
    vmid = entered.good("openwrt_lxc", **gateway).vmid
    assert entered.good("openwrt_lxc", **gateway, state="stopped").status == "stopped"
    assert steps(entered.good("openwrt_lxc", **gateway))[0] == "start"
    gone = entered.good("openwrt_lxc", vmid=vmid, hostname="gw", state="absent", force=True)
    assert gone.status == "absent"
    assert not entered.exists(vmid)


@pytest.mark.parametrize(
    ("change", "option", "words"),
    [
        ({"ostype": "debian"}, "ostype", "is not possible for OpenWrt"),
        ({"unprivileged": True}, "unprivileged", "is not possible for OpenWrt"),
        ({"template": "debian-13-standard"}, "template", "is not an OpenWrt"),
        (
            {"interfaces": {"a": {"bridge": "vmbr1", "proto": "dhcp"}, "b": {"bridge": "vmbr1", "proto": "dhcp"}}},
            "interfaces",
            "segment",
        ),
        (
            {"interfaces": {"lan": {"bridge": "vmbr0", "address": "10.9.9.1/24", "dhcp_server": {}}}},
            "interfaces.lan",
            "node",
        ),
        ({"interfaces": {"lan": {"bridge": "vmbr1", "address": "10.9.9.1"}}}, "interfaces.lan.address", "10.9.9.1"),
        ({"services": {"network": False}}, "services.network", "inaccessible"),
        ({"services": {"uhttpd": "off"}}, "services.uhttpd", "neither true nor false"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    bench: Bench, gateway: Params, change: Params, option: str, words: str
) -> None:
    refused = bench.bad("openwrt_lxc", **{**gateway, **change})
    assert any(finding["option"].startswith(option) for finding in refused.findings), refused.msg
    assert words in refused.msg
    assert list((bench.node.root / "etc/pve/lxc").glob("*.conf")) == []


def test_a_container_of_another_system_is_never_made_into_a_router(bench: Bench, gateway: Params) -> None:
    bench.good("lxc_create", hostname="gw", ostemplate="debian-13-standard")
    assert "not an OpenWrt" in bench.bad("openwrt_lxc", **gateway).msg


def test_over_the_api_the_configuration_is_baked_into_the_template(bench: Bench, gateway: Params) -> None:
    if bench.backend == "cli":
        pytest.skip("on the node the files are written into the container")
    made = bench.good("openwrt_lxc", **gateway)
    assert steps(made) == ["template", "create", "start", "await_up"]
    assert uci(bench, made.vmid, "get", "network.lan.ipaddr") == "192.168.20.1"
    assert made.openwrt == {"drift": "unknown", "reason": OpenWrtContainer.no_access_reason}
    assert not bench.good("openwrt_lxc", **gateway).changed


def test_a_router_is_not_awaited_at_an_address_that_uci_changes(bench: Bench, gateway: Params) -> None:
    declared = {**gateway, "uci": {"network": {"lan": {"ipaddr": "192.168.99.1"}}}}
    made = bench.good("openwrt_lxc", **declared)
    assert uci(bench, made.vmid, "get", "network.lan.ipaddr") == "192.168.99.1"
    assert not bench.good("openwrt_lxc", **declared).changed


def test_nothing_is_left_of_a_template_that_holds_secrets(bench: Bench, gateway: Params, tmp_path: Path) -> None:
    if bench.backend == "cli":
        pytest.skip("on the node the files are written into the container")
    bench.good("openwrt_lxc", **gateway)
    kept = {path.name for top in (bench.node.root / "var/lib", tmp_path) for path in top.rglob("openwrt-*-lxc_*")}
    assert kept <= {"openwrt-24.10.4-lxc_amd64.tar.gz"}


def test_what_killed_runs_have_left_on_a_storage_is_removed_once_nobody_can_be_using_it(
    bench: Bench, gateway: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bench.backend == "cli":
        pytest.skip("on the node the files are written into the container")
    folder = bench.node.root / "var/lib/vz/template/cache"
    left = folder / "openwrt-24.10.3-router-0123abcd-lxc_amd64.tar.gz"
    mine = folder / "openwrt-24.10.3-0123abcd-lxc_amd64.tar.gz"
    for path in (left, mine):
        path.write_bytes(b"a router's secrets")
    bench.good("openwrt_lxc", **gateway)
    assert left.exists(), "another run may be about to use it"
    monkeypatch.setattr(sweeping, "IN_USE", -60)
    bench.good("openwrt_lxc", **{**gateway, "hostname": "gw2"})
    assert (left.exists(), mine.exists()) == (False, True)
    mine.unlink()


def test_over_the_api_a_template_of_ones_own_is_refused(bench: Bench, gateway: Params) -> None:
    if bench.backend == "cli":
        pytest.skip("on the node it is configured before its first boot")
    bench.good("openwrt_template", version="24", mirrors=gateway["mirrors"], keys=gateway["keys"])
    refused = bench.bad("openwrt_lxc", **gateway, template="openwrt-24.10.4-lxc_amd64.tar.gz")
    assert refused.findings[0]["option"] == "template"
    assert "before its first boot" in refused.msg
    assert vmids(bench) == []


def test_over_the_api_an_upgrade_needs_a_look_inside(bench: Bench, gateway: Params) -> None:
    if bench.backend == "cli":
        pytest.skip("on the node there always is one")
    bench.good("openwrt_lxc", **gateway, version="23.05", upgrade=True)
    refused = bench.bad("openwrt_lxc", **gateway, version="24", upgrade=True)
    assert refused.findings[0]["option"] == "upgrade"
    assert "ssh_private_key" in refused.msg


def test_a_router_that_cannot_be_reached_by_ssh_is_made_all_the_same(
    bench: Bench, gateway: Params, clock: ImpatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bench.backend == "cli":
        pytest.skip("on the node nobody needs SSH")
    nobody = Completed(255, "", "No route to host")
    monkeypatch.setattr(openwrt_guest, "ssh", lambda *_way: lambda script, timeout: nobody)
    made = bench.good("openwrt_lxc", **gateway, ssh_private_key="/root/.ssh/id_ed25519")
    assert made.status == "running"
    assert made.openwrt["drift"] == "unknown"
    assert "No route to host" in made.openwrt["reason"]


def test_a_failed_start_takes_the_router_back(bench: Bench, gateway: Params) -> None:
    bench.node.fault("fail_start", nth=1)
    failed = bench.bad("openwrt_lxc", **gateway)
    assert failed.step == "start"
    assert list((bench.node.root / "etc/pve/lxc").glob("*.conf")) == []


LEASED: Params = {**INTERFACES, "wan": {"bridge": "vmbr0", "proto": "dhcp"}}


def sources(answer: Answer) -> list[tuple[str, str]]:
    return [(entry["interface"], entry["source"]) for entry in answer.addresses]


def met(patch: pytest.MonkeyPatch, bench: Bench, vmid: int) -> None:
    """Let the node have met the router's WAN at an address."""
    patch.setattr(CliNetwork, "neighbours", lambda self: {mac_of(bench.config(vmid)["net0"]): ["10.10.10.9"]})


def mac_of(net: str) -> str:
    """The MAC address that PVE gave a network device."""
    return net.split("hwaddr=")[1].split(",")[0]


def test_a_router_that_reports_its_addresses_is_asked_once_and_nobody_else(router: Bench, gateway: Params) -> None:
    declaration = {**gateway, "interfaces": LEASED, "ip_timeout": 300}
    made = router.good("openwrt_lxc", **declaration)
    assert sources(made) == [("wan", "ubus"), ("lan", "ubus")]
    router.node.forget()
    router.good("openwrt_lxc", **declaration)
    assert [argv[:2] for argv in router.node.commands()] == [["pct", "exec"]]


def test_over_the_api_pve_is_asked_until_the_lease_is_there(bench: Bench, gateway: Params) -> None:
    if bench.backend == "cli":
        pytest.skip("on the node the router itself is asked")
    made = bench.good("openwrt_lxc", **{**gateway, "interfaces": LEASED, "ip_timeout": 300, "require_ip": True})
    assert sources(made) == [("wan", "guest"), ("lan", "guest")]
    assert made.openwrt == {"drift": "unknown", "reason": OpenWrtContainer.no_access_reason}


@pytest.mark.parametrize(
    ("silent", "found"),
    [
        (["probe"], [("wan", "guest"), ("lan", "guest")]),
        (["probe", "interfaces"], [("wan", "neighbour"), ("lan", "declared")]),
        (["probe", "interfaces", "neighbours"], [("lan", "declared")]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value[0], str) else "",
)
def test_where_one_does_not_answer_the_next_is_asked(
    router: Bench,
    gateway: Params,
    clock: ImpatientClock,
    monkeypatch: pytest.MonkeyPatch,
    silent: list[str],
    found: list[tuple[str, str]],
) -> None:
    def refuse(self: t.Any, *_args: t.Any) -> t.NoReturn:
        raise PveError("lxc-attach: no answer")

    for name in silent:
        monkeypatch.setattr({"probe": Router, "interfaces": CliRunning, "neighbours": CliNetwork}[name], name, refuse)
    made = router.good("openwrt_lxc", **{**gateway, "interfaces": LEASED, "ip_timeout": 60})
    assert sources(made) == found
    assert made.openwrt == {"drift": "unknown", "reason": "lxc-attach: no answer"}
    assert ("no address on wan after 60 s" in str(made.values.get("warnings"))) == ("neighbours" in silent)


def test_what_a_router_waits_for_is_not_taken_from_an_old_lease(
    router: Bench, gateway: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    declaration = {**gateway, "interfaces": LEASED, "ip_timeout": 300}
    made = router.good("openwrt_lxc", **declaration)
    met(monkeypatch, router, made.vmid)
    router.node.forget()
    restarted = router.good("openwrt_lxc", **declaration, state="restarted")
    assert sources(restarted) == [("wan", "ubus"), ("lan", "ubus")]
    assert "pvesh" not in {argv[0] for argv in router.node.commands()}


def test_when_the_wait_is_over_the_node_is_asked_whom_it_has_met(
    router: Bench, gateway: Params, clock: ImpatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The WAN's network has no DHCP server."""
    made = router.good("openwrt_lxc", **gateway, ip_timeout=60)
    assert "no address on wan after 60 s" in str(made.warnings)
    assert "no address on wan after 0 s" in router.bad("openwrt_lxc", **gateway, require_ip=True).msg
    met(monkeypatch, router, made.vmid)
    router.node.forget()
    again = router.good("openwrt_lxc", **gateway, ip_timeout=60, require_ip=True)
    assert sources(again) == [("wan", "neighbour"), ("lan", "ubus")]
    assert again.addresses[0] == {
        "interface": "wan", "address": "10.10.10.9", "prefix": None, "family": "ipv4",
        "hwaddr": mac_of(router.config(made.vmid)["net0"]), "source": "neighbour",
    }  # fmt: skip
    assert "pvesh" not in {argv[0] for argv in router.writes()}


def test_a_change_that_cuts_off_the_management_is_taken_back(
    router: Bench, gateway: Params, clock: ImpatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The router answers at its old address; after the change nothing answers any more."""
    vmid = router.good("openwrt_lxc", **gateway).vmid
    monkeypatch.setattr(openwrt, "answers", lambda address: address == "192.168.20.1")
    moved = {**INTERFACES, "lan": {**INTERFACES["lan"], "address": "192.168.99.1/24"}}
    failed = router.bad("openwrt_lxc", **{**gateway, "interfaces": moved}, confirm_timeout=600)
    assert "can no longer be reached" in failed.msg
    assert "was rolled back" in failed.msg
    assert uci(router, vmid, "get", "network.lan.ipaddr") == "192.168.20.1"
    assert not router.good("openwrt_lxc", **gateway).changed


@pytest.mark.parametrize("moment", ["before the seed", "inside the seed"])
def test_a_router_whose_maker_was_killed_before_it_was_configured_is_recreated(
    router: Bench, gateway: Params, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    with monkeypatch.context() as patched:
        if moment == "before the seed":
            patched.setattr(Seed, "run", killed)
        else:
            patched.setattr(lxc_steps, "seed", killed)
            patched.setattr(CliContainers, "unmount", lambda self, vmid: None)
        with pytest.raises(KeyboardInterrupt):
            router.run("openwrt_lxc", **gateway)
    made = router.good("openwrt_lxc", **gateway)
    assert steps(made)[0] == "clean_up"
    assert not [event for event in segments(router, made.vmid) if "192.168.1.1" in str(event["value"])]
    assert {event["bridge"] for event in segments(router, made.vmid) if event["event"] == "dhcp_server"} == {"vmbr1"}
    assert len(vmids(router)) == 1


def test_a_running_router_is_not_made_to_serve_where_the_node_lives(router: Bench, gateway: Params) -> None:
    quiet = {**INTERFACES, "lan": {"bridge": "vmbr0", "address": "192.168.20.1/24"}}
    router.good("openwrt_lxc", **{**gateway, "interfaces": quiet})
    serving = {**quiet, "lan": {**quiet["lan"], "dhcp_server": {}}}
    assert "node" in router.bad("openwrt_lxc", **{**gateway, "interfaces": serving}).msg


# -- what purge_options takes, and what PPPoE needs -----------------------------------------------------------------


def test_purge_options_takes_nothing_that_the_module_chose_itself(bench: Bench, gateway: Params) -> None:
    made = bench.good("openwrt_lxc", **gateway, purge_options=True)
    assert not bench.good("openwrt_lxc", **gateway, purge_options=True).changed
    config = bench.config(made.vmid)
    assert {key: config[key] for key in ("cores", "memory", "swap", "onboot")} == {
        "cores": "1",
        "memory": "256",
        "swap": "0",
        "onboot": "1",
    }
    bench.pct("set", str(made.vmid), "--description", "by hand")
    assert bench.good("openwrt_lxc", **gateway, purge_options=True).plan == [{"step": "set", "delete": ["description"]}]


DIALLING = {
    "wan": {"bridge": "vmbr0", "tag": 7, "proto": "pppoe", "username": "user#1@isp.example", "password": "p'a\"s;$ #x"},
    "lan": INTERFACES["lan"],
}


def test_pppoe_brings_the_device_that_it_needs(bench: Bench, gateway: Params) -> None:
    params = {**gateway, "interfaces": DIALLING}
    made = bench.good("openwrt_lxc", **params)
    assert bench.config(made.vmid)["dev0"] == "/dev/ppp"
    again = bench.good("openwrt_lxc", **params)
    assert not again.changed
    if bench.backend == "cli":
        told = [str(warning) for warning in again.warnings]
        assert any("wan is not up: no provider has answered by PPPoE" in warning for warning in told)


def test_pppoe_takes_the_declared_device(bench: Bench, gateway: Params) -> None:
    devices = [{"path": "/dev/ppp", "mode": "0600"}]
    made = bench.good("openwrt_lxc", **{**gateway, "interfaces": DIALLING, "devices": devices})
    config = bench.config(made.vmid)
    assert [config.get(f"dev{n}") for n in range(2)] == ["/dev/ppp,mode=0600", None]


# -- which port is which --------------------------------------------------------------------------------------------

IOT = {"bridge": "vmbr1", "tag": 30, "proto": "static", "address": "192.168.30.1/24"}


def test_interfaces_keep_their_ports_in_another_order_and_a_removed_one_is_unplugged(
    entered: Bench, gateway: Params
) -> None:
    wan, lan = INTERFACES["wan"], INTERFACES["lan"]
    params = {**gateway, "interfaces": {"wan": wan, "iot": IOT, "lan": lan}}
    vmid = entered.good("openwrt_lxc", **params).vmid
    before = entered.config(vmid)
    assert not entered.good("openwrt_lxc", **{**params, "interfaces": {"lan": lan, "iot": IOT, "wan": wan}}).changed
    fewer = {**params, "interfaces": {"lan": lan, "wan": wan}}
    told = entered.good("openwrt_lxc", check=True, **fewer)
    done = entered.good("openwrt_lxc", **fewer)
    assert told.plan == done.plan
    assert done.plan[0] == {"step": "set", "delete": ["net1"]}
    assert "-network.iot" in done.plan[1]["uci"] and "-dhcp.iot" in done.plan[1]["uci"]
    after = entered.config(vmid)
    assert (after["net0"], after.get("net1"), after["net2"]) == (before["net0"], None, before["net2"])
    assert not entered.good("openwrt_lxc", **fewer).changed


def test_a_port_that_somebody_plugged_in_stays(router: Bench, gateway: Params) -> None:
    vmid = router.good("openwrt_lxc", **gateway).vmid
    router.pct("set", str(vmid), "--net2", "name=eth2,bridge=vmbr1,tag=77")
    assert not router.good("openwrt_lxc", **gateway).changed


# -- changes that wait for their confirmation -----------------------------------------------------------------------

MOVED = {**INTERFACES, "lan": {**INTERFACES["lan"], "address": "192.168.21.1/24"}}


def test_the_change_of_a_killed_run_is_waited_for_and_reported(
    router: Bench, gateway: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    vmid = router.good("openwrt_lxc", **gateway).vmid
    moved = {**gateway, "interfaces": MOVED, "confirm_timeout": 20}
    with monkeypatch.context() as patch:
        patch.setattr(Router, "_confirm", killed)
        with pytest.raises(KeyboardInterrupt):
            router.run("openwrt_lxc", **moved)
    assert uci(router, vmid, "get", "network.lan.ipaddr") == "192.168.21.1"
    told = router.good("openwrt_lxc", check=True, **moved)
    done = router.good("openwrt_lxc", **moved)
    assert told.plan == done.plan == [{"step": "configure", "uci": ["network.lan.ipaddr='192.168.21.1'"]}]
    for answer in (told, done):
        assert any("this run waits until" in str(warning) for warning in answer.warnings)
    assert not router.good("openwrt_lxc", **moved).changed
    assert uci(router, vmid, "get", "network.lan.ipaddr") == "192.168.21.1"


def test_a_router_that_is_managed_from_where_no_address_comes_goes_back(router: Bench, gateway: Params) -> None:
    vmid = router.good("openwrt_lxc", **gateway).vmid
    lan = {"bridge": "vmbr1", "tag": 20, "proto": "dhcp"}
    params = {**gateway, "interfaces": {**INTERFACES, "lan": lan}, "start_timeout": 3}
    answer = router.bad("openwrt_lxc", **params)
    assert "none of its management interfaces (lan) has an address, so it was rolled back" in answer.msg
    assert uci(router, vmid, "get", "network.lan.proto") == "static"
    assert not router.good("openwrt_lxc", **gateway).changed


def test_a_change_beside_another_run_is_refused(router: Bench, gateway: Params) -> None:
    vmid = router.good("openwrt_lxc", **gateway).vmid
    router.pct(
        "exec", str(vmid), "--", "sh", "-c", "echo x > /tmp/.uci/network || mkdir /tmp/.uci; echo x > /tmp/.uci/network"
    )
    answer = router.bad("openwrt_lxc", **{**gateway, "interfaces": MOVED})
    assert "the router rejected the change: network has changes that are not committed" in answer.msg
    assert "uci changes" in answer.msg


# -- where the node itself lives ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stanza",
    [
        "iface vmbr1.20 inet static\n\taddress 198.51.100.2/24\n",
        "iface vlan20 inet static\n\taddress 198.51.100.2/24\n\tvlan-raw-device vmbr1\n",
    ],
)
def test_no_dhcp_is_served_where_the_node_has_an_address(bench: Bench, gateway: Params, stanza: str) -> None:
    interfaces = bench.node.root / "etc/network/interfaces"
    before = interfaces.read_text(encoding="utf-8")
    interfaces.write_text(f"{before}\nauto x\n{stanza}", encoding="utf-8")
    refused = bench.bad("openwrt_lxc", check=True, **gateway)
    allowed = bench.run("openwrt_lxc", check=True, **gateway, allow_shared_segment=True)
    assert [finding["option"] for finding in refused.findings] == ["interfaces.lan.dhcp_server"]
    assert "vmbr1.20, which carries the node's own address 198.51.100.2/24" in refused.msg
    assert not allowed.failed


# -- what somebody did by hand --------------------------------------------------------------------------------------


def test_a_stopped_service_and_other_keys_are_reported_and_brought_in_line(router: Bench, gateway: Params) -> None:
    params = {**gateway, "services": {"odhcpd": True}}
    vmid = router.good("openwrt_lxc", **params).vmid
    router.pct("exec", str(vmid), "--", "/etc/init.d/odhcpd", "stop")
    router.pct("exec", str(vmid), "--", "sh", "-c", "echo 'ssh-ed25519 AAAA other' > /etc/dropbear/authorized_keys")
    told = router.good("openwrt_lxc", check=True, **params)
    done = router.good("openwrt_lxc", **params)
    assert told.plan == done.plan and told.diff == done.diff
    (step,) = done.plan
    assert (step["services"], step["files"]) == (["start odhcpd"], ["etc/dropbear/authorized_keys"])
    assert done.diff["before"]["ssh_keys"] == ["ssh-ed25519 AAAA other"]
    assert done.diff["after"]["ssh_keys"] == [KEY]
    assert not router.good("openwrt_lxc", **params).changed


def test_over_the_api_the_next_run_removes_what_a_killed_one_has_left_of_a_router_s_secrets(
    bench: Bench, gateway: Params, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if bench.backend == "cli":
        pytest.skip("on the node no template holds a router's configuration")
    places = [bench.node.root / "var/lib/vz/template/cache", tmp_path / "cache"]

    def left() -> list[Path]:
        return [path for place in places for path in place.rglob("openwrt-*-router-*.gz")]

    with monkeypatch.context() as patched:
        patched.setattr(OpenWrtContainer, "tidy", killed)
        with pytest.raises(KeyboardInterrupt):
            bench.run("openwrt_lxc", **gateway)
    assert left() != []
    assert not bench.good("openwrt_lxc", **gateway).changed
    assert left() == []
