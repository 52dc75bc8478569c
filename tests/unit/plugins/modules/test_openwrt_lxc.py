# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What openwrt_lxc does: a router that is configured before its first boot, and kept as declared."""

from __future__ import annotations

import gzip
import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError, Timeout
from ansible_collections.pve.provision.plugins.module_utils._pve.cli import CliNode
from ansible_collections.pve.provision.plugins.module_utils._pve.node import Completed
from ansible_collections.pve.provision.plugins.module_utils._workflow import (
    openwrt,
    openwrt_guest,
    openwrt_lxc,
    openwrt_upgrade,
)
from ansible_collections.pve.provision.plugins.module_utils._workflow.openwrt import Router
from ansible_collections.pve.provision.plugins.module_utils._workflow.openwrt_lxc import OpenWrtContainer
from ansible_collections.pve.provision.plugins.module_utils._workflow.openwrt_upgrade import Upgrade
from embedded_node import commands, runtime
from embedded_node.mirror import Mirror
from embedded_node.state import State

from .conftest import Answer, Bench
from .test_lxc_create import steps

Params = dict[str, t.Any]

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample admin@example.org"
INTERFACES: Params = {
    "wan": {"bridge": "vmbr0", "tag": 10, "proto": "dhcp"},
    "lan": {"bridge": "vmbr1", "tag": 20, "proto": "static", "address": "192.168.20.1/24", "dhcp_server": {}},
}


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Mirror]:
    with Mirror(tmp_path_factory.mktemp("mirror"), sites=("openwrt",)) as site:
        yield site


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A router that never gets a way out is not waited for as long as on a real network."""
    monkeypatch.setattr(openwrt, "UPLINK", 2)


@pytest.fixture
def gateway(mirror: Mirror) -> Params:
    return {
        "hostname": "gw",
        "interfaces": INTERFACES,
        "management": {"from": ["lan"], "ssh_keys": [KEY]},
        "mirrors": [mirror.base("openwrt")],
        "keys": [mirror.signer.usign_public],
    }


@pytest.fixture
def router(bench: Bench) -> Bench:
    if bench.backend == "api":
        pytest.skip("inside the router only the node can look")
    return bench


@pytest.fixture
def entered(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    """Routers can be entered: on the node by `pct exec`, over the API by SSH at an address that is plugged in."""

    def plugged(vmid: int, address: str) -> bool:
        state = State(bench.node.root)
        if vmid not in state.running() or any("link_down=1" in value for value in bench.config(vmid).values()):
            return False
        links = runtime.links(runtime.guest(state, vmid))
        return any(text.startswith(f"{address}/") for _name, _mac, texts in links for text in texts)

    def ssh(address: str, key: str, known_hosts: Path) -> openwrt.Shell:
        def shell(script: str, *, timeout: int) -> Completed:
            for vmid in vmids(bench):
                if plugged(vmid, address):
                    argv = ["pct", "exec", str(vmid), "--", "sh", "-s"]
                    return Completed(*commands.run(argv, bench.node.root, script.encode()))
            return Completed(255, "", f"ssh: connect to host {address} port 22: No route to host")

        return shell

    if bench.backend == "api":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr(openwrt_guest, "ssh", ssh)
        bench.defaults["ssh_private_key"] = "/root/.ssh/id_ed25519"
    return bench


def uci(bench: Bench, vmid: int, *words: str) -> str:
    return bench.pct("exec", str(vmid), "--", "uci", *words).strip()


def vmids(bench: Bench) -> list[int]:
    """The containers there are."""
    return sorted(int(path.stem) for path in (bench.node.root / "etc/pve/lxc").glob("*.conf"))


def segments(bench: Bench, vmid: int) -> list[Params]:
    """What the guest has shown of itself on the node's bridges."""
    log = bench.node.root / "var/log/embedded-node/segments.jsonl"
    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
    return [event for event in events if event["vmid"] == vmid]


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


def test_it_never_shows_itself_as_an_unconfigured_router(entered: Bench, gateway: Params) -> None:
    made = entered.good("openwrt_lxc", **gateway)
    seen = segments(entered, made.vmid)
    assert seen, "the embedded node listens on its bridges"
    assert not [event for event in seen if "192.168.1.1" in str(event["value"])]
    assert {event["bridge"] for event in seen if event["event"] == "dhcp_server"} == {"vmbr1"}


