"""The engine on other machines: a backend whose networks are in replicas of Ray Serve.

Ray is not loaded in this process: see connection.py.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
import time
import weakref
from collections.abc import Generator, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from clone.audio.reader import resample
from clone.contract.speech import AS_IT_IS, SpeechSettings
from clone.core import watch
from clone.core.errors import BusyError, EngineError
from clone.core.jobs import Stop
from clone.engine.asr import LANGUAGE_S, Word
from clone.engine.asr import SAMPLE_RATE as HEARD_RATE
from clone.engine.backend import LocalBackend
from clone.engine.connection import Connection, Died, Full
from clone.engine.engine import MAX_LEARNED_S, SAMPLE_RATE, Engine, Heard, Line, Network, Networks, spoken
from clone.engine.g2p.text import Sentence
from clone.engine.profile import Profile
from clone.engine.replica import Known, Reply, packed, unpacked

if TYPE_CHECKING:
    from clone.engine.models import Models

REPEATS = 3
"""How often a call is made again whose replica has died."""

FULL_WITHIN_S, FULL_PAUSE_S = 10.0, 0.5
"""How long a call waits that no replica has room for: a text in the middle is not given up for a moment's crowd."""

RETRY_AFTER_S = 30
REACHED_AGAIN_S = 5.0
"""After how long a cluster that can't be reached is tried again, at the start."""

log = logging.getLogger(__name__)


