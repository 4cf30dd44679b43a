"""English text on its way to phonemes: is it English, where are its sentences, how long are the pauses."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import py3langid
from hibari import Hibari

from clone.errors import TextError

SENTENCE_PAUSE_S = 0.35
PARAGRAPH_PAUSE_S = 0.65
CLAUSE_PAUSE_S = 0.15

MAX_FOREIGN_SHARE = 0.2
"""Of the letters; a name or two in another script may stand in an English text."""

FOREIGN_MARGIN = 15.0
FOREIGN_MARGIN_PER_LETTER = 0.8
"""Log-likelihood by which another language must win, in all and per letter: more than names in an English sentence
bring, less than one plain foreign sentence does. See test_engine_text."""

FOREIGN_MIN_WORDS = 3
"""One or two words in Latin script may be anybody's name."""

LANGUAGES = {
    "ar": "Arabic", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "es": "Spanish", "fi": "Finnish",
    "fr": "French", "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian", "id": "Indonesian", "it": "Italian",
    "ja": "Japanese", "ko": "Korean", "nl": "Dutch", "no": "Norwegian", "pl": "Polish", "pt": "Portuguese",
    "ro": "Romanian", "ru": "Russian", "sv": "Swedish", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian",
    "vi": "Vietnamese", "yue": "Chinese", "zh": "Chinese",
}  # fmt: skip


_NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
"""Full-width forms to the plain ones."""


WORD_MAX_LETTERS = 24
"""The phonemizer reads this much of a word it does not know and drops the rest."""

NUMBER_MAX_DIGITS = 15
"""Longer ones nobody says as a number, and the phonemizer has no name for."""

_LONG_WORD = re.compile(rf"[^\W\d_]{{{WORD_MAX_LETTERS + 1},}}")
_LONG_NUMBER = re.compile(rf"\d(?:,?\d){{{NUMBER_MAX_DIGITS},}}")


@dataclass(frozen=True)
class Sentence:
    """One sentence and the pause after it, in seconds."""

    text: str
    pause_s: float


def check_english(text: str) -> None:
    """Refuse a text that is plainly not English; what can't be told apart passes.

    Raises:
        TextError: ``text_language``, measured is the language found.
    """
    text = text.translate(_NARROW)
    letters = [c for c in text if c.isalpha()]
    foreign = sum(not unicodedata.name(c, "").startswith("LATIN") for c in letters)
    scores = {code: score for code, score in py3langid.rank(text) if code == "en" or code in LANGUAGES}
    best = max(scores, key=lambda code: scores[code])
    if foreign <= MAX_FOREIGN_SHARE * len(letters):
        margin = scores[best] - scores["en"]
        few = len(text.split()) < FOREIGN_MIN_WORDS
        if few or margin <= max(FOREIGN_MARGIN, FOREIGN_MARGIN_PER_LETTER * len(letters)):
            return
    language = LANGUAGES.get(best, "another language")
    raise TextError(
        f"The text looks like {language}; this machine speaks English only, for now.",
        code="text_language",
        field="text",
        measured=language,
        limit="English",
        advice="Write it in English.",
    )


def sentences(text: str) -> list[Sentence]:
    """Return the sentences of a text with the pauses that belong after them; nothing is left out."""
    found: list[Sentence] = []
    for paragraph in re.split(r"\s*\n\s*", text.translate(_NARROW).strip()):
        parts = Hibari.split_sentences(paragraph)
        found += [Sentence(part, SENTENCE_PAUSE_S) for part in parts[:-1]]
        found += [Sentence(part, PARAGRAPH_PAUSE_S) for part in parts[-1:]]
    return found


def readable(text: str) -> str:
    """Return a text as the phonemizer can read it without losing or choking on any of it.

    Very long words are parted, very long numbers told digit by digit, circled digits and their like are plain ones.
    """
    plain = "".join(_plain_digit(c) for c in text)
    numbered = _LONG_NUMBER.sub(lambda found: " ".join(found[0].replace(",", "")), plain)
    return _LONG_WORD.sub(lambda found: _parted(found[0]), numbered)


def _plain_digit(c: str) -> str:
    superscript = unicodedata.decomposition(c).startswith("<super>")
    return c if c.isdecimal() or not c.isdigit() or superscript else f" {unicodedata.digit(c)} "


def _parted(word: str) -> str:
    n_parts = -(-len(word) // WORD_MAX_LETTERS)
    n = -(-len(word) // n_parts)
    return " ".join(word[start : start + n] for start in range(0, len(word), n))


def pieces(phonemes: str, limit: int) -> list[str]:
    """Return a phoneme string in pieces of at most ``limit`` symbols, cut between words where there are any."""
    cut: list[str] = []
    rest = phonemes
    while len(rest) > limit:
        at = rest.rfind(" ", 1, limit + 1)
        at = at if at > 0 else limit
        cut.append(rest[:at])
        rest = rest[at:].lstrip()
    return [*cut, rest] if rest else cut
