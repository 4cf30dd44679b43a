"""A closer engine arrives, on stand-ins: old voices speak with it without a new clone, and it is said who spoke."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import av
import numpy as np
import pytest

from clone.contract.speech import SpeechSettings
from clone.core.jobs import Stop
from clone.core.settings import Settings
from clone.engine.backend import LocalBackend
from clone.engine.models import POCKET, File, Models
from clone.storage.documents import Document
from clone.studio.facade import Passage, Studio
from tests import standins
from tests.studios import HD, TURBO, last, order, say

KOKORO, POCKET_TTS = "Kokoro, converted", "Pocket TTS"
TEXT = "Hello there, how are you today?"


@dataclass
class Arriving:
    """A studio whose closer engine is not here yet."""

    studio: Studio
    models: Models
    engines: LocalBackend

    def arrive(self) -> None:
        self.models.get("pocket", Stop(), lambda *_: None)


@pytest.fixture
def arriving(settings: Settings, backend: LocalBackend, tmp_path: Path) -> Iterator[Callable[[str], Arriving]]:
    opened: list[Studio] = []

    def make(verdict: str = "") -> Arriving:
        files = standins.make()
        standins.write(tmp_path / "from" / "pocket", files)
        listed = tuple(File(name, len(data), sha256(data).hexdigest(), "") for name, data in files.items())
        there = (replace(POCKET, files=listed),)
        models = Models(settings.home / "models", there, str(tmp_path / "from"), lambda _: verdict)
        engines = LocalBackend(tmp_path, models)
        engines._networks._loaded = backend._networks._loaded
        opened.append(Studio(settings, engines, models))
        opened[-1].start(warm=False)
        return Arriving(opened[-1], models, engines)

    yield make
    for studio in opened:
        studio.close()


def told(path: Path) -> dict[str, str]:
    with av.open(path) as container:
        return dict(container.metadata)


def pitch_hz(samples: np.ndarray, sample_rate: int) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples))))) * sample_rate / len(samples))


def test_a_voice_made_before_speaks_with_the_closer_engine(
    arriving: Callable[[], Arriving], examples: list[Path], tmp_path: Path
) -> None:
    house = arriving()
    voice = last(house.studio.clone(order(examples[1]))).voice
    asked = say(voice, TEXT, HD)
    assert "pocket.npz" not in voice.files
    assert house.studio.provenance(asked).engine == KOKORO
    house.arrive()
    assert house.studio.provenance(asked).engine == POCKET_TTS
    spoken = last(house.studio.speak(asked))
    assert spoken.engine == POCKET_TTS
    assert spoken.voice.voice_id == voice.voice_id
    assert "pocket.npz" in house.studio.voice(voice.voice_id, "ann").files
    assert pitch_hz(spoken.samples, spoken.sample_rate) > standins.BASE_HZ  # as loud as the recording is
    house.studio.write_speech(spoken, tmp_path / "said.mp3")
    assert "(Pocket TTS)" in json.dumps(told(tmp_path / "said.mp3"))
    again = last(house.studio.speak(asked))
    assert np.array_equal(again.samples, spoken.samples)


def test_a_voice_made_with_it_keeps_what_it_learned(
    arriving: Callable[[], Arriving], examples: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    house = arriving()
    house.arrive()
    voice = last(house.studio.clone(order(examples[1], text=TEXT, model=HD))).voice
    assert voice.engine == POCKET_TTS
    assert {"profile.npz", "pocket.npz"} <= {*voice.files}
    monkeypatch.setattr(house.engines, "learn", None)
    monkeypatch.setattr(house.engines, "learn_more", None)
    heard = [event for event in house.studio.speak_long(say(voice, TEXT, HD)) if isinstance(event, Passage)]
    assert len(heard) >= 2  # the beginning comes before the rest
    *_, document = house.studio.say(say(voice, TEXT, HD))
    assert isinstance(document, Document)


@pytest.mark.parametrize(
    ("model", "text", "how", "engine"),
    [
        (TURBO, TEXT, SpeechSettings(), "hibari, converted"),
        (HD, "El tren a la costa sale a las nueve.", SpeechSettings(), KOKORO),
        (HD, TEXT, SpeechSettings(speed=1.5), KOKORO),
    ],
    ids=["turbo", "spanish", "faster"],
)
def test_what_it_can_not_do_is_done_as_before(
    arriving: Callable[[], Arriving],
    examples: list[Path],
    model: str,
    text: str,
    how: SpeechSettings,
    engine: str,
) -> None:
    house = arriving()
    house.arrive()
    voice = last(house.studio.clone(order(examples[1]))).voice
    spoken = last(house.studio.speak(replace(say(voice, text, model), settings=how)))
    assert spoken.engine == engine


def test_one_that_is_worse_is_not_used(arriving: Callable[[str], Arriving], examples: list[Path]) -> None:
    house = arriving("Pocket TTS is not used: it was worse.")
    house.arrive()
    voice = last(house.studio.clone(order(examples[1], text=TEXT, model=HD))).voice
    assert voice.engine == KOKORO
    assert "pocket.npz" not in voice.files
    (status,) = [each for each in house.studio.models() if each.name == "pocket"]
    assert status.verdict == "Pocket TTS is not used: it was worse."


def test_the_engines_that_come_along_are_listed_too(arriving: Callable[[], Arriving]) -> None:
    listed = {each.name: each for each in arriving().studio.engines()}
    assert listed.keys() == {"pocket", "kokoro", "hibari"}
    assert listed["kokoro"].is_here
    assert 80e6 < listed["kokoro"].n_bytes < 100e6
    assert "Japanese" in listed["kokoro"].languages
    assert listed["hibari"].languages == ("English",)
    assert not listed["pocket"].is_here
