# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing a VM's options: what is checked first, what is written to the pending section, what comes true at once."""

from __future__ import annotations

import re
import subprocess
import typing as t
from dataclasses import dataclass, field
from urllib.parse import unquote

from . import access, propstring, validation
from . import qemu_capabilities as capabilities
from . import qemu_config as config
from . import qemu_run as run
from . import storage as storages
from .errors import INVALID, ApiError, bad_params
from .qemu_disks import Disks

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from .api import Params
    from .config_file import GuestFile
    from .session import Session

NOT_LOGGED = ("node", "vmid", "digest", "background_delay", "skip_cloud_init", "import-working-storage")
NOT_OPTIONS = (*NOT_LOGGED, "skiplock", "delete", "revert", "force")
# Which privilege changes an option. What is not listed here is for root alone.
PRIVILEGES: dict[str, str] = {
    **dict.fromkeys(("cores", "cpu", "cpulimit", "cpuunits", "numa", "smp", "sockets", "vcpus"), "VM.Config.CPU"),
    **dict.fromkeys(("memory", "balloon", "shares", "allow-ksm"), "VM.Config.Memory"),
    **dict.fromkeys(("acpi", "hotplug", "kvm", "machine", "scsihw", "smbios1", "tablet", "vga", "watchdog", "audio0",
                     "rng0"), "VM.Config.HWType"),
    **dict.fromkeys(("agent", "autostart", "bios", "description", "keyboard", "localtime", "migrate_downtime",
                     "migrate_speed", "name", "onboot", "ostype", "protection", "reboot", "startdate", "startup", "tdf",
                     "template"), "VM.Config.Options"),
    "freeze": "VM.PowerMgmt",
    **dict.fromkeys(("boot", "bootdisk", "vmstatestorage"), "VM.Config.Disk"),
    **dict.fromkeys(config.CLOUDINIT_OPTIONS, "VM.Config.Cloudinit"),
}  # fmt: skip
INDEXED = {"numa": "VM.Config.CPU", "net": "VM.Config.Network", "ipconfig": "VM.Config.Cloudinit"}
FREE = re.compile(r"(?:unused|serial|usb|hostpci|virtiofs)\d+|cdrom|tags")
SSH_KEY = re.compile(r"(?:ssh-|ecdsa-|sk-)\S+ \S+")


# -- checks that a new VM needs as well --------------------------------------------------------------------------------


def resolve_cdrom(options: config.Options) -> None:
    """``cdrom`` is another name of ide2."""
    if "cdrom" in options:
        value = options.pop("cdrom")
        options["ide2"] = value if "media=" in value else f"{value},media=cdrom"


def check_keys(options: config.Options) -> None:
    """Die unless ``sshkeys`` holds SSH public keys."""
    for line in unquote(options.get("sshkeys", "")).splitlines():
        if line.strip() and not line.startswith("#") and not SSH_KEY.search(line):
            raise ApiError("SSH public key validation error")


def check_permissions(session: Session, options: config.Options, vmid: int | None = None) -> None:
    """Die when the caller may not set one of the options. A token of root is not root."""
    if session.is_root:
        return
    path = f"/vms/{vmid}" if vmid else "/vms"
    for name in sorted(options):
        base = name.rstrip("0123456789")
        if config.is_drive(name) or FREE.fullmatch(name):
            continue
        privilege = PRIVILEGES.get(name) or INDEXED.get(base)
        if privilege is None:
            raise ApiError(f"only root can set '{name}' config")
        access.need(session, path, privilege)
    for name in sorted(options):
        _check_real_device(session, name, options[name])


def _check_real_device(session: Session, name: str, value: str) -> None:
    if re.fullmatch(r"serial\d+", name) and value != "socket":
        raise ApiError(f"only root can set '{name}' config for real devices")
    if re.fullmatch(r"usb\d+", name) and (host := _key(name, value, "host")) and host.lower() != "spice":
        raise ApiError(f"only root can set '{name}' config for real devices")
    if re.fullmatch(r"hostpci\d+", name) and _key(name, value, "host"):
        raise ApiError(f"only root can set '{name}' config for non-mapped devices")
    if re.fullmatch(r"(?:usb|hostpci)\d+", name):
        mapping = _key(name, value, "mapping")
        if not mapping and not _key(name, value, "host"):
            raise ApiError("either 'host' or 'mapping' must be set.")
        if mapping:
            access.need(session, f"/mapping/{'pci' if 'pci' in name else 'usb'}/{mapping}", "Mapping.Use")


def _key(name: str, value: str, key: str) -> str:
    form = validation.option_format("qemu", name) or {"host": {"default_key": 1}}
    return propstring.parse(value, form).get(key, "")


def pinned_machine(machine: str | None, ostype: str | None) -> str | None:
    """Windows gets the version of its machine written down, because it takes another one for a new computer."""
    if not (ostype or "").startswith("w") or (machine and re.search(r"\d+\.\d+", machine)):
        return None
    kind = "q35" if machine and "q35" in machine else "i440fx"
    rest = machine.partition(",")[1:] if machine else ("", "")
    return f"pc-{kind}-{capabilities.NEWEST}{''.join(rest)}"


