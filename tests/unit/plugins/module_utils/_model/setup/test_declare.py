# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be in a guest: how it is read, what is wrong with it, and what it comes to."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._model.setup.declare import declare_setup
from ansible_collections.pve.provision.plugins.module_utils._model.setup.items import (
    CommandItem,
    FileItem,
    Item,
    KeySource,
    PackageItem,
    ServiceItem,
    Supported,
    UserItem,
)
from ansible_collections.pve.provision.plugins.module_utils._model.setup.merge import joined
from ansible_collections.pve.provision.plugins.module_utils._model.setup.options import OF_VMS, OPTIONS, first_declared

PGP = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ==\n-----END PGP PUBLIC KEY BLOCK-----"
PEM = "-----BEGIN PUBLIC KEY-----\nMQ==\n-----END PUBLIC KEY-----\n"
FPR = "9DC8 5822 9FC7 DD38 854A E2D8 8D81 803C 0EBF CD88"
ED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ ada@example"


def items_of(params: dict[str, t.Any]) -> list[Item]:
    setup, findings = declare_setup(params, (*OPTIONS, *OF_VMS))
    assert findings == []
    return list(setup.items)


def paths(items: list[Item]) -> list[str]:
    return [f"{item.manager}:{item.path}" for item in items if isinstance(item, FileItem)]


WRONG: list[tuple[dict[str, t.Any], str, str]] = [
    ({"packages": ["-rf"]}, "packages[0].name", "is not a valid package name"),
    ({"packages": ["a", {"name": "a", "state": "absent"}]}, "packages[1].name", "is declared already"),
    ({"packages": [{"name": "a", "manager": "yum"}]}, "packages[0].manager", "is none of apt, apk"),
    ({"packages": [{"state": "absent"}]}, "packages[0].name", "is missing"),
    ({"packages": [{"name": "a", "version": "1"}]}, "packages[0].version", "is not an option"),
    ({"users": [{"name": "Ada"}]}, "users[0].name", "is not a valid name of a user"),
    ({"users": [{"name": "ada"}, {"name": "ada"}]}, "users[1].name", "is declared already"),
    ({"users": [{"name": "ada", "ssh_keys": ["AAAA"]}]}, "users[0].ssh_keys[0]", "is not a public key"),
    ({"users": [{"name": "ada", "password_hash": "hunter2"}]}, "users[0].password_hash", "is not a password hash"),
    ({"users": [{"name": "ada", "state": "absent", "shell": "/bin/sh"}]}, "users[0].shell", "makes no sense"),
    ({"users": [{"name": "root", "state": "absent"}]}, "users[0].name", "cannot be removed"),
    ({"users": [{"name": "ada", "comment": "a:b"}]}, "users[0].comment", "holds a colon"),
    ({"files": [{"path": "etc/motd", "content": ""}]}, "files[0].path", "is not an absolute path"),
    ({"files": [{"path": "/etc/../motd", "content": ""}]}, "files[0].path", "is not an absolute path"),
    ({"files": [{"path": "/etc/", "content": ""}]}, "files[0].path", "is not an absolute path"),
    ({"files": [{"path": "/a", "content": "", "mode": 420}]}, "files[0].mode", "write it in quotes"),
    ({"files": [{"path": "/a", "content": "", "mode": "u+x"}]}, "files[0].mode", "is not a valid mode"),
    ({"files": [{"path": "/a", "content": "a\0b"}]}, "files[0].content", "holds a NUL"),
    ({"files": [{"path": "/a"}]}, "files[0]", "has nothing to be made of"),
    ({"files": [{"path": "/a", "state": "link"}]}, "files[0].target", "is missing"),
    ({"files": [{"path": "/a", "state": "directory", "content": ""}]}, "files[0].content", "makes no sense"),
    ({"files": [{"path": "/a", "target": "/b", "mode": "0644"}]}, "files[0].mode", "makes no sense"),
    ({"files": [{"path": "/a", "url": "https://example.com/a"}]}, "files[0].sha256", "is missing"),
    ({"files": [{"path": "/a", "url": "ftp://example.com/a", "sha256": "0" * 64}]}, "files[0].url", "http://"),
    ({"files": [{"path": "/a", "content": ""}, {"path": "/a", "content": ""}]}, "files[1].path", "is declared already"),
    (
        {"files": [{"path": "/a", "content": "", "notify": ["a b"]}]},
        "files[0].notify[0]",
        "is not a valid service name",
    ),
    ({"services": {"../x": True}}, "services.../x", "is not a valid service name"),
    ({"services": {"nginx": {"state": "up"}}}, "services.nginx.state", "is not an option"),
    ({"services": {"nginx": "often"}}, "services.nginx", "is not a boolean"),
    ({"commands": [{"command": "true"}]}, "commands[0]", "would be run each time"),
    ({"commands": [{"command": "true", "creates": "a"}]}, "commands[0].creates", "is not an absolute path"),
    ({"locale": "english"}, "locale", "is not a locale"),
    ({"timezone": "../etc/shadow"}, "timezone", "is not a time zone"),
    ({"repositories": [{"name": "a b", "uris": ["https://a"]}]}, "repositories[0].name", "is not a name"),
    ({"repositories": [{"name": "a"}]}, "repositories[0].uris", "is missing"),
    ({"repositories": [{"name": "a", "uris": ["a"]}]}, "repositories[0].uris[0]", "is not a URL"),
    ({"repositories": [{"name": "a", "uris": ["https://a/{os}"]}]}, "repositories[0].uris", "has the placeholder 'os'"),
    (
        {"repositories": [{"name": "a", "uris": ["https://a"], "public_key_url": "https://a/k"}]},
        "repositories[0].fingerprints",
        "is missing",
    ),
    (
        {"repositories": [{"name": "a", "uris": ["https://a"], "fingerprints": [FPR]}]},
        "repositories[0].fingerprints",
        "makes no sense without",
    ),
    (
        {"repositories": [{"name": "a", "uris": ["https://a"], "public_key": "abc"}]},
        "repositories[0].public_key",
        "is not a public key",
    ),
    (
        {"repositories": [{"name": "a", "uris": ["https://a"], "public_key": PGP, "manager": "apk"}]},
        "repositories[0].manager",
        "has no repositories with such a key",
    ),
    (
        {"repositories": [{"name": "a", "uris": ["https://a"], "manager": "pacman"}]},
        "repositories[0].manager",
        "has no repositories here",
    ),
    (
        {"unattended_upgrades": True, "files": [{"path": "/etc/dnf/automatic.conf", "content": "", "manager": "dnf"}]},
        "files",
        "is written by unattended_upgrades and files",
    ),
]


