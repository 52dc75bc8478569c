#!/usr/bin/python
# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: openwrt_template
short_description: Make OpenWrt's own root file system a container template of a Proxmox VE node
version_added: 1.0.0
author:
  - the pve.provision authors (@pve-provision)
description:
  - Fetches OpenWrt's root file system, verifies it by OpenWrt's signature, and makes the container template
    C(openwrt-VERSION-lxc_ARCH.tar.gz) from it on storages. With O(defaults) the name also has the first digits of their
    digest.
  - The build is reproducible. The same release and defaults give the same template, bit by bit.
  - The failsafe mode is switched off, since it would use 192.168.1.1 on the LAN for a moment at each boot. Nothing else
    is changed.
  - An existing template is used if its record, C(.NAME.pve-provision.json), says that it is the right one and its
    content is still the same. A file that is damaged or has no record is never used, and never overwritten unless
    O(force=true).
  - A container from a template without defaults for its network starts like every new OpenWrt, with a DHCP server on
    C(192.168.1.1). M(pve.provision.openwrt_lxc) writes the whole configuration before the first boot.
extends_documentation_fragment:
  - pve.provision.connection
  - pve.provision.progress
attributes:
  check_mode:
    description: Queries the source and reports the steps of a real run; fetches nothing and writes to no storage.
    support: full
  diff_mode:
    description: Shows the template's volumes before and after.
    support: full
  idempotent:
    description: A second run changes nothing and fetches nothing.
    support: full
  platform:
    description:
      - Proxmox VE 8 and 9, on the node itself or over its API. Over the API the template is built where the module
        runs, kept in that user's cache, and uploaded. One on a storage is identified by its name and size.
    support: full
    platforms: proxmox
