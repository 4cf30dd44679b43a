"""The engines that were always here: base speech by a stock voice, filtered until it sounds like the person."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from clone.audio.reader import resample
from clone.contract.speech import SpeechSettings
from clone.core.jobs import Stop
from clone.engine import conversion, prosody, speaker, styles
from clone.engine.asr import FRAME_S, NAMES, Recognizer
from clone.engine.asr import SAMPLE_RATE as HEARD_RATE
from clone.engine.engine import MAX_LEARNED_S, SAMPLE_RATE, Heard, Line, Manner, Networks, spoken, trimmed
from clone.engine.g2p.text import CLAUSE_PAUSE_S
from clone.engine.models import ModelStatus
from clone.engine.profile import Profile
from clone.engine.speaker import SpeakerEncoder
from clone.engine.tts import Hd, Turbo
from clone.engine.weights import HIBARI, KOKORO, Weights, n_bytes

PIECES_AT_ONCE = 4
"""Of so many symbols are converted at once, 70 s of speech: 20 took 5 GB. Seldom has a sentence more than two."""

JOIN_S = 0.01
"""What the parts of a line that is handed over early share, faded from one to the other."""


def learned(networks: Networks, reference: Heard, prompt: Heard | None, own_phonemes: list[str], stop: Stop) -> Profile:
    """Return what is known of every voice, and all that both engines need.

    Args:
        networks: what hears and speaks.
        reference: the recording.
        prompt: a prompt clip; it joins the reference and steers pitch and rate.
        own_phonemes: what a style's own pitch is told from.
        stop: obeyed between and inside the steps.
    """
    speech = spoken(reference, MAX_LEARNED_S)
    steering = speech if prompt is None else spoken(prompt, MAX_LEARNED_S)
    if prompt is not None:
        speech = np.concatenate([steering, speech])
    heard = resample(speech, SAMPLE_RATE, HEARD_RATE)
    encoder = networks.get(SpeakerEncoder)
    windows = encoder.windows(heard, stop, styles.bank().colour, at_most=styles.N_WINDOWS)
    style = styles.nearest(speaker.mean_direction(windows))
    voiced_hz = speaker.pitch_hz(heard[: int(len(steering) / SAMPLE_RATE * HEARD_RATE)])
    features = networks.get(Recognizer).features(heard, stop)
    frames, _ = conversion.analyse(speech, features)
    return Profile(
        windows=encoder.windows(heard, stop),
        pitch_hz=float(np.median(voiced_hz)) if len(voiced_hz) else 0.0,
        rate=prosody.phonemes_per_s(features[: int(len(steering) / SAMPLE_RATE / FRAME_S)]),
        style=style,
        pitch=prosody.fitted(_own_hz(networks, own_phonemes, style, stop), voiced_hz),
        frames=frames,
        pause_s=prosody.pause_s(reference.spans),
        range_st=prosody.range_st(voiced_hz),
    )


def _own_hz(networks: Networks, phonemes: list[str], style: np.ndarray, stop: Stop) -> np.ndarray:
    """Return the pitch curve of a style, voiced frames, in Hz."""
    turbo, hd = networks.get(Turbo), networks.get(Hd)
    rows = [styles.row_for(style, len(piece)) for piece in phonemes]
    return np.concatenate(
        [hd.voiced_hz(turbo.tokens(piece), row, stop) for piece, row in zip(phonemes, rows, strict=True)]
    )


class _Converted(ABC):
    """What both have in common."""

    name: str
    title: str
    licence: str
    languages: frozenset[str]
    weights: Weights
    is_here = True
    varies = False
    mixes = True
    attends: frozenset[str] = frozenset()
    """Languages in which the learned matching brings its speech closer, and nothing else suffers (bench/NOTES.md)."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks

    @classmethod
    def status(cls) -> ModelStatus:
        """Return it as it is listed beside what can be got."""
        languages = tuple(sorted(NAMES[code] for code in cls.languages))
        return ModelStatus(cls.name, cls.title, n_bytes(cls.weights), cls.licence, "", languages, True, True, "")

    def can(self, settings: SpeechSettings) -> bool:
        """Both speak at any speed and pitch."""
        return True

    def knows(self, profile: Profile) -> bool:
        """Every profile is made with what they need."""
        return True

    def learn(self, profile: Profile, reference: Heard, prompt: Heard | None, stop: Stop) -> Profile:
        """Return the profile, which has it all."""
        return profile

    def speak(self, profile: Profile, line: Line, manner: Manner, stop: Stop) -> Iterator[np.ndarray]:
        """Speak a line; see Engine.speak."""
        silence = np.zeros(int(CLAUSE_PAUSE_S * SAMPLE_RATE), np.float32)
        for start in range(0, len(line.phonemes), PIECES_AT_ONCE):
            part = line.phonemes[start : start + PIECES_AT_ONCE]
            early = self._early(profile, part[0], line.language, manner, stop) if start == 0 and manner.early else None
            if early is not None:
                yield from early
                part = part[1:]
            base = [trimmed(self._base(profile, piece, line.language, manner.settings, stop)) for piece in part]
            if base:
                before = [silence] if start or early is not None else []
                yield np.concatenate([*before, self._convert(profile, _joined(base, silence), line.language, stop)])

    def _early(
        self, profile: Profile, phonemes: str, language: str, manner: Manner, stop: Stop
    ) -> Iterator[np.ndarray] | None:
        """Return the first piece of a line in parts, the first of them short; None where it is quick enough in one."""
        return None

    @abstractmethod
    def _base(self, profile: Profile, phonemes: str, language: str, settings: SpeechSettings, stop: Stop) -> np.ndarray:
        """Return a piece of a line in the stock voice: float32, shape (n_samples,), 24 kHz."""

    def _convert(self, profile: Profile, base: np.ndarray, language: str, stop: Stop) -> np.ndarray:
        match = conversion.attended if language in self.attends else conversion.nearest
        features = self._networks.get(Recognizer).features(resample(base, SAMPLE_RATE, HEARD_RATE), stop)
        # Conversion filters, and the phase stays: what is filtered in two ways can be added up.
        parts = [share * conversion.convert(base, features, frames, match) for share, frames in profile.timbres]
        return np.asarray(sum(parts), np.float32)


