"""The contract spoken: the hosted service, on requests. A paid request is sent once, whatever becomes of it.

An exchange has a connection of its own and bounds of bytes and time. Nothing follows a redirect or reads proxies,
cookies or .netrc. What fails says whether the request can have been seen: NotSent means that it can't.

After a time-out, a broken connection or a 5xx nobody knows whether it went through and was billed, so MaybeDone says
that and leaves the rest to the person. Only where the service surely did nothing is it asked again: when no
connection came about, and when it answers 429 with a time to come back. Questions (GET) may be repeated.
"""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any, cast
from urllib.parse import quote

import requests

from clone.contract import cloning
from clone.contract.cloning import CloneRequest, CloneResponse
from clone.contract.speech import AS_IT_IS, LANGUAGES, SpeechSettings
from clone.core.errors import BusyError, CancelledError, FetchError, HostedError, KeyRefused, MaybeDone, TimbreError
from clone.core.fetching import LOW_LEVEL, Pinned, explain, place_of
from clone.core.jobs import Stop
from clone.core.network import CONNECT_S, Deadline, Network, Place
from clone.hosted.responses import MAYBE_DONE_ADVICE, ServiceAnswer, clean, content

_CHUNK_BYTES = 64 * 1024
_KEY = re.compile(r"[\x21-\x7e]{1,500}")
_REFUSED = "url_unreachable"


@dataclass(frozen=True)
class CallLimits:
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

    def get(self, path: str, bounds: CallLimits, stop: Stop) -> ServiceAnswer:
        """Ask for something; it costs nothing and may be repeated."""
        return self._exchange(requests.Request("GET", self.base_url + path), bounds, stop, stop)

    def post(self, path: str, body: Mapping[str, Any], bounds: CallLimits, stop: Stop) -> ServiceAnswer:
        """Send something, once; ``stop`` is obeyed until it leaves, and not while its answer is awaited.

        Raises:
            NotSent: the service never saw it.
            Broken: it may have seen it.
            CancelledError: ``stop`` was asked.
        """
        data = json.dumps(body).encode()  # plain ASCII, which no proxy misreads
        return self._exchange(requests.Request("POST", self.base_url + path, data=data), bounds, stop, Stop())

    def _exchange(self, request: requests.Request, bounds: CallLimits, before: Stop, during: Stop) -> ServiceAnswer:
        before.check()
        place = place_of(str(request.url))
        request.headers = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "Timbre",
        }
        with closing(Deadline(bounds.total_s, during)) as deadline:
            visit = _Exchange(deadline, place, bounds, before)
            try:
                return visit.run(request.prepare())
            except FetchError as error:
                raise visit.failure(error) from None
            except LOW_LEVEL as error:
                during.check()
                raise visit.failure(explain(error, place.shown)) from None


class _Exchange:
    """One exchange under way; ``connected`` from the moment a request could have left."""

    def __init__(self, deadline: Deadline, place: Place, bounds: CallLimits, stop: Stop) -> None:
        self.deadline = deadline
        self.stop = stop
        self.place = place
        self.bounds = bounds
        self.connected = False

    def run(self, prepared: requests.PreparedRequest) -> ServiceAnswer:
        # The address is the owner's own setting, so it may be private; link-local ones stay closed even so.
        network = Network(True, socket.getaddrinfo, self.deadline)
        dial = partial(network.dial, network.judged_addresses(self.place), self.place)
        with closing(_Told(dial, self._connects)) as adapter:
            timeout = (CONNECT_S, self.bounds.read_s)
            with closing(adapter.send(prepared, stream=True, timeout=timeout, verify=True, proxies={})) as response:
                body, complete = self._body(response)
                headers = {name.lower(): value for name, value in response.headers.items()}
                return ServiceAnswer(response.status_code, headers, body, complete)

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
                self.deadline.check(self.place.shown)
                body += chunk
                if len(body) > self.bounds.max_bytes:
                    raise FetchError("The answer is too big.", code="url_too_big")
            self.deadline.check(self.place.shown)
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


CLONE_PATH = "/v3/minimax-voice-cloning"

MAX_CONNECTS = 3
MAX_WAITS = 3
MAX_WAIT_S = 180
"""A service that asks for more patience than this is reported instead of waited for."""

_ID_MAX_CHARS = 200
_FINISHED = ("SUCCEED", "SUCCEEDED", "SUCCESS", "FAILED")

Say = Callable[[str], None]
AudioOrLink = bytes | str
"""Audio as it was answered: its bytes, or the URL to download it from at once."""


