"""The contract served: real uvicorn, real engine, a real place to fetch recordings from."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import threading
import time
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import requests

from clone.api.auth import CALLS_PER_MINUTE
from clone.api.requests import MAX_BODY_BYTES
from clone.audio.writer import wav_bytes
from clone.contract import cloning
from clone.storage.files import Store
from clone.storage.voice import folder_of
from clone.storage.voices import Library, utc_now
from tests.serving import KEYS, TEXT, WITHIN_S, Served, bearer, decoded, files, kept_voice, owner_of, refusal, serving
from tests.sounds import encode, tone
from tests.voices import FILES, make_voice

TURBO = "speech-02-turbo"
SEEDS_REQUEST = """curl \\
-X POST https://api.novita.ai/v3/minimax-voice-cloning \\
-H "Authorization: Bearer $your_api_key" \\
-H "Content-Type: application/json" \\
-d '{
  "audio_url": "https://example.com/voice.mp3",
  "text": "Audio generation technology is evolving rapidly, enabling the creation of speech, music, and sound effects \
from text or data inputs. It supports applications in media, accessibility, customer service, and content creation. \
With improved quality and customization, these tools are increasingly integrated into digital platforms across various \
industries.",
  "model": "speech-01-hd",
  "need_noise_reduction": true,
  "need_volume_normalization": true
}'"""


# the seed, word for word


def curl(request: str) -> dict[str, Any]:
    said = subprocess.run(
        ["bash", "-c", request + " -sS"], capture_output=True, text=True, timeout=WITHIN_S, check=True
    )
    return dict(json.loads(said.stdout))


def test_the_seeds_own_example(api: Served, audio_url: str) -> None:
    request = SEEDS_REQUEST.replace("https://api.novita.ai", api.url).replace("$your_api_key", KEYS[0])
    request = request.replace("https://example.com/voice.mp3", audio_url)
    stale = curl(request)
    assert (stale["code"], stale["reason"]) == (400, "INVALID_REQUEST_BODY")
    assert "speech-01-hd" in stale["message"]
    assert all(model in stale["message"] for model in cloning.MODELS)
    answer = curl(request.replace("speech-01-hd", "speech-2.8-turbo"))
    assert sorted(answer) == ["demo_audio_url", "expires_at", "voice_id"]
    sound, rate, _ = decoded(requests.get(answer["demo_audio_url"], timeout=10).content)
    assert len(sound) / rate > 10
    # a preview does not keep a voice
    owner = api.studio.voices(owner_of(KEYS[0]))
    voice = next(voice for voice in owner if voice.voice_id == answer["voice_id"])
    assert not voice.permanent
    assert voice.consent_by == owner_of(KEYS[0])
    assert voice.settings["need_noise_reduction"] is True


@pytest.mark.parametrize(
    ("change", "reason", "said"),
    [
        ({"audio_url": None}, "INVALID_REQUEST_BODY", "audio_url"),
        ({"audio_url": 3}, "INVALID_REQUEST_BODY", "audio_url is 3"),
        ({"audio_url": ""}, "INVALID_REQUEST_BODY", "audio_url is empty"),
        ({"audio_url": "file:///etc/passwd"}, "INVALID_AUDIO_FILE", "http"),
        ({"audio_url": "http://127.0.0.1:9/none.mp3"}, "INVALID_AUDIO_FILE", ""),
        ({"text": "Hello."}, "INVALID_REQUEST_BODY", "model"),
        ({"text": "-.", "model": TURBO}, "INVALID_REQUEST_BODY", "no letter"),
        ({"text": "a" * 2001, "model": TURBO}, "INVALID_REQUEST_BODY", "2,001"),
        ({"model": "speech-01-hd"}, "INVALID_REQUEST_BODY", "speech-01-hd"),
        ({"accuracy": 1.1}, "INVALID_REQUEST_BODY", "1.1"),
        ({"accuracy": "0.7"}, "INVALID_REQUEST_BODY", "0.7"),
        ({"need_noise_reduction": "yes"}, "INVALID_REQUEST_BODY", "need_noise_reduction"),
        ({"need_volume_normalization": 1}, "INVALID_REQUEST_BODY", "need_volume_normalization is 1; it must be true"),
        ({"clone_prompt": {"prompt_text": "Hello."}}, "INVALID_REQUEST_BODY", "prompt_audio_url"),
        ({"clone_prompt": {"prompt_audio_url": "http://x/"}}, "INVALID_REQUEST_BODY", "prompt_text"),
        (
            {"clone_prompt": {"prompt_audio_url": "http://x/", "prompt_text": "Hi"}},
            "INVALID_REQUEST_BODY",
            "punctuation",
        ),
    ],
)
def test_each_field_is_checked(api: Served, audio_url: str, change: dict[str, Any], reason: str, said: str) -> None:
    body = {"audio_url": audio_url, **change}
    answer = refusal(api.post("/v3/minimax-voice-cloning", body), 400, reason)
    assert said in answer["message"]


