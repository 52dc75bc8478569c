# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a VM that runs Docker has it from."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.docker import INSTALL

FINGERPRINT = "060A61C51B558A7F742B77AAC52FEB6B621E9F35"


def installed(etc: Path, distribution: str, fingerprint: str = FINGERPRINT, keys: int = 1) -> tuple[int, list[str]]:
    """What the script asks its package manager for, in a system that has dnf and no Docker."""
    for folder in ("pki/rpm-gpg", "yum.repos.d", "bin"):
        (etc / folder).mkdir(parents=True)
    (etc / "os-release").write_text(f'NAME="x"\nID="{distribution}"\nID_LIKE="rhel centos fedora"\n', encoding="utf-8")
    told = "\\n".join(f"pub:-:4096:1:X:\\nfpr:::::::::{fingerprint}:" for _number in range(keys))
    commands = {
        "dnf": 'echo dnf "$@"',
        "curl": "true",
        "gpg": f"printf '{told}\\n'",
        "systemctl": "true",
        **{name: f'exec /usr/bin/env -i PATH=/usr/bin:/bin {name} "$@"' for name in ("grep", "cat")},
    }
    for name, script in commands.items():
        (etc / "bin" / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (etc / "bin" / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "-c", INSTALL],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": str(etc / "bin"), "ETC": str(etc)},
    )
    return done.returncode, done.stdout.splitlines()


def test_fedora_has_a_package_of_its_own(tmp_path: Path) -> None:
    assert installed(tmp_path, "fedora") == (0, ["dnf -qy install moby-engine"])


@pytest.mark.parametrize("distribution", ["rocky", "almalinux"])
def test_rocky_and_alma_have_it_from_dockers_own_repository(tmp_path: Path, distribution: str) -> None:
    assert installed(tmp_path, distribution) == (0, ["dnf -qy install docker-ce docker-ce-cli containerd.io"])
    repository = (tmp_path / "yum.repos.d/docker-ce.repo").read_text(encoding="utf-8")
    assert "centos/$releasever/$basearch/stable\ngpgcheck=1\n" in repository


@pytest.mark.parametrize("wrong", [{"fingerprint": "0" * 40}, {"keys": 2}])
def test_a_key_that_is_not_dockers_alone_installs_nothing(tmp_path: Path, wrong: dict[str, object]) -> None:
    assert installed(tmp_path, "rocky", **wrong) == (1, [])  # type: ignore[arg-type]
