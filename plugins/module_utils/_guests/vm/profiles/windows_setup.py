# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the answer file of an unattended installation of Windows. Pure.

Windows Setup looks for ``autounattend.xml`` on every medium. Which letters its drives get is not known beforehand, so
each path is stated for several.
"""

from __future__ import annotations

import base64
import typing as t
from xml.etree import ElementTree

LABEL: t.Final = "UNATTEND"
FILE: t.Final = "autounattend.xml"
# Windows by its version: the folder of its drivers on the virtio ISO; where nothing is stated, the edition that is
# installed, and the account that logs on.
VERSIONS: t.Final[dict[str, tuple[str, str, str]]] = {
    "11": ("w11", "Windows 11 Pro", "admin"),
    "2022": ("2k22", "Windows Server 2022 SERVERSTANDARD", "Administrator"),
    "2025": ("2k25", "Windows Server 2025 SERVERSTANDARD", "Administrator"),
}
DRIVERS: t.Final = ("vioscsi", "viostor", "NetKVM", "Balloon", "vioserial")
LETTERS: t.Final = "DEFGH"
_SCHEMA: t.Final = "urn:schemas-microsoft-com:unattend"
_STATE: t.Final = "http://schemas.microsoft.com/WMIConfig/2002/State"
_ACTION: t.Final = f"{{{_STATE}}}action"
_HEAD: t.Final = '<?xml version="1.0" encoding="utf-8"?>\n'
_COMPONENT: t.Final = {
    "processorArchitecture": "amd64",
    "publicKeyToken": "31bf3856ad364e35",
    "language": "neutral",
    "versionScope": "nonSxS",
}
# Drivers and the guest agent come with one installer.
_TOOLS: t.Final = "virtio-win-guest-tools.exe"
_INSTALL: t.Final = (
    f"cmd /c for %d in ({' '.join(LETTERS)}) do if exist %d:\\{_TOOLS} %d:\\{_TOOLS} /install /quiet /norestart"
)
_BUILT_IN: t.Final = "Administrator"

Declared = t.Mapping[str, t.Any]
# A list has the entries of one name; they are numbered, or marked as added.
Tree = t.Mapping[str, t.Any]


def answer_file(declared: Declared, name: str) -> bytes:
    """The file for a computer of this name."""
    ElementTree.register_namespace("wcm", _STATE)
    root = ElementTree.Element("unattend", {"xmlns": _SCHEMA})
    for phase, components in _phases(declared, name).items():
        settings = ElementTree.SubElement(root, "settings", {"pass": phase})
        for component, tree in components.items():
            attributes = {"name": f"Microsoft-Windows-{component}", **_COMPONENT}
            _grow(ElementTree.SubElement(settings, "component", attributes), tree)
    ElementTree.indent(root)
    return f"{_HEAD}{ElementTree.tostring(root, encoding='unicode')}\n".encode()


def _grow(element: ElementTree.Element, tree: Tree) -> None:
    for name, value in tree.items():
        for entry in value if isinstance(value, list) else [value]:
            below = ElementTree.SubElement(element, name, {_ACTION: "add"} if isinstance(value, list) else {})
            if isinstance(entry, dict):
                _grow(below, entry)
            else:
                below.text = "true" if entry is True else "false" if entry is False else str(entry)


def _phases(declared: Declared, name: str) -> dict[str, dict[str, Tree]]:
    language = declared.get("language") or "en-US"
    spoken = {
        "InputLocale": declared.get("keyboard") or language,
        "SystemLocale": language,
        "UILanguage": language,
        "UserLocale": language,
    }
    shell = {"ComputerName": name[:15], "TimeZone": declared.get("timezone") or "UTC"}
    return {
        "windowsPE": {
            "International-Core-WinPE": {"SetupUILanguage": {"UILanguage": language}, **spoken},
            "PnpCustomizationsWinPE": {"DriverPaths": {"PathAndCredentials": _driver_paths(declared)}},
            "Setup": _setup(declared),
        },
        "specialize": {"Shell-Setup": shell},
        "oobeSystem": {"International-Core": spoken, "Shell-Setup": _first_logon(declared)},
    }


def _version(declared: Declared) -> tuple[str, str, str]:
    return VERSIONS[str(declared.get("version") or "2025")]


def _driver_paths(declared: Declared) -> list[Tree]:
    folder, _edition, _user = _version(declared)
    return [{"Path": rf"{letter}:\{driver}\{folder}\amd64"} for driver in DRIVERS for letter in LETTERS]


def _setup(declared: Declared) -> Tree:
    """The first disk as UEFI wants it, and the edition that goes there."""
    partitions = [
        {"Order": 1, "Type": "EFI", "Size": 300},
        {"Order": 2, "Type": "MSR", "Size": 16},
        {"Order": 3, "Type": "Primary", "Extend": True},
    ]
    formats = [
        {"Order": 1, "PartitionID": 1, "Format": "FAT32", "Label": "System"},
        {"Order": 2, "PartitionID": 2},
        {"Order": 3, "PartitionID": 3, "Format": "NTFS", "Label": "Windows", "Letter": "C"},
    ]
    disk = {
        "DiskID": 0,
        "WillWipeDisk": True,
        "CreatePartitions": {"CreatePartition": partitions},
        "ModifyPartitions": {"ModifyPartition": formats},
    }
    edition = declared.get("edition") or _version(declared)[1]
    image = {
        "InstallFrom": {"MetaData": [{"Key": "/IMAGE/NAME", "Value": edition}]},
        "InstallTo": {"DiskID": 0, "PartitionID": 3},
    }
    key = declared.get("product_key")
    product = {"ProductKey": {"Key": key, "WillShowUI": "OnError"}} if key else {}
    return {
        "DiskConfiguration": {"Disk": [disk], "WillShowUI": "OnError"},
        "ImageInstall": {"OSImage": image},
        "UserData": {"AcceptEula": True, **product},
    }


def _first_logon(declared: Declared) -> Tree:
    """Who logs on, once by itself so that drivers and the guest agent are installed."""
    user = declared.get("user") or _version(declared)[2]
    password = str(declared.get("admin_password") or "")
    accounts: Tree = {"AdministratorPassword": _password(password, "AdministratorPassword")}
    if user != _BUILT_IN:
        account = {"Name": user, "Group": "Administrators", "Password": _password(password, "Password")}
        accounts = {"LocalAccounts": {"LocalAccount": [account]}}
    return {
        "OOBE": {"HideEULAPage": True, "HideOnlineAccountScreens": True, "HideWirelessSetupInOOBE": True,
                 "ProtectYourPC": 3},
        "UserAccounts": accounts,
        "AutoLogon": {"Username": user, "Password": _password(password, "Password"), "Enabled": True, "LogonCount": 1},
        "FirstLogonCommands": {"SynchronousCommand": [{"Order": 1, "CommandLine": _INSTALL}]},
    }  # fmt: skip


def _password(text: str, where: str) -> Tree:
    """A password as Windows writes it, which is no protection."""
    return {"Value": base64.b64encode(f"{text}{where}".encode("utf-16-le")).decode(), "PlainText": False}
