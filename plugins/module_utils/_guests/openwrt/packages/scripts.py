# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the scripts by which a router installs packages, alone or from what it is handed."""

from __future__ import annotations

import shlex
import typing as t

#: Where a router keeps what it is handed, for as long as that takes.
PLACE: t.Final = "/tmp/pve-provision-packages"
ARCHIVE: t.Final = f"{PLACE}/in.tar"
MARK: t.Final = "@@pve-provision "
NOT_ARRIVED: t.Final = 77  # the exit code when files are missing or damaged
# The router's own way, once it has a way out. What fails is told apart by whether the lists could be had.
INSTALL = """\
rm -rf {place}
waited=0
while [ "$waited" -lt {uplink} ] && ! ip route | grep -q '^default'; do
sleep 1
waited=$((waited + 1))
done
behind=0
if [ -d /etc/apk ]; then
apk update || behind=1
apk add {names} && exit 0
else
opkg update || behind=1
opkg install {names} && exit 0
fi
echo
echo '{mark}behind'
echo "$behind"
{more}exit 1
"""

# What has to be known to help, and a place of its own for what comes.
TELL_FEEDS = f"""\
[ "$behind" = 1 ] || exit 1
umask 077
mkdir {PLACE} || exit 1
show() {{
for file in "$@"; do cat "$file" 2> /dev/null; echo; done
}}
if [ -d /etc/apk ]; then
echo '{MARK}apk'
show /etc/apk/repositories /etc/apk/repositories.d/*.list /lib/apk/repositories.d/*.list
else
echo '{MARK}opkg'
show /etc/opkg.conf /etc/opkg/*.conf
echo '{MARK}status'
show /usr/lib/opkg/status
fi
"""

# Runs something with what was handed in, whatever comes of it, and leaves nothing behind unless more is to come.
RUN_WITH_FILES = """\
work() {{
cd {place} || return {not_arrived}
[ "$(sha256sum < {archive})" = '{digest}  -' ] || return {not_arrived}
tar -xf {archive} || return {not_arrived}
rm -f {archive}
{script}}}
work
rc=$?
cd /
{keep}rm -rf {place}
exit "$rc"
"""

KEEP_FILES: t.Final = '[ "$rc" = 0 ] || '

# A rehearsal first, since opkg that fails half-way leaves the half installed.
INSTALL_BY_OPKG = f"""\
export OPKG_CONF_DIR={PLACE}/none
opkg -f {PLACE}/opkg.conf update || return 1
opkg -f {PLACE}/opkg.conf --noaction install {{names}} || return 1
opkg -f {PLACE}/opkg.conf install {{names}}
"""

SIMULATE_APK = f"apk add --repositories-file {PLACE}/repositories --simulate {{names}}\n"

# apk notes what it was asked for even when it could not install it.
INSTALL_BY_APK = f"""\
cp -p /etc/apk/world {PLACE}/world
apk add --repositories-file {PLACE}/repositories {{names}} && return 0
cp -p {PLACE}/world /etc/apk/world
return 1
"""


def quoted(names: t.Iterable[str]) -> str:
    return " ".join(map(shlex.quote, names))
