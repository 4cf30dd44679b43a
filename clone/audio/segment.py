"""The part of a recording to clone from: the cleanest segment of one speaker, and a clean sentence in it."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, replace

import numpy as np

from clone.audio.preflight import speech_s
from clone.audio.quality import FRAME_S, Spans, frame_power, framed
from clone.audio.reader import Recording
from clone.audio.turns import Turns
from clone.contract import cloning

AT_MOST_S = 60.0
"""As much as the engine learns from (engine.local.MAX_LEARNED_S)."""

WHOLE_SHARE = 0.9
"""A segment of more than this share of a recording that is short enough is the recording."""

PIECE_S = 8.0
"""Speech without a pause for longer is parted at its quietest moment, so that one bad word does not cost a minute."""

EDGE_S = 0.25
"""Kept of the pause on either side."""

SNR_BAD_DB, SNR_GOOD_DB = 12.0, 26.0
"""From where on a piece counts against, and in full for, a segment; the ratio of its mean power to its quiet frames."""

OTHER_VOICE = 0.45
"""Cosine to the voice of a piece's person, below which it is too odd to be learned from, or a short word of another."""

NOBODY = -1

SENTENCE_S = (3.0, 7.5)
SENTENCE_WANTED_S = 5.5
SENTENCE_PAUSE_S = 0.3
"""Least pause on either side of a sentence; within one, people pause for less."""


VARIETY_BANDS = 12
VARIETY_MOST = 1.25
"""As much as variety may count for; as little as one over it."""


@dataclass(frozen=True)
class Segment:
    """A part of a recording, in seconds, and why it was chosen: sentences for a person."""

    start_s: float
    end_s: float
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Alone:
    """What there is of one person alone: ``part`` can be cloned, None where that is too little.

    ``longest`` is where they speak longest without another, (start, end) in seconds.
    """

    part: tuple[float, float] | None
    longest: tuple[float, float]


PEOPLE_MAX = 3
"""People who are told apart for a person to choose from: who speaks less is hardly told apart."""


@dataclass(frozen=True)
class _Piece:
    start_s: float
    end_s: float
    snr_db: float
    clipped_s: float
    person: int
    odd: bool

    @property
    def worth(self) -> float:
        """Seconds it is worth; less than nothing where it would do harm."""
        if self.odd or self.clipped_s > 0.02 * (self.end_s - self.start_s):
            return -2.0 * (self.end_s - self.start_s)
        clean = (self.snr_db - SNR_BAD_DB) / (SNR_GOOD_DB - SNR_BAD_DB)
        return float(np.clip(clean, -1.0, 1.0)) * (self.end_s - self.start_s)


def best_segment(
    samples: np.ndarray, sample_rate: int, speech: Spans, clipped: Spans, who: Turns, *, at_most_s: float = AT_MOST_S
) -> Segment | None:
    """Return the cleanest, most varied segment with the most speech of one person, cut at pauses.

    It is of whoever speaks most; where that person never speaks for long enough, of who comes next.

    Args:
        samples: float32, shape (n_samples,), mono.
        sample_rate: Hz.
        speech: (start, end) of speech in seconds, in order.
        clipped: (start, end) of clipping in seconds.
        who: who speaks when.
        at_most_s: its longest.

    Returns:
        The segment; None where it would be the whole recording, or where nothing is long enough.
    """
    duration_s = len(samples) / sample_rate
    pieces = _pieces(samples, sample_rate, speech, clipped, who)
    if not pieces:
        return None
    bounds = _bounds(pieces, duration_s)
    found = _of_each(pieces, bounds, _Variety(samples, sample_rate, pieces), max(1, who.n_persons), at_most_s)
    chosen = next((each for each in found if each is not None), None)
    if chosen is None:
        return None
    start_s, end_s = bounds[chosen.start][0], bounds[chosen.stop - 1][1]
    if who.n_persons < 2 and duration_s <= at_most_s and end_s - start_s > WHOLE_SHARE * duration_s:
        return None
    return Segment(round(start_s, 2), round(end_s, 2), _reasons(pieces, chosen))


