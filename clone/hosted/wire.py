"""One exchange with the hosted service: sent once, over a connection of its own, within bounds of bytes and time.

Nothing here repeats anything, follows a redirect or reads proxies, cookies or .netrc. What fails says whether the
request can have been seen: NotSent means that it can't.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import requests

from clone.core.errors import FetchError, HostedError, KeyRefused
from clone.core.fetching import LOW_LEVEL, Pinned, explain, place_of
from clone.core.jobs import Stop
from clone.core.network import CONNECT_S, Limits, Network, Place
from clone.hosted.responses import Answer

_CHUNK_BYTES = 64 * 1024
_KEY = re.compile(r"[\x21-\x7e]{1,500}")
_REFUSED = "url_unreachable"


@dataclass(frozen=True)
class Bounds:
    """Limits of one exchange: seconds for the next byte, for all of it, and bytes of the answer."""

    read_s: float
    total_s: float
    max_bytes: int


class NotSent(HostedError):
    """No connection came about, so nothing was asked and nothing costs anything; ``again`` may help."""

    again = False


class Broken(HostedError):
    """The connection broke off, took too long or brought too much, after the request may have been seen."""


class Wire:
    """The way to one service with one key.

    Args:
        base_url: http or https, without a slash at the end.
        key: the bearer key; it stands in the request's header and nowhere else.

    Raises:
        KeyRefused: ``bad_key``, it can't be one.
        HostedError: ``bad_setting``, the base URL is none.
    """

    def __init__(self, base_url: str, key: str) -> None:
        if not _KEY.fullmatch(key):
            raise KeyRefused(
                "This can't be a key: keys have letters, digits and signs, and no spaces.",
                code="bad_key",
                field="api_key",
                advice="Copy it again from the service's console.",
            )
        self.base_url = base_url
        self._key = key
        try:
            place_of(base_url)
        except FetchError:
            raise HostedError(
                "NOVITA_BASE_URL is not a web address.", code="bad_setting", advice="It must look like https://host."
            ) from None

    @property
    def key(self) -> str:
        """The key, for taking it out of what is shown."""
        return self._key

    def get(self, path: str, bounds: Bounds, stop: Stop) -> Answer:
        """Ask for something; it costs nothing and may be repeated."""
        return self._exchange(requests.Request("GET", self.base_url + path), bounds, stop, stop)

    def post(self, path: str, body: Mapping[str, Any], bounds: Bounds, stop: Stop) -> Answer:
        """Send something, once; ``stop`` is obeyed until it leaves, and not while its answer is awaited.

        Raises:
            NotSent: the service never saw it.
            Broken: it may have seen it.
            CancelledError: ``stop`` was asked.
        """
        data = json.dumps(body).encode()  # plain ASCII, which no proxy misreads
        return self._exchange(requests.Request("POST", self.base_url + path, data=data), bounds, stop, Stop())

    def _exchange(self, request: requests.Request, bounds: Bounds, before: Stop, during: Stop) -> Answer:
        before.check()
        place = place_of(str(request.url))
        request.headers = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "Timbre",
        }
        with closing(Limits(bounds.total_s, during)) as limits:
            visit = _Exchange(limits, place, bounds, before)
            try:
                return visit.run(request.prepare())
            except FetchError as error:
                raise visit.failure(error) from None
            except LOW_LEVEL as error:
                during.check()
                raise visit.failure(explain(error, place.shown)) from None


class _Exchange:
    """One exchange under way; ``connected`` from the moment a request could have left."""

    def __init__(self, limits: Limits, place: Place, bounds: Bounds, stop: Stop) -> None:
        self.limits = limits
        self.stop = stop
        self.place = place
        self.bounds = bounds
        self.connected = False

    def run(self, prepared: requests.PreparedRequest) -> Answer:
        # The address is the owner's own setting, so it may be private; link-local ones stay closed even so.
        network = Network(True, socket.getaddrinfo, self.limits)
        dial = partial(network.dial, network.judged_addresses(self.place), self.place)
        with closing(_Told(dial, self._connects)) as adapter:
            timeout = (CONNECT_S, self.bounds.read_s)
            with closing(adapter.send(prepared, stream=True, timeout=timeout, verify=True, proxies={})) as response:
                body, whole = self._body(response)
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status_code, headers, body, whole)

    def failure(self, error: FetchError) -> HostedError:
        """Return what a failure of the network is here, where nobody gave a link or could upload a file."""
        late = error.code == "url_timeout"
        code = "hosted_timeout" if late else "hosted_too_big" if error.code == "url_too_big" else "hosted_broken"
        if self.connected:
            said = f"No whole answer came from {self.place.host} in time." if late else _BROKEN[code]
            return Broken(said, code=code, advice="Try again later.")
        said = f"No connection to {self.place.host} could be made."
        if error.code == "url_tls":
            said = f"The connection to {self.place.host} is not secure: its certificate is not valid."
        advice = "Nothing was sent, so nothing was billed. Try again later."
        not_sent = NotSent(said, code="hosted_unreachable", advice=advice)
        not_sent.again = error.code == _REFUSED
        return not_sent

    def _connects(self) -> None:
        self.stop.check()
        self.connected = True

    def _body(self, response: requests.Response) -> tuple[bytes, bool]:
        """Read the body within bounds. A refusal's half body still refuses; half of anything else is no answer."""
        refused, body = response.status_code >= 400, bytearray()
        try:
            while chunk := response.raw.read(_CHUNK_BYTES, decode_content=True):
                self.limits.check(self.place.shown)
                body += chunk
                if len(body) > self.bounds.max_bytes:
                    raise FetchError("The answer is too big.", code="url_too_big")
            self.limits.check(self.place.shown)
        except (FetchError, *LOW_LEVEL):
            if not refused:
                raise
            return bytes(body[: self.bounds.max_bytes]), False
        return bytes(body), True


_BROKEN = {
    "hosted_broken": "The connection to the service broke off before its answer was whole.",
    "hosted_too_big": "The service's answer is larger than any that makes sense.",
}


class _Told(Pinned):
    """As Pinned; tells when a connection is complete, TLS included, which is just before the request goes out."""

    def __init__(self, dial: Callable[[], socket.socket], connected: Callable[[], None]) -> None:
        super().__init__(dial)
        self._connected = connected

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Return the pool, its connections pinned and watched."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        plain, tell = pool.ConnectionCls, self._connected

        def connect(connection: Any) -> None:
            plain.connect(connection)
            tell()

        pool.ConnectionCls = type("Told", (plain,), {"connect": connect})
        return pool
