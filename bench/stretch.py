"""What choosing and cleaning gain: ``python -m bench.stretch FOLDER [--json FILE]``, a folder as bench.speakers has it.

From each speaker's recording a worse and longer one is made, with noisy, clipped and silent parts; a voice is learned
from its first 30 s and from its best 30 s. And one is learned with noise at 10 dB, and one of the clean recording, each
with and without noise reduction. Every voice says one text with turbo, and is compared with the held-out recordings.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.measure import ENCODERS, Judge
from bench.speakers import Speaker, to_rate
from bench.texts import PREVIEW
from clone.audio import quality, segment, turns
from clone.contract.cloning import CloneOptions
from clone.engine.backend import LocalBackend
from clone.engine.conversion import SAMPLE_RATE
from clone.studio.analysis import enhanced

RATE = 16_000
PART_S = 30.0
SEEDS = (1, 2, 3)


Samples = np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.stretch", description="Measure what choosing and cleaning gain.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    judge = Judge(arguments.folder)
    with tempfile.TemporaryDirectory(prefix="timbre-bench-") as cache:
        backend = LocalBackend(Path(cache))
        rows = [row for speaker in judge.speakers for row in compared(backend, judge, speaker)]
    found: dict[str, Any] = {}
    print("| what | encoder | without | with | gain | least gain |\n|---|---|---|---|---|---|")
    for what in dict.fromkeys(row["what"] for row in rows):
        for encoder in ENCODERS:
            pairs = np.array([(row["without"][encoder], row["with"][encoder]) for row in rows if row["what"] == what])
            gains = pairs[:, 1] - pairs[:, 0]
            figures = [*pairs.mean(axis=0), gains.mean(), gains.min()]
            found[f"{what}, {encoder}"] = dict(
                zip(("without", "with", "gain", "least"), map(float, figures), strict=True)
            )
            print(f"| {what} | {encoder} | " + " | ".join(f"{figure:+.3f}" for figure in figures) + " |")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def compared(backend: LocalBackend, judge: Judge, speaker: Speaker) -> Iterator[dict[str, Any]]:
    """Measure one speaker: every pair of voices learned without and with something."""
    clean = to_rate(speaker.recording, speaker.recording_rate, RATE)

    def heard(samples: Samples, noise_reduction: bool = False) -> dict[str, float]:
        given = enhanced(backend.listen(samples, RATE), CloneOptions(need_noise_reduction=noise_reduction))
        profile = backend.learn(given, None)
        said = np.concatenate([backend.speak(profile, line, "speech-2.8-turbo") for line in backend.script(PREVIEW)])
        return judge.likeness(speaker.name, to_rate(said, SAMPLE_RATE))

    for seed in SEEDS:
        worse = worsened(clean, np.random.default_rng(seed))
        best = best_part(backend, worse)
        first = worse[: round(PART_S * RATE)]
        yield {"what": "the best 30 s, not the first", "without": heard(first), "with": heard(best)}
    noisy = with_noise(clean, 10.0, np.random.default_rng(0))
    yield {"what": "noise at 10 dB, reduced", "without": heard(noisy), "with": heard(noisy, noise_reduction=True)}
    yield {"what": "no noise, reduced", "without": heard(clean), "with": heard(clean, noise_reduction=True)}


def worsened(clean: Samples, random: np.random.Generator) -> Samples:
    """Return a recording of about 90 s: the clean one's halves, noisy and clipped ones and silence, in any order."""
    half = len(clean) // 2
    parts = [
        clean[:half],
        clean[half:],
        with_noise(clean[:half], 5.0, random),
        clipped(clean[half:]),
        np.zeros(10 * RATE, np.float32),
        with_noise(clean[half:], 5.0, random),
    ]
    pause = np.zeros(RATE // 2, np.float32)
    return np.concatenate([piece for i in random.permutation(len(parts)) for piece in (parts[i], pause)])


def with_noise(samples: Samples, below_db: float, random: np.random.Generator) -> Samples:
    hiss = random.standard_normal(len(samples)).astype(np.float32)
    level = np.sqrt(np.mean(samples**2) / np.mean(hiss**2)) * 10 ** (-below_db / 20)
    return np.asarray(samples + hiss * np.float32(level))


def clipped(samples: Samples) -> Samples:
    top = np.quantile(np.abs(samples), 0.9)
    return np.clip(samples, -top, top)


def best_part(backend: LocalBackend, samples: Samples) -> Samples:
    heard = backend.listen(samples, RATE)
    spans = quality.clipped_spans(samples, RATE)
    who = turns.who_speaks(*backend.voices(heard))
    found = segment.best_segment(samples, RATE, heard.spans, spans, who, at_most_s=PART_S)
    assert found is not None, "there is a clean half in each"
    return samples[round(found.start_s * RATE) : round(found.end_s * RATE)]


if __name__ == "__main__":
    main()
