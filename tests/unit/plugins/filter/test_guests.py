# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role makes of the results."""

from __future__ import annotations

import copy
import datetime
import subprocess
import sys
import typing as t

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.pve.provision.plugins.filter.guests import (
    add_guests,
    capacity,
    declaration,
    guest_results,
    inventory_hosts,
    peers,
    verdict,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.registry import TYPES
from ansible_collections.pve.provision.plugins.module_utils._model.checks.known import EXPECTED

Guest = dict[str, t.Any]

NET: Guest = {"bridge": "vmbr0", "ip": "10.0.0.5/24"}


def lxc(**options: t.Any) -> Guest:
    return {"name": "web1", "type": "lxc", **options}


def test_capacity_is_a_line_for_each_storage() -> None:
    gib = 1024**3
    storage = {"name": "lvm", "type": "lvm", "content": ["rootdir"], "total": 100 * gib, "available": 10 * gib}
    off = {**storage, "name": "local", "type": "dir", "content": ["vztmpl", "iso"], "total": None, "available": None}
    assert capacity([storage, off]) == [
        "lvm (lvm, rootdir): 10.0 of 100.0 GiB free",
        "local (dir, iso, vztmpl): not active",
    ]


# -- results -----------------------------------------------------------------------------------------------------------
V4 = {"interface": "eth0", "address": "10.0.0.5", "family": "ipv4"}
V6 = {"interface": "eth0", "address": "fd00::5", "family": "ipv6"}


@pytest.mark.parametrize(
    ("guest", "result", "failed", "address"),
    [
        (lxc(), {"status": "stopped"}, [], ""),
        (lxc(state="started"), {"status": "running"}, [], ""),
        (lxc(state="started"), {"status": "stopped"}, ["state"], ""),
        (lxc(state="stopped"), {"status": "running"}, ["state"], ""),
        (lxc(state="template"), {"status": "stopped"}, [], ""),
        (lxc(state="absent"), {"status": "absent"}, [], ""),
        (lxc(state="started", networks=[NET]), {"status": "running", "addresses": [V6, V4]}, [], "10.0.0.5"),
        (lxc(state="started", networks=[NET]), {"status": "running", "addresses": [V6]}, ["address"], "fd00::5"),
        (lxc(state="started", networks=[{"ip": "dhcp"}]), {"status": "running", "addresses": []}, ["address"], ""),
        (lxc(state="started", networks=[{"ip": None}]), {"status": "running", "addresses": []}, [], ""),
        (lxc(networks=[NET]), {"status": "stopped", "addresses": []}, [], ""),
    ],
)
def test_a_result_says_what_is_not_as_declared(guest: Guest, result: Guest, failed: list[str], address: str) -> None:
    (row,) = guest_results(
        [{"name": guest["name"], "vmid": 101, "node": "pve1", "changed": True, **result}],
        [guest],
    )
    assert (row["failed_checks"], row["address"]) == (failed, address)
    assert (row["vmid"], row["name"], row["type"], row["node"], row["changed"]) == (101, "web1", "lxc", "pve1", True)
    assert all(f"{name} FAILED" in row["checks"] for name in failed)


@pytest.mark.parametrize(
    ("kind", "state"), [(kind, state) for kind, of in TYPES.items() for state in of.spec.options["state"]["choices"]]
)  # fmt: skip
def test_every_state_of_every_type_is_judged(kind: str, state: str) -> None:
    statuses = ["running", "stopped", "suspended", "absent"]
    rows = [
        guest_results([{"name": "web1", "status": status}], [{"name": "web1", "type": kind, "state": state}])[0]
        for status in statuses
    ]
    right = [status for status, row in zip(statuses, rows, strict=True) if not row["failed_checks"]]
    assert right == ([EXPECTED[state]] if state != "present" else statuses)


DECLARED = {**V4, "source": "declared"}
SEEN = {**V4, "source": "guest"}
RUNNING: Guest = {"status": "running", "vmid": 101, "node": "pve1"}


@pytest.mark.parametrize(
    ("result", "checks", "said"),
    [
        ({"addresses": [SEEN]}, "state ok, address ok", ""),
        ({"addresses": [DECLARED]}, "state ok, address declared, not verified", "address declared, not verified"),
        ({"addresses": [DECLARED, {**SEEN, "address": "10.0.0.6"}]}, "state ok, address declared, not verified",
         "address declared, not verified"),
        ({"addresses": [SEEN], "pending": {"net0": "x", "hostname": "y"}},
         "state ok, address ok, waits for a restart (hostname, net0)", "waits for a restart (hostname, net0)"),
        ({"addresses": [SEEN], "openwrt": {"drift": "unknown"}}, "state ok, address ok, configuration not seen",
         "configuration not seen"),
        ({"addresses": [SEEN], "openwrt": {"drift": "present"}}, "state ok, address ok, configuration differs",
         "configuration differs"),
        ({"addresses": [SEEN], "openwrt": {"drift": "none"}, "pending": {}}, "state ok, address ok", ""),
        ({"addresses": [SEEN], "checks": [{"name": "TCP port 22", "outcome": "passed"},
                                          {"name": "service nginx", "outcome": "not_verified"}]},
         "state ok, address ok, service nginx not verified", "service nginx not verified"),
    ],
)  # fmt: skip
def test_what_nobody_has_seen_is_reported_as_that(result: Guest, checks: str, said: str) -> None:
    guest = lxc(state="started", networks=[NET])
    (row,) = guest_results([{"name": "web1", **RUNNING, **result}], [guest])
    assert row["checks"] == checks
    assert row["failed_checks"] == []
    sure = {**row, "name": "web2", "unverified_checks": [], "notes": []}
    if said:
        assert verdict([row, sure]) == f"1 of 2 guests are as declared. The others:\nweb1: {said}"
    else:
        assert verdict([row, sure]) == "2 guests are as declared."


def test_the_main_address_reports_its_source() -> None:
    guest = lxc(state="started", networks=[NET])
    (row,) = guest_results([{"name": "web1", **RUNNING, "addresses": [SEEN]}], [guest])
    assert (row["address"], row["address_source"]) == ("10.0.0.5", "guest")


# -- several hosts -----------------------------------------------------------------------------------------------------


def host(node: str, cluster: str | None = None, *members: str, nodes: list[Guest] | None = None) -> Guest:
    """What a host of a play told of its node."""
    guests = [{"vmid": 100, "kind": "lxc", "node": node}]
    told = {"node": node, "cluster": {"name": cluster, "nodes": list(members or [node]), "guests": guests}}
    return told if nodes is None else {**told, "nodes": nodes}


def test_hosts_of_one_cluster_have_the_word_of_the_first_of_them() -> None:
    nodes = [{"name": "pve1"}, {"name": "pve2"}]
    first, second = peers([host("pve1", "lab", "pve1", "pve2", nodes=nodes), host("pve2", "lab", "pve1", "pve2")])
    assert first == {
        "node": "pve1",
        "cluster": "lab: pve1, pve2",
        "guests": [{"vmid": 100, "kind": "lxc", "node": "pve1"}],
        "nodes": nodes,
    }
    assert second == {"node": "pve2", "cluster": "lab: pve1, pve2"}


def test_hosts_that_are_no_cluster_each_speak_for_themselves() -> None:
    rows = peers([host("pve1"), host("pve2")])
    assert [(row["node"], row["cluster"], row["guests"][0]["node"], row["nodes"]) for row in rows] == [
        ("pve1", "", "pve1", []),
        ("pve2", "", "pve2", []),
    ]


def test_clusters_of_one_name_are_distinguished_by_their_nodes() -> None:
    rows = peers([host("pve1", "lab", "pve1"), host("a", "lab", "a")])
    assert [row["cluster"] for row in rows] == ["lab: pve1", "lab: a"]
    assert all("guests" in row for row in rows)


@pytest.mark.parametrize("told", [{}, {"skipped": True}, None])
def test_a_host_that_has_not_told_anything_yet_is_an_error(told: t.Any) -> None:
    with pytest.raises(AnsibleFilterError, match="Use the strategy linear"):
        peers([host("pve1"), told])


# -- the inventory -----------------------------------------------------------------------------------------------------


def row(name: str, **more: t.Any) -> Guest:
    usual = {"type": "lxc", "vmid": 101, "node": "pve1", "status": "running", "address": "10.0.0.5", "addresses": []}
    return {"name": name, **usual, **more}


BY_NODE: Guest = {
    "ansible_connection": "community.proxmox.proxmox_pct_remote", "proxmox_vmid": 101, "ansible_user": "root",
}  # fmt: skip
LOGIN: Guest = {"ansible_port": 2222, "ansible_user": "ansible", "ansible_private_key_file": "/keys/pve"}
NODES: Guest = {
    "pve1": "192.0.2.1", "pve3": {"ansible_host": "192.0.2.3", **LOGIN},
    "pve4": {"inventory_hostname": "pve4.example.org", "ansible_ssh_user": "ansible", "ansible_connection": "ssh"},
}  # fmt: skip


@pytest.mark.parametrize(("guest", "connection", "way"), [
    (row("web1"), "ssh", {"ansible_host": "10.0.0.5"}),
    (row("web1", address=""), "ssh", {}),
    (row("web1"), "pct_remote", {**BY_NODE, "ansible_host": "192.0.2.1"}),
    (row("web1", node="pve2"), "pct_remote", {**BY_NODE, "ansible_host": "pve.example.org"}),
    (row("web1", node="pve3"), "pct_remote", {**BY_NODE, "ansible_host": "192.0.2.3", **LOGIN}),
    (row("web1", node="pve4"), "pct_remote",
     {**BY_NODE, "ansible_host": "pve4.example.org", "ansible_user": "ansible"}),
    (row("vm1", type="vm"), "pct_remote", {"ansible_host": "10.0.0.5"}),
])  # fmt: skip
def test_a_guest_is_reached_as_the_play_says(guest: Guest, connection: str, way: Guest) -> None:
    (host,) = inventory_hosts([guest], [], connection, NODES, {"ansible_host": "pve.example.org"})
    facts = ("provision_vmid", "provision_node", "provision_addresses")
    assert {key: value for key, value in host["vars"].items() if key not in facts} == way
    assert host["groups"] == ["provisioned", f"provisioned_{guest['type']}"]


def test_hosts_are_grouped_by_their_applications_and_absent_ones_are_none() -> None:
    rows = [row("a"), row("b"), row("gone", status="absent")]
    declared = [{"name": "a", "app": "node-exporter"}, {"name": "b"}]
    hosts = inventory_hosts(rows, declared, "ssh", {}, {})
    assert [host["groups"][2:] for host in hosts] == [["app_node_exporter"], []]
    assert inventory_hosts(rows, declared, "none", {}, {}) == []


# -- declarations of what there is -------------------------------------------------------------------------------------
TEMPLATES = ("{{ lookup('pipe', 'id') }}", "{% for x in y %}", "{# not told", "a: {{ x }}\n\nb: 'c' # d\n")


class Marked(yaml.SafeLoader):
    """Tells texts that are marked."""


Marked.add_constructor("!unsafe", lambda loader, node: ("marked", loader.construct_scalar(node)))


@pytest.mark.parametrize("text", TEMPLATES)
def test_what_a_guest_says_of_itself_is_no_template(text: str) -> None:
    about = {"type": "lxc", "description": text, "tags": [text]}
    guests = [{"name": name, "vmid": vmid, **about} for vmid, name in enumerate(("web1", "web2"), 101)]
    written = yaml.load(declaration([{"nodes": ["pve1"], "provision_guests": guests, "remarks": []}]), Loader=Marked)
    marked = ("marked", text)
    assert written["provision_guests"] == [{**guest, "description": marked, "tags": [marked]} for guest in guests]


def test_what_a_user_has_written_may_be_a_template() -> None:
    guests = [{"name": "web1", "type": "lxc", "description": "{{ words }}"}]
    assert "!unsafe" not in add_guests("", guests)


# -- adding to a file --------------------------------------------------------------------------------------------------
NEW = [{"name": "new", "type": "lxc", "memory": 512, "onboot": True, "networks": [{"ip": "dhcp"}]}]
ENTRY = "- name: new\n  type: lxc\n  memory: 512\n  onboot: true\n  networks:\n    - ip: dhcp\n"
INDENTED = "".join(f"  {line}\n" for line in ENTRY.splitlines())
FILES = {
    "empty": ("", "---\n# Guests that playbook pve.provision.provision makes as they are declared here.\n\n"
              f"provision_guests:\n{INDENTED}"),
    "other variables": ("# mine\na: 1", f"# mine\na: 1\n\nprovision_guests:\n{INDENTED}"),
    "no guests yet": ("provision_guests: []  # none\na: 1\n", f"provision_guests:   # none\n{INDENTED}a: 1\n"),
    "nothing": ("provision_guests:\na: 1\n", f"provision_guests:\n{INDENTED}a: 1\n"),
    "comments and what comes after": (
        "provision_guests:\n- name: old  # first\n  tags: [a,\n    b]  # two\n\n# more\na: &x 1\nb: *x\n",
        "provision_guests:\n- name: old  # first\n  tags: [a,\n    b]  # two\n" + ENTRY + "\n# more\na: &x 1\nb: *x\n",
    ),
    "a secret": (
        "provision_guests:\n    - name: old\n      env: !vault |\n        $ANSIBLE_VAULT;1.1\n        6162\n",
        "provision_guests:\n    - name: old\n      env: !vault |\n        $ANSIBLE_VAULT;1.1\n        6162\n"
        + "".join(f"    {line}\n" for line in ENTRY.splitlines()),
    ),
    "an alias at the end, no line end": (
        "x: &x {a: 1}\nprovision_guests:\n  - <<: *x", f"x: &x {{a: 1}}\nprovision_guests:\n  - <<: *x\n{INDENTED}"
    ),
    "a flow within": ("provision_guests:\n  - {name: old}\n", "provision_guests:\n  - {name: old}\n" + INDENTED),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after"), FILES.values(), ids=FILES)
def test_guests_are_added_to_a_file_and_all_else_stays_as_it_is(before: str, after: str) -> None:
    assert add_guests(before, NEW) == after


@pytest.mark.parametrize("text", ["provision_guests: [{name: a}]\n", "provision_guests: '{{ all }}'\n", "{a: 1}\n",
                                  "$ANSIBLE_VAULT;1.1;AES256\n6162\n", "a: [\n"])  # fmt: skip
def test_a_file_that_cannot_be_added_to_is_refused(text: str) -> None:
    with pytest.raises(AnsibleFilterError):
        add_guests(text, NEW)


class Tagged(int):
    """As ansible-core 2.19 has numbers of files of variables."""


class Wrapped(str):
    """As ansible-core 2.18 has texts of results: its own type again, even by str()."""

    __slots__ = ()

    def __str__(self) -> str:
        return copy.copy(self)


def test_values_are_written_as_what_they_are_made_from() -> None:
    guest = {
        "name": Wrapped("new"),
        Wrapped("pool"): "x",
        "memory": Tagged(512),
        "on": True,
        "at": datetime.date(2026, 1, 2),
    }
    assert yaml.safe_load(add_guests("", [guest])) == {"provision_guests": [{**guest, "at": "2026-01-02"}]}


def test_a_process_of_a_task_imports_no_more_than_the_options_of_guests() -> None:
    """Ansible has a process of its own for each task, which imports and compiles all that the filters import."""
    package = "ansible_collections.pve.provision.plugins"
    names = ("declared", "guests", "reports")
    script = "; ".join([*(f"import {package}.filter.{name}" for name in names), "import sys", "print(*sys.modules)"])
    imported = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True)
    rooms = {name.removeprefix(f"{package}.module_utils.").split(".")[0] for name in imported.stdout.split()}
    assert rooms & {"_access", "_images", "_openwrt", "_store"} == set()
    assert f"{package}.module_utils._engine.reconcile" not in imported.stdout.split()
