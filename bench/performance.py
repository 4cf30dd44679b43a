"""A person's own performance in a cloned voice: ``python -m bench.performance FOLDER [--speakers N] [--takes N]``.

FOLDER is one folder a speaker, as ``bench.speakers`` knows them. Each speaker is cloned, and what others say in their
held-out recordings is brought to that voice: by one whose pitch is near, and one whose pitch is far. The same words
are spoken by turbo. Words are what tiny.en hears in the take itself: only what gets lost on the way is an error.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import kept, speakers
from bench.measure import Judge
from bench.speakers import SAMPLE_RATE, Speaker
from bench.systems import MODELS
from clone.audio.reader import resample
from clone.core.jobs import Stop
from clone.engine import conversion
from clone.engine.asr import Recognizer
from clone.engine.backend import SAMPLE_RATE as SPOKEN_RATE
from clone.engine.backend import LocalBackend
from clone.engine.profile import Profile
from clone.engine.speaker import median_pitch_hz

FIGURES = ("resemblyzer", "dvector", "wer", "dnsmos")
TAKE_S = (4.0, 14.0)


@dataclass(frozen=True)
class Case:
    """One take: who is cloned, who performs, how far apart their pitches are, what is said."""

    voice: Speaker
    performer: str
    apart_st: float
    samples: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.performance", description="Measure takes in a cloned voice.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--speakers", type=int)
    parser.add_argument("--takes", type=int, default=2, help="of each performer, for each voice")
    arguments = parser.parse_args()
    people = speakers.load(arguments.folder, arguments.speakers)
    judge = Judge(people, kept.FOLDER)
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="timbre-bench-") as folder:
        backend = LocalBackend(Path(folder))
        for voice in people:
            profile = backend.learn(backend.listen(voice.recording, voice.recording_rate), None)
            for case in _cases(voice, people, arguments.folder, arguments.takes):
                text = judge.transcribe(case.samples)
                group = "near" if abs(case.apart_st) < 3 else "far"
                performed = _performed(backend, profile, case.samples)
                line = [backend.speak(profile, each, MODELS["turbo"]) for each in backend.script(text, "en")]
                for system, samples, rate in (
                    ("performed", performed, SPOKEN_RATE),
                    ("turbo", np.concatenate(line), SPOKEN_RATE),
                    ("take as it is", case.samples, SAMPLE_RATE),
                ):
                    measured = judge.judge(voice.name, samples, rate, text)
                    found.setdefault(f"{system}, pitch {group}", []).append(measured)
                    told = "  ".join(f"{name} {measured[name]:.3f}" for name in FIGURES)
                    print(f"{voice.name} by {case.performer} ({case.apart_st:+.1f} st) {system}: {told}", flush=True)
    print(f"\n{'':<28}{'n':>4}" + "".join(f"{name:>13}" for name in FIGURES))
    for system, measures in sorted(found.items()):
        means = "".join(f"{np.mean([each[name] for each in measures]):>13.3f}" for name in FIGURES)
        print(f"{system:<28}{len(measures):>4}{means}")


def _performed(backend: LocalBackend, profile: Profile, take: np.ndarray) -> np.ndarray:
    """Return a take (16 kHz) in a voice, with its own words, rhythm and melody: the take is the base speech."""
    features = backend._networks.get(Recognizer).features(take, Stop())
    return conversion.convert(resample(take, SAMPLE_RATE, SPOKEN_RATE), features, profile.frames)


def _cases(voice: Speaker, people: list[Speaker], folder: Path, n_takes: int) -> Iterator[Case]:
    own_hz = median_pitch_hz(voice.reference)
    apart = {each.name: 12 * np.log2(median_pitch_hz(each.reference) / own_hz) for each in people if each is not voice}
    ordered = sorted(apart, key=lambda name: abs(apart[name]))
    for performer in dict.fromkeys((ordered[0], ordered[-1])):
        files = sorted(path for path in (folder / performer).iterdir() if path.suffix in speakers.SUFFIXES)
        takes = (speakers.read(path) for path in files[-speakers.N_HELD_OUT :])
        fit = [each for each in takes if TAKE_S[0] <= each.duration_s <= TAKE_S[1]][:n_takes]
        for take in fit:
            yield Case(voice, performer, float(apart[performer]), speakers.to_rate(take.samples, take.sample_rate))


if __name__ == "__main__":
    main()
