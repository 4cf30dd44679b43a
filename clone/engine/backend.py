"""The local backend: hears recordings, learns a voice from one and speaks with it, all on this machine."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clone.audio.enhance import limited, stretched, tilted
from clone.audio.reader import resample
from clone.contract import markup
from clone.contract.cloning import MODELS, tier
from clone.contract.speech import AS_IT_IS, SPEED_MAX, SPEED_MIN, SpeechSettings, respelled
from clone.core.errors import Refused
from clone.core.jobs import Stop
from clone.core.likeness import Likeness
from clone.engine import asr, converted, prosody, speaker
from clone.engine.asr import LANGUAGE_S, Recognizer, Word, speech_spans
from clone.engine.asr import SAMPLE_RATE as HEARD_RATE
from clone.engine.converted import Hibari, Kokoro
from clone.engine.engine import MAX_LEARNED_S, SAMPLE_RATE, Engine, Heard, Line, Manner, Networks, spoken, voices
from clone.engine.g2p import languages
from clone.engine.g2p.text import SENTENCE_MAX_CHARS, Sentence, pieces, sentences
from clone.engine.pocket import Pocket
from clone.engine.profile import Profile
from clone.engine.speaker import SpeakerEncoder
from clone.engine.tts import Hd, Turbo
from clone.engine.weights import give_back_memory

if TYPE_CHECKING:
    from clone.engine.models import Models

__all__ = ["SAMPLE_RATE", "Heard", "Line", "LocalBackend", "Manner"]

ENGINES: dict[str, tuple[type[Engine], ...]] = {"hd": (Pocket, Kokoro), "turbo": (Hibari, Kokoro)}
"""By tier of the contract's models, the best first: the first that is here and speaks the language speaks the text."""

MAX_SYMBOLS = 400
"""Phonemes spoken at once: the networks read 510 at most and slur long before."""

USUAL = (
    "The ferry left the island early, while a thin fog was still lying over the water. "
    "Why would anyone choose a garden full of thistles, when roses grow just as well?"
)
"""What a style's own pitch is told from: a statement and a question."""

TEMPI = (1.0, 0.94, 1.06)
"""Of the takes of an engine that says a sentence in one way alone: they differ in tempo, and in nothing else."""

LANGUAGE_SURE = 0.5
PEAK_MAX = 0.97


