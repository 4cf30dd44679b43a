"""Base speech: phonemes to 24 kHz audio, by Kokoro (hd) and hibari (turbo)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from hibari import Hibari, dsp
from hibari.g2p import G2P
from hibari.g2p.token import Tok

from clone.core.jobs import Stop
from clone.engine import weights
from clone.engine.g2p.text import readable
from clone.engine.prosody import AS_PREDICTED, VOICED_HZ, Pitch
from clone.engine.weights import N_THREADS, open_session, run

SAMPLE_RATE = 24_000
SEED = 20_260_101
"""hibari's breath noise is drawn from this seed: the same text gives the same audio."""

FORMANT_SHARE = 0.5
"""Formants move by the pitch ratio to this power: a lower voice mostly has a longer vocal tract."""

FORMANT_OWN = 0.96
"""And by this, whatever the pitch: hibari's formants lie high for its pitch (bench/NOTES.md)."""

REST_DB = -6.0
"""The branch with free phase holds what is left of the old pitch: kept back when the pitch is moved."""

RATIO_MAX = 2.5

PITCH, NOISE, SAID = "/encoder/Reshape_output_0", "/encoder/Reshape_1_output_0", "/encoder/MatMul_1_output_0"
"""What Kokoro's predictor hands to its decoder: the pitch curve in Hz, how loud, and what is said, frame by frame.

The first two have two values a frame.
"""

FRAME_SAMPLES = 600
CONTEXT_FRAMES = 8
"""Spoken on either side of where a line is parted, and thrown away."""

UNVOICED_BETTER = 4.0
"""A seam in a voiced sound is heard: it is taken for so much louder."""

PARTED_FRAMES = (32, 80)
"""A line that is to be heard early is parted after so many frames, 0.8 to 2 s; a shorter rest is not worth it."""

PARTS_GROW = 2.2
"""A part may be longer than the one before by this: it is spoken while that is heard."""


UNSPACED_MAX_PARTS = 16
"""The lexicon looks up every row of parts of what has no space in it: that is their number's cube. 400 took 11 s."""


class _Phonemizer(G2P):  # type: ignore[misc]
    """hibari's own, for a text of any kind: what it reads as one is short enough, and such that its lexicon knows how.

    Both are seen to after it wrote numbers, dates and units out, for that joins what was apart.
    """

    def tokenize(self, text: str) -> list[Tok]:
        return list(super().tokenize(readable(text)))

    @staticmethod
    def retokenize(tokens: list[Tok]) -> list[Tok | list[Tok]]:
        words = G2P.retokenize(tokens)
        return [part for word in words for part in (_few(word) if isinstance(word, list) else [word])]


def _few(word: list[Tok]) -> list[list[Tok]]:
    """Return the parts of what has no space in lists of at most UNSPACED_MAX_PARTS, each read as if it stood alone."""
    few = [word[start : start + UNSPACED_MAX_PARTS] for start in range(0, len(word), UNSPACED_MAX_PARTS)]
    for parts in few[:-1]:
        parts[-1].whitespace = " "
    return few


