"""How long a text can keep the phonemizer busy: ``python -m bench.nasty [--texts N] [--languages en ja]``.

Each text has the most characters that a clone's text may have, put together by a seed from a few pieces of all that
texts are made of when they are meant to hurt. What is printed for each language: the slowest text's seconds and the
usual ones, by the processor's clock, the longest by the clock on the wall, which counts espeak-ng's process and
whatever else this machine does, and how many phonemes a character became at most.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np

from clone.contract.cloning import TEXT_MAX_CHARS
from clone.contract.speech import LANGUAGES
from clone.core.errors import TextError
from clone.engine.backend import LocalBackend
from clone.engine.g2p.languages import can_speak

SEED = 1
PIECES_MAX = 5
"""Of so many different pieces a text is made: with more of them no two parts of it fall together."""

PIECES = (
    "a", "q", "qz", "aA", "AAa", "x2x", "used", "to", "the", "n't", "'s", "s'", "ﬁ", "ß", "İ", "ŵ",
    "e\u0301", "\u0301",
    "1", "12", "-1", "1/", "1/2", "0", "9999999999", "1,", ",1", ".5", "1.2.3", "1st", "1k", "½",
    "²", "³", "¹", "③", "㉑",
    "Ⅷ", "٣", "१", "\U0001d7d9", "12:30", "1990-01-01", "XIV", "10am", "a.m.", "Mr.", "St ", "No. ", "5 km", "°C",
    "http://", "www.", "@a", "@", "#", "$", "€", "¢",
    "%", "&", "=", "<", ">", "~", "^", "+", "*", "|", "\\", "/", "_", "©",
    "'", "''", "’", "‘", "\"", "“", "”",
    "(", ")", "[", "]", "[1](a b)", "](", "](/a/)", ".", "...", "…", "!", "?", ",", ";",
    ":", "-", "--", "–", "—", " ", "  ", "\n", "\t", "\u00a0", "\u200b", "\u200d", "\u3000", "\x00", "\u202e", "\ud800",
    "👩\u200d👩\u200d👧", "😀", "Ⓐ", "🄰", "㍿", "№", "ﷺ",
    "你", "你好世界", "个", "こ", "カタカナー", "한", "م", "नम", "क्", "ं", "α",
)  # fmt: skip


def text(random: Random, length: int = TEXT_MAX_CHARS) -> str:
    """Return a nasty text of so many characters."""
    pieces = random.sample(PIECES, random.randint(1, PIECES_MAX))
    return "".join(random.choice(pieces) for _ in range(length))[:length]


def texts(n_texts: int, length: int = TEXT_MAX_CHARS) -> Iterator[str]:
    """Yield as many nasty texts, the same every time."""
    random = Random(SEED)
    return (text(random, length) for _ in range(n_texts))


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.nasty", description="Time the nastiest texts.")
    parser.add_argument("--texts", type=int, default=10_000, help="how many, over all languages")
    parser.add_argument("--languages", nargs="*", choices=LANGUAGES, help="by default all that are there")
    arguments = parser.parse_args()
    languages = arguments.languages or [code for code in LANGUAGES if can_speak(code)]
    with tempfile.TemporaryDirectory(prefix="timbre-bench-") as cache:
        backend = LocalBackend(Path(cache))
        slowest = max(measure(backend, code, arguments.texts // len(languages)) for code in languages)
    print(f"slowest of all: {slowest[0]:.2f} s, {slowest[1]}: {slowest[2][:60]!r}")


def measure(backend: LocalBackend, language: str, n_texts: int) -> tuple[float, str, str]:
    """Time a language's texts; print what came of it and return the slowest's seconds, the language, and that text."""
    backend.script("Hola.", language)  # loads what is loaded once
    taken = [(*_read(backend, said, language), said) for said in texts(n_texts)]
    seconds, walls, expansions, _ = zip(*taken, strict=True)
    most, *_, slowest = max(taken)
    print(
        f"{language}: {n_texts} texts, median {np.median(seconds):.2f} s, slowest {most:.2f} s, on the wall "
        f"{max(walls):.2f} s, at most {max(expansions):.1f} phonemes a character: {slowest[:60]!r}",
        flush=True,
    )
    return most, language, slowest


def _read(backend: LocalBackend, said: str, language: str) -> tuple[float, float, float]:
    """Return the seconds that a text took, by the processor's clock and on the wall, and its phonemes a character."""
    before, began, n_phonemes = time.process_time(), time.perf_counter(), 0
    try:
        lines = backend.script(said, language)
        n_phonemes = sum(len(piece) for line in lines for piece in line.phonemes)
    except TextError:  # nothing in it can be read, or espeak-ng died of it
        pass
    return time.process_time() - before, time.perf_counter() - began, n_phonemes / len(said)


if __name__ == "__main__":
    main()
