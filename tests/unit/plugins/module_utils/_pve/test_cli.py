# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import json
import stat
import typing as t
from pathlib import Path

import pytest
from fake_clock import FakeClock

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Conflict,
    InvalidInput,
    NotFound,
    PveError,
    TaskFailed,
    Timeout,
    Unreachable,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.node import CliNode
from ansible_collections.pve.provision.plugins.module_utils._pve.open_node import open_node
from ansible_collections.pve.provision.plugins.module_utils._pve.types import (
    Bridge,
    ClusterNode,
    Completed,
    GuestRef,
    Kind,
    Outcome,
)

CONTAINER = "arch: amd64\nhostname: web1\nmemory: 512\nrootfs: local:101/vm-101-disk-0.raw,size=3G\n"
LOCKED = "trying to acquire lock...\ncan't lock file '/run/lock/lxc/pve-config-101.lock' - got timeout\n"


class Script:
    """A runner that expects commands in order and plays what they do; no command may be missing or extra."""

    def __init__(self):
        self.expected = []
        self.stdin = []
        self.files = []

    def expect(
        self,
        command: str | list[str],
        rc: int = 0,
        out: str = "",
        err: str = "",
        effect: t.Callable[[], object] = lambda: None,
    ) -> Script:
        self.expected.append((command.split(" ") if isinstance(command, str) else command, rc, out, err, effect))
        return self

    def __call__(self, argv: t.Sequence[str], *, stdin: str = "", timeout: float = 60) -> Completed:
        assert self.expected, f"unexpected command: {argv}"
        assert timeout > 0
        command, rc, out, err, effect = self.expected.pop(0)
        shown = []
        for word in argv:
            if Path(word).is_file() and "pve-provision-" in word:
                mode = stat.S_IMODE(Path(word).stat().st_mode)
                self.files.append((mode, Path(word).read_text(), Path(word)))
                word = "FILE"
            shown.append(word)
        assert shown == command
        self.stdin.append(stdin)
        effect()
        return Completed(rc, out, err)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("lxc", "qemu-server"):
        (tmp_path / "etc/pve/nodes/pve1" / folder).mkdir(parents=True)
    (tmp_path / "etc/pve/local").symlink_to("nodes/pve1")
    write(tmp_path, "etc/pve/nodes/pve1/lxc/101.conf", CONTAINER)
    return tmp_path


@pytest.fixture
def script() -> t.Iterator[Script]:
    script = Script()
    yield script
    assert not script.expected, f"missing: {script.expected}"


@pytest.fixture
def node(root: Path, script: Script) -> CliNode:
    return CliNode("pve1", root=root, runner=script, timeout=30, clock=FakeClock())


def write(root: Path, path: str, text: str):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def run_container(root: Path, vmid: int = 101):
    write(root, "proc/net/unix", f"0000: 00000002 0 00010000 0001 01 1 @/var/lib/lxc/{vmid}/command\n")


