# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wizard at a terminal, from the first question to a guest; and without one."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time

import pytest
import yaml

from embedded_node.mirror import Mirror

from .conftest import LOCAL, PLAYBOOK, InstalledSite, Site

WIZARD = PLAYBOOK.parent / "wizard.yml"
TIMEOUT = 120.0  # s for the next question


class Typist:
    """Runs a playbook at a pseudo-terminal, reads questions and types answers."""

    def __init__(self, site: Site, *options: str) -> None:
        inventory = site.work / "inventory.json"
        inventory.write_text(json.dumps(site.inventory))
        playbook = "pve.provision.wizard" if isinstance(site, InstalledSite) else str(WIZARD)
        command = ["ansible-playbook", "-i", str(inventory), playbook, *options]
        self.seen = ""
        self._from = 0
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(site.work)
            os.execvpe(command[0], command, {**site.environ, "TERM": "xterm"})

    def __enter__(self) -> Typist:
        return self

    def __exit__(self, *_error: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)  # one that has ended was waited for

    def answer(self, question: str, typed: str) -> None:
        """Wait for a question, and answer it."""
        while not re.search(question, self.seen[self._from :]):
            if not self._read():
                raise AssertionError(f"no {question!r} in: {self.seen[self._from :]}")
        self._from = len(self.seen)
        while termios.tcgetattr(self.terminal)[3] & termios.ICANON:  # until Ansible reads, what is typed is thrown away
            time.sleep(0.1)
        time.sleep(1)
        os.write(self.terminal, typed.encode() + b"\r")

    def end(self) -> int:
        while self._read():
            pass
        _pid, status = os.waitpid(self.pid, 0)
        os.close(self.terminal)
        return os.waitstatus_to_exitcode(status)

    def _read(self) -> bool:
        if not select.select([self.terminal], [], [], TIMEOUT)[0]:
            return False
        try:
            text = os.read(self.terminal, 65536)
        except OSError:  # the other end is closed
            return False
        self.seen += text.decode(errors="replace")
        return bool(text)


ALPINE = "alpine-3.22-default"
ANSWERS = [
    ("What is to be made", "1"), ("Name", "bad name"), ("Name", "web1"), ("Number", ""), ("Template", ALPINE),
    ("CPU cores", "<"), ("Template", ALPINE), ("CPU cores", "2"), ("Memory", "much"), ("Memory", "256"),
    ("Storage", "local-lvm"), ("Disk", "1"), ("Bridge", ""), ("VLAN", ""), ("IPv4", "192.168.1.20/24"),
    ("Gateway", ""), ("SSH", ""), ("Start with", ""), ("Another guest", "no"), ("What now", "run"),
]  # fmt: skip


# A file of a user's: a guest with numbers, defaults and a mark for all of them.
FILE = """# mine
provision_owner_tag: ours
provision_defaults: {description: by the wizard}
provision_guests:
  - name: old1   # the first
    type: lxc
    vmid: 111
    memory: 300
    state: absent

# last
words: "{{ never_told }}"
"""


def test_a_guest_is_asked_for_declared_and_made(installed: InstalledSite) -> None:
    site = installed
    path = site.work / "provision_guests.yml"
    path.write_text(FILE)
    with Typist(site) as typist:
        for question, typed in ANSWERS:
            typist.answer(rf"{question}[^:\n]*:\s*$", typed)
        assert typist.end() == 0, typist.seen
    assert "create web1" in typist.seen
    assert "invalid" in typist.seen or "not valid" in typist.seen or "is no" in typist.seen
    written = path.read_text()
    asked = [guest for guest in yaml.safe_load(written)["provision_guests"] if guest["name"] == "web1"]
    assert [guest["memory"] for guest in asked] == ["256"]
    began = written.index("  - name: web1\n")
    assert written[:began] + written[written.index("\n# last") :] == FILE
    assert [each.read_text() for each in site.work.glob("provision_guests.yml.*~")] == [FILE]
    assert (site.config(100)["hostname"], site.config(100)["tags"]) == ("web1", "ours")
    assert "#by the wizard" in site.configs()["100.conf"]
    again = site.play(PLAYBOOK, "-e", f"@{path}")
    assert (again.rc, again.count("changed")) == (0, 0), again.output


