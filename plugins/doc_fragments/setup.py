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
      - Packages that are to be in the guest once it runs. An entry is the name of a package, or a dictionary with
        C(name), C(state) (V(present) or V(absent)) and C(manager).
      - C(manager) limits an entry to guests with that package manager, V(apt), V(apk), V(dnf), V(pacman) or V(zypper);
        so do the suboptions of that name elsewhere.
      - This and all that follows is done by one script in the running guest, by C(pct exec) on the node, by
        the guest agent of a VM, or by SSH with O(ssh_private_key). The guest is asked first, also in check mode, and
        only what differs is changed and reported. A guest as declared costs one command.
      - What was set is noted in the guest, in C(/var/lib/pve-provision). What is not declared any more is taken back,
        packages removed, files put back as they were, and nothing that was there before or that others changed
        since. That needs one of these options in the declaration; an empty list will do. Where none is, nobody looks
        into the guest.
      - It is done in this order, O(repositories), O(packages), O(users), O(files), O(commands) with
        O(commands[].before_services), O(services), the restarts that O(files[].notify) asks for, and the other
        O(commands).
      - A guest that does not run is not looked at, and a warning says so. It may take O(timeouts.post_install) at most.
    type: list
    elements: raw
  repositories:
    description:
      - Where packages come from besides the distribution's own repositories. The package lists are read again after a
        change.
      - C({id}), C({codename}), C({version}), C({major}), C({minor}) and C({architecture}) in addresses, suites and
        components stand for what the guest is, such as V(debian), V(trixie), V(13), V(13), V(13.1) and V(amd64).
      - There are none for pacman.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the file that lists it, without its ending.
        type: str
        required: true
      uris:
        description: Its addresses.
        type: list
        elements: str
        required: true
      suites:
        description: For apt, its suites. By default the guest's codename.
        type: list
        elements: str
      components:
        description: For apt, its components. By default V(main).
        type: list
        elements: str
      architectures:
        description: For apt, the architectures that are asked for. By default the guest's own.
        type: list
        elements: str
      public_key:
        description:
          - The public key that signs it, as text. That of OpenPGP is for all but apk, a PEM key for apk alone.
          - Without a key of its own it has to be signed by one that the guest trusts already.
        type: str
      public_key_url:
        description:
          - Address of the public key. It is fetched by whoever runs the module, when the guest does not have it yet,
            and used when it holds the O(repositories[].fingerprints) and no other key.
        type: str
      fingerprints:
        description: The fingerprints of the keys that O(repositories[].public_key_url) brings.
        type: list
        elements: str
      public_key_name:
        description:
          - For apk, the name of the key's file, by which signatures know it. By default O(repositories[].name).
        type: str
      trusted:
        description: Whether its packages are taken unsigned. By default not.
        type: bool
      manager:
        description: The package manager that it is for. By default all that can have it.
        type: str
        choices: [apt, apk, dnf, pacman, zypper]
  users:
    description:
      - Accounts in the guest. One that is there keeps what is not stated here.
      - One that was made here and is not declared any more is removed; its home stays, and so do groups that were
        made. One that was there loses the keys, memberships and rights of C(sudo) that it was given here; its password,
        lock, comment, home and shell stay as they are.
    type: list
    elements: dict
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      state:
        description: V(absent) removes it. By default it is V(present).
        type: str
        choices: [present, absent]
      uid:
        description: Its number, V(1) to V(4294967294), which cannot change. By default the guest chooses it.
        type: int
      system:
        description: Whether a new one is an account of the system. By default not.
        type: bool
      comment:
        description: Its full name, or whatever there is to say of it.
        type: str
      home:
        description: Its home, an absolute path. By default what the distribution gives a new account.
        type: str
      shell:
        description: Its login shell, an absolute path. By default what the distribution gives a new account.
        type: str
      groups:
        description: Groups that it is a member of besides its own. Those that are not there are made; others stay.
        type: list
        elements: str
      ssh_keys:
        description: Public keys that let it in by SSH, added to those that others have put there.
        type: list
        elements: str
      password_hash:
        description: The hash of its password, as C(mkpasswd) makes it. It is never shown.
        type: str
      locked:
        description: Whether its password is locked. A key may let it in all the same. By default left as it is.
        type: bool
      sudo:
        description:
          - Whether it may do everything by C(sudo), with its V(password) or with none, V(nopasswd). The package
            C(sudo) is installed.
        type: str
        choices: [password, nopasswd]
  files:
    description:
      - Files, folders and links in the guest. Their contents are compared by SHA-256, and each is put in place whole
        or not at all. The folder that one is in is made where it is missing.
      - For a template of Jinja say C(content) with the lookup P(ansible.builtin.template#lookup).
    type: list
    elements: dict
    suboptions:
      path:
        description: Where it is, an absolute path.
        type: str
        required: true
      state:
        description:
          - By default V(file), or V(link) where O(files[].target) is stated. V(absent) removes a file, a link, or a
            folder that is empty.
        type: str
        choices: [file, directory, link, absent]
      content:
        description: Its content, as text.
        type: str
      secret_content:
        description: Its content that is never shown. Its mode is V(0600) by default.
        type: str
      url:
        description:
          - Address from which the guest itself fetches it, with C(curl), which is installed with
            C(ca-certificates). Needs O(files[].sha256).
        type: str
      sha256:
        description: The SHA-256 of what O(files[].url) brings, in hexadecimal digits.
        type: str
      target:
        description: What a link points to.
        type: str
      owner:
        description: Its owner, by name or number. By default C(root) for what is new.
        type: str
      group:
        description: Its group, by name or number. By default C(root) for what is new.
        type: str
      mode:
        description: Its mode in quotes, such as V("0644"), which is the default for a new file; V("0755") for a folder.
        type: raw
      notify:
        description:
          - Services that are restarted when it has changed, where they run. That is not forgotten when the run is
            killed in between.
        type: list
        elements: str
      manager:
        description: The package manager of the guests that it is for. By default all.
        type: str
        choices: [apt, apk, dnf, pacman, zypper]
  services:
    description:
      - Services of systemd or OpenRC, by their names. V(true) is one that starts with the guest and runs, V(false)
        one that does neither; a dictionary says so in part, with C(enabled) and C(started).
    type: dict
  locale:
    description:
      - The locale of the system, such as V(en_US.UTF-8). It is made where it is not there, and counts for whoever logs
        in next.
    type: str
  commands:
    description: Commands that are run where something tells that they were not yet.
    type: list
    elements: dict
    suboptions:
      name:
        description: What it is called in plans and messages. By default the command itself.
        type: str
      command:
        description: The command, run as root by the guest's C(sh). It may have several lines; one that fails ends it.
        type: str
        required: true
      creates:
        description: It is not run where this absolute path is there.
        type: str
      unless:
        description:
          - It is not run where this command ends with 0. That is asked in check mode, too, so it must change nothing.
        type: str
      before_services:
        description: Whether it is run before O(services) are started, instead of after. By default after.
        type: bool
      notify:
        description: Services that are restarted when it was run, where they run.
        type: list
        elements: str
      manager:
        description: The package manager of the guests that it is for. By default all.
        type: str
        choices: [apt, apk, dnf, pacman, zypper]
  unattended_upgrades:
    description:
      - Whether the system upgrades its packages by itself, by C(unattended-upgrades), C(dnf-automatic), or a daily
        C(apk upgrade). V(false) switches that off. There is none for pacman and zypper.
    type: bool
  ssh_private_key:
    description:
      - Path of the private key that lets root into the guest by SSH, on the machine this runs on, or V(agent) for the
        keys of the SSH agent there, such as AWX starts with a credential of type Machine.
      - It is used where there is no other way in, so for containers over the API, and for VMs without guest agent,
        or whose agent runs no commands.
      - It goes to the first static address that is declared, of a VM in C(cloud_init.ip), else to one that a container
        tells, or at which the node has met the guest on its own networks. Over the API nobody tells any of a VM, so
        there a VM without guest agent needs a static one.
      - The guest's own key is noted when it is seen first, and has to stay.
    type: path
"""
