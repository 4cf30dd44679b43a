"""How well a transcript fits what was heard."""

from __future__ import annotations

import re
import unicodedata

from pypinyin import lazy_pinyin
from rapidfuzz.distance import Levenshtein

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_KANA = "\u3040-\u30ff"
_UNSPACED = re.compile(rf"[{_HAN}{_KANA}][^\w]*|[^{_HAN}{_KANA}]+")


def normalised(text: str) -> str:
    """Return a text as bare words: folded case, no punctuation, single spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    # An apostrophe joins a word, everything else that is no letter or digit parts two.
    joined = folded.replace("'", "").replace("’", "")
    return " ".join("".join(c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in joined).split())


def match(transcript: str, heard: str) -> float:
    """Return how alike two texts are as bare words, from 0 to 1 (normalised Levenshtein similarity)."""
    return float(Levenshtein.normalized_similarity(normalised(transcript), normalised(heard)))


def words_heard(transcript: str, heard: str) -> tuple[tuple[str, bool], ...]:
    """Return each word of a transcript with whether it was heard in its place; bare words decide, as in match().

    In Chinese and Japanese each character is one; Chinese ones count as heard when their syllable is, for it can be
    written in simplified and in traditional characters.
    """
    said = _spoken(transcript)
    bare = [part for _, parts in said for part in parts]
    kept: set[int] = set()
    for block in Levenshtein.opcodes(bare, [part for _, parts in _spoken(heard) for part in parts]):
        if block.tag == "equal":
            kept.update(range(block.src_start, block.src_end))
    found: list[tuple[str, bool]] = []
    at = 0
    for word, parts in said:
        found.append((word, all(i in kept for i in range(at, at + len(parts)))))
        at += len(parts)
    return tuple(found)


def _spoken(text: str) -> list[tuple[str, list[str]]]:
    """Return the words of a text, or its characters where it has no spaces, each as it stands and as bare words."""
    if not re.search(f"[{_HAN}{_KANA}]", text):
        return [(word, normalised(word).split()) for word in text.split()]
    words = [word for spaced in text.split() for word in _UNSPACED.findall(spaced)]
    bare = [normalised(word).split() for word in words]
    if re.search(f"[{_KANA}]", text):
        return list(zip(words, bare, strict=True))
    return [(word, [lazy_pinyin(part)[0] for part in parts]) for word, parts in zip(words, bare, strict=True)]
