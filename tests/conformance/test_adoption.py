# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guests of the recorded nodes are adopted: each is declared or told of, and a run with that changes nothing."""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.pve.provision.plugins.filter.guests import declaration
from embedded_node import EmbeddedNode
from tests.unit.plugins.modules.conftest import Bench

from .__main__ import FOLDERS
from .transcript import GUEST_FILE

# How many are on the node at a time.
MANY = 60
MACS = re.compile(r"((?:hwaddr|virtio|e1000|e1000e|vmxnet3|rtl8139)=)[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")


def recorded(folder: Path) -> list[tuple[str, str, str]]:
    """The distinct configs of guests: the folder of their kind, the vmid, the text."""
    found: dict[tuple[str, str], tuple[str, str, str]] = {}
    for path in sorted(folder.glob("*.json")):
        transcript = json.loads(path.read_text(encoding="utf-8"))
        for side in ("files_before", "files_after"):
            for name, text in (transcript.get(side) or {}).items():
                match = GUEST_FILE.match(name)
                if match and isinstance(text, str) and text.strip():
                    alike = re.sub(r"uuid=\S+|vmgenid: \S+|ctime=\d+", "", MACS.sub("", text.replace(match[2], "N")))
                    found.setdefault((match[1], alike), (match[1], match[2], text))
    return list(found.values())


def as_another(vmid: str, text: str, new: int) -> str:
    """The config under a number, a name and addresses that no other one has, and without a lock."""
    text = re.sub(rf"\b{vmid}\b", str(new), text)
    text = re.sub(r"^(hostname|name): .*$", rf"\1: g{new}", text, count=1, flags=re.MULTILINE)
    text = re.sub(r"^lock: .*\n", "", text, flags=re.MULTILINE)
    return MACS.sub(lambda m: f"{m[1]}BC:24:11:{new // 256:02X}:{new % 256:02X}:{m.start() % 256:02X}", text)


def adopt(bench: Bench, configs: t.Mapping[int, tuple[str, str]]) -> None:
    paths = [bench.node.root / "etc/pve" / kind / f"{vmid}.conf" for vmid, (kind, _text) in configs.items()]
    for path, (_kind, text) in zip(paths, configs.values(), strict=True):
        path.write_text(text, encoding="utf-8")
    bench.node.state.publish()
    found = bench.good("node_info", gather=[], declare=True).values["declaration"]
    written = yaml.safe_load(declaration([found]))
    guests = written["provision_guests"]
    told = {about["vmid"] for about in found["remarks"]}
    assert configs.keys() - {guest["vmid"] for guest in guests} <= told, "nothing is left out in silence"
    bench.node.forget()
    answer = bench.good("guests", guests=guests, defaults=written.get("provision_defaults", {}))
    assert (answer.changed, bench.writes()) == (False, [])
    for path in paths:
        path.unlink()
    bench.node.state.publish()


@pytest.mark.parametrize("backend", ["cli", "api"])
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_recorded_guests_are_adopted_without_a_change(
    folder: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not folder.is_dir():
        pytest.skip(f"{folder.name} is not here")
    configs = recorded(folder)
    assert len(configs) > MANY
    with EmbeddedNode() as node:
        for name, value in node.env.items():
            monkeypatch.setenv(name, value)
        bench = Bench(node, t.cast("t.Any", backend))
        for first in range(0, len(configs), MANY):
            some = enumerate(configs[first : first + MANY], 1000 + first)
            adopt(bench, {new: (kind, as_another(vmid, text, new)) for new, (kind, vmid, text) in some})
