# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what each task (and each item of a loop) returned as a JSON line to the file RESULTS, for tests to read."""

from __future__ import annotations

import json
import os
import typing as t

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: results
type: notification
short_description: Results as JSON lines
description: Writes what each task returned as a JSON line to the file that the environment variable RESULTS names.
author: the pve.provision authors (@pve-provision)
"""


NAMES = ("host", "task", "result")


class CallbackModule(CallbackBase):
    """One line for each result: host, task, item, outcome, and the result itself."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "results"

    def _write(self, outcome: str, result: t.Any) -> None:
        # ansible-core 2.18 has these names with an underscore only.
        host, task, values = (getattr(result, name if hasattr(result, name) else f"_{name}") for name in NAMES)
        entry = {
            "host": host.get_name(),
            "task": task.get_name().split(" : ")[-1],
            "outcome": outcome,
            "result": values,
        }
        with open(os.environ["RESULTS"], "a", encoding="utf-8") as out:
            out.write(json.dumps(entry, default=str) + "\n")

    def v2_runner_on_ok(self, result: t.Any) -> None:
        self._write("ok", result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        self._write("failed", result)

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        self._write("unreachable", result)

    def v2_runner_item_on_ok(self, result: t.Any) -> None:
        self._write("item", result)

    def v2_runner_item_on_failed(self, result: t.Any) -> None:
        self._write("failed item", result)
