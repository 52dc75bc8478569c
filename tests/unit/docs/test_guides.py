# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of the guides are whole, valid, and name no place but those that stand for one."""

from __future__ import annotations

import functools
import ipaddress
import json
import re
import typing as t
from pathlib import Path

import pytest
from code_texts import missing_parts
from guide_blocks import GUIDES, ROOT, Block, blocks, examples
from jsonschema import Draft202012Validator

from ansible_collections.pve.provision.plugins.module_utils._store.named import SOURCES

PAGES = [pytest.param(page, id=page.stem.removeprefix("guide_")) for page in GUIDES]
EXAMPLES = [pytest.param(block, id=str(block)) for page in GUIDES for block in examples(page)]
TOPICS = {
    "adoption", "api_or_ssh", "applications", "cluster", "containers", "fleets", "images", "openwrt", "reliability",
    "secrets", "troubleshooting", "verification", "vms",
}  # fmt: skip
#: The hosts that a text may name: those of examples, and where the licence is.
HOSTS = re.compile(r"(?:^|\.)example\.org$|^www\.gnu\.org$")


@functools.cache
def validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads((ROOT / "docs/guests.schema.json").read_text(encoding="utf-8")))


def declarations(node: t.Any) -> t.Iterator[dict[str, t.Any]]:
    """The variables of the role, wherever they stand."""
    if isinstance(node, dict):
        if "provision_guests" in node:
            yield node
        for each in node.values():
            yield from declarations(each)
    elif isinstance(node, list):
        for each in node:
            yield from declarations(each)


def test_there_is_a_guide_for_each_topic() -> None:
    assert {page.stem.removeprefix("guide_") for page in GUIDES} == TOPICS


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_its_label_a_title_and_short_lines(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert f".. _ansible_collections.pve.provision.docsite.{page.stem}:\n\n" in text
    assert re.search("SPDX.License.Identifier: GPL-3[.]0-or-later", text)
    for title, line in re.findall(r"^(\S.*)\n([=-]{3,})$", text, re.MULTILINE):
        assert len(title) == len(line), title
    assert [line for line in text.splitlines() if len(line) > 120 or line != line.rstrip()] == []
    labels = set(re.findall(r":ref:`(?:[^`<]*<)?ansible_collections\.pve\.provision\.docsite\.(guide_\w+)", text))
    assert labels <= {each.stem for each in GUIDES}


@pytest.mark.parametrize("block", EXAMPLES)
def test_an_example_is_a_play_or_a_declaration_that_the_schema_takes(block: Block) -> None:
    data = block.data
    assert isinstance(data, dict) or all("hosts" in play for play in data)
    found = list(declarations(data))
    assert found or isinstance(data, list)
    for variables in found:
        assert not [error.message for error in validator().iter_errors(variables)]


@pytest.mark.parametrize("page", PAGES)
def test_addresses_and_hosts_are_those_of_examples(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for word in set(re.findall(r"\b\d{1,3}(?:\.\d{1,3}){3}\b", text)):
        address = ipaddress.ip_address(word)
        assert address.is_private or address.is_reserved, word
    for host in set(re.findall(r"https?://([\w.-]+)", text)):
        assert HOSTS.search(host), host
    assert re.findall(r"[\w.+-]+@(?!example\.org|pam|pve)[\w-]+\.\w+", text) == []


def test_every_name_of_an_image_is_reported() -> None:
    text = (GUIDES[0].parent / "guide_images.rst").read_text(encoding="utf-8")
    section = text.split("Names of images\n----")[1].split("\n----")[0]
    assert set(re.findall(r"``([a-z]+)``", section)) == {*SOURCES, "checksum", "url"}


def test_the_errors_that_are_explained_are_in_the_code() -> None:
    quoted = [block.text for block in blocks(GUIDES[0].parent / "guide_troubleshooting.rst", "text")]
    assert len(quoted) > 30
    assert {text: missing_parts(text) for text in quoted if missing_parts(text)} == {}
