"""Engines that are got beside everybody's work: not in the queue of what is done with an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

from clone.contract.orders import LOCAL_OWNER
from clone.core.errors import Refused
from clone.core.jobs import Queue, Stage, Stop, Tell, Waiting
from clone.core.settings import Settings
from clone.engine.backend import LocalBackend
from clone.engine.models import Judge, Models, ModelStatus, megabytes

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
