"""Requests to public addresses only."""

import socket
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from components.common.errors import PipelineError

# Addresses of IPv4 within IPv6, which a gateway translates.
TRANSLATED = ip_network("64:ff9b::/96")


def require_public(host: str, address: str) -> None:
    """Refuse an address of a private network, of this machine, or of a cloud's metadata.

    Args:
        host: Name that led to it.
        address: Address of IPv4 or IPv6.

    Raises:
        PipelineError: It is one.
    """
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        found = inner or (ip_address(int(found) & 0xFFFFFFFF) if found in TRANSLATED else found)
    if not found.is_global or found.is_multicast:
        raise PipelineError(
            f"data must come from a public address on a cluster but {host} is {address}: put it into the object "
            "store, or set DATA_ALLOW_PRIVATE=1."
        )


class _Connection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _require_public_peer(self)


class _SecureConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        _require_public_peer(self)


def _require_public_peer(connection: HTTPConnection) -> None:
    """Check whom a connection reached: a name can have other addresses at each look-up."""
    require_public(connection.host, connection.sock.getpeername()[0])


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class PublicAdapter(HTTPAdapter):
    """Sends requests to public addresses only; a session uses it again for each redirect."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        """Look the host up before anything is sent to it, by a proxy too."""
        host = str(urlsplit(str(request.url)).hostname)
        try:
            found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
        except (OSError, UnicodeError):
            # It is the proxy that knows the name, or the connection fails with a reason.
            found = []
        for *_, address in found:
            require_public(host, str(address[0]))
        return super().send(request, *args, **options)
