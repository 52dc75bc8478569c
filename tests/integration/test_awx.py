# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbook awx.yml sets up a controller by the real modules of ``awx.awx``, once; ansible-runner runs its jobs.

The modules, and the inventory plugin of ``community.proxmox``, come from PyPI's package ``ansible``.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import typing as t
import zipfile
from dataclasses import dataclass
from pathlib import Path

import ansible_runner
import awx_surveys
import pytest
import yaml
from awx_rules import Refused, job_variables
from fake_awx import FakeAwx
from guide_blocks import RST, blocks

from embedded_node import EmbeddedNode
from embedded_node.mirror import Mirror

from .conftest import PLAYBOOK, ROOT, Site
from .test_installed import stand_in_for_ssh

CACHE = ROOT / ".cache/awx"
AWX = PLAYBOOK.parent / "awx.yml"
INFRA = ROOT / "examples/infra"
PAGE = RST / "awx.rst"
#: What of a node's login AWX is told.
LOGIN = ("host", "port", "user", "token_id", "token_secret")
JOBS = itertools.count(1)
#: What somebody answers; the rest is left as the surveys propose it.
ANSWERS: dict[str, dict[str, t.Any]] = {
    "container": {
        "guest__name": "shop1", "guest__rootfs__storage": "local-lvm", "guest__networks__0__ip": "10.0.0.5/24",
    },
    "application": {
        "guest__name": "cache1", "guest__app": "memcached", "guest__rootfs__storage": "local-lvm",
        "guest__networks__0__ip": "10.0.0.6/24",
    },
    "vm": {
        "guest__name": "db1", "guest__profile": "custom", "guest__image": "", "guest__disks__0__storage": "local-lvm",
    },
    "openwrt": {
        "guest__name": "gw", "guest__interfaces__wan__bridge": "vmbr0", "guest__interfaces__lan__bridge": "vmbr1",
        "guest__management__ssh_keys": "ssh-ed25519 AAAAC3Nz me@example.org",
    },
}  # fmt: skip


@pytest.fixture(scope="session")
def awx_collection() -> Path:
    """A folder of collections that has awx.awx and community.proxmox."""
    names = tuple(f"ansible_collections/{name}/" for name in ("awx/awx", "community/proxmox"))
    if not all((CACHE / name / "MANIFEST.json").exists() for name in names):
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        if subprocess.run([*command, "--dest", str(CACHE), "ansible"], check=False).returncode:
            pytest.skip("PyPI cannot be reached, so the collections awx.awx and community.proxmox are not here")
        for wheel in CACHE.glob("ansible-*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(CACHE, [name for name in archive.namelist() if name.startswith(names)])
            wheel.unlink()
    return CACHE


@pytest.fixture(scope="module")
def node() -> t.Iterator[EmbeddedNode]:
    with EmbeddedNode() as running:
        yield running


def environ_of_controller(awx: FakeAwx, collections: str) -> dict[str, str]:
    """The environment in which the modules of awx.awx find it."""
    return {
        **environ_of(collections), "CONTROLLER_HOST": awx.url, "CONTROLLER_OAUTH_TOKEN": "planted-controller-token",
    }  # fmt: skip


def set_up(awx: FakeAwx, node: EmbeddedNode, work: Path, collections: str, **variables: t.Any) -> tuple[int, str, int]:
    """Run the playbook; its exit code, what it shows, and the tasks that changed something."""
    given = {"awx_project_url": "https://git.example.org/infra.git", "awx_image": "registry.example.org/provision-ee"}
    environ = {
        **environ_of_controller(awx, collections),
        **{f"PROXMOX_{name.upper()}": str(node.api[f"api_{name}"]) for name in LOGIN},
    }
    given |= {"awx_ca": f"{{{{ lookup('file', '{node.api['ca_path']}') }}}}", **variables}
    command = ["ansible-playbook", "pve.provision.awx", "-v"]
    command += ["-e", json.dumps(given)]
    done = subprocess.run(command, env=environ, cwd=work, capture_output=True, text=True, timeout=600, check=False)
    changed = [line for line in done.stdout.splitlines() if line.startswith("changed:")]
    return done.returncode, done.stdout + done.stderr, len(changed)


def environ_of(collections: str) -> dict[str, str]:
    """The environment of Ansible's programs, which know nothing of the checkout."""
    hidden = ("ANSIBLE_", "PROXMOX_", "PVE_", "CONTROLLER_", "REQUESTS_", "PYTHONPATH")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(hidden)},
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "ANSIBLE_COLLECTIONS_PATH": collections,
        "ANSIBLE_NOCOLOR": "1",
    }


