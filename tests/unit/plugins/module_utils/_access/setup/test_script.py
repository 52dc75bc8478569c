# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the setup script asks and changes, run by real shells."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._access.setup.answer import parse_answer
from ansible_collections.pve.provision.plugins.module_utils._access.setup.render import apply_script, ask_script

from . import support
from .support import ME, SHELLS, FakeGuest

ED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ ada@example"
HASH = "$6$salt$hash./"
MANAGERS = [("apt", "systemd"), ("apk", "openrc"), ("dnf", "systemd"), ("zypper", "systemd"), ("pacman", "systemd")]


@pytest.fixture
def guest(tmp_path: Path) -> FakeGuest:
    return FakeGuest(tmp_path)


def everything(root: Path) -> dict[str, t.Any]:
    return {
        "packages": ["nginx", {"name": "exim", "state": "absent"}],
        "users": [
            {"name": "ada", "comment": "Ada's", "groups": ["docker"], "ssh_keys": [ED], "password_hash": HASH},
            {"name": "gone", "state": "absent"},
        ],
        "files": [
            {"path": f"{root}/etc/nginx.conf", "content": "listen 80;\n", "mode": "0640", "notify": ["nginx"]},
            {"path": f"{root}/srv/www", "state": "directory"},
            {"path": f"{root}/etc/link", "target": "nginx.conf"},
            {"path": f"{root}/etc/junk", "state": "absent"},
            {"path": f"{root}/etc/token", "secret_content": "s3cret"},
        ],
        "services": {"nginx": True, "cron": {"enabled": False}},
        "commands": [
            {"command": f"touch {root}/early", "creates": f"{root}/early", "before_services": True},
            {"name": "late", "command": f"echo $HOME > {root}/late", "unless": f"test -s {root}/late"},
        ],
    }


def shells() -> list[t.Any]:
    return [
        pytest.param(name, manager, init, marks=pytest.mark.skipif(not argv[0], reason=f"no {name}"))
        for name, argv in SHELLS.items()
        for manager, init in (MANAGERS if name == "sh" else MANAGERS[:2])
    ]


@pytest.mark.parametrize(("shell", "manager", "init"), shells())
def test_a_guest_is_set_up_reported_and_left_alone_then(tmp_path: Path, shell: str, manager: str, init: str) -> None:
    guest = FakeGuest(tmp_path, shell=shell, manager=manager, init=init)
    for name in ("nginx", "cron"):
        (guest.path("brings") / name).write_text("")
        guest.path(f"units/{name}").touch()
        guest.path(f"etc/init.d/{name}").write_text("#!/sbin/openrc-run\n")
        guest.path(f"etc/init.d/{name}").chmod(0o755)
    for path in ("packages/exim", "units/cron.enabled", "etc/runlevels/default/cron", "etc/junk"):
        guest.path(path).touch()
    with guest.path("etc/passwd").open("a") as file:
        file.write("gone:x:1001:1001::/home/gone:/bin/sh\n")
    params = everything(guest.root)
    assert guest.converge(params) == [
        "packages: nginx: install",
        "packages: exim: remove",
        "users: ada: create",
        "users: gone: remove",
        f"files: {guest.root}/etc/nginx.conf: create",
        f"files: {guest.root}/srv/www: create",
        f"files: {guest.root}/etc/link: create",
        f"files: {guest.root}/etc/junk: remove",
        f"files: {guest.root}/etc/token: create",
        f"commands: touch {guest.root}/early: run",
        "services: nginx: enable, start",
        "services: cron: disable",
        "commands: late: run",
    ]
    assert guest.path("etc/nginx.conf").read_text() == "listen 80;\n"
    assert oct(guest.path("etc/nginx.conf").stat().st_mode)[-4:] == "0640"
    assert oct(guest.path("etc/token").stat().st_mode)[-4:] == "0600"
    assert guest.path("late").read_text() == f"{guest.root}\n"
    assert f"ada:{HASH}:" in guest.path("etc/shadow").read_text()
    assert "Ada's" in guest.path("etc/passwd").read_text()
    assert guest.path("home/ada/.ssh/authorized_keys").read_text() == f"{ED}\n"
    assert "docker:x:5:ada\n" in guest.path("etc/group").read_text()
    assert not list(guest.root.rglob("*.pve-provision"))


