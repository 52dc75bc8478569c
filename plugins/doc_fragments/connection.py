# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the connection options; the spec is CONNECTION in module_utils/_argspec.py."""

from __future__ import annotations


class ModuleDocFragment:
    """How a module reaches its node."""

    DOCUMENTATION = r"""
attributes:
  action_group:
    description:
      - C(module_defaults) with C(group/pve.provision.node) sets options of all modules of this collection at once,
        for a play or a block.
    support: full
    membership: [pve.provision.node]
options:
  api_host:
    description:
      - Name or address of a Proxmox VE node whose HTTPS API is used.
      - When it is not set, the module runs on the node itself, as root, with the commands C(pct), C(qm) and C(pvesm).
      - When it is set, the module runs anywhere the Python libraries C(proxmoxer) and C(requests) are, usually with
        C(delegate_to=localhost) or in an execution environment.
      - When it is not set, the environment variable E(PROXMOX_HOST) is used.
    type: str
  api_port:
    description:
      - TCP port of the API.
      - When it is not set, the environment variable E(PROXMOX_PORT) is used.
    type: int
    default: 8006
  api_user:
    description:
      - User with its realm, for example V(root@pam) or V(ansible@pve). Required with O(api_host).
      - When it is not set, the environment variable E(PROXMOX_USER) is used.
    type: str
  api_password:
    description:
      - Password of O(api_user). Give this or a token; when both are given the token is used.
      - Some options can only be set by C(root@pam) with a password, because Proxmox VE does not treat a token of
        C(root@pam) as C(root@pam). The error says so in that case.
      - When it is not set, the environment variable E(PROXMOX_PASSWORD) is used.
    type: str
  api_token_id:
    description:
      - Name of the API token, the part after the exclamation mark.
      - When it is not set, the environment variable E(PROXMOX_TOKEN_ID) is used.
    type: str
  api_token_secret:
    description:
      - Secret of the API token.
      - When it is not set, the environment variable E(PROXMOX_TOKEN_SECRET) is used.
    type: str
  validate_certs:
    description:
      - Whether the node's TLS certificate must be valid.
      - When it is not set, the environment variable E(PROXMOX_VALIDATE_CERTS) is used.
    type: bool
    default: true
  ca_path:
    description:
      - File with the certificates of the authorities to trust, in PEM format. A node's own authority is
        C(/etc/pve/pve-root-ca.pem).
      - When it is not set, the authorities of the environment or of C(requests) are trusted.
      - When it is not set, the environment variable E(PROXMOX_CA_PATH) is used.
    type: path
  node:
    description:
      - Name of the node to work on.
      - On the node itself this can be left out; it is an error when it names another node.
      - Over the API it can be left out when only one node is online.
    type: str
  timeout:
    description:
      - How long to wait for one step on the node, for example for a create or a start, in seconds.
    type: int
    default: 600
  http_timeout:
    description:
      - How long to wait for the answer to one HTTP request, in seconds.
      - When it is not set, the environment variable E(PROXMOX_API_TIMEOUT) is used.
    type: int
    default: 30
"""
