"""The prompt clip: a whole sentence of the recording, and a transcript that is held against it at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clone.audio.reader import read
from clone.audio.writer import wav_bytes
from clone.contract import cloning
from clone.core.errors import PromptError, PromptMismatch, TimbreError
from clone.core.jobs import Stage, Waiting
from clone.engine.asr import Word
from clone.engine.backend import LocalBackend
from clone.engine.profile import Profile
from clone.studio.facade import Studio
from clone.studio.prompts import MAX_KNOWN, is_final, whole_sentence
from tests.sounds import noise
from tests.studios import PROMPT, TURBO, last, order, refusal

OTHER = "I never liked the smell of fresh paint."


@pytest.fixture
def ada(examples: list[Path]) -> tuple[np.ndarray, int]:
    recording = read(examples[0])
    return recording.samples, recording.sample_rate


def put_together(path: Path, ada: tuple[np.ndarray, int], *spans: tuple[float, float] | float) -> Path:
    """Write parts of Ada, (start, end) in seconds, and pauses, one after the other."""
    samples, rate = ada
    parts = [
        np.zeros(int(each * rate), np.float32)
        if isinstance(each, float)
        else samples[int(each[0] * rate) : int(each[1] * rate)]
        for each in spans
    ]
    path.write_bytes(wav_bytes(np.concatenate(parts), rate))
    return path


def test_a_prompt_pair_from_the_sample(studio: Studio, examples: list[Path], tmp_path: Path) -> None:
    pair = studio.prompt_pair(examples[0])
    assert len(pair.samples) / pair.sample_rate < cloning.PROMPT_LIMIT_S
    cloning.check_prompt_text(pair.text)
    path = tmp_path / "pair.wav"
    studio.write_speech(pair, path)
    assert b"AI-generated" not in path.read_bytes()  # it is the person's own
    assert studio.match(path, pair.text).score > 0.95
    cloned = last(studio.clone(order(examples[0], prompt_audio=path, prompt_text=pair.text)))
    assert cloned.voice.settings["prompt_text"] == pair.text


def test_a_sentence_is_whole_though_a_piece_of_it_stands_between_better_pauses(
    studio: Studio, ada: tuple[np.ndarray, int], tmp_path: Path
) -> None:
    """“My grandmother” – “kept bees behind the orchard, and every summer she let me lift the wooden frames.”"""
    path = put_together(tmp_path / "a.wav", ada, (19.0, 22.6), 0.7, (0.1, 0.83), 0.7, (0.83, 6.3), (7.0, 11.0))
    text = studio.prompt_pair(path).text
    assert text.startswith(("My ", "You ", "I "))
    assert is_final(text)


def test_a_recording_without_a_whole_sentence_gives_none(
    studio: Studio, ada: tuple[np.ndarray, int], tmp_path: Path
) -> None:
    """All that stands between pauses is “kept bees behind the orchard, and every summer she let me lift …”."""
    path = put_together(tmp_path / "a.wav", ada, (19.0, 22.4), (0.25, 0.83), 0.7, (0.83, 6.0), 0.7, (7.2, 8.5))
    with pytest.raises(TimbreError) as none:
        studio.prompt_pair(path)
    assert none.value.code == "no_sentence"
    assert "whole sentence" in none.value.message


def test_no_sentence_in_noise(studio: Studio, tmp_path: Path) -> None:
    path = tmp_path / "hiss.wav"
    path.write_bytes(wav_bytes(noise(12.0, 16_000).astype(np.float32) * 0.1, 16_000))
    with pytest.raises(TimbreError) as none:
        studio.prompt_pair(path)
    assert (none.value.code, none.value.field) == ("no_sentence", "prompt_audio")


def spoken(text: str) -> list[Word]:
    """Return the words of a text, one a second."""
    return [Word(f" {word}", float(i), i + 0.8) for i, word in enumerate(text.split())]


@pytest.mark.parametrize(
    ("bounds", "whole"),
    [
        ((1.9, 4.9), "Then we left."),
        ((4.9, 7.9), "“Did you know?”"),
        ((1.9, 7.9), "Then we left. “Did you know?”"),
        ((2.9, 4.9), ""),  # begins inside
        ((1.9, 3.9), ""),  # ends inside
        ((0.9, 4.9), ""),  # begins with the end of another
        ((7.9, 10.9), ""),  # breaks off
        ((20.0, 25.0), ""),
    ],
)
def test_what_is_a_whole_sentence(bounds: tuple[float, float], whole: str) -> None:
    assert whole_sentence(spoken("were gone. Then we left. “Did you know?” And so they..."), bounds) == whole


def test_a_capital_after_a_comma_begins_no_sentence() -> None:
    assert whole_sentence(spoken("Yes, Anna went home. Good."), (0.9, 3.9)) == ""
    assert whole_sentence(spoken("Yes. Anna went home. Good."), (0.9, 3.9)) == "Anna went home."
    assert whole_sentence(spoken("对。 我们去海边。 好。"), (0.9, 1.9)) == "我们去海边。"


def test_a_transcript_against_what_is_heard(studio: Studio, clip: Path) -> None:
    right = studio.match(clip, PROMPT)
    assert right.score > 0.9
    assert right.heard.endswith(".")
    wrong = studio.match(clip, PROMPT.replace("slowly", "quickly"))
    assert wrong.score < right.score
    assert [word for word, heard in wrong.words if not heard] == ["quickly,"]
    assert studio.match(clip, None).heard == right.heard


def test_a_transcript_that_is_known_to_fail_is_refused_before_any_work(
    studio: Studio, examples: list[Path], clip: Path
) -> None:
    wanted = order(examples[0], prompt_audio=clip, prompt_text=OTHER)
    working = studio.clone(wanted)
    assert isinstance(next(working), Stage | Waiting)  # nobody has listened to the clip so far
    assert refusal(working).code == "prompt_mismatch"
    with pytest.raises(PromptMismatch) as refused:
        next(iter(studio.clone(wanted)))
    assert refused.value.field == "prompt_text"
    assert refusal(studio.clone(order(examples[0], prompt_audio=clip, prompt_text=OTHER, accuracy=0.9))).limit == 0.9
    cloned = last(studio.clone(order(examples[0], prompt_audio=clip, prompt_text=PROMPT)))
    assert cloned.voice.settings["prompt_text"] == PROMPT


def test_what_was_heard_is_known_by_the_file_and_not_by_its_name(studio: Studio, clip: Path, tmp_path: Path) -> None:
    heard = studio.match(clip, None).heard
    copy = tmp_path / "copy.wav"
    copy.write_bytes(clip.read_bytes())
    with pytest.raises(PromptMismatch) as refused:
        studio.check_prompt(copy, OTHER, 0.7)
    assert heard in refused.value.message
    recording = read(clip)
    copy.write_bytes(wav_bytes(recording.samples[::-1].copy(), recording.sample_rate))
    studio.check_prompt(copy, OTHER, 0.7)  # nothing is known of that
    copy.unlink()
    studio.check_prompt(copy, OTHER, 0.7)


def test_what_is_remembered_is_bounded(studio: Studio, clip: Path) -> None:
    known = studio._prompts._known
    for i in range(MAX_KNOWN):
        known[str(i)] = ""
    studio.match(clip, None)
    assert len(known) == MAX_KNOWN
    assert "0" not in known


def test_a_transcript_longer_than_anything_said_in_a_clip_is_refused(studio: Studio, clip: Path) -> None:
    long = "word " * cloning.TEXT_MAX_CHARS + "."
    for refuse in (lambda: studio.match(clip, long), lambda: cloning.check_prompt_text(long)):
        with pytest.raises(PromptError) as refused:
            refuse()
        assert refused.value.code == "prompt_text_too_long"


def test_a_spoken_price_is_cloned_with_its_transcript(
    studio: Studio, backend: LocalBackend, profiles: dict[str, Profile], examples: list[Path], tmp_path: Path
) -> None:
    said = "It costs nineteen dollars and fifty cents."
    samples = np.concatenate([backend.speak(profiles["ada"], line, TURBO) for line in backend.script(said)])
    path = tmp_path / "price.wav"
    path.write_bytes(wav_bytes(samples, 24_000))
    assert "$19.50" in studio.match(path, None).heard
    cloned = last(studio.clone(order(examples[0], prompt_audio=path, prompt_text=said)))
    assert cloned.voice.settings["prompt_text"] == said
