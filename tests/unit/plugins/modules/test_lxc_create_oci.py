# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers from OCI images: fetched by digest, made, remembered, and left alone."""

from __future__ import annotations

import tarfile
import typing as t

import pytest

from embedded_node.mirror import images
from embedded_node.mirror.registry import OciRegistry

from .conftest import Answer, Bench, Params, grant, pvesh, steps

BASE: images.Tree = {**images.ALPINE, "etc/os-release": "ID=alpine\nVERSION_ID=3.22.1\n", "srv/old": "old\n"}
APP: images.Tree = {"usr/bin/app": "#!/bin/sh\nexec sleep 1000000\n", "srv/.wh.old": "", "srv/new": "1\n"}
CONFIG = {
    "Entrypoint": ["/usr/bin/app"],
    "Cmd": ["--listen", "all of them"],
    "Env": ["PATH=/usr/bin:/bin", "MODE=usual"],
    "WorkingDir": "/srv",
    "StopSignal": "SIGQUIT",
    "Volumes": {"/data": {}},
}


@pytest.fixture(scope="module")
def serving() -> t.Iterator[OciRegistry]:
    with OciRegistry(tokens=True) as registry:
        registry.push("team/app", "1.0", [BASE, APP], CONFIG)
        yield registry


@pytest.fixture
def registry(serving: OciRegistry) -> t.Iterator[OciRegistry]:
    serving.forget()
    yield serving
    serving.clear_faults()


def cache(bench: Bench) -> list[str]:
    return sorted(path.name for path in (bench.node.root / "var/lib/vz/template/cache").iterdir())


def container(registry: OciRegistry, tag: str = ":1.0", **more: t.Any) -> Params:
    return {
        "hostname": "app",
        "image": {"oci": f"{registry.name('team/app')}{tag}"},
        "rootfs": {"storage": "local-lvm", "size": 1},
        "networks": [{"bridge": "vmbr0", "ip": "10.99.0.9/24"}],
        **more,
    }


def finding(answer: Answer) -> Params:
    (found,) = answer.findings
    return t.cast("Params", found)


def text_of(bench: Bench, vmid: int) -> str:
    return (bench.node.root / f"etc/pve/lxc/{vmid}.conf").read_text(encoding="utf-8")


# -- making one --------------------------------------------------------------------------------------------------------
def test_it_is_predicted_fetched_made_and_left_alone(bench: Bench, registry: OciRegistry) -> None:
    declared = container(registry, state="started", description="The team's own")
    told = bench.good("lxc_create", check=True, **declared)
    assert registry.count("*/blobs/*") == 1  # what the image says of itself
    made = bench.good("lxc_create", **declared)
    assert made.plan == told.plan
    assert steps(made) == ["fetch_image", "create", "start"]
    assert made.plan[0]["volid"] == told.ostemplate
    assert made.plan[0]["size"] == (bench.node.root / "var/lib/vz/template/cache" / made.ostemplate[13:]).stat().st_size
    config = bench.config(made.vmid)
    assert config["entrypoint"] == "/usr/bin/app --listen 'all of them'"
    assert (config["cmode"], config["ostype"], config["lxc.init.cwd"]) == ("console", "alpine", "/srv")
    assert "host-managed=1" in config["net0"]
    assert made.image["reference"].startswith(f"{declared['image']['oci']}@sha256:")
    assert made.image["digest"] != made.image["contents"]
    assert made.config["description"].startswith("The team's own\n\nImage: ")
    assert made.status == "running"
    inside = bench.pct("exec", str(made.vmid), "--", "ls", "/srv").split()
    assert inside == ["new"]
    registry.forget()
    bench.node.forget()
    again = bench.good("lxc_create", **declared)
    assert (again.changed, again.image, registry.requests) == (False, made.image, [])
    if bench.backend == "cli":
        assert bench.writes() == []


def test_what_is_declared_goes_over_what_the_image_says(bench: Bench, registry: OciRegistry) -> None:
    declared = container(registry, entrypoint="/usr/bin/app --quiet", env=["MODE=own", "TZ=UTC"], cmode="shell")
    made = bench.good("lxc_create", **declared)
    assert steps(made) == ["fetch_image", "create", "set"]
    assert "own" not in str(made.plan)
    config, text = bench.config(made.vmid), text_of(bench, made.vmid)
    assert (config["entrypoint"], config["cmode"]) == ("/usr/bin/app --quiet", "shell")
    env = [line.partition(": ")[2] for line in text.splitlines() if line.startswith("lxc.environment")]
    assert env == ["PATH=/usr/bin:/bin", "MODE=own", "TZ=UTC"]
    assert "lxc.signal.halt: SIGQUIT" in text
    assert not bench.good("lxc_create", **declared).changed
    changed = bench.good("lxc_create", **{**declared, "env": ["MODE=other"]})
    assert steps(changed) == ["set"]
    assert "MODE=other" in text_of(bench, made.vmid)
    assert "PATH=/usr/bin:/bin" in text_of(bench, made.vmid)


