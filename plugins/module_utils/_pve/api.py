# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: reach a node from anywhere, by PVE's HTTPS API. The only room that sees proxmoxer."""

from __future__ import annotations

import contextlib
import random
import re
import typing as t
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit

try:
    import requests
    from proxmoxer.backends import https
    from proxmoxer.core import AuthenticationError, ProxmoxResource, ResourceException
except ImportError as error:
    MISSING: ImportError | None = error
else:
    MISSING = None

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Conflict,
    Finding,
    InvalidInput,
    NotFound,
    ProvisionError,
    PveError,
    Timeout,
    Unreachable,
    Unsupported,
)
from ansible_collections.pve.provision.plugins.module_utils._io.clock import SYSTEM, Clock, poll, retry
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import parse_size
from ansible_collections.pve.provision.plugins.module_utils._model.segments import Link, make_link
from ansible_collections.pve.provision.plugins.module_utils._pve import config_text, error_messages
from ansible_collections.pve.provision.plugins.module_utils._pve.leftovers import Leftovers
from ansible_collections.pve.provision.plugins.module_utils._pve.multipart import Multipart
from ansible_collections.pve.provision.plugins.module_utils._pve.node import (
    Access,
    Bridge,
    Completed,
    GuestConfig,
    GuestRef,
    Kind,
    Outcome,
    Storage,
    Transport,
    Volume,
    same_name,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.tasks import Upid, wait

_KINDS: tuple[Kind, ...] = ("lxc", "qemu")
_CREATING: dict[Kind, frozenset[str]] = {
    "lxc": frozenset({"vzcreate", "vzrestore"}),
    "qemu": frozenset({"qmcreate", "qmrestore", "importdisk", "imgcopy"}),
}
_MAKING: dict[Kind, str] = {"lxc": "vzcreate", "qemu": "qmcreate"}
_CLONING: dict[Kind, str] = {"lxc": "vzclone", "qemu": "qmclone"}

# PVE says the same of them all, with an empty body.
_LOGIN = (
    "Check api_user (with its realm, such as ansible@pve), api_token_id (the token's name alone, without user and '!') "
    "and api_token_secret; the user may be disabled, and the user or the token expired."
)

# Pauses (s) between attempts when the API does not answer.
_PAUSES = (0.25, 0.5, 1.0, 2.0)
# The proxy in front of PVE got no answer from the node (595: no connection, so nothing was asked of it).
_NO_CONNECTION = 595
_GATEWAY = frozenset({_NO_CONNECTION, 502, 503, 504, 596, 597, 599})
_CONNECTIONS = 32


class Client:
    """HTTP requests to one API, with PVE's errors turned into ours. ``timeout`` (s) is that of one request."""

    def __init__(self, backend: t.Any, clock: Clock) -> None:
        self._backend = backend
        self._clock = clock
        self._session = backend.get_session()
        self._session.hooks["response"] += [_refuse_redirect, _keep_message]
        self._session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=_CONNECTIONS))
        self._resource = ProxmoxResource(
            base_url=backend.get_base_url(), session=self._session, serializer=backend.get_serializer()
        )

    @classmethod
    def connect(cls, params: t.Mapping[str, t.Any], clock: Clock) -> Client:
        """A client for the connection options. A password is exchanged for a ticket at once."""
        if MISSING:
            raise Unsupported(
                f"The API needs Python libraries that are not there: {MISSING}.",
                remedy="Run pip install proxmoxer requests where this task runs (with api_host, usually the "
                "controller or the execution environment).",
            ) from MISSING
        if not params.get("api_user"):
            raise InvalidInput([Finding("api_user", None, "is needed with api_host")])
        if not params.get("api_token_id") and not params.get("api_password"):
            problem = "is not there, and neither is a password"
            raise InvalidInput([Finding("api_token_id", None, problem, "Give a token or api_password")])
        validate = params.get("validate_certs", True)
        with _faults(f"login of {params['api_user']}", "POST"):
            backend = https.Backend(
                params["api_host"],
                user=params["api_user"],
                port=params.get("api_port") or 8006,
                # A path or a boolean given with each request, as proxmoxer does, is not overridden by
                # REQUESTS_CA_BUNDLE; a session's own setting would be.
                verify_ssl=(params.get("ca_path") or True) if validate else False,
                timeout=params.get("http_timeout") or 30,
                token_name=params.get("api_token_id") or "",
                token_value=params.get("api_token_secret") or "",
            )
            if not params.get("api_token_id"):
                backend.auth = _Ticket(backend, params["api_user"], params["api_password"], clock)
            return cls(backend, clock)

    def __call__(self, method: str, path: str, values: t.Mapping[str, t.Any] | None = None) -> t.Any:
        """Do a request and hand back its ``data``. Values that are None are left out."""
        given = {name: value for name, value in (values or {}).items() if value is not None}
        ask = getattr(self._resource(path.strip("/")), method.lower())
        return self._persist(f"{method} {path}", method, lambda: ask(**given))

    def _persist(self, step: str, method: str, ask: t.Callable[[], t.Any]) -> t.Any:
        """Ask again when there was no answer, but never what PVE may already be doing."""
        for pause in (*_PAUSES, None):
            try:
                with _faults(step, method):
                    return ask()
            except _NoAnswer as fault:
                if pause is None or not fault.harmless:
                    raise fault.error from fault.__cause__
                self._clock.sleep(pause * random.uniform(0.5, 1.5))
        raise AssertionError("the last attempt returns or raises")

    def upload(self, path: str, body: Multipart) -> t.Any:
        """POST a multipart body block by block; proxmoxer would read the file into memory first."""

        def ask() -> t.Any:
            body.rewind()
            response = requests.Session.request(
                self._session,
                "POST",
                f"{self._backend.get_base_url()}/{path.strip('/')}",
                data=body,
                headers={"Content-Type": body.content_type},
                cookies=self._backend.auth.get_cookies(),
                verify=self._backend.auth.verify_ssl,
                timeout=self._backend.auth.timeout,
            )
            if response.status_code >= 400:
                serializer = self._backend.get_serializer()
                raise ResourceException(response.status_code, "", response.reason, serializer.loads_errors(response))
            return response.json()["data"]

        return self._persist(f"POST {path}", "POST", ask)


