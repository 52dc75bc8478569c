# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a running OpenWrt, seen and changed through a shell in it, however that is reached.

A shell costs half a second each time (``pct exec``, guest agent), so whatever is to be known is asked for by one
script, and waiting is done inside the guest. Scripts go in on stdin: they may hold secrets.
"""

from __future__ import annotations

import shlex
import socket
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._access.inside import Inside
from ansible_collections.pve.provision.plugins.module_utils._access.shell import NO_ANSWER, Shell
from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError, Timeout
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.errors import RouterError
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.packages.install import (
    Installation,
    Packages,
    PushFiles,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.seen import (
    Drift,
    Seen,
    answers_of,
    drift_of,
    questions,
    seen_of,
)
from ansible_collections.pve.provision.plugins.module_utils._io.clock import Clock, poll
from ansible_collections.pve.provision.plugins.module_utils._openwrt import commit_confirm
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import Description, Interface
from ansible_collections.pve.provision.plugins.module_utils._openwrt.rootfs import Files
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.config import Package
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.text import parse_export

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed

# Ports that show that somebody is at home: an answer of any kind will do, a refusal too.
_PORTS = (22, 80, 443)
# Seconds that it may take to tell all that is asked.
ASKING = 120
# What an interface speaks that gets its way out from somebody else, and how long (s) that may take at most.
LEASED = ("dhcp", "pppoe")
UPLINK = 10
# Seconds that the guard of another run may take at least, and what it needs to put things back.
GUARD = 60
_REMEDIES = {
    commit_confirm.EXIT_BUSY: "Wait for the other run, and run again.",
    commit_confirm.EXIT_PENDING: "Look at 'uci changes' in the router, and commit or revert what is there.",
    commit_confirm.EXIT_WRITE: "Look for free space in the router.",
    commit_confirm.EXIT_BATCH: "Correct what uci rejects.",
}


class Router:
    """One running OpenWrt and its description. Times in seconds.

    ``inside`` is what all parts of a run ask it by; ``push_files`` copies a file into it, where there is a way to;
    ``mirrors`` stand in for OpenWrt's own server.
    """

    def __init__(
        self,
        shell: Shell,
        description: Description,
        clock: Clock,
        *,
        confirm_timeout: int = 60,
        push_files: PushFiles | None = None,
        mirrors: t.Sequence[str] = (),
        inside: Inside | None = None,
    ) -> None:
        self.shell = shell
        self.description = description
        self.confirm_timeout = confirm_timeout
        self.push_files = push_files
        self.mirrors = tuple(mirrors)
        self.clock = clock
        self.inside = inside or Inside()

    def run_script(self, script: str, *, timeout: int) -> Completed:
        """Run a script. It is read whole before it begins, so that no command in it can read the rest of it."""
        return self.shell(f"pve_provision() {{\n{script}\n}}\npve_provision < /dev/null\n", timeout=timeout)

    # -- looking ---------------------------------------------------------------------------------------------------
    def run(self, script: str, *, timeout: int = 60) -> str:
        """Run a script that is to succeed; its output."""
        done = self.run_script(script, timeout=timeout)
        if done.rc != 0:
            # What it said on standard output may be what it keeps secret.
            said = done.stderr.strip() or "it gave no reason"
            raise RouterError(f"the router answered with exit code {done.rc}: {said}")
        return done.stdout

    def ask(self, asked: t.Mapping[str, str]) -> dict[str, str]:
        """What each command tells, by one script, with all that other parts of the run ask; those that fail tell
        nothing."""
        told = self.inside.ask(self.shell, asked, timeout=ASKING)
        if all(told[name].rc == NO_ANSWER for name in asked):
            raise RouterError(next(told[name].stderr for name in asked))
        return answers_of({name: told[name].stdout for name in asked})

    def probe(self) -> Seen:
        """All that is to be known, by one script."""
        return seen_of(self.ask(questions(self.description)), self.description)

    def _interfaces(self) -> tuple[Interface, ...]:
        return self.description.interfaces

    def drift(self, seen: Seen) -> Drift:
        """What to change."""
        return drift_of(seen, self.description)

    # -- waiting ---------------------------------------------------------------------------------------------------
    def await_up(self, timeout: int) -> None:
        """Wait until procd and netifd are there and each interface with an address of its own is up."""
        static = [each.name for each in self._interfaces() if each.addresses]
        status = "ubus call network.interface.{0} status 2> /dev/null"
        ask = status + ' | grep -q \'"up": true\' || missing="$missing {0}"\n'
        self._await("".join(map(ask.format, static)), timeout)

    def _await(self, tests: str, timeout: int) -> None:
        """Wait inside the guest until netifd answers and no test adds to what is ``missing``."""
        script = (
            "n=0\n"
            f'while [ "$n" -lt {timeout} ]; do\n'
            "missing=\n"
            'ubus call network.interface dump > /dev/null 2>&1 || missing="netifd"\n'
            f"{tests}"
            'if [ -z "$missing" ]; then exit 0; fi\n'
            "sleep 1\n"
            "n=$((n + 1))\n"
            "done\n"
            "echo $missing\n"
            "exit 1\n"
        )
        # Asked again, since the shell itself may not be there yet.
        done = poll(
            lambda: self.run_script(script, timeout=timeout + 30),
            lambda done: done.rc == 0,
            timeout=timeout,
            clock=self.clock,
        )
        if done.rc != 0:
            missing, said = ", ".join(done.stdout.split()) or "its shell", done.stderr.strip()
            words = f"{missing} did not come up within {timeout} s. {said}".strip()
            raise Timeout(words, remedy="See its logread.")

    def await_shell(self, timeout: int) -> None:
        """Wait until netifd answers, whatever the links do."""
        self._await("", timeout)

    def await_decision(self) -> None:
        """Wait until the change of an earlier run is confirmed, or has taken itself back."""
        timeout = max(self.confirm_timeout, GUARD) + GUARD
        done = self.run_script(commit_confirm.over_script(timeout), timeout=timeout + 60)
        if done.rc != 0:
            raise _refused(done)

    # -- changing --------------------------------------------------------------------------------------------------
    def apply(self, drift: Drift, seen: Seen, *, patience: int, guarded: bool = True) -> None:
        """Write accounts, then the configuration, then switch services; a change that could cut us off stands only
        when it did not.

        ``guarded`` False is for a router that nobody depends on yet: its changes stand at once.
        """
        if drift.files:
            self.run(write_script(drift.files))
        if drift.change:
            self._apply(drift, seen, patience=patience, guarded=guarded)
        if drift.services:
            self.run(services_script(drift.services), timeout=120)

    def _apply(self, drift: Drift, seen: Seen, *, patience: int, guarded: bool) -> None:
        guarded = guarded and drift.change.touches_network
        reached = guarded and self.reached(seen)
        script = commit_confirm.apply_script(drift.change, self.confirm_timeout if guarded else None)
        done = self.run_script(script, timeout=150)
        if done.rc != 0:
            raise _refused(done)
        if guarded:
            # The guard must not come before we have made up our mind.
            self._confirm(seen, reached, min(patience, max(self.confirm_timeout * 2 // 3, 5)))

    def _confirm(self, before: Seen, reached: bool, patience: int) -> None:
        """Let the change stand when the router is well and can be reached; else take it back at once."""
        reason = self._unwell(before, reached, patience)
        if not reason:
            done = self.run_script(commit_confirm.confirm_script(), timeout=60)
            if done.rc == 0:
                return
            reason = "it was confirmed too late"
        taken = self.run_script(commit_confirm.revert_script(), timeout=60).rc in (0, commit_confirm.EXIT_NOTHING)
        how = "was rolled back" if taken else f"is rolled back within {self.confirm_timeout} s"
        raise RouterError(
            f"After the change {reason}, so it {how}.", remedy="Correct the declaration, or raise confirm_timeout."
        )

    def _unwell(self, before: Seen, reached: bool, patience: int) -> str:
        """What speaks against letting a change stand; empty when nothing does.

        A router that could not be reached from here before the change either is believed what it says itself, as long
        as it has an address where it is managed from.
        """
        deadline = self.clock.now() + patience
        try:
            self.await_up(patience)
            left = self.drift(self.probe()).change
            if left:
                return f"it still differs ({'; '.join(left.words[:5])})"
            return poll(
                lambda: self._cut_off(before, self.probe(), reached),
                lambda reason: not reason,
                timeout=deadline - self.clock.now(),
                clock=self.clock,
            )
        except ProvisionError as error:
            return str(error).rstrip(".")

    def _cut_off(self, before: Seen, now: Seen, reached: bool) -> str:
        """Why nobody can manage the router now who could before; empty where they can."""
        unreachable = "it can no longer be reached on its management interfaces"
        return self._lost(before, now) or (unreachable if reached and not self.reached(now) else "")

    def _lost(self, before: Seen, now: Seen) -> str:
        """Whether nobody can manage the router any more, for want of an address, who could before."""
        sources = self.description.management.sources
        servers = parse_export(before.export).get("dropbear", Package("dropbear")).of_type("dropbear")
        could = any(before.statuses.get(name) for server in servers for name in server.items("Interface"))
        if not could or not sources or any(now.statuses.get(name) for name in sources):
            return ""
        return f"none of its management interfaces ({', '.join(sources)}) has an address"

    def reached(self, seen: Seen) -> bool:
        """Whether anything answers at an address of the interfaces it is managed from."""
        held = [text for name in self.description.management.sources for text in seen.statuses.get(name, [])]
        return any(answers(text.partition("/")[0]) for text in held)

    def install(self, names: t.Sequence[str]) -> Installation:
        """Install packages."""
        leased = any(each.proto in LEASED for each in self._interfaces())
        uplink = UPLINK if leased else 0
        return Packages(self.run_script, self.clock, self.push_files, self.mirrors, uplink).install(names)


def _refused(done: Completed) -> RouterError:
    """The error of a change that was not carried out."""
    said = done.stderr.strip().removeprefix("pve-provision: ") or f"exit code {done.rc}"
    return RouterError(f"the router rejected the change: {said}.", remedy=_REMEDIES.get(done.rc, ""))


def write_script(files: Files) -> str:
    """A script that puts files in place, each whole or not at all."""
    lines = ["set -e", "umask 077"]
    for path, (mode, content) in sorted(files.items()):
        place = shlex.quote(f"/{path}")
        fresh = shlex.quote(f"/{path}.pve-provision")
        text = content.decode()
        if "PVE_PROVISION_END" in text:
            raise RouterError(f"/{path} would hold the word PVE_PROVISION_END")
        lines += [
            f"mkdir -p {shlex.quote('/' + path.rpartition('/')[0])}",
            f"cat > {fresh} <<'PVE_PROVISION_END'\n{text}PVE_PROVISION_END",
            f"chmod {mode:o} {fresh}",
            f"mv {fresh} {place}",
        ]
    return "\n".join(lines) + "\n"


def services_script(services: t.Mapping[str, bool]) -> str:
    """A script that enables and starts services, and stops and disables others."""
    verbs = {True: ("enable", "start"), False: ("stop", "disable")}
    return "".join(f"/etc/init.d/{name} {verb}\n" for name, wanted in services.items() for verb in verbs[wanted])


def answers(address: str, timeout: float = 1.0) -> bool:
    """Whether anything at an address answers a TCP connection, be it with a refusal."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port in _PORTS:
        with socket.socket(family, socket.SOCK_STREAM) as tried:
            tried.settimeout(timeout)
            try:
                tried.connect((address, port))
            except ConnectionRefusedError:
                return True
            except OSError:
                continue
            return True
    return False
