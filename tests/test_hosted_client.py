"""The contract spoken, against a server on loopback that has good and bad days. How often it was asked is counted."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clone.contract import cloning
from clone.contract.cloning import ClonePrompt, CloneRequest, CloneResponse
from clone.contract.speech import SpeechSettings
from clone.core.errors import BusyError, CancelledError, HostedError, KeyRefused, MaybeDone, TextError, TimbreError
from clone.core.jobs import Stop
from clone.core.network import Network
from clone.hosted.client import CLONE_PATH, AudioOrLink, CallLimits, NotSent, NovitaClient, Pace, speech_body
from tests.faults import CHUNKED, FAULTS, FaultServer, body, chunked, for_ever, in_turn, saying, sending, serving

KEY = "nv-test-51f0e2d9c8"
HURRY = Pace(
    clone=CallLimits(0.6, 1.2, 20_000),
    speech=CallLimits(0.6, 1.2, 200_000),
    question=CallLimits(0.4, 0.8, 20_000),
    poll_s=0.02,
    poll_max_s=0.05,
    task_s=1.5,
    reconnect_s=0.05,
)
REQUEST = CloneRequest(audio_url="https://example.com/a.mp3", text="Hello.", model="speech-02-hd")
VOICE = {"voice_id": "voice_1", "demo_audio_url": "https://example.com/b.mp3"}
SPEECH = "/v3/minimax-speech-02-turbo"
LONG = "word " * (cloning.SPEECH_LIMIT_CHARS // 5)
TASK = "/v3/async/task-result"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with serving() as running:
        yield running


@pytest.fixture(autouse=True)
def no_key_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert KEY not in caplog.text


def client(server: FaultServer, key: str = KEY) -> NovitaClient:
    return NovitaClient(server.url(""), key, HURRY)


def clone(server: FaultServer, request: CloneRequest = REQUEST, stop: Stop | None = None) -> CloneResponse:
    return client(server).clone(request, lambda _: None, stop or Stop())


def speak(server: FaultServer, text: str = "Hello.", stop: Stop | None = None) -> AudioOrLink:
    return client(server).speak("voice_1", text, "speech-02-turbo", lambda _: None, stop or Stop())


def refusal(server: FaultServer, answer: Callable[[socket.socket], None], at_most_s: float = 3.0) -> TimbreError:
    """Return what a clone raises, in time, after one request and no more."""
    server.answers[CLONE_PATH] = answer
    started_s = time.monotonic()
    with pytest.raises(TimbreError) as caught:
        clone(server)
    assert time.monotonic() - started_s < at_most_s
    assert len(server.asked) == 1, "a clone was sent twice"
    error = caught.value
    assert error.message.endswith((".", "!", "?"))
    assert error.advice.endswith(".")
    assert KEY not in str(error) + repr(error) + repr(error.__dict__)
    assert error.__suppress_context__ or error.__context__ is None
    return error


# what is sent


def test_the_request_is_the_seeds(server: FaultServer) -> None:
    server.answers[CLONE_PATH] = saying(200, VOICE)
    assert clone(server) == CloneResponse(**VOICE)
    assert json.loads(server.bodies[0]) == {
        "audio_url": "https://example.com/a.mp3",
        "text": "Hello.",
        "model": "speech-02-hd",
    }
    head = server.asked[0].lower()
    assert head.startswith("post /v3/minimax-voice-cloning http/1.1\r\n")
    assert f"authorization: bearer {KEY}\r\n" in head
    assert "content-type: application/json\r\n" in head
    assert "cookie" not in head


def test_what_is_absent_is_not_sent(server: FaultServer) -> None:
    server.answers[CLONE_PATH] = saying(200, {"voice_id": "voice_1"})
    request = CloneRequest(audio_url="https://example.com/a.mp3", model="speech-02-hd", accuracy=0.7)
    assert clone(server, request).demo_audio_url is None
    assert json.loads(server.bodies[0]) == {"audio_url": "https://example.com/a.mp3"}


def test_everything_that_was_chosen_is_sent(server: FaultServer) -> None:
    server.answers[CLONE_PATH] = saying(200, VOICE)
    prompt = ClonePrompt(prompt_audio_url="https://example.com/p.mp3", prompt_text="Grüße, “you”.")
    chosen = {"accuracy": 0.5, "need_noise_reduction": True, "need_volume_normalization": True}
    clone(server, REQUEST.model_copy(update={**chosen, "clone_prompt": prompt}))
    assert json.loads(server.bodies[0]) == REQUEST.model_dump(exclude_defaults=True) | chosen | {
        "clone_prompt": {"prompt_audio_url": "https://example.com/p.mp3", "prompt_text": "Grüße, “you”."}
    }


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "ключ", "x" * 501])
def test_what_can_be_no_key_is_refused_unsent(server: FaultServer, key: str) -> None:
    with pytest.raises(KeyRefused) as caught:
        client(server, key)
    assert caught.value.field == "api_key"
    assert not key or key not in str(caught.value)


def test_the_environment_is_not_asked(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    server.answers[CLONE_PATH] = saying(200, VOICE)
    assert clone(server).voice_id == "voice_1"


# a bad day: every fault gives its own error in time, and nothing is sent twice

BROKEN = {
    "no answer": (FAULTS["/no-answer"], "hosted_broken"),
    "reset": (FAULTS["/reset"], "hosted_broken"),
    "half and reset": (FAULTS["/half-and-reset"], "hosted_broken"),
    "half": (sending(body(json.dumps(VOICE).encode())[:-5]), "hosted_broken"),
    "half chunked": (sending(CHUNKED + chunked(b'{"voice_id"')), "hosted_broken"),
    "bad gzip": (sending(body(b"no gzip", "Content-Encoding: gzip")), "hosted_broken"),
    "not http": (FAULTS["/not-http"], "hosted_broken"),
    "endless head": (FAULTS["/long-header"], "hosted_broken"),
    "silent": (FAULTS["/silent"], "hosted_timeout"),
    "slow head": (FAULTS["/slow-head"], "hosted_timeout"),
    "slow body": (FAULTS["/slow-size-unknown"], "hosted_timeout"),
    "stalled": (for_ever(body(b"{" * 5000)[:500], b"", 0.1), "hosted_timeout"),
    "endless": (FAULTS["/endless"], "hosted_too_big"),
    "bomb": (FAULTS["/bomb"], "hosted_too_big"),
    "html": (sending(body(b"<html><script>alert(1)</script>", "Content-Type: text/html")), "hosted_unknown"),
    "garbage": (sending(body(b"\x00\xff\x13garbage")), "hosted_unknown"),
    "empty": (sending(body(b"")), "hosted_unknown"),
    "truncated json": (sending(body(b'{"voice_id": "voice_1')), "hosted_unknown"),
    "deep json": (sending(body(b"[" * 9000)), "hosted_unknown"),
    "a list": (saying(200, [VOICE]), "hosted_unknown"),
    "no voice": (saying(200, {"demo_audio_url": "x"}), "hosted_unreadable"),
    "odd voice": (saying(200, {"voice_id": ["x"]}), "hosted_unreadable"),
    "unprintable voice": (saying(200, {"voice_id": "a\nb"}), "hosted_unreadable"),
    "500": (saying(500, {"reason": "TASK_FAILED", "message": "failed"}), "task_failed"),
    "502 page": (saying(502, b"<html>Bad gateway</html>"), "hosted_unknown"),
    "503": (FAULTS["/failing"], "hosted_unknown"),
    "its own time-out": (saying(200, {"base_resp": {"status_code": 1001, "status_msg": "timeout"}}), "hosted_1001"),
    "slow 500": (for_ever(b"HTTP/1.1 500 Oh\r\nContent-Length: 9000\r\n\r\n", b"x", 0.05), "hosted_unknown"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_an_end_that_is_not_known_is_said_to_be(server: FaultServer, name: str) -> None:
    answer, code = BROKEN[name]
    error = refusal(server, answer)
    assert type(error) is MaybeDone
    assert error.code == code
    assert "balance" in error.advice
    assert "<" not in str(error)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_key_is_carried_nowhere_else(server: FaultServer, status: int) -> None:
    with serving() as elsewhere:
        error = refusal(server, saying(status, {}, f"Location: {elsewhere.url('/')}"))
        assert not elsewhere.asked
    assert type(error) is HostedError
    assert str(status) in error.message


def test_no_connection_is_tried_again_and_cost_nothing() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    said: list[str] = []
    with pytest.raises(NotSent, match="Nothing was sent"):
        NovitaClient(f"http://127.0.0.1:{port}", KEY, HURRY).clone(REQUEST, said.append, Stop())
    assert len(said) == 2


def test_a_name_that_does_not_exist_is_said_plainly() -> None:
    with pytest.raises(NotSent, match=r"No connection to nowhere\.invalid"):
        NovitaClient("http://nowhere.invalid", KEY, HURRY).clone(REQUEST, lambda _: None, Stop())


# 429


def test_a_429_is_waited_out_visibly(server: FaultServer) -> None:
    busy = saying(429, {"reason": "RATE_LIMIT_EXCEEDED"}, "Retry-After: 1")
    server.answers[CLONE_PATH] = in_turn(busy, saying(200, VOICE))
    said: list[str] = []
    started_s = time.monotonic()
    assert client(server).clone(REQUEST, said.append, Stop()).voice_id == "voice_1"
    assert time.monotonic() - started_s >= 1
    assert said == ["The service is busy; asking again in 1 s"]
    assert len(server.asked) == 2


@pytest.mark.parametrize("headers", [(), ("Retry-After: 86400",), ("Retry-After: soon",)])
def test_a_429_that_can_t_be_waited_out_is_told(server: FaultServer, headers: tuple[str, ...]) -> None:
    error = refusal(server, saying(429, {"reason": "RATE_LIMIT_EXCEEDED"}, *headers))
    assert type(error) is BusyError
    assert error.retry_after_s == (86400 if "86400" in "".join(headers) else 60)


def test_waiting_can_be_cancelled(server: FaultServer) -> None:
    server.answers[CLONE_PATH] = saying(429, {}, "Retry-After: 100")
    stop = Stop()
    threading.Timer(0.3, stop.ask).start()
    started_s = time.monotonic()
    with pytest.raises(CancelledError):
        clone(server, stop=stop)
    assert time.monotonic() - started_s < 1.3


def test_what_was_sent_is_waited_for_even_when_cancelled(server: FaultServer) -> None:
    stop = Stop()

    def slowly(connection: socket.socket) -> None:
        stop.ask()
        time.sleep(0.2)
        saying(200, VOICE)(connection)

    server.answers[CLONE_PATH] = slowly
    assert clone(server, stop=stop).voice_id == "voice_1"
    with pytest.raises(CancelledError):
        clone(server, stop=stop)
    assert len(server.asked) == 1


def test_a_stop_while_connecting_sends_nothing(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, dial = Stop(), Network.dial

    def slow(*args: Any) -> socket.socket:
        stop.ask()
        return dial(*args)

    monkeypatch.setattr(Network, "dial", slow)
    with pytest.raises(CancelledError):
        clone(server, stop=stop)
    assert server.bodies == []


# speech


@pytest.mark.parametrize(
    "answered",
    [
        {"audio": b"sound".hex()},
        {"data": {"audio": b"sound".hex(), "status": 2}, "base_resp": {"status_code": 0}, "trace_id": "t"},
    ],
)
def test_speech_comes_in_either_shape(server: FaultServer, answered: dict[str, Any]) -> None:
    server.answers[SPEECH] = saying(200, answered)
    assert speak(server) == b"sound"
    sent = json.loads(server.bodies[0])
    assert sent["text"] == "Hello."
    assert sent["voice_setting"]["voice_id"] == "voice_1"


def test_speech_comes_as_a_url_too(server: FaultServer) -> None:
    server.answers[SPEECH] = saying(200, {"data": {"audio": "https://example.com/s.mp3"}})
    assert speak(server) == "https://example.com/s.mp3"


@pytest.mark.parametrize("answered", [{}, {"audio": ""}, {"audio": "xyz"}, {"data": None}, {"audio": 5}])
def test_speech_without_sound_may_have_gone_through(server: FaultServer, answered: dict[str, Any]) -> None:
    server.answers[SPEECH] = saying(200, answered)
    with pytest.raises(MaybeDone):
        speak(server)
    assert len(server.asked) == 1


def test_long_speech_is_a_task_asked_after_with_patience(server: FaultServer) -> None:
    server.answers["/v3/async" + SPEECH.removeprefix("/v3")] = saying(200, {"task_id": "t 1"})
    done = {"task": {"status": "TASK_STATUS_SUCCEED"}, "audios": [{"audio_url": "https://example.com/s.mp3"}]}
    server.answers[TASK] = in_turn(
        saying(200, {"task": {"status": "TASK_STATUS_QUEUED"}}),
        FAULTS["/reset"],
        saying(503, {}),
        saying(200, {"task": {"status": "TASK_STATUS_PROCESSING"}}),
        saying(200, done),
    )
    assert speak(server, LONG) == "https://example.com/s.mp3"
    assert len(server.asked) == 6
    assert "task_id=t%201" in server.asked[-1]


def test_a_task_that_fails_says_why(server: FaultServer) -> None:
    server.answers["/v3/async" + SPEECH.removeprefix("/v3")] = saying(200, {"task_id": 7})
    failed = {"task": {"status": "TASK_STATUS_FAILED", "reason": "(1026) input sensitive"}}
    server.answers[TASK] = saying(200, failed)
    with pytest.raises(TextError) as caught:
        speak(server, LONG)
    assert caught.value.service_code == 1026


def test_a_task_without_end_is_given_up(server: FaultServer) -> None:
    server.answers["/v3/async" + SPEECH.removeprefix("/v3")] = saying(200, {"task_id": "t1"})
    server.answers[TASK] = saying(200, {"task": {"status": "TASK_STATUS_PROCESSING"}})
    with pytest.raises(MaybeDone, match="t1"):
        speak(server, LONG)


def test_a_text_that_no_route_takes_is_not_sent(server: FaultServer) -> None:
    with pytest.raises(TextError):
        speak(server, "a" * (cloning.SPEECH_TASK_MAX_CHARS + 1))
    assert not server.asked


def test_a_language_that_is_set_is_said_to_the_service() -> None:
    assert "language_boost" not in speech_body("voice_1", "Hola")
    assert speech_body("voice_1", "Hola", SpeechSettings(language="es"))["language_boost"] == "Spanish"
