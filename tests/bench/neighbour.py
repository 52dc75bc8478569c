# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection ``community.proxmox``, which PyPI has in the package ``ansible``, in a venv of its own."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path

VENV = Path(__file__).resolve().parents[2] / ".build" / "neighbour"
PACKAGES = ("ansible", "proxmoxer", "requests")


@functools.cache
def programs() -> Path | None:
    """The folder with its ``ansible-playbook``, fetched when it is not there; None where PyPI cannot be reached."""
    folder, ready = VENV / "bin", VENV / ".ready"
    if not ready.exists():
        print("\nfetching the package ansible, which takes some minutes", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
        command = [str(folder / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
        if subprocess.run(command, check=False).returncode:
            return None
        ready.touch()
    return folder


def version() -> str:
    """The release of the collection."""
    (manifest,) = VENV.glob("lib/python*/site-packages/ansible_collections/community/proxmox/MANIFEST.json")
    found: str = json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]["version"]
    return found
