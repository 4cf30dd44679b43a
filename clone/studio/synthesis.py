"""Saying a text of any length, sentence by sentence, each handed over as soon as it is spoken, the first in parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Protocol, cast

import numpy as np

from clone.audio.encoder import Encoder
from clone.audio.reader import read
from clone.contract import cloning
from clone.contract.cloning import CloneOptions
from clone.contract.orders import SpeakOrder
from clone.contract.speech import SpeechSettings, respelled
from clone.core import watch
from clone.core.errors import BusyError, VoiceError
from clone.core.jobs import HEARTBEAT_S, MAX_WAITING, Stage, Stop, Tell, Waiting, Work, steps
from clone.engine.backend import SAMPLE_RATE, Line, LocalBackend
from clone.engine.g2p.languages import unreadable
from clone.engine.g2p.text import Sentence, sentences
from clone.engine.profile import ENGINE_VERSION, PROFILE_FILE, Profile
from clone.storage.voice import Voice
from clone.storage.voices import Library
from clone.studio.analysis import enhanced
from clone.studio.results import Passage, Spoken

LINES_A_TURN = 4
LINES_A_REST = 10
"""Sentences after which freed memory is given back: a long text would let the app grow by 300 MB (bench.drift)."""

Event = Stage | Waiting | Passage


class HandOver(Protocol):
    """Takes float32 samples, mono, at SAMPLE_RATE, and how much of their end is a pause."""

    def __call__(self, samples: np.ndarray, silence_s: float = 0.0) -> None:
        """Take them."""


@dataclass(frozen=True)
class Delivery:
    """Who speaks, with which model, how, and in what language; ``take`` is another way to say the same."""

    profile: Profile
    model: str
    settings: SpeechSettings
    language: str
    take: int = 0


def encoded(events: Generator[object, None, None], encoder: Encoder) -> Generator[object, None, None]:
    """Yield what is going on, and as bytes each Passage as soon as it is spoken, then the rest of the file."""
    with closing(events):
        for event in events:
            yield encoder.add(event.samples, event.sample_rate) if isinstance(event, Passage) else event
    yield encoder.end()


class Synthesis:
    """What Studio.speak_long() is made of.

    Args:
        backend: speaks.
        library: has the voice, and keeps it.
        run: does a piece of work in turn, for an owner.
    """

    def __init__(self, backend: LocalBackend, library: Library, run: Callable[[str, Work], Iterator[object]]) -> None:
        self._backend = backend
        self._library = library
        self._run = run

    def speak_long(self, order: SpeakOrder, *, in_turns: bool) -> Generator[Event, None, None]:
        """Say it as one job; ``in_turns`` as a job for every few sentences, so that others' work gets in between."""
        run, n_a_turn = (self._patiently, LINES_A_TURN) if in_turns else (self._run, cloning.SPEECH_TASK_MAX_CHARS)
        language, said = self.check(order), False
        all_sentences = sentences(order.text, language)
        for start in range(0, len(all_sentences), n_a_turn):
            part = all_sentences[start : start + n_a_turn], start, len(all_sentences)
            for event in run(order.owner, self._work(order, language, part)):
                said = said or isinstance(event, Passage)
                if event is not None:  # the result of the job, which has none
                    yield cast(Event, event)
        if not said:
            raise unreadable(language)

    def _patiently(self, owner: str, work: Work) -> Iterator[object]:
        said = False
        while True:
            try:
                with closing(cast(Generator[object, None, None], self._run(owner, work))) as events:
                    for event in events:
                        said = said or isinstance(event, Passage)
                        yield event
                return
            except BusyError:
                if said:  # another run would say it twice
                    raise
                yield Waiting(MAX_WAITING)
                time.sleep(HEARTBEAT_S)

    def speak_all(self, order: SpeakOrder, tell: Tell, stop: Stop) -> Spoken:
        """Say all of it, and hand it over as one."""
        script = self._backend.script(order.text, order.settings.language, stop, order.settings)
        step = steps(tell, len(script) + 1)
        step("Recalling the voice")
        voice = self._library.get(order.voice_id, order.owner)
        samples = self.say(self._speaker(order, stop), script, (order.model, order.settings), step, stop)
        stop.check()
        engine = self._backend.engine(order.model, script[0].language, order.settings).title
        return Spoken(self._library.keep(voice.voice_id, voice.owner), samples, SAMPLE_RATE, order.model, engine)

    def say(
        self,
        profile: Profile,
        script: list[Line],
        how: tuple[str, SpeechSettings],
        step: Callable[[str], None],
        stop: Stop,
    ) -> np.ndarray:
        """Say line after line in a voice, with a model and settings; return float32 of shape (n_samples,), mono."""
        pieces = []
        for i, line in enumerate(script, 1):
            step(f"Speaking sentence {i} of {len(script)}" if len(script) > 1 else "Speaking")
            self._count(line, *how, profile)
            pieces.append(self._backend.speak(profile, line, how[0], stop, how[1]))
        return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)

    def _count(self, line: Line, model: str, how: SpeechSettings, profile: Profile) -> None:
        engine = self._backend.engine(model, line.language, how, profile=profile)
        watch.CHARACTERS.labels(engine.title).inc(len(line.text))

    def _speaker(self, order: SpeakOrder, stop: Stop) -> Profile:
        """Return the voice of an order, or what is between the voices of its mix."""
        weights: dict[str, float] = {}
        for voice_id, weight in order.mix or ((order.voice_id, 1.0),):
            weights[voice_id] = weights.get(voice_id, 0.0) + weight
        voices = [self._library.get(voice_id, order.owner) for voice_id in weights]
        profiles = [(weight, self.profile(each, stop)) for weight, each in zip(weights.values(), voices, strict=True)]
        return Profile.mix(profiles) if len(profiles) > 1 else profiles[0][1]

    def profile(self, voice: Voice, stop: Stop) -> Profile:
        """Return what was learned of a voice; learn what is gone, outdated, or new to an engine."""
        profile = self._kept(voice)
        if profile is not None and self._backend.knows(profile):
            return profile
        options = CloneOptions(**{k: v for k, v in voice.settings.items() if k in CloneOptions.model_fields})
        recording = read(self._library.path(voice, voice.file("reference") or ""))
        prompt, clip = None, voice.file("prompt")
        if clip:
            spoken = read(self._library.path(voice, clip))
            prompt = self._backend.listen(spoken.samples, spoken.sample_rate)
        heard = enhanced(self._backend.listen(recording.samples, recording.sample_rate), options, stop)
        if profile is None:
            profile = self._backend.learn(heard, prompt, stop)
        else:
            profile = self._backend.learn_more(profile, heard, prompt, stop)
        self._library.update_files(voice.voice_id, voice.owner, profile.files(), engine_version=ENGINE_VERSION)
        return profile

    def _kept(self, voice: Voice) -> Profile | None:
        """Return what is kept of what was learned; None when that is gone or of an older engine."""
        if PROFILE_FILE not in voice.files:
            return None
        others = [name for name in voice.files if name.endswith(".npz") and name != PROFILE_FILE]
        profile = Profile.from_bytes(self._library.read(voice, PROFILE_FILE))
        found = {name.removesuffix(".npz"): self._library.read(voice, name) for name in others}
        return None if profile is None else replace(profile, others=found)

    def check(self, order: SpeakOrder, max_chars: int = cloning.SPEECH_TASK_MAX_CHARS) -> str:
        """Raise what would refuse an order before any work; return the language of its text."""
        cloning.check_model(order.model)
        cloning.check_text(order.text, max_chars)
        if order.settings.readings:  # they can make it longer
            cloning.check_text(respelled(order.text, order.settings.readings), max_chars)
        for voice_id in order.voice_ids:
            self._check_here(self._library.get(voice_id, order.owner))
        return self._backend.check_text(order.text, order.settings.language)

    def _check_here(self, voice: Voice) -> None:
        if voice.backend != self._backend.name:
            raise VoiceError(
                f"The voice {voice.voice_id} lives at the hosted service; this machine can't speak with it.",
                code="other_backend",
                field="voice_id",
                advice="Speak with it through the hosted service.",
            )

    def engine(self, order: SpeakOrder) -> str:
        """Return what speaks an order, as a person is told; "" for a voice of the hosted service."""
        if self._library.get(order.voice_id, order.owner).backend != self._backend.name:
            return ""
        language = self._backend.language_of(order.text, order.settings.language).code
        return self._backend.engine(order.model, language, order.settings, mixed=len(order.voice_ids) > 1).title

    def utter(
        self,
        sentence: Sentence,
        delivery: Delivery,
        stop: Stop,
        hand_over: HandOver,
        *,
        keep: Callable[[np.ndarray], None] = lambda samples: None,
        early: bool = False,
    ) -> None:
        """Say one sentence; nothing, where nothing in it can be read.

        Args:
            sentence: one of sentences().
            delivery: who says it, and how.
            stop: obeyed inside the run.
            hand_over: takes what is to be heard, in parts; the last one after it was kept: what was heard is there.
            keep: takes all of it, its pause included.
            early: hand the beginning over before the rest is spoken.
        """
        how, spoken = delivery.settings, list[np.ndarray]()
        asked = delivery.profile, sentence, delivery.model, delivery.language, how
        with closing(self._backend.utter(*asked, stop=stop, early=early, take=delivery.take)) as parts:
            line = cast(Line, next(parts))
            if not (line.phonemes or line.silence_s):
                keep(np.zeros(0, np.float32))
                return
            self._count(line, delivery.model, how, delivery.profile)
            rest = pause = self._backend.pause(delivery.profile, line, how)
            for samples in cast(Iterator[np.ndarray], parts):
                if early:
                    hand_over(samples)
                    spoken.append(samples)
                else:
                    rest = samples
        keep(np.concatenate([*spoken, rest]))
        hand_over(rest, len(pause) / SAMPLE_RATE)

    def _work(self, order: SpeakOrder, language: str, part: tuple[list[Sentence], int, int]) -> Work:
        """Return the work of a part of a text: its sentences, how many came before them, and how many there are."""

        def speak(tell: Tell, stop: Stop) -> None:
            some, before, total = part
            tell(Stage("Recalling the voice", before, total))
            delivery, used, begins = (
                Delivery(self._speaker(order, stop), order.model, order.settings, language),
                False,
                "",
            )

            def hand_over(samples: np.ndarray, silence_s: float = 0.0) -> None:
                nonlocal used, begins
                if not used:  # whoever hears the first word has used the voice
                    for voice_id in order.voice_ids:
                        self._library.keep(voice_id, order.owner)
                    used = True
                tell(Passage(samples, SAMPLE_RATE, begins, silence_s))
                begins = ""

            for i, sentence in enumerate(some, before):
                tell(Stage(f"Speaking sentence {i + 1} of {total}" if total > 1 else "Speaking", i, total, even=True))
                begins = sentence.text
                self.utter(sentence, delivery, stop, hand_over, early=i == 0)  # there is nothing to hear yet
                if (i + 1) % LINES_A_REST == 0:
                    self._backend.rest()

        return speak
