# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``curl``, ``wget`` and ``nc`` of a guest: the addresses that installers ask, as data, and what guests serve."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..guest.arguments import Words, command
from ..guest.busybox_files import path_of
from ..guest.runtime import Completed, Guest, done
from ..state.rootfs import GuestFiles
from . import catalog, services
from .packages import online

K3S_VERSION = "v1.33.5+k3s1"
K3S_RELEASE = re.compile(r"https://github\.com/k3s-io/k3s/releases/download/([^/]+)/(k3s|sha256sum-amd64\.txt)")
INSTALL_K3S = f"""#!/bin/sh
set -e
curl -fsSL -o /usr/local/bin/k3s https://github.com/k3s-io/k3s/releases/download/{K3S_VERSION}/k3s
chmod 755 /usr/local/bin/k3s
role=server; unit=k3s
if [ -n "$K3S_URL" ]; then role=agent; unit=k3s-agent; fi
case "$INSTALL_K3S_EXEC $*" in *agent*) role=agent; unit=k3s-agent;; esac
mkdir -p /etc/systemd/system
printf "K3S_TOKEN='%s'\\nK3S_URL='%s'\\n" "$K3S_TOKEN" "$K3S_URL" > /etc/systemd/system/$unit.service.env
printf '[Service]\\nExecStart=/usr/local/bin/k3s %s %s\\n' "$role" "$*" > /etc/systemd/system/$unit.service
systemctl enable --now $unit
"""
#: Address -> what is there.
PAGES = {
    "https://get.docker.com": "#!/bin/sh\nmkdir -p /etc/apt/sources.list.d\n"
    "echo 'deb https://download.docker.com/linux/debian stable' > /etc/apt/sources.list.d/docker.list\n"
    "apt-get -q update\n"
    "apt-get -qy install docker-ce docker-ce-cli containerd.io docker-compose-plugin\nsystemctl enable --now docker\n",
    "https://get.k3s.io": INSTALL_K3S,
    "https://download.docker.com/linux/debian/gpg": "-----BEGIN PGP PUBLIC KEY BLOCK-----\n",
    "https://download.docker.com/linux/ubuntu/gpg": "-----BEGIN PGP PUBLIC KEY BLOCK-----\n",
}
REDIRECTS = {
    "https://update.k3s.io/v1-release/channels/stable": f"https://github.com/k3s-io/k3s/releases/tag/{K3S_VERSION}",
    "https://update.k3s.io/v1-release/channels/latest": f"https://github.com/k3s-io/k3s/releases/tag/{K3S_VERSION}",
}


def page(url: str) -> str | None:
    """What lies at an address."""
    release = K3S_RELEASE.fullmatch(url)
    if release is None:
        return PAGES.get(url.rstrip("/"))
    binary = f"k3s version {release[1].replace('%2B', '+')}\n"
    digest = hashlib.sha256(binary.encode()).hexdigest()
    return binary if release[2] == "k3s" else f"{digest}  k3s\n"


@dataclass(frozen=True)
class Answer:
    """The outcome of a request; ``code`` is curl's where there was no answer."""

    status: int = 0
    body: str = ""
    redirect: str = ""
    code: int = 0
    error: str = ""


def serving(guest: Guest, host: str) -> Guest | None:
    """The guest that a host name or address is: itself, or a container that runs beside it."""
    if host in ("localhost", "127.0.0.1", "::1", guest.hostname) or host in _addresses(guest):
        return guest
    for vmid in guest.state.running():
        other = Guest(guest.state, vmid, guest.state.guest("lxc", vmid).options,
                      GuestFiles(guest.state.path(f"var/lib/lxc/{vmid}/rootfs")))  # fmt: skip
        if host in _addresses(other) and not other.is_openwrt:
            return other
    return None


def _addresses(guest: Guest) -> set[str]:
    return {address.partition("/")[0] for card in guest.interfaces for address in card.addresses}


def listener(guest: Guest, port: int) -> tuple[str, str] | None:
    """The service of a guest that listens at a TCP port, and what it speaks."""
    found = [(name, kind) for number, kind, name in services.listening(guest) if number == port and kind != "udp"]
    return found[0] if found else None


def ask(guest: Guest, url: str) -> Answer:
    """A request of a guest, to another one or to the world."""
    place = urlsplit(url)
    host = place.hostname or ""
    server = serving(guest, host)
    if server is not None:
        return served(server, place.port or {"https": 443}.get(place.scheme, 80), place.path or "/", host)
    if not online(guest):
        return Answer(code=6, error=f"Could not resolve host: {host}")
    if url in REDIRECTS:
        return Answer(302, "", REDIRECTS[url])
    body = page(url)
    return Answer(404, "404: not found\n") if body is None else Answer(200, body)


