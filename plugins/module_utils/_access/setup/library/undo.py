# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a guest was set to and is not declared any more, taken back."""

from __future__ import annotations

import typing as t

UNDO: t.Final = """\
undo() {
    [ -f "$record/$1" ] || return 0
    IFS= read -r line < "$record/$1"
    what=
    case "$1" in
    service-*) undo_service $line ;;
    file-*) undo_file "$1" "$line" ;;
    key-*) undo_key "${line%% *}" "${line#* }" ;;
    group-*) undo_group $line ;;
    user-*) if account "$line"; then remove_user "$line" && what=" remove"; fi ;;
    package-*)
        have=$(packages_query "$line" 2> /dev/null)
        if has "$line" && needed "$line"; then what=" keep"
        elif has "$line"; then drop="$drop $line" drop_for="$drop_for $1" drop_notes="$drop_notes $1"; return 0; fi
        ;;
    esac || failed "$1" "could not be taken back"
    forget "$1"
    tell "$1 done${what:- forget}"
}
undo_service() {
    is=$(services_state "$3")
    case "$1:$is" in
    no:yes | missing:yes) run services_disable "$3" && what=" disable" || return 1 ;;
    yes:no) run services_enable "$3" && what=" enable" || return 1 ;;
    esac
    if services_running "$3"; then
        [ "$2" = yes ] || { run services_stop "$3" && what="$what stop"; }
    elif [ "$2" = yes ] && [ "$is" != missing ]; then
        run services_start "$3" && what="$what start"
    fi
}
undo_file() {
    how=${2%% *} rest=${2#* }
    digest=${rest%% *} rest=${rest#* }
    names=${rest%% *} path=${rest#* }
    place_of "$path" "$digest"
    if [ "$(sum_of "$place" "$digest")" != "$digest" ]; then what=" keep"; return 0; fi
    case "$how:$digest" in there:* | *:unknown) return 0 ;; esac
    while [ "$names" != - ] && [ -n "$names" ]; do
        notify "${names%%,*}"
        case "$names" in *,*) names=${names#*,} ;; *) names= ;; esac
    done
    if [ -e "$record/$1.original" ] || [ -L "$record/$1.original" ]; then
        what=" restore"
        if [ -L "$place" ]; then rm -f "$place"; fi
        run cp -pP "$record/$1.original" "$place.pve-provision" &&
            mv -f "$place.pve-provision" "$place" && label "$place"
        return
    fi
    [ "$how" = created ] || return 0
    what=" remove"
    if [ "$digest" = directory ]; then rmdir "$place" 2> /dev/null || what=" keep"; else rm -f "$place"; fi
}
undo_key() {
    account "$1" || return 0
    keys=$home/.ssh/authorized_keys
    [ -f "$keys" ] && [ ! -L "$keys" ] && [ ! -L "$home/.ssh" ] || return 0
    what=" remove"
    rm -f "$keys.pve-provision"
    lines_of "$keys" "$2" > "$keys.pve-provision" && put_keys
}
undo_group() {
    account "$1" && in_group "$2" "$1" || return 0
    what=" remove"
    if has_shadow; then run gpasswd -d "$1" "$2"; else run delgroup "$1" "$2"; fi
}
"""
