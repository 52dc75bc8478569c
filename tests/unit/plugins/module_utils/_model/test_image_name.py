# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How images are named: a word, or a dictionary with one of name, url and file."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._model.image_name import IMAGE, ISO, ImageName

URL = "https://images.example.org/a.qcow2"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("debian-13", ImageName(name="debian-13")),
        ({"name": "ubuntu-lts", "storage": "nas"}, ImageName(name="ubuntu-lts", storage="nas")),
        ({"url": URL, "checksum": "sha256:00", "verify": None}, ImageName(url=URL, checksum="sha256:00")),
        ({"file": "local:import/a.qcow2"}, ImageName(file="local:import/a.qcow2")),
        ({"file": "/srv/a.raw"}, ImageName(file="/srv/a.raw")),
        (
            {"name": "debian", "mirrors": "http://m", "keys": ["k"]},
            ImageName(name="debian", mirrors=("http://m",), keys=("k",)),
        ),
        (ImageName(name="debian-13"), ImageName(name="debian-13")),
    ],
)
def test_what_is_declared(given: t.Any, meant: ImageName) -> None:
    assert IMAGE.accept(given) == meant


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (" ", "is empty"),
        (7, "is not an image"),
        ({}, "has to say one of name, url, file"),
        ({"name": "debian", "url": URL}, "only one"),
        ({"name": "debian", "flavour": "x"}, "mean nothing here: flavour"),
        ({"name": "debian", "verify": "no"}, "verify"),
        ({"file": "a.qcow2"}, "neither a volume"),
    ],
)
def test_what_is_no_image_says_why(given: t.Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        IMAGE.accept(given)


def test_an_iso_is_named_by_its_volume() -> None:
    assert ISO.accept("local:iso/debian.iso") == ImageName(file="local:iso/debian.iso")
    assert ISO.accept({"url": URL}) == ImageName(url=URL)


@pytest.mark.parametrize(("file", "volume"), [("local:import/a.qcow2", True), ("/srv/a.raw", False), ("", False)])
def test_a_volume_is_distinguished_from_a_path(file: str, volume: bool) -> None:
    assert ImageName(file=file).is_volume is volume
