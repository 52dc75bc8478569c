# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What vm_create does about cloud-init: options of PVE's, contents of the user's own, and what became of them."""

from __future__ import annotations

import email
import json
import typing as t
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_clock import ImpatientClock

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._guests.vm import cloud_init, cloud_init_steps
from ansible_collections.pve.provision.plugins.module_utils._model.cloud_init.dump import read_user
from ansible_collections.pve.provision.plugins.module_utils._model.sha_crypt import fits
from ansible_collections.pve.provision.plugins.module_utils._pve import agent
from ansible_collections.pve.provision.plugins.module_utils._pve.api.cloud_init import ApiCloudInit
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.cloud_init import CliCloudInit, CliSnippets
from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Access
from embedded_node import commands
from embedded_node.guest import runtime
from embedded_node.linux import accounts
from embedded_node.mirror import images
from embedded_node.mirror.site_files import os_release
from embedded_node.qemu import boot
from embedded_node.state import iso9660
from embedded_node.state.root import State

from .conftest import Bench, pvesh, steps

Params = dict[str, t.Any]

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample me@example.org"
PASSWORD = "correct-horse-7"
CLOUD_INIT: Params = {
    "user": "alice",
    "password": PASSWORD,
    "ssh_keys": [KEY],
    "nameserver": ["10.10.10.1"],
    "ip": [{"ip": "10.10.10.20/24", "gateway": "10.10.10.1", "ip6": "slaac"}],
}
VM: Params = {
    "vmid": 301,
    "name": "ci1",
    "memory": 1024,
    "disks": [{"storage": "local-lvm", "size": "1G"}],
    "networks": [{"bridge": "vmbr0"}],
}
USER_DATA = "#cloud-config\nruncmd:\n  - [touch, /ours]\npassword: planted-in-user-data\n"


def config(bench: Bench, vmid: int = 301) -> dict[str, str]:
    text = (bench.node.root / f"etc/pve/qemu-server/{vmid}.conf").read_text(encoding="utf-8")
    return dict(line.split(": ", 1) for line in text.split("\n[")[0].splitlines() if ": " in line)


@pytest.fixture
def storage(bench: Bench) -> Path:
    """The folder of a storage that takes snippets and images."""
    content(bench, "images,rootdir,iso,vztmpl,snippets,backup,import")
    return t.cast("Path", bench.node.root / "var/lib/vz")


def content(bench: Bench, types: str) -> None:
    assert commands.run(["pvesm", "set", "local", "--content", types], bench.node.root, b"")[0] == 0


def ours(bench: Bench) -> list[Path]:
    """The files of ours on the storage."""
    place = bench.node.root / "var/lib/vz"
    return sorted([*place.glob("snippets/pve-provision-*"), *place.glob("template/iso/pve-provision-*")])


def told(bench: Bench) -> dict[str, str]:
    """What the VM is told by files of ours, by the names of NoCloud."""
    if bench.backend == "api":
        (path,) = ours(bench)
        assert config(bench)["ide2"].startswith(f"local:iso/{path.name},")
        image = path.read_bytes()
        assert iso9660.label(image) == "cidata"
        return {name: data.decode() for name, data in iso9660.read(image).items()}
    names = {"user": "user-data", "vendor": "vendor-data", "network": "network-config", "meta": "meta-data"}
    return {names[path.name.split("-")[-2]]: path.read_text(encoding="utf-8") for path in ours(bench)}


# -- options of PVE's ------------------------------------------------------------------------------------------------


def test_a_vm_gets_a_drive_and_what_is_declared_and_a_second_run_starts_nothing(bench: Bench) -> None:
    made = bench.good("vm_create", **VM, cloud_init=CLOUD_INIT)
    has = config(bench)
    assert steps(made) == ["create"]
    assert "cloudinit" in has["ide2"]
    assert fits(PASSWORD, has["cipassword"])
    assert (has["ciuser"], has["ipconfig0"]) == ("alice", "gw=10.10.10.1,ip=10.10.10.20/24,ip6=auto")
    assert made.cloud_init == {"verified": False, "not_verified": ["what came of it in the guest"]}
    assert "warnings" not in made.values
    bench.node.forget()
    again = bench.good("vm_create", **VM, cloud_init=CLOUD_INIT)
    assert not again.changed
    assert bench.writes() == []


def test_a_guest_that_was_changed_and_cannot_be_looked_at_then_is_named(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object, vmid: int, part: str) -> str:
        raise PveError("it failed")

    for backend in (CliCloudInit, ApiCloudInit):
        monkeypatch.setattr(backend, "dump", fail)
    failed = bench.bad("vm_create", **VM, cloud_init=CLOUD_INIT, state="started")
    assert failed.msg == "VM 301 (ci1) was changed, and then not seen: it failed"
    assert (failed.vmid, steps(failed)) == (301, ["create", "start"])


