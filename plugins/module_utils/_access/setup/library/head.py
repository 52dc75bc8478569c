# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the part of the script that is the same for all guests: POSIX ``sh``, dash and busybox.

Each function holds one thing that is declared against what the guest has. Where that differs it is told (``ask``), or
changed and told (``apply``); there is no other difference between the two, so the one predicts the other. All that is
told to whoever runs the script goes to standard output, a line each that begins with ``#setup``; what commands say goes
to a log of which the end is told where one fails.

What the script sets is noted in the guest before it is set, in a file for each thing: so a run that is killed anywhere
leaves a note too many rather than one too few, and what is not declared any more is taken back, and nothing else is.
"""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._access.setup.managers import PACKAGE_MANAGERS

STATE: t.Final = "/var/lib/pve-provision"

_PROGRAMS: t.Final = " ".join(f"{manager.program}:{word}" for word, manager in PACKAGE_MANAGERS.items())

HEAD: t.Final = """\
umask 022
for each in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
    case ":$PATH:" in *":$root$each:"*) ;; *) PATH=$PATH:$root$each ;; esac
done
HOME=${HOME:-/root}
LC_MESSAGES=C
DEBIAN_FRONTEND=noninteractive
export PATH HOME LC_MESSAGES DEBIAN_FRONTEND
nl='
'
state=$root@STATE@
record=$state/setup
log=$state/setup.log
begun=
absent=
tell() { printf '%s\\n' "#setup $*"; }
run() { "$@" > "$log" 2>&1 < /dev/null; }
leave() { rm -f "$log"; tell end; exit "$1"; }
failed() {
    tell "$1 failed $2"
    if [ -s "$log" ]; then tail -n 12 "$log" | while IFS= read -r line; do tell "$1 said $line"; done; fi
    leave 1
}
fault() {
    if [ "$task" = ask ]; then tell "$1 fault $2"; else : > "$log"; failed "$1" "$2"; fi
}
note() { printf '%s\\n' "$2" > "$record/$1.new" && mv -f "$record/$1.new" "$record/$1"; }
forget() { rm -f "$record/$1" "$record/$1.original"; }
notify() { for name in "$@"; do note "notify-$name" "$name"; done; }
asked() {
    if [ "$task" = ask ]; then tell "$1 change$2"; return 0; fi
    return 1
}
label() { if command -v restorecon > /dev/null 2>&1; then run restorecon -R "$1"; fi; return 0; }
entry() {
    found=
    while IFS= read -r row; do
        case "$row" in "$1":*) found=${row#*:}; return 0 ;; esac
    done < "$2"
    return 1
}
sum_of() {
    if [ -L "$1" ] && [ "${2%%-*}" = link ]; then sum=$(readlink "$1" | sha256sum); echo "link-${sum%% *}"
    elif [ -d "$1" ]; then echo directory
    elif [ -f "$1" ]; then sum=$(sha256sum < "$1"); echo "${sum%% *}"
    elif [ -e "$1" ] || [ -L "$1" ]; then echo other
    else echo none
    fi
}
place_of() {
    place=$1
    case "$2" in
    link-* | none) ;;
    *) if [ -L "$1" ]; then place=$(readlink -f "$1"); fi ;;
    esac
}
manager=none
for pair in @PROGRAMS@; do
    if command -v "${pair%%:*}" > /dev/null 2>&1; then manager=${pair#*:}; break; fi
done
init=none
if [ -d "$root/run/systemd/system" ]; then init=systemd
elif command -v rc-service > /dev/null 2>&1; then init=openrc
elif command -v systemctl > /dev/null 2>&1; then init=systemd
fi
tell "fact manager $manager"
tell "fact init $init"
""".replace("@STATE@", STATE).replace("@PROGRAMS@", _PROGRAMS)

# What the placeholders of repositories stand for.
RELEASE: t.Final = """\
ID= VERSION_ID= VERSION_CODENAME=
if [ -r "$root/etc/os-release" ]; then . "$root/etc/os-release"; fi
release_id=$ID
release_version=$VERSION_ID
release_codename=$VERSION_CODENAME
release_major=${VERSION_ID%%.*}
release_minor=${VERSION_ID#*.}
release_minor=$release_major.${release_minor%%.*}
case "$manager" in
apt) release_architecture=$(dpkg --print-architecture) ;;
*) release_architecture=$(uname -m) ;;
esac
"""

# Until the guest has booted and cloud-init has made it what it is, both may change what is set here.
PREPARE: t.Final = """\
if ! { mkdir -p "$record" && chmod 0700 "$state" "$record"; }; then
    tell "guest failed $record cannot be written"
    tell end
    exit 1
fi
if [ -z "$LANG" ]; then
    for each in "$root/etc/locale.conf" "$root/etc/default/locale"; do if [ -r "$each" ]; then . "$each"; fi; done
    LANG=${LANG:-C.UTF-8}
    export LANG
fi
n=0
while [ "$init" = systemd ] && [ ! -d "$root/run/systemd/system" ] && [ "$n" -lt 60 ]; do sleep 1; n=$((n + 1)); done
if [ "$init" != none ]; then run services_await_boot; fi
if command -v cloud-init > /dev/null 2>&1; then run timeout 600 cloud-init status --wait; fi
"""

# Every note, and what has become of what it is about.
RECORDS: t.Final = """\
noted=
for file in "$record"/package-*; do
    case "$file" in *.new) continue ;; esac
    if [ -f "$file" ]; then IFS= read -r line < "$file"; noted="$noted $line"; fi
done
"""
TELL_RECORDS: t.Final = """\
taken_back "$record"/*
for file in "$record"/*; do
    case "$file" in *.new | *.original) continue ;; esac
    [ -f "$file" ] || continue
    IFS= read -r line < "$file"
    now=there
    case "${file##*/}" in
    package-*)
        if ! has "$line"; then now=none
        else
            case " $declared " in *" ${file##*/} "*) ;; *) if needed "$line"; then now=needed; fi ;; esac
        fi
        ;;
    user-*) entry "$line" "$root/etc/passwd" || now=none ;;
    file-*)
        rest=${line#* }
        digest=${rest%% *}
        place_of "${line#* * * }" "$digest"
        [ "$(sum_of "$place" "$digest")" = "$digest" ] || now=changed
        ;;
    esac
    tell "record ${file##*/} $now $line"
done
"""