@pytest.mark.parametrize(("manager", "init"), MANAGERS)
def test_what_is_not_declared_any_more_is_taken_back_and_nothing_else(tmp_path: Path, manager: str, init: str) -> None:
    guest = FakeGuest(tmp_path, manager=manager, init=init)
    theirs = {"etc/nginx.conf": "theirs\n", "etc/junk": "junk\n"}
    for name, text in theirs.items():
        guest.path(name).write_text(text)
    guest.path("packages/exim").touch()
    for name in ("nginx", "cron"):
        guest.path(f"units/{name}").touch()
        guest.path(f"etc/init.d/{name}").touch(mode=0o755)
    guest.path("packages/there").touch()
    guest.path("home/ada/.ssh").mkdir(parents=True)
    params = everything(guest.root)
    guest.converge({**params, "packages": [*params["packages"], "there"]})
    other = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ other"
    keys = guest.path("home/ada/.ssh/authorized_keys")
    keys.write_text(f"{other}\n{keys.read_text()}")
    told = guest.converge({"users": [{"name": "ada"}], "packages": []})
    assert sorted(told) == sorted([
        "packages: nginx: remove (not declared any more)",
        "users: ada: group docker: remove (not declared any more)",
        "users: ada: ssh_key: remove (not declared any more)",
        f"files: {guest.root}/etc/nginx.conf: restore (not declared any more)",
        f"files: {guest.root}/srv/www: remove (not declared any more)",
        f"files: {guest.root}/etc/link: remove (not declared any more)",
        f"files: {guest.root}/etc/junk: restore (not declared any more)",
        f"files: {guest.root}/etc/token: remove (not declared any more)",
        "services: nginx: put back (not declared any more)",
    ])  # fmt: skip
    assert {name: guest.path(name).read_text() for name in theirs} == theirs
    assert not guest.path("etc/token").exists()
    assert keys.read_text() == f"{other}\n"
    assert guest.path("packages/there").exists()
    assert not guest.path("packages/nginx").exists()
    assert guest.converge({"packages": []}) == ["users: ada: remove (not declared any more)"]
    assert list(guest.path("var/lib/pve-provision/setup").iterdir()) == []


# What tells that package tool needs lib, by what programs of each system say.
NEEDS = {
    "apt": ("apt-get", """\
case "$*" in
*" -s "*remove*lib*tool* | *" -s "*remove*tool*lib*) echo "Remv lib [1]"; echo "Remv tool [1]"; exit ;;
*" -s "*remove*lib*) echo "Remv tool [1]"; echo "Remv lib [1]"; exit ;;
esac
"""),
    "dnf": ("rpm", """\
case "$*" in
"-e --test"*tool*) exit ;;
"-e --test"*lib*) exit 1 ;;
"-q --whatprovides --qf"*) shift 4; echo "$@"; exit ;;
esac
"""),
    "pacman": ("pacman", 'case "$*" in -Rp*tool*) ;; -Rp*lib*) exit 1 ;; esac\n'),
}  # fmt: skip


def test_an_account_that_was_there_loses_what_it_was_given_and_keeps_what_it_is(guest: FakeGuest) -> None:
    with guest.path("etc/passwd").open("a") as file:
        file.write("bob:x:1000:1000::/home/bob:/bin/sh\n")
    with guest.path("etc/shadow").open("a") as file:
        file.write(f"bob:{HASH}:20000:0:99999:7:::\n")
    guest.path("home/bob").mkdir()
    bob = {"name": "bob", "groups": ["docker"], "comment": "Bob", "locked": True, "shell": "/bin/bash"}
    guest.converge({"users": [bob]})
    assert guest.converge({"users": []}) == ["users: bob: group docker: remove (not declared any more)"]
    assert ":Bob:/home/bob:/bin/bash\n" in guest.path("etc/passwd").read_text()
    assert f"bob:!{HASH}:" in guest.path("etc/shadow").read_text()


