# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's guests are written down as a declaration that they match, whoever made them and whatever they have."""

from __future__ import annotations

import random
import typing as t

import pytest
import yaml

from ansible_collections.pve.provision.plugins.filter.guests import declaration

from .found_configs import CONTAINERS, MACHINES

if t.TYPE_CHECKING:
    from conftest import Bench

# Lines of configs as PVE writes them, of which a guest has some. {n}: its number, for what only one guest may have.
CONTAINER = [
    "arch: amd64\nostype: debian\nhostname: ct{n}\nmemory: 512\nrootfs: local-lvm:vm-{n}-disk-0,size=4G",
    "cores: 2", "cpulimit: 1.5", "cpuunits: 200", "swap: 0", "onboot: 1", "protection: 1", "unprivileged: 1",
    "features: fuse=1,nesting=1", "nameserver: 10.0.0.1 fd00::1", "searchdomain: example.org",
    "startup: order=3,up=10", "tags: blue;web", "timezone: Europe/Berlin", "tty: 1", "cmode: shell", "console: 0",
    "description: one%0Atwo  lines",
    "net0: name=eth0,bridge=vmbr0,firewall=1,hwaddr=BC:24:11:01:{h},ip=dhcp,ip6=auto,tag=30,type=veth",
    "net1: name=lan,bridge=vmbr0,gw=10.9.{n0}.1,hwaddr=BC:24:11:02:{h},ip=10.9.{n0}.7/24,mtu=1400,rate=12.5,type=veth",
    "mp0: local-lvm:vm-{n}-disk-1,mp=/srv/data,backup=1,mountoptions=noatime;nodev,size=2G",
    "mp3: /srv/media,mp=/media,ro=1", "dev0: /dev/net/tun,mode=0666",
    "lxc.cgroup2.devices.allow: c 226:0 rwm",
]  # fmt: skip
MACHINE = [
    "name: vm{n}\nmemory: 1024\nostype: l26\nscsihw: virtio-scsi-single\nboot: order=scsi0;net0\n"
    "smbios1: uuid=3f0c1f2a-0000-4000-8000-00000000{x}\nvmgenid: 9d1f6d3e-0000-4000-8000-00000000{x}\n"
    "meta: creation-qemu=10.1.2,ctime=1764000000\n"
    "scsi0: local-lvm:vm-{n}-disk-0,cache=writeback,discard=on,iothread=1,size=32G,ssd=1\n"
    "net0: virtio=BC:24:11:03:{h},bridge=vmbr0,firewall=1,queues=2,tag=20",
    "agent: 1,fstrim_cloned_disks=1", "balloon: 512", "shares: 2000", "bios: ovmf",
    "cores: 4", "sockets: 2", "cpu: x86-64-v2-AES,flags=+aes", "affinity: 0-1", "numa: 1", "hotplug: disk,network,usb",
    "machine: q35", "keyboard: de", "localtime: 1", "onboot: 1", "protection: 1", "tablet: 0", "vga: qxl,memory=32",
    "tags: alpha;beta", "startup: order=2,down=30", "rng0: source=/dev/urandom", "serial0: socket",
    "watchdog: model=i6300esb,action=reset", "audio0: device=ich9-intel-hda,driver=none",
    "virtio1: local-lvm:vm-{n}-disk-1,backup=0,mbps_rd=100,size=8G", "ide2: none,media=cdrom",
    "efidisk0: local-lvm:vm-{n}-disk-2,efitype=4m,pre-enrolled-keys=1,size=4M", "unused0: local-lvm:vm-{n}-disk-5",
    "net2: e1000=BC:24:11:04:{h},bridge=vmbr0,link_down=1",
    "ide0: local-lvm:vm-{n}-cloudinit,media=cdrom\nipconfig0: ip=dhcp\nciuser: admin\n"
    "cipassword: $5$abcdefgh$notthehash\nsshkeys: ssh-ed25519%20AAAA%20me%0A",
    "hostpci0: 0000:01:00.0", "usb0: host=1-2,usb3=1", "args: -no-hpet", "unknown_option: 5",
]  # fmt: skip


