# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OPNsense's nano image, small: what its first boot reads, in the forms that its releases have had.

Up to 25.1 the configuration that comes with it lists every tunable (about 11 KB) and has ISC's DHCP server; from 25.7
on it is short (about 4 KB) and has dnsmasq, from 26.1 on with router advertisements; 26.7 keeps firewall rules in a
model of their own.
"""

from __future__ import annotations

from .ufs_image import nano_image

CONFIG = "usr/local/etc/config.xml"
_HEAD = """<?xml version="1.0"?>
<opnsense>
  <trigger_initial_wizard/>
  <theme>opnsense</theme>
"""
_SYSTEM = """  <system>
    <use_mfs_tmp/>
    <use_mfs_var/>
    <serialspeed>115200</serialspeed>
    <primaryconsole>serial</primaryconsole>
    <secondaryconsole>video</secondaryconsole>
    <hostname>OPNsense</hostname>
    <domain>internal</domain>
    <dnsallowoverride>1</dnsallowoverride>
    <group>
      <name>admins</name>
      <gid>1999</gid>
      <member>0</member>
      <priv>page-all</priv>
    </group>
    <user>
      <name>root</name>
      <descr>System Administrator</descr>
      <groupname>admins</groupname>
      <password>$2y$10$thehashofthepasswordthateverybodyknowsofthisdefaultuser</password>
      <uid>0</uid>
    </user>
    <timezone>Etc/UTC</timezone>
    <webgui>
      <protocol>https</protocol>
    </webgui>
    <disableconsolemenu/>
    <ipv6allow>1</ipv6allow>
    <powerd_ac_mode>hadp</powerd_ac_mode>
    <ssh>
      <group>admins</group>
    </ssh>
  </system>
"""
_INTERFACES = """  <interfaces>
    <wan>
      <enable>1</enable>
      <if>mismatch1</if>
      <ipaddr>dhcp</ipaddr>
      <ipaddrv6>dhcp6</ipaddrv6>
    </wan>
    <lan>
      <enable>1</enable>
      <if>mismatch0</if>
      <ipaddr>192.168.1.1</ipaddr>
      <subnet>24</subnet>
      <ipaddrv6>{tracking}</ipaddrv6>
      <track6-interface>wan</track6-interface>
    </lan>
  </interfaces>
"""
_ISC = """  <dhcpd>
    <lan>
      <enable/>
      <range>
        <from>192.168.1.100</from>
        <to>192.168.1.199</to>
      </range>
    </lan>
  </dhcpd>
"""
_DNSMASQ = """  <dnsmasq>
    <enable>1</enable>
    <port>{port}</port>
    <interface>lan</interface>
{announces}    <dhcp_ranges>
      <interface>lan</interface>
      <start_addr>192.168.1.100</start_addr>
      <end_addr>192.168.1.199</end_addr>
    </dhcp_ranges>
  </dnsmasq>
"""
_ANNOUNCES = """    <dhcp>
      <enable_ra>1</enable_ra>
    </dhcp>
"""
_REST = """  <unbound>
    <enable>1</enable>
  </unbound>
  <nat>
    <outbound>
      <mode>automatic</mode>
    </outbound>
  </nat>
"""
_LEGACY_RULES = """  <filter>
    <rule>
      <type>pass</type>
      <descr><![CDATA[Default allow LAN to any rule]]></descr>
      <interface>lan</interface>
      <source>
        <network>lan</network>
      </source>
      <destination>
        <any/>
      </destination>
    </rule>
  </filter>
"""
_MODEL_RULES = """  <OPNsense>
    <Firewall>
      <Filter>
        <rules>
          <rule>
            <enabled>1</enabled>
            <sequence>1</sequence>
            <action>pass</action>
            <interface>lan</interface>
            <source_net>lan</source_net>
            <description>Default allow LAN to any rule</description>
          </rule>
        </rules>
        <snatrules/>
      </Filter>
    </Firewall>
  </OPNsense>
"""


def default_config(version: str) -> bytes:
    """The configuration that a release's nano image comes with."""
    year, month = (int(each) for each in version.split(".")[:2])
    since = (year, month)
    announces = since >= (26, 1)
    text = _HEAD + (_tunables() if since < (25, 7) else "") + _SYSTEM
    text += _INTERFACES.format(tracking="idassoc6" if announces else "track6")
    dnsmasq = _DNSMASQ.format(port=53053 if announces else 0, announces=_ANNOUNCES if announces else "")
    text += (dnsmasq if since >= (25, 7) else _ISC) + _REST
    text += _MODEL_RULES if since >= (26, 7) else _LEGACY_RULES
    size = 10908 if since < (25, 7) else 5234 if since >= (26, 7) else 3877
    # The real one says more: room for as much is left before its end.
    return text.encode().ljust(size - len("</opnsense>\n")) + b"</opnsense>\n"


def _tunables() -> str:
    item = "    <item>\n      <descr>Tunable {0}</descr>\n      <tunable>net.inet.tunable{0}</tunable>\n"
    items = "".join((item + "      <value>default</value>\n    </item>\n").format(number) for number in range(60))
    return f"  <sysctl>\n{items}  </sysctl>\n"


def opnsense_nano(version: str) -> bytes:
    """A release's nano image."""
    files = {
        "boot.config": b"-S115200 -h -D\n",
        ".probe.for.growfs": b"",
        "conf/.keep": b"",
        "etc/fstab": b"/dev/ufs/OPNsense_Nano\t/\tufs\trw,noatime\t1\t1\t# notrim\n",
        CONFIG: default_config(version),
        f"{CONFIG}.sample": default_config(version),
        "usr/local/opnsense/version/core": version.encode() + b"\n",
    }
    return nano_image(files)
