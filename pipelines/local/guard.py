"""The guard of the embedded servers: they answer the user who started them, and root.

The loopback interface belongs to everybody on a machine. Linux knows whose socket the other end of a connection is.
"""

import os
import socket
import struct
import sys
from pathlib import Path
from typing import Any, Protocol

ROOT = 0
# Of <linux/netlink.h> and <linux/sock_diag.h>.
NETLINK_SOCK_DIAG, NLM_F_REQUEST, SOCK_DIAG_BY_FAMILY = 4, 1, 20
# A netlink header, and the beginning of a request for sockets by family, protocol and states.
HEADER, WANTED = struct.Struct("=IHHII"), struct.Struct("=BBBBI")
# Ports, addresses, interface, and a cookie that is not known.
ENDS, ANY_COOKIE = struct.Struct("!HH16s16s"), struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
# In the answer, behind header, ends and queues: user and inode.
OWNER, OWNER_OFFSET = struct.Struct("=II"), 80

Address = tuple[str, int]


class Connection(Protocol):
    """An accepted connection: a socket, or what asyncio or eventlet wrap it in."""

    def getpeername(self) -> Any:
        """Return address and port of the other end."""

    def getsockname(self) -> Any:
        """Return address and port of this end."""


def owners_are_known() -> bool:
    """Return whether this system tells whose socket the other end of a connection is."""
    return sys.platform == "linux"


def comes_from_owner(connection: Connection) -> bool:
    """Return whether the other end of an IPv4 connection on this machine is an open socket of this user or of root.

    Where the system does not tell, the answer is always yes.
    """
    if not owners_are_known():
        return True
    try:
        other, own = connection.getpeername(), connection.getsockname()
    except OSError:
        return False
    user, inode = socket_by_netlink(other, own) or socket_by_table(other, own) or (None, 0)
    # Without an inode its process has closed the socket; older kernels then call it root's.
    return inode != 0 and user in {os.geteuid(), ROOT}


def socket_by_netlink(local: Address, remote: Address) -> tuple[int, int] | None:
    """Return user and inode of the TCP socket with these ends; None where the kernel has no such or does not say.

    It takes some microseconds, however many sockets there are.
    """
    ends = ENDS.pack(local[1], remote[1], socket.inet_aton(local[0]), socket.inet_aton(remote[0]))
    wanted = WANTED.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF) + ends + ANY_COOKIE
    header = HEADER.pack(HEADER.size + len(wanted), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 0, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as kernel:
            kernel.send(header + wanted)
            answer = kernel.recv(4096)
    except OSError:
        return None
    if HEADER.unpack_from(answer)[1] != SOCK_DIAG_BY_FAMILY:
        return None
    user, inode = OWNER.unpack_from(answer, OWNER_OFFSET)
    return user, inode


def socket_by_table(local: Address, remote: Address) -> tuple[int, int] | None:
    """Return the same from /proc, for sandboxes whose kernel lacks the other way; None where there is no such socket.

    It takes milliseconds, and more where there are many sockets.
    """
    ends = [f"{_in_hex(socket.inet_aton(host))}:{port:04X}" for host, port in (local, remote)]
    # Sockets of IPv6 that speak IPv4 are in a table of their own.
    mapped = f"{0:016X}{_in_hex(bytes([0, 0, 255, 255]))}"
    for table, prefix in (("tcp", ""), ("tcp6", mapped)):
        row = f" {prefix}{ends[0]} {prefix}{ends[1]} "
        _, found, rest = Path("/proc/net", table).read_text(encoding="ascii").partition(row)
        if found:
            _state, _queues, _timer, _retransmits, user, _timeout, inode, *_ = rest.split(None, 7)
            return int(user), int(inode)
    return None


def _in_hex(word: bytes) -> str:
    """Return four bytes of an address as the tables show them: as a number in the machine's order of bytes."""
    return f"{struct.unpack('=I', word)[0]:08X}"