def crypted(password: str) -> str:
    """A password as ``crypt`` keeps it."""
    if config.CRYPTED.match(password):
        return password
    command = ["openssl", "passwd", "-5", "-stdin"]
    return subprocess.run(command, input=password, capture_output=True, text=True, check=True).stdout.strip()


# -- one change --------------------------------------------------------------------------------------------------------


@dataclass
class Change:
    """A call that sets, deletes and reverts options."""

    session: Session
    vmid: int
    options: config.Options
    log: str
    deletes: list[str] = field(default_factory=list)
    reverts: list[str] = field(default_factory=list)
    digest: str | None = None
    force: bool = False
    skiplock: bool = False

    @classmethod
    def of(cls, session: Session, params: Params) -> Change:
        """The change that a call's parameters ask for."""
        shown = {name: "<hidden>" if name == "cipassword" else str(value) for name, value in params.items()
                 if name not in NOT_LOGGED}  # fmt: skip
        log = " ".join(f"-{name} {shown[name]}" for name in sorted(shown))
        options = {name: str(value) for name, value in params.items() if name not in NOT_OPTIONS}
        if params.get("skiplock") and not session.is_root:
            raise bad_params(skiplock="Only root may use this option.")
        change = cls(session, params["vmid"], options, log, digest=params.get("digest"))
        change.force, change.skiplock = bool(params.get("force")), bool(params.get("skiplock"))
        change.deletes = propstring.split_list(str(params.get("delete", "")))
        change.reverts = propstring.split_list(str(params.get("revert", "")))
        return change

    # -- before ----------------------------------------------------------------------------------------------------
    def check(self) -> None:
        """Everything that can be refused before anything is written."""
        check_keys(self.options)
        if not (self.options or self.deletes or self.reverts):
            raise ApiError("no options specified")
        resolve_cdrom(self.options)
        self._check_lists()
        disks = Disks(self.session, self.vmid)
        self._complete(disks)
        check_permissions(self.session, dict.fromkeys(self.deletes, "socket"), self.vmid)
        check_permissions(self.session, self.options, self.vmid)
        self._loaded()

    def _check_lists(self) -> None:
        for name in self.reverts:
            if not config.is_known(name):
                raise bad_params(revert=f"unknown option '{name}'")
            if name in self.options:
                raise bad_params(delete=f"you can't use '-{name}' and -revert {name}' at the same time")
        self.deletes = ["ide2" if name == "cdrom" else name for name in self.deletes]
        for name in self.deletes:
            if name in self.options:
                raise bad_params(delete=f"you can't use '-{name}' and -delete {name}' at the same time")
            if name in self.reverts:
                raise bad_params(revert=f"you can't use '-delete {name}' and -revert {name}' at the same time")
            if not config.is_known(name):
                raise bad_params(delete=f"unknown option '{name}'")

    def _complete(self, disks: Disks) -> None:
        disks.check(self.options)
        for name in self.options:
            if re.fullmatch(r"net\d+", name):
                self.options[name] = config.with_mac(self.options[name])
            elif name == "vmgenid" and self.options[name] == "1":
                self.options[name] = config.new_uuid()
            elif name == "hookscript":
                self._check_hookscript()

    def _check_hookscript(self) -> None:
        script = self.options["hookscript"]
        found = storages.split_volid(script)
        if not found or not found[1].startswith("snippets/"):
            raise bad_params(hookscript=f"'{script}' is not in the snippets directory\n")
        try:
            storages.absolute_path(self.session.state, script)
        except ApiError as error:
            raise bad_params(hookscript=f"script '{script}' does not exist\n") from error

    def _loaded(self) -> GuestFile:
        """The VM's config, when the change may be made to it."""
        conf = self.session.state.guest("qemu", self.vmid)
        if self.digest and self.digest != conf.digest:
            raise ApiError("checksum mismatch (file change by other user?)")
        if not self.skiplock:
            run.check_lock(conf)
        self._check_balloon(conf)
        return conf

    def _check_balloon(self, conf: GuestFile) -> None:
        if "memory" not in self.options and "balloon" not in self.options:
            return
        known = {**conf.options, **conf.pending, **self.options}
        if int(known.get("balloon") or 0) > config.memory(known):
            raise ApiError("balloon value too large (must be smaller than assigned memory)")

    # -- doing it --------------------------------------------------------------------------------------------------
    def apply(self) -> None:
        """Make the change; the config lock is held. Dies with what could not be plugged into a running VM."""
        conf = self._loaded()
        self._resolve_reverts(conf)
        self._say_what()
        changed: set[str] = set()
        self._apply_deletes(conf, changed)
        for name in sorted(self.options):
            changed.add(name)
            if conf.pending.get(name) != self.options[name]:
                self._set(conf, name, self.options[name], changed)
                self._keep(conf, name)
        config.clean_pending(conf)
        run.write(self.session.state, self.vmid, conf)
        if not conf.pending:
            return
        if run.pid(self.session.state, self.vmid) is None:
            run.apply_pending(self.session, self.vmid, conf)
            return
        problems = run.plug_pending(self.session, self.vmid, conf, changed)
        if problems:
            raise ApiError(INVALID, 400, problems)

    def _say_what(self) -> None:
        """Tell what changes. Perl prints text that fits into Latin-1 in Latin-1."""
        line = f"update VM {self.vmid}: {self.log}\n"
        if self.session.cli and not line.isascii() and max(line) <= "\xff":
            self.session.write_bytes(line.encode("latin-1"), b"")
        else:
            self.session.write(line)

    def _resolve_reverts(self, conf: GuestFile) -> None:
        for name in self.reverts:
            if name in conf.options:
                self.options[name] = conf.options[name]
            elif name in conf.pending:
                self.deletes.append(name)

    @staticmethod
    def _keep(conf: GuestFile, name: str) -> None:
        """An option that was to be deleted is not any more."""
        deletes = config.pending_deletes(conf)
        if deletes.pop(name, None) is not None:
            config.set_pending_deletes(conf, deletes)

    def _apply_deletes(self, conf: GuestFile, changed: set[str]) -> None:
        order = config.boot_order(conf.options)
        disks = Disks(self.session, self.vmid)
        for name in self.deletes:
            value = conf.options.get(name, conf.pending.get(name))
            if value is None:
                self.session.warn(f"cannot delete '{name}' - not set in current configuration!")
                continue
            changed.add(name)
            waiting = conf.pending.pop(name, None)
            if name in order and "boot" not in self.deletes:
                order.remove(name)
                conf.pending["boot"] = config.print_boot(order)
                changed.add("boot")
            self._delete(conf, disks, name, value, waiting is not None)

    def _delete(self, conf: GuestFile, disks: Disks, name: str, value: str, was_waiting: bool) -> None:
        if name.startswith("unused") or name == "vmstate":
            what = f"unused disk '{value}'" if name != "vmstate" else f"vmstate '{value}'"
            self._check_protection(conf, f"can't remove {what}")
            disks.drop_unused(conf.options, (s.options for s in conf.snapshots.values()), name)
            conf.options.pop(name, None)
        elif name == "tags":
            conf.options.pop(name, None)
        else:
            if config.is_drive(name):
                self._check_protection(conf, f"can't remove drive '{name}'")
                if was_waiting:
                    disks.set_aside(conf.options, config.parse_drive(name, value))
            config.set_pending_deletes(conf, {**config.pending_deletes(conf), name: self.force})

    @staticmethod
    def _check_protection(conf: GuestFile, what: str) -> None:
        if conf.options.get("protection") == "1":
            raise ApiError(f"{what} - protection mode enabled")

    def _set(self, conf: GuestFile, name: str, value: str, changed: set[str]) -> None:
        if config.is_drive(name):
            self._set_drive(conf, name, value, changed)
        elif name == "tags":
            conf.pending[name] = config.unique_tags(value)
        elif name == "cipassword":
            windows = conf.options.get("ostype", "").startswith("w")
            conf.options[name] = value if windows else crypted(value)
        elif name == "boot":
            conf.pending[name] = self._checked_boot(conf, value)
        else:
            conf.pending[name] = value
            if name == "ostype" and "machine" not in {*self.options, *self.deletes, *conf.pending}:
                machine = pinned_machine(conf.options.get("machine"), value)
                if machine:
                    conf.pending["machine"] = machine

    def _set_drive(self, conf: GuestFile, name: str, value: str, changed: set[str]) -> None:
        disks = Disks(self.session, self.vmid)
        if name in conf.pending:
            disks.set_aside(conf.options, config.parse_drive(name, conf.pending[name]))
        if name == "tpmstate0" and name in conf.options:
            self._check_tpm(conf.options[name], value)
        conf.pending.update(disks.create({**conf.options, **conf.pending}, {name: value}))
        order = config.boot_order({**conf.options, **conf.pending})
        wanted = config.parse_drive(name, value)
        if order and config.is_cdrom(wanted, exclude_cloudinit=True) and name not in order:
            conf.pending["boot"] = config.print_boot([*order, name])
            changed.add("boot")

    @staticmethod
    def _check_tpm(old: str, new: str) -> None:
        before, after = config.parse_drive("tpmstate0", old), config.parse_drive("tpmstate0", new)
        if before["file"] == after["file"] and before.get("version", "v1.2") != after.get("version", "v1.2"):
            raise ApiError("cannot change TPM state version after creation")

    def _checked_boot(self, conf: GuestFile, value: str) -> str:
        order = config.boot_order({"boot": value})
        present: Iterable[str] = {*conf.options, *conf.pending, *self.options} - set(self.deletes)
        for device in order:
            if device not in present:
                raise ApiError(f"invalid bootorder: device '{device}' does not exist'")
        return config.print_boot(order) if order else value
