# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: services of a guest, what is told to them, and commands."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._access.setup.managers import SERVICE_MANAGERS, functions

SERVICES: t.Final = (
    functions("services", "init", SERVICE_MANAGERS)
    + """\
service() {
    is=$(services_state "$3")
    active=no
    if services_running "$3"; then active=yes; fi
    # A package that is to be installed may bring it and start it.
    case "$installs:$is" in yes:missing) is=coming active=coming ;; esac
    what=
    case "$4:$5:$is" in yes:*:masked | *:yes:masked) what=" unmask" is=no ;; esac
    case "$4:$is" in
    yes:no | yes:missing | yes:coming) what="$what enable" ;;
    no:yes | no:coming) what="$what disable" ;;
    esac
    case "$5:$active" in
    yes:no | yes:coming) what="$what start" ;;
    no:yes | no:coming) what="$what stop" ;;
    esac
    [ -n "$what" ] || return 0
    if [ "$init" = none ]; then fault "$1" "has no service manager that is known here"; return 0; fi
    asked "$1" "$what" && return 0
    : > "$log"
    [ "$is" != missing ] || failed "$1" "there is no service $3"
    [ -f "$record/$2" ] || note "$2" "$is $active $3"
    for word in $what; do
        [ "$word" != start ] || begun="$begun $3"
        run "services_$word" "$3" || { services_explain "$3" >> "$log" 2>&1; failed "$1" "could not $word $3"; }
    done
    tell "$1 done$what"
}
notified() {
    for each in "$record"/notify-*; do
        case "$each" in *.new) continue ;; esac
        [ -f "$each" ] || continue
        IFS= read -r name < "$each"
        case " $begun " in
        *" $name "*) ;;
        *)
            if services_running "$name"; then
                run services_restart "$name" ||
                    { services_explain "$name" >> "$log" 2>&1; failed "${each##*/}" "could not restart $name"; }
                tell "${each##*/} done restart"
            fi
            ;;
        esac
        rm -f "$each"
    done
    begun=
}
"""
)
COMMANDS: t.Final = """\
command_item() {
    [ -z "$3" ] || [ ! -e "$3" ] || return 0
    [ -z "$4" ] || ! run_quietly "$4" || return 0
    number=$1 text=$2
    shift 4
    if asked "$number" " run"; then
        for name in "$@"; do if services_running "$name"; then tell "$number restart $name"; fi; done
        return 0
    fi
    notify "$@"
    run sh -ec "$text" || failed "$number" "the command failed"
    tell "$number done run"
}
run_quietly() { sh -c "$1" > /dev/null 2>&1 < /dev/null; }
"""
