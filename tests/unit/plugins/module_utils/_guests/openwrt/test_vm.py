# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of an OpenWrt VM that need no node: its files, its console, the way in, the image that is uploaded."""

from __future__ import annotations

import socket
import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._access.shell import NO_ANSWER, ssh
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.console import Console
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.first_boot import (
    RC_LOCAL,
    first_files,
    with_packages,
)
from ansible_collections.pve.provision.plugins.module_utils._model.compare import compare
from ansible_collections.pve.provision.plugins.module_utils._model.declare import declare
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.disks import is_volume
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.options import OPTIONS
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.read import parse

INSTALLER = """\
(
    tries=0
    until {update} && {install} tcpdump qemu-ga; do
        tries=$((tries + 1))
        [ "$tries" -lt 200 ] || exit 1
        sleep 3
    done
    cat > /etc/rc.local <<'PVE_PROVISION_END'
# Put your custom commands here that should be executed once
# the system init finished. By default this file does nothing.

exit 0
PVE_PROVISION_END
) > /dev/null 2>&1 &
exit 0
"""


# -- the files of the first boot ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "update", "install"),
    [
        ("23.05.5", "opkg update", "opkg install"),
        ("24.10.4", "opkg update", "opkg install"),
        ("25.12.0", "apk update", "apk add"),
        ("snapshot", "apk update", "apk add"),
    ],
)
def test_packages_are_installed_by_the_package_manager_of_the_release(version: str, update: str, install: str) -> None:
    router = parse({"interfaces": {"lan": {"bridge": "vmbr0"}}, "packages": ["tcpdump", "qemu-ga"]})
    mode, content = first_files(router, version)[RC_LOCAL]
    assert (mode, content.decode()) == (0o644, INSTALLER.format(update=update, install=install))
    subprocess.run(["sh", "-n"], input=content, check=True)


def test_without_packages_nothing_runs_at_boot() -> None:
    assert RC_LOCAL not in first_files(parse({"interfaces": {"lan": {"bridge": "vmbr0"}}}), "24.10.4")


def test_commands_of_the_users_own_run_at_that_boot_too_and_stay() -> None:
    """So does what a router that still installs its packages is to leave behind."""
    own = b"logger hello\n"
    made = with_packages({RC_LOCAL: (0o600, own)}, "24.10.4", [], ["nano", "mc"])
    mode, content = made[RC_LOCAL]
    assert mode == 0o600
    assert content.decode().endswith(f") > /dev/null 2>&1 &\n{own.decode()}")
    assert "until opkg update; do" in content.decode()
    assert [line.strip() for line in content.decode().splitlines() if "opkg install" in line] == [
        "opkg install nano",
        "opkg install mc",
    ]
    subprocess.run(["sh", "-n"], input=content, check=True)
    assert with_packages(made, "24.10.4", [], ["nano", "mc"]) == made
    assert with_packages({RC_LOCAL: (0o600, own)}, "24.10.4", []) == {RC_LOCAL: (0o600, own)}


# -- the console -------------------------------------------------------------------------------------------------------


@pytest.fixture
def vm(tmp_path: Path) -> t.Iterator[t.Callable[[], socket.socket]]:
    """QEMU's end of a serial console."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "serial0"))
    server.listen(1)
    ends = []

    def accept() -> socket.socket:
        ends.append(server.accept()[0])
        return ends[-1]

    yield accept
    for end in (server, *ends):
        end.close()


@pytest.mark.parametrize(
    ("before", "rest", "last"),
    [
        (b"[    4.2] procd: - ubus -\r\n[    4.3] procd: - in", b"it -\r\n", "[    4.3] procd: - init -"),
        (b"Please press En", b"ter to activate this console.\r\n", "Please press Enter to activate this console."),
    ],
)
def test_a_console_tells_that_openwrt_is_up(vm: t.Any, tmp_path: Path, before: bytes, rest: bytes, last: str) -> None:
    console = Console(tmp_path / "serial0")
    said = vm()
    assert console.open
    assert not console.listen()
    said.sendall(b"init: - preinit -\r\n" + before)
    assert not console.listen()
    said.sendall(rest)
    assert console.listen()
    assert console.last_line == last
    console.close()


def test_a_console_that_hangs_up_is_no_error(vm: t.Any, tmp_path: Path) -> None:
    console = Console(tmp_path / "serial0")
    end = vm()
    end.sendall(b"Kernel panic - not syncing: VFS: Unable to mount root fs\n")
    end.close()
    assert not console.listen()
    assert console.last_line.startswith("Kernel panic")
    console.close()


@pytest.mark.parametrize("path", [None, Path("/nonexistent/100.serial0")])
def test_where_there_is_no_console_nothing_is_heard(path: Path | None) -> None:
    console = Console(path)
    assert (console.open, console.listen(), console.heard) == (False, False, b"")
    console.close()


# -- the way in --------------------------------------------------------------------------------------------------------

SSH = """\
#!/bin/sh
echo "$@"
cat
echo trouble >&2
exit 3
"""


def test_a_script_goes_in_on_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ssh").write_text(SSH, encoding="utf-8")
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    hosts = tmp_path / "known_hosts/pve1-100"
    done = ssh("192.168.20.1", "/root/.ssh/id", hosts)("echo secret\n", timeout=60)
    argv, script = done.stdout.splitlines()
    assert (done.rc, script, done.stderr) == (3, "echo secret", "trouble\n")
    assert argv.startswith("-i /root/.ssh/id -o BatchMode=yes ")
    assert f"-o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={hosts}" in argv
    assert argv.endswith(" root@192.168.20.1 sh -s")
    assert hosts.parent.stat().st_mode & 0o777 == 0o700


def test_without_the_program_or_in_time_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ssh("192.168.20.1", "key", tmp_path / "k/h")("true\n", timeout=60).rc == NO_ANSWER
    (tmp_path / "ssh").write_text("#!/bin/sh\nexec /bin/sleep 30\n", encoding="utf-8")
    (tmp_path / "ssh").chmod(0o755)
    late = ssh("192.168.20.1", "key", tmp_path / "k/h")("true\n", timeout=1)
    assert late.rc == NO_ANSWER
    assert "timed out" in late.stderr


# -- the model ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "actual", "change"),
    [
        ("i440fx", {}, {}),
        ("i440fx", {"machine": "pc"}, {}),
        ("pc", {}, {}),
        ("q35", {"machine": "q35"}, {}),
        ("q35", {}, {"machine": "q35"}),
        ("i440fx", {"machine": "q35"}, {"machine": "pc"}),
        ("q35", {"machine": "pc-q35-9.2+pve1"}, {}),
        ("i440fx", {"machine": "pc-i440fx-9.2+pve1,viommu=virtio"}, {}),
        ("i440fx", {"machine": "pc-q35-9.2+pve1"}, {"machine": "pc"}),
        ("pc-q35-10.0", {"machine": "pc-q35-9.2"}, {"machine": "pc-q35-10.0"}),
    ],
)
def test_machines_are_told_to_pve_in_its_own_words(declared: str, actual: dict[str, str], change: object) -> None:
    declaration, findings = declare(OPTIONS, {"machine": {"type": declared}})
    assert findings == []
    assert compare(OPTIONS, actual, declaration).set == change


@pytest.mark.parametrize(
    ("key", "expected"),
    [("scsi0", True), ("efidisk0", True), ("tpmstate0", True), ("unused3", True), ("scsihw", False), ("net0", False)],
)
def test_volumes_are_known_by_their_keys(key: str, expected: bool) -> None:
    assert is_volume(key) is expected