class _Ticket:
    """A login by password, in the place of proxmoxer's, which follows redirects and takes the password along."""

    #: A ticket lasts for two hours.
    RENEW: t.Final = 3600

    def __init__(self, backend: t.Any, user: str, password: str, clock: Clock) -> None:
        self._clock = clock
        self.verify_ssl = backend.auth.verify_ssl
        self.timeout = backend.auth.timeout
        self._url = f"{backend.get_base_url()}/access/ticket"
        self._user = user
        self._login(password)

    def _login(self, password: str) -> None:
        data = {"username": self._user, "password": password}
        settings = {"verify": self.verify_ssl, "timeout": self.timeout, "allow_redirects": False}
        answer = requests.post(self._url, data=data, **settings)
        _refuse_redirect(answer)
        if answer.status_code != requests.codes.ok:
            words = f"Couldn't authenticate user: {self._user} to {self._url} code: {answer.status_code}"
            raise AuthenticationError(words)
        given = answer.json()["data"]
        if given.get("NeedTFA"):
            raise AuthenticationError(
                f"{self._user} needs a second factor, and nobody is here to give it. Use a token."
            )
        self._ticket, self._token = str(given["ticket"]), str(given["CSRFPreventionToken"])
        self._since = self._clock.now()

    def get_cookies(self) -> dict[str, str]:
        return {"PVEAuthCookie": self._ticket}

    def get_tokens(self) -> tuple[str, str]:
        return self._ticket, self._token

    def __call__(self, request: t.Any) -> t.Any:
        if self._clock.now() - self._since > self.RENEW:
            self._login(self._ticket)
        if request.method != "GET":
            request.headers["CSRFPreventionToken"] = self._token
        return request


