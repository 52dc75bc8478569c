# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the step that brings what guests are made from."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._engine.step import NewFile, Phase, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._pve.privileges import file_needs

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.policy import Policy
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.privileges import Need
    from ansible_collections.pve.provision.plugins.module_utils._store.guest_image import GuestImage


@dataclass(frozen=True)
class FetchImage(Step):
    """Fetch a template or an image, once for all guests of a run that are made from it.

    ``volid`` is where it will be, ``new_file`` that file on its storage, and ``bring`` what brings it as far as a
    policy lets it, and answers with warnings."""

    action = "fetch_image"
    phase = Phase.IMAGE

    volid: str
    url: str
    size: int | None = None
    new_file: NewFile | None = field(default=None, repr=False)
    required: tuple[Need, ...] = field(default=(), repr=False)
    bring: t.Callable[[Node, Policy], list[str]] = field(default=lambda _node, _policy: [], repr=False, compare=False)

    @property
    def shared(self) -> str:
        return self.volid

    @property
    def file(self) -> NewFile | None:
        return self.new_file

    def needs(self) -> t.Sequence[Need]:
        return self.required

    def details(self) -> dict[str, t.Any]:
        return {name: value for name, value in super().details().items() if value not in (None, "")}

    def run(self, run: Run) -> None:
        run.result.warnings += self.bring(run.node, run.wanted.policy)


def fetch_guest_image(node: Node, image: GuestImage, option: str) -> FetchImage:
    """The step that brings an image to where it is kept; ``option`` is what asks for it."""
    store = image.store
    file = NewFile(store.name, image.wanted.content, image.size, option) if store.is_storage else None
    needs = () if node.files is not None else file_needs(image.way, store.name, node.name)
    return FetchImage(
        volid=image.volid,
        url=image.url or image.wanted.path,
        size=image.size,
        new_file=file,
        required=tuple(needs),
        bring=lambda node, _policy: image.bring(node),
    )


STEPS: t.Final[tuple[type[Step], ...]] = (FetchImage,)
