# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks make of a declaration: other declarations. Pure functions, run on the controller."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.errors import AnsibleFilterError

from ansible_collections.pve.provision.plugins.module_utils._given import names_of
from ansible_collections.pve.provision.plugins.module_utils._guests.registry import Guest, with_defaults
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.catalog import with_profile
from ansible_collections.pve.provision.plugins.plugin_utils.apps import find_profile

# -- destroying --------------------------------------------------------------------------------------------------------

#: What of a declaration counts when a guest goes.
_OF_REMOVAL: t.Final = ("name", "type", "vmid", "node", "force", "purge", "shutdown_timeout", "timeout", "timeouts")


def removals(
    guests: list[Guest], defaults: Guest, found: list[Guest], owner_tag: str = "", limit: list[str] | str = ""
) -> list[Guest]:
    """Declared guests that are there, as ones that are to be absent: each after those that were made after it. With a
    mark, only those that carry it.
    """
    full = {str(guest["name"]): guest for guest in with_defaults(guests, defaults)}
    names = names_of(limit)
    for name in names:
        if name not in full:
            raise AnsibleFilterError(
                f"limit: '{name}' is not a guest of this list. There are: {', '.join(sorted(full))}."
            )
    there = {(row["name"], str(row["vmid"])) for row in found if not owner_tag or owner_tag in (row.get("tags") or ())}
    chosen = [name for name, guest in full.items() if _is_there(name, guest, there) and (not names or name in names)]
    return [
        {
            **{key: full[name][key] for key in _OF_REMOVAL if key in full[name]},
            "state": "absent",
            "after": [other for other in chosen if name in _sources(full[other])],
        }
        for name in chosen
    ]


def _is_there(name: str, guest: Guest, there: set[tuple[str, str]]) -> bool:
    vmid = guest.get("vmid")
    return any(each == name and vmid in (None, int(number)) for each, number in there)


def _sources(guest: Guest) -> list[str]:
    """The guests of the list that come before this one when they are made."""
    after, clone = guest.get("after") or [], guest.get("clone_from") or {}
    return [*([after] if isinstance(after, str) else after), *filter(None, [clone.get("name")])]


# -- images -----------------------------------------------------------------------------------------------------------


def templates_of(guests: list[Guest], defaults: Guest, app_paths: t.Sequence[str] = ()) -> dict[str, list[Guest]]:
    """What declared guests are made from, as the role templates takes it: images, and templates of OpenWrt. Of an
    application its profile says that.
    """
    folders = [Path(path) for path in app_paths]
    there = [guest for guest in with_defaults(guests, defaults) if guest.get("state") != "absent"]
    full = [_with_app(guest, folders) for guest in there]
    images = [image for guest in full for image in _images_of(guest)]
    routers = [{"version": str(guest.get("version") or "24")} for guest in full if guest.get("type") == "openwrt_lxc"]
    return {"images": _each_once(images), "openwrt": _each_once(routers)}


def _with_app(guest: Guest, folders: list[Path]) -> Guest:
    """The guest with what its application is made from, where its declaration does not say."""
    named = any(guest.get(option) for option in ("ostemplate", "image", "clone_from", "restore_from"))
    option = {"lxc": "ostemplate", "vm": "image"}.get(guest.get("type") or "")
    if named or option is None or not guest.get("app"):
        return guest
    profile, findings = find_profile(str(guest["app"]), folders)
    return guest if findings else {**guest, option: profile[option]}


def _images_of(guest: Guest) -> t.Iterator[Guest]:
    """Those that are known by name: what has an address of its own has no newer version."""
    name = guest.get("ostemplate") or ""
    if guest.get("type") == "lxc" and name and ":" not in name:
        yield {"source": "turnkeylinux" if "turnkey" in name else "pveam", "version": name, "content": "vztmpl",
               "state": "latest"}  # fmt: skip
    for image in _disk_images(guest) if guest.get("type") == "vm" else ():
        source, _dash, version = (image if isinstance(image, str) else str(image.get("name") or "")).partition("-")
        if source:
            yield {"source": source, "version": version, "content": "import", "state": "latest"}


def _disk_images(guest: Guest) -> list[t.Any]:
    whole = with_profile(guest)
    images = [whole.get("image"), *(disk.get("image") for disk in whole.get("disks") or () if isinstance(disk, dict))]
    return [image for image in images if isinstance(image, (str, dict))]


def _each_once(entries: list[Guest]) -> list[Guest]:
    return [entry for at, entry in enumerate(entries) if entry not in entries[:at]]


# -- Python ------------------------------------------------------------------------------------------------------------

#: Python by what installs packages; the guest takes the one of its own.
_PYTHON: t.Final = {"apt": "python3", "apk": "python3", "dnf": "python3", "zypper": "python3", "pacman": "python"}
#: Types of VMs in which no package can be installed.
_CLOSED: t.Final = frozenset({"haos", "opnsense", "talos", "windows"})


def with_python(guests: list[Guest], defaults: Guest) -> list[Guest]:
    """The declared guests, each with Python among its packages; routers and appliances as they are."""
    full = with_defaults(guests, defaults)
    return [
        {**guest, "packages": _and_python(whole.get("packages") or [])} if _takes_packages(whole) else guest
        for guest, whole in zip(guests, full, strict=True)
    ]


def _and_python(packages: list[t.Any]) -> list[t.Any]:
    """What is declared of Python stays as it is."""
    entries = [each if isinstance(each, dict) else {"name": each} for each in packages]
    known = {(each.get("name"), each.get("manager")) for each in entries}
    added = [
        {"name": name, "manager": manager}
        for manager, name in _PYTHON.items()
        if not known & {(name, None), (name, manager)}
    ]
    return [*packages, *added]


def _takes_packages(guest: Guest) -> bool:
    """Not an appliance, nor a container of an OCI image, whose root file system goes with its next digest."""
    runs = guest.get("state") not in ("absent", "template") and guest.get("profile") not in _CLOSED
    is_oci = guest.get("type") == "lxc" and guest.get("image")
    return runs and guest.get("type") in ("lxc", "vm") and guest.get("ostype") != "unmanaged" and not is_oci


class FilterModule:
    """The filters of declarations."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"removals": removals, "templates_of": templates_of, "with_python": with_python}
