# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: defaults that users declare for an OpenWrt template, as the files that carry them.

What concerns UCI becomes a script in ``/etc/uci-defaults``, OpenWrt's own place for it: the first boot has generated
its configuration when it runs, and removes it afterwards. So the defaults hold on whatever that boot finds.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._model.secrets import secret_values, slow_digest
from ansible_collections.pve.provision.plugins.module_utils._openwrt import rootfs
from ansible_collections.pve.provision.plugins.module_utils._openwrt.seed import KEYS, SHADOW, Read, with_root_password
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.changes import Op
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.merge import value_of
from ansible_collections.pve.provision.plugins.module_utils._store.openwrt_build import Defaults, baked
from ansible_collections.pve.provision.plugins.module_utils._store.openwrt_template import WantedTemplate

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

SCRIPTS: t.Final = "etc/uci-defaults"
#: Before the scripts of users, which are to find it done.
OWN_SCRIPT: t.Final = "90-pve-provision"
_END: t.Final = "PVE_PROVISION_END"
_ROOT: t.Final = b"root:::0:99999:7:::\n"
_HOSTNAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
_SSH_KEY = re.compile(r"(?:[^\s\"]+=?\S* )?(?:sk-)?(?:ssh|ecdsa)-\S+ [A-Za-z0-9+/]+=*(?: [^\n]*)?")
_HASH = re.compile(r"\$(?:1|2[aby]?|5|6)\$[./A-Za-z0-9$=,]+")
_SCRIPT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MODE = re.compile(r"[0-7]{3,4}")
_PACKAGE = re.compile(r"[A-Za-z0-9_-]+")
_SECTION = re.compile(r"[A-Za-z0-9_]+|@[A-Za-z0-9_-]+\[-?\d+\]")
_ADDED = re.compile(r"@([A-Za-z0-9_-]+)")
_NAME = re.compile(r"[A-Za-z0-9_]+")


def declared_defaults(declared: t.Mapping[str, t.Any]) -> Defaults | None:
    """What a user declares, checked: None when it is nothing. Raises InvalidInput with everything that is wrong.

    ``hostname``, ``ssh_keys``, ``password_hash``, ``uci`` (``{package: {section: {option: value}}}``), ``files`` (path,
    content, mode) and ``scripts`` (name to text)."""
    findings: list[Finding] = []
    files = _files(declared, findings)
    if findings:
        raise InvalidInput(findings)
    password = declared.get("password_hash") or ""
    private = any(not mode & 0o004 for path, (mode, _content) in files.items() if path in _declared_files(declared))
    if not password:
        return baked(files, secret=private or bool(secret_values(declared.get("uci") or {})))
    digest = slow_digest(f"{rootfs.defaults_digest(files)}\0{password}".encode())

    def render(read: Read, _version: str) -> rootfs.Files:
        shadow = (read(SHADOW) or _ROOT).decode()
        return {SHADOW: (0o600, with_root_password(shadow, password).encode()), **files}

    return Defaults(digest, render, secret=True)


def refuse_open(node: Node, wanted: WantedTemplate) -> None:
    """Raise for secrets in a template over the API: what is uploaded, every user of the node may read."""
    if wanted.build.closed and node.files is None:
        problem = "hold a secret, and a file that is uploaded over the API can be read by every user of the node"
        remedy = "Run the task on the node, without api_host, or leave out the password hash, keys and closed files."
        raise InvalidInput([Finding("defaults", "(hidden)", problem, remedy)])


def _declared_files(declared: t.Mapping[str, t.Any]) -> set[str]:
    """The paths of the files that the user declares whole."""
    return {file["path"].lstrip("/") for file in declared.get("files") or ()}


