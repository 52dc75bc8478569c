# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answer file of an unattended installation of Windows."""

from __future__ import annotations

import base64
import typing as t
from xml.etree import ElementTree

import pytest

from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.windows_setup import (
    VERSIONS,
    answer_file,
)

NAMESPACES = {"u": "urn:schemas-microsoft-com:unattend"}
ACTION = "{http://schemas.microsoft.com/WMIConfig/2002/State}action"
PASSWORD = "P<ss&w>rd \u00e4\"'"


class Answers:
    """The file as Windows Setup reads it."""

    def __init__(self, name: str = "win1", **declared: t.Any) -> None:
        self.root = ElementTree.fromstring(answer_file({"admin_password": PASSWORD, **declared}, name))

    def all(self, phase: str, component: str, path: str = "") -> list[ElementTree.Element]:
        place = f"u:settings[@pass='{phase}']/u:component[@name='Microsoft-Windows-{component}']"
        return self.root.findall("/".join([place, *(f"u:{part}" for part in path.split("/") if part)]), NAMESPACES)

    def text(self, phase: str, component: str, path: str) -> str:
        (found,) = self.all(phase, component, path)
        return found.text or ""


def decoded(value: str, where: str) -> str:
    text = base64.b64decode(value).decode("utf-16-le")
    assert text.endswith(where)
    return text[: -len(where)]


def test_it_is_an_answer_file_for_this_processor() -> None:
    answers = Answers()
    assert answers.root.tag == "{urn:schemas-microsoft-com:unattend}unattend"
    (setup,) = answers.all("windowsPE", "Setup")
    assert setup.get("processorArchitecture") == "amd64"
    assert setup.get("publicKeyToken") == "31bf3856ad364e35"


@pytest.mark.parametrize(("version", "folder"), [("11", "w11"), ("2022", "2k22"), ("2025", "2k25")])
def test_the_drivers_of_this_windows_are_looked_for_on_every_drive(version: str, folder: str) -> None:
    entries = Answers(version=version).all("windowsPE", "PnpCustomizationsWinPE", "DriverPaths/PathAndCredentials")
    paths = [entry.findtext("u:Path", namespaces=NAMESPACES) for entry in entries]
    for driver in ("vioscsi", "NetKVM"):
        assert [path for path in paths if path and f"\\{driver}\\" in path] == [
            rf"{letter}:\{driver}\{folder}\amd64" for letter in "DEFGH"
        ]
    assert {entry.get(ACTION) for entry in entries} == {"add"}


def test_windows_goes_to_the_third_partition_of_the_first_disk() -> None:
    disk = "DiskConfiguration/Disk"
    answers = Answers()
    kinds = answers.all("windowsPE", "Setup", f"{disk}/CreatePartitions/CreatePartition/Type")
    assert [kind.text for kind in kinds] == ["EFI", "MSR", "Primary"]
    assert answers.text("windowsPE", "Setup", f"{disk}/DiskID") == "0"
    assert answers.text("windowsPE", "Setup", "ImageInstall/OSImage/InstallTo/PartitionID") == "3"


@pytest.mark.parametrize(
    ("declared", "edition"),
    [
        ({"version": "11"}, "Windows 11 Pro"),
        ({"version": "2022"}, "Windows Server 2022 SERVERSTANDARD"),
        ({}, "Windows Server 2025 SERVERSTANDARD"),
        ({"edition": "Windows Server 2025 SERVERDATACENTERCORE"}, "Windows Server 2025 SERVERDATACENTERCORE"),
    ],
)
def test_an_edition_is_installed_by_its_name(declared: dict[str, str], edition: str) -> None:
    assert Answers(**declared).text("windowsPE", "Setup", "ImageInstall/OSImage/InstallFrom/MetaData/Value") == edition


def test_a_product_key_is_stated_where_there_is_one() -> None:
    key = "VDYBN-27WPP-V4HQT-9VMD4-VMK7H"
    assert Answers(product_key=key).text("windowsPE", "Setup", "UserData/ProductKey/Key") == key
    assert Answers().all("windowsPE", "Setup", "UserData/ProductKey") == []


def test_a_computer_is_called_as_the_vm_as_far_as_windows_takes_it() -> None:
    assert Answers("win1").text("specialize", "Shell-Setup", "ComputerName") == "win1"
    assert Answers("a-name-that-is-long").text("specialize", "Shell-Setup", "ComputerName") == "a-name-that-is-"


def test_a_server_is_logged_on_to_by_its_administrator() -> None:
    answers = Answers(version="2022")
    given = answers.text("oobeSystem", "Shell-Setup", "UserAccounts/AdministratorPassword/Value")
    assert decoded(given, "AdministratorPassword") == PASSWORD
    assert answers.text("oobeSystem", "Shell-Setup", "AutoLogon/Username") == "Administrator"
    assert decoded(answers.text("oobeSystem", "Shell-Setup", "AutoLogon/Password/Value"), "Password") == PASSWORD
    assert answers.text("oobeSystem", "Shell-Setup", "AutoLogon/LogonCount") == "1"


def test_others_get_an_account_of_their_own() -> None:
    account = "UserAccounts/LocalAccounts/LocalAccount"
    for answers, user in ((Answers(version="11"), "admin"), (Answers(user="ops"), "ops")):
        assert answers.text("oobeSystem", "Shell-Setup", f"{account}/Name") == user
        assert answers.text("oobeSystem", "Shell-Setup", f"{account}/Group") == "Administrators"
        assert answers.text("oobeSystem", "Shell-Setup", "AutoLogon/Username") == user
        assert answers.all("oobeSystem", "Shell-Setup", "UserAccounts/AdministratorPassword") == []


def test_drivers_and_agent_are_installed_at_the_first_logon() -> None:
    command = Answers().text("oobeSystem", "Shell-Setup", "FirstLogonCommands/SynchronousCommand/CommandLine")
    assert r"if exist %d:\virtio-win-guest-tools.exe %d:\virtio-win-guest-tools.exe /install /quiet" in command


def test_language_and_keyboard() -> None:
    answers = Answers(language="de-DE", keyboard="0407:00000407", timezone="W. Europe Standard Time")
    assert answers.text("windowsPE", "International-Core-WinPE", "SetupUILanguage/UILanguage") == "de-DE"
    assert answers.text("oobeSystem", "International-Core", "InputLocale") == "0407:00000407"
    assert answers.text("specialize", "Shell-Setup", "TimeZone") == "W. Europe Standard Time"


def test_a_password_is_nowhere_in_clear() -> None:
    for version in VERSIONS:
        assert b"hunter2-hunter2" not in answer_file({"version": version, "admin_password": "hunter2-hunter2"}, "w")