@pytest.mark.parametrize("manager", NEEDS)
@pytest.mark.parametrize("tool_is_ours", [True, False])
def test_a_package_that_others_need_is_theirs(tmp_path: Path, manager: str, tool_is_ours: bool) -> None:
    guest = FakeGuest(tmp_path, manager=manager)
    program, says = NEEDS[manager]
    guest.program(program, says + support.MANAGERS[manager][program])
    guest.path("packages/other").touch()
    guest.converge({"packages": ["lib", "more", *(["tool"] if tool_is_ours else [])]})
    guest.path("packages/tool").touch()
    told = guest.converge({"packages": [{"name": "other", "state": "absent"}]})
    verbs = {line.split(": ")[1]: line.split(": ")[2].split(" ")[0] for line in told}
    assert verbs == {
        "other": "remove",
        "more": "remove",
        "lib": "remove" if tool_is_ours else "keep",
        **({"tool": "remove"} if tool_is_ours else {}),
    }
    left = {path.name for path in guest.path("packages").iterdir()}
    assert left == (set() if tool_is_ours else {"lib", "tool"})


def test_what_others_changed_since_is_theirs(guest: FakeGuest) -> None:
    path = guest.path("etc/motd")
    guest.converge({"files": [{"path": str(path), "content": "ours"}]})
    path.write_text("theirs")
    assert guest.converge({"files": []}) == [f"files: {path}: keep (not declared any more)"]
    assert path.read_text() == "theirs"


def test_what_is_gone_is_no_more_ours(guest: FakeGuest) -> None:
    guest.converge({"packages": ["vim"]})
    guest.path("packages/vim").unlink()
    assert guest.converge({"packages": []}) == ["packages: vim: forget (not declared any more)"]
    guest.path("packages/vim").touch()
    assert guest.converge({"packages": []}) == []


FILES: list[tuple[dict[str, t.Any], str, str]] = [
    ({"content": "new"}, "content", "new"),
    ({"content": "old", "mode": "0600"}, "mode", "old"),
    ({"content": "new", "mode": "0600", "owner": ME}, "content, mode", "new"),
    ({"content": "old", "owner": ME}, "", "old"),
    ({"content": "old"}, "", "old"),
    ({"content": ""}, "content", ""),
    ({"content": "new\n\n"}, "content", "new\n\n"),
    ({"state": "absent"}, "remove", ""),
]


@pytest.mark.parametrize(("declared", "verbs", "text"), FILES)
def test_of_a_file_only_what_differs_changes(
    guest: FakeGuest, declared: dict[str, t.Any], verbs: str, text: str
) -> None:
    path = guest.path("etc/some file")
    path.write_text("old")
    path.chmod(0o644)
    told = guest.converge({"files": [{"path": str(path), **declared}]})
    assert told == ([f"files: {path}: {verbs}"] if verbs else [])
    if declared.get("state") != "absent":
        assert path.read_text() == text
        assert oct(path.stat().st_mode)[-4:] == declared.get("mode", "0644")


def test_a_file_behind_a_link_is_written_where_it_is(guest: FakeGuest) -> None:
    guest.path("etc/real").write_text("old")
    guest.path("etc/link").symlink_to(guest.path("etc/real"))
    guest.converge({"files": [{"path": str(guest.path("etc/link")), "content": "new"}]})
    assert guest.path("etc/link").is_symlink()
    assert guest.path("etc/real").read_text() == "new"


