# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the profile of an application put under the declaration of its guest. Pure."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._argspec import ArgSpec
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.app.part import AppTemplate
from ansible_collections.pve.provision.plugins.module_utils._guests.app.spec import INSIDE
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.profile import Profile
from ansible_collections.pve.provision.plugins.module_utils._model.apps.fill import Unfilled, fill
from ansible_collections.pve.provision.plugins.module_utils._model.apps.needs import Given, combined, meet
from ansible_collections.pve.provision.plugins.module_utils._model.apps.options import formats, read_options
from ansible_collections.pve.provision.plugins.module_utils._model.option import Path
from ansible_collections.pve.provision.plugins.module_utils._model.setup.merge import joined as joined_setup
from ansible_collections.pve.provision.plugins.module_utils._model.setup.options import NAMES as SETUP_NAMES

Params = t.Mapping[str, t.Any]

# The lists that a profile and a declaration both add to, and what tells their entries apart; empty: all of it.
JOINED: t.Final[dict[str, str]] = {"checks": "name", "devices": "path", "raw": "", "tags": ""}
# The network that a new container has where none is declared.
NETWORK: t.Final = {"name": "eth0", "bridge": "vmbr0", "ip": "dhcp"}
# The profiles of VMs that leave it open what runs in them.
_OPEN_VMS: t.Final = ("cloud", "docker", "custom")


@dataclass(frozen=True)
class Applied:
    """The parameters of a guest with those of its application under them.

    ``new`` holds for a new guest alone. ``told`` is what results tell of the application.
    """

    params: dict[str, t.Any]
    new: dict[str, t.Any] = field(default_factory=dict)
    told: dict[str, t.Any] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    def over(self, wanted: Wanted) -> Wanted:
        """What is wanted, with what the application says of it."""
        notes, findings = (*wanted.notes, *self.notes), (*self.findings, *wanted.findings)
        return dataclasses.replace(wanted, told={**wanted.told, **self.told}, notes=notes, findings=findings)


def read_app(kind: str, params: Params, nulls: frozenset[Path], spec: ArgSpec) -> Applied:
    """Put the application of a guest of a type under its declaration, whose options are ``spec``."""
    app = params.get("app")
    if not app or params.get("state") == "absent":
        return Applied(dict(params), findings=() if app else tuple(_without_app(params)))
    profile = (params.get("app_profiles") or {}).get(app)
    if profile is None or "findings" in profile:
        return Applied(dict(params), findings=tuple(_unusable(app, profile or {})))
    given = meet(app, needs_of(profile), kind, params)
    findings = [*given.findings, *_misfit(app, profile, kind, params)]
    inside, wrong = _inside(app, profile, params, spec)
    options = combined(_sized(kind, profile, given), inside)
    container = kind == "lxc"
    return Applied(
        params=_under(kind, options, params, nulls),
        new=_new(profile, params) if container else {},
        told={"app": _told(app, profile, given)},
        parts=(AppTemplate(profile["ostemplate"]),) if container and not params.get("image") else (),
        notes=() if profile["complete"] else (_incomplete(app),),
        findings=(*findings, *wrong),
    )


def _without_app(params: Params) -> t.Iterator[Finding]:
    for option in ("app_options", "app_secrets"):
        if params.get(option):
            yield Finding(option, None, "is for guests that run an application", "State app, or leave it out.")


def _unusable(app: str, profile: Params) -> t.Iterator[Finding]:
    """What the controller found wrong with a profile; without one the module was not run by its action plugin."""
    remedy = "It comes from the controller, which has none to give where this module is run without Ansible's help."
    missing = {"option": "app", "value": app, "problem": "has no profile here", "remedy": remedy}
    for found in profile.get("findings") or [missing]:
        yield Finding(**found)


def needs_of(profile: Params) -> list[str]:
    """What an application needs, and what its system does."""
    systemd = not profile["ostemplate"].startswith("alpine")
    return [*(["systemd"] if systemd else []), *profile["needs"]]


def _incomplete(app: str) -> str:
    return f"app: of {app} only the size and the needs are known; the guest is created, but nothing is installed in it"


