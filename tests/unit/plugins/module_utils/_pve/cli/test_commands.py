# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import json
import typing as t
from pathlib import Path

import pytest
from fake_clock import FakeClock
from scripted_commands import CONTAINER, LOCKED, Script, run_container, write

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Conflict,
    PveError,
    TaskFailed,
    Timeout,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.node import CliNode
from ansible_collections.pve.provision.plugins.module_utils._pve.types import (
    Outcome,
)


class TestFailing:
    def test_any_exit_code_but_zero_is_a_failure_and_pve_is_quoted(self, node: CliNode, script: Script):
        for code in (1, 2, 4, 22, 25, 39, 255):
            script.expect("pct set 101 --memory 1", rc=code, err="400 bad\n\npct set <vmid> [OPTIONS]\n")
            with pytest.raises(PveError) as caught:
                node.set_config("lxc", 101, {"memory": "1"})
            assert caught.value.message == "pct set 101: 400 bad"
            assert caught.value.details["rc"] == code

    def test_what_a_command_answers_is_not_quoted(self, node: CliNode, script: Script):
        """It may be a password, or what is in a file of a guest."""
        half = '{"exitcode": 0, "out-data": "geheim'
        for rc, out in ((1, "password: geheim\n"), (1, half)):
            script.expect("qm cloudinit dump 301 user", rc=rc, out=out, err="it failed: exit code 1\n")
            with pytest.raises(PveError, match="it failed") as caught:
                node.cloud_init.dump(301, "user")
            assert "geheim" not in f"{caught.value} {caught.value.details}"
        script.expect(
            ["qm", "guest", "exec", "301", "--timeout", "60", "--pass-stdin", "1", "--", "cat", "x"], out=half
        )
        with pytest.raises(PveError, match="something else than JSON") as caught:
            node.agent.run(301, ["cat", "x"])
        assert "geheim" not in f"{caught.value} {caught.value.details}"

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

    def test_the_lock_is_reported_where_the_last_try_had_no_time_left(self, node: CliNode, script: Script):
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
    def test_other_conflicts_are_reported_at_once(self, node: CliNode, script: Script, words: t.Any):
        script.expect("pct set 101 --memory 1", rc=255, err=words + "\n")
        with pytest.raises(Conflict, match="pct set 101"):
            node.set_config("lxc", 101, {"memory": "1"})

    def test_a_timeout_of_the_command_is_reported(self, root: Path):
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
        script.expect("pct exec 101 --keep-env 0 -- sha256sum /no/b", rc=0 if told else 1, out=told)
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
