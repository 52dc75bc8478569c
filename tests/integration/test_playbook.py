# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook and its role: what a user declares becomes so, once, on the node and over the API."""

from __future__ import annotations

import re
import typing as t

import pytest
import yaml

from .conftest import LOCAL, PLAYBOOK, Guest, Played, Site

DEFAULTS: Guest = {
    "type": "lxc",
    "ostemplate": "alpine-3.22-default",
    "rootfs": {"storage": "local-lvm", "size": 1},
    "tags": ["home"],
}
WEB: Guest = {
    "name": "web1",
    "vmid": 120,
    "ostemplate": "debian-13-standard",
    "cores": 2,
    "memory": 1024,
    "rootfs": {"size": 4},
    "networks": [{"bridge": "vmbr0", "tag": 20, "ip": "192.168.20.10/24", "gateway": "192.168.20.1"}],
    "state": "started",
}
DNS: Guest = {
    "name": "dns1",
    "networks": [{"bridge": "vmbr0", "ip": "192.168.1.53/24"}],
    "state": "started",
}
SPARE: Guest = {"name": "spare", "features": {"nesting": True}}
GUESTS = [WEB, DNS, SPARE]
CREATE = "Make the guests match their declaration"


def entries(played: Played) -> list[Guest]:
    """What the task told of each guest."""
    return t.cast("list[Guest]", played.of(CREATE)[0]["guests"])


@pytest.mark.parametrize("site", ["node", "token"], indirect=True)
def test_a_declaration_is_made_once_and_then_left_alone(site: Site) -> None:
    report = site.work / "run.html"
    first = site.good(GUESTS, provision_defaults=DEFAULTS, provision_report=str(report))
    assert first.count("changed") == 1
    sections = re.findall("<h2>(.*?)</h2>", report.read_text(encoding="utf-8"))
    assert {"Networks", "Guests", "Storages", "Time", "Plan"} <= set(sections)
    assert [result["plan"][-1]["step"] for result in entries(first)] == ["start", "start", "create"]
    web, dns = site.config(120), site.config(100)
    assert (web["hostname"], web["memory"], web["cores"], web["tags"]) == ("web1", "1024", "2", "home")
    assert web["rootfs"].startswith("local-lvm:")  # the defaults' dictionary and the guest's are one
    assert web["rootfs"].endswith("size=4G")
    assert "tag=20" in web["net0"]
    assert dns["rootfs"].endswith("size=1G")
    assert "features" not in dns
    assert [line.split()[1] for line in site.pct("list").splitlines()[1:]] == ["running", "stopped", "running"]
    if site.way != "node":
        assert site.commands("pct", "qm", "pvesm", "pvesh") == []

    before = site.configs()
    site.node.forget()
    second = site.good(GUESTS, provision_defaults=DEFAULTS)
    assert second.count("changed") == 0
    assert [entry["changed"] for entry in entries(second)] == [False, False, False]
    assert site.configs() == before
    assert site.commands("pct", "qm", "pvesm", "pvesh", "pveam") == []  # to ask the kernel costs nothing
    assert len(site.requests()) <= (0 if site.way == "node" else len(GUESTS) + 4)  # one each, and the list of guests


@pytest.mark.parametrize("site", ["password", "environment"], indirect=True)
def test_every_way_to_log_in_leads_to_the_same_plan(site: Site) -> None:
    told = site.good(GUESTS, "--check", provision_defaults=DEFAULTS)
    assert [result["plan"][-1]["step"] for result in entries(told)] == ["start", "start", "create"]
    assert site.configs() == {}
    assert site.requests() != []


def test_check_mode_reports_the_diff_that_the_run_then_makes(site: Site) -> None:
    declared = [WEB, DNS]
    untouched = site.configs()
    told = site.good(declared, "--check", "--diff", provision_defaults=DEFAULTS)
    assert site.configs() == untouched
    assert site.commands("pct") == []
    assert "+" in told.output
    made = site.good(declared, "--diff", provision_defaults=DEFAULTS)
    assert [entry["plan"] for entry in entries(told)] == [entry["plan"] for entry in entries(made)]
    assert told.of(CREATE)[0]["diff"] == made.of(CREATE)[0]["diff"]
    assert told.count("changed") == made.count("changed") == 1

    site.pct("set", "120", "--cores", "1")
    site.node.forget()
    told = site.good(declared, "--check", "--diff", provision_defaults=DEFAULTS)
    assert site.commands("pct", "qm", "pvesm", "pvesh", "pveam") == []
    shown = ["~ change web1 (120)", "    cores: 1 -> 2", "1 to change, 1 unchanged"]
    assert told.of(CREATE)[0]["diff"]["prepared"].splitlines() == shown


