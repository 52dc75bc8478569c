# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM from a cloud image: what PVE's cloud-init drive, snippets and a NoCloud CD of one's own make of it."""

from __future__ import annotations

import json
import typing as t

import pytest

from embedded_node import commands
from embedded_node.guest import runtime
from embedded_node.linux import accounts
from embedded_node.mirror import images
from embedded_node.mirror.site_files import os_release
from embedded_node.qemu import boot
from embedded_node.state import iso9660

from .support import Qm, bootable

if t.TYPE_CHECKING:
    from pathlib import Path

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJk0wZrCq0S1xwT1XqvQ8m3m7n5nq3c3wYH3fYQ0C1aV me@here"
NET = "virtio=BC:24:11:00:00:01,bridge=vmbr0"
AGENT = b"#cloud-config\npackages: [qemu-guest-agent]\n"


class Cloud(Qm):
    """VMs from an image of Debian, which brings no agent."""

    image: Path

    def make(self, *words: str, vmid: int = 100, drive: str = "disks:cloudinit") -> None:
        self.ok("create", str(vmid), "--name", f"web{vmid}.example.org", "--agent", "1", "--net0", NET,
                "--scsi0", f"disks:0,import-from={self.image}", "--ide2", drive, *words)  # fmt: skip

    def snippet(self, name: str, text: bytes) -> str:
        path = self.root / "var/lib/vz/snippets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
        return f"local:snippets/{name}"

    def cd(self, name: str, files: dict[str, bytes], label: str = "cidata") -> str:
        path = self.root / "var/lib/vz/template/iso" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(iso9660.write(files, label))
        return f"local:iso/{name},media=cdrom"

    def run_inside(self, *argv: str, vmid: int = 100) -> str:
        return boot.guest(self.state, vmid).run(argv).stdout.decode()

    def status(self, vmid: int = 100) -> dict[str, t.Any]:
        found: dict[str, t.Any] = json.loads(self.run_inside("cloud-init", "status", "--format", "json", vmid=vmid))
        return found


@pytest.fixture
def cloud(machine: t.Any, tmp_path: Path) -> Cloud:
    made = Cloud(machine)
    made.image = tmp_path / "debian.qcow2"
    made.image.write_bytes(images.qcow2(2 << 20, b"", images.system_disk(os_release("debian", "13"))))
    return made


@pytest.mark.parametrize("kind", ["nocloud", "configdrive2"])
@pytest.mark.parametrize("drive", ["disks:cloudinit", "snap:cloudinit", "disks:cloudinit,format=qcow2"])
def test_a_guest_becomes_what_the_options_say(cloud: Cloud, tmp_path: Path, kind: str, drive: str) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{KEY}\n")
    addresses = "ip=10.0.0.5/24,gw=10.0.0.1,ip6=2001:db8::5/64"
    cloud.make("--ciuser", "bob", "--sshkeys", str(keys), "--ipconfig0", addresses, "--citype", kind, drive=drive)
    cloud.ok("set", "100", "--cipassword", "geheim")
    cloud.ok("start", "100")
    inside = boot.guest(cloud.state, 100)
    assert inside.hostname == "web100"
    assert inside.files.read("/home/bob/.ssh/authorized_keys") == f"{KEY}\n"
    assert accounts.password_of(inside.files, "bob") == cloud.conf()["cipassword"]
    assert [card.addresses for card in inside.interfaces] == [("10.0.0.5/24", "2001:db8::5/64")]
    assert cloud.status()["status"] == "done"


def test_what_changes_later_is_there_after_the_next_start(cloud: Cloud) -> None:
    cloud.make("--ipconfig0", "ip=10.0.0.5/24")
    cloud.ok("start", "100")
    cloud.ok("set", "100", "--ipconfig0", "ip=10.0.0.6/24")
    assert boot.guest(cloud.state, 100).interfaces[0].addresses == ("10.0.0.5/24",)
    cloud.ok("stop", "100")
    cloud.ok("start", "100")
    assert boot.guest(cloud.state, 100).interfaces[0].addresses == ("10.0.0.6/24",)