def test_an_image_is_fetched_once_for_all_that_are_made_from_it(bench: Bench, registry: OciRegistry) -> None:
    two = [{"type": "lxc", **container(registry, hostname=name, networks=[])} for name in ("a", "b")]
    assert bench.good("guests", guests=two).changed
    assert registry.count("*/manifests/*", 200) == 2
    fetched = registry.bytes_sent("*/blobs/*")
    registry.forget()
    third = bench.good("lxc_create", **container(registry, hostname="c", networks=[]))
    assert steps(third) == ["create"]
    assert registry.bytes_sent("*/blobs/*") < fetched / 2


@pytest.mark.parametrize("form", ["oci", "docker"])
def test_the_archive_is_one_that_proxmox_ve_knows(bench: Bench, registry: OciRegistry, form: str) -> None:
    digest = registry.push("team/other", form, [BASE, APP, BASE], CONFIG, form=form, platforms=())
    declared = container(registry, image={"oci": f"{registry.name('team/other')}@{digest}"}, template_storage="local")
    made = bench.good("lxc_create", **declared)
    assert made.image["digest"] == made.image["contents"] == digest
    path = bench.node.root / "var/lib/vz/template/cache" / made.ostemplate.partition("/")[2]
    assert digest[7:39] in path.name
    with tarfile.open(path) as tar:
        names = tar.getnames()
        assert b"docker" not in t.cast("t.IO[bytes]", tar.extractfile(names[4])).read()
    assert names[:4] == ["blobs", "blobs/sha256", "oci-layout", "index.json"]
    assert len(names) == len(set(names)) == 8
    assert not bench.good("lxc_create", **declared).changed


def test_one_that_is_destroyed_and_recreated_gets_what_the_tag_means_now(bench: Bench, registry: OciRegistry) -> None:
    registry.push("team/moving", "1", [BASE, APP], CONFIG)
    declared = container(
        registry, image={"oci": f"{registry.name('team/moving')}:1"}, rootfs={"storage": "local-lvm", "size": "2G"}
    )
    first = bench.good("lxc_create", **declared)
    registry.push("team/moving", "1", [BASE, APP, {"srv/newer": "2\n"}], CONFIG)
    assert not bench.good("lxc_create", **declared).changed
    smaller = {**declared, "rootfs": {"storage": "local-lvm", "size": "1G"}}
    anew = bench.good("lxc_create", **smaller, recreate=True)
    assert steps(anew)[0] == "fetch_image"
    assert anew.image != first.image


@pytest.mark.parametrize(
    ("more", "why"),
    [({"unprivileged": False}, "unprivileged is false"), ({"features": {"mount": ["nfs"]}}, "features.mount works in")],
)
def test_none_is_unpacked_for_a_privileged_container(
    bench: Bench, registry: OciRegistry, more: Params, why: str
) -> None:
    """Proxmox VE unpacks it in a user namespace, which such a container has not; what is there is not destroyed."""
    told = finding(bench.bad("lxc_create", **container(registry), **more))
    assert (told["option"], why in told["problem"]) == ("image.oci", True)
    bench.good("lxc_create", **container(registry))
    assert bench.bad("lxc_create", **container(registry), **more, recreate=True).findings


# -- its registry is away ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("by", ["tag", "digest"])
def test_what_was_fetched_before_serves_while_its_registry_is_away(
    bench: Bench, registry: OciRegistry, by: str
) -> None:
    held = bench.good("lxc_create", **container(registry)).image
    which = ":1.0" if by == "tag" else f"@{held['digest']}"
    registry.fault("status", code=503)
    declared = container(registry, which, hostname="b", networks=[], env=["MODE=own"], retries=0)
    if bench.backend == "api":  # there nobody can look into the archives of a storage
        assert "HTTP 503" in finding(bench.bad("lxc_create", **declared))["problem"]
        return
    told = bench.good("lxc_create", check=True, **declared)
    made = bench.good("lxc_create", **declared)
    assert steps(told) == steps(made) == ["create", "set"]
    assert (made.image["digest"], made.image["contents"]) == (held["digest"], held["contents"])
    assert "PATH=/usr/bin:/bin" in text_of(bench, made.vmid)
    (degraded,) = made.degraded
    assert "HTTP 503" in degraded["because"]
    assert degraded["instead"] == f"{made.ostemplate.partition('/')[2]}, verified before,"
    assert told.degraded == made.degraded


@pytest.mark.parametrize(("code", "tag"), [(503, ":2.0"), (404, ":1.0")])
def test_neither_another_tag_serves_nor_one_that_the_registry_has_not(
    bench: Bench, registry: OciRegistry, code: int, tag: str
) -> None:
    bench.good("lxc_create", **container(registry))
    registry.fault("status", code=code)
    declared = container(registry, tag, hostname="b", networks=[])
    assert f"HTTP {code}" in finding(bench.bad("lxc_create", check=True, **declared))["problem"]