class Hibari(_Converted):
    """hibari's one voice: quick, English only."""

    name, title = "hibari", "hibari, converted"
    licence = "MIT"
    languages = frozenset({"en"})
    weights = HIBARI

    def _base(self, profile: Profile, phonemes: str, language: str, settings: SpeechSettings, stop: Stop) -> np.ndarray:
        pace = prosody.pace(profile.rate, prosody.TURBO_SLOWEST) * settings.speed
        moved = 2.0 ** (settings.pitch / 12)
        turbo = self._networks.get(Turbo)
        span = prosody.span(profile.range_st, prosody.HIBARI_RANGE_ST) * settings.pitch_range
        return turbo.speak(phonemes, profile.pitch_hz, pace, stop, moved, span=span)


class Kokoro(_Converted):
    """Kokoro in the style nearest to the person, in every language that is spoken here."""

    name, title = "kokoro", "Kokoro, converted"
    licence = "Apache-2.0"
    languages = frozenset({"en", *prosody.LETTERS})
    attends = frozenset({"en"})
    weights = KOKORO

    def _base(self, profile: Profile, phonemes: str, language: str, settings: SpeechSettings, stop: Stop) -> np.ndarray:
        parts = self._spoken(profile, phonemes, language, settings, stop, early=False)
        return next(parts)[0]

    def _early(
        self, profile: Profile, phonemes: str, language: str, manner: Manner, stop: Stop
    ) -> Iterator[np.ndarray] | None:
        def converted() -> Iterator[tuple[np.ndarray, int, int]]:
            parts = self._spoken(profile, phonemes, language, manner.settings, stop, early=True)
            for base, before, after in parts:
                edged = trimmed(base, begin=not before, end=not after)
                yield self._convert(profile, edged, language, stop), before, after

        return _faded(converted())

    def _spoken(
        self, profile: Profile, phonemes: str, language: str, settings: SpeechSettings, stop: Stop, *, early: bool
    ) -> Iterator[tuple[np.ndarray, int, int]]:
        pace, moved = prosody.pace(profile.rate) * settings.speed, 2.0 ** (settings.pitch / 12)
        style, pitch = profile.style, profile.pitch
        if language != "en":  # with the language's own prosody, so that no English pitch fits it
            (style, nearer), pitch = prosody.in_language(style, profile.pitch_hz, language), prosody.AS_PREDICTED
            moved *= nearer
        pitch = replace(pitch, span=pitch.span * settings.pitch_range)
        row, tokens = styles.row_for(style, len(phonemes)), self._networks.get(Turbo).tokens(phonemes)
        return self._networks.get(Hd).parts(tokens, row, pace, stop, moved, pitch=pitch, early=early)


def _joined(parts: list[np.ndarray], between: np.ndarray) -> np.ndarray:
    return np.concatenate([each for part in parts for each in (part, between)][:-1])


def _faded(parts: Iterable[tuple[np.ndarray, int, int]]) -> Iterator[np.ndarray]:
    """Yield parts of one line so that no seam is heard.

    Args:
        parts: samples, and how many of them at the beginning and at the end belong to the neighbours.
    """
    n, held = int(JOIN_S * SAMPLE_RATE), np.zeros(0, np.float32)
    for samples, before, after in parts:
        begin, end = max(0, before - n // 2), len(samples) - max(0, after - n // 2)
        part = samples[begin:end].copy()
        if len(held):
            share = np.linspace(0.0, 1.0, len(held), dtype=np.float32)
            part[: len(held)] = held * (1 - share) + part[: len(held)] * share
        held = part[len(part) - n :] if after else part[:0]
        yield part[: len(part) - len(held)]