class _NoAnswer(Exception):
    """Nobody answered. ``harmless``: asking again cannot do anything twice."""

    def __init__(self, error: ProvisionError, *, harmless: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.harmless = harmless


def _refuse_redirect(response: t.Any, **_: t.Any) -> None:
    """PVE sends nobody elsewhere, and what is sent along (token, password, configuration) is for PVE alone."""
    if response.is_redirect or response.is_permanent_redirect:
        where = urlsplit(urljoin(response.url, response.headers.get("Location", "")))
        raise Unreachable(
            f"{urlsplit(response.url).netloc} sends requests on to {where.scheme}://{where.netloc.rpartition('@')[2]};"
            " they are not sent there.",
            remedy="Set api_host and api_port to where the API itself is.",
        )


def _keep_message(response: t.Any, **_: t.Any) -> None:
    """Put the whole of PVE's message where proxmoxer looks: the reason phrase holds its first line only."""
    if response.status_code >= 400 and "json" in response.headers.get("Content-Type", ""):
        try:
            message = response.json().get("message")
        except (ValueError, AttributeError):
            return
        response.reason = str(message).strip() if message else response.reason


def _never_sent(error: Exception) -> bool:
    """Whether the connection was not even made."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return type(reason).__name__ in {"NewConnectionError", "NameResolutionError", "ConnectTimeoutError"}


@contextlib.contextmanager
def _faults(step: str, method: str) -> t.Iterator[None]:
    """Turn the faults of one request into ours; those that may go away into _NoAnswer."""
    try:
        yield
    except AuthenticationError as error:
        raise PveError(
            f"{step}: {error}", remedy="Check api_user (with its realm) and api_password.", reason="login"
        ) from error
    except ResourceException as error:
        words = "\n".join(
            error_messages.lines(f"{error.status_code} {error.content.partition(' - {')[0]}")
            + [f"{name}: {text}".strip() for name, text in _errors_of(error).items()]
        )
        if error.status_code in _GATEWAY:
            unreachable = Unreachable(f"{step}: {words}", remedy="Check that the node and its pveproxy run.")
            harmless = method == "GET" or error.status_code == _NO_CONNECTION
            raise _NoAnswer(unreachable, harmless=harmless) from error
        if error.status_code == 401:
            raise PveError(f"{step}: {words}", remedy=_LOGIN, reason="login") from error
        raise error_messages.error_of(step, words, status=error.status_code) from error
    except requests.exceptions.SSLError as error:
        if not _untrusted(error):
            broken = Unreachable(
                f"{step}: the TLS connection broke: {error}",
                remedy="Check that api_port is that of pveproxy (8006), and what stands between here and the node.",
            )
            raise _NoAnswer(broken, harmless=method == "GET") from error
        raise Unreachable(
            f"{step}: the TLS certificate is not trusted: {error}",
            remedy="Set ca_path to the authority's certificate (/etc/pve/pve-root-ca.pem of the node), and api_host to "
            "a name that the certificate holds.",
        ) from error
    except requests.exceptions.ReadTimeout as error:
        late = Timeout(f"{step}: no answer in time: {error}", remedy="Raise http_timeout.")
        raise _NoAnswer(late, harmless=method == "GET") from error
    except requests.exceptions.RequestException as error:
        unreachable = Unreachable(f"{step}: {error}", remedy="Check api_host, api_port and the network.")
        raise _NoAnswer(unreachable, harmless=method == "GET" or _never_sent(error)) from error


def _untrusted(error: Exception) -> bool:
    """Whether TLS failed because of the certificate, and not because the connection ended or speaks something else."""
    return "CERTIFICATE_VERIFY_FAILED" in str(error) or "doesn't match" in str(error)


def _errors_of(error: t.Any) -> dict[str, str]:
    """PVE's map of what is wrong with which parameter; proxmoxer puts a body that is no JSON there, as bytes."""
    errors = error.errors if isinstance(error.errors, dict) else {}
    return {str(name): str(text).strip() for name, text in errors.items() if not isinstance(text, bytes)}


# PVE tells the MTU of a bridge only where /etc/network/interfaces sets one.
_DEFAULT_MTU = 1500


class ApiNode:
    """A node behind the API. ``timeout`` (s) bounds the verbs that take none of their own."""

    transport: Transport = "api"

    def __init__(
        self,
        name: str,
        client: Client,
        *,
        login: str = "",
        root_login: bool = False,
        timeout: int = 60,
        clock: Clock = SYSTEM,
    ) -> None:
        self.clock = clock
        self.name = name
        self.root_login = root_login
        self._login = login
        # A task outlives whoever started it and ends well or cleans up, so nothing has to be kept between runs.
        self.journal: t.MutableMapping[int, dict[str, t.Any]] = {}
        self.ungrown: t.MutableMapping[int, dict[str, t.Any]] = {}
        self.leftovers: Leftovers | None = None
        self._client = client
        self._timeout = timeout

    @classmethod
    def connect(cls, params: t.Mapping[str, t.Any], clock: Clock) -> ApiNode:
        """The node that ``node`` names, the only one online, or the one that has the guest ``vmid``."""
        try:
            client = Client.connect(params, clock)
        except _NoAnswer as fault:
            raise fault.error from fault.__cause__
        root_login = params.get("api_user") == "root@pam" and not params.get("api_token_id")
        name = params.get("node") or _choose(client, params.get("vmid"))
        token = f"!{params['api_token_id']}" if params.get("api_token_id") else ""
        login = f"{params['api_user']}{token}"
        timeout = int(params.get("timeout") or 600)
        return cls(name, client, login=login, root_login=root_login, timeout=timeout, clock=clock)

    # -- requests --------------------------------------------------------------------------------------------------
    def _path(self, kind: Kind, vmid: int, *rest: str) -> str:
        return "/".join(["/nodes", self.name, kind, str(vmid), *rest])

    def _act(
        self,
        step: str,
        method: str,
        path: str,
        values: t.Mapping[str, t.Any] | None = None,
        *,
        timeout: float | None = None,
    ) -> Outcome:
        """Do a request and wait for the task it starts, if it does. Asks again while PVE's lock is held."""
        return self._await(step, lambda: self._client(method, path, values), timeout or self._timeout)

    def _await(self, step: str, ask: t.Callable[[], t.Any], timeout: float) -> Outcome:

        def attempt(left: float) -> Outcome:
            answer = ask()
            if not isinstance(answer, str) or not answer.startswith("UPID:"):
                return Outcome()
            return wait(self, Upid.parse(answer), step=step, timeout=left, clock=self.clock)

        return retry(attempt, error_messages.is_held_lock, timeout=timeout, clock=self.clock)

    def task_status(self, upid: Upid) -> t.Mapping[str, t.Any]:
        return t.cast("dict[str, t.Any]", self._client("GET", f"/nodes/{upid.node}/tasks/{upid.text}/status") or {})

    def task_log(self, upid: Upid) -> list[str]:
        lines = self._client("GET", f"/nodes/{upid.node}/tasks/{upid.text}/log", {"limit": 5000})
        return [str(line.get("t", "")) for line in lines or [] if line.get("t")]

    # -- reading ---------------------------------------------------------------------------------------------------
    def guests(self, kind: Kind | None = None) -> list[GuestRef]:
        return self._guests_of(self.name, (kind,) if kind else _KINDS)

    def _guests_of(self, node: str, kinds: t.Iterable[Kind]) -> list[GuestRef]:
        found = [
            GuestRef(
                vmid=int(entry["vmid"]),
                kind=kind,
                node=node,
                name=entry.get("name"),
                status=entry.get("status") if node == self.name else None,
                lock=entry.get("lock") or None,
                template=bool(int(entry.get("template") or 0)),
            )
            for kind in kinds
            for entry in self._client("GET", f"/nodes/{node}/{kind}") or []
        ]
        return sorted(found, key=lambda guest: guest.vmid)

    def _cluster_guests(self) -> list[GuestRef]:
        """The cluster's own list. It knows the place of a guest at once, but name and status some seconds later."""
        entries = self._client("GET", "/cluster/resources", {"type": "vm"}) or []
        return [
            GuestRef(int(e["vmid"]), "lxc" if e["type"] == "lxc" else "qemu", e["node"], e.get("name")) for e in entries
        ]

    def _guests_elsewhere(self, kinds: t.Iterable[Kind]) -> list[GuestRef]:
        """The guests of the other nodes: by each node's own list, or the cluster's where a node does not answer."""
        found = {guest.vmid: guest for guest in self._cluster_guests() if guest.node != self.name}
        found = {vmid: guest for vmid, guest in found.items() if guest.kind in kinds}
        for entry in self._client("GET", "/nodes") or []:
            if entry["node"] != self.name and entry.get("status") == "online":
                with contextlib.suppress(Unreachable, Timeout):
                    found |= {guest.vmid: guest for guest in self._guests_of(entry["node"], kinds)}
        return list(found.values())

    def elsewhere(self, kind: Kind) -> list[GuestRef]:
        return self._guests_elsewhere((kind,))

    def named(self, kind: Kind, name: str, *, everywhere: bool = False) -> list[GuestRef]:
        found = [guest for guest in self.guests(kind) if same_name(guest.name, name)]
        if found and not everywhere:
            return found
        others = [guest for guest in self.elsewhere(kind) if same_name(guest.name, name)]
        return sorted(found + others, key=lambda guest: guest.vmid)

    def locate(self, vmid: int) -> GuestRef | None:
        """Where a vmid is in use: the cluster's list may lag or hide guests, so whether it is free is asked besides."""
        known = next((guest for guest in self._cluster_guests() if guest.vmid == vmid), None)
        if known is None and self._is_free(vmid):
            return None
        if known is not None and known.node != self.name:
            return known
        here = self.guests(known.kind if known else None)
        there = () if known else self._guests_elsewhere(_KINDS)
        found = next((guest for guest in (*here, *there) if guest.vmid == vmid), known)
        if found is None:
            remedy = f"Choose another vmid, or give this login VM.Audit on /vms/{vmid}."
            raise InvalidInput([Finding("vmid", vmid, "is taken by a guest that this login may not see", remedy)])
        return found

    def config(self, kind: Kind, vmid: int) -> GuestConfig | None:
        """One request: the pending view holds value, waiting change and digest. Of snapshots it tells the last."""
        try:
            entries = self._client("GET", self._path(kind, vmid, "pending"))
        except NotFound:
            return None
        return _config(entries or [])

    def status(self, kind: Kind, vmid: int) -> str:
        return str(self._client("GET", self._path(kind, vmid, "status/current"))["status"])

    def storages(self) -> list[Storage]:
        return [
            Storage(
                name=entry["storage"],
                type=entry.get("type", ""),
                content=frozenset(filter(None, re.split(r"[\s,;]+", entry.get("content", "")))),
                active=bool(int(entry.get("active") or 0)),
                enabled=bool(int(entry.get("enabled", 1) or 0)),
                shared=bool(int(entry.get("shared") or 0)),
                total=_whole(entry.get("total")),
                used=_whole(entry.get("used")),
                available=_whole(entry.get("avail")),
            )
            for entry in self._client("GET", f"/nodes/{self.name}/storage") or []
        ]

    def volumes(self, storage: str, content: str | None = None) -> list[Volume]:
        return error_messages.volumes_of(
            self._client("GET", f"/nodes/{self.name}/storage/{storage}/content", {"content": content})
        )

    def bridges(self) -> list[Bridge]:
        return [
            Bridge(
                name=entry["iface"],
                kind=entry.get("type", "bridge"),
                mtu=_whole(entry.get("mtu")) or _DEFAULT_MTU,
                addresses=tuple(entry[key] for key in ("cidr", "cidr6") if entry.get(key)),
                vlan_aware=None
                if entry.get("type") == "vnet"
                else bool(int(entry.get("bridge_vlan_aware") or 0)) or entry.get("type") == "OVSBridge",
            )
            for entry in self._client("GET", f"/nodes/{self.name}/network", {"type": "any_bridge"}) or []
        ]

    def links(self) -> list[Link]:
        return [
            make_link(entry["iface"], [entry[key] for key in ("cidr", "cidr6") if entry.get(key)], entry)
            for entry in self._client("GET", f"/nodes/{self.name}/network") or []
        ]

    def pools(self) -> dict[str, frozenset[int]]:
        names = [entry["poolid"] for entry in self._client("GET", "/pools") or []]
        if not names:
            return {}
        guests = self._client("GET", "/cluster/resources", {"type": "vm"}) or []
        return {name: frozenset(int(guest["vmid"]) for guest in guests if guest.get("pool") == name) for name in names}

    def access(self) -> Access | None:
        if self.root_login:
            return None
        told = self._client("GET", "/access/permissions") or {}
        paths = {path: {name: bool(int(value)) for name, value in held.items()} for path, held in told.items()}
        return Access(self._login, paths)

    def has_path(self, path: str) -> bool | None:
        return None

    def busy(self, kind: Kind, vmid: int) -> bool:
        """A clone's task names its source alone, so any clone that runs may be the one that makes this guest."""
        return any(
            task["type"] == _CLONING[kind] or (task["type"] in _CREATING[kind] and str(task.get("id")) == str(vmid))
            for task in self._active_tasks()
        )

    def _active_tasks(self) -> list[dict[str, t.Any]]:
        tasks = self._client("GET", f"/nodes/{self.name}/tasks", {"source": "active"}) or []
        return [task for task in tasks if not task.get("endtime")]

    def being_made(self, kind: Kind) -> list[int]:
        """PVE's list of tasks tells the user, and in a field of its own his token."""
        mine = [task for task in self._active_tasks() if task["type"] == _MAKING[kind]]
        named = {
            str(task.get("id"))
            for task in mine
            if str(task.get("user")).partition("!")[0] == self._login.partition("!")[0]
        }
        return sorted(int(vmid) for vmid in named if vmid.isdecimal() and int(vmid) not in self.journal)

    def interfaces(self, kind: Kind, vmid: int) -> list[dict[str, t.Any]]:
        tail = "interfaces" if kind == "lxc" else "agent/network-get-interfaces"
        return error_messages.interfaces_of(self._client("GET", self._path(kind, vmid, tail)))

    def local_addresses(self, vmid: int) -> frozenset[str] | None:
        return None

    def outdated(self, kind: Kind, vmid: int, config: GuestConfig) -> dict[str, str]:
        """PVE tells nobody what the kernel of a node knows."""
        return {}

    def neighbours(self) -> dict[str, list[str]]:
        """PVE tells nobody the neighbour table of a node."""
        return {}

    # -- serialising -----------------------------------------------------------------------------------------------
    def lock(self, key: str) -> t.ContextManager[None]:
        return contextlib.nullcontext()

    # -- guests ----------------------------------------------------------------------------------------------------
    def next_vmid(self, skip: t.Container[int] = ()) -> int:
        vmid = int(self._client("GET", "/cluster/nextid"))
        if vmid in skip:
            while vmid in skip or not self._is_free(vmid):
                vmid += 1
        return vmid

    def _is_free(self, vmid: int) -> bool:
        try:
            self._client("GET", "/cluster/nextid", {"vmid": vmid})
        except Conflict:
            return False
        return True

    def create(self, kind: Kind, vmid: int, options: t.Mapping[str, str], *, timeout: int) -> Outcome:
        values = {"vmid": vmid, **_encoded(options)}
        return self._act(f"create {kind} {vmid}", "POST", f"/nodes/{self.name}/{kind}", values, timeout=timeout)

    def clone(self, kind: Kind, source: int, vmid: int, options: t.Mapping[str, str], *, timeout: int) -> Outcome:
        step, path = f"clone {kind} {source} to {vmid}", self._path(kind, source, "clone")
        return self._act(step, "POST", path, {"newid": vmid, **options}, timeout=timeout)

    def set_config(
        self,
        kind: Kind,
        vmid: int,
        options: t.Mapping[str, str],
        delete: t.Sequence[str] = (),
        digest: str = "",
        *,
        revert: t.Sequence[str] = (),
    ) -> Outcome:
        """A VM's config is set by a task, since a change may import or move a disk."""
        lists = {"delete": ",".join(delete) or None, "revert": ",".join(revert) or None}
        values = {**_encoded(options), **lists, "digest": digest or None}
        method = "PUT" if kind == "lxc" else "POST"
        return self._act(f"set {kind} {vmid}", method, self._path(kind, vmid, "config"), values)

    def resize(self, kind: Kind, vmid: int, disk: str, size: str, *, timeout: int) -> Outcome:
        step = f"resize {kind} {vmid} {disk} {size}"
        wanted = parse_size(size, unit=1)
        if self._size(kind, vmid, disk) == wanted:
            return Outcome()
        path, values = self._path(kind, vmid, "resize"), {"disk": disk, "size": size}
        outcome = self._act(step, "PUT", path, values, timeout=timeout)
        log = self.task_log(Upid.parse(outcome.upid)) if outcome.upid else []
        said = "\n".join(log[-10:])
        if self._size(kind, vmid, disk) != wanted or error_messages.filesystem_failed(said):
            error = error_messages.error_of(
                step, said or "PVE said nothing, and the disk did not grow", upid=outcome.upid
            )
            error.remedy = error.remedy or error_messages.ungrown_remedy(said, self.transport)
            raise error
        return Outcome(tuple(log), outcome.warnings, outcome.upid)

    def grow_filesystem(self, vmid: int, disk: str, *, timeout: int) -> Outcome:
        raise _node_only("A file system can be grown only")

    def _size(self, kind: Kind, vmid: int, disk: str) -> int | None:
        config = self.config(kind, vmid)
        if config is None:
            raise error_messages.error_of(f"{kind} {vmid}", f"Configuration file '{vmid}.conf' does not exist")
        return config_text.disk_size(config.live.get(disk, ""))

    def start(self, kind: Kind, vmid: int, *, timeout: int) -> Outcome:
        def start(options: t.Mapping[str, str]) -> Outcome:
            return self._switch(kind, vmid, "start", "running", timeout, options)

        return error_messages.start_container(start) if kind == "lxc" else start({})

    def stop(self, kind: Kind, vmid: int, *, timeout: int) -> Outcome:
        return self._switch(kind, vmid, "stop", "stopped", timeout)

    def shutdown(self, kind: Kind, vmid: int, *, timeout: int, force: bool) -> Outcome:
        values = {"timeout": timeout, "forceStop": int(force)}
        return self._switch(kind, vmid, "shutdown", "stopped", timeout + 60, values)

    def _switch(
        self,
        kind: Kind,
        vmid: int,
        verb: str,
        wanted: str,
        timeout: int,
        values: t.Mapping[str, t.Any] | None = None,
    ) -> Outcome:
        """Change a guest's power state; it is no error when it has that state already."""
        path = self._path(kind, vmid, "status", verb)
        try:
            return self._act(f"{verb} {kind} {vmid}", "POST", path, values, timeout=timeout)
        except PveError as error:
            if not error_messages.is_so_already(error.message) or self.status(kind, vmid) != wanted:
                raise
            return Outcome()

    def destroy(self, kind: Kind, vmid: int, *, purge: bool, timeout: int) -> Outcome:
        values = {"purge": 1 if purge else None}
        return self._act(f"destroy {kind} {vmid}", "DELETE", self._path(kind, vmid), values, timeout=timeout)

    def join_pool(self, vmid: int, pool: str) -> None:
        values = {"poolid": pool, "vms": vmid, "allow-move": 1}
        self._act(f"add {vmid} to pool {pool}", "PUT", "/pools", values)

    def archive(self, vmid: int, *, timeout: int) -> str:
        raise _node_only("A container can be backed up to a file only")

    def restore(
        self, vmid: int, archive: str, options: t.Mapping[str, str], *, over: bool = False, timeout: int
    ) -> None:
        raise _node_only("A container can be restored from a file only")

    def discard_archive(self, vmid: int) -> None:
        raise _node_only("A backup in a file can be removed only")

    def unlock(self, kind: Kind, vmid: int) -> None:
        command = "pct" if kind == "lxc" else "qm"
        raise _node_only("A guest's lock can be removed only", f"run {command} unlock {vmid} there")

    # -- storage ---------------------------------------------------------------------------------------------------
    def volume_path(self, volid: str) -> str:
        raise _node_only(f"The file of {volid} can be used only")

    def free(self, volid: str) -> None:
        path = f"/nodes/{self.name}/storage/{volid.partition(':')[0]}/content/{quote(volid, safe=':')}"
        self._act(f"free {volid}", "DELETE", path)

    def download_url(
        self, storage: str, content: str, filename: str, url: str, *, checksum: tuple[str, str] | None, timeout: int
    ) -> Outcome:
        algorithm, digest = checksum or (None, None)
        values = {
            "content": content,
            "filename": filename,
            "url": url,
            "checksum": digest,
            "checksum-algorithm": algorithm,
        }
        path = f"/nodes/{self.name}/storage/{storage}/download-url"
        return self._act(f"download {filename} to {storage}", "POST", path, values, timeout=timeout)

    def upload(self, storage: str, content: str, path: str, filename: str, *, timeout: int) -> Outcome:
        target = f"/nodes/{self.name}/storage/{storage}/upload"
        try:
            with Multipart({"content": content}, "filename", Path(path), filename) as body:
                return self._await(
                    f"upload {filename} to {storage}", lambda: self._client.upload(target, body), timeout
                )
        except OSError as error:
            raise PveError(f"upload {filename} to {storage}: {error}") from error

    # -- inside VMs ------------------------------------------------------------------------------------------------
    def agent_exec(self, vmid: int, argv: t.Sequence[str], *, stdin: str = "", timeout: int = 60) -> Completed:
        values = {"command": list(argv), "input-data": stdin or None}
        pid = self._client("POST", self._path("qemu", vmid, "agent", "exec"), values)["pid"]
        status = self._path("qemu", vmid, "agent", "exec-status")
        done = poll(
            lambda: error_messages.completed_of(self._client("GET", status, {"pid": pid})),
            lambda done: done is not None,
            timeout=timeout,
            clock=self.clock,
            pauses=(0.1, 1.0),
        )
        if done is None:
            raise Timeout(f"{argv[0]} in VM {vmid} was not done after {timeout} s.")
        return done

    # -- inside containers -----------------------------------------------------------------------------------------
    def exec(self, vmid: int, argv: t.Sequence[str], *, stdin: str = "", timeout: int = 60) -> Completed:
        raise _node_only("A command in a container can be run only")

    def push(self, vmid: int, source: str, target: str, *, mode: str = "0644") -> None:
        raise _node_only("A file can be put into a container only", "put it into the template that is uploaded")

    def pull(self, vmid: int, source: str, target: str) -> None:
        raise _node_only("A file can be read from a container only")

    def mount(self, vmid: int) -> str:
        raise _node_only("A container can be mounted only", "put what it needs into the template that is uploaded")

    def unmount(self, vmid: int) -> None:
        raise _node_only("A container can be unmounted only")


def _choose(client: Client, vmid: int | None) -> str:
    """The node to work on when none is named."""
    online = sorted(entry["node"] for entry in client("GET", "/nodes") or [] if entry.get("status") == "online")
    if len(online) > 1 and vmid is not None:
        entries = client("GET", "/cluster/resources", {"type": "vm"}) or []
        online = [entry["node"] for entry in entries if int(entry["vmid"]) == vmid] or online
    if len(online) == 1:
        return str(online[0])
    names = f"one of {', '.join(online)}" if online else "though no node is online"
    raise InvalidInput([Finding("node", None, "has to be named", f"Set node: {names}")])


def _config(entries: t.Iterable[t.Mapping[str, t.Any]]) -> GuestConfig:
    """A guest's config from the pending view."""
    live: dict[str, str] = {}
    pending: dict[str, str | None] = {}
    for entry in entries:
        key = entry["key"]
        if entry.get("value") is not None:
            live[key] = _text(key, entry["value"])
        if entry.get("delete"):
            pending[key] = None
        elif "pending" in entry:
            pending[key] = _text(key, entry["pending"])
    digest = live.pop("digest", "")
    parent = live.get("parent")
    return GuestConfig(config_text.combine(live, pending), live, pending, digest, (parent,) if parent else ())


def _text(key: str, value: t.Any) -> str:
    text = str(value)
    return text.removesuffix("\n") if key == "description" else text.strip()


def _whole(value: t.Any) -> int | None:
    """An integer, which PVE's JSON may hold as text; None where there is none."""
    return None if value in (None, "") else int(value)


def _encoded(options: t.Mapping[str, str]) -> dict[str, str]:
    """The API takes the keys of cloud-init percent-encoded inside the (again encoded) form."""
    return {name: quote(value, safe="") if name == "sshkeys" else value for name, value in options.items()}


def _node_only(what: str, otherwise: str = "") -> Unsupported:
    way_out = "Run this task on the node as root, without api_host"
    return Unsupported(
        f"{what} on the node itself, not over the API.", remedy=f"{way_out}{', or ' if otherwise else ''}{otherwise}."
    )