def each_alone(samples: np.ndarray, sample_rate: int, speech: Spans, clipped: Spans, who: Turns) -> tuple[Alone, ...]:
    """Return the best part of each of several people, who speaks most first; nothing where one person speaks.

    Args are those of ``best_segment``, whose segment is one of these parts.
    """
    pieces = _pieces(samples, sample_rate, speech, clipped, who) if who.n_persons > 1 else []
    if not pieces:
        return ()
    bounds = _bounds(pieces, len(samples) / sample_rate)
    n = who.n_persons
    found = _of_each(pieces, bounds, _Variety(samples, sample_rate, pieces), n, AT_MOST_S)
    spans = [tuple(_span(bounds, each) if each else None for each in found[person::n]) for person in range(n)]
    runs = [(person, _span(bounds, run)) for person, run in _runs(pieces)]
    alone = []
    for person in range(min(n, PEOPLE_MAX)):
        own = [run for whose, run in runs if whose == person]
        part = next((span for span in spans[person] if span is not None), None)
        if own:
            alone.append(Alone(part, max(own, key=lambda run: run[1] - run[0])))
    return tuple(alone) if len(alone) > 1 else ()


def _of_each(
    pieces: list[_Piece], bounds: list[tuple[float, float]], varied: _Variety, n_persons: int, at_most_s: float
) -> list[slice | None]:
    """Return the best run of each person; where there are several, then the best of each, however noisy it is."""
    people = range(n_persons)
    found = [_best(pieces, bounds, varied, person, at_most_s) for person in people]
    if n_persons > 1:  # of one of them, however noisy, rather than of several
        forgiven = [replace(piece, snr_db=SNR_GOOD_DB) for piece in pieces]
        found += [_best(forgiven, bounds, varied, person, at_most_s) for person in people]
    return found


def _span(bounds: list[tuple[float, float]], run: slice) -> tuple[float, float]:
    return round(bounds[run.start][0], 2), round(bounds[run.stop - 1][1], 2)


def _runs(pieces: list[_Piece]) -> list[tuple[int, slice]]:
    """Return who speaks without another, and where."""
    starts = [i for i, piece in enumerate(pieces) if i == 0 or piece.person != pieces[i - 1].person]
    ends = [*starts[1:], len(pieces)]
    return [(pieces[start].person, slice(start, end)) for start, end in zip(starts, ends, strict=True)]


def _best(
    pieces: list[_Piece], bounds: list[tuple[float, float]], varied: _Variety, person: int, at_most_s: float
) -> slice | None:
    """Return the run of one person's pieces that is worth most; None where none is long enough."""
    best, chosen = 0.0, None
    for first in range(len(pieces)):
        worth = 0.0
        for last in range(first, len(pieces)):
            long_s = bounds[last][1] - bounds[first][0]
            if long_s > at_most_s or pieces[last].person != person:
                break
            worth += pieces[last].worth
            if long_s < cloning.REFERENCE_MIN_S or worth * VARIETY_MOST <= best:
                continue
            if worth * varied(first, last) > best:
                best, chosen = worth * varied(first, last), slice(first, last + 1)
    return chosen


def cut(recording: Recording, start_s: float, end_s: float) -> Recording:
    """Return a part of a recording as a recording of its own, as a 16-bit wav would hold it."""
    rate = recording.sample_rate
    start, end, before = (round(at_s * rate) for at_s in (start_s, end_s, recording.begins_s))
    key = hashlib.sha256(f"{recording.sha256} {start} {end}".encode()).hexdigest()
    samples = recording.samples[start - before : end - before].copy()  # the rest need not stay in memory for it
    return Recording(samples, rate, "wav", 44 + 2 * (end - start), key, full_s=(end - start) / rate)


