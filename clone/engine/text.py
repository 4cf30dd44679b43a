"""Text on its way to phonemes: where its sentences are, how long the pauses, what can be read of it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from hibari import Hibari

SENTENCE_PAUSE_S = 0.35
PARAGRAPH_PAUSE_S = 0.65
CLAUSE_PAUSE_S = 0.15

NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
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


UNSPACED = frozenset(("zh", "ja", "hi"))
"""Languages with full stops of their own; the first two put no space after them."""

_STOPPED = re.compile(r"(?:[^。！？!?．।॥…]+[。！？!?．।॥…]*[”’」』）)\"]*|[。！？!?．।॥…]+)\s*")


def sentences(text: str, language: str = "en") -> list[Sentence]:
    """Return the sentences of a text with the pauses that belong after them; nothing is left out."""
    found: list[Sentence] = []
    for paragraph in re.split(r"\s*\n\s*", text.strip() if language in UNSPACED else text.translate(NARROW).strip()):
        if language in UNSPACED:
            parts = [part.strip() for part in _STOPPED.findall(paragraph)]
        else:
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


def tidied(symbols: str) -> str:
    """Return phonemes with single spaces, and none within brackets and quotes or before what closes."""
    spaced = " ".join(symbols.split())
    return re.sub(r"(?<=[“(])\s+|\s+(?=[;:,.!?…”)])", "", spaced)
