# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which image a name means."""

from __future__ import annotations

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._model.image_name import ImageName
from ansible_collections.pve.provision.plugins.module_utils._store.named import wanted_image


@pytest.mark.parametrize(
    ("name", "source", "version"),
    [
        ("debian-13", "debian", "13"),
        ("Debian-12", "debian", "12"),
        ("ubuntu-24.04", "ubuntu", "24.04"),
        ("ubuntu-lts", "ubuntu", "lts"),
        ("alpine-3.22", "alpine", "3.22"),
        ("fedora-43", "fedora", "43"),
        ("rocky-9", "rocky", "9"),
        ("alma-9", "alma", "9"),
        ("opnsense", "opnsense", ""),
        ("opnsense-25.7", "opnsense", "25.7"),
        ("haos", "haos", ""),
        ("talos", "talos", ""),
        ("openwrt", "openwrt", ""),
        ("freebsd", "freebsd", ""),
        ("debian-13-20250814-2204", "debian", "13-20250814-2204"),
    ],
)
def test_a_name_is_a_source_and_a_version(name: str, source: str, version: str) -> None:
    wanted = wanted_image(ImageName(name=name), "import", "image")
    assert (wanted.source, wanted.version, wanted.state) == (source, version, "latest")


@pytest.mark.parametrize(
    ("name", "firmware", "variant"),
    [
        ("alpine-3.22", "seabios", "bios-cloudinit"),
        ("alpine-3.22", "ovmf", "uefi-cloudinit"),
        ("openwrt", "seabios", "ext4-combined"),
        ("openwrt", "ovmf", "ext4-combined-efi"),
        ("debian-13", "ovmf", ""),
    ],
)
def test_the_variant_boots_by_the_vms_firmware(name: str, firmware: str, variant: str) -> None:
    assert wanted_image(ImageName(name=name), "import", "image", firmware=firmware).variant == variant
    other = ImageName(name=name, variant="tiny")
    assert wanted_image(other, "import", "image", firmware=firmware).variant == "tiny"


@pytest.mark.parametrize(
    ("name", "remedy"), [("debain-13", "Did you mean debian?"), ("windows", "Names are alma, alpine"), ("pveam", "")]
)
def test_a_name_that_nobody_knows_says_what_there_is(name: str, remedy: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        wanted_image(ImageName(name=name), "import", "disks[0].image")
    (finding,) = refused.value.findings
    assert (finding.option, finding.value) == ("disks[0].image", name)
    assert remedy in finding.remedy


def test_a_url_and_a_file_are_themselves() -> None:
    url = wanted_image(ImageName(url="https://example.org/a.qcow2", checksum="sha256:0"), "import", "image")
    assert (url.source, url.url, url.checksum, url.state) == (
        "url",
        "https://example.org/a.qcow2",
        "sha256:0",
        "present",
    )
    file = wanted_image(ImageName(file="/srv/a.qcow2", storage="nas"), "import", "image")
    assert (file.source, file.path, file.storages) == ("file", "/srv/a.qcow2", ("nas",))
