"""The contract served: speech as it is asked for, and what it does to a voice."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from typing import Any

import numpy as np
import pytest
import requests

from clone.audio.reader import resample
from clone.contract.cloning import SPEECH_LIMIT_CHARS, SPEECH_TASK_MAX_CHARS
from clone.engine.asr import Recognizer
from clone.engine.g2p import espeak
from clone.engine.speaker import median_pitch_hz
from clone.engine.transcript import match, words_heard
from tests.serving import KEYS, TEXT, Served, decoded, kept_voice, refusal

TURBO = "speech-02-turbo"


def heard(sound: np.ndarray, rate: int) -> tuple[float, float]:
    """Return length in seconds and median pitch in Hz."""
    return len(sound) / rate, median_pitch_hz(resample(sound, rate, 16_000))


def spoken(api: Served, voice_id: str, **how: Any) -> tuple[np.ndarray, int]:
    model = how.pop("model", TURBO)
    setting = {"format": "wav", "sample_rate": 24000}
    answer = api.speak(voice_id, model=model, how=how, audio_setting=setting)
    assert answer.status_code == 200, answer.text
    sound, rate, _ = decoded(bytes.fromhex(answer.json()["audio"]))
    return sound, rate


@pytest.fixture(scope="module")
def recognizer(api: Served, tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    return Recognizer(tmp_path_factory.mktemp("weights"))


@pytest.mark.parametrize("model", [TURBO, "speech-02-hd"])
def test_speed_pitch_and_volume_are_real(api: Served, voice_id: str, model: str, recognizer: Recognizer) -> None:
    plain, rate = spoken(api, voice_id, model=model)
    length_s, pitch_hz = heard(plain, rate)
    fast = spoken(api, voice_id, model=model, speed=1.5)[0]
    slow = spoken(api, voice_id, model=model, speed=0.6)[0]
    assert length_s / heard(fast, rate)[0] == pytest.approx(1.5, rel=0.12)
    assert length_s / heard(slow, rate)[0] == pytest.approx(0.6, rel=0.12)
    for semitones in (6, -4):
        moved = spoken(api, voice_id, model=model, pitch=semitones)[0]
        assert heard(moved, rate)[0] == pytest.approx(length_s, rel=0.02)
        assert heard(moved, rate)[1] / pitch_hz == pytest.approx(2 ** (semitones / 12), rel=0.12)
        ended = np.append(moved, np.zeros(rate // 2, np.float32))  # the recognizer hears a last word better
        assert match(TEXT, recognizer.transcribe(resample(ended, rate, 16_000), "en")) > 0.85
    soft = spoken(api, voice_id, model=model, vol=0.25)[0]
    loud = spoken(api, voice_id, model=model, vol=10)[0]
    assert np.abs(soft).max() == pytest.approx(np.abs(plain).max() / 4, rel=0.05)
    assert (loud**2).mean() > 2 * (plain**2).mean()
    assert np.abs(loud).max() < 0.98


@pytest.mark.parametrize("kind", ["mp3", "wav", "flac", "pcm"])
@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (22050, 2), (44100, 2)])
def test_formats_have_the_asked_rate_and_channels(
    api: Served, voice_id: str, kind: str, rate: int, channels: int
) -> None:
    setting = {"format": kind, "sample_rate": rate, "channel": channels, "bitrate": 64000}
    answer = api.speak(voice_id, text="Good morning.", audio_setting=setting)
    while answer.status_code == 429:
        time.sleep(int(answer.headers["Retry-After"]))
        answer = api.speak(voice_id, text="Good morning.", audio_setting=setting)
    data = bytes.fromhex(answer.json()["audio"])
    if kind == "pcm":
        both = np.frombuffer(data, "<i2").reshape(-1, channels)
        assert (both[:, 0] == both[:, -1]).all()
        assert 0.5 < len(both) / rate < 3
        return
    assert b"AI-generated" in data[:1000]
    assert voice_id.encode() in data[:1000]
    sound, found_rate, found_channels = decoded(data)
    assert (found_rate, found_channels) == (rate, channels)
    assert 0.5 < len(sound) / rate < 3
    assert np.abs(sound).max() > 0.05


def test_each_generation_answers_in_its_own_shape(api: Served, voice_id: str) -> None:
    older = api.speak(voice_id, model="speech-2.6-turbo").json()
    assert list(older) == ["audio"]
    newest = api.speak(voice_id, model="speech-2.8-turbo").json()
    assert newest["base_resp"] == {"status_code": 0, "status_msg": "success"}
    assert newest["data"]["status"] == 2
    assert newest["extra_info"]["usage_characters"] == len(TEXT)
    assert newest["extra_info"]["audio_size"] * 2 == len(newest["data"]["audio"])
    link = api.speak(voice_id, output_format="url").json()["audio"]
    answer = requests.get(link, headers={"Range": "bytes=0-9"}, timeout=10)
    assert (answer.status_code, len(answer.content)) == (206, 10)
    head = requests.head(link, timeout=10)
    assert (head.status_code, head.headers["content-type"]) == (200, "audio/mpeg")
    assert requests.get(link.replace("expires=", "expires=9"), timeout=10).status_code == 404
    assert requests.get(re.sub("speech.mp3", "speech.wav", link), timeout=10).status_code == 404


def test_speech_makes_a_voice_permanent_and_a_preview_does_not(api: Served, audio_url: str) -> None:
    body = {"audio_url": audio_url, "text": "Good morning.", "model": TURBO, "need_volume_normalization": True}
    cloned = api.post("/v3/minimax-voice-cloning", body).json()
    assert not kept_voice(api, cloned["voice_id"]).permanent
    assert api.post("/v3/minimax-voice-cloning", body).json()["voice_id"] == cloned["voice_id"]
    assert api.speak(cloned["voice_id"], text="Good morning.").status_code == 200
    assert kept_voice(api, cloned["voice_id"]).permanent


def test_an_expired_voice_says_so(api: Served, audio_url: str) -> None:
    body = {"audio_url": audio_url, "accuracy": 0.31}
    voice_id = api.post("/v3/minimax-voice-cloning", body, KEYS[1]).json()["voice_id"]
    with sqlite3.connect(api.settings.home / "library.db") as db:
        db.execute("UPDATE voices SET expires_at = '2026-01-01T00:00:00.000000+00:00' WHERE voice_id = ?", (voice_id,))
    db.close()
    assert "expired on 1 January 2026" in refusal(api.speak(voice_id, KEYS[1]), 400, "INVALID_REQUEST_BODY")["message"]


def test_a_stream_is_an_event_a_sentence(api: Served, voice_id: str) -> None:
    text = "The harbour was quiet. A ferry came in. Nobody went ashore."
    body = {"text": text, "voice_setting": {"voice_id": voice_id}, "stream": True}
    events, arrived = [], []
    with api.post(f"/v3/minimax-{TURBO}", body, stream=True) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line:
                assert line.startswith(b"data: ")
                events.append(json.loads(line[6:]))
                arrived.append(time.monotonic())
    assert events[-1] == {"status": 2}
    pieces = [bytes.fromhex(event["audio"]) for event in events[:-1]]
    assert len(pieces) >= 4  # three sentences, of which the first comes in parts, and the end of the file
    assert arrived[0] < arrived[2]
    sound, rate, _ = decoded(b"".join(pieces))
    whole, _, _ = decoded(bytes.fromhex(api.speak(voice_id, text=text).json()["audio"]))
    assert len(sound) / rate == pytest.approx(len(whole) / rate, abs=0.1)
    refusal(api.speak(voice_id, stream=True, audio_setting={"format": "wav"}), 400, "INVALID_REQUEST_BODY")
    refusal(api.speak("voice_none", stream=True), 400, "INVALID_REQUEST_BODY")


def test_texts_have_their_limits(api: Served, voice_id: str) -> None:
    message = refusal(api.speak(voice_id, text="a" * SPEECH_LIMIT_CHARS), 400, "INVALID_REQUEST_BODY")["message"]
    assert f"{SPEECH_LIMIT_CHARS:,}" in message
    assert "asynchronously" in message
    body = {"text": "a" * (SPEECH_TASK_MAX_CHARS + 1), "voice_setting": {"voice_id": voice_id}}
    refusal(api.post(f"/v3/async/minimax-{TURBO}", body), 400, "INVALID_REQUEST_BODY")
    refusal(api.speak(voice_id, text="?!"), 400, "INVALID_REQUEST_BODY")
    german = refusal(
        api.speak(voice_id, text="Ich gehe heute mit meinem Hund im Wald spazieren."), 400, "INVALID_REQUEST_BODY"
    )
    assert "German" in german["message"]


@pytest.mark.parametrize("boost", ["Japanese", "auto", "Klingon", None])
def test_language_boost_says_the_language_or_the_text_does(
    api: Served, voice_id: str, boost: str | None, recognizer: Recognizer
) -> None:
    text = "明日の朝、海へ行きます。" if boost != "Japanese" else "東京大学"  # alone, it could be Chinese
    setting = {"format": "wav", "sample_rate": 16000}
    answer = api.speak(voice_id, text=text, audio_setting=setting, language_boost=boost)
    assert answer.status_code == 200, answer.text
    sound, _, _ = decoded(bytes.fromhex(answer.json()["audio"]))
    heard = words_heard(text, recognizer.transcribe(sound, "ja"))
    assert sum(known for _, known in heard) > len(heard) / 2, heard


def test_a_language_whose_extra_is_missing_is_named(
    api: Served, voice_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(espeak, "PACKAGE", "no_such_package")
    answer = api.speak(voice_id, text="El tren a la costa sale a las nueve.")
    body = refusal(answer, 400, "INVALID_REQUEST_BODY")
    assert (body["metadata"]["code"], body["metadata"]["measured"]) == ("language_missing", "Spanish")
    assert "requirements-languages.txt" in body["message"]
