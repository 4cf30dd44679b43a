"""ElevenLabs' dialect, over sockets, with the real engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from clone.api.elevenlabs import FORMATS, TextToSpeechBody
from clone.contract.cloning import MODELS
from tests.serving import KEYS, WITHIN_S, Served, bearer, decoded, owner_of, serving

TEXT = "Good morning."


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("api") / "home", background=False) as served:
        yield served


def ask(api: Served, method: str, path: str, key: str | None = KEYS[0], **rest: Any) -> requests.Response:
    headers = {} if key is None else {"xi-api-key": key}
    return requests.request(method, api.url + path, headers=headers, timeout=WITHIN_S, **rest)


def add(api: Served, data: bytes, name: str = "Ada", key: str | None = KEYS[0], **fields: str) -> requests.Response:
    files = {"files": ("../../x.mp3", data)}
    return ask(api, "POST", "/v1/voices/add", key, data={"name": name, **fields}, files=files)


@pytest.fixture(scope="module")
def voice(api: Served, examples: list[Path]) -> str:
    answer = add(api, examples[1].read_bytes(), remove_background_noise="false", labels="null")
    assert answer.status_code == 200, answer.text
    assert answer.json()["requires_verification"] is False
    return str(answer.json()["voice_id"])


def speak(api: Served, voice_id: str, kind: str = "", end: str = "", **body: Any) -> requests.Response:
    query = f"?output_format={kind}" if kind else ""
    sent = {"text": TEXT, "model_id": "eleven_flash_v2_5"} | body
    return ask(api, "POST", f"/v1/text-to-speech/{voice_id}{end}{query}", json=sent)


def detail(answer: requests.Response, status: int, said: str) -> str:
    body = answer.json()["detail"]
    assert (answer.status_code, body["status"]) == (status, said), answer.text
    return str(body["message"])


def test_a_voice_is_cloned_listed_spoken_with_and_forgotten(api: Served, voice: str) -> None:
    kept = api.studio.voice(voice, owner_of(KEYS[0]))
    assert (kept.name, kept.consent_by, kept.permanent) == ("Ada", owner_of(KEYS[0]), False)
    listed = ask(api, "GET", "/v1/voices").json()["voices"]
    assert [(each["voice_id"], each["name"], each["category"]) for each in listed] == [(voice, "Ada", "cloned")]
    assert ask(api, "GET", "/v1/voices/Ada").json()["voice_id"] == voice
    assert ask(api, "GET", "/v1/voices", KEYS[1]).json() == {"voices": []}
    for query, found in (("", [voice]), ("?search=AD&page_size=1", [voice]), ("?search=eve", [])):
        page = ask(api, "GET", f"/v2/voices{query}").json()
        assert [each["voice_id"] for each in page["voices"]] == found
        assert (page["has_more"], page["total_count"]) == (False, len(found))
    whole = speak(api, voice, voice_settings={"speed": 1.1, "stability": 0.5, "style": None}, language_code="xx")
    assert whole.status_code == 200, whole.text
    assert (whole.headers["content-type"], decoded(whole.content)[1]) == ("audio/mpeg", 44100)
    assert api.studio.voice(voice, owner_of(KEYS[0])).permanent
    streamed = speak(api, "ada", "pcm_16000", "/stream")
    assert streamed.headers["transfer-encoding"] == "chunked"
    assert len(speak(api, voice, "pcm_16000").content) == len(streamed.content)


@pytest.mark.parametrize(
    "kind", ["mp3_22050_32", "mp3_44100_192", "opus_48000_64", "wav_44100", "ulaw_8000", "alaw_8000"]
)
def test_each_format_is_what_it_says(api: Served, voice: str, kind: str) -> None:
    answer = speak(api, voice, kind)
    assert answer.headers["content-type"] == FORMATS[kind][1]
    if kind.startswith(("ulaw", "alaw")):
        assert 0.4 < len(answer.content) / 8000 < 3
    else:
        sound, rate, _ = decoded(answer.content)
        assert rate == FORMATS[kind][0].sample_rate
        assert 0.4 < len(sound) / rate < 3


@pytest.mark.parametrize(
    ("model", "spoken_by"),
    [
        ("eleven_v3", MODELS[-2]),
        ("eleven_turbo_v2_5", MODELS[-1]),
        ("eleven_flash_v2", MODELS[-1]),
        (MODELS[0], MODELS[0]),
    ],
)
def test_models_of_theirs_are_some_of_ours(model: str, spoken_by: str) -> None:
    assert TextToSpeechBody(text=TEXT, model_id=model).spoken_by == spoken_by


def test_what_is_wrong(api: Served, voice: str, examples: list[Path]) -> None:
    detail(ask(api, "GET", "/v1/voices", None), 401, "needs_authorization")
    detail(ask(api, "GET", "/v2/voices", "wrong"), 401, "invalid_api_key")
    assert requests.get(f"{api.url}/v1/voices", headers=bearer(KEYS[0]), timeout=10).status_code == 200
    detail(speak(api, "voice_none"), 404, "voice_not_found")
    detail(ask(api, "GET", f"/v1/voices/{voice}", KEYS[1]), 404, "voice_not_found")
    detail(ask(api, "DELETE", f"/v1/voices/{voice}", KEYS[1]), 404, "voice_not_found")
    detail(ask(api, "DELETE", "/v1/voices/Ada"), 404, "voice_not_found")  # a name is not enough to delete by
    detail(speak(api, voice, "mp3_1_1"), 400, "output_format")
    detail(speak(api, voice, text=""), 400, "missing")
    detail(speak(api, voice, voice_settings={"speed": 9}), 400, "invalid")
    detail(speak(api, voice, model_id="speech-9"), 400, "unknown_model")
    detail(ask(api, "GET", "/v2/voices?page_size=0"), 400, "invalid")
    detail(ask(api, "GET", "/v1/voices/a/b"), 404, "not_found")
    detail(add(api, b"no sound"), 400, "not_audio")
    detail(add(api, b"x", name="a" * 61), 400, "invalid")
    detail(add(api, b"x", remove_background_noise="perhaps"), 400, "invalid")
    two = [("files", ("a", b"x")), ("files", ("b", b"y"))]
    detail(ask(api, "POST", "/v1/voices/add", data={"name": "x"}, files=two), 400, "one_file")
    many = [("files", (str(i), b"x")) for i in range(5)]
    detail(ask(api, "POST", "/v1/voices/add", data={"name": "x"}, files=many), 400, "not_form")
    assert ask(api, "DELETE", f"/v1/voices/{voice}").json() == {"status": "ok"}
    detail(speak(api, voice), 404, "voice_not_found")
