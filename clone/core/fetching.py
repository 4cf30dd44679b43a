"""Download what a URL points at, without being led anywhere else: public addresses only, bounded bytes and time.

At every hop the host is looked up once, every address it has is judged, and the connection goes to an address that
was judged, whatever the name resolves to a moment later. The name itself still stands in the Host header, in TLS's
server name and in the certificate check.
"""

from __future__ import annotations

import gzip
import os
import re
import socket
import ssl
import tempfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urljoin

import requests
from requests.adapters import HTTPAdapter
from urllib3 import exceptions as low
from urllib3.util import parse_url

from clone.core.errors import FetchError, TimbreError
from clone.core.jobs import Stop
from clone.core.network import CONNECT_S, Limits, Network, Place, Resolver, failure, timeout

MAX_REDIRECTS = 5
READ_S = 10.0

_MAX_URL_CHARS = 8192
_CHUNK_BYTES = 64 * 1024
_HEAD_BYTES = 1024
_WEB_PORTS = {80, 443}
_FIRST_FREE_PORT = 1024
_HEADERS = {"User-Agent": "Timbre", "Accept": "audio/*, */*;q=0.5", "Accept-Encoding": "identity"}
_REDIRECTS = {301, 302, 303, 307, 308}
LOW_LEVEL = (requests.RequestException, low.HTTPError, HTTPException, OSError, EOFError, ValueError, zlib.error)
_PAGE = re.compile(rb"\A[\xef\xbb\xbf\s]*<(?:!doctype\s+html|html|head|body|script|(?:\?xml|!--).*<html)", re.I | re.S)


def fetch(
    url: str,
    folder: Path,
    *,
    allow_private: bool,
    max_bytes: int,
    timeout_s: float = 30,
    field: str = "audio_url",
    stop: Stop | None = None,
    resolver: Resolver = socket.getaddrinfo,
) -> Path:
    """Download a file whole into a new private file; the caller removes it. What it is, its content decides later.

    Args:
        url: http or https, given by somebody we need not trust.
        folder: where the file is made; nothing stays there after an error.
        allow_private: let the URL point at loopback and private addresses.
        max_bytes: limit of the body as it arrives and as it is after decompression.
        timeout_s: limit of everything together: look-up, redirects, body.
        field: the input the URL was given in.
        stop: obeyed at once, whatever is being waited for.
        resolver: looks hosts up; as ``socket.getaddrinfo``.

    Raises:
        FetchError: ``bad_url``, ``url_scheme``, ``url_credentials``, ``url_port``, ``url_unresolved``, ``url_private``,
            ``url_unreachable``, ``url_tls``, ``url_timeout``, ``url_redirects``, ``url_refused`` (measured: the
            status), ``url_too_big`` (bytes), ``url_web_page``, ``url_empty`` or ``url_broken``.
        CancelledError: ``stop`` was asked.
    """
    try:
        with closing(Limits(timeout_s, stop)) as limits:
            return _Visit(Network(allow_private, resolver, limits), max_bytes).save(url, folder)
    except FetchError as error:
        error.field = field
        raise


class Pinned(HTTPAdapter):
    """Sends requests over connections that ``dial`` makes, instead of looking the host up again."""

    def __init__(self, dial: Callable[[], socket.socket]) -> None:
        super().__init__(max_retries=0)
        self._dial = dial

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Return the pool, its connections pinned; ``_new_conn`` is where urllib3's own SOCKS support hooks in too."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        pinned = type("Pinned", (pool.ConnectionCls,), {"_new_conn": lambda _connection: self._dial()})
        pool.ConnectionCls = pinned
        return pool


