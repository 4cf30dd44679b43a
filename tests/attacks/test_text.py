"""Texts that are meant to keep everybody waiting, sent to a running app: others get through, and no text ends it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from clone.contract.cloning import SPEECH_LIMIT_CHARS
from clone.engine.g2p import espeak
from tests.running import App
from tests.serving import KEYS, TEXT, bearer

ATTACKER, VISITOR = KEYS
GETS_THROUGH_WITHIN_S = 60
"""A second or two on a machine that has nothing else to do. The texts took the phonemizer hours."""

SPEECH = "/v3/minimax-speech-02-turbo"
SILENT = "Hi. " + "-'" * 4000
"""Much for the lexicon to look up, and next to nothing to say."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app with two keys."""
    home = tmp_path_factory.mktemp("texts") / "home"
    running = App(home, TIMBRE_ALLOW_PRIVATE_URLS="1", TIMBRE_API_KEYS=",".join(KEYS))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def voices(app: App, audio_url: str) -> dict[str, str]:
    """A voice of each."""
    cloned = {key: post(app, "/v3/minimax-voice-cloning", {"audio_url": audio_url}, key) for key in KEYS}
    return {key: answer.json()["voice_id"] for key, answer in cloned.items()}


def post(app: App, path: str, body: dict[str, Any], key: str, within_s: float = 120) -> requests.Response:
    return requests.post(app.url + path, json=body, headers=bearer(key), timeout=within_s)


def speech(voice_id: str, text: str, **rest: Any) -> dict[str, Any]:
    return {"text": text, "voice_setting": {"voice_id": voice_id}, **rest}


def speak(app: App, voices: dict[str, str], key: str, text: str = TEXT, **rest: Any) -> requests.Response:
    return post(app, SPEECH, speech(voices[key], text, **rest), key, GETS_THROUGH_WITHIN_S)


def leave(app: App, body: dict[str, Any], after_s: float = 1.0) -> None:
    """Ask for speech, and hang up."""
    sent = json.dumps(body).encode()
    head = (
        f"POST {SPEECH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ATTACKER}\r\nContent-Type: application/json\r\n"
    )
    with socket.create_connection(("127.0.0.1", app.port), 10) as leaving:
        leaving.sendall(f"{head}Content-Length: {len(sent)}\r\n\r\n".encode() + sent)
        time.sleep(after_s)


def answers(app: App) -> bool:
    return requests.get(f"{app.url}/healthz", timeout=10).status_code == 200


def test_another_visitor_gets_through(app: App, voices: dict[str, str]) -> None:
    with ThreadPoolExecutor(1) as pool:
        attack = pool.submit(speak, app, voices, ATTACKER, SILENT)
        time.sleep(0.5)
        assert answers(app)
        assert speak(app, voices, VISITOR).status_code == 200
        assert attack.result().status_code == 200


@pytest.mark.parametrize("unit", ["-1", "1/", "@a", "[1](a b)", "%=", "a. "])
def test_who_leaves_is_obeyed_whatever_the_text(app: App, voices: dict[str, str], unit: str) -> None:
    text = ("a " + unit * SPEECH_LIMIT_CHARS)[: SPEECH_LIMIT_CHARS - 1]
    leave(app, speech(voices[ATTACKER], text))
    assert speak(app, voices, VISITOR).status_code == 200


def test_a_transcript_that_ends_in_nothing_but_brackets_is_judged_at_once(app: App, audio_url: str) -> None:
    prompt = {"prompt_audio_url": audio_url, "prompt_text": "a" + ")" * 900_000}
    with ThreadPoolExecutor(1) as pool:
        body = {"audio_url": audio_url, "clone_prompt": prompt}
        attack = pool.submit(post, app, "/v3/minimax-voice-cloning", body, ATTACKER)
        time.sleep(0.2)
        assert answers(app)
        assert attack.result().status_code == 400


@pytest.mark.skipif(not espeak.installed(), reason="the extra requirements-languages.txt")
@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("Hindi", "---你"),
        ("Spanish", "sí |-नम"),
        ("French", "oui " + "____a.m." * 60),
        (
            "Spanish",
            "..----º--º¥🄰º.--º.🄰¥º¥🄰🄰🄰¥¥¥--º--.🄰º--¥.º¥🄰¥.🄰º--.¥¥--.--¥ºº--¥¥¥--º--¥--🄰º.--.º¥🄰🄰.🄰--🄰.ººº🄰----º¥",
        ),
        ("Hindi", "ंं--ßß---------ंßंं-ं-ßßß-ं--ßß---ंßंßßßß-ßंß--------ं---ßंß--------ßßंß--ßß---ं--ंß----ß---ंं--ßß-"),
    ],
)
def test_no_text_ends_the_app(app: App, voices: dict[str, str], language: str, text: str) -> None:
    leave(app, speech(voices[ATTACKER], text, language_boost=language), after_s=2.0)
    assert speak(app, voices, VISITOR, "Hola.", language_boost="Spanish").status_code == 200
    assert app.process.poll() is None
