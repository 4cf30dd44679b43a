"""Text on its way to phonemes: where its sentences are, how long the pauses, what can be read of it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace

from hibari import Hibari
from hibari.g2p import numbers
from hibari.g2p.normalize import normalize

from clone.contract import markup

SENTENCE_PAUSE_S = 0.7
"""It is heard as 0.65 s: sounds die away in it. Every pause is of somebody who makes those that people mostly make."""
PARAGRAPH_PAUSE_S = 1.1
END_PAUSE_S = 0.15
"""After the last sentence: whoever listens waits for nothing more."""
CLAUSE_PAUSE_S = 0.15

NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
"""Full-width forms to the plain ones."""


WORD_MAX_LETTERS = 24
"""The phonemizer reads this much of a word it does not know and drops the rest."""

NUMBER_MAX_DIGITS = 15
"""Longer ones nobody says as a number, and the phonemizer has no name for."""

SENTENCE_MAX_CHARS = 500
"""Longer ones are parted: no stop interrupts the search for the phonemes of one."""

SYMBOLS_MAX = 3
"""Of a row of symbols so many are read: eighty equals signs are a line that somebody drew."""

_LONG_WORD = re.compile(rf"[^\W\d_]{{{WORD_MAX_LETTERS + 1},}}")
_LONG_NUMBER = re.compile(rf"\d(?:,?\d){{{NUMBER_MAX_DIGITS},}}")
_CLAUSES = re.compile(r".+[,;:—] |.+[，、；：]")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_SYMBOLS = re.compile(rf"([^\w\s.,;:!?…'\"‘’“”()\[\]-]{{{SYMBOLS_MAX}}})[^\w\s.,;:!?…'\"‘’“”()\[\]-]+")

# Control characters end a text for what is written in C, and halves of a surrogate pair are no characters at all.
_NOT_TEXT = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0), *range(0xD800, 0xE000)), " ") | {ord("\n"): "\n"}


@dataclass(frozen=True)
class Sentence:
    """One sentence, the pause after it, and silence of a length that somebody set, both in seconds.

    Where a text begins with a pause, there is nothing to say before it.
    """

    text: str
    pause_s: float
    silence_s: float = 0.0


UNSPACED = frozenset(("zh", "ja", "hi"))
"""Languages with full stops of their own; the first two put no space after them."""

_STOPPED = re.compile(r"(?:[^。！？!?．।॥…]+[。！？!?．।॥…]*[”’」』）)\"]*|[。！？!?．।॥…]+)\s*")


def sentences(text: str, language: str = "en") -> list[Sentence]:
    """Return the sentences of a text with the pauses that belong after them; nothing that can be said is left out.

    None has more than SENTENCE_MAX_CHARS, and the work grows with the length of the text alone, whatever it is. A pause
    that is set, see contract.markup, ends a sentence and takes the place of the one that would come there; markup that
    is not understood is left out.
    """
    found: list[Sentence] = []
    for part in markup.parts(text):
        some = _sentences(markup.without_unknown(part.text), language)
        if part.silence_s:
            last = some.pop() if some else Sentence("", 0.0)
            some.append(replace(last, pause_s=0.0, silence_s=part.silence_s))
        found += some
    if found and not found[-1].silence_s:
        found[-1] = replace(found[-1], pause_s=END_PAUSE_S)
    return [short for sentence in found for short in _parted_sentence(sentence)]


def _sentences(text: str, language: str) -> list[Sentence]:
    found: list[Sentence] = []
    for paragraph in text.translate(_NOT_TEXT).split("\n"):
        words = _SYMBOLS.sub(r"\1", " ".join(paragraph.split()))
        parts = _parts(words, language)
        found += [Sentence(part, SENTENCE_PAUSE_S) for part in parts[:-1]]
        found += [Sentence(part, PARAGRAPH_PAUSE_S) for part in parts[-1:]]
    return found


def _parts(paragraph: str, language: str) -> list[str]:
    if language in UNSPACED:
        return [part.strip() for part in _STOPPED.findall(paragraph)]
    return list(Hibari.split_sentences(paragraph.translate(NARROW)))


def _parted_sentence(sentence: Sentence) -> list[Sentence]:
    """Return a sentence in parts of at most SENTENCE_MAX_CHARS, each as long as its clauses, else its words, allow."""
    parts, rest = [], sentence.text
    while len(rest) > SENTENCE_MAX_CHARS:
        clauses = _CLAUSES.match(rest, 0, SENTENCE_MAX_CHARS)
        first = clauses[0] if clauses else pieces(rest, SENTENCE_MAX_CHARS)[0]
        parts.append(Sentence(first.rstrip(), CLAUSE_PAUSE_S))
        rest = rest[len(first) :].lstrip()
    return [*parts, replace(sentence, text=rest)]


def readable(text: str) -> str:
    """Return a text as the phonemizer's lexicon can read it without losing or choking on any of it.

    Very long words are parted, very long numbers told digit by digit, circled digits and their like are plain ones, of
    a link its words are left.
    """
    unlinked = _LINK.sub(r"\1", text).replace("](", "] (").replace("İ", "I")  # the one letter with two in lower case
    plain = "".join(_plain_digit(c) for c in unlinked)
    numbered = _LONG_NUMBER.sub(lambda found: " ".join(found[0].replace(",", "")), plain)
    return _LONG_WORD.sub(lambda found: _parted(found[0]), numbered)


_MONEY = {"$": ("dollar", "cent"), "£": ("pound", "penny"), "€": ("euro", "cent")}
_PLURALS = {"penny": "pence"}
_WRITTEN = (
    (r"(?<![\d.,$£€])(1[1-9]\d\d|20[0-4]\d)(?![\d.,]*\d)", lambda found: numbers.year(int(found[1]))),
    (r"(?<=\d),(?=\d{3}(?!\d))", lambda found: ""),
    (r"([$£€]) ?(\d+)(?:\.(\d\d)(?!\d))?", lambda found: _amount(*found.groups())),
    (r"%", lambda found: " percent"),
    (r"&", lambda found: " and "),
    (r"(?<=\w) ?@ ?(?=\w)", lambda found: " at "),
    (r"\b(\d{1,2}):(\d\d)\b", lambda found: f"{found[1]} {found[2] if found[2] != '00' else ''}"),
    (r"(?i)\b([ap])\.?m\b\.?(?=(\s+[A-Z])?)", lambda found: f"{found[1].upper()} M" + ("." if found[2] else "")),
    (r"\be\.g\.", lambda found: "for example"),
    (r"\bi\.e\.", lambda found: "that is"),
    (r"\b(?:[A-Za-z]\.){2,}", lambda found: " ".join(found[0].replace(".", ""))),
    (r"\b(\d+)(?:st|nd|rd|th)\b", lambda found: numbers.ordinal(int(found[1]))),
    (r"\d+\.\d+", lambda found: numbers.decimal(found[0])),
    (rf"\d{{1,{NUMBER_MAX_DIGITS}}}", lambda found: numbers.cardinal(int(found[0]))),
)


def written_out(text: str) -> str:
    """Return an English sentence with its numbers, sums, times and abbreviations as they are said.

    For a network that reads letters: a full stop in what is left of it is the end of a sentence.
    """
    plain = readable(normalize(text))
    for pattern, said in _WRITTEN:
        plain = re.sub(pattern, said, plain)
    return " ".join(plain.split())


def _amount(sign: str, whole: str, cents: str | None) -> str:
    parts = [(int(n), unit) for n, unit in zip((whole, cents or "0"), _MONEY[sign], strict=True)]
    named = [f"{n} {unit if n == 1 else _PLURALS.get(unit, unit + 's')}" for n, unit in parts if n]
    return " and ".join(named) or f"0 {_MONEY[sign][0]}s"


def _plain_digit(c: str) -> str:
    """Return ③, ⑴ and ㉑ as plain digits, for that is what the lexicon makes of them; ² and ³ are powers."""
    if c.isascii() or c.isdecimal() or c in "²³":
        return c
    plain = unicodedata.normalize("NFKC", c)
    return f" {plain} " if any(each.isdecimal() for each in plain) else c


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
