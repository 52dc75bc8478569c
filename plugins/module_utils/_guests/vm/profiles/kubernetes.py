# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the nodes of a k3s cluster: one server, and agents that join it.

k3s itself makes the token by which agents join, on the server. An agent gets it from there by way of both guest agents:
it never lies anywhere but in the guests.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles import cloud
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.profile import under
from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import Check
from ansible_collections.pve.provision.plugins.module_utils._model.checks.declare import check

KUBECTL: t.Final = ("/usr/local/bin/k3s", "kubectl")
# Fetched by its version, and used when it is what the release's list of checksums says, and the user's.
_INSTALL: t.Final = """\
#!/bin/sh
# Brings k3s.
set -eu
version={version}
checksum={checksum}
role={role}
command -v curl >/dev/null || {{ apt-get -q update && apt-get -qy install curl; }}
case $version in
    v*+*) ;;
    *) url=$(curl -fsS --retry 5 -o /dev/null -w '%{{redirect_url}}' "https://update.k3s.io/v1-release/channels/$version")
       version=${{url##*/}} ;;
esac
case $(uname -m) in
    x86_64) arch=amd64 file=k3s ;;
    aarch64) arch=arm64 file=k3s-arm64 ;;
    *) echo "k3s is not made for $(uname -m)" >&2; exit 1 ;;
esac
work=$(mktemp -d)
cd "$work"
base=https://github.com/k3s-io/k3s/releases/download/$(echo "$version" | sed 's/+/%2B/')
curl -fsSL --retry 5 -O "$base/$file" -O "$base/sha256sum-$arch.txt"
grep " $file\\$" sha256sum-$arch.txt | sha256sum -c
[ -z "$checksum" ] || echo "$checksum  $file" | sha256sum -c
install -m 0755 $file /usr/local/bin/k3s
rm -r "$work"
unit=k3s
[ "$role" = server ] || unit=k3s-agent
cat > /etc/systemd/system/$unit.service <<END
[Unit]
Description=k3s ($role)
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
ExecStart=/usr/local/bin/k3s $role
KillMode=process
Delegate=yes
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s

[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload
[ "$role" = agent ] || systemctl enable --now --no-block k3s
"""
PROFILE: t.Final = dataclasses.replace(
    cloud.PROFILE, options=under(cloud.OPTIONS, {"memory": 4096, "disks": [{"size": "32G"}]})
)


def check_version(version: str) -> t.Iterator[Finding]:
    """A release, or a channel such as stable or v1.34, by its form."""
    if not re.fullmatch(r"v\d+\.\d+\.\d+(-\w+)?\+k3s\d+|v\d+\.\d+(-testing)?|stable|latest|testing", version):
        remedy = "State one such as v1.34.1+k3s1, or a channel such as stable or v1.34."
        yield Finding("cluster.version", version, "is neither a version nor a channel of k3s", remedy)


def install_script(version: str, checksum: str, role: str) -> str:
    """What a new node runs at its first boot. An agent is started when it has been told its server."""
    return _INSTALL.format(version=shlex.quote(version), checksum=shlex.quote(checksum), role=role)


def ready(node: str, server: str) -> Check:
    """The node is ready, as its server says; empty: it is the server."""
    command = shlex.join([*KUBECTL, "wait", "--for=condition=Ready", f"node/{node}", "--timeout=0"])
    return check("command", "node ready", command=command, expect="condition met", guest=server, timeout=900)
