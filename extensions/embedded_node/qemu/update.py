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

from ..api import validation
from ..errors import INVALID, ApiError, bad_params
from ..state import propstring
from ..state import storage as storages
from . import capabilities, checks, config, pending, process
from .disks import Disks
from .permissions import Rights

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..api.routes import Params
    from ..api.session import Session
    from ..state.config_file import GuestFile

NOT_LOGGED = ("node", "vmid", "digest", "background_delay", "skip_cloud_init", "import-working-storage")
MAX_CPU_UNITS = 10000
NOT_OPTIONS = (*NOT_LOGGED, "skiplock", "delete", "revert", "force")
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


def pin_machine(session: Session, machine: str | None, ostype: str | None) -> str | None:
    """Windows gets the version of its machine written down, because it takes another one for a new computer."""
    kind, comma, rest = (machine or "").partition(",")
    if (ostype or "").startswith("w") and kind in ("", "pc", "q35"):
        kind = f"pc-{'q35' if kind == 'q35' else 'i440fx'}-{capabilities.NEWEST}"
        session.say(f"pinning machine type to '{kind}' for Windows guest OS")
        machine = f"{kind}{comma}{rest}"
    checks.machine_property(machine or "")
    return machine


def check_clipboard(options: Mapping[str, str]) -> None:
    """Die when the display cannot share a clipboard."""
    vga = propstring.parse(options.get("vga", ""), validation.option_format("qemu", "vga"))
    if vga.get("clipboard") == "vnc" and not re.match("std|cirrus|vmware|virtio|qxl", vga.get("type", "std")):
        raise ApiError(f"vga type {vga['type']} is not compatible with VNC clipboard")


def clamp(options: config.Options) -> None:
    """CPU weights as the kernel's control groups take them."""
    if "cpuunits" in options:
        options["cpuunits"] = str(max(1, min(int(options["cpuunits"]), MAX_CPU_UNITS)))


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
    order: list[str] = field(default_factory=list)

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
        clamp(self.options)
        self._check_lists()
        disks, rights = Disks(self.session, self.vmid), Rights(self.session, self.vmid)
        self._complete(disks)
        rights.options(self.deletes)
        rights.options(self.options)
        disks.check_access(self.options, rights)
        rights.bridges(self.options)
        self._check_values(rights, self._loaded())

    def _check_values(self, rights: Rights, conf: GuestFile) -> None:
        """Rights that depend on what is there, and on what comes instead."""
        if self.session.is_root:
            return
        before = {**conf.pending, **conf.options}
        old = {name: before[name] for name in (*self.deletes, *self.options) if name in before}
        rights.devices({name: old[name] for name in self.deletes if name in old}, "delete")
        for options in (old, self.options):
            rights.devices(options, "modify")
            rights.bridges(options)
            for name in sorted(filter(config.is_drive, options)):
                rights.drive(name, options[name])
        if any(name.startswith("unused") for name in self.deletes):
            rights.need("VM.Config.Disk")
        if "tags" in (*self.options, *self.deletes):
            rights.tags(before.get("tags", ""), self.options.get("tags", ""))

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
        disks.complete(self.options)
        for name in self.options:
            if re.fullmatch(r"net\d+", name):
                self.options[name] = config.with_mac(self.options[name])
            elif name == "vmgenid" and self.options[name] == "1":
                self.options[name] = config.new_uuid()
            elif name == "hookscript":
                self._check_hookscript()

    def _check_hookscript(self) -> None:
        try:
            storages.check_hookscript(self.session.state, self.options["hookscript"])
        except ApiError as error:
            raise bad_params(hookscript=f"{error.message}\n") from error

    def _loaded(self) -> GuestFile:
        """The VM's config, when the change may be made to it."""
        conf = self.session.state.guest("qemu", self.vmid)
        if self.digest and self.digest != conf.digest:
            raise ApiError("checksum mismatch (file change by other user?)")
        if not self.skiplock:
            process.check_lock(conf)
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
        self.order = config.boot_order(conf.options)
        self._apply_deletes(conf, changed)
        for name in sorted(self.options):
            changed.add(name)
            if conf.pending.get(name) != self.options[name]:
                self._set(conf, name, self.options[name], changed)
                self._keep(conf, name)
        config.clean_pending(conf)
        process.write(self.session.state, self.vmid, conf)
        if not conf.pending:
            return
        if process.pid(self.session.state, self.vmid) is None:
            problems = pending.apply_pending(self.session, self.vmid, conf)
        else:
            problems = pending.plug_pending(self.session, self.vmid, conf, changed)
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
        disks = Disks(self.session, self.vmid)
        for name in self.deletes:
            value = conf.options.get(name, conf.pending.get(name))
            if value is None:
                self.session.warn(f"cannot delete '{name}' - not set in current configuration!")
                continue
            changed.add(name)
            waiting = conf.pending.pop(name, None)
            if name in self.order:
                self.order.remove(name)
                conf.pending["boot"] = config.print_boot(self.order)
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
            if name == "vga":
                check_clipboard(self.options)
            elif name == "machine":
                checks.machine_property(value)
            elif name == "ostype" and "machine" not in {*self.options, *self.deletes, *conf.pending}:
                machine = pin_machine(self.session, conf.options.get("machine"), value)
                if machine:
                    conf.pending["machine"] = machine

    def _set_drive(self, conf: GuestFile, name: str, value: str, changed: set[str]) -> None:
        disks = Disks(self.session, self.vmid)
        if name in conf.pending:
            disks.set_aside(conf.options, config.parse_drive(name, conf.pending[name]))
        if name == "tpmstate0" and name in conf.options:
            self._check_tpm(conf.options[name], value)
        conf.pending.update(disks.create({**conf.options, **conf.pending}, {name: value}))
        cdrom = config.is_cdrom(config.parse_drive(name, value), exclude_cloudinit=True)
        if cdrom and self.order and name not in self.order:
            self.order.append(name)
            conf.pending["boot"] = config.print_boot(self.order)
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