def _misfit(app: str, profile: Params, kind: str, params: Params) -> t.Iterator[Finding]:
    """Where the application cannot be."""
    if kind not in profile["types"]:
        yield Finding("app", app, f"runs in guests of type {profile['types'][0]} only", "Declare it so.")
    if kind == "vm" and params.get("profile") not in (None, *_OPEN_VMS):
        remedy = f"Leave one of the two out; profiles that can be combined with one are {', '.join(_OPEN_VMS)}."
        yield Finding("profile", params["profile"], f"cannot be combined with application {app}", remedy)


def _sized(kind: str, profile: Params, given: Given) -> dict[str, t.Any]:
    """The options of the guest itself."""
    sizes = {"cores": profile["cores"], "memory": profile["memory"]}
    if kind == "vm":
        disk = {"disks": [{"size": profile["disk"]}]}
        sizes = {**sizes, **disk, "image": profile["image"], "profile": "cloud"}
    return combined(combined(sizes, given.options), profile[kind])


def _new(profile: Params, params: Params) -> dict[str, t.Any]:
    """What holds for a new container alone: it may have grown since, and been given other networks."""
    networks = {} if params.get("networks") is not None else {"networks": [NETWORK]}
    return {"rootfs": {"size": profile["disk"]}, **networks}


def _inside(app: str, profile: Params, params: Params, spec: ArgSpec) -> tuple[dict[str, t.Any], list[Finding]]:
    """What is to be in the guest, with the values of the application's options, by the types of the guest's options."""
    declared = profile["options"]
    values, findings = read_options(app, declared, params.get("app_options") or {}, params.get("app_secrets") or {})
    if findings:
        return {}, findings
    name = str(params.get("hostname") or params.get("name") or params.get("vmid") or "")
    texts = {option: profile[option] for option in INSIDE if profile.get(option) is not None}
    try:
        filled = fill(texts, {**values, "guest_name": name}, formats(declared))
    except Unfilled as error:
        return {}, [Finding("app", app, f"has an invalid profile: {error}", "Correct the profile.")]
    known = ArgSpec({option: spec.options[option] for option in filled if option in spec.options})
    checked = known.validate({option: filled[option] for option in known.options})
    wrong = [
        Finding(f"app {app}: {option}", None, text, "Correct the profile.") for option, _value, text in checked.errors
    ]
    return {option: checked.values.get(option) for option in known.options}, wrong


def _under(kind: str, options: dict[str, t.Any], params: Params, nulls: frozenset[Path]) -> dict[str, t.Any]:
    """The declaration with what it leaves open. Where it says null, it leaves nothing open."""
    merged = Profile(options).under(params, nulls)
    for name, key in JOINED.items():
        if options.get(name) and params.get(name):
            merged[name] = joined(options[name], params[name], key)
    left = {name: options[name] for name in SETUP_NAMES if name in options and (name,) not in nulls}
    return {**merged, **joined_setup(left, params)}


def joined(ours: t.Sequence[t.Any], theirs: t.Sequence[t.Any], key: str) -> list[t.Any]:
    """Two lists as one. An entry of the second that is about the same as one of the first goes before it."""
    if not key:
        return list(dict.fromkeys([*ours, *theirs]))
    named = {entry[key]: entry for entry in theirs if entry.get(key) is not None}
    both = [{**entry, **_stated(named.pop(entry.get(key), {}))} for entry in ours]
    return [*both, *(entry for entry in theirs if entry.get(key) is None or entry[key] in named)]


def _stated(entry: Params) -> dict[str, t.Any]:
    return {name: value for name, value in entry.items() if value is not None}


def _told(app: str, profile: Params, given: Given) -> dict[str, t.Any]:
    """What results tell of an application: why the guest is as it is, and where it answers."""
    return {
        "name": app,
        "title": profile["title"],
        "complete": profile["complete"],
        "needs": list(profile["needs"]),
        "reasons": list(given.reasons),
        "ports": [{name: port[name] for name in port if port[name] is not None} for port in profile["ports"]],
    }