BAD: list[tuple[Guest, str]] = [
    ({"name": "no-type", "type": "jail"}, "'jail'"),
    ({"ostemplate": "debian-13-standard"}, "has no name"),
    ({"name": "a_b"}, "'a_b'"),
    ({"name": "low", "vmid": 99}, "vmid: 99"),
    ({"name": "much", "memory": "lots"}, "lots"),
    ({"name": "typo", "memroy": 512}, "memroy"),
    ({"name": "deep", "networks": [{"brdige": "vmbr0"}]}, "brdige"),
    ({"name": "vlan", "networks": [{"bridge": "vmbr0", "tag": 4095}]}, "4095"),
    ({"name": "wide", "networks": [{"bridge": "vmbr0", "ip": "10.0.0.5"}]}, "10.0.0.5"),
    ({"name": "away", "networks": [{"bridge": "vmbr0", "ip": "10.0.0.5/24", "gateway": "10.9.9.1"}]}, "10.9.9.1"),
    ({"name": "list", "networks": "vmbr0"}, "list: "),
    ({"name": "big", "rootfs": {"size": "1X"}}, "1X"),
    ({"name": "odd", "state": "up"}, "state"),
    ({"name": "open", "password": "abc"}, "too short"),
    ({"name": "twin", "vmid": 130}, "twin, twin"),
    ({"name": "twin", "vmid": 130}, "vmid: '130'"),
    ({"name": "one", "networks": [{"bridge": "vmbr0", "ip": "10.0.0.7/24"}]}, "10.0.0.7 on vmbr0"),
    ({"name": "two", "networks": [{"bridge": "vmbr0", "ip": "10.0.0.7/16"}]}, "one, two"),
]


def test_all_that_is_wrong_with_declarations_is_reported_at_once_and_nothing_is_written(site: Site) -> None:
    right = {**DNS, "ostemplate": "alpine-3.22-default", "rootfs": {"storage": "local-lvm"}}
    played = site.provision([right, *(guest for guest, _words in BAD)], provision_defaults={"type": "lxc"})
    assert played.rc != 0
    assert [words for _guest, words in BAD if words not in played.failure] == []
    assert "dns1" not in played.failure
    assert site.commands("pct", "qm") == []
    assert site.configs() == {}


def test_what_the_node_lacks_is_reported_before_anything_is_written(site: Site) -> None:
    absent = {"name": "old", "ostemplate": "debian-9-standard"}
    strayed = {"name": "lost", "networks": [{"bridge": "vmbr9"}]}
    homeless = {"name": "homeless", "rootfs": {"storage": "tank"}}
    played = site.provision([DNS, absent, strayed, homeless], provision_defaults=DEFAULTS)
    assert "debian-9-standard" in played.failure
    assert "local:vztmpl/alpine-3.22-default_" in played.failure
    assert "vmbr9" in played.failure
    assert "vmbr0" in played.failure
    assert "tank" in played.failure
    assert site.commands("pct") == []
    assert site.configs() == {}


def test_absent_removes_the_named_guest_and_no_other(site: Site) -> None:
    site.make(110, "dns1")
    site.make(111, "spare")
    gone = {"vmid": 110, "type": "lxc", "state": "absent"}
    wrong = site.provision([{**gone, "name": "spare"}])
    assert "spare" in wrong.failure
    assert set(site.configs()) == {"110.conf", "111.conf"}
    removed = site.good([{**gone, "name": "dns1"}])
    assert removed.count("changed") == 1
    assert set(site.configs()) == {"111.conf"}


def test_destroying_asks_also_where_only_downloads_would_go(site: Site) -> None:
    site.make(101, "other")
    kept = site.node.root / "var/cache/pve-provision/images/some.img"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text("of a run")

    def destroy(**variables: t.Any) -> Played:
        return site.play(
            PLAYBOOK.with_name("destroy.yml"), provision_guests=[{"name": "gone", "type": "lxc"}], **variables
        )

    asked = destroy()
    assert asked.rc != 0 and "Nothing was destroyed" in asked.output
    assert kept.exists()
    assert destroy(provision_limit="gone").rc == 0 and kept.exists(), "of a part nothing else goes, so nobody is asked"
    assert "limit: 'other' is not a guest of this list" in destroy(provision_limit="gone, other").output
    assert destroy(confirm_destroy=True).rc == 0 and not kept.exists()
    again = destroy()
    assert (again.rc, again.count("changed")) == (0, 0), "there is nothing to be asked about"
    assert "101.conf" in site.configs()