@dataclass(frozen=True)
class _Visit:
    """One download under way."""

    network: Network
    max_bytes: int

    def save(self, url: str, folder: Path) -> Path:
        place = place_of(url)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix="fetch-", dir=folder)  # made with mode 600
        try:
            with os.fdopen(handle, "wb") as file, closing(self.follow(place)) as chunks:
                file.writelines(chunks)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return Path(name)

    def follow(self, place: Place) -> Generator[bytes, None, None]:
        """Ask, go where we are sent, and yield the body of what is there at last."""
        for _ in range(MAX_REDIRECTS + 1):
            addresses = self.network.judged_addresses(place)
            with (
                closing(Pinned(partial(self.network.dial, addresses, place))) as adapter,
                closing(self.ask(adapter, place)) as response,
            ):
                if response.status_code not in _REDIRECTS or "Location" not in response.headers:
                    yield from self.body(response, place)
                    return
                location = response.headers["Location"].encode("latin-1", "replace").decode("utf-8", "replace")
            place = place_of(location, place.url)
        raise FetchError(
            f"{place.shown} is more than {MAX_REDIRECTS} redirects away.",
            code="url_redirects",
            measured=MAX_REDIRECTS + 1,
            limit=MAX_REDIRECTS,
            advice="Give the address that the link leads to in the end.",
        )

    def ask(self, adapter: Pinned, place: Place) -> requests.Response:
        """Send one GET. No session: it would bring cookies, proxies, .netrc, and read a redirect's body whole."""
        with self.mapped(place):
            request = requests.Request("GET", place.url, headers=_HEADERS).prepare()
            return adapter.send(request, stream=True, timeout=(CONNECT_S, READ_S), verify=True, proxies={})

    def body(self, response: requests.Response, place: Place) -> Iterator[bytes]:
        """Yield a body's bytes, decompressed; refuse what is no file, too big, or not whole."""
        if response.status_code not in (HTTPStatus.OK, HTTPStatus.NON_AUTHORITATIVE_INFORMATION):
            raise _refused(response.status_code, place.shown)
        self._check_size(response.raw.length_remaining or 0, place)
        n_bytes, head = 0, b""
        with self.mapped(place):
            content = _decompressed(response, place.shown)
            while chunk := content.read(_CHUNK_BYTES):
                self.network.limits.check(place.shown)
                n_bytes += len(chunk)
                self._check_size(n_bytes, place)
                if len(head) < _HEAD_BYTES:
                    head += chunk[:_HEAD_BYTES]
                    _check_no_page(head, place.shown)
                yield chunk
        self.network.limits.check(place.shown)  # a connection that we cut looks like one that ended
        if not n_bytes:
            raise failure("url_empty", f"The file at {place.shown} is empty.", "Check that it was uploaded whole.")

    def _check_size(self, n_bytes: int, place: Place) -> None:
        if n_bytes > self.max_bytes:
            raise FetchError(
                f"The file at {place.shown} is larger than {self.max_bytes / 1e6:g} MB.",
                code="url_too_big",
                measured=n_bytes,
                limit=self.max_bytes,
                advice="Give a shorter recording, or one saved at a lower bit rate.",
            )

    @contextmanager
    def mapped(self, place: Place) -> Iterator[None]:
        """Say every low-level failure in our words; the original, which has the whole URL in it, goes no further."""
        try:
            yield
        except TimbreError:
            raise
        except LOW_LEVEL as error:
            self.network.limits.check(place.shown)
            raise explain(error, place.shown) from None


