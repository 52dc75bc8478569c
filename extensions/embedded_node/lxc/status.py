# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting and stopping containers."""

from __future__ import annotations

import time
import typing as t

from ..api.session import Session
from ..api.validation import option_format
from ..errors import ApiError, bad_params
from ..guest import runtime
from ..state import faults, kernel, storage
from ..state.config_file import NET_KEY
from ..state.propstring import parse
from . import config, container, oci, setup

Params = dict[str, t.Any]


def start(session: Session, vmid: int, skiplock: bool = False, *, debug: bool = False) -> str:
    """Start a container in a task; with ``debug`` its log tells what the hooks wrote."""
    if container.is_running(session.state, vmid):
        raise ApiError(f"CT {vmid} already running")
    return session.worker("vzstart", str(vmid), lambda: _start_locked(session, vmid, skiplock, debug))


def _start_locked(session: Session, vmid: int, skiplock: bool, debug: bool) -> None:
    with container.lock(session, vmid):
        conf = session.state.guest("lxc", vmid)
        if container.is_template(conf):
            raise ApiError("you can't start a CT if it's a template")
        was_mounted = conf.options.get("lock") == "mounted"
        if not skiplock and not was_mounted:
            container.check_lock(conf)
        if conf.options.get("unprivileged") == "1" and any(
            mount.options.get("quota") == "1" for mount in container.volumes(conf.options)
        ):
            raise ApiError("Quotas are not supported by unprivileged containers.")
        boot(session, vmid, debug)


def boot(session: Session, vmid: int, debug: bool = False) -> None:
    """Make waiting changes real, mount the volumes, plug in the network, run."""
    state = session.state
    conf = state.guest("lxc", vmid)
    if conf.pending:
        config.apply_pending(session, vmid, conf)
        state.write_guest(vmid, conf)
    if conf.options.get("hookscript"):
        storage.check_hookscript(state, conf.options["hookscript"])
    for mount in container.volumes(conf.options):
        _check_source(session, vmid, mount, debug)
    container.unmount(state, vmid)
    container.mount(session, vmid, conf.options)
    try:
        if faults.take(state, "fail_start", vmid=vmid):
            raise ApiError("fault injected at start")
        _check_network(session, vmid, conf.options, debug)
        setup.write_settings(session, conf.options, container.files(state, vmid))
        container.write_for_lxc(state, vmid, conf)
        ends = oci.ends_at_once(vmid, conf, container.files(state, vmid))
        guest = runtime.Guest(state, vmid, conf.options, container.files(state, vmid))
        pid = runtime.runtime(state).start(guest, conf.current.raw)
    except ApiError:
        container.unmount(state, vmid)
        raise
    faults.step(state, "start")
    kernel.set_running(state, vmid, pid)
    if ends:
        halt(session, vmid)


def _check_source(session: Session, vmid: int, mount: container.MountPoint, debug: bool) -> None:
    if mount.type == "volume":
        store, volume = storage.locate(session.state, mount.volume)
        store.check_enabled().activate().require(volume)
        return
    try:
        container.host_path(session.state, mount)
    except ApiError as error:
        hook = f"/usr/share/lxc/hooks/lxc-pve-prestart-hook {vmid} lxc pre-start"
        _hook_died(session, vmid, hook, error.command_text, debug)


def _hook_died(session: Session, vmid: int, hook: str, words: str, debug: bool) -> t.NoReturn:
    """A hook of the start has failed: only a start with ``debug`` says why."""
    if debug:
        session.say(f"DEBUG    utils - ../src/lxc/utils.c:run_buffer:560 - Script exec {hook} produced output: {words}")
    session.say("run_buffer: 571 Script exited with status 2")
    session.say(f'lxc_init: 845 Failed to run lxc.hook.pre-start for container "{vmid}"')
    session.say(f'__lxc_start: 2039 Failed to initialize container "{vmid}"')
    raise ApiError(f"startup for container '{vmid}' failed")


def _check_network(session: Session, vmid: int, options: t.Mapping[str, str], debug: bool) -> None:
    for key in sorted(key for key in options if NET_KEY.fullmatch(key)):
        net = parse(options[key], option_format("lxc", key))
        if not net.get("bridge"):
            continue
        limit = session.state.bridge_mtu(net["bridge"])
        if int(net.get("mtu", 0)) > limit:
            raise ApiError(f"{key}: MTU size '{net['mtu']}' is bigger than bridge MTU '{limit}'")
        filtering = session.state.read(f"sys/class/net/{net['bridge']}/bridge/vlan_filtering").strip()
        if net.get("trunks") and filtering != "1":
            hook = f"/usr/share/lxc/lxcnetaddbr {vmid} net up veth veth{vmid}i{key[3:]}"
            words = "vlan aware feature need to be enabled to use trunks at /usr/share/perl5/PVE/Network.pm line 590."
            _hook_died(session, vmid, hook, words, debug)


def halt(session: Session, vmid: int) -> None:
    """The container is down: unmount, and make waiting changes real."""
    state = session.state
    guest = container.guest(state, vmid)
    runtime.runtime(state).stop(guest)
    kernel.set_running(state, vmid, None)
    container.unmount(state, vmid)
    conf = state.guest("lxc", vmid)
    if conf.pending:
        config.apply_pending(session, vmid, conf)
        state.write_guest(vmid, conf)


def _require_running(session: Session, vmid: int, word: str = "CT") -> None:
    if not container.is_running(session.state, vmid):
        raise ApiError(f"{word} {vmid} not running")


def stop(session: Session, vmid: int, skiplock: bool = False) -> str:
    """Kill a container in a task."""
    _require_running(session, vmid)

    def work() -> None:
        with container.lock(session, vmid):
            conf = session.state.guest("lxc", vmid)
            if not skiplock and conf.options.get("lock") != "mounted":
                container.check_lock(conf)
            halt(session, vmid)

    return session.worker("vzstop", str(vmid), work)


def shutdown(session: Session, vmid: int, timeout: int, force: bool) -> str:
    """Ask a container to shut down, wait for it, and with ``force`` kill it when it does not."""
    _require_running(session, vmid)

    def work() -> None:
        with container.lock(session, vmid):
            container.check_lock(session.state.guest("lxc", vmid))
            down(session, vmid, timeout, force)

    return session.worker("vzshutdown", str(vmid), work)


def down(session: Session, vmid: int, timeout: int, force: bool) -> None:
    """A shutdown; a guest that ignores it (a fault) makes it wait."""
    if faults.take(session.state, "shutdown_ignored", vmid=vmid):
        time.sleep(timeout)
        if not force:
            session.warn(f"command 'lxc-stop -n {vmid} --nokill --timeout {timeout}' failed: exit code 1")
            raise ApiError("container did not stop")
    elif not runtime.runtime(session.state).shutdown(container.guest(session.state, vmid), timeout) and not force:
        session.warn(f"command 'lxc-stop -n {vmid} --nokill --timeout {timeout}' failed: exit code 1")
        raise ApiError("container did not stop")
    halt(session, vmid)


def reboot(session: Session, vmid: int, timeout: int) -> str:
    """Shut down and start again in a task."""
    _require_running(session, vmid, "VM")

    def work() -> None:
        with container.lock(session, vmid):
            down(session, vmid, timeout, True)
            boot(session, vmid)

    return session.worker("vzreboot", str(vmid), work)


def only_root(session: Session, params: Params, name: str) -> bool:
    """A flag that is root@pam's alone."""
    given = bool(params.get(name))
    if given and not session.is_root:
        raise bad_params(**{name: "Only root may use this option."})
    return given
