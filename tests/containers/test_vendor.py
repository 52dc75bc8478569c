# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application from its vendor's repository: the key is fetched and compared with what is pinned, apt takes what it
has signed, and nothing else."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.plugin_utils.apps import with_profiles
from embedded_node import EmbeddedNode
from embedded_node.lxc_runtime import template
from tests.support.deb_repository import DebRepository

from .conftest import MODULES, Node

#: What stands for the program: a web server that says it is ready where it finds its configuration.
PROGRAM = r"""#!/usr/bin/perl
use IO::Socket::INET;
-r "/etc/loki/config.yml" or die "no configuration";
my $server = IO::Socket::INET->new(LocalPort => 3100, Listen => 5, ReuseAddr => 1) or die $!;
while (my $client = $server->accept) {
    while (defined(my $line = <$client>)) { last if $line eq "\r\n" }
    print $client "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nready";
    close $client;
}
"""
UNIT = "[Service]\nUser=loki\nExecStart=/usr/bin/loki\n[Install]\nWantedBy=multi-user.target\n"
FILES = {"/usr/bin/loki": PROGRAM, "/lib/systemd/system/loki.service": UNIT, "/etc/loki/config.yml": "server: {}\n"}
POSTINST = "id loki > /dev/null 2>&1 || useradd --system loki\nsystemctl daemon-reload\nsystemctl enable -q loki"


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[DebRepository]:
    with DebRepository(tmp_path_factory.mktemp("vendor")) as repository:
        repository.add("loki", "3.5.0", FILES, POSTINST)
        yield repository


@pytest.fixture(scope="module")
def node(debian: Path, vendor: DebRepository) -> t.Iterator[Node]:
    """One from whose network the vendor is reached: by the containers at a name, by the node at its own loopback."""
    mirrors = [*template.mirrors(), f"http://vendor.localhost:{vendor.port}"]
    with EmbeddedNode(runtime="lxc", mirrors=mirrors, local_ports=[vendor.port]) as embedded:
        yield Node(embedded, template.install(embedded.root))


def loki(node: Node, vendor: DebRepository, fingerprint: str) -> dict[str, t.Any]:
    """What becomes of a container with it."""
    repository = {
        "name": "grafana", "uris": [f"http://vendor.localhost:{vendor.port}"], "suites": ["stable"],
        "components": ["main"], "public_key_url": f"http://127.0.0.1:{vendor.port}/gpg.key",
        "fingerprints": [fingerprint],
    }  # fmt: skip
    options = with_profiles({"app": "loki", "repositories": [repository]}, str)
    card = {"bridge": "vmbr0", "ip": "10.10.10.31/24", "gateway": "10.10.10.1"}
    given = {"hostname": "logs1", "state": "started", "networks": [card], **options}
    answer = node.run(
        node.embedded.python, "-m", f"{MODULES}.lxc_create", stdin=json.dumps({"ANSIBLE_MODULE_ARGS": given})
    )  # fmt: skip
    return t.cast("dict[str, t.Any]", json.loads(answer.out))


def test_a_key_that_is_not_the_pinned_one_gets_nothing_in(node: Node, vendor: DebRepository) -> None:
    told = loki(node, vendor, "A" * 40)
    assert told["failed"] and f"brings {vendor.signer.gpg_fingerprint}" in told["msg"]


def test_what_the_vendor_has_signed_is_installed_and_answers(node: Node, vendor: DebRepository) -> None:
    made = loki(node, vendor, vendor.signer.gpg_fingerprint)
    assert not made.get("failed"), made["msg"]
    assert {check["name"]: check["outcome"] for check in made["checks"]} == {
        "service loki": "passed", "HTTP port 3100 /ready": "passed"
    }  # fmt: skip
    assert node.inside(made["vmid"], "dpkg-query -W -f '${Version}' loki") == "3.5.0"
    key = node.inside(made["vmid"], "cat /etc/apt/keyrings/grafana-*.asc")
    assert key.startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----")
    again = loki(node, vendor, vendor.signer.gpg_fingerprint)
    assert (again["changed"], again.get("failed", False)) == (False, False)
