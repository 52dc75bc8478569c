# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from scripted_requests import MISSING, UPID, Script, task

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    NotFound,
    PveError,
    TaskFailed,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.api.node import ApiNode


class TestWriting:
    def test_create_waits_for_its_task(self, node: ApiNode, script: Script):
        script.expect("POST", "/nodes/pve1/lxc", UPID)
        script.expect("GET", f"/nodes/pve1/tasks/{UPID}/status", {"status": "running"})
        task(script)
        options = {"ostemplate": "local:vztmpl/a.tar.gz", "password": "a b&c=$d", "ssh-public-keys": "ssh-rsa AAA+ me"}
        assert node.create("lxc", 101, options, timeout=5).upid == UPID
        assert script.bodies[0] == {"vmid": "101", **options}

    def test_set_is_one_request(self, node: ApiNode, script: Script):
        script.expect("PUT", "/nodes/pve1/lxc/101/config")
        node.set_config("lxc", 101, {"memory": "600", "description": ""}, ["swap", "tty"], "abc")
        assert script.bodies == [{"memory": "600", "description": "", "delete": "swap,tty", "digest": "abc"}]

    def test_a_vm_is_set_by_a_task_and_its_keys_are_encoded_twice(self, node: ApiNode, script: Script):
        script.expect("POST", "/nodes/pve1/qemu/200/config", UPID)
        task(script)
        node.set_config("qemu", 200, {"sshkeys": "ssh-rsa A+B me", "spice_enhancements": "foldersharing=1"})
        assert script.bodies[0] == {"sshkeys": "ssh-rsa%20A%2BB%20me", "spice_enhancements": "foldersharing=1"}

    def test_warnings_are_reported(self, node: ApiNode, script: Script):
        script.expect("POST", "/nodes/pve1/lxc", UPID)
        task(script, "WARNINGS: 1", ["WARN: enable nesting"])
        assert node.create("lxc", 101, {"ostemplate": "x"}, timeout=5).warnings == ("enable nesting",)

    def test_a_failed_task_is_reported_with_its_log(self, node: ApiNode, script: Script):
        script.expect("POST", "/nodes/pve1/lxc", UPID)
        task(script, "command 'tar' failed: exit code 2", ["tar: broken", "TASK ERROR: x"])
        with pytest.raises(TaskFailed, match="tar: broken"):
            node.create("lxc", 101, {"ostemplate": "x"}, timeout=5)

    def test_the_power_switch(self, node: ApiNode, script: Script):
        for verb in ("start", "stop", "shutdown"):
            script.expect("POST", f"/nodes/pve1/lxc/101/status/{verb}", UPID)
            task(script)
        node.start("lxc", 101, timeout=5)
        node.stop("lxc", 101, timeout=5)
        node.shutdown("lxc", 101, timeout=9, force=True)
        assert script.bodies[4] == {"timeout": "9", "forceStop": "1"}

    @pytest.mark.parametrize(
        ("verb", "words", "status"),
        [("start", "CT 101 already running", "running"), ("stop", "CT 101 not running", "stopped")],
    )
    def test_a_state_it_has_already_is_no_error(
        self, node: ApiNode, script: Script, verb: t.Any, words: str, status: int
    ):
        script.expect("POST", f"/nodes/pve1/lxc/101/status/{verb}", status=500, message=words)
        script.expect("GET", "/nodes/pve1/lxc/101/status/current", {"status": status})
        getattr(node, verb)("lxc", 101, timeout=5)

    def test_stopping_what_is_not_there_is_one(self, node: ApiNode, script: Script):
        script.expect("POST", "/nodes/pve1/lxc/101/status/stop", status=500, message="CT 101 not running")
        script.expect("GET", "/nodes/pve1/lxc/101/status/current", status=500, message=MISSING)
        with pytest.raises(NotFound):
            node.stop("lxc", 101, timeout=5)

    def size(self, script: Script, size: str):
        value = f"local:101/vm-101-disk-0.raw,size={size}"
        script.expect("GET", "/nodes/pve1/lxc/101/pending", [{"key": "rootfs", "value": value}])

    @pytest.mark.parametrize(
        ("after", "log", "error"),
        [
            ("4G", ["Image resized."], None),
            ("3G", ["something went wrong"], "something went wrong"),
            ("4G", ["Failed to update the container's filesystem: command 'e2fsck' failed: exit code 8"], "e2fsck"),
        ],
    )
    def test_a_resize_is_verified(
        self, node: ApiNode, script: Script, after: str, log: list[str] | None, error: str | None
    ):
        self.size(script, "3G")
        script.expect("PUT", "/nodes/pve1/lxc/101/resize", UPID)
        task(script)
        script.expect("GET", f"/nodes/pve1/tasks/{UPID}/log?limit=5000", [{"n": 1, "t": line} for line in log])
        self.size(script, after)
        if error:
            with pytest.raises(PveError, match=error):
                node.resize("lxc", 101, "rootfs", "4G", timeout=5)
        else:
            node.resize("lxc", 101, "rootfs", "4G", timeout=5)

    def test_a_resize_to_the_size_it_has_asks_only(self, node: ApiNode, script: Script):
        self.size(script, "3G")
        node.resize("lxc", 101, "rootfs", "3072M", timeout=5)

    def test_the_rest(self, node: ApiNode, script: Script):
        script.expect("POST", "/nodes/pve1/lxc/100/clone", UPID)
        task(script)
        script.expect("DELETE", "/nodes/pve1/lxc/101?purge=1", UPID)
        task(script)
        script.expect("PUT", "/pools")
        script.expect("DELETE", "/nodes/pve1/storage/local/content/local:101%2Fvm-101-disk-0.raw", UPID)
        task(script)
        script.expect("POST", "/nodes/pve1/storage/local/download-url", UPID)
        task(script)
        node.clone("lxc", 100, 101, {"full": "1"}, timeout=5)
        node.destroy("lxc", 101, purge=True, timeout=5)
        node.join_pool(101, "web")
        node.free("local:101/vm-101-disk-0.raw")
        node.download_url("local", "iso", "a.iso", "http://x/a.iso", checksum=("sha256", "ab"), timeout=5)
        assert script.bodies[0] == {"newid": "101", "full": "1"}
        assert script.bodies[4] == {"poolid": "web", "vms": "101", "allow-move": "1"}
        assert script.bodies[7] == {
            "content": "iso",
            "filename": "a.iso",
            "url": "http://x/a.iso",
            "checksum": "ab",
            "checksum-algorithm": "sha256",
        }

    def test_an_upload_is_one_form(self, node: ApiNode, script: Script, tmp_path: Path):
        (tmp_path / "a").write_bytes(b"x" * 100)
        script.expect("POST", "/nodes/pve1/storage/local/upload", UPID)
        task(script)
        node.upload("local", "vztmpl", str(tmp_path / "a"), "a.tar.gz", timeout=5)
        assert b'name="content"\r\n\r\nvztmpl\r\n' in script.bodies[0]
        assert b'name="filename"; filename="a.tar.gz"' in script.bodies[0]
        assert int(script.headers[0]["Content-Length"]) == len(script.bodies[0])
        assert script.headers[0]["Authorization"].startswith("PVEAPIToken=")

    def test_a_file_that_is_not_there(self, node: ApiNode, tmp_path: Path):
        with pytest.raises(PveError, match="No such file"):
            node.upload("local", "vztmpl", str(tmp_path / "a"), "a.tar.gz", timeout=5)
