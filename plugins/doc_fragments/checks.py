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
      - What is to be true of the guest once it runs. They are made at the end of each run over a running guest, and by
        M(pve.provision.guest_verify), and reported in RV(checks).
      - A check that fails fails the task, and the guest is left as it is but for O(rollback). What could not be asked
        is reported as not verified, with a warning, and never as passed.
      - Connections are made from where the module runs, which may not reach the guest's network. All that the guest's
        own shell is asked goes into one script, by C(pct exec) on the node, by the guest agent of a VM, or by SSH with
        C(ssh_private_key), which containers over the API and VMs without guest agent need.
    type: list
    elements: dict
    suboptions:
      type:
        description:
          - What is checked. With each type stand the options that it has; those that are required come first.
          - Known to the run are V(status), which is the one that goes with O(state); V(address) with C(interface),
            C(family), C(address) and C(source), green when somebody has seen such an address; and V(drift), green when
            nothing differs from the declaration and nothing waits for a restart.
          - Asked over the network are V(ping) with C(address); V(tcp) with C(port) and C(address); V(http) with
            C(port), C(address), C(path), C(tls), C(host), C(status), C(expect), C(certificate_days) and
            C(validate_certs); V(dns_server) with C(query), C(port), C(address), C(family) and C(expect), which asks the
            guest; and V(dhcp) with C(bridge) and C(address), green when the guest offers an address there, which only
            the node itself can ask.
          - Asked in the guest are V(dns) with C(query) and C(expect), which asks what the guest's own resolver finds;
            V(route) and V(gateway) with C(family), for the default route and for a ping of its gateway; V(service)
            with C(service) and C(enabled), by systemd, OpenRC or procd; V(package) with C(package) and C(version), by
            dpkg, apk, rpm, pacman or opkg; V(command) with C(command) and C(expect); V(disk) with C(path) and
            C(max_percent); V(memory) and V(cpu) with C(max_percent); and V(uptime) with C(min_seconds).
          - Of VMs V(agent), green when the guest agent itself answers, and V(cloud_init), green when it is done. Of
            routers V(interface) with C(interface), green when netifd says that it is up, and V(firewall), green when
            its rules are loaded.
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
        description: How results call it. By default its type and the option that matters, such as C(TCP port 22).
        type: str
      timeout:
        description:
          - Seconds that a guest which the run has changed may take until it passes, by default 60. O(checks_timeout)
            takes the place of it.
        type: int
      retries:
        description: How often it is made again when it does not pass, after 1 to 10 s each. By default not at all.
        type: int
      address:
        description:
          - Address or name to ask instead of the guest's own addresses. For V(address) the address that the guest is to
            have, without prefix length.
        type: str
      bridge:
        description: Bridge or other network device of the node, such as C(vmbr1) or C(vmbr0.20).
        type: str
      certificate_days:
        description: For how many days the certificate is to be valid still. Needs C(tls).
        type: int
      command:
        description:
          - Command line for the guest's C(sh). It is green when it ends with 0. It is to change nothing, as it is run
            in check mode, too.
        type: str
      enabled:
        description: Whether the service is to start with the guest. By default that is not looked at.
        type: bool
      expect:
        description:
          - Regular expression that is to be found in the page, in the output of the command, or in one of the addresses
            that were looked up.
        type: str
      family:
        description: Family of addresses, by default V(ipv4); for V(address) either.
        type: str
        choices: [ipv4, ipv6]
      host:
        description: Name that the page is asked for by, also in TLS. By default the address.
        type: str
      interface:
        description: Name of an interface, as the guest calls it, or of a router as the declaration does.
        type: str
      max_percent:
        description: How much of it may be in use, from 1 to 100, by default 90. Of CPUs that is the use in one second.
        type: int
      min_seconds:
        description: Seconds that the guest is to have been running.
        type: int
      package:
        description: Name of a package.
        type: str
      path:
        description: Path of the page, or of the file system whose use is looked at. C(/) by default.
        type: str
      port:
        description: Port. By default 80 for pages, 443 for those with C(tls), and 53 for DNS.
        type: int
      query:
        description: Name to look up.
        type: str
      service:
        description: Name of a service, as its service manager calls it.
        type: str
      source:
        description:
          - Whose word for an address counts, such as C(guest), C(agent), C(ubus) or C(neighbour). By default that of
            everybody who has seen it, which leaves out C(declared).
        type: list
        elements: str
      status:
        description: The status codes that are right for the page. By default all below 400.
        type: list
        elements: int
      tls:
        description: Whether the page comes by HTTPS. By default not.
        type: bool
      validate_certs:
        description: Whether the certificate has to be one that the machine trusts. By default not.
        type: bool
      version:
        description:
          - Version of the package. C(1.26) is any that begins so; C(>=1.22), C(<=), C(>) and C(<) compare.
        type: str
  run_checks:
    description:
      - Whether the run makes the checks, those that are declared and those of a profile or an application.
    type: bool
    default: true
  checks_timeout:
    description:
      - Seconds that a guest which the run has changed may take to pass its checks, for all of them. Each has a time of
        its own where this is left out; with V(0) they are made once.
      - A guest that is as declared is looked at once.
    type: int
"""
