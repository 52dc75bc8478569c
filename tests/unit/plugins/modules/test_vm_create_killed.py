# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that makes a VM and is killed, at whatever moment: the next one leaves what one alone would have left.

Over the API, PVE's task goes on, whoever asked for it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import subprocess
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._io.files import PART
from embedded_node import commands
from embedded_node.mirror import Mirror

from .conftest import Bench, Params

# What starts nothing that leaves something.
READS = re.compile(r"(ip|stat|pveversion)\b|(qm|pvesm|pvesh) (status|list|config|pending|get|path|showcmd|cloudinit)\b")
# What each VM has of its own.
OWN = re.compile(
    r"(?m)^(vmgenid|smbios1|meta): .*\n|BC:24:11(:[0-9A-F]{2}){3}|(?<=vm-)\d+|(?<=base-)\d+|(?<=-data)-[0-9a-f]+"
)
USER_DATA = "#cloud-config\nruncmd:\n  - [touch, /ours]\n"
CONTENTS = "images,rootdir,iso,vztmpl,backup,import"
FOLDERS = ("snippets", "template/iso", "import")


@pytest.fixture(scope="module")
def running() -> t.Iterator[Mirror]:
    with Mirror(sites=("debian",)) as mirror:
        yield mirror


@pytest.fixture
def killable(bench: Bench, running: Mirror) -> Bench:
    if bench.backend == "api":
        pytest.skip("the task goes on in PVE, whoever asked for it")
    return bench


def contents(bench: Bench, types: str) -> None:
    assert commands.run(["pvesm", "set", "local", "--content", types], bench.node.root, b"")[0] == 0


# What is declared, and what else the storage takes. Between them they go through all steps of making a VM.
DECLARED: dict[str, tuple[str, Params]] = {
    "snippets": (
        f"{CONTENTS},snippets",
        {
            "state": "started",
            "bios": "ovmf",
            "efidisk": {"storage": "local-lvm"},
            "disks": [{"storage": "local-lvm", "size": "1G"}],
            "cloud_init": {"user_data": USER_DATA},
        },
    ),
    "CD image": (
        CONTENTS,
        {
            "state": "started",
            "disks": [{"storage": "local-lvm", "size": "1G"}],
            "cloud_init": {"user_data": USER_DATA},
        },
    ),
    "golden": (
        CONTENTS,
        {
            "state": "started",
            "golden": True,
            "cores": 2,
            "tags": ["web"],
            "disks": [{"storage": "local-lvm", "size": "1G"}],
            "cloud_init": {"user": "alice", "ip": [{"ip": "dhcp"}]},
        },
    ),
    "golden alone": (CONTENTS, {"golden": True, "disks": [{"storage": "local-lvm"}]}),
    "template": (CONTENTS, {"state": "template", "disks": [{"storage": "local-lvm", "size": "1G"}]}),
    "haos": (
        CONTENTS,
        {
            "state": "started",
            "profile": "haos",
            "image": None,
            "checks_timeout": 0,
            "disks": [{"storage": "local-lvm", "size": "1G", "image": None}],
            "haos": {"network": [{"ip": "192.0.2.5/24", "gateway": "192.0.2.1"}]},
        },
    ),
}


def declaration(mirror: Mirror, name: str) -> Params:
    declared = DECLARED[name][1]
    image = {"name": "debian-13", "mirrors": [mirror.base("debian")]}
    first, *others = declared["disks"]
    common = {"name": "web", "networks": [{"bridge": "vmbr0"}], "agent_timeout": 1, "ip_timeout": 0}
    return {**common, **declared, "disks": [{"image": image, **first}, *others]}


# -- existing state ----------------------------------------------------------------------------------------------------


def configs(bench: Bench) -> dict[str, str]:
    """The VMs by name, without what is another one's each time."""
    found = {}
    for path in sorted((bench.node.root / "etc/pve/qemu-server").glob("*.conf")):
        text = path.read_text(encoding="utf-8")
        text = OWN.sub("", text)
        name = re.search(r"(?m)^name: (.*)", text)
        found[name[1] if name else path.stem] = text
    return found


def volumes(bench: Bench) -> list[str]:
    rc, out, err = commands.run(["pvesm", "list", "local-lvm"], bench.node.root, b"")
    assert rc == 0, err
    return sorted(OWN.sub("", line.split()[0]) for line in out.splitlines()[1:])


def files(bench: Bench) -> list[str]:
    """Files on the storage; the name of a CD image tells of MAC addresses. A part of a file stays for an hour, in which
    somebody may be writing it."""
    place = bench.node.root / "var/lib/vz"
    found = (path for folder in FOLDERS for path in place.glob(f"{folder}/*") if not path.name.endswith(PART))
    names = [f"{path.parent.name}/{path.name}" for path in found]
    return sorted(OWN.sub("", name) for name in names)


def there(bench: Bench) -> dict[str, t.Any]:
    """All that a run leaves on a node."""
    notes = [path.name for path in (bench.node.root / "var/lib/pve-provision").glob("*/*.json")]
    work = [path.name for path in (bench.node.root / "var/cache/pve-provision").glob("work/*")]
    return {
        "configs": configs(bench),
        "volumes": volumes(bench),
        "files": files(bench),
        "notes": notes,
        "work": work,
    }


