# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scripted OpenWrt guest: what it answers, what its boot does, and who hears it on the bridges."""

from __future__ import annotations

import json
import time
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._openwrt import commit_confirm, live
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.changes import Op
from embedded_node.lxc import container
from embedded_node.mirror import feeds
from embedded_node.mirror.keys import Signer
from embedded_node.openwrt import commands

from .support import CONF, SEED, VMID, Box, box

if t.TYPE_CHECKING:
    from pathlib import Path

LAN = ("vmbr1", 20)
WAN = ("vmbr0", None)


@pytest.fixture
def router(tmp_path: Path) -> t.Iterator[Box]:
    """One with a declared LAN, running."""
    made = box(tmp_path)
    made.write("etc/config/network", SEED)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def fresh(tmp_path: Path) -> Box:
    """One that nobody has seeded, stopped."""
    return box(tmp_path)


def not_there(name: str) -> tuple[int, str, str]:
    where = "../src/lxc/attach.c: lxc_attach_run_command: 1841"
    return 127, "", f'lxc-attach: {VMID}: {where} No such file or directory - Failed to exec "{name}"\n'


# -- booting -----------------------------------------------------------------------------------------------------------
def test_an_unseeded_router_lets_its_factory_settings_loose(fresh: Box) -> None:
    """The disaster that everything else is there to prevent; a listener that cannot hear it would prove nothing."""
    fresh.start()
    assert (*LAN, "192.168.1.1/24") in fresh.heard("address")
    assert fresh.heard("dhcp_server") == [(*LAN, "192.168.1.1/24")]
    assert fresh.heard("ra") == [(*LAN, "server")]
    assert "option ipaddr '192.168.1.1'\n\toption netmask" in fresh.read("etc/config/network")


def test_from_25_12_the_factory_address_is_a_list(tmp_path: Path) -> None:
    newer = box(tmp_path, "25.12.0")
    newer.start()
    assert "list ipaddr '192.168.1.1/24'" in newer.read("etc/config/network")
    assert (*LAN, "192.168.1.1/24") in newer.heard("address")


def test_a_seeded_router_shows_what_was_declared_and_nothing_else(router: Box) -> None:
    assert router.heard("address") == [(*LAN, "192.168.20.1/24")]
    assert router.heard("dhcp_server") == [(*LAN, "192.168.20.1/24")]
    assert router.read("etc/config/network") == SEED


def test_failsafe_mode_shows_its_address_even_on_a_seeded_router(fresh: Box) -> None:
    fresh.write("etc/config/network", SEED)
    fresh.write("lib/preinit/00_preinit.conf", 'pi_preinit_no_failsafe=""\n')
    fresh.start()
    assert fresh.heard("address") == [(*LAN, "192.168.1.1/24"), (*LAN, "192.168.20.1/24")]


@pytest.mark.parametrize(
    ("options", "events"),
    [
        ("option ignore '1'", ([], [])),
        ("option dhcpv4 'disabled'\n\toption ra 'disabled'", ([], [])),
        ("option ra 'disabled'", ([(*LAN, "192.168.20.1/24")], [])),
        ("option dhcpv4 'disabled'\n\toption ra 'server'", ([], [(*LAN, "server")])),
    ],
)
def test_what_must_not_serve_does_not(fresh: Box, options: str, events: tuple[list[t.Any], list[t.Any]]) -> None:
    fresh.write("etc/config/network", SEED)
    fresh.write("etc/config/dhcp", f"config dhcp 'lan'\n\toption interface 'lan'\n\t{options}\n")
    fresh.start()
    assert (fresh.heard("dhcp_server"), fresh.heard("ra")) == events


def test_a_lan_that_is_a_client_does_not_serve_but_may_still_advertise(fresh: Box) -> None:
    fresh.write("etc/config/network", "config interface 'lan'\n\toption device 'eth1'\n\toption proto 'dhcp'\n")
    fresh.start()
    assert fresh.heard("dhcp_server") == []
    assert fresh.heard("ra") == [(*WAN, "server")]