def test_the_result_can_be_declared_again(bench: Bench) -> None:
    made = bench.good("vm_create", **VM, cloud_init=CLOUD_INIT)
    shown = made.config["cloud_init"]
    assert "password" not in shown
    assert not bench.good("vm_create", **VM, cloud_init=shown).changed


@pytest.mark.parametrize(
    "change",
    [
        {"user": "bob"},
        {"password": "another-horse-8"},
        {"password": "$6$saltstring$" + "a" * 86},
        {"ssh_keys": [KEY, KEY.replace("me@", "you@")]},
        {"upgrade": False},
        {"nameserver": ["10.10.10.2"]},
        {"searchdomain": ["lab.example.org"]},
        {"ip": [{"ip": "dhcp", "gateway": None}]},
        {"user": None},
        {"password": None},
    ],
)
def test_what_changes_is_set_and_can_be_brought_back(bench: Bench, change: Params) -> None:
    bench.good("vm_create", **VM, cloud_init=CLOUD_INIT)
    before = config(bench)
    changed = bench.good("vm_create", **VM, cloud_init={**CLOUD_INIT, **change})
    assert steps(changed) == ["set"]
    assert not bench.good("vm_create", **VM, cloud_init={**CLOUD_INIT, **change}).changed
    back = {key: CLOUD_INIT.get(key) for key in change}
    bench.good("vm_create", **VM, cloud_init={**CLOUD_INIT, **back})
    after = config(bench)
    hashes = before.pop("cipassword"), after.pop("cipassword")
    assert all(fits(PASSWORD, each) for each in hashes)
    assert after == before


def test_a_password_that_somebody_left_in_clear_becomes_a_hash(bench: Bench) -> None:
    bench.good("vm_create", **VM, cloud_init=CLOUD_INIT)
    path = bench.node.root / "etc/pve/qemu-server/301.conf"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(config(bench)["cipassword"], PASSWORD), encoding="utf-8")
    assert bench.good("vm_create", **VM, cloud_init=CLOUD_INIT).changed
    assert fits(PASSWORD, config(bench)["cipassword"])


def test_the_drive_of_a_running_vm_is_renewed_and_the_reboot_told(bench: Bench) -> None:
    bench.good("vm_create", **VM, cloud_init=CLOUD_INIT, state="started")
    changed = bench.good("vm_create", **VM, cloud_init={**CLOUD_INIT, "user": "bob"}, state="started")
    assert steps(changed) == ["set", "regenerate_cloud_init"]
    assert "waits for a restart: ciuser" in json.dumps(changed.warnings)
    drive = bench.node.root / "run/pve/cloudinit/301/user-data"
    assert not drive.exists() or "user: bob" in drive.read_text(encoding="utf-8")
    assert "[special:cloudinit]" not in (bench.node.root / "etc/pve/qemu-server/301.conf").read_text(encoding="utf-8")


def test_what_is_taken_back_is_reported_as_well(bench: Bench) -> None:
    bench.good("vm_create", **VM, cloud_init=CLOUD_INIT, state="started")
    changed = bench.good("vm_create", **VM, cloud_init={"nameserver": None}, state="started")
    assert changed.pending == {"nameserver": None}
    assert "waits for a restart: nameserver" in json.dumps(changed.warnings)


def test_a_vm_is_restarted_for_it_where_that_is_wanted(bench: Bench) -> None:
    bench.good("vm_create", **VM, cloud_init=CLOUD_INIT, state="started")
    wanted = {**VM, "cloud_init": {**CLOUD_INIT, "user": "bob"}, "state": "started", "restart": "when_needed"}
    changed = bench.good("vm_create", **wanted, force=True, shutdown_timeout=1)
    assert steps(changed) == ["set", "shutdown", "start"]
    assert "warnings" not in changed.values


def test_a_content_of_a_running_vm_is_read_when_it_boots_again(bench: Bench, storage: Path) -> None:
    wanted = {**VM, "state": "started", "cloud_init": {"user_data": USER_DATA}}
    bench.good("vm_create", **wanted)
    wanted["cloud_init"] = {"user_data": USER_DATA + "# more\n"}
    told = json.dumps(bench.good("vm_create", **wanted).warnings)
    assert ("waits for a restart: cicustom" if bench.backend == "cli" else "at its next boot") in told
    wanted["cloud_init"] = {"user_data": USER_DATA + "# and more\n"}
    again = bench.good("vm_create", **wanted, restart="when_needed", force=True, shutdown_timeout=1)
    assert steps(again)[-3:] == ["shutdown", "start", "remove_cloud_init"]


