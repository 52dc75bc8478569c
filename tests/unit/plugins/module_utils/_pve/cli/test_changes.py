# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import typing as t
from pathlib import Path

import pytest
from scripted_commands import Script, run_container

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Conflict,
    InvalidInput,
    PveError,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.node import CliNode


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

    def test_a_config_that_cannot_be_replaced_leaves_no_other_file(
        self, node: CliNode, root: Path, monkeypatch: pytest.MonkeyPatch
    ):
        config = root / "etc/pve/nodes/pve1/lxc/101.conf"
        config.write_text("hostname: web1\n")

        def refuse(self: Path, _target: Path) -> None:
            raise PermissionError(13, "Permission denied", str(self))

        monkeypatch.setattr(Path, "replace", refuse)
        with pytest.raises(PveError, match="The config of CT 101 cannot be written") as caught:
            node.set_config("lxc", 101, {"env": "A=1"})
        assert "quorum" in caught.value.remedy
        assert list(config.parent.iterdir()) == [config]

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
