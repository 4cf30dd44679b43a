"""How well a transcript fits what was heard, both in one spelling: numbers as digits, contractions written alike.

A person writes what is said, “nineteen dollars and fifty cents”; a recognizer writes “$19.50”. Both become the same
words here. Numbers are told digit by digit, so that it makes no difference how they were read or grouped: “1998” and
“nineteen ninety-eight”, “555-1234” and “five five five one two three four”.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from hibari.g2p import numbers
from hibari.g2p.normalize import ABBREV, CURRENCY_WORDS, MONTH_NAMES, TITLES, UNITS, normalize
from rapidfuzz.distance import Levenshtein

from clone.core.errors import PromptMismatch
from clone.engine.g2p import languages

MAX_DIGITS = 15
"""Longer numbers are nobody's “thousand”."""

_ENDLESS: int = 10**MAX_DIGITS

_SMALL: dict[str, int] = {word: n for n, word in enumerate(numbers.ONES)}
_SMALL |= {word: 10 * n for n, word in enumerate(numbers.TENS) if word}
_SCALES: dict[str, int] = {word: 1000**n for n, word in enumerate(numbers.SCALES) if word} | {"hundred": 100}
_ORDINALS = {numbers.ordinal(n).rpartition(" ")[2]: word for word, n in (_SMALL | _SCALES).items() if n}

_MONTHS = "|".join(MONTH_NAMES).lower()
_TENS = "|".join(word.removesuffix("y") for word in numbers.TENS if word)
_CURRENCIES = {"$": "dollar", "£": "pound", "€": "euro"}
_SINGULAR = {many: one for one, many in (*UNITS.values(), *CURRENCY_WORDS.values()) if many != "seconds"}
_SHORT = {
    long.lower(): short.rstrip(".").lower() for short, long in (TITLES | ABBREV).items() if long not in MONTH_NAMES
}
_AS = _SINGULAR | _SHORT | {
    "doctor": "dr", "drive": "dr", "mister": "mr", "missus": "mrs", "misses": "mrs", "cannot": "can not",
    "cant": "can not", "wont": "will not", "shant": "shall not", "ok": "okay", "gonna": "going to",
    "wanna": "want to", "gotta": "got to", "etc": "et cetera", "eg": "for example", "ie": "that is",
    "penny": "cent", "pence": "cent", "metre": "meter", "metres": "meter", "meters": "meter", "kilometre": "kilometer",
    "kilometres": "kilometer", "litre": "liter", "litres": "liter", "liters": "liter", "grams": "gram",
    "degrees": "degree", "oclock": "",
}  # fmt: skip
"""One word for another. A long name becomes the short one, for St. stands for both saint and street."""

_Rules = Iterable[tuple[str, "str | Callable[[re.Match[str]], str]"]]

_WRITTEN: _Rules = (
    (r"[’‘]", "'"),
    (r"&", " and "),
    (r"@", " at "),
    (r"%|\bper cent\b", " percent "),
    (r"(?<=\d),(?=\d{3}(?!\d))", ""),
    (r"\b(?:[^\W\d_]\.){2,}", lambda found: found[0].replace(".", "")),
    (r"(?<![\w.])[-−](?=[\d$£€])", "minus "),
    (r"([$£€]) ?(\d+)(?:\.(\d\d)(?!\d))?", lambda found: _amount(*found.groups())),
    (r"(?<=\d)\.(?=\d)", " point "),
    (r"(?<=\d)(?:st|nd|rd|th)\b", ""),
    (r"(?<=\d) ?(?:g|m|l)\b", lambda found: {"g": " gram", "m": " meter", "l": " liter"}[found[0].strip()]),
    (r"(?<=\d)(?=[^\W\d_])|(?<=[^\W\d_])(?=\d)", " "),
)
"""What is seen in writing only; letters and marks are still as they stood."""

_SPOKEN: _Rules = (
    (rf"\b({_TENS})ies\b", r"\1y s"),
    (r"(?<=\b[^\W\d_]) (?=[^\W\d_]\b)", ""),
    (r"\w+", lambda found: _AS.get(found[0], found[0])),
)
"""Letters that are told one by one are one word, as p.m. is."""

_CONTRACTED: _Rules = (
    (r"\b(do|does|did|is|are|was|were|have|has|had|would|could|should|must|need)nt\b", r"\1 not"),
    (r"\blet us\b", "lets"),
    (r"\bi am\b", "im"),
    (r"\b(you|we|they) are\b", r"\1re"),
    (r"\b(i|you|we|they) have\b", r"\1ve"),
    (r"\b(he|she|it|that|there|what|where|who|how|here) (?:is|has)\b", r"\1s"),
    (r"\b(i|you|he|she|it|we|they|that|there|who) (?:will|shall)\b", r"\1ll"),
    (r"\b(i|you|he|she|it|we|they|that|there|who) (?:would|had)\b", r"\1d"),
)

