# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: accounts of a guest, by the programs of shadow or by those of busybox."""

from __future__ import annotations

import typing as t

USERS: t.Final = """\
has_shadow() { command -v useradd > /dev/null 2>&1; }
account() {
    home= uid= gid= comment= login=
    entry "$1" "$root/etc/passwd" || return 1
    rest=${found#*:}
    uid=${rest%%:*} rest=${rest#*:}
    gid=${rest%%:*} rest=${rest#*:}
    comment=${rest%%:*} rest=${rest#*:}
    home=${rest%%:*} login=${rest#*:}
}
user() {
    absent=
    if ! account "$3"; then
        absent=1
        asked "$1" " create" && return 0
        note "$2" "$3"
        make_user "$3" "$4" "$5" "$6" "$7" "$8" || failed "$1" "user $3 could not be made"
        account "$3"
        absent=
        tell "$1 done create"
        return 0
    fi
    if [ "$4" != - ] && [ "$4" != "$uid" ]; then fault "$1" "has the uid $uid, which cannot change"; return 0; fi
    what=
    [ "$6" = - ] || [ "$6" = "=$comment" ] || what="$what comment"
    [ "$7" = - ] || [ "$7" = "$home" ] || what="$what home"
    [ "$8" = - ] || [ "$8" = "$login" ] || what="$what shell"
    [ -n "$what" ] || return 0
    asked "$1" "$what" && return 0
    [ "$6" = - ] || comment=${6#=}
    [ "$7" = - ] || home=$7
    [ "$8" = - ] || login=$8
    change_user "$3" || failed "$1" "user $3 could not be changed"
    tell "$1 done$what"
}
make_user() {
    name=$1 number_of=$2 system=$3 said=${4#=} place=$5 login=$6
    [ "$4" != - ] || said=
    group_there=no
    if entry "$name" "$root/etc/group"; then group_there=yes; fi
    if has_shadow; then
        set -- useradd -m
        [ "$system" = no ] || set -- "$@" -r
        [ "$group_there" = no ] || set -- "$@" -g "$name"
        [ "$number_of" = - ] || set -- "$@" -u "$number_of"
        [ -z "$said" ] || set -- "$@" -c "$said"
        [ "$place" = - ] || set -- "$@" -d "$place"
        [ "$login" = - ] || set -- "$@" -s "$login"
    else
        if [ "$system" = yes ] && [ "$group_there" = no ]; then run addgroup -S "$name"; group_there=yes; fi
        set -- adduser -D
        [ "$system" = no ] || set -- "$@" -S
        [ "$group_there" = no ] || set -- "$@" -G "$name"
        [ "$number_of" = - ] || set -- "$@" -u "$number_of"
        [ -z "$said" ] || set -- "$@" -g "$said"
        [ "$place" = - ] || set -- "$@" -h "$place"
        [ "$login" = - ] || set -- "$@" -s "$login"
    fi
    run "$@" "$name" && hashed "$name" '*'
}
change_user() {
    if has_shadow; then run usermod -c "$comment" -d "$home" -s "$login" "$1"; return; fi
    while IFS= read -r row; do
        case "$row" in "$1":*) row="$1:x:$uid:$gid:$comment:$home:$login" ;; esac
        printf '%s\\n' "$row"
    done < "$root/etc/passwd" > "$root/etc/passwd.pve-provision" &&
        mv -f "$root/etc/passwd.pve-provision" "$root/etc/passwd"
}
hashed() { printf '%s:%s\\n' "$1" "$2" | chpasswd -e > "$log" 2>&1; }
password() {
    [ -z "$absent" ] || return 0
    found=
    entry "$2" "$root/etc/shadow" || true
    hash=${found%%:*}
    plain=$hash
    while [ "${plain#!}" != "$plain" ]; do plain=${plain#!}; done
    what=
    case "$4:$hash" in
    lock:!*) ;;
    lock:*) what=" lock" wanted="!$hash" ;;
    unlock:!*) what=" unlock" wanted=${plain:-*} ;;
    set:*)
        sum=$(printf '%s' "$hash" | sha256sum)
        [ "${sum%% *}" = "$3" ] || what=" password"
        ;;
    esac
    [ -n "$what" ] || return 0
    asked "$1" "$what" && return 0
    [ "$4" != set ] || wanted=$("$5")
    hashed "$2" "$wanted" || failed "$1" "the password of $2 could not be set"
    tell "$1 done$what"
}
member() {
    [ -z "$absent" ] || return 0
    if in_group "$4" "$3"; then return 0; fi
    asked "$1" " group:$4" && return 0
    if ! entry "$4" "$root/etc/group"; then
        if has_shadow; then run groupadd "$4"; else run addgroup "$4"; fi || failed "$1" "group $4 could not be made"
    fi
    note "$2" "$3 $4"
    if has_shadow; then run usermod -aG "$4" "$3"; else run addgroup "$3" "$4"; fi ||
        failed "$1" "$3 could not be made a member of $4"
    tell "$1 done group:$4"
}
in_group() {
    entry "$1" "$root/etc/group" || return 1
    rest=${found#*:}
    [ "${rest%%:*}" != "$gid" ] || return 0
    case ",${rest#*:}," in *",$2,"*) ;; *) return 1 ;; esac
}
authorized() {
    [ -z "$absent" ] || return 0
    keys=$home/.ssh/authorized_keys
    if [ -f "$keys" ] && grep -qxF -e "$4" "$keys"; then return 0; fi
    asked "$1" " ssh_key" && return 0
    if [ -L "$home/.ssh" ] || [ -L "$keys" ] || [ -L "$keys.pve-provision" ]; then
        : > "$log"
        failed "$1" "$keys is behind a link"
    fi
    note "$2" "$3 $4"
    run mkdir -p "$home/.ssh" && run chmod 700 "$home/.ssh" && run chown "$uid:$gid" "$home/.ssh" &&
        { lines_of "$keys" ''; printf '%s\\n' "$4"; } > "$keys.pve-provision" && put_keys ||
        failed "$1" "$keys could not be written"
    tell "$1 done ssh_key"
}
lines_of() {
    [ -f "$1" ] || return 0
    while IFS= read -r row || [ -n "$row" ]; do
        [ -n "$2" ] && [ "$row" = "$2" ] || printf '%s\\n' "$row"
    done < "$1"
}
put_keys() {
    run chmod 600 "$keys.pve-provision" && run chown "$uid:$gid" "$keys.pve-provision" &&
        mv -f "$keys.pve-provision" "$keys" && label "$home/.ssh"
}
no_user() {
    account "$3" || return 0
    asked "$1" " remove" && return 0
    remove_user "$3" || failed "$1" "user $3 could not be removed"
    forget "$2"
    tell "$1 done remove"
}
remove_user() { if has_shadow; then run userdel "$1"; else run deluser "$1"; fi; }
"""
