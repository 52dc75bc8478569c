# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that come to a storage and go, the tasks that bring them, and how the tasks are listed."""

from __future__ import annotations

import hashlib
import threading
import typing as t
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from embedded_node.api import http, routes
from embedded_node.api.session import Session
from embedded_node.errors import ApiError

Machine = t.Any  # see conftest.py
CONTENT = b"0123456789abcdef" * 4096
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Site(BaseHTTPRequestHandler):
    """A server with one file."""

    def do_GET(self) -> None:
        if self.path != "/a.iso":
            self.send_error(404, "File not found")
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/x-iso9660-image")
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(CONTENT)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def site() -> Iterator[str]:
    """The address of a server on the loopback interface."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def call(machine: Machine, method: str, path: str, **params: t.Any) -> t.Any:
    named = {name.replace("_", "-"): value for name, value in params.items()}
    return routes.call(Session(machine.state), method, f"/nodes/pve1{path}", named)


def ended(machine: Machine, upid: str) -> str:
    return str(call(machine, "GET", f"/tasks/{upid}/status")["exitstatus"])


def log(machine: Machine, upid: str) -> list[str]:
    return [row["t"] for row in call(machine, "GET", f"/tasks/{upid}/log")]


def test_a_download_reports_what_wget_tells(machine: Machine, site: str) -> None:
    given = {"content": "iso", "filename": "b.iso", "url": f"{site}/a.iso", "checksum_algorithm": "sha256"}
    upid = call(machine, "POST", "/storage/local/download-url", **given, checksum=DIGEST.upper())
    target = machine.root / "var/lib/vz/template/iso/b.iso"
    assert (ended(machine, upid), target.read_bytes()) == ("OK", CONTENT)
    told = log(machine, upid)
    assert told[2:5] == [f"Connecting to {site.removeprefix('http://')}... connected.",
                         "HTTP request sent, awaiting response... 200 OK",
                         "Length: 65536 (64K) [application/x-iso9660-image]"]  # fmt: skip
    assert told[-3:-1] == ["calculating checksum...OK, checksum verified",
                           f"download of '{site}/a.iso' to '{target}' finished"]  # fmt: skip
    again = call(machine, "POST", "/storage/local/download-url", **given, checksum=DIGEST)
    assert log(machine, again)[1].endswith("OK, got correct file already, no need to download")


@pytest.mark.parametrize(("more", "end"), [
    ({"url": "/none.iso"}, "download failed: exit code 8"),
    ({"checksum": "0" * 64, "checksum_algorithm": "sha256"},
     f"checksum mismatch: got '{DIGEST}' != expect '{'0' * 64}'"),
    ({"content": "import", "filename": "b.qcow2"}, "Image is not in qcow2 format"),
])  # fmt: skip
def test_a_download_that_fails_leaves_nothing(machine: Machine, site: str, more: dict[str, str], end: str) -> None:
    machine.state.write("etc/pve/storage.cfg", "dir: local\n\tpath /var/lib/vz\n\tcontent iso,import\n")
    given = {"content": "iso", "filename": "b.iso", "url": "/a.iso", **more}
    upid = call(machine, "POST", "/storage/local/download-url", **{**given, "url": site + given["url"]})
    assert ended(machine, upid).endswith(end)
    assert [path for path in (machine.root / "var/lib/vz").rglob("b.*") if path.is_file()] == []


@pytest.mark.parametrize(("content", "name", "why"), [
    ("iso", "b.txt", "wrong file extension"), ("vztmpl", "b.iso", "wrong file extension"),
    ("import", "b.iso", "invalid filename or wrong extension"),
])  # fmt: skip
def test_names_fit_their_content(machine: Machine, content: str, name: str, why: str) -> None:
    machine.state.write("etc/pve/storage.cfg", "dir: local\n\tpath /var/lib/vz\n\tcontent iso,import,vztmpl\n")
    given = {"content": content, "filename": name, "url": "http://192.0.2.1/x"}
    with pytest.raises(ApiError) as caught:
        call(machine, "POST", "/storage/local/download-url", **given)
    assert caught.value.errors == {"filename": why}


def test_what_a_server_tells_of_a_file(machine: Machine, site: str) -> None:
    found = call(machine, "GET", "/query-url-metadata", url=f"{site}/a.iso")
    assert found == {"filename": "a.iso", "size": 65536, "mimetype": "application/x-iso9660-image"}
    with pytest.raises(ApiError, match="invalid server response: '404 File not found'"):
        call(machine, "GET", "/query-url-metadata", url=f"{site}/none.iso")


def received(machine: Machine) -> str:
    path = machine.root / "var/tmp/pveupload-0123456789abcdef0123456789abcdef"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CONTENT)
    return "/var/tmp/" + path.name


def test_an_upload_is_checked_before_it_takes_its_place(machine: Machine) -> None:
    given = {"content": "iso", "filename": "up.iso", "tmpfilename": received(machine)}
    good = call(machine, "POST", "/storage/local/upload", **given)
    target = machine.root / "var/lib/vz/template/iso/up.iso"
    assert target.read_bytes() == CONTENT
    assert log(machine, good)[-4:-2] == ["file size is: 65536", log(machine, good)[-3]]
    bad = call(machine, "POST", "/storage/local/upload", content="iso", filename="no.iso", checksum="1" * 64,
               checksum_algorithm="sha256", tmpfilename=received(machine))  # fmt: skip
    assert ended(machine, bad) == f"checksum mismatch: got '{DIGEST}' != expect '{'1' * 64}'"
    assert not target.with_name("no.iso").exists()


# -- exports and imports -----------------------------------------------------------------------------------------------


def test_what_is_exported_can_be_imported(machine: Machine) -> None:
    machine.ok("pvesm alloc disks 101 vm-101-disk-0.raw 64M")
    (machine.root / "var/lib/disks/images/101/vm-101-disk-0.raw").write_bytes(CONTENT)
    stream = machine.root / "stream"
    code, _out, err = machine(f"pvesm export disks:101/vm-101-disk-0.raw raw+size {stream}")
    assert (code, err.splitlines()[0]) == (0, "16+0 records in")
    code, out, err = machine(f"pvesm import disks:101/vm-101-disk-5.raw raw+size {stream}")
    assert (code, out.splitlines()[-1]) == (0, "successfully imported 'disks:101/vm-101-disk-5.raw'")
    assert (machine.root / "var/lib/disks/images/101/vm-101-disk-5.raw").read_bytes() == CONTENT
    assert machine(f"pvesm import disks:101/vm-101-disk-5.raw raw+size {stream}")[2].endswith("already exists\n")
    code, out, _err = machine(f"pvesm import disks:101/vm-101-disk-5.raw raw+size {stream} --allow-rename 1")
    assert (code, out.splitlines()[-1]) == (0, "successfully imported 'disks:101/vm-101-disk-1.raw'")


@pytest.mark.parametrize(("volume", "form", "why"), [
    ("disks:101/vm-101-disk-0.raw", "zfs", "volume import format 'zfs' not available for PVE::Storage::DirPlugin"),
    ("disks:101/vm-101-disk-0.raw", "qcow2+size", "format qcow2+size cannot be imported without snapshots"),
    ("disks:101/vm-101-disk-0.qcow2", "raw+size", "cannot import format raw+size into a file of format qcow2"),
])  # fmt: skip
def test_imports_that_cannot_be(machine: Machine, volume: str, form: str, why: str) -> None:
    (machine.root / "stream").write_bytes(bytes(16))
    assert machine(f"pvesm import {volume} {form} {machine.root / 'stream'}") == (255, "", f"{why}\n")


# -- backups -----------------------------------------------------------------------------------------------------------


def test_a_backup_has_notes_and_a_protected_one_stays(machine: Machine) -> None:
    machine.create(101, "--hostname web")
    line = "vzdump 101 --storage local --compress zstd --notes-template {{guestname}}-{{vmid}} --protected 1"
    assert "INFO: adding notes to backup\nINFO: marking backup as protected\n" in machine.ok(line)
    row = call(machine, "GET", "/storage/local/content", content="backup")[0]
    assert (row["notes"], row["protected"], row["subtype"]) == ("web-101", 1, "lxc")
    machine(f"pvesm free {row['volid']}")
    assert call(machine, "GET", "/storage/local/content", content="backup"), "it is protected"
    call(machine, "PUT", f"/storage/local/content/{row['volid']}", protected=0)
    machine.ok(f"pvesm free {row['volid']}")
    assert list((machine.root / "var/lib/vz/dump").iterdir()) == []


@pytest.mark.parametrize(("line", "why"), [
    ("--storage local", "vmid: property is missing"),
    ("101 --all 1", "all: option conflicts with option 'vmid'"),
    ("101 --storage local --notes-template {{nosuch}}\\x",
     "notes-template: found unknown: escape sequence '\\x' at char 10, variable 'nosuch' at char 4"),
])  # fmt: skip
def test_backups_that_make_no_sense_are_no_task(machine: Machine, line: str, why: str) -> None:
    code, _out, err = machine(f"vzdump {line}")
    assert (code, err.splitlines()[1]) == (255, why)


def test_a_backup_to_a_missing_storage_is_a_task_that_fails(machine: Machine) -> None:
    machine.create(101)
    missing = "storage 'nosuch' does not exist"
    assert ended(machine, call(machine, "POST", "/vzdump", vmid="101", storage="nosuch")) == (
        f"could not activate storage 'nosuch': {missing} could not get storage information for 'nosuch': {missing}"
    )


# -- tasks -------------------------------------------------------------------------------------------------------------


def test_tasks_are_listed_newest_first_and_their_total_is_reported(machine: Machine) -> None:
    machine.create(101)
    machine.ok("pct destroy 101")
    machine("pct create 101 local:vztmpl/none_1_amd64.tar.gz --ostype unmanaged --rootfs disks:1")

    def kinds(**params: t.Any) -> list[str]:
        return [row["type"] for row in call(machine, "GET", "/tasks", vmid=101, **params)]

    assert kinds() == ["vzcreate", "vzdestroy", "vzcreate"]
    assert (kinds(errors=1), kinds(typefilter="vzdestroy"), kinds(start=1, limit=1)) == (
        ["vzcreate"], ["vzdestroy"], ["vzdestroy"],
    )  # fmt: skip
    assert (kinds(statusfilter="ok,warning"), kinds(userfilter="nobody")) == (["vzdestroy", "vzcreate"], [])
    assert http.success(call(machine, "GET", "/tasks", vmid=101, limit=1)).body["total"] == 3
    with pytest.raises(ApiError) as caught:
        kinds(statusfilter="nosuch")
    assert caught.value.errors == {"statusfilter": "invalid format - invalid status 'nosuch'\n"}


def test_a_task_that_never_was_is_a_wrong_parameter_and_its_log_says_so(machine: Machine) -> None:
    upid = "UPID:pve1:0000FFFF:000FFFFF:6B000000:vzstart:399:root@pam:"
    for method, path in (("GET", f"/tasks/{upid}/status"), ("DELETE", f"/tasks/{upid}")):
        with pytest.raises(ApiError) as caught:
            call(machine, method, path)
        assert (caught.value.status, caught.value.errors) == (400, {"upid": "no such task"})
    assert log(machine, upid) == ["unable to open file - No such file or directory"]


def test_a_disk_that_this_machine_cannot_hold_is_an_error_of_its_own(machine: Machine) -> None:
    code, _out, err = machine("pvesm alloc disks 101 vm-101-disk-0.raw 9000000000G")
    assert (code, "unable to create image: " in err, "Traceback" in err) == (255, True, False)
