# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._model.secrets import (
    closed_files,
    is_secret,
    secret_values,
    text_secrets,
    url_secrets,
)


@pytest.mark.parametrize(
    "name",
    [
        *("password", "Password", "rootPassword", "passwd", "password2", "auth_pass", "userpass", "passphrase"),
        *("psk", "preshared_key", "presharedKey", "private_key", "privatekey", "key", "key1", "apikey", "authkey"),
        *("secret", "auth_secret", "token", "api-token", "community", "rocommunity", "pin", "pincode", "credentials"),
        "password_hash",
    ],
)
def test_these_options_hold_secrets(name: str):
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        *("public_key", "publickey", "pubkey", "ssh_keys", "authorized_keys", "cert", "ca_cert", "key_type", "keylen"),
        *("PasswordAuth", "RootPasswordAuth", "username", "token_id", "bypass", "passthrough", "proto", "keyfile"),
        *("key_path", "spin", "pinned", "keepalive"),
    ],
)
def test_these_do_not(name: str):
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("value", "secrets"),
    [
        ({"wan": {"password": "hunter2", "username": "me@isp"}}, {"hunter2"}),
        ({"wan": {"password": 8675309421}}, {"8675309421"}),
        ({"wan": {"password": 1234.5}}, {"1234.5"}),
        ({"x": [{"y": {"psk": ["first", "second"]}}]}, {"first", "second"}),
        ({"password": "p'a\"s\\n"}, {"p'a\"s\\n", "p\\'a\"s\\\\n"}),
        ({"key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI me"}, set()),
        ({"key": "-----BEGIN CERTIFICATE-----\nMIIB"}, set()),
        ({"key": "-----BEGIN OPENSSH PRIVATE KEY-----"}, {"-----BEGIN OPENSSH PRIVATE KEY-----"}),
        ({"key": 1, "pin": "12", "password": True, "secret": None, "token": ""}, set()),
        ({1: {2: "abcd"}, "password": {"hint": "none"}}, set()),
        ("hunter2", set()),
    ],
)
def test_the_values_that_nobody_is_to_see(value: t.Any, secrets: set[str]):
    assert secret_values(value) == secrets


def test_the_user_names_further_options():
    assert is_secret("ovpn_static", ["ovpn_static"])
    assert secret_values({"vpn": {"ovpn_static": "hunter2", "proto": "none"}}, ["ovpn_static"]) == {"hunter2"}


@pytest.mark.parametrize(
    ("value", "secrets"),
    [
        ("https://example.org/image.qcow2", set()),
        ("https://me:sup3rs3cret@example.org/x", {"me:sup3rs3cret", "sup3rs3cret"}),
        ("https://t0k3n@example.org/x", {"t0k3n"}),
        (["https://example.org/x?X-Amz-Signature=abcdef#top"], {"X-Amz-Signature=abcdef"}),
        ({"mirrors": ["http://me:p@ss@example.org"]}, {"me:p@ss", "p@ss"}),
        ({"number": 5, "text": "me:pw@example.org"}, set()),
    ],
)
def test_an_address_is_hidden_but_for_its_place(value: object, secrets: set[str]) -> None:
    assert url_secrets(value) == secrets


def test_a_text_is_hidden_also_as_it_is_spelt_in_a_structure() -> None:
    assert text_secrets({"95-mine": "echo 'a'\nexit 0"}) == {"echo 'a'\nexit 0", repr("echo 'a'\nexit 0")[1:-1]}
    assert text_secrets(["true", 1, None]) == set()


@pytest.mark.parametrize(
    ("file", "closed"),
    [
        ({"content": "text", "mode": "0644"}, False),
        ({"content": "text"}, False),
        ({"content": "text", "mode": "0600"}, True),
        ({"content": "text", "mode": "0640"}, True),
        ({"content": "-----BEGIN OPENSSH PRIVATE KEY-----\n", "mode": "0644"}, True),
    ],
)
def test_a_file_that_not_everybody_may_read_is_hidden(file: dict[str, str], closed: bool) -> None:
    found = [file["content"]] if closed else []
    assert closed_files([file]) == found
    assert closed_files({"guests": [{"name": "web1", "files": [file]}]}) == found
    assert closed_files("no list") == []
