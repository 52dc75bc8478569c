# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWX refuses in surveys, their answers, types of credentials, credentials and job templates, as AWX 24.6 does."""

from __future__ import annotations

import re
import typing as t

from jinja2 import StrictUndefined, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jsonschema import Draft4Validator

if t.TYPE_CHECKING:
    from pathlib import Path

Stored = dict[str, t.Any]

#: Of which type the default of a question is.
TYPES: dict[str, type] = {
    "text": str, "textarea": str, "password": str, "multiplechoice": str, "multiselect": str, "integer": int,
    "float": float,
}  # fmt: skip
#: Fields that a survey and its questions must have.
OF_SURVEY: dict[str, type] = {"name": str, "description": str, "spec": list}
OF_QUESTION: dict[str, type] = {"type": str, "question_name": str, "variable": str, "required": bool}
#: Which types an answer may be of; a boolean is no integer to AWX.
OF_ANSWER: dict[str, tuple[type, ...]] = {"integer": (int,), "float": (float, int), "multiselect": (list,)}

_FIELD = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "pattern": "^[a-zA-Z_]+[a-zA-Z0-9_]*$"},
        "type": {"enum": ["string", "boolean"]},
        "format": {"enum": ["ssh_private_key", "url"]},
        "choices": {"type": "array", "minItems": 1, "items": {"type": "string"}, "uniqueItems": True},
        **{name: {"type": "string"} for name in ("label", "help_text")},
        **{name: {"type": "boolean"} for name in ("multiline", "secret")},
        "default": {},
    },
    "additionalProperties": False,
    "required": ["id", "label"],
}
_TYPE = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["cloud", "net"]},
        "inputs": {
            "type": "object",
            "properties": {
                "fields": {"type": "array", "items": _FIELD},
                "required": {"type": "array", "items": {"type": "string"}},
            },
            "additionalProperties": False,
        },
        "injectors": {
            "type": "object",
            "properties": {
                "env": {
                    "type": "object",
                    "patternProperties": {
                        # What would steer Ansible or the job itself is not for credentials.
                        "^(?!ANSIBLE_|AWX_|PATH$|PYTHONPATH$)[a-zA-Z_]+[a-zA-Z0-9_]*$": {
                            "type": "string", "pattern": "^[\x00-\x7f]*$",
                        },
                    },
                    "additionalProperties": False,
                },
                "file": {
                    "type": "object",
                    "properties": {"template": {"type": "string"}},
                    "additionalProperties": False,
                },
                "extra_vars": {"type": "object"},
            },
            "additionalProperties": False,
        },
    },
}  # fmt: skip
SECRET = "$encrypted$"  # what AWX shows of a secret


class Refused(Exception):
    """AWX answers 400."""


def check(*rules: tuple[bool, str]) -> None:
    """The first rule that does not hold is told."""
    for holds, said in rules:
        if not holds:
            raise Refused(said)


def check_survey(survey: Stored) -> None:
    check(*((isinstance(survey.get(name), kind), f"survey: {name} is no {kind.__name__}")
            for name, kind in OF_SURVEY.items()))  # fmt: skip
    check((bool(survey["spec"]), "survey: spec is empty"))
    names = [question.get("variable") for question in survey["spec"]]
    check((len(names) == len(set(names)), f"survey: a variable of {names} comes twice"))
    for question in survey["spec"]:
        _check_question(question)


def _check_question(question: Stored) -> None:
    who = f"question {question.get('variable')}"
    check(*((isinstance(question.get(name), kind), f"{who}: {name} is no {kind.__name__}")
            for name, kind in OF_QUESTION.items()))  # fmt: skip
    kind, default = question["type"], question.get("default", "")
    check((kind in TYPES, f"{who}: {kind} is not a type"))
    check(
        (default == "" or isinstance(default, TYPES[kind]), f"{who}: default {default!r} is no {kind}"),
        (not (isinstance(default, str) and default.startswith(SECRET)), f"{who}: {SECRET} is reserved"),
        *((type(question.get(name)) in (int, type(None)), f"{who}: {name} is no integer") for name in ("min", "max")),
    )
    if kind in ("multiplechoice", "multiselect"):
        check(("choices" in question, f"{who}: there are no choices"))
        chosen, choices = default.splitlines(), _choices(question)
        check(
            (kind == "multiselect" or len(chosen) < 2, f"{who}: more than one default"),
            (set(chosen) <= set(choices), f"{who}: default {default!r} is none of the choices"),
        )


def _choices(question: Stored) -> list[str]:
    given = question["choices"]
    return given.splitlines() if isinstance(given, str) else given


