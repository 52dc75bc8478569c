# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the collection's tarball and has it read as Galaxy and ansible-builder will; a warning counts as a failure."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".cache" / "package"
COLLECTION = WORK / "ansible_collections" / "pve" / "provision"

#: Galaxy lints with it: it names the modules of AWX, which playbook awx is for.
LINTED_BY = ".ansible-lint"


class Refused(Exception):
    """One of the readers does not take the collection as it is."""


def run(*command: str, cwd: Path = WORK) -> str:
    # The Makefile's variables would show the checkout to what is to see the tarball alone.
    hidden = ("PYTHONPATH", "ANSIBLE_COLLECTIONS_PATH")
    environ = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        command, cwd=cwd, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise Refused(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def build() -> Path:
    """The tarball, and its content where a collection is installed."""
    shutil.rmtree(COLLECTION, ignore_errors=True)
    for old in WORK.glob("*.tar.gz"):
        old.unlink()
    run("ansible-galaxy", "collection", "build", "--output-path", str(WORK), cwd=ROOT)
    (tarball,) = WORK.glob("*.tar.gz")
    with tarfile.open(tarball) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.3 and older have none
        archive.extractall(COLLECTION)
    return tarball


def check_contents() -> None:
    """What git ignores, and what steers the project's own checks, is not for users."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "-co", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    ours = {*listed.stdout.split("\0"), "MANIFEST.json", "FILES.json"}
    packed = {path.relative_to(COLLECTION).as_posix() for path in COLLECTION.rglob("*") if not path.is_dir()}
    strays = sorted(name for name in packed if name not in ours or (name.startswith(".") and name != LINTED_BY))
    if strays:
        raise Refused(f"the tarball holds {', '.join(strays)}: add them to build_ignore in galaxy.yml")


def check_import(tarball: Path) -> None:
    said = run(sys.executable, "-m", "galaxy_importer.main", tarball.name)
    bad = [line for line in said.splitlines() if line.startswith(("WARNING", "ERROR", "CRITICAL"))]
    if bad or "completed successfully" not in said:
        raise Refused("galaxy-importer: " + ("\n".join(bad) or said))


def requirements(text: str) -> set[str]:
    return {line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")}


def check_execution_environment() -> None:
    said = run("ansible-builder", "introspect", str(WORK))
    for file in ("requirements.txt", "bindep.txt"):
        missing = [line for line in requirements((ROOT / "meta" / file).read_text()) if line not in said]
        if missing:
            raise Refused(f"ansible-builder does not find {', '.join(missing)} of meta/{file}:\n{said}")


def check_image() -> None:
    """What a user's image is built of can be read; the building itself takes a container engine."""
    definition, context = ROOT / "examples/infra/execution-environment.yml", WORK / "context"
    shutil.rmtree(context, ignore_errors=True)
    run("ansible-builder", "create", "--file", str(definition), "--context", str(context))
    needed = (definition.parent / "requirements.yml").read_text(encoding="utf-8")
    if (context / "_build/requirements.yml").read_text(encoding="utf-8") != needed:
        raise Refused(f"ansible-builder leaves the collections of {definition.relative_to(ROOT)} out")


def main() -> int:
    WORK.mkdir(parents=True, exist_ok=True)
    try:
        tarball = build()
        steps: tuple[t.Callable[[], None], ...] = (
            check_contents,
            lambda: check_import(tarball),
            check_execution_environment,
            check_image,
        )
        for step in steps:
            step()
    except Refused as refusal:
        print(f"package: {refusal}", file=sys.stderr)
        return 1
    print(f"{tarball.name}: galaxy-importer and ansible-builder take it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
