"""Answers in the hosted service's words: errors with its reasons and statuses, speech in each generation's shape."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from clone.api.dialect import Dialect
from clone.api.requests import retry_after_s
from clone.api.service import Speech
from clone.contract.cloning import NEWEST
from clone.contract.speech import SpeechRequest
from clone.core import watch
from clone.core.errors import BusyError, TimbreError, VoiceError, disk_full

log = logging.getLogger(__name__)

SUCCESS = {"status_code": 0, "status_msg": "success"}

FIELDS = {
    "audio": "audio_url",
    "prompt_audio": "clone_prompt.prompt_audio_url",
    "prompt_text": "clone_prompt.prompt_text",
}
"""Of the contract, for those that Timbre calls otherwise."""


class NoApi(TimbreError):
    """There is no such path, or it does not take such a request."""

    reason = "API_NOT_FOUND"
    status = 404


def error_answer(error: TimbreError) -> JSONResponse:
    """Return an error of ours as the hosted service would word it."""
    return _answer(error, *_status(error))


def no_voice(error: VoiceError) -> JSONResponse:
    """Return that there is no such voice to one who asks for the voice itself, not for work with it."""
    return _answer(error, error.status, "VOICE_NOT_FOUND")


def _answer(error: TimbreError, status: int, reason: str) -> JSONResponse:
    code = f" ({error.service_code})" if error.service_code else ""
    details: dict[str, object] = {"code": error.code, "field": FIELDS.get(error.field or "", error.field)}
    details |= {"measured": error.measured, "limit": error.limit, "trace_id": error.trace_id or None}
    metadata = {name: str(value) for name, value in details.items() if value is not None}
    wait_s = retry_after_s(error) if status == error.status else getattr(error, "retry_after_s", None)
    return _flat(status, reason, f"{error}{code}", metadata, headers_of(error, wait_s))


def _status(error: TimbreError) -> tuple[int, str]:
    if isinstance(error, VoiceError):
        return 400, error.reason
    if isinstance(error, BusyError) and error.code == "queue_full":
        return 503, "SERVICE_NOT_AVAILABLE"
    return error.status, error.reason


def headers_of(error: TimbreError, wait_s: int | None = None) -> dict[str, str]:
    """Return the headers that an error is answered with, in every dialect."""
    wait_s = retry_after_s(error) if wait_s is None else wait_s
    headers = {} if wait_s is None else {"Retry-After": str(wait_s)}
    if error.code == "body_too_big":  # the rest of it is not waited for
        headers["Connection"] = "close"
    return headers


def _flat(status: int, reason: str, message: str, metadata: dict[str, str], headers: dict[str, str]) -> JSONResponse:
    body = {"code": status, "reason": reason, "message": message, "metadata": metadata}
    return JSONResponse(body, status, headers)


def answer_errors(app: FastAPI, dialects: Sequence[Dialect]) -> None:
    """Let an application answer every error in the words of the path's dialect; in the hosted service's elsewhere."""

    def answered(request: Request, error: TimbreError, **headers: str) -> Response:
        watch.ERRORS.labels(error.code or "unforeseen").inc()
        path = request.url.path
        nearest = max(dialects, key=lambda each: each.share(path))
        answer = (nearest.refusal if nearest.share(path) else error_answer)(error)
        answer.headers.update(headers)
        return answer

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, TimbreError)
        return answered(request, error)

    async def not_found(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        message = "There is no such API." if error.status_code == 404 else f"It does not take {request.method}."
        none = NoApi(message, code="not_found", advice="See /docs.")
        none.status = error.status_code
        return answered(request, none, **dict(error.headers or {}))

    async def failed(request: Request, error: Exception) -> Response:
        return answered(request, disk_full(error) or unforeseen(error))

    app.add_exception_handler(TimbreError, refused)
    app.add_exception_handler(HTTPException, not_found)
    app.add_exception_handler(OSError, failed)
    app.add_exception_handler(Exception, failed)


def unforeseen(error: BaseException) -> TimbreError:
    """Return what is said of what nobody foresaw, without a word of it; the log has the rest under the same id."""
    told = TimbreError("Something went wrong on this side.", advice="Ask again, and name the trace id if it goes on.")
    told.trace_id = watch.request_id()
    log.error("Request %s failed", told.trace_id, exc_info=error)
    return told


def speech_answer(model: str, audio: str, subtitles: dict[str, str], extra: dict[str, Any]) -> JSONResponse:
    """Return speech in the shape of a model's generation.

    Args:
        model: one of the eight.
        audio: hex or a URL.
        subtitles: where they are, if they were asked for.
        extra: as ``extra_of`` tells it.
    """
    if model not in NEWEST:
        return JSONResponse({"audio": audio} | subtitles)
    return JSONResponse(wrapped({"audio": audio, "status": 2} | subtitles, extra))


def wrapped(data: dict[str, Any], extra: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the longer shape, which is MiniMax's own too."""
    body: dict[str, Any] = {"data": data} | ({} if extra is None else {"extra_info": extra})
    return body | {"trace_id": watch.request_id(), "base_resp": SUCCESS}


def extra_of(speech: Speech, asked: SpeechRequest) -> dict[str, Any]:
    """Return what the longer shape tells beside the speech."""
    setting = asked.audio_setting
    return {
        "audio_length": round(speech.duration_s * 1000),
        "audio_sample_rate": setting.sample_rate,
        "audio_size": speech.n_bytes,
        "bitrate": setting.bitrate,
        "audio_format": setting.format,
        "audio_channel": setting.channel,
        "usage_characters": len(asked.text),
        "word_count": len(asked.text.split()),
        "invisible_character_ratio": 0,
    }


def speech_event(model: str, audio: bytes) -> bytes:
    """Return a piece of speech as an event, in the shape of a model's generation."""
    data = {"audio": audio.hex(), "status": 1}
    return event(wrapped(data) if model in NEWEST else data)


def last_event(model: str, subtitles: dict[str, str], extra: dict[str, Any]) -> bytes:
    """Return the event that ends a stream; there is no audio in it."""
    if model not in NEWEST:
        return event({"status": 2} | subtitles)
    return event(wrapped({"audio": "", "status": 2} | subtitles, extra))


def event(values: dict[str, Any]) -> bytes:
    """Return one server-sent event."""
    return f"data: {json.dumps(values, ensure_ascii=False)}\n\n".encode()
