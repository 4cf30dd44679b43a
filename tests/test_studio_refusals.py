"""What is refused, with which words, and that nothing was done before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clone.contract.cloning import PROMPT_LIMIT_S, REFERENCE_MAX_S, TEXT_MAX_CHARS
from clone.core.errors import AudioError, ConsentError, PromptMismatch, TimbreError
from clone.core.jobs import Queue
from clone.core.settings import Settings
from clone.studio import analysis, results
from clone.studio.facade import SpeakOrder, Studio
from tests.sounds import encode, noise, silence, speechlike, tone
from tests.studios import PROMPT, TEXT, TURBO, files_in, fit_for_a_person, last, order, refusal, say

Sounds = Callable[[str, np.ndarray], Path]


@pytest.fixture
def sound(tmp_path: Path) -> Sounds:
    def written(name: str, samples: np.ndarray) -> Path:
        path = tmp_path / name
        path.write_bytes(encode(samples, 16_000, "wav"))
        return path

    return written


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is refused in this test must be refused before it reaches the queue."""

    def entered(*_: Any) -> Iterator[object]:
        raise AssertionError("a job entered the queue")

    monkeypatch.setattr(Queue, "run", entered)


def nothing_kept(studio: Studio, settings: Settings) -> bool:
    voices = settings.home / "audio" / "voices"
    return studio.voices("ann") == [] and files_in(settings.home / "work") == files_in(voices) == []


# before any work


def test_consent_is_asked_before_anything_is_read(studio: Studio, idle: None) -> None:
    error = refusal(studio.clone(order(Path("/nowhere/at/all"), consent=False, prompt_text="half")))
    assert isinstance(error, ConsentError)
    assert (error.code, error.field) == ("no_consent", "consent")


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"prompt_text": PROMPT}, "prompt_half", "prompt_audio"),
        ({"prompt_audio": Path("clip.wav")}, "prompt_half", "prompt_text"),
        ({"prompt_audio": Path("clip.wav"), "prompt_text": "   "}, "prompt_half", "prompt_text"),
        (
            {"prompt_audio": Path("clip.wav"), "prompt_text": "no mark"},
            "prompt_no_punctuation",
            "prompt_text",
        ),
        ({"prompt_audio": Path("clip.wav"), "prompt_text": "-."}, "prompt_no_letter", "prompt_text"),
        ({"text": "Der Zug an die Küste fährt um neun Uhr ab."}, "text_language", "text"),
    ],
)
def test_half_a_prompt_and_foreign_text(
    studio: Studio, idle: None, examples: list[Path], changes: dict[str, Any], code: str, field: str
) -> None:
    error = refusal(studio.clone(order(examples[0], **changes)))
    assert (error.code, error.field) == (code, field)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"model": "speech-01"}, "unknown_model"),
        ({"text": "a" * (TEXT_MAX_CHARS + 1)}, "text_too_long"),
        ({"text": "?!"}, "text_no_letter"),
        ({"text": "De trein naar de kust vertrekt om negen uur."}, "text_language"),
        ({"voice_id": "voice_unknown"}, "unknown_voice"),
        ({"voice_id": "../../etc/passwd"}, "unknown_voice"),
        ({"voice_id": ""}, "unknown_voice"),
    ],
)
def test_speaking_is_refused_before_any_work(
    studio: Studio, examples: list[Path], monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], code: str
) -> None:
    voice_id = "voice_unknown"
    if "voice_id" not in changes:
        voice_id = last(studio.clone(order(examples[1]))).voice.voice_id
        monkeypatch.setattr(Queue, "run", lambda *_: pytest.fail("a job entered the queue"))
    wanted = {"owner": "ann", "voice_id": voice_id, "text": TEXT, "model": TURBO} | changes
    assert refusal(studio.speak(SpeakOrder(**wanted))).code == code


def test_another_owner_s_voice_looks_unknown(studio: Studio, examples: list[Path]) -> None:
    voice = last(studio.clone(order(examples[1]))).voice
    foreign = SpeakOrder("ben", voice.voice_id, TEXT, TURBO)
    unknown = refusal(studio.speak(SpeakOrder("ben", "voice_unknown", TEXT, TURBO)))
    assert str(refusal(studio.speak(foreign))) == str(unknown)
    assert not studio.voices("ann")[0].permanent
    studio.forget(voice.voice_id, "ann")
    assert refusal(studio.speak(say(voice))).code == "unknown_voice"


# the recording