@pytest.mark.parametrize(
    ("cloud_init", "problem"),
    [
        ({"ip": [{"ip": "10.0.0.5/24", "gateway": "10.1.0.1"}]}, "is not in the network of 10.0.0.5/24"),
        ({"ip": [{"ip": "dhcp"}, {"ip": "dhcp"}]}, "which the VM does not have"),
        ({"ip": [{"ip": "manual"}]}, "is neither dhcp nor an IPv4 address"),
        ({"user": "two words"}, "is not the name of a user"),
        ({"custom": {"user": "local:snippets/none.yaml"}}, "does not exist on node pve1"),
        ({"password": "$y$j9T$salt$sum"}, "is a hash that cloud-init takes for a password"),
        ({"user_data": "packages: [vim]\n"}, "does not say what it is"),
        ({"network_data": "#cloud-config\n"}, "has no version"),
        ({"user_data": USER_DATA, "user": "bob"}, "has no effect with cloud_init.user_data"),
        ({"user_data": USER_DATA, "password": PASSWORD}, "has no effect with cloud_init.user_data"),
        ({"network_data": "version: 2\n", "nameserver": ["10.0.0.1"]}, "has no effect with cloud_init.network_data"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_what_cannot_work_is_found_before_anything_is_written(
    bench: Bench, storage: Path, cloud_init: Params, problem: str, check: bool
) -> None:
    refused = bench.bad("vm_create", check, **VM, cloud_init=cloud_init)
    assert any(problem in finding["problem"] for finding in refused.findings)
    assert not (bench.node.root / "etc/pve/qemu-server/301.conf").exists()
    assert ours(bench) == []
    assert PASSWORD not in json.dumps(refused.values)


# -- contents of the user's own ---------------------------------------------------------------------------------------


def test_a_content_comes_to_the_vm_and_a_second_run_starts_nothing(bench: Bench, storage: Path) -> None:
    made = bench.good("vm_create", **VM, cloud_init={"user_data": USER_DATA}, state="started")
    assert told(bench)["user-data"] == USER_DATA
    assert made.cloud_init["verified"] is False
    assert "user_data, which only the guest reads" in made.cloud_init["not_verified"]
    bench.node.forget()
    again = bench.good("vm_create", **VM, cloud_init={"user_data": USER_DATA}, state="started")
    assert not again.changed
    assert bench.writes() == []


def test_an_image_has_what_pve_makes_of_the_options_beside_it(bench: Bench, storage: Path) -> None:
    cloud_init = {**CLOUD_INIT, "vendor_data": "#!/bin/sh\ntrue\n"}
    bench.good("vm_create", **VM, cloud_init=cloud_init)
    files = told(bench)
    assert files["vendor-data"] == "#!/bin/sh\ntrue\n"
    if bench.backend == "api":
        assert "user: alice\n" in files["user-data"]
        assert "address: '10.10.10.20'\n" in files["network-config"]
        assert files["meta-data"].startswith("instance-id: ")
    assert not bench.good("vm_create", **VM, cloud_init=cloud_init).changed
    before = files.get("meta-data")
    changed = bench.good("vm_create", **VM, cloud_init={**cloud_init, "user": "bob"})
    assert steps(changed) == (["set"] if bench.backend == "cli" else ["set", "attach_cloud_init", "remove_cloud_init"])
    assert bench.backend == "cli" or told(bench)["meta-data"] != before


@pytest.fixture
def hidden(bench: Bench, storage: Path, token: Params) -> Params:
    """A VM with contents of its own and a password, for a login to which PVE 9.1.9 does not show that password."""
    pvesh(bench, "set", "/access/acl", "--path", "/", "--users", "ansible@pve", "--roles", "PVEAuditor")
    for path, role in (("/vms/301", "PVEVMAdmin"), ("/storage", "PVEDatastoreAdmin"), ("/sdn", "PVESDNUser")):
        pvesh(bench, "set", "/access/acl", "--path", path, "--users", "ansible@pve", "--roles", role)
    return {**VM, "cloud_init": {**CLOUD_INIT, "vendor_data": "#!/bin/sh\ntrue\n"}, **token}


def test_a_password_that_pve_hides_comes_to_the_guest_and_is_left_alone(bench: Bench, hidden: Params) -> None:
    bench.good("vm_create", **hidden)
    password = read_user(told(bench)["user-data"])["password"]
    assert fits(PASSWORD, password)
    again = bench.good("vm_create", **hidden)
    assert (again.changed, steps(again)) == (False, [])
    assert "cloud_init.password: whether the VM has the declared password is not known" in str(again.warnings)
    changed = bench.good("vm_create", **{**hidden, "cloud_init": {**hidden["cloud_init"], "user": "bob"}})
    assert steps(changed) == ["set", "attach_cloud_init", "remove_cloud_init"]
    assert fits(PASSWORD, read_user(told(bench)["user-data"])["password"])
    assert config(bench)["cipassword"] == password


def test_a_password_that_pve_hides_and_nobody_declares_is_not_overwritten(bench: Bench, hidden: Params) -> None:
    bench.good("vm_create", **hidden)
    before = told(bench)
    undeclared = {key: value for key, value in hidden["cloud_init"].items() if key != "password"}
    failed = bench.bad("vm_create", **{**hidden, "cloud_init": {**undeclared, "user": "bob"}})
    assert "the VM's password would be lost: PVE shows its hash to logins with VM.Config.Cloudinit" in failed.msg
    assert told(bench) == before


def test_a_password_is_seen_by_whom_pve_shows_it_to(bench: Bench, hidden: Params) -> None:
    with bench.release("9.1.10"):
        bench.good("vm_create", **hidden)
        again = bench.good("vm_create", **hidden)
        assert (again.changed, "warnings" in again.values) == (False, False)


def test_a_content_that_changes_takes_the_place_of_the_one_before(bench: Bench, storage: Path) -> None:
    bench.good("vm_create", **VM, cloud_init={"user_data": USER_DATA})
    other = USER_DATA.replace("/ours", "/theirs")
    changed = bench.good("vm_create", **VM, cloud_init={"user_data": other})
    assert changed.changed
    assert len(ours(bench)) == 1
    assert told(bench)["user-data"] == other


def test_what_check_mode_foretells_is_what_is_done(bench: Bench, storage: Path) -> None:
    wanted = {**VM, "cloud_init": {"user_data": USER_DATA}}
    foretold = bench.good("vm_create", True, **wanted)
    assert ours(bench) == []
    made = bench.good("vm_create", **wanted)
    assert (foretold.plan, foretold.diff) == (made.plan, made.diff)
    wanted["cloud_init"] = {"user_data": USER_DATA + "# more\n"}
    foretold = bench.good("vm_create", True, **wanted)
    changed = bench.good("vm_create", **wanted)
    assert (foretold.plan, foretold.diff) == (changed.plan, changed.diff)


def test_null_drops_a_content(bench: Bench, storage: Path) -> None:
    bench.good("vm_create", **VM, cloud_init={"user_data": USER_DATA})
    bench.good("vm_create", **VM, cloud_init={"user_data": None})
    assert ours(bench) == []
    assert "cloudinit" in config(bench)["ide2"]
    assert "cicustom" not in config(bench)
    assert not bench.good("vm_create", **VM, cloud_init={"user_data": None}).changed


def test_a_running_vm_gets_contents_and_loses_them_again(bench: Bench, storage: Path) -> None:
    """The drive that PVE has made gives way to an image of ours, and comes back."""
    bench.good("vm_create", **VM, cloud_init={"user": "bob"}, state="started")
    bench.good("vm_create", **VM, cloud_init={"user_data": USER_DATA, "user": None})
    assert told(bench)["user-data"] == USER_DATA
    bench.good("vm_create", **VM, cloud_init={"user_data": None, "user": "bob"})
    assert ours(bench) == []
    assert "cloudinit" in config(bench)["ide2"]
    assert [name for name in bench.volumes("local-lvm", 301) if "cloudinit" in name] == ["local-lvm:vm-301-cloudinit"]
    assert not bench.good("vm_create", **VM, cloud_init={"user_data": None, "user": "bob"}).changed


def test_an_image_without_secrets_is_not_said_to_hold_any(bench: Bench, storage: Path) -> None:
    if bench.backend == "cli":
        pytest.skip("snippets are written on the node")
    options = {"agent": {"enabled": True}, "ostype": "l26", "run_checks": False}
    public = bench.good("vm_create", **VM, **options, cloud_init={"install_agent": True, "user": "bob"})
    assert "passwords" not in str(public.values.get("warnings"))
    secret = bench.good("vm_create", **VM, **options, cloud_init={"install_agent": True, "password": PASSWORD})
    assert "may hold passwords" in str(secret.warnings)


def test_contents_go_with_the_vm(bench: Bench, storage: Path) -> None:
    bench.good("vm_create", **VM, cloud_init={"user_data": USER_DATA})
    gone = bench.good("vm_create", vmid=301, name="ci1", state="absent")
    assert steps(gone) == ["destroy", "remove_cloud_init"]
    assert ours(bench) == []


def test_a_content_that_a_clone_names_too_stays(bench: Bench, storage: Path) -> None:
    bench.good("vm_create", **VM, cloud_init={"user_data": USER_DATA})
    assert commands.run(["qm", "clone", "301", "302", "--full", "1"], bench.node.root, b"")[0] == 0
    bench.good("vm_create", vmid=301, name="ci1", state="absent")
    assert len(ours(bench)) == 1


def test_a_run_that_fails_leaves_no_content(bench: Bench, storage: Path) -> None:
    wanted = {**VM, "networks": [{"bridge": "vmbr0", "mtu": 9000}], "cloud_init": {"user_data": USER_DATA}}
    bench.bad("vm_create", **wanted, state="started")
    assert not (bench.node.root / "etc/pve/qemu-server/301.conf").exists()
    assert ours(bench) == []


def test_where_no_storage_takes_snippets_an_image_serves(bench: Bench, storage: Path) -> None:
    content(bench, "images,rootdir,iso,vztmpl")
    made = bench.good("vm_create", **VM, cloud_init={"user_data": USER_DATA})
    assert steps(made) == ["create", "attach_cloud_init"]
    (path,) = ours(bench)
    assert path.suffix == ".iso"
    assert bench.backend == "api" or path.stat().st_mode & 0o777 == 0o600
    bench.node.forget()
    assert not bench.good("vm_create", **VM, cloud_init={"user_data": USER_DATA}).changed
    assert bench.writes() == []
    content(bench, "images,rootdir,vztmpl")
    assert not bench.good("vm_create", **VM, cloud_init={"user_data": USER_DATA}).changed
    refused = bench.bad("vm_create", **VM, cloud_init={"user_data": f"{USER_DATA}# more\n"})
    assert [finding["option"] for finding in refused.findings] == ["cloud_init.storage"]


def test_where_nothing_takes_it_that_is_reported(bench: Bench, storage: Path) -> None:
    content(bench, "vztmpl")
    refused = bench.bad("vm_create", **VM, cloud_init={"user_data": USER_DATA})
    assert "cannot be passed to the VM" in refused.msg


def test_a_snippet_that_is_gone_comes_back(bench: Bench, storage: Path) -> None:
    bench.good("vm_create", **VM, cloud_init={"user_data": USER_DATA})
    if bench.backend == "api":
        return
    (path,) = ours(bench)
    path.unlink()
    assert steps(bench.good("vm_create", **VM, cloud_init={"user_data": USER_DATA})) == ["place_snippets"]
    assert path.read_text(encoding="utf-8") == USER_DATA


def test_what_a_killed_run_has_left_goes(bench: Bench, storage: Path) -> None:
    folder, suffix = (storage / "snippets", "yaml") if bench.backend == "cli" else (storage / "template/iso", "iso")
    folder.mkdir(exist_ok=True)
    part = "user" if bench.backend == "cli" else "data"
    left = folder / f"pve-provision-ci1-{part}-0123456789abcdef.{suffix}"
    others = folder / f"pve-provision-ci2-{part}-0123456789abcdef.{suffix}"
    for path in (left, others):
        path.write_text("#cloud-config\n", encoding="utf-8")
    bench.good("vm_create", **VM, cloud_init={"user_data": USER_DATA})
    assert not left.exists()
    assert others.exists()


def test_a_login_that_does_not_see_all_vms_removes_nothing_by_a_name_that_others_may_have() -> None:
    class Seen:
        """What is asked of a node."""

        def __init__(self, *privileges: str) -> None:
            self.held = dict.fromkeys(privileges, True)
            self.freed: list[str] = []

        def access(self) -> Access:
            return Access("a@pve", {"/vms": self.held})

        def __getattr__(self, name: str) -> t.Any:
            volume = SimpleNamespace(volid="local:iso/pve-provision-web-data-0123456789abcdef.iso")
            answers: Params = {"volumes": [volume], "guests": [], "configs": [], "free": None}
            if name == "free":
                return self.freed.append
            return (lambda *_given: answers[name]) if name in answers else None

    for privileges, count in (((), 0), (("VM.Audit",), 1)):
        node = Seen(*privileges)
        assert cloud_init_steps.sweep(t.cast(Node, node), "local", "iso", "web") == []
        assert len(node.freed) == count


def test_a_drive_of_the_users_is_not_where_that_of_cloud_init_is(bench: Bench) -> None:
    bench.good("vm_create", **VM, cloud_init=CLOUD_INIT)
    assert "cloudinit" in config(bench)["ide2"]
    refused = bench.bad("vm_create", check=True, **VM, cloud_init=CLOUD_INIT, cdroms=[{"index": 2, "volume": "none"}])
    assert "cdroms[0]" in refused.msg
    assert "ide2, where the drive for cloud-init is" in refused.msg


def test_a_storage_that_keeps_no_modes_is_reported(
    bench: Bench, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bench.backend == "api":
        return
    write = CliSnippets.write
    monkeypatch.setattr(CliSnippets, "write", lambda *args: write(*args) and False)
    made = bench.good("vm_create", **VM, cloud_init={"user_data": USER_DATA})
    assert "can be read by others than root" in json.dumps(made.warnings)


# -- the guest agent, and the guest ------------------------------------------------------------------------------------


def test_the_guest_agent_is_brought_unless_the_image_is_said_to_have_it(bench: Bench, storage: Path) -> None:
    wanted = {**VM, "agent": {"enabled": True}, "cloud_init": {"user": "alice"}}
    bench.good("vm_create", **{**wanted, "vmid": 302, "name": "ci2", "cloud_init": {"install_agent": False}})
    assert ours(bench) == []
    bench.good("vm_create", **wanted)
    assert "qemu-guest-agent" in told(bench)["vendor-data"]
    assert not bench.good("vm_create", **wanted).changed
    wanted["cloud_init"] = {"user": "alice", "install_agent": True}
    assert not bench.good("vm_create", **wanted).changed


def test_that_nothing_can_bring_the_guest_agent_is_reported(bench: Bench, storage: Path) -> None:
    content(bench, "images,rootdir,vztmpl")
    wanted = {**VM, "agent": {"enabled": True}, "cloud_init": {"user": "alice"}}
    assert "the guest agent cannot be installed" in json.dumps(bench.good("vm_create", check=True, **wanted).warnings)
    wanted["cloud_init"] = {"user": "alice", "install_agent": False}
    assert "warnings" not in bench.good("vm_create", check=True, **wanted).values


def test_another_release_of_a_script_of_ours_is_no_change(
    bench: Bench, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is brought at the first boot, and how, counts for a new VM: a later run neither changes nor restarts it."""
    mine = {**VM, "agent": {"enabled": True}, "cloud_init": {"vendor_data": "#cloud-config\nlocale: C\n"}}
    bench.good("vm_create", **mine, restart="when_needed")
    monkeypatch.setattr(cloud_init, "AGENT", f"{cloud_init.AGENT}# another release\n")
    assert not bench.good("vm_create", **mine, restart="when_needed").changed
    mine["cloud_init"] = {"vendor_data": "#cloud-config\nlocale: de\n"}
    assert bench.good("vm_create", **mine, restart="when_needed").changed
    parts = [part.get_payload(decode=True) for part in email.message_from_string(told(bench)["vendor-data"]).walk()]
    assert b"# another release" in b"".join(part for part in parts if part)


def test_the_drive_stays_where_it_is_and_a_cd_image_moves(bench: Bench, storage: Path) -> None:
    cloud_init: Params = {"user": "alice", "install_agent": False}
    bench.good("vm_create", **VM, cloud_init=cloud_init)
    refused = bench.bad("vm_create", check=True, **VM, cloud_init={**cloud_init, "storage": "local"})
    assert "cloud_init.storage: 'local' is not where the drive for cloud-init is: local-lvm:" in refused.msg
    assert not bench.good("vm_create", **VM, cloud_init={**cloud_init, "storage": "local-lvm"}).changed


def from_image(storage: Path, distribution: str, release: str) -> Params:
    """A VM from a cloud image."""
    image = storage / f"import/{distribution}.qcow2"
    image.parent.mkdir(exist_ok=True)
    image.write_bytes(images.qcow2(2 << 20, b"", images.system_disk(os_release(distribution, release))))
    disk = {"storage": "local-lvm", "import_from": f"local:import/{image.name}"}
    return {**VM, "disks": [disk], "agent": {"enabled": True}, "state": "started"}


@pytest.fixture
def debian(bench: Bench, storage: Path) -> Params:
    """Debian's image brings cloud-init and no agent."""
    return from_image(storage, "debian", "13")


@pytest.fixture
def fedora(bench: Bench, storage: Path) -> Params:
    """Fedora's image brings both."""
    return from_image(storage, "fedora", "42")


def inside(bench: Bench) -> runtime.Guest:
    return boot.guest(State(bench.node.root), 301)


def test_the_guest_becomes_what_is_declared(bench: Bench, debian: Params) -> None:
    script = "#!/bin/sh\necho ran > /root/ran\n"
    made = bench.good("vm_create", **debian, cloud_init={**CLOUD_INIT, "vendor_data": script, "install_agent": True})
    guest = inside(bench)
    assert (guest.hostname, guest.files.read("/root/ran")) == ("ci1", "ran\n")
    assert guest.files.read("/home/alice/.ssh/authorized_keys") == f"{KEY}\n"
    assert fits(PASSWORD, accounts.password_of(guest.files, "alice"))
    assert "10.10.10.20/24" in guest.interfaces[0].addresses
    assert steps(made)[-2:] == ["start", "await_cloud_init"]
    assert made.cloud_init["status"] == "done"
    assert made.cloud_init["not_verified"] == ["vendor_data, which only the guest reads"]


def test_an_error_of_cloud_init_fails_the_run_in_its_own_words(bench: Bench, fedora: Params) -> None:
    data = "#cloud-config\npassword: planted-in-user-data\nruncmd:\n  - exit 3\n"
    failed = bench.bad("vm_create", **fedora, cloud_init={"user_data": data})
    assert "cloud-init has failed: " in failed.msg
    assert failed.error == "cloud_init"
    assert not (bench.node.root / "etc/pve/qemu-server/301.conf").exists()
    assert ours(bench) == []


# -- agents that run no commands ---------------------------------------------------------------------------------------


@pytest.fixture
def rocky(bench: Bench, storage: Path) -> Params:
    """Rocky's image brings an agent, which runs no commands, and an SELinux that confines it."""
    return from_image(storage, "rocky", "10.1")


ADDRESS = {"ip": [{"ip": "10.10.10.20/24", "gateway": "10.10.10.1"}]}


@pytest.mark.parametrize("image", ["rocky", "fedora"])
def test_an_agent_that_runs_no_commands_is_let_do_so_by_vendor_data(
    bench: Bench, request: pytest.FixtureRequest, image: str
) -> None:
    declared = request.getfixturevalue(image)
    made = bench.good("vm_create", **declared, cloud_init={**ADDRESS, "install_agent": True}, packages=["nginx"])
    assert made.cloud_init["status"] == "done"
    assert made.setup == {"changed": ["packages: nginx: install"], "verified_by": "guest agent"}


def test_a_new_vm_whose_agent_stays_so_is_told_what_to_do(bench: Bench, rocky: Params, clock: ImpatientClock) -> None:
    failed = bench.bad("vm_create", **rocky, cloud_init={**ADDRESS, "install_agent": False}, packages=["nginx"])
    assert "the guest cannot be accessed: Agent error: Command guest-exec has been disabled" in failed.msg.replace(
        "POST /nodes/pve1/qemu/301/agent/exec: 500 ", ""
    )
    assert "empty FILTER_RPC_ARGS in /etc/sysconfig/qemu-ga of the guest" in failed.msg
    assert "console" not in failed.msg


def test_a_vm_whose_agent_runs_no_commands_is_not_asked_again_for_that(bench: Bench, rocky: Params) -> None:
    made = {**rocky, "cloud_init": {**ADDRESS, "install_agent": False, "wait": 0}}
    bench.good("vm_create", **made)
    seen = bench.good("vm_create", **made, packages=["nginx"])
    assert "its setup was not checked: " in str(seen.warnings)
    assert "empty FILTER_RPC_ARGS" in str(seen.warnings)
    restarted = {**made, "cloud_init": {**made["cloud_init"], "user": "bob", "wait": 100}, "restart": "when_needed"}
    told = bench.good("vm_create", **restarted)
    assert "cloud-init was not verified: " in str(told.warnings)
    assert "empty FILTER_RPC_ARGS" in str(told.warnings)


def test_a_guest_whose_agent_does_not_answer_is_not_verified(
    bench: Bench, debian: Params, clock: ImpatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "_ANSWERS_WITHIN", 0.1)
    made = bench.good("vm_create", **debian, cloud_init={"user": "alice", "install_agent": False})
    assert "what came of it in the guest: no agent has answered" in made.cloud_init["not_verified"][0]
    assert "cloud-init was not verified" in json.dumps(made.warnings)


@pytest.mark.parametrize(("brings", "costs"), [(False, 20), (True, 90)])
def test_an_agent_that_is_missing_costs_its_own_limit_once(
    bench: Bench, debian: Params, clock: ImpatientClock, monkeypatch: pytest.MonkeyPatch, brings: bool, costs: int
) -> None:
    """However long cloud-init and addresses may be waited for; an agent that the run brings has as long to come."""
    monkeypatch.setattr(agent, "_ANSWERS_WITHIN", 0.1)
    monkeypatch.setattr(cloud_init, "AGENT", "#!/bin/sh\n")
    wanted = {**debian, "agent_timeout": 20, "ip_timeout": 0}
    bench.good("vm_create", **wanted, cloud_init={"user": "alice", "install_agent": brings, "wait": 90})
    assert costs <= clock.paused <= costs + 15


def test_a_guest_is_not_waited_for_where_nobody_wants_that(bench: Bench, debian: Params) -> None:
    made = bench.good("vm_create", **debian, cloud_init={"user": "alice", "install_agent": False, "wait": 0})
    assert steps(made) == ["create", "start"]
    assert made.cloud_init["not_verified"] == ["what came of it in the guest"]


# -- secrets ----------------------------------------------------------------------------------------------------------


def test_a_secret_is_nowhere_but_in_the_guest(bench: Bench, storage: Path, capfd: pytest.CaptureFixture[str]) -> None:
    planted = (PASSWORD, "planted-in-user-data", "another-secret-9")
    first = {"user": "alice", "password": PASSWORD, "vendor_data": USER_DATA}
    second = {"user": "alice", "password": "another-secret-9", "vendor_data": USER_DATA + "# more\n"}
    bench.node.forget()
    answers = [
        bench.good("vm_create", True, **VM, cloud_init=first),
        bench.good("vm_create", **VM, cloud_init=first, state="started"),
        bench.good("vm_create", True, **VM, cloud_init=second),
        bench.good("vm_create", **VM, cloud_init=second),
    ]
    shown = json.dumps([answer.values for answer in answers]) + "".join(capfd.readouterr())
    assert not [secret for secret in planted if secret in shown]
    assert config(bench)["cipassword"] not in shown
    argvs = json.dumps(bench.node.commands())
    assert not [secret for secret in (*planted, config(bench)["cipassword"]) if secret in argvs]
    for folder in ("var/log", "var/lib/pve-provision", "etc/pve"):
        for path in (bench.node.root / folder).rglob("*"):
            held = path.read_bytes() if path.is_file() else b""
            assert not [secret for secret in planted if secret.encode() in held], path
    for path in ours(bench):
        assert path.suffix == ".iso" or path.stat().st_mode & 0o777 == 0o600


def test_a_secret_in_a_list_of_guests_is_hidden_too(bench: Bench, storage: Path) -> None:
    cloud_init = {"user": "alice", "password": PASSWORD, "vendor_data": USER_DATA}
    bench.node.forget()
    made = bench.good("guests", guests=[{**VM, "type": "vm", "cloud_init": cloud_init}])
    wrong = bench.bad("guests", guests=[{**VM, "type": "vm", "cloud_init": {**cloud_init, "user_data": "x"}}])
    shown = json.dumps([made.values, wrong.values, bench.node.commands()])
    assert not [secret for secret in (PASSWORD, "planted-in-user-data") if secret in shown]


def test_what_not_everybody_may_read_in_the_guest_is_hidden_and_a_refused_list_does_not_come_back(bench: Bench) -> None:
    files = [{"path": "/etc/closed", "content": "pw=planted-in-a-file\n", "mode": "0600"}]
    one = {**VM, "files": files, "memory": 1}
    refused = [bench.bad("vm_create", **one), bench.bad("guests", guests=[{**one, "type": "vm"}])]
    assert "planted-in-a-file" not in json.dumps([answer.values for answer in refused])
    assert "guests" not in refused[1].invocation["module_args"]


# -- lists of guests, copies, other names ------------------------------------------------------------------------------


def test_contents_go_with_a_vm_that_nobody_declares_any_more(bench: Bench, storage: Path) -> None:
    declared = {**VM, "type": "vm", "cloud_init": {"user_data": USER_DATA}}
    bench.good("guests", guests=[declared], owner_tag="ours")
    assert len(ours(bench)) == 1
    other = {"name": "other", "type": "vm", "state": "absent"}
    bench.good("guests", guests=[other], owner_tag="ours", prune=True)
    assert not (bench.node.root / "etc/pve/qemu-server/301.conf").exists()
    assert ours(bench) == []


def test_a_copy_has_contents_of_its_own(bench: Bench, storage: Path) -> None:
    bench.good("vm_create", **VM, cloud_init={"user_data": USER_DATA})
    copy = {
        "vmid": 302,
        "name": "ci2",
        "clone_from": {"vmid": 301, "full": True},
        "cloud_init": {"user_data": USER_DATA.replace("/ours", "/copied")},
    }
    bench.good("vm_create", **copy)
    assert not bench.good("vm_create", **copy).changed
    assert not bench.good("vm_create", **VM, cloud_init={"user_data": USER_DATA}).changed
    assert sorted(path.name.split("-")[2] for path in ours(bench)) == ["ci1", "ci2"]
    bench.good("vm_create", vmid=302, name="ci2", state="absent")
    assert [path.name.split("-")[2] for path in ours(bench)] == ["ci1"]


def test_a_vm_that_gets_another_name_keeps_its_contents(bench: Bench, storage: Path) -> None:
    bench.good("vm_create", **VM, cloud_init={"user_data": USER_DATA})
    renamed = {**VM, "name": "ci9", "rename": True, "cloud_init": {"user_data": USER_DATA}}
    bench.good("vm_create", **renamed)
    assert len(ours(bench)) == 1
    assert told(bench)["user-data"] == USER_DATA
    assert not bench.good("vm_create", **renamed).changed