def _files(declared: t.Mapping[str, t.Any], findings: list[Finding]) -> dict[str, tuple[int, bytes]]:
    def check(option: str, value: str, pattern: re.Pattern[str], problem: str, remedy: str, shown: str = "") -> bool:
        good = pattern.fullmatch(value) is not None
        if not good:
            findings.append(Finding(f"defaults.{option}", shown or value, problem, remedy))
        return good

    files: dict[str, tuple[int, bytes]] = {}
    hostname = declared.get("hostname") or ""
    if hostname:
        check("hostname", hostname, _HOSTNAME, "is not a valid host name", "Use letters, digits and hyphens.")
    secret = declared.get("password_hash") or ""
    if secret:
        remedy = "Give a hash that musl's crypt knows, as `openssl passwd -6` makes it."
        check("password_hash", secret, _HASH, "is not a password hash", remedy, "(hidden)")
    keys = [key.strip() for key in declared.get("ssh_keys") or ()]
    for key in keys:
        check(
            "ssh_keys", key, _SSH_KEY, "is not a public key", "Give public keys as in authorized_keys, one line each."
        )
    if keys:
        files[KEYS] = (0o600, "".join(f"{key}\n" for key in keys).encode())
    uci = declared.get("uci") or {}
    lines = [*_hostname_lines(hostname), *_uci_lines(uci, findings)]
    if lines:
        files[f"{SCRIPTS}/{OWN_SCRIPT}"] = (0o600, _script(lines, sorted({*uci, *(["system"] if hostname else [])})))
    for name, text in (declared.get("scripts") or {}).items():
        if check("scripts", str(name), _SCRIPT, "is not a valid script name", "Take one like 95-mine."):
            files[f"{SCRIPTS}/{name}"] = (0o600, str(text).encode())
    for file in declared.get("files") or ():
        mode = file.get("mode") or "0644"
        if check(
            "files", mode, _MODE, f"is not a valid mode for {file['path']}", 'Write it in octal and in quotes, "0644".'
        ):
            files[file["path"].lstrip("/")] = (int(mode, 8), file["content"].encode())
    return files


def _hostname_lines(hostname: str) -> list[str]:
    return [Op("set", "system", "@system[0]", "", "hostname", hostname).batch()] if hostname else []


def _script(lines: t.Sequence[str], packages: t.Sequence[str]) -> bytes:
    """A script that hands lines to ``uci batch``. It is sourced; it goes away when it ends with 0."""
    files = "".join(f"[ -e /etc/config/{name} ] || : > /etc/config/{name}\n" for name in packages)
    commits = [f"commit {name}" for name in packages]
    return "\n".join([f"{files}uci -q batch <<'{_END}'", *lines, *commits, _END, "exit 0", ""]).encode()


def _uci_lines(declared: t.Mapping[str, t.Any], findings: list[Finding]) -> list[str]:
    lines: list[str] = []
    for package, sections in declared.items():
        if not _PACKAGE.fullmatch(str(package)) or not isinstance(sections, t.Mapping):
            remedy = "Write {package: {section: {option: value}}}."
            findings.append(Finding("defaults.uci", package, "is not a package with sections", remedy))
            continue
        for ref, options in sections.items():
            lines += _section_lines(str(package), str(ref), options, findings)
    return lines


def _section_lines(package: str, ref: str, options: object, findings: list[Finding]) -> list[str]:
    where = f"defaults.uci.{package}.{ref}"
    added = _ADDED.fullmatch(ref)
    if added and isinstance(options, list) and all(isinstance(each, t.Mapping) for each in options):
        make = Op("add", package, "", "", value=added[1]).batch()
        return [line for each in options for line in [make, *_options(package, f"{ref}[-1]", each, where, findings)]]
    if not _SECTION.fullmatch(ref):
        findings.append(
            Finding(where, ref, "is not a section", 'Write its name, "@type[0]", or "@type": [{...}] to add.')
        )
        return []
    if options is None:
        return [Op("delete", package, ref, "").batch()]
    if not isinstance(options, t.Mapping):
        findings.append(Finding(where, options, "is not a mapping of options", "Write {option: value}."))
        return []
    kind = str(options.get(".type", ""))
    if kind and not _PACKAGE.fullmatch(kind):
        findings.append(Finding(where, kind, "is not a valid section type"))
        return []
    make_named = [Op("set", package, ref, "", value=kind).batch()] if kind else []
    rest = {key: value for key, value in options.items() if key != ".type"}
    return [*make_named, *_options(package, ref, rest, where, findings)]


def _options(package: str, ref: str, options: t.Mapping[str, object], where: str, findings: list[Finding]) -> list[str]:
    lines: list[str] = []
    for key, declared in options.items():
        value = value_of(declared)
        values = [value] if isinstance(value, str) else value or []
        if not _NAME.fullmatch(str(key)):
            findings.append(Finding(where, key, "is not a valid option name", "UCI takes letters, digits and _."))
        elif any(not each.isprintable() for each in values):
            # The value may be a secret.
            findings.append(Finding(f"{where}.{key}", "(hidden)", "holds a control character or a line break"))
        elif isinstance(value, str):
            lines.append(Op("set", package, ref, "", str(key), value).batch())
        else:
            lines.append(Op("delete", package, ref, "", str(key)).batch())
            lines += [Op("add_list", package, ref, "", str(key), each).batch() for each in values]
    return lines