class TestWhereWeAre:
    def test_the_node_is_the_one_whose_files_are_there(self, root: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("PVE_ROOT", str(root))
        node = open_node({"api_host": None, "node": None, "timeout": 5})
        assert (node.name, node.root_login) == ("pve1", True)

    def test_another_node_is_an_error_that_names_both(self, root: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("PVE_ROOT", str(root))
        with pytest.raises(InvalidInput, match="'pve2' is not the node this runs on, which is pve1"):
            open_node({"node": "pve2"})

    def test_a_machine_without_pve_says_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("PVE_ROOT", str(tmp_path))
        with pytest.raises(Unreachable) as caught:
            open_node({})
        assert "api_host" in caught.value.remedy


class TestReadingStartsNoCommand:
    """The fixture ``script`` expects nothing: a command would fail the test."""

    def test_a_guest(self, node: CliNode, root: Path):
        config = node.config("lxc", 101)
        assert config.options["hostname"] == "web1"
        assert node.status("lxc", 101) == "stopped"
        run_container(root)
        assert node.status("lxc", 101) == "running"

    def test_a_guest_that_is_not_there(self, node: CliNode):
        assert node.config("lxc", 999) is None
        with pytest.raises(NotFound, match=r"nodes/pve1/lxc/999\.conf"):
            node.status("lxc", 999)

    def test_all_guests(self, node: CliNode, root: Path):
        write(root, "etc/pve/nodes/pve1/lxc/7.conf", "arch: amd64\nlock: create\n")
        write(root, "etc/pve/nodes/pve1/qemu-server/200.conf", "#x\nname: vm1\ntemplate: 1\n\n[s1]\nname: old\n")
        write(root, "run/qemu-server/200.pid", "123\n")
        run_container(root)
        assert node.guests() == [
            GuestRef(7, "lxc", "pve1", "CT7", "stopped", "create"),
            GuestRef(101, "lxc", "pve1", "web1", "running"),
            GuestRef(200, "qemu", "pve1", "vm1", "running", None, True),
        ]
        assert [guest.vmid for guest in node.guests("qemu")] == [200]

    def test_where_a_vmid_is(self, node: CliNode, root: Path):
        ids = {"101": {"node": "pve1", "type": "lxc"}, "300": {"node": "pve2", "type": "qemu"}}
        write(root, "etc/pve/.vmlist", json.dumps({"version": 1, "ids": ids}))
        assert node.locate(101) == GuestRef(101, "lxc", "pve1", "web1", "stopped")
        assert node.locate(300) == GuestRef(300, "qemu", "pve2")
        assert node.locate(102) is None

    def test_the_next_vmid_is_the_lowest_free_one_in_bounds(self, node: CliNode, root: Path):
        ids = {str(vmid): {"node": "pve1", "type": "lxc"} for vmid in (100, 101, 103)}
        write(root, "etc/pve/.vmlist", json.dumps({"ids": ids}))
        assert node.next_vmid() == 102
        assert node.next_vmid(skip={102}) == 104
        write(root, "etc/pve/datacenter.cfg", "next-id: lower=103,upper=105\n")
        assert node.next_vmid() == 104
        with pytest.raises(PveError, match="103 to 104"):
            node.next_vmid(skip={104})

    def test_volumes_of_a_directory(self, node: CliNode, root: Path):
        write(root, "store/template/cache/a.tar.gz", "x")
        write(root, "etc/pve/storage.cfg", f"dir: store\n\tpath {root}/store\n\tcontent vztmpl\n")
        assert [volume.volid for volume in node.volumes("store")] == ["store:vztmpl/a.tar.gz"]
        assert node.files.volume_path("store:vztmpl/a.tar.gz") == root / "store/template/cache/a.tar.gz"
        with pytest.raises(NotFound, match="'nope'"):
            node.volumes("nope")

    def test_pools_and_paths(self, node: CliNode, root: Path):
        write(root, "etc/pve/user.cfg", "pool:web:c:101:local:\n")
        write(root, "srv/data/x", "")
        assert node.pools() == {"web": frozenset({101})}
        assert node.files.has("/srv/data")
        assert node.files.has(f"{root}/srv/data")
        assert not node.files.has("/srv/nothing")

    def test_starting_what_runs_and_stopping_what_does_not(self, node: CliNode, root: Path):
        node.stop("lxc", 101, timeout=5)
        node.shutdown("lxc", 101, timeout=5, force=True)
        run_container(root)
        node.start("lxc", 101, timeout=5)

    def test_resizing_to_the_size_it_has(self, node: CliNode):
        node.resize("lxc", 101, "rootfs", "3072M", timeout=5)


def test_who_may_not_read_is_told_to_become_root(node: CliNode, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> t.NoReturn:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", refuse)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    for verb in (node.guests, node.storages, lambda: node.config("lxc", 101)):
        with pytest.raises(Unreachable, match="May not read") as caught:
            verb()
        assert "become" in caught.value.remedy


class TestReadingThatTakesACommand:
    def test_bridges_and_vnets(self, node: CliNode, root: Path, script: Script):
        for name in ("vmbr0", "vmbr1", "eno1", "lan1"):
            write(root, f"sys/class/net/{name}/mtu", "9000\n" if name == "vmbr0" else "1500\n")
        for name in ("vmbr0", "lan1"):
            write(root, f"sys/class/net/{name}/bridge/vlan_filtering", "1\n" if name == "vmbr0" else "0\n")
        write(
            root,
            "etc/network/interfaces",
            "iface vmbr0 inet static\n\taddress 10.0.0.2/24\niface vmbr1 inet manual\n\tovs_type OVSBridge\n",
        )
        write(root, "etc/pve/sdn/vnets.cfg", "vnet: lan1\n\tzone z\n\nvnet: far\n\tzone elsewhere\n")
        write(root, "etc/pve/sdn/zones.cfg", "simple: z\n\nsimple: elsewhere\n\tnodes pve2\n")
        own = [{"family": "inet", "local": "10.0.0.3", "prefixlen": 24}, {"local": "fd00::3", "prefixlen": 64}]
        links = [{"ifname": "lo", "addr_info": []}, {"ifname": "vmbr0", "addr_info": own}]
        script.expect("ip -j addr show", out=json.dumps(links))
        assert node.bridges() == [
            Bridge("lan1", "vnet", 1500),
            Bridge("vmbr0", "bridge", 9000, ("10.0.0.3/24", "fd00::3/64"), True),
            Bridge("vmbr1", "OVSBridge", 1500, (), True),
        ]

    def test_storages_with_their_capacity(self, node: CliNode, root: Path, script: Script):
        write(root, "etc/pve/storage.cfg", "dir: local\n\tpath /x\n\tcontent iso\n\nlvmthin: thin\n\tdisable\n")
        script.expect(
            "pvesm status",
            out="Name Type Status Total (KiB) Used (KiB) Available (KiB) %\n"
            "local dir active 1000 400 500 40.00%\nthin lvmthin disabled 0 0 0 N/A\n",
        )
        local, thin = node.storages()
        assert (local.total, local.used, local.available, local.active) == (1024000, 409600, 512000, True)
        assert (thin.enabled, thin.active, thin.total) == (False, False, None)

    def test_volumes_of_what_is_no_directory(self, node: CliNode, root: Path, script: Script):
        write(root, "etc/pve/storage.cfg", "lvmthin: thin\n\tvgname pve\n")
        answer = [{"volid": "thin:vm-101-disk-0", "content": "rootdir", "size": 5, "vmid": 101, "ctime": 9}]
        path = "/nodes/pve1/storage/thin/content"
        script.expect(f"pvesh get {path} --content rootdir --output-format json", out=json.dumps(answer))
        assert node.volumes("thin", "rootdir")[0].ctime == 9

    def test_addresses(self, node: CliNode, script: Script):
        script.expect("pvesh get /nodes/pve1/lxc/101/interfaces --output-format json", out="null\n")
        script.expect("pvesh get /nodes/pve1/qemu/200/agent/network-get-interfaces --output-format json", out="{}")
        assert node.interfaces("lxc", 101) == []
        assert node.interfaces("qemu", 200) == []

    @pytest.mark.parametrize(
        ("entry", "heard"),
        [
            ({"dst": "10.0.0.5", "dev": "vmbr0", "lladdr": "bc:24:11:00:00:0a", "state": ["REACHABLE"]}, True),
            ({"dst": "10.0.0.5", "dev": "vmbr0", "lladdr": "bc:24:11:00:00:0a", "state": ["STALE"]}, True),
            ({"dst": "10.0.0.5", "dev": "vmbr0", "lladdr": "bc:24:11:00:00:0a", "state": ["DELAY"]}, True),
            ({"dst": "10.0.0.5", "dev": "vmbr0", "lladdr": "bc:24:11:00:00:0a", "state": ["PERMANENT"]}, True),
            ({"dst": "fd00::5", "lladdr": "bc:24:11:00:00:0a", "router": None, "state": ["STALE"]}, True),
            ({"dst": "fe80::be24:11ff:fe00:a", "lladdr": "bc:24:11:00:00:0a", "state": ["REACHABLE"]}, False),
            ({"dst": "169.254.0.5", "lladdr": "bc:24:11:00:00:0a", "state": ["REACHABLE"]}, False),
            ({"dst": "10.0.0.5", "dev": "vmbr0", "lladdr": "bc:24:11:00:00:0a", "state": ["FAILED"]}, False),
            ({"dst": "10.0.0.5", "dev": "vmbr0", "state": ["FAILED"]}, False),
            ({"dst": "10.0.0.5", "dev": "vmbr0", "state": ["INCOMPLETE"]}, False),
        ],
        ids=lambda value: "".join(value["state"]) + value["dst"] if isinstance(value, dict) else "",
    )
    def test_a_neighbour(self, node: CliNode, script: Script, entry: dict[str, t.Any], heard: bool):
        script.expect("ip -j neigh show", out=json.dumps([entry]))
        assert node.neighbours() == ({"BC:24:11:00:00:0A": [entry["dst"]]} if heard else {})

    def test_the_address_a_neighbour_was_seen_at_last_comes_first(self, node: CliNode, script: Script):
        states = {"10.0.0.7": "STALE", "10.0.0.5": "REACHABLE", "10.0.0.6": "STALE"}
        entries = [{"dst": dst, "lladdr": "bc:24:11:00:00:0a", "state": [state]} for dst, state in states.items()]
        script.expect("ip -j neigh show", out=json.dumps(entries))
        assert node.neighbours() == {"BC:24:11:00:00:0A": ["10.0.0.5", "10.0.0.7", "10.0.0.6"]}

    @pytest.mark.parametrize("verb", ["bridges", "neighbours"])
    @pytest.mark.parametrize(
        ("answer", "words"),
        [({"out": "Object?\n"}, "something else than JSON: Object"), ({"rc": 1, "err": "no netlink\n"}, "no netlink")],
    )
    def test_a_kernel_that_tells_nothing(
        self, node: CliNode, script: Script, verb: str, answer: dict[str, t.Any], words: str
    ):
        script.expect(f"ip -j {'addr' if verb == 'bridges' else 'neigh'} show", **answer)
        with pytest.raises(PveError, match=words):
            getattr(node, verb)()

    def test_nobody_near(self, node: CliNode, script: Script):
        script.expect("ip -j neigh show", out="")
        assert node.neighbours() == {}


class TestAgent:
    LINE = "qm guest exec 200 --timeout 20 --pass-stdin 1 -- sh -s"

    def test_a_script_goes_in_on_standard_input(self, node: CliNode, script: Script):
        said = {"exited": 1, "exitcode": 3, "out-data": "out\n", "err-data": "err\n"}
        script.expect(self.LINE, out=json.dumps(said))
        assert node.agent.run(200, ["sh", "-s"], stdin="exit 3\n", timeout=20) == Completed(3, "out\n", "err\n")
        assert script.stdin == ["exit 3\n"]

    def test_one_that_is_killed_has_a_shells_exit_code(self, node: CliNode, script: Script):
        script.expect(self.LINE, out='{"exited": 1, "signal": 15}')
        assert node.agent.run(200, ["sh", "-s"], timeout=20) == Completed(143, "", "")

    def test_one_that_goes_on_is_told(self, node: CliNode, script: Script):
        script.expect(self.LINE, out='{"pid": 44}')
        with pytest.raises(Timeout, match="sh in VM 200 was not done after 20 s"):
            node.agent.run(200, ["sh", "-s"], timeout=20)

    def test_an_agent_that_is_not_there_is_told_in_pves_words(self, node: CliNode, script: Script):
        script.expect(self.LINE, rc=255, err="QEMU guest agent is not running\n")
        with pytest.raises(PveError, match="QEMU guest agent is not running"):
            node.agent.run(200, ["sh", "-s"], timeout=20)


class TestWriting:
    def test_create_is_one_command(self, node: CliNode, script: Script):
        script.expect("pct create 110 local:vztmpl/a.tar.gz --hostname web2 --net0 name=eth0,ip=dhcp", out="done\n")
        options = {"ostemplate": "local:vztmpl/a.tar.gz", "hostname": "web2", "net0": "name=eth0,ip=dhcp"}
        assert node.create("lxc", 110, options, timeout=5).log == ("done",)

    @pytest.mark.parametrize("password", ["hunter22", "-rf $HOME `id`", "'\"\\ ", "--password", "pässwörd", "%s\t"])
    def test_a_password_goes_through_standard_input_alone(self, node: CliNode, script: Script, password: str):
        script.expect("pct create 110 t --memory 512 --password")
        node.create("lxc", 110, {"password": password, "ostemplate": "t", "memory": "512"}, timeout=5)
        assert script.stdin == [f"{password}\n{password}\n"]

    def test_so_does_the_one_of_cloud_init(self, node: CliNode, script: Script):
        script.expect("qm set 200 --ciuser me --cipassword")
        node.set_config("qemu", 200, {"cipassword": "geheim", "ciuser": "me"})
        assert script.stdin == ["geheim\ngeheim\n"]

    def test_a_password_never_shows_in_an_error(self, node: CliNode, script: Script):
        script.expect("pct create 110 t --password", rc=255, out="x geheim\n", err="bad 'geheim' value failed\n")
        with pytest.raises(PveError) as caught:
            node.create("lxc", 110, {"password": "geheim", "ostemplate": "t"}, timeout=5)
        assert "geheim" not in str(caught.value) + repr(caught.value.details)

    def test_a_password_of_two_lines_is_refused(self, node: CliNode):
        with pytest.raises(InvalidInput) as caught:
            node.create("lxc", 110, {"password": "a\nb", "ostemplate": "t"}, timeout=5)
        assert "a\nb" not in repr(caught.value.details)

    def test_keys_go_through_a_file_that_only_root_reads(self, node: CliNode, script: Script):
        script.expect(["pct", "create", "110", "t", "--ssh-public-keys", "FILE"])
        node.create("lxc", 110, {"ostemplate": "t", "ssh-public-keys": "ssh-ed25519 AAA me"}, timeout=5)
        ((mode, text, path),) = script.files
        assert (mode, text, path.exists()) == (0o600, "ssh-ed25519 AAA me\n", False)

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            ("-x --digest", ["--description=-x --digest"]),
            ("", ["--description", ""]),
            ("a\nb", ["--description", "a\nb"]),
            ("--", ["--description=--"]),
        ],
    )
    def test_no_value_can_be_taken_for_an_option(self, node: CliNode, script: Script, value: str, words: t.Any):
        script.expect(["pct", "set", "101", *words])
        node.set_config("lxc", 101, {"description": value})

    def test_set_sends_what_is_deleted_and_the_digest(self, node: CliNode, script: Script):
        script.expect("pct set 101 --memory 600 --delete swap,tty --digest abc")
        node.set_config("lxc", 101, {"memory": "600"}, ["swap", "tty"], "abc")

    @pytest.mark.parametrize("running", [False, True])
    def test_the_environment_is_on_no_command_line(self, node: CliNode, root: Path, script: Script, running: bool):
        """It is written into the config, of a running container for its next start; the rest is PVE's to set."""
        config = root / "etc/pve/nodes/pve1/lxc/101.conf"
        config.write_text("hostname: web1\nlxc.environment.runtime: OLD=1\n\n[old]\nlxc.environment.runtime: OLD=1\n")
        if running:
            run_container(root)
        script.expect("pct set 101 --memory 600")
        node.set_config("lxc", 101, {"memory": "600", "env": "A=s3cret\0B=two words"})
        after = node.config("lxc", 101)
        assert after.options["env"] == "A=s3cret\0B=two words"
        assert after.live["env"] == ("OLD=1" if running else "A=s3cret\0B=two words")
        assert config.read_text().endswith("[old]\nlxc.environment.runtime: OLD=1\n")

    def test_the_environment_alone_takes_no_command_and_respects_the_digest(self, node: CliNode, root: Path):
        config = root / "etc/pve/nodes/pve1/lxc/101.conf"
        config.write_text("hostname: web1\n")
        with pytest.raises(Conflict, match="changed meanwhile"):
            node.set_config("lxc", 101, {"env": "A=1"}, digest="0" * 40)
        assert config.read_text() == "hostname: web1\n"
        node.set_config("lxc", 101, {"env": "A=1"}, digest=hashlib.sha1(b"hostname: web1\n").hexdigest())
        assert config.read_text() == "hostname: web1\nlxc.environment.runtime: A=1\n"

    def test_the_power_switch(self, node: CliNode, root: Path, script: Script):
        script.expect("pct start 101", effect=lambda: run_container(root))
        script.expect("pct shutdown 101 --timeout 5 --forceStop 1")
        script.expect("pct stop 101")
        node.start("lxc", 101, timeout=5)
        node.shutdown("lxc", 101, timeout=5, force=True)
        node.stop("lxc", 101, timeout=5)

    def test_the_rest(self, node: CliNode, root: Path, script: Script):
        script.expect("pct clone 101 110 --full 1 --hostname c1")
        script.expect("pct destroy 110 --purge 1")
        script.expect("qm destroy 200")
        script.expect("pct unlock 101")
        script.expect("pvesh set /pools --poolid web --vms 101 --allow-move 1")
        script.expect("pvesm free local:101/vm-101-disk-1.raw")
        script.expect("pct mount 101")
        script.expect("pct unmount 101")
        node.clone("lxc", 101, 110, {"full": "1", "hostname": "c1"}, timeout=5)
        node.destroy("lxc", 110, purge=True, timeout=5)
        node.destroy("qemu", 200, purge=False, timeout=5)
        node.leftovers.unlock("lxc", 101)
        node.join_pool(101, "web")
        node.free("local:101/vm-101-disk-1.raw")
        assert node.containers.mount(101) == f"{root}/var/lib/lxc/101/rootfs"
        node.containers.unmount(101)

    def test_warnings_of_what_worked(self, node: CliNode, script: Script):
        script.expect(
            "pct create 110 t", out="WARN: You may need to enable nesting.\n", err="Task finished with 1 warning(s)!\n"
        )
        outcome = node.create("lxc", 110, {"ostemplate": "t"}, timeout=5)
        assert outcome.warnings == ("You may need to enable nesting.",)


class TestFailing:
    def test_any_exit_code_but_zero_is_a_failure_and_pve_is_quoted(self, node: CliNode, script: Script):
        for code in (1, 2, 4, 22, 25, 39, 255):
            script.expect("pct set 101 --memory 1", rc=code, err="400 bad\n\npct set <vmid> [OPTIONS]\n")
            with pytest.raises(PveError) as caught:
                node.set_config("lxc", 101, {"memory": "1"})
            assert caught.value.message == "pct set 101: 400 bad"
            assert caught.value.details["rc"] == code

    def test_the_cause_of_a_failed_start_is_in_the_log(self, node: CliNode, script: Script):
        script.expect("pct start 101", rc=255, out="mount: /nope missing\n", err="startup for container '101' failed\n")
        with pytest.raises(PveError, match="mount: /nope missing"):
            node.start("lxc", 101, timeout=5)

    def test_what_a_start_hook_wrote_is_asked_for(self, node: CliNode, script: Script):
        failed = "run_buffer: 571 Script exited with status 2\nlxc_init: 845 Failed to run lxc.hook.pre-start\n"
        said = "DEBUG    utils - ../src/lxc/utils.c:run_buffer:560 - Script exec /usr/share/lxc/"
        said += "hooks/lxc-pve-prestart-hook 101 lxc pre-start produced output: directory '/mnt/x' does not exist\n\n"
        rest = "".join(f"INFO  line {number}\n" for number in range(20))
        words = "startup for container '101' failed\n"
        script.expect("pct start 101", rc=255, out=failed, err=words)
        script.expect("pct start 101 --debug 1", rc=255, out=said + rest + failed, err=words)
        with pytest.raises(PveError) as caught:
            node.start("lxc", 101, timeout=60)
        text = "pct start 101: startup for container '101' failed: directory '/mnt/x' does not exist"
        assert caught.value.message == text

    def test_a_hook_that_refused_once_only(self, node: CliNode, script: Script):
        failed = "run_buffer: 571 Script exited with status 2\n"
        script.expect("pct start 101", rc=255, out=failed, err="startup for container '101' failed\n")
        script.expect("pct start 101 --debug 1")
        node.start("lxc", 101, timeout=60)

    def test_a_held_lock_is_tried_again(self, node: CliNode, script: Script):
        script.expect("pct set 101 --memory 1", rc=4, err=LOCKED)
        script.expect("pct set 101 --memory 1", rc=4, err=LOCKED)
        script.expect("pct set 101 --memory 1")
        node.set_config("lxc", 101, {"memory": "1"})

    def test_but_not_for_ever(self, root: Path, script: Script):
        clock = FakeClock()
        node = CliNode("pve1", root=root, runner=script, timeout=60, clock=clock)
        script.expect("pct set 101 --memory 1", rc=4, err=LOCKED, effect=lambda: clock.sleep(60))
        with pytest.raises(Conflict) as caught:
            node.set_config("lxc", 101, {"memory": "1"})
        assert caught.value.details["reason"] == "lock_timeout"

    def test_the_lock_is_told_where_the_last_try_had_no_time_left(self, node: CliNode, script: Script):
        def late() -> None:
            raise Timeout("pct set 101 did not end within 0 s and was stopped.", remedy="Raise timeout.")

        script.expect("pct set 101 --memory 1", rc=4, err=LOCKED)
        script.expect("pct set 101 --memory 1", effect=late)
        with pytest.raises(Conflict, match="got timeout") as caught:
            node.set_config("lxc", 101, {"memory": "1"})
        assert "Raise" not in caught.value.remedy

    @pytest.mark.parametrize(
        "words", ["CT is locked (backup)", "detected modified configuration - file changed by other user? Try again."]
    )
    def test_other_conflicts_are_told_at_once(self, node: CliNode, script: Script, words: t.Any):
        script.expect("pct set 101 --memory 1", rc=255, err=words + "\n")
        with pytest.raises(Conflict, match="pct set 101"):
            node.set_config("lxc", 101, {"memory": "1"})

    def test_a_timeout_of_the_command_is_told(self, root: Path):
        def slow(argv: t.Sequence[str], *, stdin: str = "", timeout: float = 60):
            raise Timeout("pct create 110 did not end")

        with pytest.raises(Timeout):
            CliNode("pve1", root=root, runner=slow).create("lxc", 110, {"ostemplate": "t"}, timeout=5)


class TestCommandsThatFailWithExitCodeZero:
    def grow(self, root: Path, size: str) -> t.Callable[[], object]:
        return lambda: write(root, "etc/pve/nodes/pve1/lxc/101.conf", CONTAINER.replace("3G", size))

    def test_a_resize_that_worked(self, node: CliNode, root: Path, script: Script):
        script.expect("pct resize 101 rootfs 4G", out="Image resized.\n", effect=self.grow(root, "4G"))
        assert node.resize("lxc", 101, "rootfs", "4G", timeout=5).log == ("Image resized.",)

    def test_a_resize_that_did_nothing(self, node: CliNode, script: Script):
        script.expect("pct resize 101 rootfs 4G", err="disk 'rootfs' does not exist\n")
        with pytest.raises(PveError, match="disk 'rootfs' does not exist"):
            node.resize("lxc", 101, "rootfs", "4G", timeout=5)

    def test_a_resize_whose_file_system_did_not_grow(self, node: CliNode, root: Path, script: Script):
        words = "Failed to update the container's filesystem: command 'e2fsck -f -y /x' failed: exit code 8"
        script.expect("pct resize 101 rootfs 4G", out=f"{words}\n", effect=self.grow(root, "4G"))
        with pytest.raises(PveError, match="e2fsck") as caught:
            node.resize("lxc", 101, "rootfs", "4G", timeout=5)
        assert "next run" in caught.value.remedy

    def test_the_file_system_of_a_stopped_container_is_checked_and_grown(
        self, node: CliNode, root: Path, script: Script
    ):
        store = "dir: local\n\tpath /srv/local\n\tcontent rootdir\n"
        write(root, "etc/pve/storage.cfg", store)
        path = node.files.volume_path("local:101/vm-101-disk-0.raw")
        script.expect(f"e2fsck -f -y {path}", rc=1, out="mended\n")
        script.expect(f"resize2fs {path}", out="Resizing the filesystem\n")
        node.containers.grow_filesystem(101, "rootfs", timeout=60)
        script.expect(f"e2fsck -f -y {path}", rc=8, err="MMP: device currently active\n")
        with pytest.raises(PveError, match="currently active"):
            node.containers.grow_filesystem(101, "rootfs", timeout=60)

    def test_that_of_a_running_one_is_grown_where_it_is_mounted(self, node: CliNode, root: Path, script: Script):
        write(root, "etc/pve/storage.cfg", "dir: local\n\tpath /srv/local\n\tcontent rootdir\n")
        run_container(root)
        path = node.files.volume_path("local:101/vm-101-disk-0.raw")
        script.expect(f"losetup --noheadings --output NAME --associated {path}", out="/dev/loop3\n")
        script.expect("losetup --set-capacity /dev/loop3")
        inside = 'mount --make-rprivate / && mount "$1" /tmp && resize2fs "$1"'
        script.expect(["unshare", "-m", "--", "sh", "-c", inside, "sh", "/dev/loop3"])
        node.containers.grow_filesystem(101, "rootfs", timeout=60)

    NOISE = "user config - ignore invalid acl token 'x@pve!y'\n"

    def test_push_and_pull(self, node: CliNode, root: Path, script: Script, tmp_path: Path):
        run_container(root)
        source, target = tmp_path / "a", tmp_path / "b"
        source.write_text("content")
        script.expect(f"pct push 101 {source} /b --perms 0600", err=self.NOISE)
        node.containers.push(101, str(source), "/b", mode="0600")
        script.expect(f"pct pull 101 /b {target}.part", err="anything\n", effect=lambda: write(tmp_path, "b.part", "x"))
        node.containers.pull(101, "/b", str(target))
        assert target.read_text() == "x"
        script.expect(f"pct pull 101 /no {target}.part", err="failed to open /no: No such file or directory\n")
        with pytest.raises(PveError, match="failed to open /no"):
            node.containers.pull(101, "/no", str(target))

    @pytest.mark.parametrize(("inside", "arrived"), [("content", True), ("other", False), (None, False)])
    def test_what_push_says_is_held_against_what_is_there(
        self, node: CliNode, root: Path, script: Script, tmp_path: Path, inside: str | None, arrived: bool
    ):
        run_container(root)
        source = tmp_path / "a"
        source.write_text("content")
        told = "" if inside is None else f"{hashlib.sha256(inside.encode()).hexdigest()}  /no/b\n"
        script.expect(f"pct push 101 {source} /no/b --perms 0644", err=f"{self.NOISE}some words\n")
        script.expect("pct exec 101 -- sha256sum /no/b", rc=0 if told else 1, out=told)
        if arrived:
            node.containers.push(101, str(source), "/no/b")
        else:
            with pytest.raises(PveError, match="some words") as caught:
                node.containers.push(101, str(source), "/no/b")
            assert "ignore" not in caught.value.message

    @pytest.mark.parametrize("ending", ["OK", "WARNINGS: 1", "download failed: 404"])
    def test_a_task_started_by_pvesh(self, node: CliNode, script: Script, ending: str):
        upid = "UPID:pve1:000044AA:000426BA:6B03AD98:download:a.iso:root@pam:"
        words = "--content iso --filename a.iso --url http://x/a.iso --checksum-algorithm sha256 --checksum ab"
        script.expect(
            f"pvesh create /nodes/pve1/storage/local/download-url {words}", out=f'downloading\nERROR 404\n"{upid}"\n'
        )
        script.expect(
            f"pvesh get /nodes/pve1/tasks/{upid}/status --output-format json", out=json.dumps({"exitstatus": ending})
        )

        def download() -> Outcome:
            return node.download_url("local", "iso", "a.iso", "http://x/a.iso", checksum=("sha256", "ab"), timeout=5)

        if ending.startswith("download"):
            with pytest.raises(TaskFailed, match="404"):
                download()
        else:
            assert download().upid == upid


class TestCluster:
    def test_its_nodes_take_one_command(self, node: CliNode, script: Script):
        told = [{"type": "node", "node": "pve1", "status": "online", "maxcpu": 2, "cpu": 0.5, "maxmem": 9, "mem": 4}]
        script.expect("pvesh get /cluster/resources --output-format json", out=json.dumps(told))
        assert node.nodes() == [ClusterNode("pve1", True, 2, 0.5, 9, 4)]

    def test_what_ha_manages_is_in_a_file(self, node: CliNode, root: Path):
        assert node.ha_managed() == frozenset()
        write(root, "etc/pve/ha/resources.cfg", "ct: 101\n\tstate started\n\nvm: 200\n\tgroup a\n")
        assert node.ha_managed() == {101, 200}

    def test_a_node_reaches_no_other_by_its_commands(self, node: CliNode):
        assert node.on("pve1") is node
        assert node.on("pve2") is None

    @pytest.mark.parametrize(
        ("kind", "options", "command"),
        [
            ("lxc", {"running": False}, "pct migrate 101 pve2"),
            ("lxc", {"running": True, "shutdown_timeout": 30}, "pct migrate 101 pve2 --restart 1 --timeout 30"),
            (
                "qemu",
                {"running": True, "local_disks": True},
                "qm migrate 101 pve2 --online 1 --with-local-disks 1",
            ),
        ],
    )
    def test_a_guest_goes_by_one_command(
        self, node: CliNode, root: Path, script: Script, kind: Kind, options: dict[str, t.Any], command: str
    ):
        folder = {"lxc": "lxc", "qemu": "qemu-server"}[kind]
        there = root / f"etc/pve/nodes/pve2/{folder}/101.conf"
        there.parent.mkdir(parents=True)
        here = root / "etc/pve/nodes/pve1/lxc/101.conf"
        script.expect(command, out="migration finished\n", effect=lambda: here.rename(there))
        assert node.migrate(kind, 101, "pve2", timeout=60, **options).log == ("migration finished",)

    def test_one_that_cannot_go_is_told_in_the_words_of_pve(self, node: CliNode, script: Script):
        script.expect("pct migrate 101 pve9", rc=255, err="no such cluster node 'pve9'\n")
        with pytest.raises(PveError, match="no such cluster node 'pve9'"):
            node.migrate("lxc", 101, "pve9", running=False, timeout=60)

    def test_one_that_pve_leaves_where_it_is_has_not_gone(self, node: CliNode, script: Script):
        script.expect("pct migrate 101 pve2")
        with pytest.raises(Timeout, match="the guest is on node pve1"):
            node.migrate("lxc", 101, "pve2", running=False, timeout=60)


class TestInsideContainers:
    def test_exec_hands_back_what_the_command_did(self, node: CliNode, root: Path, script: Script):
        run_container(root)
        script.expect(["pct", "exec", "101", "--", "sh", "-c", "exit 7"], rc=7, out="out\n", err="err\n")
        assert node.containers.exec(101, ["sh", "-c", "exit 7"], stdin="in") == Completed(7, "out\n", "err\n")
        assert script.stdin == ["in"]

    def test_a_container_that_does_not_run(self, node: CliNode):
        for verb in (lambda: node.containers.exec(101, ["true"]), lambda: node.containers.push(101, "/a", "/b")):
            with pytest.raises(Conflict, match="not running"):
                verb()


class TestUpload:
    def test_the_file_gets_its_name_when_it_is_whole(self, node: CliNode, root: Path):
        write(root, "etc/pve/storage.cfg", f"dir: store\n\tpath {root}/store\n\tcontent vztmpl\n")
        write(root, "source", "x" * 1000)
        node.upload("store", "vztmpl", str(root / "source"), "a.tar.gz", timeout=5)
        folder = root / "store/template/cache"
        assert [path.name for path in folder.iterdir()] == ["a.tar.gz"]
        assert (folder / "a.tar.gz").read_text() == "x" * 1000
        assert stat.S_IMODE((folder / "a.tar.gz").stat().st_mode) == 0o644

    def test_a_failure_leaves_nothing(self, node: CliNode, root: Path):
        write(root, "etc/pve/storage.cfg", f"dir: store\n\tpath {root}/store\n\tcontent vztmpl\n")
        with pytest.raises(PveError, match="nothing-there"):
            node.upload("store", "vztmpl", str(root / "nothing-there"), "a.tar.gz", timeout=5)
        assert list((root / "store/template/cache").iterdir()) == []


def test_guard_and_journal_are_on_the_node(node: CliNode, root: Path):
    with node.lock("ip 10.0.0.5/24"):
        assert [path.name for path in (root / "run/lock/pve-provision").iterdir()] == ["ip%2010.0.0.5%2F24.lock"]
    node.journal[101] = {"name": "web1"}
    assert (root / "var/lib/pve-provision/journal/101.json").exists()
    assert not node.busy("lxc", 101)
