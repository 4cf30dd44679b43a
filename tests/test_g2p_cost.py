"""What a text may cost before it is spoken: bounded by its length whatever it is made of; a stop is obeyed in it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hibari.g2p import G2P
from hibari.g2p.lexicon import Lexicon

from bench import long_text, nasty
from clone.contract.cloning import SPEECH_TASK_MAX_CHARS, TEXT_MAX_CHARS
from clone.contract.speech import LANGUAGES
from clone.core.errors import CancelledError, TextError
from clone.core.jobs import Stop
from clone.engine.backend import LocalBackend
from clone.engine.g2p import espeak
from clone.engine.g2p.languages import can_speak
from clone.engine.g2p.text import SENTENCE_MAX_CHARS, sentences
from clone.engine.tts import UNSPACED_MAX_PARTS, Turbo

STEPS_PER_CHAR = 12 * UNSPACED_MAX_PARTS
"""Characters that are looked up in the lexicon for one of a text. 2,000 without a space took 200,000 each."""

PHONEMES_PER_CHAR = 16
"""㉑ is one of the characters that are a whole word."""
WORST = ("-1", "1/", "@a", "aA", "q1", "-'", "a-", "[1](a b)", "1|,", ",1 ", "e\u0301", "http://a.b/", "㉑", "ŵ", "%=")

needs_espeak = pytest.mark.skipif(not espeak.installed(), reason="the extra requirements-languages.txt")

ORDINARY = (
    "On March 3rd, 2024, the museum sold 1,250 tickets at $18.50 each, and 27% of the visitors stayed longer.",
    "Dr. Smith came at 4:30 p.m. on 1990-01-01; he paid £1,234,567.89, or about €1.5 million.",
    "See https://www.example.com/search?q=cats&lang=en&page=2 for more.",
    "It's on https://en.wikipedia.org/wiki/Text-to-speech_synthesis#History, isn't it?",
    "Write to first.last-name+news@mail.company.co.uk, or call 555-123-4567.",
    "The mother-in-law's up-to-date, state-of-the-art, never-to-be-forgotten well-being matters.",
    "He's 6'2\", she'd've said 5 ft, and they're 1.85 m tall.",
    "“Stop!” she said. He didn't... J. K. Rowling wrote it, didn't she?!",
    "Version 2.10.3-beta of the iPhone's macOS app (build 0x7F3A) fixes #1234 & C++ bugs.",
    "The ratio is 3:4, 1/2 of it is 50%, and -5°C is 23°F.",
    "NASA, IBM and the U.S.A. met in St. Louis; Henry VIII and Chapter IV were discussed on 12/25/1999.",
    "A—B–C, x=y+z, 10 > 9 < 11, ~5 items, either/or, and/or, km/h, 5 km², AT&T.",
    "Order no. 550e8400-e29b-41d4-a716-446655440000 was sent to @someone (see p. 5).",
    "Amélie, Zoë Müller and José García live in São Paulo… “Really?” — ‘Yes’.",
    "The file is C:\\Users\\ann\\notes.txt; run `make test -j4 && echo ok`!",
    "Tel. +49 30 901820, flight LH2475, seat 12A, 24/7, 9-to-5, 2-for-1, 80s, 1980s, 3rd, 21st.",
    long_text.text(),
)


class Steps:
    """Counts the characters that the lexicon is asked for; more than a text may take fail at once."""

    def __init__(self) -> None:
        self.n = self.at_most = 0

    def begin(self, text: str) -> None:
        self.n, self.at_most = 0, STEPS_PER_CHAR * len(text)

    def counted(self, lookup: Callable[..., Any]) -> Callable[..., Any]:
        def look_up(lexicon: Lexicon, word: Any, context: Any) -> Any:
            self.n += 1 + len(word.text)
            assert self.n <= self.at_most
            return lookup(lexicon, word, context)

        return look_up


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    counting = Steps()
    monkeypatch.setattr(Lexicon, "__call__", counting.counted(Lexicon.__call__))
    return counting


def read(backend: LocalBackend, text: str, language: str) -> int:
    """Read a text; return in how many phonemes."""
    try:
        return sum(len(piece) for line in backend.script(text, language) for piece in line.phonemes)
    except TextError as refused:
        if refused.code not in {"text_no_letter", "text_language", "text_unreadable"}:
            raise
        return 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_any_text_is_read_in_steps_that_grow_with_its_length_alone(
    backend: LocalBackend, steps: Steps, language: str
) -> None:
    if not can_speak(language):
        pytest.skip("the extra requirements-languages.txt")
    worst = [(unit * TEXT_MAX_CHARS)[:TEXT_MAX_CHARS] for unit in WORST]
    for text in (*worst, *nasty.texts(80 if language == "en" else 10)):
        steps.begin(text)
        assert read(backend, text, language) <= PHONEMES_PER_CHAR * len(text), text[:80]
        assert all(len(sentence.text) <= SENTENCE_MAX_CHARS for sentence in sentences(text, language))


def test_any_short_text_is_read_or_refused(backend: LocalBackend) -> None:
    random = Random(2)
    for _ in range(400):
        read(backend, nasty.text(random, 60), random.choice(("en", "zh", "ja")))


@pytest.mark.parametrize("text", ORDINARY, ids=lambda text: text[:20])
def test_what_the_phonemizer_reads_of_ordinary_texts_is_what_it_always_read(backend: LocalBackend, text: str) -> None:
    turbo = backend._networks.get(Turbo)
    ours = turbo._hibari.g2p
    plain = object.__new__(G2P)  # hibari's own, with the same lexicon
    plain.__dict__.update(ours.__dict__)
    for sentence in sentences(text):
        assert ours(sentence.text) == plain(sentence.text)


def test_work_on_a_long_text_grows_with_its_length_alone(backend: LocalBackend) -> None:
    """Fifty thousand characters of one kind: what grew with the square of these took from seconds to minutes."""
    for unit in (" ", "\n", ".\t", "(", "[a](", "a", "1"):
        text = f"a{unit * SPEECH_TASK_MAX_CHARS}"[: SPEECH_TASK_MAX_CHARS - 1] + "b"
        assert sum(len(sentence.text) for sentence in sentences(text)) <= len(text)
        assert backend.language_of(text, "en").code == "en"


def test_reading_obeys_a_stop(backend: LocalBackend) -> None:
    """The whole text takes ten times as long as it is waited for here."""
    stop = Stop()
    threading.Timer(0.3, stop.ask).start()
    with pytest.raises(CancelledError):
        backend.script("-1" * (SPEECH_TASK_MAX_CHARS // 2), "en", stop)


# espeak-ng, which is not to be trusted


@needs_espeak
def test_espeak_dies_alone_and_comes_back(backend: LocalBackend) -> None:
    assert backend.script("Hola, amigo.", "es")[0].phonemes == ("ˈola, amˈiɣo.",)
    process = espeak._espeak()._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert backend.script("Hola, amigo.", "es")[0].phonemes == ("ˈola, amˈiɣo.",)


@needs_espeak
def test_a_text_that_espeak_dies_of_is_refused_at_its_field() -> None:
    with pytest.raises(TextError) as refused:
        espeak._espeak().phonemes("---你", "hi")
    assert (refused.value.code, refused.value.field, refused.value.measured) == ("text_unreadable", "text", "---你")
    assert espeak.phonemes("ठीक", "hi")


@needs_espeak
@pytest.mark.parametrize(
    ("language", "text"), [("hi", "---你 ठीक"), ("hi", "€-Ⓐ ok"), ("es", "|-नम sí"), ("es", "-😀 sí")]
)
def test_what_is_in_another_script_is_left_out(language: str, text: str) -> None:
    assert espeak.phonemes(text, language)


@needs_espeak
def test_words_too_long_for_espeak_are_parted() -> None:
    assert len(espeak.phonemes("____a.m." * 60, "fr")) > 60
    assert espeak.phonemes("anticonstitutionnellement", "fr").count(" ") == 0


def test_control_characters_and_halves_of_characters_lose_nothing(backend: LocalBackend) -> None:
    for language in filter(can_speak, ("en", "zh", "ja", "es")):
        whole = backend.script("hola amigo", language)[0].phonemes
        for between in ("\x00", "\x1b", "\ud800"):
            assert backend.script(f"hola{between}amigo", language)[0].phonemes == whole
