# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What openwrt_vm does: a VM whose image carries its configuration before it is made, and that is kept as declared."""

from __future__ import annotations

import fnmatch
import os
import re
import signal
import threading
import time
import typing as t
from pathlib import Path

import pytest
from fake_clock import ImpatientClock

from ansible_collections.pve.provision.plugins.module_utils._argspec import CONNECTION
from ansible_collections.pve.provision.plugins.module_utils._engine.reconcile import reconcile
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt import router_guest as workflow
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt import running as openwrt
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt import vm as openwrt_vm
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.errors import RouterError
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.read import wanted_vm
from ansible_collections.pve.provision.plugins.module_utils._pve.open_node import open_node
from embedded_node import commands
from embedded_node.mirror import Mirror, images, openwrt_image
from embedded_node.openwrt import commands as openwrt_guest
from embedded_node.qemu import boot
from embedded_node.state.root import State

from .conftest import Answer, Bench, silent_agents, spawn, ssh_to_vms
from .conftest import steps as all_steps
from .routers import pairs, segments

Params = dict[str, t.Any]

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample admin@example.org"
WAN: Params = {"bridge": "vmbr0", "tag": 10, "proto": "dhcp"}
LAN: Params = {"bridge": "vmbr1", "tag": 20, "proto": "static", "address": "192.168.20.1/24", "dhcp_server": {}}
MADE = ["image", "create", "start", "await_up"]


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Mirror]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openwrt_image, "fat16", whole_fat)
        with Mirror(tmp_path_factory.mktemp("mirror"), sites=("openwrt",)) as site:
            yield site


def whole_fat(size: int, label: str, made: t.Callable[[int, str], bytes] = images.fat16) -> bytes:
    """The mirror's FAT with clusters so large that its table has a place for each."""
    volume = bytearray(made(size, label))
    volume[13] = 2
    return bytes(volume)


