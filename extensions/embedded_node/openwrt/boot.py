# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scripted OpenWrt guest boots: preinit, the configuration it makes up where it finds none, uci-defaults, services.

What a guest that nobody has seeded does here is what the tests look for and must never find: 192.168.1.1/24 and a DHCP
server on whatever its first interface is plugged into.
"""

from __future__ import annotations

import json
import random
import re
import typing as t

from .interfaces import ports
from .network import Network
from .uci import UciError
from .uci_command import Uci

if t.TYPE_CHECKING:
    from ..guest.runtime import Guest

#: The script of base-files that does what ``_generate_prefix`` does.
LOCAL_PREFIX = "12_network-generate-ula"
FACTORY_ADDRESS, FACTORY_MASK, FACTORY_PREFIX = "192.168.1.1", "255.255.255.0", 24
LOOPBACK = "config interface 'loopback'\n\toption device 'lo'\n\toption proto 'static'\n"
SYSTEM = """
config system
\toption hostname 'OpenWrt'
\toption timezone '{timezone}'
\toption ttylogin '0'
\toption log_size '128'
\toption urandom_seed '0'

config timeserver 'ntp'
\toption enabled '1'
\toption enable_server '0'
\tlist server '0.openwrt.pool.ntp.org'
\tlist server '1.openwrt.pool.ntp.org'
\tlist server '2.openwrt.pool.ntp.org'
\tlist server '3.openwrt.pool.ntp.org'

"""
#: Services that leave no process behind, or none that lives in a container.
WITHOUT_DAEMON = frozenset(
    {
        "boot",
        "cron",
        "done",
        "firewall",
        "gpio_switch",
        "led",
        "packet_steering",
        "sysctl",
        "sysfixtime",
        "sysntpd",
        "system",
        "umount",
        "urandom_seed",
    }
)


def release(guest: Guest) -> dict[str, str]:
    """What ``/etc/openwrt_release`` says, without ``DISTRIB_``."""
    text = guest.files.read("/etc/openwrt_release")
    return {key: value for key, _other, value in re.findall(r"^DISTRIB_(\w+)=(['\"]?)(.*?)\2\s*$", text, re.MULTILINE)}


def series(guest: Guest) -> int:
    """The release's year, 24 for 24.10.4; a snapshot counts as the newest."""
    match = re.match(r"(\d+)\.", release(guest).get("RELEASE", ""))
    return int(match[1]) if match else 99


def services(guest: Guest) -> dict[str, tuple[int | None, int | None]]:
    """The guest's init scripts: name -> (START, STOP)."""
    folder = guest.files.resolve("/etc/init.d")
    found = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        numbers = dict(re.findall(r"^(START|STOP)=(\d+)", path.read_text(errors="replace"), re.MULTILINE))
        found[path.name] = tuple(int(numbers[key]) if key in numbers else None for key in ("START", "STOP"))
    return t.cast("dict[str, tuple[int | None, int | None]]", found)


def enabled(guest: Guest, name: str) -> bool:
    """Whether a service is enabled: a link in ``/etc/rc.d`` says so, of its start if it has one, else of its stop."""
    folder = guest.files.resolve("/etc/rc.d")
    letter = "K" if services(guest).get(name, (0, None))[0] is None else "S"
    wanted = re.compile(rf"{letter}\d+{re.escape(name)}")
    return folder.is_dir() and any(wanted.fullmatch(path.name) for path in folder.iterdir())


def boot(guest: Guest, run_script: t.Callable[[str, str], int]) -> None:
    """Boot; ``run_script(path, working directory)`` runs a script of the guest and answers its exit code."""
    network = Network(guest)
    _preinit(guest, network)
    _generate(guest)
    _defaults(guest, run_script)
    active = {name: enabled(guest, name) and name not in WITHOUT_DAEMON for name in services(guest)}
    guest.remember("services", active)
    network.reload(boot=True)
    if guest.files.exists("/etc/rc.local"):
        run_script("/etc/rc.local", "/")