def test_first_boot_scripts_run_once_in_order_and_stay_when_they_fail(fresh: Box) -> None:
    fresh.write("etc/config/network", SEED)
    fresh.write("etc/uci-defaults/10_a", "uci -q batch <<EOF\nset dhcp.lan.ignore='1'\nEOF\necho a >> /etc/order\n")
    fresh.write("etc/uci-defaults/20_b", "echo b >> /etc/order\nexit 1\n")
    fresh.write("etc/rc.local", "echo local >> /etc/order\nexit 0\n")
    fresh.start()
    assert fresh.read("etc/order") == "a\nb\nlocal\n"
    assert [path.name for path in (fresh.root / "etc/uci-defaults").iterdir()] == ["20_b"]
    assert "option ignore '1'" in fresh.read("etc/config/dhcp")
    assert fresh.heard("dhcp_server") == []


def test_a_service_without_a_link_is_not_started(fresh: Box) -> None:
    (fresh.root / "etc/rc.d/S19dnsmasq").unlink()
    fresh.write("etc/config/network", SEED)
    fresh.start()
    assert fresh.heard("dhcp_server") == []
    assert fresh.run("/etc/init.d/dnsmasq", "enabled")[0] == 1
    assert fresh.run("ubus", "list", "dnsmasq")[0] == 4


# -- the network -------------------------------------------------------------------------------------------------------
def up(router: Box, name: str) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", json.loads(router.run("ubus", "call", f"network.interface.{name}", "status")[1]))


def test_addresses_are_reported_by_every_source(router: Box) -> None:
    assert up(router, "lan")["ipv4-address"] == [{"address": "192.168.20.1", "mask": 24}]
    line = "2: eth0    inet 192.168.20.1/24 brd 192.168.20.255 scope global eth0\\       valid_lft forever"
    assert line in router.run("ip", "-4", "-o", "addr")[1]
    assert commands.addresses(container.guest(router.state, VMID))["eth0"] == ["192.168.20.1/24"]


def test_a_client_gets_a_lease_where_somebody_serves(router: Box) -> None:
    router.sh(
        "uci set network.wan=interface; uci set network.wan.device=eth1; uci set network.wan.proto=dhcp; uci commit"
    )
    router.sh("/etc/init.d/network reload")
    assert up(router, "wan")["pending"]
    time.sleep(0.4)
    status = up(router, "wan")
    assert status["up"]
    assert status["ipv4-address"][0]["address"].startswith("203.0.113.")
    assert status["route"][0]["nexthop"] == "203.0.113.2"
    assert "default via 203.0.113.2 dev eth1" in router.run("ip", "route")[1]


def test_a_client_whose_port_is_in_a_bridge_gets_none(router: Box) -> None:
    router.write(
        "etc/config/network",
        "config device\n\toption name 'br-lan'\n\toption type 'bridge'\n\tlist ports 'eth1'\n\n"
        "config interface 'wan'\n\toption device 'eth1'\n\toption proto 'dhcp'\n",
    )
    router.sh("/etc/init.d/network reload")
    time.sleep(0.4)
    assert not up(router, "wan")["up"]


def test_only_what_is_committed_and_reloaded_counts(router: Box) -> None:
    router.sh("uci set network.lan.ipaddr=10.0.0.1")
    router.sh("reload_config")
    assert up(router, "lan")["ipv4-address"][0]["address"] == "192.168.20.1"
    router.sh("uci commit network")
    assert up(router, "lan")["ipv4-address"][0]["address"] == "192.168.20.1"
    router.sh("reload_config")
    assert up(router, "lan")["ipv4-address"][0]["address"] == "10.0.0.1"
    assert router.heard("address")[-1] == (*LAN, "10.0.0.1/24")


def test_vlans_come_out_where_they_are_tagged(router: Box) -> None:
    router.write(
        "etc/config/network",
        "config interface 'iot'\n\toption device 'eth1.30'\n\toption proto 'static'\n\tlist ipaddr '192.168.30.1/24'\n",
    )
    router.sh("/etc/init.d/network reload")
    assert router.heard("address")[-1] == ("vmbr0", 30, "192.168.30.1/24")


