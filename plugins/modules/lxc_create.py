#!/usr/bin/python
# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxc_create
short_description: Create, change, start, stop and remove an LXC container of Proxmox VE
version_added: 1.0.0
author:
  - the pve.provision authors (@pve-provision)
description:
  - Makes a container match its declaration. What is as declared is left alone and costs no command; what differs is
    changed in place, in one call that holds the differing options only.
  - Everything that stands against the declaration is reported at once, before anything is written.
  - A container is never created anew, shrunk or overwritten unless the task asks for it by name.
  - A run that fails takes back what it has created; what a killed run has left is removed by the next one.
extends_documentation_fragment:
  - pve.provision.connection
  - pve.provision.app
  - pve.provision.app_paths
  - pve.provision.progress
  - pve.provision.policy
  - pve.provision.checks
  - pve.provision.setup
  - pve.provision.container
attributes:
  check_mode:
    description: Tells the steps and the difference that a real run has, and writes nothing.
    support: full
  diff_mode:
    description: Shows the options that change, before and after. Secrets are never shown.
    support: full
  idempotent:
    description: >-
      A second run changes nothing. O(password), O(ssh_public_keys), O(ostemplate), O(clone_from), O(restore_from)
      and O(image) count only when the container is created. O(state=restarted) restarts each time.
    support: partial
  platform:
    description: Proxmox VE 8 and 9, on the node itself or over its API.
    support: full
    platforms: proxmox
