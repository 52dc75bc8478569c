# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cloud-init does with its configuration: a table of modules, each a function of the run."""

from __future__ import annotations

import base64
import binascii
import gzip
import re
import shlex
import typing as t
from dataclasses import dataclass, field

from ..linux import accounts, packages
from ..linux.distributions import Distribution

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..guest.runtime import Completed, Guest
    from .seed import Seed
    from .userdata import Config

OUTPUT_LOG = "/var/log/cloud-init-output.log"
PASSWORDS = ("passwd", "hashed_passwd", "plain_text_passwd")
SCRIPTS = "/var/lib/cloud/instance/scripts"


class Failure(Exception):
    """A module could not do its work; the text is what ``cloud-init status`` quotes."""


@dataclass
class Run:
    """One boot of cloud-init: the guest, what it was told, and the outcome."""

    guest: Guest
    system: Distribution
    seed: Seed
    config: Config
    scripts: dict[str, list[str]]
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def first_user(self) -> dict[str, t.Any]:
        """The default user: the image's, by another name or with more where ``user`` says so."""
        told = self.config.get("user")
        more = told if isinstance(told, dict) else {"name": told} if told else {}
        return {"name": self.system.user, "lock_passwd": True, "groups": "sudo", **more}

    def script(self, name: str, text: str) -> Completed:
        """Run a script of the instance; what it prints is logged."""
        path = f"{SCRIPTS}/{name}"
        self.guest.files.write(path, text, 0o700)
        done = self.guest.run(["sh", path])
        said = (done.stdout + done.stderr).decode("utf-8", "replace")
        self.guest.files.write(OUTPUT_LOG, self.guest.files.read(OUTPUT_LOG) + said, 0o640)
        return done


def commands(listed: Iterable[t.Any]) -> str:
    """A script of commands, each a text for the shell or a list of words."""
    lines = (shlex.join(map(str, item)) if isinstance(item, list) else str(item) for item in listed)
    return "#!/bin/sh\n" + "".join(f"{line}\n" for line in lines)


def texts(value: t.Any) -> list[str]:
    """One text, or several."""
    return [value] if isinstance(value, str) else [str(item) for item in value or ()]


# -- the modules -------------------------------------------------------------------------------------------------------


def _bootcmd(run: Run) -> None:
    if run.script("bootcmd", commands(run.config["bootcmd"])).rc:
        raise Failure("Unexpected error while running command.\nCommand: ['/bin/sh', '/tmp/bootcmd']\nExit code: 1")


def _write_files(run: Run) -> None:
    for item in run.config["write_files"]:
        files, path = run.guest.files, str(item["path"])
        content = _decoded(item.get("content", ""), str(item.get("encoding", "text/plain")))
        before = files.read(path) if item.get("append") else ""
        files.write(path, before + content, int(str(item.get("permissions", "0644")), 8))


def _decoded(content: t.Any, encoding: str) -> str:
    data = content if isinstance(content, bytes) else str(content).encode()
    try:
        if "b64" in encoding or "base64" in encoding:
            data = base64.b64decode(data)
        if encoding.startswith(("gz", "gzip")):
            data = gzip.decompress(data)
    except (binascii.Error, OSError) as error:
        raise Failure(f"Unable to decode content: {error}") from error
    return data.decode("utf-8", "replace")


def _hostname(run: Run) -> None:
    if run.config.get("preserve_hostname"):
        return
    told = run.config.get("hostname") or run.config.get("fqdn") or run.seed.meta.get("local-hostname")
    if told:
        fqdn = str(run.config.get("fqdn") or told)
        keep = run.config.get("prefer_fqdn_over_hostname")
        run.guest.files.write("/etc/hostname", f"{fqdn if keep else str(told).partition('.')[0]}\n")


def _hosts(run: Run) -> None:
    name = run.guest.files.read("/etc/hostname").strip()
    if run.config["manage_etc_hosts"]:
        names = " ".join(dict.fromkeys([str(run.config.get("fqdn", name)), name]))
        run.guest.files.write("/etc/hosts", f"127.0.1.1 {names}\n127.0.0.1 localhost\n")


def _users(run: Run) -> None:
    first = run.first_user()
    for item in run.config.get("users", ["default"]):
        if item == "default":
            _add_user(run, first)
        elif isinstance(item, str):
            _add_user(run, {"name": item})
        elif item.get("name"):
            _add_user(run, dict(item))


def _add_user(run: Run, user: dict[str, t.Any]) -> None:
    files, name = run.guest.files, str(user["name"])
    accounts.add_user(
        files, accounts.User(name, home=str(user.get("homedir", "")), shell=str(user.get("shell", "/bin/bash")))
    )
    groups = user.get("groups", ())
    accounts.add_to_groups(files, name, re.split(r"\s*,\s*", groups) if isinstance(groups, str) else groups)
    password = next((str(user[key]) for key in PASSWORDS if user.get(key)), "")
    if password:
        accounts.set_password(files, name, password)
    if user.get("lock_passwd", True):
        accounts.lock(files, name)
    accounts.authorize(files, name, texts(user.get("ssh_authorized_keys")))
    for rule in texts(user.get("sudo")):
        files.write(f"/etc/sudoers.d/90-cloud-init-{name}", f"{name} {rule}\n", 0o440)


