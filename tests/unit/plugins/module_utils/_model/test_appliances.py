# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PVE's index of container templates is read as PVE reads it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._model.appliances import Appliance, containers, paragraphs

BASE = "http://download.proxmox.com/images"
INDEX = """\
Package: pve-web-news
Description: News
 <b>Welcome</b>

Package: debian-13-standard
Version: 13.1-2
Type: lxc
OS: debian-13
Section: system
Architecture: amd64
Location: system/debian-13-standard_13.1-2_amd64.tar.zst
sha512sum: ABCDEF
Description: Debian 13
 A small system.

Package: some-vm
Version: 1
Type: qemu
Location: system/some-vm_1.qcow2

Package: debian-12-turnkey-core
Version: 18.1-1
Location: https://elsewhere.example/debian-12-turnkey-core_18.1-1_amd64.tar.gz
"""
WORD = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,12}", fullmatch=True)


def test_the_containers_of_an_index_have_an_address_and_a_name() -> None:
    debian, turnkey = containers(paragraphs(INDEX), BASE)
    file = "debian-13-standard_13.1-2_amd64.tar.zst"
    assert debian == Appliance("debian-13-standard", "13.1-2", f"{BASE}/system/{file}", "abcdef", "amd64")
    assert debian.file == file
    assert turnkey.url == "https://elsewhere.example/debian-12-turnkey-core_18.1-1_amd64.tar.gz"
    assert turnkey.sha512 == ""


def test_the_web_news_are_no_appliance() -> None:
    assert paragraphs(INDEX)[0]["package"] == "debian-13-standard"


def test_over_the_api_each_is_a_mapping_that_holds_more() -> None:
    told = {"package": "a", "version": "1", "location": f"{BASE}/a_1.tar.gz", "type": "lxc", "template": "a_1.tar.gz"}
    assert [each.file for each in containers([told, {"package": "news"}])] == ["a_1.tar.gz"]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.fixed_dictionaries({"package": WORD, "version": WORD, "location": WORD, "section": WORD}), max_size=5)
)
def test_the_index_is_read_as_it_was_written(appliances: list[dict[str, str]]) -> None:
    text = "\n".join(
        "".join(f"{key.capitalize()}: {value}\n" for key, value in appliance.items())
        + "Description: a headline\n  and: more text\n"
        for appliance in appliances
    )
    assert paragraphs(text) == [{**appliance, "description": "a headline"} for appliance in appliances]
