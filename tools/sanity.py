# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs ``ansible-test sanity`` on what git would commit.

ansible-test accepts neither a plain checkout nor a link: the collection's files have to lie below
``ansible_collections/pve/provision``. So they are copied there, below ``.cache``; only what differs is copied again.
It also gets a home of its own there, for its virtual environments and for what pip has to know. Runs with other
arguments have other homes, so that they can run side by side.
"""

from __future__ import annotations

import ast
import configparser
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".cache" / "sanity" / (re.sub(r"[^\w.]+", "-", " ".join(sys.argv[1:])).strip("-") or "all")
COPY = HOME / "ansible_collections" / "pve" / "provision"

# ansible-test downloads a script that bootstraps pip, from a host that is not reachable from everywhere. It has no
# option for that, but takes what lies in its cache: pip as Python itself carries it, updated from the index in use.
PIP_STAND_IN = """\
import runpy
import subprocess
import sys

subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
sys.argv[1:] = ["install", *(word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel"))]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""


def output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def sync() -> None:
    """Make the copy hold the files of the working tree that are not ignored, new ones included."""
    listing = output("git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "-co", "--exclude-standard")
    files = {Path(name) for name in listing.split("\0") if name and (ROOT / name).is_file()}
    for copy in [path for path in COPY.rglob("*") if path.is_file()]:
        name = copy.relative_to(COPY)
        if name not in files and name.parts[0] != ".git":
            copy.unlink()
    for name in files:
        source, copy = ROOT / name, COPY / name
        if not copy.exists() or not same(source, copy):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)


def same(source: Path, copy: Path) -> bool:
    ours, theirs = source.stat(), copy.stat()
    return (ours.st_size, ours.st_mtime_ns, ours.st_mode) == (theirs.st_size, theirs.st_mtime_ns, theirs.st_mode)


def configure_pip() -> None:
    """Write down the pip settings that hold here: ansible-test hands on neither PIP_* nor the user's own home."""
    config = configparser.RawConfigParser()
    for line in output(sys.executable, "-m", "pip", "config", "list").splitlines():
        key, value = line.split("=", 1)
        section, option = key.replace(":env:", "global").split(".", 1)
        if not config.has_section(section):
            config.add_section(section)
        config.set(section, option, ast.literal_eval(value))
    target = HOME / ".config" / "pip" / "pip.conf"
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w") as stream:
        config.write(stream)


def offer_pip() -> None:
    """Put the stand-in where this version of ansible-test looks for the script: its name holds that of pip."""
    spec = importlib.util.find_spec("ansible_test")
    (package,) = spec.submodule_search_locations if spec and spec.submodule_search_locations else ()
    (version,) = re.findall(r"\bpip='([\d.]+)'", Path(package, "_internal/python_requirements.py").read_text())
    script = HOME / ".ansible" / "test" / "cache" / f"get_pip_{version.replace('.', '_')}.py"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(PIP_STAND_IN)


def main() -> int:
    COPY.mkdir(parents=True, exist_ok=True)
    # ansible-test asks the nearest git for the files; without one of its own the copy would be one ignored folder.
    if not (COPY / ".git").exists():
        subprocess.run(["git", "init", "--quiet", str(COPY)], check=True)
    sync()
    configure_pip()
    offer_pip()
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = ["ansible-test", "sanity", "--local", "--python", python, "--color", "no", *sys.argv[1:]]
    # The Makefile's PYTHONPATH would show ansible-test the collection a second time.
    environ = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "XDG_CONFIG_HOME")}
    return subprocess.run(command, cwd=COPY, env=environ | {"HOME": str(HOME)}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
