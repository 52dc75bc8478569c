# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may import what, who starts PVE's commands, who speaks HTTPS to PVE, who ends a module.

Read from the source by ``ast``: what is checked is not imported. Paths are relative to ``plugins/``.
"""

from __future__ import annotations

import ast
import graphlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
import yaml

from ansible_collections.pve.provision.plugins.module_utils._model import lxc
from ansible_collections.pve.provision.plugins.module_utils._model.qemu import options as qemu

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
OURS = "ansible_collections.pve.provision.plugins."
MODULE_UTILS = OURS + "module_utils."

# Room -> the rooms it may import. The faces (modules, action, callback, filter ...) import all of them.
ROOMS = {
    "_errors": set(),
    "_io": {"_errors", "_io"},
    "_given": {"_errors", "_model"},
    "_argspec": {"_given", "_errors", "_model"},
    "_model": {"_errors", "_io", "_model"},  # of _io what is pure: see PURE
    "_pve": {"_model", "_errors", "_io", "_pve"},
    "_images": {"_model", "_errors", "_io", "_images"},
    "_openwrt": {"_model", "_errors", "_io", "_openwrt"},
    "_store": {"_model", "_errors", "_io", "_pve", "_images", "_openwrt", "_store"},
    "_access": {"_model", "_errors", "_io", "_pve", "_images", "_openwrt", "_access"},
    "_engine": {"_model", "_errors", "_io", "_pve", "_images", "_openwrt", "_store", "_access", "_engine"},
    "_guests": {
        *("_argspec", "_model", "_errors", "_io", "_pve", "_images", "_openwrt", "_store", "_access", "_engine"),
        *("_given", "_guests"),
    },
    "_module": {"_argspec", "_given", "_model", "_errors", "_io", "_pve", "_engine", "_guests"},
}
# Module (below the standard library) -> the only files that may import it.
FOREIGN = {
    "ansible": {"module_utils/_argspec.py", "module_utils/_given.py", "module_utils/_module.py"},
    "proxmoxer": {"module_utils/_pve/api/client.py"},
    "requests": {"module_utils/_pve/api/client.py"},
}
IO_MODULES = {
    "asyncio", "fcntl", "glob", "http", "io", "logging", "mmap", "multiprocessing", "os", "select", "shutil",
    "signal", "socket", "ssl", "subprocess", "tempfile", "threading", "time", "urllib",
}  # fmt: skip
# What _model may import of _io.
PURE = "_io.versions"
# What _model may import of a package that otherwise goes out: it reads and writes text.
PURE_PARSING = "urllib.parse"
IO_BUILTINS = {"open", "print", "input", "exec", "eval", "breakpoint"}
PVE_COMMANDS = {"pct", "qm", "pvesm", "pveam", "pvesh"}
STARTS_COMMANDS = PurePosixPath("module_utils/_pve/cli")  # a folder
# Of messages for people, only whole paths count: a remedy may name a file.
PVE_PLACES = re.compile(r"PVE_ROOT|(?<![\w.-])/?etc/pve(?![\w-])|run/qemu-server|\.serial0\b|\.qga\b")
FACE = "module_utils/_module.py"
RUNNER = MODULE_UTILS + "_pve.processes"
MODULE_LINES = 150
UTIL_LINES = 350
FUNCTION_LINES = 40
LONG_FUNCTIONS = 0.01  # of all
# What holds for every guest of PVE: its number, its pool, that it may be a clone. ``name`` is the word for the name of
# anything.
GENERIC = {"vmid", "pool", "clone_from", "restore_from", "name"}
OPTION_NAMES = {name for option in (*lxc.TABLE, *qemu.TABLE) for name in (option.key, option.param)} - GENERIC
LISTED_OPTIONS = {option.key for option in (*lxc.TABLE, *qemu.TABLE) if option.indexed}


def imports(tree: ast.AST) -> Iterator[str]:
    """Each imported module by its full name; ``from a import b`` gives both ``a`` and ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)


def room_of(path: PurePosixPath) -> str:
    """The room of a file below ``module_utils``; for a face, its kind of plugin."""
    return path.with_suffix("").parts[1] if path.parts[0] == "module_utils" else path.parts[0]


