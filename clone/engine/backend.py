"""The local backend: learns a voice from a recording and speaks with it, all on this machine."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

import numpy as np

from clone.audio.enhance import limited
from clone.audio.reader import resample
from clone.contract.cloning import tier
from clone.contract.speech import AS_IT_IS, SpeechSettings
from clone.core.jobs import Stop
from clone.core.likeness import Likeness
from clone.engine import asr, conversion, prosody, speaker, styles
from clone.engine.asr import FRAME_S, LANGUAGE_S, Recognizer, Word, speech_spans
from clone.engine.asr import SAMPLE_RATE as HEARD_RATE
from clone.engine.conversion import SAMPLE_RATE
from clone.engine.g2p import languages
from clone.engine.g2p.text import CLAUSE_PAUSE_S, Sentence, pieces, sentences
from clone.engine.profile import Profile
from clone.engine.sessions import give_back_memory
from clone.engine.speaker import SpeakerEncoder
from clone.engine.tts import Hd, Turbo

MAX_LEARNED_S = 60.0
"""Speech a voice is learned from; more of it makes a slower voice, not a closer one (bench)."""

MAX_SYMBOLS = 400
"""Phonemes spoken at once: the networks read 510 at most and slur long before."""

PIECES_AT_ONCE = 4
"""Of so many symbols are converted at once, 70 s of speech: 20 took 5 GB. Seldom has a sentence more than two."""

USUAL = (
    "The ferry left the island early, while a thin fog was still lying over the water. "
    "Why would anyone choose a garden full of thistles, when roses grow just as well?"
)
"""What a style's own pitch is told from: a statement and a question."""

LANGUAGE_SURE = 0.5
_RESAMPLED_MORE_S = 1.0
"""Resampled beyond what is needed: the end of it then comes out as if all had been resampled."""

EDGE_S = 0.03
EDGE_FRAME_S = 0.01
EDGE_BELOW_DB = 40.0
"""Frames this far below the loud ones are the silence at speech's edges."""

PEAK_MAX = 0.97

Spans = list[tuple[float, float]]
Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class Heard:
    """A recording and where somebody speaks in it.

    Attributes:
        samples: float32, shape (n_samples,), mono.
        sample_rate: Hz.
        spans: (start, end) of speech in seconds, in order.
    """

    samples: np.ndarray
    sample_rate: int
    spans: Spans


@dataclass(frozen=True)
class Line:
    """One sentence ready to be spoken: its phonemes, in pieces where it is very long, the pause after it, its language.

    Where there is nothing to read there are no phonemes. Languages other than English are spoken by the hd network,
    whichever model is asked for.
    """

    text: str
    phonemes: tuple[str, ...]
    pause_s: float
    language: str = "en"


