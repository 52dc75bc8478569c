# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: change a running OpenWrt so that a change which cuts us off takes itself back.

Each function gives the text of a script for the guest's ``sh``, to be fed to it on stdin (``sh -s``): it may hold
secrets, which must not be on a command line. The guest has busybox and little else; nothing here needs more.

A change goes like this: the packages' files are kept aside, the batch is played into a folder of its own (``uci
batch`` always exits 0: anything on stderr means nothing is committed), the guard is armed, the packages are committed,
and their services reloaded by a process that outlives ours, while the guard counts whatever they do. Unless
:func:`confirm_script` comes within the time, the guard puts the files back and reloads again. A guest that reboots
meanwhile puts them back as it comes up, before its network does. Whoever moves the ``armed`` file away first has
decided: a confirmation never meets a revert half way.

Of two runs at once one has the lock until its guard is armed, and the other is refused from then on: neither touches
what the other keeps. A lock of a process that is no more counts for nothing, nor does one from before a reboot.
"""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._openwrt.live import UciChange

EXIT_BATCH = 65
"""``uci`` did not take the batch; its words are on stderr, nothing has changed."""
EXIT_NOTHING = 66
"""Nothing waits for a confirmation: reverted already, confirmed already, or never made."""
EXIT_WRITE = 74
"""The files could not be written or committed; what had been is put back."""
EXIT_BUSY = 75
"""Another change waits for its confirmation."""
EXIT_PENDING = 76
"""Somebody has set something in one of the packages and not committed it: ``uci changes`` says what."""

_END = "PVE_PROVISION_END"
_RELOAD_SECONDS = 60  # how long the script waits for the services; they go on without it
_LOCK_SECONDS = 30  # how long it waits for another run, which has its guard armed by then
_SETTLE = 2  # seconds: netifd takes a reload at once and acts on it after

_HEAD = """\
set -u
umask 077
dir={root}/etc/pve-provision
config={root}/etc/config
hook={root}/etc/uci-defaults/00-pve-provision-revert
lock={root}/tmp/pve-provision.lock
held=
leave() {{ [ -z "$held" ] || rm -f "$lock"; exit "$1"; }}
fail() {{ rc=$1; shift; echo "pve-provision: $*" >&2; leave "$rc"; }}
"""

# What is set and not committed lies in /tmp/.uci, and any commit of the package would take it along.
_APPLY = """\
for package in {packages}; do
    [ ! -s "{root}/tmp/.uci/$package" ] || fail {pending} "$package has changes that are not committed"
done
waited=0
mkdir -p "${{lock%/*}}"
until ln -s "$$" "$lock" 2> /dev/null; do
    owner=$(readlink "$lock")
    [ -z "$owner" ] || [ -d "/proc/$owner" ] || rm -f "$lock"
    [ "$waited" -lt {lock_wait} ] || fail {busy} "another run is changing this router"
    [ ! -e "$lock" ] && [ ! -L "$lock" ] || sleep 1
    waited=$((waited + 1))
done
held=1
for file in "$dir"/armed.* "$dir"/reverting; do
    [ ! -e "$file" ] || fail {busy} "another change waits for its confirmation"
done
rm -rf "$dir"
mkdir "$dir" "$dir/old" "$dir/delta" || fail {write} "cannot write to $dir"
cat > "$dir/lib" <<'{end}'
{lib}{end}
cat > "$dir/batch" <<'{end}'
{batch}{end}
. "$dir/lib"
for package in {packages}; do
    if [ -e "$config/$package" ]; then
        cp -p "$config/$package" "$dir/old/$package" || fail {write} "cannot keep $package"
    else
        : > "$dir/new.$package" && : > "$config/$package" || fail {write} "cannot make $package"
    fi
done
uci -t "$dir/delta" batch < "$dir/batch" > /dev/null 2> "$dir/errors"
if [ -s "$dir/errors" ]; then
    cat "$dir/errors" >&2
    restore_backup
    rm -rf "$dir"
    leave {batch_failed}
fi
"""

# Shared by the script, the guard and the hook. A file is put back whole or not at all.
_LIB = """\
restore_backup() {{
    for file in "$dir"/old/*; do
        [ -e "$file" ] || continue
        name=${{file##*/}}
        cp -p "$file" "$config/.$name.old" && mv "$config/.$name.old" "$config/$name"
    done
    for file in "$dir"/new.*; do
        [ ! -e "$file" ] || rm -f "$config/${{file##*/new.}}"
    done
}}
reload() {{
    for service in {services}; do
        init={root}/etc/init.d/$service
        if [ -x "$init" ] && "$init" enabled; then "$init" reload; fi
    done > /dev/null 2>&1 < /dev/null
    sleep {settle}
}}
commit() {{
    for package in {packages}; do
        uci -t "$dir/delta" commit "$package" 2>> "$dir/errors" || return 1
    done
    [ ! -s "$dir/errors" ]
}}
discard() {{
    rm -f "$hook"
    mv "$dir" "$dir.$$" && rm -rf "$dir.$$"
}}
revert() {{
    mv "$dir/armed.$1" "$dir/reverting" 2> /dev/null || return 1
    restore_backup
    logger -t pve-provision "change taken back: {packages}" 2> /dev/null
    reload
    discard
}}
"""

_GUARDED = """\
token=$(cat /proc/sys/kernel/random/uuid) || fail {write} "no token"
mkdir -p "${{hook%/*}}"
cat > "$hook" <<'{end}'
{head}if [ -d "$dir/old" ] && [ ! -e "$dir/confirmed" ]; then . "$dir/lib"; restore_backup; fi
rm -rf "$dir"
true
{end}
: > "$dir/armed.$token" || fail {write} "cannot write to $dir"
if ! commit; then
    cat "$dir/errors" >&2
    revert "$token"
    leave {write}