_CLONE = CallLimits(read_s=120, total_s=180, max_bytes=1_000_000)
_SPEECH = CallLimits(read_s=120, total_s=240, max_bytes=100_000_000)
_QUESTION = CallLimits(read_s=20, total_s=30, max_bytes=1_000_000)


@dataclass(frozen=True)
class Pace:
    """How long what may take; tests are in a hurry.

    Attributes:
        clone, speech, question: bounds of each kind of exchange. About 30 s is quoted for a clone, and clients
            that are in use wait 90 to 120 s.
        poll_s, poll_max_s: first and longest pause between two questions about a task.
        task_s: after this a task is given up on.
    """

    clone: CallLimits = _CLONE
    speech: CallLimits = _SPEECH
    question: CallLimits = _QUESTION
    poll_s: float = 1.0
    poll_max_s: float = 10.0
    task_s: float = 900.0
    reconnect_s: float = 1.0


class NovitaClient:
    """A client with one key; keeps nothing between calls, so threads may share it.

    Args:
        base_url: where the service is.
        key: the bearer key.
        pace: how long to wait for what.
    """

    def __init__(self, base_url: str, key: str, pace: Pace = Pace()) -> None:
        self._wire = Wire(base_url, key)
        self._pace = pace

    def clone(self, request: CloneRequest, say: Say, stop: Stop) -> CloneResponse:
        """Clone a voice.

        Args:
            request: what the contract takes.
            say: called with what is being waited for.
            stop: obeyed until the request leaves. What was sent is paid for, so its answer is waited for.

        Raises:
            MaybeDone: it was sent, and its end is not known.
            TimbreError: what the service refuses, at its field, or why it could not be asked.
        """
        answered = self._paid(CLONE_PATH, clone_body(request), self._pace.clone, say, stop)
        voice_id, demo = answered.get("voice_id"), answered.get("demo_audio_url")
        if not (isinstance(voice_id, str) and 0 < len(voice_id) <= _ID_MAX_CHARS and voice_id.isprintable()):
            raise _unreadable("The service answered without a voice_id.")
        return CloneResponse(voice_id=voice_id, demo_audio_url=demo if isinstance(demo, str) and demo else None)

    def speak(
        self, voice_id: str, text: str, model: str, say: Say, stop: Stop, *, settings: SpeechSettings = AS_IT_IS
    ) -> AudioOrLink:
        """Say a text with a voice, which makes the voice permanent there.

        Args:
            voice_id: of a voice of this key's account.
            text: up to the contract's limit for asynchronous speech; what is too long for an answer becomes a task.
            model: one of the contract's.
            say: called with what is being waited for.
            settings: speed, volume and pitch.
            stop: as for ``clone``; a task is left to itself when asked to stop.

        Raises:
            As ``clone``. What fails while a task is asked after ``may_be_paid``, whatever it is.
        """
        cloning.check_text(text, cloning.SPEECH_TASK_MAX_CHARS)
        body = speech_body(voice_id, text, settings)
        if len(text) < cloning.SPEECH_LIMIT_CHARS:
            path = f"/v3/minimax-{cloning.check_model(model)}"
            answered = self._paid(path, body, self._pace.speech, say, stop)
            return _sound(answered)
        path = f"/v3/async/minimax-{cloning.check_model(model)}"
        task = self._paid(path, body, self._pace.question, say, stop).get("task_id")
        if not isinstance(task, str | int) or not str(task):
            raise _unreadable("The service answered without a task_id.")
        try:
            answer = self._await(str(task), say, stop)
        except TimbreError as error:
            error.may_be_paid = True
            raise
        return self._finished(answer)

    def _paid(self, path: str, body: dict[str, Any], bounds: CallLimits, say: Say, stop: Stop) -> dict[str, Any]:
        """Send a request that costs money and return its answer; see the head of this file for what is repeated."""
        for n_waits in range(MAX_WAITS + 1):
            try:
                answer = self._connected(path, body, bounds, say, stop)
            except Broken as error:
                raise MaybeDone(error.message, code=error.code, advice=MAYBE_DONE_ADVICE) from None
            wait_s = answer.retry_after_s if answer.status == BusyError.status else None
            if wait_s is None or wait_s > MAX_WAIT_S or n_waits == MAX_WAITS:
                break
            _wait(wait_s, say, stop)
        return content(answer, key=self._wire.key, paid=True)

    def _connected(self, path: str, body: dict[str, Any], bounds: CallLimits, say: Say, stop: Stop) -> ServiceAnswer:
        for n_tries in range(1, MAX_CONNECTS + 1):
            stop.check()
            try:
                return self._wire.post(path, body, bounds, stop)
            except NotSent as error:
                if not error.again or n_tries == MAX_CONNECTS:
                    raise
            say("The service can't be reached; trying again")
            stop.pause(self._pace.reconnect_s * n_tries)
        raise AssertionError("every way out of the loop is above")

    def _await(self, task: str, say: Say, stop: Stop) -> dict[str, Any]:
        """Ask after a task until it is done; return the answer that says so."""
        path = f"/v3/async/task-result?task_id={quote(task, safe='')}"
        until = time.monotonic() + self._pace.task_s
        for pause_s in _pauses(self._pace.poll_s, self._pace.poll_max_s):
            say("The service is working on the speech")
            stop.pause(pause_s)
            try:
                answer = content(self._wire.get(path, self._pace.question, stop), key=self._wire.key)
            except CancelledError:
                raise
            except (HostedError, BusyError) as error:
                if time.monotonic() > until or not _passes(error):
                    raise
                continue
            if str(_task(answer).get("status", "")).rpartition("_")[2] in _FINISHED:
                return answer
            if time.monotonic() > until:
                break
        raise MaybeDone(
            f"The service has worked on this for {self._pace.task_s / 60:.0f} minutes.",
            code="hosted_timeout",
            limit=self._pace.task_s,
            advice=f"{MAYBE_DONE_ADVICE} Its task_id is {clean(task, self._wire.key)}.",
        )

    def _finished(self, answer: dict[str, Any]) -> AudioOrLink:
        state = _task(answer)
        if str(state.get("status")).endswith("FAILED"):
            reason = str(state.get("reason") or "TASK_FAILED")
            failed = ServiceAnswer(500, {}, _flat(reason, answer))
            content(failed, key=self._wire.key)  # raises
        audios = answer.get("audios")
        first = audios[0] if isinstance(audios, list) and audios else None
        url = first.get("audio_url") if isinstance(first, dict) else None
        if not isinstance(url, str) or not url:
            raise _unreadable("The service's task ended without a sound.")
        return url


