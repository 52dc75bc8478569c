# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every router in the documentation becomes, to the letter, on each release line; and that ``uci`` takes it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import DESCRIPTION_KEYS
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.read import parse
from ansible_collections.pve.provision.plugins.module_utils._openwrt.seed import seed, unknown
from ansible_collections.pve.provision.plugins.module_utils._openwrt.series import SERIES, ReleaseSeries
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.text import parse_config, render_export

Declared = dict[str, t.Any]

ROOT = Path(__file__).parents[5]
GOLDEN = Path(__file__).parent / "golden"
HASH = "$6$salt$" + "a" * 86
KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample"
VAULT = re.compile(r"\{\{ vault_\w*_hash \}\}")


def documented() -> t.Iterator[tuple[str, Declared]]:
    """Where an example of a guest is (the modules' documentation, the README, the examples), and the guest."""
    for name in ("openwrt_lxc", "openwrt_vm"):
        source = (ROOT / f"plugins/modules/{name}.py").read_text(encoding="utf-8")
        for task in yaml.safe_load(source.split('EXAMPLES = r"""')[1].split('"""')[0]):
            yield name, task[f"pve.provision.{name}"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    texts = [("readme", text) for text in re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)]
    texts += [(path.stem, path.read_text(encoding="utf-8")) for path in sorted(ROOT.glob("examples/*.yml"))]
    for name, text in texts:
        found = yaml.safe_load(text)
        guests = found.get("provision_guests", []) if isinstance(found, dict) else found
        yield from ((name, guest) for guest in guests if str(guest.get("type", "")).startswith("openwrt_"))


def router(declared: Declared) -> Declared:
    """The router alone; a password where the example has one in a vault, and a key where it has dots."""
    described = {option: declared[option] for option in DESCRIPTION_KEYS if option in declared}
    described.setdefault("hostname", declared.get("name"))
    text = VAULT.sub(HASH, yaml.safe_dump(described, width=1000, sort_keys=False)).replace("AAAA...", KEY)
    filled: Declared = yaml.safe_load(text)
    return filled


DOCUMENTED = [
    (f"{place}-{described['hostname']}-{len(described['interfaces'])}", described)
    for place, described in ((place, router(guest)) for place, guest in documented())
    if "interfaces" in described
]
ROUTERS = dict(DOCUMENTED)


def config_files(declared: Declared, series: ReleaseSeries) -> dict[str, str]:
    """The configuration of the first boot by package, as text."""
    files = seed(unknown, parse(declared), f"{series.name}.1")
    return {path.rpartition("/")[2]: text.decode() for path, (_m, text) in files.items() if "/config/" in path}


def test_there_are_routers_in_the_documentation() -> None:
    assert len(ROUTERS) >= 8
    different = [name for name, described in DOCUMENTED if described != ROUTERS[name]]
    assert different == [], "two of one name are to be alike"


@pytest.mark.parametrize("name", ROUTERS)
@pytest.mark.parametrize("series", SERIES, ids=lambda series: series.name)
def test_a_documented_router_is_to_the_letter(name: str, series: ReleaseSeries) -> None:
    golden = GOLDEN / "documented" / f"{name}.{series.name}.export"
    text = exported(config_files(ROUTERS[name], series))
    if os.environ.get("PVE_TEST_WRITE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("uci") is None, reason="uci is not here")
@pytest.mark.parametrize("series", SERIES, ids=lambda series: series.name)
@pytest.mark.parametrize("name", [*ROUTERS, *sorted(path.parent.name for path in GOLDEN.glob("*/declared.yml"))])
def test_uci_itself_takes_what_the_first_boot_finds(name: str, series: ReleaseSeries, tmp_path: Path) -> None:
    written = GOLDEN / name / "declared.yml"
    declared = ROUTERS.get(name) or yaml.safe_load(written.read_text(encoding="utf-8"))
    files = config_files(declared, series)
    for package, text in files.items():
        (tmp_path / package).write_text(text, encoding="utf-8")
    argv = ["uci", "-c", str(tmp_path), "export"]
    told = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True)
    assert told.stderr == ""
    assert told.stdout.strip() == exported(files).strip()


def exported(files: dict[str, str]) -> str:
    """The files as ``uci export`` tells them."""
    return render_export({package: parse_config(text, package) for package, text in files.items()})