def test_a_guest_that_sees_the_same_data_again_does_nothing(cloud: Cloud) -> None:
    cloud.make("--cicustom", f"user={cloud.snippet('u.yaml', b'#cloud-config' + RUNS)}")
    for count in (1, 1):
        cloud.ok("start", "100")
        assert cloud.run_inside("cat", "/root/runs") == "run\n" * count
        cloud.ok("stop", "100")


RUNS = b"\nruncmd: ['echo run >> /root/runs']\n"


@pytest.mark.parametrize(("words", "answers"), [
    ({"vendor": AGENT}, True),
    ({"user": AGENT}, True),
    ({"user": b"#cloud-config\npackages: [htop]\n", "vendor": AGENT}, False),  # lists of both are not joined
    ({}, False),
])  # fmt: skip
def test_the_agent_answers_once_it_is_installed(cloud: Cloud, words: dict[str, bytes], answers: bool) -> None:
    custom = ",".join(f"{kind}={cloud.snippet(f'{kind}.yaml', text)}" for kind, text in words.items())
    cloud.make("--ipconfig0", "ip=10.0.0.5/24", *(["--cicustom", custom] if custom else []))
    cloud.ok("start", "100")
    assert (cloud.run("agent", "100", "ping")[0] == 0) is answers


def test_packages_do_not_come_without_a_network(cloud: Cloud) -> None:
    cloud.make("--cicustom", f"vendor={cloud.snippet('v.yaml', AGENT)}")
    cloud.ok("start", "100")
    told = cloud.status()
    assert (told["status"], told["extended_status"]) == ("error", "error - done")
    assert "package_update_upgrade_install" in told["errors"][0] and "resolving" in told["errors"][0]


def test_a_cd_of_ones_own_is_read_as_well(cloud: Cloud) -> None:
    user = b"#cloud-config\nfqdn: db.example.org\nwrite_files: [{path: /etc/motd, content: aGVsbG8=, encoding: b64}]\n"
    cloud.make(drive=cloud.cd("seed.iso", {"user-data": user, "meta-data": b"instance-id: one\nlocal-hostname: x\n"}))
    cloud.ok("start", "100")
    inside = boot.guest(cloud.state, 100)
    assert (inside.hostname, inside.files.read("/etc/motd")) == ("db", "hello")
    assert cloud.status()["detail"] == "DataSourceNoCloud [seed=/dev/sr0]"
    assert inside.interfaces[0].dhcp, "without a network part the first card asks for an address"


@pytest.mark.parametrize(("files", "label"), [
    ({"user-data": b"", "meta-data": b""}, "data"),
    ({"user-data": b"#cloud-config\n"}, "cidata"),
])  # fmt: skip
def test_a_cd_without_its_label_or_its_parts_is_none(cloud: Cloud, files: dict[str, bytes], label: str) -> None:
    cloud.make(drive=cloud.cd("seed.iso", files, label))
    cloud.ok("start", "100")
    assert cloud.status()["status"] == "disabled"
    assert boot.guest(cloud.state, 100).hostname == "localhost"


@pytest.mark.parametrize(("text", "status", "code", "told"), [
    (b"#cloud-config\nruncmd: [false]\n", "error", 1, "Runparts: 1 failures (runcmd) in 1 attempted commands"),
    (b"#!/bin/sh\nno-such-command\n", "error", 1, "Runparts: 1 failures (part-001) in 1 attempted commands"),
    (b"#cloud-config\nwrite_files: [{content: x}]\n", "error", 1, "('write_files', KeyError("),
    (b"hostname: web\n", "done", 2, "Unhandled non-multipart"),
    (b"#cloud-config\nruncmd: ['true']\n", "done", 0, ""),
])  # fmt: skip
def test_cloud_init_reports_how_it_went(cloud: Cloud, text: bytes, status: str, code: int, told: str) -> None:
    cloud.make("--cicustom", f"vendor={cloud.snippet('v.yaml', AGENT)},user={cloud.snippet('u.yaml', text)}",
               "--ipconfig0", "ip=10.0.0.5/24")  # fmt: skip
    cloud.ok("start", "100")
    found = cloud.status()
    assert found["status"] == status
    assert told in json.dumps([found["errors"], found["recoverable_errors"]])
    done = json.loads(cloud.ok("guest", "exec", "100", "--", "cloud-init", "status", "--wait", "--long"))
    assert done["exitcode"] == code and f"status: {status}" in done["out-data"]


