"""The contract spoken: the hosted service, on requests. A paid request is sent once, whatever becomes of it.

After a time-out, a broken connection or a 5xx nobody knows whether it went through and was billed, so MaybeDone says
that and leaves the rest to the person. Only where the service surely did nothing is it asked again: when no
connection came about, and when it answers 429 with a time to come back. Questions (GET) may be repeated.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any, cast
from urllib.parse import quote

from clone.contract import cloning
from clone.contract.cloning import CloneRequest, CloneResponse
from clone.contract.speech import AS_IT_IS, LANGUAGES, SpeechSettings
from clone.core.errors import BusyError, CancelledError, HostedError, MaybeDone, TimbreError
from clone.core.jobs import Stop
from clone.hosted.responses import MAYBE_DONE_ADVICE, Answer, clean, content
from clone.hosted.wire import Bounds, Broken, NotSent, Wire

CLONE_PATH = "/v3/minimax-voice-cloning"

MAX_CONNECTS = 3
MAX_WAITS = 3
MAX_WAIT_S = 180
"""A service that asks for more patience than this is reported instead of waited for."""

_ID_MAX_CHARS = 200
_FINISHED = ("SUCCEED", "SUCCEEDED", "SUCCESS", "FAILED")

Say = Callable[[str], None]
Sound = bytes | str
"""Audio as it was answered: its bytes, or the URL to download it from at once."""


_CLONE = Bounds(read_s=120, total_s=180, max_bytes=1_000_000)
_SPEECH = Bounds(read_s=120, total_s=240, max_bytes=100_000_000)
_QUESTION = Bounds(read_s=20, total_s=30, max_bytes=1_000_000)


@dataclass(frozen=True)
class Pace:
    """How long what may take; tests are in a hurry.

    Attributes:
        clone, speech, question: bounds of each kind of exchange. About 30 s is quoted for a clone, and clients
            that are in use wait 90 to 120 s.
        poll_s, poll_max_s: first and longest pause between two questions about a task.
        task_s: after this a task is given up on.
    """

    clone: Bounds = _CLONE
    speech: Bounds = _SPEECH
    question: Bounds = _QUESTION
    poll_s: float = 1.0
    poll_max_s: float = 10.0
    task_s: float = 900.0
    reconnect_s: float = 1.0


class Novita:
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
            say: told what is being waited for.
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
    ) -> Sound:
        """Say a text with a voice, which makes the voice permanent there.

        Args:
            voice_id: of a voice of this key's account.
            text: up to the contract's limit for asynchronous speech; what is too long for an answer becomes a task.
            model: one of the contract's.
            say: told what is being waited for.
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
            told = self._await(str(task), say, stop)
        except TimbreError as error:
            error.may_be_paid = True
            raise
        return self._finished(told)

    def _paid(self, path: str, body: dict[str, Any], bounds: Bounds, say: Say, stop: Stop) -> dict[str, Any]:
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

    def _connected(self, path: str, body: dict[str, Any], bounds: Bounds, say: Say, stop: Stop) -> Answer:
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
                told = content(self._wire.get(path, self._pace.question, stop), key=self._wire.key)
            except CancelledError:
                raise
            except (HostedError, BusyError) as error:
                if time.monotonic() > until or not _passes(error):
                    raise
                continue
            if str(_task(told).get("status", "")).rpartition("_")[2] in _FINISHED:
                return told
            if time.monotonic() > until:
                break
        raise MaybeDone(
            f"The service has worked on this for {self._pace.task_s / 60:.0f} minutes.",
            code="hosted_timeout",
            limit=self._pace.task_s,
            advice=f"{MAYBE_DONE_ADVICE} Its task_id is {clean(task, self._wire.key)}.",
        )

    def _finished(self, told: dict[str, Any]) -> Sound:
        state = _task(told)
        if str(state.get("status")).endswith("FAILED"):
            reason = str(state.get("reason") or "TASK_FAILED")
            failed = Answer(500, {}, _flat(reason, told))
            content(failed, key=self._wire.key)  # raises
        audios = told.get("audios")
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


def _sound(answered: dict[str, Any]) -> Sound:
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


def _task(told: dict[str, Any]) -> dict[str, Any]:
    task = told.get("task")
    return cast(dict[str, Any], task) if isinstance(task, dict) else told


def _flat(reason: str, told: dict[str, Any]) -> bytes:
    return json.dumps({"reason": "TASK_FAILED", "message": reason, "trace_id": told.get("trace_id")}).encode()


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
    """Wait as told, saying how much longer, second by second."""
    until = time.monotonic() + wait_s
    while (left_s := until - time.monotonic()) > 0:
        say(f"The service is busy; asking again in {ceil(left_s)} s")
        stop.pause(min(1.0, left_s))
