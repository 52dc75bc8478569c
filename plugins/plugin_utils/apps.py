# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the profiles of applications, found and read on the controller.

A profile is a file NAME.yml, of ours in the folder apps of this collection, of a user in a folder that ``app_paths``
names. One of a user takes precedence over ours of the same name. What has no profile and is in the catalogue is known
by its size and needs.
"""

from __future__ import annotations

import difflib
import re
import typing as t
from pathlib import Path

import yaml

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.plugin_utils.app_schema import Profile

HOME: t.Final = Path(__file__).resolve().parents[2] / "apps"
"""Where our own profiles are."""
_NAME: t.Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LOADER: t.Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def with_profiles(args: t.Mapping[str, t.Any], resolve: t.Callable[[str], str]) -> dict[str, t.Any]:
    """The arguments of a module with the profiles of the applications that they name. ``resolve`` makes a path of the
    user's an absolute one."""
    names = set(_named(args))
    if not names:
        return dict(args)
    given = args.get("app_paths") or []
    folders = [Path(resolve(str(path))) for path in ([given] if isinstance(given, str) else given)]
    return {**args, "app_profiles": {name: profile_or_findings(name, folders) for name in sorted(names)}}


def _named(args: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    """The applications that arguments name: of one guest, or of a list and its defaults."""
    guests = args.get("guests")
    for each in (args, args.get("defaults"), *(guests if isinstance(guests, list) else ())):
        if isinstance(each, t.Mapping) and isinstance(each.get("app"), str) and each["app"]:
            yield each["app"]


def profile_or_findings(name: str, folders: t.Sequence[Path]) -> dict[str, t.Any]:
    """A profile, or under ``findings`` what is wrong with it."""
    profile, findings = find_profile(name, folders)
    if not findings:
        return profile
    return {
        "findings": [{key: getattr(each, key) for key in ("option", "value", "problem", "remedy")} for each in findings]
    }


def find_profile(name: str, folders: t.Sequence[Path] = ()) -> tuple[Profile, list[Finding]]:
    """The profile of an application, and what is wrong with it."""
    lacking = [folder for folder in folders if not folder.is_dir()]
    if lacking:
        remedy = "Name a folder with profiles in it, relative to the playbook."
        return {}, [Finding("app_paths", str(folder), "is not a folder", remedy) for folder in lacking]
    for folder in (*folders, HOME):
        path = folder / f"{name}.yml"
        if _NAME.fullmatch(name) and path.is_file():
            return load(path)
    # Most tasks name no application, and are not to wait for what reads them.
    from ansible_collections.pve.provision.plugins.plugin_utils.app_catalog import catalogued, facts

    if name in facts():
        return catalogued(name), []
    close = difflib.get_close_matches(name, [*own_names(folders), *facts()], n=3)
    like = f"Did you mean {' or '.join(close)}? " if close else ""
    remedy = f"{like}Look for one with pve.provision.app_info, or put {name}.yml into a folder of app_paths."
    return {}, [Finding("app", name, "is not a known application", remedy)]


def own_names(folders: t.Sequence[Path] = ()) -> list[str]:
    """The applications that have a profile."""
    paths = [path for folder in (*folders, HOME) for path in sorted(folder.glob("*.yml"))]
    return list(dict.fromkeys(path.stem for path in paths if _NAME.fullmatch(path.stem)))


def load(path: Path) -> tuple[Profile, list[Finding]]:
    """A profile from its file. Findings name the file and the key."""
    try:
        given = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        return {}, [Finding(str(path), None, f"cannot be read: {' '.join(str(error).split())}", "Correct the file.")]
    from ansible_collections.pve.provision.plugins.plugin_utils.app_schema import read_profile

    profile, findings = read_profile(given)
    return profile, [each.of(str(path)) for each in findings]
