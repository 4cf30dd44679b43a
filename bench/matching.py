"""The learned matching of hd beside the nearest frames, each speaker with weights that were not learned from them.

for fold in 0 1 2 3 4; do python scripts/build_matching.py SPEECH FOLDS/$fold.npz --without 5 $fold; done
python -m bench.matching SPEECH FOLDS

SPEECH has folders of either kind below it (see ``bench.speakers``). The base speech is the same for both.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.intervals import Value, interval, mean
from bench.kept import FOLDER
from bench.measure import ENCODERS, Judge, word_errors
from bench.speakers import Speaker, files_by_speaker, load, to_rate
from bench.texts import texts_of
from clone.audio.reader import resample
from clone.contract.speech import AS_IT_IS
from clone.core.jobs import Stop
from clone.engine import conversion, converted
from clone.engine.asr import SAMPLE_RATE as HEARD_RATE
from clone.engine.asr import Recognizer
from clone.engine.backend import LocalBackend
from clone.engine.converted import Kokoro
from clone.engine.engine import SAMPLE_RATE, Networks, trimmed
from clone.engine.profile import Profile

N_FOLDS, N_TEXTS = 5, 2
MEASURES = {"resemblyzer": "Resemblyzer", "dvector": "d-vector", "dnsmos": "DNSMOS", "wrong": "wrong words, %"}

Measured = dict[str, float]
"""By MEASURES's names, and ``words``, how many were to be said."""


class Engine(Kokoro):
    """hd, whose base speech is kept apart from what conversion makes of it."""

    def __init__(self, networks: Networks, backend: LocalBackend) -> None:
        super().__init__(networks)
        self._backend = backend

    def voice(self, speaker: Speaker) -> Profile:
        """Learn a speaker's voice."""
        return self._backend.learn(self._backend.listen(speaker.recording, speaker.recording_rate), None)

    def said(self, profile: Profile, text: str) -> Iterator[np.ndarray]:
        """Yield a text as the nearest frames make it and as attention does: float32, (n_samples,), 24 kHz."""
        parts = []
        for line in self._backend.script(text):
            pieces = [trimmed(self._base(profile, each, line.language, AS_IT_IS, Stop())) for each in line.phonemes]
            base = converted._joined(pieces, np.zeros(SAMPLE_RATE // 8, np.float32))
            features = self._networks.get(Recognizer).features(resample(base, SAMPLE_RATE, HEARD_RATE))
            parts.append((base, features, self._backend.pause(profile, line)))
        for match in (conversion.nearest, conversion.attended):
            sounds = [[conversion.convert(base, heard, profile.frames, match), pause] for base, heard, pause in parts]
            yield np.concatenate([each for sound in sounds for each in sound])


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    speech, folds = map(Path, sys.argv[1:])
    fold_of = {name: i % N_FOLDS for i, name in enumerate(files_by_speaker(speech))}
    backend = LocalBackend(FOLDER / "weights")
    engine = Engine(backend._networks, backend)
    pairs: list[tuple[str, Measured, Measured]] = []
    for folder in sorted(each for each in speech.iterdir() if each.is_dir()):
        people = load(folder)
        judge = Judge(people, FOLDER)
        for person in people:
            conversion.MATCHING = folds / f"{fold_of[person.name]}.npz"
            conversion._matching.cache_clear()
            profile = engine.voice(person)
            for text in texts_of(len(pairs) // N_TEXTS, N_TEXTS):
                before, after = (measured(judge, person.name, said, text) for said in engine.said(profile, text))
                pairs.append((person.name, before, after))
            print(person.name, file=sys.stderr, flush=True)
    show(pairs)


def measured(judge: Judge, name: str, samples: np.ndarray, text: str) -> Measured:
    """Measure a clip."""
    sound = to_rate(samples, SAMPLE_RATE)
    wrong, words = word_errors(text, judge.transcribe(sound))
    cosines = judge.likeness(name, sound)
    alike = {encoder: judge.normalise(encoder, cosines[encoder]) for encoder in ENCODERS}
    return alike | {"dnsmos": judge.dnsmos(sound), "wrong": 100 * wrong / words, "words": float(words)}


def show(pairs: list[tuple[str, Measured, Measured]]) -> None:
    """Print the means of both, and the paired differences with their 95 % intervals."""
    print(f"{len(pairs)} clips of {len({name for name, _, _ in pairs})} speakers")
    for key, title in MEASURES.items():
        weights = [one["words"] if key == "wrong" else 1.0 for _, one, _ in pairs]
        each = list(zip(pairs, weights, strict=True))
        before = mean([Value(name, one[key], weight) for (name, one, _), weight in each])
        after = mean([Value(name, other[key], weight) for (name, _, other), weight in each])
        low, high = interval(Value(name, other[key] - one[key], weight) for (name, one, other), weight in each)
        print(f"{title:<16} nearest {before:6.3f}   attended {after:6.3f}   {low:+.3f} to {high:+.3f}")


if __name__ == "__main__":
    main()