@pytest.mark.parametrize("before", ["none", "link", "file", "link to a folder"])
def test_a_link_points_where_it_is_to(guest: FakeGuest, before: str) -> None:
    path = guest.path("etc/localtime")
    if before == "file":
        path.write_text("UTC")
    elif before != "none":
        path.symlink_to(guest.root if "folder" in before else "elsewhere")
    guest.converge({"files": [{"path": str(path), "target": "zone info"}]})
    assert str(path.readlink()) == "zone info"
    assert not (guest.root / "localtime.pve-provision").exists()
    guest.converge({"files": []})
    assert path.is_symlink() == before.startswith("link")
    assert path.exists() == (before in ("file", "link to a folder"))


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"content": "a"}, "is a folder"),
        ({"target": "a"}, "is a folder"),
        ({"state": "directory"}, "is not a folder"),
    ],
)
def test_what_would_be_in_the_way_is_found_beforehand(guest: FakeGuest, declared: dict[str, t.Any], words: str) -> None:
    path = guest.path("etc/x")
    path.touch() if declared.get("state") else path.mkdir()
    answer = guest.answer({"files": [{"path": str(path), **declared}]})
    assert answer.faults == [("0", f"{path} {words}")]


@pytest.mark.parametrize(
    ("target", "words"),
    [("/dev/null", "is not a regular file"), ("/nowhere/at/all", "is a link that leads nowhere")],
)
def test_what_is_no_file_is_not_written_over(guest: FakeGuest, target: str, words: str) -> None:
    path = guest.path("etc/masked.service")
    path.symlink_to(target)
    params: dict[str, t.Any] = {"files": [{"path": str(path), "content": "[Unit]\n"}]}
    assert guest.answer(params).faults == [("0", f"{path} {words}")]
    failed = parse_answer(guest.run(apply_script(guest.setup(params), root=str(guest.root)))).failed
    assert failed == ("0", f"{path} {words}")
    assert str(path.readlink()) == target


def test_a_folder_that_is_not_empty_stays(guest: FakeGuest) -> None:
    path = guest.path("srv/data")
    guest.converge({"files": [{"path": str(path), "state": "directory"}]})
    (path / "photo").touch()
    done = guest.apply({"files": [{"path": str(path), "state": "absent"}]})
    assert done.failed == ("0", f"{path} could not be removed")
    assert guest.converge({"files": []})
    assert (path / "photo").exists()


def test_a_download_is_what_was_meant_or_is_not_taken(guest: FakeGuest) -> None:
    path = guest.path("opt/tool")
    good = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"  # hello
    params = {"files": [{"path": str(path), "url": "https://example.com/tool", "sha256": good, "mode": "0755"}]}
    guest.path("download").write_text("evil")
    done = guest.apply(params)
    assert done.failed == ("2", f"{path} could not be written")
    assert good in done.said[0]
    assert not list(path.parent.glob("tool*"))
    guest.path("download").write_text("hello")
    guest.converge(params)
    assert path.read_text() == "hello"


REPOSITORY = {"name": "r", "uris": ["https://r/{id}/{major}/{minor}"], "manager": "apt"}


def test_a_repository_knows_what_the_guest_is(guest: FakeGuest) -> None:
    script = apply_script(guest.setup({"repositories": [REPOSITORY]}), root=str(guest.root), patience=1)
    done = guest.run(script.replace(" /etc/apt/", f" {guest.root}/etc/apt/"))
    assert "done create" in done
    listing = guest.path("etc/apt/sources.list.d/r.sources")
    assert listing.read_text() == "Types: deb\nURIs: https://r/debian/13/13.1\nSuites: trixie\nComponents: main\n"
    assert [call.split()[-1] for call in guest.calls if call.startswith("apt-get")] == ["update"]


# -- packages --------------------------------------------------------------------------------------------------------


def test_packages_are_installed_by_one_command_after_the_lists_were_read(guest: FakeGuest) -> None:
    guest.converge({"packages": ["a", "b", {"name": "c", "manager": "apk"}]})
    assert [call.split()[-1] for call in guest.calls if call.startswith("apt-get")] == ["update", "b"]
    assert any(call.endswith("install a b") for call in guest.calls)


