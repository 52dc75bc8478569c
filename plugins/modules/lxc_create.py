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
  - Makes a container match its declaration. Options that are as declared are left alone and cost no command. Options
    that differ are changed in place, in one call with only these options.
  - All errors in the declaration are reported at once, before anything is written.
  - A container is never recreated, shrunk or overwritten unless the task explicitly says so.
  - A failed run removes what it has created. What a killed run has left behind is removed by the next one.
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
    description: Reports the steps and the diff of a real run, and writes nothing.
    support: full
  diff_mode:
    description: Shows the options that change, before and after. Secrets are never shown.
    support: full
  idempotent:
    description: >-
      A second run changes nothing. O(password), O(ssh_public_keys), O(ostemplate), O(clone_from), O(restore_from) and
      O(image) are only used when the container is created. O(state=restarted) restarts each time.
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
      - V(latest) is V(started), with updates. A container with an O(image) gets the image that its tag refers to now.
        In any other one the declared O(packages), including those of an application, are upgraded to the newest
        versions in its repositories. Before that, and before anything else in it is changed, a snapshot is taken. If a
        storage does not support snapshots, the container is shut down and backed up instead, to a file on the node or
        over the API to a storage, and a warning says so. That is not done if the backup would be incomplete, as with a
        mount point without C(backup). Without either nothing is changed. If a step fails, or the container then does
        not pass its O(checks), it is rolled back to its state before the run, as with O(rollback=snapshot).
      - V(template) does the same, shuts it down if it runs and turns it into a template to clone others from. That
        cannot be reverted, and a template cannot be started. An existing template stays one. Its options are changed if
        Proxmox VE allows that.
      - V(absent) shuts it down and removes it with its volumes. Needs O(vmid), and if O(hostname) is given, it has to
        match.
    type: str
    choices: [present, started, latest, stopped, restarted, template, absent]
    default: present
  gpu:
    description:
      - Whether the container gets the graphics devices of the node, C(/dev/dri), C(/dev/kfd) and C(/dev/nvidia*), each
        with the ID of group C(render) or C(video) in the container. Devices in O(devices) take precedence.
      - A new container gets them after its first start, a running one at once. Proxmox VE reserves this to C(root@pam),
        and the API does not report which devices a node has.
      - If the node has none, or it is not known, each run warns, and M(pve.provision.guest_verify) reports the check
        C(drift) as not verified.
    type: bool
  ostemplate:
    description:
      - The template a new container is made from. Either a volume such as
        V(local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst), or a name such as V(debian-13-standard), which means
        the newest one of that name on the node's storages. A stored one is used without looking for a newer one.
      - If no storage has it, it is fetched, see O(fetch_template).
      - Proxmox VE does not remember the template of an existing container. A template of another operating system than
        the container's is an error.
    type: str
  fetch_template:
    description:
      - Whether an O(ostemplate) that no storage has is fetched from the offer of Proxmox VE. The offer is the node's
        index of templates, which Proxmox VE updates and verifies itself, once a day and with C(pveam update).
      - On the node the template is verified by the SHA-512 in this index. Over the API Proxmox VE fetches it, which
        needs C(Datastore.AllocateTemplate) on the storage.
      - In check mode nothing is fetched; the plan names the template and its storage. Only the size of the template is
        queried. A fetched template is kept, even if the creation of the container fails.
    type: bool
    default: true
  template_storage:
    description:
      - Storage for a fetched template. The default is the one that O(ostemplate) names, or the one with the most free
        space that takes container templates. For an O(image) it is the largest of these.
    type: str
  image:
    description:
      - The OCI image, as Docker and Podman use them, that a new container is made from, instead of O(ostemplate). Since
        Proxmox VE 9.1.
      - Proxmox VE takes O(entrypoint), O(env), O(cmode), the user, the working directory and the stop signal from the
        image. A declared O(entrypoint) or O(cmode) replaces that of the image, and the variables in O(env) take
        precedence over those of the image. Network devices are configured by the node, since nothing in the container
        does that.
      - Persistent data belong on O(mount_points).
      - The image and its digests are recorded in a line of the container's description. A container without this line
        keeps its root file system, with a warning.
      - Another name, tag or digest, and with O(state=latest) another digest of the same tag, replaces the root file
        system. The new one is unpacked while the container runs. Then the container is shut down, gets the new one and
        is started. It keeps its number, name, networks and mount points with their data; changes in the root file
        system are lost. The container has to keep running and to pass its O(checks), otherwise it gets the old root
        file system back. Only then the old one is removed. If a run is killed in between, the next one completes it.
      - A stopped container gets it at its next start.
      - The root file system of a protected container, or one with snapshots, is not replaced. The same holds over the
        API if the new image changes the user, the working directory or the stop signal, which the API cannot set.
    type: dict
    suboptions:
      oci:
        description:
          - Name of the image, as C(REGISTRY/NAME), with a tag, a digest, or both, such as
            V(docker.io/library/nginx:1.29) or V(ghcr.io/example/app@sha256:DIGEST). With both the digest decides.
          - A tag is looked up when the container is created, and with O(state=latest) in each run. RV(image) reports
            its digest.
          - While the registry cannot be reached, O(state=latest) keeps the current image, and on the node a new
            container is made from the stored file that was fetched by the same digest, or last by the same tag. Both
            are reported in RV(degraded). An image that the registry does not have is an error.
          - The parts of the image are fetched and verified by their digests, and stored on O(template_storage) as one
            file with the digest in its name. The same image is fetched once, on the node itself, or over the API by the
            machine where the module runs, which uploads it. The pull of Proxmox VE is not used, as it only takes tags
            and verifies nothing.
          - A registry on the same machine, with a name such as V(localhost:5000/app:1), is reached by plain HTTP, all
            others by HTTPS.
        type: str
        required: true
      username:
        description: Account at the registry, for an image that is not public.
        type: str
      password:
        description: Password of the account, or a token from the registry.
        type: str
  ostype:
    description:
      - Operating system of the container, by which Proxmox VE configures it. By default it is detected from the
        template. With V(unmanaged) nothing in the container is configured. A change takes effect at the next start.
    type: str
    choices: [debian, devuan, ubuntu, centos, fedora, opensuse, archlinux, alpine, gentoo, nixos, unmanaged]
  unprivileged:
    description:
      - Whether root in the container is an unprivileged user of the node. Cannot change on an existing container.
      - By default a new container is unprivileged unless something declared needs a privileged one; RV(privilege) says
        why.
    type: bool
  networks:
    description:
      - The network devices. Without a declared MAC address Proxmox VE generates one, which is kept.
    type: list
    elements: dict
    suboptions:
      id:
        description:
          - Number of the device, as in C(net0).
          - Without it a device is identified by its O(networks[].name) or O(networks[].hwaddr), and without these by
            its other declared options; the order of the list does not matter then. A new device gets the number of its
            position in the list, or the next free one.
        type: int
      state:
        description: V(absent) removes this one device, identified by its O(networks[].id), name or MAC address.
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
          MTU, V(64) to V(65535), not above that of the bridge. A change takes effect at the next start.
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
        description: Whether the node configures the addresses of the device. Since Proxmox VE 9.1.
        type: bool
      type:
        description: Type of the device. Proxmox VE only has this one.
        type: str
        choices: [veth]
  nameserver:
    description:
      - DNS servers, by address. A link-local one names its interface, as in V(fe80::1%eth0). A change takes effect at
        the next start.
    type: list
    elements: str
  searchdomain:
    description: DNS search domains. A change takes effect at the next start.
    type: list
    elements: str
  features:
    description:
      - Additional features of the container. Proxmox VE reserves all but nesting in an unprivileged container to
        C(root@pam). A change takes effect at the next start.
    type: dict
    suboptions:
      nesting:
        description: Whether containers may run in the container. Newer versions of systemd also need it.
        type: bool
      keyctl:
        description: Whether unprivileged containers may use the keyctl system call.
        type: bool
      fuse:
        description: Whether FUSE file systems may be mounted.
        type: bool
      mknod:
        description: Whether some device nodes may be created.
        type: bool
      mount:
        description: File system types that may be mounted, such as V(nfs). Makes a new container privileged.
        type: list
        elements: str
      force_rw_sys:
        description: Whether C(/sys) is writable in an unprivileged container.
        type: bool
  timezone:
    description: Time zone such as V(Europe/Berlin), or V(host). A change takes effect at the next start.
    type: str
  entrypoint:
    description: >-
      Command that runs as init. Proxmox VE's default is V(/sbin/init). A change takes effect at the next start. Since
      Proxmox VE 9.1.
    type: str
  env:
    description:
      - Environment of the init process, as C(NAME=value). It may hold secrets, so it is on no command line and in no
        log, and never shown; on the node it is written into the config of the container.
      - A change takes effect at the next start. Since Proxmox VE 9.1.
    type: list
    elements: str
  password:
    description: Password of root, of 5 characters or more. Only used at the creation, and never shown.
    type: str
  ssh_public_keys:
    description:
      - Public keys that may log in as root, written as in C(authorized_keys), with or without options before them. An
        entry may be a whole file of keys. Only used at the creation.
    type: list
    elements: str
  ignore_unpack_errors:
    description: >-
      Whether the creation goes on when the template does not unpack cleanly. Only used at the creation.
    type: bool
  bwlimit:
    description: Limit of I/O while unpacking, in KiB/s. Only used at the creation.
    type: int
  clone_from:
    description:
      - A container to clone a new one from, instead of using O(ostemplate). The clone does not inherit tags; it has
        those of O(tags).
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
          - Whether to copy the volumes. By default a template gets a linked clone if its storage supports that,
            everything else a full clone.
        type: bool
      snapname:
        description: Snapshot of the source to clone.
        type: str
      storage:
        description: Storage of a full clone.
        type: str
  restore_from:
    description:
      - A backup to restore a new container from, instead of using O(ostemplate). The other declared options are applied
        afterwards. An existing container is never overwritten.
      - All volumes go to the storage O(rootfs.storage), by default to that of the backed up root volume.
      - The MAC addresses and tags are those of the backup. If the container that was backed up still exists, new
        addresses are generated, and the tags are only those of O(tags).
    type: dict
    suboptions:
      backup:
        description:
          - The backup, as a volume such as V(local:backup/vzdump-lxc-101-2026_01_31-02_00_00.tar.zst). V(latest) is the
            newest one of the container O(vmid), or of the one named O(hostname) if no number is declared.
        type: str
        required: true
      storage:
        description: Storage to search for V(latest). By default all storages for backups.
        type: str
  recreate:
    description:
      - Whether to destroy and recreate an existing container when a declared option cannot change in place. Its data
        are lost. A protected container is never destroyed.
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
  description: Node of the guest.
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
    - The current options of the container, with the names and types of this module. Declaring them again changes
      nothing. O(env) is left out, since it may hold secrets.
  returned: success, and the container exists
  type: dict
  sample: {hostname: web1, memory: 1024, networks: [{id: 0, name: eth0, bridge: vmbr0, ip: 192.168.20.10/24}]}
