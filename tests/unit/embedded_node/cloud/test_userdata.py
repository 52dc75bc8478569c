# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""User data: which parts they hold, and whose word counts."""

from __future__ import annotations

import gzip
import typing as t

import pytest

from embedded_node.cloud import userdata

MIME = b"""Content-Type: multipart/mixed; boundary="=="
MIME-Version: 1.0

--==
Content-Type: text/cloud-config

hostname: web
--==
Content-Type: text/x-shellscript

#!/bin/sh
echo hello
--==--
"""


@pytest.mark.parametrize(("data", "config", "scripts"), [
    (b"", {}, []),
    (b"#cloud-config\nhostname: web\n", {"hostname": "web"}, []),
    (gzip.compress(b"#cloud-config\nhostname: web\n", mtime=0), {"hostname": "web"}, []),
    (b"#!/bin/sh\necho hello\n", {}, ["#!/bin/sh\necho hello\n"]),
    (MIME, {"hostname": "web"}, ["#!/bin/sh\necho hello"]),
    (b"## template: jinja\n#cloud-config\nhostname: {{ v1.local_hostname }}-x\n", {"hostname": "web-x"}, []),
])  # fmt: skip
def test_parts_are_found(data: bytes, config: dict[str, t.Any], scripts: list[str]) -> None:
    parts = userdata.read(data, {"v1.local_hostname": "web"})
    assert (parts.config, [script.rstrip() for script in parts.scripts], parts.warnings) == (
        config, [script.rstrip() for script in scripts], [])  # fmt: skip


@pytest.mark.parametrize(("data", "warning"), [
    (b"hostname: web\n", "Unhandled non-multipart (text/x-not-multipart) userdata"),
    (b"#cloud-config\nusers: [\n", "Failed loading yaml blob. Invalid format at line 3 column 1"),
    (b"#cloud-config\n- a\n", "root types, but got list instead"),
])  # fmt: skip
def test_what_is_wrong_is_reported(data: bytes, warning: str) -> None:
    parts = userdata.read(data, {})
    assert parts.config == {} and warning in parts.warnings[0]


def test_the_first_word_counts_and_lists_are_not_joined() -> None:
    user = {"packages": ["a"], "chpasswd": {"expire": False}}
    vendor = {"packages": ["b"], "chpasswd": {"list": ["x:y"]}, "timezone": "UTC"}
    assert userdata.merged(user, vendor) == {"packages": ["a"], "chpasswd": {"expire": False, "list": ["x:y"]},
                                             "timezone": "UTC"}  # fmt: skip
