"""What decides whether an engine that was got is used: words heard and likeness beside Kokoro's, by the real ears."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from clone.core.jobs import Stop
from clone.engine.backend import ENGINES, LocalBackend, Manner
from clone.engine.converted import Kokoro
from clone.engine.engine import Heard, Line
from clone.engine.models import POCKET, File, Model, Models
from clone.engine.profile import Profile
from clone.studio import getting
from tests import standins


def stand_in() -> tuple[Model, dict[str, bytes]]:
    made = standins.make()
    files = tuple(File(name, len(data), sha256(data).hexdigest(), "") for name, data in made.items())
    return replace(POCKET, files=files), made


def sharing(backend: LocalBackend, made: LocalBackend) -> LocalBackend:
    made._networks._loaded = backend._networks._loaded
    return made


class Other(Kokoro):
    """Kokoro by another name, which may lose words or sound like somebody else."""

    name, title = "pocket", "Pocket TTS"
    says = "all"
    sounds_like: Profile | None = None

    def learn(self, profile: Profile, reference: Heard, prompt: Heard | None, stop: Stop) -> Profile:
        return profile

    def speak(self, profile: Profile, line: Line, manner: Manner, stop: Stop) -> Iterator[np.ndarray]:
        for part in super().speak(self.sounds_like or profile, line, manner, stop):
            yield part if self.says == "all" else part[: len(part) // 2]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A recording and a sentence are enough to tell."""
    monkeypatch.setattr(getting, "SENTENCES", ("The harbour was quiet this morning.",))
    (tmp_path / "one").mkdir()
    shutil.copy(getting.EXAMPLES / "ada.m4a", tmp_path / "one")
    monkeypatch.setattr(getting, "EXAMPLES", tmp_path / "one")


def judged(backend: LocalBackend, **changes: object) -> str:
    other = type("Other", (Other,), changes)
    return getting.judged(
        sharing(backend, LocalBackend(Path("unused"), engines=ENGINES | {"hd": (other, Kokoro)})), POCKET
    )


def test_as_good_is_good_enough(backend: LocalBackend) -> None:
    assert judged(backend) == ""


def test_lost_words_are_told(backend: LocalBackend) -> None:
    said = judged(backend, says="half")
    assert "words were heard wrong here" in said
    assert "Pocket TTS is not used" in said


def test_another_voice_is_told(backend: LocalBackend, profiles: dict[str, Profile]) -> None:
    assert "less like the recordings here" in judged(backend, sounds_like=profiles["ben"])


def test_stand_ins_are_refused_and_never_speak(backend: LocalBackend, tmp_path: Path) -> None:
    model, files = stand_in()
    standins.write(tmp_path / "from" / "pocket", files)
    made: list[LocalBackend] = []
    models = Models(tmp_path / "models", (model,), str(tmp_path / "from"), lambda each: getting.judged(made[0], each))
    made.append(sharing(backend, LocalBackend(tmp_path, models)))
    models.get("pocket", Stop(), lambda *_: None)
    assert models.is_here("pocket")
    assert "words were heard wrong here" in models.verdict("pocket")
    assert made[0].engine("speech-2.8-hd", "en").name == "kokoro"
