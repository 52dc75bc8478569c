# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of an OpenWrt router's declaration; the spec is ROUTER in module_utils/_argspec.py."""

from __future__ import annotations


class ModuleDocFragment:
    """What an OpenWrt router is to be."""

    DOCUMENTATION = r"""
options:
  version:
    description:
      - The OpenWrt release of a new router. V(24) is the newest of 24.x, V(24.10) the newest of that line, V(24.10.4)
        exactly that one, V(latest) the newest stable one, V(snapshot) the development version.
      - The default stays with the 24.x series, where packages are installed by C(opkg) and configurations are written
        as most guides show them. 25.12 and newer come with C(apk), and have to be asked for.
    type: str
    default: "24"
  mirrors:
    description:
      - Addresses to fetch from instead of C(https://downloads.openwrt.org), the first that answers. What they deliver
        is verified by OpenWrt's signature all the same.
      - They also stand in for it where the node fetches O(packages) for a router.
    type: list
    elements: str
  keys:
    description: Further usign public keys whose signature is trusted, as the base64 line of the key file.
    type: list
    elements: str
  verify:
    description:
      - How much is asked of a download. By default V(required), a signature by a known key; V(checksum) trusts the
        list of checksums unsigned; V(none) trusts everything, with a warning.
    type: str
    choices: [required, checksum, none]
  offline_ok:
    description:
      - Whether the newest verified release that is already there will do when the source cannot be reached.
    type: bool
    default: false
  interfaces:
    description:
      - The router's interfaces by name; each entry has the keys below. Each is a firewall zone of its own name, on a
        port of its own. A new router gets its ports in the declared order; later an interface keeps its port, whatever
        the order, and a new one gets the next free number. The port of one that is no longer declared is removed; in a
        VM it is unplugged.
      - Two interfaces on one bridge with one tag, and a DHCP server where the node itself has an address (on the
        bridge, or on a VLAN, bond or port that leads there), are refused unless O(allow_shared_segment=true).
    type: dict
    default: {}
    suboptions:
      bridge:
        description: The bridge or vnet of the node that the port is plugged into. Required.
        type: str
      tag:
        description: VLAN tag of the port.
        type: int
      mtu:
        description: MTU of the port. A running router gets another one by a restart.
        type: int
      hwaddr:
        description: MAC address of the port. PVE draws one where none is declared.
        type: str
      queues:
        description: >-
          How many queues the port has, V(1) to V(64), so that as many cores can work on its traffic. In a VM only.
        type: int
      role:
        description:
          - V(wan) for the interface called wan, V(lan) for the one called lan, V(isolated) for every other, be it
            called wan2 or lan_guest.
          - A wan rejects what comes in and hides what is behind it, a lan accepts everything and reaches all wans, an
            isolated one rejects what comes in and reaches what O(interfaces.forward_to) lists.
        type: str
        choices: [wan, lan, isolated]
      proto:
        description:
          - V(static) where there is an O(interfaces.address), else V(dhcp).
          - Where it is V(pppoe), the name of the interface has at most 9 characters.
        type: str
        choices: [dhcp, static, dhcpv6, none, pppoe]
      address:
        description: One address with prefix length, or several.
        type: list
        elements: str
      gateway:
        description: Default gateway, at most one for IPv4 and one for IPv6.
        type: list
        elements: str
      dns:
        description: Name servers to ask by way of this interface.
        type: list
        elements: str
      ip6:
        description:
          - V(pd) asks upstream for a prefix, or takes part in it; V(auto) asks for an address alone; V(ula) takes part
            in the local prefix; V(static) has the declared addresses alone. Without it there is no IPv6 and no router
            advertisement.
        type: str
        choices: [pd, auto, ula, static]
      metric:
        description: Metric of its default route. Of several default routes the one with the lowest metric is taken.
        type: int
      username:
        description: Name to log in with, for O(interfaces.proto=pppoe).
        type: str
      password:
        description: Password to log in with, for O(interfaces.proto=pppoe). It is hidden.
        type: str
      dhcp_server:
        description:
          - Serves DHCP, with the defaults where it is V(true) or C({}). Nothing is served where it is not declared.
        type: dict
        suboptions:
          start:
            description: First address, counted from the network's own. By default 100.
            type: int
          limit:
            description: How many addresses are leased at most. By default 150.
            type: int
          leasetime:
            description: How long an address is leased, such as V(12h), the default.
            type: str
      forward_to:
        description: Interfaces that this one may reach. By default a lan reaches every wan, and others nothing.
        type: list
        elements: str
  management:
    description:
      - From where, and with what, the router is administered.
    type: dict
    suboptions:
      from:
        description: Interfaces that SSH and LuCI are open to. Nothing else reaches them.
        type: list
        elements: str
      ssh_keys:
        description: Public keys that may log in as root.
        type: list
        elements: str
      password_hash:
        description: Root's password as a crypt(3) hash. Without it, password logins are off.
        type: str
      luci:
        description: Whether the web interface listens.
        type: bool
      allow_empty_password:
        description: Whether root may stay without a password.
        type: bool
  uci:
    description:
      - Anything more, by package, section and option, merged last over what the other options make.
      - >-
        A section is called by its name, by what it holds as C(@type[option=value]), or by its place as C(@type[0]). A
        new section with a name says its type as C(.type), as in C({wg0: {.type: interface, proto: wireguard}}).
      - >-
        C(@type) with a list declares sections of that type one by one, as in
        C({"@host": [{name: nas, mac: "02:00:00:00:00:05", ip: 192.168.20.5}]}). Each is the section that its C(.name)
        names, else the one with its C(name) or C(mac), else the one with the very same options; where there is none it
        is added.
      - V(null) deletes an option, or a section. A section that only its place tells from others is not deleted.
      - What this option has declared once and does not declare any more is removed; what others have made stays.
    type: dict
  secret_names:
    description:
      - Names of further options, in O(interfaces) and O(uci), whose values nobody is to see.
      - Hidden from logs, results and differences are the values of options that are called like a password, secret,
        passphrase, token, community, PSK, PIN or key, if they have four characters or more. Public keys and
        certificates are not.
    type: list
    elements: str
  packages:
    description:
      - Packages to install in the running router, by its own package manager.
      - Where a router in a container cannot reach its package server, and the node or one of the O(mirrors) can, the
        node fetches the router's feeds and the packages and hands them in. The router verifies them by its own keys
        all the same. A warning says that it was so. A router that is reached otherwise tries again with the next run.
    type: list
    elements: str
  services:
    description:
      - Services by the names of their init scripts, V(true) for one that starts with the router, V(false) for one that
        does not. It holds from the first boot on; later only what differs is enabled and started, or stopped and
        disabled; one that somebody has stopped is started again. What is not mentioned is left alone.
    type: dict
  timezone:
    description: Time zone as OpenWrt writes it, such as V(CET-1CEST).
    type: str
  zonename:
    description: Name of the time zone, such as V(Europe/Berlin).
    type: str
  allow_shared_segment:
    description: Whether interfaces may share a network with each other, or serve DHCP where the node itself lives.
    type: bool
    default: false
  confirm_timeout:
    description:
      - A change of network, firewall or SSH takes itself back when it has not been confirmed after this time, in
        seconds. It is confirmed when the router has come up as declared, has an address on an interface that
        O(management.from) names, and is reached there, if it was reached before.
      - A run that finds a change which another one has not confirmed waits until that stands or is taken back.
    type: int
    default: 60
  ip_timeout:
    description:
      - How long to wait for the addresses that a running router gets by DHCP, in seconds. With V(0), the default, it is
        asked once.
      - Asked are, in order of trust, netifd in the guest, the guest's kernel, Proxmox VE (for a VM its guest agent) and
        the node's own neighbour table. As long as one of them answers that there is no address yet, it is waited for;
        a less trusted one is asked at once only where those before it do not answer, else at the end.
    type: int
  require_ip:
    description:
      - Whether it is an error when none of netifd, the guest's kernel, Proxmox VE (for a VM its guest agent) and the
        node's neighbour table tells an IPv4 address of an interface with DHCP after O(ip_timeout). Otherwise it is a
        warning, if it was waited for.
    type: bool
    default: false
  ssh_private_key:
    description:
      - Path of the private key that opens the router by SSH, on the machine this runs on, or V(agent) for the keys of
        the SSH agent there, such as AWX starts with a credential of type Machine. The public key belongs into
        O(management.ssh_keys). It is used for the first static address of an interface that O(management.from) names.
      - A container on the node is entered by C(pct exec), without any key; over the API this is the only way in. A VM
        is entered by its guest agent where no key is declared.
      - The router's own keys are noted when they are seen first, and have to stay.
      - The address that the router is entered by cannot be changed in this way, and then RV(openwrt) says that the
        configuration is unknown.
    type: path
"""