def _decompressed(response: requests.Response, shown: str) -> IO[bytes]:
    """Return the body as a stream. urllib3 would decompress too, but takes half a gzip stream for a whole one."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding in ("gzip", "x-gzip"):
        return cast(IO[bytes], gzip.GzipFile(fileobj=response.raw))
    if encoding in ("", "identity"):
        return cast(IO[bytes], response.raw)
    raise failure("url_broken", f"The file at {shown} comes compressed, though plain was asked for.", "Upload it.")


def explain(error: BaseException, shown: str) -> FetchError:
    """Return what to tell a person about an exception of requests, urllib3, http.client, ssl or socket."""
    causes = list(_causes(error))

    def is_any(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    if is_any(requests.Timeout, low.TimeoutError, TimeoutError):
        return timeout(shown, READ_S)
    if is_any(requests.exceptions.SSLError, low.SSLError, ssl.SSLError) and not is_any(ssl.SSLEOFError):
        return failure("url_tls", f"No secure connection to {shown} could be made.", "Its certificate may be invalid.")
    if is_any(requests.TooManyRedirects):
        return failure("url_redirects", f"{shown} redirects too often.", "Give the address it leads to in the end.")
    if is_any(low.LocationValueError, requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, UnicodeError):
        return failure("bad_url", f"{shown} is not a usable address.", "Check it for typing errors.")
    return failure("url_broken", f"The download from {shown} broke off.", "Try again, or upload the file.")


def _causes(error: BaseException, depth: int = 6) -> Iterator[BaseException]:
    yield error
    inner = (error.__cause__, error.__context__, getattr(error, "reason", None), *error.args)
    for each in inner if depth else ():
        if isinstance(each, BaseException):
            yield from _causes(each, depth - 1)


def place_of(url: str, base: str = "") -> Place:
    """Read a URL as the libraries below will read it.

    Raises:
        FetchError: ``bad_url``, ``url_scheme``, ``url_credentials`` or ``url_port``.
    """
    try:
        text = urljoin(base, url.strip())
    except ValueError:
        raise _bad_url() from None
    if len(text) > _MAX_URL_CHARS or not text.isprintable() or "://" not in text:
        raise _bad_url()
    scheme = text.partition("://")[0].lower()
    if scheme not in ("http", "https"):
        raise failure("url_scheme", "Only http and https addresses can be fetched.", "Upload the file instead.")
    try:
        given, parsed = parse_url(text), parse_url(requests.Request("GET", text).prepare().url or "")
    except (requests.RequestException, low.HTTPError, ValueError):
        raise _bad_url() from None
    if given.auth is not None or parsed.auth is not None:
        raise failure(
            "url_credentials",
            "The address has a user name or password in it.",
            "Give a link that works without them, or upload the file.",
        )
    host = (parsed.host or "").strip("[]")
    port = parsed.port or (443 if scheme == "https" else 80)
    if not host:
        raise _bad_url()
    if given.port == 0 or (port < _FIRST_FREE_PORT and port not in _WEB_PORTS):
        raise _bad_port(0 if given.port == 0 else port)
    authority = f"{parsed.host}:{parsed.port}" if parsed.port else str(parsed.host)
    return Place(parsed.url, host, port, f"{scheme}://{authority}{parsed.path or '/'}"[:120])


def _check_no_page(head: bytes, shown: str) -> None:
    if _PAGE.match(head):
        raise failure(
            "url_web_page",
            f"The link {shown} is a web page, not an audio file.",
            "Share links of Drive, Dropbox and the like open a page; give the file's direct address, or upload it.",
        )


def _refused(status: int, shown: str) -> FetchError:
    known = {each.value: each.phrase for each in HTTPStatus}
    said = f"{status} {known.get(status, '')}".strip()
    advice = "Try again later." if status == HTTPStatus.TOO_MANY_REQUESTS or status >= 500 else "Check the address."
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        advice = "Give a link that works without signing in, or upload the file."
    return FetchError(f"{shown} answered {said}.", code="url_refused", measured=status, limit=200, advice=advice)


def _bad_url() -> FetchError:
    return failure("bad_url", "This is not a web address.", "It must look like https://example.com/recording.mp3.")


def _bad_port(port: int) -> FetchError:
    """Refuse the low ports that belong to mail, remote shells and the like."""
    web = " and ".join(map(str, sorted(_WEB_PORTS)))
    return FetchError(
        f"Nothing is fetched from port {port}: below {_FIRST_FREE_PORT}, only ports {web} are the web's.",
        code="url_port",
        measured=port,
        limit=_FIRST_FREE_PORT,
        advice="Give the file's usual web address, or upload the file.",
    )