def _ssh(run: Run) -> None:
    keys = texts(run.config.get("ssh_authorized_keys")) + texts(run.seed.meta.get("public-keys"))
    name = str(run.first_user()["name"])
    if keys and accounts.home(run.guest.files, name) is not None:
        accounts.authorize(run.guest.files, name, keys)


def _passwords(run: Run) -> None:
    files, told = run.guest.files, run.config.get("chpasswd") or {}
    pairs: list[tuple[str, str]] = []
    if run.config.get("password"):
        pairs.append((str(run.first_user()["name"]), str(run.config["password"])))
    listed = told.get("list") or []
    for line in listed.splitlines() if isinstance(listed, str) else listed:
        name, _colon, password = str(line).partition(":")
        pairs.append((name.strip(), password))
    pairs += [(str(item["name"]), str(item["password"])) for item in told.get("users") or () if "password" in item]
    for name, password in pairs:
        accounts.set_password(files, name, password)
    if "ssh_pwauth" in run.config:
        answer = "yes" if run.config["ssh_pwauth"] else "no"
        files.write("/etc/ssh/sshd_config.d/50-cloud-init.conf", f"PasswordAuthentication {answer}\n", 0o600)


def _timezone(run: Run) -> None:
    run.guest.files.write("/etc/timezone", f"{run.config['timezone']}\n")


def _locale(run: Run) -> None:
    run.guest.files.write("/etc/default/locale", f"LANG={run.config['locale']}\n")


def _sources(run: Run) -> None:
    for name, told in (run.config.get("apt", {}).get("sources") or {}).items():
        text = str(told.get("source", "")).replace("$KEY_FILE", f"/etc/apt/cloud-init.gpg.d/{name}.gpg")
        run.guest.files.write(f"/etc/apt/sources.list.d/{name.removesuffix('.list')}.list", f"{text}\n")
    for name, told in (run.config.get("yum_repos") or {}).items():
        text = "".join(f"{key}={value}\n" for key, value in told.items())
        run.guest.files.write(f"/etc/yum.repos.d/{name}.repo", f"[{name}]\n{text}")


def _packages(run: Run) -> None:
    names: list[str] = []
    for item in run.config.get("packages") or ():
        listed = [entry for group in item.values() for entry in group] if isinstance(item, dict) else [item]
        names += [str(entry[0] if isinstance(entry, list) else entry) for entry in listed]
    asked = packages.refresh(run.guest) if names else packages.done()
    done = asked if asked.rc else packages.install(run.guest, map(packages.wish, names))
    said = (done.stdout + done.stderr).decode()
    run.guest.files.write(OUTPUT_LOG, run.guest.files.read(OUTPUT_LOG) + said, 0o640)
    if done.rc:
        raise Failure(f"ProcessExecutionError('Unexpected error while running command.\\nExit code: {done.rc}\\n"
                      f"Stderr: {done.stderr.decode().strip()}')")  # fmt: skip


def _scripts(kind: str) -> Callable[[Run], None]:
    def run_all(run: Run) -> None:
        todo = {f"part-{number:03}": text for number, text in enumerate(run.scripts[kind], 1)}
        if kind == "user" and run.config.get("runcmd"):
            todo["runcmd"] = commands(run.config["runcmd"])
        failed = [name for name, text in sorted(todo.items()) if run.script(name, text).rc]
        if failed:
            raise Failure(f"RuntimeError('Runparts: {len(failed)} failures ({', '.join(failed)}) "
                          f"in {len(todo)} attempted commands')")  # fmt: skip

    return run_all


def _power(run: Run) -> None:
    if (run.config["power_state"] or {}).get("mode") in ("poweroff", "halt"):
        run.guest.state.path(f"run/qemu-server/{run.guest.vmid}.pid").unlink(missing_ok=True)


@dataclass(frozen=True)
class Module:
    """A module of cloud-init: it runs when one of its keys is there (any time when it has none)."""

    name: str
    keys: tuple[str, ...]
    run: Callable[[Run], None]
    each_boot: bool = False


MODULES = (
    Module("bootcmd", ("bootcmd",), _bootcmd, each_boot=True),
    Module("set_hostname", (), _hostname),
    Module("update_etc_hosts", ("manage_etc_hosts",), _hosts, each_boot=True),
    Module("write_files", ("write_files",), _write_files),
    Module("users_groups", (), _users),
    Module("ssh", (), _ssh),
    Module("set_passwords", ("password", "chpasswd", "ssh_pwauth"), _passwords),
    Module("locale", ("locale",), _locale),
    Module("timezone", ("timezone",), _timezone),
    Module("apt_configure", ("apt", "yum_repos"), _sources),
    Module("package_update_upgrade_install", ("packages",), _packages),
    Module("scripts_vendor", (), _scripts("vendor")),
    Module("scripts_user", (), _scripts("user")),
    Module("power_state_change", ("power_state",), _power),
)


def run_all(run: Run, new_instance: bool) -> None:
    """Every module that has something to do at this boot; what fails is noted."""
    for module in MODULES:
        wanted = not module.keys or any(run.config.get(key) is not None for key in module.keys)
        if not wanted or not (new_instance or module.each_boot):
            continue
        try:
            module.run(run)
        except Failure as error:
            run.errors.append(f"('{module.name}', {error})")
        except (KeyError, TypeError, ValueError, AttributeError) as error:  # what the user wrote has another shape
            run.errors.append(f"('{module.name}', {type(error).__name__}({str(error)!r}))")