@pytest.mark.parametrize(
    ("said", "tries"), [("E: Temporary failure resolving", 2), ("E: The repository is not signed", 2)]
)
def test_the_lists_are_asked_for_again_and_then_the_manager_is_quoted(guest: FakeGuest, said: str, tries: int) -> None:
    guest.program("sleep", f"echo {said!r} > $R/slept; rm -f $R/fails-update")
    guest.path("fails-update").write_text(f"{said}\n")
    guest.converge({"packages": ["a"]})
    assert guest.path("slept").exists()
    assert sum(call.endswith("update") for call in guest.calls) == tries


@pytest.mark.parametrize(
    "said",
    [
        "System management is locked by the application with pid 71 (zypper).",
        "error: failed to init transaction (unable to lock database)",
    ],
)
def test_packages_wait_for_another_run_of_the_manager(guest: FakeGuest, said: str) -> None:
    guest.program("sleep", 'echo "$1" >> $R/slept; rm -f $R/fails-install $R/fails-remove')
    guest.path("fails-install").write_text(f"{said}\n")
    guest.converge({"packages": ["a"]})
    assert guest.path("packages/a").exists()
    guest.path("fails-remove").write_text(f"{said}\n")
    guest.converge({"packages": []})
    assert not guest.path("packages/a").exists()
    assert guest.path("slept").read_text() == "3\n3\n"


def test_a_package_manager_that_fails_is_quoted(guest: FakeGuest) -> None:
    guest.path("fails-install").write_text("reading lists\nE: Unable to locate package nosuch\n")
    done = guest.apply({"packages": ["nosuch"], "files": [{"path": str(guest.path("a")), "content": "a"}]})
    assert done.failed == ("0", "could not be installed: nosuch")
    assert done.said == ["reading lists", "E: Unable to locate package nosuch"]
    assert done.complete
    assert not guest.path("a").exists()
    guest.path("fails-install").unlink()
    guest.converge({"packages": ["nosuch"], "files": []})


def test_a_name_that_only_another_package_provides_is_refused(guest: FakeGuest) -> None:
    guest.path("virtual/mail-transport-agent").touch()
    done = guest.apply({"packages": ["mail-transport-agent"]})
    assert done.failed == ("0", "mail-transport-agent is provided by a package of another name")


@pytest.mark.parametrize(("manager", "init"), [("", "systemd"), ("apt", "")])
def test_what_a_guest_cannot_do_is_found_beforehand(tmp_path: Path, manager: str, init: str) -> None:
    guest = FakeGuest(tmp_path, manager=manager, init=init)
    guest.path("etc/init.d/nginx").touch(mode=0o755)
    params = {"packages": ["a"], "services": {"nginx": True}, "unattended_upgrades": True}
    words = [words for _number, words in guest.answer(params).faults]
    lacking = "package manager" if not manager else "service manager"
    assert words
    assert all(lacking in each for each in words)


def test_what_only_some_package_managers_have_is_found_beforehand(tmp_path: Path) -> None:
    guest = FakeGuest(tmp_path, manager="pacman")
    answer = guest.answer({"repositories": [{"name": "r", "uris": ["https://r"]}], "unattended_upgrades": True})
    assert [number for number, _words in answer.faults] == ["0", "5"]
    assert "(pacman)" in answer.faults[0][1]


def test_a_guest_that_cannot_be_written_to_says_so(guest: FakeGuest) -> None:
    guest.path("var").write_text("a file")
    script = apply_script(guest.setup({"packages": ["a"]}), root=str(guest.root))
    done = parse_answer(guest.run(script.replace("mkdir -p", "mkdir 2> /dev/null -p")))
    assert (done.failed, done.complete) == (
        ("guest", f"{guest.root}/var/lib/pve-provision/setup cannot be written"),
        True,
    )
    assert guest.calls == []


# -- services and commands -------------------------------------------------------------------------------------------