def test_a_prompt_that_does_not_say_its_text_is_told_with_the_services_code(
    api: Served, places: str, audio_url: str, tmp_path: Path, examples: list[Path]
) -> None:
    sound, rate, _ = decoded(examples[0].read_bytes())
    with wave.open(str(tmp_path / "prompt.wav"), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((sound[: 6 * rate] * 32767).astype("<i2").tobytes())
    with files(tmp_path) as url:
        prompt = {"prompt_audio_url": f"{url}/prompt.wav", "prompt_text": "Elephants never forget their umbrellas."}
        answer = api.post("/v3/minimax-voice-cloning", {"audio_url": audio_url, "clone_prompt": prompt})
    assert "(1044)" in refusal(answer, 400, "INVALID_REQUEST_BODY")["message"]


def test_a_recording_that_is_too_short(api: Served, tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "short.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(np.random.default_rng(1).integers(-9000, 9000, 16000 * 6).astype("<i2").tobytes())
    with files(tmp_path) as url:
        answer = api.post("/v3/minimax-voice-cloning", {"audio_url": f"{url}/short.wav"})
    body = refusal(answer, 400, "INVALID_AUDIO_FILE")
    assert body["metadata"] == {"code": "too_short", "field": "audio_url", "measured": "6.0", "limit": "10.0"}


@pytest.mark.parametrize("kind", ["ogg", "flac", "webm"])
def test_a_file_in_a_format_outside_the_contract(api: Served, tmp_path: Path, audio_url: str, kind: str) -> None:
    (tmp_path / f"sound.{kind}").write_bytes(encode(tone(12.0, 48_000), 48_000, kind))
    (tmp_path / f"clip.{kind}").write_bytes(encode(tone(4.0, 48_000), 48_000, kind))
    with files(tmp_path) as url:
        refused = api.post("/v3/minimax-voice-cloning", {"audio_url": f"{url}/sound.{kind}"})
        prompt = {"prompt_audio_url": f"{url}/clip.{kind}", "prompt_text": "Hello."}
        refused_prompt = api.post("/v3/minimax-voice-cloning", {"audio_url": audio_url, "clone_prompt": prompt})
    told = {"code": "bad_format", "measured": kind, "limit": "mp3, m4a, wav"}
    assert refusal(refused, 400, "INVALID_AUDIO_FILE")["metadata"] == told | {"field": "audio_url"}
    prompt_told = refusal(refused_prompt, 400, "INVALID_AUDIO_FILE")["metadata"]
    assert prompt_told == told | {"field": "clone_prompt.prompt_audio_url"}


def test_a_file_that_is_too_big_though_it_could_be_made_smaller(api: Served, tmp_path: Path) -> None:
    (tmp_path / "big.wav").write_bytes(wav_bytes(tone(220.0, 48_000), 48_000))
    with files(tmp_path) as url:
        answer = api.post("/v3/minimax-voice-cloning", {"audio_url": f"{url}/big.wav"})
    assert refusal(answer, 400, "INVALID_AUDIO_FILE")["metadata"]["code"] == "too_big"


# keys, paths, bodies


def test_without_a_key_and_with_a_wrong_one(api: Served) -> None:
    for path in ("/v3/minimax-voice-cloning", f"/v3/minimax-{TURBO}", f"/v3/async/minimax-{TURBO}"):
        refusal(api.post(path, {}, key=None), 400, "MISSING_API_KEY")
        refusal(api.post(path, {}, key="wrong"), 403, "INVALID_API_KEY")
    refusal(api.get("/v3/async/task-result?task_id=x", key=None), 400, "MISSING_API_KEY")


def test_ones_voices_are_nobody_elses(api: Served, voice_id: str) -> None:
    theirs = refusal(api.speak(voice_id, KEYS[1]), 400, "INVALID_REQUEST_BODY")
    nobodys = refusal(api.speak("voice_none", KEYS[1]), 400, "INVALID_REQUEST_BODY")
    assert theirs["message"].replace(voice_id, "voice_none") == nobodys["message"]
    assert "(2054)" in theirs["message"]


def test_paths_that_are_not_there(api: Served) -> None:
    for path in ("/v3/minimax-speech-01-hd", "/v3/nothing", "/v3", "/v3/async/minimax-nothing"):
        refusal(api.post(path, {}), 404, "API_NOT_FOUND")
    assert refusal(api.get("/v3/minimax-voice-cloning"), 405, "API_NOT_FOUND")
    refusal(api.get("/v3/async/task-result?task_id=none"), 404, "TASK_NOT_FOUND")
    refusal(api.get("/v3/async/task-result"), 400, "INVALID_REQUEST_BODY")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 100_000, b'{"accuracy": NaN}', b'{"text": "\\ud800"}']
)
def test_bodies_that_are_no_json_object(api: Served, body: bytes) -> None:
    headers = bearer(KEYS[0]) | {"Content-Type": "application/json"}
    answer = requests.post(f"{api.url}/v3/minimax-voice-cloning", body, headers=headers, timeout=10)
    refusal(answer, 400, "INVALID_REQUEST_BODY")