#: Web servers, which have files, and where.
SITES = {"nginx": "/var/www/html", "apache2": "/var/www/html", "httpd": "/var/www/html", "caddy": "/usr/share/caddy",
         "lighttpd": "/var/www/html"}  # fmt: skip


def served(server: Guest, port: int, path: str, host: str) -> Answer:
    """What a guest's service answers to a request."""
    found = listener(server, port)
    if found is None:
        return Answer(code=7, error=f"Failed to connect to {host} port {port} after 0 ms: Could not connect to server")
    name, kind = found
    if kind != "http":
        return Answer(code=52, error="Empty reply from server")
    if name in SITES:
        file = f"{SITES[name]}{path}" + ("index.html" if path.endswith("/") else "")
        if server.files.exists(file):
            return Answer(200, server.files.read(file))
        if path != "/":
            return Answer(404, "<html><title>404 Not Found</title></html>\n")
    status, text = catalog.ANSWERS.get((name, path), (200, f"<html><title>Welcome to {name}!</title></html>"))
    return Answer(status, f"{text}\n")


def _curl(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``curl [-f] [-o FILE | -O] [-w FORMAT] URL ...``."""
    urls = [*words.plain, *words.given.get("url", ())]
    targets = [*words.given.get("output", ()), *words.given.get("remote-name", ())]
    text = ""
    for number, url in enumerate(urls):
        answer = ask(guest, url if "://" in url else f"http://{url}")
        if answer.code:
            return done(text, answer.code, f"curl: ({answer.code}) {answer.error}\n")
        if answer.status >= 400 and "fail" in words:
            return done(text, 22, f"curl: (22) The requested URL returned error: {answer.status}\n")
        body = f"HTTP/1.1 {answer.status} OK\r\n\r\n" if "head" in words else answer.body
        target = targets[number] or url.rpartition("/")[2] if number < len(targets) else "-"
        if target == "-":
            text += body
        elif target != "/dev/null":
            guest.files.write(path_of(guest, target), body)
        text += _written(words.value("write-out"), answer)
    return done(text)


def _written(form: str, answer: Answer) -> str:
    facts = {"redirect_url": answer.redirect, "http_code": str(answer.status), "response_code": str(answer.status)}
    return re.sub(r"%\{(\w+)\}", lambda found: facts.get(found[1], ""), form).replace("\\n", "\n")


def _wget(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``wget [-q] [-O FILE] [-S] [--spider] URL``."""
    for url in words.plain:
        answer = ask(guest, url if "://" in url else f"http://{url}")
        answer = ask(guest, answer.redirect) if answer.redirect else answer
        if answer.code:
            return done(rc=4, err=f"wget: {answer.error}\n")
        if answer.status >= 400:
            return done(rc=8, err=f"wget: server returned error: HTTP/1.1 {answer.status} Not Found\n")
        target = words.value("output-document") or url.rpartition("/")[2]
        if "spider" in words:
            continue
        if target == "-":
            return done(answer.body)
        if target != "/dev/null":
            guest.files.write(
                target if target.startswith("/") else f"{guest.env.get('PWD', '/')}/{target}", answer.body
            )
    return done()


def _nc(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``nc -z HOST PORT``."""
    host, port = ([*words.plain, "", ""])[:2]
    server = serving(guest, host)
    return done(rc=int(server is None or not port.isdigit() or listener(server, int(port)) is None))


curl = command("f=fail fail-with-body=fail s=silent S=show-error L=location o=output: O=remote-name "
               "w=write-out: H=header: X=request: d=data: A=user-agent: m=max-time: max-time: connect-timeout: "
               "retry: retry-delay: retry-max-time: "
               "retry-connrefused retry-all-errors k=insecure insecure u=user: I=head proto: tlsv1.2 4=ipv4 6=ipv6 "
               "N=no-buffer resolve: url: location show-error silent noproxy: create-dirs", _curl)  # fmt: skip
wget = command("q=quiet O=output-document: nv=no-verbose T=timeout: timeout: t=tries: tries: S=server-response spider "
               "no-check-certificate U=user-agent: header: 4 6 no-verbose", _wget)  # fmt: skip
nc = command("z v=verbose w=timeout: n u=udp", _nc)