class Turbo:
    """hibari: one tiny voice whose pitch contour is open to be moved. Also the phonemizer of both."""

    def __init__(self, cache: Path) -> None:
        timed = _evenly_timed(onnx.load_from_string(weights.load(weights.HIBARI, cache)))
        self._hibari = Hibari(model=timed.SerializeToString(), threads=N_THREADS, g2p=_Phonemizer())
        self._lock = threading.Lock()

    def phonemes(self, sentence: str) -> list[str]:
        """Return a sentence in phonemes; more than one string when it is very long."""
        with self._lock:
            return list(self._hibari.phonemize(sentence))

    def tokens(self, phonemes: str) -> np.ndarray:
        """Return the symbols' numbers, padded as both networks want it: int64, shape (1, n_symbols + 2)."""
        return np.asarray([self._hibari.ids(phonemes)], np.int64)

    def speak(
        self,
        phonemes: str,
        pitch_hz: float,
        pace: float,
        stop: Stop | None = None,
        moved: float = 1.0,
        *,
        span: float = 1.0,
    ) -> np.ndarray:
        """Return base speech with its median pitch moved to a given one.

        Args:
            phonemes: one sentence.
            pitch_hz: median pitch to speak at; 0 leaves it.
            pace: 1.0 is the network's own.
            stop: obeyed inside a run.
            moved: factor on every pitch after that; formants stay.
            span: factor on the distance of every pitch from the mean, in semitones.

        Returns:
            float32, shape (n_samples,), 24 kHz.
        """
        inputs = {"ids": self.tokens(phonemes), "speed": np.asarray([pace], np.float32)}
        harmonic, phase, noise, rest, rest_phase, f0 = (out[0] for out in run(self._hibari.sess, inputs, stop))
        ratio = _ratio(f0, pitch_hz)
        f0 = Pitch(span=span).moved(f0)
        # A frame the network left unvoiced must stay so, or breath would start to hum.
        f0 = np.where(f0 > VOICED_HZ, np.maximum(f0 * ratio * moved, VOICED_HZ * 1.2), f0).astype(np.float32)
        formants = FORMANT_OWN * ratio**FORMANT_SHARE
        harmonic, noise, rest = (_stretched(branch, formants) for branch in (harmonic, noise, rest))
        # A lower voice has more harmonics in the same band: each must be weaker for the same loudness.
        harmonic = harmonic + np.float32(0.5 * np.log(ratio * moved))
        rest = rest + np.float32(REST_DB * np.log(10) / 20) if ratio * moved != 1.0 else rest
        breath = np.random.default_rng(SEED)
        return np.asarray(dsp.synth(harmonic, phase, noise, rest, rest_phase, f0, breath), np.float32)


class Hd:
    """Kokoro: slower and richer, in any style. Cut in two where the pitch curve passes, so that it can be moved."""

    def __init__(self, cache: Path) -> None:
        kokoro = _evenly_timed(onnx.load_from_string(weights.load(weights.KOKORO, cache)))
        between = (PITCH, NOISE, SAID)
        self._predictor = open_session(_part(kokoro, ("tokens", "style", "speed"), between))
        self._decoder = open_session(_part(kokoro, (*between, "style"), ("audio",)))

    def speak(
        self,
        tokens: np.ndarray,
        style: np.ndarray,
        pace: float,
        stop: Stop | None = None,
        moved: float = 1.0,
        *,
        pitch: Pitch = AS_PREDICTED,
    ) -> np.ndarray:
        """Return base speech in a style.

        Args:
            tokens: int64, shape (1, n_symbols + 2), at most 512.
            style: float32, shape (256,): the voice's row for this many symbols.
            pace: 1.0 is the network's own.
            stop: obeyed inside a run.
            moved: factor on every pitch; timing and formants stay.
            pitch: where the voice wants it, before that.

        Returns:
            float32, shape (n_samples,), 24 kHz.
        """
        return next(self.parts(tokens, style, pace, stop, moved, pitch=pitch))[0]

    def parts(
        self,
        tokens: np.ndarray,
        style: np.ndarray,
        pace: float,
        stop: Stop | None = None,
        moved: float = 1.0,
        *,
        pitch: Pitch = AS_PREDICTED,
        early: bool = False,
    ) -> Iterator[tuple[np.ndarray, int, int]]:
        """Yield what speak() returns; ``early`` in parts, the first short, each parted at a quiet moment.

        Yields:
            Samples as speak() returns them, and how many of them at the beginning and at the end are spoken by the
            part before and by the part after.
        """
        curve, noise, said = self._predicted(tokens, style, pace, stop)
        n_frames, row = said.shape[-1], style[None].astype(np.float32)
        curve = pitch.moved(curve, moved)
        cuts = [0, *(_quiet_frames(curve[0], noise[0]) if early else []), n_frames]
        for start, end in pairwise(cuts):
            low, high = max(0, start - CONTEXT_FRAMES), min(n_frames, end + CONTEXT_FRAMES)
            framed = {PITCH: curve[:, 2 * low : 2 * high], NOISE: noise[:, 2 * low : 2 * high]}
            inputs = framed | {SAID: said[..., low:high], "style": row}
            samples = np.asarray(run(self._decoder, inputs, stop)[0], np.float32).ravel()
            yield samples, (start - low) * FRAME_SAMPLES, (high - end) * FRAME_SAMPLES

    def voiced_hz(self, tokens: np.ndarray, style: np.ndarray, stop: Stop | None = None) -> np.ndarray:
        """Return the pitch a style would be spoken at, without speaking it: a fiftieth of the work.

        Returns:
            float32, shape (n_voiced_frames,), in Hz: Kokoro's curve where it is voiced.
        """
        curve = self._predicted(tokens, style, 1.0, stop)[0]
        return np.asarray(curve[curve > VOICED_HZ], np.float32)

    def _predicted(self, tokens: np.ndarray, style: np.ndarray, pace: float, stop: Stop | None) -> list[np.ndarray]:
        row = style[None].astype(np.float32)
        return run(self._predictor, {"tokens": tokens, "style": row, "speed": np.asarray([pace], np.float32)}, stop)


