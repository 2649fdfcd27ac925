"""By which names the service is reached, and from which pages it is changed.

A page in a browser can have a name of its own resolve to the service's address (DNS rebinding), and can send forms to
the service. The first shows in the request's `Host`, the second in its `Origin`, which browsers send with whatever may
change something. Addresses cannot be rebound: only names can.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import http_problem, problem_response

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
READING = frozenset({"GET", "HEAD", "OPTIONS"})
DEFAULT_PORTS = {"http": 80, "https": 443}
AUTHORITY = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9_.-]{1,255})(?::([0-9]{1,5}))?", re.ASCII | re.IGNORECASE)
ORIGIN = re.compile(r"(https?)://(.+)", re.ASCII | re.IGNORECASE)
UNKNOWN_HOST = (
    "The service is not known by the host {host}. Reach it as localhost or by its address, or have whoever runs it "
    "name that host in GANCLINIC_ALLOWED_HOSTS."
)
FOREIGN_ORIGIN = (
    "A page of {origin} may not change anything here; scripts send no Origin. "
    "If the page is one of yours, name its host in GANCLINIC_ALLOWED_HOSTS."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Whom a URL or a `Host` names."""

    host: str
    """In lower case; an address in its shortest form, without brackets."""
    port: int | None
    """None where none is said."""

    @classmethod
    def read(cls, text: str) -> Self | None:
        """That of `host:port`; None where the text is none."""
        found = AUTHORITY.fullmatch(text)
        if found is None:
            return None
        return cls(host=canonical(found[1]), port=None if found[2] is None else int(found[2]))


def canonical(host: str) -> str:
    """The name or address as it is compared: `LocalHost.` is localhost, `fe80:0::1%eth0` is fe80::1."""
    bare = host.lower().partition("%")[0].removesuffix(".").removeprefix("[").removesuffix("]")
    return str(ipaddress.ip_address(bare)) if is_address(bare) else bare


def is_address(host: str) -> bool:
    """Whether it is an IP address, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_every_address(bound: str) -> bool:
    """Whether a server bound to it listens on all addresses of its machine; the system takes `0` for one of these."""
    if bound == "" or (is_address(bound) and ipaddress.ip_address(bound).is_unspecified):
        return True
    try:
        return socket.inet_aton(bound) == bytes(4)
    except OSError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownHosts:
    """By what the service may be called."""

    named: frozenset[str]
    """Those that the setting names, in which pages may lie."""
    names: frozenset[str]
    """All names and addresses."""
    any_address: bool
    """Whether every address is one of this machine's, as far as the service can know."""

    @classmethod
    def of(cls, bound: str, allowed: Iterable[str]) -> Self:
        """Those of a service that listens on `bound`, and is besides called as `allowed` says."""
        named = frozenset(map(canonical, allowed))
        is_everywhere = is_every_address(bound)
        own = set[str]() if is_everywhere else {canonical(bound)}
        if is_everywhere or own - LOOPBACK:
            own |= {canonical(socket.gethostname())}
        return cls(named=named, names=LOOPBACK | named | own, any_address=is_everywhere)

    def __contains__(self, host: str) -> bool:
        """Whether the service answers to it."""
        return host in self.names or (self.any_address and is_address(host))

    def has_page(self, origin: str, host: Authority | None) -> bool:
        """Whether a page of that origin may change what a request to `host` changes: it lies there, or is named."""
        page = _page(origin)
        return page is not None and (page[0].host in self.named or _lies_at(page, host))

    def has_own_page(self, origin: str, host: Authority | None) -> bool:
        """Whether a page of that origin is one of this service, and not of another that listens on the same machine.

        Browsers send cookies whatever the port. A named host without a port is a proxy before the service.
        """
        page = _page(origin)
        if page is None:
            return False
        authority, default = page
        is_proxy = authority.host in self.named and (authority.port or default) == default
        return is_proxy or _lies_at(page, host)


def _page(origin: str) -> tuple[Authority, int] | None:
    """Where a page lies, and the port that its scheme has; None where it has no address, as `null` says."""
    found = ORIGIN.fullmatch(origin)
    authority = None if found is None else Authority.read(found[2])
    return None if found is None or authority is None else (authority, DEFAULT_PORTS[found[1].lower()])


def _lies_at(page: tuple[Authority, int], host: Authority | None) -> bool:
    authority, default = page
    return host is not None and (authority.host, authority.port or default) == (host.host, host.port or default)


class RequireHost:
    """Answers 421 to a request for another host, and 403 to one by which a foreign page would change something."""

    def __init__(self, app: ASGIApp, hosts: KnownHosts) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the request, or answers 421 (another host) or 403 (another origin)."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        given = headers.get("host")  # missing in HTTP/1.0, which probes send and no browser does
        host = None if given is None else Authority.read(given)
        if given is not None and (host is None or host.host not in self._hosts):
            problem = http_problem(421, UNKNOWN_HOST.format(host=f"{given!r:.100}"))
            return await problem_response(problem, scope)(scope, receive, send)
        origins = [] if scope["method"] in READING else headers.getlist("origin")
        foreign = next((origin for origin in origins if not self._hosts.has_page(origin, host)), None)
        if foreign is not None:
            problem = http_problem(403, FOREIGN_ORIGIN.format(origin=f"{foreign!r:.100}"))
            return await problem_response(problem, scope)(scope, receive, send)
        return await self._app(scope, receive, send)