STATES: list[tuple[str, str, object, str]] = [
    ("enabled active", "", True, ""),
    ("enabled", "", True, "start"),
    ("active", "", True, "enable"),
    ("", "", True, "enable, start"),
    ("masked", "", True, "unmask, enable, start"),
    ("", "static", True, "start"),
    ("enabled active", "", False, "disable, stop"),
    ("", "", False, ""),
    ("active", "", {"enabled": True}, "enable"),
    ("active", "", {"started": False}, "stop"),
]


@pytest.mark.parametrize(("has", "text", "wanted", "verbs"), STATES)
def test_a_service_is_switched_where_it_differs(
    guest: FakeGuest, has: str, text: str, wanted: object, verbs: str
) -> None:
    guest.path("units/x").write_text(text)
    for word in has.split():
        guest.path(f"units/x.{word}").touch()
    assert guest.converge({"services": {"x": wanted}}) == ([f"services: x: {verbs}"] if verbs else [])


def test_a_service_that_is_not_there_is_told_when_it_is_its_turn(guest: FakeGuest) -> None:
    assert guest.told({"services": {"ghost": True}}) == ["services: ghost: enable, start"]
    assert guest.apply({"services": {"ghost": True}}).failed == ("0", "there is no service ghost")
    assert guest.converge({"services": {"ghost": False}}) == []


def test_what_a_package_brings_is_as_declared_after_the_run_that_installs_it(guest: FakeGuest) -> None:
    for name in ("tool", "other"):
        guest.path(f"brings/{name}").touch()
    unwanted = str(guest.path("units/other"))
    params = {
        "packages": ["tool", "other"],
        "services": {"tool": False},
        "files": [{"path": unwanted, "state": "absent"}],
    }
    assert guest.converge(params) == [
        "packages: tool: install",
        "packages: other: install",
        "services: tool: disable, stop",
    ]
    assert not guest.path("units/tool.active").exists()
    assert guest.told({"services": {"ghost": False}, "packages": ["tool"]})[-1] != "services: ghost: disable, stop"


def test_a_service_that_does_not_start_is_explained(guest: FakeGuest) -> None:
    guest.path("units/x").touch()
    guest.path("fails-start").write_text("Job for x.service failed\n")
    done = guest.apply({"services": {"x": {"started": True}}})
    assert done.failed == ("0", "could not start x")
    assert done.said == ["Job for x.service failed"]


def test_a_service_is_told_of_a_change_once_and_only_where_it_runs(guest: FakeGuest) -> None:
    for name in ("runs", "rests"):
        guest.path(f"units/{name}").touch()
    guest.path("units/runs.active").touch()
    files = [{"path": str(guest.path(name)), "content": "a", "notify": ["runs", "rests"]} for name in ("a", "b")]
    assert "services: runs: restart" in guest.converge({"files": files})
    assert [call for call in guest.calls if "restart" in call] == ["systemctl restart runs"]


def test_a_command_is_run_once_and_where_it_is_needed(guest: FakeGuest) -> None:
    mark, count = guest.path("mark"), guest.path("count")
    command = {
        "command": f"echo x >> {count}\ntouch {mark}",
        "creates": str(mark),
        "unless": f"test -e {guest.path('no')}",
    }
    guest.converge({"commands": [command]})
    guest.converge({"commands": [command]})
    assert count.read_text() == "x\n"
    mark.unlink()
    guest.path("no").touch()
    assert guest.converge({"commands": [command]}) == []


def test_a_line_that_fails_ends_a_command_and_is_reported(guest: FakeGuest) -> None:
    done = guest.path("done")
    command = {"name": "fill", "command": f"false\ntouch {done}", "creates": str(done)}
    assert guest.apply({"commands": [command]}).failed == ("0", "the command failed")
    assert not done.exists()


# -- whatever happens ------------------------------------------------------------------------------------------------