def test_users_passwords_and_groups(cloud: Cloud) -> None:
    text = b"""#cloud-config
users:
  - default
  - {name: ops, groups: 'docker, sudo', sudo: 'ALL=(ALL) NOPASSWD:ALL', lock_passwd: true, passwd: $6$a$b}
chpasswd: {users: [{name: debian, password: clear}]}
ssh_pwauth: true
"""
    cloud.make("--cicustom", f"user={cloud.snippet('u.yaml', text)}")
    cloud.ok("start", "100")
    files = boot.guest(cloud.state, 100).files
    assert accounts.password_of(files, "ops") == "!$6$a$b"
    assert accounts.password_of(files, "debian").startswith("$6$") and "clear" not in files.read("/etc/shadow")
    assert "NOPASSWD" in files.read("/etc/sudoers.d/90-cloud-init-ops")
    assert cloud.run_inside("id", "-nG", "ops") == "ops sudo docker\n"
    assert "yes" in files.read("/etc/ssh/sshd_config.d/50-cloud-init.conf")


def brought(cloud: Cloud, text: bytes, vmid: int = 100, address: str = "10.0.0.5") -> runtime.Guest:
    """A guest whose vendor data are this script, after its first boot."""
    script = cloud.snippet(f"{vmid}.sh", text)
    cloud.make("--cicustom", f"vendor={script}", "--ipconfig0", f"ip={address}/24", vmid=vmid)
    cloud.ok("start", str(vmid))
    return boot.guest(cloud.state, vmid)


@pytest.mark.parametrize(("system", "there", "missing"), [
    ("debian", ("apt-get", "systemctl"), ("dnf", "apk", "rc-update", "curl", "docker")),
    ("ubuntu", ("apt-get", "systemctl", "curl"), ("dnf", "apk", "rc-update")),
    ("alpine", ("apk", "rc-update", "rc-service"), ("apt-get", "systemctl", "curl")),
    ("rocky", ("dnf", "systemctl", "curl"), ("apt-get", "apk")),
    ("freebsd", ("pkg", "sysrc"), ("apt-get", "systemctl")),
])  # fmt: skip
def test_each_system_has_commands_of_its_own(
    cloud: Cloud, system: str, there: tuple[str, ...], missing: tuple[str, ...]
) -> None:
    cloud.image.write_bytes(images.qcow2(2 << 20, b"", images.system_disk(os_release(system, "1"))))
    inside = brought(cloud, b"#!/bin/sh\n")
    found = {name for name in (*there, *missing) if not inside.run(["sh", "-c", f"command -v {name}"]).rc}
    assert found == set(there)


def test_a_service_is_there_once_something_brings_it(cloud: Cloud) -> None:
    inside = brought(cloud, b"#!/bin/sh\nsystemctl start qemu-guest-agent\n")
    assert "failures (part-001)" in cloud.status()["errors"][0]
    assert inside.run(["systemctl", "is-active", "qemu-guest-agent"]).rc == 4
    inside.run(["sh", "-c", "apt-get -q update && apt-get -qy install qemu-guest-agent"])
    assert inside.run(["systemctl", "is-active", "qemu-guest-agent"]).stdout == b"active\n"


