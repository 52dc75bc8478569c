# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: speak HTTPS to PVE, with its errors turned into ours. Nobody else sees proxmoxer."""

from __future__ import annotations

import contextlib
import random
import typing as t
from urllib.parse import urljoin, urlsplit

try:
    import requests
    from proxmoxer.backends import https
    from proxmoxer.core import AuthenticationError, ProxmoxResource, ResourceException
except ImportError as error:
    MISSING: ImportError | None = error
else:
    MISSING = None

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Finding,
    InvalidInput,
    ProvisionError,
    PveError,
    Timeout,
    Unreachable,
    Unsupported,
)
from ansible_collections.pve.provision.plugins.module_utils._io.clock import Clock
from ansible_collections.pve.provision.plugins.module_utils._pve import error_messages
from ansible_collections.pve.provision.plugins.module_utils._pve.multipart import Multipart

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
        self.clock = clock
        self._session = backend.get_session()
        self._session.hooks["response"] += [_refuse_redirect, _keep_message]
        self._session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=_CONNECTIONS))
        url = backend.get_base_url()
        self._resource = ProxmoxResource(base_url=url, session=self._session, serializer=_Answers())

    @classmethod
    def connect(cls, params: t.Mapping[str, t.Any], clock: Clock) -> Client:
        """A client for the connection options. A password is exchanged for a ticket at once."""
        _check_login(params)
        step = f"login of {params['api_user']}"
        return cls(_persist(clock, step, lambda: _log_in(params, clock), harmless=True), clock)

    def __call__(self, method: str, path: str, values: t.Mapping[str, t.Any] | None = None) -> t.Any:
        """Do a request and hand back its ``data``. Values that are None are left out."""
        given = {name: value for name, value in (values or {}).items() if value is not None}
        ask = getattr(self._resource(path.strip("/")), method.lower())
        return _persist(self.clock, f"{method} {path}", lambda: ask(**given), harmless=method == "GET")

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
                raise ResourceException(response.status_code, "", response.reason, _Answers().loads_errors(response))
            return _Answers().loads(response)

        return _persist(self.clock, f"POST {path}", ask, harmless=False)


def _persist(clock: Clock, step: str, ask: t.Callable[[], t.Any], *, harmless: bool) -> t.Any:
    """Ask again when there was no answer, but never for what PVE may be doing by now, unless that is ``harmless``."""
    for pause in (*_PAUSES, None):
        try:
            with _faults(step, harmless):
                return ask()
        except _NoAnswer as fault:
            if not fault.harmless:
                fault.error.remedy += (
                    " PVE may have started it nevertheless: run again to continue from the current state."
                )
            if pause is None or not fault.harmless:
                raise fault.error from fault.__cause__
            clock.sleep(pause * random.uniform(0.5, 1.5))
    raise AssertionError("the last attempt returns or raises")


def _check_login(params: t.Mapping[str, t.Any]) -> None:
    """Raises what stands against a login before anybody is asked."""
    if MISSING:
        raise Unsupported(
            f"The API needs Python libraries that are not installed: {MISSING}.",
            remedy="Run pip install proxmoxer requests where this task runs (with api_host, usually the "
            "controller or the execution environment).",
        ) from MISSING
    if not params.get("api_user"):
        raise InvalidInput([Finding("api_user", None, "is needed with api_host")])
    if not params.get("api_token_id") and not params.get("api_password"):
        problem = "is not there, and neither is a password"
        raise InvalidInput([Finding("api_token_id", None, problem, "Give a token or api_password")])


def _log_in(params: t.Mapping[str, t.Any], clock: Clock) -> t.Any:
    """proxmoxer's half of a client."""
    validate = params.get("validate_certs", True)
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
    return backend


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
        if answer.status_code == requests.codes.unauthorized:
            words = f"Couldn't authenticate user: {self._user} to {self._url} code: {answer.status_code}"
            raise AuthenticationError(words)
        if answer.status_code != requests.codes.ok:
            raise ResourceException(answer.status_code, "", answer.reason, _Answers().loads_errors(answer))
        given = _Answers().loads(answer) or {}
        if given.get("NeedTFA"):
            raise AuthenticationError(f"{self._user} needs a second factor, which a run cannot provide. Use a token.")
        self._ticket, self._token = str(given["ticket"]), str(given["CSRFPreventionToken"])
        self._since = self._clock.now()

    def get_cookies(self) -> dict[str, str]:
        return {"PVEAuthCookie": self._ticket}

    def __call__(self, request: t.Any) -> t.Any:
        if self._clock.now() - self._since > self.RENEW:
            self._login(self._ticket)
        if request.method != "GET":
            request.headers["CSRFPreventionToken"] = self._token
        return request


class _Answers:
    """What PVE answers, in the place of proxmoxer's reading of it, which takes any body for an answer."""

    def loads(self, response: t.Any) -> t.Any:
        try:
            return response.json()["data"]
        except (ValueError, KeyError, TypeError) as error:
            said = error_messages.outside_json(response.text) or f"{len(response.content)} bytes"
            words = f"no answer of PVE's API came, but {said}"
            raise requests.exceptions.InvalidJSONError(words) from error

    def loads_errors(self, response: t.Any) -> dict[str, t.Any]:
        """PVE's map of what is wrong with which parameter."""
        try:
            errors = response.json()["errors"]
        except (ValueError, KeyError, TypeError):
            return {}
        return errors if isinstance(errors, dict) else {}


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
def _faults(step: str, harmless: bool) -> t.Iterator[None]:
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
            + [f"{name}: {text}".strip() for name, text in error.errors.items()]
        )
        if error.status_code in _GATEWAY:
            unreachable = Unreachable(f"{step}: {words}", remedy="Check that the node and its pveproxy run.")
            raise _NoAnswer(unreachable, harmless=harmless or error.status_code == _NO_CONNECTION) from error
        if error.status_code == 401:
            raise PveError(f"{step}: {words}", remedy=_LOGIN, reason="login") from error
        raise error_messages.error_of(step, words, status=error.status_code) from error
    except requests.exceptions.SSLError as error:
        if not _untrusted(error):
            broken = Unreachable(
                f"{step}: the TLS connection broke: {error}",
                remedy="Check that api_port is that of pveproxy (8006), and what stands between here and the node.",
            )
            raise _NoAnswer(broken, harmless=harmless) from error
        raise Unreachable(
            f"{step}: the TLS certificate is not trusted: {error}",
            remedy="Set ca_path to the authority's certificate (/etc/pve/pve-root-ca.pem of the node), and api_host to "
            "a name that the certificate holds.",
        ) from error
    except requests.exceptions.ReadTimeout as error:
        late = Timeout(f"{step}: no answer in time: {error}", remedy="Raise http_timeout.")
        raise _NoAnswer(late, harmless=harmless) from error
    except requests.exceptions.RequestException as error:
        unreachable = Unreachable(f"{step}: {error}", remedy="Check api_host, api_port and the network.")
        raise _NoAnswer(unreachable, harmless=harmless or _never_sent(error)) from error


def _untrusted(error: Exception) -> bool:
    """Whether TLS failed because of the certificate, and not because the connection ended or speaks something else."""
    return "CERTIFICATE_VERIFY_FAILED" in str(error) or "doesn't match" in str(error)
