# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""guest_verify: declared guests looked at, on the node and over the API, and nothing changed. How each type of check is
judged is tested in ``_model/checks``."""

from __future__ import annotations

import socket
import threading
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._engine.verify import probes
from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import Check
from ansible_collections.pve.provision.plugins.module_utils._model.checks.network import Reply
from embedded_node import commands

from .conftest import Answer, Bench, Params

DEFAULTS: Params = {
    "type": "lxc",
    "ostemplate": "alpine-3.22-default",
    "rootfs": {"storage": "local-lvm", "size": 1},
    "state": "started",
}
ASKED: list[Params] = [{"type": "command", "command": "hostname", "expect": "^web1$"}, {"type": "route"}]


def web(*checks: Params, **more: t.Any) -> Params:
    networks = [{"bridge": "vmbr0", "ip": "10.0.0.1/24", "gateway": "10.0.0.254"}]
    return {"name": "web1", "memory": 256, "networks": networks, "checks": list(checks), **more}


def made(bench: Bench, *guests: Params) -> None:
    answer = bench.run("guests", defaults={**DEFAULTS, "run_checks": False}, guests=list(guests))
    assert not answer.failed, answer.msg
    bench.node.forget()


def look(bench: Bench, *guests: Params, **more: t.Any) -> Answer:
    return bench.run("guest_verify", defaults=DEFAULTS, guests=list(guests), **more)


def outcomes(answer: Answer, name: str = "web1") -> dict[str, str]:
    (guest,) = (entry for entry in answer.guests if entry["name"] == name)
    return {check["name"]: check["outcome"] for check in guest["checks"]}


def details(answer: Answer) -> dict[str, str]:
    return {check["name"]: check["detail"] for guest in answer.guests for check in guest["checks"]}


@pytest.fixture
def port() -> t.Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize("check", [False, True])
def test_a_guest_that_is_well_is_green_and_costs_one_command(bench: Bench, port: int, check: bool) -> None:
    guest = web(*ASKED, {"type": "tcp", "port": port, "address": "127.0.0.1"})
    made(bench, guest)
    answer = look(bench, guest, check=check)
    inside = "passed" if bench.backend == "cli" else "not_verified"
    assert not answer.failed
    assert outcomes(answer) == {
        "status": "passed", "address": "passed", "as declared": "passed", "hostname": inside,
        "default route for ipv4": inside, f"TCP port {port}": "passed",
    }  # fmt: skip
    assert answer.summary == {"passed": 6 if inside == "passed" else 4, "failed": 0,
                              "not_verified": 0 if inside == "passed" else 2}  # fmt: skip
    assert answer.guests[0]["outcome"] == inside
    assert (answer.changed, [argv[:2] for argv in bench.writes()]) == (
        False, [["pct", "exec"]] if bench.backend == "cli" else [],
    )  # fmt: skip


def test_what_nobody_can_look_at_is_reported_and_fails_where_that_is_wanted(bench: Bench) -> None:
    made(bench, web())
    if bench.backend == "cli":
        pytest.skip("on the node containers can be looked into")
    guest = web({"type": "command", "command": "true"})
    answer = look(bench, guest)
    assert details(answer)["true"] == "the API has no access to the inside of a container"
    assert "web1: not verified: true: the API has no access" in str(answer.warnings)
    assert look(bench, guest, strict=True).failed


def test_a_guest_that_differs_is_red_and_stays_as_it_is(bench: Bench) -> None:
    made(bench, web())
    answer = look(bench, web(memory=512))
    assert answer.failed
    assert outcomes(answer)["as declared"] == "failed"
    assert details(answer)["as declared"] == "memory: 256 -> 512"
    assert "web1: as declared: " in answer.msg
    assert bench.writes() == []


def test_what_cannot_change_in_place_is_a_difference_too(bench: Bench) -> None:
    made(bench, web())
    answer = look(bench, web(unprivileged=False))
    assert "unprivileged" in details(answer)["as declared"]


def test_a_stopped_guest_is_red_and_nothing_else_of_it_is_verified(bench: Bench) -> None:
    guest = web(*ASKED, {"type": "tcp", "port": 80})
    made(bench, guest)
    commands.run(["pct", "stop", str(vmid_of(bench))], bench.node.root, b"")
    answer = look(bench, guest)
    told = outcomes(answer)
    assert (told.pop("status"), told.pop("as declared")) == ("failed", "failed")
    assert set(told.values()) == {"not_verified"}
    assert details(answer)["status"] == "is stopped, not running"


def test_a_run_over_a_guest_that_does_not_run_names_its_checks(bench: Bench) -> None:
    guest = web(*ASKED, {"type": "tcp", "port": 80, "retries": 2}, state="present")
    for _each in range(2):
        answer = bench.good("guests", defaults=DEFAULTS, guests=[guest])
        found = {(check["outcome"], check["detail"], check["attempts"]) for check in answer.guests[0]["checks"]}
        assert (len(answer.guests[0]["checks"]), found) == (3, {("not_verified", "it is stopped", 1)})
        assert "not verified: TCP port 80: it is stopped" in str(answer.warnings)


def vmid_of(bench: Bench) -> int:
    return int(next((bench.node.root / "etc/pve/lxc").glob("*.conf")).stem)


def test_a_guest_that_is_not_there_is_red(bench: Bench) -> None:
    answer = look(bench, web(*ASKED))
    assert details(answer)["status"] == "is absent, not running"
    assert outcomes(answer)["hostname"] == "not_verified"


def test_a_guest_that_is_to_be_absent_is_green_when_it_is(bench: Bench) -> None:
    gone = web(state="absent")
    assert not look(bench, gone).failed
    made(bench, web())
    answer = look(bench, gone)
    assert details(answer)["status"] == "is running, not absent"


def test_a_number_that_belongs_to_another_guest_is_red(bench: Bench) -> None:
    made(bench, web())
    answer = look(bench, {**web(), "name": "other", "vmid": vmid_of(bench)})
    assert answer.failed
    assert "is called web1" in details(answer)["as declared"]


def test_all_that_is_wrong_with_checks_is_reported_before_anything_is_asked(bench: Bench) -> None:
    checks = [{"type": "tcp"}, {"type": "http", "expect": "("}, {"type": "interface", "interface": "lan"}]
    checks += [{"type": "disk", "max_percent": 101, "port": 5}]
    answer = look(bench, web(*checks), {"name": "web2", "checks": [{"type": "soup"}]})
    assert answer.failed
    assert {finding["option"] for finding in answer.findings} >= {
        "web1: checks[0].port", "web1: checks[1].expect", "web1: checks[2].type", "web1: checks[3].port",
        "web1: checks[3].max_percent",
    }  # fmt: skip
    assert any(finding["option"].startswith("web2: ") for finding in answer.findings)


def test_one_guest_that_is_red_keeps_no_other_from_being_looked_at(bench: Bench) -> None:
    other = {**web(), "name": "web2", "networks": [{"bridge": "vmbr0", "ip": "10.0.0.2/24"}]}
    made(bench, web(), other)
    answer = look(bench, web({"type": "status"}, memory=512), other, limit=["web1", "web2"])
    assert [guest["outcome"] for guest in answer.guests] == ["failed", "passed"]
    assert [guest["name"] for guest in look(bench, web(), other, limit=["web2"]).guests] == ["web2"]


# -- at the end of a run ---------------------------------------------------------------------------------------------


def test_a_run_makes_the_checks_and_reports_what_came_of_them(bench: Bench, port: int) -> None:
    guest = web({"type": "tcp", "port": port, "address": "127.0.0.1"})
    run = bench.good("guests", defaults=DEFAULTS, guests=[guest])
    assert [(check["outcome"], check["by"]) for check in run.guests[0]["checks"]] == [("passed", "127.0.0.1")]
    assert not bench.good("guests", defaults=DEFAULTS, guests=[guest]).changed


def test_a_check_that_fails_fails_the_run_and_check_mode_of_what_is_unchanged(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    guest = web({"type": "tcp", "port": port, "address": "127.0.0.1", "timeout": 0})
    for check in (False, True):
        run = bench.run("guests", check=check, defaults=DEFAULTS, guests=[guest])
        if check:
            assert run.failed
            assert "connection refused" in run.msg
        else:
            assert "does not pass its checks" in run.msg
    assert not bench.good("guests", defaults={**DEFAULTS, "run_checks": False}, guests=[guest]).changed


def test_guests_that_are_as_declared_are_looked_at_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2)

    def meet(asked: Check, address: str) -> Reply:
        both.wait(timeout=120)
        return Reply("answered", "tcp", address)

    monkeypatch.setitem(probes.PROBES, "tcp", meet)
    checks = [{"type": "tcp", "port": 80, "address": "192.0.2.1"}]
    guests = [{**web(*checks), "name": name, "networks": []} for name in ("web1", "web2")]
    made(bench, *guests)
    run = bench.good("guests", defaults=DEFAULTS, guests=guests, concurrency="2")
    assert [guest["checks"][0]["outcome"] for guest in run.guests] == ["passed", "passed"]
    assert bench.good("guest_verify", defaults=DEFAULTS, guests=guests, concurrency="2").summary["failed"] == 0


# -- routers ---------------------------------------------------------------------------------------------------------

WITHIN: list[Params] = [
    {"type": "interface", "interface": "lan"},
    {"type": "firewall"},
    {"type": "service", "service": "dnsmasq", "enabled": True},
    {"type": "package", "package": "base-files"},
    {"type": "uptime", "min_seconds": 0},
]


def router(gateway: Params, **more: t.Any) -> Params:
    return {"name": "gw", "type": "openwrt_lxc", **{k: v for k, v in gateway.items() if k != "hostname"}, **more}


def test_a_router_is_asked_by_its_own_words(entered: Bench, gateway: Params) -> None:
    more = dict(entered.defaults)
    entered.defaults.clear()
    guest = router(gateway, checks=WITHIN, checks_timeout=0, **more)
    entered.good("guests", guests=[guest])
    entered.node.forget()
    answer = entered.run("guest_verify", guests=[guest])
    if entered.backend == "cli":
        assert [argv[:2] for argv in entered.writes() if argv[0] != "nsenter"] == [["pct", "exec"]]
    told = outcomes(answer, "gw")
    assert {name: outcome for name, outcome in told.items() if outcome != "passed"} == {}, answer.table
    assert "ubus" in {check["by"].split(", ")[-1] for check in answer.guests[0]["checks"]}

    vmid = answer.guests[0]["vmid"]
    for words in (["firewall", "stop"], ["dnsmasq", "stop"]):
        entered.pct("exec", str(vmid), "--", f"/etc/init.d/{words[0]}", words[1])
    entered.pct("exec", str(vmid), "--", "uci", "set", "network.lan.ipaddr=192.168.99.1")
    entered.pct("exec", str(vmid), "--", "uci", "commit", "network")
    red = outcomes(entered.run("guest_verify", guests=[guest]), "gw")
    assert {name for name, outcome in red.items() if outcome == "failed"} == {
        "firewall", "service dnsmasq", "as declared",
    }  # fmt: skip


def test_a_router_that_nobody_can_enter_is_not_verified(bench: Bench, gateway: Params) -> None:
    if bench.backend == "cli":
        pytest.skip("the node can enter any container")
    guest = router(gateway, checks=[{"type": "firewall"}])
    bench.good("guests", guests=[guest])
    answer = bench.good("guest_verify", guests=[guest])
    told = outcomes(answer, "gw")
    assert (told["firewall"], told["as declared"]) == ("not_verified", "not_verified")


# -- VMs -------------------------------------------------------------------------------------------------------------

MACHINE: Params = {
    "name": "vm1",
    "type": "vm",
    "state": "started",
    "agent": {"enabled": True},
    "disks": [{"storage": "local-lvm", "size": "1G"}],
    "networks": [{"bridge": "vmbr0"}],
    "checks": [{"type": "agent", "timeout": 0}, {"type": "command", "command": "true", "timeout": 0}],
}


def test_a_vm_whose_agent_is_silent_is_red_and_nothing_in_it_is_verified(bench: Bench) -> None:
    bench.good("guests", guests=[{**MACHINE, "run_checks": False}])
    told = outcomes(bench.bad("guest_verify", guests=[MACHINE]), "vm1")
    assert (told["guest agent"], told["true"]) == ("failed", "not_verified")


def test_a_vm_without_an_agent_cannot_be_asked(bench: Bench) -> None:
    guest = {**MACHINE, "agent": {"enabled": False}}
    bench.good("guests", guests=[{**guest, "run_checks": False}])
    answer = bench.good("guest_verify", guests=[guest])
    assert outcomes(answer, "vm1") == {
        "status": "passed", "as declared": "passed", "guest agent": "not_verified", "true": "not_verified",
    }  # fmt: skip
    assert details(answer)["true"] == "it has no guest agent"
    assert details(answer)["guest agent"] == "its config has no guest agent that could be asked"


def test_what_a_run_would_refuse_is_a_difference(bench: Bench) -> None:
    guest = {**MACHINE, "checks": [], "agent": {"enabled": False}}
    bench.good("guests", guests=[guest])
    refused = bench.bad("guests", check=True, guests=[{**guest, "gpu": True}])
    told = details(bench.bad("guest_verify", guests=[{**guest, "gpu": True}]))["as declared"]
    assert "finds no graphics card" in refused.msg
    assert told.startswith("gpu: finds no graphics card")
