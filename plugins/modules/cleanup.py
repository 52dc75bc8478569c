#!/usr/bin/python
# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cleanup
short_description: Remove templates, images and caches of this collection that no guest needs
version_added: 1.0.0
author:
  - the pve.provision authors (@pve-provision)
description:
  - Removes golden templates without clones, images and container templates that were fetched or built, and the download
    cache. What is needed later is fetched again.
  - Only what this collection has made is removed. A golden template is identified by its name, which ends with two
    digests, a file by the record beside it, C(.NAME.pve-provision.json), and by its content, which is read again. What
    a guest of the cluster refers to is kept, with a warning.
  - To remove guests, use O(ignore:state=absent) of their modules, or playbook C(pve.provision.destroy).
extends_documentation_fragment:
  - pve.provision.connection
  - pve.provision.progress
attributes:
  check_mode:
    description: Reports what would be removed.
    support: full
  diff_mode:
    description: Shows what exists before and after.
    support: full
  idempotent:
    description: A second run finds nothing to remove.
    support: full
  platform:
    description: Proxmox VE 8 and 9. Over the API only golden templates are removed, since records cannot be read.
    support: full
    platforms: proxmox
options:
  remove:
    description:
      - What to remove. V(golden) are the templates that VMs are linked clones of, V(files) images and container
        templates on storages, V(cache) the downloads in C(/var/cache/pve-provision) on the node. Kept there are the SSH
        host keys of existing guests, and, with a warning, directories in which another run is fetching or building an
        image.
    type: list
    elements: str
    choices: [golden, files, cache]
    default: [golden, files, cache]
  min_age:
    description:
      - Minimum age in seconds. Newer templates and files are kept, with a warning, since another run may be about to
        use them. V(0) keeps none of them.
    type: int
    default: 3600
seealso:
  - module: pve.provision.template_cache
"""

EXAMPLES = r"""
- name: Remove golden templates that have no clones any more
  pve.provision.cleanup:
    remove: [golden]

- name: Remove all that no guest needs
  pve.provision.cleanup:
"""

RETURN = r"""
golden:
  description: Names of the golden templates that were removed.
  returned: success
  type: list
  elements: str
  sample: [golden-debian-13-genericcloud-amd64-20250814-8f2a1c03-4d1e9b]
files:
  description: Volumes that were removed.
  returned: success
  type: list
  elements: str
  sample: ["local:vztmpl/openwrt-24.10.4-lxc_amd64.tar.gz"]
cache:
  description: Files and directories of the cache that were removed.
  returned: success
  type: list
  elements: str
  sample: [/var/cache/pve-provision/images]
freed:
  description: Bytes of files that were freed. A file that shares its blocks with another frees none.
  returned: success
  type: int
  sample: 13631488
"""

import dataclasses

from ansible_collections.pve.provision.plugins.module_utils._argspec import CONNECTION, ArgSpec
from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._guests.unused import clean_up
from ansible_collections.pve.provision.plugins.module_utils._module import Module, failure
from ansible_collections.pve.provision.plugins.module_utils._pve.open_node import open_node

WHAT = ["golden", "files", "cache"]
SPEC = ArgSpec(
    options={
        "remove": {"type": "list", "elements": "str", "choices": WHAT, "default": WHAT},
        "min_age": {"type": "int", "default": 3600},
    }
)


def main() -> None:
    module = CONNECTION.merge(SPEC).create_module(Module)
    with module.interruptible():
        try:
            what, min_age = module.params["remove"], module.params["min_age"]
            removed = clean_up(open_node(module.params), what, min_age, check_mode=module.check_mode)
        except ProvisionError as error:
            module.fail_json(**failure(error))
        for warning in removed.warnings:
            module.warn(warning)
        values = dataclasses.asdict(removed)
        for name in ("warnings", "since"):
            values.pop(name)
        before = [name for kind in WHAT for name in values[kind]]
        module.exit_json(changed=removed.changed, diff={"before": before, "after": []}, **values)


if __name__ == "__main__":
    main()