def test_a_port_that_is_not_plugged_in_is_not_available(tmp_path: Path) -> None:
    single = box(tmp_path, conf="\n".join(line for line in CONF.splitlines() if not line.startswith("net0")) + "\n")
    single.write("etc/config/network", SEED)
    single.start()
    assert up(single, "lan")["available"] is False
    assert single.heard("address") == []


def test_interfaces_go_down_and_up(router: Box) -> None:
    assert router.run("ifdown", "lan")[0] == 0
    assert not up(router, "lan")["up"]
    assert router.run("ubus", "call", "network.interface.lan", "up")[0] == 0
    assert up(router, "lan")["up"]


# -- answers -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name",
    ["bash", "python3", "stat", "base64", "timeout", "hostname", "chpasswd", "wifi", "apk", "systemctl", "nosuch"],
)
def test_what_openwrt_has_not_is_not_there(router: Box, name: str) -> None:
    assert router.run(name) == not_there(name)


PROTO = '{"config":"network","section":"lan","option":"proto"}'
PATH = "@.interface[@.interface='lan']['ipv4-address'][0].address"
FIRST_ADDRESS = f'ubus call network.interface dump | jsonfilter -e "{PATH}"'
UNANSWERED = """\
PING 203.0.113.1 (203.0.113.1): 56 data bytes

--- 203.0.113.1 ping statistics ---
1 packets transmitted, 0 packets received, 100% packet loss
"""


@pytest.mark.parametrize(
    ("argv", "answer"),
    [
        (["ubus", "call", "network.interface.nope", "status"], (4, "", "Command failed: Not found\n")),
        (["ubus", "call", "system", "nope"], (253, "", "Command failed: ubus call system nope (Method not found)\n")),
        (["ubus", "-t", "5", "wait_for", "network.interface.lan"], (0, "", "")),
        (["ubus", "-t", "0", "wait_for", "nope"], (7, "", "Command failed: Request timed out\n")),
        (["ubus", "call", "uci", "get", PROTO], (0, '{\n\t"value": "static"\n}\n', "")),
        (["ubus", "-S", "call", "uci", "get", PROTO], (0, '{"value":"static"}\n', "")),
        (["ash", "-c", "exit 7"], (7, "", "")),
        (["ash", "-c", "nosuch"], (127, "", "ash: nosuch: not found\n")),
        (["busybox", "--list"], (127, "", "-list: applet not found\n")),
        (["/etc/init.d/nope", "start"], not_there("/etc/init.d/nope")),
        (["/etc/init.d/network", "running"], (0, "", "")),
        (["/etc/init.d/firewall", "running"], (1, "", "")),
        (["/etc/init.d/dnsmasq", "status"], (0, "running\n", "")),
        (["service", "dnsmasq", "running"], (0, "", "")),
        (["fw4", "check"], (0, "Ruleset passes nftables check.\n", "")),
        (["opkg", "print-architecture"], (0, "arch all 1\narch noarch 1\narch x86_64 10\n", "")),
        (["ash", "-c", "ubus call system board | jsonfilter -e '@.release.version'"], (0, "24.10.4\n", "")),
        (["ash", "-c", FIRST_ADDRESS], (0, "192.168.20.1\n", "")),
        (["cat", "/etc/nope"], (1, "", "cat: can't open '/etc/nope': No such file or directory\n")),
        (["grep", "-c", "ipaddr", "/etc/config/network"], (0, "2\n", "")),
        (["sed", "-n", "/zone/p", "/etc/config/firewall"], (0, "config zone\nconfig zone\n", "")),
        (["ping", "-c", "1", "203.0.113.1"], (1, UNANSWERED, "")),
    ],
)  # fmt: skip
def test_answers(router: Box, argv: list[str], answer: tuple[int, str, str]) -> None:
    assert router.run(*argv) == answer


def test_services_start_stop_and_are_enabled_by_links(router: Box) -> None:
    router.sh("/etc/init.d/dnsmasq stop; /etc/init.d/dnsmasq disable")
    assert router.run("/etc/init.d/dnsmasq", "running")[0] == 1
    assert router.run("/etc/init.d/dnsmasq", "enabled")[0] == 1
    router.sh("/etc/init.d/dnsmasq enable && /etc/init.d/dnsmasq start && /etc/init.d/dnsmasq enabled")
    assert (router.root / "etc/rc.d/S19dnsmasq").is_symlink()
    assert router.heard("dhcp_server") == [(*LAN, "192.168.20.1/24")] * 2  # it was gone, and came back