@dataclass
class Controller:
    """An AWX that was set up, whose jobs run here."""

    awx: FakeAwx
    node: EmbeddedNode
    work: Path
    collections: str

    def environ(self, credentials: list[str]) -> dict[str, str]:
        environ = environ_of(self.collections)
        for credential in credentials:
            environ |= self.awx.environment(credential, self.work)
        return environ

    def project(self) -> Path:
        """The repository, whose owner has filled in which node it is about, and leaves the login to the credential."""
        folder = self.work / "project"
        if not folder.exists():
            shutil.copytree(INFRA, folder)
            connection = {"provision_connection": {"node": self.node.name}}
            (folder / "group_vars/pve/connection.yml").write_text(json.dumps(connection))
        return folder

    @functools.cached_property
    def inventories(self) -> dict[str, dict[str, t.Any]]:
        """What an update of each source of the inventory finds, by its path."""
        sources = self.awx.objects["inventory_sources"].values()
        return {source["source_path"]: self._inventory(source) for source in sources}

    def _inventory(self, source: dict[str, t.Any]) -> dict[str, t.Any]:
        credential = self.awx.objects["credentials"][source["credential"]]["name"]
        command = ["ansible-inventory", "--list", "--export", "-i", source["source_path"]]
        done = subprocess.run(
            command, env=self.environ([credential]), cwd=self.project(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "[WARNING]" not in done.stderr, done.stderr
        found: dict[str, t.Any] = json.loads(done.stdout)
        return found

    def job(
        self, name: str, answers: dict[str, t.Any], *, cmdline: str = "", ssh_key: str = "", **variables: t.Any
    ) -> ansible_runner.Runner:
        """Launch a job template with these answers of its survey, and let ansible-runner run its playbook.

        ``ssh_key``: that of a credential of type Machine. ``variables``: what a user has in the repository besides.
        """
        template = self.awx.named("job_templates")[f"Proxmox VE: {name}"]
        given = json.loads(template["extra_vars"]) if template.get("extra_vars") else {}
        survey = self.awx.surveys.get(template["name"], {})
        credentials = [each["name"] for each in self.awx.listed(template, "credentials")]
        data = self.work / f"job{next(JOBS)}"
        shutil.copytree(self.project(), data / "project")
        script = data / "hosts"  # as AWX hands it over
        script.write_text(f"#!/bin/sh\ncat <<'EOF'\n{json.dumps(self.inventories['inventory.yml'])}\nEOF\n")
        script.chmod(0o755)
        return ansible_runner.run(
            private_data_dir=str(data),
            playbook=template["playbook"],
            inventory=str(script),
            extravars={**job_variables(given, survey, answers), **variables},
            envvars={"PYTHONPATH": "", **self.environ(credentials)},
            cmdline=cmdline or None,
            ssh_key=ssh_key or None,
            quiet=True,
        )


@pytest.fixture(scope="module")
def controller(
    node: EmbeddedNode, collections: Path, awx_collection: Path, tmp_path_factory: pytest.TempPathFactory
) -> t.Iterator[Controller]:
    """Set up by the collection as users install it, which its jobs have, too."""
    work, paths = tmp_path_factory.mktemp("awx"), os.pathsep.join([str(collections), str(awx_collection)])
    with FakeAwx(repository=INFRA) as awx:
        rc, shown, changed = set_up(awx, node, work, paths)
        assert (rc, changed > 0) == (0, True), shown
        assert str(node.api["api_token_secret"]) not in shown
        yield Controller(awx, node, work, paths)


def test_a_controller_is_set_up(controller: Controller) -> None:
    awx = controller.awx
    assert {name.partition(": ")[2] for name in awx.named("job_templates")} >= {
        "Destroy", "New OpenWrt router", "New VM", "New application", "New container", "Provision", "Report", "Verify",
    }  # fmt: skip
    assert len(awx.surveys["Proxmox VE: New container"]["spec"]) == len(awx_surveys.SURVEYS["container"][1])
    nodes = {node["identifier"] for node in awx.objects["workflow_job_template_nodes"].values()}
    assert nodes == {"provision", "verify", "report"}


def test_a_second_run_changes_nothing(controller: Controller) -> None:
    rc, shown, changed = set_up(controller.awx, controller.node, controller.work, controller.collections)
    assert (rc, changed) == (0, 0), shown


def galaxy_credentials(awx: FakeAwx, organization: str) -> list[str]:
    one = awx.named("organizations")[organization]
    return [each["name"] for each in awx.listed(one, "galaxy_credentials")]


def test_an_organization_has_what_installs_its_requirements(
    node: EmbeddedNode, collections: Path, awx_collection: Path, tmp_path: Path
) -> None:
    """Default has it from AWX, and keeps what its owner has given it."""
    paths = os.pathsep.join([str(collections), str(awx_collection)])
    with FakeAwx(repository=INFRA) as awx:
        of_type = awx.named("credentials")["Ansible Galaxy"]["credential_type"]
        hub = awx.add("credentials", {"name": "Private hub", "credential_type": of_type, "inputs": {}})
        awx.lists[f"{awx.named('organizations')['Default']['url']}galaxy_credentials/"] = [hub["id"]]
        homelab = {"awx_organization": "Homelab", "awx_name": "Homelab"}
        for variables, wanted in (
            ({"awx_organization": "Default"}, ["Private hub"]),
            (homelab, ["Ansible Galaxy"]),
            ({**homelab, "awx_galaxy_credentials": ["Private hub"]}, ["Private hub"]),
        ):
            rc, shown, _changed = set_up(awx, node, tmp_path, paths, **variables)
            assert rc == 0, shown
            assert galaxy_credentials(awx, variables["awx_organization"]) == wanted


def test_an_image_has_to_be_named(controller: Controller) -> None:
    """None that is public has what the collection needs."""
    rc, shown, _changed = set_up(controller.awx, controller.node, controller.work, controller.collections, awx_image="")
    assert (rc, "awx_image" in shown) == (2, True), shown


@pytest.mark.parametrize("answers", [{}, {"provision_limit": ""}], ids=["none", "blank"])
def test_nothing_is_destroyed_without_saying_what(controller: Controller, answers: dict[str, str]) -> None:
    with pytest.raises(Refused):
        job_variables({}, controller.awx.surveys["Proxmox VE: Destroy"], answers)


def test_the_example_of_two_sites_gives_each_its_own_execution_nodes(controller: Controller) -> None:
    awx, work = controller.awx, controller.work
    inventory, sites = (next(b for b in blocks(PAGE) if b.caption == name) for name in ("inventory.yml", "sites.yml"))
    for site in inventory.data["pve"]["children"]:
        awx.add("instances", {"hostname": f"exec.{site}.example.org"})
        token = awx.named("credential_types")["Proxmox VE token"]["id"]
        awx.add("credentials", {"name": f"{site} token", "credential_type": token, "inputs": {}})
    (work / "sites.yml").write_text(sites.text)
    environ = environ_of_controller(awx, controller.collections)
    for turn in ("first", "again"):
        command = ["ansible-playbook", "sites.yml"]
        done = subprocess.run(command, env=environ, cwd=work, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stdout
        assert ("changed=0" in done.stdout) == (turn == "again"), done.stdout
    for site in inventory.data["pve"]["children"]:
        job = awx.named("job_templates")[f"Proxmox VE: Provision {site}"]
        (group,) = awx.listed(job, "instance_groups")
        (instance,) = awx.listed(group, "instances")
        assert (job["limit"], instance["hostname"]) == (f"{site}:provisioned", f"exec.{site}.example.org")


def test_the_files_of_the_page_are_those_of_the_starter_repository() -> None:
    own = {"inventory.yml", "sites.yml"}  # of the example of two sites
    for block in blocks(PAGE):
        if block.caption not in own:
            assert block.text.strip() in (INFRA / block.caption).read_text(encoding="utf-8"), block


def test_the_commands_of_the_page_set_variables_that_there_are() -> None:
    told = [block.text for block in blocks(PAGE, "sh")]
    plays = yaml.safe_load(AWX.read_text(encoding="utf-8"))
    known = {"awx_project_url", "awx_image", *plays[0]["vars"]}
    assert {name for text in told for name in re.findall(r"""-e (?:"|'\{")?(\w+)""", text)} <= known


def test_the_inventory_has_the_nodes_and_the_guests_that_are_there(controller: Controller) -> None:
    Site(controller.node, "token", controller.work).make(101, "found1")
    vars(controller).pop("inventories", None)
    hosts = controller.inventories
    assert hosts["inventory.yml"]["pve"]["hosts"] == ["pve1"]
    assert "found1" in hosts["guests.proxmox.yml"]["proxmox_all_lxc"]["hosts"]
    assert controller.node.name not in hosts["guests.proxmox.yml"]["_meta"]["hostvars"]


def test_every_playbook_of_a_template_is_in_the_starter_repository() -> None:
    plays = yaml.safe_load(AWX.read_text(encoding="utf-8"))
    named = {entry["playbook"] for entry in plays[0]["vars"]["awx_templates"]} | {"guest.yml"}
    assert {path.name for path in INFRA.glob("*.yml")} >= named


def test_the_execution_environment_has_what_the_collection_needs() -> None:
    definition = yaml.safe_load((INFRA / "execution-environment.yml").read_text(encoding="utf-8"))["dependencies"]
    runtime = yaml.safe_load((ROOT / "meta/runtime.yml").read_text(encoding="utf-8"))
    assert definition["ansible_core"]["package_pip"] == f"ansible-core{runtime['requires_ansible']}"
    assert definition["python_interpreter"]["package_system"] in {f"python3.{minor}" for minor in range(11, 20)}
    needed = yaml.safe_load((INFRA / definition["galaxy"]).read_text(encoding="utf-8"))
    assert [each["name"] for each in needed["collections"]] == ["pve.provision", "community.proxmox"]


def test_the_surveys_are_what_the_tables_say() -> None:
    assert awx_surveys.TARGET.read_text(encoding="utf-8") == awx_surveys.text(), "make surveys"


@pytest.fixture(scope="module")
def mirror() -> t.Iterator[Mirror]:
    with Mirror(sites=("openwrt",)) as running:
        yield running


def answers_to(controller: Controller, name: str) -> dict[str, t.Any]:
    """What somebody answers to a survey, who leaves the rest as it is proposed."""
    asked = {question["variable"] for question in awx_surveys.surveys()[name]["spec"]}
    given = {**ANSWERS[name], "guest__node": controller.node.name}
    assert given.keys() <= asked
    return given


@pytest.mark.parametrize("name", sorted(ANSWERS.keys() - {"application"}))
def test_the_answers_of_a_survey_make_a_guest(controller: Controller, mirror: Mirror, name: str) -> None:
    sources = {"provision_mirrors": [mirror.base("openwrt")], "provision_keys": [mirror.signer.usign_public]}
    template = awx_surveys.surveys()[name]["name"]
    first = controller.job(template, answers_to(controller, name), **sources)
    assert (first.rc, changed(first) > 0) == (0, True), first.stdout.read()
    again = controller.job(template, answers_to(controller, name), **sources)
    assert (again.rc, changed(again)) == (0, 0), again.stdout.read()


@pytest.mark.parametrize(
    "wan",
    [
        {"proto": "static", "address": "203.0.113.2/24", "gateway": "203.0.113.1"},
        {"proto": "pppoe", "username": "customer", "password": "planted-password"},
    ],
    ids=lambda wan: wan["proto"],
)
def test_a_router_gets_its_address_in_each_way_that_the_survey_offers(
    controller: Controller, mirror: Mirror, wan: dict[str, str]
) -> None:
    answers = {**answers_to(controller, "openwrt"), "guest__name": f"gw-{wan['proto']}"}
    answers |= {f"guest__interfaces__wan__{option}": value for option, value in wan.items()}
    sources = {"provision_mirrors": [mirror.base("openwrt")], "provision_keys": [mirror.signer.usign_public]}
    planned = controller.job("New OpenWrt router", answers, cmdline="--check --diff", **sources)
    told = planned.stdout.read()
    assert (planned.rc, changed(planned)) == (0, 1), told
    assert "planted-password" not in told


#: What stands for ssh: the container with the address, entered on the node, if an agent is there.
SSH = """#!/bin/sh
[ -S "$SSH_AUTH_SOCK" ] || { echo "Permission denied (publickey)." >&2; exit 255; }
for word in "$@"; do case "$word" in root@*) address=${word#root@} ;; esac; done
config=$(grep -l "ip=$address/" {root}/etc/pve/nodes/*/lxc/*.conf)
PVE_ROOT={root} exec {root}/usr/sbin/pct exec "$(basename "$config" .conf)" -- sh -s
"""


def test_the_answers_of_an_application_make_one_with_the_key_of_a_machine_credential(
    controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = controller.work / "agent/ssh"
    program.parent.mkdir()
    program.write_text(SSH.replace("{root}", str(controller.node.root)), encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(program.parent), os.environ["PATH"]]))
    key = controller.work / "agent/key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    first = controller.job("New application", answers_to(controller, "application"), ssh_key=key.read_text())
    assert (first.rc, changed(first) > 0) == (0, True), first.stdout.read()


def changed(job: ansible_runner.Runner) -> int:
    return sum(job.stats["changed"].values())


def test_the_jobs_for_declared_guests_do_what_their_names_say(
    controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered = stand_in_for_ssh(controller.work, monkeypatch)
    site = Site(controller.node, "token", controller.work)

    def run(name: str, **answers: str) -> str:
        # The limit of a job template of one site, see the page.
        job = controller.job(name, answers, cmdline="--limit pve1:provisioned")
        told: str = job.stdout.read()
        assert job.rc == 0, told
        return told

    assert "dns1" in run("Report")
    run("Provision")
    assert "192.168.1.53" in entered.read_text(), "the second play goes on inside of the guests"
    run("Verify", provision_limit="dns1")
    run("Destroy", provision_limit="dns1")
    assert [name for name in ("dns1", "web1") if f"hostname: {name}\n" in "".join(site.configs().values())] == ["web1"]
    run("Destroy", provision_limit="all")
    assert "hostname: web1\n" not in "".join(site.configs().values())


@pytest.mark.parametrize("site", ["environment"], indirect=True)
def test_the_report_of_a_workflow_reports_what_is_wrong_and_ends_well(site: Site) -> None:
    site.make(900, "stopped1")
    declared = {"name": "stopped1", "type": "lxc", "state": "started"}
    told = site.play(PLAYBOOK.parent / "report.yml", provision_guests=[declared])
    assert told.rc == 0, told.output
    lines = told.of("Show what was found")[0]["msg"]
    assert any("FAILED" in line for line in lines), lines