class LocalBackend:
    """Models that load once, lazily, and are shared by every caller; a voice is a Profile, never state in here."""

    name = "local"
    speaks = "en"

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._lock = threading.Lock()
        self._loaded: dict[type, object] = {}

    def warm(self) -> None:
        """Load every model and run each once, so that nobody's first clone waits for it."""
        self.check_text("Ready.")  # what the page asks for first
        for kind in (Recognizer, SpeakerEncoder, Turbo, Hd):
            self._get(kind)
        noise = np.random.default_rng(0).standard_normal(HEARD_RATE).astype(np.float32) * 0.01
        heard = Heard(noise, HEARD_RATE, [(0.0, 1.0)])
        profile = self.learn(heard, None)
        for model in ("hd", "turbo"):
            self._say(profile, self.script("Ready.")[0], model, None)
        self.rest()

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
        return self._get(Recognizer).transcribe(samples, self._sure(language or self.language(heard)))

    def words(self, heard: Heard, language: tuple[str, float]) -> list[Word]:
        """Return the words of a short recording and when they are said; ``language`` as language() told it."""
        samples = resample(heard.samples, heard.sample_rate, HEARD_RATE)
        return self._get(Recognizer).words(samples, self._sure(language))

    def language(self, heard: Heard) -> tuple[str, float]:
        """Return the language of a recording's speech, as an ISO 639-1 code, and how sure that is."""
        return self._get(Recognizer).language(resample(_spoken(heard, LANGUAGE_S), SAMPLE_RATE, HEARD_RATE))

    def _sure(self, language: tuple[str, float]) -> str:
        code, sure = language
        # A few words often sound like any language: then the one that is spoken here.
        return code if sure >= LANGUAGE_SURE else self.speaks

    @staticmethod
    def language_name(code: str) -> str:
        """Return the English name of a language that language() told."""
        return asr.NAMES.get(code, code)

    def voices(self, heard: Heard) -> tuple[np.ndarray, np.ndarray]:
        """Return who speaks when, over the speech of a recording.

        Returns:
            Speaker embeddings of 0.8 s windows every 0.4 s, float32, shape (n_windows, 256); and where each begins in
            the recording, in seconds, shape (n_windows,).
        """
        samples = resample(heard.samples, heard.sample_rate, HEARD_RATE)
        bounds = [(int(start * HEARD_RATE), int(end * HEARD_RATE)) for start, end in heard.spans]
        samples = np.concatenate([samples[start:end] for start, end in bounds])  # under one name: one copy is kept
        vectors = self._get(SpeakerEncoder).windows(samples)
        starts, ends = np.array(bounds).T
        before = np.concatenate([[0], np.cumsum(ends - starts)])  # samples of speech before each span, and in all
        at = np.minimum(np.arange(len(vectors)) * int(speaker.STRIDE_FRAMES * speaker.N_HOP), before[-1] - 1)
        span = np.searchsorted(before, at, side="right") - 1
        return vectors, (starts[span] + at - before[span]) / HEARD_RATE

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
        spoken = _spoken(reference, MAX_LEARNED_S)
        steering = spoken if prompt is None else _spoken(prompt, MAX_LEARNED_S)
        if prompt is not None:
            spoken = np.concatenate([steering, spoken])
        heard = resample(spoken, SAMPLE_RATE, HEARD_RATE)
        encoder = self._get(SpeakerEncoder)
        windows = encoder.windows(heard, stop, styles.bank().colour, at_most=styles.N_WINDOWS)
        style = styles.nearest(speaker.mean_direction(windows))
        voiced_hz = speaker.pitch_hz(heard[: int(len(steering) / SAMPLE_RATE * HEARD_RATE)])
        features = self._get(Recognizer).features(heard, stop)
        frames, _ = conversion.analyse(spoken, features)
        return Profile(
            windows=encoder.windows(heard, stop),
            pitch_hz=float(np.median(voiced_hz)) if len(voiced_hz) else 0.0,
            rate=prosody.phonemes_per_s(features[: int(len(steering) / SAMPLE_RATE / FRAME_S)]),
            style=style,
            pitch=prosody.fitted(self._own_hz(style, stop), voiced_hz),
            frames=frames,
        )

    def check_text(self, text: str, language: str | None = None) -> str:
        """Return the language a text will be spoken in; refuse what this machine can't speak, without loading anything.

        Args:
            text: what is to be spoken.
            language: as a person set it; None to tell it from the text.

        Raises:
            TextError: a language that is not spoken here, or whose extra is not installed.
        """
        return languages.check(text, language)

    def language_of(self, text: str, language: str | None = None) -> languages.TextLanguage:
        """Return the language of a text, as check_text() finds it, and what would refuse it; refuses nothing."""
        return languages.found(text, language)

    def script(self, text: str, language: str | None = None, stop: Stop | None = None) -> list[Line]:
        """Return a text as the lines to speak, one a sentence.

        Args:
            text: what is to be spoken.
            language: as a person set it; None to tell it from the text.
            stop: obeyed before every sentence.

        Raises:
            TextError: as check_text(), or nothing in it that can be read.
        """
        spoken_in, lines = self.check_text(text, language), []
        for sentence in sentences(text, spoken_in):
            (stop or Stop()).check()
            lines.append(self.read(sentence, spoken_in))
        spoken = [line for line in lines if line.phonemes]
        if not spoken:
            raise languages.unreadable(spoken_in)
        return spoken

    def read(self, sentence: Sentence, language: str) -> Line:
        """Return a sentence, one of sentences(), as the line to speak; without phonemes when nothing in it can be read.

        Raises:
            TextError: as languages.phonemes().
        """
        strings = languages.phonemes(sentence.text, language, self._get(Turbo).phonemes)
        cut = tuple(piece for string in strings for piece in pieces(string, MAX_SYMBOLS))
        has_sound = any(c.isalpha() for piece in cut for c in piece)
        return Line(sentence.text, cut if has_sound else (), sentence.pause_s, language)

    def speak(
        self, profile: Profile, line: Line, model: str, stop: Stop | None = None, how: SpeechSettings = AS_IT_IS
    ) -> np.ndarray:
        """Speak one line with a voice, its pause included.

        Args:
            profile: the voice.
            line: one of script()'s.
            model: one of the contract's eight; its tier chooses the engine.
            stop: obeyed inside the run.
            how: faster or slower, higher or lower, louder or softer than the voice's own way.

        Returns:
            float32, shape (n_samples,), 24 kHz, within [-1, 1].
        """
        return self._say(profile, line, tier(model), stop, how)

    def likeness(self, profile: Profile, samples: np.ndarray) -> float:
        """Return the cosine between a voice and float32 samples at 24 kHz, as the speaker encoder hears both."""
        heard = resample(samples, SAMPLE_RATE, HEARD_RATE)
        return float(profile.embedding @ self._get(SpeakerEncoder).embed(heard))

    def compare(self, original: Heard | Profile, clone: Heard, stop: Stop | None = None) -> Likeness:
        """Return how alike a voice and a recording of a clone are, and what that is to be read against.

        Args:
            original: a recording, or what was learned from one, which is quicker.
            clone: whoever spoke it.
            stop: obeyed inside a run.
        """
        learned = original.windows if isinstance(original, Profile) else self._windows(original, stop)
        return speaker.measure(learned, self._windows(clone, stop))

    def _windows(self, heard: Heard, stop: Stop | None) -> np.ndarray:
        spoken = resample(_spoken(heard, MAX_LEARNED_S), SAMPLE_RATE, HEARD_RATE)
        return self._get(SpeakerEncoder).windows(spoken, stop)

    def _say(
        self, profile: Profile, line: Line, kind: str, stop: Stop | None, how: SpeechSettings = AS_IT_IS
    ) -> np.ndarray:
        silence = np.zeros(int(CLAUSE_PAUSE_S * SAMPLE_RATE), np.float32)
        spoken = []
        for start in range(0, len(line.phonemes), PIECES_AT_ONCE):
            part = line.phonemes[start : start + PIECES_AT_ONCE]
            base = [_trimmed(self._base(profile, piece, (kind, line.language), how, stop)) for piece in part]
            spoken.append(self._converted(profile, _joined(base, silence), stop))
        voice = _joined(spoken, silence)
        peak = float(np.abs(voice).max(initial=0.0))
        voice = voice * min(1.0, PEAK_MAX / max(peak, 1e-9))
        if how.volume != 1.0:
            voice = limited(voice * np.float32(how.volume), SAMPLE_RATE, PEAK_MAX)
        pause = np.zeros(int(line.pause_s / (how.speed * prosody.pace(profile.rate)) * SAMPLE_RATE), np.float32)
        return np.concatenate([voice, pause]).astype(np.float32)

    def _converted(self, profile: Profile, base: np.ndarray, stop: Stop | None) -> np.ndarray:
        features = self._get(Recognizer).features(resample(base, SAMPLE_RATE, HEARD_RATE), stop)
        return conversion.convert(base, features, profile.frames)

    def _base(
        self, profile: Profile, phonemes: str, by: tuple[str, str], how: SpeechSettings, stop: Stop | None
    ) -> np.ndarray:
        turbo, (kind, language) = self._get(Turbo), by
        slowest = prosody.TURBO_SLOWEST if (kind, language) == ("turbo", "en") else prosody.HD_SLOWEST
        pace, moved = prosody.pace(profile.rate, slowest) * how.speed, 2.0 ** (how.pitch / 12)
        if language != "en":
            return self._abroad(profile, phonemes, language, (pace, moved), stop)
        if kind == "turbo":
            return turbo.speak(phonemes, profile.pitch_hz, pace, stop, moved)
        tokens = turbo.tokens(phonemes)
        row = styles.row_for(profile.style, len(phonemes))
        return self._get(Hd).speak(tokens, row, pace, stop, moved, pitch=profile.pitch)

    def _own_hz(self, style: np.ndarray, stop: Stop) -> np.ndarray:
        """Return the pitch curve of a style, voiced frames of two usual sentences, in Hz."""
        turbo, hd = self._get(Turbo), self._get(Hd)
        spoken = [piece for line in self.script(USUAL) for piece in line.phonemes]
        rows = [styles.row_for(style, len(piece)) for piece in spoken]
        return np.concatenate(
            [hd.voiced_hz(turbo.tokens(piece), row, stop) for piece, row in zip(spoken, rows, strict=True)]
        )

    def _abroad(
        self, profile: Profile, phonemes: str, language: str, how: tuple[float, float], stop: Stop | None
    ) -> np.ndarray:
        """Speak another language than English: with its own prosody, which only the hd network has."""
        style, nearer = prosody.in_language(profile.style, profile.pitch_hz, language)
        row, (pace, moved) = styles.row_for(style, len(phonemes)), how
        return self._get(Hd).speak(self._get(Turbo).tokens(phonemes), row, pace, stop, moved * nearer)

    def _get(self, kind: type[Loaded]) -> Loaded:
        with self._lock:
            if kind not in self._loaded:
                self._loaded[kind] = kind(self._cache)  # type: ignore[call-arg]
            return cast(Loaded, self._loaded[kind])


