# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every example of the guides is run: all of them in check mode on one node, and really, twice, those of some pages in
each run of the suite, of the others where there is time.

Hosts, secrets and download sites of a user's are put in place here, nothing else is changed.
"""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
import yaml
from guide_blocks import GUIDES, examples, files

from ansible_collections.pve.provision.plugins.filter.guests import with_defaults
from ansible_collections.pve.provision.plugins.modules import openwrt_template, template_cache
from embedded_node.mirror import Mirror
from embedded_node.mirror.registry import OciRegistry

from .conftest import LOGINS, Guest, Site
from .test_examples import OURS, Place, options_of, placed, secrets

#: Options of the role that module guests has, too.
OF_GUESTS = ("owner_tag", "adopt", "concurrency", "on_failure", "app_paths")
#: The pages whose examples are really run each time: together they take two cores about three minutes.
ALWAYS = ("adoption", "api_or_ssh", "applications", "cluster", "containers", "fleets", "images")
#: Tasks that look at what the task before has made, which in check mode it has not.
LATER = ("Look at it", "Adopt it")
DOCUMENTED = {
    module: {"doc": yaml.safe_load(text)}
    for module, text in (
        ("template_cache", template_cache.DOCUMENTATION),
        ("openwrt_template", openwrt_template.DOCUMENTATION),
        *(
            (name, "options: {}")
            for name in ("app_info", "cleanup", "guest_verify", "guests", "lxc_create", "node_info")
        ),
    )
}


@pytest.fixture(scope="module")
def mirror() -> t.Iterator[Mirror]:
    with Mirror() as running:
        yield running


@pytest.fixture(scope="module")
def registry() -> t.Iterator[OciRegistry]:
    with OciRegistry() as running:
        yield running


@pytest.fixture
def place(site: Site, mirror: Mirror, registry: OciRegistry, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("XDG_CACHE_HOME", str(site.work / "cache"))
    made = Place(site, mirror, registry, DOCUMENTED)
    for path in (site.node.root / "var/lib/vz/template/cache").glob("debian-13-*"):
        path.unlink()  # it has the name of the mirror's
    return made


def guest_here(place: Place, guest: Guest) -> Guest:
    """A guest of an example, with what it is made from taken from here."""
    if "oci" in (guest.get("image") or {}):  # no system in it would take its addresses
        return {name: value for name, value in place.from_registry(guest).items() if name != "networks"}
    return placed(guest, place.mirror) if guest["type"] == "vm" else guest


def declaration_here(place: Place, declared: dict[str, t.Any]) -> dict[str, t.Any]:
    """The variables of an example, for this place."""
    sources = {
        "provision_mirrors": [place.mirror.base("openwrt")],
        "provision_keys": [place.mirror.signer.usign_public],
    }
    full = with_defaults(declared["provision_guests"], declared.get("provision_defaults", {}))
    guests = [guest_here(place, guest) for guest in full]
    rest = {name: value for name, value in declared.items() if name != "provision_defaults"}
    return {**rest, **sources, "provision_guests": guests}


def play_here(place: Place, play: t.Any) -> t.Any:
    """A play of an example, or a part of it, for this place."""
    if isinstance(play, list):
        return [play_here(place, each) for each in play]
    if not isinstance(play, dict):
        return play
    if options_of(play):
        play = place.fit(play)
    if "provision_guests" in play:
        play = {**play, **declaration_here(place, play)}
    if "api_host" in play:
        node = place.site.node
        play = {**play, **{name: node.api[name] for name in LOGINS["token"]}, "node": node.name}
    return {name: play_here(place, value) for name, value in play.items()}


class Guide:
    """The examples of a page. A guest that comes again is the same guest, changed."""

    def __init__(self, place: Place, page: Path) -> None:
        self.place = place
        self.name = page.stem
        self.blocks = examples(page)
        for name, text in files(page).items():
            path = place.site.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def tasks(self) -> list[dict[str, t.Any]]:
        """All declarations of the page as one task, for a node that has none of the guests yet; and what it removes."""
        known: dict[str, Guest] = {}
        gone: list[Guest] = []
        options: dict[str, t.Any] = {}
        for data in (block.data for block in self.blocks):
            declared = declaration_here(self.place, data) if isinstance(data, dict) else {}
            options |= {name: declared[f"provision_{name}"] for name in OF_GUESTS if f"provision_{name}" in declared}
            for guest in declared.get("provision_guests", ()):
                if guest.get("state") == "absent":
                    gone.append(guest)
                else:
                    known[guest["name"]] = {**known.get(guest["name"], {}), **guest}
        mirror = self.place.mirror
        options["defaults"] = {"mirrors": [mirror.base("openwrt")], "keys": [mirror.signer.usign_public]}
        return [
            {"name": f"{self.name}: {what}", f"{OURS}guests": {**options, "guests": guests}}
            for what, guests in (("declared", list(known.values())), ("removed", gone))
            if guests
        ]

    def checked(self) -> list[dict[str, t.Any]]:
        """All that the page shows, as plays to be run in check mode."""
        plays = [play for block in self.blocks if isinstance(block.data, list) for play in block.data]
        return [
            {"hosts": "pve", "gather_facts": False, "tasks": self.tasks()},
            *t.cast("list[dict[str, t.Any]]", play_here(self.place, plays)),
        ]


def test_all_examples_have_a_plan(place: Place) -> None:
    plays = [play for page in GUIDES for play in Guide(place, page).checked()]
    tasks = [task for play in plays for task in play.get("tasks", ())]
    for task in tasks:
        task["ignore_errors"] = True  # so that all that is wrong is told at once
    before = place.site.configs()
    played = place.site.play(plays, "--check", **secrets(plays), wg_phone_public_key="c2VjcmV0")
    assert played.rc == 0, played.failure or played.output
    failed = [entry for entry in played.results if entry["outcome"].startswith("failed") and entry["task"] not in LATER]
    assert {entry["task"]: entry["result"].get("msg") for entry in failed} == {}
    assert place.site.configs() == before
    for task in tasks:
        if task["name"].endswith(": declared"):
            (told,) = played.of(task["name"])
            assert len(told["plan"]) >= len(task[f"{OURS}guests"]["guests"]), task["name"]


def guide_pages() -> t.Iterator[t.Any]:
    for page in GUIDES:
        name = page.stem.removeprefix("guide_")
        yield pytest.param(page, id=name, marks=() if name in ALWAYS else pytest.mark.thorough)


@pytest.mark.parametrize("page", list(guide_pages()))
def test_examples_work_and_change_nothing_the_second_time(place: Place, page: Path) -> None:
    guide = Guide(place, page)
    for block in guide.blocks:
        data = block.data
        plays = play_here(place, data) if isinstance(data, list) else [{"import_playbook": "pve.provision.provision"}]
        variables = {**secrets([data]), "wg_phone_public_key": "c2VjcmV0"}
        if isinstance(data, dict):
            variables |= play_here(place, data)
        # Nothing answers at the addresses of scripted guests.
        if re.search(r"\bapp: |type: (http|tcp|ping)\b", block.text):
            variables["provision_defaults"] = {"run_checks": False}
        for turn in ("first", "again"):
            played = place.site.play(plays, **variables)
            assert played.rc == 0, (str(block), turn, played.failure or played.output)
        assert played.count("changed") == 0, (str(block), played.output)