def config(lines: t.Sequence[str], vmid: int, rng: random.Random) -> str:
    """A config with its first lines and some of the others, each guest's own values its own."""
    words = {"n": str(vmid), "n0": str(vmid % 250), "h": f"{vmid // 100:02X}:{vmid % 100:02X}", "x": f"{vmid:04d}"}
    chosen = [lines[0], *(line for line in lines[1:] if rng.random() < 0.4)]
    text = "\n".join(chosen)
    for word, value in words.items():
        text = text.replace(f"{{{word}}}", value)
    return f"{text}\n"


def fill(bench: Bench, texts: t.Mapping[tuple[str, int], str]) -> None:
    for (folder, vmid), text in texts.items():
        (bench.node.root / "etc/pve" / folder / f"{vmid}.conf").write_text(text, encoding="utf-8")
    bench.node.state.publish()


def assorted(count: int, seed: int) -> dict[tuple[str, int], str]:
    rng = random.Random(seed)
    kinds = {"lxc": CONTAINER, "qemu-server": MACHINE}
    return {
        (folder, vmid): config(kinds[folder], vmid, rng)
        for vmid in range(200, 200 + count)
        for folder in (rng.choice(sorted(kinds)),)
    }


def adopted_without_a_change(bench: Bench, texts: t.Mapping[tuple[str, int], str]) -> list[dict[str, t.Any]]:
    """Write the guests down, run what was written, and hand back the guests as they were declared."""
    fill(bench, texts)
    bench.node.forget()
    found = bench.good("node_info", gather=[], declare=True).values["declaration"]
    assert {tuple(argv) for argv in bench.writes()} <= {("pvesm", "status")}
    bench.node.forget()
    written = yaml.safe_load(declaration([found]))
    run = {"guests": written["provision_guests"], "defaults": written.get("provision_defaults", {})}
    answer = bench.good("guests", **run)
    assert (answer.changed, bench.writes()) == (False, [])
    assert [guest["vmid"] for guest in found["provision_guests"]] == [
        vmid for _folder, vmid in sorted(texts, key=lambda k: k[1])
    ]
    return t.cast("list[dict[str, t.Any]]", found["provision_guests"])


def test_sixty_assorted_guests_are_adopted_at_once(bench: Bench) -> None:
    adopted_without_a_change(bench, assorted(60, seed=1))


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(2, 30))
def test_any_guests_are_adopted_at_once(bench: Bench, seed: int) -> None:
    adopted_without_a_change(bench, assorted(60, seed))


def test_each_line_is_declared_or_told(bench: Bench) -> None:
    """No option of a guest is lost in silence: with all lines at once, what is not declared is among the remarks."""
    everything = random.Random(0)
    everything.random = lambda: 0.0  # every line
    texts = {("lxc", 301): config(CONTAINER, 301, everything), ("qemu-server", 302): config(MACHINE, 302, everything)}
    fill(bench, texts)
    found = bench.good("node_info", gather=[], declare=True).values["declaration"]
    container, machine = found["provision_guests"]
    assert {"cores", "features", "networks", "mount_points", "devices", "startup", "tags", "description"} <= set(
        container
    )
    assert {"agent", "disks", "networks", "efidisk", "cloud_init", "hostpci", "usb", "args", "boot"} <= set(machine)
    told = {about["vmid"]: "\n".join(about["remarks"]) for about in found["remarks"]}
    assert "unused0" in told[302] and "unknown_option" in told[302]
    assert "secret" in told[302] and "notthehash" not in str(found)
    raw = container.get("raw") or told.get(301, "")
    assert "lxc.cgroup2.devices.allow" in str(raw) or bench.backend == "api"


@pytest.mark.parametrize(("text", "why"), [
    ("memory: 512\nrootfs: local-lvm:vm-305-disk-0,size=4G\narch: amd64\n", "no name"),
    ("hostname: a\nlock: backup\nrootfs: local-lvm:vm-305-disk-0,size=4G\n", "locked (backup)"),
])  # fmt: skip
def test_what_cannot_be_declared_is_reported(bench: Bench, text: str, why: str) -> None:
    fill(bench, {("lxc", 305): text})
    found = bench.good("node_info", gather=[], declare=True).values["declaration"]
    assert (found["provision_guests"], [why in each["remarks"][0] for each in found["remarks"]]) == ([], [True])


