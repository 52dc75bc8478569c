# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: from the parameters of a container to the OCI image that it is made from."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding


def with_image(params: t.Mapping[str, t.Any], wanted: Wanted) -> tuple[Wanted, tuple[Part, ...]]:
    """The container, and what its image adds to a run, where it has one."""
    declared = params.get("image")
    if not declared:
        return wanted, ()
    from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.oci.part import (
        DESCRIPTION,
        ENV,
        OciContainer,
    )
    from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.oci.replace import OPTION
    from ansible_collections.pve.provision.plugins.module_utils._model.oci import OciReference

    try:
        reference = OciReference.parse(declared["oci"])
    except ValueError as error:
        finding = Finding(OPTION, declared["oci"], str(error), "Write it as REGISTRY/NAME:TAG or REGISTRY/NAME@DIGEST.")
        return dataclasses.replace(wanted, template_made_by_run=True, findings=(*wanted.findings, finding)), ()
    user, password = declared.get("username"), declared.get("password")
    if bool(user) != bool(password):
        missing = "image.password" if user else "image.username"
        finding = Finding(missing, None, "is missing", "A registry asks for both. Public images need neither.")
        wanted = dataclasses.replace(wanted, findings=(*wanted.findings, finding))
    account = (str(user), str(password)) if user and password else None
    values = wanted.declaration.values
    own: dict[str, t.Any] = {key: values[key] for key in (DESCRIPTION, ENV) if key in values}
    return wanted, (OciContainer(reference, wanted.fetch, own, account),)
