# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: contents for cloud-init that a user gives himself, in place of what PVE makes of options.

They are known by their digests, which stand in the names of the files that hold them. What is wrong with a content is
told as far as that takes no YAML parser. Pure.
"""

from __future__ import annotations

import hashlib
import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.option import HIDDEN
from ansible_collections.pve.provision.plugins.module_utils._model.secrets import is_secret, slow_digest

PARTS: t.Final = ("user", "network", "vendor", "meta")
"""The contents by PVE's words for them; the user's own are these and ``_data``."""
LIMIT: t.Final = 3 * 1024**2
"""The most bytes that PVE takes, all contents together."""
INSTEAD_OF: t.Final[dict[str, tuple[str, ...]]] = {
    "user": ("user", "password", "ssh_keys", "upgrade"),
    "network": ("ip", "nameserver", "searchdomain"),
}
"""The options that PVE passes over where a content is given."""
MIME: t.Final = ("Content-Type:", "MIME-Version:")
"""How a message of several parts begins."""
# How a user or vendor content may begin (cloud-init, user_data.py).
_HEADS: t.Final = (
    "#cloud-config", "#cloud-config-archive", "#cloud-boothook", "#include", "#include-once", "#part-handler",
    "#upstart-job", "#!", "## template: jinja", *MIME,
)  # fmt: skip
# How a machine configuration of Talos Linux begins, which reads such a drive and is no cloud-init.
_TALOS: t.Final = re.compile(r"(?:#[^\n]*\n|---[^\n]*\n)*(?:version|apiVersion): *[\"']?v1alpha1\b")
_YAML_HEADS: t.Final = ("#cloud-config",)
_CONTROL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f]")
_NETWORK = re.compile(r"""^[{\s]*["']?(network|version)["']?\s*:""", re.MULTILINE)
_INSTANCE = re.compile(r"""^[{\s]*["']?instance[-_]id["']?\s*:\s*\S""", re.MULTILINE)
_WORD = re.compile(r"[A-Za-z][\w.-]*")
_SETTING = re.compile(r"""^[\s{,-]*["']?(?P<name>[\w.-]+)["']?\s*[:=]\s*(?P<value>\S.*?)\s*$""")


def digest(part: str, text: str) -> str:
    """What a content is known by. Others see it than those who may see the content: one that speaks of a secret has
    a digest that nobody tries out guesses by. It takes time, which others are spared."""
    told = f"{part}\0{text}".encode()
    if any(map(is_secret, _WORD.findall(text))):
        return slow_digest(told)[:16]
    return hashlib.sha256(told).hexdigest()[:16]


def check_content(part: str, text: str, path: str) -> t.Iterator[Finding]:
    """What is wrong with a content, as far as it can be told by looking at its lines. None of it is shown."""

    def finding(problem: str, remedy: str) -> Finding:
        return Finding(path, HIDDEN, problem, remedy)

    size = len(text.encode())
    if size > LIMIT:
        yield finding(f"has {size} bytes, and PVE takes {LIMIT} at most", "Let cloud-init fetch the rest (#include).")
    if _CONTROL.search(text):
        yield finding("holds a control character", "Give text; cloud-init takes base64 for the contents of files.")
    head = text.partition("\n")[0].rstrip()
    yaml = part in ("network", "meta") or head in _YAML_HEADS
    if yaml:
        number = next((n for n, line in enumerate(text.splitlines(), 1) if line[:1] == "\t" and line.strip()), None)
        if number is not None:
            yield finding(f"begins with a tab in line {number}", "YAML is indented by spaces alone.")
    if part in ("user", "vendor"):
        yield from _check_head(text, head, finding)
    elif part == "network" and not _NETWORK.search(text):
        yield finding("has no version", "It begins as network: or version: 2, in the format of cloud-init's networks.")
    elif part == "meta" and not _INSTANCE.search(text):
        remedy = "Add one, such as instance-id: web1-1; cloud-init starts over when it changes."
        yield finding("has no instance-id, by which cloud-init knows whether it has run", remedy)


def _check_head(text: str, head: str, finding: t.Callable[[str, str], Finding]) -> t.Iterator[Finding]:
    listed = "It begins with #cloud-config, #! and an interpreter, #include, or as a MIME message."
    if text[:1] in ("\ufeff", "\n", " ", "\t", "\r", ""):
        yield finding("does not begin with its first line", "Leave out the white space before it.")
    elif not head.startswith(_HEADS) and not _TALOS.match(text):
        yield finding("does not say what it is, so that cloud-init would pass over it", listed)
    elif head.startswith("#!") and "\r\n" in text:
        yield finding("is a script with Windows' line ends, which no interpreter takes", "Save it with line feeds.")


def check_contents(contents: t.Mapping[str, str], paths: t.Mapping[str, str]) -> t.Iterator[Finding]:
    """What is wrong with all contents, by their parts."""
    for part, text in contents.items():
        yield from check_content(part, text, paths[part])
    total = sum(len(text.encode()) for text in contents.values())
    if total > LIMIT and all(len(text.encode()) <= LIMIT for text in contents.values()):
        part = max(contents, key=lambda each: len(contents[each]))
        problem = f"and the others have {total} bytes together, and PVE takes {LIMIT} at most"
        yield Finding(paths[part], HIDDEN, problem, "Let cloud-init fetch the rest (#include).")


def secrets_in(text: str) -> set[str]:
    """The values in a content that stand under a name of a secret."""
    found = set()
    for line in text.splitlines():
        setting = _SETTING.match(line)
        if setting and is_secret(setting["name"]):
            value = setting["value"].strip("\"'")
            found |= {value} if len(value) > 3 else set()
    return found


# -- the files that hold them ------------------------------------------------------------------------------------------

_FILE: t.Final = re.compile(
    r"pve-provision-(?P<label>.+)-(?P<part>user|network|vendor|meta|data)-(?P<digest>[0-9a-f]{16})\.(yaml|iso)"
)
WHOLE: t.Final = "data"
"""The part of a file that holds all of them."""


class OurFile(t.NamedTuple):
    """A file of a run's own, by its name."""

    label: str
    part: str
    digest: str

    @property
    def name(self) -> str:
        return f"pve-provision-{self.label}-{self.part}-{self.digest}.{'iso' if self.part == WHOLE else 'yaml'}"


def our_file(volid: str) -> OurFile | None:
    """What a volume is, if a run of ours has made it."""
    match = _FILE.fullmatch(volid.rpartition("/")[2])
    return OurFile(match["label"], match["part"], match["digest"]) if match else None