@pytest.mark.parametrize(("params", "option", "problem"), WRONG)
def test_what_is_wrong_is_found(params: dict[str, t.Any], option: str, problem: str) -> None:
    _setup, findings = declare_setup(params, (*OPTIONS, *OF_VMS))
    assert [finding.option for finding in findings] == [option]
    assert problem in findings[0].problem


def test_all_that_is_wrong_is_found_at_once_and_no_secret_is_reported() -> None:
    params = {"packages": ["!"], "users": [{"name": "ada", "password_hash": "hunter2"}], "locale": "x"}
    _setup, findings = declare_setup(params)
    assert [finding.option for finding in findings] == ["packages[0].name", "users[0].password_hash", "locale"]
    assert "hunter2" not in str(findings)


def test_an_empty_list_is_a_declaration_and_nothing_is_none() -> None:
    assert first_declared({"packages": []}, OPTIONS) == "packages"
    assert first_declared({"packages": None, "cores": 2}, OPTIONS) is None


def test_the_time_zone_of_a_container_is_a_matter_of_its_config() -> None:
    declared = {"timezone": "Europe/Berlin"}
    assert (first_declared(declared, OPTIONS), first_declared(declared, (*OPTIONS, *OF_VMS))) == (None, "timezone")


def test_things_are_done_in_the_order_in_which_they_need_each_other() -> None:
    early = {"command": "early", "creates": "/x", "before_services": True}
    items = items_of({
        "commands": [{"command": "late", "unless": "false"}, early],
        "services": {"nginx.service": True},
        "files": [{"path": "/etc/a", "content": "a", "notify": ["nginx.service"]}],
        "users": [{"name": "ada"}],
        "packages": ["nginx"],
        "repositories": [{"name": "a", "uris": ["https://a"], "manager": "apt"}],
    })  # fmt: skip
    assert [(type(item), item.title) for item in items] == [
        (FileItem, "a"),
        (PackageItem, "nginx"),
        (UserItem, "ada"),
        (FileItem, "/etc/a"),
        (CommandItem, "early"),
        (ServiceItem, "nginx"),
        (CommandItem, "late"),
    ]


