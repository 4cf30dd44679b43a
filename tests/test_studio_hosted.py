"""The hosted backend against the served API over real sockets: neither half is replaced by anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from clone.audio.reader import read
from clone.contract import cloning
from clone.contract.cloning import CloneOptions
from clone.contract.orders import CloneOrder, SpeakOrder
from clone.core.errors import KeyRefused, PromptMismatch, TimbreError
from clone.core.settings import Settings
from clone.engine.backend import LocalBackend
from clone.studio.facade import Studio
from clone.studio.results import Cloned, Spoken
from tests.serving import KEYS, Served, files, kept_voice

TEXT = "The harbour was quiet this morning."
TURBO = "speech-2.6-turbo"


@pytest.fixture
def asking(tmp_path: Path, api: Served, backend: LocalBackend) -> Iterator[Studio]:
    """A studio whose hosted service is the served API."""
    settings = Settings.at(tmp_path / "asking", allow_private_urls=True, novita_base_url=api.url)
    studio = Studio(settings, backend)
    yield studio
    studio.close()


def order(audio_url: str, **changes: object) -> CloneOrder:
    values: dict[str, object] = {
        "owner": "ann",
        "audio": audio_url,
        "options": CloneOptions(text=TEXT, model=TURBO),
        "consent": True,
        "backend": "novita",
        "api_key": KEYS[0],
    }
    return CloneOrder(**(values | changes))  # type: ignore[arg-type]


def cloned(studio: Studio, asked: CloneOrder) -> Cloned:
    found = list(studio.clone(asked))[-1]
    assert isinstance(found, Cloned)
    return found


def test_a_voice_cloned_there_speaks_and_is_kept_in_both(
    asking: Studio, api: Served, audio_url: str, tmp_path: Path
) -> None:
    voice = cloned(asking, order(audio_url)).voice
    assert voice.voice_id == kept_voice(api, voice.voice_id).voice_id
    assert not voice.permanent
    assert not kept_voice(api, voice.voice_id).permanent
    assert asking.audio(voice.voice_id, "ann", "preview").stat().st_size > 5_000
    spoken = list(asking.speak(SpeakOrder("ann", voice.voice_id, TEXT, TURBO, api_key=KEYS[0])))[-1]
    assert isinstance(spoken, Spoken)
    assert 1.0 < len(spoken.samples) / spoken.sample_rate < 10.0
    assert float(np.abs(spoken.samples).max()) > 0.05
    assert spoken.voice.permanent
    assert kept_voice(api, voice.voice_id).permanent
    *_, said = asking.say(SpeakOrder("ann", voice.voice_id, TEXT, TURBO, api_key=KEYS[0]))
    asking.write_document(said.document_id, "ann", tmp_path / "said.wav")
    assert read(tmp_path / "said.wav").duration_s == pytest.approx(said.duration_s, abs=0.01)


def test_a_text_too_long_for_an_answer_becomes_a_task_there(
    asking: Studio, api: Served, audio_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice = cloned(asking, order(audio_url, options=CloneOptions())).voice
    monkeypatch.setattr(cloning, "SPEECH_LIMIT_CHARS", 20)
    events = list(asking.speak(SpeakOrder("ann", voice.voice_id, TEXT, "speech-2.8-turbo", api_key=KEYS[0])))
    assert any("working on the speech" in getattr(event, "name", "") for event in events)
    assert isinstance(events[-1], Spoken)
    assert len(events[-1].samples) > events[-1].sample_rate
    assert kept_voice(api, voice.voice_id).permanent


def test_a_prompt_goes_with_it_and_a_wrong_one_comes_back_as_1044(
    asking: Studio, audio_url: str, places: str, clip: Path
) -> None:
    from tests.studios import PROMPT

    ada = audio_url.replace(audio_url.rsplit("/", 1)[1], "ada.m4a")
    with files(clip.parent) as folder:
        with_prompt = order(ada, prompt_audio=f"{folder}/{clip.name}", prompt_text=PROMPT)
        assert cloned(asking, with_prompt).voice.settings["prompt_text"] == PROMPT
        wrong = order(ada, prompt_audio=f"{folder}/{clip.name}", prompt_text="Nobody here has ever said such a thing.")
        with pytest.raises(TimbreError) as refused:
            cloned(asking, wrong)
    assert isinstance(refused.value, PromptMismatch) or refused.value.service_code == 1044
    assert refused.value.field == "prompt_text"


def test_a_key_that_is_not_known_there_is_said_at_its_field(asking: Studio, audio_url: str) -> None:
    with pytest.raises(KeyRefused) as refused:
        cloned(asking, order(audio_url, api_key="not-a-key-of-theirs"))
    assert refused.value.field == "api_key"
    assert "not-a-key-of-theirs" not in str(refused.value)


def test_a_voice_that_is_gone_there_says_so(asking: Studio, api: Served, audio_url: str) -> None:
    voice = cloned(asking, order(audio_url, options=CloneOptions(accuracy=0.6))).voice
    api.studio.forget(voice.voice_id, kept_voice(api, voice.voice_id).owner)
    with pytest.raises(TimbreError) as refused:
        list(asking.speak(SpeakOrder("ann", voice.voice_id, TEXT, TURBO, api_key=KEYS[0])))
    assert refused.value.field == "voice_id"
