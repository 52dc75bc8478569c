# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change that nobody confirms takes itself back; run by a real shell, in a folder that stands for the guest.

The shell is busybox's where there is one (PVE_TEST_ASH names it), as in the guest; ``uci`` is the real one where
PVE_TEST_UCI names it, else a few lines that do what it does, over our own parser.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._openwrt import commit_confirm
from ansible_collections.pve.provision.plugins.module_utils._openwrt.commit_confirm import (
    apply_script,
    confirm_script,
    revert_script,
)
from ansible_collections.pve.provision.plugins.module_utils._openwrt.live import UciChange
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.changes import diff_config
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.merge import overlay
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.text import parse_config, render

ASH = os.environ.get("PVE_TEST_ASH") or shutil.which("busybox")
SHELL = [ASH, "ash", "-s"] if ASH else ["/bin/sh", "-s"]

# uci with -t: a batch is kept in the folder given, a commit brings it to the package's file; a batch always exits 0.
FAKE_UCI = """
import pathlib, re, shlex, sys
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.changes import Op, apply
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.text import parse_config, render
config, delta, verb = pathlib.Path({config!r}), pathlib.Path(sys.argv[2]), sys.argv[3]
for line in sys.stdin if verb == "batch" else ():
    words = shlex.split(line)
    if not words:
        continue
    target, _, value = words[1].partition("=")
    name, section, option = (target.split(".") + ["", ""])[:3]
    if words[0] == "add":
        value = words[2]
    try:
        kept = delta / name if (delta / name).exists() else config / name
        package = apply([Op(words[0], name, section, section, option, value)], parse_config(kept.read_text(), name))
        (delta / name).write_text(render(package))
    except Exception as error:
        print("uci: Entry not found", file=sys.stderr)
if verb == "commit" and (delta / sys.argv[4]).exists():
    (config / sys.argv[4]).write_text((delta / sys.argv[4]).read_text())
"""
INIT = """#!/bin/sh
[ "$1" != enabled ] || exit {enabled}
echo "{name} $1 $(grep -c 10.9.9.9 {config}/network)" >> {log}
"""