def documentation_lines(tree: ast.Module) -> int:
    """How many lines DOCUMENTATION, EXAMPLES and RETURN take."""
    names = {"DOCUMENTATION", "EXAMPLES", "RETURN"}
    return sum(
        (node.end_lineno or node.lineno) - node.lineno + 1
        for node in tree.body
        if isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id in names for to in node.targets)
    )


def import_faults(path: PurePosixPath, tree: ast.Module) -> Iterator[str]:
    room, below = room_of(path), path.parts[0] == "module_utils"
    for name in imports(tree):
        top = name.partition(".")[0]
        if name.startswith("."):
            yield f"{name}: relative import"
        elif name.startswith(MODULE_UTILS):
            other = name.removeprefix(MODULE_UTILS).partition(".")[0]
            if below and other not in ROOMS.get(room, set()):
                yield f"{room} imports {other}"
        elif name.startswith(OURS) and name != OURS + "module_utils" and below:
            yield f"{room} imports the face {name}"
        elif below and top not in sys.stdlib_module_names | {"ansible_collections"}:
            if str(path) not in FOREIGN.get(top, set()):
                yield f"imports {top}, which is not the standard library"
        elif top in {"proxmoxer", "requests"}:
            yield f"imports {top}"
        if name == RUNNER and path.parent != STARTS_COMMANDS:
            yield f"starts commands by {RUNNER}"


def behaviour_faults(path: PurePosixPath, tree: ast.Module) -> Iterator[str]:
    face = path.parts[0] in {"modules", "action"} or str(path) == FACE
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in {"exit_json", "fail_json"} and not face:
            yield f"{node.attr} outside of a module"
        if isinstance(node, ast.List) and node.elts and path.parent != STARTS_COMMANDS:
            first = node.elts[0]
            if isinstance(first, ast.Constant) and PurePosixPath(str(first.value)).name in PVE_COMMANDS:
                yield f"the argv of {first.value}"


def texts(tree: ast.Module) -> Iterator[str]:
    """The string constants of a file, without its docstrings."""
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


def place_faults(path: PurePosixPath, tree: ast.Module) -> Iterator[str]:
    """Where PVE keeps its files and QEMU its sockets is known to one room alone."""
    if path.parts[:2] == ("module_utils", "_pve") or path.parts[0] == "doc_fragments":
        return
    for text in texts(tree):
        if found := PVE_PLACES.search(text):
            yield f"knows {found[0]}"


def io_faults(path: PurePosixPath, tree: ast.Module) -> Iterator[str]:
    if path.parts[:2] != ("module_utils", "_model"):
        return
    for name in imports(tree):
        impure = name.startswith(MODULE_UTILS + "_io") and not name.startswith(MODULE_UTILS + PURE)
        reaches = name.partition(".")[0] in IO_MODULES and not name.startswith(PURE_PARSING)
        if impure or reaches or name == "pathlib.Path":
            yield f"_model imports {name.removeprefix(MODULE_UTILS)}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IO_BUILTINS:
            yield f"_model calls {node.func.id}"


def option_faults(path: PurePosixPath, tree: ast.Module) -> Iterator[str]:
    """The engine works on guests of any kind, so no option of a kind has a name in it: not as a word, not in a pattern.
    Texts for people, which have spaces in them, may name one."""
    if path.parts[:2] != ("module_utils", "_engine"):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:
            for word in re.split(r"\W+", node.value):
                if word in OPTION_NAMES or word.rstrip("0123456789") in LISTED_OPTIONS:
                    yield f"names the option {word}"


def length_faults(path: PurePosixPath, tree: ast.Module, source: str) -> Iterator[str]:
    lines = len(source.splitlines()) - documentation_lines(tree)
    if path.parts[0] == "modules" and lines > MODULE_LINES:
        yield f"{lines} lines without documentation"
    if path.parts[0] == "module_utils" and lines > UTIL_LINES:
        yield f"{lines} lines"


def long_functions(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or node.lineno) - node.lineno >= FUNCTION_LINES:
            yield node.name