UNIT = b"""
mkdir -p /etc/systemd/system
printf '[Service]\\nExecStart=/usr/local/bin/k3s %s\\n' $role > /etc/systemd/system/$unit.service
"""
K3S = (
    b"""#!/bin/sh
set -e
apt-get update
apt-get -qy install curl
url=$(curl -fsS -o /dev/null -w '%{redirect_url}' https://update.k3s.io/v1-release/channels/stable)
base=https://github.com/k3s-io/k3s/releases/download/$(echo "${url##*/}" | sed 's/+/%2B/')
cd /tmp
curl -fsSL --retry 5 -O "$base/k3s" -O "$base/sha256sum-amd64.txt"
grep ' k3s$' sha256sum-amd64.txt | sha256sum -c
install -m 0755 k3s /usr/local/bin/k3s
"""
    + UNIT
)


def test_an_agent_is_a_node_of_the_server_whose_token_it_has(cloud: Cloud) -> None:
    server = brought(cloud, K3S.replace(b"set -e", b"set -e; role=server unit=k3s") + b"systemctl enable --now k3s\n")
    agent = brought(cloud, K3S.replace(b"set -e", b"set -e; role=agent unit=k3s-agent"), 101, "10.0.0.6")
    assert (cloud.status(100)["errors"], cloud.status(101)["errors"]) == ([], [])
    token = server.files.read("/var/lib/rancher/k3s/server/node-token")
    ready = ["k3s", "kubectl", "wait", "--for=condition=Ready", "node/web101", "--timeout=0"]
    assert server.run(ready).rc == 1
    for given, code in (("K10aa::server:wrong", 1), (token, 0)):
        agent.files.write("/etc/rancher/k3s/config.yaml", f"server: https://10.0.0.5:6443\ntoken: {given}\n")
        agent.run(["systemctl", "enable", "--now", "k3s-agent"])
        assert server.run(ready).rc == code
    listed = server.run(["kubectl", "get", "nodes"]).stdout.decode().splitlines()
    assert [line.split()[:3] for line in listed[1:]] == [
        ["web100", "Ready", "control-plane,master"], ["web101", "Ready", "<none>"]]  # fmt: skip


def test_installers_from_the_network_leave_what_they_install(cloud: Cloud) -> None:
    text = b"#!/bin/sh\napt-get update; apt-get install curl\ncurl -fsSL https://get.docker.com | sh\n"
    inside = brought(cloud, text + b"curl -sfL https://get.k3s.io | K3S_TOKEN=secret sh -s - server\n")
    assert cloud.status()["errors"] == []
    assert inside.run(["docker", "version"]).rc == 0
    assert inside.run(["kubectl", "get", "nodes", "--no-headers"]).stdout.startswith(b"web100")
    assert inside.files.read("/var/lib/rancher/k3s/server/node-token").endswith("::server:secret\n")
    assert inside.run(["curl", "-f", "https://example.org/nothing"]).rc == 22


def test_docker_answers_where_it_is_installed(cloud: Cloud) -> None:
    text = b"#cloud-config\npackages: [docker.io]\nruncmd: [[systemctl, enable, --now, docker]]\n"
    cloud.make("--cicustom", f"user={cloud.snippet('u.yaml', text)}", "--ipconfig0", "ip=10.0.0.5/24")
    cloud.ok("start", "100")
    assert cloud.run_inside("docker", "info", "--format", "{{.ServerVersion}}") == "26.1.5\n"
    assert cloud.run_inside("docker", "compose", "version") == ""


CONNECTION = b"""[connection]
id=net0

[ethernet]
mac-address=BC:24:11:00:00:01

[ipv4]
method=manual
address1=192.0.2.5/24,192.0.2.1
"""


@pytest.mark.parametrize(("files", "addresses", "dhcp"), [
    ({"network/net0": CONNECTION, "authorized_keys": f"{KEY}\n".encode()}, ("192.0.2.5/24",), False),
    ({}, (), True),
])  # fmt: skip
def test_home_assistant_imports_its_volume(
    cloud: Cloud, files: dict[str, bytes], addresses: tuple[str, ...], dhcp: bool
) -> None:
    cloud.image.write_bytes(images.qcow2(2 << 20, b"", images.system_disk(os_release("hassos", "16.2"))))
    cloud.make(drive=cloud.cd("config.iso", files, "CONFIG") if files else "none,media=cdrom")
    cloud.ok("start", "100")
    inside = boot.guest(cloud.state, 100)
    assert (inside.hostname, inside.interfaces[0].addresses, inside.interfaces[0].dhcp) == (
        "homeassistant", addresses, dhcp)  # fmt: skip
    assert inside.files.read("/root/.ssh/authorized_keys") == (f"{KEY}\n" if files else "")
    assert cloud.ok("agent", "100", "ping") == ""


