"""One POST to somebody else's server: to an address that was looked at before, within a time, following nothing.

The host's name is resolved once, and the connection goes to what was looked at: a name that means another address a
moment later changes nothing. Proxies that the environment names are not asked, for they would resolve it again.
"""

import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpcore
from typing_extensions import override

from api.notifications.addresses import AddressNotAllowed, Network, Resolve, require_allowed, resolve

LONGEST_S = 10.0
"""From the first to the last byte; resolving the name comes before."""
PORTS = {"http": 80, "https": 443}


class NotTaken(Exception):
    """The receiver has not taken what was sent; the message says why, for who made the webhook."""


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    networks: Sequence[Network] = (),
    resolver: Resolve = resolve,
    longest_s: float = LONGEST_S,
) -> None:
    """Sends the body; returns where the answer's status is 2xx.

    `networks`: may be sent to besides the internet. What the receiver answers is not read.

    Raises:
        NotTaken: it answered otherwise, or not in time, or may not be sent to.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    try:
        address = require_allowed(host, resolver(host, port), networks)
        backend = _OneAddress(address, time.monotonic() + longest_s)
        with (
            httpcore.ConnectionPool(ssl_context=ssl.create_default_context(), network_backend=backend) as pool,
            pool.stream("POST", url, headers=list(headers.items()), content=body) as answer,
        ):
            status = answer.status
    except AddressNotAllowed as error:
        raise NotTaken(str(error)) from None
    except (OSError, UnicodeError) as error:  # of the resolver, also for a name that is none
        raise NotTaken(f"{host} has no address that could be found: {error}") from None
    except httpcore.TimeoutException:
        raise NotTaken(f"{host} did not answer within {longest_s:g} s") from None
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise NotTaken(f"{host} did not answer: {str(error) or type(error).__name__}") from None
    if 300 <= status < 400:
        raise NotTaken(f"{host} answered {status}; redirects are not followed: give the address that it leads to")
    if not 200 <= status < 300:
        raise NotTaken(f"{host} answered {status}")


class _OneAddress(httpcore.NetworkBackend):
    """Connects to this address, whatever the host is called."""

    def __init__(self, address: str, deadline: float) -> None:
        self._address, self._deadline = address, deadline
        self._backend = httpcore.SyncBackend()

    @override
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(self._deadline, httpcore.ConnectTimeout)
        return _Brief(self._backend.connect_tcp(self._address, port, left), self._deadline)


class _Brief(httpcore.NetworkStream):
    """A connection that is over at a time, however little each of its bytes takes."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream, self._deadline = stream, deadline

    @override
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline, httpcore.ReadTimeout))

    @override
    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._deadline, httpcore.WriteTimeout))

    @override
    def close(self) -> None:
        self._stream.close()

    @override
    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(self._deadline, httpcore.ConnectTimeout)
        return _Brief(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    @override
    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float, error: type[httpcore.TimeoutException]) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise error
    return left