other_options:
  description: Settings that are no option of this module, as Proxmox VE stores them.
  returned: success
  type: dict
  sample: {unused0: "local-lvm:vm-101-disk-1"}
addresses:
  description:
    - The container's addresses. C(source) is V(guest) (its own network, queried with O(ip_timeout) above 0),
      V(neighbour) (the node's own neighbour table), or V(declared), which is not verified. Over the API an unchanged
      container is not queried if all its addresses are declared.
  returned: success
  type: list
  elements: dict
  sample:
    - {interface: eth0, address: 192.168.20.10, prefix: 24, family: ipv4, hwaddr: BC:24:11:00:00:01, source: guest}
checks:
  description:
    - The checks and their results. C(outcome) is V(passed), V(failed) or V(not_verified), which is neither. C(asked)
      says what was checked, C(by) who answered, and C(at) when.
  returned: when the guest runs and has checks
  type: list
  elements: dict
  sample:
    - {name: HTTP port 80 /, type: http, outcome: passed, asked: "GET http://192.168.20.10:80/", detail: status 200,
       by: 192.168.20.10, at: "2026-03-01T09:00:00Z", attempts: 1, seconds: 0.1}
setup:
  description:
    - Result of the setup in the guest. C(changed) are the changes that were made; C(verified_by) is how the guest was
      inspected, empty if it was not, with the C(reason); C(differs) is what is still not as declared.
  returned: success, when the setup of the guest is declared
  type: dict
  sample: {changed: ["packages: nginx: install", "services: nginx: enable, start"], verified_by: pct exec}
plan:
  description: The steps of this run, in order. Empty if everything was as declared.
  returned: always
  type: list
  elements: dict
  sample: [{step: set, options: {memory: "2048"}}, {step: shutdown, timeout: 60, force: false}, {step: start}]
chosen_storages:
  description:
    - The storages that were chosen for volumes without a declared one, and why each other one was not.
  returned: when something changes and a storage had to be chosen
  type: list
  elements: dict
  sample:
    - option: rootfs.storage
      storage: local-zfs
      others: {local: takes no containers, local-lvm: local-zfs keeps its data better}
degraded:
  description:
    - Fallbacks of this run, each also a warning. C(what) was requested, C(because) says why it was not available,
      C(instead) what was used. Examples are a cached image while its source is down, an address from the node's
      neighbour table while no guest agent answers, or another storage while the best one is full.
  returned: success
  type: list
  elements: dict
  sample:
    - what: rootfs.storage on local-lvm
      because: it is 97 % full, and storage_refuse is 95
      instead: local-zfs
rolled_back:
  description: Whether the guest was rolled back to its state before this run.
  returned: when the run failed and O(rollback=snapshot), O(state=latest) or a replaced O(image) rolled it back
  type: bool
  sample: true
pending:
  description: Options that wait for a restart, with their new values; V(null) for a deletion.
  returned: success
  type: dict
  sample: {features: nesting=1}
app:
  description: The application of the guest, and why its options are set. With C(complete=false) nothing is installed.
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
    - The image that the container was made from. C(digest) is that of the declared name, C(contents) that of the image
      for the architecture of the container. They are the same if the image has only one architecture.
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
  description: All errors in the declaration.
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
