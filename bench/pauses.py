"""How long people pause between sentences, told from what is cloned of them: ``python -m bench.pauses FOLDER …``.

What is told of each speaker is held against the pauses in their held-out recordings; see ``bench.speakers`` for the
folders. The usual pause is chosen by the speakers of four folds and judged on the fifth. Printed are mean errors, as
factors, and the paired differences to one pause for everybody with their 95 % intervals.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.intervals import Value, interval
from bench.speakers import load
from clone.engine import prosody
from clone.engine.asr import speech_spans

N_FOLDS = 5
USUAL_S = (0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8)
BEFORE_S = 0.35
"""What a sentence's pause was for everybody at pace 1."""
AS_SURE = (1.0, 2.0, 4.0, 8.0, 16.0)

Gaps = np.ndarray
Told = Callable[[Gaps, float], float]


def main() -> None:
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    people = [person for folder in sys.argv[1:] for person in load(Path(folder))]
    known = [(gaps(person.reference), gaps(person.true_voice)) for person in people]
    folds = [(i % N_FOLDS, own, held_out) for i, (own, held_out) in enumerate(known) if len(held_out)]
    print(f"{len(folds)} of {len(people)} speakers pause in what is held out")
    alike = judged(folds, lambda own, usual_s: usual_s)
    before = [error(BEFORE_S, held_out) for _, _, held_out in folds]
    show("as before", before, alike)
    show("one for everybody", alike, alike)
    for as_sure in AS_SURE:
        own = judged(folds, by(as_sure))
        show(f"own, {as_sure:g} as sure", own, alike)
        show("  beside before", own, before)


def gaps(sound: np.ndarray) -> Gaps:
    """Return the pauses between sentences in a sound (16 kHz), in seconds."""
    return np.array(prosody.pauses(speech_spans(sound)))


def by(as_sure: float) -> Told:
    """Return what tells a pause as the engine does, if the usual one says as much as so many of a person's own."""
    return lambda own, usual_s: float(
        np.exp((np.log(own).sum() + as_sure * np.log(usual_s)) / (len(own) + as_sure)) if len(own) else usual_s
    )


def judged(folds: list[tuple[int, Gaps, Gaps]], told: Told) -> list[float]:
    """Return each speaker's error, the usual pause chosen by those of the other folds."""
    errors = []
    for fold, own, held_out in folds:
        others = [each for each in folds if each[0] != fold]
        usual_s = min(USUAL_S, key=lambda usual: np.mean([error(told(mine, usual), true) for _, mine, true in others]))
        errors.append(error(told(own, usual_s), held_out))
    return errors


def error(told_s: float, held_out: Gaps) -> float:
    """Return how far a pause is from the geometric mean of others, as the absolute logarithm of their ratio."""
    return float(abs(np.log(told_s) - np.log(held_out).mean()))


def show(name: str, errors: list[float], against: list[float]) -> None:
    apart = [one - other for one, other in zip(errors, against, strict=True)]
    low, high = interval(Value(str(speaker), each) for speaker, each in enumerate(apart))
    print(f"{name:<20} off by a factor of {np.exp(np.mean(errors)):.2f}   {np.mean(errors) - np.mean(against):+.3f} "
          f"({low:+.3f} to {high:+.3f})")  # fmt: skip


if __name__ == "__main__":
    main()