def test_null_deletes_an_option_also_in_lists_and_over_defaults(site: Site) -> None:
    has = {"cores": "2", "timezone": "host", "tags": "home", "startup": "order=1,up=5"}
    net = "name=eth0,bridge=vmbr0,ip=192.168.1.60/24,firewall=1,rate=5"
    site.make(120, "web1", net0=net, **has)
    assert set(has) <= set(site.config(120))
    bare = {"name": "web1", "vmid": 120, "cores": None, "timezone": None, "tags": None, "startup": {"up": None}}
    played = site.good([{**bare, "networks": [{"rate": None}]}], provision_defaults=DEFAULTS)
    assert played.count("changed") == 1
    config = site.config(120)
    assert not {"cores", "timezone", "tags"} & set(config)
    assert config["startup"] == "order=1"
    assert "rate" not in config["net0"]
    assert "firewall=1" in config["net0"]
    assert "bridge=vmbr0" in config["net0"]


def test_hosts_are_chosen_and_new_guests_join_the_inventory(site: Site) -> None:
    site.inventory = {"all": {"hosts": {"pve": {"ansible_connection": "broken"}, "node-a": LOCAL}}}
    tell = "{{ groups.provisioned | map('extract', hostvars, 'ansible_host') | list }}"
    plays: list[dict[str, t.Any]] = [
        {"import_playbook": "pve.provision.provision", "vars": {"provision_hosts": "node-a"}},
        {
            "hosts": "node-a",
            "gather_facts": False,
            "tasks": [
                {"name": "Names", "ansible.builtin.debug": {"msg": "{{ groups.provisioned }}"}},
                {"name": "Types", "ansible.builtin.debug": {"msg": "{{ groups.provisioned_lxc }}"}},
                {"name": "Addresses", "ansible.builtin.debug": {"msg": tell}},
                {"name": "Numbers", "ansible.builtin.debug": {"msg": "{{ hostvars.web1.provision_vmid }}"}},
                {"name": "Ways", "ansible.builtin.debug": {"msg": "{{ hostvars.web1.ansible_connection | d('ssh') }}"}},
            ],
        },
    ]
    report = site.work / "report.json"
    played = site.play(plays, provision_guests=[WEB, DNS], provision_defaults=DEFAULTS, provision_report=str(report))
    assert played.rc == 0, played.output
    assert played.of("Names")[0]["msg"] == played.of("Types")[0]["msg"] == ["web1", "dns1"]
    assert played.of("Addresses")[0]["msg"] == ["192.168.20.10", "192.168.1.53"]
    assert played.of("Ways")[0]["msg"] == "ssh"
    assert int(played.of("Numbers")[0]["msg"]) == 120  # text before ansible-core 2.19
    written = yaml.safe_load(report.read_text())
    assert written["title"] == "Guests of node-a"  # the guests are hosts of the play by now
    assert {step["step"] for step in written["timeline"]} >= {"create", "start"}
    assert written["plan"][0].startswith("+ create")
    assert "local-lvm" in {each["name"] for each in written["storages"]}
    rows = written["guests"]
    assert [(row["vmid"], row["name"], row["status"], row["address"], row["checks"]) for row in rows] == [
        (120, "web1", "running", "192.168.20.10", "state ok, address ok"),
        (100, "dns1", "running", "192.168.1.53", "state ok, address ok"),
    ]


def test_a_run_that_fails_writes_its_report_and_fails(site: Site) -> None:
    page, data = site.work / "run.html", site.work / "run.json"
    site.node.fault("fail_start", nth=1)
    failed = site.provision([WEB, {**SPARE, "state": "absent", "networks": DNS["networks"]}],
                            provision_defaults=DEFAULTS, provision_report=str(page))  # fmt: skip
    assert (failed.rc, failed.count("failed")) == (2, 1), failed.output
    text = page.read_text(encoding="utf-8")
    assert {"What has failed", "Guests", "Time", "Plan"} <= set(re.findall("<h2>(.*?)</h2>", text))
    assert "bar failed" in text
    assert "1 guests in 1 network segments" in text  # the one that is to be absent is in none
    broken = [{**WEB, "networks": [{"bridge": "vmbr9"}]}]
    refused = site.provision(broken, "--check", provision_defaults=DEFAULTS, provision_report=str(data))
    assert refused.rc == 2, refused.output
    written = yaml.safe_load(data.read_text(encoding="utf-8"))
    assert (written["failed"], written["guests"]) == (True, [])
    assert "vmbr9" in written["messages"][0]