@pytest.mark.parametrize(
    ("value", "state"),
    [
        (True, (True, True)),
        (False, (False, False)),
        ({"enabled": True}, (True, None)),
        ({"started": False}, (None, False)),
        (None, (None, None)),
    ],
)
def test_a_service_is_switched_as_a_whole_or_in_one_respect(value: t.Any, state: tuple[bool, bool]) -> None:
    (item,) = items_of({"services": {"nginx": value}})
    assert isinstance(item, ServiceItem)
    assert (item.enabled, item.started) == state


def test_a_repository_is_what_each_package_manager_makes_of_it() -> None:
    repository = {"name": "docker", "uris": ["https://d/linux/{id}"], "components": ["stable"], "public_key": PGP}
    items = items_of({"repositories": [repository]})
    assert items[0] == Supported("repositories", "docker", ("apt", "dnf", "zypper"))
    assert paths(items) == [
        "apt:/etc/apt/keyrings/docker.asc",
        "apt:/etc/apt/sources.list.d/docker.sources",
        "dnf:/etc/pki/rpm-gpg/RPM-GPG-KEY-docker",
        "dnf:/etc/yum.repos.d/docker.repo",
        "zypper:/etc/pki/rpm-gpg/RPM-GPG-KEY-docker",
        "zypper:/etc/zypp/repos.d/docker.repo",
    ]
    key, sources, _rpm_key, repo, *_rest = [item for item in items if isinstance(item, FileItem)]
    assert (key.content, key.substituted, sources.substituted) == (f"{PGP}\n", False, True)
    assert sources.content == (
        "Types: deb\nURIs: https://d/linux/{id}\nSuites: {codename}\nComponents: stable\n"
        "Signed-By: /etc/apt/keyrings/docker.asc\n"
    )
    assert repo.content == (
        "[docker]\nname=docker\nbaseurl=https://d/linux/{id}\nenabled=1\ngpgcheck=1\n"
        "gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-docker\n"
    )


def test_a_key_of_alpine_is_for_alpine_alone_and_has_the_name_that_its_signatures_know() -> None:
    repository = {"name": "a", "uris": ["https://a/v{minor}"], "public_key": PEM, "public_key_name": "a@b-5.rsa.pub"}
    assert paths(items_of({"repositories": [repository]})) == [
        "apk:/etc/apk/keys/a@b-5.rsa.pub",
        "apk:/etc/apk/repositories.d/a.list",
    ]


def test_a_key_that_is_fetched_has_its_pin_in_its_name() -> None:
    repository = {"name": "a", "uris": ["https://a"], "public_key_url": "https://a/k", "manager": "apt"}
    key, source = items_of({"repositories": [{**repository, "fingerprints": [FPR]}]})
    assert isinstance(key, FileItem)
    assert isinstance(source, FileItem)
    assert key.key == KeySource("https://a/k", (FPR.replace(" ", ""),))
    assert (key.content, key.digest) == (None, "")
    assert f"Signed-By: {key.path}\n" in str(source.content)
    other, _source = items_of({"repositories": [{**repository, "fingerprints": ["A" * 40]}]})
    assert isinstance(other, FileItem)
    assert other.path != key.path


def test_a_repository_may_go_without_a_key_of_its_own() -> None:
    _supported, listed, *_rest = items_of({"repositories": [{"name": "a", "uris": ["https://a"], "suites": ["a/"]}]})
    assert isinstance(listed, FileItem)
    assert listed.content == "Types: deb\nURIs: https://a\nSuites: a/\n"
    trusting = [{"name": "a", "uris": ["https://a"], "trusted": True, "manager": "apt"}]
    (listed,) = items_of({"repositories": trusting})
    assert isinstance(listed, FileItem)
    assert str(listed.content).endswith("Components: main\nTrusted: yes\n")


@pytest.mark.parametrize(
    ("declared", "wanted"),
    [
        ({}, (None, "")),
        ({"locked": True}, (None, "lock")),
        ({"locked": False}, (None, "unlock")),
        ({"password_hash": "$6$a$b"}, ("$6$a$b", "")),
        ({"password_hash": "$6$a$b", "locked": True}, ("!$6$a$b", "")),
        ({"password_hash": "!", "locked": True}, ("!", "")),
    ],
)
def test_a_lock_is_a_mark_before_the_hash(declared: dict[str, t.Any], wanted: tuple[str | None, str]) -> None:
    (user,) = items_of({"users": [{"name": "ada", **declared}]})
    assert isinstance(user, UserItem)
    assert (user.password_hash, user.lock) == wanted
    assert "$6$" not in repr(user)


