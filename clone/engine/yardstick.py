"""A likeness measured: a clone against its original, beside the stock voices and the original's own pieces."""

from __future__ import annotations

import numpy as np

from clone.audio.turns import n_people
from clone.core.likeness import Likeness
from clone.engine import styles
from clone.engine.speaker import halves_likeness, mean_direction

PIECE_MIN, PIECE_MAX = 7, 12
"""Windows of a piece: 3.2 s to 5.2 s of speech. Shorter ones are as alike as chance has it, longer ones too few."""

MIN_PIECES = 3

DRIFT = 1.4
"""How much further from a recording another one of the same person is than a piece of it is from the rest of it (as 1
less the cosine). With it another recording reaches half of the pieces, as it should: of six LibriSpeech speakers, ten
utterances each, the last five reached 47 % of the pieces of the first five (21 % without), from 6 % to 83 % by speaker;
other people reached 0.3 %."""


def measure(original: np.ndarray, clone: np.ndarray) -> Likeness:
    """Return how alike a clone and its original are.

    The original is cut into pieces as long as the clone, within PIECE_MIN and PIECE_MAX; a longer clone is cut the
    same way, and its pieces' cosines are averaged. Each piece of the original is compared with the rest of it, which
    tells, with DRIFT, how far other recordings of that person would be; and the clone is compared with the same rest.
    A clone shorter than PIECE_MIN is judged by less speech than the pieces are, and so a little severely.

    The stock voices were measured on about 15 s of speech each (scripts/build_styles.py). The less speech, the lower
    the cosine, so a clone is at a slight disadvantage against them, never at an advantage: other people's speech came
    before 17.6 of the 54 by 5 s of it and before 19.1 by 15 s; 5 s of the same person came before 53.9.

    Where several people speak in the original there is no ceiling, and nothing is told of pieces.

    Args:
        original: float32, shape (n_windows, 256), unit vectors of SpeakerEncoder.windows(), of speech alone.
        clone: as ``original``, of the preview.
    """
    length = max(1, min(PIECE_MAX, max(PIECE_MIN, len(clone)), len(original) // MIN_PIECES))
    said = np.stack([mean_direction(clone[piece]) for piece in _pieces(len(clone), min(length, len(clone)))])
    whole = mean_direction(original)
    cosine = float((said @ whole).mean())
    stock = styles.table().embeddings @ whole
    is_one = n_people(original) < 2
    own, n_reached = _own(original, said, length) if length >= PIECE_MIN and is_one else (np.zeros(0), None)
    ceiling = float(np.median(own)) if len(own) else halves_likeness(original)
    return Likeness(
        cosine,
        ceiling=ceiling if is_one else None,
        typical_stock=float(np.median(stock)),
        n_stock_beaten=int((stock < cosine).sum()),
        n_stock=len(stock),
        n_pieces_reached=n_reached,
        n_pieces=len(own) or None,
    )


def _own(original: np.ndarray, said: np.ndarray, length: int) -> tuple[np.ndarray, int]:
    """Return how near to the rest another recording like each piece would be, and how many of them the clone reaches.

    Returns:
        Cosines, shape (n_pieces,), and their number.
    """
    own, other = [], []
    for piece in _pieces(len(original), length):
        # the windows beside a piece share sound with it: neighbours overlap by half
        rest = mean_direction(np.delete(original, slice(max(0, piece.start - 1), piece.stop + 1), axis=0))
        own.append(1.0 - DRIFT * (1.0 - float(mean_direction(original[piece]) @ rest)))
        other.append(float((said @ rest).mean()))
    return np.array(own), int((np.array(other) >= np.array(own)).sum())


def _pieces(n_windows: int, length: int) -> list[slice]:
    """Return pieces of one length that do not overlap, spread over all windows."""
    starts = np.linspace(0, n_windows - length, max(1, n_windows // length)).astype(int)
    return [slice(int(start), int(start) + length) for start in starts]
