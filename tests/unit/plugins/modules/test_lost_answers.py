# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Over the API PVE does what it was asked for, and its answer never comes."""

from __future__ import annotations

import re
import typing as t

import pytest
import requests
from requests.adapters import HTTPAdapter

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._pve.api.changes import ApiChanges
from ansible_collections.pve.provision.plugins.module_utils._pve.api.storages import ApiStorages
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.changes import CliChanges
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Outcome

from .conftest import Bench, Params, steps
from .test_lxc_create import WEB

Lose = t.Callable[[str], None]


@pytest.fixture
def lose(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Lose:
    """Lose the answer to the first request of a pattern from now on."""
    if bench.backend == "cli":
        pytest.skip("a command's end is seen")
    patterns: list[str] = []
    send = HTTPAdapter.send

    def losing(self: HTTPAdapter, request: requests.PreparedRequest, **settings: t.Any) -> requests.Response:
        response = send(self, request, **settings)
        found = [each for each in patterns if re.search(each, f"{request.method} {request.url}")]
        if found:
            patterns.remove(found[0])
            raise requests.exceptions.ConnectionError("Connection reset by peer")
        return response

    monkeypatch.setattr(HTTPAdapter, "send", losing)
    return patterns.append


def test_a_creation_is_reported_and_the_next_run_goes_on_with_its_guest(bench: Bench, lose: Lose) -> None:
    lose("POST .*/lxc$")
    failed = bench.bad("lxc_create", **WEB, state="started")
    assert "create failed: POST /nodes/pve1/lxc: Connection reset by peer" in failed.msg
    assert "PVE may have started it nevertheless" in failed.msg
    made = bench.good("lxc_create", **WEB, state="started")
    assert (steps(made), made.vmid, made.status) == (["start"], 101, "running")
    assert len(bench.volumes("local-lvm", 101)) == 1
    assert not bench.good("lxc_create", **WEB, state="started").changed


def test_a_new_guest_whose_start_ends_meanwhile_is_removed_all_the_same(bench: Bench, lose: Lose) -> None:
    """The start goes on while the guest is taken back, and wins."""
    bench.node.fault("slow", at="start", seconds=1)
    lose("POST .*/status/start$")
    failed = bench.bad("lxc_create", **WEB, state="started")
    assert "container 101, which this run had created, was removed again" in failed.msg
    assert not bench.exists(101)
    assert bench.volumes("local-lvm", 101) == []


@pytest.mark.parametrize("verb", ["shutdown", "start"])
def test_a_guest_that_was_there_comes_right_with_the_next_run(bench: Bench, lose: Lose, verb: str) -> None:
    changed = {**WEB, "nameserver": ["10.0.0.1"], "restart": "when_needed", "state": "started"}
    bench.good("lxc_create", **WEB, state="started")
    lose(f"POST .*/status/{verb}$")
    assert "PVE may have started it nevertheless" in bench.bad("lxc_create", **changed).msg
    assert bench.good("lxc_create", **changed).status == "running"
    assert not bench.good("lxc_create", **changed).changed


def test_a_guest_that_somebody_removes_meanwhile_is_gone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as the task of a run before, whose end that one did not see."""
    bench.good("lxc_create", **WEB)
    changes: t.Any = CliChanges if bench.backend == "cli" else ApiChanges
    remove = changes._remove

    def twice(self: object, *args: t.Any) -> Outcome:
        remove(self, *args)
        return t.cast("Outcome", remove(self, *args))

    monkeypatch.setattr(changes, "_remove", twice)
    assert bench.good("lxc_create", vmid=101, hostname="web1", state="absent").status == "absent"
    assert not bench.exists(101)


@pytest.mark.parametrize("upgrade", [False, True])
def test_a_template_that_holds_secrets_is_removed_though_nobody_saw_it_arrive(
    entered: Bench, gateway: Params, lose: Lose, upgrade: bool
) -> None:
    declared = {**gateway, "version": "24", "upgrade": upgrade}
    if upgrade:
        entered.good("openwrt_lxc", **gateway, version="23.05")
    lose("POST .*/upload$")
    failed = entered.bad("openwrt_lxc", **declared)
    assert "Connection reset by peer" in failed.msg
    assert list((entered.node.root / "var/lib/vz/template/cache").glob("*-router-*")) == []
    entered.good("openwrt_lxc", **declared)
    assert not entered.good("openwrt_lxc", **declared).changed


def test_what_could_not_be_removed_then_is_reported_beside_the_error(
    entered: Bench, gateway: Params, lose: Lose, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object, volid: str) -> None:
        raise PveError("Permission check failed")

    lose("POST .*/upload$")
    monkeypatch.setattr(ApiStorages, "free", refuse)
    failed = entered.bad("openwrt_lxc", **gateway, version="24")
    assert "Connection reset by peer" in failed.msg
    assert "which holds a guest's secrets, could not be removed" in str(failed.warnings)
