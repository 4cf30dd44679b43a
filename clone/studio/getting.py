"""Engines that are got beside everybody's work: not in the queue of what is done with an engine.

One that was got is used where it is no worse than what it would replace, on voices and sentences that are here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from rapidfuzz.distance import Levenshtein

from clone.audio.reader import read
from clone.contract.orders import LOCAL_OWNER
from clone.contract.speech import AS_IT_IS
from clone.core.errors import Refused
from clone.core.jobs import Queue, Stage, Stop, Tell, Waiting
from clone.core.settings import Settings
from clone.engine import transcript
from clone.engine.backend import SAMPLE_RATE, Heard, LocalBackend, Manner
from clone.engine.engine import Engine, Line
from clone.engine.models import Judge, Model, Models, ModelStatus, megabytes
from clone.engine.profile import Profile

_GETS_AT_ONCE = 2
"""Of the same engine, the second waits for the first, and both are told how far it is."""


def models_of(settings: Settings, judge: Judge) -> Models:
    """Return the engines of a home, got as its settings say and judged by a judge."""
    folder, source = settings.home / "models", settings.models_source
    return Models(folder, source=source, judge=judge, allow_private=settings.allow_private_urls)


def backend_of(settings: Settings, models: Models) -> LocalBackend:
    """Return the engine of this process, or what asks those on other machines that the settings name."""
    weights = settings.home / "weights"
    if not settings.engine:
        return LocalBackend(weights, models)
    from clone.engine.remote import RayBackend

    return RayBackend(weights, models, settings.engine.removeprefix("ray:"))


class Getting:
    """Gets engines; thread-safe.

    Args:
        models: knows them.
        elsewhere: whether this process does not speak itself, so that they are of no use here.
    """

    def __init__(self, models: Models, *, elsewhere: bool = False) -> None:
        self._models = models
        self._elsewhere = elsewhere
        self._queue = Queue(name="models", n_workers=_GETS_AT_ONCE)

    def close(self) -> None:
        """End what is under way, and take no more."""
        self._queue.close()

    def models(self) -> list[ModelStatus]:
        """Return the engines that can be got, and which of them are here."""
        return [self._models.status(each.name) for each in self._models.catalogue]

    def run(self, name: str, stop: Stop | None = None) -> Iterator[Stage | Waiting | ModelStatus]:
        """Get an engine, and have it compared with what it would replace; see Studio.get_model."""
        title = self._models.model(name).title
        if self._elsewhere:
            raise Refused(
                f"This Timbre speaks with engines on other machines; {title} would be of no use here.",
                code="engine_elsewhere",
                advice=f"Get it on each of those: python -m clone models get {name}",
            )

        def work(tell: Tell, asked: Stop) -> ModelStatus:
            if stop:
                stop.on_stop(asked.ask)
            self._models.get(name, asked, _stages(title, tell))
            return self._models.status(name)

        return cast(Iterator[Stage | Waiting | ModelStatus], self._queue.run(LOCAL_OWNER, work))


def _stages(title: str, tell: Tell) -> Callable[[int, int], None]:
    """Return what tells how many bytes are here, each hundredth of them once."""
    told = -1

    def step(done: int, total: int) -> None:
        nonlocal told
        if (percent := 100 * done // total) != told:
            told = percent
            name = f"Getting {title}: {megabytes(done)} of {megabytes(total)}"
            tell(Stage(name if done < total else f"Comparing {title} with what it replaces", percent, 100))

    return step


# whether one that was got is any better

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
