# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import stat
from pathlib import Path

import pytest
from scripted_commands import write

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    PveError,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.node import CliNode


class TestUpload:
    def test_the_file_gets_its_name_when_it_is_whole(self, node: CliNode, root: Path):
        write(root, "etc/pve/storage.cfg", f"dir: store\n\tpath {root}/store\n\tcontent vztmpl\n")
        write(root, "source", "x" * 1000)
        node.upload("store", "vztmpl", str(root / "source"), "a.tar.gz", timeout=5)
        folder = root / "store/template/cache"
        assert [path.name for path in folder.iterdir()] == ["a.tar.gz"]
        assert (folder / "a.tar.gz").read_text() == "x" * 1000
        assert stat.S_IMODE((folder / "a.tar.gz").stat().st_mode) == 0o644

    def test_a_failure_leaves_nothing(self, node: CliNode, root: Path):
        write(root, "etc/pve/storage.cfg", f"dir: store\n\tpath {root}/store\n\tcontent vztmpl\n")
        with pytest.raises(PveError, match="nothing-there"):
            node.upload("store", "vztmpl", str(root / "nothing-there"), "a.tar.gz", timeout=5)
        assert list((root / "store/template/cache").iterdir()) == []

    def test_a_folder_that_cannot_be_made_is_reported(self, node: CliNode, root: Path):
        write(root, "etc/pve/storage.cfg", f"dir: store\n\tpath {root}/store\n\tcontent vztmpl\n")
        write(root, "store", "a file")
        write(root, "source", "x")
        with pytest.raises(PveError, match=f"Copying {root}/source to store: .*{root}/store"):
            node.upload("store", "vztmpl", str(root / "source"), "a.tar.gz", timeout=5)
