# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: install packages in a running OpenWrt, also in one that reaches no package server.

The router is asked first. When the network is in its way and there is a way to hand files in, the node fetches the
router's feeds and the packages, and the router's own opkg or apk installs from them: its keys judge the indexes as
ever, and the indexes the packages. opkg can tell what it would install only from packages that are there, so for it the
node reads the indexes and brings all that may be needed; apk tells from the indexes alone, and is asked.
"""

from __future__ import annotations

import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.packages.answer import Answer, no_feed_has
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.packages.bundle import PackageBundle
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.packages.scripts import (
    ARCHIVE,
    INSTALL,
    INSTALL_BY_APK,
    INSTALL_BY_OPKG,
    KEEP_FILES,
    MARK,
    NOT_ARRIVED,
    PLACE,
    RUN_WITH_FILES,
    SIMULATE_APK,
    TELL_FEEDS,
    quoted,
)
from ansible_collections.pve.provision.plugins.module_utils._io.clock import Clock
from ansible_collections.pve.provision.plugins.module_utils._openwrt import feeds

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed

NOTE: t.Final = "packages were fetched by the node, because the router could not reach its package server"
_ATTEMPTS: t.Final = 3
# Seconds for a script in the router.
_PATIENCE: t.Final = 600

PushFiles = t.Callable[[str, str], None]
"""Copies a file of this machine to a path in the router; raises ProvisionError when that fails."""


class RunScript(t.Protocol):
    """Runs a script in the router."""

    def __call__(self, script: str, *, timeout: int) -> Completed: ...


@dataclass(frozen=True)
class Installation:
    """How it went. ``trouble``: why not, empty when it went well; ``note``: what is to be known all the same."""

    trouble: str = ""
    note: str = ""


class _Refused(ProvisionError):
    """What the router was told by itself, or by what it was handed, will not be otherwise when it is asked again."""

    kind = "openwrt"


@dataclass(frozen=True)
class Packages:
    """What installs packages in one router. ``push_files`` is None where no file can be pushed; ``uplink`` (s) is how
    long a router that has just started may take to get a way out."""

    run_script: RunScript
    clock: Clock
    push_files: PushFiles | None = None
    mirrors: tuple[str, ...] = ()
    uplink: int = 0

    def install(self, names: t.Sequence[str]) -> Installation:
        """Install, with some patience for the network, and with the node's help where the router cannot reach out."""
        reasons: list[str] = []
        for attempt in range(_ATTEMPTS):
            if attempt:
                self.clock.sleep(2.0**attempt)
            more = "" if attempt or self.push_files is None else TELL_FEEDS
            uplink = 0 if attempt else self.uplink
            script = INSTALL.format(place=PLACE, mark=MARK, names=quoted(names), more=more, uplink=uplink)
            done = self.run_script(script, timeout=_PATIENCE)
            if done.rc == 0:
                return Installation()
            answer = Answer.of(done)
            if answer.hopeless:
                return Installation(trouble=answer.hopeless)
            reasons = [answer.last, *reasons[1:]]
            if more and {"apk", "opkg"} & answer.parts.keys():
                try:
                    return Installation(note=self._help(names, answer.parts))
                except _Refused as error:
                    return Installation(trouble=error.message)
                except ProvisionError as error:
                    reasons.append(f"and the node could not help: {str(error).rstrip('.')}")
        return Installation(trouble="; ".join(reasons))

    # -- the node's help -----------------------------------------------------------------------------------------------
    def _help(self, names: t.Sequence[str], told: t.Mapping[str, str]) -> str:
        """Fetch what is needed, hand it in, and let the router install from that; a word on how it went."""
        with tempfile.TemporaryDirectory(prefix="pve-provision-") as folder:
            bundle = PackageBundle(Path(folder), self.mirrors)
            if "apk" in told:
                self._help_apk(names, told["apk"], bundle)
            else:
                self._help_opkg(names, told, bundle)
        without = f" (without the feeds {', '.join(bundle.left_out)})" if bundle.left_out else ""
        return f"{NOTE}{without}"

    def _help_opkg(self, names: t.Sequence[str], told: t.Mapping[str, str], bundle: PackageBundle) -> None:
        feeds_fetched = bundle.indexes(feeds.opkg_feeds(told["opkg"]), signature="Packages.sig")
        offered = [(source, entry) for source in feeds_fetched for entry in feeds.parse_index(bundle.text(source))]
        needed, unknown = feeds.closure(names, offered, feeds.parse_status(told.get("status", "")))
        if unknown:
            self.run_script(f"rm -rf {PLACE}\n", timeout=_PATIENCE)
            raise _Refused(no_feed_has(unknown, bundle.reasons))
        bundle.packages(needed)
        places = [(source.feed, f"{PLACE}/{source.place}") for source in feeds_fetched]
        bundle.put("opkg.conf", feeds.opkg_conf(told["opkg"], places, f"{PLACE}/lists"))
        self._work(bundle, INSTALL_BY_OPKG, names)

    def _help_apk(self, names: t.Sequence[str], repositories: str, bundle: PackageBundle) -> None:
        feeds_fetched = bundle.indexes(feeds.apk_feeds(repositories))
        places = [f"{PLACE}/{source.place}/{source.feed.index}\n" for source in feeds_fetched]
        bundle.put("repositories", "".join(places))
        said = self._work(bundle, SIMULATE_APK, names, keep=KEEP_FILES)
        bundle.files(feeds_fetched, [f"{name}-{version}.apk" for name, version in feeds.simulated(said)])
        self._work(bundle, INSTALL_BY_APK, names)

    def _work(self, bundle: PackageBundle, script: str, names: t.Sequence[str], *, keep: str = "") -> str:
        """Hand in what has come since the last time, and run a script with it; what it says."""
        archive, digest = bundle.pack()
        t.cast("PushFiles", self.push_files)(str(archive), ARCHIVE)
        filled = RUN_WITH_FILES.format(
            place=PLACE,
            archive=ARCHIVE,
            digest=digest,
            script=script.format(names=quoted(names)),
            keep=keep,
            not_arrived=NOT_ARRIVED,
        )
        done = self.run_script(filled, timeout=_PATIENCE)
        if done.rc == NOT_ARRIVED:
            raise ProvisionError(f"the copy in the router is incomplete. {done.stderr.strip()}".strip())
        if done.rc != 0:
            answer = Answer.of(done)
            if answer.unknown and not answer.distrust:
                raise _Refused(no_feed_has(answer.unknown, bundle.reasons))
            reason = answer.last if answer.distrust in answer.last else f"{answer.distrust}; {answer.last}"
            raise _Refused(f"the router rejected the packages that the node had fetched: {reason}")
        return done.stdout
