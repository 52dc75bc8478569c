#!/usr/bin/python
# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: template_cache
short_description: Keep a verified image on the storages of a Proxmox VE node
version_added: 1.0.0
author:
  - the pve.provision authors (@pve-provision)
description:
  - Keeps one image on storages, as container template, ISO image or disk image to import. It is fetched once, verified
    by its source's signature and digests before it gets its name, and copied to every storage.
  - A record beside each file, C(.NAME.pve-provision.json), says what the file is. A file whose size or time has changed
    is read again before it is used. A file that is damaged or has no record is never used, and never overwritten unless
    O(force=true). A recorded file is only removed or replaced if its content is still as recorded.
  - O(verify) applies to cached files too. One that was not verified by a key of this run is verified now, or fetched
    again. Over the API a file is identified only by its name and size; a warning says so.
  - Parallel runs fetch an image once, on one node or on several that share a storage.
extends_documentation_fragment:
  - pve.provision.connection
  - pve.provision.progress
attributes:
  check_mode:
    description: Queries the source and reports the steps of a real run; writes nothing to a storage.
    support: full
  diff_mode:
    description: Shows the names of the image's files before and after.
    support: full
  idempotent:
    description: A second run changes nothing and fetches no image. O(force=true) over the API fetches each time.
    support: partial
  platform:
    description: Proxmox VE 8 and 9, on the node itself or over its API.
    support: full
    platforms: proxmox
options:
  source:
    description:
      - Where the image comes from. V(url) and V(file) are images of your own. V(pveam) and V(turnkeylinux) are the
        templates that C(pveam) offers.
    type: str
    required: true
    choices:
      - alma
      - alpine
      - debian
      - fedora
      - file
      - freebsd
      - haos
      - openwrt
      - opnsense
      - pveam
      - rocky
      - talos
      - turnkeylinux
      - ubuntu
      - url
  version:
    description:
      - The version. A part of it means the newest match, such as V(24.10) for V(24.10.4). A release candidate has to be
        named.
      - For V(openwrt) by default the newest V(24), or V(latest) or V(snapshot). For V(ubuntu) by default V(lts), the
        newest with long-term support. For V(haos) the channel V(stable), V(beta) or V(dev), or a version. For
        V(debian) also a code name. For the others by default V(latest).
      - For V(pveam) and V(turnkeylinux) the name of the package, V(debian-13-standard) for its newest version, the
        beginning of that name, V(debian) or V(debian-13), or the whole name of a template; it has no default.
    type: str
    default: ""
  arch:
    description: The architecture of the image.
    type: str
    choices: [amd64, arm64]
    default: amd64
  variant:
    description:
      - Which image of a version, if there are several. By default the one that fits Proxmox VE best.
      - V(openwrt) disks have V(ext4-combined-efi), V(ext4-combined), V(squashfs-combined-efi) and V(squashfs-combined);
        V(debian) V(genericcloud), V(generic) and V(nocloud); V(freebsd) V(cloudinit-ufs), V(cloudinit-zfs), V(ufs) and
        V(zfs); V(opnsense) V(nano), V(vga) and V(serial); V(alpine) disks V(bios-cloudinit) and V(uefi-cloudinit).
    type: str
    default: ""
  content:
    description:
      - Content type of the image on the storage. V(vztmpl) are container templates, V(iso) ISO images, V(import) disk
        images that a VM's disk can be made from. Compressed disk and ISO images are unpacked.
    type: str
    choices: [vztmpl, iso, import]
    required: true
  storages:
    description:
      - The storages for the image. By default every active storage that takes this content.
      - Block storages, such as RBD, LVM and ZFS, take none of these contents.
    type: list
    elements: str
    default: []
  state:
    description:
      - V(present) accepts any version that O(version) covers, and fetches the newest if there is none.
        RV(update_available) says whether there is a newer one.
      - V(latest) fetches the newest version that O(version) covers.
      - V(absent) removes the recorded files that O(version) covers, except those that a guest refers to.
      - Over the API cached files are identified only by their names, so there V(present) is like V(latest), and
        V(absent) removes the file of the newest version, unless its size shows that it is another one.
    type: str
    choices: [present, latest, absent]
    default: present
  keep:
    description:
      - How many versions of this image to keep on each storage, of those that O(version) covers. Older ones are removed
        unless a guest of the cluster refers to them, as a VM does to the ISO image in its drive. By default all are
        kept.
      - Only files with a record are ever removed. Not available over the API.
    type: int
  url:
    description: Address of the image, for O(source=url).
    type: str
  path:
    description:
      - Path of the image, for O(source=file). It is a path on the machine where the module runs, which is the node, or
        with O(api_host) the controller.
    type: path
  filename:
    description:
      - Name of the file on the storage, with an extension that Proxmox VE accepts for O(content). By default the
        source's name with its version.
    type: str
  checksum:
    description:
      - Digest that the image must have, as C(sha256:HEX) or C(sha512:HEX), of the file as it is at the source. It is
        checked in addition to the digests of the source.
    type: str
  checksum_url:
    description: Address of a checksum list that includes the image, for O(source=url).
    type: str
  verify:
    description:
      - How an image is verified before it is used. V(required) needs a signature by a trusted key of the checksum list
        or the file, V(checksum) a digest that the source publishes or O(checksum). V(none) verifies nothing, and warns.
      - Alpine's signatures do not include the version of a file, so the version inside the image has to match its name.
        With V(required), a disk image without a readable version, or one that is compressed with zstd, is refused.
      - The default is V(required) if the source signs and its keys are known, else V(checksum).
    type: str
    choices: [required, checksum, none]
  keys:
    description:
      - Keys to trust besides the known ones of the source. With a key of your own, no keys are fetched from the
        source's servers, so that a mirror without Internet access works.
    type: list
    elements: dict
    default: []
    suboptions:
      public:
        description: A usign public key, an armored GPG key block, or a public key in PEM format.
        type: str
        required: true
      fingerprint:
        description: Fingerprint of the GPG key that is trusted. Required for a GPG key block.
        type: str
  mirrors:
    description:
      - Servers to use instead of the official one, in this order. A mirror has the paths of the official site below its
        address; for a source with several servers it has the paths of all of them.
    type: list
    elements: str
    default: []
  force:
    description: Whether to replace a file of the same name that is damaged, has no record, or is another image.
    type: bool
    default: false
  reverify:
    description:
      - Whether to read every cached file again and compare its digest. One that does not match is an error, or replaced
        with O(force=true). Over the API files cannot be read, so there it needs O(force=true).
    type: bool
    default: false
  offline_ok:
    description:
      - Whether O(state=latest) accepts the newest verified image in the cache when the source cannot be reached, with a
        warning. O(state=present) always does.
    type: bool
    default: false
  snapshot_max_age:
    description: Maximum age of a snapshot of OpenWrt in days, by the date of its source. V(0) means any.
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
  - module: pve.provision.lxc_create