# -- refused -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("tag", "problem"),
    [
        ("", "neither a tag nor a digest"),
        (":", "is not the name of an image"),
        (":9", "it has no such image (HTTP 404)"),
        (f"@sha256:{'0' * 64}", "it has no such image (HTTP 404)"),
    ],
)
def test_what_is_not_there_is_reported(bench: Bench, registry: OciRegistry, tag: str, problem: str) -> None:
    found = finding(bench.bad("lxc_create", check=True, **container(registry, tag)))
    assert found["option"] == "image.oci"
    assert problem in found["problem"]


def test_all_that_is_wrong_is_reported_at_once(bench: Bench, registry: OciRegistry) -> None:
    declared = container(registry, ":9", networks=[{"bridge": "vmbr77"}])
    assert {found["option"] for found in bench.bad("lxc_create", **declared).findings} >= {
        "image.oci",
        "networks[0].bridge",
    }


def test_other_architectures_are_reported(bench: Bench, registry: OciRegistry) -> None:
    found = finding(bench.bad("lxc_create", **container(registry, arch="riscv64")))
    assert "is not made for riscv64" in found["problem"]
    assert "amd64, arm64" in found["remedy"]


def test_an_older_proxmox_ve_is_reported(bench: Bench, registry: OciRegistry) -> None:
    with bench.release("9.0.11"):
        found = finding(bench.bad("lxc_create", **container(registry)))
    assert "needs Proxmox VE 9.1" in found["problem"]
    assert registry.requests == []


def test_fetching_can_be_turned_off(bench: Bench, registry: OciRegistry) -> None:
    found = finding(bench.bad("lxc_create", **container(registry), fetch_template=False))
    assert "fetch_template is false" in found["problem"]
    bench.good("lxc_create", **container(registry))
    assert steps(bench.good("lxc_create", **container(registry, hostname="b", networks=[]), fetch_template=False)) == [
        "create"
    ]


def test_bytes_that_are_not_those_of_the_digest_are_not_used(bench: Bench, registry: OciRegistry) -> None:
    digest = registry.push("team/bad", "1", [{**BASE, "etc/bad": "1\n"}], CONFIG)
    registry.spoil("team/bad", "1")
    before = cache(bench)
    declared = container(registry, image={"oci": f"{registry.name('team/bad')}@{digest}"})
    assert "sha256" in bench.bad("lxc_create", **declared).msg
    assert cache(bench) == before
    assert not list((bench.node.root / "etc/pve/lxc").glob("*.conf"))


def test_a_manifest_that_is_not_that_of_the_digest_is_not_used(bench: Bench, registry: OciRegistry) -> None:
    digest = registry.push("team/lied", "1", [BASE], CONFIG)
    registry.fault("replace", "*/team/lied/manifests/*", body=b'{"schemaVersion": 2}')
    declared = container(registry, image={"oci": f"{registry.name('team/lied')}@{digest}"})
    assert "something whose digest is" in finding(bench.bad("lxc_create", **declared))["problem"]


def test_an_image_that_is_not_public_takes_a_login_that_nobody_is_shown(bench: Bench, registry: OciRegistry) -> None:
    registry.account = "ada:s3cret-word"
    try:
        declared = container(registry)
        assert "login" in finding(bench.bad("lxc_create", **declared))["problem"]
        half = {**declared["image"], "username": "ada"}
        refused = bench.bad("lxc_create", **{**declared, "image": half})
        assert "image.password" in {found["option"] for found in refused.findings}
        made = bench.good("lxc_create", **{**declared, "image": {**half, "password": "s3cret-word"}})
    finally:
        registry.account = ""
    assert "s3cret-word" not in str(made.values)
    assert "s3cret-word" not in text_of(bench, made.vmid)
    assert all("s3cret-word" not in word for argv in bench.writes() for word in argv)


def test_what_a_broken_fetch_has_brought_is_not_fetched_again(bench: Bench, registry: OciRegistry) -> None:
    registry.push("team/cut", "1", [{**BASE, "etc/cut": "1\n"}, {"srv/large": "x" * 4096}], CONFIG)
    declared = container(registry, image={"oci": f"{registry.name('team/cut')}:1"})
    registry.fault("cut", "*/team/cut/blobs/*", times=1, after=5)
    assert bench.good("lxc_create", **declared).changed


def test_a_container_that_does_not_tell_its_image_is_left_alone(bench: Bench, registry: OciRegistry) -> None:
    plain = {key: value for key, value in container(registry).items() if key != "image"}
    bench.good("lxc_create", **plain, ostemplate="alpine-3.22-default")
    answer = bench.good("lxc_create", **container(registry))
    assert not answer.changed
    assert any("image.oci is not verified" in str(warning) for warning in answer.warnings), answer.warnings
    assert registry.requests == []


def test_the_right_to_upload_is_asked_for_before(bench: Bench, registry: OciRegistry, token: Params) -> None:
    pvesh(bench, "set", "/access/acl", "--path", "/", "--users", "ansible@pve", "--roles", "PVEAuditor")
    found = finding(bench.bad("lxc_create", check=True, **container(registry), **token))
    assert "Datastore.AllocateTemplate on /storage/local (upload)" in found["problem"]
    grant(bench, found["remedy"])
    assert steps(bench.good("lxc_create", **container(registry), **token)) == ["fetch_image", "create"]
