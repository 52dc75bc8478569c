# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A controller such as AWX, as far as the modules of ``awx.awx`` notice: objects that are made, found and changed, and
refused by the rules of AWX.
"""

from __future__ import annotations

import itertools
import json
import threading
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import awx_rules

if t.TYPE_CHECKING:
    from pathlib import Path

Stored = dict[str, t.Any]

LISTS = (
    "credentials", "labels", "instances", "instance_groups", "notification_templates_started",
    "notification_templates_success", "notification_templates_error", "notification_templates_approvals",
    "workflow_nodes", "success_nodes", "failure_nodes", "always_nodes", "galaxy_credentials",
)  # fmt: skip
#: What the controller has of itself.
MACHINE = {
    "name": "Machine",
    "kind": "ssh",
    "inputs": {
        "fields": [
            {"id": "username", "label": "Username"},
            {"id": "password", "label": "Password", "secret": True},
            {"id": "ssh_key_data", "label": "Private key", "secret": True, "format": "ssh_private_key"},
        ],
    },
}
GALAXY = {"name": "Ansible Galaxy/Automation Hub API Token", "kind": "galaxy", "inputs": {"fields": []}}
#: Lists whose objects are of a kind with another name.
KINDS = {"galaxy_credentials": "credentials"}


class FakeAwx:
    """Runs while the block lasts. ``objects``: what is stored, by kind and number. ``repository``: that of its
    projects, which have its playbooks when somebody has waited for their update.
    """

    def __init__(self, repository: Path) -> None:
        self.playbooks = [path.name for path in repository.glob("*.yml") if awx_rules.is_playbook(path.read_text())]
        self.objects: dict[str, dict[int, Stored]] = {}
        self.surveys: dict[str, Stored] = {}
        self.lists: dict[str, list[int]] = {}
        self._numbers = itertools.count(1)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.add("organizations", {"name": "Default"})
        self.add("credential_types", MACHINE)
        galaxy = self.add("credential_types", GALAXY)["id"]
        self.add("credentials", {"name": "Ansible Galaxy", "credential_type": galaxy, "inputs": {}})

    def __enter__(self) -> FakeAwx:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def named(self, kind: str) -> dict[str, Stored]:
        return {each["name"]: each for each in self.objects.get(kind, {}).values() if "name" in each}

    def environment(self, credential: str, folder: Path) -> dict[str, str]:
        """What a job with this credential finds in its environment."""
        one = self.named("credentials")[credential]
        return awx_rules.environment_of(one, self.objects["credential_types"][one["credential_type"]], folder)

    def listed(self, one: Stored, kind: str) -> list[Stored]:
        """What an object is linked with."""
        known = self.objects[KINDS.get(kind, kind)]
        return [known[number] for number in self.lists.get(f"{one['url']}{kind}/", [])]

    def add(self, kind: str, fields: Stored) -> Stored:
        number = next(self._numbers)
        own = f"/api/v2/{kind}/{number}/"
        related = {name: f"{own}{name}/" for name in (*LISTS, "survey_spec")}
        made = {"id": number, "type": kind.rstrip("s"), "url": own, "related": related, "summary_fields": {}, **fields}
        return self.objects.setdefault(kind, {}).setdefault(number, made)

    def answer(self, method: str, path: str, body: Stored) -> tuple[int, t.Any]:
        split = urlsplit(path)
        parts = split.path.removeprefix("/api/v2").strip("/").split("/")
        kind = parts[0]
        if len(parts) == 1:
            if method == "POST":
                self._check(kind, body)
                made = self.add(kind, body)
                return 201, self._out(kind, self._updating(made) if kind == "projects" else made)
            names = ("job_templates", "projects") if kind == "unified_job_templates" else (kind,)
            pool = [self._out(kind, each) for name in names for each in self.objects.get(name, {}).values()]
            return 200, self._page([each for each in pool if _fits(each, dict(parse_qsl(split.query)))])
        one = self.objects.get(kind, {}).get(int(parts[1]))
        if one is None:
            return 404, {"detail": "Not found."}
        if len(parts) > 2:
            return self._inner(method, split.path, kind, parts[2], body, one)
        if method == "PATCH":
            self._check(kind, {**one, **body})
            one.update(body)
        if kind == "project_updates":
            self._updated(one)
        return 200, self._out(kind, one)

    def _check(self, kind: str, fields: Stored) -> None:
        """Raises Refused for what AWX does not take."""
        if kind == "credential_types":
            awx_rules.check_credential_type(fields)
        elif kind == "credentials":
            awx_rules.check_credential(fields, self.objects["credential_types"][fields["credential_type"]])
        elif kind == "inventory_sources":
            awx_rules.check_inventory_source(fields)
        elif kind == "job_templates":
            awx_rules.check_job_template(fields, self.objects.get("projects", {}).get(fields.get("project", 0)))

    def _out(self, kind: str, stored: Stored) -> Stored:
        """As it is given out: secrets are not."""
        if kind != "credentials":
            return stored
        return awx_rules.shown(stored, self.objects["credential_types"][stored["credential_type"]])

    def _updating(self, project: Stored) -> Stored:
        """A project whose update has begun."""
        project["related"]["update"] = f"{project['url']}update/"
        project.setdefault("scm_revision", "")
        made = self.add("project_updates", {"project": project["id"], "status": "running", "failed": False})
        project["summary_fields"]["current_update"] = {"id": made["id"]}
        return project

    def _updated(self, update: Stored) -> None:
        """An update that somebody waits for ends."""
        project = self.objects["projects"][update["project"]]
        project |= {"scm_revision": "5ca1ab1e", "playbook_files": self.playbooks}
        project["summary_fields"].pop("current_update", None)
        update |= {"status": "successful", "finished": "2026-01-01T00:00:00Z", "scm_revision": "5ca1ab1e"}

    def _inner(self, method: str, path: str, kind: str, what: str, body: Stored, one: Stored) -> tuple[int, t.Any]:
        if what == "update":
            self._updating(one)
            number = one["summary_fields"]["current_update"]["id"]
            return 202, self.objects["project_updates"][number]
        if what == "survey_spec":
            if method == "POST":
                awx_rules.check_survey(body)
                self.surveys[one["name"]] = body
            return 200, self.surveys.get(one["name"], {})
        numbers = self.lists.setdefault(path, [])
        target = "workflow_job_template_nodes" if what.endswith("_nodes") else KINDS.get(what, what)
        if method == "GET":
            known = self.objects.get(target, {})
            if what == "workflow_nodes":
                return 200, self._page([each for each in known.values() if each["workflow_job_template"] == one["id"]])
            return 200, self._page([known[number] for number in numbers])
        if what == "workflow_nodes":
            return 201, self.add(target, {**body, "workflow_job_template": one["id"]})
        if body.get("disassociate"):
            numbers.remove(int(body["id"]))
        else:
            numbers.append(int(body["id"]))
        return 204, None

    @staticmethod
    def _page(found: list[Stored]) -> Stored:
        return {"count": len(found), "next": None, "previous": None, "results": found}


def _fits(stored: Stored, wanted: dict[str, str]) -> bool:
    """Whether an object is what a query asks for; paths into other objects are not looked at."""
    return all(str(stored.get(key)) == value for key, value in wanted.items() if "__" not in key and key in stored)


def _handler(awx: FakeAwx) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                code, answer = awx.answer(self.command, self.path, json.loads(raw) if raw else {})
            except awx_rules.Refused as refused:
                code, answer = 400, {"error": str(refused)}
            text = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("X-API-Product-Name", "AWX")
            self.send_header("X-API-Product-Version", "24.6.1")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = do_DELETE = _serve

        def log_message(self, *_words: object) -> None:
            """Says nothing."""

    return Handler