def test_a_run_that_was_killed_anywhere_is_made_good_by_the_next(tmp_path: Path) -> None:
    """The script is cut off after each program that it starts."""
    steps, rounds = 0, 0
    while True:
        guest = FakeGuest(tmp_path / str(steps))
        for name in ("nginx", "cron"):
            guest.path(f"units/{name}").touch()
        guest.path("units/nginx.active").touch()
        guest.path("etc/nginx.conf").write_text("theirs")
        params = {
            "packages": ["nginx"],
            "users": [{"name": "ada", "groups": ["docker"], "ssh_keys": [ED], "locked": True}],
            "files": [{"path": str(guest.path("etc/nginx.conf")), "content": "ours", "notify": ["nginx"]}],
            "services": {"cron": True},
        }
        script = guest.script(params, guest.ask(params))
        for tool in ("mv", "chpasswd", "useradd", "apt-get", "systemctl", "chown", "chmod"):
            wrapped = guest.path(f"bin/{tool}.real")
            guest.path(f"bin/{tool}").rename(wrapped)
            guest.program(
                tool,
                f'n=$(cat "$R/count" 2> /dev/null); n=$((${{n:-0}} + 1)); echo "$n" > "$R/count"\n'
                f'if [ "$n" -gt {steps} ]; then kill -9 "$PPID"; exit 1; fi\nexec "{wrapped}" "$@"',
            )
        env_killed = subprocess.run(
            guest.shell, input=script.encode(), capture_output=True, cwd=guest.root, timeout=60, check=False,
            env={"PATH": str(guest.root / "bin"), "HOME": str(guest.root)},
        )  # fmt: skip
        for tool in ("mv", "chpasswd", "useradd", "apt-get", "systemctl", "chown", "chmod"):
            guest.path(f"bin/{tool}.real").rename(guest.path(f"bin/{tool}"))
        guest.converge(params)
        assert guest.path("etc/nginx.conf").read_text() == "ours"
        assert any(call.endswith("restart nginx") for call in guest.calls) or steps == 0
        guest.converge({"packages": []})
        assert guest.path("etc/nginx.conf").read_text() == "theirs"
        assert "ada" not in guest.path("etc/passwd").read_text()
        assert not guest.path("packages/nginx").exists()
        if b"#setup end" in env_killed.stdout:
            break
        steps, rounds = steps + 3, rounds + 1
    assert rounds > 3


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=TEXTS, name=st.from_regex(r"[^/\x00-\x1f\x7f]{1,20}", fullmatch=True), command=TEXTS)
def test_contents_names_and_commands_arrive_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, content: str, name: str, command: str
) -> None:
    assume(name not in (".", "..") and len(name.encode()) < 100)
    guest = FakeGuest(tmp_path_factory.mktemp("guest"))
    path = guest.root / "srv" / name
    said = f"printf %s {shlex.quote(command)} > {guest.path('said')}"
    params: dict[str, t.Any] = {
        "files": [{"path": str(path), "secret_content": content}],
        "commands": [{"name": "say", "command": said, "creates": str(guest.path("said"))}],
    }
    guest.converge(params)
    assert path.read_bytes() == content.encode()
    assert guest.path("said").read_bytes() == command.encode()


def test_what_asks_holds_no_secret_and_what_changes_starts_no_program_with_one(guest: FakeGuest) -> None:
    params = {
        "users": [{"name": "ada", "password_hash": HASH}],
        "files": [{"path": str(guest.path("token")), "secret_content": "s3cret"}],
    }
    asks = ask_script(guest.setup(params))
    assert "s3cret" not in asks
    assert HASH not in asks
    for tool in ("mv", "cp", "chmod", "chown", "sha256sum", "stat", "rm", "mkdir"):
        real = shutil.which(tool)
        guest.path(f"bin/{tool}").unlink()
        guest.program(tool, f'echo "$*" >> "$R/argv"\nexec {real} "$@"')
    guest.converge(params)
    assert guest.path("argv").exists()
    assert "s3cret" not in guest.path("argv").read_text()
    assert HASH not in guest.path("argv").read_text() + "\n".join(guest.calls)
    assert not guest.path("var/lib/pve-provision/setup.log").exists()
