# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cloud-init itself: what it does at a boot of the guest, and ``cloud-init status``."""

from __future__ import annotations

import json
import time
import typing as t

import yaml

from ..guest.runtime import SYSTEMS, Completed, done
from ..linux import commands, distributions
from . import modules, network, seed, userdata

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..guest.runtime import Guest
    from ..state.rootfs import GuestFiles

INSTANCE_ID = "/var/lib/cloud/data/instance-id"
STATUS = "/run/cloud-init/status.json"
DISABLED = {
    "boot_status_code": "disabled-by-generator", "datasource": "", "errors": [], "extended_status": "disabled",
    "detail": "Cloud-init disabled by cloud-init-generator", "last_update": "", "recoverable_errors": {},
    "status": "disabled",
}  # fmt: skip
LONG = ("status", "extended_status", "boot_status_code", "last_update", "detail", "errors", "recoverable_errors")


def booted(guest: Guest) -> None:
    """Find the data and do what they say; all of it at the first boot that sees them, a little at the others."""
    files = guest.files
    found = seed.find(files)
    if found is None:
        files.resolve(STATUS).unlink(missing_ok=True)
        return
    new = files.read(INSTANCE_ID).strip() != found.instance
    known = _known(found)
    user, vendor = userdata.read(found.user, known), userdata.read(found.vendor, known)
    scripts = {"user": user.scripts, "vendor": vendor.scripts}
    config = userdata.merged(user.config, vendor.config)
    run = modules.Run(guest, distributions.of(files), found, config, scripts)
    run.warnings += user.warnings + vendor.warnings
    if new:
        files.write(INSTANCE_ID, f"{found.instance}\n")
        _set_network(run)
    guest.network = configured(guest)
    modules.run_all(run, new)
    files.write(STATUS, json.dumps(_result(run)))


def _known(found: seed.Seed) -> dict[str, str]:
    """The values that templates may name."""
    meta = {f"ds.meta_data.{key.replace('-', '_')}": str(value) for key, value in found.meta.items()}
    name = str(found.meta.get("local-hostname", "localhost"))
    return {**meta, "v1.instance_id": found.instance, "v1.local_hostname": name, "v1.cloud_name": found.name}


def _set_network(run: modules.Run) -> None:
    """Write the network part into netplan's file; without a usable one the first card asks for an address."""
    fallback: network.Cards = {"eth0": {"dhcp4": True}}
    try:
        cards = network.read(run.seed.network) if run.seed.network else fallback
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        run.warnings.append(f"failed loading network config: {error}")
        cards = fallback
    network.write(run.guest.files, cards)


def configured(guest: Guest) -> dict[str, t.Any]:
    """What the guest's own files give its cards."""
    return network.configured(guest.files, [card.mac for card in guest.interfaces])


def _result(run: modules.Run) -> dict[str, t.Any]:
    degraded = {"WARNING": run.warnings} if run.warnings else {}
    state = "error" if run.errors else "done"
    extended = "error - done" if run.errors else "degraded done" if degraded else "done"
    now = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime())
    return {
        "boot_status_code": "enabled-by-generator", "datasource": run.seed.name, "detail": run.seed.detail,
        "errors": run.errors, "extended_status": extended, "last_update": now, "recoverable_errors": degraded,
        "status": state,
    }  # fmt: skip


def status(files: GuestFiles) -> dict[str, t.Any]:
    """What cloud-init tells of its last run."""
    text = files.read(STATUS)
    return dict(json.loads(text)) if text else dict(DISABLED)


def command(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    """``cloud-init status [--wait] [--long] [--format json|yaml]``, ``cloud-init --version``, ``cloud-init clean``."""
    words = list(argv[1:])
    if words[:1] == ["clean"]:
        guest.files.resolve(INSTANCE_ID).unlink(missing_ok=True)
        return done()
    if words[:1] != ["status"]:
        return done("/usr/bin/cloud-init 25.1.4\n") if "--version" in words else done(rc=2, err="usage: cloud-init\n")
    told = status(guest.files)
    code = 1 if told["status"] == "error" else 2 if told["recoverable_errors"] else 0
    form = words[words.index("--format") + 1] if "--format" in words[:-1] else ""
    if form == "json" or "--format=json" in words:
        return done(json.dumps(told, indent=2, sort_keys=True) + "\n", code)
    if form == "yaml" or "--format=yaml" in words:
        return done("---\n" + yaml.safe_dump(told) + "...\n", code)
    if {"--long", "-l"} & set(words):
        lines = (f"{key}: {_shown(told[key])}\n" for key in LONG if told[key] != "")
        return done("".join(lines), code)
    return done(f"status: {told['status']}\n", code)


def _shown(value: t.Any) -> str:
    """A value as the long form prints it."""
    if not isinstance(value, (list, dict)) or not value:
        return {"[]": "[]", "{}": "{}"}.get(str(value), str(value))
    lines = value if isinstance(value, list) else [f"{kind}:\n{_shown(items)}" for kind, items in value.items()]
    return "\n" + "\n".join(f"\t- {line}" for line in lines)


SYSTEMS["cloud"] = commands.linux(distributions.CLOUD_CFG, booted, {"cloud-init": command})