options:
  state:
    description:
      - V(present) creates or changes the container and leaves it running or stopped as it is; a new one is stopped.
      - V(started), V(stopped) and V(restarted) do the same and then start, shut down or restart it.
      - V(latest) is V(started), with the newest of what it is made of. A container of an O(image) gets the image that
        its tag means now. Any other one is asked of which of its O(packages), those of an application among them, its
        repositories have newer versions. Before it gets these, and before anything else in it is changed, a snapshot is
        taken. Where a storage takes none, the container is backed up in place of that, to a file of the node or over
        the API to a storage, for which it is shut down, and a warning says so; not where that would lose anything, such
        as a mount point without C(backup). Without either nothing is changed. Where a step fails, or it does not pass
        its O(checks) then, it is taken back to what it was before the run, as with O(rollback=snapshot).
      - V(template) does the same, shuts it down where it runs and turns it into a template, which others are cloned
        from, and which can neither be turned back nor started. One that is a template already stays one. Its options
        are changed where Proxmox VE allows that.
      - V(absent) shuts it down and removes it with its volumes. Needs O(vmid), and the right O(hostname) when that is
        given.
    type: str
    choices: [present, started, latest, stopped, restarted, template, absent]
    default: present
  gpu:
    description:
      - Whether the container gets the graphics devices of the node, which are those of C(/dev/dri), C(/dev/kfd) and
        C(/dev/nvidia*), each with the number that group C(render) or C(video) has in the container. A device that
        O(devices) names is left to that.
      - A new container gets them once it was started, a running one at once. Proxmox VE reserves this to C(root@pam),
        and the API does not report which devices a node has.
      - Where the node has none, or nobody tells, each run warns of that, and M(pve.provision.guest_verify) reports that
        check C(drift) is not verified.
    type: bool
  ostemplate:
    description:
      - The template a new container is made from. Either a volume such as
        V(local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst), or a name such as V(debian-13-standard), which means
        the newest one of that name on the node's storages. One that is there is used without asking anybody for a newer
        one.
      - One that no storage holds is fetched, see O(fetch_template).
      - Proxmox VE does not remember the template of an existing container. A template of another system than the
        container's is an error.
    type: str
  fetch_template:
    description:
      - Whether an O(ostemplate) that no storage holds is fetched from what Proxmox VE offers. That is listed in
        the node's index of templates, which Proxmox VE updates and verifies itself, once a day and with C(pveam
        update).
      - On the node the template is fetched from the address and compared with the SHA-512 that this index has. Over the
        API Proxmox VE is told to fetch it, which needs C(Datastore.AllocateTemplate) on the storage.
      - In check mode nothing is fetched; the plan names the template and its storage. No byte of the template is asked
        for then, only how large it is. A fetched template stays, also when the container could not be made.
    type: bool
    default: true
  template_storage:
    description:
      - Storage that a fetched template goes to. By default the one that O(ostemplate) names, or the one with the most
        room of those that take container templates. An image of O(image) goes to the largest of these by default.
    type: str
  image:
    description:
      - The OCI image, as Docker and Podman use them, that a new container is made from, in place of O(ostemplate).
        Since Proxmox VE 9.1.
      - Proxmox VE makes O(entrypoint), O(env), O(cmode), the user, the working directory and the signal to stop by of
        what the image says. What is declared of O(entrypoint) and O(cmode) is set in their place, and the variables of
        O(env) are set over those of the image. A network device is then configured by the node, as nothing in the
        container does that.
      - What is to outlast the container belongs on O(mount_points).
      - The description of the container gets a line that tells the image and its digests, and keeps it. A container
        whose description does not tell an image is left as it is, with a warning.
      - Another name, tag or digest, and with O(state=latest) another digest of the same tag, gives the container
        another root file system. The new one is unpacked beside, while the container runs. Then it is shut down, gets
        the new one and is started. Its number, name, networks, mount points and what is on them stay; what was changed
        in the root file system does not. It has to go on running, and to pass its O(checks); otherwise it gets the old
        root file system back. Only after that the old one is removed. A run that was killed meanwhile is finished by
        the next one.
      - A container that is stopped gets it when it is started.
      - A protected container, and one with snapshots, gets no other root file system. Over the API neither does one
        whose new image says something else of the user, the working directory or the signal to stop by, which the API
        cannot set.
    type: dict
    suboptions:
      oci:
        description:
          - Name of the image, as C(REGISTRY/NAME), with a tag, a digest, or both, such as
            V(docker.io/library/nginx:1.29) or V(ghcr.io/example/app@sha256:DIGEST). With both the digest counts.
          - A tag is looked up when the container is created, and with O(state=latest) in each run. RV(image) tells the
            digest that it has.
          - While the registry cannot be asked, O(state=latest) keeps the image that the container has, and on the node
            a new container is made from the file on the storage that was fetched by the same digest, or last by the
            same tag. Both are told in RV(degraded). That the registry has no such image is an error.
          - The parts of the image are fetched by their digests, each is compared with its own, and together they lie on
            O(template_storage) as one file whose name has the digest in it. The same image is fetched once. On the node
            it is fetched there, over the API by the machine that the module runs on, and uploaded. Proxmox VE's
            own pull is not used, as it takes tags alone and verifies nothing.
          - A registry on the same machine, by a name such as V(localhost:5000/app:1), is asked by plain HTTP, all
            others by HTTPS.
        type: str
        required: true
      username:
        description: Account at the registry, for an image that is not public.
        type: str
      password:
        description: Its password, or a token that the registry has given out for it.
        type: str
  ostype:
    description:
      - What Proxmox VE sets up inside the container. It detects this from the template by default. With V(unmanaged)
        it writes nothing into the container. A running container takes a change at its next start.
    type: str
    choices: [debian, devuan, ubuntu, centos, fedora, opensuse, archlinux, alpine, gentoo, nixos, unmanaged]
  unprivileged:
    description:
      - Whether root in the container is an ordinary user of the node. Cannot change on an existing container.
      - By default a new container is unprivileged unless something declared cannot work so; RV(privilege) tells why.
    type: bool
  networks:
    description:
      - The network devices. A MAC address that is not declared is chosen by Proxmox VE once and then kept.
    type: list
    elements: dict
    suboptions:
      id:
        description:
          - Number of the device, as in C(net0).
          - Without it a device is known by its O(networks[].name) or O(networks[].hwaddr), and one that has neither by
            what else is declared of it; the order of the list does not matter then. A new device gets the number of its
            place in the list, or the next free one.
        type: int
      state:
        description: V(absent) removes this one device, named by its O(networks[].id), name or MAC address.
        type: str
        choices: [present, absent]
        default: present
      name:
        description: Name of the interface in the container. By default C(eth) and the number.
        type: str
      bridge:
        description: Bridge or SDN vnet of the node.
        type: str
      ip:
        description: IPv4 address with prefix, V(dhcp) or V(manual).
        type: str
      gateway:
        description: IPv4 gateway. It must be in the network of O(networks[].ip).
        type: str
      ip6:
        description: IPv6 address with prefix, V(auto), V(dhcp) or V(manual).
        type: str
      gateway6:
        description: IPv6 gateway.
        type: str
      tag:
        description: VLAN tag, V(1) to V(4094).
        type: int
      trunks:
        description:
          - VLAN tags that pass through to the container, each a tag or a range such as V("2-4094"). The bridge must be
            VLAN-aware.
        type: list
        elements: str
      mtu:
        description: >-
          MTU, V(64) to V(65535), not above that of the bridge. A running container takes a change at its next start.
        type: int
      hwaddr:
        description: MAC address, unicast.
        type: str
      firewall:
        description: Whether Proxmox VE's firewall filters this device.
        type: bool
      rate:
        description: Rate limit in MB/s, V(0) to V(10000).
        type: float
      link_down:
        description: Whether the device is unplugged.
        type: bool
      host_managed:
        description: Whether the node configures the address from outside. Since Proxmox VE 9.1.
        type: bool
      type:
        description: Kind of the device; Proxmox VE has this one.
        type: str
        choices: [veth]
  nameserver:
    description:
      - DNS servers, by address. A link-local one names its interface, as in V(fe80::1%eth0). A running container takes
        a change at its next start.
    type: list
    elements: str
  searchdomain:
    description: DNS search domains. A running container takes a change at its next start.
    type: list
    elements: str
  features:
    description:
      - What the container may do beyond the ordinary. Proxmox VE reserves all but nesting in an unprivileged container
        to C(root@pam). A running container takes a change at its next start.
    type: dict
    suboptions:
      nesting:
        description: Whether containers may run inside; newer versions of systemd need it too.
        type: bool
      keyctl:
        description: Whether the keyctl system call is open, in unprivileged containers.
        type: bool
      fuse:
        description: Whether FUSE file systems work.
        type: bool
      mknod:
        description: Whether certain device nodes can be made.
        type: bool
      mount:
        description: File system types that may be mounted, such as V(nfs). Makes a new container privileged.
        type: list
        elements: str
      force_rw_sys:
        description: Whether C(/sys) is writable in an unprivileged container.
        type: bool
  timezone:
    description: Time zone such as V(Europe/Berlin), or V(host). A running container takes a change at its next start.
    type: str
  entrypoint:
    description: >-
      Command that runs as init. Proxmox VE's default is V(/sbin/init). A running container takes a change at its next
      start. Since Proxmox VE 9.1.
    type: str
  env:
    description:
      - Environment of the init process, as C(NAME=value). It may hold secrets, so it is on no command line and in no
        log, and never shown; on the node it is written into the config of the container.
      - A running container takes a change at its next start. Since Proxmox VE 9.1.
    type: list
    elements: str
  password:
    description: Password of root, of 5 characters or more. Counts only at the creation, and is never shown.
    type: str
  ssh_public_keys:
    description:
      - Public keys that may log in as root, written as in C(authorized_keys), with or without options before them. An
        entry may be a whole file of keys. Count only at the creation.
    type: list
    elements: str
  ignore_unpack_errors:
    description: >-
      Whether the creation goes on when the template does not unpack cleanly. Counts only at the creation.
    type: bool
  bwlimit:
    description: Limit of I/O while unpacking, in KiB/s. Counts only at the creation.
    type: int
  clone_from:
    description:
      - A container that a new one is cloned from, instead of O(ostemplate). Of its tags the clone has none but those of
        O(tags).
    type: dict
    suboptions:
      vmid:
        description: Number of the source, V(100) to V(999999999).
        type: int
      name:
        description: Host name of the source.
        type: str
      full:
        description:
          - Whether to copy the volumes. By default a template is cloned linked where its storage can, everything else
            in full.
        type: bool
      snapname:
        description: Snapshot of the source to clone.
        type: str
      storage:
        description: Storage of a full clone.
        type: str
  restore_from:
    description:
      - A backup that a new container is restored from, instead of O(ostemplate). What is declared besides is changed
        after that. A container that is there is never restored over.
      - All its volumes are put on the storage O(rootfs.storage), by default on that of the root volume that was backed
        up.
      - The MAC addresses and tags are those of the backup. While the container that was backed up is still there, new
        addresses are drawn, and the tags are those of O(tags) alone.
    type: dict
    suboptions:
      backup:
        description:
          - The backup, as a volume such as V(local:backup/vzdump-lxc-101-2026_01_31-02_00_00.tar.zst). V(latest) is the
            newest one of the container O(vmid), or of the one called O(hostname) where no number is declared.
        type: str
        required: true
      storage:
        description: Storage that V(latest) is looked for on. By default all that hold backups.
        type: str
  recreate:
    description:
      - Whether to destroy an existing container and create it anew when something declared cannot change in place. Its
        data are lost. A protected container is never destroyed.
    type: bool
    default: false
