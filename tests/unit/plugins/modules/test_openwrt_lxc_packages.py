# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How openwrt_lxc installs packages: by the router itself, and with the help of the node."""

from __future__ import annotations

import gzip
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt import running as openwrt
from ansible_collections.pve.provision.plugins.module_utils._io.clock import SystemClock
from embedded_node.mirror import Mirror

from .conftest import Bench, steps, use_clock
from .routers import INTERFACES, Params, pairs, uci


def test_packages_are_installed_once(entered: Bench, gateway: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openwrt, "UPLINK", 120)
    interfaces = {**INTERFACES, "wan": {"bridge": "vmbr0", "proto": "dhcp"}}
    declaration = {**gateway, "interfaces": interfaces, "packages": ["tcpdump"], "ip_timeout": 300}
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
    return use_clock(monkeypatch, AttemptsAtOnce()).waited


PAUSES = (2.0, 4.0)


class AttemptsAtOnce(SystemClock):
    def __init__(self) -> None:
        self.waited: list[float] = []

    def sleep(self, seconds: float) -> None:
        if seconds in PAUSES:
            self.waited.append(seconds)
        else:
            super().sleep(seconds)


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
    assert (made.openwrt["drift"], made.openwrt["differs"]) == ("present", {"packages": ["tcpdump"]})
    assert "the router rejected the packages that the node had fetched" in str(made.warnings)
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


@pytest.mark.parametrize(
    ("version", "wan"), pairs(INSTALLED, [INTERFACES["wan"], {"bridge": "vmbr0", "proto": "dhcp"}])
)
def test_a_package_that_nobody_knows_is_reported_at_once(
    router: Bench, gateway: Params, feeds: Mirror, version: str, wan: Params, impatient: list[float]
) -> None:
    declaration = {**gateway, "version": version, "interfaces": {**INTERFACES, "wan": wan}, "packages": ["nosuch"]}
    made = router.good("openwrt_lxc", **declaration)
    assert "not installed: nosuch (no feed of the router has nosuch)" in str(made.warnings)
    assert not impatient
    assert nothing_is_left(router, made.vmid)


@pytest.mark.parametrize(
    ("version", "fault"), pairs(INSTALLED, [("status", {"code": 404}), ("status", {"code": 503}), ("html", {})])
)
def test_without_a_way_out_packages_are_reported_and_tried_again(
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
