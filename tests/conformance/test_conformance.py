# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner itself, against a node that answers what the test tells it to."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from .__main__ import FOLDERS, below_floor, main, measure, raised, read_floor, shares, table
from .compare import Answer, Verdict, caller, judge, run_one
from .infer import infer
from .layout import lay_out
from .machine import on_root
from .normalise import Normaliser
from .sites import CONTENT, serve
from .transcript import Transcript, parse
from .world import Start, World, size_of

CONFIG = "arch: amd64\nhostname: a\nmemory: 128\nrootfs: local-dir2:101/vm-101-disk-0.raw,size=1G\nunprivileged: 1\n"
NAME = "etc/pve/lxc/101.conf"
UPID = "UPID:pve1:000060E1:0006552E:6B03B32E:qmcreate:160:root@pam:"
SET = parse(
    {
        "scenario": "pct-set-memory",
        "argv": ["pct", "set", "101", "--memory", "192"],
        "rc": 0,
        "stdout": "",
        "stderr": "",
        "files_before": {NAME: CONFIG},
        "files_after": {NAME: CONFIG.replace("128", "192")},
        "files_changed": [NAME],
        "files_removed": [],
    }
)


class Node:
    """A node that gives one answer and may write one file."""

    def __init__(self, rc: int = 0, stdout: str = "", stderr: str = "", config: str | None = None) -> None:
        self.answer, self.config = (rc, stdout, stderr), config

    def prepare(self, root: Path, release: str) -> None:
        self.root = root

    def settle(self, root: Path) -> None:
        pass

    def furnish(self, root: Path, start: Start) -> None:
        pass

    def command(self, root: Path, argv: list[str], stdin: str | None) -> tuple[int, str, str]:
        if self.config is not None:
            (root / NAME).write_text(self.config)
        return self.answer

    def interrupted(self, number: int, root: Path, argv: list[str], stdin: str | None) -> tuple[int, str, str]:
        return self.command(root, argv, stdin)

    def request(self, root: Path, http: dict[str, Any], auth: str) -> tuple[int, str, Any]:
        raise RuntimeError("no API here")


def run(node: Node, transcript: Transcript = SET) -> Verdict:
    return run_one(transcript, World([transcript]), node)


def test_the_right_answer_is_a_full_match() -> None:
    verdict = run(Node(config=CONFIG.replace("128", "192")))
    assert (verdict.rc_ok, verdict.full_ok, verdict.why) == (True, True, "")


@pytest.mark.parametrize(
    ("node", "rc_ok", "why"),
    [
        (Node(rc=2, config=CONFIG.replace("128", "192")), False, "exit code class: want 'zero', got 'not zero'"),
        (Node(stdout="hello\n", config=CONFIG.replace("128", "192")), True, "stdout: want '', got 'hello'"),
        (Node(stderr="oh\n", config=CONFIG.replace("128", "192")), True, "stderr: want '', got 'oh'"),
        (Node(config=CONFIG.replace("128", "193")), True, "101.conf: -memory: 192 | +memory: 193"),
        (Node(), True, "101.conf: -memory: 192 | +memory: 128"),
    ],
)
def test_a_wrong_answer_is_a_miss(node: Node, rc_ok: bool, why: str) -> None:
    verdict = run(node)
    assert (verdict.rc_ok, verdict.full_ok, verdict.why) == (rc_ok, False, why)


def test_a_broken_node_is_a_miss_and_not_the_end() -> None:
    asked = {"method": "GET", "path": "/api2/json/version", "params": None, "auth": "token"}
    request = parse({"scenario": "http-version", "http": asked, "status": 200, "reason": "OK", "body": {}})
    verdict = run(Node(), request)
    assert not verdict.rc_ok
    assert "no API here" in verdict.why


def test_the_start_holds_nothing_of_the_answer(tmp_path: Path) -> None:
    """The node gets the config before the run; what the run made of it is nowhere under the root."""
    lay_out(infer(SET, World([SET])), tmp_path)
    texts = "".join(path.read_text(errors="replace") for path in tmp_path.rglob("*.conf"))
    assert "memory: 128" in texts and "192" not in texts


def test_a_guest_that_the_run_makes_is_not_there_before() -> None:
    made = parse(
        {
            "scenario": "pct-create",
            "argv": ["pct", "create", "101", "local:vztmpl/a.tar.gz"],
            "rc": 0,
            "files_after": {NAME: CONFIG},
            "files_changed": [NAME],
        }
    )
    start = infer(made, World([made]))
    assert NAME not in start.files
    assert set(start.volumes) == {"local:vztmpl/a.tar.gz"}