@pytest.mark.parametrize(
    ("samples", "code"),
    [
        (speechlike(6.0, 16_000), "too_short"),
        (silence(12.0, 16_000), "silent"),
        (tone(12.0, 16_000), "no_speech"),
        (noise(12.0, 16_000), "no_speech"),
        (np.tile(tone(10.0, 16_000), 31), "too_long"),
    ],
    ids=["short", "silent", "tone", "noise", "long"],
)
def test_a_recording_that_can_not_be_cloned(
    studio: Studio, settings: Settings, sound: Sounds, samples: np.ndarray, code: str
) -> None:
    path = sound("recording.wav", samples)
    error = refusal(studio.clone(order(path)))
    assert isinstance(error, AudioError)
    assert (error.code, error.field) == (code, "audio")
    assert error.measured is not None
    assert error.limit is not None
    assert error.advice
    assert nothing_kept(studio, settings)
    found = studio.check(path).refusal()
    assert found is not None
    assert (found.code, found.measured, found.limit) == (code, error.measured, error.limit)


def test_too_long_is_refused_without_listening_to_it(
    studio: Studio, sound: Sounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studio._backend, "listen", lambda *_: pytest.fail("it was listened to"))
    assert refusal(studio.clone(order(sound("long.wav", silence(REFERENCE_MAX_S + 1, 16_000))))).code == "too_long"


@pytest.mark.parametrize("name", ["gone.mp3", "", "folder", "text.mp3", "nul\0.mp3", "empty.wav", "locked.mp3"])
def test_what_is_no_recording(studio: Studio, settings: Settings, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.mp3").write_text("this is not sound" * 100)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "locked.mp3").touch(mode=0)
    error = refusal(studio.clone(order(tmp_path / name)))
    assert isinstance(error, AudioError)
    assert error.field == "audio"
    assert nothing_kept(studio, settings)
    with pytest.raises(AudioError):
        studio.check(tmp_path / name)


@pytest.mark.parametrize(
    "url", ["ftp://example.com/a.mp3", "http://127.0.0.1:1/a.mp3", "nonsense", "file:///etc/passwd"]
)
def test_a_url_that_leads_nowhere(studio: Studio, settings: Settings, url: str) -> None:
    assert refusal(studio.clone(order(url))).field == "audio"
    assert nothing_kept(studio, settings)


# the prompt


def test_a_prompt_clip_that_can_not_be_used(
    studio: Studio, settings: Settings, examples: list[Path], sound: Sounds, clip: Path
) -> None:
    clips = {
        "prompt_too_long": sound("long.wav", speechlike(PROMPT_LIMIT_S, 16_000)),
        "prompt_silent": sound("silent.wav", silence(3.0, 16_000)),
        "prompt_no_speech": sound("noise.wav", noise(3.0, 16_000)),
        "no_file": clip.parent / "gone.wav",
    }
    for code, path in clips.items():
        error = refusal(studio.clone(order(examples[1], prompt_audio=path, prompt_text=PROMPT)))
        assert (error.code, error.field) == (code, "prompt_audio")
    assert nothing_kept(studio, settings)


def test_a_transcript_of_something_else(studio: Studio, settings: Settings, examples: list[Path], clip: Path) -> None:
    wrong = {"prompt_audio": clip, "prompt_text": "I never liked the smell of fresh paint."}
    error = refusal(studio.clone(order(examples[1], **wrong)))
    assert isinstance(error, PromptMismatch)
    assert (error.code, error.service_code, error.field) == ("prompt_mismatch", 1044, "prompt_text")
    assert "move slowly" in error.message
    assert nothing_kept(studio, settings)
    assert last(studio.clone(order(examples[1], accuracy=0.0, **wrong))).voice in studio.voices("ann")


# quotas


def test_the_disk_of_an_owner_is_bounded(studio: Studio, examples: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    first = last(studio.clone(order(examples[2]))).voice  # a wav: the biggest
    monkeypatch.setattr(results, "MAX_OWNER_BYTES", first.n_bytes + 1000)
    error = refusal(studio.clone(order(examples[1])))
    assert error.code == "quota_disk"
    assert error.measured > error.limit == first.n_bytes + 1000
    assert studio.voices("ann") == [first]
    assert last(studio.clone(order(examples[1], "ben"))).voice.owner == "ben"
    studio.forget(first.voice_id, "ann")
    assert last(studio.clone(order(examples[1]))).voice.owner == "ann"


def test_checks_at_once_are_bounded(studio: Studio, monkeypatch: pytest.MonkeyPatch, examples: list[Path]) -> None:
    monkeypatch.setattr(analysis, "CHECK_WAIT_S", 0.1)
    looking = [studio.examine(examples[0]) for _ in range(analysis.MAX_CHECKS)]
    for each in looking:
        next(each)
    with pytest.raises(TimbreError) as busy:
        studio.check(examples[0])
    assert fit_for_a_person(busy.value).code == "queue_full"
    looking[0].close()  # type: ignore[attr-defined]
    assert studio.check(examples[0]).refusal() is None
