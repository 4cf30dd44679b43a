"""The local backend: three voices that stay apart, a prompt that steers, a text that is spoken to its last word."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from clone.audio.reader import resample
from clone.core.errors import CancelledError, PromptMismatch, TextError
from clone.core.jobs import Stop
from clone.engine import conversion, prosody, speaker
from clone.engine.asr import SAMPLE_RATE as HEARD_RATE
from clone.engine.asr import Recognizer
from clone.engine.backend import MAX_SYMBOLS, Heard, LocalBackend
from clone.engine.conversion import SAMPLE_RATE
from clone.engine.converted import PIECES_AT_ONCE
from clone.engine.engine import spoken
from clone.engine.g2p.text import END_PAUSE_S
from clone.engine.profile import Profile
from clone.engine.prosody import PAUSE_S, PHONEMES_PER_S
from clone.engine.transcript import check_match, match, words_heard

TURBO, HD = "speech-2.8-turbo", "speech-2.8-hd"
TEXT = "The old boat left the harbor before sunrise, carrying bread and letters."
PROMPT = "You have to move slowly, she said, and you must never breathe on them."
"""The second sentence of Ada, an example voice."""

Say = Callable[[Profile, str, str], np.ndarray]


@pytest.fixture(scope="module")
def say(backend: LocalBackend) -> Say:
    def said(profile: Profile, text: str, model: str) -> np.ndarray:
        return np.concatenate([backend.speak(profile, line, model) for line in backend.script(text)])

    return said


@pytest.fixture(scope="module")
def prompt(heard: dict[str, Heard]) -> Heard:
    """The stretch of Ada in which she says PROMPT."""
    ada = heard["ada"]
    start, end = 6.1, 11.0
    cut = ada.samples[int(start * ada.sample_rate) : int(end * ada.sample_rate)]
    return Heard(cut, ada.sample_rate, [(0.0, end - start)])


def transcript(backend: LocalBackend, samples: np.ndarray) -> str:
    return backend._networks.get(Recognizer).transcribe(resample(samples, SAMPLE_RATE, HEARD_RATE), "en")


# the three examples


@pytest.mark.parametrize("model", [HD, TURBO])
def test_every_clone_is_nearest_to_its_own_reference_and_conversion_brings_it_closer(
    backend: LocalBackend, profiles: dict[str, Profile], say: Say, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    base, convert = list[np.ndarray](), conversion.convert
    monkeypatch.setattr(conversion, "convert", lambda samples, *how: (base.append(samples), convert(samples, *how))[1])
    for name, profile in profiles.items():
        base.clear()
        said = say(profile, TEXT, model)
        likeness = {other: backend.likeness(profiles[other], said) for other in profiles}
        assert max(likeness, key=lambda other: likeness[other]) == name
        assert backend.likeness(profile, np.concatenate(base)) < likeness[name] <= profile.ceiling
        assert match(TEXT, transcript(backend, said)) > 0.9


# a voice is a value


def test_voices_from_two_threads_at_once_are_those_of_one(
    backend: LocalBackend, profiles: dict[str, Profile], say: Say
) -> None:
    jobs = [("ben", TURBO), ("cleo", TURBO)] * 2
    alone = [say(profiles[name], "Walk slowly home.", model) for name, model in jobs[:2]]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda job: say(profiles[job[0]], "Walk slowly home.", job[1]), jobs))
    for i, said in enumerate(together):
        assert said.shape == alone[i % 2].shape
        assert np.corrcoef(said, alone[i % 2])[0, 1] > 0.999


def test_hd_and_turbo_at_once_stay_the_voice_they_are(
    backend: LocalBackend, profiles: dict[str, Profile], say: Say
) -> None:
    with ThreadPoolExecutor(2) as pool:
        hd = pool.submit(say, profiles["ben"], "Walk slowly home.", HD)
        turbo = [pool.submit(say, profiles["cleo"], "Walk slowly home.", TURBO) for _ in range(3)]
        assert backend.likeness(profiles["ben"], hd.result()) > backend.likeness(profiles["cleo"], hd.result())
        for said in turbo:
            assert np.array_equal(said.result(), turbo[0].result())


def test_what_is_learned_is_the_same_every_time(
    backend: LocalBackend, heard: dict[str, Heard], profiles: dict[str, Profile]
) -> None:
    again = backend.learn(heard["cleo"], None)
    assert again.embedding @ profiles["cleo"].embedding > 0.9999
    assert again.pitch_hz == profiles["cleo"].pitch_hz
    assert again.frames.features.shape == profiles["cleo"].frames.features.shape


def test_learning_obeys_a_stop(backend: LocalBackend, heard: dict[str, Heard]) -> None:
    stop = Stop()
    stop.ask()
    with pytest.raises(CancelledError):
        backend.learn(heard["ada"], None, stop)


# the prompt


def test_a_right_transcript_passes(backend: LocalBackend, prompt: Heard) -> None:
    assert check_match(PROMPT, backend.transcribe(prompt), 0.7) > 0.8


def test_a_wrong_transcript_is_refused_with_what_was_heard(backend: LocalBackend, prompt: Heard) -> None:
    with pytest.raises(PromptMismatch) as refused:
        check_match("I never liked the smell of fresh paint.", backend.transcribe(prompt), 0.7)
    error = refused.value
    assert (error.code, error.service_code, error.field) == ("prompt_mismatch", 1044, "prompt_text")
    assert "move slowly" in error.message
    assert error.measured < error.limit == 0.7
    assert error.advice


def test_accuracy_0_lets_anything_pass(backend: LocalBackend, prompt: Heard) -> None:
    assert check_match("I never liked the smell of fresh paint.", backend.transcribe(prompt), 0.0) < 0.7


def test_a_prompt_steers_pitch_and_rate_and_joins_the_reference(
    backend: LocalBackend, heard: dict[str, Heard], profiles: dict[str, Profile], prompt: Heard
) -> None:
    steered = backend.learn(heard["ben"], prompt)
    assert abs(steered.pitch_hz - profiles["ada"].pitch_hz) < 15 < abs(steered.pitch_hz - profiles["ben"].pitch_hz)
    assert len(steered.frames.features) > len(profiles["ben"].frames.features) + 100
    rate = prompt.sample_rate
    slow = Heard(resample(prompt.samples, rate, round(rate * 1.4)), rate, [(0.0, 1.4 * prompt.spans[0][1])])
    assert backend.learn(heard["ben"], slow).rate < steered.rate


def test_who_speaks_lively_has_a_turbo_clone_that_does(backend: LocalBackend, profiles: dict[str, Profile]) -> None:
    line = backend.script("Why would anyone choose a garden full of thistles, when roses grow just as well?")[0]

    def moves_st(range_st: float) -> float:
        said = backend.speak(replace(profiles["ben"], range_st=range_st), line, TURBO)
        return prosody.range_st(speaker.pitch_hz(said, SAMPLE_RATE))

    usual = moves_st(0.0)  # unknown
    assert moves_st(prosody.HIBARI_RANGE_ST) == usual
    assert moves_st(1.0) < 0.8 * usual < 1.2 * usual < moves_st(9.0)
    assert 1 < profiles["ben"].range_st < 8


@pytest.mark.parametrize("model", [HD, TURBO])
def test_who_speaks_slowly_has_a_clone_that_does(
    backend: LocalBackend, profiles: dict[str, Profile], model: str
) -> None:
    (line,) = backend.script("The ferry left the island early, while a thin fog was lying over the water.")
    fast, slow = (
        len(backend.speak(replace(profiles["ben"], rate=rate), line, model))
        for rate in (PHONEMES_PER_S * 1.1, PHONEMES_PER_S * 0.85)
    )
    assert slow / fast == pytest.approx(1.1 / 0.85, rel=0.06)


# the text


def test_numbers_dates_and_money_are_read(backend: LocalBackend, profiles: dict[str, Profile], say: Say) -> None:
    said = {
        "It costs $1,234 in total.": "It costs one thousand two hundred thirty four dollars in total.",
        "He came on March 3, 2025.": "He came on March third, twenty twenty five.",
        "About 75% of 12,000 people.": "About seventy five percent of twelve thousand people.",
        "Dr. Smith paid £20 in 1984.": "Doctor Smith paid twenty pounds in nineteen eighty four.",
    }
    for written, read in said.items():
        as_written, as_read = backend.script(written), backend.script(read)
        phonemes = ["".join(p for line in lines for p in line.phonemes) for lines in (as_written, as_read)]
        assert match(*phonemes) > 0.93, written
    heard = transcript(backend, say(profiles["ben"], " ".join(said), TURBO))
    for word in ("1234", "March", "2025", "75", "12000", "Smith", "20", "1984"):
        assert word in heard.replace(",", ""), heard


@pytest.mark.parametrize("text", ["Hi!", "OK.", "$5 each", "Zoë Müller"])
def test_short_texts_are_spoken(profiles: dict[str, Profile], say: Say, text: str) -> None:
    spoken = say(profiles["ben"], text, TURBO)
    assert np.abs(spoken).max() > 0.02
    assert len(spoken) / SAMPLE_RATE > END_PAUSE_S + 0.1


def test_a_long_text_without_punctuation_is_spoken_to_its_last_word(
    backend: LocalBackend, profiles: dict[str, Profile], say: Say
) -> None:
    words = "the train to the coast leaves at nine and the people by the harbour walk slowly home along the river "
    text = (words * 20)[:1985].rsplit(" ", 1)[0] + " goodbye"
    lines = backend.script(text)
    strings = [piece for line in lines for piece in line.phonemes]
    assert all(0 < len(string) <= MAX_SYMBOLS for string in strings)
    word_by_word = [piece for word in text.split() for line in backend.script(f"{word} a") for piece in line.phonemes]
    assert len(" ".join(strings).split()) == pytest.approx(len(word_by_word), rel=0.02)
    spoken = say(profiles["cleo"], text, TURBO)
    assert len(spoken) / SAMPLE_RATE > 0.8 * sum(map(len, strings)) / 25
    assert transcript(backend, spoken[-5 * SAMPLE_RATE :]).strip(" .").lower().endswith("goodbye")


def test_a_very_long_word_is_spoken(backend: LocalBackend, profiles: dict[str, Profile]) -> None:
    lines = backend.script("Please read the following word to me: " + "banana" * 120)
    strings = [piece for line in lines for piece in line.phonemes]
    assert sum(map(len, strings)) > 600
    assert all(0 < len(string) <= MAX_SYMBOLS for string in strings)
    line = replace(lines[0], phonemes=lines[0].phonemes[-1:])
    assert np.abs(backend.speak(profiles["ben"], line, TURBO)).max() > 0.02


def test_a_sentence_of_very_many_phonemes_is_spoken_to_its_end(
    backend: LocalBackend, profiles: dict[str, Profile]
) -> None:
    (line,) = backend.script("a% " * 165)
    assert len(line.phonemes) > PIECES_AT_ONCE
    spoken = backend.speak(profiles["cleo"], line, TURBO)
    alone = backend.speak(profiles["cleo"], replace(line, phonemes=line.phonemes[PIECES_AT_ONCE:]), TURBO)
    assert np.corrcoef(spoken[-len(alone) :], alone)[0, 1] > 0.999


@pytest.mark.parametrize("text", ["Its number is " + "1234567890" * 30 + ".", "Step ① is to wait.", "Pay $5 - $5.5.5"])
def test_odd_numbers_are_spoken(backend: LocalBackend, text: str) -> None:
    assert sum(len(piece) for line in backend.script(text) for piece in line.phonemes) > len(text) / 2


def test_every_sentence_is_a_line_with_its_pause(backend: LocalBackend, profiles: dict[str, Profile]) -> None:
    lines = backend.script("One more. Two more!\n\nThree more?")
    assert [line.text for line in lines] == ["One more.", "Two more!", "Three more?"]
    for line in lines:
        spoken = backend.speak(profiles["ben"], line, TURBO)
        n_pause = int(line.pause_s * profiles["ben"].pause_s / PAUSE_S * SAMPLE_RATE)
        assert not spoken[-n_pause:].any()
        assert spoken[-n_pause - 2400 : -n_pause].any()
        assert np.abs(spoken).max() <= 1.0


def test_what_can_not_be_spoken_is_refused(backend: LocalBackend) -> None:
    with pytest.raises(TextError) as refused:
        backend.script("Guten Morgen, wie geht es Ihnen heute?")
    assert refused.value.measured == "German"
    assert [line.text for line in backend.script("Well. — … ! Go on.")] == ["Well.", "Go on."]
    with pytest.raises(TextError) as refused:
        backend.script("…!")
    assert refused.value.code == "text_no_letter"


@pytest.mark.parametrize(
    ("language", "text"),
    [("zh", "今天天气很好，我们一起去公园散步。"), ("ja", "明日の朝、海へ行く電車は東京駅を出発します。")],
)
def test_other_languages_are_spoken_by_turbo_models_too(
    backend: LocalBackend, profiles: dict[str, Profile], language: str, text: str
) -> None:
    lines = backend.script(text)
    assert {line.language for line in lines} == {language}
    samples = np.concatenate([backend.speak(profiles["ben"], line, TURBO) for line in lines])
    heard = backend.transcribe(Heard(samples, SAMPLE_RATE, []), (language, 1.0))
    found = words_heard(text, heard)
    assert sum(known for _, known in found) > 0.8 * len(found), heard


@pytest.mark.parametrize("at_most_s", [3.0, 8.5, 1_000.0])
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_what_is_said_first_is_the_same_however_much_follows(
    heard: dict[str, Heard], at_most_s: float, rate: int
) -> None:
    ada = heard["ada"]
    samples = resample(ada.samples, ada.sample_rate, rate)
    whole = resample(samples, rate, SAMPLE_RATE)
    for spans in (ada.spans, []):
        said = [whole[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)] for start, end in spans]
        expected = np.concatenate(said or [whole])[: int(at_most_s * SAMPLE_RATE)]
        assert np.array_equal(spoken(Heard(samples, rate, spans), at_most_s), expected)


LONG = (
    "When the ferry came back that evening nobody on the pier could say who had called it or whether anyone had, "
    "because the bell was still lying in the yard of the harbour master."
)


@pytest.mark.parametrize("model", [HD, TURBO])
def test_a_line_is_handed_over_in_parts_whose_seams_are_not_heard(
    backend: LocalBackend, profiles: dict[str, Profile], model: str
) -> None:
    line = backend.script(LONG)[0]
    parts = list(backend.stream(profiles["ada"], line, model))
    in_one = backend.speak(profiles["ada"], line, model)
    if model == HD:
        assert 0.5 <= len(parts[0]) / SAMPLE_RATE <= 2.1
        for part, after in pairwise(parts[:-1]):  # spoken while the one before is heard
            assert len(after) <= 2.4 * len(part)
    said = np.concatenate([*parts, backend.pause(profiles["ada"], line)])
    assert len(said) == pytest.approx(len(in_one), abs=0.1 * SAMPLE_RATE)
    seams = np.cumsum([len(part) for part in parts[:-1]])
    usual = np.abs(np.diff(in_one)).max()
    assert all(np.abs(np.diff(said[at - 100 : at + 100])).max() < 0.5 * usual for at in seams)
    assert match(LONG, transcript(backend, said)) >= match(LONG, transcript(backend, in_one)) - 0.05


def test_a_short_line_is_one_part(backend: LocalBackend, profiles: dict[str, Profile]) -> None:
    line = backend.script("Walk slowly home.")[0]
    (part,) = backend.stream(profiles["ben"], line, HD)
    assert np.array_equal(
        np.append(part, backend.pause(profiles["ben"], line)), backend.speak(profiles["ben"], line, HD)
    )
