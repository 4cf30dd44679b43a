"""How sure a mean is: the bootstrap over speakers, and over what each one says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

N_DRAWS = 5_000
SEED = 0
PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class Value:
    """One measurement of a speaker; a mean counts it by its weight."""

    speaker: str
    value: float
    weight: float = 1.0


def mean(values: list[Value]) -> float:
    """Return the weighted mean."""
    return float(np.average([each.value for each in values], weights=[each.weight for each in values]))


def interval(values: Iterable[Value]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the weighted mean.

    Speakers are drawn anew, then each one's values: what one speaker says is alike, and must not count as
    independent. The draws are the same every time.
    """
    by_speaker: dict[str, list[Value]] = defaultdict(list)
    for each in values:
        by_speaker[each.speaker].append(each)
    rows = list(by_speaker.values())
    counts = np.array([len(row) for row in rows])
    table = np.zeros((2, len(rows), counts.max()))  # values times weights, and weights; 0 where a row is shorter
    for i, row in enumerate(rows):
        table[:, i, : len(row)] = np.transpose([(each.value * each.weight, each.weight) for each in row])
    random = np.random.default_rng(SEED)
    drawn = random.integers(len(rows), size=(N_DRAWS, len(rows), 1))
    which = (random.random((N_DRAWS, len(rows), counts.max())) * counts[drawn]).astype(int)
    sums, weights = table[:, drawn, which] * (np.arange(counts.max()) < counts[drawn])
    low, high = np.percentile(sums.sum(axis=(1, 2)) / weights.sum(axis=(1, 2)), PERCENTILES)
    return float(low), float(high)


def figure(values: list[Value]) -> dict[str, Any]:
    """Return a mean with its interval, as JSON has it."""
    return {"value": mean(values), "ci95": list(interval(values))}
