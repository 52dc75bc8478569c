# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which newer packages a guest tells, by what its package manager says."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._access.setup import managers
from ansible_collections.pve.provision.plugins.module_utils._access.setup.upgrades import Newer, ask_script, read

from .support import FakeGuest

SAYS = {
    "apt-get": """\
Reading package lists...
Inst libc6 [2.41-12] (2.41-12+deb13u1 Debian:13.1/stable [amd64]) []
Inst nginx [1.26.3-3+deb13u1] (1.26.3-3+deb13u2 Debian-Security:13/stable-security [amd64])
Conf nginx (1.26.3-3+deb13u2 Debian-Security:13/stable-security [amd64])
""",
    "apk": """\
Installed:                                Available:
nginx-1.28.0-r3                         < 1.28.0-r4
""",
    "dnf": """\

nginx.x86_64                          2:1.26.3-2.fc42                          updates
Obsoleting Packages
""",
    "zypper": """\
S | Repository                | Name  | Current Version | Available Version | Arch
--+---------------------------+-------+-----------------+-------------------+-------
v | Main Repository (OSS)     | nginx | 1.27.0-1.1      | 1.27.1-1.1        | x86_64
v | Main Repository (OSS)     | vim   | 9.1-1           | 9.1-2             | x86_64
""",
    "pacman": "nginx 1.28.0-1 -> 1.28.0-2\n",
}  # fmt: skip
RPM = """\
case "$*" in
*Obsoleting*) echo "package Obsoleting is not installed"; exit 1 ;;
*--qf*) echo 1.26.3-1.fc42 ;;
esac"""
TOLD = {
    "apt-get": (Newer("libc6", "2.41-12", "2.41-12+deb13u1"), Newer("nginx", "1.26.3-3+deb13u1", "1.26.3-3+deb13u2")),
    "apk": (Newer("nginx", "1.28.0-r3", "1.28.0-r4"),),
    "dnf": (Newer("nginx", "1.26.3-1.fc42", "2:1.26.3-2.fc42"),),
    "zypper": (Newer("nginx", "1.27.0-1.1", "1.27.1-1.1"),),
    "pacman": (Newer("nginx", "1.28.0-1", "1.28.0-2"),),
}


@pytest.mark.parametrize("program", SAYS)
def test_what_each_package_manager_says_is_understood(tmp_path: Path, program: str) -> None:
    said = tmp_path / "said"
    said.write_text(SAYS[program], encoding="utf-8")
    for name, body in ((program, f"cat {said}"), ("rpm", RPM)):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        path.chmod(0o755)
    word = next(word for word, manager in managers.PACKAGE_MANAGERS.items() if manager.program == program)
    functions = managers.functions("packages", "manager", managers.PACKAGE_MANAGERS)
    script = f"manager={word}\n{functions}\npackages_pending nginx | sed 's/^/@@newer /'"
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["sh"], input=script, env=env, capture_output=True, text=True, check=True)
    assert read(done.stdout) == TOLD[program]


def test_names_are_no_words_of_the_shell() -> None:
    assert "set -- 'a; reboot' b\n" in ask_script(["a; reboot", "b"])


def test_a_guest_in_which_nothing_was_ever_set_up_reports_them_too(tmp_path: Path) -> None:
    guest = FakeGuest(tmp_path)
    guest.program("apt-get", f'case "$*" in *update*) touch "$R/updated" ;; *) cat <<END\n{SAYS["apt-get"]}END\nesac')
    for tool in ("mktemp", "sort"):
        (guest.root / "bin" / tool).symlink_to(shutil.which(tool) or "")
    script = ask_script(["nginx"]).replace("root=''", f"root={guest.root}", 1)
    assert read(guest.run(script)) == TOLD["apt-get"]
    assert guest.path("updated").exists()
    assert not guest.path("var").exists()
