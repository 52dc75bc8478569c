# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the documentation site: reference pages from the collection, the pages of ``docs/docsite/rst``, ``docs/*.md``.

A warning fails the build. Nothing is fetched.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
DOCSITE = ROOT / "docs" / "docsite"
TARGET = ROOT / ".cache" / "docs"
# The type of guest that is shown to contributors.
NEW_TYPE = ROOT / "tests/integration/new_type/plugins/module_utils/_guests/lxc_jump"
TOCTREE = "\n.. toctree::\n    :maxdepth: 1\n    :caption: {caption}\n\n{entries}\n"


def sections() -> dict[str, list[str]]:
    """The pages of each section of ``extra-docs.yml``."""
    loaded: dict[str, t.Any] = yaml.safe_load((DOCSITE / "extra-docs.yml").read_text(encoding="utf-8"))
    return {section["title"]: section["toctree"] for section in loaded["sections"]}


def toctree(caption: str, pages: t.Iterable[str]) -> str:
    return TOCTREE.format(caption=caption, entries="".join(f"    {page}\n" for page in pages))


def landing_page(text: str, tables: t.Iterable[str]) -> str:
    """The first page: its text, and the contents of the site as they stand beside every page."""
    parts = [toctree(title, [f"docsite/{page}" for page in pages]) for title, pages in sections().items()]
    return "".join([text, *parts, toctree("Tables", tables), toctree("Reference", ["reference"])])


def reference(index: str) -> str:
    """antsibull-docs' page of the whole collection, without what the first page has."""
    head, _title, _description = index.partition("Pve.Provision\n=============\n")
    plugins = index[index.index(".. _plugin_index_for_pve.provision:") :]
    return f"{head}Modules, roles and filters\n==========================\n\n{plugins}"


def collect(source: Path) -> None:
    """Everything that the site is made of, in one folder."""
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    config = DOCSITE / "antsibull-docs.cfg"
    command = ["antsibull-docs", "--config-file", str(config), "collection", "--use-current", "--fail-on-error"]
    subprocess.run([*command, "--squash-hierarchy", "--dest-dir", str(source), "pve.provision"], check=True)
    shutil.copytree(DOCSITE / "rst" / "images", source / "docsite" / "images")
    shutil.copytree(NEW_TYPE, source / "docsite" / "new_type")
    tables = sorted((ROOT / "docs").glob("*.md"))
    for path in tables:
        shutil.copy(path, source)
    index = source / "index.rst"
    (source / "reference.rst").write_text(reference(index.read_text(encoding="utf-8")), encoding="utf-8")
    landing = (DOCSITE / "index.rst").read_text(encoding="utf-8")
    index.write_text(landing_page(landing, [path.stem for path in tables]), encoding="utf-8")


def main() -> int:
    source, html = TARGET / "src", TARGET / "html"
    print("The reference pages are made from the collection.", flush=True)
    try:
        collect(source)
        command = ["sphinx-build", "-W", "--keep-going", "-c", str(DOCSITE), "-d", str(TARGET / "doctrees")]
        shutil.rmtree(html, ignore_errors=True)
        subprocess.run([*command, str(source), str(html)], check=True)
    except subprocess.CalledProcessError as failure:
        print(f"docs: {failure.cmd[0]} ended with {failure.returncode}", file=sys.stderr)
        return 1
    print(f"The site is in {html.relative_to(ROOT)}/index.html.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