def between_pauses(samples: np.ndarray, sample_rate: int, speech: Spans, clipped: Spans) -> list[tuple[float, float]]:
    """Return what may be clean sentences, for a prompt clip: speech of such a length with a pause on either side.

    Args:
        samples: float32, shape (n_samples,), mono.
        sample_rate: Hz.
        speech: (start, end) of speech in seconds, in order.
        clipped: (start, end) of clipping in seconds.

    Returns:
        (start, end) in seconds, within SENTENCE_S and the contract's limit, the best first. At the very edges of a
        recording there is no pause: nobody knows what was said before.
    """
    duration_s = len(samples) / sample_rate
    power = frame_power(samples, sample_rate)
    starts = [0.0, *(end for _, end in speech)]
    ends = [*(start for start, _ in speech[1:]), duration_s]
    found = []
    for first, (start_s, _) in enumerate(speech):
        for last in range(first, len(speech)):
            end_s = speech[last][1]
            if end_s - start_s > SENTENCE_S[1]:
                break
            apart = min(start_s - starts[first], ends[last] - end_s) >= SENTENCE_PAUSE_S
            if end_s - start_s >= SENTENCE_S[0] and apart and not _within(clipped, start_s, end_s):
                near = abs(end_s - start_s - SENTENCE_WANTED_S)
                found.append((min(_snr_db(power, start_s, end_s), 40.0) - 4 * near, start_s, end_s))
    return [(start_s - EDGE_S / 2, end_s + EDGE_S / 2) for _, start_s, end_s in sorted(found, reverse=True)]


