# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what is asked of a new guest, of each type: data over what the node has. Answers are held
against the options of the type, as a run would hold them."""

from __future__ import annotations

import functools
import itertools
import re
import typing as t

from ansible_collections.pve.provision.plugins.filter.guests import nested, yaml_lines
from ansible_collections.pve.provision.plugins.module_utils._guests.registry import SECRET_OPTIONS, TYPES
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import gib
from ansible_collections.pve.provision.plugins.plugin_utils.app_catalog import facts
from ansible_collections.pve.provision.plugins.plugin_utils.apps import own_names
from ansible_collections.pve.provision.plugins.plugin_utils.wizard import images
from ansible_collections.pve.provision.plugins.plugin_utils.wizard.dialog import (
    KEYS,
    Answers,
    Choice,
    Question,
    Terminal,
    ask_all,
)

Node = t.Mapping[str, t.Any]
Guest = dict[str, t.Any]

KINDS: t.Final = (
    Choice("container", "a container"),
    Choice("application", "an application in a container"),
    Choice("openwrt_lxc", "an OpenWrt router as a container"),
    Choice("openwrt_vm", "an OpenWrt router as a VM"),
    Choice("vm", "a virtual machine"),
)
_TYPE: t.Final = {"container": "lxc", "application": "lxc"}
#: What is made from most often, so that it is shown first.
_TEMPLATES: t.Final = ("debian-13-standard", "debian-12-standard", "ubuntu-24.04-standard", "alpine-3.22-default")
_BAR: t.Final = 20
#: What is asked for next and belongs to an answer: until then something stands in its place.
_TO_COME: t.Final = {"interfaces__wan__username": {"interfaces__wan__password": "to come"}}
_HIDDEN: t.Final = "(not shown)"
_YES_OR_NO: t.Final = (Choice(True, "yes"), Choice(False, "no"))


def storage_choices(node: Node, content: str) -> list[Choice]:
    """The storages that take such content, the one with the most room first, with bars of what is in use."""
    found = [each for each in node.get("storages") or () if content in each["content"] and each.get("active")]
    found.sort(key=lambda each: -(each.get("available") or 0))
    return [Choice(each["name"], f"{each['name']:<16} {_bar(each)}") for each in found]


def _bar(storage: t.Mapping[str, t.Any]) -> str:
    total, free = storage.get("total") or 0, storage.get("available") or 0
    if not total:
        return "(size not known)"
    used = round(_BAR * (total - free) / total)
    return f"[{'#' * used}{'.' * (_BAR - used)}] {gib(free)} of {gib(total)} GiB free"


def bridge_choices(node: Node) -> list[Choice]:
    """The bridges of the node with the networks it has there."""
    return [
        Choice(each["name"], f"{each['name']:<12} {', '.join(each.get('addresses') or ())}".rstrip())
        for each in node.get("bridges") or ()
    ]


def template_choices(node: Node) -> list[Choice]:
    """Templates by name: those on the node, and those that its index offers."""
    names = [re.sub(r"^.*/|_.*$", "", volid) for volid in node.get("templates") or ()]
    here = list(dict.fromkeys(name for name in names if not name.startswith("openwrt")))
    offered = {str(each["package"]) for each in node.get("offered") or ()}.difference(here)
    more = [*(name for name in _TEMPLATES if name in offered), *sorted(offered.difference(_TEMPLATES))]
    return [
        *(Choice(name, f"{name} (on the node)") for name in here),
        *(Choice(name, f"{name} (fetched)") for name in more),
    ]


def template_default(node: Node) -> str:
    """The usual template, or another one where it is missing."""
    names = [str(choice.value) for choice in template_choices(node)]
    return next((name for name in _TEMPLATES if name in names), names[0] if names else _TEMPLATES[0])


def next_number(node: Node, declared: t.Sequence[Guest]) -> int | None:
    """The number that one more guest would get, as far as the node tells."""
    taken = {str(each.get("vmid")) for each in [*(node.get("guests") or ()), *declared]}
    before = sum(not each.get("vmid") for each in declared)
    free = (number for number in itertools.count(node.get("next_vmid") or 0) if str(number) not in taken)
    return next(itertools.islice(free, before, None)) if node.get("next_vmid") else None


@functools.cache
def app_choices() -> tuple[Choice, ...]:
    """The applications: those that are set up first, then those of which the size is known."""
    own = own_names()
    known = {name: each for name, each in facts().items() if name not in own}
    rest = (Choice(name, f"{name}: {each['title']} (the container only)") for name, each in sorted(known.items()))
    return (*(Choice(name, f"{name} (installed and checked)") for name in own), *rest)


def free_name(node: Node, declared: t.Sequence[Guest], stem: str) -> str:
    """A name that no guest has."""
    taken = {str(each.get("name")).lower() for each in [*(node.get("guests") or ()), *declared]}
    return next(name for name in (f"{stem}{number}" for number in range(1, 10000)) if name not in taken)


def _first(choices: t.Sequence[Choice]) -> t.Any:
    return choices[0].value if choices else ""


def _network(node: Node) -> list[Question]:
    bridges = bridge_choices(node)
    return [
        Question(
            "networks__0__bridge", "Bridge", "The bridge that its network card is on.", lambda _a: _first(bridges),
            lambda _a: bridges,
        ),
        Question("networks__0__tag", "VLAN tag (blank for none)", "1 to 4094, where the bridge carries VLANs."),
        Question(
            "networks__0__ip", "IPv4 address", "dhcp, or an address with prefix length such as 192.168.1.20/24.",
            lambda _a: "dhcp",
        ),
        Question(
            "networks__0__gateway", "Gateway (blank for none)", "The router of that network.",
            when=lambda answers: "/" in str(answers.get("networks__0__ip")),
        ),
    ]  # fmt: skip


def _keys(path: str, when: t.Callable[[Answers], bool] = lambda _answers: True) -> Question:
    words = "A line of ~/.ssh/id_ed25519.pub; it may log in as root."
    return Question(path, "SSH public key (blank for none)", words, when=when)


def _router(node: Node) -> list[Question]:
    bridges = bridge_choices(node)
    other = bridges[1:] or bridges
    return [
        Question("version", "OpenWrt release", "24 is the newest of 24.x.", lambda _a: "24"),
        Question("interfaces__wan__bridge", "Bridge of WAN", "", lambda _a: _first(bridges), lambda _a: bridges),
        Question("interfaces__wan__tag", "VLAN tag of WAN (blank for none)"),
        Question(
            "interfaces__wan__proto", "How WAN gets its address", "", lambda _a: "dhcp",
            lambda _a: [Choice("dhcp"), Choice("static"), Choice("pppoe")],
        ),
        Question("interfaces__wan__address", "Address of WAN", "With prefix length.", when=_is_static),
        Question("interfaces__wan__gateway", "Gateway of WAN", "", when=_is_static),
        Question("interfaces__wan__username", "User name of PPPoE", when=_is_pppoe),
        Question("interfaces__wan__password", "Password of PPPoE (not shown)", when=_is_pppoe, secret=True),
        Question("interfaces__lan__bridge", "Bridge of LAN", "", lambda _a: _first(other), lambda _a: bridges),
        Question("interfaces__lan__tag", "VLAN tag of LAN (blank for none)", "It must not be the network of WAN."),
        Question("interfaces__lan__address", "Its address in LAN", "With prefix length.", lambda _a: "192.168.1.1/24"),
        _keys("management__ssh_keys__0"),
    ]  # fmt: skip


def _is_static(answers: Answers) -> bool:
    return answers.get("interfaces__wan__proto") == "static"


def _is_pppoe(answers: Answers) -> bool:
    return answers.get("interfaces__wan__proto") == "pppoe"


def questions(kind: str, node: Node, declared: t.Sequence[Guest]) -> list[Question]:
    """What is asked of a new guest of this kind."""
    stem = {"container": "ct", "application": "app", "vm": "vm"}.get(kind, "gw")
    number = next_number(node, declared)
    asked = [
        Question("app", "Application", "Type a part of its name to search.", choices=lambda _a: app_choices()),
        Question(
            "name", "Name", "Letters, digits and hyphens; runs find the guest again by it.",
            lambda answers: free_name(node, declared, str(answers.get("app") or stem)),
        ),
        Question("vmid", f"Number (blank for {number or 'the next one that is free'})", "100 to 999999999."),
    ]  # fmt: skip
    if kind != "application":
        del asked[0]
    if kind.startswith("openwrt"):
        return [*asked, *_router(node)]
    keys = _keys("cloud_init__ssh_keys__0", images.has_cloud_init) if kind == "vm" else _keys("ssh_public_keys__0")
    start = Question("onboot", "Start with the node", "", lambda _a: True, lambda _a: _YES_OR_NO)
    network = _network(node)[:2] if kind == "vm" else _network(node)
    return [*asked, *_size(kind, node), *network, keys, start]


def _size(kind: str, node: Node) -> list[Question]:
    """What a guest is made from, and how large."""
    containers, disks = storage_choices(node, "rootdir"), storage_choices(node, "images")
    return {
        "container": [
            Question(
                "ostemplate", "Template", "", lambda _a: template_default(node), lambda _a: template_choices(node), True
            ),
            Question("cores", "CPU cores", "", lambda _a: 1),
            Question("memory", "Memory in MiB", "", lambda _a: 512),
            Question("rootfs__storage", "Storage", "", lambda _a: _first(containers), lambda _a: containers),
            Question("rootfs__size", "Disk in GiB", "", lambda _a: 4),
        ],
        "application": [
            Question("rootfs__storage", "Storage", "", lambda _a: _first(containers), lambda _a: containers),
        ],
        "vm": [
            Question(
                "image",
                "Image",
                "A version may follow the name: debian-12, ubuntu-24.04, alpine-3.22.",
                lambda _a: images.USUAL,
                lambda _a: images.image_choices(node),
                True,
            ),
            Question("cores", "CPU cores", "", lambda answers: images.options(answers)["cores"]),
            Question("memory", "Memory in MiB", "", lambda answers: images.options(answers)["memory"]),
            Question("disks__0__storage", "Storage", "", lambda _a: _first(disks), lambda _a: disks),
            Question(
                "disks__0__size",
                "Disk",
                "With a unit, such as 16G.",
                lambda answers: images.options(answers)["disks"][0]["size"],
            ),
        ],
    }[kind]


def guest_of(kind: str, answers: Answers) -> Guest:
    """The guest that the answers declare."""
    more: Answers = images.profiled(answers.get("image")) if kind == "vm" else {}
    if kind.startswith("openwrt"):
        more["management__from__0"] = "lan"
    flat = {name: value for name, value in {**answers, **more}.items() if name not in ("name", "vmid")}
    first: Guest = {name: answers[name] for name in ("name", "vmid") if name in answers}
    return {**first, "type": _TYPE.get(kind, kind), **nested(flat), "state": "started"}


def problem(kind: str, node: Node, declared: t.Sequence[Guest], answers: Answers, question: Question) -> str:
    """What is wrong with the last answer, in words with what to do; empty when nothing is."""
    guest = guest_of(kind, {**_TO_COME.get(question.path, {}), **answers})
    taken = [str(each.get("name")).lower() for each in [*(node.get("guests") or ()), *declared]]
    if question.path == "name" and str(guest.get("name")).lower() in taken:
        return f"There is already a guest named {guest['name']}. Type another name."
    numbers = {each.get("vmid"): each.get("name") for each in [*(node.get("guests") or ()), *declared]}
    if question.path == "vmid" and str(guest["vmid"]).isdigit() and int(guest["vmid"]) in numbers:
        return f"{guest['vmid']} is {numbers[int(guest['vmid'])]}'s. Type another number, or nothing."
    options = {name: value for name, value in guest.items() if name != "type"}
    typed = TYPES[guest["type"]]
    checked = typed.check(options)
    findings = list(checked.findings)
    if not findings and "app" not in guest:
        wanted, _parts = typed.read(checked.values, checked.nulls)
        findings = list(wanted.findings)
    words = [str(finding) for finding in findings if _is_about(finding.option, question.path)]
    return "\n".join(words)


def _is_about(option: str, path: str) -> bool:
    """Whether a finding is about the option of a question: ``networks[0].ip`` about ``networks__0__ip``."""
    told = [part for part in re.split(r"[.\[\]]+", option) if part and not part.isdigit()]
    ours = [part for part in path.split("__") if not part.isdigit()]
    told = ["name" if part == "hostname" else part for part in told]
    return told[: len(ours)] == ours or (told == ours[:1] and len(ours) > 1)


def shown(value: t.Any) -> t.Any:
    """A guest as it may be shown: without its secrets."""
    if isinstance(value, list):
        return [shown(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    return {name: _HIDDEN if name in SECRET_OPTIONS else shown(entry) for name, entry in value.items()}


def ask_guest(terminal: Terminal, node: Node, declared: t.Sequence[Guest]) -> Guest | None:
    """One guest; None when the user went back beyond the first question."""
    while True:
        first = [Question("kind", "What is to be made", "", lambda _a: "container", lambda _a: KINDS)]
        chosen = ask_all(terminal, first, lambda _answers, _question: "")
        if chosen is None:
            return None
        kind = str(chosen["kind"])
        check = functools.partial(problem, kind, node, declared)
        answers = ask_all(terminal, questions(kind, node, declared), check)
        if answers is not None:
            return guest_of(kind, answers)


def ask_guests(terminal: Terminal, node: Node) -> list[Guest]:
    """Guests, until there are enough."""
    terminal.show(f"New guests. {KEYS}")
    declared: list[Guest] = []
    more = [Question("more", "Another guest", "", lambda _a: False, lambda _a: _YES_OR_NO)]
    while True:
        guest = ask_guest(terminal, node, declared)
        if guest is not None:
            declared.append(guest)
            terminal.show("\n".join(yaml_lines([shown(guest)])))
        elif not declared:
            continue
        answer = ask_all(terminal, more, lambda _answers, _question: "")
        if answer is None:  # back: the last guest is asked for again
            declared.pop()
        elif not answer.get("more"):
            return declared