def test_configs_as_people_have_them_are_adopted_at_once(bench: Bench) -> None:
    """One that cannot be declared does not hide the others, and nothing that is passed over stays untold."""
    texts = {("lxc", vmid): text for vmid, text in CONTAINERS.items()}
    texts |= {("qemu-server", vmid): text for vmid, text in MACHINES.items()}
    fill(bench, texts)
    bench.node.forget()
    found = bench.good("node_info", gather=[], declare=True).values["declaration"]
    declared = {guest["vmid"]: guest for guest in found["provision_guests"]}
    told = {about["vmid"]: "\n".join(about["remarks"]) for about in found["remarks"]}
    assert {*CONTAINERS, *MACHINES} - declared.keys() == {508, 525}
    assert "not a valid DNS name" in told[508]
    assert "locked (suspended)" in told[525]
    for vmid, word in (
        (502, "snapshot before_upgrade"), (502, "unused0"), (503, "net0.host_hint: 7"), (506, "cores will change"),
        (509, "net0: what"), (509, "startup.banana: 3"), (521, "password is a secret"), (524, "net1 will change"),
    ):  # fmt: skip
        assert word in told[vmid], vmid
    assert "networks" in told[526], "another guest has this MAC address"
    assert (declared[504]["name"], declared[504]["searchdomain"]) == ("007", ["no"])
    bench.node.forget()
    answer = bench.good("guests", guests=found["provision_guests"])
    assert (answer.changed, bench.writes()) == (False, [])


def test_two_guests_of_one_name_are_distinguished(bench: Bench) -> None:
    texts = {("lxc", vmid): f"hostname: twin\nrootfs: local-lvm:vm-{vmid}-disk-0,size=4G\n" for vmid in (306, 307)}
    fill(bench, texts)
    found = bench.good("node_info", gather=[], declare=True).values["declaration"]
    assert [guest["vmid"] for guest in found["provision_guests"]] == [306]
    assert found["remarks"][-1]["vmid"] == 307


def test_the_file_says_once_what_all_have() -> None:
    guests = [{"name": f"web{n}", "type": "lxc", "vmid": n, "state": "started", "onboot": True} for n in (1, 2, 3)]
    remarks = [
        {"node": "pve1", "vmid": 2, "kind": "lxc", "name": "web2", "remarks": ["snapshot s1"]},
        {"node": "pve1", "vmid": 9, "kind": "qemu", "name": None, "remarks": ["it has no name"]},
    ]
    text = declaration([{"nodes": ["pve1"], "provision_guests": guests, "remarks": remarks}])
    assert yaml.safe_load(text)["provision_defaults"] == {"state": "started", "onboot": True}
    assert "  # snapshot s1\n  - name: web2\n" in text
    assert text.endswith("# Not declared:\n# qemu 9 (no name): it has no name\n")


def test_guests_of_several_nodes_are_distinguished_by_their_nodes() -> None:
    """Also where the nodes are no cluster, and have the same vmids and names."""

    def found(node: str, name: str) -> dict[str, t.Any]:
        about = {"node": node, "vmid": 100, "kind": "lxc", "name": name, "remarks": [f"snapshot of {node}"]}
        guests = [{"name": each, "type": "lxc", "vmid": 100 + n} for n, each in enumerate((name, "Twin"))]
        return {"nodes": [node], "provision_guests": guests, "remarks": [about]}

    text = declaration([found("pve1", "web1"), found("pve2", "db1")])
    declared = [(each["name"], each["node"], each["vmid"]) for each in yaml.safe_load(text)["provision_guests"]]
    assert declared == [("web1", "pve1", 100), ("Twin", "pve1", 101), ("db1", "pve2", 100)]
    assert "  # snapshot of pve2\n  - name: db1\n" in text
    assert "# lxc 101 (Twin): another guest on pve1 is called Twin, too" in text