class _Variety:
    """How varied runs of pieces are, against all of them: sounds and melody both move the spectrum's bands about.

    It is the ratio of the bands' spread, their generalised standard deviation, over the frames of speech.
    """

    def __init__(self, samples: np.ndarray, sample_rate: int, pieces: list[_Piece]) -> None:
        n = round(FRAME_S * sample_rate)
        top = (n // 2 + 1) * min(1.0, 16_000 / sample_rate)
        edges = np.unique(np.geomspace(2, top, VARIETY_BANDS + 1).astype(int))
        window = np.hanning(n).astype(np.float32)
        parts = [np.zeros((0, len(edges) - 1), np.float32)]
        for frames in framed(samples, n):
            power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
            parts.append(np.log(np.add.reduceat(power, edges[:-1], axis=1) + 1e-9))
        bands = np.concatenate(parts)
        sums = [(0, np.zeros(bands.shape[1]), np.zeros((bands.shape[1],) * 2))]
        for piece in pieces:
            x = bands[round(piece.start_s / FRAME_S) : round(piece.end_s / FRAME_S)].astype(np.float64)
            n_before, sum_before, squares_before = sums[-1]
            sums.append((n_before + len(x), sum_before + x.sum(axis=0), squares_before + x.T @ x))
        self._sums = sums
        self._full_spread = self._spread(0, len(pieces) - 1) if pieces else 0.0

    def __call__(self, first: int, last: int) -> float:
        """Return it for a run of pieces, from one over VARIETY_MOST to that."""
        return float(np.clip(np.exp(self._spread(first, last) - self._full_spread), 1 / VARIETY_MOST, VARIETY_MOST))

    def _spread(self, first: int, last: int) -> float:
        before, after = self._sums[first], self._sums[last + 1]
        n = after[0] - before[0]
        if n < 2 * VARIETY_BANDS:
            return -1.0
        mean = (after[1] - before[1]) / n
        covariance = (after[2] - before[2]) / n - np.outer(mean, mean) + 1e-3 * np.eye(len(mean))
        return float(np.linalg.slogdet(covariance)[1]) / (2 * len(mean))


def _pieces(samples: np.ndarray, sample_rate: int, speech: Spans, clipped: Spans, who: Turns) -> list[_Piece]:
    power = frame_power(samples, sample_rate)
    unsure = [*who.changes_s(), *who.doubts_s()]
    pieces = []
    for start_s, end_s in (part for span in speech for part in _split(span, unsure)):
        nobodys = any(a <= start_s and end_s <= b for a, b in unsure)
        for piece in [(start_s, end_s)] if nobodys else _parted(power, start_s, end_s):
            person, alike = (NOBODY, 0.0) if nobodys else who.during(*piece)
            if who.n_persons > 1 and alike < OTHER_VOICE:  # it may be another's word, too short to be told
                person = NOBODY
            snr_db, clipped_s = _snr_db(power, *piece), _within(clipped, *piece)
            pieces.append(_Piece(*piece, snr_db, clipped_s, person, alike < OTHER_VOICE))
    return pieces


def _split(span: tuple[float, float], at: Spans) -> list[tuple[float, float]]:
    """Return a span in parts, cut at both ends of everything that lies in it."""
    inside = sorted({edge for zone in at for edge in zone if span[0] < edge < span[1]})
    return list(itertools.pairwise([span[0], *inside, span[1]]))


def _bounds(pieces: list[_Piece], duration_s: float) -> list[tuple[float, float]]:
    """Return where each piece would be cut: in the pauses beside it."""
    befores = [0.0, *(piece.end_s for piece in pieces[:-1])]
    afters = [*(piece.start_s for piece in pieces[1:]), duration_s]
    return [
        (max(each.start_s - EDGE_S, (before + each.start_s) / 2), min(each.end_s + EDGE_S, (each.end_s + after) / 2))
        for each, before, after in zip(pieces, befores, afters, strict=True)
    ]


def _parted(power: np.ndarray, start_s: float, end_s: float) -> list[tuple[float, float]]:
    """Return a long span in pieces, parted at the quietest moments of their middle halves."""
    if end_s - start_s <= PIECE_S:
        return [(start_s, end_s)]
    quarter = (end_s - start_s) / 4
    low, high = round((start_s + quarter) / FRAME_S), round((end_s - quarter) / FRAME_S)
    at_s = (low + int(power[low:high].argmin())) * FRAME_S if len(power[low:high]) else (start_s + end_s) / 2
    return [*_parted(power, start_s, at_s), *_parted(power, at_s, end_s)]


def _snr_db(power: np.ndarray, start_s: float, end_s: float) -> float:
    """Return how far the mean of a piece lies above its quietest tenth, pauses around it included."""
    around = power[max(0, round((start_s - EDGE_S) / FRAME_S)) : round((end_s + EDGE_S) / FRAME_S)]
    if not len(around):
        return 0.0
    return 10.0 * float(np.log10((around.mean() + 1e-12) / (np.percentile(around, 10) + 1e-12)))


def _within(spans: Spans, start_s: float, end_s: float) -> float:
    return speech_s([(max(a, start_s), min(b, end_s)) for a, b in spans if a < end_s and b > start_s])


def _reasons(pieces: list[_Piece], chosen: slice) -> tuple[str, ...]:
    inside, outside = pieces[chosen], [*pieces[: chosen.start], *pieces[chosen.stop :]]
    spoken_s = sum(piece.end_s - piece.start_s for piece in inside)
    said = [f"It holds {spoken_s:.0f} s of speech."]
    clean, rest = (float(np.median([piece.snr_db for piece in each])) if each else 99.0 for each in (inside, outside))
    if rest < clean - 3.0:
        said.append(f"It is cleaner than the rest, by {clean - rest:.0f} dB.")
    if any(piece.clipped_s for piece in outside) and not any(piece.clipped_s for piece in inside):
        said.append("What is clipped is left out.")
    if any(piece.person not in {inside[0].person, NOBODY} for piece in outside):
        said.append("Other voices are left out.")
    beside = [*pieces[: chosen.start][-1:], *pieces[chosen.stop :][:1]]
    if all(piece.person == inside[0].person or not _touch(piece, inside) for piece in beside):
        said.append("It begins and ends in a pause.")
    return tuple(said)


def _touch(piece: _Piece, run: list[_Piece]) -> bool:
    """Tell whether a piece goes over into a run of pieces without a pause."""
    return piece.end_s == run[0].start_s or run[-1].end_s == piece.start_s