def _preinit(guest: Guest, network: Network) -> None:
    """Failsafe mode shows its address for two seconds, whatever the configuration says, unless it is switched off."""
    conf = guest.files.read("/lib/preinit/00_preinit.conf")
    first = next(iter(network.ports.values()), None)
    off = re.search(r"^pi_preinit_no_failsafe=[\"']?y", conf, re.MULTILINE)
    if first and first.bridge and not off:
        network.note([(first.bridge, first.tag, "address", f"{FACTORY_ADDRESS}/{FACTORY_PREFIX}")])


def _generate(guest: Guest) -> None:
    """Make up what is missing: the board's description, the network, the system."""
    names = list(ports(guest))
    roles = dict(zip(("lan", "wan"), names, strict=False))
    protocols = {"lan": "static", "wan": "dhcp"}
    if not guest.files.exists("/etc/board.json"):
        board = {role: {"device": name, "protocol": protocols[role]} for role, name in roles.items()}
        text = json.dumps({"model": {}, "network": board}, indent="\t").replace("{}", "{\n\t\t\n\t}")
        guest.files.write("/etc/board.json", text + "\n")
    if not guest.files.read("/etc/config/network").strip():
        guest.files.write("/etc/config/network", _factory_network(guest, roles))
    if not guest.files.read("/etc/config/system").strip():
        guest.files.write("/etc/config/system", SYSTEM.format(timezone="UTC" if series(guest) < 25 else "GMT0"))


def _factory_network(guest: Guest, roles: dict[str, str]) -> str:
    """The network that ``config_generate`` writes; from 25.12 on addresses are lists with a prefix length."""

    def address(ip: str, mask: str, length: int) -> str:
        if series(guest) < 25:
            return f"\toption ipaddr '{ip}'\n\toption netmask '{mask}'\n"
        return f"\tlist ipaddr '{ip}/{length}'\n"

    text = (
        f"\n{LOOPBACK}{address('127.0.0.1', '255.0.0.0', 8)}\nconfig globals 'globals'\n\toption ula_prefix 'auto'\n\n"
    )
    if "lan" in roles:
        text += f"config device\n\toption name 'br-lan'\n\toption type 'bridge'\n\tlist ports '{roles['lan']}'\n\n"
        text += "config interface 'lan'\n\toption device 'br-lan'\n\toption proto 'static'\n"
        text += f"{address(FACTORY_ADDRESS, FACTORY_MASK, FACTORY_PREFIX)}\toption ip6assign '60'\n\n"
    if "wan" in roles:
        for name, proto in (("wan", "dhcp"), ("wan6", "dhcpv6")):
            text += f"config interface '{name}'\n\toption device '{roles['wan']}'\n\toption proto '{proto}'\n\n"
    return text


def _generate_prefix(guest: Guest) -> None:
    """A local IPv6 prefix where the configuration leaves it to the first boot; real ones draw it at random."""
    uci = Uci(guest.files)
    _code, found, _err = uci.run(["-q", "get", "network.globals.ula_prefix"])
    if found.strip() == "auto":
        digits = random.Random(guest.vmid).getrandbits(40)
        prefix = f"fd{digits >> 32:02x}:{digits >> 16 & 0xFFFF:04x}:{digits & 0xFFFF:04x}::/48"
        uci.run(["set", f"network.globals.ula_prefix={prefix}"])
        uci.run(["commit", "network"])


def _defaults(guest: Guest, run_script: t.Callable[[str, str], int]) -> None:
    """Run the first-boot scripts in order; one that succeeds is removed, one that fails is tried at the next boot."""
    folder = guest.files.resolve("/etc/uci-defaults")
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name == LOCAL_PREFIX:
            _generate_prefix(guest)
            path.unlink()
        elif path.is_file() and run_script(f"/etc/uci-defaults/{path.name}", "/etc/uci-defaults") == 0:
            path.unlink(missing_ok=True)
    try:
        Uci(guest.files).run(["commit"])
    except UciError:
        return
