# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which folder of the embedded node may import which, and that no two modules need each other.

Read from the source by ``ast``: nothing is imported. A module is named by its path below ``embedded_node``.
"""

from __future__ import annotations

import ast
import functools
import graphlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3] / "extensions" / "embedded_node"

# Folder (or file) -> what it may import. What is not named here starts the node and may import everything.
FOLDERS = {
    "errors": set(),
    "state": {"errors"},
    "api": {"errors", "state"},
    "mirror": {"errors", "state"},
    "guest": {"errors", "state", "api"},
    "lxc": {"errors", "state", "api", "guest"},
    "linux": {"errors", "state", "api", "guest"},
    "cloud": {"errors", "state", "api", "guest", "linux"},
    # the mirror's tree is what an image of OpenWrt boots into
    "qemu": {"errors", "state", "api", "guest", "mirror", "linux", "cloud"},
    "openwrt": {"errors", "state", "api", "guest", "lxc", "mirror"},
    "lxc_runtime": {"errors", "state", "api", "guest"},
    "commands": {"errors", "state", "api", "guest", "lxc", "qemu", "openwrt", "linux", "cloud"},
}
# Where imports stand in a function: the command server is forked before HTTPS is imported.
LATE = {"__main__"}


def module_of(path: Path) -> str:
    """A file's module; of a package, its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def base_of(node: ast.ImportFrom, package: list[str]) -> str | None:
    """The module of ours that ``from ... import`` names, None for somebody else's."""
    words = (node.module or "").split(".") if node.module else []
    if node.level:
        return ".".join([*package[: len(package) - node.level + 1], *words])
    return ".".join(words[1:]) if words[:1] == ["embedded_node"] else None


def imports(source: str, module: str, known: Mapping[str, object] = MODULES, is_package: bool = False) -> set[str]:
    """The modules of ours that a source imports, wherever it does so."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (base := base_of(node, package)) is not None:
            names = (f"{base}.{alias.name}".lstrip(".") for alias in node.names)
            found |= {name if name in known else base for name in names}
        elif isinstance(node, ast.Import):
            named = (alias.name.partition(".") for alias in node.names)
            found |= {rest for top, _dot, rest in named if top == "embedded_node"}
    return found


def folder_faults(module: str, imported: set[str]) -> set[str]:
    """What a module imports although its folder may not."""
    folder = module.partition(".")[0]
    if folder not in FOLDERS:
        return set()
    others = {name.partition(".")[0] for name in imported}
    return {f"{folder} imports {other}" for other in others - FOLDERS[folder] - {folder}}


def late_imports(source: str) -> Iterator[int]:
    """The lines of imports of ours inside functions."""
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for node in ast.walk(function):
                if isinstance(node, ast.ImportFrom) and base_of(node, [""] * 9) is not None:
                    yield node.lineno


@functools.cache
def graph() -> dict[str, set[str]]:
    """Every module and what it imports."""
    return {
        module: imports(path.read_text(), module, is_package=path.name == "__init__.py")
        for module, path in MODULES.items()
    }


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_what_its_folder_may(module: str) -> None:
    assert folder_faults(module, graph()[module]) == set()


@pytest.mark.parametrize("module", sorted(set(MODULES) - LATE))
def test_imports_stand_at_the_top(module: str) -> None:
    assert list(late_imports(MODULES[module].read_text())) == []


def test_no_two_modules_need_each_other() -> None:
    graphlib.TopologicalSorter(graph()).prepare()


def test_every_folder_has_its_rule() -> None:
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} <= set(FOLDERS)


KNOWN = dict.fromkeys(("errors", "state", "state.root", "api", "api.session", "lxc", "lxc.config", "commands"))


@pytest.mark.parametrize(
    ("module", "source", "imported"),
    [
        ("lxc.config", "from ..state.root import State", {"state.root"}),
        ("lxc.config", "from ..state import root, storage", {"state.root", "state"}),
        ("lxc.config", "from .. import errors", {"errors"}),
        ("lxc.config", "from . import create", {"lxc"}),
        ("lxc.config", "from embedded_node.api.session import Session", {"api.session"}),
        ("lxc.config", "import embedded_node.api.session", {"api.session"}),
        ("lxc.config", "def f():\n    from ..api import session", {"api.session"}),
        ("lxc.config", "import json\nfrom pathlib import Path", set()),
    ],
)
def test_reader_of_imports(module: str, source: str, imported: set[str]) -> None:
    assert imports(source, module, KNOWN) == imported


@pytest.mark.parametrize(
    ("module", "imported", "fault"),
    [
        ("state.root", {"api.session"}, "state imports api"),
        ("api.storage", {"lxc.create"}, "api imports lxc"),
        ("qemu.boot", {"openwrt.uci"}, "qemu imports openwrt"),
        ("lxc.api", {"commands"}, "lxc imports commands"),
        ("mirror.sites", {"openwrt.packages"}, "mirror imports openwrt"),
        ("commands.pct", {"server"}, "commands imports server"),
    ],
)
def test_checker_finds(module: str, imported: set[str], fault: str) -> None:
    assert folder_faults(module, imported) == {fault}


def test_checker_finds_an_import_in_a_function() -> None:
    assert list(late_imports("from . import a\ndef f():\n    import ssl\n    from .. import b\n")) == [4]
