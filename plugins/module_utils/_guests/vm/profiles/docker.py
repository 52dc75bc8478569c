# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: VMs that run Docker, from the packages of their distribution, which it signs. Rocky and
Alma have none: there it comes from Docker's own repository, whose key is known by its fingerprint."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles import cloud
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.profile import under
from ansible_collections.pve.provision.plugins.module_utils._model.checks.declare import check

# A script, since lists of packages in a user's own data take the place of those in vendor data.
INSTALL: t.Final = """\
#!/bin/sh
# Brings Docker.
set -e
etc=${ETC:-/etc}
if ! command -v docker >/dev/null; then
    if command -v apt-get >/dev/null; then
        export DEBIAN_FRONTEND=noninteractive
        apt-get -q update
        apt-get -qy -o DPkg::Lock::Timeout=300 install docker.io
    elif command -v dnf >/dev/null && grep -q '^ID="*fedora' "$etc/os-release"; then
        dnf -qy install moby-engine
    elif command -v dnf >/dev/null; then
        key=$etc/pki/rpm-gpg/RPM-GPG-KEY-docker
        curl -fsSL --retry 5 -o "$key" https://download.docker.com/linux/centos/gpg
        made=$(gpg --batch --show-keys --with-colons "$key" | grep -c '^pub:')
        gpg --batch --show-keys --with-colons "$key" | grep -q '^fpr:.*:060A61C51B558A7F742B77AAC52FEB6B621E9F35:'
        [ "$made" = 1 ]
        cat > "$etc/yum.repos.d/docker-ce.repo" <<END
[docker-ce-stable]
name=Docker CE
baseurl=https://download.docker.com/linux/centos/\\$releasever/\\$basearch/stable
gpgcheck=1
gpgkey=file://$key
END
        dnf -qy install docker-ce docker-ce-cli containerd.io
    elif command -v apk >/dev/null; then
        apk add --no-progress docker
    fi
fi
if command -v systemctl >/dev/null; then
    systemctl enable --now docker
else
    rc-update add docker default
    rc-service docker start
fi
"""
PROFILE: t.Final = dataclasses.replace(
    cloud.PROFILE,
    options=under(cloud.OPTIONS, {"memory": 4096, "disks": [{"size": "32G"}]}),
    script=INSTALL,
    checks=(check("command", command="docker info", expect=r"Server Version: \S+", timeout=900),),
)