def faults(path: str, source: str) -> set[str]:
    """Everything that a file does against the rules."""
    where, tree = PurePosixPath(path), ast.parse(source)
    return {
        *import_faults(where, tree),
        *behaviour_faults(where, tree),
        *place_faults(where, tree),
        *io_faults(where, tree),
        *option_faults(where, tree),
        *length_faults(where, tree, source),
    }


def sources() -> list[str]:
    return sorted(str(path.relative_to(PLUGINS)) for path in PLUGINS.rglob("*.py"))


@pytest.mark.parametrize("path", sources())
def test_file_keeps_the_rules(path: str) -> None:
    assert faults(path, (PLUGINS / path).read_text()) == set()


def test_nearly_all_functions_are_short() -> None:
    trees = {path: ast.parse((PLUGINS / path).read_text()) for path in sources()}
    count = sum(isinstance(node, ast.FunctionDef) for tree in trees.values() for node in ast.walk(tree))
    long = [f"{path}: {name}" for path, tree in trees.items() for name in long_functions(tree)]
    assert len(long) <= count * LONG_FUNCTIONS, long


def when_imported(tree: ast.Module) -> Iterator[str]:
    """What a module imports as soon as it is imported itself, without what only types need."""
    for statement in tree.body:
        for_types = isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test)
        if not for_types and not isinstance(statement, ast.FunctionDef | ast.ClassDef):
            yield from imports(statement)


def test_no_modules_import_each_other_in_a_circle() -> None:
    prefix = "ansible_collections.pve.provision.plugins."
    names = {path: prefix + path.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for path in sources()}
    known = set(names.values())
    trees = {name: ast.parse((PLUGINS / path).read_text()) for path, name in names.items()}
    graph = {name: known & set(when_imported(tree)) - {name} for name, tree in trees.items()}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(known)


@pytest.mark.parametrize("room", sorted({room_of(PurePosixPath(path)) for path in sources()}))
def test_every_room_is_known(room: str) -> None:
    assert room in {*ROOMS, "modules", "action", "plugin_utils", "filter", "doc_fragments"}


# Modules that reach no node.
WITHOUT_NODE = {"app_info", "wizard"}


def test_action_group_holds_all_modules_that_reach_a_node() -> None:
    group = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())["action_groups"]["node"]
    assert set(group) == {path.stem for path in (PLUGINS / "modules").glob("*.py")} - WITHOUT_NODE
    assert len(group) == len(set(group))


def test_one_action_plugin_reports_the_progress_of_all_modules_that_change_something() -> None:
    """That of ``guests``; ansible-test wants an action plugin to have the name of a module."""
    routed = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())["plugin_routing"]["modules"]
    changing = {path.stem for path in (PLUGINS / "modules").glob("*.py")} - {"guests", "node_info", *WITHOUT_NODE}
    assert routed == {name: {"action_plugin": "pve.provision.guests"} for name in changing}
    assert sorted(path.stem for path in (PLUGINS / "action").glob("*.py")) == ["app_info", "guests", "wizard"]


