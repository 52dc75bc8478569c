# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: repositories as the files that package managers have them in. Pure."""

from __future__ import annotations

import hashlib
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._model.setup.items import (
    FileItem,
    Item,
    KeySource,
    Supported,
)

Entry = t.Mapping[str, t.Any]


def _deb822(entry: Entry, key: str) -> str:
    fields = {
        "Types": "deb",
        "URIs": " ".join(entry["uris"]),
        "Suites": " ".join(entry.get("suites") or ("{codename}",)),
        "Components": " ".join(entry.get("components") or ("main",)),
        "Architectures": " ".join(entry.get("architectures") or ()),
        "Signed-By": key,
        "Trusted": "yes" if entry.get("trusted") else "",
    }
    if fields["Suites"].endswith("/"):  # an exact path, which has no components
        fields["Components"] = ""
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)


def _repo_file(entry: Entry, key: str) -> str:
    """A repository of RPMs, for each address one."""
    uris = entry["uris"]
    lines = []
    for number, uri in enumerate(uris):
        name = entry["name"] if len(uris) == 1 else f"{entry['name']}-{number + 1}"
        lines += [
            f"[{name}]",
            f"name={name}",
            f"baseurl={uri}",
            "enabled=1",
            f"gpgcheck={0 if entry.get('trusted') else 1}",
        ]
        lines += [f"gpgkey=file://{key}"] if key else []
    return "".join(f"{line}\n" for line in lines)


def _apk_list(entry: Entry, _key: str) -> str:
    return "".join(f"{uri}\n" for uri in entry["uris"])


class _Layout(t.NamedTuple):
    """Where a package manager wants a repository listed, and its key."""

    listing: str
    key: str
    text: t.Callable[[Entry, str], str]


LAYOUTS: t.Final = {
    "apt": _Layout("/etc/apt/sources.list.d/{0}.sources", "/etc/apt/keyrings/{0}.asc", _deb822),
    "apk": _Layout("/etc/apk/repositories.d/{0}.list", "/etc/apk/keys/{0}.rsa.pub", _apk_list),
    "dnf": _Layout("/etc/yum.repos.d/{0}.repo", "/etc/pki/rpm-gpg/RPM-GPG-KEY-{0}", _repo_file),
    "zypper": _Layout("/etc/zypp/repos.d/{0}.repo", "/etc/pki/rpm-gpg/RPM-GPG-KEY-{0}", _repo_file),
}
"""By the name of the package manager; what is not here takes no repositories."""


def layouts_of(entry: Entry) -> tuple[str, ...]:
    """The package managers that can have a repository with such a key: apk's are of another kind."""
    is_pem = str(entry.get("public_key")).startswith("-----BEGIN PUBLIC KEY")
    if not entry.get("public_key") and not entry.get("public_key_url"):
        return tuple(LAYOUTS)
    return tuple(manager for manager in LAYOUTS if (manager == "apk") == is_pem)


def repositories(entries: t.Sequence[Entry]) -> t.Iterator[Item]:
    for entry in entries:
        only, managers = entry.get("manager"), layouts_of(entry)
        if only is None:
            yield Supported("repositories", entry["name"], managers)
        for manager in managers:
            if only in (None, manager):
                yield from _repository(entry, manager, LAYOUTS[manager])


def _repository(entry: Entry, manager: str, layout: _Layout) -> t.Iterator[Item]:
    name, key, url = entry["name"], entry.get("public_key"), entry.get("public_key_url")
    place, source, text = "", None, None
    if url:
        # Another key gets another file: the name says which one is in it.
        pinned = hashlib.sha256(" ".join(sorted(entry["fingerprints"])).encode()).hexdigest()[:8]
        place, source = layout.key.format(f"{name}-{pinned}"), KeySource(url, tuple(entry["fingerprints"]))
    elif key:
        place = layout.key.format((entry.get("public_key_name") or name).removesuffix(".rsa.pub"))
        text = f"{key.rstrip()}\n"
    common: dict[str, t.Any] = {"mode": "0644", "manager": manager}
    if place:
        yield FileItem("repositories", f"{name}: key", place, content=text, key=source, listing="key", **common)
    listing = layout.text(entry, place)
    where = layout.listing.format(name)
    yield FileItem("repositories", name, where, content=listing, substituted="{" in listing, listing="list", **common)
