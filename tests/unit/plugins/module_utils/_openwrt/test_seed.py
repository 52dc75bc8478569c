# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a first boot, to the letter, and what they keep of the root file system they go into."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import Description
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.read import parse
from ansible_collections.pve.provision.plugins.module_utils._openwrt.seed import seed, unknown, with_root_password
from ansible_collections.pve.provision.plugins.module_utils._openwrt.series import SERIES, ReleaseSeries
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.text import parse_config, parse_export, render

GOLDEN = Path(__file__).parent / "golden"
EXAMPLES = sorted(path.parent.name for path in GOLDEN.glob("*/declared.yml"))
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample admin"
HASH = "$6$salt$" + "a" * 86
# As a container of 24.10.4 has it.
SHADOW = "root:::0:99999:7:::\ndaemon:*:0:0:99999:7:::\ndnsmasq:x:0:0:99999:7:::\n"
UHTTPD = """
config uhttpd main
\tlist listen_http 0.0.0.0:80
\tlist listen_https 0.0.0.0:443
\tlist ucode_prefix '/cgi-bin/luci=/usr/share/x.uc'
"""
ROOTFS = {
    "etc/openwrt_release": "DISTRIB_ID='OpenWrt'\n",
    "etc/shadow": SHADOW,
    "etc/config/uhttpd": UHTTPD,
    "etc/config/rpcd": "config login\n\toption username 'root'\n",
    "lib/preinit/00_preinit.conf": 'pi_suppress_stderr="y"\npi_preinit_no_failsafe=""\nfs_failsafe_wait_timeout="2"\n',
}


def reader(**without: None) -> t.Callable[[str], bytes | None]:
    return lambda path: ROOTFS[path].encode() if path in ROOTFS and path not in without else None


def described(**more: t.Any) -> Description:
    return parse({"interfaces": {"lan": {"bridge": "vmbr0"}}, **more})


def text(files: dict[str, tuple[int, bytes]], path: str) -> str:
    return files[path][1].decode()


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize("series", SERIES, ids=lambda series: series.name)
def test_the_config_files_are_the_documented_ones(example: str, series: ReleaseSeries) -> None:
    description = parse(yaml.safe_load((GOLDEN / example / "declared.yml").read_text()))
    files = seed(unknown, description, f"{series.name}.1")
    config = parse_export((GOLDEN / example / f"{series.name}.export").read_text())
    assert {name: render(package) for name, package in config.items()} == {
        path.removeprefix("etc/config/"): text(files, path) for path in files if path.startswith("etc/config/")
    }
    assert files == seed(unknown, description, f"{series.name}.1")


def test_a_seed_is_these_files_and_no_others() -> None:
    files = seed(reader(), described(management={"ssh_keys": [KEY]}), "24.10.4")
    assert {path: oct(mode) for path, (mode, _content) in files.items()} == {
        "etc/config/dhcp": "0o644",
        "etc/config/dropbear": "0o600",
        "etc/config/firewall": "0o600",
        "etc/config/network": "0o600",
        "etc/config/pve_provision": "0o600",
        "etc/config/system": "0o600",
        "etc/config/uhttpd": "0o600",
        "etc/dropbear/authorized_keys": "0o600",
        "etc/shadow": "0o600",
        "lib/preinit/00_preinit.conf": "0o644",
    }
    assert text(files, "etc/dropbear/authorized_keys") == KEY + "\n"


def test_failsafe_mode_is_switched_off() -> None:
    conf = text(seed(reader(), described(), "24.10"), "lib/preinit/00_preinit.conf")
    assert conf.splitlines().count('pi_preinit_no_failsafe="y"') == 1 and 'pi_preinit_no_failsafe=""' not in conf
    assert 'pi_suppress_stderr="y"' in conf


@pytest.mark.parametrize(
    ("management", "field"),
    [({"password_hash": HASH}, HASH), ({}, "*"), ({"ssh_keys": [KEY]}, "*"), ({"allow_empty_password": True}, "")],
)
def test_root_has_the_declared_password_or_none_that_works(management: dict[str, t.Any], field: str) -> None:
    shadow = text(seed(reader(), described(management=management), "24.10"), "etc/shadow")
    assert shadow == SHADOW.replace("root::", f"root:{field}:", 1)


def test_without_a_readable_rootfs_root_is_the_only_account_written() -> None:
    """Restoring a sysupgrade.tgz adds the accounts that it misses."""
    files = seed(unknown, described(management={"password_hash": HASH}), "24.10")
    assert text(files, "etc/shadow") == f"root:{HASH}::0:99999:7:::\n"
    assert "lib/preinit/00_preinit.conf" not in files


def test_a_shadow_without_root_gets_one() -> None:
    assert with_root_password("ftp:*:::\n", "*") == "root:*::0:99999:7:::\nftp:*:::\n"


def test_a_shipped_web_server_keeps_its_handlers() -> None:
    config = parse_config(text(seed(reader(), described(), "24.10"), "etc/config/uhttpd"), "uhttpd")
    main = config.find("main")
    assert main is not None
    assert main.items("ucode_prefix") == ["/cgi-bin/luci=/usr/share/x.uc"]
    listening = main.items("listen_http") + main.items("listen_https")
    assert listening == ["127.0.0.1:80"], "without luci it is for the router itself"


def test_a_rootfs_without_a_web_server_gets_one_only_with_luci() -> None:
    bare = reader(**{"etc/config/uhttpd": None})
    assert "etc/config/uhttpd" not in seed(bare, described(), "24.10")
    assert "option home '/www'" in text(seed(bare, described(management={"luci": True}), "24.10"), "etc/config/uhttpd")


@pytest.mark.parametrize(("packages", "there"), [([], True), (["sqm-scripts"], False)])
def test_uci_of_a_package_without_a_file_is_written_unless_its_own_is_going_to_be_installed(
    packages: list[str], there: bool
) -> None:
    wireless = {"radio0": {".type": "wifi-device", "type": "mac80211"}}
    files = seed(reader(), described(uci={"wireless": wireless}, packages=packages), "24.10")
    assert ("etc/config/wireless" in files) == there
    if there:
        assert "config wifi-device 'radio0'" in text(files, "etc/config/wireless")


def test_uci_for_a_package_that_is_shipped_is_merged_and_what_names_a_section_of_one_that_is_not_waits() -> None:
    description = described(uci={"rpcd": {"@login[0]": {"timeout": 5}}, "sqm": {"@queue[0]": {"enabled": True}}})
    files = seed(reader(), description, "24.10")
    assert "option timeout '5'" in text(files, "etc/config/rpcd") and "username 'root'" in text(
        files, "etc/config/rpcd"
    )
    assert "etc/config/sqm" not in files