def test_talos_takes_its_addresses_from_the_drive_and_has_no_agent(cloud: Cloud) -> None:
    cloud.image.write_bytes(images.qcow2(2 << 20, b"", images.system_disk(os_release("talos", "1.10"))))
    cloud.make("--ipconfig0", "ip=10.0.0.5/24")
    cloud.ok("start", "100")
    assert boot.guest(cloud.state, 100).interfaces[0].addresses == ("10.0.0.5/24",)
    assert "not running" in cloud.fails("agent", "100", "ping")


def test_an_agent_reports_link_local_addresses_too(cloud: Cloud, tmp_path: Path) -> None:
    cloud.image = bootable(tmp_path / "plain.raw")
    cloud.make("--ipconfig0", "ip=10.0.0.5/24")
    cloud.ok("start", "100")
    assert '"ip-address" : "fe80::be24:11ff:fe00:1"' in cloud.ok("agent", "100", "network-get-interfaces")


def test_a_package_of_another_source_needs_that_source(cloud: Cloud) -> None:
    text = b"#cloud-config\npackages: [docker-ce]\n"
    source = b"apt: {sources: {docker: {source: 'deb https://download.docker.com/linux/debian trixie stable'}}}\n"
    for vmid, found in ((100, text), (101, text + source)):
        cloud.make("--cicustom", f"user={cloud.snippet(f'{vmid}.yaml', found)}", "--ipconfig0", "ip=10.0.0.5/24",
                   vmid=vmid)  # fmt: skip
        cloud.ok("start", str(vmid))
    assert "Unable to locate package docker-ce" in cloud.status(100)["errors"][0]
    assert cloud.status(101)["errors"] == []


def test_declared_addresses_are_neighbours(cloud: Cloud) -> None:
    own = cloud.state.read("etc/network/interfaces")
    cloud.state.write("etc/network/interfaces", own + "iface vmbr0 inet static\n\taddress 10.0.0.1/24\n")
    cloud.make("--ipconfig0", "ip=10.0.0.5/24")
    cloud.ok("start", "100")
    code, out, err = commands.run(["ip", "-j", "neigh", "show"], cloud.root)
    assert (code, err) == (0, "")
    found = [(entry["dst"], entry["dev"], entry["lladdr"]) for entry in json.loads(out)]
    assert found == [("10.0.0.5", "vmbr0", "bc:24:11:00:00:01")]


def test_a_clone_brings_the_files_and_is_a_guest_of_its_own(cloud: Cloud) -> None:
    cloud.make("--ipconfig0", "ip=10.0.0.5/24")
    cloud.ok("start", "100")
    boot.files(cloud.state, 100).write("/root/notes", "mine\n")
    cloud.ok("stop", "100")
    cloud.ok("clone", "100", "101", "--name", "copy", "--full", "1")
    cloud.ok("set", "101", "--ipconfig0", "ip=10.0.0.6/24")
    cloud.ok("start", "101")
    inside = boot.guest(cloud.state, 101)
    assert (inside.hostname, inside.files.read("/root/notes")) == ("copy", "mine\n")
    assert inside.interfaces[0].addresses == ("10.0.0.6/24",)


def test_an_image_that_does_not_tell_what_it_is_brings_an_agent(cloud: Cloud, tmp_path: Path) -> None:
    cloud.image = bootable(tmp_path / "plain.raw")
    cloud.make("--ipconfig0", "ip=10.0.0.5/24")
    cloud.ok("start", "100")
    assert '"ip-address" : "10.0.0.5"' in cloud.ok("agent", "100", "network-get-interfaces")