def test_a_body_that_is_too_big_is_not_read(api: Served) -> None:
    headers = bearer(KEYS[0]) | {"Content-Type": "application/json"}
    path = f"{api.url}/v3/minimax-{TURBO}"
    told = requests.post(path, b" " * (MAX_BODY_BYTES + 1), headers=headers, timeout=10)
    assert f"{MAX_BODY_BYTES:,}" in refusal(told, 400, "INVALID_REQUEST_BODY")["message"]
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as endless:
        head = f"POST /v3/minimax-{TURBO} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        head += f"Authorization: Bearer {KEYS[0]}\r\nTransfer-Encoding: chunked\r\n\r\n"
        endless.sendall(head.encode())
        with pytest.raises(OSError, match=r"."):  # noqa: PT012  the server hangs up on a body that has no end
            for _ in range(200):
                endless.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
                time.sleep(0.005)


# tasks, and what is too much


def _result(api: Served, task_id: str) -> dict[str, Any]:
    end = time.monotonic() + WITHIN_S
    while time.monotonic() < end:
        found = api.get(f"/v3/async/task-result?task_id={task_id}").json()
        if found["task"]["status"] in ("TASK_STATUS_SUCCEED", "TASK_STATUS_FAILED"):
            return dict(found)
        time.sleep(0.1)
    raise AssertionError("too late")


def test_a_task_survives_a_restart(tmp_path: Path, audio_url: str) -> None:
    home = tmp_path / "home"
    with serving(home, background=False) as api:
        voice_id = api.post("/v3/minimax-voice-cloning", {"audio_url": audio_url}).json()["voice_id"]
        body = {"text": TEXT, "voice_setting": {"voice_id": voice_id}, "audio_setting": {"format": "flac"}}
        answer = api.post(f"/v3/async/minimax-{TURBO}", body)
        task_id = answer.json()["task_id"]
        found = api.get(f"/v3/async/task-result?task_id={task_id}").json()
        assert (found["task"]["status"], found["audios"]) == ("TASK_STATUS_QUEUED", [])
        refusal(api.get(f"/v3/async/task-result?task_id={task_id}", KEYS[1]), 404, "TASK_NOT_FOUND")
        api.studio.tasks().next()  # killed while speaking it
        refusal(
            api.post(f"/v3/async/minimax-{TURBO}", {**body, "voice_setting": {"voice_id": "x"}}),
            400,
            "INVALID_REQUEST_BODY",
        )
    with serving(home) as api:
        found = _result(api, task_id)
        assert found["task"]["status"] == "TASK_STATUS_SUCCEED", found
        link = found["audios"][0]["audio_url"].replace(found["audios"][0]["audio_url"].partition("/links")[0], api.url)
        sound, rate, _ = decoded(requests.get(link, timeout=10).content)
        assert (rate, len(sound) / rate > 1) == (32000, True)
        assert kept_voice(api, voice_id).permanent


def test_too_many_calls_a_minute_and_too_much_at_once(tmp_path: Path, audio_url: str) -> None:
    with serving(tmp_path / "home", background=False) as api:
        gone = {"audio_url": "http://127.0.0.1:9/gone.mp3"}
        answers = [api.post("/v3/minimax-voice-cloning", gone) for _ in range(CALLS_PER_MINUTE)]
        assert {answer.status_code for answer in answers} == {400}
        late = api.post("/v3/minimax-voice-cloning", gone)
        refusal(late, 429, "RATE_LIMIT_EXCEEDED")
        assert 1 <= int(late.headers["Retry-After"]) <= 60
        assert api.post("/v3/minimax-voice-cloning", gone, KEYS[1]).status_code == 400  # others are not held up
        refusal(api.post("/v3/minimax-voice-cloning", {}), 400, "INVALID_REQUEST_BODY")  # nor is what is refused anyway


