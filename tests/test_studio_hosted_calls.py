"""The hosted backend through Studio, against a service on loopback whose every word a test decides."""

from __future__ import annotations

import json
import logging
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from clone.core.errors import BusyError, FetchError, HostedError, KeyRefused, MaybeDone, PublishError, Refused
from clone.core.settings import Settings
from clone.engine.backend import LocalBackend
from clone.hosted.client import CLONE_PATH
from clone.hosted.lending import MOUNT
from clone.hosted.pricing import KEEP_MODEL, KEEP_TEXT
from clone.studio.facade import Cloned, CloneOrder, Spoken, Studio
from tests.faults import FAULTS, FaultServer, body, saying, sending, serving
from tests.sounds import encode, speechlike
from tests.studios import TEXT, TURBO, files_in, last, order, refusal, say

KEY, OWN, INVITATION = "nv-visitors-7c41aa", "nv-owners-90bd3e", "come-in-55e1"
PREVIEW = encode(speechlike(2.0), 24_000, "mp3")
OTHER = encode(speechlike(1.0), 24_000, "wav")
Answer = Callable[[socket.socket], None]


@pytest.fixture
def service() -> Iterator[FaultServer]:
    """A service that clones, once, and speaks."""
    with serving() as running:
        running.answers["/preview.mp3"] = sending(body(PREVIEW))
        running.answers[CLONE_PATH] = cloning(running)
        for model in (TURBO, KEEP_MODEL):
            running.answers[f"/v3/minimax-{model}"] = saying(200, {"data": {"audio": OTHER.hex()}})
        yield running


def cloning(service: FaultServer, **changes: Any) -> Answer:
    """Fetch the recording as the service does, then answer."""

    def answer(connection: socket.socket) -> None:
        asked = json.loads(service.bodies[-1])
        with urllib.request.urlopen(asked["audio_url"], timeout=10) as given:
            service.fetched = given.read()  # type: ignore[attr-defined]
        made = {"voice_id": "voice_Hosted/1", "demo_audio_url": service.url("/preview.mp3")} | changes
        saying(200, made)(connection)

    return answer


def sent(service: FaultServer, path: str = CLONE_PATH) -> list[dict[str, Any]]:
    """Return what was posted to a path."""
    both = zip(service.asked, service.bodies, strict=True)
    return [json.loads(posted) for head, posted in both if head.startswith(f"POST {path} ")]


