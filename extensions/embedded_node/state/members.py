# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster of embedded nodes: each is a state root of its own, and they share what pmxcfs shares.

``etc/pve`` of a node that joins has links to the files of the node that it joins. ``storage.cfg`` is the exception:
each node has a copy, since the paths in it lie below its own root.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from .root import PRIVATE

FOLDERS = ("nodes", "priv", "ha", "sdn")
FILES = ("user.cfg", ".vmlist", "datacenter.cfg", "corosync.conf")
#: What a node has that belongs to a cluster, as far as it tells the cluster's name.
COROSYNC = "totem {\n  cluster_name: embedded\n  config_version: 2\n  secauth: on\n  version: 2\n}\n"
#: The secrets that the nodes were started with, see ``__main__``.
SECRETS = f"{PRIVATE}/api.json"
#: Where a node's state root is, in its folder below ``etc/pve/nodes``.
ROOT_FILE = "embedded-root"


def join(first: Path, first_name: str, root: Path, name: str) -> None:
    """Make a state root that was never started a member of the cluster of another one."""
    shared, own = first / "etc/pve", root / "etc/pve"
    own.mkdir(parents=True)
    for folder in FOLDERS:
        (shared / folder).mkdir(exist_ok=True)
    (shared / "corosync.conf").write_text(COROSYNC, encoding="utf-8")
    for entry in (*FOLDERS, *FILES):
        (own / entry).symlink_to(shared / entry)
    (shared / "nodes" / name).mkdir()
    for member, place in ((first_name, first), (name, root)):
        (shared / "nodes" / member / ROOT_FILE).write_text(f"{place}\n", encoding="utf-8")
    (root / SECRETS).parent.mkdir(parents=True)
    shutil.copy2(first / SECRETS, root / SECRETS)