fi
(
    trap '' HUP
    {{ reload; : > "$dir/reloaded"; }} &
    left={timeout}
    while [ "$left" -gt 0 ] && [ -e "$dir/armed.$token" ]; do
        sleep 1
        left=$((left - 1))
    done
    revert "$token"
) < /dev/null > /dev/null 2>&1 &
waited=0
while [ ! -e "$dir/reloaded" ] && [ "$waited" -lt {patience} ]; do
    sleep 1
    waited=$((waited + 1))
done
leave 0
"""

_PLAIN = """\
if ! commit; then
    cat "$dir/errors" >&2
    restore_backup
    rm -rf "$dir"
    leave {write}
fi
reload
rm -rf "$dir"
leave 0
"""

_CONFIRM = """\
for file in "$dir"/armed.*; do
    if mv "$file" "$dir/confirmed" 2> /dev/null; then
        rm -f "$hook"
        mv "$dir" "$dir.$$" && rm -rf "$dir.$$"
        exit 0
    fi
done
fail {nothing} "nothing waits for a confirmation"
"""

_REVERT = """\
[ ! -e "$dir/lib" ] || . "$dir/lib"
for file in "$dir"/armed.*; do
    if [ -e "$file" ] && revert "${{file##*/armed.}}"; then exit 0; fi
done
fail {nothing} "nothing waits for a confirmation"
"""


# A change that waits for its confirmation or is being taken back, and the files as they will be when that has happened.
WAITING: t.Final = """\
for file in /etc/pve-provision/armed.* /etc/pve-provision/reverting; do
    [ ! -e "$file" ] || echo waits
done"""
KEPT: t.Final = """\
for file in /etc/pve-provision/old/*; do
    [ ! -e "$file" ] || {{ echo '{mark}old '"${{file##*/}}"; cat "$file"; }}
done
for file in /etc/pve-provision/new.*; do
    [ ! -e "$file" ] || echo '{mark}old '"${{file##*/new.}}"
done"""
_OVER = """\
waited=0
while [ "$waited" -lt {timeout} ]; do
    waits=
    for file in "$dir"/armed.* "$dir"/reverting; do
        [ ! -e "$file" ] || waits=1
    done
    [ -n "$waits" ] || exit 0
    sleep 1
    waited=$((waited + 1))
done
fail {busy} "another change waits for its confirmation"
"""


def over_script(timeout: int, root: str = "") -> str:
    """Waits until no change waits for its confirmation, for ``timeout`` seconds at most; else :data:`EXIT_BUSY`."""
    return _HEAD.format(root=root) + _OVER.format(timeout=timeout, busy=EXIT_BUSY)


def apply_script(change: UciChange, confirm_timeout: int | None, root: str = "") -> str:
    """Carries a change out: exit 0 when it is committed and the services have been asked to reload.

    ``confirm_timeout``: seconds from the commit until the change takes itself back unless confirmed; None for a
    change that cannot cut anybody off: it stands at once. ``root`` is where the guest's ``/`` is. Exit codes are
    ``EXIT_*``. Raises ValueError for an empty change.
    """
    if not change:
        raise ValueError("there is nothing to change")
    words = {
        "root": root,
        "end": _END,
        "packages": " ".join(change.packages),
        "services": " ".join(change.services),
        "settle": _SETTLE if "network" in change.services else 0,
        "timeout": confirm_timeout,
        "patience": _RELOAD_SECONDS,
        "lock_wait": _LOCK_SECONDS,
        "busy": EXIT_BUSY,
        "pending": EXIT_PENDING,
        "write": EXIT_WRITE,
        "batch_failed": EXIT_BATCH,
        "batch": change.batch,
    }
    if _END in change.batch:
        raise ValueError(f"a value holds the word {_END}")
    head = _HEAD.format(root=root)
    tail = _PLAIN if confirm_timeout is None else _GUARDED
    return head + (_APPLY + tail).format(lib=_LIB.format(**words), head=head, **words)


def confirm_script(root: str = "") -> str:
    """Makes the change that waits stand. Exit :data:`EXIT_NOTHING` when there is none (any more)."""
    return _HEAD.format(root=root) + _CONFIRM.format(nothing=EXIT_NOTHING)


def revert_script(root: str = "") -> str:
    """Takes the change that waits back at once. Exit :data:`EXIT_NOTHING` when there is none (any more)."""
    return _HEAD.format(root=root) + _REVERT.format(nothing=EXIT_NOTHING)
