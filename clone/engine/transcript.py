"""How well a transcript fits what was heard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from pypinyin import lazy_pinyin
from rapidfuzz.distance import Levenshtein

from clone.core.errors import PromptMismatch
from clone.engine.g2p import languages
from clone.engine.spelling import bare, words

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
    if languages.told(transcript) != "en":
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
    if languages.told(transcript) == "en":
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
    return [(word, [lazy_pinyin(part)[0] for part in each]) for word, each in zip(parts, told, strict=True)]