def test_it_goes_on_where_it_ended_also_when_the_file_is_on_the_command_line(site: Site) -> None:
    path = site.work / "provision_guests.yml"
    for name in ("ct1", "ct2"):
        with Typist(site, *(("-e", f"@{path}") if path.exists() else ())) as typist:
            for question in dict.fromkeys(each for each, _typed in ANSWERS if each != "Gateway"):  # DHCP has none
                typed = {"Template": ALPINE, "What now": "run"}.get(question, "")
                typist.answer(rf"{question}[^:\n]*:\s*$", typed)
            assert typist.end() == 0, typist.seen
        assert f"create {name}" in typist.seen
        assert "1 guests are as declared" in typist.seen
    assert [guest["name"] for guest in yaml.safe_load(path.read_text())["provision_guests"]] == ["ct1", "ct2"]
    assert [site.config(vmid)["hostname"] for vmid in (100, 101)] == ["ct1", "ct2"]


ROUTER = [
    ("What is to be made", "3"), ("Name", ""), ("Number", ""), ("OpenWrt", ""), ("Bridge of WAN", ""), ("VLAN", ""),
    ("How WAN", "pppoe"), ("User name", "me"), ("Password", "s3cret-word"), ("Bridge of LAN", ""), ("VLAN", "20"),
    ("Its address", ""), ("SSH", ""), ("Another guest", "no"), ("What now", "write"),
]  # fmt: skip


def test_a_password_is_in_the_file_alone_and_never_shown(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    path = site.work / "provision_guests.yml"
    log = site.work / "log"
    monkeypatch.setattr(Site, "environ", {**site.environ, "ANSIBLE_LOG_PATH": str(log), "ANSIBLE_DIFF_ALWAYS": "1"})
    with Mirror() as mirror, Typist(site, "-vvv") as typist:
        sources = {"provision_mirrors": [mirror.base("openwrt")], "provision_keys": [mirror.signer.usign_public]}
        path.write_text(yaml.safe_dump(sources))
        for question, typed in ROUTER:
            typist.answer(rf"{question}[^:\n]*:\s*$", typed)
        assert typist.end() == 0, typist.seen
    (guest,) = yaml.safe_load(path.read_text())["provision_guests"]
    assert guest["interfaces"]["wan"]["password"] == "s3cret-word"
    assert path.stat().st_mode & 0o077 == 0
    results = (site.work / "results.jsonl").read_text()
    for told in (typist.seen, log.read_text(), results):
        assert "gw1" in told
        assert "s3cret-word" not in told


@pytest.mark.parametrize("key", ["\x03", "\x04", "q!"], ids=["Ctrl-C", "Ctrl-D", "q!"])
def test_whoever_ends_the_questions_has_changed_nothing_and_failed_nothing(site: Site, key: str) -> None:
    with Typist(site) as typist:
        typist.answer(r"What is to be made[^:\n]*:\s*$", key)
        assert typist.end() == 0, typist.seen
    assert "Ended. Nothing was changed." in typist.seen
    assert not (site.work / "provision_guests.yml").exists()


def unattended(site: Site) -> subprocess.CompletedProcess[str]:
    """The wizard where nobody is."""
    inventory = site.work / "inventory.json"
    inventory.write_text(json.dumps(site.inventory))
    told = subprocess.run(
        ["ansible-playbook", "-i", str(inventory), str(WIZARD)], cwd=site.work, env=site.environ, capture_output=True,
        stdin=subprocess.DEVNULL, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert told.returncode != 0, told.stdout
    return told


def test_without_a_terminal_it_says_what_to_declare(site: Site) -> None:
    told = unattended(site)
    assert "provision_guests" in told.stdout + told.stderr
    assert not (site.work / "provision_guests.yml").exists()


def test_it_wants_one_node_and_a_file_that_it_can_add_to_before_it_asks(site: Site) -> None:
    (site.work / "provision_guests.yml").write_text("provision_guests: [{name: old1, type: lxc}]\n")
    told = unattended(site)
    assert "not a list with a dash for each guest" in told.stdout + told.stderr
    site.inventory = {"pve": {"hosts": {"pve1": LOCAL, "pve2": LOCAL}}}
    told = unattended(site)
    assert "this play has pve1, pve2" in told.stdout + told.stderr
