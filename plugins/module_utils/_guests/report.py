# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a run over many guests tells: entries for programs, a plan for people."""

from __future__ import annotations

import contextlib
import itertools
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.fleet import Ended

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Result

# What an entry of an unchanged guest tells; the others tell everything.
_SHORT = ("vmid", "node", "status", "addresses")
# The sign for what happens to a guest, by the word for it.
_SIGNS = {"create": "+", "recreate": "-/+", "destroy": "-", "change": "~", "": ""}
# What people are told of a step, by its fields; nothing where one of those is not known.
LINES: t.Final[dict[str, tuple[str, ...]]] = {
    "clean_up": ("remove what a killed run left",),
    "create": ("from template {ostemplate}",),
    "clone": ("clone of {source}",),
    "restore": ("from backup {backup}",),
    "make_template": ("becomes a template",),
    "migrate": ("migrate {from} -> {to}, {mode}", "with its local volumes {local_volumes}"),
    "move_disk": ("move {disk}: {source} -> {target}",),
    "clean_up_move": ("remove what a killed move left: {volumes}",),
    "purge_disk": ("destroy volume {volume}",),
    "make_golden": ("make template VM {name} of {image} on {storage}",),
    "remove_golden": ("destroy template VM {name} ({vmid})",),
    "template": ("OpenWrt {version}, template {volid}",),
    "image": ("OpenWrt {version}, {variant}",),
    "upgrade": ("upgrade {old} -> {new}",),
    "upgrade_packages": ("upgrade {packages}",),
    "replace_root": ("root file system {old} -> {new}",),
    "remove_old_root": ("remove the old root file system",),
    "packages": ("install {names}",),
    "pass_graphics": ("pass {devices}",),
    "snapshot": ("snapshot before",),
    "backup": ("backup before",),
    "join_cluster": ("join {cluster} at {server}",),
}
# Steps of which the options or the heading say it all, or that are a matter of their own.
UNTOLD: t.Final = frozenset(
    {"set", "resize", "grow_filesystem", "join_pool", "start", "suspend", "resume", "shutdown", "destroy"}
    | {"set_up", "configure", "seed", "fetch_image", "fetch_disk", "prune_snapshots", "drop_backup", "press_key"}
    | {"await_up", "await_cloud_init", "put_iso", "remove_iso", "place_snippets", "attach_cloud_init"}
    | {"remove_cloud_init", "regenerate_cloud_init"}
)


def entry(ended: Ended, *, details: bool = False) -> dict[str, t.Any]:
    """One guest of the results."""
    told: dict[str, t.Any] = {"name": ended.member.name, "type": ended.member.type, "changed": False}
    if ended.skipped:
        return {**told, "skipped": ended.skipped}
    if ended.error is not None:
        return {**told, "failed": True, "msg": str(ended.error), "error": ended.error.kind, **ended.error.details}
    result = t.cast("Result", ended.result)
    told["changed"] = result.changed
    shown = {name: value for name in _SHORT if (value := getattr(result, name)) not in (None, "", [])}
    shown |= {
        **result.more,
        **{name: value for name in ("pending", "warnings", "degraded") if (value := getattr(result, name))},
    }
    if result.changed or details:
        shown |= result.values()
        told["seconds"] = round(ended.seconds, 1)
    return {**told, **shown}


def verb(ended: Ended) -> str:
    """What happens to a guest, in a word; empty when nothing does."""
    if ended.makes_guest:
        return "recreate" if ended.destroys_guest else "create"
    return "destroy" if ended.destroys_guest else "change" if ended.steps else ""


def plan_lines(planned: t.Iterable[Ended]) -> list[str]:
    """The plan of a run for people, and how many guests it does what to."""
    planned = list(planned)
    lines = [f"+ fetch {volid}" for volid in _fetched(planned)]
    counts = {"create": 0, "change": 0, "recreate": 0, "destroy": 0, "": 0}
    for ended in planned:
        word = verb(ended)
        counts[word] += 1
        if word and ended.result:
            number = f" ({ended.result.vmid})" if ended.result.vmid else ""
            where = f" on {ended.result.node}" if ended.member.node else ""
            lines.append(f"{_SIGNS[word]} {word} {ended.member.name}{number}{where}")
            lines += [f"    {line}" for line in _details(ended, word)]
    told = [f"{count} to {word}" for word, count in counts.items() if word and count]
    return [*lines, ", ".join([*told, f"{counts['']} unchanged"])]


def _fetched(planned: t.Iterable[Ended]) -> list[str]:
    """The images that are fetched, each once, whoever needs it."""
    steps = [step for ended in planned for step in ended.steps]
    named = {"fetch_image": "volid", "fetch_disk": "name"}
    return list(dict.fromkeys(step[named[step["step"]]] for step in steps if step["step"] in named))


def _details(ended: Ended, word: str) -> t.Iterator[str]:
    result = t.cast("t.Any", ended.result)
    before, after = result.diff["before"], result.diff["after"]
    if word == "change":
        yield from changes(before, after)
    else:
        for key, value in sorted(after.items()):
            yield f"{key}: {_text(value)}"
    for step in result.plan:
        yield from step_lines(step)
    if word == "change" and ("shutdown", "start") in itertools.pairwise(_powers(result.plan)):
        yield "restart"


def step_lines(step: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    """What people are told of one step."""
    fields = {name: _text(value) for name, value in step.items() if value not in (None, "", [], ())}
    for line in LINES.get(step["step"], ()):
        with contextlib.suppress(KeyError):
            yield line.format(**fields)


def _powers(steps: t.Iterable[t.Mapping[str, t.Any]]) -> list[str]:
    return [step["step"] for step in steps if step["step"] in ("shutdown", "start")]


def changes(before: t.Mapping[str, t.Any], after: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    """How what is differs from what is to be."""
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            yield f"{key}: {_text(before.get(key))} -> {_text(after.get(key))}"


def _text(value: t.Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_text(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_text, value)) + "]"
    return str(value)


def failures(ended: t.Sequence[Ended], interrupted: str = "") -> str:
    """What went wrong, in one text; empty when nothing did. ``interrupted``: why the run was to end."""
    if all(each.well for each in ended):
        return ""
    failed = [f"{each.member.name}: {each.error}" for each in ended if each.error is not None]
    lines = [f"{len(failed)} of {len(ended)} guests failed.", *failed]
    if interrupted:
        done = [each.member.name for each in ended if each.well and each.result and each.result.changed]
        lines = [f"The run was interrupted: {interrupted}. Run again to continue.", *failed]
        lines += [f"done: {', '.join(done) or 'none'}"]
    reasons: dict[str, list[str]] = {}
    for each in ended:
        if each.skipped:
            reasons.setdefault(each.skipped, []).append(each.member.name)
    return "\n".join([*lines, *(f"not started: {', '.join(names)} ({why})" for why, names in reasons.items())])
