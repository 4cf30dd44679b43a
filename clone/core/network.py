"""The sockets under a download: which addresses it may lead to, and a deadline that reaches into blocking calls."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, NamedTuple

from clone.core.errors import FetchError
from clone.core.jobs import Stop

CONNECT_S = 5.0

_MAX_ADDRESSES = 4
_PRIVATE = [ip_network(n) for n in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1", "fc00::/7")]
"""Loopback and the networks of houses and offices; never link-local, where clouds keep their secrets."""

_GLOBAL_V6 = ip_network("2000::/3")  # all that has been given out as global unicast
_NAT64 = ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address, seen from an IPv6-only network

_NEVER = [
    ip_network(network)
    for network in (
        "168.63.129.16",  # Azure's platform address, in public space
        "fd00:ec2::/32",  # AWS metadata, in private space
        "fd20:ce::/32",  # Google Cloud metadata, in private space
        "192.0.0.0/24",  # protocol assignments, Oracle's metadata among them
        "192.88.99.0/24",  # relays of 6to4
        "2002::/16",  # 6to4: an IPv4 address behind a relay
        "2001::/32",  # Teredo: the same
        "3fff::/20",  # documentation; ipaddress does not know it yet
    )
]


Resolver = Callable[..., list[Any]]


class Place(NamedTuple):
    """A URL that may be asked for; ``shown`` is how a person sees it, without what may be secret in it."""

    url: str
    host: str
    port: int
    shown: str


def is_allowed(address: str, allow_private: bool) -> bool:
    """Tell whether to connect to an address.

    Args:
        address: an IPv4 or IPv6 address as the resolver writes it.
        allow_private: permit loopback and private networks as well as public ones.
    """
    try:
        ip = _inner(ip_address(address))
    except ValueError:
        return False
    if any(ip in network for network in _NEVER):
        return False
    if any(ip in network for network in _PRIVATE):
        return allow_private
    if ip.version == 6 and ip not in _GLOBAL_V6:
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_link_local or ip.is_unspecified)


def _inner(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 one stands for, where the network itself takes it so."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip


class Deadline:
    """A deadline and a stop that reach into blocking calls, by shutting their sockets down."""

    def __init__(self, timeout_s: float, stop: Stop | None) -> None:
        self.timeout_s = timeout_s
        self._end = time.monotonic() + timeout_s
        self._stop = stop or Stop()
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._is_cut = False
        self._timer = threading.Timer(timeout_s, self._cut)
        self._timer.daemon = True
        self._timer.start()
        self._stop.on_stop(self._cut)

    def watch(self, connection: socket.socket) -> None:
        """Shut a socket down when time is over; a duplicate is kept, for TLS takes the socket itself away."""
        with self._lock:
            self._sockets.append(connection.dup())
        if self._is_cut:
            self._cut()

    def left_s(self) -> float:
        """Return the time left, never quite 0, which sockets take for something else."""
        return max(0.01, self._end - time.monotonic())

    def check(self, shown: str) -> None:
        """Raise if it was asked to stop, or time is over."""
        self._stop.check()
        if self._is_cut or time.monotonic() >= self._end:
            raise timeout(shown, self.timeout_s)

    def close(self) -> None:
        """Let go of timer and sockets."""
        self._timer.cancel()
        with self._lock:
            for connection in self._sockets:
                connection.close()
            self._sockets.clear()

    def _cut(self) -> None:
        with self._lock:
            self._is_cut = True
            for connection in self._sockets:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True)
class Network:
    """The network as one download may use it."""

    allow_private: bool
    resolver: Resolver
    deadline: Deadline

    def judged_addresses(self, place: Place) -> list[Any]:
        """Look a host up, once; refuse it if any of its addresses is not to be connected to."""
        answers: queue.SimpleQueue[list[Any] | Exception] = queue.SimpleQueue()

        def look_up() -> None:  # in a thread, for a resolver knows neither deadline nor stop
            try:
                answers.put(self.resolver(place.host, place.port, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError) as error:
                answers.put(error)

        threading.Thread(target=look_up, daemon=True).start()
        answer: list[Any] | Exception | None = None
        while answer is None:
            self.deadline.check(place.shown)
            with suppress(queue.Empty):
                answer = answers.get(timeout=min(0.1, self.deadline.left_s()))
        if isinstance(answer, Exception) or not answer:
            raise failure("url_unresolved", f"There is no host named {place.host}.", "Check the address.")
        if not all(is_allowed(str(info[4][0]), self.allow_private) for info in answer):
            raise failure(
                "url_private",
                f"{place.shown} points into a private network.",
                "Give an address that everybody can reach, or upload the file.",
            )
        return answer[:_MAX_ADDRESSES]

    def dial(self, addresses: list[Any], place: Place) -> socket.socket:
        """Connect to the first of these addresses that answers, and to no other."""
        timed_out = False
        for family, _kind, protocol, _name, address in addresses:
            self.deadline.check(place.shown)
            connection = socket.socket(family, socket.SOCK_STREAM, protocol)
            try:
                self.deadline.watch(connection)
                connection.settimeout(min(CONNECT_S, self.deadline.left_s()))
                connection.connect(address)
            except OSError as error:
                connection.close()
                timed_out = isinstance(error, TimeoutError)
            else:
                return connection
        self.deadline.check(place.shown)
        if timed_out:
            raise timeout(place.shown, CONNECT_S)
        raise failure("url_unreachable", f"{place.shown} can't be reached.", "Check the address, or try again later.")


def timeout(shown: str, limit_s: float) -> FetchError:
    """What is said of a server that takes too long."""
    return FetchError(
        f"{shown} took longer than {limit_s:g} s to answer.",
        code="url_timeout",
        limit=limit_s,
        advice="Try again later, or upload the file.",
    )


def failure(code: str, message: str, advice: str) -> FetchError:
    """Return an error of a download."""
    return FetchError(message, code=code, advice=advice)