def _evenly_timed(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a network with its sounds' ends rounded to whole frames, where it rounded each sound's length by itself.

    A sound lasts a frame or two (25 ms), so what rounding took from one was missing from many: asked to be 1.5 times as
    fast, speech was 1.2 times as fast, and 1.2 changed next to nothing.
    """
    nodes, make = list(model.graph.node), onnx.helper.make_node
    asked = next(node.output[0] for node in nodes if node.op_type == "Div" and "speed" in node.input)
    rounding = next(node for node in nodes if node.op_type == "Round" and asked in node.input)
    constants = {"timing/least": np.float32(1.0), "timing/axis": np.int64(-1)}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items())
    lengths = ["timing/lengths", "timing/axis"]
    timing = [
        make("Max", [asked, "timing/least"], lengths[:1]),
        make("CumSum", lengths, ["timing/ends"]),
        make("CumSum", lengths, ["timing/starts"], exclusive=1),
        make("Round", ["timing/ends"], ["timing/last"]),
        make("Round", ["timing/starts"], ["timing/first"]),
        make("Sub", ["timing/last", "timing/first"], ["timing/frames"]),
    ]
    rounding.input[0] = "timing/frames"
    at = nodes.index(rounding)
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:at], *timing, *nodes[at:]])
    return model


def _part(model: onnx.ModelProto, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> bytes:
    """Return the part of a network between some of its values, each a float unless the whole has it as an input."""
    made_by = {name: i for i, node in enumerate(model.graph.node) for name in node.output}
    needed, wanted, kept = set(), list(outputs), set()
    while wanted:
        name = wanted.pop()
        if name in needed:
            continue
        needed.add(name)
        if name in made_by and name not in inputs:
            kept.add(made_by[name])
            wanted += model.graph.node[made_by[name]].input
    known = {value.name: value for value in (*model.graph.input, *model.graph.output)}

    def values(names: tuple[str, ...]) -> list[onnx.ValueInfoProto]:
        make = onnx.helper.make_tensor_value_info
        return [known.get(name) or make(name, onnx.TensorProto.FLOAT, None) for name in names]

    graph = onnx.helper.make_graph(
        [model.graph.node[i] for i in sorted(kept)],
        model.graph.name,
        values(inputs),
        values(outputs),
        [weight for weight in model.graph.initializer if weight.name in needed],
    )
    part = onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    return bytes(part.SerializeToString())


def _quiet_frames(curve: np.ndarray, noise: np.ndarray) -> list[int]:
    """Return the frames to part a line at, each the quietest of where it may lie; none where the line is short.

    Args:
        curve: pitch in Hz, shape (2 n_frames,).
        noise: how loud, in the network's own logarithmic measure, shape (2 n_frames,).
    """
    loud = np.convolve(noise, np.ones(4) / 4, "same") + np.where(curve > VOICED_HZ, UNVOICED_BETTER, 0.0)
    loud = loud.reshape(-1, 2).mean(axis=1)
    found: list[int] = []
    begin, (least, most) = 0, PARTED_FRAMES
    while len(loud) - begin >= most + PARTED_FRAMES[0]:
        at = begin + least + int(loud[begin + least : begin + most].argmin())
        found.append(at)
        begin, least, most = at, at - begin, int((at - begin) * PARTS_GROW)
    return found


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