_COUNTED: _Rules = (
    (r"\boh(?= \d)|(?<= point )oh\b", "0"),
    (r"(?<=\d) (?:and a|1) half\b", " 5"),
    (rf"(?:\bthe )?\b(\d+)(?: of)? ({_MONTHS})\b", r"\2 \1"),
    (rf"\b({_MONTHS}) the (?=\d)", r"\1 "),
    (r"\bhalf past (\d+)", r"\1 30"),
    (r"\b(?:a )?quarter past (\d+)", r"\1 15"),
    (r"\b(?:a )?quarter to (\d{1,2})\b", lambda found: f"{int(found[1]) - 1 or 12} 45"),
    (r"(?<=\d) (dollar|pound|euro)(?: and)? (\d+) cent\b", r" \1 \2"),
    (r"(?<=\d) (?:and|point|to|by|x|times|slash) (?=\d)", " "),
    (r"(?<=\d) (?=\d)", ""),
)
"""For numbers in digits. Between two of them no full stop, colon or dash is told from another."""


def bare(text: str) -> str:
    """Return a text as bare words: folded case, no punctuation, single spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    # An apostrophe joins a word, everything else that is no letter or digit parts two.
    joined = folded.replace("'", "").replace("’", "")
    return " ".join("".join(c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in joined).split())


def words(text: str) -> list[str]:
    """Return an English text as bare words in one spelling, digits one by one, but for three zeros, which are one.

    The time this takes grows with the length of the text.
    """
    plain = bare(_ruled(normalize(text), _WRITTEN))
    counted = _in_digits(_ruled(_ruled(plain, _SPOKEN), _CONTRACTED).split())
    return re.findall(r"000|\d|[^\W\d_]+", _ruled(" ".join(counted), _COUNTED))


def _ruled(text: str, rules: _Rules) -> str:
    for pattern, new in rules:
        text = re.sub(pattern, new, text)
    return text


def _amount(sign: str, whole: str, cents: str | None) -> str:
    amounts = ((whole, _CURRENCIES[sign]), (cents or "", "cent"))
    return " ".join(f"{n} {unit}" for n, unit in amounts if n.strip("0")) or f"0 {_CURRENCIES[sign]}"


def _in_digits(told: list[str]) -> list[str]:
    """Return words with every number among them in digits: “two thousand and five” is “2005”."""
    found: list[str] = []
    number = _Number()
    for i, word in enumerate(told):
        if number.takes(word, told[i + 1 : i + 3]):
            continue
        found += number.digits()
        number = _Number()
        if not number.takes(word, told[i + 1 : i + 3]):
            found.append(word)
    return [*found, *number.digits()]


class _Number:
    """A number while it is told: ``whole`` is done, ``part`` may still be multiplied, less than ``room`` be added."""

    def __init__(self) -> None:
        self._literal = ""
        self._whole = self._part = 0
        self._room = self._scale = _ENDLESS

    @property
    def _begun(self) -> bool:
        return self._room < _ENDLESS

    def digits(self) -> list[str]:
        """Return it, if there is one."""
        return [self._literal or str(self._whole + self._part)] if self._begun else []

    def takes(self, word: str, following: list[str]) -> bool:
        """Add a word to it, if the number goes on, or begins, with that."""
        if word == "and":
            small = bool(following) and _ORDINALS.get(following[0], following[0]) in _SMALL
            return 100 <= self._room <= 1000 and small and "hundred" not in following
        if word == "a":
            return not self._begun and bool(following) and following[0] in _SCALES and self._adds(1, 1)
        plain = _ORDINALS.get(word, word)
        taken = self._multiplied(plain) if plain in _SCALES else self._added(plain)
        if taken and word in _ORDINALS:
            self._room = self._scale = 0
        return taken

    def _added(self, word: str) -> bool:
        if word in _SMALL:
            n = _SMALL[word]
            return self._adds(n, 10 if n >= 20 else 1)
        if not word.isdecimal():
            return False
        short = len(word) <= MAX_DIGITS
        if self._begun:
            return short and self._part == 0 and self._adds(int(word), 1)
        self._literal = word
        return self._adds(int(word) if short else 0, 1)

    def _adds(self, n: int, room: int) -> bool:
        """Add what is less than the room there is."""
        if n >= self._room or (n == 0 and self._begun):
            return False
        self._part, self._room = self._part + n, room
        return True

    def _multiplied(self, word: str) -> bool:
        n = _SCALES[word]
        if self._part == 0 or n >= self._scale or (word == "hundred" and self._part >= 100):
            return False
        self._literal = ""
        if word == "hundred":
            self._part, self._room = self._part * n, 100
        else:
            self._whole, self._part, self._room, self._scale = self._whole + self._part * n, 0, 1000, n
        return True


ALIKE = 0.5
"""Share of its letters in which what was written and what was heard in its place must agree to count as misheard."""

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_KANA = "\u3040-\u30ff"
_UNSPACED = re.compile(rf"[{_HAN}{_KANA}][^\w]*|[^{_HAN}{_KANA}]+")

Words = tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class Match:
    """A text against what is heard: ``score`` from 0 to 1, and each word of the text with whether it is heard."""

    heard: str
    score: float
    words: Words


def compare(text: str, heard: str) -> Match:
    """Return how well a text fits what was heard, as a whole and word by word."""
    return Match(heard, match(text, heard), words_heard(text, heard))


def match(transcript: str, heard: str) -> float:
    """Return how well a transcript fits what was heard, from 0 to 1.

    English is compared word by word in one spelling (spelling.py): the words that both have, of those that either
    has. What only sounds or is spelled a little different counts by the letters that agree. Other languages are
    compared letter by letter as bare words (normalised Levenshtein similarity).
    """
    if languages.detected(transcript) != "en":
        return float(Levenshtein.normalized_similarity(bare(transcript), bare(heard)))
    written, spoken = words(transcript), words(heard)
    both = 0.0
    for same, here, there in _runs(written, spoken):
        n = (len(here) + len(there)) / 2
        both += n if same else n * _alike([written[i] for i in here], [spoken[i] for i in there])
    return both / max(len(written) + len(spoken) - both, 1.0)


def check_match(transcript: str, heard: str, accuracy: float) -> float:
    """Return how well a transcript fits what was heard; refuse it when that is less than is asked for.

    Raises:
        PromptMismatch: below ``accuracy``; says what was heard.
    """
    found = match(transcript, heard)
    if found < accuracy:
        raise PromptMismatch(
            f"The transcript matches the prompt clip by {found:.2f}; at least {accuracy:.2f} is asked for. "
            f"Heard: “{heard or 'nothing'}”",
            code="prompt_mismatch",
            field="prompt_text",
            measured=round(found, 2),
            limit=accuracy,
            advice="Correct the transcript, or choose another clip.",
        )
    return found


def words_heard(transcript: str, heard: str) -> Words:
    """Return each word of a transcript with whether it was heard in its place, as match() compares them.

    In Chinese and Japanese each character is one; Chinese ones count as heard when their syllable is, for it can be
    written in simplified and in traditional characters.
    """
    if languages.detected(transcript) == "en":
        return _english_heard(transcript.split(), words(transcript), words(heard))
    said = _spoken(transcript)
    kept = _kept([part for _, parts in said for part in parts], [part for _, parts in _spoken(heard) for part in parts])
    found: list[tuple[str, bool]] = []
    at = 0
    for word, parts in said:
        found.append((word, kept.issuperset(range(at, at + len(parts)))))
        at += len(parts)
    return tuple(found)


def _english_heard(shown: list[str], written: list[str], spoken: list[str]) -> Words:
    """Tell of words as they are shown, where a few of them together may be one number, or one name for it."""
    alone = [(i, part) for i, word in enumerate(shown) for part in words(word)]
    kept = _kept(written, spoken)
    missed: set[int] = set()
    for same, here, there in _runs([part for _, part in alone], written):
        if same:
            missed.update(alone[i][0] for i, k in zip(here, there, strict=True) if k not in kept)
        elif not kept.issuperset(there):
            missed.update(alone[i][0] for i in here)
    return tuple((word, i not in missed) for i, word in enumerate(shown))


def _runs(one: list[str], other: list[str]) -> Iterator[tuple[bool, range, range]]:
    """Yield the runs of words that two lists have in common, and what lies between them, in order."""
    for same, codes in groupby(Levenshtein.opcodes(one, other), lambda code: code.tag == "equal"):
        run = list(codes)
        yield same, range(run[0].src_start, run[-1].src_end), range(run[0].dest_start, run[-1].dest_end)


def _kept(one: list[str], other: list[str]) -> set[int]:
    return {i for same, here, _ in _runs(one, other) if same for i in here}


def _alike(written: list[str], spoken: list[str]) -> float:
    alike = float(Levenshtein.normalized_similarity("".join(written), "".join(spoken)))
    return alike if alike >= ALIKE else 0.0


def _spoken(text: str) -> list[tuple[str, list[str]]]:
    """Return the words of a text, or its characters where it has no spaces, each as it stands and as bare words."""
    if not re.search(f"[{_HAN}{_KANA}]", text):
        return [(word, bare(word).split()) for word in text.split()]
    parts = [word for spaced in text.split() for word in _UNSPACED.findall(spaced)]
    told = [bare(word).split() for word in parts]
    if re.search(f"[{_KANA}]", text):
        return list(zip(parts, told, strict=True))
    from pypinyin import lazy_pinyin  # its words take a third of a second

    return [(word, [lazy_pinyin(part)[0] for part in each]) for word, each in zip(parts, told, strict=True)]
