# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a new node of a k3s cluster runs at its first boot."""

from __future__ import annotations

import subprocess

import pytest

from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.kubernetes import (
    check_version,
    install_script,
)


@pytest.mark.parametrize("version", ["stable", "v1.34.1+k3s1", "v1; echo more", "it's"])
def test_a_version_is_a_word_of_the_script_whatever_is_in_it(version: str) -> None:
    head = install_script(version, "", "server").partition("command -v curl")[0]
    done = subprocess.run(["sh", "-c", f'{head}printf %s "$version"'], capture_output=True, text=True, check=True)
    assert done.stdout == version


@pytest.mark.parametrize(
    ("machine", "fetched"),
    [
        ("x86_64", ["k3s", "sha256sum-amd64.txt"]),
        ("aarch64", ["k3s-arm64", "sha256sum-arm64.txt"]),
        ("riscv64", []),
    ],
)
def test_a_node_gets_the_binary_of_its_own_processor(machine: str, fetched: list[str]) -> None:
    """The script as it is, up to what it checks: curl only says what it is asked for."""
    script = install_script("v1.34.1+k3s1", "", "server").partition("grep ")[0]
    stubs = (
        f'uname() {{ echo {machine}; }}\ncurl() {{ for word; do case $word in http*) echo "$word" ;; esac; done; }}\n'
    )
    done = subprocess.run(["sh", "-c", stubs + script], capture_output=True, text=True, check=False)
    assert [line.rpartition("/")[2] for line in done.stdout.split()] == fetched
    assert (done.returncode, "not made for riscv64" in done.stderr) == ((0, False) if fetched else (1, True))


@pytest.mark.parametrize(
    ("version", "is_one"),
    [
        *((each, True) for each in ("stable", "latest", "v1.34", "v1.34-testing", "v1.34.1+k3s1", "v1.34.1-rc1+k3s2")),
        *((each, False) for each in ("1.34", "v1.34.1", "newest", "v1; echo more", "")),
    ],
)
def test_a_version_is_a_release_or_a_channel(version: str, is_one: bool) -> None:
    assert [found.option for found in check_version(version)] == ([] if is_one else ["cluster.version"])


@pytest.mark.parametrize(("version", "asked"), [("v1.34", True), ("stable", True), ("v1.34.1+k3s1", False)])
def test_which_release_a_channel_has_is_asked_for(version: str, asked: bool) -> None:
    script = install_script(version, "", "server").partition("case $(uname")[0]
    done = subprocess.run(
        ["sh", "-c", f'curl() {{ echo "https://x/v9"; }}\n{script}\necho "$version"'],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == ("v9" if asked else version)