class LocalBackend:
    """Models that load once, lazily, and are shared by every caller; a voice is a Profile, never state in here."""

    name = "local"
    speaks = "en"

    def __init__(
        self,
        cache: Path,
        models: Models | None = None,
        engines: Mapping[str, tuple[type[Engine], ...]] = ENGINES,
    ) -> None:
        self._networks = Networks(cache, models)
        made = {kind: kind(self._networks) for tier in engines.values() for kind in tier}
        self._engines = tuple(made.values())
        self._by_tier = {tier: tuple(made[kind] for kind in kinds) for tier, kinds in engines.items()}

    def warm(self) -> None:
        """Load every model and run each once, so that nobody's first clone waits for it."""
        self.check_text("Ready.")  # what the page asks for first
        for kind in (Recognizer, SpeakerEncoder, Turbo, Hd):
            self._networks.get(kind)
        noise = np.random.default_rng(0).standard_normal(HEARD_RATE).astype(np.float32) * 0.01
        heard = Heard(noise, HEARD_RATE, [(0.0, 1.0)])
        profile = self.learn(heard, None)
        for model in {tier(model): model for model in MODELS}.values():
            self.speak(profile, self.script("Ready.")[0], model)
        self.rest()

    def close(self) -> None:
        """Let go of what is held outside this process: nothing."""

    def rest(self) -> None:
        """Give back the memory that work took; call it when there has been none for a while."""
        give_back_memory()

    def listen(self, samples: np.ndarray, sample_rate: int) -> Heard:
        """Return a recording with the spans in which somebody speaks.

        Args:
            samples: float32, shape (n_samples,), mono.
            sample_rate: Hz.
        """
        return Heard(samples, sample_rate, speech_spans(resample(samples, sample_rate, HEARD_RATE)))

    def transcribe(self, heard: Heard, language: tuple[str, float] | None = None) -> str:
        """Return what is said in a short recording.

        Args:
            heard: the recording.
            language: as language() told it, of more of the same voice if there is more; found here when None.
        """
        samples = resample(heard.samples, heard.sample_rate, HEARD_RATE)
        return self._networks.get(Recognizer).transcribe(samples, self._sure(language or self.language(heard)))

    def words(self, heard: Heard, language: tuple[str, float]) -> list[Word]:
        """Return the words of a short recording and when they are said; ``language`` as language() told it."""
        samples = resample(heard.samples, heard.sample_rate, HEARD_RATE)
        return self._networks.get(Recognizer).words(samples, self._sure(language))

    def language(self, heard: Heard) -> tuple[str, float]:
        """Return the language of a recording's speech, as an ISO 639-1 code, and how sure that is."""
        return self._networks.get(Recognizer).language(resample(spoken(heard, LANGUAGE_S), SAMPLE_RATE, HEARD_RATE))

    def _sure(self, language: tuple[str, float]) -> str:
        code, sure = language
        # A few words often sound like any language: then the one that is spoken here.
        return code if sure >= LANGUAGE_SURE else self.speaks

    @staticmethod
    def language_name(code: str) -> str:
        """Return the English name of a language that language() told."""
        return asr.NAMES.get(code, code)

    @staticmethod
    def language_code(word: str) -> str:
        """Return the code of a language that can be recognized, by its code or English name.

        Raises:
            Refused: ``language``.
        """
        asked = word.strip().casefold()
        for code, name in asr.NAMES.items():
            if asked in (code, name.casefold()):
                return code
        raise Refused(
            f"“{asked[:40]}” is no language that is recognized.",
            code="language",
            field="language",
            measured=asked[:40],
            limit=", ".join(asr.NAMES),
            advice="Give its ISO 639-1 code, or leave it out.",
        )

    def voices(self, heard: Heard) -> tuple[np.ndarray, np.ndarray]:
        """Return who speaks when, over the speech of a recording.

        Returns:
            Speaker embeddings of 0.8 s windows every 0.4 s, float32, shape (n_windows, 256); and where each begins in
            the recording, in seconds, shape (n_windows,).
        """
        return voices(self._networks, heard)

    def learn(self, reference: Heard, prompt: Heard | None, stop: Stop | None = None) -> Profile:
        """Learn a voice.

        Args:
            reference: the recording, enhanced already if that was asked for.
            prompt: a prompt clip; it joins the reference and steers pitch and rate.
            stop: obeyed between and inside the steps.

        Returns:
            Everything that is needed to speak with the voice, now and later.
        """
        stop = stop or Stop()
        own = [piece for line in self.script(USUAL) for piece in line.phonemes]
        return self.learn_more(converted.learned(self._networks, reference, prompt, own, stop), reference, prompt, stop)

    def learn_more(
        self, profile: Profile, reference: Heard, prompt: Heard | None = None, stop: Stop | None = None
    ) -> Profile:
        """Return a profile with what those engines learn that are here and don't know the voice yet; as learn()."""
        for engine in self._unknowing(profile):
            profile = engine.learn(profile, reference, prompt, stop or Stop())
        return profile

    def knows(self, profile: Profile) -> bool:
        """Tell whether every engine that is here knows a voice."""
        return not self._unknowing(profile)

    def named(self, name: str) -> Engine:
        """Return the engine of a name, whether it is here or not."""
        return next(engine for engine in self._engines if engine.name == name)

    def _unknowing(self, profile: Profile) -> list[Engine]:
        return [engine for engine in self._engines if self.is_here(engine) and not engine.knows(profile)]

    def here(self) -> list[str]:
        """Return the names of the engines that can be spoken with."""
        return [engine.name for engine in self._engines if self.is_here(engine)]

    def is_here(self, engine: Engine) -> bool:
        """Tell whether an engine can be spoken with."""
        return engine.is_here

    def engine(
        self,
        model: str,
        language: str,
        how: SpeechSettings = AS_IT_IS,
        profile: Profile | None = None,
        *,
        mixed: bool = False,
    ) -> Engine:
        """Return what speaks a language, for one of the contract's models, in a manner, with a voice or several mixed.

        Of a language that nothing here speaks it is the last of the tier: check_text() refuses such a text.
        """
        of_tier = self._by_tier[tier(model)]
        mixed = mixed or bool(profile and profile.mixed)
        here = (each for each in of_tier if self.is_here(each) and language in each.languages)
        able = (each for each in here if each.can(how) and (not mixed or each.mixes))
        return next((each for each in able if profile is None or each.knows(profile)), of_tier[-1])

    def check_text(self, text: str, language: str | None = None) -> str:
        """Return the language a text will be spoken in; refuse what this machine can't speak, without loading anything.

        Args:
            text: what is to be spoken.
            language: as a person set it; None to tell it from the text.

        Raises:
            TextError: a language that is not spoken here, or whose extra is not installed.
        """
        return languages.check(markup.plain(text), language)

    def language_of(self, text: str, language: str | None = None) -> languages.TextLanguage:
        """Return the language of a text, as check_text() finds it, and what would refuse it; refuses nothing."""
        return languages.resolved(markup.plain(text), language)

    def script(
        self, text: str, language: str | None = None, stop: Stop | None = None, how: SpeechSettings = AS_IT_IS
    ) -> list[Line]:
        """Return a text as the lines to speak, one a sentence.

        Args:
            text: what is to be spoken.
            language: as a person set it; None to tell it from the text.
            stop: obeyed before every sentence.
            how: its readings are used.

        Raises:
            TextError: as check_text(), or nothing in it that can be read.
        """
        spoken_in, lines = self.check_text(text, language), []
        for sentence in sentences(text, spoken_in):
            (stop or Stop()).check()
            lines.append(self.read(sentence, spoken_in, how))
        if not any(line.phonemes for line in lines):
            raise languages.unreadable(spoken_in)
        return [line for line in lines if line.phonemes or line.silence_s]

    def read(self, sentence: Sentence, language: str, how: SpeechSettings = AS_IT_IS) -> Line:
        """Return a sentence, one of sentences(), as the line to speak; without phonemes when nothing in it can be read.

        Raises:
            TextError: as languages.phonemes().
        """
        text = respelled(sentence.text, how.readings)
        english = self._networks.get(Turbo).phonemes
        some = pieces(text, SENTENCE_MAX_CHARS) if text else []  # readings may have made it longer
        strings = [string for part in some for string in languages.phonemes(part, language, english)]
        cut = tuple(piece for string in strings for piece in pieces(string, MAX_SYMBOLS))
        has_sound = any(c.isalpha() for piece in cut for c in piece)
        return Line(
            text, cut if has_sound else (), sentence.pause_s if has_sound else 0.0, language, sentence.silence_s
        )

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
        """Read and speak one sentence.

        Args:
            profile: the voice.
            sentence: one of sentences().
            model: as of speak().
            language: as check_text() told it.
            how: as of speak().
            stop: as of speak().
            take: as of speak().
            early: hand the beginning over before the rest is spoken.

        Yields:
            The Line, then its samples: as stream() does if it is to be early, else as speak() returns them.
        """
        line = self.read(sentence, language, how)
        yield line
        if early:
            yield from self.stream(profile, line, model, stop, how)
        else:
            yield self.speak(profile, line, model, stop, how, take=take)

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
        """Speak one line with a voice, its pause included.

        Args:
            profile: the voice.
            line: one of script()'s.
            model: one of the contract's eight; its tier and the line's language choose the engine.
            stop: obeyed inside the run.
            how: faster or slower, higher or lower, louder or softer than the voice's own way.
            take: another number is another way to say the same; of an engine that has one alone, in another tempo.

        Returns:
            float32, shape (n_samples,), 24 kHz, within [-1, 1].
        """
        pause = self.pause(profile, line, how)
        if not line.phonemes:
            return pause
        engine = self.engine(model, line.language, how, profile)
        if not engine.varies:
            how = replace(how, speed=float(np.clip(how.speed * TEMPI[take % len(TEMPI)], SPEED_MIN, SPEED_MAX)))
        voice = np.concatenate([*engine.speak(profile, line, Manner(_possible(how), take=take), stop or Stop())])
        return np.concatenate([_finished(voice, how, 1.0)[0], pause])

    def stream(
        self, profile: Profile, line: Line, model: str, stop: Stop | None = None, how: SpeechSettings = AS_IT_IS
    ) -> Iterator[np.ndarray]:
        """Speak one line as speak() does, and hand over its beginning before the rest is spoken.

        Yields:
            float32, shape (n_samples,), 24 kHz, within [-1, 1]; pause() belongs behind the last.
        """
        if not line.phonemes:
            return
        engine, gain = self.engine(model, line.language, how, profile), 1.0
        for part in engine.speak(profile, line, Manner(_possible(how), early=True), stop or Stop()):
            finished, gain = _finished(part, how, gain)
            yield finished

    @staticmethod
    def pause(profile: Profile, line: Line, how: SpeechSettings = AS_IT_IS) -> np.ndarray:
        """Return the silence after a line, as long as its person pauses and the settings make it, or as it is set."""
        pause_s = line.pause_s * profile.pause_s / prosody.PAUSE_S / how.speed + line.silence_s
        return np.zeros(int(pause_s * SAMPLE_RATE), np.float32)

    def likeness(self, profile: Profile, samples: np.ndarray) -> float:
        """Return the cosine between a voice and float32 samples at 24 kHz, as the speaker encoder hears both."""
        heard = resample(samples, SAMPLE_RATE, HEARD_RATE)
        return float(profile.embedding @ self._networks.get(SpeakerEncoder).embed(heard))

    def compare(self, original: Heard | Profile, clone: Heard, stop: Stop | None = None) -> Likeness:
        """Return how alike a voice and a recording of a clone are, and what that is to be read against.

        Args:
            original: a recording, or what was learned from one, which is quicker.
            clone: whoever spoke it.
            stop: obeyed inside a run.
        """
        learned = original.windows if isinstance(original, Profile) else self.windows(original, stop)
        return speaker.measure(learned, self.windows(clone, stop))

    def windows(self, heard: Heard, stop: Stop | None = None) -> np.ndarray:
        """Return speaker embeddings along the speech of a recording, float32, shape (n_windows, 256)."""
        speech = resample(spoken(heard, MAX_LEARNED_S), SAMPLE_RATE, HEARD_RATE)
        return self._networks.get(SpeakerEncoder).windows(speech, stop)


def _possible(how: SpeechSettings) -> SpeechSettings:
    """Return settings at a speed that the engines speak at; what is more extreme is stretched afterwards."""
    return replace(how, speed=min(max(how.speed, SPEED_MIN), SPEED_MAX))


def _finished(voice: np.ndarray, how: SpeechSettings, at_most: float) -> tuple[np.ndarray, float]:
    """Return speech as fast, bright and loud as is asked for, peaks bounded, and the gain: of a line it never rises."""
    if (more := how.speed / _possible(how).speed) != 1.0:
        voice = stretched(voice, more)
    if how.treble_db:
        voice = tilted(voice, SAMPLE_RATE, how.treble_db)
    peak = float(np.abs(voice).max(initial=0.0))
    gain = min(at_most, PEAK_MAX / max(peak, 1e-9))
    voice = voice * gain
    if how.volume != 1.0:
        voice = limited(voice * np.float32(how.volume), SAMPLE_RATE, PEAK_MAX)
    return voice.astype(np.float32), gain