class Guest:
    """A folder with ``/etc/config``, init scripts that note what they are told, and a ``uci`` for it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "etc/config"
        self.log = root / "log"
        for folder in ("etc/config", "etc/init.d", "etc/uci-defaults", "bin"):
            (root / folder).mkdir(parents=True)
        self.log.touch()
        (self.config / "network").write_text("\nconfig interface 'lan'\n\toption ipaddr '10.0.0.1'\n\n")
        (self.config / "dhcp").write_text("\nconfig dhcp 'lan'\n\n")
        (self.config / "network").chmod(0o640)
        for name, enabled in (("network", 0), ("dnsmasq", 0), ("odhcpd", 1)):
            text = INIT.format(name=name, enabled=enabled, config=self.config, log=self.log)
            self._program(root / "etc/init.d" / name, text)
        real = os.environ.get("PVE_TEST_UCI")
        text = f'#!/bin/sh\nexec {real} -c {self.config} "$@"\n'
        if not real:
            (root / "uci.py").write_text(FAKE_UCI.format(config=str(self.config)))
            text = f'#!/bin/sh\nexec {sys.executable} {root / "uci.py"} "$@"\n'
        self._program(root / "bin/uci", text)
        self._program(root / "bin/logger", "#!/bin/sh\n")

    def _program(self, path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        paths = [path for path in sys.path if (Path(path) / "ansible_collections").is_dir()]
        env = {"PATH": f"{self.root / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": ":".join(paths)}
        return subprocess.run(SHELL, input=script, capture_output=True, text=True, env=env, timeout=30, check=False)

    def change(self, declared: dict[str, t.Any]) -> UciChange:
        old = {path.name: parse_config(path.read_text(), path.name) for path in self.config.iterdir()}
        ops = tuple(diff_config(old, overlay(old, declared)))
        return UciChange(ops, tuple(sorted({op.package for op in ops} - {*old})))

    def apply(self, declared: dict[str, t.Any], confirm_timeout: int | None) -> subprocess.CompletedProcess[str]:
        return self.run(apply_script(self.change(declared), confirm_timeout, str(self.root)))

    @property
    def address(self) -> str:
        lan = parse_config((self.config / "network").read_text(), "network").find("lan")
        return lan.get("ipaddr") if lan else ""

    @property
    def reloads(self) -> list[str]:
        return self.log.read_text().splitlines()

    @property
    def clean(self) -> bool:
        """Whether nothing of a change is left lying about."""
        left = [*(self.root / "etc").glob("pve-provision*"), *(self.root / "etc/uci-defaults").iterdir()]
        return not left and not [path for path in self.config.iterdir() if path.name.startswith(".")]

    def wait_until(self, test: t.Callable[[], bool]) -> None:
        end = time.monotonic() + 15
        while not test():
            assert time.monotonic() < end, "it did not come about"
            time.sleep(0.05)


WRONG = {"network": {"lan": {"ipaddr": "10.9.9.9"}}}


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Guest:
    # netifd acts within two seconds of a reload; here nothing has to settle.
    monkeypatch.setattr(commit_confirm, "_SETTLE", 0)
    return Guest(tmp_path)


def test_a_confirmed_change_stands(guest: Guest) -> None:
    done = guest.apply(WRONG, 3)
    assert (done.returncode, done.stderr) == (0, "")
    assert (guest.address, guest.reloads) == ("10.9.9.9", ["network reload 1"])
    assert guest.run(confirm_script(str(guest.root))).returncode == 0
    assert guest.clean
    time.sleep(3)
    assert (guest.address, guest.reloads) == ("10.9.9.9", ["network reload 1"])


def test_a_wrong_lan_address_comes_back_by_itself(guest: Guest) -> None:
    before = (guest.config / "network").read_bytes()
    assert guest.apply(WRONG, 2).returncode == 0
    assert guest.address == "10.9.9.9"
    guest.wait_until(lambda: guest.clean)
    assert (guest.config / "network").read_bytes() == before
    assert (guest.config / "network").stat().st_mode & 0o777 == 0o640
    assert guest.reloads == ["network reload 1", "network reload 0"], "reloaded with what had been"
    late = guest.run(confirm_script(str(guest.root)))
    assert (late.returncode, "nothing waits" in late.stderr) == (commit_confirm.EXIT_NOTHING, True)


def test_a_change_can_be_taken_back_at_once(guest: Guest) -> None:
    assert guest.apply(WRONG, 60).returncode == 0
    assert guest.run(revert_script(str(guest.root))).returncode == 0
    assert (guest.address, guest.clean) == ("10.0.0.1", True)
    assert guest.run(revert_script(str(guest.root))).returncode == commit_confirm.EXIT_NOTHING


def test_a_reboot_within_the_time_puts_the_files_back(guest: Guest) -> None:
    assert guest.apply(WRONG, 60).returncode == 0
    hooks = list((guest.root / "etc/uci-defaults").iterdir())
    assert len(hooks) == 1
    # The boot sources what is in uci-defaults, and removes what ends well.
    booted = guest.run(f"( . {shlex.quote(str(hooks[0]))} ) && rm -f {shlex.quote(str(hooks[0]))}")
    assert (booted.returncode, guest.address, guest.clean) == (0, "10.0.0.1", True)


def test_a_second_change_waits_for_the_first(guest: Guest) -> None:
    assert guest.apply(WRONG, 60).returncode == 0
    second = guest.apply({"dhcp": {"lan": {"ignore": True}}}, 60)
    assert (second.returncode, "another change waits" in second.stderr) == (commit_confirm.EXIT_BUSY, True)
    assert guest.run(revert_script(str(guest.root))).returncode == 0
    assert guest.apply({"dhcp": {"lan": {"ignore": True}}}, None).returncode == 0


def test_what_somebody_has_not_committed_is_not_committed_for_them(guest: Guest) -> None:
    pending = guest.root / "tmp/.uci"
    pending.mkdir(parents=True)
    (pending / "network").write_text("network.lan.proto='dhcp'\n")
    done = guest.apply(WRONG, 60)
    assert (done.returncode, "network has changes" in done.stderr) == (commit_confirm.EXIT_PENDING, True)
    assert (guest.address, guest.clean, guest.reloads) == ("10.0.0.1", True, [])
    assert guest.apply({"dhcp": {"lan": {"ignore": True}}}, None).returncode == 0


def test_a_service_that_hangs_does_not_keep_the_guard_from_its_work(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_confirm, "_RELOAD_SECONDS", 1)
    hanging = guest.root / "etc/init.d/network"
    hanging.write_text('#!/bin/sh\n[ "$1" = enabled ] || exec sleep 4\n')
    assert guest.apply(WRONG, 2).returncode == 0
    guest.wait_until(lambda: guest.address == "10.0.0.1")
    guest.wait_until(lambda: guest.clean)


def test_an_old_guard_leaves_a_newer_change_alone(guest: Guest) -> None:
    assert guest.apply(WRONG, 3).returncode == 0
    assert guest.run(confirm_script(str(guest.root))).returncode == 0
    assert guest.apply({"network": {"lan": {"ipaddr": "10.9.9.99"}}}, 60).returncode == 0
    time.sleep(3)
    assert guest.address == "10.9.9.99"
    assert guest.run(confirm_script(str(guest.root))).returncode == 0


def test_a_batch_that_uci_does_not_take_changes_nothing(guest: Guest) -> None:
    change = guest.change({"network": {"lan": {"ipaddr": "10.9.9.9", "dns": "10.0.0.2"}}})
    (guest.config / "network").write_text("\nconfig interface 'other'\n\n")
    done = guest.run(apply_script(change, 1, str(guest.root)))
    assert (done.returncode, "uci: " in done.stderr) == (commit_confirm.EXIT_BATCH, True)
    assert (guest.clean, guest.reloads) == (True, [])
    assert (guest.config / "network").read_text() == "\nconfig interface 'other'\n\n"


def test_a_commit_that_fails_is_taken_back(guest: Guest) -> None:
    before = (guest.root / "bin/uci").read_text()
    failing = before.replace("exec", '[ "$3" != commit ] || { echo "uci: I/O error" >&2; exit 1; }\nexec')
    (guest.root / "bin/uci").write_text(failing)
    for timeout in (1, None):
        done = guest.apply(WRONG, timeout)
        assert (done.returncode, "I/O error" in done.stderr) == (commit_confirm.EXIT_WRITE, True)
        assert (guest.address, guest.clean) == ("10.0.0.1", True)


def test_a_change_that_cannot_cut_off_stands_at_once(guest: Guest) -> None:
    done = guest.apply({"dhcp": {"lan": {"ignore": True}}}, None)
    assert (done.returncode, done.stderr) == (0, "")
    assert "option ignore '1'" in (guest.config / "dhcp").read_text()
    assert guest.reloads == ["dnsmasq reload 0"], "odhcpd is disabled and stays so"
    assert guest.clean


def test_a_new_package_is_made_and_goes_with_a_revert(guest: Guest) -> None:
    declared = {"sqm": {"wan": {".type": "queue", "note": "it's\nhere"}}, **WRONG}
    if not os.environ.get("PVE_TEST_UCI"):
        declared["sqm"]["wan"]["note"] = "it's here"  # our few lines read line by line
    assert guest.apply(declared, 2).returncode == 0
    made = parse_config((guest.config / "sqm").read_text(), "sqm").find("wan")
    assert made is not None and made.get("note") == declared["sqm"]["wan"]["note"]
    guest.wait_until(lambda: guest.clean)
    assert not (guest.config / "sqm").exists() and guest.address == "10.0.0.1"


def test_what_a_dead_run_left_is_in_nobodys_way(guest: Guest) -> None:
    (guest.root / "etc/pve-provision/old").mkdir(parents=True)
    assert guest.apply(WRONG, None).returncode == 0
    assert (guest.address, guest.clean) == ("10.9.9.9", True)


def test_the_script_returns_while_the_guard_waits(guest: Guest) -> None:
    began = time.monotonic()
    assert guest.apply(WRONG, 60).returncode == 0
    assert time.monotonic() - began < 10
    assert guest.run(confirm_script(str(guest.root))).returncode == 0


def test_no_secret_is_left_readable_while_a_change_waits(guest: Guest) -> None:
    assert guest.apply({"network": {"lan": {"password": "hidden"}}}, 60).returncode == 0
    kept = guest.root / "etc/pve-provision"
    assert kept.stat().st_mode & 0o077 == 0
    assert guest.run(confirm_script(str(guest.root))).returncode == 0


def test_a_file_as_rendered_is_left_as_it_was_by_change_and_revert(guest: Guest) -> None:
    package = parse_config((guest.config / "network").read_text(), "network")
    assert render(package) == (guest.config / "network").read_text()
    assert guest.apply(WRONG, 60).returncode == 0
    assert guest.run(revert_script(str(guest.root))).returncode == 0
    assert (guest.config / "network").read_text() == render(package)


# --- two runs at once ----------------------------------------------------------------------------------------------


def test_of_two_changes_at_once_one_is_refused_and_the_others_way_back_stays(guest: Guest) -> None:
    before = guest.address
    first, second = (apply_script(guest.change(WRONG), 60, str(guest.root)) for _each in range(2))
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(guest.run, [first, second]))
    assert sorted(each.returncode for each in done) == [0, commit_confirm.EXIT_BUSY]
    assert guest.address == "10.9.9.9"
    assert guest.run(revert_script(str(guest.root))).returncode == 0
    assert guest.address == before and guest.clean


def test_who_has_the_lock_and_lives_is_waited_for(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_confirm, "_LOCK_SECONDS", 0)
    lock = guest.root / "tmp/pve-provision.lock"
    lock.parent.mkdir(exist_ok=True)
    lock.symlink_to(str(os.getpid()))
    kept = guest.root / "etc/pve-provision/old"
    kept.mkdir(parents=True)
    done = guest.apply(WRONG, 60)
    assert (done.returncode, done.stderr) == (
        commit_confirm.EXIT_BUSY,
        "pve-provision: another run is changing this router\n",
    )
    assert kept.is_dir() and lock.is_symlink()


def test_a_lock_of_a_process_that_is_no_more_counts_for_nothing(guest: Guest) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    lock = guest.root / "tmp/pve-provision.lock"
    lock.parent.mkdir(exist_ok=True)
    lock.symlink_to(str(gone.pid))
    assert guest.apply(WRONG, None).returncode == 0
    assert guest.address == "10.9.9.9" and not lock.is_symlink()


def test_whoever_comes_while_a_change_waits_can_wait_for_its_end(guest: Guest) -> None:
    over = commit_confirm.over_script(0, str(guest.root)), commit_confirm.over_script(60, str(guest.root))
    assert guest.run(over[1]).returncode == 0
    assert guest.apply(WRONG, 60).returncode == 0
    assert guest.run(over[0]).returncode == commit_confirm.EXIT_BUSY
    assert guest.run(confirm_script(str(guest.root))).returncode == 0
    assert guest.run(over[1]).returncode == 0
