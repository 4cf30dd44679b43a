"""OpenAI's dialect, as its clients use it: over sockets, with the real engine."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from clone.api.openai import SOUNDS, model_for
from clone.contract.cloning import MODELS
from clone.core.settings import Settings
from clone.engine.transcript import words_heard
from tests.serving import KEYS, WITHIN_S, Served, bearer, decoded, owner_of, serving

TEXT = "Good morning."


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("api") / "home", background=False) as served:
        yield served


def speak(api: Served, voice: Any, key: str | None = KEYS[0], **changes: Any) -> requests.Response:
    return api.post("/v1/audio/speech", {"model": "tts-1", "input": TEXT, "voice": voice, **changes}, key)


def refused(answer: requests.Response, status: int, code: str, param: str | None = None) -> str:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param), answer.text
    assert sorted(error) == ["code", "message", "param", "type"]
    return str(error["message"])


@pytest.mark.parametrize(
    ("name", "spoken_by"),
    [("tts-1", MODELS[-1]), ("tts-1-hd", MODELS[-2]), ("gpt-4o-mini-tts", MODELS[-1]), ("tts-1-hd-1106", MODELS[-2])]
    + [(model, model) for model in MODELS],
)
def test_every_name_of_a_model_is_one_of_ours(name: str, spoken_by: str) -> None:
    assert model_for(name) == spoken_by


@pytest.mark.parametrize("kind", list(SOUNDS))
def test_each_format_is_what_it_says(api: Served, voice_id: str, kind: str) -> None:
    answer = speak(api, voice_id, response_format=kind)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == SOUNDS[kind][1]
    assert answer.headers["transfer-encoding"] == "chunked"
    if kind == "pcm":
        assert 0.4 < len(answer.content) / 2 / 24000 < 3
        return
    sound, rate, _ = decoded(answer.content)
    assert rate in (24000, 48000)
    assert 0.4 < len(sound) / rate < 3


def test_speech_comes_while_it_is_spoken_and_keeps_the_voice(api: Served, voice_id: str) -> None:
    text = "The harbour was quiet. A ferry came in. Nobody went ashore."
    body = {"model": "tts-1", "input": text, "voice": {"id": voice_id}, "response_format": "pcm", "instructions": None}
    with api.post("/v1/audio/speech", body, stream=True) as answer:
        chunks = list(answer.raw.stream(decode_content=False, amt=None))
    assert len(chunks) >= 3
    assert api.studio.voice(voice_id, owner_of(KEYS[0])).permanent
    events = speak(api, voice_id, input=text, response_format="pcm", stream_format="sse")
    assert events.headers["content-type"].startswith("text/event-stream")
    told = [json.loads(line[6:]) for line in events.text.split("\n") if line.startswith("data: ")]
    assert [each["type"] for each in told] == ["speech.audio.delta"] * (len(told) - 1) + ["speech.audio.done"]
    assert b"".join(base64.b64decode(each["audio"]) for each in told[:-1]) == b"".join(chunks)
    assert told[-1]["usage"]["input_tokens"] == len(text)


def test_a_voice_goes_by_its_name_too_and_any_other_word_names_ones_own(api: Served, voice_id: str) -> None:
    api.studio.describe(voice_id, owner_of(KEYS[0]), name="Ada")
    assert speak(api, "ada").status_code == 200
    assert f"Ada ({voice_id})" in refused(speak(api, "alloy"), 400, "unknown_voice", "voice")
    theirs = refused(speak(api, voice_id, KEYS[1]), 400, "unknown_voice", "voice")
    assert "none yet" in theirs
    listed = api.get("/v1/audio/voices").json()["voices"]
    assert listed == [{"id": voice_id, "name": "Ada"}]
    assert api.get("/v1/audio/voices", KEYS[1]).json() == {"voices": []}


def test_a_default_voice_speaks_for_any_word(api: Served, voice_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.from_environment({"TIMBRE_DEFAULT_VOICE": " Ada "}).default_voice == "Ada"
    object.__setattr__(api.settings, "default_voice", voice_id)
    try:
        assert speak(api, "alloy").status_code == 200
        refused(speak(api, "alloy", KEYS[1]), 400, "unknown_voice", "voice")  # it is another key's
    finally:
        object.__setattr__(api.settings, "default_voice", "")


def test_speed_goes_beyond_what_the_engines_do_themselves(api: Served, voice_id: str) -> None:
    text = "The harbour was quiet this morning, and nobody went ashore."
    lengths = {
        speed: len(speak(api, voice_id, input=text, speed=speed, response_format="pcm").content)
        for speed in (0.25, 1.0, 4.0)
    }
    assert lengths[1.0] / lengths[0.25] == pytest.approx(0.25, rel=0.15)
    assert lengths[1.0] / lengths[4.0] == pytest.approx(4.0, rel=0.15)


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"model": "speech-01-hd"}, "unknown_model", "model"),
        ({"model": None}, "invalid", "model"),
        ({"input": ""}, "missing", "input"),
        ({"input": "?!"}, "text_no_letter", "input"),
        ({"input": "a" * 10_000}, "text_too_long", "input"),
        ({"speed": 4.1}, "invalid", "speed"),
        ({"speed": "fast"}, "invalid", "speed"),
        ({"response_format": "aiff"}, "invalid", "response_format"),
        ({"stream_format": 1}, "invalid", "stream_format"),
        ({"voice": {"name": "x"}}, "invalid", "voice"),
        ({"voice": {"id": None}}, "invalid", "voice"),
        ({"voice": ""}, "missing", "voice"),
        ({"voice": "../../etc/passwd"}, "unknown_voice", "voice"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    api: Served, voice_id: str, change: dict[str, Any], code: str, param: str
) -> None:
    refused(
        api.post("/v1/audio/speech", {"model": "tts-1", "input": TEXT, "voice": voice_id} | change), 400, code, param
    )


def test_keys_paths_and_models(api: Served) -> None:
    for answer in (speak(api, "x", None), speak(api, "x", "wrong"), api.get("/v1/models", None)):
        refused(answer, 401, "invalid_api_key")
    listed = api.get("/v1/models").json()
    assert listed["object"] == "list"
    assert {*MODELS, "tts-1", "tts-1-hd", "gpt-4o-mini-tts"} == {each["id"] for each in listed["data"]}
    assert api.get(f"/v1/models/{MODELS[0]}").json()["id"] == MODELS[0]
    refused(api.get("/v1/models/none"), 400, "unknown_model", "model")
    refused(api.get("/v1/audio/nothing"), 404, "not_found")
    refused(api.get("/v1/nothing"), 404, "not_found")
    refused(api.get("/v1/audio/speech"), 405, "not_found")


def transcribed(api: Served, name: str, data: bytes, key: str | None = KEYS[0], **fields: str) -> requests.Response:
    url = f"{api.url}/v1/audio/transcriptions"
    return requests.post(url, fields, headers=bearer(key), files={name: ("../x.mp3", data)}, timeout=WITHIN_S)


def test_a_recording_is_written_down(api: Served, voice_id: str) -> None:
    text = "The harbour was quiet this morning, and nobody went ashore before noon."
    spoken = speak(api, voice_id, input=text, response_format="wav").content
    answer = transcribed(api, "file", spoken, model="whisper-1", language="en")
    heard = words_heard(text, answer.json()["text"])
    assert sum(known for _, known in heard) > 0.8 * len(heard), answer.text
    told = transcribed(api, "file", spoken, response_format="verbose_json").json()
    assert (told["language"], told["text"], told["duration"] > 1) == ("en", answer.json()["text"], True)
    assert transcribed(api, "file", spoken, response_format="text").headers["content-type"].startswith("text/plain")


def test_what_is_no_recording_is_refused(api: Served) -> None:
    refused(transcribed(api, "file", b"none", None), 401, "invalid_api_key")
    assert transcribed(api, "file", b"nothing to hear").status_code == 400
    assert transcribed(api, "other", b"x").json()["error"]["code"] == "one_file"
    assert transcribed(api, "file", b"x", language="klingon").json()["error"]["param"] == "language"
    assert transcribed(api, "file", b"x" * 22_000_000).json()["error"]["code"] == "body_too_big"
    broken = {**bearer(KEYS[0]), "Content-Type": "multipart/form-data; boundary=x"}
    for body in (b"--x\r\nContent-Disposition: form-data; name=\xff\r\n\r\n", b"garbage", b""):
        answer = requests.post(f"{api.url}/v1/audio/transcriptions", body, headers=broken, timeout=10)
        assert (answer.status_code, "error" in answer.json()) == (400, True)
