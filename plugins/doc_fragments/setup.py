# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of what is to be in a guest; the tables are in module_utils/_model/setup/options.py."""

from __future__ import annotations


class ModuleDocFragment:
    """Packages, users, files, services and commands of a guest."""

    DOCUMENTATION = r"""
options:
  packages:
    description:
      - Packages to install in the running guest. An entry is the name of a package, or a dictionary with C(name),
        C(state) (V(present) or V(absent)) and C(manager).
      - C(manager) limits an entry to guests with that package manager, V(apt), V(apk), V(dnf), V(pacman) or V(zypper);
        so do the suboptions of that name elsewhere.
      - This and the following options are applied by one script in the running guest, by C(pct exec) on the node, by
        the guest agent of a VM, or by SSH with O(ssh_private_key). The guest is inspected first, also in check mode,
        and only differences are changed and reported. A guest that is as declared costs one command.
      - What was set is recorded in the guest, in C(/var/lib/pve-provision). What is no longer declared is undone, that
        is, packages are removed and files restored, except what existed before or has been changed by others since.
        That needs at least one of these options in the declaration, even as an empty list. Without any of them the
        guest is not inspected.
      - The order is O(repositories), O(packages), O(users), O(files), O(commands) with O(commands[].before_services),
        O(services), the restarts of O(files[].notify), and the other O(commands).
      - A guest that does not run is not inspected, and a warning says so. All this may take O(timeouts.post_install) at
        most.
    type: list
    elements: raw
  repositories:
    description:
      - Package repositories besides those of the distribution. The package lists are updated after a change.
      - C({id}), C({codename}), C({version}), C({major}), C({minor}) and C({architecture}) in addresses, suites and
        components are replaced by the values of the guest, such as V(debian), V(trixie), V(13), V(13), V(13.1) and
        V(amd64).
      - Not supported for pacman.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the repository's file in the guest, without extension.
        type: str
        required: true
      uris:
        description: URLs of the repository.
        type: list
        elements: str
        required: true
      suites:
        description: Suites, for apt. The default is the guest's codename.
        type: list
        elements: str
      components:
        description: Components, for apt. The default is V(main).
        type: list
        elements: str
      architectures:
        description: Architectures, for apt. The default is the guest's own.
        type: list
        elements: str
      public_key:
        description:
          - The public key that signs the repository, as text. It is a PEM key for apk, and an OpenPGP key for all
            others.
          - Without it the repository has to be signed by a key that the guest already trusts.
        type: str
      public_key_url:
        description:
          - URL of the public key. The machine that runs the module fetches it when the guest does not have it yet. It
            is used if it holds exactly the keys with the O(repositories[].fingerprints).
        type: str
      fingerprints:
        description: The fingerprints of the keys in O(repositories[].public_key_url).
        type: list
        elements: str
      public_key_name:
        description:
          - Name of the key file, which signatures refer to, for apk. The default is O(repositories[].name).
        type: str
      trusted:
        description: Whether its packages are installed without a signature. By default not.
        type: bool
      manager:
        description: The package manager that the repository is for. By default all that support it.
        type: str
        choices: [apt, apk, dnf, pacman, zypper]
  users:
    description:
      - Accounts in the guest. An existing one keeps what is not declared here.
      - An account that was created here and is no longer declared is removed; its home and created groups are kept. One
        that existed before loses the keys, memberships and C(sudo) rights that it got here; its password, lock,
        comment, home and shell stay as they are.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the account.
        type: str
        required: true
      state:
        description: V(absent) removes the account. The default is V(present).
        type: str
        choices: [present, absent]
      uid:
        description: User ID, V(1) to V(4294967294), which cannot change. By default the guest chooses it.
        type: int
      system:
        description: Whether a new account is a system account. By default not.
        type: bool
      comment:
        description: Full name or another comment.
        type: str
      home:
        description: Home directory, an absolute path. The default for a new account is that of the distribution.
        type: str
      shell:
        description: Login shell, an absolute path. The default for a new account is that of the distribution.
        type: str
      groups:
        description: Additional groups of the account. Missing groups are created; other memberships stay.
        type: list
        elements: str
      ssh_keys:
        description: Public keys for SSH logins, added to those that others have put there.
        type: list
        elements: str
      password_hash:
        description: Hash of the password, as C(mkpasswd) makes it. It is never shown.
        type: str
      locked:
        description:
          - Whether the password is locked. Logins with an SSH key stay possible. By default it is left as it is.
        type: bool
      sudo:
        description:
          - Whether the account may run everything by C(sudo), with its password (V(password)) or without (V(nopasswd)).
            The package C(sudo) is installed.
        type: str
        choices: [password, nopasswd]
  files:
    description:
      - Files, directories and links in the guest. Contents are compared by SHA-256, and each file is replaced
        atomically. A missing parent directory is created.
      - For a Jinja template use C(content) with the lookup P(ansible.builtin.template#lookup).
    type: list
    elements: dict
    suboptions:
      path:
        description: Absolute path of the file.
        type: str
        required: true
      state:
        description:
          - The default is V(file), or V(link) with O(files[].target). V(absent) removes a file, a link, or an empty
            directory.
        type: str
        choices: [file, directory, link, absent]
      content:
        description: Content as text.
        type: str
      secret_content:
        description: Content that is never shown. The default mode is then V(0600).
        type: str
      url:
        description:
          - URL from which the guest itself fetches the file, with C(curl), which is installed with C(ca-certificates).
            Needs O(files[].sha256).
        type: str
      sha256:
        description: SHA-256 of the file at O(files[].url), in hexadecimal digits.
        type: str
      target:
        description: Target of a link.
        type: str
      owner:
        description: Owner, by name or number. The default for a new file is C(root).
        type: str
      group:
        description: Group, by name or number. The default for a new file is C(root).
        type: str
      mode:
        description: Mode in quotes. The default is V("0644") for a new file and V("0755") for a new directory.
        type: raw
      notify:
        description:
          - Services that are restarted when the file has changed, if they run. If the run is killed before, the next
            run does it.
        type: list
        elements: str
      manager:
        description: Limits the entry to guests with that package manager. By default it applies to all.
        type: str
        choices: [apt, apk, dnf, pacman, zypper]
  services:
    description:
      - Services of systemd or OpenRC, by name. V(true) enables and starts one, V(false) disables and stops it; a
        dictionary with C(enabled) and C(started) sets each separately.
    type: dict
  locale:
    description:
      - The locale of the system, such as V(en_US.UTF-8). It is generated if it is missing, and applies from the next
        login on.
    type: str
  commands:
    description: Commands that run once, as decided by O(commands[].creates) or O(commands[].unless).
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the command in plans and messages. By default the command itself.
        type: str
      command:
        description:
          - The command, run as root by the guest's C(sh). It may have several lines; it ends at the first that fails.
        type: str
        required: true
      creates:
        description: The command is skipped if this absolute path exists.
        type: str
      unless:
        description:
          - The command is skipped if this one exits with 0. This one also runs in check mode, so it must not change
            anything.
        type: str
      before_services:
        description: Whether the command runs before O(services) are started. By default it runs after.
        type: bool
      notify:
        description: Services that are restarted after the command, if they run.
        type: list
        elements: str
      manager:
        description: Limits the entry to guests with that package manager. By default it applies to all.
        type: str
        choices: [apt, apk, dnf, pacman, zypper]
  unattended_upgrades:
    description:
      - Whether the guest upgrades its packages by itself, by C(unattended-upgrades), C(dnf-automatic), or a daily C(apk
        upgrade). V(false) switches that off. Not supported for pacman and zypper.
    type: bool
  ssh_private_key:
    description:
      - Path of the private key for SSH to the guest as root, on the machine where the module runs, or V(agent) for the
        keys of the SSH agent there, as AWX provides it with a credential of type Machine.
      - It is used where nothing else works, that is for containers over the API, and for VMs without guest agent, or
        whose agent runs no commands.
      - SSH goes to the first declared static address, for a VM in C(cloud_init.ip), else to an address that a container
        reports, or that is in the node's neighbour table. Over the API a VM without guest agent needs a static address.
      - The guest's host key is stored at the first connection, and must not change later.
    type: path
"""
