# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: packages in a guest, installed and removed by one command each."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._access.setup.managers import (
    LOCK_WAIT,
    PACKAGE_MANAGERS,
    functions,
)

PACKAGES: t.Final = (
    functions("packages", "manager", PACKAGE_MANAGERS)
    + """\
add= add_for= add_notes= drop= drop_for= drop_notes= stale= declared= together= installs=
has() { case "$nl$have$nl" in *"$nl$1$nl"*) return 0 ;; esac; return 1; }
taken_back() {
    names=
    for each in "$@"; do
        case " $declared " in *" ${each##*/} "*) continue ;; esac
        case "$each" in */package-*.new) ;; */package-*)
            if [ -f "$each" ]; then IFS= read -r line < "$each"; names="$names $line"; fi ;;
        esac
    done
    [ -z "$names" ] || names=$(packages_query $names 2> /dev/null)
    together=
    if [ -n "$names" ] && packages_alone $names; then together=yes; fi
}
needed() { [ -z "$together" ] && ! packages_alone "$1"; }
package() {
    declared="$declared $2"
    if has "$4"; then
        [ "$3" = no ] || return 0
        asked "$1" " remove" && return 0
        drop="$drop $4" drop_for="$drop_for $1" drop_notes="$drop_notes $2"
    else
        [ "$3" = yes ] || return 0
        if [ "$manager" = none ]; then fault "$1" "has no package manager that is known here"; return 0; fi
        if asked "$1" " install"; then installs=yes; return 0; fi
        add="$add $4" add_for="$add_for $1" add_notes="$add_notes $2:$4"
    fi
}
refresh() {
    since=$(date +%s)
    until run packages_refresh; do
        most=5
        if grep -qiE 'resolv|dns|unreachable|timed out|timeout|connect|temporary' "$log"; then most=$patience; fi
        if grep -qiE 'lock' "$log"; then most=@LOCK_WAIT@; fi
        [ "$(($(date +%s) - since))" -lt "$most" ] || return 1
        sleep 3
    done
}
unlocked() {
    since=$(date +%s)
    until run "$@"; do
        grep -qiE 'is locked|unable to lock' "$log" || return 1
        [ "$(($(date +%s) - since))" -lt @LOCK_WAIT@ ] || return 1
        sleep 3
    done
}
packages() {
    if [ -n "$drop$add" ]; then run packages_mend; fi
    if [ -n "$drop" ]; then
        unlocked packages_remove $drop || failed "${drop_for##* }" "could not be removed:$drop"
        for each in $drop_notes; do forget "$each"; done
        for each in $drop_for; do tell "$each done remove"; done
    fi
    if [ -n "$add$stale" ]; then refresh || failed "${add_for##* }" "the lists of packages could not be fetched"; fi
    if [ -n "$add" ]; then
        for each in $add_notes; do note "${each%%:*}" "${each#*:}"; done
        unlocked packages_install $add || failed "${add_for##* }" "could not be installed:$add"
        have=$(packages_query $add 2> /dev/null)
        for each in $add; do
            has "$each" || { : > "$log"; failed "${add_for##* }" "$each is provided by a package of another name"; }
        done
        for each in $add_for; do tell "$each done install"; done
    fi
    drop= drop_for= drop_notes= add= add_for= add_notes= stale=
}
""".replace("@LOCK_WAIT@", str(LOCK_WAIT))
)