@pytest.fixture
def gateway(mirror: Mirror, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Params:
    """A router's declaration, where no address of it can be reached from here."""
    for module in (openwrt, openwrt_vm):
        monkeypatch.setattr(module, "answers", lambda address: False)
    return {
        "name": "gw",
        "interfaces": {"wan": WAN, "lan": LAN},
        "management": {"from": ["lan"], "ssh_keys": [KEY]},
        "mirrors": [mirror.base("openwrt")],
        "keys": [mirror.signer.usign_public],
        "start_timeout": 300,
        "disk": {"size": "32M"},
    }


@pytest.fixture
def entered(gateway: Params, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Params:
    """A router that can be entered by SSH: scripts run in the VM that has the address."""

    def spawn(host: openwrt_guest.Host, script: str, memory: Params) -> int:
        shell = openwrt_guest.Shell(openwrt_guest.Host(host.guest), memory["name"])
        shell.remember(memory)
        threading.Thread(target=shell.run, args=(script,), daemon=True).start()
        return 1

    monkeypatch.setattr(openwrt_guest.Host, "spawn", spawn)
    monkeypatch.setattr(openwrt_guest.Host, "alive", lambda host: True)
    monkeypatch.setattr(workflow, "ssh", ssh_to_vms(bench))
    return {**gateway, "ssh_private_key": "/root/.ssh/id_ed25519"}


def config(bench: Bench, vmid: int) -> dict[str, str]:
    text = (bench.node.root / f"etc/pve/qemu-server/{vmid}.conf").read_text(encoding="utf-8")
    return dict(line.split(": ", 1) for line in text.split("\n[")[0].splitlines() if ": " in line)


def vms(bench: Bench) -> list[str]:
    return sorted(path.stem for path in (bench.node.root / "etc/pve/qemu-server").glob("*.conf"))


def inside(bench: Bench, vmid: int, script: str) -> str:
    """What a script prints that somebody runs in the router."""
    done = boot.guest(State(bench.node.root), vmid).run(["sh", "-s"], script.encode())
    assert done.rc == 0, done.stderr
    return done.stdout.decode().strip()


def copies(bench: Bench, tmp_path: Path) -> list[Path]:
    """Seeded copies of images, wherever a run may have put them."""
    return [path for top in (bench.node.root, tmp_path) for path in top.rglob("*pve-provision-gw*")]


def steps(answer: Answer) -> list[str]:
    """A plan without the fetch, which only the first router of a node needs."""
    return [step for step in all_steps(answer) if step != "fetch_disk"]


def options_of(bench: Bench, answer: Answer) -> Params:
    """The options that a plan gives to the creation."""
    return next(step["options"] for step in answer.plan if step["step"] == "create")


# -- making it ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("filesystem", "bios"), pairs(["ext4", "squashfs"], ["seabios", "ovmf"]))
def test_it_boots_into_its_declaration_and_is_then_left_alone(
    bench: Bench, gateway: Params, tmp_path: Path, filesystem: str, bios: str
) -> None:
    router = {**gateway, "filesystem": filesystem, "bios": bios}
    made = bench.good("openwrt_vm", **router)
    assert steps(made) == MADE
    assert made.status == "running"
    has = config(bench, made.vmid)
    assert re.fullmatch(r"local-lvm:vm-100-disk-\d,discard=on,size=32M,ssd=1", has["scsi0"])
    assert ("efidisk0" in has) == (bios == "ovmf")
    assert inside(bench, made.vmid, "uci get network.lan.ipaddr") == "192.168.20.1"
    assert inside(bench, made.vmid, "cat /etc/dropbear/authorized_keys") == KEY
    assert copies(bench, tmp_path) == []
    bench.node.forget()
    again = bench.good("openwrt_vm", **router)
    assert (again.changed, again.plan) == (False, [])
    assert bench.writes() == []


def test_a_release_that_is_not_there_is_found_with_all_else(bench: Bench, gateway: Params) -> None:
    wrong = bench.bad("openwrt_vm", check=True, **{**gateway, "version": "99.1", "disk": {"storage": "nowhere"}})
    assert {finding["option"] for finding in wrong.findings} == {"version", "disk.storage"}


def test_routers_of_one_run_share_a_fetch_that_was_predicted(bench: Bench, gateway: Params, mirror: Mirror) -> None:
    router = {key: value for key, value in gateway.items() if key != "name"}
    elsewhere = {**router["interfaces"], "lan": {**router["interfaces"]["lan"], "tag": 21}}
    declared = {
        "defaults": {"type": "openwrt_vm", "state": "stopped"},
        "guests": [{**router, "name": "gw1"}, {**router, "name": "gw2", "interfaces": elsewhere}],
    }
    images = "*-combined.img.gz"
    mirror.forget()
    told = bench.good("guests", check=True, **declared)
    assert [answered for answered in mirror.requests if answered.sent and "img.gz" in answered.path] == []
    made = bench.good("guests", **declared)
    assert made.plan == told.plan
    assert made.plan[0].startswith("+ fetch openwrt-24.10.4-")
    assert [step["step"] for step in made.guests[0]["plan"]] == ["fetch_disk", "image", "create"]
    assert sum(answered.sent > 0 for answered in mirror.requests if fnmatch.fnmatchcase(answered.path, images)) == 1


def test_a_new_router_is_made_by_one_command(bench: Bench, gateway: Params) -> None:
    del gateway["disk"]
    made = bench.good("openwrt_vm", **gateway, bios="ovmf", machine={"type": "q35"})
    work = f"{bench.node.root}/var/cache/pve-provision/work/pve-provision-gw.raw"
    source = work if bench.backend == "cli" else "local:import/pve-provision-gw.qcow2"
    (disk,) = made.diff["after"]["disks"]
    assert re.fullmatch(r"openwrt-[0-9.]+-x86-64-generic-ext4-combined-efi\.raw", disk["import_from"])
    assert options_of(bench, made) == {
        "ostype": "l26",
        "scsihw": "virtio-scsi-single",
        "cores": "1",
        "memory": "256",
        "onboot": "1",
        "serial0": "socket",
        "boot": "order=scsi0",
        "name": "gw",
        "bios": "ovmf",
        "machine": "q35",
        "net0": "virtio,bridge=vmbr0,tag=10",
        "net1": "virtio,bridge=vmbr1,tag=20",
        "scsi0": f"local-lvm:0,import-from={source},discard=on,ssd=1",
        "efidisk0": "local-lvm:1,efitype=4m",
    }
    if bench.backend == "cli":
        assert [argv[:2] for argv in bench.writes()] == [["pvesm", "status"], ["qm", "create"], ["qm", "start"]]


def test_it_never_shows_itself_as_an_unconfigured_router(bench: Bench, gateway: Params) -> None:
    made = bench.good("openwrt_vm", **gateway)
    seen = segments(bench, made.vmid)
    assert seen, "the embedded node listens on its bridges"
    assert {event["bridge"] for event in seen if event["event"] == "dhcp_server"} == {"vmbr1"}


def test_a_directory_gets_a_qcow2_without_discard(bench: Bench, gateway: Params) -> None:
    storages = bench.node.root / "etc/pve/storage.cfg"
    before = storages.read_text(encoding="utf-8")
    files = bench.node.root / "srv/files"
    storages.write_text(f"{before}\ndir: files\n\tpath {files}\n\tcontent images\n", encoding="utf-8")
    router = {**gateway, "disk": {"storage": "files", "size": "64M"}}
    made = bench.good("openwrt_vm", **router)
    assert config(bench, made.vmid)["scsi0"] == f"files:{made.vmid}/vm-{made.vmid}-disk-0.qcow2,size=64M"
    assert inside(bench, made.vmid, "uci get network.lan.ipaddr") == "192.168.20.1"
    assert not bench.good("openwrt_vm", **router).changed


def test_check_mode_reports_what_a_run_then_does_and_writes_nothing(
    bench: Bench, gateway: Params, tmp_path: Path
) -> None:
    told = bench.good("openwrt_vm", check=True, **gateway)
    assert vms(bench) == []
    assert copies(bench, tmp_path) == []
    made = bench.good("openwrt_vm", **gateway)
    assert (told.plan, told.diff, told.vmid) == (made.plan, made.diff, made.vmid)


def test_present_makes_it_and_does_not_start_it(bench: Bench, gateway: Params) -> None:
    made = bench.good("openwrt_vm", **gateway, state="present")
    assert (steps(made), made.status) == (["image", "create"], "stopped")
    started = bench.good("openwrt_vm", **gateway)
    assert steps(started) == ["start", "await_up"]
    assert inside(bench, made.vmid, "uci get network.lan.ipaddr") == "192.168.20.1"


def test_a_disk_smaller_than_the_image_leaves_nothing(bench: Bench, gateway: Params, tmp_path: Path) -> None:
    failed = bench.bad("openwrt_vm", **{**gateway, "disk": {"size": "8M"}})
    assert "image failed" in failed.msg
    assert "larger disk" in failed.msg
    assert (vms(bench), copies(bench, tmp_path)) == ([], [])


def test_secrets_are_never_seen(bench: Bench, gateway: Params) -> None:
    secret = "$6$abcdefgh$" + "Zz9" * 28
    management = {**gateway["management"], "password_hash": secret}
    made = bench.good("openwrt_vm", **{**gateway, "management": management})
    assert inside(bench, made.vmid, "grep ^root: /etc/shadow").split(":")[1] == secret
    assert secret not in str(made.values)
    assert secret not in str(bench.node.commands())


# -- the agent ---------------------------------------------------------------------------------------------------------


def test_the_agent_is_installed_by_the_router_itself_and_reports_its_addresses(
    bench: Bench, gateway: Params, clock: ImpatientClock
) -> None:
    interfaces = {"wan": {"bridge": "vmbr0", "proto": "dhcp"}, "lan": LAN}
    router = {**gateway, "interfaces": interfaces, "agent": True, "start_timeout": 60}
    with silent_agents():
        made = bench.good("openwrt_vm", **router)
    assert config(bench, made.vmid)["agent"] == "1"
    installer = inside(bench, made.vmid, "cat /etc/rc.local")
    assert installer.endswith(") > /dev/null 2>&1 &\nexit 0")
    inside(bench, made.vmid, installer.replace("2>&1 &", "2>&1"))  # not in the background, so that its end is seen
    assert "opkg" not in inside(bench, made.vmid, "cat /etc/rc.local")
    assert "qemu-ga" in inside(bench, made.vmid, "opkg list-installed; mkdir -p /usr/bin; : > /usr/bin/qemu-ga")
    again = bench.good("openwrt_vm", **router)
    assert not again.changed
    assert [(entry["interface"], entry["source"]) for entry in again.addresses] == [("wan", "ubus"), ("lan", "ubus")]
    assert again.openwrt["drift"] == "none"
    by_package = {key: value for key, value in router.items() if key != "agent"} | {"packages": ["qemu-ga"]}
    assert not bench.good("openwrt_vm", **by_package).changed
    restarted = bench.good("openwrt_vm", **router, state="restarted")
    assert restarted.openwrt["verified_by"] == "agent"


def test_any_vm_with_an_agent_is_waited_for_until_it_has_an_address(
    bench: Bench, gateway: Params, clock: ImpatientClock
) -> None:
    """Also one of which nothing is declared but its number; a router stands for it."""
    with silent_agents():
        made = bench.good("openwrt_vm", **{**gateway, "agent": True, "start_timeout": 60})
    inside(bench, made.vmid, "mkdir -p /usr/bin; : > /usr/bin/qemu-ga")
    connection = {name: spec.get("default") for name, spec in CONNECTION.options.items()} | bench.connection
    wanted = wanted_vm({"state": "restarted", "vmid": made.vmid, "ip_timeout": 60})
    result = reconcile(open_node(connection), wanted, check_mode=False)
    assert [(entry["address"], entry["source"]) for entry in result.addresses] == [("192.168.20.1", "agent")]
    assert result.addresses[0]["hwaddr"] in config(bench, made.vmid)["net1"]


def test_cards_in_another_order_are_not_accepted(
    bench: Bench, gateway: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The router is asked for its MAC addresses; a WAN that is the LAN is not left running."""
    monkeypatch.setattr(openwrt_vm, "has_agent", lambda node, vmid: True)
    swapped = [{"name": "eth0", "hwaddr": "02:00:00:00:00:01"}, {"name": "eth1", "hwaddr": "02:00:00:00:00:02"}]
    monkeypatch.setattr(openwrt_vm, "agent_interfaces", lambda run: swapped)
    failed = bench.bad("openwrt_vm", **gateway)
    assert "eth0 of the router has the MAC address 02:00:00:00:00:01" in failed.msg
    assert vms(bench) == []


def test_an_agent_that_never_answers_is_no_failure(bench: Bench, gateway: Params, clock: ImpatientClock) -> None:
    with silent_agents():
        made = bench.good("openwrt_vm", **{**gateway, "agent": True, "start_timeout": 60})
    assert "nothing shows whether the router is up" in str(made.warnings)
    assert made.openwrt["drift"] == "unknown"


# -- finding its addresses ---------------------------------------------------------------------------------------------


def sources(answer: Answer) -> dict[str, str]:
    return {entry["interface"]: entry["source"] for entry in answer.addresses}


def test_a_router_that_nobody_can_ask_is_met_by_the_node(bench: Bench, gateway: Params, clock: ImpatientClock) -> None:
    """Neither agent nor SSH, and an address by DHCP: the node knows it by the MAC address in the VM's config."""
    router = {**gateway, "interfaces": {"wan": {"bridge": "vmbr0", "proto": "dhcp"}, "lan": LAN}, "ip_timeout": 60}
    made = bench.good("openwrt_vm", **router)
    words = "no address on wan after 60 s"
    if bench.backend == "api":
        assert sources(made) == {"lan": "declared"}
        assert words in str(made.warnings)
        assert words in bench.bad("openwrt_vm", **router, require_ip=True).msg
        return
    assert sources(made) == {"wan": "neighbour", "lan": "declared"}
    wan = made.addresses[0]
    assert wan["address"] in inside(bench, made.vmid, "ip -4 -o addr")
    assert (wan["prefix"], wan["family"]) == (None, "ipv4")
    bench.node.forget()
    clock.paused = 0
    again = bench.good("openwrt_vm", **router, require_ip=True)
    assert (again.changed, again.addresses) == (False, made.addresses)
    assert bench.node.commands() == [["ip", "-j", "neigh", "show"]]
    assert clock.paused == 0


def test_a_declared_address_is_confirmed_by_who_has_met_it(bench: Bench, gateway: Params) -> None:
    lan = {"bridge": "vmbr0", "address": ["10.10.10.50/24", "192.168.20.1/24"]}
    made = bench.good("openwrt_vm", **{**gateway, "interfaces": {"lan": lan}})
    seen = [(entry["address"], entry["prefix"], entry["source"]) for entry in made.addresses]
    declared = [(text, 24, "declared") for text in ("10.10.10.50", "192.168.20.1")]
    assert seen == (declared if bench.backend == "api" else [("10.10.10.50", 24, "neighbour")])


def test_what_can_be_asked_is_believed_before_the_node(bench: Bench, entered: Params) -> None:
    router = {**entered, "interfaces": {"wan": {"bridge": "vmbr0", "proto": "dhcp"}, "lan": LAN}, "ip_timeout": 300}
    bench.good("openwrt_vm", **router)
    bench.node.forget()
    assert sources(bench.good("openwrt_vm", **router)) == {"wan": "ubus", "lan": "ubus"}
    assert bench.node.commands() == []


# -- changing it -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "plan", "after"),
    [
        ({"memory": 512}, ["set"], {"memory": "512"}),
        ({"tags": ["edge", "Router"]}, ["set"], {"tags": "edge;router"}),
        ({"onboot": False}, ["set"], {"onboot": "0"}),
        ({"disk": {"size": "64M"}}, ["resize"], {"scsi0": "local-lvm:vm-100-disk-0,discard=on,size=64M,ssd=1"}),
        ({"disk": {"ssd": False}}, ["set"], {"scsi0": "local-lvm:vm-100-disk-0,discard=on,size=32M,ssd=0"}),
        ({"state": "stopped"}, ["shutdown"], {}),
        ({"state": "restarted"}, ["shutdown", "start", "await_up"], {}),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) and value else None,
)
def test_what_differs_is_changed_and_nothing_else(
    bench: Bench, gateway: Params, change: Params, plan: list[str], after: dict[str, str]
) -> None:
    vmid = bench.good("openwrt_vm", **gateway).vmid
    before = config(bench, vmid)
    told = bench.good("openwrt_vm", check=True, **{**gateway, **change})
    changed = bench.good("openwrt_vm", **{**gateway, **change})
    assert (steps(told), steps(changed)) == (plan, plan)
    pending = changed.values.get("pending") or {}
    assert {**config(bench, vmid), **pending} == {**before, **after}
    if change.get("state") != "restarted":
        assert not bench.good("openwrt_vm", **{**gateway, **change}).changed


def test_further_disks_and_drives_come_after_the_routers_own(bench: Bench, gateway: Params) -> None:
    medium = bench.node.root / "var/lib/vz/template/iso/tools.iso"
    medium.parent.mkdir(parents=True, exist_ok=True)
    medium.write_bytes(b"tools")
    extra = {"disks": [{"storage": "local-lvm", "size": "1G"}], "cdroms": [{"iso": "local:iso/tools.iso"}]}
    lan = {**LAN, "queues": 4}
    router = {**gateway, **extra, "interfaces": {"wan": WAN, "lan": lan}}
    made = bench.good("openwrt_vm", **router)
    has = config(bench, made.vmid)
    assert has["scsi0"].endswith("size=32M,ssd=1")
    assert "size=1G" in has["scsi1"]
    assert has["ide2"].startswith("local:iso/tools.iso,media=cdrom")
    assert "queues=4" in has["net1"]
    assert inside(bench, made.vmid, "uci get network.lan.ipaddr") == "192.168.20.1"
    again = bench.good("openwrt_vm", **router)
    assert (again.changed, again.plan) == (False, [])
    without = bench.good("openwrt_vm", **{**router, "disk": None, "disks": [{"size": "2G"}]})
    assert steps(without) == ["resize"]
    assert "size=2G" in config(bench, made.vmid)["scsi1"]
    foreign = bench.bad("openwrt_vm", **gateway)
    assert "ide2" in foreign.findings[0]["problem"]
    medium.unlink()


def test_what_is_wrong_with_a_further_disk_is_reported_by_its_own_name(bench: Bench, gateway: Params) -> None:
    own = {**(gateway.get("disk") or {}), "storage": "local-lvm"}
    refused = bench.bad("openwrt_vm", **{**gateway, "disk": own}, disks=[{"storage": "nowhere", "size": "1G"}])
    assert [finding["option"] for finding in refused.findings] == ["disks[0].storage"]


def test_a_changed_network_keeps_its_mac_address(bench: Bench, gateway: Params) -> None:
    vmid = bench.good("openwrt_vm", **gateway).vmid
    before = config(bench, vmid)
    bench.good("openwrt_vm", **{**gateway, "interfaces": {"wan": {**WAN, "tag": 11}, "lan": LAN}})
    after = config(bench, vmid)
    assert after["net0"] == before["net0"].replace("tag=10", "tag=11")
    assert after["net1"] == before["net1"]


def test_firmware_changes_only_by_recreating_it(bench: Bench, gateway: Params) -> None:
    vmid = bench.good("openwrt_vm", **gateway, vmid=140).vmid
    refused = bench.bad("openwrt_vm", **gateway, vmid=140, bios="ovmf")
    assert [finding["option"] for finding in refused.findings] == ["bios"]
    anew = bench.good("openwrt_vm", **gateway, vmid=140, bios="ovmf", recreate=True, force=True, shutdown_timeout=5)
    assert steps(anew) == ["shutdown", "image", "destroy", *MADE[1:]]
    assert config(bench, vmid)["bios"] == "ovmf"


# -- inside ------------------------------------------------------------------------------------------------------------


def test_without_a_way_in_drift_is_unknown_and_no_warning(bench: Bench, gateway: Params) -> None:
    made = bench.good("openwrt_vm", **gateway)
    inside(bench, made.vmid, "uci set system.@system[0].hostname=other; uci commit")
    again = bench.good("openwrt_vm", **gateway)
    assert (again.changed, again.openwrt["drift"]) == (False, "unknown")
    assert "ssh_private_key" in again.openwrt["reason"]
    assert "warnings" not in again.values


def test_that_ssh_answers_is_no_word_of_the_guest_agent(bench: Bench, entered: Params) -> None:
    checks = [{"type": "agent", "timeout": 0}, {"type": "interface", "interface": "lan"}]
    made = bench.good("openwrt_vm", **entered, agent=False, checks=checks)
    told = {check["type"]: (check["outcome"], check["by"]) for check in made.checks}
    assert (told["agent"][0], told["interface"][0]) == ("not_verified", "passed")


def test_drift_is_seen_by_ssh_and_mended(bench: Bench, entered: Params) -> None:
    made = bench.good("openwrt_vm", **entered)
    assert (made.openwrt["verified_by"], made.openwrt["drift"]) == ("ssh", "none")
    assert made.openwrt["version"].startswith("24.10.")
    mac = config(bench, made.vmid)["net1"].split("=")[1].split(",")[0]
    assert made.addresses[-1] == {
        "interface": "lan", "address": "192.168.20.1", "prefix": 24, "family": "ipv4", "hwaddr": mac, "source": "ubus",
    }  # fmt: skip
    assert not bench.good("openwrt_vm", **entered).changed
    inside(bench, made.vmid, "uci set system.@system[0].hostname=other; uci commit")
    told = bench.good("openwrt_vm", check=True, **entered)
    mended = bench.good("openwrt_vm", **entered)
    assert told.plan == mended.plan
    assert steps(mended) == ["configure"]
    assert [words.split(".", 2)[2] for words in mended.plan[0]["uci"]] == ["hostname='gw'"]
    assert inside(bench, made.vmid, "uci get system.@system[0].hostname") == "gw"
    assert not bench.good("openwrt_vm", **entered).changed


def test_drift_is_seen_by_the_agent_and_mended(bench: Bench, gateway: Params, clock: ImpatientClock) -> None:
    router = {**gateway, "agent": True, "start_timeout": 60}
    with silent_agents():
        made = bench.good("openwrt_vm", **router)
    assert (made.openwrt["drift"], "not running" in made.openwrt["reason"]) == ("unknown", True)
    status = "Package: qemu-ga\\nVersion: 9\\nStatus: install ok installed\\n\\n"
    inside(bench, made.vmid, f"printf '{status}' >> /usr/lib/opkg/status; mkdir -p /usr/bin; : > /usr/bin/qemu-ga")
    inside(bench, made.vmid, "uci set system.@system[0].hostname=other; uci commit")
    told = bench.good("openwrt_vm", check=True, **router)
    mended = bench.good("openwrt_vm", **router)
    assert (steps(mended), told.plan) == (["configure"], mended.plan)
    assert inside(bench, made.vmid, "uci get system.@system[0].hostname") == "gw"
    bench.node.forget()
    again = bench.good("openwrt_vm", **router)
    assert (again.changed, again.openwrt["drift"]) == (False, "none")
    assert bench.writes() == []  # on the node the agent is asked by its socket


def test_a_new_interface_gets_its_card_and_its_configuration(bench: Bench, entered: Params) -> None:
    vmid = bench.good("openwrt_vm", **entered).vmid
    iot = {"bridge": "vmbr1", "tag": 30, "proto": "static", "address": "192.168.30.1/24", "forward_to": ["wan"]}
    declaration = {**entered, "interfaces": {"wan": WAN, "lan": LAN, "iot": iot}}
    changed = bench.good("openwrt_vm", **declaration)
    assert steps(changed) == ["set", "configure"]
    assert config(bench, vmid)["net2"].endswith(",bridge=vmbr1,tag=30")
    assert inside(bench, vmid, "uci get network.iot.ipaddr") == "192.168.30.1"
    assert not bench.good("openwrt_vm", **declaration).changed


def test_a_stopped_router_is_started_and_brought_in_line(bench: Bench, entered: Params) -> None:
    vmid = bench.good("openwrt_vm", **entered).vmid
    inside(bench, vmid, "uci set system.@system[0].hostname=other; uci commit")
    bench.good("openwrt_vm", **{**entered, "state": "stopped"})
    assert steps(bench.good("openwrt_vm", **entered)) == ["start", "await_up", "configure"]
    assert inside(bench, vmid, "uci get system.@system[0].hostname") == "gw"


def test_what_is_still_missing_is_installed_by_a_later_run(bench: Bench, entered: Params) -> None:
    interfaces = {"wan": {"bridge": "vmbr0", "proto": "dhcp"}, "lan": LAN}
    declaration = {**entered, "interfaces": interfaces, "ip_timeout": 300}
    vmid = bench.good("openwrt_vm", **declaration).vmid
    more = bench.good("openwrt_vm", **declaration, packages=["tcpdump"])
    assert steps(more) == ["packages"]
    assert "tcpdump" in inside(bench, vmid, "opkg list-installed")
    assert not bench.good("openwrt_vm", **declaration, packages=["tcpdump"]).changed


# -- removing it -------------------------------------------------------------------------------------------------------


def test_absent_takes_it_away_with_its_disks(bench: Bench, gateway: Params) -> None:
    vmid = bench.good("openwrt_vm", **gateway, bios="ovmf").vmid
    assert "name" in bench.bad("openwrt_vm", vmid=vmid, name="other", state="absent").msg
    gone = bench.good("openwrt_vm", vmid=vmid, name="gw", state="absent", force=True, shutdown_timeout=5)
    assert (steps(gone), gone.status) == (["shutdown", "destroy"], "absent")
    assert (vms(bench), bench.volumes("local-lvm", vmid)) == ([], [])
    assert not bench.good("openwrt_vm", vmid=vmid, name="gw", state="absent").changed


def test_a_protected_router_stays(bench: Bench, gateway: Params) -> None:
    vmid = bench.good("openwrt_vm", **gateway, protection=True).vmid
    assert "protected" in bench.bad("openwrt_vm", vmid=vmid, name="gw", state="absent", force=True).msg
    assert vms(bench) == [str(vmid)]


# -- failing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["fail_create", "storage_full", "kill"])
def test_a_failed_creation_leaves_nothing_and_the_next_run_makes_it(
    bench: Bench, gateway: Params, tmp_path: Path, fault: str
) -> None:
    if fault == "kill" and bench.backend == "api":
        pytest.skip("only the node can unlock what a killed task has left")
    details: dict[str, Params] = {
        "fail_create": {"after": "alloc"},
        "storage_full": {"storage": "local-lvm"},
        "kill": {"at": "alloc"},
    }
    bench.node.fault(fault, **details[fault])
    failed = bench.bad("openwrt_vm", **gateway)
    bench.node.clear_faults()
    assert copies(bench, tmp_path) == []
    assert (vms(bench), bench.volumes("local-lvm", 100)) == ([], []), failed.msg
    assert bench.good("openwrt_vm", **gateway).status == "running"


def test_the_run_after_a_killed_one_makes_the_router_whole(bench: Bench, gateway: Params, tmp_path: Path) -> None:
    """Whether PVE's own work has died with the run, or lives on and is waited for."""
    if bench.backend == "api":
        pytest.skip("PVE's task goes on and ends without us")
    bench.node.fault("slow", at="alloc", seconds=3)
    process = spawn(gateway, "openwrt_vm")
    deadline = time.monotonic() + 120
    while not vms(bench) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    bench.node.clear_faults()
    assert copies(bench, tmp_path) != []
    made = bench.good("openwrt_vm", **gateway)
    assert steps(made)[-2:] == ["start", "await_up"]
    assert inside(bench, 100, "uci get network.lan.ipaddr") == "192.168.20.1"
    assert (made.vmid, len(bench.volumes("local-lvm", 100)), copies(bench, tmp_path)) == (100, 1, [])


def test_a_failed_start_takes_everything_back(
    bench: Bench, gateway: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: t.Any, run: t.Any, console: t.Any) -> bool:
        raise RouterError("the router does not boot")

    monkeypatch.setattr(openwrt_vm.OpenWrtVm, "_is_up", refuse)
    failed = bench.bad("openwrt_vm", **gateway)
    assert "await_up failed" in failed.msg
    assert "was removed again" in failed.msg
    assert (vms(bench), bench.volumes("local-lvm", failed.vmid), copies(bench, tmp_path)) == ([], [], [])


def test_cleanup_on_failure_may_be_switched_off(
    bench: Bench, gateway: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: t.Any, run: t.Any, console: t.Any) -> bool:
        raise RouterError("the router does not boot")

    with monkeypatch.context() as patch:
        patch.setattr(openwrt_vm.OpenWrtVm, "_is_up", refuse)
        failed = bench.bad("openwrt_vm", **gateway, cleanup_on_failure=False)
    assert (vms(bench), copies(bench, tmp_path)) == ([str(failed.vmid)], [])
    assert not bench.good("openwrt_vm", **gateway).changed


def test_what_a_killed_run_has_left_is_used_by_nobody(bench: Bench, gateway: Params, tmp_path: Path) -> None:
    cache = tmp_path / "cache" if bench.backend == "api" else bench.node.root / "var/cache"
    left = cache / "pve-provision/work" / ("" if bench.backend == "cli" else bench.node.name) / "pve-provision-gw.raw"
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_bytes(b"half an image")
    uploaded = bench.node.root / "var/lib/vz/import/pve-provision-gw.qcow2"
    if bench.backend == "api":
        uploaded.parent.mkdir(parents=True, exist_ok=True)
        uploaded.write_bytes(b"half an image")
    made = bench.good("openwrt_vm", **gateway)
    assert inside(bench, made.vmid, "uci get network.lan.ipaddr") == "192.168.20.1"
    assert copies(bench, tmp_path) == []


def test_a_storage_for_imports_is_needed_over_the_api(bench: Bench, gateway: Params) -> None:
    if bench.backend == "cli":
        pytest.skip("on the node PVE reads the image where it lies")
    storages = bench.node.root / "etc/pve/storage.cfg"
    before = storages.read_text(encoding="utf-8")
    storages.write_text(before.replace(",import", ""), encoding="utf-8")
    refused = bench.bad("openwrt_vm", **gateway)
    assert [finding["option"] for finding in refused.findings] == ["disk"]
    assert "content type import" in refused.msg


def test_a_port_has_the_declared_number_of_queues(bench: Bench, gateway: Params) -> None:
    queued = {**gateway["interfaces"], "lan": {**gateway["interfaces"]["lan"], "queues": 4}}
    predicted = bench.good("openwrt_vm", check=True, **{**gateway, "interfaces": queued, "state": "present"})
    (create,) = [step for step in predicted.plan if step["step"] == "create"]
    assert [("queues=4" in create["options"][net]) for net in ("net0", "net1")] == [False, True]


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "options"),
    [
        ({"name": "not a name"}, ["name"]),
        ({"name": None}, ["name"]),
        ({"vmid": 7}, ["vmid"]),
        ({"memory": 4}, ["memory"]),
        ({"disk": {"size": "much"}}, ["disk.size"]),
        ({"disk": {"storage": "nowhere"}}, ["disk.storage"]),
        ({"disk": {"storage": "local"}}, ["disk.storage"]),
        ({"pool": "nobody"}, ["pool"]),
        ({"interfaces": {}, "management": {}}, ["interfaces"]),
        ({"interfaces": {"wan": {**WAN, "bridge": "vmbr9"}, "lan": LAN}}, ["interfaces.wan.bridge"]),
        ({"interfaces": {"wan": {**WAN, "mtu": 9000}, "lan": LAN}}, ["interfaces.wan.mtu"]),
        ({"interfaces": {"wan": {**WAN, "proto": "smoke"}, "lan": {**LAN, "tag": 5000}}},
         ["interfaces.wan.proto", "interfaces.lan.tag"]),
        ({"interfaces": {"wan": {**WAN, "hwaddr": "BC:24:11:00:00:01"}, "lan": {**LAN, "hwaddr": "BC:24:11:00:00:01"}}},
         ["interfaces.lan.hwaddr"]),
        ({"interfaces": {"lan": LAN, "more": {**LAN, "address": "192.168.21.1/24"}}}, ["interfaces.more.bridge"]),
        ({"interfaces": {"lan": {**LAN, "bridge": "vmbr0", "tag": None}}}, ["interfaces.lan.dhcp_server"]),
        ({"tags": ["no tag"], "cpulimit": 1000, "packages": ["; reboot"]}, ["packages", "tags[0]", "cpulimit"]),
    ],
    ids=str,
)  # fmt: skip
def test_all_that_stands_against_it_is_reported_at_once(
    bench: Bench, gateway: Params, params: Params, options: list[str]
) -> None:
    refused = bench.bad("openwrt_vm", **{**gateway, **params})
    assert sorted({finding["option"] for finding in refused.findings}) == sorted(options), refused.msg
    assert vms(bench) == []


def test_another_guests_mac_address_is_refused(bench: Bench, gateway: Params) -> None:
    """Of one that runs; of one that is stopped it is told only."""
    for argv in (["create", "300", "--net0", "virtio=BC:24:11:00:00:07"], ["start", "300"]):
        rc, _out, err = commands.run(["qm", *argv], bench.node.root, b"")
        assert rc == 0, err
    lan = {**LAN, "hwaddr": "bc:24:11:00:00:07"}
    refused = bench.bad("openwrt_vm", **{**gateway, "interfaces": {"lan": lan}})
    assert "is the MAC address of guest 300" in refused.msg
