# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: files, folders and links in a guest, each put in place whole or not at all."""

from __future__ import annotations

import typing as t

FILES: t.Final = """\
file() {
    number=$1 id=$2 path=$3 wanted=$4 mode=$5 owner=$6 group=$7 listing=$8 content=$9
    shift 9
    if [ "$wanted" = own ]; then
        wanted=unknown
        if [ -f "$record/$id" ]; then IFS= read -r line < "$record/$id"; line=${line#* }; wanted=${line%% *}; fi
    fi
    place_of "$path" "$wanted"
    if [ -z "$place" ]; then fault "$number" "$path is a link that leads nowhere"; return 0; fi
    is=$(sum_of "$place" "$wanted")
    if [ "$is" = other ] && [ ! -L "$place" ]; then fault "$number" "$path is not a regular file"; return 0; fi
    what= attributes=
    case "$wanted:$is" in
    "$is:$is") ;;
    none:directory) what=" remove" ;;
    *:directory) fault "$number" "$path is a folder"; return 0 ;;
    *:none) what=" create" ;;
    directory:*) fault "$number" "$path is not a folder"; return 0 ;;
    none:*) what=" remove" ;;
    link-*) what=" target" ;;
    *) what=" content" ;;
    esac
    case "$wanted:$is" in
    link-* | none:* | *:none) ;;
    *)
        attributes=$(stat -c '|m%a|u%U|u%u|g%G|g%g|' "$place")
        [ "$mode" = - ] || case "$attributes" in *"|m$mode|"*) ;; *) what="$what mode" ;; esac
        [ "$owner" = - ] || case "$attributes" in *"|u$owner|"*) ;; *) what="$what owner" ;; esac
        [ "$group" = - ] || case "$attributes" in *"|g$group|"*) ;; *) what="$what group" ;; esac
        ;;
    esac
    [ -n "$what" ] || return 0
    if asked "$number" "$what"; then
        for name in "$@"; do if services_running "$name"; then tell "$number restart $name"; fi; done
        return 0
    fi
    names=
    for name in "$@"; do names=$names,$name; done
    names=${names#,}
    how=created
    case "$what" in
    *content* | *target* | *remove*) how=replaced ;;
    *create*) ;;
    *) how=there ;;
    esac
    if [ -f "$record/$id" ]; then
        IFS= read -r line < "$record/$id"
        how=${line%% *}
    elif [ "$how" = replaced ] && [ "$is" != directory ]; then
        cp -pP "$place" "$record/$id.original.new" && mv -f "$record/$id.original.new" "$record/$id.original" ||
            failed "$number" "$path could not be kept"
    fi
    note "$id" "$how $wanted ${names:--} $path"
    notify "$@"
    [ "$listing" = no ] || stale=1
    case "$what" in
    *remove*)
        if [ "$is" = directory ]; then run rmdir "$place"; else run rm -f "$place"; fi ||
            failed "$number" "$path could not be removed"
        ;;
    *create* | *content* | *target*) write || failed "$number" "$path could not be written" ;;
    *) own "$place" || failed "$number" "$path cannot be given to $owner:$group" ;;
    esac
    tell "$number done$what"
}
own() {
    [ "$owner$group" = -- ] || {
        to=${owner#-}
        [ "$group" = - ] || to=$to:$group
        run chown "$to" "$1" || return 1
    }
    # With fewer digits GNU's chmod leaves a folder the set-group-ID bit that it has from the one above.
    [ "$mode" = - ] || run chmod "00$mode" "$1"
}
write() {
    folder=${place%/*}
    run mkdir -p "${folder:-/}" || return 1
    fresh=$place.pve-provision
    case "$wanted" in
    directory)
        [ "$mode" != - ] || mode=755
        run mkdir "$place" && own "$place"
        return
        ;;
    link-*)
        rm -f "$fresh"
        run ln -s "$("$content")" "$fresh" || return 1
        if [ -L "$place" ]; then rm -f "$place"; fi
        mv -f "$fresh" "$place"
        return
        ;;
    esac
    rm -f "$fresh"
    (umask 077; "$content" > "$fresh" 2> "$log") || return 1
    sum=$(sum_of "$fresh" "")
    if [ "$wanted" = unknown ]; then
        wanted=$sum
        note "$id" "$how $wanted ${names:--} $path"
    fi
    if [ "$sum" != "$wanted" ]; then
        rm -f "$fresh"
        echo "$path would have the SHA-256 $sum, not $wanted" > "$log"
        return 1
    fi
    if [ -n "$attributes" ]; then
        if [ "$mode" = - ]; then mode=${attributes#|m}; mode=${mode%%|*}; fi
        if [ "$owner" = - ]; then owner=${attributes#*|u*|u}; owner=${owner%%|*}; fi
        if [ "$group" = - ]; then group=${attributes#*|g*|g}; group=${group%%|*}; fi
    fi
    [ "$mode" != - ] || mode=644
    own "$fresh" || return 1
    if [ "$listing" = key ]; then run packages_trust "$fresh" || return 1; fi
    mv -f "$fresh" "$place" && label "$place"
}
"""
