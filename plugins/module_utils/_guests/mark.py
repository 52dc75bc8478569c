# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the mark of the guests that runs over a list have made: a tag, which is no difference."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.lxc import TAG_WORD
from ansible_collections.pve.provision.plugins.module_utils._pve.types import tags_of

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

TAGS: t.Final = "tags"


def is_marked(tags: str | None, mark: str) -> bool:
    """Whether the tags of a guest, as PVE writes them, hold the mark: PVE writes its tags small."""
    return mark.lower() in (tag.lower() for tag in tags_of(tags))


def check_tag(option: str, word: str) -> t.Iterator[Finding]:
    """That an option is to be a tag, and is none."""
    try:
        TAG_WORD.accept(word)
    except ValueError as error:
        yield Finding(option, word, str(error))


def without_tags_of_source(wanted: Wanted) -> Wanted:
    """A copy of a guest with the declared tags alone: its source may carry the mark of runs, which destroy what has it
    and is not declared."""
    values = {TAGS: (), **wanted.declaration.values}
    return dataclasses.replace(wanted, declaration=dataclasses.replace(wanted.declaration, values=values))


@dataclass
class MarkPart(Part):
    """A guest has the mark from its creation on, or when it is adopted, and keeps it then, whatever tags are declared
    and however they are purged. A guest that does not have it gets none."""

    mark: str
    adopt: bool = False

    def resolve(self, node: Node, wanted: Wanted, actual: Actual, *, act: bool) -> Wanted:
        """The declared tags with the mark; without any, those that are there."""
        has = actual.config.options.get(TAGS) if actual.config else None
        marked = is_marked(has, self.mark)
        if actual.config is not None and not (marked or self.adopt):
            return wanted
        values = wanted.declaration.values
        stated = TAGS in values or wanted.policy.purge_options
        if marked and not stated:
            return wanted
        tags = (values.get(TAGS) or ()) if stated else tags_of(has)
        read = wanted.type.table.known(TAGS).codec.parse(";".join([*tags, self.mark]))
        return dataclasses.replace(
            wanted, declaration=dataclasses.replace(wanted.declaration, values={**values, TAGS: read})
        )