seealso:
  - module: community.proxmox.proxmox_backup
    description: Back up guests.
"""

EXAMPLES = r"""
- name: A web server with a static address
  pve.provision.lxc_create:
    hostname: web1
    ostemplate: debian-13-standard
    cores: 2
    memory: 1024
    rootfs: {storage: local-lvm, size: 8G}
    networks:
      - {bridge: vmbr0, tag: 20, ip: 192.168.20.10/24, gateway: 192.168.20.1}
    tags: [web]
    state: started

- name: The same server with what is to be in it
  pve.provision.lxc_create:
    hostname: web1
    state: started
    packages: [nginx, {name: apache2, state: absent}]
    users:
      - {name: ada, sudo: nopasswd, ssh_keys: ["{{ lookup('ansible.builtin.file', 'ada.pub') }}"]}
    files:
      - path: /etc/nginx/conf.d/site.conf
        content: "{{ lookup('ansible.builtin.template', 'site.conf.j2') }}"
        notify: [nginx]
    services: {nginx: true}
    commands:
      - {command: mkdir -p /srv/www && echo ok > /srv/www/health, creates: /srv/www/health, before_services: true}
    unattended_upgrades: true

- name: A template of another Debian, fetched to the storage for images unless it is there
  pve.provision.lxc_create:
    hostname: old1
    ostemplate: debian-12-standard
    template_storage: nas
    rootfs: {storage: local-lvm, size: 8G}