def remove_all(bench: Bench) -> None:
    for path in sorted((bench.node.root / "etc/pve/qemu-server").glob("*.conf"), reverse=True):
        for words in (["stop", path.stem], ["destroy", path.stem, "--purge", "1"]):
            commands.run(["qm", *words], bench.node.root, b"")
    for folder in FOLDERS:
        for left in (bench.node.root / "var/lib/vz" / folder).glob("*"):
            left.unlink()


# -- killed ----------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Nobody catches it."""


@contextlib.contextmanager
def mortal(bench: Bench, dies: t.Callable[[str], bool]) -> t.Iterator[None]:
    """A run that ``dies`` before something that leaves a trace, a command or a file: nothing is done from then on."""
    dead = False

    def guard(act: t.Callable[..., t.Any], told: t.Callable[[t.Any], str]) -> t.Callable[..., t.Any]:
        def guarded(*args: t.Any, **more: t.Any) -> t.Any:
            nonlocal dead
            words = told(args[0])
            dead = dead or bool(words and dies(words))
            if dead and words:
                raise Killed
            return act(*args, **more)

        return guarded

    def started(argv: t.Sequence[str]) -> str:
        words = " ".join(argv)
        return "" if READS.match(words) else words

    def written(path: t.Any) -> str:
        return str(path) if str(path).startswith(str(bench.node.root)) else ""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", guard(subprocess.Popen, started))
        for name in ("rename", "replace", "unlink", "remove"):
            patch.setattr(os, name, guard(getattr(os, name), written))
        yield


def killed(bench: Bench, params: Params, dies: t.Callable[[str], bool]) -> bool:
    """Run until then; whether it came to that."""
    with mortal(bench, dies):
        try:
            bench.run("vm_create", **params)
        except Killed:
            return True
    return False


def before(nth: int) -> t.Callable[[str], bool]:
    """Before the nth change."""
    changes = itertools.count(1)
    return lambda _words: next(changes) >= nth


def after(command: str) -> t.Callable[[str], bool]:
    """Before what comes after a command."""
    seen = False

    def dies(words: str) -> bool:
        nonlocal seen
        due, seen = seen, seen or words.startswith(command)
        return due

    return dies


def makes_good(bench: Bench, params: Params, right: dict[str, t.Any]) -> None:
    bench.good("vm_create", **params)
    assert there(bench) == right
    assert not bench.good("vm_create", **params).changed


def begin(bench: Bench, mirror: Mirror, name: str) -> tuple[Params, dict[str, t.Any]]:
    """What is declared, and what a run leaves that nobody kills."""
    contents(bench, DECLARED[name][0])
    params = {**bench.connection, **declaration(mirror, name)}
    bench.good("vm_create", **params)
    right = there(bench)
    remove_all(bench)
    return params, right


@pytest.mark.thorough
@pytest.mark.parametrize("name", DECLARED)
def test_what_a_run_left_that_was_killed_anywhere_is_made_good(killable: Bench, running: Mirror, name: str) -> None:
    params, right = begin(killable, running, name)
    nth = 1
    while killed(killable, params, before(nth)):
        makes_good(killable, params, right)
        remove_all(killable)
        nth += 1
    assert nth > 5


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("golden alone", "qm template"),
        ("golden", "qm set"),
        ("golden", "qm start"),
        pytest.param("snippets", "qm resize", marks=pytest.mark.thorough),
        ("CD image", "qm set"),
        pytest.param("haos", "qm create", marks=pytest.mark.thorough),
    ],
)
def test_what_a_killed_run_left_is_made_good_by_the_next(
    killable: Bench, running: Mirror, name: str, command: str
) -> None:
    params, right = begin(killable, running, name)
    assert killed(killable, params, lambda words: words.startswith(command))
    makes_good(killable, params, right)


@pytest.mark.parametrize(
    ("name", "moment", "command"),
    [
        ("golden alone", "alloc", "qm clone"),
        pytest.param("golden alone", "lock", "qm clone", marks=pytest.mark.thorough),
        pytest.param("golden alone", "alloc", "qm create", marks=pytest.mark.thorough),
        pytest.param("template", "config", "qm create", marks=pytest.mark.thorough),
    ],
)
def test_what_a_command_left_that_was_killed_with_its_run_is_made_good(
    killable: Bench, running: Mirror, name: str, moment: str, command: str
) -> None:
    params, right = begin(killable, running, name)
    if command == "qm clone":  # of the template that is there
        other = killable.good("vm_create", **{**params, "name": "other"})
        killable.good("vm_create", vmid=other.vmid, state="absent")
    killable.node.fault("kill", at=moment)
    assert killed(killable, params, after(command))
    makes_good(killable, params, right)


def test_a_cd_image_of_ours_that_no_vm_came_to_hold_goes_with_the_next(killable: Bench, running: Mirror) -> None:
    params, _right = begin(killable, running, "haos")
    assert killed(killable, params, lambda words: words.startswith("qm create"))
    (left,) = (name for name in files(killable) if "web-config" in name)
    killable.good("vm_create", **{**params, "haos": {"network": [{"ip": "192.0.2.6/24", "gateway": "192.0.2.1"}]}})
    assert [name == left for name in files(killable) if "web-config" in name] == [False]
