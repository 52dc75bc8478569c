# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of ``contributing.rst`` do what it says when they are put where it says."""

from __future__ import annotations

import hashlib
import re
import textwrap
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.pve.provision.plugins.module_utils._images.releases import base, listed
from ansible_collections.pve.provision.plugins.module_utils._model import lxc
from ansible_collections.pve.provision.plugins.module_utils._model.checks import declare, inside, table
from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import Outcome
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed

PAGE = Path(__file__).resolve().parents[3] / "docs/docsite/rst/contributing.rst"
BLOCK = re.compile(r"^( *)\.\. code-block:: \w+\n +:name: (\S+)\n\n((?:\1 +.*\n|\n)+)", re.MULTILINE)
BLOCKS = {name: textwrap.dedent(text) for _indent, name, text in BLOCK.findall(PAGE.read_text(encoding="utf-8"))}


def run(name: str, *places: t.Any) -> dict[str, t.Any]:
    """What a block defines where the names of these modules are known."""
    known: dict[str, t.Any] = {}
    for place in places:
        known |= vars(place)
    exec(BLOCKS[name], known)  # the page is ours
    return known


def value(text: str, *places: t.Any, **more: t.Any) -> t.Any:
    known: dict[str, t.Any] = {}
    for place in places:
        known |= vars(place)
    return eval(text, known | more)


def test_an_option_is_a_line_and_its_text() -> None:
    option = value(BLOCKS["option-line"].strip(), lxc)
    assert option.codec.accept(19) == 19
    with pytest.raises(ValueError, match="a niceness"):
        option.codec.accept(20)
    text = " ".join(yaml.safe_load(BLOCKS["option-text"])[option.param]["description"])
    words = ("V(-20) to V(19)", f"default is V({option.default})", f"Since Proxmox VE {option.since}")
    assert [word for word in words if word not in text] == []


def test_a_source_is_a_layout() -> None:
    layout = run("source-layout", base, listed)["LAYOUT"]
    digest = hashlib.sha256(b"an image").hexdigest()
    rows = "".join(f'<a href="{name}/">{name}/</a>' for name in ("1.0", "1.2"))
    pages = {"releases/": rows, "releases/1.2/SHA256SUMS": f"{digest} *example-1.2-x86_64.qcow2\n"}

    def read(urls: t.Sequence[str], parse: t.Callable[[bytes], t.Any]) -> t.Any:
        return parse(pages[urls[0].removeprefix("https://images.example.org/")].encode())

    release = listed.Listed(layout, read).resolve()
    assert (release.version, [each.name for each in release.artefacts]) == ("1.2", ["example-1.2-x86_64.qcow2"])
    assert release.signature is not None
    assert layout.verify in t.get_args(base.Verify)
    assert release.signature.url.endswith("releases/1.2/SHA256SUMS.asc")


@pytest.mark.parametrize(("place", "outcome"), list(enumerate(t.get_args(Outcome))))
def test_a_check_is_a_script_a_judge_and_an_entry(monkeypatch: pytest.MonkeyPatch, place: int, outcome: str) -> None:
    for name, made in run("check-judge", inside).items():
        if name in ("swap_script", "judge_swap"):
            monkeypatch.setattr(inside, name, made, raising=False)
    (entry,) = value(f"{{{BLOCKS['check-entry']}}}", table).items()
    monkeypatch.setitem(table.TYPES, *entry)

    def said(out: str, rc: int = 0) -> Completed:
        return Completed(rc, out, "")

    check, done, detail = value(f"[{BLOCKS['check-cases']}]", check=declare.check, said=said)[place]
    answer = table.TYPES[check.type].judge(check, done)
    assert (answer.outcome, answer.detail) == (outcome, detail)
    assert declare.declare_checks([{"type": "swap", "max_percent": 10}], "lxc")[1] == []
