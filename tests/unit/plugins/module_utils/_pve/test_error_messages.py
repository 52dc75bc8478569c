# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import Conflict, NotFound, PveError, TaskFailed
from ansible_collections.pve.provision.plugins.module_utils._pve import error_messages


@pytest.mark.parametrize(
    ("words", "kind", "reason"),
    [
        ("CT is locked (backup)", Conflict, "locked"),
        ("VM is locked (snapshot-delete)", Conflict, "locked"),
        ("detected modified configuration - file changed by other user? Try again.", Conflict, "digest"),
        ("checksum mismatch (file change by other user?)", Conflict, "digest"),
        ("CT 103 already exists on node 'pve1'", Conflict, "vmid_taken"),
        ("unable to create VM 105 - CT 105 already exists on node 'pve1'", Conflict, "vmid_taken"),
        ("unable to create VM 205: config file already exists", Conflict, "vmid_taken"),
        ("can't remove CT 101 - protection mode enabled", Conflict, "protected"),
        ("can't lock file '/run/lock/lxc/pve-config-101.lock' - got timeout", Conflict, "lock_timeout"),
        ("unable to create CT 101 - cfs-lock 'storage-nas' error: got lock request timeout", Conflict, "lock_timeout"),
        ("Failed to obtain guest migration lock - replication running?", Conflict, "lock_timeout"),
        ("Configuration file 'nodes/pve1/lxc/999.conf' does not exist", NotFound, "guest"),
        ("unable to find configuration file for VM 999 on node 'pve1'", NotFound, "guest"),
        ("storage 'nope' does not exist", NotFound, "storage"),
        ("unable to create CT 110 - volume 'local:vztmpl/nope.tar.gz' does not exist", NotFound, "volume"),
        ("403 Permission check failed (pool 'nope' does not exist)", NotFound, "pool"),
        ("403 Permission check failed (mount point type bind is only allowed for root@pam)", PveError, "root_only"),
        ("only root can set 'usb0' config for real devices", PveError, "root_only"),
        ("403 Permission check failed (/vms/101, VM.Audit)", PveError, "permission"),
        ("cluster not ready - no quorum?", PveError, "quorum"),
        ("cfs-lock 'file-user_cfg' error: no quorum!", PveError, "quorum"),
        ("unable to open file '/etc/pve/lxc/101.conf.tmp.4711' - Permission denied", PveError, "quorum"),
        ("storage 'nas' is not online", PveError, "storage_offline"),
        ("storage 'nas' is not available on node 'pve1'", PveError, "storage_offline"),
        ("unable to activate storage 'nas' - directory is expected to be a mount point", PveError, "storage_offline"),
        ("write error: No space left on device", PveError, "full"),
        ("unable to destroy CT 101 - container is running", Conflict, "running"),
        ("VM 301 is running - destroy failed", Conflict, "running"),
    ],
)
def test_what_pve_says_has_a_meaning_and_a_way_out(words: str, kind: type[PveError], reason: str):
    error = error_messages.error_of("pct set 101", words)
    assert error.__class__ is kind
    assert error.details["reason"] == reason
    assert error.message == f"pct set 101: {words}"
    assert error.remedy


def test_the_lock_is_named():
    assert error_messages.error_of("pct set 101", "CT is locked (backup)").details["lock"] == "backup"


def test_unknown_words_are_quoted_whole():
    error = error_messages.error_of("pct start 1", "something new\nand more", otherwise=TaskFailed, rc=2)
    assert error.__class__ is TaskFailed
    assert error.message == "pct start 1: something new\nand more"
    assert error.details == {"rc": 2}


@pytest.mark.parametrize(
    "words", ["startup for container '110' failed", "command 'x' failed: exit code 2", "migration aborted"]
)
def test_the_log_is_quoted_where_the_words_hold_no_cause(words: str):
    log = ["the cause"]
    assert log[0] in error_messages.error_of("pct start 110", words, log_tail=log).message


def test_elsewhere_it_is_not():
    log = ["something else"]
    error = error_messages.error_of("pct start 110", "bridge 'vmbr99' does not exist", log_tail=log)
    assert log[0] not in error.message


def test_the_usage_line_and_the_noise_are_not_quoted():
    stderr = (
        "trying to acquire lock...\n400 Parameter verification failed.\n"
        "memory: value must have a minimum value of 16\n\npct create <vmid> <ostemplate> [OPTIONS]\n"
    )
    expected = "400 Parameter verification failed.\nmemory: value must have a minimum value of 16"
    assert error_messages.words_of(stderr) == expected


def test_warnings_come_from_the_log_and_from_standard_error():
    stdout = "Detected container architecture: amd64\nWARN: Systemd 257 detected. You may need to enable nesting.\n"
    stderr = "Task finished with 1 warning(s)!\ncannot delete 'cores' - not set in current configuration!\n"
    assert error_messages.warnings_of(stdout, stderr) == (
        "Systemd 257 detected. You may need to enable nesting.",
        "cannot delete 'cores' - not set in current configuration!",
    )
    said = 'trying to acquire lock...\n OK\n  Logical volume "vm-100-disk-1" successfully removed.\n'
    assert error_messages.warnings_of("all fine\n", said) == ()


def test_secrets_are_scrubbed_longest_first():
    assert error_messages.scrub("sesame and sesame2", ["sesame", "sesame2", ""]) == "******** and ********"