def check_answer(question: Stored, value: t.Any) -> None:
    """An answer fits its question."""
    kind, name = question["type"], question["variable"]
    if kind == "multiplechoice":
        check((value in _choices(question), f"{name}: {value!r} is none of the choices"))
        return
    check((type(value) in OF_ANSWER.get(kind, (str,)), f"{name}: {value!r} is no {kind}"))
    size = value if kind in ("integer", "float") else len(value)
    if kind == "multiselect":
        check((set(value) <= set(_choices(question)), f"{name}: {value!r} are not among the choices"))
        return
    least, most = question.get("min"), question.get("max")
    check(
        (least is None or size >= least, f"{name}: {value!r} is less than {least}"),
        (most is None or size <= most, f"{name}: {value!r} is more than {most}"),
    )


def job_variables(template: Stored, survey: Stored, answers: Stored) -> Stored:
    """The variables of a job: the template's own, over them the survey's defaults that fit, over them the answers."""
    spec = survey.get("spec", [])
    asked = {question["variable"]: question for question in spec}
    missing = [name for name, question in asked.items() if question["required"] and name not in answers]
    check((not missing, f"{missing} must be answered"), (answers.keys() <= asked.keys(), "more than was asked for"))
    for name, value in answers.items():
        check_answer(asked[name], value)
    return {**template, **dict(_defaults(spec)), **answers}


def _defaults(spec: list[Stored]) -> t.Iterator[tuple[str, t.Any]]:
    for question in spec:
        if question.get("default") is None:
            continue
        try:
            check_answer(question, question["default"])
        except Refused:
            continue
        yield question["variable"], question["default"]


def check_credential_type(kind: Stored) -> None:
    for error in Draft4Validator(_TYPE).iter_errors(kind):
        raise Refused(f"credential type: {error.message}")
    fields = [field["id"] for field in kind.get("inputs", {}).get("fields", [])]
    check((len(fields) == len(set(fields)), "credential type: a field comes twice"))
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
    known = {**dict.fromkeys(fields, "EXAMPLE"), "tower": {"filename": "EXAMPLE"}}
    for name, text in [entry for injector in kind.get("injectors", {}).values() for entry in injector.items()]:
        try:
            environment.from_string(text).render(known)
        except UndefinedError as error:
            raise Refused(f"credential type: {name} uses an undefined field: {error}") from error


def check_credential(credential: Stored, kind: Stored) -> None:
    owners = [name for name in ("user", "team", "organization") if credential.get(name)]
    check((len(owners) == 1, f"credential: one owner is wanted, not {owners}"))
    fields = {field["id"]: field for field in kind["inputs"]["fields"]}
    for name, value in credential.get("inputs", {}).items():
        check(
            (name in fields, f"credential: {name} is no field of {kind['name']}"),
            (isinstance(value, str), f"credential: {name} is no string"),
            (value != SECRET or "id" in credential, f"credential: {SECRET} is reserved"),
        )
        if fields[name].get("format") == "ssh_private_key":
            key = r"-----BEGIN ([A-Z ]*)PRIVATE KEY-----\s.*\s-----END \1PRIVATE KEY-----\s*"
            check((re.fullmatch(key, value, re.DOTALL) is not None, f"credential: {name} is no private key"))


def shown(credential: Stored, kind: Stored) -> Stored:
    """A credential as AWX gives it out."""
    secrets = {field["id"] for field in kind["inputs"]["fields"] if field.get("secret")}
    inputs = {name: SECRET if name in secrets else value for name, value in credential.get("inputs", {}).items()}
    return {**credential, "inputs": inputs}


def environment_of(credential: Stored, kind: Stored, folder: Path) -> dict[str, str]:
    """What a job, or the update of an inventory, finds in its environment. ``folder``: where its files are."""
    inputs = {name: value for name, value in credential["inputs"].items() if value}
    missing = set(kind["inputs"].get("required", ())) - inputs.keys()
    check((not missing, f"credential: {missing} are required"))
    render = ImmutableSandboxedEnvironment().from_string
    injectors, file = kind.get("injectors", {}), folder / "credential"
    if "file" in injectors:
        file.write_text(render(injectors["file"]["template"]).render(inputs))
    known = {**inputs, "tower": {"filename": str(file)}}
    return {name: render(text).render(known) for name, text in injectors.get("env", {}).items()}


def is_playbook(text: str) -> bool:
    """Whether AWX offers a file of a repository as a playbook."""
    return (
        re.search(r"^\s*-?\s*(hosts|(ansible\.builtin\.)?(include|import_playbook)):", text, re.MULTILINE) is not None
    )


def check_inventory_source(source: Stored) -> None:
    check(*((bool(source.get(name)), f"inventory source: {name} is required")
            for name in ("inventory", "source", "source_project", "source_path")))  # fmt: skip


def check_job_template(template: Stored, project: Stored | None) -> None:
    check(
        (project is not None, "job template: a project is required"),
        (bool(template.get("inventory")), "job template: an inventory is required"),
        (template.get("playbook") in (project or {}).get("playbook_files", ()), "Playbook not found for project."),
    )
