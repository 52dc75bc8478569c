# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The questions of the wizard: what the node has to choose from, each answer checked, and a way back."""

from __future__ import annotations

import itertools
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._guests.registry import SECRET_OPTIONS, TYPES
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles import cloud
from ansible_collections.pve.provision.plugins.module_utils._model.image_name import IMAGE
from ansible_collections.pve.provision.plugins.module_utils._store import named
from ansible_collections.pve.provision.plugins.plugin_utils.wizard.dialog import Choice, Question, Quit, ask_all
from ansible_collections.pve.provision.plugins.plugin_utils.wizard.guest import (
    KINDS,
    ask_guests,
    bridge_choices,
    questions,
    storage_choices,
    template_choices,
    template_default,
)
from ansible_collections.pve.provision.plugins.plugin_utils.wizard.images import image_choices

GIB = 1 << 30
NODE: dict[str, t.Any] = {
    "storages": [
        {"name": "local", "content": ["vztmpl", "iso"], "active": True, "total": 100 * GIB, "available": 90 * GIB},
        {"name": "small", "content": ["rootdir", "images"], "active": True, "total": 40 * GIB, "available": 10 * GIB},
        {"name": "big", "content": ["rootdir", "images"], "active": True, "total": 400 * GIB, "available": 200 * GIB},
        {"name": "off", "content": ["rootdir"], "active": False, "total": None, "available": None},
    ],
    "bridges": [{"name": "vmbr0", "addresses": ["192.168.1.2/24"]}, {"name": "vmbr1", "addresses": []}],
    "templates": ["local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst", "local:vztmpl/openwrt-24.10.4.tar.gz"],
    "offered": [{"package": name} for name in ("alpine-3.22-default", "debian-12-standard", "debian-13-standard")],
    "images": ["local:import/appliance.qcow2"],
    "guests": [{"vmid": 100, "name": "ct1"}],
    "next_vmid": 101,
}