def test_a_single_interface_serves_nothing(router: Bench, gateway: Params) -> None:
    declaration = {**gateway, "interfaces": {"lan": {"bridge": "vmbr0", "proto": "dhcp"}}}
    made = router.good("openwrt_lxc", **declaration, ip_timeout=20)
    assert not [event for event in segments(router, made.vmid) if event["event"] in {"dhcp_server", "ra"}]
    assert made.addresses[0]["interface"] == "lan"
    assert not router.good("openwrt_lxc", **declaration, ip_timeout=20).changed


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
        ({"template": "debian-13-standard"}, "template", "is no OpenWrt"),
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
        ({"services": {"network": False}}, "services.network", "nobody can enter"),
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
    assert "no OpenWrt" in bench.bad("openwrt_lxc", **gateway).msg


def test_over_the_api_the_configuration_is_baked_into_the_template(bench: Bench, gateway: Params) -> None:
    if bench.backend == "cli":
        pytest.skip("on the node the files are written into the container")
    made = bench.good("openwrt_lxc", **gateway)
    assert steps(made) == ["template", "create", "start", "await_up"]
    assert uci(bench, made.vmid, "get", "network.lan.ipaddr") == "192.168.20.1"
    assert made.openwrt == {"drift": "unknown", "reason": OpenWrtContainer.closed}
    assert not bench.good("openwrt_lxc", **gateway).changed