def test_five_calls_at_once_on_one_key_wait_for_their_turn(api: Served, audio_url: str) -> None:
    texts = [f"Good morning, number {i}." for i in range(5)]
    with ThreadPoolExecutor(5) as pool:
        body = {"audio_url": audio_url, "model": TURBO}
        asked = [pool.submit(api.post, "/v3/minimax-voice-cloning", body | {"text": text}) for text in texts]
        answers = [each.result() for each in asked]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert len({answer.json()["voice_id"] for answer in answers}) == 5


def test_what_has_no_effect_makes_no_other_voice(api: Served, audio_url: str, voice_id: str) -> None:
    ends = [kept_voice(api, voice_id).ends]
    for idle in ({"model": TURBO}, {"accuracy": 0.4}, {"text": None, "clone_prompt": None, "accuracy": None}):
        answer = api.post("/v3/minimax-voice-cloning", {"audio_url": audio_url, **idle}).json()
        assert answer["voice_id"] == voice_id
        ends.append(answer["expires_at"])
    assert ends == sorted(ends)
    assert ends[-1] == kept_voice(api, voice_id).ends


def test_a_full_queue_answers_503_and_leaving_stops_the_work(tmp_path: Path, audio_url: str) -> None:
    keys = tuple(f"key-{i}" for i in range(10))
    with serving(tmp_path / "home", background=False, api_keys=keys) as api:
        voice_id = api.post("/v3/minimax-voice-cloning", {"audio_url": audio_url}, keys[0]).json()["voice_id"]
        api.studio._queue._max_waiting = 4
        long = "The harbour was quiet this morning, and nobody went ashore before noon. " * 100
        leaving = threading.Thread(target=_leave_soon, args=(api, voice_id, long, keys[0]))
        leaving.start()
        statuses: list[tuple[int, str | None]] = []
        asking = [threading.Thread(target=_ask, args=(api, audio_url, key, statuses)) for key in keys[1:]]
        for thread in asking:
            thread.start()
        for thread in (*asking, leaving):
            thread.join(WITHIN_S)
        assert {status for status, _ in statuses} <= {200, 503}
        refused = [wait for status, wait in statuses if status == 503]
        assert refused
        assert all(wait and int(wait) > 0 for wait in refused)
        # five minutes of speech were left, and others got their turn
        assert (200, None) in statuses


def _leave_soon(api: Served, voice_id: str, text: str, key: str) -> None:
    body = {"text": text, "voice_setting": {"voice_id": voice_id}}
    with pytest.raises(requests.RequestException):
        requests.post(f"{api.url}/v3/minimax-{TURBO}", json=body, headers=bearer(key), timeout=4)


def _ask(api: Served, audio_url: str, key: str, statuses: list[tuple[int, str | None]]) -> None:
    time.sleep(1)
    answer = api.post("/v3/minimax-voice-cloning", {"audio_url": audio_url}, key)
    statuses.append((answer.status_code, answer.headers.get("Retry-After")))


# the document


def test_the_document_holds_the_api_alone(api: Served) -> None:
    found = api.get("/openapi.json", key=None).json()
    assert all(path == "/healthz" or path.startswith(("/v1/", "/v2/", "/v3/")) for path in found["paths"])
    page = api.get("/docs", key=None)
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert not re.search(r"""(src|href)=["']?(https?:)?//|<script|@import|url\(""", page.text)
    assert "attests" in page.text
    assert all(path in page.text for path in found["paths"])
    assert api.get("/healthz", key=None).json()["status"] == "ok"


@pytest.mark.parametrize("voice_id", ["voice_plain", "moss/opaque id", "ünï"])
def test_a_voice_is_forgotten_by_its_owner_alone(api: Served, voice_id: str) -> None:
    library = Library(api.settings, Store(api.settings.store_url))
    library.add(make_voice(voice_id, owner_of(KEYS[0]), created_at=utc_now()), FILES)
    folder = api.settings.home / "audio" / "voices" / folder_of(voice_id)
    url = f"{api.url}/v3/voices/{quote(voice_id, safe='')}"

    def delete(key: str | None, url: str = url) -> requests.Response:
        return requests.delete(url, headers=bearer(key), timeout=WITHIN_S)

    refusal(delete(None), 400, "MISSING_API_KEY")
    refusal(delete("wrong"), 403, "INVALID_API_KEY")
    others = refusal(delete(KEYS[1]), 404, "VOICE_NOT_FOUND")
    assert others == refusal(delete(KEYS[1], f"{api.url}/v3/voices/none"), 404, "VOICE_NOT_FOUND")
    assert (folder / "reference.mp3").exists()
    answer = delete(KEYS[0])
    assert (answer.status_code, answer.json()) == (200, {"voice_id": voice_id})
    assert not folder.exists()
    assert refusal(delete(KEYS[0]), 404, "VOICE_NOT_FOUND") == others
    library.close()
