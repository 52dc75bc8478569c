# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a run tells what was found, of whom, and lets nothing else in."""

from __future__ import annotations

import html
import re
import typing as t
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.plugin_utils.report.page import page

GIB = 1 << 30
ROUTER = {
    "name": "gw",
    "type": "openwrt_lxc",
    "interfaces": {
        "wan": {"bridge": "vmbr0", "tag": 10, "proto": "dhcp"},
        "lan": {"bridge": "vmbr1", "address": "192.168.1.1/24"},
    },
}
WEB = {"name": "web1", "type": "lxc", "networks": [{"bridge": "vmbr1", "ip": "dhcp"}]}
SEEN = {"interface": "eth0", "address": "192.168.1.20", "prefix": 24, "family": "ipv4", "source": "guest"}
CHECK = {"name": "HTTP port 80", "type": "http", "asked": "GET http://192.168.1.20:80/", "by": "192.168.1.20"}
DATA: dict[str, t.Any] = {
    "title": "Guests of pve1",
    "at": "2026-03-01 09:00",
    "guests": [WEB, ROUTER],
    "results": [
        {"name": "web1", "type": "lxc", "vmid": 101, "node": "pve1", "status": "running", "changed": True,
         "addresses": [SEEN], "pending": {"memory": 512},
         "checks": [{**CHECK, "outcome": "failed", "detail": "connection refused", "at": "2026-03-01T09:00:00Z"},
                    {**CHECK, "name": "DNS", "outcome": "not_verified", "detail": "nobody answers"}]},
        {"name": "gw", "type": "openwrt_lxc", "failed": True, "msg": "create failed: <no space>", "changed": False},
    ],
    "timeline": [
        {"guest": "web1", "step": "create", "began": 0.0, "seconds": 4.0, "failed": False},
        {"guest": "gw", "step": "create", "began": 1.0, "seconds": 0.5, "failed": True},
    ],
    "storages_before": [{"name": "local-lvm", "total": 100 * GIB, "available": 60 * GIB}],
    "storages": [{"name": "local-lvm", "type": "lvmthin", "total": 100 * GIB, "available": 50 * GIB},
                 {"name": "off", "type": "nfs", "total": None, "available": None}],
    "plan": ["+ create web1 (101)", "1 to create, 0 unchanged"],
}  # fmt: skip


def drawings(text: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]


def words(drawing: ElementTree.Element) -> list[str]:
    return [str(each.text) for each in drawing.iter() if each.tag.endswith("}text")]


def test_networks_are_columns_and_guests_are_rows_with_what_was_seen() -> None:
    networks = drawings(page(DATA))[0]
    told = words(networks)
    assert [each for each in told if each in ("vmbr0", "vmbr1", "VLAN 10", "untagged")] == [
        "vmbr0", "VLAN 10", "vmbr1", "untagged",
    ]  # fmt: skip
    assert told.index("gw") < told.index("web1")  # routers, which join segments, stand on top
    assert {"wan dhcp", "lan 192.168.1.1/24", "192.168.1.20"} <= set(told)
    assert networks.get("aria-label") == "2 guests in 2 network segments"


def test_checks_stand_with_their_evidence_and_those_that_failed_first() -> None:
    rows = re.findall(r"<tr>(.*?)</tr>", page(DATA).split("<h2>Checks</h2>")[1].split("</section>")[0])
    assert ['class="failed"' in row for row in rows[1:]] == [True, False]
    assert all(word in rows[1] for word in ("connection refused", CHECK["asked"], CHECK["by"], "09:00:00Z"))


def test_storages_tell_what_has_come_to_them() -> None:
    (drawn,) = [each for each in drawings(page(DATA)) if "local-lvm" in str(each.get("aria-label"))]
    assert drawn.get("aria-label") == "local-lvm: 50% in use, 40% before"
    assert [each.get("width") for each in drawn.iter() if each.tag.endswith("rect")] == ["300", "120", "30"]


def test_the_timeline_has_a_bar_for_each_step() -> None:
    (lanes,) = [each for each in drawings(page(DATA)) if "steps" in str(each.get("aria-label"))]
    bars = [each for each in lanes.iter() if each.tag.endswith("rect")]
    found = [(each.get("class"), each.get("x"), each.get("width")) for each in bars]
    assert found == [("bar", "0%", "100%"), ("bar failed", "25%", "12.5%")]