class RayBackend(LocalBackend):
    """The same backend, asking a cluster for everything that needs a network; thread-safe.

    Args:
        cache, models: as of LocalBackend; nothing is loaded from either.
        address: host:port of the cluster's head.
    """

    def __init__(self, cache: Path, models: Models | None, address: str) -> None:
        super().__init__(cache, models)
        self._networks.__class__ = _Elsewhere
        self._connection = Connection(address)
        self._here: tuple[str, ...] | None = None
        self._hashes: dict[int, str] = {}

    def close(self) -> None:
        """Leave the cluster."""
        self._connection.close()

    def warm(self) -> None:
        """Join the cluster, and wait for a replica: it was warmed at its start. One that can't be reached may come."""
        self.check_text("Ready.")
        while not self._connection.closed:
            try:
                self._one("about")
            except (EngineError, BusyError) as error:
                log.warning("%s", error)
                time.sleep(REACHED_AGAIN_S)
            else:
                return

    def is_here(self, engine: Engine) -> bool:
        """Tell whether the replicas can speak with an engine, as the last one said; without one, what all can."""
        if vars(type(engine)).get("is_here", True) is True:  # it comes along with Timbre
            return True
        if self._here is None:
            try:
                self._one("about")
            except (EngineError, BusyError):
                return False
        return engine.name in (self._here or ())

    # what is asked for; see LocalBackend

    def listen(self, samples: np.ndarray, sample_rate: int) -> Heard:
        """Return a recording with the spans in which somebody speaks."""
        heard = resample(samples, sample_rate, HEARD_RATE)  # less to send
        return Heard(samples, sample_rate, self._one("listen", heard, HEARD_RATE))

    def transcribe(self, heard: Heard, language: tuple[str, float] | None = None) -> str:
        """Return what is said in a short recording."""
        return cast(str, self._one("transcribe", heard, language))

    def words(self, heard: Heard, language: tuple[str, float]) -> list[Word]:
        """Return the words of a short recording and when they are said."""
        return cast(list[Word], self._one("words", heard, language))

    def language(self, heard: Heard) -> tuple[str, float]:
        """Return the language of a recording's speech, and how sure that is."""
        return cast(tuple[str, float], self._one("language", Heard(spoken(heard, LANGUAGE_S), SAMPLE_RATE, [])))

    def voices(self, heard: Heard) -> tuple[np.ndarray, np.ndarray]:
        """Return who speaks when, over the speech of a recording."""
        less = Heard(resample(heard.samples, heard.sample_rate, HEARD_RATE), HEARD_RATE, heard.spans)
        return cast(tuple[np.ndarray, np.ndarray], self._one("voices", less))

    def learn(self, reference: Heard, prompt: Heard | None, stop: Stop | None = None) -> Profile:
        """Learn a voice."""
        return self._learned("learn", reference, prompt, stop=stop)

    def learn_more(
        self, profile: Profile, reference: Heard, prompt: Heard | None = None, stop: Stop | None = None
    ) -> Profile:
        """Return a profile with what those engines learn that don't know the voice yet."""
        return self._learned("learn_more", profile, reference, prompt, stop=stop)

    def script(
        self, text: str, language: str | None = None, stop: Stop | None = None, how: SpeechSettings = AS_IT_IS
    ) -> list[Line]:
        """Return a text as the lines to speak, one a sentence."""
        return cast(list[Line], self._one("script", text, self.check_text(text, language), stop=stop, how=how))

    def read(self, sentence: Sentence, language: str, how: SpeechSettings = AS_IT_IS) -> Line:
        """Return a sentence as the line to speak."""
        return cast(Line, self._one("read", sentence, language, how))

    def utter(
        self,
        profile: Profile,
        sentence: Sentence,
        model: str,
        language: str,
        how: SpeechSettings = AS_IT_IS,
        *,
        stop: Stop | None = None,
        early: bool = False,
        take: int = 0,
    ) -> Generator[Line | np.ndarray, None, None]:
        """Read and speak one sentence, by one call."""
        yield from self._ask("utter", profile, sentence, model, language, how, stop=stop, early=early, take=take)

    def speak(
        self,
        profile: Profile,
        line: Line,
        model: str,
        stop: Stop | None = None,
        how: SpeechSettings = AS_IT_IS,
        *,
        take: int = 0,
    ) -> np.ndarray:
        """Speak one line with a voice, its pause included."""
        if not line.phonemes:
            return self.pause(profile, line, how)
        return cast(np.ndarray, self._one("speak", profile, line, model, stop=stop, how=how, take=take))

    def stream(
        self, profile: Profile, line: Line, model: str, stop: Stop | None = None, how: SpeechSettings = AS_IT_IS
    ) -> Iterator[np.ndarray]:
        """Speak one line, and hand over its beginning before the rest is spoken."""
        yield from self._ask("stream", profile, line, model, stop=stop, how=how)

    def windows(self, heard: Heard, stop: Stop | None = None) -> np.ndarray:
        """Return speaker embeddings along the speech of a recording."""
        less = Heard(spoken(heard, MAX_LEARNED_S), SAMPLE_RATE, [])
        return cast(np.ndarray, self._one("windows", less, stop=stop))

    # how it is asked

    def _learned(self, method: str, *given: object, stop: Stop | None) -> Profile:
        data = cast(bytes, self._one(method, *given, stop=stop))
        profile = unpacked(data)
        self._remember(profile, data)
        return profile

    def _one(self, method: str, *given: object, stop: Stop | None = None, **named: object) -> Any:
        """Return the one value that a call has."""
        *_, value = None, *self._ask(method, *given, stop=stop, **named)
        return value

    def _ask(
        self, method: str, *given: object, stop: Stop | None = None, **named: object
    ) -> Generator[Any, None, None]:
        """Make a call, and again where its replica dies: then only what was not handed over yet is.

        Raises:
            EngineError: no replica can be asked, or several have died of it.
            BusyError: ``queue_full``, and it stayed so.
            CancelledError: ``stop`` was asked.
            TimbreError: what the replica refused or failed with.
        """
        stop, rest, n_died, until_s = stop or Stop(), _Rest(), 0, time.monotonic() + FULL_WITHIN_S
        voices = {self._hash(each): partial(packed, each) for each in given if isinstance(each, Profile)}
        known = [Known(self._hash(each)) if isinstance(each, Profile) else each for each in given]
        asked = pickle.dumps((method, known, named, watch.request_id()), protocol=5)
        while True:
            stop.check()
            try:
                with closing(self._connection.call(asked, voices, stop)) as answers:
                    for data in answers:
                        answer: Reply = pickle.loads(data)
                        if answer.error is not None:
                            raise answer.error
                        if answer.engines is None:
                            yield from rest.of(answer.value)
                        else:
                            self._here = answer.engines
                            return
                raise Died
            except Full:
                if time.monotonic() > until_s:
                    raise _full() from None
                stop.pause(FULL_PAUSE_S)
            except Died:
                n_died += 1
                watch.RETRIES.inc()
                if n_died > REPEATS:
                    raise _died(n_died) from None
            rest.begin_again()

    def _hash(self, profile: Profile) -> str:
        if id(profile) not in self._hashes:
            self._remember(profile, packed(profile))
        return self._hashes[id(profile)]

    def _remember(self, profile: Profile, data: bytes) -> None:
        """Keep the hash of a profile for as long as that lives: it is a value, and never changes."""
        self._hashes[id(profile)] = hashlib.sha256(data).hexdigest()
        weakref.finalize(profile, self._hashes.pop, id(profile), None)


class _Rest:
    """What is new of a call that is made again: it gives the same values, in the same order, parted as it likes."""

    def __init__(self) -> None:
        self._given = self._now = 0

    def begin_again(self) -> None:
        self._now = 0

    def of(self, value: object) -> Iterator[object]:
        n = len(value) if isinstance(value, np.ndarray) and value.ndim == 1 else 1
        n_known = max(0, min(n, self._given - self._now))
        self._now += n
        self._given = max(self._given, self._now)
        if n_known < n or not n:
            yield value[n_known:] if isinstance(value, np.ndarray) and n_known else value


class _Elsewhere(Networks):
    """Networks that are not to be loaded into this process."""

    def get(self, kind: type[Network]) -> Network:
        raise AssertionError(f"{kind.__name__} is in the replicas")


def _full() -> BusyError:
    return BusyError(
        "All engines are at work, and no more can wait for them.",
        code="queue_full",
        advice="Try again in a minute.",
        retry_after_s=RETRY_AFTER_S,
    )


def _died(n_died: int) -> EngineError:
    return EngineError(
        f"{n_died} engines in a row have ended while they were at work on this.",
        code="engine_died",
        measured=n_died,
        advice="Try again in a minute.",
    )