def test_what_a_check_has_found_is_in_the_report(site: Site) -> None:
    report = site.work / "run.json"
    checks = [{"type": "command", "command": "exit 3", "name": "never green", "timeout": 1}]
    failed = site.provision([{**DNS, "checks": checks}], provision_defaults=DEFAULTS, provision_report=str(report))
    assert failed.rc == 2, failed.output
    (row,) = yaml.safe_load(report.read_text(encoding="utf-8"))["guests"]
    assert [(each["name"], each["outcome"]) for each in row["evidence"]] == [("never green", "failed")]


@pytest.mark.parametrize("site", ["token"], indirect=True)
def test_a_connection_is_set_once_for_all_modules_of_a_play(site: Site) -> None:
    """In the user's own play by the action group; its values are templates, as a secret from a vault is."""
    names = {key: f"site_{key}" for key in site.connection}
    connection = {key: f"{{{{ {name} }}}}" for key, name in names.items()}
    values = {names[key]: value for key, value in site.connection.items()}
    task = {"name": "Own task", "pve.provision.lxc_create": {**DEFAULTS, "hostname": "own", "vmid": 140}}
    del task["pve.provision.lxc_create"]["type"]  # type: ignore[attr-defined]
    plays: list[dict[str, t.Any]] = [
        {
            "hosts": "pve",
            "gather_facts": False,
            "module_defaults": {"group/pve.provision.node": connection},
            "tasks": [{"name": "Look", "pve.provision.node_info": {"gather": ["bridges"]}}, task],
        },
        {"import_playbook": "pve.provision.provision", "vars": {"provision_connection": connection}},
    ]
    played = site.play(plays, provision_guests=[DNS], provision_defaults=DEFAULTS, **values)
    assert played.rc == 0, played.output
    assert played.of("Look")[0]["node"] == site.node.name
    assert set(site.configs()) == {"100.conf", "140.conf"}
    assert site.commands("pct", "pvesm") == []
    assert site.connection["api_token_secret"] not in played.output


@pytest.mark.parametrize("site", ["node", "token"], indirect=True)
def test_what_others_have_made_is_written_down_and_then_left_alone(site: Site) -> None:
    site.make(101, "web1", cores="2", net0="name=eth0,bridge=vmbr0,ip=dhcp", description="not ours")
    site.make(102, "db1", memory="1024")
    site.make(103, "old", tags="legacy")
    adopt, file = PLAYBOOK.parent / "adopt.yml", site.work / "guests.yml"
    written = site.play(adopt, provision_connection=site.connection, adopt_file=str(file))
    assert written.rc == 0, written.output
    assert [guest["name"] for guest in yaml.safe_load(file.read_text())["provision_guests"]] == ["web1", "db1", "old"]
    again = site.play(PLAYBOOK, "-e", f"@{file}", provision_connection=site.connection)
    assert (again.rc, again.count("changed")) == (0, 0), again.output
    kept = site.play(adopt, provision_connection=site.connection, adopt_file=str(file))
    assert "is there already" in kept.failure


@pytest.mark.parametrize(("tag", "made"), [("validate", False), ("storage,network", False), ("create", True)])
def test_tags_that_only_plan_make_nothing(site: Site, tag: str, made: bool) -> None:
    played = site.good([WEB], "--tags", tag, provision_defaults=DEFAULTS)
    assert [each["plan"][0]["step"] for each in entries(played)] == ["create"]
    assert (site.node.root / "etc/pve/lxc/120.conf").exists() is made


def test_what_goes_on_after_a_run_has_nothing_to_go_on_with_alone(site: Site) -> None:
    played = site.provision([WEB], "--tags", "verify", provision_defaults=DEFAULTS)
    assert played.rc != 0
    assert "Add the tag create, or check guests by playbook pve.provision.verify." in " ".join(played.output.split())
