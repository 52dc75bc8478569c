# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the checks of a guest; the table is module_utils/_model/checks/table.py."""

from __future__ import annotations


class ModuleDocFragment:
    """What is to be true of a guest once it runs."""

    DOCUMENTATION = r"""
options:
  checks:
    description:
      - Checks that the running guest has to pass. They are made at the end of each run when the guest runs, and by
        M(pve.provision.guest_verify), and reported in RV(checks).
      - A failed check fails the task. The guest is left as it is, unless O(rollback) is set. What could not be checked
        is reported as not verified, with a warning, and never as passed.
      - Connections are made from where the module runs, which may not reach the guest's network. All checks inside the
        guest run as one script, by C(pct exec) on the node, by the guest agent of a VM, or by SSH. Containers over the
        API and VMs without guest agent need SSH, with C(ssh_private_key).
    type: list
    elements: dict
    suboptions:
      type:
        description:
          - What is checked. Below, each type is followed by its options, required ones first.
          - Answered by Proxmox VE and the run itself are V(status), which has to match O(state); V(address) with
            C(interface), C(family), C(address) and C(source), which passes when such an address has been seen; and
            V(drift), which passes when nothing differs from the declaration and nothing waits for a restart.
          - Asked over the network are V(ping) with C(address); V(tcp) with C(port) and C(address); V(http) with
            C(port), C(address), C(path), C(tls), C(host), C(status), C(expect), C(certificate_days) and
            C(validate_certs); V(dns_server) with C(query), C(port), C(address), C(family) and C(expect), which queries
            the guest; and V(dhcp) with C(bridge) and C(address), which passes when the guest offers an address there,
            and works only on the node itself.
          - Asked in the guest are V(dns) with C(query) and C(expect), which uses the guest's own resolver; V(route) and
            V(gateway) with C(family), for the default route and for a ping of its gateway; V(service) with C(service)
            and C(enabled), by systemd, OpenRC or procd; V(package) with C(package) and C(version), by dpkg, apk, rpm,
            pacman or opkg; V(command) with C(command) and C(expect); V(disk) with C(path) and C(max_percent); V(memory)
            and V(cpu) with C(max_percent); and V(uptime) with C(min_seconds).
          - Only for VMs are V(agent), which passes when the guest agent answers, and V(cloud_init), which passes when
            cloud-init is done. Only for routers are V(interface) with C(interface), which passes when netifd says that
            it is up, and V(firewall), which passes when its rules are loaded.
        type: str
        choices:
          - status
          - address
          - drift
          - ping
          - tcp
          - http
          - dns_server
          - dhcp
          - dns
          - route
          - gateway
          - service
          - package
          - command
          - disk
          - memory
          - cpu
          - uptime
          - agent
          - cloud_init
          - interface
          - firewall
        required: true
      name:
        description: Name of the check in results. By default its type and its main option, such as C(TCP port 22).
        type: str
      timeout:
        description:
          - Seconds until the check has to pass in a guest that the run has changed, by default 60. O(checks_timeout)
            replaces it.
        type: int
      retries:
        description: How often a failed check is repeated, after 1 to 10 s each. By default never.
        type: int
      address:
        description:
          - Address or name to ask instead of the guest's own addresses. For V(address) the address that the guest
            should have, without prefix length.
        type: str
      bridge:
        description: Bridge or other network device of the node, such as C(vmbr1) or C(vmbr0.20).
        type: str
      certificate_days:
        description: For how many more days the certificate has to be valid. Needs C(tls).
        type: int
      command:
        description:
          - Command line for the guest's C(sh). The check passes when it exits with 0. It must not change anything, as
            it also runs in check mode.
        type: str
      enabled:
        description: Whether the service has to start with the guest. By default that is not checked.
        type: bool
      expect:
        description:
          - Regular expression that has to match somewhere in the page, in the output of the command, or in one of the
            addresses that were looked up.
        type: str
      family:
        description: Family of addresses, by default V(ipv4); for V(address) either.
        type: str
        choices: [ipv4, ipv6]
      host:
        description: Host name of the request, also for TLS. By default the address.
        type: str
      interface:
        description: Name of an interface, in the guest or, for a router, in the declaration.
        type: str
      max_percent:
        description: Highest use in percent, from 1 to 100, by default 90. The use of CPUs is measured over one second.
        type: int
      min_seconds:
        description: Seconds that the guest has to have been running.
        type: int
      package:
        description: Name of a package.
        type: str
      path:
        description: Path of the page, or of the file system whose use is checked. C(/) by default.
        type: str
      port:
        description: Port. By default 80 for pages, 443 for those with C(tls), and 53 for DNS.
        type: int
      query:
        description: Name to look up.
        type: str
      service:
        description: Name of a service, as known to the guest's service manager.
        type: str
      source:
        description:
          - Sources of addresses that count, such as C(guest), C(agent), C(ubus) or C(neighbour). By default all that
            have seen the address, so all but C(declared).
        type: list
        elements: str
      status:
        description: Status codes with which the page passes. By default all below 400.
        type: list
        elements: int
      tls:
        description: Whether to use HTTPS. By default not.
        type: bool
      validate_certs:
        description: Whether the certificate has to be trusted by the machine that makes the check. By default not.
        type: bool
      version:
        description:
          - Version of the package. C(1.26) is any that begins with it; C(>=1.22), C(<=), C(>) and C(<) compare.
        type: str
  run_checks:
    description:
      - Whether to make the checks, both the declared ones and those of a profile or an application.
    type: bool
    default: true
  checks_timeout:
    description:
      - Seconds until all checks together have to pass in a guest that the run has changed. Without it each check has
        its own C(timeout). With V(0) they are made once.
      - In a guest that is as declared each check is made once.
    type: int
"""