@pytest.mark.parametrize(
    ("path", "source", "fault"),
    [
        ("module_utils/_model/lxc.py", f"from {MODULE_UTILS}_pve.node import Node", "_model imports _pve"),
        ("module_utils/_model/lxc.py", "import os.path", "_model imports os.path"),
        ("module_utils/_model/lxc.py", "from pathlib import Path", "_model imports pathlib.Path"),
        ("module_utils/_model/lxc.py", "def f():\n    return open('x')", "_model calls open"),
        ("module_utils/_model/lxc.py", f"from {MODULE_UTILS}_io.files import atomic_file", "_model imports _io.files"),
        ("module_utils/_pve/cli/node.py", f"import {MODULE_UTILS}_engine.plan", "_pve imports _engine"),
        ("module_utils/_pve/cli/node.py", f"from {OURS}module_utils import _images", "_pve imports _images"),
        ("module_utils/_images/http.py", f"from {MODULE_UTILS}_pve.node import Node", "_images imports _pve"),
        ("module_utils/_openwrt/uci/text.py", f"from {MODULE_UTILS}_images import http", "_openwrt imports _images"),
        ("module_utils/_errors.py", f"from {MODULE_UTILS}_model import option", "_errors imports _model"),
        ("module_utils/_pve/node.py", "from .cli import Cli", ".cli: relative import"),
        ("module_utils/_engine/plan.py", f"from {OURS}modules import x", f"_engine imports the face {OURS}modules"),
        ("module_utils/_pve/api/node.py", "import proxmoxer", "imports proxmoxer, which is not the standard library"),
        ("module_utils/_pve/node.py", "import proxmoxer", "imports proxmoxer, which is not the standard library"),
        ("modules/lxc_create.py", "def f():\n    import proxmoxer", "imports proxmoxer"),
        (
            "module_utils/_engine/plan.py",
            "from ansible.module_utils.basic import AnsibleModule",
            "imports ansible, which is not the standard library",
        ),
        ("module_utils/_engine/plan.py", "def f(module):\n    module.fail_json()", "fail_json outside of a module"),
        ("module_utils/_engine/plan.py", "run(['/usr/sbin/pct', 'list'])", "the argv of /usr/sbin/pct"),
        ("modules/lxc_create.py", "run(['qm', 'list'])", "the argv of qm"),
        ("module_utils/_store/local.py", "Path(root) / 'etc/pve/nodes'", "knows etc/pve"),
        ("module_utils/_guests/vm/x.py", "f'/run/qemu-server/{vmid}.serial0'", "knows run/qemu-server"),
        ("module_utils/_engine/plan.py", "os.environ.get('PVE_ROOT')", "knows PVE_ROOT"),
        ("module_utils/_pve/api/client.py", f"from {RUNNER} import run", f"starts commands by {RUNNER}"),
        ("module_utils/_engine/plan.py", "options.get('hostname')", "names the option hostname"),
        ("module_utils/_engine/plan.py", "re.fullmatch(r'rootfs|mp\\d+', key)", "names the option mp"),
        ("module_utils/_engine/plan.py", "options['net0']", "names the option net0"),
        ("module_utils/_engine/plan.py", "f'{path}.memory'", "names the option memory"),
        ("modules/x.py", "DOCUMENTATION = '''\n\n'''\n" + "x = 1\n" * 151, "151 lines without documentation"),
        ("module_utils/_engine/x.py", "x = 1\n" * 351, "351 lines"),
    ],
)
def test_checker_finds(path: str, source: str, fault: str) -> None:
    assert fault in faults(path, source)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("module_utils/_model/lxc.py", f"import re\nfrom {MODULE_UTILS}_model import option"),
        ("module_utils/_model/lxc.py", f"from {MODULE_UTILS}_io.versions import key"),
        ("module_utils/_pve/api/client.py", "import proxmoxer\nimport requests"),
        ("module_utils/_pve/cli/node.py", f"from {RUNNER} import run\nrun(['pct', 'list'])"),
        ("module_utils/_engine/plan.py", f"from {MODULE_UTILS}_pve.node import Node"),
        ("module_utils/_engine/plan.py", "Finding('vmid', 1, 'Lower memory, or raise swap.')"),
        ("module_utils/_guests/lxc/kind.py", "options.get('rootfs')"),
        ("module_utils/_pve/cli/guests.py", "root / 'etc/pve/nodes'"),
        ("module_utils/_openwrt/x.py", "'/etc/pve-provision/armed'"),
        ("module_utils/_engine/x.py", '"""As /etc/pve/nodes has it."""'),
        ("modules/x.py", "DOCUMENTATION = '''" + "\n" * 900 + "'''\n" + "x = 1\n" * 150),
        ("modules/x.py", "from ansible.module_utils.basic import AnsibleModule\nmodule.fail_json()"),
        ("module_utils/_engine/x.py", "x = 1\n" * 350),
    ],
)
def test_checker_lets_pass(path: str, source: str) -> None:
    assert faults(path, source) == set()


@pytest.mark.parametrize(("lines", "found"), [(FUNCTION_LINES, []), (FUNCTION_LINES + 1, ["f"])])
def test_a_function_is_long_with_one_line_more(lines: int, found: list[str]) -> None:
    assert list(long_functions(ast.parse("def f():\n" + "    x = 1\n" * (lines - 1)))) == found
