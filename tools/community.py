# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the collection community.proxmox, and what its connection takes, into a folder: for a test of that connection.

It is taken out of the package ansible, which has a hundred others in it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[1] / "requirements/community.txt"
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
MEMBERS = "ansible_collections/community/proxmox/"


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([*PIP, "install", "--upgrade", "--target", str(folder), "paramiko>=3.4,<6"], check=True)
    with tempfile.TemporaryDirectory() as scratch:
        download = [*PIP, "download", "--no-deps", "--require-hashes", "-r", str(REQUIREMENTS), "-d", scratch]
        subprocess.run(download, check=True)
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(folder, [name for name in packed.namelist() if name.startswith(MEMBERS)])
    (folder / ".ready").touch()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