def test_disks_exist_with_the_size_the_config_tells(tmp_path: Path) -> None:
    lay_out(infer(SET, World([SET])), tmp_path)
    assert (tmp_path / "var/lib/vz2/images/101/vm-101-disk-0.raw").stat().st_size == 1 << 30


@pytest.mark.parametrize(
    ("argv", "rc", "stderr", "running"),
    [
        (["pct", "start", "101"], 255, "CT 101 already running\n", True),
        (["pct", "start", "101"], 0, "", False),
        (["pct", "stop", "101"], 255, "CT 101 not running\n", False),
        (["pct", "stop", "101"], 0, "", True),
        (["pct", "exec", "101", "--", "false"], 1, "", True),
        (["pct", "destroy", "101"], 255, "unable to destroy CT 101 - container is running\n", True),
    ],
)
def test_whether_a_guest_ran_follows_from_what_the_run_found(
    argv: list[str], rc: int, stderr: str, running: bool
) -> None:
    transcript = parse({"scenario": "x", "argv": argv, "rc": rc, "stderr": stderr, "files_after": {NAME: CONFIG}})
    assert (101 in infer(transcript, World([transcript])).running) is running


def test_where_the_set_up_is_told_nothing_is_guessed_of_what_ran() -> None:
    def running(setup: list[str]) -> set[int]:
        files = {NAME: CONFIG, "etc/pve/storage.cfg": "dir: local\n\tpath /var/lib/vz\n"}
        transcript = parse({"scenario": "x", "argv": ["pct", "shutdown", "101"], "setup": setup, "files_after": files})
        return infer(transcript, World([transcript])).running

    assert (running(["pct start 101"]), running([])) == ({101}, set())


def test_a_disk_that_the_run_misses_is_not_laid_out() -> None:
    lost = {"scenario": "x", "argv": ["pct", "start", "101"], "rc": 255, "files_after": {NAME: CONFIG}}
    for said in (
        "volume 'local-dir2:101/vm-101-disk-0.raw' does not exist",
        "failed to stat '/var/lib/vz2/images/101/vm-101-disk-0.raw'",
    ):
        transcript = parse({**lost, "stderr": said})
        assert not infer(transcript, World([transcript])).volumes


def test_set_up_lines_make_files_and_take_them_away(tmp_path: Path) -> None:
    transcript = parse({
        "scenario": "x", "argv": ["qm", "create", "1", "--scsi0", "s:0,import-from=/root/a.raw"],
        "setup": ["truncate -s 1M /root/a.raw", "qemu-img create -f qcow2 /root/b.qcow2 64M",
                  "printf '#cloud-config\\n' > /root/c.yaml", "rm /root/b.qcow2", "qm agent 7 ping"],
    })  # fmt: skip
    start = infer(transcript, World([transcript]))
    lay_out(start, tmp_path)
    assert (start.host_files["/root/b.qcow2"], start.agents) == (64 << 20, {7})
    assert (tmp_path / "root/a.raw").stat().st_size == 1 << 20
    assert (tmp_path / "root/c.yaml").read_text() == "#cloud-config\n"
    assert not (tmp_path / "root/b.qcow2").exists()


def test_an_imported_image_is_as_large_as_the_disk_it_became() -> None:
    transcript = parse({
        "scenario": "x", "argv": ["qm", "create", "1", "--scsi0", "s:0,import-from=s:import/a.qcow2"],
        "files_after": {"etc/pve/qemu-server/1.conf": "scsi0: s:1/vm-1-disk-0.qcow2,size=64M\n"},
        "files_changed": ["etc/pve/qemu-server/1.conf"],
    })  # fmt: skip
    assert infer(transcript, World([transcript])).volumes == {"s:import/a.qcow2": 64 << 20}


