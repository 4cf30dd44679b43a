"""How well a transcript fits what was heard."""

from __future__ import annotations

import unicodedata

from rapidfuzz.distance import Levenshtein


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
    """Return each word of a transcript with whether it was heard in its place; bare words decide, as in match()."""
    said = [(word, normalised(word).split()) for word in transcript.split()]
    bare = [part for _, parts in said for part in parts]
    kept: set[int] = set()
    for block in Levenshtein.opcodes(bare, normalised(heard).split()):
        if block.tag == "equal":
            kept.update(range(block.src_start, block.src_end))
    found: list[tuple[str, bool]] = []
    at = 0
    for word, parts in said:
        found.append((word, all(i in kept for i in range(at, at + len(parts)))))
        at += len(parts)
    return tuple(found)