def test_a_password_is_asked_for_twice(router: Box) -> None:
    said = "Changing password for root\nNew password: \nRetype password: \n"
    answer = router.run("passwd", "root", stdin="Example-1234\nOther-12345\n")
    assert answer == (1, said + "Passwords don't match\n", "passwd: password for root is unchanged\n")
    assert router.read("etc/shadow").startswith("root:::")
    answer = router.run("passwd", stdin="Example-1234\nExample-1234\n")
    assert answer == (0, said, "passwd: password for root changed by root\n")
    assert router.read("etc/shadow").startswith("root:$1$")
    assert "Example" not in router.read("etc/shadow")


def test_a_backup_carries_the_configuration_over(router: Box) -> None:
    assert router.run("sysupgrade", "-b", "/tmp/b.tar.gz")[0] == 0
    assert "etc/config/network" in router.run("tar", "-tzf", "/tmp/b.tar.gz")[1].splitlines()
    router.write("etc/config/network", "")
    assert router.run("sysupgrade", "-r", "/tmp/b.tar.gz")[0] == 0
    assert router.read("etc/config/network") == SEED


def test_packages_need_a_way_out(router: Box) -> None:
    assert router.run("opkg", "update")[0] == 6
    assert router.run("opkg", "install", "tcpdump")[0] == 255
    router.sh(
        "uci set network.wan=interface; uci set network.wan.device=eth1; uci set network.wan.proto=dhcp; uci commit"
    )
    router.sh("/etc/init.d/network reload; sleep 1")
    assert router.run("opkg", "update")[0] == 0
    assert router.run("opkg", "install", "nosuchpackage")[1] == "Unknown package 'nosuchpackage'.\n"
    assert router.run("opkg", "install", "tcpdump")[0] == 0
    assert router.run("opkg", "list-installed")[1] == "libpcap1 - 1.10.5-r1\ntcpdump - 4.99.5-r1\n"


def test_from_25_12_packages_come_by_apk(tmp_path: Path) -> None:
    newer = box(tmp_path, "25.12.0")
    newer.start()
    time.sleep(0.4)
    assert newer.run("opkg", "update") == not_there("opkg")
    assert newer.run("apk", "update")[0] == 0
    assert newer.run("apk", "add", "luci")[0] == 0
    assert newer.run("/etc/init.d/uhttpd", "running")[0] == 0
    assert newer.run("apk", "info", "-e", "luci", "tcpdump")[:2] == (1, "luci\n")


@pytest.fixture
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return Signer(tmp_path_factory.mktemp("keys"))


PLACE = "/tmp/in"
CONF_OF_OUR_OWN = "dest root /\noption check_signature\nlists_dir ext /tmp/lists\n"


def with_feed(router: Box, files: t.Mapping[str, bytes]) -> None:
    """Put a feed on the router's own disk, and a configuration beside it that names nothing else."""
    folder = router.root / PLACE.lstrip("/")
    folder.mkdir(parents=True)
    for name, body in files.items():
        (folder / name).write_bytes(body)
    router.write("tmp/opkg.conf", f"{CONF_OF_OUR_OWN}src/gz openwrt_base file://{PLACE}\n")
    router.write("tmp/repositories", f"{PLACE}/packages.adb\n")


OPKG = "OPKG_CONF_DIR=/tmp/none opkg -f /tmp/opkg.conf"
UPDATED = (
    f"Downloading file://{PLACE}/Packages.gz\nUpdated list of available packages in /tmp/lists/openwrt_base\n"
    f"Downloading file://{PLACE}/Packages.sig\n"
)
CHOSEN = (
    "Installing tcpdump (4.99.5-r1) to root...\n"
    f"Downloading file://{PLACE}/tcpdump_4.99.5-r1_x86_64.ipk\n"
    "Installing libpcap1 (1.10.5-r1) to root...\n"
    f"Downloading file://{PLACE}/libpcap1_1.10.5-r1_x86_64.ipk\n"
)


