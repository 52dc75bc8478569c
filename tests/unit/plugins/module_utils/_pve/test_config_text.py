# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._pve import config_text
from ansible_collections.pve.provision.plugins.module_utils._pve.config_text import (
    Place,
    disk_size,
    guest_head,
    parse_guest_config,
    parse_interfaces,
    parse_pools,
    parse_section_config,
    parse_storage_status,
    parse_storages,
    parse_vmlist,
    running_containers,
    vmid_bounds,
    with_raw_lines,
)

CONTAINER = """\
#l1
#l2%3A %C3%BC 100%25
arch: amd64
cores: 1
hostname: bb1r
memory: 128
rootfs: local-dir2:101/vm-101-disk-0.raw,size=3264M
tty: 4
unprivileged: 1
lxc.environment.runtime: A=1
lxc.environment.runtime = B=two words
lxc.cgroup2.devices.allow: c 10:200 rwm

[pve:pending]
features: nesting=1
tty: 6
delete: cores,unused0

[before-upgrade]
#a snapshot
arch: amd64
snaptime: 1795404165
"""


class TestGuestConfig:
    def test_the_live_options_are_those_before_the_first_section(self):
        live = parse_guest_config(CONTAINER.encode()).live
        assert live["tty"] == "4"
        assert live["cores"] == "1"
        assert "features" not in live
        assert "snaptime" not in live

    def test_options_are_what_the_next_start_uses(self):
        config = parse_guest_config(CONTAINER.encode())
        assert config.options["tty"] == "6"
        assert config.options["features"] == "nesting=1"
        assert "cores" not in config.options
        assert config.pending == {"features": "nesting=1", "tty": "6", "cores": None, "unused0": None}

    def test_the_description_is_decoded_and_has_no_trailing_newline(self):
        assert parse_guest_config(CONTAINER.encode()).options["description"] == "l1\nl2: ü 100%"

    def test_the_environment_is_an_option_of_its_own_among_the_lines_for_lxc(self):
        options = parse_guest_config(CONTAINER.encode()).options
        assert options["env"] == "A=1\0B=two words"
        assert "environment" not in options["lxc"]
        assert [key for key in options if key.startswith("lxc.")] == []

    def test_lines_for_lxc_take_the_place_of_those_that_are_there(self):
        text = "arch: amd64\nlxc.environment.runtime: A=1\nlxc.cap.drop = b\n\n[snap]\nlxc.cap.drop: b\n"
        after = with_raw_lines(text, ["lxc.cap.drop: c", "lxc.cap.drop: d"])
        assert after == (
            "arch: amd64\nlxc.environment.runtime: A=1\nlxc.cap.drop: c\nlxc.cap.drop: d\n\n[snap]\nlxc.cap.drop: b\n"
        )
        assert parse_guest_config(after.encode()).options["lxc"] == "lxc.cap.drop: c\nlxc.cap.drop: d"

    def test_snapshots_are_the_sections_that_are_not_ours(self):
        assert parse_guest_config(CONTAINER.encode()).snapshots == ("before-upgrade",)

    def test_the_digest_is_the_one_pve_tells(self):
        """Observed: this file, and the digest that PVE's pending view gave for it."""
        raw = (
            "#l1\n#l2%3A %C3%BC 100%25\narch: amd64\ncores: 1\ncpulimit: 0.5\ncpuunits: 512\nhostname: bb1r\n"
            "memory: 128\nnet0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:01:02:03,ip=manual,type=veth\nonboot: 1\n"
            "ostype: unmanaged\nprotection: 0\nrootfs: local-dir2:101/vm-101-disk-0.raw,size=3264M\n"
            "startup: order=1,up=5,down=60\ntty: 4\nunprivileged: 1\nunused0: local-dir2:101/vm-101-disk-1.raw\n\n"
            "[pve:pending]\nfeatures: nesting=1\ntty: 6\n"
        )
        assert parse_guest_config(raw.encode()).digest == "d99551b64b393bb576227f6d2bdf7310f4832e6e"

    def test_a_vm_has_its_own_name_for_pending_and_special_sections(self):
        raw = (
            b"name: vm1\nmachine: q35\n\n[PENDING]\nmemory: 300\ndelete: !machine\n\n"
            b"[special:cloudinit]\nipconfig0: ip=dhcp\n"
        )
        config = parse_guest_config(raw)
        assert config.options == {"name": "vm1", "memory": "300"}
        assert config.pending == {"memory": "300", "machine": None}
        assert config.snapshots == ()

    def test_keys_for_cloud_init_are_read_and_the_hash_of_its_password_stays(self):
        text = b"cipassword: $5$abc\nsshkeys: ssh-ed25519%20AAAA%20me%40x%0A\n"
        assert parse_guest_config(text).options == {"cipassword": "$5$abc", "sshkeys": "ssh-ed25519 AAAA me@x\n"}

    def test_bytes_that_are_no_text_do_not_stop_the_reading(self):
        assert parse_guest_config(b"hostname: a\xff\nmemory: 5\n").options["memory"] == "5"

    option_names = st.from_regex(r"[a-z]{2,8}[0-9]{0,2}", fullmatch=True).filter(
        lambda name: name not in {"description", "delete", "sshkeys"}
    )
    values = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20)

    @given(
        st.dictionaries(option_names, values),
        st.dictionaries(option_names, values),
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=1), max_size=3),
    )
    def test_what_is_written_is_read_again(self, live: dict[str, str], pending: dict[str, str], description: list[str]):
        text = "".join(f"#{quote(line)}\n" for line in description)
        text += "".join(f"{key}: {value}\n" for key, value in live.items())
        text += "\n[pve:pending]\n" + "".join(f"{key}: {value}\n" for key, value in pending.items())
        config = parse_guest_config(text.encode())
        expected = {**live, "description": "\n".join(description)} if description else live
        assert config.live == expected
        assert config.pending == pending
        assert config.options == {**expected, **pending}

    @given(st.binary(max_size=200))
    def test_no_file_is_too_broken_to_be_read(self, raw: bytes):
        config = parse_guest_config(raw)
        assert set(config.options) <= set(config.live) | set(config.pending)

    def test_the_head_alone_has_the_live_options(self):
        assert guest_head(CONTAINER)["hostname"] == "bb1r"
        assert guest_head(CONTAINER)["tty"] == "4"
        assert "snaptime" not in guest_head(CONTAINER)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("local:101/vm-101-disk-0.raw,size=3G", 3 << 30),
        ("local-lvm:vm-1-disk-0,mp=/srv,size=1536M", 1536 << 20),
        ("local:101/x.raw,size=540672", 540672),
        ("/mnt/host,mp=/mnt", None),
        ("", None),
    ],
)
def test_disk_size(value: str, size: int | None):
    assert disk_size(value) == size


