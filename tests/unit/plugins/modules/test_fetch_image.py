# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A template that no storage holds is fetched by the run that needs it, from what PVE's own index lists."""

from __future__ import annotations

import fnmatch
import gzip
import time
import typing as t

import pytest

from embedded_node.mirror import Mirror

from .conftest import Answer, Bench, Params, grant, pvesh, spawn, steps

FILE = "debian-12-standard_12.12-1_amd64.tar.zst"
OTHER = "debian-11-standard_11.7-1_amd64.tar.zst"
VOLID = f"local:vztmpl/{FILE}"
SENT = f"*/{FILE}"
DEBIAN: Params = {
    "hostname": "web1",
    "ostemplate": "debian-12-standard",
    "rootfs": {"storage": "local-lvm", "size": 1},
}
INDEX = "var/lib/pve-manager/apl-info/download.proxmox.com"


@pytest.fixture(scope="module")
def running() -> t.Iterator[Mirror]:
    with Mirror(sites=("pveam",)) as mirror:
        yield mirror


@pytest.fixture
def appliances(running: Mirror, bench: Bench) -> t.Iterator[Mirror]:
    """The node's index lists what a mirror has, which can be reached."""
    index = bench.node.root / INDEX
    text = gzip.decompress(running.read("pveam/images/aplinfo-pve-9.dat.gz")).decode()
    index.write_text(text.replace("Location: ", f"Location: {running.base('pveam')}/images/"), encoding="utf-8")
    running.forget()
    yield running
    running.clear_faults()


def cache(bench: Bench) -> t.Any:
    return bench.node.root / "var/lib/vz/template/cache"


def files(bench: Bench) -> list[str]:
    return sorted(path.name for path in cache(bench).iterdir())


def fetched(mirror: Mirror, pattern: str = SENT) -> int:
    """How often the bytes of a template were sent."""
    return sum(answered.sent > 0 for answered in mirror.requests if fnmatch.fnmatchcase(answered.path, pattern))


# -- one guest ---------------------------------------------------------------------------------------------------------
def test_a_missing_template_is_predicted_fetched_and_used(bench: Bench, appliances: Mirror) -> None:
    before = files(bench)
    told = bench.good("lxc_create", check=True, **DEBIAN)
    assert (told.changed, told.ostemplate) == (True, VOLID)
    assert (fetched(appliances), files(bench)) == (0, before)
    made = bench.good("lxc_create", **DEBIAN)
    assert made.plan == told.plan
    assert steps(made) == ["fetch_image", "create"]
    fetch = made.plan[0]
    assert fetch["volid"] == VOLID
    assert fetch["url"].endswith(FILE)
    assert fetch["size"] == (cache(bench) / FILE).stat().st_size
    assert bench.config(made.vmid)["ostype"] == "debian"
    appliances.forget()
    assert not bench.good("lxc_create", **DEBIAN).changed
    assert steps(bench.good("lxc_create", **{**DEBIAN, "hostname": "web2"})) == ["create"]
    assert appliances.requests == []


@pytest.mark.parametrize("name", [FILE, f"local:vztmpl/{FILE}", "debian-12", "debian-12-standard_12.12-1"])
def test_it_may_be_named_as_one_that_is_there(bench: Bench, appliances: Mirror, name: str) -> None:
    told = bench.good("lxc_create", check=True, **{**DEBIAN, "ostemplate": name})
    assert told.ostemplate == VOLID


def test_what_is_there_is_used_without_asking_anybody(bench: Bench, appliances: Mirror) -> None:
    """Also where PVE offers a newer one."""
    (bench.node.root / INDEX).write_text("this is no index", encoding="utf-8")
    bench.node.forget()
    made = bench.good("lxc_create", **{**DEBIAN, "ostemplate": "alpine-3.22-default"})
    assert steps(made) == ["create"]
    assert appliances.requests == []
    assert not [request for request in bench.node.requests() if "aplinfo" in request["path"]]


def test_fetching_can_be_turned_off(bench: Bench, appliances: Mirror) -> None:
    refused = bench.bad("lxc_create", **DEBIAN, fetch_template=False)
    (finding,) = refused.findings
    assert finding["option"] == "ostemplate"
    assert "is not on any storage" in finding["problem"]
    assert appliances.requests == []


def test_what_pve_does_not_offer_is_reported_with_what_there_is(bench: Bench, appliances: Mirror) -> None:
    (finding,) = bench.bad("lxc_create", **{**DEBIAN, "ostemplate": "debian-99-standard"}).findings
    assert "PVE's index of templates does not list it" in finding["problem"]
    assert "Similar are debian-11-standard, debian-12-standard, debian-13-standard." in finding["remedy"]
    assert "local:vztmpl/alpine-3.22-default" in finding["remedy"]


def test_a_node_without_an_index_says_what_it_holds(bench: Bench, appliances: Mirror) -> None:
    (bench.node.root / INDEX).write_text("", encoding="utf-8")
    (finding,) = bench.bad("lxc_create", check=True, **DEBIAN).findings
    assert "has no index" in finding["problem"]
    assert "local:vztmpl/alpine-3.22-default" in finding["remedy"]
    assert "pveam update" in finding["remedy"]


