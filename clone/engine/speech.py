"""Base speech: phonemes to 24 kHz audio, by Kokoro (hd) and hibari (turbo)."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import onnx
from hibari import Hibari, dsp

from clone.engine import weights
from clone.engine.sessions import N_THREADS, open_session, run
from clone.jobs import Stop

SAMPLE_RATE = 24_000
SEED = 20_260_101
"""hibari's breath noise is drawn from this seed: the same text gives the same audio."""

VOICED_HZ = 40.0
"""hibari's own threshold: frames below it are unvoiced."""

FORMANT_SHARE = 0.5
"""Formants move by the pitch ratio to this power: a lower voice mostly has a longer vocal tract."""

REST_DB = -6.0
"""The branch with free phase holds what is left of the old pitch: kept back when the pitch is moved."""

RATIO_MAX = 2.5

_PITCH_CURVE = "/encoder/F0_proj/Conv_output_0"
"""Kokoro's own pitch curve inside its network, in Hz, on its way from the predictor to the decoder."""


class Turbo:
    """hibari: one tiny voice whose pitch contour is open to be moved. Also the phonemizer of both."""

    def __init__(self, cache: Path) -> None:
        self._hibari = Hibari(model=weights.load(weights.HIBARI, cache), threads=N_THREADS)
        self._lock = threading.Lock()

    def phonemes(self, sentence: str) -> list[str]:
        """Return a sentence in phonemes; more than one string when it is very long."""
        with self._lock:
            return list(self._hibari.phonemize(sentence))

    def tokens(self, phonemes: str) -> np.ndarray:
        """Return the symbols' numbers, padded as both networks want it: int64, shape (1, n_symbols + 2)."""
        return np.asarray([self._hibari.ids(phonemes)], np.int64)

    def speak(
        self, phonemes: str, pitch_hz: float, pace: float, stop: Stop | None = None, moved: float = 1.0
    ) -> np.ndarray:
        """Return base speech with its median pitch moved to a given one.

        Args:
            phonemes: one sentence.
            pitch_hz: median pitch to speak at; 0 leaves it.
            pace: 1.0 is the network's own.
            stop: obeyed inside a run.
            moved: factor on every pitch after that; formants stay.

        Returns:
            float32, shape (n_samples,), 24 kHz.
        """
        inputs = {"ids": self.tokens(phonemes), "speed": np.asarray([pace], np.float32)}
        harmonic, phase, noise, rest, rest_phase, f0 = (out[0] for out in run(self._hibari.sess, inputs, stop))
        ratio = _ratio(f0, pitch_hz)
        # A frame the network left unvoiced must stay so, or breath would start to hum.
        f0 = np.where(f0 > VOICED_HZ, np.maximum(f0 * ratio * moved, VOICED_HZ * 1.2), f0).astype(np.float32)
        harmonic, noise, rest = (_stretched(branch, ratio**FORMANT_SHARE) for branch in (harmonic, noise, rest))
        # A lower voice has more harmonics in the same band: each must be weaker for the same loudness.
        harmonic = harmonic + np.float32(0.5 * np.log(ratio * moved))
        rest = rest + np.float32(REST_DB * np.log(10) / 20) if ratio * moved != 1.0 else rest
        breath = np.random.default_rng(SEED)
        return np.asarray(dsp.synth(harmonic, phase, noise, rest, rest_phase, f0, breath), np.float32)


class Hd:
    """Kokoro: slower and richer, in any style."""

    def __init__(self, cache: Path) -> None:
        self._session = open_session(_with_movable_pitch(weights.load(weights.KOKORO, cache)))

    def speak(
        self, tokens: np.ndarray, style: np.ndarray, pace: float, stop: Stop | None = None, moved: float = 1.0
    ) -> np.ndarray:
        """Return base speech in a style.

        Args:
            tokens: int64, shape (1, n_symbols + 2), at most 512.
            style: float32, shape (256,): the voice's row for this many symbols.
            pace: 1.0 is the network's own.
            stop: obeyed inside a run.
            moved: factor on every pitch; timing and formants stay.

        Returns:
            float32, shape (n_samples,), 24 kHz.
        """
        inputs = {"tokens": tokens, "style": style[None].astype(np.float32), "speed": np.asarray([pace], np.float32)}
        inputs["pitch_factor"] = np.asarray([moved], np.float32)
        return np.asarray(run(self._session, inputs, stop)[0], np.float32)


def _with_movable_pitch(model: bytes) -> bytes:
    """Return Kokoro with one more input, ``pitch_factor``, shape (1,), that its pitch curve is multiplied with."""
    kokoro = onnx.load_from_string(model)
    nodes = kokoro.graph.node
    for node in nodes:
        node.input[:] = ["pitch_curve_moved" if name == _PITCH_CURVE else name for name in node.input]
    after = 1 + next(i for i, node in enumerate(nodes) if _PITCH_CURVE in node.output)
    nodes.insert(after, onnx.helper.make_node("Mul", [_PITCH_CURVE, "pitch_factor"], ["pitch_curve_moved"]))
    kokoro.graph.input.append(onnx.helper.make_tensor_value_info("pitch_factor", onnx.TensorProto.FLOAT, [1]))
    return bytes(kokoro.SerializeToString())


def _ratio(f0: np.ndarray, pitch_hz: float) -> float:
    voiced = f0[f0 > VOICED_HZ]
    if pitch_hz <= 0 or not len(voiced):
        return 1.0
    return float(np.clip(pitch_hz / np.median(voiced), 1 / RATIO_MAX, RATIO_MAX))


def _stretched(log_magnitude: np.ndarray, factor: float) -> np.ndarray:
    """Return a branch with its formants moved by a factor; shape (n_bins, n_frames)."""
    n_bins = len(log_magnitude)
    source = np.minimum(np.arange(n_bins) / factor, n_bins - 1)
    low = source.astype(int)
    high = np.minimum(low + 1, n_bins - 1)
    share = (source - low).astype(np.float32)[:, None]
    return np.asarray(log_magnitude[low] * (1 - share) + log_magnitude[high] * share)