STORAGE_CFG = """\
# comment
dir: local
\tpath /var/lib/vz
\tcontent iso,vztmpl,backup

dir: old
\tpath /srv/old
\tdisable

lvmthin: local-lvm
\tthinpool data
\tvgname pve

nfs: shared
\texport /x
\tpath /mnt/pve/shared
\tserver 10.0.0.9
\tcontent images,iso
\tnodes pve2,pve3

dir: common
\tpath /srv/common
\tshared 1
\tcontent images
"""


class TestStorages:
    def parsed(self, node: str = "pve1", text: str = STORAGE_CFG) -> dict[str, config_text.StorageEntry]:
        return {entry.name: entry for entry in parse_storages(text, node)}

    def test_content_defaults_by_type(self):
        assert self.parsed()["local-lvm"].content == {"images", "rootdir"}
        assert self.parsed()["local"].content == {"iso", "vztmpl", "backup"}

    def test_disabled_ones_are_reported(self):
        assert not self.parsed()["old"].enabled
        assert self.parsed()["local"].enabled

    def test_storages_of_other_nodes_are_left_out(self):
        assert "shared" not in self.parsed("pve1")
        assert "shared" in self.parsed("pve2")

    def test_shared_by_type_or_by_flag(self):
        assert self.parsed("pve2")["shared"].shared
        assert self.parsed()["common"].shared
        assert not self.parsed()["local"].shared

    def test_local_is_always_there(self):
        local = self.parsed(text="")["local"]
        assert local.path == "/var/lib/vz"
        assert "vztmpl" in local.content

    def test_status_table(self):
        table = parse_storage_status(
            "Name               Type     Status     Total (KiB)      Used (KiB) Available (KiB)        %\n"
            "dis1                dir   disabled               0               0               0      N/A\n"
            "local               dir     active       264212084        36892456        69498456   13.96%\n"
            "lv1                 lvm   inactive               0               0               0    0.00%\n"
        )
        assert table["local"] == (True, 264212084 * 1024, 36892456 * 1024, 69498456 * 1024)
        assert table["lv1"] == (False, None, None, None)
        assert table["dis1"] == (False, None, None, None)


def test_section_files_of_every_kind():
    sections = parse_section_config("vnet: lan1\n\tzone z1\n\tvlanaware 1\n\nvnet: lan2\n  zone z2\n")
    assert [(s.type, s.name, s.options) for s in sections] == [
        ("vnet", "lan1", {"zone": "z1", "vlanaware": "1"}),
        ("vnet", "lan2", {"zone": "z2"}),
    ]


