# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs by their profiles, the same on the node and over the API."""

from __future__ import annotations

import email
import re
import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._guests.vm import own_iso
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles import installer
from ansible_collections.pve.provision.plugins.module_utils._pve.api.agent import ApiAgent
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.agent import CliAgent
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed
from embedded_node import commands
from embedded_node.state import iso9660

from .conftest import Bench, steps

Params = dict[str, t.Any]

DISKS: list[Params] = [{"storage": "local-lvm", "size": "1G"}]
# A disk with nothing on it: what comes of images is tested elsewhere.
BLANK: Params = {"image": None, "disks": DISKS}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample me@example.org"
PASSWORD = "Correct-Horse-9-Battery"


@pytest.fixture
def medium(bench: Bench) -> str:
    """A CD image of somebody's on the node."""
    path = bench.node.root / "var/lib/vz/template/iso/own.iso"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"own")
    return "local:iso/own.iso"


@pytest.fixture(autouse=True)
def images(bench: Bench) -> Path:
    """Where CD images are."""
    folder: Path = bench.node.root / "var/lib/vz/template/iso"
    return folder


def ours(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("pve-provision-*"))


def options(bench: Bench, vmid: int) -> dict[str, str]:
    rc, out, err = commands.run(["qm", "config", str(vmid)], bench.node.root, b"")
    assert rc == 0, err
    return dict(line.split(": ", 1) for line in out.splitlines())


def declared(name: str, medium: str, **more: t.Any) -> Params:
    """A VM with a profile, on a disk of its own."""
    needed: dict[str, Params] = {
        "windows": {
            "cdroms": [{"volume": medium}, {"volume": medium}],
            "windows": {"version": "2022", "admin_password": PASSWORD},
        },
        "kubernetes": {"cluster": {"name": "k", "role": "server"}},
        "haos": {"haos": {"ssh_keys": [KEY], "network": [{"ip": "192.0.2.5/24", "gateway": "192.0.2.1"}]}},
    }
    return {"name": f"{name}1", "profile": name, **BLANK, "checks_timeout": 0, **needed.get(name, {}), **more}


