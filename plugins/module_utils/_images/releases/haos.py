# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: Home Assistant OS.

Shape: ``version.home-assistant.io/<stable|beta|dev>.json`` has ``hassos``, a map of board to version (``ova`` is the
virtual machine, ``generic-aarch64`` the arm one). The images are assets of the GitHub release of that version
(``haos_ova-16.2.qcow2.xz``). There is no checksum list: GitHub's API tells each asset's ``digest`` (``sha256:...``)
and size. Builds of the dev channel are not on GitHub but on os-artifacts.home-assistant.io, without any digest.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._images.releases.base import (
    Artefact,
    Key,
    Read,
    Release,
    Verify,
    clean_bases,
    json_document,
    path_of,
    their_arch,
)
from ansible_collections.pve.provision.plugins.module_utils._images.releases.listed import Site
from ansible_collections.pve.provision.plugins.module_utils._io import versions as order

CHANNELS = ("stable", "beta", "dev")
BOARDS = {"amd64": "ova", "arm64": "generic-aarch64"}
INDEX, API, FILES, DEV = (
    "https://version.home-assistant.io",
    "https://api.github.com",
    "https://github.com",
    "https://os-artifacts.home-assistant.io",
)


def _boards(body: bytes) -> dict[str, str]:
    return {str(board): str(version) for board, version in json_document(body)["hassos"].items()}


def _assets(body: bytes) -> dict[str, dict[str, t.Any]]:
    return {str(asset["name"]): dict(asset) for asset in json_document(body)["assets"]}


@dataclass(frozen=True)
class HomeAssistantOs:
    """Home Assistant OS. ``wanted``: a channel or an exact version."""

    read: Read
    mirrors: tuple[str, ...] = ()
    name: str = "haos"
    default: str = "stable"
    keys: tuple[Key, ...] | None = None
    verify: Verify = "checksum"

    def _site(self, official: str) -> Site:
        return Site(self.read, clean_bases(official, self.mirrors))

    def versions(self) -> tuple[str, ...]:
        found = [self._channel(channel)["ova"] for channel in CHANNELS]
        return order.descending(found)

    def _channel(self, channel: str) -> dict[str, str]:
        return self._site(INDEX).get(f"{channel}.json", _boards)

    def resolve(self, wanted: str = "", arch: str = "amd64") -> Release:
        board = their_arch(self.name, arch, BOARDS)
        wanted = {"": "stable", "latest": "stable"}.get(wanted, wanted)
        version = self._channel(wanted)[board] if wanted in CHANNELS else wanted
        name = f"haos_{board}-{version}.qcow2.xz"
        if "dev" in order.tokens(version):
            url, others = self._site(DEV).urls(f"{version}/{name}")
            return Release(self.name, version, (Artefact(name, url, "disk", arch, board, "xz", mirrors=others),))
        listing = f"repos/home-assistant/operating-system/releases/tags/{version}"
        asset = self._site(API).get(listing, _assets).get(name)
        if asset is None:
            raise ImageError(f"Home Assistant OS {version} has no file {name}.", remedy="Look at its GitHub release.")
        algorithm, _colon, digest = str(asset.get("digest") or "").partition(":")
        url, others = self._site(FILES).urls(path_of(str(asset["browser_download_url"])))
        artefact = Artefact(
            name=name,
            url=url,
            kind="disk",
            arch=arch,
            variant=board,
            compression="xz",
            size=int(asset["size"]),
            digest=(algorithm, digest) if digest else None,
            mirrors=others,
        )
        return Release(self.name, version, (artefact,))