def test_servers_that_were_asked_are_there_on_the_loopback_interface() -> None:
    def asked(url: str, said: str) -> Transcript:
        return parse({"scenario": "http-x", "status": 500, "reason": said, "body": None, "http": {
            "method": "POST", "path": "/x", "params": {"url": url}, "auth": "token"}})  # fmt: skip

    found, lost = asked("http://10.0.0.1:80/a.iso", "OK"), asked("http://10.0.0.1:80/b.iso", "404 File not found")
    assert infer(found, World([found])).sites == {"10.0.0.1:80": {"/a.iso"}}
    assert infer(lost, World([lost])).sites == {"10.0.0.1:80": set()}
    with serve({"10.0.0.1:80": {"/a.iso"}}) as places:
        with urlopen(f"http://{places['10.0.0.1:80']}/a.iso") as answer:
            assert (answer.headers["Content-Type"], answer.read()) == ("application/x-iso9660-image", CONTENT)
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"http://{places['10.0.0.1:80']}/b.iso")


def test_the_end_of_a_task_is_judged_where_it_was_noted() -> None:
    asked = parse(
        {
            "scenario": "http-x",
            "http": {"method": "POST", "path": "/x", "params": {}, "auth": "token"},
            "status": 200,
            "reason": "OK",
            "body": None,
            "note": "the task ended with: no such thing",
        }
    )
    good = Answer(status=200, reason="OK", body=None, task_end="no such\nthing")
    assert judge(asked, good).full_ok
    assert judge(asked, replace(good, task_end="OK")).why == "task: want 'no such thing', got 'OK'"


def test_paths_of_the_machine_move_under_the_root_and_those_of_the_guest_stay() -> None:
    root = Path("/r")
    assert on_root(("qm", "create", "1", "--scsi0", "s:0,import-from=/root/d.raw"), root)[4].endswith("=/r/root/d.raw")
    assert on_root(("pct", "set", "1", "--mp0", "/srv/data,mp=/srv/x"), root)[4] == "/r/srv/data,mp=/srv/x"
    assert on_root(("pct", "push", "1", "/root/a", "/root/b"), root)[3:] == ["/r/root/a", "/root/b"]
    assert on_root(("pct", "exec", "1", "--", "cat", "/root/a"), root)[-1] == "/root/a"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (UPID, UPID.replace("000060E1:0006552E:6B03B32E", "000060E2:00065531:6B03B999")),
        ("smbios1: uuid=4225598a-1ef3-4637-a70a-78c309c9c10e", "smbios1: uuid=00000000-1ef3-4637-a70a-78c309c9c10e"),
        ("net0: virtio=BC:24:11:00:00:01,bridge=vmbr0", "net0: virtio=BC:24:11:00:00:02,bridge=vmbr0"),
        ("meta: creation-qemu=10.0.13,ctime=1795403515", "meta: creation-qemu=10.0.13,ctime=1895403515"),
        ("transferred 0.0 B of 1.1 GiB (0.00%)\ndone", "done"),
        ('[{"a": 1}, {"a": 2}]', '[{"a": 2}, {"a": 1}]'),
        ('{"mem": 1, "name": "x"}', '{"name": "x", "mem": 99}'),
        ("\tcontent iso,backup", "\tcontent backup,iso"),
        (
            "INFO: starting new backup job: vzdump 1 --mode stop --all 1",
            "INFO: starting new backup job: vzdump 1 --all 1 --mode stop",
        ),
        ("a: property is missing\nb: property is missing\nc", "b: property is missing\na: property is missing\nc"),
        ("a: property is missing\nb: property is missing", "b: property is missing\na: property is missing"),
    ],
)
def test_volatile_parts_do_not_count(one: str, other: str) -> None:
    assert Normaliser().text(one) == Normaliser().text(other)


@pytest.mark.parametrize(
    ("one", "other", "known"),
    [
        (
            "net0: virtio=BC:24:11:00:00:01,bridge=vmbr0",
            "net0: virtio=BC:24:11:00:00:02,bridge=vmbr0",
            "BC:24:11:00:00:01",
        ),
        (
            "uuid=4225598a-1ef3-4637-a70a-78c309c9c10e",
            "uuid=00000000-1ef3-4637-a70a-78c309c9c10e",
            "4225598a-1ef3-4637-a70a-78c309c9c10e",
        ),
        ("net0: virtio=BC:24:11:00:00:01,bridge=vmbr0", "net0: virtio=BC:24:11:00:00:01,bridge=vmbr1", ""),
        ("net0: virtio=AA:24:11:00:00:01", "net0: virtio=AA:24:11:00:00:02", ""),
        (UPID, UPID.replace("qmcreate", "qmstart"), ""),
        ("scsi0: s:1/vm-1-disk-0.raw,size=1G", "scsi0: s:1/vm-1-disk-0.raw,size=2G", ""),
        ('{"memory": 1}', '{"memory": 2}', ""),
        ('{"mem": 1}', "{}", ""),
        ('{"maxdisk": 1, "status": "stopped"}', '{"maxdisk": 2, "status": "stopped"}', ""),
        ('{"cpu": "host"}', '{"cpu": "kvm64"}', ""),
        ("Formatting '/a', fmt=raw size=1 preallocation=off", "Formatting '/a', fmt=raw size=2 preallocation=off", ""),
    ],
)
def test_what_a_run_could_know_is_compared_to_the_letter(one: str, other: str, known: str) -> None:
    assert Normaliser(known).text(one) != Normaliser(known).text(other)