def clone_body(request: CloneRequest) -> dict[str, Any]:
    """Return the body of a clone: what is absent, or as the contract has it anyway, is not sent."""
    given = request.model_dump(exclude_defaults=True, exclude_none=True)
    if request.text is None:
        given.pop("model", None)  # it would only say what to speak the preview with
    return given


def speech_body(voice_id: str, text: str, how: SpeechSettings = AS_IT_IS) -> dict[str, Any]:
    """Return the body of a T2A request."""
    language = {"language_boost": LANGUAGES[how.language]} if how.language else {}
    return language | {
        "text": text,
        "voice_setting": {"voice_id": voice_id, "speed": how.speed, "vol": how.volume, "pitch": how.pitch},
        "audio_setting": {"sample_rate": 32000, "bitrate": 128000, "format": "mp3", "channel": 1},
    }


def _sound(answered: dict[str, Any]) -> AudioOrLink:
    """Return the audio of either response shape, as hex or as a URL."""
    data = answered.get("data")
    audio = answered.get("audio") or (data.get("audio") if isinstance(data, dict) else None)
    if isinstance(audio, str) and audio.strip():
        if audio.lower().startswith(("http://", "https://")):
            return audio
        try:
            return bytes.fromhex(audio)
        except ValueError:
            pass
    raise _unreadable("The service answered without a sound that can be read.")


def _unreadable(message: str) -> MaybeDone:
    return MaybeDone(message, code="hosted_unreadable", advice=MAYBE_DONE_ADVICE)


def _task(answer: dict[str, Any]) -> dict[str, Any]:
    task = answer.get("task")
    return cast(dict[str, Any], task) if isinstance(task, dict) else answer


def _flat(reason: str, answer: dict[str, Any]) -> bytes:
    return json.dumps({"reason": "TASK_FAILED", "message": reason, "trace_id": answer.get("trace_id")}).encode()


def _passes(error: TimbreError) -> bool:
    """Whether a question that failed may be asked again: network, rate limit or service had a bad moment."""
    return isinstance(error, NotSent | Broken | BusyError) or (
        isinstance(error.measured, int) and error.measured >= 500
    )


def _pauses(first_s: float, longest_s: float) -> Iterator[float]:
    pause_s = first_s
    while True:
        yield pause_s
        pause_s = min(longest_s, pause_s * 1.5)


def _wait(wait_s: int, say: Say, stop: Stop) -> None:
    """Wait as long as asked, saying how much longer, second by second."""
    until = time.monotonic() + wait_s
    while (left_s := until - time.monotonic()) > 0:
        say(f"The service is busy; asking again in {ceil(left_s)} s")
        stop.pause(min(1.0, left_s))