def test_sudo_is_a_file_and_the_package_that_reads_it() -> None:
    package, user, rule = items_of({"users": [{"name": "ada", "sudo": "nopasswd", "ssh_keys": [ED]}]})
    assert (package.title, user.title) == ("sudo", "ada")
    assert isinstance(rule, FileItem)
    assert (rule.content, rule.mode) == ("ada ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")


def test_a_package_that_several_options_need_is_installed_once() -> None:
    params = {
        "packages": ["sudo", {"name": "tzdata", "manager": "apt"}],
        "users": [{"name": "ada", "sudo": "password"}],
    }
    items = items_of({**params, "timezone": "Europe/Berlin"})
    packages = [(item.option, item.title, item.manager) for item in items if isinstance(item, PackageItem)]
    assert packages == [
        ("packages", "sudo", ""),
        ("packages", "tzdata", "apt"),
        ("timezone", "tzdata", "apk"),
        ("timezone", "tzdata", "dnf"),
    ]


def test_a_secret_content_is_for_its_owner_alone_and_never_shown() -> None:
    setup, _findings = declare_setup({"files": [{"path": "/a", "secret_content": "s3cret!"}]})
    (item,) = setup.items
    assert isinstance(item, FileItem)
    assert (item.mode, setup.secrets()) == ("0600", {"s3cret!"})
    assert "s3cret" not in repr(item)


def test_a_download_brings_what_downloads_it() -> None:
    items = items_of({"files": [{"path": "/a", "url": "https://a/b", "sha256": "AB" * 32}]})
    assert [item.title for item in items] == ["ca-certificates", "curl", "/a"]
    assert isinstance(items[2], FileItem)
    assert items[2].digest == "ab" * 32


@pytest.mark.parametrize("manager", ["apt", "apk", "dnf"])
def test_upgrades_are_switched_off_by_what_switches_them_on(manager: str) -> None:
    on, off = (items_of({"unattended_upgrades": wanted}) for wanted in (True, False))
    assert {p for p in paths(on) if p.startswith(manager)} == {p for p in paths(off) if p.startswith(manager)}
    assert on != off


def test_a_locale_that_c_libraries_have_needs_nothing_but_to_be_chosen() -> None:
    assert {type(item) for item in items_of({"locale": "C.UTF-8"})} == {FileItem}
    generated = [item for item in items_of({"locale": "de_DE.UTF-8"}) if isinstance(item, CommandItem)]
    assert {item.manager for item in generated} == {"apt", "pacman"}
    assert all("de_DE.utf8" in item.unless for item in generated)


# -- what somebody sets up under what the user declares ----------------------------------------------------------------

UNDER = {
    "packages": ["nginx", {"name": "curl", "manager": "apt"}],
    "files": [{"path": "/etc/a", "content": "theirs"}, {"path": "/etc/b", "content": "theirs"}],
    "services": {"nginx": True, "cron": True},
    "locale": "C.UTF-8",
}


@pytest.mark.parametrize(
    ("declared", "both"),
    [
        ({}, UNDER),
        ({"cores": 2}, UNDER),
        ({"packages": ["vim"]}, {**UNDER, "packages": [*UNDER["packages"], "vim"]}),
        (
            {"packages": [{"name": "nginx", "state": "absent"}]},
            {**UNDER, "packages": [UNDER["packages"][1], {"name": "nginx", "state": "absent"}]},
        ),
        (
            {"files": [{"path": "/etc/a", "content": "mine"}]},
            {**UNDER, "files": [UNDER["files"][1], {"path": "/etc/a", "content": "mine"}]},
        ),
        ({"services": {"cron": False}}, {**UNDER, "services": {"nginx": True, "cron": False}}),
        ({"locale": "de_DE.UTF-8"}, {**UNDER, "locale": "de_DE.UTF-8"}),
    ],
)
def test_what_is_declared_counts(declared: dict[str, t.Any], both: dict[str, t.Any]) -> None:
    assert joined(UNDER, declared) == both


def test_commands_without_a_name_are_distinguished_by_what_they_say() -> None:
    one, other = {"command": "a", "creates": "/a"}, {"command": "b", "creates": "/b"}
    assert joined({"commands": [one]}, {"commands": [one, other]}) == {"commands": [one, other]}