options:
  version:
    description:
      - The release. V(24) is the newest of 24.x, V(24.10) the newest of that series, V(24.10.4) exactly that one,
        V(latest) the newest stable one, V(snapshot) the development version. A release candidate has to be named.
      - For an exact version that exists the source is not queried.
    type: str
    default: "24"
  arch:
    description: The architecture, as Proxmox VE calls it or as OpenWrt calls its target.
    type: str
    choices: [amd64, arm64, x86/64, armsr/armv8]
    default: amd64
  storages:
    description:
      - The storages for the template. By default every active one that takes templates as files.
    type: list
    elements: str
    default: []
  defaults:
    description:
      - Initial configuration of containers from this template. Other defaults make another template, with another name.
      - Everything in here is readable in the template. So a template with a password hash, a secret in O(defaults.uci)
        or a file that not everybody may read is only readable by root on the storages. Over the API it is an error,
        since every user of the node may read an uploaded template.
    type: dict
    suboptions:
      hostname:
        description: Name of the router, in C(system.@system[0].hostname).
        type: str
      ssh_keys:
        description: Public keys that may log in as root, as in C(authorized_keys).
        type: list
        elements: str
      password_hash:
        description: Root's password as a crypt(3) hash. Without it root has no password, as is OpenWrt's default.
        type: str
      uci:
        description:
          - Configuration by package, section and option. A section is identified by its name, with C(.type) for a new
            one, or as C(@type[0]); C(@type) with a list of mappings adds anonymous ones. V(null) deletes.
          - It is applied by a script at the first boot, after OpenWrt has generated its own configuration.
        type: dict
      files:
        description: Files to add to the root file system, or to replace in it.
        type: list
        elements: dict
        suboptions:
          path:
            description: Path in the container.
            type: str
            required: true
          content:
            description: Content of the file.
            type: str
            required: true
          mode:
            description: Permissions in octal.
            type: str
            default: "0644"
      scripts:
        description:
          - Shell scripts that the first boot runs once, by their names in C(/etc/uci-defaults). They run in the order
            of their names; O(defaults.uci) is applied by C(90-pve-provision).
        type: dict
  verify:
    description:
      - How OpenWrt's archive is verified. V(required) needs a signature by a known key, V(checksum) trusts the
        published digest, and V(none) verifies nothing, and warns.
    type: str
    choices: [required, checksum, none]
    default: required
  keys:
    description:
      - Further usign public keys to trust, each as the base64 line of its key file.
    type: list
    elements: str
    default: []
  mirrors:
    description:
      - Servers to use instead of C(https://downloads.openwrt.org), in this order. What they deliver is still verified.
    type: list
    elements: str
    default: []
  force:
    description: Whether to replace a file with the template's name that is damaged, has no record, or is another image.
    type: bool
    default: false
  reverify:
    description:
      - Whether to read existing templates again and compare their digests. One that does not match is an error, or
        replaced with O(force=true). Not available over the API.
    type: bool
    default: false
  offline_ok:
    description:
      - Whether to use the newest verified template that matches O(version) and O(defaults) when the source cannot be
        reached. A warning says so.
    type: bool
    default: false
  snapshot_max_age:
    description: Maximum age of a snapshot in days, by the date of its source. V(0) means any.
    type: int
    default: 0
  index_max_age:
    description:
      - How many seconds the source's list of versions is cached. If the source cannot be reached, the last list is
        used, with a warning that says how old it is.
    type: int
    default: 3600
  download_timeout:
    description: How long the download may take, in seconds.
    type: int
    default: 7200
  download_ca_path:
    description: File or directory of CA certificates for the source's servers, instead of the system's.
    type: path
seealso:
  - module: pve.provision.openwrt_lxc
  - module: pve.provision.template_cache
"""

EXAMPLES = r"""
- name: The newest OpenWrt 24.x as a template on every storage for templates
  pve.provision.openwrt_template:
  register: openwrt

- name: Say what it is
  ansible.builtin.debug:
    msg: "OpenWrt {{ openwrt.version }} is {{ openwrt.volids | first }}, sha256 {{ openwrt.digest }}"

- name: One release, for two architectures, on a storage that the cluster shares
  pve.provision.openwrt_template:
    version: "24.10.4"
    arch: "{{ item }}"
    storages: [nas]
  loop: [x86/64, armsr/armv8]

- name: A template that the house's administrators can log in to, with its own DHCP server off
  pve.provision.openwrt_template:
    version: "24.10"
    defaults:
      hostname: branch-router
      ssh_keys:
        - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq0ZNp8vXn5ZLQpTRLxLz0H9a4cJ4y1vK3m2dQwErTy admins
      uci:
        system:
          "@system[0]": {timezone: CET-1CEST, zonename: Europe/Berlin}
        dhcp:
          lan: {ignore: true, ra: disabled, dhcpv6: disabled}
        network:
          lan: {proto: dhcp, ipaddr: null, netmask: null}
      files:
        - {path: /etc/banner, content: "Ask the network team before you change anything.\n"}
      scripts:
        95-no-wifi: "rm -f /etc/config/wireless\n"

- name: The development version, not older than a week, from a mirror of the house
  pve.provision.openwrt_template:
    version: snapshot
    snapshot_max_age: 7
    mirrors: [https://mirror.example.org/openwrt]
    offline_ok: true

- name: Over the API, built here and uploaded
  pve.provision.openwrt_template:
    api_host: pve.example.org
    api_user: ansible@pve
    api_token_id: provision
    api_token_secret: "{{ vault_api_token_secret }}"
    node: pve1
    storages: [local]
"""

RETURN = r"""
volids:
  description: The template's volume on each storage.
  returned: success
  type: list
  elements: str
  sample: ["local:vztmpl/openwrt-24.10.4-lxc_amd64.tar.gz"]
version:
  description: Release of OpenWrt that the template holds.
  returned: success
  type: str
  sample: 24.10.4
available_version:
  description: Newest release that the source has for O(version).
  returned: when the version is exact, or the source could be reached or its list is cached
  type: str
  sample: 24.10.4
digest:
  description: SHA-256 of the template. The same inputs give the same one everywhere.
  returned: success, in check mode only when the template exists
  type: str
  sample: 5aec4ab2ac5c16c7c8ecb87bfeeb10213abe96db6b85e2463585cea492fc861d
plan:
  description: The steps of this run, in order. Empty if everything was as declared.
  returned: success
  type: list
  elements: dict
  sample:
    - step: download
      url: https://downloads.openwrt.org/releases/24.10.4/targets/x86/64/openwrt-24.10.4-x86-64-rootfs.tar.gz
      name: openwrt-24.10.4-x86-64-rootfs.tar.gz
    - {step: build, name: openwrt-24.10.4-lxc_amd64.tar.gz}
    - {step: copy, storage: local, name: openwrt-24.10.4-lxc_amd64.tar.gz}
signed_by:
  description: Id of the key whose signature OpenWrt's archive was verified with.
  returned: success, not in check mode, unless O(verify) asks for less
  type: str
  sample: d310c6f2833e97f7
size:
  description: Bytes of the template.
  returned: success, not in check mode
  type: int
  sample: 14680064
transferred:
  description: Bytes of OpenWrt's archive that were downloaded.
  returned: success, not in check mode
  type: int
  sample: 4718592
findings:
  description: All errors in the declaration.
  returned: when the declaration cannot be carried out
  type: list
  elements: dict
  sample: [{option: storages, value: ceph, problem: is of type rbd, remedy: "Storages for container templates: local"}]
"""

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._argspec import CONNECTION, ArgSpec
from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._module import Module, failure
from ansible_collections.pve.provision.plugins.module_utils._pve.open_node import open_node
from ansible_collections.pve.provision.plugins.module_utils._store.openwrt_defaults import (
    declared_defaults,
    refuse_open,
)
from ansible_collections.pve.provision.plugins.module_utils._store.openwrt_template import (
    ARCHES,
    Prediction,
    WantedTemplate,
    ensure,
    predict,
)
from ansible_collections.pve.provision.plugins.module_utils._store.wanted import UserKey

SPEC = ArgSpec(
    options={
        "version": {"type": "str", "default": "24"},
        "arch": {"type": "str", "choices": list(ARCHES), "default": "amd64"},
        "storages": {"type": "list", "elements": "str", "default": []},
        "defaults": {
            "type": "dict",
            "options": {
                "hostname": {"type": "str"},
                "ssh_keys": {"type": "list", "elements": "str", "no_log": False},
                "password_hash": {"type": "str", "no_log": True},
                "uci": {"type": "dict"},
                "files": {
                    "type": "list",
                    "elements": "dict",
                    "options": {
                        "path": {"type": "str", "required": True},
                        "content": {"type": "str", "required": True},
                        "mode": {"type": "str", "default": "0644"},
                    },
                },
                "scripts": {"type": "dict"},
            },
        },
        "verify": {"type": "str", "choices": ["required", "checksum", "none"], "default": "required"},
        "keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
        "mirrors": {"type": "list", "elements": "str", "default": []},
        "force": {"type": "bool", "default": False},
        "reverify": {"type": "bool", "default": False},
        "offline_ok": {"type": "bool", "default": False},
        "snapshot_max_age": {"type": "int", "default": 0},
        "index_max_age": {"type": "int", "default": 3600},
        "download_timeout": {"type": "int", "default": 7200},
        "download_ca_path": {"type": "path"},
    },
)


def wanted_template(params: t.Mapping[str, t.Any]) -> WantedTemplate:
    """The declared template."""
    same = ("version", "arch", "verify", "force", "reverify", "offline_ok", "snapshot_max_age", "index_max_age")
    return WantedTemplate(
        **{name: params[name] for name in same},
        storages=tuple(params["storages"]),
        defaults=declared_defaults(params["defaults"] or {}),
        keys=tuple(UserKey(key) for key in params["keys"]),
        mirrors=tuple(params["mirrors"]),
        timeout=params["download_timeout"],
        ca_path=params["download_ca_path"],
    )


def answer(result: Prediction) -> dict[str, t.Any]:
    """The return values."""
    names = ("volids", "version", "available_version", "digest", "plan", "signed_by", "size", "transferred")
    values = {name: value for name in names if (value := getattr(result, name, None)) not in (None, "")}
    diff = {side: {"vztmpl": volids} for side, volids in (("before", result.kept), ("after", result.volids))}
    return {**values, "changed": result.changed, "diff": diff}


def main() -> None:
    module = CONNECTION.merge(SPEC).create_module(Module)
    with module.interruptible():
        try:
            wanted = wanted_template(module.params)
            node = open_node(module.params)
            refuse_open(node, wanted)
            result = predict(node, wanted) if module.check_mode else ensure(node, wanted)
        except ProvisionError as error:
            module.fail_json(**failure(error))
        for warning in result.warnings:
            module.warn(warning)
        module.exit_json(**answer(result))


if __name__ == "__main__":
    main()
