# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what PVE's JSON and its files spell, as our own types. Pure."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed, Volume


def whole_number(value: t.Any) -> int | None:
    """An integer, which PVE's JSON may hold as text; None where there is none."""
    return None if value in (None, "") else int(value)


def flag(value: t.Any) -> bool:
    """A boolean, which PVE's JSON holds as a number or as text, or leaves out."""
    return bool(int(value or 0))


def content_types(text: str | None) -> frozenset[str]:
    """A list of content types, however it is separated."""
    return frozenset(filter(None, re.split(r"[\s,;]+", text or "")))


def volumes_of(answer: t.Any) -> list[Volume]:
    """The volumes of PVE's answer about the content of a storage."""
    found = [
        Volume(
            volid=entry["volid"],
            content=entry.get("content", ""),
            size=whole_number(entry.get("size")) or 0,
            format=entry.get("format", ""),
            vmid=whole_number(entry.get("vmid")),
            ctime=whole_number(entry.get("ctime")),
            notes=str(entry.get("notes") or ""),
        )
        for entry in answer or []
    ]
    return sorted(found, key=lambda volume: volume.volid)


def completed_of(answer: t.Mapping[str, t.Any]) -> Completed | None:
    """How a command ended that the guest agent ran, by its ``exec-status``; None while it runs.

    The answer is the guest's, which may say anything: raises PveError where its exit code or signal is no number.
    """
    if not answer.get("exited"):
        return None
    told = [answer.get("exitcode"), answer.get("signal")]
    try:
        code, signal = (whole_number(value) for value in told)
    except (TypeError, ValueError, OverflowError) as error:
        raise PveError(f"The guest agent told how a command ended by {told}, which are no numbers.") from error
    ended = 128 + (signal or 0) if code is None else code
    return Completed(ended, str(answer.get("out-data") or ""), str(answer.get("err-data") or ""))


def interfaces_of(answer: t.Any) -> list[dict[str, t.Any]]:
    """A guest's interfaces from PVE's answer for containers (a list) or from the guest agent (in ``result``). What is
    none is passed over: an agent's answer is the guest's, which may say anything."""
    families = {"inet": {"inet", "ipv4"}, "inet6": {"inet6", "ipv6"}}
    return [
        {
            "name": str(entry.get("name", "")),
            "hwaddr": str(entry.get("hardware-address") or entry.get("hwaddr", "")),
            **{
                family: [
                    f"{address['ip-address']}/{address['prefix']}"
                    for address in _objects(entry.get("ip-addresses"))
                    if str(address.get("ip-address-type")) in names and {"ip-address", "prefix"} <= address.keys()
                ]
                for family, names in families.items()
            },
        }
        for entry in _objects(answer.get("result") if isinstance(answer, dict) else answer)
    ]


def _objects(value: t.Any) -> list[dict[str, t.Any]]:
    """The objects of a list; none of what is no list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
