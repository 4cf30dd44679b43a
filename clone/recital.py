"""Saying a text of any length, sentence by sentence, each handed over as soon as it is spoken."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from typing import cast

from clone import contract
from clone.engine.conversion import SAMPLE_RATE
from clone.engine.local import Line, LocalBackend
from clone.engine.profile import Profile
from clone.errors import BusyError, VoiceError
from clone.jobs import HEARTBEAT_S, MAX_WAITING, Stage, Stop, Tell, Waiting, Work, steps
from clone.library import Library
from clone.orders import Passage, SpeakOrder
from clone.voice import Voice

LINES_A_TURN = 4
Event = Stage | Waiting | Passage


class Recital:
    """What Studio.recite() is made of.

    Args:
        backend: speaks.
        library: has the voice, and keeps it.
        profile: gives what was learned of a voice.
        run: does a piece of work in turn, for an owner.
    """

    def __init__(
        self,
        backend: LocalBackend,
        library: Library,
        profile: Callable[[Voice, Stop], Profile],
        run: Callable[[str, Work], Iterator[object]],
    ) -> None:
        self._backend = backend
        self._library = library
        self._profile = profile
        self._run = run

    def at_once(self, order: SpeakOrder) -> Generator[Event, None, None]:
        """Say it as one job."""
        self.check(order)
        yield from _told(self._run(order.owner, self._work(order)))

    def in_turns(self, order: SpeakOrder) -> Generator[Event, None, None]:
        """Say it as a job for every few sentences, so that others' work gets in between."""
        self.check(order)
        script = self._backend.script(order.text)
        for start in range(0, len(script), LINES_A_TURN):
            yield from self._patiently(order.owner, self._work(order, script[start : start + LINES_A_TURN]))

    def _patiently(self, owner: str, work: Work) -> Iterator[Event]:
        while True:
            try:
                yield from _told(self._run(owner, work))
                return
            except BusyError:  # raised before the job is taken, so nothing of it has been said
                yield Waiting(MAX_WAITING)
                time.sleep(HEARTBEAT_S)

    def check(self, order: SpeakOrder) -> None:
        """Raise what would refuse an order before any work."""
        contract.check_model(order.model)
        contract.check_text(order.text, contract.SPEECH_TASK_MAX_CHARS)
        voice = self._library.get(order.voice_id, order.owner)
        if voice.backend != self._backend.name:
            raise VoiceError(
                f"The voice {voice.voice_id} lives at the hosted service; this machine can't speak with it.",
                code="other_backend",
                field="voice_id",
                advice="Speak with it through the hosted service.",
            )
        self._backend.check_text(order.text)

    def _work(self, order: SpeakOrder, script: list[Line] | None = None) -> Work:
        def recite(tell: Tell, stop: Stop) -> None:
            lines = self._backend.script(order.text) if script is None else script
            step = steps(tell, len(lines) + 1)
            step("Recalling the voice")
            profile = self._profile(self._library.get(order.voice_id, order.owner), stop)
            for i, line in enumerate(lines, 1):
                step(f"Speaking sentence {i} of {len(lines)}" if len(lines) > 1 else "Speaking")
                samples = self._backend.speak(profile, line, order.model, stop, order.settings)
                if i == 1:  # whoever hears the first sentence has used the voice
                    self._library.keep(order.voice_id, order.owner)
                tell(Passage(samples, SAMPLE_RATE))

        return recite


def _told(events: Iterator[object]) -> Iterator[Event]:
    """Leave out the result of the job, which has none."""
    for event in events:
        if event is not None:
            yield cast(Event, event)