def test_opkg_installs_from_a_feed_on_its_own_disk(router: Box, signer: Signer) -> None:
    router.write(f"etc/opkg/keys/{signer.usign_key_id}", signer.usign_key_file)
    with_feed(router, feeds.opkg_files("base", "x86_64", signer))
    assert router.run("sh", "-c", f"{OPKG} update") == (0, f"{UPDATED}Signature check passed.\n", "")
    assert router.run("sh", "-c", f"{OPKG} --noaction install tcpdump") == (0, CHOSEN, "")
    assert router.run("opkg", "list-installed")[1] == ""
    said = CHOSEN + "Configuring libpcap1.\nConfiguring tcpdump.\n"
    assert router.run("sh", "-c", f"export {OPKG.replace(' ', '; ', 1)} install tcpdump") == (0, said, "")
    assert router.run("opkg", "list-installed")[1] == "libpcap1 - 1.10.5-r1\ntcpdump - 4.99.5-r1\n"
    assert (router.root / "usr/bin/tcpdump").is_file()


def test_opkg_goes_on_without_a_list_that_it_does_not_trust(router: Box, signer: Signer) -> None:
    with_feed(router, feeds.opkg_files("base", "x86_64", signer))
    said = f"{UPDATED}Signature check failed.\nRemove wrong Signature file.\n"
    assert router.run("sh", "-c", f"{OPKG} update") == (0, said, "")
    assert router.run("sh", "-c", f"{OPKG} install tcpdump")[:2] == (255, "Unknown package 'tcpdump'.\n")


@pytest.mark.parametrize(
    ("file", "change", "error"),
    [
        ("libpcap1_1.10.5-r1_x86_64.ipk", b"", "opkg_install_pkg: Failed to download libpcap1."),
        ("tcpdump_4.99.5-r1_x86_64.ipk", b"x", "opkg_install_pkg: Checksum or size mismatch for package tcpdump."),
    ],
)
def test_opkg_refuses_what_is_not_as_its_list_says(
    router: Box, signer: Signer, file: str, change: bytes, error: str
) -> None:
    router.write(f"etc/opkg/keys/{signer.usign_key_id}", signer.usign_key_file)
    files = feeds.opkg_files("base", "x86_64", signer)
    changed = {**files, file: files[file] + change} if change else {n: body for n, body in files.items() if n != file}
    with_feed(router, changed)
    assert router.run("sh", "-c", f"{OPKG} update")[0] == 0
    for how in ("--noaction install", "install"):
        rc, _said, errors = router.run("sh", "-c", f"{OPKG} {how} tcpdump")
        assert (rc, error in errors, "opkg_install_cmd: Cannot install package tcpdump." in errors) == (255, True, True)
    assert router.run("opkg", "list-installed")[1] == ""


@pytest.fixture
def newer(tmp_path: Path) -> Box:
    made = box(tmp_path, "25.12.0")
    made.start()
    return made


APK = "apk add --repositories-file /tmp/repositories"
PLANNED = "(1/2) Installing libpcap1 (1.10.5-r1)\n(2/2) Installing tcpdump (4.99.5-r1)\n"


def test_apk_installs_from_a_repository_on_its_own_disk(newer: Box, signer: Signer) -> None:
    newer.write("etc/apk/keys/mirror.pem", signer.usign_key_file)
    with_feed(newer, feeds.apk_files("base", "x86_64", signer))
    assert newer.sh(f"{APK} --simulate tcpdump").startswith(PLANNED)
    assert newer.run("apk", "info")[1] == ""
    assert newer.sh(f"{APK} tcpdump").startswith(PLANNED)
    assert newer.run("apk", "info")[1] == "libpcap1\ntcpdump\n"
    assert (newer.root / "usr/bin/tcpdump").is_file()


def test_apk_sees_nothing_in_a_repository_that_it_does_not_trust(newer: Box, signer: Signer) -> None:
    with_feed(newer, feeds.apk_files("base", "x86_64", signer))
    rc, _said, errors = newer.run("sh", "-c", f"{APK} tcpdump")
    assert rc
    assert errors.startswith(f"WARNING: opening {PLACE}/packages.adb: UNTRUSTED signature\n")
    assert "tcpdump (no such package)" in errors


