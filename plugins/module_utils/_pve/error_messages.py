# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: turn PVE's own words into our errors. One table, used by both backends."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Conflict,
    NotFound,
    ProvisionError,
    PveError,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Outcome

HIDDEN = "********"
_LOG_TAIL = 10

# The lock of a guest, that of its migration, which replication holds, too, and that of a storage that nodes share.
_LOCK_TIMEOUT = re.compile(
    r"can't lock file .* - got timeout|unable to acquire lock|got lock (?:request )?timeout|"
    r"obtain guest migration lock",
    re.IGNORECASE,
)

# What a guest agent says that may run no commands, other than while a backup has frozen it, or not this one.
_REFUSES_COMMANDS = re.compile(r"guest-exec has been disabled(?!.*frozen)")
_CONFINES_COMMANDS = re.compile(r"Failed to execute child process .*Permission denied")

# What PVE says, the error it becomes, facts for machines, what to do. First match wins.
_MEANINGS: tuple[tuple[str, type[PveError], dict[str, str], str], ...] = (
    (
        r"(?:CT|VM) is locked \((?P<lock>[\w-]+)\)",
        Conflict,
        {"reason": "locked"},
        "Wait for what holds the lock; if nothing runs any more, remove it with pct unlock or qm unlock on the node.",
    ),
    (
        r"detected modified configuration|checksum mismatch \(file change",
        Conflict,
        {"reason": "digest"},
        "Somebody changed the guest meanwhile; run again to compare with its new config.",
    ),
    (
        r"(?:CT|VM) \d+ already exists|unable to create (?:CT|VM) \d+: config file already exists",
        Conflict,
        {"reason": "vmid_taken"},
        "Choose another vmid.",
    ),
    (
        r"protection mode enabled",
        Conflict,
        {"reason": "protected"},
        "Set protection to false first, if this guest may really be changed so.",
    ),
    (
        _LOCK_TIMEOUT.pattern,
        Conflict,
        {"reason": "lock_timeout"},
        "Another command works on this guest; run again when it has ended.",
    ),
    (
        r"Configuration file '[^']*' does not exist|unable to find configuration file",
        NotFound,
        {"reason": "guest"},
        "There is no such guest on this node.",
    ),
    (r"storage '[^']*' does not exist|No such storage", NotFound, {"reason": "storage"}, "Check the storage's name."),
    (
        r"volume '[^']*' does not exist|no such (?:logical )?volume",
        NotFound,
        {"reason": "volume"},
        "Check the volume's name, or download the image first.",
    ),
    (r"pool '[^']*' does not exist", NotFound, {"reason": "pool"}, "Make the pool first, or check its name."),
    (
        r"only allowed for root@pam|only root can",
        PveError,
        {"reason": "root_only"},
        "PVE lets only root@pam do this, and an API token of root@pam is not root@pam: log in with the password of "
        "root@pam, or run this task on the node.",
    ),
    (
        r"Permission check failed \((?P<path>/\S*), (?P<privilege>[\w.|]+)\)",
        PveError,
        {"reason": "permission"},
        "Give the user or token that privilege (one of them, where | stands) on that path, by pveum acl modify.",
    ),
    (
        r"Permission check failed",
        PveError,
        {"reason": "permission"},
        "PVE does not say which privilege is missing: see Permissions of this user or token on the node.",
    ),
    (
        _REFUSES_COMMANDS.pattern,
        PveError,
        {"reason": "agent_refuses"},
        "The agent there is started with a list of commands that leaves this out: empty FILTER_RPC_ARGS in "
        "/etc/sysconfig/qemu-ga of the guest and restart qemu-guest-agent, as cloud_init.install_agent does for a new "
        "VM, or declare ssh_private_key.",
    ),
    (
        _CONFINES_COMMANDS.pattern,
        PveError,
        {"reason": "agent_refuses"},
        "SELinux keeps the agent there from it: run semanage permissive -a virt_qemu_ga_t in the guest, as "
        "cloud_init.install_agent does for a new VM, or declare ssh_private_key.",
    ),
    (
        r"no quorum|/etc/pve/\S*'? - Permission denied|Permission denied: '\S*/etc/pve/",
        PveError,
        {"reason": "quorum"},
        "The cluster has no quorum, so that nothing about guests can be written: bring enough of its nodes back (see "
        "pvecm status), then run again.",
    ),
    (
        r"storage '(?P<storage>[^']*)' is (?:not (?:available|online|active)|disabled)|"
        r"unable to activate storage '(?P<unmounted>[^']*)'",
        PveError,
        {"reason": "storage_offline"},
        "Bring the storage back (see pvesm status), or declare another one.",
    ),
    (
        r"No space left on device|Disk quota exceeded|free space in thin pool|insufficient free space|out of space",
        PveError,
        {"reason": "full"},
        "Make room on the storage, or declare another one.",
    ),
    (
        r"(?:CT|VM) \d+ is running|container is running",
        Conflict,
        {"reason": "running"},
        "Somebody has started it meanwhile: run again.",
    ),
    (
        r"hotplug problem",
        PveError,
        {"reason": "hotplug"},
        "The running guest does not take that, and goes on without: declare state=stopped beside it, then start it.",
    ),
    (
        r"hostname lookup '(?P<node>[^']*)' failed",
        PveError,
        {"reason": "node"},
        "The cluster has no node of that name: set node to the name that PVE shows, not to an address.",
    ),
)

