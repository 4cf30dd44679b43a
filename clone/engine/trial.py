"""Whether an engine that was got is any better than the one it would replace, on voices and sentences that are here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rapidfuzz.distance import Levenshtein

from clone.audio.reader import read
from clone.contract.speech import AS_IT_IS
from clone.core.jobs import Stop
from clone.engine import transcript
from clone.engine.backend import SAMPLE_RATE, Heard, LocalBackend, Manner
from clone.engine.engine import Engine, Line
from clone.engine.models import Model
from clone.engine.profile import Profile

EXAMPLES = Path(__file__).resolve().parents[2] / "assets" / "examples"

SENTENCES = (
    "The train to the coast leaves at nine, and it will not wait for us.",
    "She asked whether anyone had seen the keys that were lying on the kitchen table.",
    "Nobody knew how the old clock had come to stop on the very same day.",
)

WRONG_WORDS_MORE = 0.03
"""Of all words, as many more may be wrong than the other engine's."""


@dataclass(frozen=True)
class Result:
    """How an engine did: the share of words that were heard wrong, and the mean likeness, a cosine."""

    wrong_words: float
    likeness: float


def judged(backend: LocalBackend, model: Model) -> str:
    """Say why an engine is worse than what it would replace; "" when it is not.

    It clones the example voices and says the sentences with each, as the other does in the same run.

    Args:
        backend: has both engines.
        model: the one that was got.

    Raises:
        WeightsError: its weights are damaged.
    """
    new, old = backend.named(model.name), backend.named("kokoro")
    recordings = sorted(path for path in EXAMPLES.iterdir() if path.suffix != ".json")
    voices = [_learned(backend, new, path) for path in recordings]
    theirs, ours = (_result(backend, engine, voices) for engine in (new, old))
    if theirs.wrong_words > ours.wrong_words + WRONG_WORDS_MORE:
        return (
            f"{model.title} is not used: {100 * theirs.wrong_words:.0f} % of its words were heard wrong here, "
            f"and {100 * ours.wrong_words:.0f} % of {old.title}’s."
        )
    if theirs.likeness < ours.likeness:
        return (
            f"{model.title} is not used: its voices are less like the recordings here ({theirs.likeness:.2f}) "
            f"than {old.title}’s ({ours.likeness:.2f})."
        )
    return ""


def _learned(backend: LocalBackend, engine: Engine, path: Path) -> Profile:
    recording = read(path)
    heard = backend.listen(recording.samples, recording.sample_rate)
    return engine.learn(backend.learn(heard, None), heard, None, Stop())


def _result(backend: LocalBackend, engine: Engine, voices: list[Profile]) -> Result:
    lines = [line for sentence in SENTENCES for line in backend.script(sentence)]
    said = [(voice, line, _said(engine, voice, line)) for voice in voices for line in lines]
    wrong = sum(_n_wrong(backend, line.text, samples) for _, line, samples in said)
    n_words = sum(len(transcript.words(line.text)) for _, line, _ in said)
    alike = [backend.likeness(voice, samples) for voice, _, samples in said]
    return Result(wrong / n_words, float(np.mean(alike)))


def _said(engine: Engine, voice: Profile, line: Line) -> np.ndarray:
    return np.concatenate(list(engine.speak(voice, line, Manner(AS_IT_IS), Stop())))


def _n_wrong(backend: LocalBackend, text: str, samples: np.ndarray) -> int:
    heard = backend.transcribe(Heard(samples, SAMPLE_RATE, []), ("en", 1.0))
    return int(Levenshtein.distance(transcript.words(text), transcript.words(heard)))