"""

EXAMPLES = r"""
- name: Debian's template on every storage for templates
  pve.provision.template_cache:
    source: pveam
    version: debian-13-standard
    content: vztmpl

- name: The newest OpenWrt 24.10 as a disk image, and the two versions before it
  pve.provision.template_cache:
    source: openwrt
    version: "24.10"
    content: import
    variant: ext4-combined
    storages: [local, nas]
    state: latest
    keep: 3
  register: openwrt

- name: Say whether it is new
  ansible.builtin.debug:
    msg: "OpenWrt {{ openwrt.version }} is on {{ openwrt.volids | join(', ') }}"

- name: Ubuntu's newest cloud image with long-term support, from a mirror of the house
  pve.provision.template_cache:
    source: ubuntu
    content: import
    mirrors: [https://mirror.example.org/cloud-images]

- name: An image of your own, with its digest
  pve.provision.template_cache:
    source: url
    url: https://images.example.org/appliance-2.1.qcow2
    checksum: sha256:0f343b0931126a20f133d67c2b018a3b5f8a44b0a2f0d1f5a2c6c6e4b1d3f4aa
    content: import

- name: Over the API, where Proxmox VE fetches the file itself
  pve.provision.template_cache:
    api_host: pve.example.org
    api_user: ansible@pve
    api_token_id: provision
    api_token_secret: "{{ vault_api_token_secret }}"
    node: pve1
    source: alpine
    version: "3.22"
    content: vztmpl
    verify: checksum
    storages: [local]

- name: Remove what is left of OpenWrt 23.05
  pve.provision.template_cache:
    source: openwrt
    version: "23.05"
    content: vztmpl
    state: absent
"""

RETURN = r"""
version:
  description: Version that is on the storages after the run.
  returned: success, unless O(state=absent) on the node
  type: str
  sample: 24.10.4
available_version:
  description: Newest version that the source has for O(version).
  returned: when the source could be reached, or its list is cached
  type: str
  sample: 24.10.4
update_available:
  description: Whether RV(available_version) is newer than RV(version).
  returned: success
  type: bool
volids:
  description: The image's volume on each storage.
  returned: success
  type: list
  elements: str
  sample: ["local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst"]
images:
  description:
    - The image on each storage. C(how) is V(kept), V(adopted) for a file without a record that was verified to be the
      image, V(download), V(upload), V(reflink), V(hardlink) or V(copy). C(signed_by) is the key that has signed the
      image.
  returned: success
  type: list
  elements: dict
  sample:
    - storage: local
      volid: "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst"
      how: download
      sha256: 5aec4ab2ac5c16c7c8ecb87bfeeb10213abe96db6b85e2463585cea492fc861d
      signed_by: 24B30F06ECC1836A4E5EFECBA7BCD1420BFE778E
      size: 129710398
      path: /var/lib/vz/template/cache/debian-13-standard_13.1-2_amd64.tar.zst
plan:
  description: The steps of this run, in order. Empty if everything was as declared.
  returned: success
  type: list
  elements: dict
  sample: [{step: download, url: "https://downloads.openwrt.org/...", storage: local, name: openwrt.tar.gz}]
transferred:
  description: Bytes of the image that were downloaded.
  returned: success
  type: int
  sample: 4718592
freed:
  description: Bytes that were freed, or in check mode would be. A file that shares its blocks with another frees none.
  returned: success
  type: int
  sample: 0
capacity:
  description: Size of each storage and its free space before and after, in bytes.
  returned: success
  type: dict
  sample: {local: {before: {total: 1000, available: 900}, after: {total: 1000, available: 895}}}
findings:
  description: All errors in the declaration.
  returned: when the declaration cannot be carried out
  type: list
  elements: dict
  sample: [{option: storages, value: ceph, problem: is of type rbd, remedy: "Storages for container templates: local"}]
"""

import dataclasses
import time
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._argspec import CONNECTION, ArgSpec
from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._images.http import Access
from ansible_collections.pve.provision.plugins.module_utils._images.releases import NAMES
from ansible_collections.pve.provision.plugins.module_utils._images.releases.indexes import Indexes
from ansible_collections.pve.provision.plugins.module_utils._module import Module, failure
from ansible_collections.pve.provision.plugins.module_utils._pve.cache import cache_directory
from ansible_collections.pve.provision.plugins.module_utils._pve.open_node import open_node
from ansible_collections.pve.provision.plugins.module_utils._store.image import ImageResult, provide
from ansible_collections.pve.provision.plugins.module_utils._store.wanted import UserKey, WantedImage

SPEC = ArgSpec(
    options={
        "source": {"type": "str", "required": True, "choices": sorted([*NAMES, "file", "url"])},
        "version": {"type": "str", "default": ""},
        "arch": {"type": "str", "choices": ["amd64", "arm64"], "default": "amd64"},
        "variant": {"type": "str", "default": ""},
        "content": {"type": "str", "choices": ["vztmpl", "iso", "import"], "required": True},
        "storages": {"type": "list", "elements": "str", "default": []},
        "state": {"type": "str", "choices": ["present", "latest", "absent"], "default": "present"},
        "keep": {"type": "int"},
        "url": {"type": "str"},
        "path": {"type": "path"},
        "filename": {"type": "str"},
        "checksum": {"type": "str"},
        "checksum_url": {"type": "str"},
        "verify": {"type": "str", "choices": ["required", "checksum", "none"]},
        "keys": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "no_log": False,
            "options": {"public": {"type": "str", "required": True}, "fingerprint": {"type": "str"}},
        },
        "mirrors": {"type": "list", "elements": "str", "default": []},
        "force": {"type": "bool", "default": False},
        "reverify": {"type": "bool", "default": False},
        "offline_ok": {"type": "bool", "default": False},
        "snapshot_max_age": {"type": "int", "default": 0},
        "index_max_age": {"type": "int", "default": 3600},
        "download_timeout": {"type": "int", "default": 7200},
        "download_ca_path": {"type": "path"},
    },
    required_if=[("source", "url", ["url"]), ("source", "file", ["path"])],
)


def wanted_image(params: t.Mapping[str, t.Any]) -> WantedImage:
    """The declared image."""
    names = {field.name for field in dataclasses.fields(WantedImage)}
    values = {name: value for name, value in params.items() if name in names and value is not None}
    keys = tuple(UserKey(key["public"], key["fingerprint"] or "") for key in params["keys"])
    lists = {name: tuple(params[name]) for name in ("storages", "mirrors")}
    return WantedImage(**{**values, **lists, "keys": keys, "timeout": params["download_timeout"]})


def answer(result: ImageResult, content: str) -> dict[str, t.Any]:
    """The return values."""
    values = {key: value for key, value in dataclasses.asdict(result).items() if value is not None}
    values.pop("warnings")
    before, after = (values.pop(side) for side in ("before", "after"))
    return {**values, "diff": {"before": {content: before}, "after": {content: after}}}


def run(params: t.Mapping[str, t.Any], *, check_mode: bool) -> ImageResult:
    """Have the image where it is to be, or tell what that would do."""
    node = open_node(params)
    indexes = Indexes(cache_directory(node), params["index_max_age"], Access(ca_path=params["download_ca_path"]))
    return provide(node, wanted_image(params), indexes, check_mode=check_mode, now=time.time())


def main() -> None:
    module = CONNECTION.merge(SPEC).create_module(Module)
    with module.interruptible():
        try:
            result = run(module.params, check_mode=module.check_mode)
        except ProvisionError as error:
            module.fail_json(**failure(error))
        for warning in result.warnings:
            module.warn(warning)
        module.exit_json(**answer(result, module.params["content"]))


if __name__ == "__main__":
    main()