def _joined(parts: list[np.ndarray], between: np.ndarray) -> np.ndarray:
    return np.concatenate([each for part in parts for each in (part, between)][:-1])


def _spoken(heard: Heard, at_most_s: float) -> np.ndarray:
    """Return the speech of a recording without its pauses, at 24 kHz; all of it when no span is known."""
    until_s = min(_until_s(heard.spans, at_most_s) + _RESAMPLED_MORE_S, len(heard.samples) / heard.sample_rate)
    samples = resample(heard.samples[: math.ceil(until_s * heard.sample_rate)], heard.sample_rate, SAMPLE_RATE)
    cut = [samples[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)] for start, end in heard.spans]
    spoken = np.concatenate(cut) if cut else samples
    return spoken[: int(at_most_s * SAMPLE_RATE)]


def _until_s(spans: Spans, speech_s: float) -> float:
    """Return when so much speech has been heard; the end of time where there is less."""
    if not spans:
        return speech_s
    for start, end in spans:
        if end - start >= speech_s:
            return start + speech_s
        speech_s -= end - start
    return float("inf")


def _trimmed(samples: np.ndarray) -> np.ndarray:
    """Return speech without the silence at its edges, but for a little."""
    n_frame, edge = int(EDGE_FRAME_S * SAMPLE_RATE), int(EDGE_S * SAMPLE_RATE)
    # Levels, not peaks: those depend on how harmonics fall together, and speech would end elsewhere at another pitch.
    level = np.sqrt((samples[: len(samples) // n_frame * n_frame].reshape(-1, n_frame) ** 2).mean(axis=1))
    loud = np.flatnonzero(level > 10 ** (-EDGE_BELOW_DB / 20) * np.percentile(level, 95)) if len(level) else level
    if not len(loud):
        return samples
    return samples[max(0, loud[0] * n_frame - edge) : (loud[-1] + 1) * n_frame + edge]
