"""Answers in the hosted service's words: errors with its reasons and statuses, speech in each generation's shape."""

from __future__ import annotations

import json
import logging
import uuid
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from clone.api.requests import retry_after_s
from clone.audio.encoder import Encoder
from clone.contract.cloning import MODELS
from clone.contract.speech import AudioSetting
from clone.core.errors import BusyError, TimbreError, VoiceError, disk_full

log = logging.getLogger(__name__)

SUCCESS = {"status_code": 0, "status_msg": "success"}
NEWEST = MODELS[-2:]
"""The generation that answers in the longer shape."""


def error_answer(error: TimbreError) -> JSONResponse:
    """Return an error of ours as the hosted service would word it."""
    return _answer(error, *_status(error))


def no_voice(error: VoiceError) -> JSONResponse:
    """Return that there is no such voice to one who asks for the voice itself, not for work with it."""
    return _answer(error, error.status, "VOICE_NOT_FOUND")


def _answer(error: TimbreError, status: int, reason: str) -> JSONResponse:
    code = f" ({error.service_code})" if error.service_code else ""
    details = {"code": error.code, "field": error.field, "measured": error.measured, "limit": error.limit}
    metadata = {name: str(value) for name, value in details.items() if value is not None}
    wait_s = retry_after_s(error) if status == error.status else getattr(error, "retry_after_s", None)
    headers = {} if wait_s is None else {"Retry-After": str(wait_s)}
    if error.code == "body_too_big":  # the rest of it is not waited for
        headers["Connection"] = "close"
    return _flat(status, reason, f"{error}{code}", metadata, headers)


def _status(error: TimbreError) -> tuple[int, str]:
    if isinstance(error, VoiceError):
        return 400, error.reason
    if isinstance(error, BusyError) and error.code == "queue_full":
        return 503, "SERVICE_NOT_AVAILABLE"
    return error.status, error.reason


def _flat(
    status: int, reason: str, message: str, metadata: dict[str, str], headers: dict[str, str] | None = None
) -> JSONResponse:
    body = {"code": status, "reason": reason, "message": message, "metadata": metadata}
    return JSONResponse(body, status, headers)


async def refused(request: Request, error: Exception) -> Response:
    """Answer an error of ours."""
    assert isinstance(error, TimbreError)
    return error_answer(error)


async def not_found(request: Request, error: Exception) -> Response:
    """Answer a path or a method that is not there."""
    assert isinstance(error, HTTPException)
    message = "There is no such API." if error.status_code == 404 else f"It does not take {request.method}."
    headers = dict(error.headers or {})
    return _flat(error.status_code, "API_NOT_FOUND", f"{message} See /docs.", {}, headers)


async def failed_by_disk(request: Request, error: Exception) -> Response:
    """Answer what the operating system refused: a full disk by its name, the rest as nothing that anybody foresaw."""
    full = disk_full(error)
    return error_answer(full) if full else await failed(request, error)


async def failed(request: Request, error: Exception) -> Response:
    """Answer what nobody foresaw, without a word of it; the log has the rest under the same id."""
    trace_id = uuid.uuid4().hex
    log.error("Request %s failed", trace_id, exc_info=error)
    message = "Something went wrong on this side. Ask again, and name the trace id if it goes on."
    return _flat(500, "TASK_FAILED", message, {"trace_id": trace_id})


def speech_answer(model: str, audio: str, asked: AudioSetting, extra: dict[str, Any]) -> JSONResponse:
    """Return speech in the shape of a model's generation.

    Args:
        model: one of the eight.
        audio: hex or a URL.
        asked: the file it is.
        extra: n_bytes, n_characters and the duration_s of it.
    """
    if model not in NEWEST:
        return JSONResponse({"audio": audio})
    info = {
        "audio_length": round(extra["duration_s"] * 1000),
        "audio_sample_rate": asked.sample_rate,
        "audio_size": extra["n_bytes"],
        "bitrate": asked.bitrate,
        "audio_format": asked.format,
        "audio_channel": asked.channel,
        "usage_characters": extra["n_characters"],
    }
    body = {"data": {"audio": audio, "status": 2}, "extra_info": info, "trace_id": uuid.uuid4().hex}
    return JSONResponse(body | {"base_resp": SUCCESS})


def extra_of(encoder: Encoder, n_bytes: int, text: str) -> dict[str, Any]:
    """Return what ``speech_answer`` tells beside the speech."""
    return {"duration_s": encoder.duration_s, "n_bytes": n_bytes, "n_characters": len(text)}


def event(values: dict[str, Any]) -> bytes:
    """Return one server-sent event."""
    return f"data: {json.dumps(values, ensure_ascii=False)}\n\n".encode()