def test_vmlist():
    text = (
        '{"version": 4, "ids": {"101": {"node": "pve1", "type": "lxc", "version": 4},'
        ' "200": {"node": "pve2", "type": "qemu", "version": 2}}}'
    )
    assert parse_vmlist(text) == {101: Place("pve1", "lxc"), 200: Place("pve2", "qemu")}
    assert parse_vmlist("") == {}


def test_running_containers_are_those_whose_monitor_listens():
    text = (
        "Num       RefCount Protocol Flags    Type St Inode Path\n"
        "0000: 00000002 00000000 00010000 0001 01 1 @/var/lib/lxc/101/command\n"
        "0000: 00000002 00000000 00010000 0001 01 2 /run/systemd/notify\n"
        "0000: 00000002 00000000 00010000 0001 01 3 @/var/lib/lxc/7/command\n"
        "0000: 00000002 00000000 00010000 0001 01 4 @/var/lib/lxc/8/command-other\n"
    )
    assert running_containers(text) == {101, 7}


def test_pools():
    text = "user:root@pam:1:0:::a@b.c::\npool:web:the web:101,102:local:\npool:empty::::\n"
    assert parse_pools(text) == {"web": frozenset({101, 102}), "empty": frozenset()}


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("", (100, 1_000_000)),
        ("keyboard: de\n", (100, 1_000_000)),
        ("next-id: lower=200,upper=300\n", (200, 300)),
        ("next-id: upper=300\n", (100, 300)),
    ],
)
def test_vmid_bounds(text: str, bounds: tuple[int, int]):
    assert vmid_bounds(text) == bounds


def test_network_interfaces():
    interfaces = parse_interfaces(
        "auto lo\niface lo inet loopback\n\nauto vmbr0\niface vmbr0 inet static\n\taddress 10.0.0.2/24\n"
        "\tgateway 10.0.0.1\n\tbridge-ports eno1\n\tbridge-vlan-aware yes\n# note\n"
        "iface vmbr0 inet6 static\n\taddress fd00::2/64\n\n"
        "allow-ovs vmbr1\niface vmbr1 inet static\n\taddress 10.1.0.2\n\tnetmask 255.255.252.0\n\tovs_type OVSBridge\n"
        "source /etc/network/interfaces.d/*\n"
    )
    assert interfaces["vmbr0"].addresses == ["10.0.0.2/24", "fd00::2/64"]
    assert interfaces["vmbr0"].options["bridge-vlan-aware"] == "yes"
    assert interfaces["vmbr1"].addresses == ["10.1.0.2/22"]
    assert interfaces["vmbr1"].options["ovs_type"] == "OVSBridge"


def test_pending_deletions_win_over_live_values():
    assert config_text.combine({"a": "1", "b": "2"}, {"a": None, "c": "3"}) == {"b": "2", "c": "3"}


@pytest.mark.parametrize(
    ("text", "waiting", "after"),
    [
        ("a: 1\n", False, "a: 1\nlxc.environment.runtime: N=1\n"),
        ("lxc.environment.runtime: X=1\na: 1\n", False, "a: 1\nlxc.environment.runtime: N=1\n"),
        ("a: 1\n\n[s]\na: 2\n", False, "a: 1\nlxc.environment.runtime: N=1\n\n[s]\na: 2\n"),
        ("a: 1\n", True, "a: 1\n\n[pve:pending]\nlxc.environment.runtime: N=1\n"),
        (
            "a: 1\n\n[pve:pending]\nb: 2\nlxc.environment.runtime: X=1\n\n[s]\na: 2\n",
            True,
            "a: 1\n\n[pve:pending]\nb: 2\nlxc.environment.runtime: N=1\n\n[s]\na: 2\n",
        ),
        ("a: 1\n\n[s]\na: 2\n", True, "a: 1\n\n[pve:pending]\nlxc.environment.runtime: N=1\n\n[s]\na: 2\n"),
    ],
)
def test_the_environment_is_written_where_pve_reads_it(text: str, waiting: bool, after: str):
    assert config_text.with_environment(text, ["N=1"], waiting=waiting) == after


@pytest.mark.parametrize(
    ("text", "wanted", "grown"),
    [
        ("local-lvm:vm-100-disk-0,size=2G", 2 << 30, True),
        ("local-lvm:vm-100-disk-0,size=2052M", 2049 << 20, True),  # LVM has whole extents
        ("local-lvm:vm-100-disk-0,size=2052M", 2 << 30, False),
        ("local-lvm:vm-100-disk-0,size=1G", 2 << 30, False),
        ("local-lvm:vm-100-disk-0", 2 << 30, False),
    ],
)
def test_a_disk_has_grown_when_it_has_the_size_or_what_its_storage_made_of_it(
    text: str, wanted: int, grown: bool
) -> None:
    assert config_text.has_grown(text, wanted) is grown