def test_the_root_prefix_is_the_only_difference_of_paths() -> None:
    assert Normaliser(root="/tmp/r").text("Formatting '/tmp/r/var/lib/vz/a'") == "Formatting '/var/lib/vz/a'"


def test_an_http_answer_is_judged_by_status_reason_and_body() -> None:
    asked = parse(
        {
            "scenario": "http-lxc-x",
            "http": {"method": "GET", "path": "/x", "params": None, "auth": "token"},
            "status": 500,
            "reason": "no",
            "body": {"data": None, "message": "no\n"},
        }
    )
    good = Answer(status=500, reason="no", body={"data": None, "message": "no\n"})
    assert judge(asked, good).full_ok
    assert not judge(asked, Answer(status=200, reason="no", body=good.body)).rc_ok
    assert judge(asked, Answer(status=500, reason="nope", body=good.body)).why == "reason: want 'no', got 'nope'"
    assert not judge(asked, Answer(status=500, reason="no", body={"data": None, "message": "else\n"})).full_ok


def test_callers() -> None:
    def http(auth: str | None, status: int, reason: str, path: str = "/api2/json/version") -> Transcript:
        return parse(
            {
                "scenario": "http-x",
                "status": status,
                "reason": reason,
                "body": {},
                "http": {"method": "GET", "path": path, "params": None, "auth": auth},
            }
        )

    assert caller(http("token", 200, "OK")) == "token"
    assert caller(http("u1@pve!t1", 403, "Permission check failed")) == "u1@pve!t1"
    assert caller(http("other", 401, "Authentication failed!")) == "wrong-token"
    assert caller(http("other", 401, "No ticket")) == "bearer"
    assert caller(http(None, 401, "No ticket")) == "nobody"
    assert caller(http(None, 401, "Permission denied - invalid csrf token")) == "ticket-no-csrf"
    assert caller(http(None, 403, "Permission check failed (/vms/101, VM.Audit)")) == "stranger"


def test_the_floor_only_rises() -> None:
    good = [Verdict("a", "pct set", True, True, "", "pct"), Verdict("b", "pct set", True, False, "x", "pct")]
    worse = [Verdict("a", "pct set", True, False, "y", "pct"), good[1]]
    assert shares(good) == {"pct": {"rc": 100.0, "full": 50.0}}
    assert below_floor(shares(worse), shares(good)) == ["pct: full 0.0% is below the floor of 50.0%"]
    assert raised(shares(worse), shares(good)) == shares(good)


def test_env_artifacts_are_run_but_not_counted() -> None:
    verdicts = [
        Verdict("a", "pct set", True, True, "", "pct"),
        Verdict("b", "pct set", False, False, "x", "pct", env_artifact=True),
    ]
    assert table(verdicts).splitlines()[-1].split() == ["TOTAL", "1", "1", "1"]
    assert set(verdicts[1].row()) == {"scenario", "command", "rc_ok", "full_ok", "why"}


def test_an_absent_folder_is_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--transcripts", str(tmp_path / "none")]) == 0
    assert re.search("nothing to compare with", capsys.readouterr().out)


def test_sizes() -> None:
    texts = ("a,size=1G", "a,size=3264M,x", "a,size=512", "a")
    assert [size_of(text) for text in texts] == [1 << 30, 3264 << 20, 512, None]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_embedded_node_is_no_less_true_than_it_was(folder: Path) -> None:
    from .driver import EmbeddedDriver

    if not folder.is_dir():
        pytest.skip("the transcripts are kept outside the repository")
    verdicts = measure(folder, EmbeddedDriver())
    lower = below_floor(shares(verdicts), read_floor().get(folder.name, {}))
    assert lower == [], json.dumps([v.row() for v in verdicts if not v.full_ok])