def test_nothing_is_left_of_a_template_that_holds_secrets(
    bench: Bench, gateway: Params, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if bench.backend == "cli":
        pytest.skip("on the node the files are written into the container")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    bench.good("openwrt_lxc", **gateway)
    kept = {path.name for top in (bench.node.root / "var/lib", tmp_path) for path in top.rglob("openwrt-*-lxc_*")}
    assert kept <= {"openwrt-24.10.4-lxc_amd64.tar.gz"}


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
    bench: Bench, gateway: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bench.backend == "cli":
        pytest.skip("on the node nobody needs SSH")
    nobody = Completed(255, "", "No route to host")
    monkeypatch.setattr(openwrt_guest, "ssh", lambda *_way: lambda script, timeout: nobody)
    made = bench.good("openwrt_lxc", **gateway, ssh_private_key="/root/.ssh/id_ed25519", start_timeout=2)
    assert made.status == "running"
    assert made.openwrt["drift"] == "unknown"
    assert "No route to host" in made.openwrt["reason"]


def test_a_failed_start_takes_the_router_back(bench: Bench, gateway: Params) -> None:
    bench.node.fault("fail_start", nth=1)
    failed = bench.bad("openwrt_lxc", **gateway)
    assert failed.step == "start"
    assert list((bench.node.root / "etc/pve/lxc").glob("*.conf")) == []


# -- finding its addresses -----------------------------------------------------------------------------------------

LEASED: Params = {**INTERFACES, "wan": {"bridge": "vmbr0", "proto": "dhcp"}}


def sources(answer: Answer) -> list[tuple[str, str]]:
    return [(entry["interface"], entry["source"]) for entry in answer.addresses]


def met(patch: pytest.MonkeyPatch, bench: Bench, vmid: int) -> None:
    """Let the node have met the router's WAN at an address."""
    patch.setattr(CliNode, "neighbours", lambda self: {mac_of(bench.config(vmid)["net0"]): ["10.10.10.9"]})


def mac_of(net: str) -> str:
    """The MAC address that PVE gave a network device."""
    return net.split("hwaddr=")[1].split(",")[0]


def test_a_router_that_tells_its_addresses_is_asked_once_and_nobody_else(router: Bench, gateway: Params) -> None:
    declaration = {**gateway, "interfaces": LEASED, "ip_timeout": 20}
    made = router.good("openwrt_lxc", **declaration)
    assert sources(made) == [("wan", "ubus"), ("lan", "ubus")]
    router.node.forget()
    router.good("openwrt_lxc", **declaration)
    assert [argv[:2] for argv in router.node.commands()] == [["pct", "exec"]]


def test_over_the_api_pve_is_asked_until_the_lease_is_there(bench: Bench, gateway: Params) -> None:
    if bench.backend == "cli":
        pytest.skip("on the node the router itself is asked")
    made = bench.good("openwrt_lxc", **{**gateway, "interfaces": LEASED, "ip_timeout": 20, "require_ip": True})
    assert sources(made) == [("wan", "guest"), ("lan", "guest")]
    assert made.openwrt == {"drift": "unknown", "reason": OpenWrtContainer.closed}


@pytest.mark.parametrize(
    ("silent", "found"),
    [
        (["look"], [("wan", "guest"), ("lan", "guest")]),
        (["look", "interfaces"], [("wan", "neighbour"), ("lan", "declared")]),
        (["look", "interfaces", "neighbours"], [("lan", "declared")]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value[0], str) else "",
)
def test_where_one_does_not_answer_the_next_is_asked(
    router: Bench, gateway: Params, monkeypatch: pytest.MonkeyPatch, silent: list[str], found: list[tuple[str, str]]
) -> None:
    def refuse(self: t.Any, *_args: t.Any) -> t.NoReturn:
        raise PveError("lxc-attach: no answer")

    for name in silent:
        monkeypatch.setattr(Router if name == "look" else CliNode, name, refuse)
    made = router.good("openwrt_lxc", **{**gateway, "interfaces": LEASED, "ip_timeout": 2})
    assert sources(made) == found
    assert made.openwrt == {"drift": "unknown", "reason": "lxc-attach: no answer"}
    assert ("no address on wan after 2 s" in str(made.values.get("warnings"))) == ("neighbours" in silent)


def test_what_a_router_waits_for_is_not_taken_from_an_old_lease(
    router: Bench, gateway: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    declaration = {**gateway, "interfaces": LEASED, "ip_timeout": 20}
    made = router.good("openwrt_lxc", **declaration)
    met(monkeypatch, router, made.vmid)
    router.node.forget()
    restarted = router.good("openwrt_lxc", **declaration, state="restarted")
    assert sources(restarted) == [("wan", "ubus"), ("lan", "ubus")]
    assert "pvesh" not in {argv[0] for argv in router.node.commands()}


def test_when_the_wait_is_over_the_node_is_asked_whom_it_has_met(
    router: Bench, gateway: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The WAN's network has no DHCP server."""
    made = router.good("openwrt_lxc", **gateway, ip_timeout=1)
    assert "no address on wan after 1 s" in str(made.warnings)
    assert "no address on wan after 0 s" in router.bad("openwrt_lxc", **gateway, require_ip=True).msg
    met(monkeypatch, router, made.vmid)
    router.node.forget()
    again = router.good("openwrt_lxc", **gateway, ip_timeout=1, require_ip=True)
    assert sources(again) == [("wan", "neighbour"), ("lan", "ubus")]
    assert again.addresses[0] == {
        "interface": "wan", "address": "10.10.10.9", "prefix": None, "family": "ipv4",
        "hwaddr": mac_of(router.config(made.vmid)["net0"]), "source": "neighbour",
    }  # fmt: skip
    assert [argv[0] for argv in router.writes()].count("pvesh") == 1


# -- packages, upgrade, going back ---------------------------------------------------------------------------------


def test_packages_are_installed_once(entered: Bench, gateway: Params) -> None:
    interfaces = {**INTERFACES, "wan": {"bridge": "vmbr0", "proto": "dhcp"}}
    declaration = {**gateway, "interfaces": interfaces, "packages": ["tcpdump"], "ip_timeout": 20}
    made = entered.good("openwrt_lxc", **declaration)
    assert steps(made)[-1] == "packages"
    assert not made.values.get("warnings"), made.warnings
    assert not entered.good("openwrt_lxc", **declaration).changed


@pytest.fixture
def feeds(mirror: Mirror) -> t.Iterator[Mirror]:
    """The mirror, of which nothing but the package feeds goes wrong."""
    yield mirror
    mirror.clear_faults()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Nobody waits between attempts; how long they would have."""
    waited: list[float] = []
    sleep = openwrt.time.sleep
    monkeypatch.setattr(openwrt.time, "sleep", lambda s: waited.append(s) if s in PAUSES else sleep(s))
    return waited


PAUSES = (2.0, 4.0)


INSTALLED = {
    "24.10.4": ("opkg list-installed", "libpcap1 - 1.10.5-r1", "tcpdump - 4.99.5-r1"),
    "25.12.5": ("apk info", "libpcap1", "tcpdump"),
}
TCPDUMP = {"24.10.4": "*/tcpdump_*.ipk", "25.12.5": "*/tcpdump-*.apk"}
INDEXES = {"24.10.4": "*/Packages.gz", "25.12.5": "*/packages.adb"}


def inside(bench: Bench, vmid: int, command: str) -> list[str]:
    """The lines that a command in the router prints."""
    return bench.pct("exec", str(vmid), "--", "sh", "-c", command).splitlines()


def nothing_is_left(bench: Bench, vmid: int) -> bool:
    return not [name for name in inside(bench, vmid, "ls -A /tmp") if "pve-provision" in name]


@pytest.mark.parametrize("version", INSTALLED)
def test_packages_come_by_the_node_where_the_router_has_no_way_out(
    router: Bench, gateway: Params, feeds: Mirror, version: str, impatient: list[float]
) -> None:
    declaration = {**gateway, "version": version, "packages": ["tcpdump"]}
    made = router.good("openwrt_lxc", **declaration)
    assert (steps(made)[-1], made.changed) == ("packages", True)
    assert "packages were fetched by the node" in str(made.warnings)
    assert "not installed" not in str(made.warnings)
    assert not impatient
    command, *lines = INSTALLED[version]
    assert set(lines) <= set(inside(router, made.vmid, command))
    assert inside(router, made.vmid, "ls /usr/bin/tcpdump /usr/lib/libpcap1")
    assert nothing_is_left(router, made.vmid)
    again = router.good("openwrt_lxc", **declaration)
    assert (again.changed, again.plan, again.values.get("warnings", [])) == (False, [], [])


@pytest.mark.parametrize(("version", "most"), [("24.10.4", 3), ("25.12.5", 5)])
def test_the_help_of_the_node_takes_few_commands(
    router: Bench, gateway: Params, feeds: Mirror, version: str, most: int
) -> None:
    router.good("openwrt_lxc", **gateway, version=version)
    counts = []
    for packages in (["adblock"], ["tcpdump", "luci", "adblock"]):
        router.node.forget()
        router.good("openwrt_lxc", **gateway, version=version, packages=packages)
        counts.append(sum(argv[0] == "pct" for argv in router.node.commands()))
    # The look before, the look after, and the one that tells the addresses are there in any case.
    assert counts[0] == counts[1] <= most + 3


def test_a_service_that_came_with_a_package_runs_and_is_configured(
    router: Bench, gateway: Params, feeds: Mirror
) -> None:
    router.good("openwrt_lxc", **gateway)
    more = {"uci": {"sqm": {"queue": {".type": "queue", "interface": "eth0"}}}, "packages": ["sqm-scripts"]}
    vmid = router.good("openwrt_lxc", **gateway, **more).vmid
    assert uci(router, vmid, "get", "sqm.queue.interface") == "eth0"
    assert inside(router, vmid, "/etc/init.d/sqm-scripts enabled && /etc/init.d/sqm-scripts running && echo yes") == [
        "yes"
    ]
    assert not router.good("openwrt_lxc", **gateway, **more).changed


def test_a_feed_that_is_not_there_is_left_out_with_a_word(router: Bench, gateway: Params, feeds: Mirror) -> None:
    feeds.fault("status", "*/telephony/*", code=404)
    made = router.good("openwrt_lxc", **gateway, packages=["tcpdump"])
    assert "without the feeds openwrt_telephony" in str(made.warnings)
    assert "not installed" not in str(made.warnings)


@pytest.mark.parametrize("version", INSTALLED)
def test_an_altered_index_is_refused_by_the_router(
    router: Bench, gateway: Params, feeds: Mirror, version: str, impatient: list[float]
) -> None:
    folder = f"openwrt/releases/{version}/packages/x86_64/base"
    if version.startswith("24"):
        text = gzip.decompress(feeds.read(f"{folder}/Packages.gz")).replace(b"Section: utils", b"Section: other")
        feeds.fault("replace", "*/base/Packages.gz", body=gzip.compress(text))
    else:
        text = feeds.read(f"{folder}/packages.adb").replace(b'"depends": []', b'"depends":  []')
        feeds.fault("replace", "*/base/packages.adb", body=text)
    made = router.good("openwrt_lxc", **gateway, version=version, packages=["tcpdump"])
    assert "not installed: tcpdump" in str(made.warnings)
    assert "the router refused what the node had fetched" in str(made.warnings)
    assert "ignature" in str(made.warnings)
    assert not impatient
    command, *lines = INSTALLED[version]
    assert not set(lines) & set(inside(router, made.vmid, command))
    assert nothing_is_left(router, made.vmid)


@pytest.mark.parametrize(
    ("version", "words"),
    [("24.10.4", "the node could not help: tcpdump_4.99.5-r1_x86_64.ipk"), ("25.12.5", "ADB integrity error")],
)
def test_an_altered_package_is_refused(
    router: Bench, gateway: Params, feeds: Mirror, version: str, words: str, impatient: list[float]
) -> None:
    feeds.fault("flip", TCPDUMP[version], after=100)
    made = router.good("openwrt_lxc", **gateway, version=version, packages=["tcpdump"])
    assert words in str(made.warnings)
    assert INSTALLED[version][2] not in inside(router, made.vmid, INSTALLED[version][0])
    assert nothing_is_left(router, made.vmid)
    if version.startswith("25"):
        assert "tcpdump" not in inside(router, made.vmid, "cat /etc/apk/world")
    feeds.clear_faults()
    assert "fetched by the node" in str(router.good("openwrt_lxc", **gateway, version=version, packages=["tcpdump"]))
    assert INSTALLED[version][2] in inside(router, made.vmid, INSTALLED[version][0])


@pytest.mark.parametrize("version", INSTALLED)
@pytest.mark.parametrize("wan", [INTERFACES["wan"], {"bridge": "vmbr0", "proto": "dhcp"}])
def test_a_package_that_nobody_knows_is_told_at_once(
    router: Bench, gateway: Params, feeds: Mirror, version: str, wan: Params, impatient: list[float]
) -> None:
    declaration = {**gateway, "version": version, "interfaces": {**INTERFACES, "wan": wan}, "packages": ["nosuch"]}
    made = router.good("openwrt_lxc", **declaration)
    assert "not installed: nosuch (no feed of the router has nosuch)" in str(made.warnings)
    assert not impatient
    assert nothing_is_left(router, made.vmid)


@pytest.mark.parametrize("version", INSTALLED)
@pytest.mark.parametrize("fault", [("status", {"code": 404}), ("status", {"code": 503}), ("html", {})])
def test_without_a_way_out_packages_are_told_and_tried_again(
    router: Bench,
    gateway: Params,
    feeds: Mirror,
    version: str,
    fault: tuple[t.Any, Params],
    impatient: list[float],
) -> None:
    feeds.fault(fault[0], INDEXES[version], **fault[1])
    for changed in (True, False):
        made = router.good("openwrt_lxc", **gateway, version=version, packages=["tcpdump"])
        assert steps(made)[-1] == "packages"
        assert made.changed is changed
        assert "not installed: tcpdump" in str(made.warnings)
        assert "the node could not help" in str(made.warnings)
        assert nothing_is_left(router, made.vmid)
    assert impatient == [*PAUSES] * 2


def test_a_change_that_cuts_off_the_management_is_taken_back(
    router: Bench, gateway: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The router answers at its old address; after the change nothing answers any more."""
    vmid = router.good("openwrt_lxc", **gateway).vmid
    monkeypatch.setattr(openwrt, "answers", lambda address: address == "192.168.20.1")
    moved = {**INTERFACES, "lan": {**INTERFACES["lan"], "address": "192.168.99.1/24"}}
    failed = router.bad("openwrt_lxc", **{**gateway, "interfaces": moved}, confirm_timeout=9, start_timeout=3)
    assert "cannot be reached any more" in failed.msg
    assert "was taken back" in failed.msg
    assert uci(router, vmid, "get", "network.lan.ipaddr") == "192.168.20.1"
    assert not router.good("openwrt_lxc", **gateway).changed


@pytest.fixture
def old(entered: Bench, gateway: Params) -> int:
    """A router of an older release, with an edit of its owner's."""
    vmid = entered.good("openwrt_lxc", **gateway, version="23.05", verify="required").vmid
    for words in (["set", "system.ntp.enabled=0"], ["commit", "system"]):
        entered.pct("exec", str(vmid), "--", "uci", *words)
    return t.cast("int", vmid)


def test_an_upgrade_puts_a_new_container_in_the_place_of_the_old(entered: Bench, gateway: Params, old: int) -> None:
    mac = entered.config(old)["net0"]
    assert not entered.good("openwrt_lxc", **gateway, version="24").changed
    predicted = entered.good("openwrt_lxc", check=True, **gateway, version="24", upgrade=True)
    done = entered.good("openwrt_lxc", **gateway, version="24", upgrade=True)
    assert (predicted.plan, predicted.diff) == (done.plan, done.diff)
    assert steps(done)[-1] == "upgrade"
    assert done.vmid != old
    assert done.openwrt["version"].startswith("24.")
    assert entered.config(done.vmid)["net0"] == mac
    assert entered.config(done.vmid)["hostname"] == "gw"
    assert entered.config(old)["hostname"] == "gw-rollback"
    assert entered.pct("status", str(old)).strip() == "status: stopped"
    assert uci(entered, done.vmid, "get", "system.ntp.enabled") == "0"
    assert not entered.good("openwrt_lxc", **gateway, version="24", upgrade=True).changed


@pytest.fixture(params=["by name", "by vmid"])
def upgrading(request: pytest.FixtureRequest, bench: Bench, gateway: Params, old: int) -> Params:
    """The old router's declaration, of a newer release; a router that is declared by its number keeps it."""
    if (bench.backend, request.param) == ("api", "by vmid"):
        pytest.skip("over the API a router cannot keep its number")
    return {**gateway, "version": "24", "upgrade": True, **({"vmid": old} if request.param == "by vmid" else {})}


def test_a_router_declared_by_its_number_keeps_it(router: Bench, gateway: Params, old: int) -> None:
    router.good("openwrt_lxc", **gateway, vmid=old, protection=True, tags=["edge"], version="24")
    before = router.config(old)
    done = router.good("openwrt_lxc", **gateway, vmid=old, version="24", upgrade=True)
    assert (steps(done), done.vmid) == (["upgrade"], old)
    restored = [argv for argv in router.writes() if argv[:2] == ["pct", "restore"]]
    assert [argv[2] for argv in restored if "--force" in argv] == [str(old)], (
        "only the router itself is put something over"
    )
    assert len(restored) == 2
    assert done.openwrt["version"].startswith("24.")
    assert {**router.config(old), "rootfs": ""} == {**before, "rootfs": ""}
    assert uci(router, old, "get", "system.ntp.enabled") == "0"
    (copy,) = [vmid for vmid in vmids(router) if vmid != old]
    assert router.config(copy)["hostname"] == "gw-rollback"
    assert router.config(copy)["onboot"] == "0"
    assert router.pct("status", str(copy)).strip() == "status: stopped"
    assert not router.good("openwrt_lxc", **gateway, vmid=old, version="24", upgrade=True).changed
    router.pct("set", str(old), "--protection", "0")


def test_without_rollback_keep_nothing_is_left_of_the_old_one(entered: Bench, upgrading: Params) -> None:
    done = entered.good("openwrt_lxc", **upgrading, rollback_keep=False)
    assert vmids(entered) == [done.vmid]
    assert archives(entered) == []


def test_files_keep_their_modes_over_an_upgrade(entered: Bench, upgrading: Params, old: int) -> None:
    hosts = "192.168.20.7 printer"
    script = f"echo '{hosts}' >> /etc/hosts; chmod 644 /etc/hosts; echo secret > /etc/rc.local; chmod 640 /etc/rc.local"
    entered.pct("exec", str(old), "--", "sh", "-c", script)
    done = entered.good("openwrt_lxc", **upgrading)
    listed = entered.pct("exec", str(done.vmid), "--", "ls", "-l", "/etc/hosts", "/etc/rc.local")
    assert [line.split()[0] for line in listed.splitlines()] == ["-rw-r--r--", "-rw-r-----"]
    assert hosts in entered.pct("exec", str(done.vmid), "--", "cat", "/etc/hosts")


def test_an_upgrade_brings_the_packages_along_without_a_way_out(
    router: Bench, gateway: Params, feeds: Mirror, old: int
) -> None:
    declaration = {**gateway, "packages": ["tcpdump"]}
    router.good("openwrt_lxc", **declaration, version="23.05")
    done = router.good("openwrt_lxc", **declaration, version="25", upgrade=True)
    assert "fetched by the node" in str(done.warnings)
    assert "not installed" not in str(done.warnings)
    assert {"libpcap1", "tcpdump"} <= set(inside(router, done.vmid, "apk info"))
    assert nothing_is_left(router, done.vmid)
    assert not router.good("openwrt_lxc", **declaration, version="25", upgrade=True).changed


def test_an_upgrade_that_does_not_prove_itself_goes_back(
    entered: Bench, upgrading: Params, old: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(self: Router, timeout: int) -> None:
        raise Timeout("lan did not come up")

    before = entered.config(old)
    monkeypatch.setattr(Router, "await_up", never)
    failed = entered.bad("openwrt_lxc", **upgrading)
    assert "the old one runs again" in failed.msg
    assert entered.pct("status", str(old)).strip() == "status: running"
    assert {**entered.config(old), "rootfs": ""} == {**before, "rootfs": ""}
    assert uci(entered, old, "get", "system.ntp.enabled") == "0"
    assert "23.05" in entered.pct("exec", str(old), "--", "cat", "/etc/openwrt_release")
    assert len(vmids(entered)) == 1


@pytest.mark.parametrize(
    ("fault", "options"), [("kill", {"at": "extract", "nth": 2}), ("fail_create", {"after": "extract", "nth": 2})]
)
@pytest.mark.parametrize("protection", [False, True])
def test_a_replacement_that_fails_half_way_is_taken_back(
    router: Bench, gateway: Params, old: int, fault: str, options: Params, protection: bool
) -> None:
    """The first container that is made is the new router's own, the second the one over the old."""
    router.good("openwrt_lxc", **gateway, vmid=old, version="24", protection=protection)
    before = router.config(old)
    router.node.fault(fault, **options)
    failed = router.bad("openwrt_lxc", **gateway, vmid=old, version="24", upgrade=True)
    assert "the old one runs again" in failed.msg
    assert {**router.config(old), "rootfs": ""} == {**before, "rootfs": ""}
    assert router.pct("status", str(old)).strip() == "status: running"
    assert "23.05" in router.pct("exec", str(old), "--", "cat", "/etc/openwrt_release")
    assert vmids(router) == [old]
    assert router.volumes("local-lvm", old) == [router.config(old)["rootfs"].split(",")[0]]
    assert archives(router) == []


def archives(bench: Bench) -> list[Path]:
    """Backups of routers that a run has made."""
    return [path for path in bench.node.root.glob("var/lib/pve-provision/archives/**/*") if path.is_file()]


@pytest.mark.parametrize("keep", [False, True])
def test_a_protected_router_goes_back_too(
    router: Bench, upgrading: Params, old: int, monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    def never(self: Router, timeout: int) -> None:
        raise Timeout("lan did not come up")

    router.good("openwrt_lxc", **{**upgrading, "upgrade": False}, protection=True)
    before = router.config(old)
    with monkeypatch.context() as patched:
        patched.setattr(Router, "await_up", never)
        router.bad("openwrt_lxc", **upgrading, rollback_keep=keep)
    assert {**router.config(old), "rootfs": ""} == {**before, "rootfs": ""}
    assert vmids(router) == [old]
    done = router.good("openwrt_lxc", **upgrading, rollback_keep=keep)
    assert router.config(done.vmid)["protection"] == "1"
    assert len(vmids(router)) == (2 if keep else 1)
    for vmid in vmids(router):
        router.pct("set", str(vmid), "--protection", "0")


def test_what_could_not_be_tidied_up_does_not_undo_an_upgrade(
    router: Bench, gateway: Params, old: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(self: CliNode, kind: str, vmid: int, *, purge: bool, timeout: int) -> None:
        raise PveError("dataset is busy")

    declaration = {**gateway, "vmid": old, "version": "24"}
    with monkeypatch.context() as patched:
        patched.setattr(CliNode, "destroy", busy)
        done = router.good("openwrt_lxc", **declaration, upgrade=True)
    assert "could not be removed again: dataset is busy" in str(done.warnings)
    predicted = router.good("openwrt_lxc", check=True, **declaration)
    again = router.good("openwrt_lxc", **declaration)
    assert (steps(predicted), steps(again)) == (["clean_up"], ["clean_up"])
    assert again.openwrt["version"].startswith("24.")
    assert sorted(router.config(vmid)["hostname"] for vmid in vmids(router)) == ["gw", "gw-rollback"]
    assert archives(router) == []
    assert not router.good("openwrt_lxc", **declaration).changed


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (["set", "{}", "--mp0", "local-lvm:1,mp=/srv"], "mp0"),
        (["snapshot", "{}", "before"], "snapshot before"),
    ],
)
def test_what_an_upgrade_cannot_take_along_is_refused(
    router: Bench, gateway: Params, old: int, make: list[str], named: str
) -> None:
    router.pct(*[word.format(old) for word in make])
    refused = router.bad("openwrt_lxc", **gateway, vmid=old, version="24", upgrade=True)
    assert f"cannot take along {named}" in refused.msg
    assert vmids(router) == [old]


def test_what_somebody_wrote_into_the_config_is_told(router: Bench, gateway: Params, old: int) -> None:
    path = router.node.root / f"etc/pve/lxc/{old}.conf"
    path.write_text(path.read_text() + "lxc.cgroup2.devices.allow: c 10:200 rwm\n")
    assert "lxc.cgroup2.devices.allow" in router.bad("openwrt_lxc", **gateway, version="24", upgrade=True).msg


def test_the_root_volume_keeps_its_options(entered: Bench, upgrading: Params, old: int) -> None:
    options = {"rootfs": {"mountoptions": ["noatime"]}}
    entered.good("openwrt_lxc", **{**upgrading, "upgrade": False}, **options, restart="when_needed")
    done = entered.good("openwrt_lxc", **upgrading, **options)
    assert "mountoptions=noatime" in entered.config(done.vmid)["rootfs"]
    assert not entered.good("openwrt_lxc", **upgrading, **options).changed


def test_another_router_and_its_upgrade_are_left_alone(
    router: Bench, gateway: Params, old: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Upgrade, "_prove", killed)
        with pytest.raises(KeyboardInterrupt):
            router.run("openwrt_lxc", **gateway, version="24", upgrade=True)
    there = vmids(router)
    lan = {**INTERFACES["lan"], "tag": 77}
    other = {**gateway, "interfaces": {"lan": lan}, "state": "present"}
    made = router.good("openwrt_lxc", **{**other, "hostname": "gw", "vmid": 777})
    assert vmids(router) == [*there, made.vmid]


def test_without_a_note_nobody_says_which_of_the_two_is_the_router(entered: Bench, gateway: Params, old: int) -> None:
    entered.pct("set", str(old), "--hostname", "gw-upgrade")
    refused = entered.bad("openwrt_lxc", **gateway)
    assert refused.findings[0]["option"] == "hostname"
    assert f"container {old} is called gw-upgrade" in refused.msg
    assert vmids(entered) == [old]


@pytest.mark.parametrize("moment", ["_prove", "_await_reach", "inside restore"])
def test_absent_leaves_nothing_of_an_upgrade_that_was_killed(
    router: Bench, gateway: Params, old: int, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    with monkeypatch.context() as patched:
        if moment == "inside restore":
            patched.setattr(CliNode, "restore", killed)
        else:
            patched.setattr(Upgrade, moment, killed)
        with pytest.raises(KeyboardInterrupt):
            router.run("openwrt_lxc", **gateway, vmid=old, version="24", upgrade=True)
    router.good("openwrt_lxc", vmid=old, state="absent", force=True)
    assert vmids(router) == []
    assert archives(router) == []


@pytest.mark.parametrize(
    ("fault", "options"), [("shutdown_ignored", {}), ("fail_start", {}), ("fail_create", {"after": "extract"})]
)
def test_an_upgrade_meets_a_fault_and_the_old_router_serves_on(
    entered: Bench, upgrading: Params, old: int, fault: str, options: Params
) -> None:
    entered.node.fault(fault, nth=1, **options)
    answer = entered.run("openwrt_lxc", **upgrading, shutdown_timeout=1)
    assert answer.failed is (fault != "shutdown_ignored")
    running = answer.vmid if not answer.failed else old
    assert entered.pct("status", str(running)).strip() == "status: running"
    assert entered.config(running)["hostname"] == "gw"
    assert len(vmids(entered)) == (1 if answer.failed else 2)


# -- killed runs ---------------------------------------------------------------------------------------------------


def killed(*_args: t.Any, **_more: t.Any) -> None:
    """Ends the run as SIGKILL does: nobody tidies up."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("moment", ["do_seed", "inside do_seed"])
def test_a_router_whose_maker_was_killed_before_it_was_configured_is_made_anew(
    router: Bench, gateway: Params, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    with monkeypatch.context() as patched:
        if moment == "do_seed":
            patched.setattr(openwrt_lxc.OpenWrtContainer, "do_seed", killed)
        else:
            patched.setattr(openwrt_lxc, "seed", killed)
            patched.setattr(CliNode, "unmount", lambda self, vmid: None)
        with pytest.raises(KeyboardInterrupt):
            router.run("openwrt_lxc", **gateway)
    made = router.good("openwrt_lxc", **gateway)
    assert steps(made)[0] == "clean_up"
    assert not [event for event in segments(router, made.vmid) if "192.168.1.1" in str(event["value"])]
    assert {event["bridge"] for event in segments(router, made.vmid) if event["event"] == "dhcp_server"} == {"vmbr1"}
    assert len(vmids(router)) == 1


@pytest.mark.parametrize("moment", ["_prove", "_stop", "_await_reach", "keep_copy", "inside restore", "inside archive"])
def test_an_upgrade_that_was_killed_is_done_by_the_next_run(
    router: Bench, upgrading: Params, old: int, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    in_place = "vmid" in upgrading
    if moment in ("keep_copy", "inside restore", "inside archive") and not in_place:
        pytest.skip("nothing is backed up")
    with monkeypatch.context() as patched:
        if moment == "inside restore":
            patched.setattr(CliNode, "restore", killed)
        elif moment == "keep_copy":
            patched.setattr(openwrt_upgrade, moment, killed)
        elif moment == "inside archive":
            backup = CliNode.archive
            patched.setattr(CliNode, "archive", lambda *args, **more: killed(backup(*args, **more)))
        else:
            patched.setattr(Upgrade, moment, killed)
        with pytest.raises(KeyboardInterrupt):
            router.run("openwrt_lxc", **upgrading)
    done = router.good("openwrt_lxc", **upgrading)
    assert steps(done) == (["clean_up"] if moment == "keep_copy" else ["clean_up", "upgrade"])
    configs = {vmid: router.config(vmid) for vmid in vmids(router)}
    assert sorted(config["hostname"] for config in configs.values()) == ["gw", "gw-rollback"]
    assert archives(router) == []
    assert configs[done.vmid]["hostname"] == "gw"
    assert (done.vmid == old) is in_place
    assert "link_down" not in configs[done.vmid]["net0"]
    assert uci(router, done.vmid, "get", "system.ntp.enabled") == "0"


def test_a_running_router_is_not_made_to_serve_where_the_node_lives(router: Bench, gateway: Params) -> None:
    quiet = {**INTERFACES, "lan": {"bridge": "vmbr0", "address": "192.168.20.1/24"}}
    router.good("openwrt_lxc", **{**gateway, "interfaces": quiet})
    serving = {**quiet, "lan": {**quiet["lan"], "dhcp_server": {}}}
    assert "node" in router.bad("openwrt_lxc", **{**gateway, "interfaces": serving}).msg