class Scripted:
    """Answers from a list, and what was shown meanwhile."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.prompts: list[str] = []
        self.shown: list[str] = []
        self.secret: list[str] = []

    def ask(self, prompt: str, *, secret: bool) -> str:
        self.prompts.append(prompt)
        self.secret += [self.answers[0]] if secret else []
        return self.answers.pop(0)

    def show(self, text: str) -> None:
        self.shown.append(text)


def asked(*answers: str) -> tuple[list[dict[str, t.Any]], Scripted]:
    terminal = Scripted(*answers)
    guests = ask_guests(terminal, NODE)
    assert terminal.answers == []
    for guest in guests:
        checked = TYPES[guest["type"]].check({name: value for name, value in guest.items() if name != "type"})
        assert checked.findings == []
    return guests, terminal


# -- the choices -------------------------------------------------------------------------------------------------------
def test_storages_have_bars_and_the_one_with_most_room_is_first() -> None:
    assert [str(choice) for choice in storage_choices(NODE, "rootdir")] == [
        "big              [##########..........] 200.0 of 400.0 GiB free",
        "small            [###############.....] 10.0 of 40.0 GiB free",
    ]


def test_bridges_and_templates_are_those_of_the_node() -> None:
    assert [str(choice) for choice in bridge_choices(NODE)] == ["vmbr0        192.168.1.2/24", "vmbr1"]
    assert [str(choice) for choice in template_choices(NODE)] == [
        "debian-13-standard (on the node)", "debian-12-standard (fetched)", "alpine-3.22-default (fetched)",
    ]  # fmt: skip


def test_images_are_all_that_the_pipeline_knows_by_name_and_those_that_the_node_holds() -> None:
    told = [str(choice) for choice in image_choices(NODE)]
    names = [str(choice.value) for choice in image_choices(NODE)]
    assert (names[0], names[-1]) == ("debian-13", "local:import/appliance.qcow2")
    assert sorted(names[1:-1]) == sorted(named.SOURCES)
    how = [text.partition("(")[2].partition(",")[0].rstrip(")") for text in told[:-1]]
    assert len(list(itertools.groupby(how))) == 3, "those that are set up alike stand together"


@pytest.mark.parametrize("image", [str(choice.value) for choice in image_choices(NODE)])
def test_a_vm_of_any_image_is_one_that_the_pipeline_takes(image: str) -> None:
    """The rest of it are the usual values, and the key is asked for where it goes somewhere."""
    has_key = any(image.startswith(name) for name in (*cloud.NAMES, "local:"))
    (guest,), terminal = asked("5", "", "", image, *[""] * (8 if has_key else 7), "no")
    assert any(prompt.startswith("SSH public key") for prompt in terminal.prompts) == has_key
    checked = TYPES["vm"].check({name: value for name, value in guest.items() if name != "type"})
    wanted, _parts = TYPES["vm"].read(checked.values, checked.nulls)
    assert wanted.findings == ()
    read = IMAGE.accept(guest["image"])
    assert str(read) == image
    assert read.is_volume or named.wanted_image(read, "import", "image").source in named.SOURCES


def test_home_assistant_has_its_profile_and_its_sizes() -> None:
    (guest,), _terminal = asked("5", "", "", "haos", *[""] * 7, "no")
    assert (guest["profile"], guest["memory"], guest["disks"]) == ("haos", 4096, [{"storage": "big", "size": "32G"}])


@pytest.mark.parametrize(
    ("offered", "default"),
    [
        (["arch-base", "debian-12-standard"], "debian-12-standard"),
        (["fedora-42-default"], "fedora-42-default"),
        ([], "debian-13-standard"),
    ],
)
def test_the_template_for_enter_is_one_that_can_be_had(offered: list[str], default: str) -> None:
    assert template_default({"offered": [{"package": name} for name in offered]}) == default


def test_the_number_that_is_shown_is_that_which_the_guest_gets() -> None:
    _guests, terminal = asked("1", "", "102", *[""] * 10, "yes", "1", *[""] * 12, "yes", "1", *[""] * 12, "no")
    assert [prompt for prompt in terminal.prompts if prompt.startswith("Number")] == [
        f"Number (blank for {number}): " for number in (101, 101, 103)
    ]


# -- guests ------------------------------------------------------------------------------------------------------------
def test_enter_at_each_question_makes_a_container() -> None:
    (guest,), terminal = asked(*[""] * 13, "n")
    assert guest == {
        "name": "ct2", "type": "lxc", "ostemplate": "debian-13-standard", "cores": 1, "memory": 512, "onboot": True,
        "rootfs": {"storage": "big", "size": 4}, "networks": [{"bridge": "vmbr0", "ip": "dhcp"}], "state": "started",
    }  # fmt: skip
    assert "Name [ct2]: " in terminal.prompts


def test_wrong_answers_are_reported_at_once_and_asked_again() -> None:
    answers = "1|ct1|ok-name|100|101|||12|1024|2||vmbr9|2|5000|30|192.168.1|192.168.1.20/24|192.168.1.1|no key"
    answers += "|ssh-ed25519 AAAAC3Nz me@home|no|no"
    (guest,), terminal = asked(*answers.split("|"))
    assert (guest["name"], guest["vmid"], guest["memory"], guest["onboot"]) == ("ok-name", "101", "1024", False)
    assert guest["rootfs"]["storage"] == "small"
    assert guest["networks"] == [{"bridge": "vmbr1", "tag": "30", "ip": "192.168.1.20/24", "gateway": "192.168.1.1"}]
    told = "\n".join(terminal.shown)
    for word in (
        "already a guest named ct1",
        "100 is ct1's",
        "memory",
        "'vmbr9' is none of these",
        "tag",
        "ip",
        "ssh_public_keys",
    ):
        assert word in told, word


def test_back_returns_to_the_question_before_also_over_those_that_were_not_asked() -> None:
    # name, then back to the kind, and a router instead; of static WAN questions none is asked with dhcp
    guests, _terminal = asked("1", "<", "3", "gw", *[""] * 4, "<", "", "pppoe", "me", "secret", *[""] * 4, "no")
    assert [(guest["type"], guest["interfaces"]["wan"]["proto"]) for guest in guests] == [("openwrt_lxc", "pppoe")]


def test_a_password_is_in_the_guest_and_nowhere_to_be_seen() -> None:
    (guest,), terminal = asked("3", *[""] * 5, "pppoe", "me", "s3cret-word", *[""] * 4, "no")
    assert guest["interfaces"]["wan"]["password"] == "s3cret-word"
    assert terminal.secret == ["s3cret-word"]
    assert "s3cret-word" not in "\n".join([*terminal.prompts, *terminal.shown])


@pytest.mark.parametrize("kind", [choice.value for choice in KINDS])
def test_what_is_typed_of_any_secret_option_is_hidden(kind: str) -> None:
    for question in questions(kind, NODE, []):
        assert question.secret == (question.path.split("__")[-1] in SECRET_OPTIONS), question.path


def test_an_application_is_found_by_a_part_of_its_name() -> None:
    guests, terminal = asked("2", "postgr", "postgresql", *[""] * 8, "no")
    assert (guests[0]["app"], guests[0]["name"]) == ("postgresql", "postgresql1")
    assert any("have 'postgr' in their name" in text for text in terminal.shown)


def test_several_guests_have_names_of_their_own() -> None:
    guests, _terminal = asked("5", *[""] * 11, "yes", "5", *[""] * 11, "no")
    assert [guest["name"] for guest in guests] == ["vm1", "vm2"]


def test_help_explains_and_asks_again() -> None:
    _guests, terminal = asked("?", *[""] * 13, "no")
    assert any("goes back" in text for text in terminal.shown[1:])


@pytest.mark.parametrize("before", [(), ("1", "web1"), ("3", "")])
def test_the_user_may_end_at_any_question(before: tuple[str, ...]) -> None:
    with pytest.raises(Quit):
        ask_guests(Scripted(*before, "q!"), NODE)


def test_a_long_list_is_shown_in_part() -> None:
    names = [Choice(f"n{number}") for number in range(30)]
    terminal = Scripted("n29")
    question = Question("x", "Which", choices=lambda _answers: names)
    assert ask_all(terminal, [question], lambda _answers, _question: "") == {"x": "n29"}
    assert len(terminal.shown) == 21
    assert "10 more" in terminal.shown[-1]
