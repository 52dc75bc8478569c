# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small POSIX shell for a scripted guest: the grammar that OpenWrt's scripts and seeds are written in.

A real shell cannot be used: it would see this machine's files, and changing the root needs a privilege. Here every
path goes through the guest's own tree, and every command is looked up among the guest's commands. Lists, pipes,
redirections, here-documents, functions, ``if for while until case``, subshells, background jobs, and every expansion
but ``~``. A pipe's left side runs to its end before the right side begins.
"""

from __future__ import annotations

from .shell_builtins import BUILTINS
from .shell_interpreter import Interpreter


class Shell(Interpreter):
    """A shell in a guest: what runs its scripts, with its own commands."""

    builtins = BUILTINS