_USAGE = re.compile(r"^(?:pct|qm|pvesm|pveam|pvesh) .*\[(?:FORMAT_)?OPTIONS\]\s*$")
# Said by any command, whatever it does: about the cluster's users, about the waiting for a lock, and by LVM.
_NOISE = re.compile(
    r"^(?:Task finished with \d+ warning|trying to acquire lock| *OK$|user config - ignore |"
    r" *Logical volume \S+ successfully (?:removed|resized)\.?$)"
)
_CAUSE_ELSEWHERE = re.compile(r"(?:failed|exit code \d+|migration (?:aborted|problems))$")
# What a start hook wrote, in the log of a start with debug=1 and nowhere else.
_HOOK_SAID = re.compile(r"Script exec .*? produced output: (?P<words>.*\S)")
_HOOK_FAILED = re.compile(r"Script exited with status|Failed to run lxc\.hook")
_WARNING = re.compile(r"^(?:WARN(?:ING)?S?:)\s*(.*)")


def lines(text: str) -> list[str]:
    """The lines of a text that say something."""
    return [line.rstrip() for line in text.split("\n") if line.strip()]


def scrub(text: str, secrets: t.Iterable[str]) -> str:
    """Take secrets out of a text, however they got in."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def outside_json(text: str) -> str:
    """What stands before the first of JSON, where a program has said something else; what is in it may be secret."""
    return " ".join(re.split(r"[{\[]", text, maxsplit=1)[0][:200].split())


def is_held_lock(error: ProvisionError) -> bool:
    """Whether PVE gave up waiting for its own lock: nothing was done, so the same may be asked again."""
    return error.details.get("reason") == "lock_timeout"


def refuses_commands(text: str) -> bool:
    """Whether a guest agent says that it runs no commands, or not this one, however often it is asked."""
    return bool(_REFUSES_COMMANDS.search(text) or _CONFINES_COMMANDS.search(text))


def is_so_already(text: str) -> bool:
    """Whether PVE did not change a guest's power state because somebody else has done so meanwhile."""
    return bool(re.search(r"already running|not running", text))


def words_of(stderr: str) -> str:
    """PVE's message without the usage line that it repeats."""
    return "\n".join(line for line in lines(stderr) if not _USAGE.match(line) and not _NOISE.match(line))


def warnings_of(stdout: str, stderr: str = "") -> tuple[str, ...]:
    """The warnings of something that worked: ``WARN:`` lines of its log, and all it said on standard error."""
    log = [match[1] for line in lines(stdout) if (match := _WARNING.match(line))]
    said = [_WARNING.sub(r"\1", line) for line in lines(stderr) if not _NOISE.match(line)]
    return tuple(dict.fromkeys(log + said))


def error_of(
    step: str, words: str, *, otherwise: type[PveError] = PveError, log_tail: t.Sequence[str] = (), **details: t.Any
) -> PveError:
    """The error that PVE's words mean. ``step`` says what was tried on which guest.

    Where the words only say that something failed, the cause stands in the log: then its end is quoted too.
    """
    quoted = "\n".join([words, *log_tail]) if _CAUSE_ELSEWHERE.search(words) else words
    for pattern, kind, facts, remedy in _MEANINGS:
        if match := re.search(pattern, words):
            return kind(f"{step}: {quoted}", remedy=remedy, **{**facts, **match.groupdict(), **details})
    return otherwise(f"{step}: {quoted}", **details)


def tail_of(log: t.Sequence[str]) -> list[str]:
    """The end of a log, and what a start hook wrote before that."""
    end = list(log[-_LOG_TAIL:])
    return [line for line in log[:-_LOG_TAIL] if _HOOK_SAID.search(line)] + end


def start_container(start: t.Callable[[dict[str, str]], Outcome]) -> Outcome:
    """Start a container by a function that takes PVE's options of the start.

    Where a hook refused (a bind mount's source is gone, trunks on a bridge that takes none), PVE keeps the hook's words
    to itself; a second start with ``debug`` tells them.
    """
    try:
        return start({})
    except PveError as error:
        if not _HOOK_FAILED.search(error.message):
            raise
        try:
            return start({"debug": "1"})
        except PveError as told:
            words = dict.fromkeys(match["words"] for match in _HOOK_SAID.finditer(told.message))
            if not words:
                raise error from told
            first = error.message.partition("\n")[0]
            raise PveError(f"{first}: {'; '.join(words)}", remedy=error.remedy, **error.details) from told


def filesystem_failed(text: str) -> bool:
    """Whether a resize grew the disk but not its file system, which PVE only mentions."""
    return "Failed to update the container's filesystem" in text


def ungrown_remedy(text: str, *, on_node: bool) -> str:
    """What to do about a volume that PVE has made larger and whose file system it has not."""
    if not filesystem_failed(text):
        return ""
    if on_node:
        return "The volume has its new size, its file system not yet: the next run grows that."
    return (
        "The volume has its new size, its file system not yet, and over the API it cannot be repaired: stop the "
        "container, and run e2fsck -f and resize2fs on the volume (pvesm path VOLID) on the node."
    )