@pytest.mark.parametrize(
    ("storage", "problem"), [("local-lvm", "takes no container templates"), ("nowhere", "does not exist")]
)
def test_the_storage_must_take_templates(bench: Bench, appliances: Mirror, storage: str, problem: str) -> None:
    (finding,) = bench.bad("lxc_create", check=True, **DEBIAN, template_storage=storage).findings
    assert (finding["option"], finding["value"]) == ("template_storage", storage)
    assert problem in finding["problem"]
    assert fetched(appliances) == 0


def test_a_damaged_download_is_refused_and_leaves_nothing(bench: Bench, appliances: Mirror) -> None:
    before = files(bench)
    appliances.fault("flip", SENT, after=100)
    failed = bench.bad("lxc_create", **DEBIAN)
    assert "fetch_image failed" in failed.msg
    assert (files(bench), bench.exists(100)) == (before, False)
    appliances.clear_faults()
    assert bench.good("lxc_create", **DEBIAN).changed


def test_a_template_that_cannot_be_had_is_reported(bench: Bench, appliances: Mirror) -> None:
    before = files(bench)
    appliances.fault("status", SENT, code=404)
    told = bench.good("lxc_create", check=True, **DEBIAN)
    assert "size" not in told.plan[0]
    failed = bench.bad("lxc_create", **DEBIAN)
    assert "404" in failed.msg
    assert files(bench) == before


def test_what_a_killed_run_has_left_is_used_up_by_the_next(bench: Bench, appliances: Mirror) -> None:
    if bench.backend == "api":
        pytest.skip("over the API the node fetches, whoever asked for it")
    before = set(files(bench))
    appliances.fault("stall", SENT, after=100, seconds=600, times=2)  # the size is asked for, too
    killed = spawn({**bench.connection, **DEBIAN})
    deadline = time.monotonic() + 120
    while set(files(bench)) == before:
        assert time.monotonic() < deadline, "the download never began"
        time.sleep(0.05)
    killed.kill()
    killed.communicate()
    appliances.clear_faults()
    assert bench.good("lxc_create", **DEBIAN).changed
    assert set(files(bench)) - before == {FILE, f".{FILE}.pve-provision.json"}


def test_a_container_is_not_destroyed_for_a_template_that_cannot_be_had(bench: Bench, appliances: Mirror) -> None:
    bench.good("lxc_create", **{**DEBIAN, "ostemplate": "alpine-3.22-default"}, vmid=100)
    declared = {**DEBIAN, "vmid": 100, "recreate": True, "state": "started"}
    appliances.fault("status", SENT, code=404)
    assert "fetch_image failed" in bench.bad("lxc_create", **declared).msg
    assert bench.config(100)["ostype"] == "alpine"
    appliances.clear_faults()
    assert steps(bench.good("lxc_create", **declared)) == ["fetch_image", "destroy", "create", "start"]


# -- rights and room ---------------------------------------------------------------------------------------------------
def test_the_right_to_fetch_is_asked_for_before(bench: Bench, appliances: Mirror, token: Params) -> None:
    pvesh(bench, "set", "/access/acl", "--path", "/", "--users", "ansible@pve", "--roles", "PVEAuditor")
    (finding,) = bench.bad("lxc_create", check=True, **DEBIAN, **token).findings
    assert "Datastore.AllocateTemplate on /storage/local (download)" in finding["problem"]
    assert "Sys.AccessNetwork" not in finding["problem"]
    grant(bench, finding["remedy"])
    assert steps(bench.good("lxc_create", **DEBIAN, **token)) == ["fetch_image", "create"]


def test_the_room_it_takes_is_counted(bench: Bench, appliances: Mirror) -> None:
    size = len(appliances.read(f"pveam/images/system/{FILE}"))
    with bench.settings(capacity={"local": {"total": 1 << 40, "used": (1 << 40) - size + 1}}):
        (finding,) = bench.bad("lxc_create", check=True, **DEBIAN).findings
    assert finding["option"] == "ostemplate"
    assert "GiB free" in finding["problem"]


# -- several guests ----------------------------------------------------------------------------------------------------
def guests(bench: Bench, names: t.Mapping[str, str], **more: t.Any) -> Answer:
    declared = [{"name": name, "ostemplate": template} for name, template in names.items()]
    defaults = {"type": "lxc", "rootfs": DEBIAN["rootfs"]}
    return bench.run("guests", defaults=defaults, guests=declared, concurrency="4", **more)


def test_guests_of_one_run_share_a_fetch(bench: Bench, appliances: Mirror) -> None:
    declared = dict.fromkeys(("a", "b", "c"), "debian-12-standard")
    told = guests(bench, declared, check=True)
    assert told.plan[0] == f"+ fetch {VOLID}"
    made = guests(bench, declared)
    assert not made.failed, made.msg
    assert made.plan == told.plan
    assert fetched(appliances) == 1
    assert not guests(bench, declared).changed


def test_a_fetch_that_fails_stops_only_those_who_need_it(bench: Bench, appliances: Mirror) -> None:
    appliances.fault("status", SENT, code=404)
    declared = {"a": FILE, "b": "debian-11-standard", "c": "alpine-3.22-default", "d": FILE}
    made = guests(bench, declared)
    assert {entry["name"] for entry in made.guests if entry.get("failed")} == {"a", "d"}
    assert {entry["name"] for entry in made.guests if entry["changed"]} == {"b", "c"}
    assert OTHER in files(bench)
    assert FILE not in files(bench)
