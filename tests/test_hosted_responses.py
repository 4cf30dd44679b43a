"""Every shape and every name of bad news, as one tree."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from clone.core.errors import (
    AudioError,
    BusyError,
    HostedError,
    KeyRefused,
    MaybeDone,
    PromptMismatch,
    TimbreError,
    VoiceError,
)
from clone.hosted.responses import CODES, NAMES, SHOWN_MAX_CHARS, ServiceAnswer, clean, content
from clone.ui.parts import refusal as shown

KEY = "nv-test-51f0e2d9c8"
DOCUMENTED_NAMES = [
    "INVALID_REQUEST_BODY",
    "INVALID_AUDIO_FILE",
    "ILLEGAL_PROMPT",
    "BILLING_BALANCE_NOT_ENOUGH",
    "MISSING_API_KEY",
    "FAILED_TO_AUTH",
    "INVALID_API_KEY",
    "API_NOT_ALLOWED",
    "FEATURE_NOT_ALLOWED",
    "NEED_REAL_NAME_VERIFY",
    "BILLING_AUTH_FAILED",
    "NOT_ENOUGH_BALANCE",
    "API_NOT_FOUND",
    "TASK_NOT_FOUND",
    "RATE_LIMIT_EXCEEDED",
    "BILLING_FAILED",
    "CREATE_TASK_FAILED",
    "GET_RESULT_FAILED",
    "TASK_FAILED",
    "SERVICE_NOT_AVAILABLE",
]
DOCUMENTED_CODES = (
    *(1000, 1001, 1002, 1004, 2049, 1008, 1026, 1027, 1042, 1043, 1044, 2013, 20132),
    *(2037, 2038, 2039, 2042, 2048, 2054),
)
FIELDS = {None, "audio", "prompt_audio", "prompt_text", "text", "model", "accuracy", "voice_id", "api_key"}


def answer(status: int, body: Any, **headers: str) -> ServiceAnswer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ServiceAnswer(status, {name.replace("_", "-"): value for name, value in headers.items()}, data)


def error(status: int, body: Any, *, paid: bool = False, **headers: str) -> TimbreError:
    with pytest.raises(TimbreError) as caught:
        content(answer(status, body, **headers), key=KEY, paid=paid)
    assert KEY not in str(caught.value)
    assert re.search(r"[.!?]$", caught.value.advice)
    return caught.value


def test_good_news_is_the_body() -> None:
    for body in ({"voice_id": "v"}, {"base_resp": {"status_code": 0, "status_msg": "success"}, "data": {}}):
        assert content(answer(200, body)) == body


def test_everything_documented_has_a_sentence_of_its_own() -> None:
    assert set(DOCUMENTED_NAMES) == set(NAMES)
    assert set(DOCUMENTED_CODES) == set(CODES)
    every = [*NAMES.values(), *CODES.values()]
    assert len({reason.message for reason in every}) == len(every)
    assert all(reason.field in FIELDS for reason in every)
    assert all(reason.message.endswith(".") and reason.advice.endswith(".") for reason in every)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", ["flat", "error", "message"])
def test_every_name_in_every_shape(name: str, shape: str) -> None:
    flat = {"code": 400, "reason": name, "message": "whatever they say", "metadata": {}}
    inside = {"message": f"failed: {name}"}
    told = error(400, {"flat": flat, "error": {"error": flat}, "message": {"error": inside}}[shape])
    assert told.message == NAMES[name].message
    assert (type(told), told.field, told.code, told.reason) == (NAMES[name].kind, NAMES[name].field, name.lower(), name)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(
    "shape", ["base_resp", "as text", "in a message", "in brackets", "first in a message", "flat", "in an error"]
)
def test_every_code_in_every_shape(code: int, shape: str) -> None:
    status, body = {
        "base_resp": (200, {"base_resp": {"status_code": code, "status_msg": "x"}}),
        "as text": (200, {"base_resp": {"status_code": str(code)}}),
        "in a message": (400, {"reason": "INVALID_REQUEST_BODY", "message": f"upstream error, status_code: {code}"}),
        "in brackets": (400, {"message": f"invalid ({code})"}),
        "first in a message": (400, {"message": f"{code} invalid"}),
        "flat": (400, {"code": code, "message": "x"}),
        "in an error": (400, {"error": {"code": code, "message": "x"}}),
    }[shape]
    told = error(status, body)
    assert told.message == CODES[code].message
    assert (type(told), told.field, told.service_code) == (CODES[code].kind, CODES[code].field, code)


def test_kinds_that_matter() -> None:
    assert type(error(400, {"reason": "INVALID_AUDIO_FILE"})) is AudioError
    assert type(error(200, {"base_resp": {"status_code": 1044}})) is PromptMismatch
    assert type(error(200, {"base_resp": {"status_code": 2054}})) is VoiceError
    assert type(error(403, {"message": "no"})) is KeyRefused


def test_a_number_in_a_sentence_is_no_code() -> None:
    told = error(400, {"message": "at most 1000 characters, not 2013"})
    assert told.message == "The service answered 400: “at most 1000 characters, not 2013”."


def test_unknown_news_is_shown_safely() -> None:
    said = f"<img onerror=x> \u202e\x00 Bearer abc {KEY} https://x.example/a.mp3?signature=secret " + "x" * 500
    told = error(418, {"error": {"message": said}})
    assert len(told.message) < SHOWN_MAX_CHARS + 60
    assert not {"\u202e", "\x00"} & set(told.message)
    assert "secret" not in told.message
    assert "abc" not in told.message
    assert "<img" not in shown(told)


def test_the_trace_id_is_told() -> None:
    assert "Its trace id is abc-1." in error(400, {"message": "x", "trace_id": "abc-1"}).message
    assert error(500, b"", trace_id="t-2").trace_id == "t-2"
    assert error(500, {}, trace_id="<script>").trace_id == ""


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b'{"rea', b"[" * 100_000, [], 5, None, {"error": 5}])
@pytest.mark.parametrize("status", [200, 204, 302, 400, 404, 500, 799])
def test_any_body_with_any_status_gives_an_error(status: int, body: Any) -> None:
    told = error(status, body)
    assert isinstance(told, TimbreError)
    assert isinstance(error(status, body, paid=True), MaybeDone) == (status >= 500 or status < 300)


def test_what_broke_off_is_no_answer() -> None:
    with pytest.raises(HostedError):
        content(replace(answer(200, {"voice_id": "v"}), complete=False))


def test_when_to_come_back() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert answer(429, {}, retry_after="7").retry_after_s == 7
    assert 28 <= (answer(429, {}, retry_after=soon).retry_after_s or 0) <= 31
    assert answer(429, {}, retry_after="x").retry_after_s is None
    told = error(429, {"reason": "RATE_LIMIT_EXCEEDED"}, retry_after="9")
    assert isinstance(told, BusyError)
    assert told.retry_after_s == 9


def test_the_body_is_logged_without_the_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    error(400, {"message": f"odd thing {KEY} https://x.example/a?sig=1"})
    assert "odd thing" in caplog.text
    assert "sig=1" not in caplog.text
    assert KEY not in caplog.text
    assert len(clean("x" * 9999)) == SHOWN_MAX_CHARS