def test_apk_that_fails_half_way_leaves_the_half_and_what_it_was_asked_for(newer: Box, signer: Signer) -> None:
    newer.write("etc/apk/keys/mirror.pem", signer.usign_key_file)
    files = feeds.apk_files("base", "x86_64", signer)
    name = "tcpdump-4.99.5-r1.apk"
    with_feed(newer, {**files, name: files[name] + b"x"})
    rc, said, errors = newer.run("sh", "-c", f"{APK} tcpdump")
    assert (rc, said.startswith(PLANNED), errors) == (1, True, "ERROR: tcpdump-4.99.5-r1: ADB integrity error\n")
    assert newer.run("apk", "info")[1] == "libpcap1\n"
    assert newer.read("etc/apk/world") == "tcpdump\n"


def test_a_text_tool_shows_the_guests_paths(router: Box) -> None:
    out = router.run("find", "/etc/config", "-name", "net*")[1]
    assert out == "/etc/config/network\n"
    assert str(router.root) not in router.run("sed", "p", "/nope")[2]


# -- jobs, and changes that take themselves back -----------------------------------------------------------------------
def wait_for(true: t.Callable[[], bool], seconds: float = 120) -> bool:
    until = time.monotonic() + seconds
    while not true() and time.monotonic() < until:
        time.sleep(0.1)
    return true()


def test_a_background_job_outlives_its_command_and_ends_with_the_guest(router: Box) -> None:
    router.sh("x=late; ( sleep 5; echo $x > /tmp/job ) > /dev/null 2>&1 & echo started")
    assert not (router.root / "tmp/job").exists()
    assert wait_for(lambda: (router.root / "tmp/job").exists() and router.read("tmp/job") == "late\n")
    router.sh("( sleep 2; touch /tmp/never ) & echo $!")
    router.stop()
    time.sleep(2.5)
    assert not (router.root / "tmp/never").exists()


def change(address: str) -> live.UciChange:
    return live.UciChange((Op("set", "network", "lan", "lan", "ipaddr", address),))


def address(router: Box) -> str:
    return str(up(router, "lan")["ipv4-address"][0]["address"])


def test_a_confirmed_change_stands(router: Box) -> None:
    rc, _other, err = router.run("sh", "-s", stdin=commit_confirm.apply_script(change("10.0.0.1"), 600))
    assert (rc, err) == (0, "")
    assert address(router) == "10.0.0.1"
    assert router.run("sh", "-s", stdin=commit_confirm.confirm_script())[0] == 0
    assert router.run("sh", "-s", stdin=commit_confirm.confirm_script())[0] == commit_confirm.EXIT_NOTHING
    assert address(router) == "10.0.0.1"
    assert not (router.root / "etc/pve-provision").exists()


def test_an_unconfirmed_change_takes_itself_back(router: Box) -> None:
    assert router.run("sh", "-s", stdin=commit_confirm.apply_script(change("10.0.0.1"), 1))[0] == 0
    assert wait_for(lambda: address(router) == "192.168.20.1")
    assert wait_for(lambda: not (router.root / "etc/pve-provision").exists())
    assert "192.168.20.1" in router.read("etc/config/network")


def test_a_reboot_takes_an_unconfirmed_change_back(router: Box) -> None:
    assert router.run("sh", "-s", stdin=commit_confirm.apply_script(change("10.0.0.1"), 600))[0] == 0
    router.stop()
    router.start()
    assert address(router) == "192.168.20.1"


def test_a_batch_that_uci_refuses_changes_nothing(router: Box) -> None:
    bad = live.UciChange((Op("set", "network", "nosuch", "nosuch", "ipaddr", "10.0.0.1"),))
    rc, _other, err = router.run("sh", "-s", stdin=commit_confirm.apply_script(bad, 600))
    assert (rc, err) == (commit_confirm.EXIT_BATCH, "uci: Invalid argument\n")
    assert router.read("etc/config/network") == SEED
