# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Contents for cloud-init that a user gives himself."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from email import message_from_string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._model.cloud_init.content import (
    LIMIT,
    PARTS,
    OurFile,
    check_content,
    check_contents,
    digest,
    our_file,
    secrets_in,
)
from ansible_collections.pve.provision.plugins.module_utils._model.cloud_init.vendor_data import AGENT, with_scripts

NETWORK = "version: 2\nethernets:\n  eth0: {dhcp4: true}\n"


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("user", "#cloud-config\npackages: [vim]\n"),
        ("user", "#cloud-config\r\npackages: [vim]\r\n"),
        ("user", "#!/bin/sh\n\techo tab\n"),
        ("user", "## template: jinja\n#cloud-config\n"),
        ("user", "#include\nhttps://example.org/user-data\n"),
        ("user", "Content-Type: multipart/mixed; boundary=x\nMIME-Version: 1.0\n"),
        ("user", "#cloud-config\nwrite_files:\n  - content: |\n      \ttab in a text\n"),
        ("vendor", AGENT),
        ("network", NETWORK),
        ("network", "network:\n  version: 1\n"),
        ("user", "version: v1alpha1\nmachine: {}\n"),
        ("user", "# of talosctl\n---\napiVersion: v1alpha1\nkind: HostnameConfig\n"),
        ("network", '{"version": 2}'),
        ("meta", "instance-id: a1\n"),
        ("meta", '{"instance-id": "a1", "local-hostname": "web1"}'),
    ],
)
def test_a_content_that_cloud_init_takes(part: str, text: str):
    assert list(check_content(part, text, f"cloud_init.{part}_data")) == []


@pytest.mark.parametrize(
    ("part", "text", "problem"),
    [
        ("user", "packages: [vim]\n", "does not say what it is"),
        ("user", "# cloud-config\n", "does not say what it is"),
        ("user", "machine: {}\nversion: v1alpha1\n", "does not say what it is"),
        ("vendor", "\n#cloud-config\n", "does not begin with its first line"),
        ("user", "\ufeff#cloud-config\n", "does not begin with its first line"),
        ("user", "", "does not begin with its first line"),
        ("user", "#cloud-config\nusers:\n\t- bob\n", "begins with a tab in line 3"),
        ("user", "#!/bin/sh\r\ntrue\r\n", "is a script with Windows' line ends"),
        ("user", "#cloud-config\nx: \0\n", "holds a control character"),
        ("user", "#!/bin/sh\n" + "#" * LIMIT, "PVE takes 3145728 at most"),
        ("network", "#cloud-config\nusers: []\n", "has no version"),
        ("network", "version: 2\n\tethernets: {}\n", "begins with a tab in line 2"),
        ("meta", "local-hostname: web1\n", "has no instance-id"),
        ("meta", "instance-id:\n", "has no instance-id"),
    ],
)
def test_a_content_that_it_would_pass_over_is_found_and_not_shown(part: str, text: str, problem: str):
    (finding,) = check_content(part, text, "cloud_init.x")
    assert problem in finding.problem
    assert finding.value != text
    assert finding.remedy


def test_all_contents_share_the_limit_of_pve():
    half = "#!/bin/sh\n" + "#" * (LIMIT // 2)
    contents = {"user": half, "vendor": half}
    (finding,) = check_contents(contents, {part: f"cloud_init.{part}_data" for part in PARTS})
    assert "have 31457" in finding.problem


def test_the_script_that_brings_the_agent_is_one():
    shell = shutil.which("sh")
    assert shell is not None
    subprocess.run([shell, "-n"], input=AGENT.encode(), check=True)


ARCHIVE = """\
Content-Type: multipart/mixed; boundary="x"
MIME-Version: 1.0

--x
Content-Type: text/cloud-config

#cloud-config
packages: [vim]
--x--
"""
SINGLE = "Content-Type: text/cloud-config\nMIME-Version: 1.0\n\n#cloud-config\npackages: [vim]\n"


@pytest.mark.parametrize(
    ("vendor", "before"),
    [
        ("#cloud-config\nname: ü\n", "#cloud-config\nname: ü\n"),
        (ARCHIVE, "#cloud-config\npackages: [vim]"),
        (SINGLE, "#cloud-config\npackages: [vim]\n"),
    ],
)
def test_the_agent_is_brought_besides_what_vendor_data_say(vendor: str, before: str):
    both = with_scripts(vendor, [AGENT])
    assert with_scripts(vendor, [AGENT]) == both
    assert list(check_content("vendor", both, "x")) == []
    parts = [part for part in message_from_string(both).walk() if not part.is_multipart()]
    assert [part.get_payload(decode=True).decode() for part in parts] == [before, AGENT]


def test_the_agent_alone_is_a_script():
    assert with_scripts("", [AGENT]) == AGENT


@settings(max_examples=20, deadline=None)
@given(part=st.sampled_from(PARTS), one=st.text(), other=st.text())
def test_contents_are_known_by_their_digests(part: str, one: str, other: str):
    assert (digest(part, one) == digest(part, other)) == (one == other)


def test_a_name_tells_nobody_fast_that_he_has_guessed_right(monkeypatch: pytest.MonkeyPatch):
    """A password of a few letters would be found at once by a digest that is made at once."""
    text = "#cloud-config\npassword: abc\n"
    known = digest("user", text)
    assert known not in hashlib.sha256(f"user\0{text}".encode()).hexdigest()
    rounds = []
    real = hashlib.pbkdf2_hmac
    monkeypatch.setattr(hashlib, "pbkdf2_hmac", lambda *args: rounds.append(args[3]) or real(*args))
    assert digest("user", text.replace("abc", "abd")) != known
    assert rounds == [50_000]
    digest("user", "#cloud-config\nchpasswd: {list: ['root:abe']}\n")
    assert rounds == [50_000] * 2
    digest("user", "#cloud-config\npackages: [nginx]\nssh_authorized_keys: [ssh-ed25519 AAAA me]\n")
    assert rounds == [50_000] * 2, "where there is no secret, nothing is to be guessed"


@settings(max_examples=20, deadline=None)
@given(label=st.from_regex(r"[a-z0-9][a-z0-9.-]{0,40}", fullmatch=True), part=st.sampled_from([*PARTS, "data"]))
def test_a_file_of_ours_is_known_by_its_name(label: str, part: str):
    file = OurFile(label, part, digest(part, label))
    assert our_file(f"local:snippets/{file.name}") == file


@pytest.mark.parametrize(
    "volid",
    ["local:snippets/user.yaml", "local:iso/pve-provision-web1.iso", "pve-provision-web1-user-12.yaml", "none", ""],
)
def test_a_file_of_somebody_else_is_none_of_ours(volid: str):
    assert our_file(volid) is None


def test_secrets_of_a_content_are_known_by_their_names():
    text = "#cloud-config\nname: bob\npassword: s3cret!\nwrite_files:\n  - {content: 'x'}\n  API_TOKEN=abcdef\n"
    assert secrets_in(text) == {"s3cret!", "abcdef"}
