# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What waits in a VM's config: made true while it is stopped, or plugged into the running VM."""

from __future__ import annotations

import re
import typing as t

from ..api import validation
from ..errors import ApiError, bad_params
from ..state import propstring
from ..state.config_file import Section
from . import boot, checks, cloudinit, config, memory, process
from .disks import Disks

if t.TYPE_CHECKING:
    from ..api.session import Session
    from ..state.config_file import GuestFile

#: Options that the cloud-init drive was made from.
RECORDED = re.compile(rf"{'|'.join(config.CLOUDINIT_OPTIONS)}|name|ipconfig\d+|net\d+")


def apply_pending(session: Session, vmid: int, conf: GuestFile) -> dict[str, str]:
    """Make what waits come true, on a VM that does not run; returns what could not, by option. Writes the config."""
    problems: dict[str, str] = {}
    if not conf.pending:
        return problems
    disks = Disks(session, vmid)
    options = conf.options
    deletes = config.pending_deletes(conf)
    for name, force in sorted(deletes.items()):
        try:
            if name in options and config.is_drive(name):
                drop_drive(disks, conf, name, force)
            options.pop(name, None)
            deletes.pop(name)
        except ApiError as error:
            problems[name] = f"unable to apply pending change {name} : {error.message}\n"
            session.complain(problems[name])
    config.set_pending_deletes(conf, deletes)
    config.clean_pending(conf)
    fresh_cloudinit = False
    for name in sorted(set(conf.pending) - {"delete"}):
        if config.is_drive(name):
            if name in options:
                disks.set_aside(options, config.parse_drive(name, options[name]))
            fresh_cloudinit |= config.is_cloudinit(config.parse_drive(name, conf.pending[name]))
        options[name] = conf.pending.pop(name)
    process.write(session.state, vmid, conf)
    if fresh_cloudinit:
        renew_cloudinit(session, vmid, conf)
    return problems


def renew_cloudinit(session: Session, vmid: int, conf: GuestFile) -> None:
    """Write the cloud-init drive again: nothing waits for that any more."""
    cloudinit.generate(session, conf.options, vmid)
    section = conf.special.get("cloudinit")
    if section is not None and section.options:
        del conf.special["cloudinit"]
        process.write(session.state, vmid, conf)


def drop_drive(disks: Disks, conf: GuestFile, name: str, force: bool) -> None:
    """Take a drive out of the config: its volume is set aside, or destroyed."""
    if force:
        snapshots = (section.options for section in conf.snapshots.values())
        disks.drop_unused(conf.options, snapshots, name)
    else:
        disks.set_aside(conf.options, config.parse_drive(name, conf.options[name]))


def plug_pending(session: Session, vmid: int, conf: GuestFile, changed: set[str]) -> dict[str, str]:
    """Make what can be plugged come true on a running VM; returns what went wrong, by option. Writes the config."""
    plug = _Plug(session, vmid, conf)
    for name in [name for name in conf.pending if name in config.FAST_PLUG]:
        plug.take_over(name)
    for name in sorted(set(config.pending_deletes(conf)) & changed):
        if plug.done(plug.delete, name):
            plug.take_away(name)
    for name in sorted(set(conf.pending) & changed - {"delete"}, key=plug.order):
        if plug.done(plug.change, name):
            plug.take_over(name)
    process.write(session.state, vmid, conf)
    if "cloudinit" in plug.features and "cloudinit" in conf.special:
        renew_cloudinit(session, vmid, conf)
    return plug.problems