def test_a_word_stands_in_a_bar_that_has_room_for_it_on_a_phone_too() -> None:
    steps = [("create", 0.0, 50.0), ("start", 50.0, 9.0), ("verify", 59.0, 0.1), ("check", 59.1, 40.9)]
    moments = [{"guest": "web1", "step": step, "began": began, "seconds": took} for step, began, took in steps]
    text = page({"timeline": moments})
    assert re.findall(r'class="(on-bar[^"]*)">(\w+)', text) == [
        ("on-bar", "create"), ("on-bar wide", "start"), ("on-bar", "check"),
    ]  # fmt: skip
    assert 'width="0.5%"' in text, "a short step is seen"


def test_what_has_come_to_a_storage_is_seen_however_little_it_is() -> None:
    storage = {"name": "local-lvm", "total": 100 * GIB, "available": 100 * GIB - 1024}
    text = page({"storages": [storage], "storages_before": [{**storage, "available": 100 * GIB}]})
    (drawn,) = drawings(text)
    assert [each.get("width") for each in drawn.iter() if each.get("class") == "added"] == ["2"]
    assert 'class="added"' not in page({"storages": [storage], "storages_before": [storage]})


def test_each_value_of_a_table_says_under_which_head_it_stands() -> None:
    row = re.findall(r"<tr>(.*?)</tr>", page(DATA).split("<h2>Guests</h2>")[1])[1]
    assert re.findall(r'<td data-head="([^"]*)"', row)[:5] == ["name", "type", "vmid", "node", "status"]


def test_one_guest_is_no_guests() -> None:
    text = page({"results": [{"name": "web1", "type": "lxc"}]})
    assert "<b>1</b>guest</li>" in text and ">1 guest</caption>" in text


def test_what_is_missing_has_no_section() -> None:
    assert re.findall(r"<h2>(.*?)</h2>", page({"results": [{"name": "web1", "type": "lxc"}]})) == ["Guests"]


def test_the_page_asks_nobody_for_anything() -> None:
    text = page(DATA)
    assert re.findall(r"(?:src|href|url|@import)\s*[=(]", text) == []
    assert "<script" not in text


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_whatever_a_guest_says_is_text(said: str) -> None:
    result = {"name": said, "type": said, "msg": said, "checks": [{"name": said, "outcome": "failed", "detail": said}]}
    moments = [{"guest": said, "step": said, "began": 0, "seconds": 1}]
    text = page({
        "title": said, "guests": [{**WEB, "name": said}], "results": [result], "plan": [said], "timeline": moments,
    })  # fmt: skip
    marked = re.sub(r"<(/?[a-z0-9]+)(?: [^<>]*)?>", r"<\1>", text.partition("</style>")[2])
    known = re.findall(
        r"\w+",
        "html head body header main section h1 h2 p ul li b div table caption thead tbody tr th td pre "
        "svg g title line text tspan rect circle",
    )
    assert {tag.strip("/") for tag in re.findall(r"<(/?[^<>]*)>", marked)} <= set(known)
    assert len(drawings(text)) == 2


@pytest.mark.parametrize("said", ["<b>x</b>", 'a" onload="x', "&amp;"])
def test_markup_of_others_is_shown_as_they_wrote_it_also_in_attributes(said: str) -> None:
    storage = {"name": said, "total": 100 * GIB, "available": 50 * GIB}
    text = page({"title": said, "storages": [storage]})
    assert f"<h1>{html.escape(said)}</h1>" in text
    (drawn,) = drawings(text)
    assert str(drawn.get("aria-label")).startswith(f"{said}: 50% in use")
    assert "onload" not in drawn.attrib


def test_why_a_run_has_failed_stands_first() -> None:
    text = page({**DATA, "messages": ["1 of 2 guests failed.\ngw: no <space>"]})
    assert text.index("<h2>What has failed</h2>") < text.index("<h2>Networks</h2>")
    assert "<pre>1 of 2 guests failed.\ngw: no &lt;space&gt;</pre>" in text


def test_a_guest_that_is_not_as_declared_is_red_though_nothing_has_failed() -> None:
    row = {"name": "web1", "type": "lxc", "failed_checks": ["address"], "evidence": [], "checks": "address FAILED",
           "notes": ["configuration differs"]}  # fmt: skip
    text = page({"results": [row]})
    assert '<td data-head="result" class="failed">not as declared: address</td>' in text
    assert "<b>1</b>failed" in text
    assert '<td data-head="remark">configuration differs</td>' in text


def test_guests_that_are_to_be_absent_are_in_no_network() -> None:
    assert drawings(page({"guests": [{**WEB, "state": "absent"}]})) == []