@pytest.fixture
def studio(home: Path, service: FaultServer, backend: LocalBackend) -> Iterator[Studio]:
    """A studio with an address of its own, where it serves the links that it lends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = Settings.at(
        home,
        public_url=f"http://127.0.0.1:{port}",
        allow_private_urls=True,
        novita_base_url=service.url(""),
        novita_api_key=OWN,
        api_keys=("another", INVITATION),
    )
    with closing(Studio(settings, backend)) as running:
        running.start(warm=False)
        routes = [Mount(MOUNT, running.lent)]
        server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=port, log_level="warning"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            thread.join(0.02)
        yield running
        server.should_exit = True
        thread.join(5)


@pytest.fixture(autouse=True)
def keys_stay_secret(caplog: pytest.LogCaptureFixture, home: Path) -> Iterator[None]:
    """Whatever a test does, no key is in a log or in any file of the home."""
    caplog.set_level(logging.DEBUG)
    yield
    for key in (KEY, OWN, INVITATION):
        assert key not in caplog.text
        assert not [path for path in home.rglob("*") if path.is_file() and key.encode() in path.read_bytes()]


def hosted(audio: Path | str, **changes: Any) -> CloneOrder:
    return order(audio, **{"text": TEXT, "backend": "novita", "api_key": KEY} | changes)


def test_a_recording_becomes_a_hosted_voice(studio: Studio, service: FaultServer, examples: list[Path]) -> None:
    cloned: Cloned = last(studio.clone(hosted(examples[0], need_noise_reduction=True)))
    assert (cloned.voice.voice_id, cloned.voice.backend, cloned.replayed) == ("voice_Hosted/1", "novita", False)
    assert not cloned.voice.permanent
    kept = studio.audio("voice_Hosted/1", "ann", "preview").read_bytes()
    assert kept.endswith(PREVIEW)  # its sound as it came, behind tags that say what it is
    assert b"voice_Hosted/1" in kept.removesuffix(PREVIEW)
    assert studio.audio("voice_Hosted/1", "ann", "reference").read_bytes() == examples[0].read_bytes()
    assert service.fetched == examples[0].read_bytes()  # type: ignore[attr-defined]
    [asked] = sent(service)
    assert asked == {"audio_url": asked["audio_url"], "text": TEXT, "model": TURBO, "need_noise_reduction": True}
    assert f"Authorization: Bearer {KEY}" in service.asked[0]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(asked["audio_url"], timeout=10)


def test_a_hosted_clone_is_measured_as_one_of_this_machine_is(
    studio: Studio, service: FaultServer, backend: LocalBackend, examples: list[Path]
) -> None:
    spoken = last(studio.clone(order(examples[0], text=TEXT)))
    preview = studio.audio(spoken.voice.voice_id, "ann", "preview").read_bytes()
    service.answers["/preview.mp3"] = sending(body(preview))
    n_asked = len(service.asked)
    there, here = last(studio.clone(hosted(examples[0]))).alike, spoken.alike
    assert there.cosine == pytest.approx(here.cosine, abs=0.02)  # mp3 lies between them
    assert there.n_stock_beaten == pytest.approx(here.n_stock_beaten, abs=2)
    assert (there.n_stock, there.n_pieces, there.ceiling) == (here.n_stock, here.n_pieces, here.ceiling)
    assert studio.voice("voice_Hosted/1", "ann").alike == there
    assert [head.split()[0] for head in service.asked[n_asked:]] == ["POST", "GET"]  # nothing else was asked for it


def test_a_measure_that_fails_loses_no_hosted_voice(
    studio: Studio, service: FaultServer, examples: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("weights gone")

    monkeypatch.setattr(LocalBackend, "compare", broken)
    cloned = last(studio.clone(hosted(examples[0])))
    assert (cloned.voice.voice_id, cloned.alike, cloned.note) == ("voice_Hosted/1", None, "")
    assert studio.audio("voice_Hosted/1", "ann", "preview").is_file()


def test_the_same_again_costs_nothing(studio: Studio, service: FaultServer, examples: list[Path]) -> None:
    first = last(studio.clone(hosted(examples[0])))
    again = last(studio.clone(hosted(examples[0], api_key=None)))
    assert again == replace(first, replayed=True)
    assert len(sent(service)) == 1


def test_this_machine_and_the_service_are_different_requests(
    studio: Studio, service: FaultServer, examples: list[Path]
) -> None:
    here = last(studio.clone(order(examples[0], text=TEXT)))
    there = last(studio.clone(hosted(examples[0])))
    assert here.voice.backend == "local"
    assert there.voice.backend == "novita"


def test_a_browsers_recording_is_converted_first(studio: Studio, service: FaultServer, tmp_path: Path) -> None:
    take = tmp_path / "take.webm"
    take.write_bytes(encode(speechlike(12.0), 24_000, "webm"))
    last(studio.clone(hosted(take)))
    assert sent(service)[0]["audio_url"].partition("?")[0].endswith(".mp3")
    assert service.fetched[:3] in (b"ID3", b"\xff\xfb\x14") or service.fetched[0] == 0xFF  # type: ignore[attr-defined]


def test_a_link_is_passed_on_untouched(studio: Studio, service: FaultServer, examples: list[Path]) -> None:
    service.answers["/my%20voice.mp3"] = sending(body(examples[1].read_bytes()))
    url = service.url("/my%20voice.mp3?token=1")
    last(studio.clone(hosted(url)))
    assert sent(service)[0]["audio_url"] == url


def test_a_link_is_checked_like_a_file(studio: Studio, service: FaultServer) -> None:
    service.answers["/short.mp3"] = sending(body(PREVIEW))
    assert refusal(studio.clone(hosted(service.url("/short.mp3")))).code == "too_short"
    assert type(refusal(studio.clone(hosted(service.url("/page"))))) is FetchError
    assert not sent(service)


def test_nothing_is_sent_that_the_preflight_refuses(studio: Studio, service: FaultServer, tmp_path: Path) -> None:
    short = tmp_path / "short.mp3"
    short.write_bytes(PREVIEW)
    assert refusal(studio.clone(hosted(short))).code == "too_short"
    assert refusal(studio.clone(hosted(short, consent=False))).code == "no_consent"
    assert not service.asked


def test_without_an_address_the_ways_are_named(home: Path, service: FaultServer, examples: list[Path]) -> None:
    with closing(Studio(Settings.at(home, novita_base_url=service.url("")))) as nowhere:
        assert type(refusal(nowhere.clone(hosted(examples[0])))) is PublishError
    assert not service.asked


def test_there_is_no_third_backend(studio: Studio, examples: list[Path]) -> None:
    assert type(refusal(studio.clone(hosted(examples[0], backend="elsewhere")))) is Refused


# whose key


@pytest.mark.parametrize(
    ("owner", "given", "used"),
    [
        ("visitor-1", KEY, KEY),
        ("visitor-1", f" {KEY} ", KEY),
        ("visitor-1", INVITATION, OWN),
        ("local", None, OWN),
        ("local", "", OWN),
        ("local", KEY, KEY),
        ("visitor-1", None, None),
        ("visitor-1", " ", None),
        ("", None, None),
    ],
)
def test_whose_key_pays(studio: Studio, owner: str, given: str | None, used: str | None) -> None:
    if used:
        assert studio._calls.key(owner, given) == used
        return
    with pytest.raises(KeyRefused) as caught:
        studio._calls.key(owner, given)
    assert (caught.value.code, caught.value.field) == ("no_key", "api_key")


def test_strangers_spend_nothing_of_the_owners(studio: Studio, service: FaultServer, examples: list[Path]) -> None:
    assert refusal(studio.clone(hosted(examples[0], api_key=None))).code == "no_key"
    voice = last(studio.clone(hosted(examples[0], api_key=INVITATION))).voice
    assert OWN in service.asked[0]
    assert refusal(studio.speak(say(voice))).code == "no_key"
    with pytest.raises(KeyRefused):
        studio.keep(voice.voice_id, voice.owner)
    assert len(sent(service)) == 1


def test_no_key_is_shown(studio: Studio, examples: list[Path]) -> None:
    for thing in (hosted(examples[0]), replace(say(_voice()), api_key=KEY), studio._settings, studio._calls):
        assert not {KEY, OWN, INVITATION} & set(repr(thing).replace("'", " ").replace("=", " ").split())
        assert KEY not in repr(thing)
        assert OWN not in repr(thing)
        assert INVITATION not in repr(thing)


def _voice() -> Any:
    from tests.voices import make_voice

    return make_voice()


# bad days


@pytest.mark.parametrize("fault", ["/reset", "/half", "/no-answer"])
def test_what_may_have_gone_through_is_not_repeated(
    studio: Studio, service: FaultServer, examples: list[Path], fault: str
) -> None:
    service.answers[CLONE_PATH] = FAULTS[fault]
    error = refusal(studio.clone(hosted(examples[0])))
    assert type(error) is MaybeDone
    assert len(sent(service)) == 1
    assert studio.voices("ann") == []
    assert files_in(studio._settings.home / "work") == []


def test_a_refusal_stands_at_its_field(studio: Studio, service: FaultServer, examples: list[Path]) -> None:
    service.answers[CLONE_PATH] = saying(400, {"reason": "INVALID_AUDIO_FILE", "message": f"bad {KEY}"})
    error = refusal(studio.clone(hosted(examples[0])))
    assert (error.field, error.code) == ("audio", "invalid_audio_file")


@pytest.mark.parametrize("preview", ["/failing", "/page", "/half-and-reset", "/loop", "/sound", "/private"])
def test_a_lost_preview_does_not_lose_the_voice(
    studio: Studio, service: FaultServer, examples: list[Path], preview: str
) -> None:
    service.redirect("/private", "http://169.254.169.254/latest/meta-data/")
    service.answers[CLONE_PATH] = cloning(service, demo_audio_url=service.url(preview))
    cloned = last(studio.clone(hosted(examples[0])))
    assert "preview could not be had" in cloned.note
    assert cloned.alike is None
    assert [voice.voice_id for voice in studio.voices("ann")] == ["voice_Hosted/1"]


def test_a_preview_that_was_asked_for_and_did_not_come_is_said(
    studio: Studio, service: FaultServer, examples: list[Path]
) -> None:
    service.answers[CLONE_PATH] = cloning(service, demo_audio_url=None)
    cloned = last(studio.clone(hosted(examples[0])))
    assert "sent no preview" in cloned.note
    without = hosted(examples[1], text=None, model=None)
    service.answers[CLONE_PATH] = cloning(service, demo_audio_url=None, voice_id="voice_Hosted/2")
    assert last(studio.clone(without)).note == ""


def test_the_same_request_twice_at_once_is_sent_once(
    studio: Studio, service: FaultServer, examples: list[Path]
) -> None:
    held, plain = threading.Event(), cloning(service)

    def slowly(connection: socket.socket) -> None:
        held.wait(10)
        plain(connection)

    service.answers[CLONE_PATH] = slowly
    first, second = studio.clone(hosted(examples[0])), studio.clone(hosted(examples[0]))
    while not sent_yet(service):
        next(first)
    error = refusal(second)
    assert type(error) is BusyError
    assert error.code == "same_request"
    held.set()
    assert last(first).voice.voice_id == "voice_Hosted/1"
    assert len(sent(service)) == 1


def test_a_cancelled_clone_that_was_sent_is_kept(studio: Studio, service: FaultServer, examples: list[Path]) -> None:
    held, plain = threading.Event(), cloning(service)

    def slowly(connection: socket.socket) -> None:
        held.wait(10)
        plain(connection)

    service.answers[CLONE_PATH] = slowly
    news = studio.clone(hosted(examples[0]))
    while not sent_yet(service):
        next(news)
    news.close()  # type: ignore[attr-defined]
    held.set()
    pause = threading.Event()
    for _ in range(100):
        if studio.voices("ann"):
            break
        pause.wait(0.05)
    assert [voice.voice_id for voice in studio.voices("ann")] == ["voice_Hosted/1"]


def sent_yet(service: FaultServer) -> bool:
    return any(head.startswith("POST") for head in service.asked)


# speaking and keeping


def test_speaking_keeps_a_hosted_voice(studio: Studio, service: FaultServer, examples: list[Path]) -> None:
    voice = last(studio.clone(hosted(examples[0]))).voice
    spoken: Spoken = last(studio.speak(replace(say(voice, "Grüße aus Köln."), api_key=KEY)))
    assert spoken.voice.permanent
    assert spoken.sample_rate == 24_000
    assert 0.9 < len(spoken.samples) / spoken.sample_rate < 1.1
    [asked] = sent(service, f"/v3/minimax-{TURBO}")
    assert (asked["text"], asked["voice_setting"]["voice_id"]) == ("Grüße aus Köln.", voice.voice_id)


def test_keeping_says_the_shortest_text_that_counts(studio: Studio, service: FaultServer, examples: list[Path]) -> None:
    voice = last(studio.clone(hosted(examples[0]))).voice
    assert studio.keep(voice.voice_id, "ann", KEY).permanent
    assert studio.keep(voice.voice_id, "ann").permanent
    [asked] = sent(service, f"/v3/minimax-{KEEP_MODEL}")
    assert asked["text"] == KEEP_TEXT


def test_a_voice_that_could_not_speak_stays_temporary(
    studio: Studio, service: FaultServer, examples: list[Path]
) -> None:
    voice = last(studio.clone(hosted(examples[0]))).voice
    service.answers[f"/v3/minimax-{KEEP_MODEL}"] = saying(200, {"base_resp": {"status_code": 1008}})
    with pytest.raises(KeyRefused):
        studio.keep(voice.voice_id, "ann", KEY)
    assert not studio.voices("ann")[0].permanent


def test_a_sound_that_is_lost_still_kept_the_voice(studio: Studio, service: FaultServer, examples: list[Path]) -> None:
    voice = last(studio.clone(hosted(examples[0]))).voice
    service.answers[f"/v3/minimax-{KEEP_MODEL}"] = saying(200, {"audio": b"no sound".hex()})
    with pytest.raises(HostedError) as caught:
        studio.keep(voice.voice_id, "ann", KEY)
    assert caught.value.code == "speech_lost"
    assert studio.voices("ann")[0].permanent


def test_the_cost_is_said_before(studio: Studio, examples: list[Path]) -> None:
    assert "1 voice and 17 characters of turbo" in studio.clone_cost(hosted(examples[0]).options)
    assert "5 characters of turbo" in studio.speech_cost("Hello", TURBO)
    assert f"{len(KEEP_TEXT)} characters" in studio.keep_cost()
