# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: vendor data for cloud-init with scripts of ours, such as that of the agent. Pure."""

from __future__ import annotations

import typing as t
from email import message_from_string
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

from ansible_collections.pve.provision.plugins.module_utils._model.cloud_init.content import MIME

AGENT: t.Final = """\
#!/bin/sh
# Brings the QEMU guest agent where the image lacks it, and starts it. Where its commands are filtered, or confined by
# SELinux, it could set up nothing.
if ! [ -x /usr/sbin/qemu-ga ] && ! command -v qemu-ga >/dev/null; then
    if command -v apt-get >/dev/null; then
        export DEBIAN_FRONTEND=noninteractive
        apt-get -q update
        apt-get -qy -o DPkg::Lock::Timeout=300 install qemu-guest-agent
    elif command -v dnf >/dev/null; then
        dnf -qy install qemu-guest-agent
    elif command -v apk >/dev/null; then
        apk add --no-progress qemu-guest-agent
    elif command -v zypper >/dev/null; then
        zypper -nq install qemu-guest-agent
    elif command -v pacman >/dev/null; then
        pacman -Sy --noconfirm qemu-guest-agent
    elif command -v pkg >/dev/null; then
        pkg install -y qemu-guest-agent
    fi
fi
if [ -f /etc/sysconfig/qemu-ga ]; then
    sed -i -E 's/^(FILTER_RPC_ARGS|BLOCK_RPCS|BLACKLIST_RPC)=.*/\\1=/' /etc/sysconfig/qemu-ga
fi
if command -v semodule >/dev/null; then
    echo '(typepermissive virt_qemu_ga_t)' > /run/permissive_virt_qemu_ga_t.cil
    semodule -i /run/permissive_virt_qemu_ga_t.cil || true
fi
if command -v systemctl >/dev/null; then
    systemctl enable qemu-guest-agent || true
    systemctl restart qemu-guest-agent
elif command -v rc-update >/dev/null; then
    rc-update add qemu-guest-agent default
    rc-service qemu-guest-agent start
elif command -v sysrc >/dev/null; then
    sysrc qemu_guest_agent_enable=YES
    service qemu-guest-agent start
fi
"""
"""Vendor data that brings the guest agent. A script, since lists of packages that user data name take its place."""


def with_scripts(vendor: str, scripts: t.Sequence[str]) -> str:
    """Vendor data that are scripts besides what is in them."""
    if not vendor and len(scripts) == 1:
        return scripts[0]
    message: Message | None = None
    if vendor:
        message = message_from_string(vendor) if vendor.startswith(MIME) else _part(vendor)
    if message is None or not message.is_multipart():
        whole = MIMEMultipart(boundary="==pve-provision==")
        for part in [message] if message else []:
            whole.attach(part)
        message = whole
    for script in scripts:
        message.attach(_part(script))
    return message.as_string()


def _part(text: str) -> Message:
    """A part of which cloud-init tells by its first line what it is."""
    return MIMEText(text, "plain", "utf-8")