- name: The same server, with more memory and a volume for its data
  pve.provision.lxc_create:
    hostname: web1
    memory: 2048
    mount_points:
      - {storage: local-lvm, size: 4G, mp: /srv/data, backup: true}
    restart: when_needed

- name: The same server, without its second network device, whatever else it has
  pve.provision.lxc_create:
    hostname: web1
    networks:
      - {id: 1, state: absent}

- name: An application from its image, with its data on a volume of their own
  pve.provision.lxc_create:
    hostname: wiki
    image: {oci: "docker.io/library/nginx:1.29"}
    env: [TZ=Europe/Vienna]
    memory: 256
    rootfs: {storage: local-lvm, size: 2G}
    mount_points:
      - {storage: local-lvm, size: 4G, mp: /usr/share/nginx/html, backup: true}
    networks:
      - {bridge: vmbr0, ip: 192.168.20.11/24, gateway: 192.168.20.1}
    state: started

- name: The same application, by another image, which has to answer or the old one comes back
  pve.provision.lxc_create:
    hostname: wiki
    image: {oci: "docker.io/library/nginx:1.31"}
    checks:
      - {type: http, port: 80}
    state: started

- name: A container with its number, over the API
  pve.provision.lxc_create:
    api_host: pve.example.org
    api_user: ansible@pve
    api_token_id: provision
    api_token_secret: "{{ vault_api_token_secret }}"
    node: pve1
    vmid: 120
    hostname: dns1
    ostemplate: alpine-3.22-default
    password: "{{ vault_root_password }}"
    networks:
      - {bridge: vmbr0, ip: dhcp}
    state: started
    ip_timeout: 30

- name: A template that web servers are cloned from
  pve.provision.lxc_create:
    hostname: web-golden
    ostemplate: debian-13-standard
    rootfs: {storage: local-lvm, size: 4G}
    state: template

- name: Bring a container back from its newest backup, if it is gone
  pve.provision.lxc_create:
    vmid: 120
    hostname: dns1
    restore_from: {backup: latest, storage: backups}
    state: started

- name: Remove it, for sure the right one
  pve.provision.lxc_create:
    vmid: 120
    hostname: dns1
    state: absent
    force: true
"""

RETURN = r"""
vmid:
  description: Number of the container.
  returned: success
  type: int
  sample: 101
node:
  description: Node it is on.
  returned: success
  type: str
  sample: pve1
status:
  description: V(running), V(stopped) or V(absent).
  returned: success
  type: str
  sample: running
config:
  description:
    - The container's options as it has them now, by the names and types of this module. Declared again they change
      nothing. O(env) is not among them, since it may hold secrets.
  returned: success, and the container exists
  type: dict
  sample: {hostname: web1, memory: 1024, networks: [{id: 0, name: eth0, bridge: vmbr0, ip: 192.168.20.10/24}]}
other_options:
  description: What Proxmox VE holds of it that is no option of this module, in its own words.
  returned: success
  type: dict
  sample: {unused0: "local-lvm:vm-101-disk-1"}
