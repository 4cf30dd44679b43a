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
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.client import HTTPException
from itertools import chain
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urljoin

import requests
from requests.adapters import HTTPAdapter
from urllib3 import exceptions as low
from urllib3.util import parse_url

from clone.core.errors import FetchError, TimbreError
from clone.core.jobs import Stop
from clone.core.network import CONNECT_S, Deadline, Network, Place, Resolver, failure, timeout

MAX_REDIRECTS = 5
READ_S = 10.0

_MAX_URL_CHARS = 8192
_CHUNK_BYTES = 64 * 1024
_HEAD_BYTES = 1024
_WEB_PORTS = {80, 443}
_FIRST_FREE_PORT = 1024
_HEADERS = {"User-Agent": "Timbre", "Accept": "audio/*, */*;q=0.5", "Accept-Encoding": "identity"}
_HEADERS_OF_DATA = {**_HEADERS, "Accept": "application/octet-stream, */*;q=0.5"}
_COMPLETE_WITHIN_S = 4 * 3600.0
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]{1,200}"')
_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-\d{1,15}/(\d{1,15})")
_USELESS = {"url_too_big", "url_web_page"}
"""What is not the beginning of any file that was asked for."""
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
        with closing(Deadline(timeout_s, stop)) as deadline:
            return _Visit(Network(allow_private, resolver, deadline), max_bytes).save(url, folder)
    except FetchError as error:
        error.field = field
        raise


def complete(
    url: str,
    path: Path,
    n_bytes: int,
    *,
    allow_private: bool,
    tell: Callable[[int], None] | None = None,
    stop: Stop | None = None,
    resolver: Resolver = socket.getaddrinfo,
) -> None:
    """Download what is missing of a file whose length is known: from its end on, where the server can.

    Beside a file that is begun lies the server's ETag, so that the end of another version is not put behind it. Whether
    it is the right file, its hash decides later.

    Args:
        url: http or https.
        path: the file, which may hold its beginning; what came stays there after an error, to be gone on with.
        n_bytes: its length; not a byte more is written.
        allow_private: as ``fetch``.
        tell: told how many bytes are there.
        stop: as ``fetch``.
        resolver: as ``fetch``.

    Raises:
        FetchError, CancelledError: as ``fetch``.
    """
    with closing(Deadline(_COMPLETE_WITHIN_S, stop)) as deadline:
        visit = _Visit(Network(allow_private, resolver, deadline), n_bytes)
        visit.complete(place_of(url), path, tell or (lambda n_here: None))


def drop(path: Path) -> None:
    """Remove a file that ``complete`` has begun."""
    path.unlink(missing_ok=True)
    _etag_of(path).unlink(missing_ok=True)


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
            with os.fdopen(handle, "wb") as file, self.answer(place) as (response, there):
                file.writelines(self.body(response, there))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return Path(name)

    def complete(self, place: Place, path: Path, tell: Callable[[int], None]) -> None:
        n_here = path.stat().st_size if path.is_file() else 0
        if n_here == self.max_bytes:
            return
        if n_here > self.max_bytes:
            n_here = 0
        is_anew = False
        with self.answer(place, _HEADERS_OF_DATA | _rest(path, n_here)) as (response, there):
            if n_here and response.status_code in (
                HTTPStatus.PARTIAL_CONTENT,
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            ):
                is_anew = not self._is_rest(response, n_here)
            else:
                n_here = 0
            if not is_anew:
                self._write(response, there, path, n_here, tell)
        if is_anew:  # what is here is not the beginning of what is there
            drop(path)
            self.complete(place, path, tell)

    def _is_rest(self, response: requests.Response, n_here: int) -> bool:
        told = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        is_plain = response.headers.get("Content-Encoding", "identity").strip().lower() == "identity"
        return is_plain and told is not None and (int(told[1]), int(told[2])) == (n_here, self.max_bytes)

    def _write(
        self, response: requests.Response, place: Place, path: Path, n_here: int, tell: Callable[[int], None]
    ) -> None:
        chunks = self.body(response, place, n_here)
        first = next(chunks)  # what is refused before leaves a file that is begun as it is
        with open(path, "ab" if n_here else "wb", opener=_private) as file:
            if not n_here:
                _keep_etag(path, response.headers.get("ETag", ""))
            try:
                for chunk in chain([first], chunks):
                    file.write(chunk)
                    n_here += len(chunk)
                    tell(n_here)
            except FetchError as error:
                if error.code in _USELESS:
                    drop(path)
                raise
        if n_here < self.max_bytes:
            said = f"The file at {place.shown} ends after {n_here:,} of {self.max_bytes:,} bytes."
            raise failure("url_broken", said, "Try again.")

    @contextmanager
    def answer(self, place: Place, headers: Mapping[str, str] = _HEADERS) -> Iterator[tuple[requests.Response, Place]]:
        """Ask, go where we are sent, and give what is answered there at last, and where that is."""
        for _ in range(MAX_REDIRECTS + 1):
            addresses = self.network.judged_addresses(place)
            with (
                closing(Pinned(partial(self.network.dial, addresses, place))) as adapter,
                closing(self.ask(adapter, place, headers)) as response,
            ):
                if response.status_code not in _REDIRECTS or "Location" not in response.headers:
                    yield response, place
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

    def ask(self, adapter: Pinned, place: Place, headers: Mapping[str, str]) -> requests.Response:
        """Send one GET. No session: it would bring cookies, proxies, .netrc, and read a redirect's body whole."""
        with self.mapped(place):
            request = requests.Request("GET", place.url, headers=headers).prepare()
            return adapter.send(request, stream=True, timeout=(CONNECT_S, READ_S), verify=True, proxies={})

    def body(self, response: requests.Response, place: Place, n_before: int = 0) -> Iterator[bytes]:
        """Yield a body's bytes, decompressed; refuse what is no file, too big, or not whole.

        With ``n_before`` bytes here already, it is known to be the rest of a file.
        """
        if not n_before and response.status_code not in (HTTPStatus.OK, HTTPStatus.NON_AUTHORITATIVE_INFORMATION):
            raise _refused(response.status_code, place.shown)
        self._check_size(n_before + (response.raw.length_remaining or 0), place)
        n_bytes, head = n_before, b""
        with self.mapped(place):
            content = _decompressed(response, place.shown)
            while chunk := content.read(_CHUNK_BYTES):
                self.network.deadline.check(place.shown)
                n_bytes += len(chunk)
                self._check_size(n_bytes, place)
                if not n_before and len(head) < _HEAD_BYTES:
                    head += chunk[:_HEAD_BYTES]
                    _check_no_page(head, place.shown)
                yield chunk
        self.network.deadline.check(place.shown)  # a connection that we cut looks like one that ended
        if n_bytes == n_before:
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
            self.network.deadline.check(place.shown)
            raise explain(error, place.shown) from None


def _etag_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.etag")


def _keep_etag(path: Path, etag: str) -> None:
    kept = _etag_of(path)
    kept.unlink(missing_ok=True)
    if _STRONG_ETAG.fullmatch(etag):
        kept.write_text(etag)


def _rest(path: Path, n_here: int) -> dict[str, str]:
    """Return the headers that ask for what is missing of a file."""
    if not n_here:
        return {}
    kept = _etag_of(path)
    etag = kept.read_text(errors="replace") if kept.is_file() else ""
    return {"Range": f"bytes={n_here}-"} | ({"If-Range": etag} if _STRONG_ETAG.fullmatch(etag) else {})


def _private(name: str, flags: int) -> int:
    # A link that somebody put there is not followed, and a pipe not waited for.
    return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o600)


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
