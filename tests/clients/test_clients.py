"""Clients that nobody here wrote, as they come from their makers, against a real server: what each is answered.

They live in ``.venv-clients``; ``make test`` installs four of them, ``make clients`` all.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from clone.contract.cloning import MODELS
from tests.clients.asking import CHOSEN
from tests.serving import KEYS, owner_of, serving

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-clients" / "bin" / "python"
WITHIN_S = 400
MP3 = ("494433", "fffb")
"""ID3, or a frame."""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory, places: str, examples: list[Path]) -> dict[str, Any]:
    """What all of them were answered, in one process, by one server."""
    assert PYTHON.exists(), "run: make test, or make clients"
    recording = examples[1]
    with serving(tmp_path_factory.mktemp("api") / "home") as api:
        words = [
            str(PYTHON),
            "-m",
            "tests.clients.asking",
            api.url,
            KEYS[0],
            str(recording),
            f"{places}/{recording.name}",
        ]
        said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=WITHIN_S, check=False)
        assert said.returncode == 0, said.stderr
        found = dict(json.loads(said.stdout.splitlines()[-1]))
        found["voices"] = [(voice.called, voice.permanent) for voice in api.studio.voices(owner_of(KEYS[0]))]
    return found


def told(answers: dict[str, Any], client: str, *, needed: bool = True) -> dict[str, Any]:
    """Return what one was told; those that are not needed may be missing where `make clients` was not run."""
    if client not in answers and not needed:
        pytest.skip("it is not installed; run: make clients")
    assert isinstance(answers[client], dict), answers[client]
    return dict(answers[client])


def test_minimax_mcp(answers: dict[str, Any]) -> None:
    said = told(answers, "minimax-mcp")
    assert f"Voice ID: {CHOSEN}" in said["cloned"]
    assert "File saved as" in said["spoken"]
    assert said["files"] == [".mp3", ".wav"]
    assert "Audio URL: http" in said["linked"]
    assert f"ID: {CHOSEN}" in said["listed"]
    assert MODELS[0] in said["refused"]["model"]
    assert "2039" in said["refused"]["again"]
    assert (CHOSEN, True) in answers["voices"]


def test_openai(answers: dict[str, Any]) -> None:
    said = told(answers, "openai")
    assert said["mp3"].startswith(MP3)
    assert all(size > 1000 for size in said["kinds"].values()), said["kinds"]
    assert len(said["chunks"]) > 1
    assert said["events"][-1] == "speech.audio.done"
    assert set(said["events"][:-1]) == {"speech.audio.delta"}
    assert CHOSEN in said["refused"]
    assert "key is not known" in said["keyless"]
    assert "ferry" in said["heard"].lower()
    assert set(MODELS) < set(said["models"])


def test_elevenlabs(answers: dict[str, Any]) -> None:
    said = told(answers, "elevenlabs")
    assert said["mp3"].startswith(MP3)
    assert sum(said["chunks"]) / 32000 > 1
    assert "Eleven" in said["listed"]
    assert (said["found"], said["status"]) == (True, 401)
    assert "Eleven" not in str(answers["voices"])


def test_novita(answers: dict[str, Any]) -> None:
    said = told(answers, "novita")
    assert "Voice ID: voice_" in said["cloned"]
    assert "Saved: " in said["spoken"]
    assert said["n_bytes"] > 1000
    assert "nobody" in said["refused"]


def test_litellm(answers: dict[str, Any]) -> None:
    said = told(answers, "litellm", needed=False)
    assert said["minimax"].startswith(MP3)
    assert said["openai"].startswith(MP3)


def test_pipecat(answers: dict[str, Any]) -> None:
    said = told(answers, "pipecat", needed=False)
    assert said["n_frames"] > 1
    assert said["n_others"] == 0
    assert 1 < said["duration_s"] < 10


def test_livekit(answers: dict[str, Any]) -> None:
    said = told(answers, "livekit", needed=False)
    assert all(1 < length_s < 15 for length_s in said.values()), said
    assert said["socket pcm"] > said["http pcm"]