addresses:
  description:
    - The container's addresses. C(source) tells who says so, V(guest) (its own network, asked with O(ip_timeout) above
      0), V(neighbour) (the node's own neighbour table), or V(declared), which nobody has verified. Over the API an
      unchanged container whose addresses are all declared is not asked.
  returned: success
  type: list
  elements: dict
  sample:
    - {interface: eth0, address: 192.168.20.10, prefix: 24, family: ipv4, hwaddr: BC:24:11:00:00:01, source: guest}
checks:
  description:
    - The checks and what came of them. C(outcome) is V(passed), V(failed) or V(not_verified), which is neither.
      C(asked) tells what was asked, C(by) who has answered, and C(at) when.
  returned: when the guest runs and has checks
  type: list
  elements: dict
  sample:
    - {name: HTTP port 80 /, type: http, outcome: passed, asked: "GET http://192.168.20.10:80/", detail: status 200,
       by: 192.168.20.10, at: "2026-03-01T09:00:00Z", attempts: 1, seconds: 0.1}
setup:
  description:
    - What came of what is to be in the guest. C(changed) are the changes that were made; C(verified_by) is how the
      guest was asked, empty when it was not, and then C(reason) says why; C(differs) is what is still not as declared.
  returned: success, when anything is declared of the inside of the guest
  type: dict
  sample: {changed: ["packages: nginx: install", "services: nginx: enable, start"], verified_by: pct exec}
plan:
  description: The steps of this run, in order; empty when all was as declared.
  returned: always
  type: list
  elements: dict
  sample: [{step: set, options: {memory: "2048"}}, {step: shutdown, timeout: 60, force: false}, {step: start}]
chosen_storages:
  description:
    - The storages that were chosen for volumes that leave theirs open, and why each other one was not.
  returned: when a run has something to do and a storage was left open
  type: list
  elements: dict
  sample:
    - option: rootfs.storage
      storage: local-zfs
      others: {local: takes no containers, local-lvm: local-zfs keeps its data better}
degraded:
  description:
    - What had to do instead of what was asked for, each also among the warnings. C(what) was asked for, C(because) says
      why it could not be had, C(instead) what was used. It may be an image that was verified before while its source is
      down, an address that the node has met while no guest agent answers, or the next storage while the best is full.
  returned: success
  type: list
  elements: dict
  sample:
    - what: rootfs.storage on local-lvm
      because: it is 97 % full, and storage_refuse is 95
      instead: local-zfs
rolled_back:
  description: That the guest was taken back to what it was before this run.
  returned: when the run failed and O(rollback=snapshot), O(state=latest) or what replaces an O(image) took it back
  type: bool
  sample: true
pending:
  description: Options that wait for a restart, with the value they will have; V(null) for a deletion.
  returned: success
  type: dict
  sample: {features: nesting=1}
app:
  description: The application of the guest, and why the guest is as it is. With C(complete=false) nothing is installed.
  returned: when the guest has one
  type: dict
  sample:
    name: docker
    title: Docker
    complete: true
    needs: [nested_containers]
    reasons:
      - {need: nested_containers, options: {features.keyctl: true}, reason: containers use the keyring of the kernel}
    ports: []
privilege:
  description: Why a new container is privileged or not.
  returned: when a container is created
  type: str
  sample: nothing declared needs a privileged container
image:
  description:
    - The image that the container was made from. C(digest) is what its name led to, C(contents) the image for the
      architecture of the container, which is the same where the name led to one image alone.
  returned: when O(image) is declared and the container exists
  type: dict
  sample:
    reference: docker.io/library/nginx:1.29@sha256:5ff53e1e2ab0e9b4a2a1d57b3a43ae7b4d3bdc8a1a1fdcd9a0ab1c0bd47d0dd9
    digest: sha256:5ff53e1e2ab0e9b4a2a1d57b3a43ae7b4d3bdc8a1a1fdcd9a0ab1c0bd47d0dd9
    contents: sha256:09369da6b10306312cd908661320086bf87fbae1b6b0c49a1f50ba531fef2eab
upgraded:
  description: The packages that were upgraded, with their versions before and after.
  returned: with O(state=latest), when there were any
  type: list
  elements: str
  sample: ["nginx: 1.26.3-3+deb13u1 -> 1.26.3-3+deb13u2"]
ostemplate:
  description: The template's volume that a new container was made from.
  returned: when a container is created
  type: str
  sample: local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst
findings:
  description: What stands against the declaration, all of it.
  returned: when the declaration cannot be carried out
  type: list
  elements: dict
  sample:
    - {option: "networks[0].bridge", value: vmbr9, problem: does not exist on node pve1, remedy: "There are: vmbr0."}
"""

from ansible_collections.pve.provision.plugins.module_utils._module import run_guest_module


def main() -> None:
    run_guest_module("lxc")


if __name__ == "__main__":
    main()
