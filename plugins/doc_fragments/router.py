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
      - The default is the 24.x series, which installs packages by C(opkg) and is configured as most guides show. 25.12
        and newer, which use C(apk), have to be requested.
    type: str
    default: "24"
  mirrors:
    description:
      - Addresses to fetch from instead of C(https://downloads.openwrt.org). The first one that answers is used. What
        they deliver is still verified by OpenWrt's signature.
      - They are also used where the node fetches O(packages) for a router.
    type: list
    elements: str
  keys:
    description: Further usign public keys to trust, each as the base64 line of its key file.
    type: list
    elements: str
  verify:
    description:
      - How a download is verified. V(required), the default, needs a signature by a known key; V(checksum) trusts the
        list of checksums without a signature; V(none) verifies nothing, and warns.
    type: str
    choices: [required, checksum, none]
  offline_ok:
    description:
      - Whether to use the newest verified release that is already on the node when the source cannot be reached.
    type: bool
    default: false
  interfaces:
    description:
      - The router's interfaces by name. Each has its own port, and a firewall zone with its name. A new router gets its
        ports in the declared order. Later an interface keeps its port, whatever the order, and a new one gets the next
        free number. The port of an interface that is no longer declared is removed.
      - Two interfaces on the same bridge with the same tag are an error unless O(allow_shared_segment=true), and so is
        a DHCP server where the node itself has an address (on the bridge, or on a VLAN, bond or port that leads there).
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
        description: MTU of the port. A change takes effect at the next start.
        type: int
      hwaddr:
        description: MAC address of the port. By default Proxmox VE generates one.
        type: str
      queues:
        description: >-
          How many queues the port has, V(1) to V(64), so that as many cores can work on its traffic. In a VM only.
        type: int
      role:
        description:
          - The default is V(wan) for the interface named wan, V(lan) for the one named lan, and V(isolated) for every
            other, also for names such as wan2 or lan_guest.
          - V(wan) rejects incoming connections and masquerades outgoing ones. V(lan) accepts everything and may reach
            all wans. V(isolated) rejects incoming connections and may reach what O(interfaces.forward_to) lists.
        type: str
        choices: [wan, lan, isolated]
      proto:
        description:
          - The default is V(static) with an O(interfaces.address), else V(dhcp).
          - With V(pppoe) the name of the interface may have at most 9 characters.
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
        description: Name servers to use through this interface.
        type: list
        elements: str
      ip6:
        description:
          - V(pd) on an upstream interface requests a prefix, on others it assigns part of that prefix; V(auto) only
            requests an address; V(ula) assigns part of the local prefix; V(static) only has the declared addresses.
            Without it there is no IPv6 and no router advertisement.
        type: str
        choices: [pd, auto, ula, static]
      metric:
        description: Metric of its default route. Of several default routes the one with the lowest metric is used.
        type: int
      username:
        description: User name for O(interfaces.proto=pppoe).
        type: str
      password:
        description: Password for O(interfaces.proto=pppoe). It is never shown.
        type: str
      dhcp_server:
        description:
          - Serves DHCP, with the defaults if it is V(true) or C({}). Without it no DHCP is served.
        type: dict
        suboptions:
          start:
            description: First address, as an offset from the network address. By default 100.
            type: int
          limit:
            description: Maximum number of leased addresses. By default 150.
            type: int
          leasetime:
            description: How long an address is leased, such as V(12h), the default.
            type: str
      forward_to:
        description: Interfaces that this one may reach. By default a lan may reach every wan, and others nothing.
        type: list
        elements: str
  management:
    description:
      - Access for the administrators of the router.
    type: dict
    suboptions:
      from:
        description: Interfaces from which SSH and LuCI can be reached.
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
        description: Whether the web interface LuCI is served.
        type: bool
      allow_empty_password:
        description: Whether root may have no password.
        type: bool
  uci:
    description:
      - Further UCI settings, by package, section and option. They take precedence over what the other options set.
      - >-
        A section is identified by its name, by its content as C(@type[option=value]), or by its index as
        C(@type[0]). A new named section needs its type as C(.type), as in C({wg0: {.type: interface, proto:
        wireguard}}).
      - >-
        C(@type) with a list declares sections of that type one by one, as in C({"@host": [{name: nas, mac:
        "02:00:00:00:00:05", ip: 192.168.20.5}]}). Each entry is matched to the section with its C(.name), else to the
        one with its C(name) or C(mac), else to one with exactly the same options; if there is none, the section is
        added.
      - V(null) deletes an option, or a section. A section that is identified by its index is not deleted.
      - What was declared here once and is no longer declared is removed; what others have made is kept.
    type: dict
  secret_names:
    description:
      - Names of further options in O(interfaces) and O(uci) whose values are hidden.
      - Hidden in logs, results and diffs are the values of options whose names contain password, secret, passphrase,
        token, community, PSK, PIN or key, if they have four characters or more. Public keys and certificates are not
        hidden.
    type: list
    elements: str
  packages:
    description:
      - Packages to install in the running router, by its own package manager.
      - If a router in a container cannot reach its package server, but the node or one of the O(mirrors) can, the node
        fetches the feeds and packages and copies them into the router, with a warning. The router still verifies them
        by its own keys. Any other router tries again with the next run.
    type: list
    elements: str
  services:
    description:
      - Services by the names of their init scripts, V(true) for one that starts with the router, V(false) for one that
        does not. This applies from the first boot on. Later, only services that differ are enabled and started, or
        stopped and disabled; a stopped service is started again. Other services are left alone.
    type: dict
  timezone:
    description: Time zone as OpenWrt writes it, such as V(CET-1CEST).
    type: str
  zonename:
    description: Name of the time zone, such as V(Europe/Berlin).
    type: str
  allow_shared_segment:
    description: Whether interfaces may share a network with each other, or serve DHCP in a network of the node.
    type: bool
    default: false
  confirm_timeout:
    description:
      - Seconds after which a change of network, firewall or SSH is rolled back by the router itself if it has not been
        confirmed. It is confirmed when the router has come up as declared, has an address on an interface in
        O(management.from), and can be reached there, if it could be before.
      - A run that finds an unconfirmed change of another run waits until that is confirmed or rolled back.
    type: int
    default: 60
  ip_timeout:
    description:
      - How long to wait for the addresses that a running router gets by DHCP, in seconds. With V(0), the default, it is
        queried once.
      - Sources are, in order of trust, netifd in the guest, the guest's kernel, Proxmox VE (for a VM its guest agent)
        and the node's own neighbour table. The run waits as long as a source answers that there is no address yet. A
        less trusted source is queried at once if those before it do not answer, else at the end.
    type: int
  require_ip:
    description:
      - Whether it is an error when no source has reported an IPv4 address of an interface with DHCP after
        O(ip_timeout). Otherwise it is a warning, unless O(ip_timeout=0).
    type: bool
    default: false
  ssh_private_key:
    description:
      - Path of the private key for SSH to the router, on the machine where the module runs, or V(agent) for the keys of
        the SSH agent there, as AWX provides it with a credential of type Machine. The public key belongs in
        O(management.ssh_keys). SSH goes to the first static address of an interface in O(management.from).
      - On the node a container is reached by C(pct exec), without a key; over the API this key is the only way. A VM
        without a key is reached by its guest agent.
      - The router's host keys are stored at the first connection, and must not change later.
      - The address that SSH goes to cannot be changed over SSH; RV(openwrt) then says that the configuration is
        unknown.
    type: path
"""