L26 = {"ostype": "l26", "machine": "q35", "cpu": "x86-64-v2-AES", "serial0": "socket", "tablet": "0"}
SINGLE = {"scsihw": "virtio-scsi-single", "agent": "1"}
CLOUD = {**L26, **SINGLE, "cores": "2", "memory": "2048", "vga": "serial0", "ipconfig0": "ip=dhcp"}
CONFIGS: dict[str, dict[str, str]] = {
    "cloud": CLOUD,
    "docker": {**CLOUD, "memory": "4096"},
    "kubernetes": {**CLOUD, "memory": "4096"},
    "haos": {**L26, **SINGLE, "cores": "2", "memory": "4096", "bios": "ovmf"},
    "talos": {
        **L26, "cores": "2", "memory": "4096", "balloon": "0", "scsihw": "virtio-scsi-pci", "citype": "nocloud",
        "ipconfig0": "ip=dhcp",
    },
    "windows": {
        **SINGLE, "ostype": "win11", "machine": r"pc-q35-\d.*", "cpu": "x86-64-v2-AES", "bios": "ovmf", "cores": "2",
        "memory": "8192", "boot": "order=scsi0;ide2;ide0;sata5", "ide2": "local:iso/own.iso,media=cdrom.*",
        "ide0": "local:iso/own.iso,media=cdrom.*",
    },
    "custom": {},
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_a_profile_makes_a_vm_and_then_leaves_it_alone(name: str, bench: Bench, medium: str) -> None:
    vm = declared(name, medium)
    made = bench.good("vm_create", **vm)
    config = options(bench, made.vmid)
    for key, value in CONFIGS[name].items():
        assert re.fullmatch(value, config[key]), key
    assert config["scsi0"].startswith("local-lvm:vm-")
    bench.node.forget()
    again = bench.good("vm_create", **vm)
    assert again.plan == []
    assert bench.writes() == []


def test_firmware_and_tpm_are_those_that_each_system_wants(bench: Bench, medium: str) -> None:
    windows = options(bench, bench.good("vm_create", **declared("windows", medium)).vmid)
    assert "efitype=4m" in windows["efidisk0"]
    assert "pre-enrolled-keys=1" in windows["efidisk0"]
    assert "version=v2.0" in windows["tpmstate0"]
    haos = options(bench, bench.good("vm_create", **declared("haos", medium)).vmid)
    assert "efitype=4m" in haos["efidisk0"]
    assert "pre-enrolled-keys=1" not in haos["efidisk0"]
    assert "tpmstate0" not in haos


def of_first_boot(bench: Bench, vmid: int) -> str:
    """What the VM runs at its first boot besides what its user says."""
    held = " ".join(options(bench, vmid).values())
    name = t.cast("re.Match[str]", re.search(r"pve-provision-\S+-(vendor|data)-\w+\.(yaml|iso)", held))[0]
    (path,) = (bench.node.root / "var/lib/vz").rglob(name)
    data = iso9660.read(path.read_bytes())["vendor-data"] if path.suffix == ".iso" else path.read_bytes()
    parts = (part.get_payload(decode=True) for part in email.message_from_bytes(data).walk())
    return "".join(part.decode() for part in parts if isinstance(part, bytes))


def test_vendor_data_of_the_users_own_come_besides_those_of_the_profile(bench: Bench, medium: str) -> None:
    vm = declared("docker", medium)
    vm["cloud_init"] = {**vm.get("cloud_init", {}), "vendor_data": "#cloud-config\nlocale: C\n"}
    made = bench.good("vm_create", **vm)
    for part in ("locale: C", "# Brings Docker.", "# Brings the QEMU guest agent"):
        assert part in of_first_boot(bench, made.vmid)


def test_what_a_profile_brings_to_a_new_vm_is_no_change_of_one_that_is_there(bench: Bench, medium: str) -> None:
    vm = declared("kubernetes", medium, restart="when_needed")
    made = bench.good("vm_create", **vm)
    newer = {**vm, "cluster": {**vm["cluster"], "version": "v1.34.1+k3s1"}}
    assert bench.good("vm_create", **newer).plan == []
    assert "v1.34.1" not in of_first_boot(bench, made.vmid)


@pytest.mark.parametrize(
    ("more", "key", "expected"),
    [
        ({"memory": 3072}, "memory", "3072"),
        ({"cpu": {"type": "host"}}, "cpu", "host"),
        ({"networks": [{"bridge": "vmbr1", "tag": 7}]}, "net0", r"virtio=[0-9A-F:]+,bridge=vmbr1,tag=7"),
        ({"agent": {"type": "isa"}}, "agent", "1,type=isa"),
        ({"cloud_init": {"ip": [{"ip6": "auto"}]}}, "ipconfig0", "ip6=auto,ip=dhcp|ip=dhcp,ip6=auto"),
        ({"vga": None}, "vga", None),
        ({"serials": None, "vga": None}, "serial0", None),
    ],
)
def test_what_is_declared_goes_before_the_profile(
    more: Params, key: str, expected: str | None, bench: Bench, medium: str
) -> None:
    vm = declared("cloud", medium, **more)
    config = options(bench, bench.good("vm_create", **vm).vmid)
    if expected is None:
        assert key not in config
    else:
        assert re.fullmatch(expected, config[key]), config[key]
    assert not bench.good("vm_create", **vm).changed


def test_an_option_changed_and_brought_back_is_the_profile_again(bench: Bench, medium: str) -> None:
    vm = declared("cloud", medium)
    made = bench.good("vm_create", **vm)
    before = options(bench, made.vmid)
    bench.good("vm_create", **{**vm, "cores": 1, "memory": 1024, "tablet": True})
    assert options(bench, made.vmid)["cores"] == "1"
    back = bench.good("vm_create", **vm)
    assert steps(back) == ["set"]
    assert options(bench, made.vmid) == before


def test_the_disk_of_a_vm_that_is_there_is_what_it_has_become(bench: Bench, medium: str) -> None:
    vm = declared("cloud", medium, disks=[{"storage": "local-lvm"}])
    made = bench.good("vm_create", **vm)
    assert "size=16G" in options(bench, made.vmid)["scsi0"]
    commands.run(["qm", "resize", str(made.vmid), "scsi0", "20G"], bench.node.root, b"")
    assert not bench.good("vm_create", **vm).changed
    assert not bench.good("vm_create", name="cloud1", profile="cloud", image=None, checks_timeout=0).changed
    assert "size=20G" in options(bench, made.vmid)["scsi0"]


@pytest.mark.parametrize(
    ("vm", "told"),
    [
        ({"profile": "cloud", "haos": {"ssh_keys": [KEY]}}, "haos: is for VMs with profile haos"),
        ({"cluster": {"name": "k"}}, "cluster: is for VMs with profile kubernetes"),
        ({"profile": "kubernetes"}, "cluster: is missing"),
        ({"profile": "kubernetes", "cluster": {"name": "k"}}, "cluster.server: is missing"),
        (
            {"profile": "haos", "haos": {"network": [{"ip": "192.0.2.5"}]}},
            "haos.network[0].ip: '192.0.2.5' is not an IPv4",
        ),
        ({"profile": "haos", "cloud_init": {"user": "a"}}, "cloud_init: is nothing that Home Assistant OS reads"),
        ({"profile": "haos", "bios": "seabios"}, "efidisk=null where a profile brings it"),
        (
            {"profile": "kubernetes", "cluster": {"name": "k", "role": "server", "version": "1"}},
            "cluster.version: '1' is",
        ),
        ({"profile": "windows"}, "cdroms[0].iso: is missing"),
        ({"profile": "debian"}, "value of profile must be one of"),
    ],
)
def test_what_a_profile_cannot_do_with_is_reported(vm: Params, told: str, bench: Bench) -> None:
    assert told in bench.bad("vm_create", name="x1", **BLANK, **vm).msg
    assert list((bench.node.root / "etc/pve/qemu-server").glob("*.conf")) == []


# -- CD images of our own ----------------------------------------------------------------------------------------------


def test_home_assistant_gets_its_network_and_keys_from_a_volume(bench: Bench, medium: str, images: Path) -> None:
    made = bench.good("vm_create", **declared("haos", medium))
    assert steps(made) == ["put_iso", "create"]
    (name,) = ours(images)
    assert options(bench, made.vmid)["sata5"].startswith(f"local:iso/{name},media=cdrom")
    content = (images / name).read_bytes()
    assert b"C\0O\0N\0F\0I\0G" in content
    assert KEY.encode() in content
    assert b"address1=192.0.2.5/24,192.0.2.1\n" in content


def test_a_volume_is_replaced_when_its_content_changes_and_goes_with_the_vm(
    bench: Bench, medium: str, images: Path
) -> None:
    vm = declared("haos", medium)
    made = bench.good("vm_create", **vm)
    (first,) = ours(images)
    changed = {**vm, "haos": {"ssh_keys": [f"{KEY}2"]}}
    assert [step["step"] for step in bench.good("vm_create", check=True, **changed).plan] == [
        "put_iso", "set", "remove_iso"
    ]  # fmt: skip
    assert ours(images) == [first]
    bench.good("vm_create", **changed)
    (second,) = ours(images)
    assert second != first
    assert options(bench, made.vmid)["sata5"].startswith(f"local:iso/{second}")
    assert not bench.good("vm_create", **changed).changed
    bench.good("vm_create", **{**changed, "vmid": made.vmid, "state": "absent"})
    assert ours(images) == []


def test_a_volume_that_a_copy_of_the_vm_holds_stays(bench: Bench, medium: str, images: Path) -> None:
    """A clone names the CD image of its source."""
    vm = declared("haos", medium)
    made = bench.good("vm_create", **vm)
    rc, _out, err = commands.run(["qm", "clone", str(made.vmid), "777", "--full", "1"], bench.node.root, b"")
    assert rc == 0, err
    held = ours(images)
    assert options(bench, 777)["sata5"].startswith(f"local:iso/{held[0]}")
    bench.good("vm_create", **{**vm, "vmid": made.vmid, "state": "absent"})
    assert ours(images) == held
    bench.good("vm_create", vmid=777, state="absent")


@pytest.mark.parametrize("declares", [True, False])
def test_a_drive_that_holds_something_of_the_users_is_left_alone(
    declares: bool, bench: Bench, medium: str, images: Path
) -> None:
    vm = declared("haos", medium)
    if declares:
        vm["disks"] = [*DISKS, {"bus": "sata", "index": 5, "storage": "local-lvm", "size": "1G"}]
    else:
        made = bench.good("vm_create", **{**vm, "haos": None})
        rc, _out, err = commands.run(["qm", "set", str(made.vmid), "--sata5", "local-lvm:1"], bench.node.root, b"")
        assert rc == 0, err
    refused = bench.bad("vm_create", check=True, **vm)
    assert "sata5" in refused.msg
    assert ours(images) == []


def test_a_creation_that_fails_leaves_no_volume(bench: Bench, medium: str, images: Path) -> None:
    bench.node.fault("fail_create")
    bench.bad("vm_create", **declared("haos", medium))
    bench.node.clear_faults()
    assert ours(images) == []


def test_a_volume_that_a_killed_run_has_left_goes_and_that_of_another_vm_stays(
    bench: Bench, medium: str, images: Path
) -> None:
    for name in ("haos1-config-0123456789ab", "haos1-setup-0123456789ab", "haos2-config-0123456789ab"):
        (images / f"pve-provision-{name}.iso").write_bytes(b"left")
    bench.good("vm_create", **declared("haos", medium))
    assert [name for name in ours(images) if "haos1-config" not in name or "0123456789ab" in name] == [
        "pve-provision-haos1-setup-0123456789ab.iso", "pve-provision-haos2-config-0123456789ab.iso"
    ]  # fmt: skip


def test_a_volume_with_passwords_is_reported_where_others_can_read_it(
    bench: Bench, medium: str, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "warnings" not in bench.good("vm_create", **declared("haos", medium, run_checks=False)).values
    if bench.backend == "cli":  # a file system that keeps no modes
        write = own_iso.write_atomically
        monkeypatch.setattr(own_iso, "write_atomically", lambda path, content, _mode: write(path, content, 0o644))
    told = "can be read by others than root" if bench.backend == "cli" else "who may read images on local"
    assert told in str(bench.good("vm_create", **declared("windows", medium)).warnings)


def test_the_password_of_windows_is_nowhere_but_in_its_volume(bench: Bench, medium: str, images: Path) -> None:
    made = bench.good("vm_create", **declared("windows", medium))
    (name,) = ours(images)
    assert PASSWORD.encode() not in (images / name).read_bytes()  # Windows writes it in its own way
    if bench.backend == "cli":
        assert (images / name).stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in str(made.values)
    assert PASSWORD not in str(bench.node.commands())
    other = declared("windows", medium, windows={"version": "2022", "admin_password": "Another-Password-8"})
    assert not bench.good("vm_create", **other).changed
    assert ours(images) == [name]


def test_vms_of_one_name_have_volumes_with_passwords_of_their_own(bench: Bench, medium: str, images: Path) -> None:
    other = {"version": "2022", "admin_password": "Another-Password-8"}
    bench.good("vm_create", **declared("windows", medium, vmid=301))
    (first,) = ours(images)
    content = (images / first).read_bytes()
    bench.good("vm_create", **declared("windows", medium, vmid=302, windows=other))
    assert len(ours(images)) == 2
    assert (images / first).read_bytes() == content


def test_a_volume_with_passwords_that_another_vm_holds_is_not_overwritten(
    bench: Bench, medium: str, images: Path
) -> None:
    bench.good("vm_create", **declared("windows", medium, vmid=301))
    assert commands.run(["qm", "clone", "301", "302", "--full", "1"], bench.node.root, b"")[0] == 0
    bench.good("vm_create", vmid=301, name="windows1", state="absent")
    (name,) = ours(images)
    content = (images / name).read_bytes()
    other = {"version": "2022", "admin_password": "Another-Password-8"}
    refused = bench.bad("vm_create", **declared("windows", medium, vmid=301, windows=other))
    assert "is in the drive of another guest" in refused.msg
    assert (images / name).read_bytes() == content


def test_the_installer_of_windows_is_started_by_a_key_until_it_is_done(
    bench: Bench, medium: str, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installer, "LASTS", 0)
    told: list[Params] = []
    monkeypatch.setattr(own_iso, "told_interfaces", lambda *_which: told)
    vm = declared("windows", medium, state="started")
    made = bench.good("vm_create", **vm)
    assert steps(made) == ["put_iso", "create", "start", "press_key"]
    assert not bench.good("vm_create", **vm).changed
    commands.run(["qm", "stop", str(made.vmid)], bench.node.root, b"")
    again = bench.good("vm_create", **vm)
    assert steps(again) == ["start", "press_key"]
    told.append({"name": "Ethernet"})  # the guest agent, which comes at the end of the installation
    done = bench.good("vm_create", **vm)
    assert steps(done) == ["set", "remove_iso"]
    assert options(bench, made.vmid)["sata5"] == "none,media=cdrom"
    assert ours(images) == []
    assert bench.good("vm_create", **vm).plan == []


# -- clusters ----------------------------------------------------------------------------------------------------------

TOKEN = "K10abcdef::server:0123456789abcdef"


class Cluster:
    """What runs in the VMs of a cluster, as their guest agents tell it. ``joined``: what agents were told."""

    def __init__(self, server: int = 0) -> None:
        self.server = server
        self.joined: dict[int, list[str]] = {}
        self.argvs: list[str] = []
        self.ready = True

    def run(self, vmid: int, argv: t.Sequence[str], *, stdin: str = "", timeout: int = 60) -> Completed:
        self.argvs.append(" ".join(argv))
        if argv[0] == "/usr/bin/cat":
            assert vmid == self.server
            return Completed(0, f"{TOKEN}\n", "")
        if argv[0] == "/bin/sh":
            self.joined[vmid] = stdin.splitlines()
        if "kubectl wait" in stdin:
            assert vmid == self.server
            answer = "echo condition met; exit 0;" if self.ready else "echo error: timed out >&2; exit 1;"
            script = stdin.replace("/usr/local/bin/k3s", answer)
            done = subprocess.run(argv, input=script, capture_output=True, text=True, check=True)
            return Completed(done.returncode, done.stdout, done.stderr)
        missing = argv[:2] == ("/usr/bin/test", "-s") and vmid not in self.joined
        return Completed(int(missing), "", "")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    running = Cluster(301)
    for agent in (CliAgent, ApiAgent):
        monkeypatch.setattr(agent, "run", lambda _self, vmid, argv, **more: running.run(vmid, argv, **more))
    return running


def nodes(*names: str) -> list[Params]:
    """A server and its agents."""
    common = {"type": "vm", "profile": "kubernetes", "state": "started", **BLANK, "checks_timeout": 0}
    return [
        {**common, "name": name, "vmid": 301 + place, "cluster": {"name": "lab", "role": role, "address": "192.0.2.9"}}
        for place, name in enumerate(names)
        for role in ["agent" if place else "server"]
    ]


def test_agents_join_the_server_of_their_cluster(bench: Bench, cluster: Cluster) -> None:
    guests = list(reversed(nodes("k1", "k2", "k3")))
    made = bench.good("guests", guests=guests)
    told = ["https://192.0.2.9:6443", TOKEN]
    assert cluster.joined == {302: told, 303: told}
    plans = {guest["name"]: [step["step"] for step in guest["plan"]] for guest in made.guests}
    told = ["place_snippets", "create"] if bench.backend == "cli" else ["create", "attach_cloud_init"]
    server = [*told, "start", "await_cloud_init"]
    assert plans == {"k1": server, "k2": [*server, "join_cluster"], "k3": [*server, "join_cluster"]}
    assert [guest["checks"][0]["outcome"] for guest in made.guests] == ["passed"] * 3
    assert TOKEN not in str(made.values)
    assert TOKEN not in str(cluster.argvs)
    assert not bench.good("guests", guests=guests).changed


def test_an_agent_that_was_made_and_never_joined_joins_later(bench: Bench, cluster: Cluster) -> None:
    guests = nodes("k1", "k2")
    bench.good("guests", guests=guests)
    cluster.joined.clear()
    again = bench.good("guests", guests=guests)
    assert [[step["step"] for step in guest.get("plan", [])] for guest in again.guests] == [[], ["join_cluster"]]
    assert cluster.joined.keys() == {302}


def test_a_node_that_is_not_ready_fails_and_holds_up_no_other_guest(bench: Bench, cluster: Cluster) -> None:
    guests = nodes("k1", "k2")
    bench.good("guests", guests=guests)
    cluster.ready = False
    other = {"type": "vm", "name": "other", "disks": DISKS}
    run = bench.bad("guests", guests=[*guests, other])
    assert "k1: VM 301 (k1) runs, and does not pass its checks: node ready" in run.msg
    told = {guest["name"]: guest for guest in run.guests}
    assert told["k1"]["checks"][0]["outcome"] == "failed"
    assert told["other"]["changed"]