class _Plug:
    """Plugs into a running VM. Each verb says whether it is done, or that the change has to wait."""

    def __init__(self, session: Session, vmid: int, conf: GuestFile) -> None:
        self.session, self.vmid, self.conf = session, vmid, conf
        self.features = config.hotplug(conf.options)
        self.disks = Disks(session, vmid)
        self.problems: dict[str, str] = {}

    def order(self, name: str) -> tuple[bool, str]:
        """The cloud-init drive comes last: it is made from everything else."""
        return self._is_cloudinit(name), name

    def _is_cloudinit(self, name: str) -> bool:
        return config.is_drive(name) and config.is_cloudinit(config.parse_drive(name, self.conf.pending[name]))

    def done(self, verb: t.Callable[[str], bool], name: str) -> bool:
        """Whether a verb did its work; a failure is noted."""
        try:
            return verb(name)
        except ApiError as error:
            self.problems[name] = f"hotplug problem - {error.command_text}"
            return False

    # -- the config ------------------------------------------------------------------------------------------------
    def take_over(self, name: str) -> None:
        """The new value came true."""
        value = self.conf.pending.pop(name)
        self._record(name, self.conf.options.get(name), value)
        self.conf.options[name] = value

    def take_away(self, name: str) -> None:
        """The option is gone."""
        self._record(name, self.conf.options.pop(name, None), None)
        deletes = config.pending_deletes(self.conf)
        deletes.pop(name, None)
        config.set_pending_deletes(self.conf, deletes)

    def _record(self, name: str, old: str | None, new: str | None) -> None:
        """Note what the cloud-init drive was made from: old values, and the names of new options."""
        if not RECORDED.fullmatch(name):
            return
        noted = self.conf.special.setdefault("cloudinit", Section()).options
        added = set(propstring.split_list(noted.pop("added", "")))
        if name in noted:
            if new == noted[name]:
                del noted[name]
        elif name in added:
            added -= {name} if new is None else set()
        elif old is not None:
            noted[name] = old
        elif new is not None:
            added.add(name)
        if added:
            noted["added"] = ",".join(sorted(added))

    # -- what goes -------------------------------------------------------------------------------------------------
    def delete(self, name: str) -> bool:
        """Take an option away."""
        if name in config.FAST_PLUG or name in ("cpuunits", "cpulimit"):
            return True
        kind = name.rstrip("0123456789")
        if name == "hotplug":
            return not re.search("cpu|memory", self.conf.options["hotplug"])
        if name == "balloon":
            return self.conf.options.get("balloon") != "0"
        if name in ("tablet", "vcpus", "memory"):
            return {"tablet": self._tablet, "vcpus": self._vcpus, "memory": self._memory}[name]("")
        if kind == "net" and "network" in self.features:
            self._unplug(name)
            return True
        if kind == "usb":
            return self._plugs_usb()
        if config.is_drive(name) and "disk" in self.features and kind not in ("efidisk", "ide", "sata", "tpmstate"):
            self._unplug(name)
            drop_drive(self.disks, self.conf, name, config.pending_deletes(self.conf)[name])
            return True
        return False

    # -- what comes ------------------------------------------------------------------------------------------------
    def change(self, name: str) -> bool:
        """Take a new value over."""
        old, value = self.conf.options.get(name), self.conf.pending[name]
        kind = name.rstrip("0123456789")
        if name in ("cpuunits", "cpulimit"):
            return True
        if name == "hotplug":
            return not re.search("cpu|memory", value + (old or ""))
        if name == "balloon":
            return (old != "0") == (value != "0")
        if name == "agent":
            return old is not None and _same_but_trim(old, value)
        if name in ("tablet", "vcpus", "memory"):
            return {"tablet": self._tablet, "vcpus": self._vcpus, "memory": self._memory}[name](value)
        if kind == "net":
            return self._change_net(name, old, value)
        if kind == "usb":
            return self._change_usb(value)
        if config.is_drive(name) and kind not in ("efidisk", "tpmstate"):
            return self._change_drive(name, old, value)
        return False

    def _tablet(self, value: str) -> bool:
        return "usb" in self.features

    def _vcpus(self, value: str) -> bool:
        """More CPUs come at once; fewer only when the guest lets them go."""
        if "cpu" not in self.features:
            return False
        options = self.conf.options
        most = config.max_cpus(options)
        now, wanted = int(options.get("vcpus", most)), int(value or most)
        if wanted > most:
            raise ApiError("you can't add more vcpus than maxcpus")
        if wanted < now and not self._has_system():
            raise bad_params(vcpus=f"error unplugging cpu{now}")
        return True

    def _memory(self, value: str) -> bool:
        """Memory comes in modules, so more may come than was asked for; it goes when the guest lets it."""
        if "memory" not in self.features:
            return False
        options = self.conf.options
        now, wanted, least = config.memory(options), config.memory({"memory": value or "512"}), memory.static(options)
        if wanted < least and wanted != now:
            raise ApiError(f"memory can't be lower than {least} MB {memory.PERL.format(219)}")
        if wanted > memory.LARGEST:
            raise ApiError(f"you cannot add more memory than max mem {memory.LARGEST} MB!")
        if wanted > now:
            self.conf.pending["memory"] = str([*memory.modules(options, wanted)][-1].total)
        for module in reversed([*memory.modules(options, now)]) if wanted < now else ():
            if now <= wanted:
                break
            self.session.say(f"try to unplug memory dimm {module.name}")
            if not self._has_system():
                raise bad_params(**{module.name: "error unplug memory module"})
            now -= module.size
            self.conf.pending["memory"] = str(now)
        return True

    def _plugs_usb(self) -> bool:
        """USB devices are plugged where the guest has a modern controller."""
        modern = re.fullmatch(r"l26|win(?:8|1\d)", self.conf.options.get("ostype", ""))
        return "usb" in self.features and modern is not None

    def _change_usb(self, value: str) -> bool:
        if not self._plugs_usb():
            return False
        mapping = propstring.parse(value, validation.option_format("qemu", "usb0")).get("mapping")
        if mapping:
            checks.usb_mapping(self.session.state, mapping)
        return True

    def _change_net(self, name: str, old: str | None, value: str) -> bool:
        new = config.parse_net(value)
        bridge = new.get("bridge", "")
        lost = bool(bridge) and not self.session.state.has_interface(bridge)
        if not config.net_needs_replug(old, value):
            if lost:
                raise ApiError(f"bridge '{bridge}' does not exist")
            return True
        if "network" not in self.features:
            return False
        if old is not None:
            self._unplug(name)
        if lost:
            script = "network script /usr/libexec/qemu-server/pve-bridge-hotplug failed with status 512"
            raise ApiError(f"VM {self.vmid} qmp command 'netdev_add' failed - {script}")
        checks.card(self.session, name, new)
        return True

    def _change_drive(self, name: str, old: str | None, value: str) -> bool:
        new = config.parse_drive(name, value)
        if self._is_cloudinit(name):
            cloudinit.generate(self.session, {**self.conf.options, name: value}, self.vmid)
            self.conf.special.pop("cloudinit", None)
        if old is not None:
            before = config.parse_drive(name, old)
            if new.get("media", "disk") != before.get("media", "disk"):
                raise ApiError("unable to change media type")
            if config.is_cdrom(before):
                if new["file"] == "none" and config.is_cloudinit(before):
                    self.disks.set_aside(self.conf.options, before)
                return True
            if new["file"] == before["file"]:
                return all(new.get(key) == before.get(key) for key in config.FIXED_DISK_KEYS)
            if "disk" not in self.features:
                return False
            self._unplug(name)
            self.disks.set_aside(self.conf.options, before)
        return "disk" in self.features and not name.startswith(("ide", "sata"))

    def _has_system(self) -> bool:
        return boot.boot_disk(self.session.state, self.conf.options) is not None

    def _unplug(self, name: str) -> None:
        """SCSI disks go at once; what sits in a slot of the board goes when the guest lets it."""
        if name in config.boot_order(self.conf.options) and config.is_drive(name):
            raise ApiError(f"can't unplug bootdisk '{name}'")
        if not name.startswith("scsi") and not self._has_system():
            raise ApiError(f"error on hot-unplugging device '{name}' - still busy in guest?")


def _same_but_trim(old: str, new: str) -> bool:
    form = validation.option_format("qemu", "agent")
    before, after = propstring.parse(old, form), propstring.parse(new, form)
    return all(before.get(key) == after.get(key) for key in {*before, *after} - {"fstrim_cloned_disks"})
